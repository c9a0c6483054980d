"""Software of others that Argo CD renders, as a component among the others: what charts and folders have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict, Unpack

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.declare.chart import ChartEndpoint, ChartPods, Kind, PodAccess
from constructs_lib.declare.component import Component, PodSecurity
from constructs_lib.declare.role import Role
from constructs_lib.declare.secret import Secret, SecretReference
from constructs_lib.declare.server import Endpoint, Server
from constructs_lib.declare.system import System
from constructs_lib.kubernetes.names import is_private_host
from constructs_lib.text import nearest, shown


class ChartService(Server):
    """A Service of a chart, and the pods behind it."""

    def __init__(self, component: Component, name: str) -> None:
        """Offer nothing yet."""
        self.system = component.system
        self.name = name
        self.location = component.location
        self.component = component
        self._pods: dict[str, Mapping[str, str]] = {}

    @property
    def role(self) -> Role:
        """What it is for."""
        return Role.PLATFORM

    @property
    def subject(self) -> str:
        """How messages name it."""
        return str(self.component.id)

    @property
    def host(self) -> str:
        """DNS name of the Service."""
        return f"{self.name}.{self.component.namespace_name}.svc.{self.system.environment.cluster.domain}"

    @property
    def says_ports(self) -> bool:
        """Whether its own policy lets each caller in at the port that it needs: not if one is open to the world."""
        return not any(access.from_world for access in self.component.access)

    def pods(self, endpoint: Endpoint) -> tuple[str, Mapping[str, str]] | None:
        """Return the namespace and the labels of the pods that answer at an endpoint."""
        return self.component.namespace_name, self._pods.get(endpoint.name, {})

    def add(self, name: str, given: ChartEndpoint, secrets: Mapping[str, SecretReference]) -> None:
        """Offer an endpoint; clients may be told the chart's secrets."""
        self._pods[name] = given.pods
        port = given.port if given.target_port is None else given.target_port
        offered = self.offer(name, port, service_port=given.port, protocol=given.protocol)
        if offered.declared:
            attributes = {**offered.attributes, **given.attributes, **secrets}
            self.endpoints[name] = replace(offered, attributes=attributes)


class ThirdPartyArguments(TypedDict, total=False):
    """What every kind of such software can be told.

    Attributes:
        namespace: Where objects go that name no namespace. Default: the id.
        pod_security: Pod Security level that its pods meet. Default ``restricted``.
        kinds: Namespaced kinds that it contains, for the AppProject.
        cluster_kinds: Cluster-scoped kinds that it contains, for the AppProject; with ``names``, it can make and change
            no others.
        other_namespaces: Namespaces of others into which it puts objects.
        further_namespaces: Namespaces beside its own that are made for it, with their Pod Security levels: for pods of
            it that need more rights than the others, such as agents on the nodes.
        access: What its pods may exchange.
        endpoints: What workloads can need of it, by name: ``{"redis": ChartEndpoint("cache-valkey", 6379, …)}``.
        secrets: Secret values, by their keys in the Secret that is called as the component, for its pods to read.
            Clients may be told them as attributes of its endpoints.
        rendered: Whether the repository keeps its manifests, rendered by synth. Default: Argo CD renders it.
    """

    namespace: str | None
    pod_security: PodSecurity
    kinds: Sequence[Kind]
    cluster_kinds: Sequence[Kind]
    other_namespaces: Sequence[str]
    further_namespaces: Mapping[str, PodSecurity] | None
    access: Sequence[PodAccess]
    endpoints: Mapping[str, ChartEndpoint] | None
    secrets: Mapping[str, Secret] | None
    rendered: bool


class ThirdParty(Component):
    """A component whose objects are in a repository of somebody else.

    Its namespace, network policies and secrets are plain manifests like everybody's.
    """

    role = Role.PLATFORM

    def __init__(self, scope: System, id: str, **given: Unpack[ThirdPartyArguments]) -> None:
        """Declare software of others; the kind says what the arguments are, and where it is."""
        super().__init__(
            scope, id, namespace=given.get("namespace"), pod_security=given.get("pod_security", "restricted")
        )
        self.kinds = tuple(given.get("kinds", ()))
        self.cluster_kinds = tuple(given.get("cluster_kinds", ()))
        self.other_namespaces = tuple(given.get("other_namespaces", ()))
        self.further_namespaces = dict(given.get("further_namespaces") or {})
        self.access = tuple(given.get("access", ()))
        self.rendered = given.get("rendered", False)
        self._check_what_it_may()
        self.servers: Sequence[ChartService] = ()
        self._offer(given.get("endpoints") or {}, given.get("secrets") or {})

    def _offer(self, endpoints: Mapping[str, ChartEndpoint], secrets: Mapping[str, Secret]) -> None:
        references = {key: SecretReference(self.id, key, secret) for key, secret in secrets.items()}
        if problem := validation.file_names(references):
            self.report(f"secrets: {problem}")
        for reference in references.values():
            self.secret_key(reference)
        services: dict[str, ChartService] = {}
        for name, given in endpoints.items():
            problems = [*given.problems()]
            for problem in problems:
                self.report(f"endpoint {name}: {problem}")
            for taken in sorted({"host", "port", "address"} & {*given.attributes, *references}):
                self.report(f'endpoint {name}: every endpoint tells its "{taken}" anyway; choose another name.')
            if not problems:
                service = services.setdefault(given.service, ChartService(self, given.service))
                service.add(name, given, references)
                if all(dict(access.pods) != dict(given.pods) for access in self.access):
                    self.access = (*self.access, PodAccess(name, given.pods))
        self.servers = tuple(services.values())

    @explained
    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint called ``name``, for ``needs()``; an error is reported if there is none."""
        for service in self.servers:
            if name in service.endpoints:
                return service.endpoints[name]
        known = [each for service in self.servers for each in service.endpoints]
        if "endpoints" not in self.replaced:
            self.report(f'there is no endpoint "{name}"; {nearest(str(name), known)}')
        return Endpoint(ChartService(self, self.id), str(name), 1, 1, declared=False)

    @explained
    def pods(self, name: str) -> ChartPods:
        """Return some of its pods, by the name of the :class:`PodAccess` that says what these may exchange.

        An error is reported if there is none.
        """
        for access in self.access:
            if access.name == name:
                return ChartPods(self.id, name, self.namespace_name, access.pods)
        self.report(f'there is no PodAccess "{name}"; {nearest(str(name), [each.name for each in self.access])}')
        return ChartPods(self.id, str(name), self.namespace_name, {})

    def _check_what_it_may(self) -> None:
        for namespace in self.other_namespaces:
            if problem := validation.dns_label(namespace):
                self.report(f"other_namespaces: {problem}")
        for namespace in self.further_namespaces:
            if problem := validation.dns_label(namespace):
                self.report(f"further_namespaces: {problem}")
            self.system.own(namespace, self)
        for access in self.access:
            for problem in access.problems():
                self.report(f"access: {problem}")
            for host in access.hosts:
                if is_private_host(host) and "cilium" not in self.system.environment.cluster.provides:
                    self.report(
                        f"access: {shown(host)} is a name in a private network, and only the internet is opened; name "
                        f"an endpoint of an External(…, networks=…) in to_endpoints."
                    )
        known = [dict(access.pods) for access in self.access]
        for access in self.access:
            for labels, _ in access.to_pods:
                if dict(labels) not in known:
                    self.report(
                        f"access {access.name}: no other PodAccess has the pods {dict(labels)}, so nothing would open."
                    )
        for argument, kinds in (("kinds", self.kinds), ("cluster_kinds", self.cluster_kinds)):
            if any("*" in (kind.group, kind.kind) for kind in kinds):
                self.report(f"{argument}: name every kind; a wildcard would permit the chart anything.")

    def _check_folder(self, repository: str, path: str, revision: str | None) -> None:
        """Report what is wrong with a folder of a Git repository."""
        if problem := validation.git_url(repository):
            self.report(f"repository: {problem}")
        if problem := validation.git_folder(path):
            self.report(f"path: {problem}")
        if revision is None:
            self.report('revision: it is missing; write the commit or the tag to deploy, such as revision="v1.2.3".')
        elif problem := validation.fixed_revision(revision):
            self.report(f"revision: {problem}")

"""Workloads, and the edges from them to what they need."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from constructs_lib.declare import on_demand, validation
from constructs_lib.declare.arguments import checked, misfits
from constructs_lib.declare.calls import explained
from constructs_lib.declare.cluster import Cluster
from constructs_lib.declare.component import Component
from constructs_lib.declare.diagnostics import Location
from constructs_lib.declare.observed import Observed
from constructs_lib.declare.passage import ExistingController, Passage
from constructs_lib.declare.patch import patch_of
from constructs_lib.declare.secret import Secret, SecretReference
from constructs_lib.declare.server import Endpoint, Server
from constructs_lib.declare.system import System
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.kubernetes.names import is_private_host
from constructs_lib.text import nearest, shown

#: Seconds that a pod may wait for a node, images and init containers. What these wait for is there in a rollout.
PLACING_SECONDS = 90
#: What a declaration tells a workload, so that its pods have to show it: the labels that its policies select, its
#: variables, the wait for what it needs, its secrets, its exposed ports, its metrics.
PROMISES = ("labels", "variables", "wait", "secrets", "exposed", "metrics")
#: End of the name of the headless Service by which clients find all pods.
PODS = "-pods"


@dataclass(frozen=True)
class Edge:
    """One workload needs an endpoint.

    Attributes:
        source: The workload.
        endpoint: What it needs.
        order: Whether the endpoint's component must be healthy first.
        location: The line that declares it.
    """

    source: Workload
    endpoint: Endpoint
    order: bool
    location: Location


@explained
@dataclass(frozen=True)
class InternetHost:
    """A host outside of the cluster that a workload calls.

    Attributes:
        host: Full name. NetworkPolicies know no names, so that it says why the port is open to all of the internet;
            where the cluster provides ``cilium``, it is open to this host alone. The ``cluster_networks`` stay closed:
            for what is in a private network, or has an address only, there is :class:`External`.
        port: Port. Default 443.
    """

    host: str
    port: int = 443

    def problems(self, cluster: Cluster) -> Iterator[str]:
        """Yield what is wrong with it in a cluster: policies would not open what is no name in the internet."""
        if problem := validation.internet_host(self.host) or validation.port_number(self.port):
            yield problem
        elif is_private_host(self.host) and "cilium" not in cluster.provides:
            yield (
                f"{shown(self.host)} is a name in a private network, and only the internet is opened; declare "
                f'External(system, "…", host="{self.host}", ports=…, networks=…), and need that.'
            )


class Workload(Observed, Server, on_demand.Construct):
    """Pods with one purpose: the base of :class:`Microservice`, :class:`Postgres` and the like.

    Write another kind by inheriting, offering endpoints with :meth:`offer` and returning objects from
    :meth:`manifests`.
    """

    component: Component
    system: System

    #: Never prune or delete its PersistentVolumeClaims, nor the objects without which they are of no use.
    holds_data = False
    #: How many stages its objects have beside the set-up, see :meth:`manifests`.
    stages = 1
    #: Labels by which its pods are selected, where they run already. Default: its name.
    selecting: Mapping[str, str] = {}
    #: Whether its kind, as the library has it, passes on whatever it is told, so that nobody need look.
    passes_all_on = False
    #: Whether a changed secret restarts its pods, where there is a Reloader: not those of a server that reads secrets
    #: only when it is made.
    restarts_with_secrets = True
    #: Longest name: a StatefulSet's pods carry it with a revision hash of up to 11 characters in a label.
    longest_name = 52
    #: Seconds that one of its pods may take to start when it is rolled out.
    start_seconds = 300
    #: What :meth:`manifests` sees to in a way that its objects do not show, of :data:`PROMISES`; that is not proved.
    sees_to: ClassVar[Collection[str]] = ()

    @checked
    def __init__(self, scope: System | Component | Workload, id: str, *, namespace: str | None = None) -> None:
        """Declare a workload.

        Args:
            scope: The system (then it gets a component of its own, with the same id), a component, or a workload
                beside which it lives in the same namespace.
            id: Its name within the component.
            namespace: Namespace of its component, if ``scope`` is the system. Default: the id.
        """
        diagnostics = scope.diagnostics if isinstance(scope, System) else scope.system.diagnostics
        self.location = diagnostics.here(self)
        component: Component
        if isinstance(scope, System):
            with diagnostics.at(self.location):
                component = Component(scope, id, namespace=namespace)
            called, name = component.title, component.id
            lasting = id = component.id
        else:
            component = scope if isinstance(scope, Component) else scope.component
            called = id
            lasting = id = component.system.lasting_id(id, component.title)
            if problem := validation.dns_label(id):
                component.report(problem, self.location)
                id = "unnamed"
            elif (known := component.workload(id)) is not None:
                other = f"the workload declared at {known.location}"
                component.report(f'the id "{id}" is taken by {other}; choose another, ids are unique.', self.location)
            while component.workload(id) is not None:
                id += "-again"
            if namespace is not None:
                diagnostics.report(
                    f"{component.id}/{id}",
                    f'namespace "{namespace}": a workload inside of {component.id} lives in its namespace, '
                    f"{component.namespace_name}; leave the namespace out.",
                    self.location,
                )
            name = f"{component.id}-{id}" if component.prefix and id != component.id else id
        self.id = id
        #: What the declaration calls it; its id is the lasting name.
        self.title = called if id == lasting else id
        self.component = component
        self.namespace_name = component.namespace_name
        self.system = component.system
        self.name = name
        self.edges: list[Edge] = []
        #: What it comes after in its own component, why, and the line.
        self.predecessors: list[tuple[Workload, str, Location]] = []
        self.environment: dict[str, object] = {}
        #: The lines that give it its variables, by name, and its secrets.
        self.told_at: dict[str | SecretReference, Location] = {}
        self.internet: list[InternetHost] = []
        self.uses_kubernetes_api = False
        self.exposed_ports: list[int] = []
        #: Ports that routes of the system lead to.
        self.routed_ports: set[int] = set()
        self.passages: list[Passage] = []
        if len(name) > self.longest_name:
            self.report(
                f'the name "{name}" has {len(name)} characters; at most {self.longest_name} leave room for what '
                f"Kubernetes appends to it."
            )
        component.add_workload(self)

    def make_in_cdk8s(self) -> None:
        """Make the construct; its component makes it, with all others that were declared before cdk8s was asked."""
        component = self.component
        if not component.in_cdk8s:
            component.make_in_cdk8s()
            return
        try:
            super().__init__(component, self.id)
        except RuntimeError as refusal:
            # cdk8s refuses an id that another construct inside of the component has.
            component.report(f"{str(refusal).splitlines()[0]}; choose another id.")
            super().__init__(component, f"{self.id}-again")

    @property
    def subject(self) -> str:
        """How messages name the workload."""
        return self.component.title if self.name == self.component.id else f"{self.component.title}/{self.title}"

    @property
    def is_measured(self) -> bool:
        """Whether it serves metrics."""
        return any(endpoint.metrics for endpoint in self.endpoints.values())

    @property
    def host(self) -> str:
        """DNS name of its Service."""
        return f"{self.name}.{self.namespace_name}.svc.{self.system.environment.cluster.domain}"

    @property
    def host_of_pods(self) -> str:
        """DNS name of its headless Service, which it has if one of its ports is balanced."""
        return f"{self.name}{PODS}.{self.namespace_name}.svc.{self.system.environment.cluster.domain}"

    @property
    def selector(self) -> dict[str, str]:
        """Labels that select its pods; never changed, because selectors are immutable."""
        return dict(self.selecting) or {"app.kubernetes.io/name": self.name}

    @property
    def says_ports(self) -> bool:
        """Whether its policy says at which port each caller comes in: not if one port is open to the world."""
        return not self.exposed_ports

    @property
    def ports_of_users(self) -> frozenset[int]:
        """Ports that people reach: by a load balancer, or through the controller of an Ingress or a Gateway."""
        # A controller that is no part of the system is meant for those whom it serves.
        served = (each.ports for each in self.passages if each.inward and not self.transient)
        return frozenset(self.exposed_ports).union(self.routed_ports, *served)

    def pods(self, endpoint: Endpoint) -> tuple[str, Mapping[str, str]]:
        """Return where its pods are, and the labels that select them."""
        return self.namespace_name, self.selector

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its objects."""
        return {
            "app.kubernetes.io/name": self.name,
            "app.kubernetes.io/part-of": self.system.name,
            **self.selecting,
        }

    @explained
    def needs(self, endpoint: Endpoint, variables: Mapping[str, str] | None = None, *, order: bool = True) -> None:
        """Declare that this workload calls an endpoint: its address, order, network and wait follow from it.

        Args:
            endpoint: What it needs.
            variables: Environment variables that tell the program about the endpoint, each with the name of one of
                its attributes: ``needs(database.endpoint("sql"), {"DB_HOST": "host", "DB_PASSWORD": "password"})``.
            order: Whether it must be healthy before this one starts. False only opens the network: for calls that
                can wait, and for two that call each other.
        """
        if not isinstance(endpoint, Endpoint):
            self.report(f'needs() takes an endpoint, such as database.endpoint("sql"), not {shown(endpoint)}.')
            return
        problems = [*misfits("needs(), variables", variables, Mapping[str, str] | None), *misfits("order", order, bool)]
        for problem in problems:
            self.report(problem)
        if problems or not endpoint.declared:
            return
        if endpoint.server.system is not self.system:
            self.report(f"{endpoint.server.subject} belongs to another system; an edge cannot leave its system.")
            return
        for edge in self.edges:
            if edge.endpoint == endpoint:
                target = f"{endpoint.server.subject} {endpoint.name}"
                self.report(f"it already needs {target} since {edge.location}; declare an edge once.")
                return
        if endpoint.internal and endpoint.server is not self:
            self.report(
                f"the endpoint {endpoint.name} of {endpoint.server.subject} is for its own pods only; "
                f"{nearest(endpoint.name, [e.name for e in endpoint.server.endpoints.values() if not e.internal])}"
            )
        if endpoint.server is self:
            order = False
            if not (endpoint.internal or self.holds_data):
                self.report(
                    f"it needs its own endpoint {endpoint.name}, which the program has in its own pod; leave the line "
                    f"out. Where its pods call each other, the port is an internal one."
                )
        self.edges.append(Edge(self, endpoint, order, self.system.diagnostics.here(self)))
        told = endpoint.server.told(endpoint, self)
        for variable, attribute in (variables or {}).items():
            if attribute not in told:
                self.report(
                    f'{variable}: {endpoint.server.subject} {endpoint.name} has no "{attribute}"; '
                    f"{nearest(attribute, told)}"
                )
            else:
                self.set_variable(variable, told[attribute])

    @property
    def waits(self) -> list[Edge]:
        """The edges for which its pods wait before they start: only TCP has connections to be accepted."""
        return [edge for edge in self.edges if edge.order and edge.endpoint.protocol == "TCP"]

    def passes(self, controller: ExistingController, *, inward: bool, reason: str, ports: tuple[int, ...] = ()) -> None:
        """Open what goes between this workload and a controller that is no part of the system; no ports are all."""
        self.passages.append(Passage(controller, inward, ports, reason, self.system.diagnostics.here(self)))

    @explained
    def after(self, *others: Component | Workload, reason: str = "declared with after()") -> None:
        """Roll out only once ``others`` are healthy, though nothing is called there; a Job, once it has succeeded."""
        beside = [other for other in others if isinstance(other, Workload) and other.component is self.component]
        for other in beside:
            if other is self:
                self.report("after(): a workload cannot come after itself; name another one.")
            else:
                self.predecessors.append((other, reason, self.system.diagnostics.here(self)))
        with self.system.diagnostics.at(self.system.diagnostics.here(self)):
            self.component.after(*(other for other in others if other not in beside), reason=reason)

    @explained
    def patch(
        self, kind: str, change: Mapping[str, object], *, name: str | None = None, namespace: str | None = None
    ) -> None:
        """Change an object that this workload makes in a way that no argument does.

        Args:
            kind: Its kind, such as ``"Deployment"``; with its group if that leaves a choice: ``"apps/Deployment"``.
            change: What is merged into it: mappings key by key, lists of named things by name, None takes away, and
                everything else is replaced (``docs/constructs.md#patches``).
            name: Its name. Default: the only one of its kind, or the one with the name of the workload.
            namespace: Its namespace, where several have the name.
        """
        location = self.system.diagnostics.here(self)
        if patch := patch_of(self, kind, change, name, namespace, location, self.report):
            self.component.patches.append(patch)

    @explained
    def set_variable(self, name: str, value: object) -> None:
        """Give the program an environment variable."""
        if problem := validation.environment_variable(name):
            self.report(problem)
        elif name in self.environment:
            self.report(f"the variable {name} is set twice; keep one of the two.")
        else:
            self.environment[name] = value
            self.told_at[name] = self.system.diagnostics.here(self)
            if isinstance(value, SecretReference):
                self.component.secret_key(value)

    @explained
    def secret(self, key: str, secret: Secret) -> SecretReference:
        """Return a reference to a secret value that this workload owns."""
        full_key = key if self.name == self.component.id else f"{self.id}-{key}"
        reference = SecretReference(self.component.id, full_key, secret)
        self.told_at.setdefault(reference, self.system.diagnostics.here(self))
        if self.component.secrets.get(full_key, reference) != reference:
            self.report(f'two secrets would have the key "{full_key}"; give the variable or file another name.')
        self.component.secret_key(reference)
        return reference

    @property
    def autoscaled(self) -> bool:
        """Whether a HorizontalPodAutoscaler owns the number of its replicas."""
        return False

    @property
    def pod_seconds(self) -> int:
        """Seconds until one of its pods is there: placed, its image pulled, and started."""
        return PLACING_SECONDS + self.start_seconds

    def rollout_seconds(self, *, first: bool) -> int:
        """Return how many seconds a sync waits for it at most: for all that it yields, one after the other.

        Args:
            first: Whether nothing of it runs yet. An update replaces its pods one by one.
        """
        return self.pod_seconds

    def _has_nodes(self, pods: int) -> bool:
        """Tell whether the cluster has a node for each of so many pods."""
        return self.system.environment.cluster.nodes >= pods

    def complete(self) -> None:
        """Take up what follows only once the whole system is declared, and report errors that show only then.

        It may be called again.
        """

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield ``(stage, object)``: stage 0 is set up before any pod, then 1 to :attr:`stages` follow.

        Each stage is healthy before the next one of this workload, and the last one before the first of any
        workload in the same component that needs this one.
        """
        yield from ()

    def manifest(self, api_version: str, kind: str, suffix: str = "", **more: Any) -> Manifest:
        """Return an object in its namespace, with its name, to which ``suffix`` is appended, and its labels.

        ``more`` is ``spec``, ``data`` and the like; ``annotations``; and ``labels``, if they are others.
        """
        labels = more.pop("labels", self.labels)
        return manifest(api_version, kind, f"{self.name}{suffix}", self.namespace_name, labels, **more)

    @property
    def helpers(self) -> Mapping[str, list[Edge]]:
        """Further pods that call something, by the name in their ``app.kubernetes.io/name`` label.

        Jobs that initialise or dump a data store are such pods: what they need is open to them alone.
        """
        return {}

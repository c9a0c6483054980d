"""What the rest of the library has to know of software that Argo CD renders from a chart or a folder of others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from constructs_lib.argocd.charts import OCI, registry
from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.declare.port import Protocol
from constructs_lib.declare.server import Endpoint


@dataclass(frozen=True)
class ChartSource:
    """Software of others that Argo CD renders: a chart of a repository or a registry, or a folder of Git.

    Attributes:
        repository: Address, as it is declared: with ``https://``, ``oci://``, or of Git.
        name: Name of the chart, or the folder.
        version: Exact version of the chart, or revision of the folder.
        values: What a chart is rendered with; None for a folder that Kustomize renders.
        digest: Digest of a chart in a registry.
        is_folder: Whether it is a folder of a Git repository.
        is_committed: Whether the repository keeps what is rendered of it, instead of Argo CD rendering it.
    """

    repository: str
    name: str
    version: str
    values: Mapping[str, Any] | None
    digest: str | None = None
    is_folder: bool = False
    is_committed: bool = False

    @property
    def what(self) -> str:
        """What it is, in words."""
        return "Kustomization" if self.values is None else "Helm chart"

    @property
    def address(self) -> str:
        """The repository as Argo CD calls it.

        A chart of a registry has no scheme: with ``oci://``, Argo CD takes the address for a whole artifact and ignores
        the name of the chart (``IsOCI`` and ``IsHelmOci`` of ``ApplicationSource``, since 3.1). Such an artifact is the
        only one that a digest may pin.
        """
        if not self.repository.startswith(OCI):
            return self.repository
        return f"{self.repository.rstrip('/')}/{self.name}" if self.digest else registry(self.repository)

    def source(self, release: str, *, named: bool = False) -> dict[str, Any]:
        """Return the source of an Application; the name of the release is told with values, or if it has to be."""
        where: dict[str, Any] = {"repoURL": self.address}
        if self.is_folder:
            where |= {"path": self.name, "targetRevision": self.version}
        elif self.digest:
            where |= {"path": ".", "targetRevision": self.digest}
        else:
            where |= {"chart": self.name, "targetRevision": self.version}
        if self.values is not None:
            where["helm"] = {"releaseName": release, "valuesObject": self.values}
        elif named and not self.is_folder:
            where["helm"] = {"releaseName": release}
        return where


@explained
@dataclass(frozen=True)
class Kind:
    """A kind of Kubernetes objects, as an AppProject names it.

    Attributes:
        group: Its API group, empty for the core group.
        kind: Its name.
        names: Names of the objects, as patterns with ``*`` and ``?``; of cluster-scoped kinds only. Default: any.
    """

    group: str
    kind: str
    names: tuple[str, ...] = ()


@explained
@dataclass(frozen=True)
class PodAccess:
    """What some pods of a chart may exchange; everything else is closed to them.

    Attributes:
        name: Name of the NetworkPolicy.
        pods: Labels of the pods.
        kubernetes_api: Whether they call the Kubernetes API.
        from_kubernetes_api: Ports that the API server calls: webhooks, aggregated APIs.
        to_nodes: Ports of the nodes themselves that they call, such as the kubelet's.
        to_pods: ``(labels, ports)`` of pods in the same namespace that they call; those are opened to them too.
        to_dns_metrics: Whether they scrape the cluster's DNS.
        to_argocd: Ports of Argo CD's application controller that they call.
        scrapes: Whether they scrape every metrics endpoint of the system.
        internet: Ports of hosts outside of the cluster that they call.
        hosts: Full names of these hosts, so that no others are open where the cluster provides ``cilium``. Default: not
            known.
        from_world: Ports that everybody may call, such as those behind a load balancer.
        from_namespaces: ``(namespace, ports)`` of pods of other namespaces that call them.
        to_endpoints: Endpoints of the system that they call; these let them in. For the order, see ``after()``.
    """

    name: str
    pods: Mapping[str, str]
    kubernetes_api: bool = False
    from_kubernetes_api: tuple[int, ...] = ()
    to_nodes: tuple[int, ...] = ()
    to_pods: tuple[tuple[Mapping[str, str], tuple[int, ...]], ...] = ()
    to_dns_metrics: bool = False
    to_argocd: tuple[int, ...] = ()
    scrapes: bool = False
    internet: tuple[int, ...] = ()
    hosts: tuple[str, ...] = ()
    from_world: tuple[int, ...] = ()
    from_namespaces: tuple[tuple[str, tuple[int, ...]], ...] = ()
    to_endpoints: tuple[Endpoint, ...] = ()

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the names, labels and ports."""
        if problem := validation.dns_label(self.name):
            yield problem
        for pods in (self.pods, *(labels for labels, _ in self.to_pods)):
            for name, value in pods.items():
                if problem := validation.label(name, value):
                    yield problem
        for host in self.hosts:
            if problem := validation.internet_host(host):
                yield problem
        for namespace, _ in self.from_namespaces:
            if problem := validation.dns_label(namespace):
                yield problem
        others = (ports for _, ports in (*self.to_pods, *self.from_namespaces))
        own = self.from_kubernetes_api, self.to_nodes, self.to_argocd, self.internet, self.from_world
        for ports in (*own, *others):
            for port in ports:
                if problem := validation.port_number(port):
                    yield problem


@explained
@dataclass(frozen=True)
class ChartEndpoint:
    """What a chart offers to workloads that need it.

    Attributes:
        service: Name of the Service that the chart makes.
        port: Port of the Service.
        pods: Labels of the pods behind it.
        target_port: Port of these pods. Default: the same as that of the Service.
        attributes: What clients may be told beside ``host``, ``port``, ``address`` and the chart's secrets, for
            instance ``{"database": "shop"}``.
        protocol: ``TCP``, ``UDP`` or ``SCTP``. Default ``TCP``.
    """

    service: str
    port: int
    pods: Mapping[str, str]
    target_port: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    protocol: Protocol = "TCP"

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it, but for its ports."""
        if problem := validation.dns_label(self.service):
            yield f"service: {problem}"
        if not self.pods:
            yield "pods: no label would select all pods of the namespace; give those of the pods behind the Service."
        for name, value in self.pods.items():
            if problem := validation.label(name, value):
                yield f"pods: {problem}"


@dataclass(frozen=True)
class ChartPods:
    """Some pods of a chart, for others that open what they listen to for them, or what they call.

    Attributes:
        component: Id of the component.
        name: Name of their :class:`PodAccess`, which is that of their NetworkPolicy.
        namespace: Where they run.
        labels: Labels that select them.
    """

    component: str
    name: str
    namespace: str
    labels: Mapping[str, str]

"""What the rest of the library has to know of software that Argo CD renders from a Helm chart."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained


@dataclass(frozen=True)
class ChartSource:
    """A chart: the address of its repository, its name and exact version, and the values to render it with."""

    repository: str
    name: str
    version: str
    values: Mapping[str, Any]


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

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the names, labels and ports."""
        if problem := validation.dns_label(self.name):
            yield problem
        for pods in (self.pods, *(labels for labels, _ in self.to_pods)):
            for name, value in pods.items():
                if problem := validation.label(name, value):
                    yield problem
        for host in self.hosts:
            if problem := validation.host_name(host):
                yield problem
        to_pods = (ports for _, ports in self.to_pods)
        for ports in (self.from_kubernetes_api, self.to_nodes, self.to_argocd, self.internet, *to_pods):
            for port in ports:
                if problem := validation.port_number(port):
                    yield problem

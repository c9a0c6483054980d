"""Third-party software that comes as a Helm chart, as a component among the others."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.calls import explained
from constructs_lib.declare.component import Component, PodSecurity
from constructs_lib.declare.system import System


@explained
@dataclass(frozen=True)
class Kind:
    """A kind of Kubernetes objects, as an AppProject names it.

    Attributes:
        group: API group; empty for the core group.
        kind: Kind.
    """

    group: str
    kind: str


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

    def mistakes(self) -> Iterator[str]:
        """Yield what is wrong with the names, labels and ports."""
        if problem := validation.dns_label(self.name):
            yield problem
        for pods in (self.pods, *(labels for labels, _ in self.to_pods)):
            for name, value in pods.items():
                if problem := validation.label(name, value):
                    yield problem
        for ports in (
            self.from_kubernetes_api,
            self.to_nodes,
            self.to_argocd,
            self.internet,
            *(ports for _, ports in self.to_pods),
        ):
            for port in ports:
                if problem := validation.port_number(port):
                    yield problem


def merged(values: Mapping[str, Any], over: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``values`` with ``over`` on top, key by key as Helm merges; lists and scalars are replaced.

    Were whole branches replaced, one more setting for Grafana would drop the reference to its credentials,
    and the chart would render a Secret of its own instead.
    """
    result = dict(values)
    for key, value in (over or {}).items():
        known = result.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            value = merged(known, value)
        result[key] = value
    return result


class HelmChart(Component):
    """A component whose objects Argo CD renders from a chart with a pinned version.

    Its namespace, network policies and secrets are plain manifests like everybody's.
    """

    @checked
    def __init__(
        self,
        scope: System,
        id: str,
        *,
        repository: str,
        chart: str,
        version: str,
        values: Mapping[str, Any] | None = None,
        namespace: str | None = None,
        pod_security: PodSecurity = "restricted",
        kinds: Sequence[Kind] = (),
        cluster_kinds: Sequence[Kind] = (),
        other_namespaces: Sequence[str] = (),
        access: Sequence[PodAccess] = (),
    ) -> None:
        """Declare a chart.

        Args:
            scope: The system.
            id: Name of the component.
            repository: Address of the chart repository.
            chart: Name of the chart.
            version: Its exact version.
            values: Its values; they are part of the Application, so that a diff shows them.
            namespace: Default: the id.
            pod_security: Pod Security level that the chart's pods meet. Default ``restricted``.
            kinds: Namespaced kinds that it contains, for the AppProject.
            cluster_kinds: Cluster-scoped kinds that it contains, for the AppProject.
            other_namespaces: Namespaces beside its own into which it puts objects.
            access: What its pods may exchange.
        """
        super().__init__(scope, id, namespace=namespace, pod_security=pod_security)
        self.repository = repository
        self.chart = chart
        self.version = version
        self.values = dict(values or {})
        self.kinds = tuple(kinds)
        self.cluster_kinds = tuple(cluster_kinds)
        self.other_namespaces = tuple(other_namespaces)
        self.access = tuple(access)
        self._check_arguments()

    def _check_arguments(self) -> None:
        report = functools.partial(self.system.ledger.report, self.id)
        if problem := validation.chart_version(self.version):
            report(f"version: {problem}")
        if problem := validation.chart_repository(self.repository):
            report(f"repository: {problem}")
        if problem := validation.chart_name(self.chart):
            report(f"chart: {problem}")
        if problem := validation.chart_values(self.values):
            report(f"values: {problem}")
        for namespace in self.other_namespaces:
            if problem := validation.dns_label(namespace):
                report(f"other_namespaces: {problem}")
        for access in self.access:
            for problem in access.mistakes():
                report(f"access: {problem}")
        known = [dict(access.pods) for access in self.access]
        for access in self.access:
            for labels, _ in access.to_pods:
                if dict(labels) not in known:
                    report(
                        f"access {access.name}: no other PodAccess has the pods {dict(labels)}, so nothing would open."
                    )
        for argument, kinds in (("kinds", self.kinds), ("cluster_kinds", self.cluster_kinds)):
            if any("*" in (kind.group, kind.kind) for kind in kinds):
                report(f"{argument}: name every kind; a wildcard would permit the chart anything.")

    @property
    def scrapes(self) -> bool:
        """Whether pods of it collect the metrics of the whole system."""
        return any(access.scrapes for access in self.access)

    def chart_manifests(self) -> Iterator[dict[str, Any]]:
        """Yield plain objects that need the chart to be running, such as objects of its custom kinds."""
        yield from ()

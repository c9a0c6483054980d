"""PodMonitors and ServiceMonitors, and what Prometheus scrapes for them.

https://prometheus-operator.dev/docs/api-reference/api/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import entries, inner, sequence
from constructs_lib.kubernetes.names import image
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.prometheus.promql import seconds
from constructs_lib.prometheus.sources import ANNOTATION, Source

OPERATOR_GROUP = "monitoring.coreos.com"


@dataclass(frozen=True, eq=False)
class Monitor:
    """A PodMonitor or ServiceMonitor.

    Attributes:
        item: The object.
        namespaces: The namespaces in which it looks for its targets.
        services: The Services that it selects; none for a PodMonitor.
        pods: The pods that it selects, for a ServiceMonitor those behind its Services.
    """

    item: Object
    namespaces: Sequence[str]
    services: Sequence[Object]
    pods: Sequence[Pods]

    @property
    def is_of_services(self) -> bool:
        """Whether it selects Services, and not pods."""
        return self.item.kind == "ServiceMonitor"

    @cached_property
    def endpoints(self) -> Mapping[str, Mapping[str, Any]]:
        """Its endpoints by their fields."""
        field = "endpoints" if self.is_of_services else "podMetricsEndpoints"
        return dict(entries(self.item.spec.get(field), f"spec.{field}"))

    @cached_property
    def container_ports(self) -> set[object]:
        """Names and numbers of the ports that it scrapes of containers; None for all ports, or behind a Service."""
        if self.is_of_services:
            return {None}
        ports = (end.get(key) for end in self.endpoints.values() for key in ("port", "portNumber", "targetPort"))
        return {port if isinstance(port, int | str) else None for port in ports if port is not None} or {None}

    @property
    def declared(self) -> list[str]:
        """The patterns of metrics in its annotation."""
        return [text.strip() for text in self.item.annotations.get(ANNOTATION, "").split(",") if text.strip()]

    @property
    def interval(self) -> float | None:
        """The shortest time between two scrapes in seconds; None if it does not say."""
        found = (seconds(endpoint.get("interval")) for endpoint in self.endpoints.values())
        return min((value for value in found if value), default=None)

    @cached_property
    def images(self) -> Sequence[frozenset[str]]:
        """The images in each of the pods that it selects, without registry and tag: a mirror has others."""
        read = ((image(str(container.get("image"))) for container in pods.containers) for pods in self.pods)
        return [frozenset(found.name for found in images if found is not None) for images in read]

    def scrapes(self, source: Source) -> bool:
        """Tell whether it scrapes a source: one of its paths, in pods with one of its images."""
        paths = {str(endpoint.get("path") or "/metrics") for endpoint in self.endpoints.values()}
        return not paths.isdisjoint(source.paths) and any(not names.isdisjoint(source.images) for names in self.images)


def monitors(model: ClusterModel) -> list[Monitor]:
    """Return the PodMonitors and ServiceMonitors of a tree."""
    found = []
    for item in model.kind("PodMonitor", "ServiceMonitor"):
        selector = item.spec.get("selector", {})
        every = inner(item.spec, "namespaceSelector", "any") is True
        named = [str(name) for name in sequence(inner(item.spec, "namespaceSelector", "matchNames"))]
        namespaces = [*model.namespaces] if every else named or [item.namespace]
        if item.kind == "ServiceMonitor":
            wanted, near = Selector(selector), (model.services.get(namespace, ()) for namespace in namespaces)
            services = [service for each in near for service in each if wanted.matches(service.labels)]
            pods = [pods for service in services for pods in model.behind(service)]
        else:
            services, pods = [], [pods for namespace in namespaces for pods in model.selected(namespace, selector)]
        found.append(Monitor(item, namespaces, services, pods))
    return found

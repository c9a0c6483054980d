"""What is scraped in a tree, and which metrics come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constructs_lib.argocd.objects import Object, mapping, sequence
from constructs_lib.check.model import ClusterModel, Pods, texts
from constructs_lib.check.selectors import PodIndex, selects
from constructs_lib.kubernetes.image import image
from constructs_lib.prometheus.promql import seconds
from constructs_lib.prometheus.sources import Source, one_of, owner_of, sources, sources_of

#: Says on a PodMonitor or ServiceMonitor which metrics its targets have, as patterns with commas between them.
ANNOTATION = "constructs-lib/metrics"
OPERATOR_GROUP = "monitoring.coreos.com"
#: The chart that brings Prometheus, Grafana and what watches the cluster itself.
STACK = "kube-prometheus-stack"
MONITORS = ("PodMonitor", "ServiceMonitor")
_DEFAULT_INTERVAL = "30s"


@dataclass(frozen=True, eq=False)
class Monitor:
    """A PodMonitor or ServiceMonitor with the pods that it selects."""

    item: Object
    pods: Sequence[Pods]

    @property
    def endpoints(self) -> list[Mapping[str, Any]]:
        """Its endpoints."""
        key = "podMetricsEndpoints" if self.item.kind == "PodMonitor" else "endpoints"
        return [mapping(endpoint) for endpoint in sequence(self.item.spec.get(key))]

    @property
    def container_ports(self) -> set[object]:
        """Names and numbers of the containers' ports that it scrapes; None where a Service stands between."""
        if self.item.kind != "PodMonitor":
            return {None}
        keys = ("port", "portNumber", "targetPort")
        named = [endpoint[key] for endpoint in self.endpoints for key in keys if endpoint.get(key) is not None]
        # Without one, all ports of the pods become targets.
        return {port if isinstance(port, int | str) else None for port in named} or {None}

    @property
    def declared(self) -> list[str]:
        """Patterns of metrics that it says its targets have."""
        return [text.strip() for text in self.item.annotations.get(ANNOTATION, "").split(",") if text.strip()]

    def interval(self) -> float | None:
        """Return the shortest time between two scrapes in seconds; None if it does not say it."""
        found = [seconds(endpoint.get("interval")) for endpoint in self.endpoints]
        return min((value for value in found if value), default=None)


class Exposed:
    """What is scraped in a tree."""

    def __init__(self, model: ClusterModel) -> None:
        """Find the monitors of a tree and what they select."""
        self._model = model
        self._pods = model.once(PodIndex)
        self.monitors = [
            Monitor(item, list(self._targets(item))) for item in model.kind(*MONITORS) if item.group == OPERATOR_GROUP
        ]

    @cached_property
    def stacks(self) -> list[tuple[Object, str, str, Mapping[str, Any]]]:
        """The Applications that install the stack, each with its namespace, the name of its release and its values."""
        found = []
        for application in self._model.all_applications:
            for chart in application.charts:
                if chart.name == STACK and application.item is not None:
                    release = str(chart.helm.get("releaseName") or application.name)
                    found.append(
                        (application.item, application.namespace, release, mapping(chart.helm.get("valuesObject")))
                    )
        return found

    @cached_property
    def watches(self) -> bool:
        """Whether the tree has anything that scrapes, so that one may ask why something is not scraped."""
        return bool(self.monitors or self.stacks or self._model.by_kind.get("Prometheus"))

    @cached_property
    def is_open(self) -> bool:
        """Whether something is scraped whose metrics nobody can know from the tree."""
        others = self._model.by_kind
        return (
            not self.stacks
            or any(others.get(kind) for kind in ("ScrapeConfig", "Probe"))
            or any(not monitor.declared and not self._is_known(monitor) for monitor in self.monitors)
            or any(
                _brings_monitors(chart.helm)
                for application in self._model.all_applications
                for chart in application.charts
            )
        )

    def source_of(self, metric: str) -> tuple[Source | None, bool]:
        """Return the source of a metric, and whether it is scraped here."""
        having = sources_of(metric)
        active = next((source for source in having if source.name in self._active), None)
        return active or next(iter(having), None) or owner_of(metric), active is not None

    def is_declared(self, metric: str) -> bool:
        """Tell whether a monitor says that its targets have a metric."""
        return any(one_of(monitor.declared).match(metric) for monitor in self.monitors)

    def interval(self, source: Source | None) -> float:
        """Return the time between two scrapes of a source in seconds, the shortest if there are several."""
        if source and source.images:
            own = [monitor.interval() for monitor in self.monitors if self._scrapes(monitor, source)]
            if own and all(value is not None for value in own):
                return min(value for value in own if value is not None)
        if source and source.interval:
            return seconds(source.interval) or 0.0
        declared = [
            seconds(mapping(mapping(values.get("prometheus")).get("prometheusSpec")).get("scrapeInterval"))
            for _, _, _, values in self.stacks
        ]
        return min((value for value in declared if value), default=seconds(_DEFAULT_INTERVAL) or 30.0)

    def namespaces(self, source: Source) -> set[str]:
        """Return the namespaces of the pods that a source is scraped from."""
        return {pods.namespace for monitor in self.monitors if self._scrapes(monitor, source) for pods in monitor.pods}

    @cached_property
    def _active(self) -> frozenset[str]:
        return frozenset(source.name for source in sources() if self._is_active(source))

    def _is_active(self, source: Source) -> bool:
        if source.images:
            return any(self._scrapes(monitor, source) for monitor in self.monitors)
        if not source.value or not self.stacks:
            # Without the chart, nobody knows what watches the cluster.
            return True
        return any(_at(values, source.value) is not False for _, _, _, values in self.stacks)

    @staticmethod
    def _scrapes(monitor: Monitor, source: Source) -> bool:
        paths = [str(endpoint.get("path") or "/metrics") for endpoint in monitor.endpoints]
        return any(path in source.paths for path in paths) and any(
            _image(container) in source.images for pods in monitor.pods for _, container in pods.containers
        )

    def _is_known(self, monitor: Monitor) -> bool:
        images = {name for source in sources() for name in source.images}
        return all(any(_image(container) in images for _, container in pods.containers) for pods in monitor.pods)

    def _targets(self, item: Object) -> Iterator[Pods]:
        for namespace in self._namespaces(item):
            if item.kind == "PodMonitor":
                yield from self._pods.selected(namespace, item.spec.get("selector"))
            else:
                for service in self._services.get(namespace, ()):
                    if selects(item.spec.get("selector"), texts(service.metadata.get("labels"))):
                        yield from self._pods.of_service(service.spec, namespace)

    def _namespaces(self, item: Object) -> list[str]:
        selector = mapping(item.spec.get("namespaceSelector"))
        if selector.get("any") is True:
            return list(self._model.pods_by_namespace)
        return [str(name) for name in sequence(selector.get("matchNames"))] or [item.namespace]

    @cached_property
    def _services(self) -> Mapping[str, list[Object]]:
        found: dict[str, list[Object]] = {}
        for service in self._model.kind("Service"):
            found.setdefault(service.namespace, []).append(service)
        return found


def _image(container: Mapping[str, Any]) -> str:
    """Return what the image of a container is called, wherever it is mirrored."""
    found = image(str(container.get("image")))
    return found.name if found else ""


def _at(values: Mapping[str, Any], path: str) -> object:
    part: object = values
    for step in path.split("."):
        part = mapping(part).get(step)
    return part


def _brings_monitors(part: object) -> bool:
    """Tell whether the values of a chart turn on a monitor of its own, or scrape something besides."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key.startswith("additional") and key.endswith(("Monitors", "ScrapeConfigs")) and value:
                return True
            if key in ("serviceMonitor", "podMonitor", "metrics") and mapping(value).get("enabled") is True:
                return True
            if _brings_monitors(value):
                return True
        return False
    return isinstance(part, list) and any(_brings_monitors(value) for value in part)

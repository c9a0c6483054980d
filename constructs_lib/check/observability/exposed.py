"""What is scraped in a tree, and which metrics that gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.containers import Container
from constructs_lib.kubernetes.image import image
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.prometheus.promql import seconds
from constructs_lib.prometheus.sources import ANNOTATION, Source, one_of, owner_of, sources, sources_of

OPERATOR_GROUP = "monitoring.coreos.com"
#: The chart with Prometheus, Grafana and the exporters for the cluster itself.
STACK = "kube-prometheus-stack"
MONITORS = ("PodMonitor", "ServiceMonitor")
#: Seconds; the default of Prometheus' operator.
_DEFAULT_INTERVAL = 30.0


@dataclass(frozen=True)
class Stack:
    """An Application that installs kube-prometheus-stack.

    Attributes:
        application: The Application.
        namespace: The namespace that it deploys to.
        release: The name of the Helm release.
        values: The values of the chart.
    """

    application: Object
    namespace: str
    release: str
    values: Mapping[str, Any]

    @property
    def prometheus(self) -> Mapping[str, Any]:
        """The spec of the Prometheus that it creates, as far as the values say."""
        return mapping(inner(self.values, "prometheus", "prometheusSpec"))


@dataclass(frozen=True, eq=False)
class Monitor:
    """A PodMonitor or ServiceMonitor with the pods that it selects."""

    item: Object
    pods: Sequence[Pods]

    @cached_property
    def endpoints(self) -> list[Mapping[str, Any]]:
        """Its endpoints."""
        return mappings(self.item.spec.get("podMetricsEndpoints" if self.item.kind == "PodMonitor" else "endpoints"))

    @property
    def container_ports(self) -> set[object]:
        """Names and numbers of the ports that it scrapes of containers; None for all ports, or behind a Service."""
        if self.item.kind != "PodMonitor":
            return {None}
        keys = ("port", "portNumber", "targetPort")
        named = [endpoint[key] for endpoint in self.endpoints for key in keys if endpoint.get(key) is not None]
        return {port if isinstance(port, int | str) else None for port in named} or {None}

    @property
    def declared(self) -> list[str]:
        """The patterns of metrics in its annotation."""
        return [text.strip() for text in self.item.annotations.get(ANNOTATION, "").split(",") if text.strip()]

    def interval(self) -> float | None:
        """Return the shortest time between two scrapes in seconds; None if it does not say."""
        found = [seconds(endpoint.get("interval")) for endpoint in self.endpoints]
        return min((value for value in found if value), default=None)

    def scrapes(self, source: Source) -> bool:
        """Tell whether it scrapes a source: one of its paths, in a container with one of its images."""
        paths = {str(endpoint.get("path") or "/metrics") for endpoint in self.endpoints}
        return not paths.isdisjoint(source.paths) and not self.images.isdisjoint(source.images)

    @cached_property
    def images(self) -> frozenset[str]:
        """The images of the containers that it may scrape, without registry and tag."""
        return frozenset(_image(container) for pods in self.pods for container in pods.containers)


class Exposed:
    """What is scraped in a tree."""

    def __init__(self, model: ClusterModel) -> None:
        """Find the monitors of a tree and what they select."""
        self._model = model
        self.monitors = [
            Monitor(item, list(self._targets(item))) for item in model.kind(*MONITORS) if item.group == OPERATOR_GROUP
        ]

    @cached_property
    def stacks(self) -> list[Stack]:
        """The Applications that install kube-prometheus-stack."""
        return [
            Stack(
                application.item,
                application.namespace,
                str(chart.helm.get("releaseName") or application.name),
                mapping(chart.helm.get("valuesObject")),
            )
            for application in self._model.all_applications
            for chart in application.charts
            if chart.name == STACK and application.item is not None
        ]

    @cached_property
    def watches(self) -> bool:
        """Whether anything in the tree scrapes, so that a missing monitor is worth a finding."""
        return bool(self.monitors or self.stacks or self._model.by_kind.get("Prometheus"))

    @cached_property
    def is_open(self) -> bool:
        """Whether Prometheus may have metrics that the tree does not tell."""
        charts = [chart for application in self._model.all_applications for chart in application.charts]
        return (
            not self.stacks
            or any(self._model.by_kind.get(kind) for kind in ("ScrapeConfig", "Probe"))
            or any(not monitor.declared and not _is_known(monitor) for monitor in self.monitors)
            or any(_brings_monitors(chart.helm) for chart in charts)
        )

    def source_of(self, metric: str) -> tuple[Source | None, bool]:
        """Return the source of a metric, and whether it is scraped here."""
        having = sources_of(metric)
        active = next((source for source in having if source.name in self._active), None)
        return active or next(iter(having), None) or owner_of(metric), active is not None

    def is_declared(self, metric: str) -> bool:
        """Tell whether the annotation of a monitor covers a metric."""
        return self._declared.match(metric) is not None

    @cached_property
    def _declared(self) -> re.Pattern[str]:
        return one_of(pattern for monitor in self.monitors for pattern in monitor.declared)

    @cached_property
    def _scraping(self) -> Mapping[str, list[Monitor]]:
        """The monitors that scrape each source, by the names of the sources with images."""
        return {
            source.name: [monitor for monitor in self.monitors if monitor.scrapes(source)]
            for source in sources()
            if source.images
        }

    def interval(self, source: Source | None) -> float:
        """Return the time between two scrapes of a source in seconds, the shortest if there are several."""
        if source and source.images:
            own = [monitor.interval() for monitor in self._scraping[source.name]]
            if own and all(value is not None for value in own):
                return min(value for value in own if value is not None)
        if source and source.interval:
            return seconds(source.interval) or 0.0
        declared = (seconds(stack.prometheus.get("scrapeInterval")) for stack in self.stacks)
        return min((value for value in declared if value), default=_DEFAULT_INTERVAL)

    def namespaces(self, source: Source) -> set[str]:
        """Return the namespaces of the pods that a source is scraped from."""
        return {pods.namespace for monitor in self._scraping.get(source.name, ()) for pods in monitor.pods}

    @cached_property
    def _active(self) -> frozenset[str]:
        return frozenset(source.name for source in sources() if self._is_active(source))

    def _is_active(self, source: Source) -> bool:
        if source.images:
            return bool(self._scraping[source.name])
        # Without the chart, it is not known what watches the cluster.
        return (
            not source.value
            or not self.stacks
            or any(inner(stack.values, *source.value.split(".")) is not False for stack in self.stacks)
        )

    def _targets(self, item: Object) -> Iterator[Pods]:
        for namespace in self._namespaces(item):
            if item.kind == "PodMonitor":
                yield from self._model.selected(namespace, item.spec.get("selector", {}))
            else:
                for service in self._services.get(namespace, ()):
                    if Selector(item.spec.get("selector", {})).matches(service.labels):
                        yield from self._model.behind(service)

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


def _image(container: Container) -> str:
    """Return the last part of the name of a container's image, which stays the same in a mirror."""
    found = image(str(container.get("image")))
    return found.name if found else ""


def _is_known(monitor: Monitor) -> bool:
    """Tell whether there is a known source in every pod that a monitor selects."""
    images = {name for source in sources() for name in source.images}
    return all(any(_image(container) in images for container in pods.containers) for pods in monitor.pods)


def _brings_monitors(part: object) -> bool:
    """Tell whether the values of a chart turn on monitors, or other scrapes, that the tree does not show."""
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

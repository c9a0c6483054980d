"""What is scraped in a tree, whether that has the metrics that expressions read, and what no expression is about."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.monitors import OPERATOR_GROUP, Monitor, monitors
from constructs_lib.check.observability.expressions import Expression
from constructs_lib.kubernetes.manifest import inner, mapping
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.prometheus.promql import PLACEHOLDER, Selector, seconds
from constructs_lib.prometheus.sources import Source, one_of, owner_of, sources, sources_of
from constructs_lib.text import closest

#: The chart with Prometheus, Grafana and the exporters for the cluster itself.
STACK = "kube-prometheus-stack"
#: Seconds; the default of Prometheus' operator.
_DEFAULT_INTERVAL = 30.0
#: Kinds whose pods run until somebody removes them.
_SERVING = ("Deployment", "StatefulSet", "DaemonSet")
#: A ConfigMap or PrometheusRule, the field in it that reads a metric, and the metric.
Read = tuple[Object, str, str]


@dataclass(frozen=True)
class Stack:
    """An Application that installs kube-prometheus-stack."""

    application: Object
    namespace: str
    release: str
    values: Mapping[str, Any]

    @property
    def prometheus(self) -> Mapping[str, Any]:
        """The spec of the Prometheus that it creates, as far as the values say."""
        return mapping(inner(self.values, "prometheus", "prometheusSpec"))


class Exposed:
    """What is scraped in a tree."""

    def __init__(self, model: ClusterModel) -> None:
        """Find the monitors of a tree."""
        self._model = model
        self.monitors = [known for known in model.once(monitors) if known.item.group == OPERATOR_GROUP]

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

    @cached_property
    def declared(self) -> re.Pattern[str]:
        """The metrics that the annotations of monitors cover."""
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
            own = [monitor.interval for monitor in self._scraping[source.name]]
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


def _is_known(monitor: Monitor) -> bool:
    """Tell whether there is a known source in every pod that a monitor selects."""
    known = {name for source in sources() for name in source.images}
    return not any(names.isdisjoint(known) for names in monitor.images)


def _brings_monitors(part: object) -> bool:
    """Tell whether the values of a chart turn on monitors, or other scrapes, that the tree does not show."""
    if isinstance(part, list):
        return any(map(_brings_monitors, part))
    for key, value in mapping(part).items():
        is_enabled = key in ("serviceMonitor", "podMonitor", "metrics") and mapping(value).get("enabled") is True
        is_added = key.startswith("additional") and key.endswith(("Monitors", "ScrapeConfigs")) and value
        if is_enabled or is_added or _brings_monitors(value):
            return True
    return False


class Metrics:
    """The metrics of a tree, as its expressions read them."""

    def __init__(self, exposed: Exposed, recorded: Iterable[str]) -> None:
        """Take in what is scraped, and the names of the series that rules record."""
        self._exposed = exposed
        self._recorded = frozenset(recorded)
        self._unscraped: dict[Source, list[Read]] = {}

    def prove(self, reads: Iterable[Read], expressions: Iterable[Expression]) -> Iterator[Finding]:
        """Yield the metrics that do not exist, and the ranges that hold less than two samples."""
        for item, at, metric in reads:
            yield from self._metric(item, at, metric)
        for expression in expressions:
            for selector in dict.fromkeys(expression.query.selectors):
                if selector.metric:
                    yield from self._metric(expression.item, expression.at, selector.metric)
                    yield from self._range(expression, selector)
        yield from self._of_unscraped_sources()

    def _metric(self, item: Object, at: str, metric: str) -> Iterator[Finding]:
        if metric in self._recorded or PLACEHOLDER in metric or self._exposed.declared.match(metric):
            return
        source, is_scraped = self._exposed.source_of(metric)
        if is_scraped or (source is None and self._exposed.is_open):
            return
        if source is None:
            problem, known = f"Nothing in the tree exposes {metric}.", self._recorded
        elif not source.has(metric):
            problem, known = f"{source.name} has no metric {metric}.", source.names
        else:
            # A missing monitor empties many expressions. It is one finding, and comes at the end.
            self._unscraped.setdefault(source, []).append((item, at, metric))
            return
        close = closest(metric, known)
        yield Finding.of("metric-unknown", item, problem, at=at, fix=f"Did you mean {close}?" if close else "")

    def _of_unscraped_sources(self) -> Iterator[Finding]:
        """Yield one finding for every source that is known and not scraped, where it is read first."""
        for source, reads in self._unscraped.items():
            item, at, metric = reads[0]
            others = len({(other, field) for other, field, _ in reads}) - 1
            as_well = f", and so do {others} more" if others > 1 else ", and so does another one" if others else ""
            problem = f"This reads {metric}{as_well}: it comes from {source.name}, which is not scraped here."
            fix = f"Set {source.value} to true, or leave it out." if source.value else "Scrape it, or leave it out."
            yield Finding.of("metric-unknown", item, problem, at=at, fix=fix)

    def _range(self, expression: Expression, selector: Selector) -> Iterator[Finding]:
        if not selector.function or selector.seconds is None:
            return
        interval = self._exposed.interval(self._exposed.source_of(selector.metric)[0])
        if selector.seconds < 2 * interval:
            read = f"{selector.function}() reads {selector.metric} over {selector.seconds:g} s"
            problem = f"{read}, and it is scraped every {interval:g} s."
            fix = f"Take a range of at least {2 * interval:g} s, better {4 * interval:g} s."
            yield Finding.of("range-too-short", expression.item, problem, at=expression.at, fix=fix)


def prove_coverage(
    model: ClusterModel, exposed: Exposed, expressions: Iterable[Expression], code: str, words: str
) -> Iterator[Finding]:
    """Yield the Applications with pods in a namespace that no expression is about.

    The expressions are those of all alerts, or of all panels; the words say what is missing, as the end of a sentence.
    """
    covered: set[str] = set()
    others: list[Selector] = []
    for selector in dict.fromkeys(selector for expression in expressions for selector in expression.query.selectors):
        source, _ = exposed.source_of(selector.metric)
        exact = {value for label, operator, value in selector.matchers if (label, operator) == ("namespace", "=")}
        if exact:
            covered |= exact
        elif selector.constrains("namespace") or (source is not None and source.cluster):
            others.append(selector)
        elif source is not None:
            covered |= exposed.namespaces(source)
    for application in model.applications:
        namespaces = {
            pods.namespace
            for path in application.files
            for item in application.read(path, application.files[path])
            if item.kind in _SERVING and (pods := pods_of(item)) is not None
        }
        bare = sorted(namespaces - covered)
        missed = [name for name in bare if not any(selector.admits("namespace", name) for selector in others)]
        if missed and application.item:
            problem = f"The pods of {application.name} run in {', '.join(missed)}, and {words}."
            yield Finding.of(code, application.item, problem)

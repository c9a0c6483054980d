"""Whether the metrics that expressions read are scraped, and which components no expression is about."""

from collections.abc import Iterable, Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.observability.exposed import Exposed
from constructs_lib.check.observability.expressions import Expression
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.prometheus.promql import PLACEHOLDER, Selector
from constructs_lib.prometheus.sources import Source
from constructs_lib.text import closest

#: Kinds whose pods run until somebody removes them.
_SERVING = ("Deployment", "StatefulSet", "DaemonSet")

#: A ConfigMap or PrometheusRule, the field in it that reads a metric, and the metric.
Read = tuple[Object, str, str]


class Metrics:
    """The metrics of a tree, as its expressions read them."""

    def __init__(self, exposed: Exposed, recorded: Iterable[str]) -> None:
        """Take the metrics in.

        Args:
            exposed: What is scraped.
            recorded: The names of the series that rules record.
        """
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
        if metric in self._recorded or PLACEHOLDER in metric or self._exposed.is_declared(metric):
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

    Args:
        model: The tree.
        exposed: What is scraped in it.
        expressions: The expressions of all alerts, or of all panels.
        code: The code of the check.
        words: What is missing, as the end of a sentence.
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
        missed = [
            name
            for name in sorted(namespaces - covered)
            if not any(selector.admits("namespace", name) for selector in others)
        ]
        if missed and application.item:
            problem = f"The pods of {application.name} run in {', '.join(missed)}, and {words}."
            yield Finding.of(code, application.item, problem)

"""Proof that what goes wrong is measured, alerted on and shown: rules, dashboards and what they read."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constructs_lib.argocd.objects import Object, mapping, sequence
from constructs_lib.check.finding import Check, Finding, Severity
from constructs_lib.check.observability.exposed import ANNOTATION, OPERATOR_GROUP, Exposed, Monitor, Source
from constructs_lib.check.proof import Proof
from constructs_lib.check.quantity import quantity
from constructs_lib.check.selectors import container_ports, selects, shown
from constructs_lib.check.tree import Pods, Subject, pods_of, texts
from constructs_lib.declare.diagnostics import closest
from constructs_lib.prometheus.promql import PLACEHOLDER, Labels, Query, Selector, seconds, without_variables

_RULES = "https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/"
_OPERATOR = "https://prometheus-operator.dev/docs/api-reference/api/"
_DASHBOARDS = "https://grafana.com/docs/grafana/latest/administration/provisioning/#dashboards"
_CHART = "https://github.com/prometheus-community/helm-charts/blob/main/charts/kube-prometheus-stack/values.yaml"
_STORAGE = "https://prometheus.io/docs/prometheus/latest/storage/"

PROMQL_INVALID = Check(
    "promql-invalid",
    Severity.ERROR,
    "An expression is no PromQL",
    "The operator refuses the rule, or Prometheus loads none of its file; a panel shows an error.",
    "Write the expression as Prometheus reads it; promtool check rules says the same.",
    "https://prometheus.io/docs/prometheus/latest/querying/basics/",
)
METRIC_UNKNOWN = Check(
    "metric-unknown",
    Severity.ERROR,
    "An expression reads a metric that nothing exposes",
    "It is always empty: the alert never fires, the panel shows no data, and nobody is told.",
    f"Name a metric that is scraped; the annotation {ANNOTATION} of a monitor says what an own program exposes.",
    "https://prometheus.io/docs/prometheus/latest/querying/basics/#instant-vector-selectors",
)
LABEL_DROPPED = Check(
    "label-dropped",
    Severity.WARNING,
    "A label is shown that the expression has dropped",
    "The message or legend has a gap where the name of what is meant should stand.",
    "Aggregate by this label too, or do not show it.",
    "https://prometheus.io/docs/prometheus/latest/querying/operators/#aggregation-operators",
)
RANGE_TOO_SHORT = Check(
    "range-too-short",
    Severity.ERROR,
    "A rate is taken over less than two scrapes",
    "With one sample in the range there is no rate: the result is empty, always or again and again.",
    "Take a range of four times the interval of the scrapes.",
    "https://www.robustperception.io/what-range-should-i-use-with-rate/",
)
ALERT_TIMING = Check(
    "alert-timing",
    Severity.WARNING,
    "An alert waits for a time that makes little sense",
    "One that waits less than its interval fires at the first sample; one that waits for days comes too late.",
    "Let for be some intervals of its group, and hours at most.",
    _RULES,
)
ALERT_UNDESCRIBED = Check(
    "alert-undescribed",
    Severity.WARNING,
    "An alert does not say how bad it is, what is wrong, or what to do",
    "Alertmanager routes by severity, and who is woken by it has nothing to begin with.",
    "Give it the label severity and the annotations summary and runbook_url.",
    "https://monitoring.mixins.dev/#guidelines-for-alert-names-labels-and-annotations",
)
ALERT_WITHOUT_CONDITION = Check(
    "alert-without-condition",
    Severity.WARNING,
    "An alert fires for every series that there is",
    "An expression without a comparison gives a result for a value of zero, too: the alert always fires.",
    "Compare with what is too much, such as > 0.",
    _RULES,
)
ALERT_TEMPLATE_INVALID = Check(
    "alert-template-invalid",
    Severity.ERROR,
    "A label or annotation of an alert is no template that Prometheus can expand",
    "Prometheus loads none of the rules of the file.",
    "Close every {{ with }}, and use no variables but $labels, $externalLabels, $externalURL and $value.",
    "https://prometheus.io/docs/prometheus/latest/configuration/template_reference/",
)
RULE_DUPLICATE = Check(
    "rule-duplicate",
    Severity.WARNING,
    "Two rules have the same name and the same labels",
    "Two alerts that nobody can tell apart; of two recorded series one is refused as a duplicate.",
    "Take one away, or give it another name.",
    _RULES,
)
GROUP_DUPLICATE = Check(
    "rule-group-duplicate",
    Severity.ERROR,
    "Two groups of a PrometheusRule have the same name",
    "The operator refuses the object, or Prometheus loads none of its rules.",
    "Give every group of the object a name of its own.",
    "https://github.com/prometheus/prometheus/blob/main/model/rulefmt/rulefmt.go",
)
NOT_SELECTED = Check(
    "monitoring-not-selected",
    Severity.ERROR,
    "No Prometheus picks up a monitor or rule",
    "It is there, and nothing is scraped or evaluated for it.",
    "Give it the labels that Prometheus selects by, or let Prometheus select all of them.",
    _CHART,
)
METRICS_UNSCRAPED = Check(
    "metrics-unscraped",
    Severity.WARNING,
    "Nobody scrapes a metrics endpoint",
    "Its metrics are lost, and with them what would have shown a failure beforehand.",
    "Add a PodMonitor or ServiceMonitor for it.",
    f"{_OPERATOR}#monitoring.coreos.com/v1.PodMonitor",
)
DASHBOARD_INVALID = Check(
    "dashboard-invalid",
    Severity.ERROR,
    "A dashboard is no JSON that Grafana can read",
    "Grafana does not load it and says so in its log only.",
    "Put the JSON model of a dashboard there, with a title and panels.",
    "https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/",
)
DASHBOARD_DUPLICATE = Check(
    "dashboard-duplicate",
    Severity.ERROR,
    "Two dashboards have the same uid",
    "Grafana stops to write either of them to its database.",
    "Give every dashboard a uid of its own.",
    _DASHBOARDS,
)
DASHBOARD_NOT_LOADED = Check(
    "dashboard-not-loaded",
    Severity.ERROR,
    "Grafana's sidecar does not see a dashboard",
    "It looks for a label with one value, in certain namespaces, and passes over everything else.",
    "Put the ConfigMap into the namespace where the sidecar searches, with the label and value that it looks for.",
    _CHART,
)
RETENTION_SIZE = Check(
    "retention-size-exceeds-volume",
    Severity.ERROR,
    "Prometheus may keep more bytes than its volume has",
    "The volume fills up, Prometheus stops, and it does not come back by itself.",
    "Let retentionSize be 80 % of the volume.",
    f"{_STORAGE}#right-sizing-retention-size",
)
RETENTION_TIME = Check(
    "retention-exceeds-volume",
    Severity.WARNING,
    "Prometheus is to keep more days than its volume holds",
    "The volume fills up, Prometheus stops, and it does not come back by itself.",
    "Enlarge the volume, keep fewer days, or set retentionSize to 80 % of the volume.",
    f"{_STORAGE}#operational-aspects",
)
NOT_KEPT = Check(
    "metrics-not-kept",
    Severity.WARNING,
    "Prometheus has no volume",
    "All history is lost when its pod is replaced, with every update and every drained node.",
    "Give it storageSpec.volumeClaimTemplate.",
    f"{_OPERATOR}#monitoring.coreos.com/v1.StorageSpec",
)
WITHOUT_ALERTS = Check(
    "component-without-alerts",
    Severity.WARNING,
    "There are alerts, and none is about this component",
    "It can fail without anybody being told.",
    "Add an alert whose expression covers its namespace.",
    "https://sre.google/sre-book/monitoring-distributed-systems/",
)
WITHOUT_DASHBOARD = Check(
    "component-without-dashboard",
    Severity.WARNING,
    "There are dashboards, and none shows this component",
    "When it fails, there is nothing to look at.",
    "Add a panel whose expression covers its namespace.",
    "https://sre.google/sre-book/monitoring-distributed-systems/",
)

#: What a series of a small cluster takes at least: the stack alone has about 100,000 of them, scraped twice a minute,
#: and a sample takes 1.3 bytes, which is 0.37 GB a day; half of it leaves no doubt.
_LEAST_BYTES_A_DAY = 200_000_000
#: Kinds whose pods go on for ever.
_SERVING = ("Deployment", "StatefulSet", "DaemonSet")
_LONGEST_WAIT = 24 * 3600
_FULL = 0.85
_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_TEMPLATE_VARIABLE = re.compile(r"\$(\w+)")
_ASSIGNED = re.compile(r"\$(\w+)(?:\s*,\s*\$(\w+))?\s*:?=")
_TEMPLATE_NAMES = {"labels", "externalLabels", "externalURL", "value"}
_SHOWN_LABEL = re.compile(r"\$labels\.(\w+)|index\s+\$labels\s+\"([^\"]+)\"")
_LEGEND_LABEL = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_LABEL_VALUES = re.compile(r"label_values\(\s*([a-zA-Z_:][\w:]*)\s*(?:\{[^}]*\})?\s*,")
_METRICS_PORT = re.compile(r"(?:[\w-]+-)?(?:metrics|prometheus|prom)(?:-[\w-]+)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)i?B")


@dataclass(frozen=True)
class _Expression:
    """An expression of a rule or a panel.

    Attributes:
        item: The object that holds it.
        at: Where it stands in the object.
        query: The expression.
    """

    item: Object
    at: str
    query: Query


@dataclass(frozen=True)
class _Dashboard:
    """A dashboard.

    Attributes:
        item: The ConfigMap.
        key: The file in it.
        content: The JSON model.
    """

    item: Object
    key: str
    content: Mapping[str, Any]

    def panels(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield all panels, those in rows as well, with the paths of their fields."""
        queue = [(f"data[{self.key}].panels", panel) for panel in sequence(self.content.get("panels"))]
        for row in map(mapping, sequence(self.content.get("rows"))):
            queue += [(f"data[{self.key}].rows.panels", panel) for panel in sequence(row.get("panels"))]
        while queue:
            path, entry = queue.pop(0)
            panel = mapping(entry)
            here = f"{path}[{panel.get('title') or panel.get('id') or ''}]"
            yield here, panel
            queue += [(f"{here}.panels", inner) for inner in sequence(panel.get("panels"))]


def _prove(subject: Subject) -> Iterator[Finding]:
    yield from _Proof(subject).findings()


class _Proof:
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.exposed = Exposed(subject)
        self.rules = [item for item in subject.kind("PrometheusRule") if item.group == OPERATOR_GROUP]
        self.alerts: list[_Expression] = []
        self.panels: list[_Expression] = []
        self.expressions: list[_Expression] = []
        self.silent: dict[Source, list[tuple[Object, str, str]]] = {}

    def findings(self) -> Iterator[Finding]:
        """Yield everything that is wrong; what is read from rules and dashboards is gathered on the way."""
        for item in self.rules:
            yield from self._rule_object(item)
        yield from self._duplicates()
        yield from self._dashboards()
        for expression in self.expressions:
            yield from self._metrics(expression)
        yield from self._silent()
        yield from self._not_selected()
        yield from self._unscraped()
        yield from self._retention()
        if self.alerts:
            yield from self._coverage(self.alerts, WITHOUT_ALERTS, "no alert covers it")
        if self.panels:
            yield from self._coverage(self.panels, WITHOUT_DASHBOARD, "no panel shows it")

    # Rules.

    def _groups(self, item: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for number, group in enumerate(map(mapping, sequence(item.spec.get("groups")))):
            yield f"spec.groups[{group.get('name', number)}]", group

    def _rule_object(self, item: Object) -> Iterator[Finding]:
        names: set[str] = set()
        for path, group in self._groups(item):
            name = str(group.get("name"))
            if name in names:
                yield GROUP_DUPLICATE.at(item, f"There is another group {name} in the same object.", at=path)
            names.add(name)
            for number, rule in enumerate(map(mapping, sequence(group.get("rules")))):
                named = rule.get("alert") or rule.get("record") or number
                yield from self._rule(item, f"{path}.rules[{named}]", rule, seconds(group.get("interval")))

    def _rule(self, item: Object, path: str, rule: Mapping[str, Any], interval: float | None) -> Iterator[Finding]:
        query: Query | None = None
        text = rule.get("expr")
        if isinstance(text, str | int | float) and not isinstance(text, bool):
            try:
                query = Query(str(text))
            except ValueError as error:
                yield PROMQL_INVALID.at(item, f"The expression cannot be read: {error}.", at=f"{path}.expr")
        if query:
            self.expressions.append(_Expression(item, f"{path}.expr", query))
        if isinstance(rule.get("alert"), str):
            if query:
                self.alerts.append(_Expression(item, f"{path}.expr", query))
            yield from self._alert(item, path, rule, query, interval)

    def _alert(
        self, item: Object, path: str, rule: Mapping[str, Any], query: Query | None, interval: float | None
    ) -> Iterator[Finding]:
        name = rule["alert"]
        labels, annotations = texts(rule.get("labels")), texts(rule.get("annotations"))
        missing = [
            *([] if labels.get("severity") else ["the label severity"]),
            *(f"the annotation {key}" for key in ("summary", "runbook_url") if not annotations.get(key)),
        ]
        if missing:
            yield ALERT_UNDESCRIBED.at(item, f"The alert {name} has not {' and not '.join(missing)}.", at=path)
        if query and not query.has_condition:
            yield ALERT_WITHOUT_CONDITION.at(
                item, f"The alert {name} fires for every series, whatever its value is.", at=f"{path}.expr"
            )
        yield from self._timing(item, path, rule, interval)
        for kind, entries in (("labels", labels), ("annotations", annotations)):
            for key, text in entries.items():
                yield from self._template(item, f"{path}.{kind}.{key}", text, query)

    def _timing(self, item: Object, path: str, rule: Mapping[str, Any], interval: float | None) -> Iterator[Finding]:
        wait = seconds(rule.get("for"))
        if wait is None:
            return
        if wait > _LONGEST_WAIT:
            problem = f"The alert {rule['alert']} waits {rule['for']} before it tells anybody."
            yield ALERT_TIMING.at(item, problem, at=f"{path}.for")
        elif interval and 0 < wait < interval:
            problem = (
                f"The alert {rule['alert']} waits {rule['for']}, less than the {interval:g} s between evaluations."
            )
            yield ALERT_TIMING.at(item, problem, at=f"{path}.for")

    def _template(self, item: Object, path: str, text: str, query: Query | None) -> Iterator[Finding]:
        rest = _TEMPLATE.sub("", text)
        if "{{" in rest or "}}" in rest:
            yield ALERT_TEMPLATE_INVALID.at(item, "There is a {{ without }}, or the other way round.", at=path)
            return
        inside = " ".join(match[1] for match in _TEMPLATE.finditer(text))
        known = _TEMPLATE_NAMES | {name for match in _ASSIGNED.finditer(inside) for name in match.groups() if name}
        for name in dict.fromkeys(_TEMPLATE_VARIABLE.findall(inside)):
            if name not in known:
                hint = closest(name, known)
                yield ALERT_TEMPLATE_INVALID.at(
                    item,
                    f"There is no variable ${name} in templates of Prometheus.",
                    at=path,
                    mend=f"Did you mean ${hint}?" if hint else "",
                )
        if query:
            names = (first or second for first, second in _SHOWN_LABEL.findall(inside))
            yield from self._dropped(item, path, names, query.labels)

    def _dropped(self, item: Object, path: str, names: Iterator[str], labels: Labels) -> Iterator[Finding]:
        for name in dict.fromkeys(names):
            if name not in labels:
                left = f"only {', '.join(sorted(labels.only))}" if labels.only else "none of the kind"
                problem = f"It shows the label {name}, and the result of the expression has {left}."
                yield LABEL_DROPPED.at(item, problem, at=path)

    def _duplicates(self) -> Iterator[Finding]:
        first: dict[tuple[str, str, str], str] = {}
        for item in self.rules:
            for path, group in self._groups(item):
                for rule in map(mapping, sequence(group.get("rules"))):
                    kind = "alert" if "alert" in rule else "record"
                    labels = texts(rule.get("labels"))
                    # One name for a warning and for what follows it, or for parts of a system, is common and right.
                    key = kind, str(rule.get(kind)), json.dumps(labels, sort_keys=True)
                    here = f"group {group.get('name')} of PrometheusRule {item.name}"
                    if key in first:
                        problem = f"The {kind} {key[1]} with the same labels is in {first[key]} as well."
                        yield RULE_DUPLICATE.at(item, problem, at=f"{path}.rules[{key[1]}]")
                    first.setdefault(key, here)

    # Dashboards.

    @cached_property
    def _found_dashboards(self) -> list[tuple[Object, str, str]]:
        """Every file of every ConfigMap that is meant as a dashboard."""
        return [
            (item, key, text)
            for item in self.subject.kind("ConfigMap")
            if "grafana_dashboard" in texts(item.metadata.get("labels"))
            for key, text in texts(item.manifest.get("data")).items()
        ]

    def _dashboards(self) -> Iterator[Finding]:
        uids: dict[str, str] = {}
        for item, key, text in self._found_dashboards:
            path = f"data[{key}]"
            try:
                content = json.loads(text)
            except (ValueError, RecursionError) as error:
                problem = f"{key} is no JSON: {str(error).partition(chr(10))[0]}."
                yield DASHBOARD_INVALID.at(item, problem, at=path)
                continue
            if not isinstance(content, dict) or not content.get("title"):
                yield DASHBOARD_INVALID.at(item, f"{key} is no dashboard: it has no title.", at=path)
                continue
            dashboard = _Dashboard(item, key, content)
            uid = content.get("uid")
            if isinstance(uid, str) and uid:
                if uid in uids:
                    yield DASHBOARD_DUPLICATE.at(item, f"{uids[uid]} has the uid {uid} as well.", at=f"{path}.uid")
                uids.setdefault(uid, f"ConfigMap {item.name}")
            yield from self._dashboard(dashboard)
        yield from self._not_loaded()

    def _dashboard(self, dashboard: _Dashboard) -> Iterator[Finding]:
        has_panels = False
        for path, panel in dashboard.panels():
            has_panels = True
            for target in map(mapping, sequence(panel.get("targets"))):
                yield from self._target(dashboard.item, path, panel, target)
        if not has_panels:
            problem = f"The dashboard {dashboard.content['title']} has no panels."
            yield DASHBOARD_INVALID.at(dashboard.item, problem, at=f"data[{dashboard.key}].panels")
        yield from self._variables(dashboard)

    def _target(
        self, item: Object, path: str, panel: Mapping[str, Any], target: Mapping[str, Any]
    ) -> Iterator[Finding]:
        datasource = mapping(target.get("datasource")) or mapping(panel.get("datasource"))
        text = target.get("expr")
        if datasource.get("type", "prometheus") != "prometheus" or not isinstance(text, str) or not text.strip():
            return
        at = f"{path}.targets[{target.get('refId', '')}]"
        try:
            query = Query(without_variables(text))
        except ValueError as error:
            yield PROMQL_INVALID.at(item, f"The expression cannot be read: {error}.", at=f"{at}.expr")
            return
        expression = _Expression(item, f"{at}.expr", query)
        self.panels.append(expression)
        self.expressions.append(expression)
        legend = target.get("legendFormat")
        if isinstance(legend, str):
            names = (name for name in _LEGEND_LABEL.findall(legend) if name != "__name__")
            yield from self._dropped(item, f"{at}.legendFormat", names, query.labels)

    def _variables(self, dashboard: _Dashboard) -> Iterator[Finding]:
        for variable in map(mapping, sequence(mapping(dashboard.content.get("templating")).get("list"))):
            query = variable.get("query")
            text = query if isinstance(query, str) else str(mapping(query).get("query", ""))
            for metric in _LABEL_VALUES.findall(text):
                path = f"data[{dashboard.key}].templating.list[{variable.get('name', '')}]"
                yield from self._metric(dashboard.item, path, metric)

    def _not_loaded(self) -> Iterator[Finding]:
        if not self.exposed.stacks:
            return
        _, namespace, _, values = self.exposed.stacks[0]
        sidecar = mapping(mapping(mapping(values.get("grafana")).get("sidecar")).get("dashboards"))
        label, value = str(sidecar.get("label", "grafana_dashboard")), str(sidecar.get("labelValue", "1"))
        searched = str(sidecar.get("searchNamespace") or namespace)
        namespaces = {part.strip() for part in searched.split(",")}
        for item in dict.fromkeys(item for item, _, _ in self._found_dashboards):
            labels = texts(item.metadata.get("labels"))
            if label not in labels or (value and labels[label] != value):
                yield DASHBOARD_NOT_LOADED.at(
                    item,
                    f"The sidecar looks for the label {label}: {json.dumps(value)}, and this has "
                    f"{json.dumps(labels.get(label, ''))}.",
                    at=f"metadata.labels.{label}",
                )
            elif searched != "ALL" and item.namespace not in namespaces:
                yield DASHBOARD_NOT_LOADED.at(
                    item,
                    f"The sidecar searches in {', '.join(sorted(namespaces))}, and this is in {item.namespace}.",
                    at="metadata.namespace",
                )

    # What expressions read.

    @cached_property
    def _recorded(self) -> frozenset[str]:
        return frozenset(
            rule["record"]
            for item in self.rules
            for _, group in self._groups(item)
            for rule in map(mapping, sequence(group.get("rules")))
            if isinstance(rule.get("record"), str)
        )

    def _metrics(self, expression: _Expression) -> Iterator[Finding]:
        for selector in dict.fromkeys(expression.query.selectors):
            if selector.metric:
                yield from self._metric(expression.item, expression.at, selector.metric)
                yield from self._range(expression, selector)

    def _metric(self, item: Object, path: str, metric: str) -> Iterator[Finding]:
        if metric in self._recorded or PLACEHOLDER in metric or self.exposed.is_declared(metric):
            return
        source, is_scraped = self.exposed.source_of(metric)
        if is_scraped or (source is None and self.exposed.is_open):
            return
        if source is None:
            problem = f"Nothing in the tree exposes {metric}."
            hint = closest(metric, self._recorded)
        elif source.has(metric):
            # One monitor that is missing silences many expressions, and is one thing to mend.
            self.silent.setdefault(source, []).append((item, path, metric))
            return
        else:
            problem = f"{source.name} has no metric {metric}."
            hint = closest(metric, source.names)
        yield METRIC_UNKNOWN.at(item, problem, at=path, mend=f"Did you mean {hint}?" if hint else "")

    def _silent(self) -> Iterator[Finding]:
        """Yield what is known and not scraped, once for each source, where it is read first."""
        for source, places in self.silent.items():
            item, path, metric = places[0]
            others = len({(other, at) for other, at, _ in places}) - 1
            as_well = f", and so do {others} more" if others > 1 else ", and so does another one" if others else ""
            problem = f"This reads {metric}{as_well}: it comes from {source.name}, which is not scraped here."
            mend = f"Set {source.value} to true, or leave it out." if source.value else "Scrape it, or leave it out."
            yield METRIC_UNKNOWN.at(item, problem, at=path, mend=mend)

    def _range(self, expression: _Expression, selector: Selector) -> Iterator[Finding]:
        if not selector.function or selector.seconds is None:
            return
        source, _ = self.exposed.source_of(selector.metric)
        interval = self.exposed.interval(source)
        if selector.seconds < 2 * interval:
            yield RANGE_TOO_SHORT.at(
                expression.item,
                f"{selector.function}() reads {selector.metric} over {selector.seconds:g} s, and it is scraped every "
                f"{interval:g} s.",
                at=expression.at,
                mend=f"Take a range of at least {2 * interval:g} s, better {4 * interval:g} s.",
            )

    # What is scraped and evaluated.

    def _not_selected(self) -> Iterator[Finding]:
        items = [*(monitor.item for monitor in self.exposed.monitors), *self.rules]
        if not self.exposed.stacks or self.subject.by_kind.get("Prometheus"):
            return
        for item in items:
            key = {"PodMonitor": "podMonitor", "ServiceMonitor": "serviceMonitor", "PrometheusRule": "rule"}[item.kind]
            reasons = [
                reason
                for _, _, release, values in self.exposed.stacks
                if (reason := self._reason(item, key, release, values)) is not None
            ]
            if len(reasons) == len(self.exposed.stacks):
                yield NOT_SELECTED.at(item, f"Prometheus selects {reasons[0]}.", at="metadata.labels")

    def _reason(self, item: Object, key: str, release: str, values: Mapping[str, Any]) -> str | None:
        """Return what Prometheus selects instead of an object; None if it selects it."""
        spec = mapping(mapping(values.get("prometheus")).get("prometheusSpec"))
        selector = mapping(spec.get(f"{key}Selector"))
        if not selector and spec.get(f"{key}SelectorNilUsesHelmValues", True) is not False:
            selector = {"matchLabels": {"release": release}}
        if not selects(selector, texts(item.metadata.get("labels"))):
            return f"{item.kind}s with {shown(selector)}"
        namespaces = mapping(spec.get(f"{key}NamespaceSelector"))
        if namespaces and not selects(namespaces, self.subject.namespaces.get(item.namespace, {})):
            return f"{item.kind}s in namespaces with {shown(namespaces)}"
        return None

    def _unscraped(self) -> Iterator[Finding]:
        if not self.exposed.watches or any(self.subject.by_kind.get(kind) for kind in ("ScrapeConfig", "Probe")):
            return
        scraped: dict[int, set[object]] = defaultdict(set)
        for monitor in self.exposed.monitors:
            for pods in monitor.pods:
                scraped[id(pods.owner)] |= monitor.container_ports
        # A monitor that selects nothing is a finding already, and most likely the one that is missed here.
        idle = [monitor for monitor in self.exposed.monitors if not monitor.pods]
        for pods in self.subject.pods:
            known = scraped.get(id(pods.owner), set())
            if None in known or pods.namespace in self.subject.open_namespaces or _is_meant(idle, pods):
                continue
            template = mapping(mapping(pods.owner.spec.get("template")).get("metadata"))
            declared = [(name, number) for name, number, _ in container_ports(pods)]
            if known - {entry for port in declared for entry in port}:
                # An endpoint for a port that is not there is a finding already, and most likely the one that is missed.
                continue
            ports = [name for name, number in declared if not {name, number} & known]
            port = next((name for name in ports if _METRICS_PORT.fullmatch(name)), None)
            if port and known:
                problem = f"The PodMonitor of the pods has no endpoint for their port {port}."
                yield METRICS_UNSCRAPED.at(pods.owner, problem, at=f"{pods.path}.containers")
            elif port:
                problem = f"No PodMonitor and no ServiceMonitor selects the pods with the port {port}."
                yield METRICS_UNSCRAPED.at(pods.owner, problem, at=f"{pods.path}.containers")
            elif known:
                continue
            elif texts(template.get("annotations")).get("prometheus.io/scrape") == "true":
                problem = (
                    "No monitor selects the pods, and the annotation prometheus.io/scrape is not read by the operator."
                )
                yield METRICS_UNSCRAPED.at(pods.owner, problem, at="spec.template.metadata.annotations")

    # Prometheus itself.

    def _retention(self) -> Iterator[Finding]:
        found = [
            (
                application,
                "spec.sources",
                mapping(mapping(values.get("prometheus")).get("prometheusSpec")),
                "storageSpec",
            )
            for application, _, _, values in self.exposed.stacks
            if mapping(values.get("prometheus")).get("enabled") is not False
        ]
        found += [
            (item, "spec", item.spec, "storage")
            for item in self.subject.kind("Prometheus")
            if item.group == OPERATOR_GROUP
        ]
        for item, path, spec, key in found:
            yield from self._kept(item, path, spec, key)

    def _kept(self, item: Object, path: str, spec: Mapping[str, Any], key: str) -> Iterator[Finding]:
        storage = mapping(spec.get(key))
        if not storage:
            yield NOT_KEPT.at(item, f"{key} is not set, so that Prometheus writes to an emptyDir.", at=path)
            return
        claim = mapping(mapping(storage.get("volumeClaimTemplate")).get("spec"))
        asked = mapping(mapping(claim.get("resources")).get("requests")).get("storage")
        volume, size = _volume(asked), _retention_size(spec.get("retentionSize"))
        days = (seconds(spec.get("retention")) or 0) / 86400
        if volume and size and size > _FULL * volume:
            problem = f"retentionSize is {spec['retentionSize']}, and the volume has {asked}."
            yield RETENTION_SIZE.at(item, problem, at=f"{path}.retentionSize")
        elif volume and not size and days * _LEAST_BYTES_A_DAY > volume:
            problem = (
                f"{spec['retention']} take {days * _LEAST_BYTES_A_DAY / 2**30:.0f}Gi at the very least, and the volume "
                f"has {asked}."
            )
            yield RETENTION_TIME.at(item, problem, at=f"{path}.retention")

    # Every component.

    def _coverage(self, expressions: Sequence[_Expression], check: Check, words: str) -> Iterator[Finding]:
        covered: set[str] = set()
        selectors = dict.fromkeys(selector for expression in expressions for selector in expression.query.selectors)
        others: list[Selector] = []
        for selector in selectors:
            source, _ = self.exposed.source_of(selector.metric)
            exact = {value for label, operator, value in selector.matchers if (label, operator) == ("namespace", "=")}
            if exact:
                covered |= exact
            elif selector.constrains("namespace") or (source is not None and source.cluster):
                others.append(selector)
            elif source is not None:
                covered |= self.exposed.namespaces(source)
        for delivery in self.subject.applications:
            namespaces = {
                pods.namespace
                for path in delivery.files
                for item in delivery.read(path, delivery.files[path])
                if item.kind in _SERVING and (pods := pods_of(item)) is not None
            }
            missed = [
                name
                for name in sorted(namespaces - covered)
                if not any(selector.admits("namespace", name) for selector in others)
            ]
            if missed and delivery.application:
                problem = f"The pods of {delivery.name} run in {', '.join(missed)}, and {words}."
                yield check.at(delivery.application, problem)


def _is_meant(idle: Sequence[Monitor], pods: Pods) -> bool:
    """Tell whether a monitor that selects nothing looks as if it were for these pods."""
    return any(
        monitor.item.name == pods.owner.name
        or pods.namespace == monitor.item.namespace
        or pods.namespace in sequence(mapping(monitor.item.spec.get("namespaceSelector")).get("matchNames"))
        for monitor in idle
    )


def _volume(asked: object) -> float | None:
    found = quantity(asked) if isinstance(asked, str) else None
    return float(found) if found is not None else None


def _retention_size(text: object) -> float | None:
    """Return a size as Prometheus writes it, such as ``20GB``: its units are powers of two with or without an i."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    return float(match[1]) * 2.0 ** (10 * " KMGTPE".index(match[2] or " ")) if match else None


PROOF = Proof(
    "observability",
    "What goes wrong is measured, alerted on and shown: rules and dashboards read metrics that are scraped.",
    (
        PROMQL_INVALID,
        METRIC_UNKNOWN,
        LABEL_DROPPED,
        RANGE_TOO_SHORT,
        ALERT_TIMING,
        ALERT_UNDESCRIBED,
        ALERT_WITHOUT_CONDITION,
        ALERT_TEMPLATE_INVALID,
        RULE_DUPLICATE,
        GROUP_DUPLICATE,
        NOT_SELECTED,
        METRICS_UNSCRAPED,
        DASHBOARD_INVALID,
        DASHBOARD_DUPLICATE,
        DASHBOARD_NOT_LOADED,
        RETENTION_SIZE,
        RETENTION_TIME,
        NOT_KEPT,
        WITHOUT_ALERTS,
        WITHOUT_DASHBOARD,
    ),
    _prove,
)

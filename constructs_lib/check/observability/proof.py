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
from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel, Pods, pods_of, texts
from constructs_lib.check.observability.exposed import OPERATOR_GROUP, Exposed, Monitor
from constructs_lib.check.selectors import container_ports, selects, shown
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.prometheus.promql import PLACEHOLDER, Labels, Query, Selector, parse, seconds, without_variables
from constructs_lib.prometheus.sources import Source
from constructs_lib.text import closest

_RULES = "https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/"
_OPERATOR = "https://prometheus-operator.dev/docs/api-reference/api/"
_DASHBOARDS = "https://grafana.com/docs/grafana/latest/administration/provisioning/#dashboards"
_CHART = "https://github.com/prometheus-community/helm-charts/blob/main/charts/kube-prometheus-stack/values.yaml"
_STORAGE = "https://prometheus.io/docs/prometheus/latest/storage/"


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


def _prove(model: ClusterModel) -> Iterator[Finding]:
    yield from _Proof(model).findings()


class _Proof:
    def __init__(self, model: ClusterModel) -> None:
        self.model = model
        self.exposed = Exposed(model)
        self.rules = [item for item in model.kind("PrometheusRule") if item.group == OPERATOR_GROUP]
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
            yield from self._coverage(self.alerts, "component-without-alerts", "no alert covers it")
        if self.panels:
            yield from self._coverage(self.panels, "component-without-dashboard", "no panel shows it")

    # Rules.

    def _groups(self, item: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for number, group in enumerate(map(mapping, sequence(item.spec.get("groups")))):
            yield f"spec.groups[{group.get('name', number)}]", group

    def _rule_object(self, item: Object) -> Iterator[Finding]:
        names: set[str] = set()
        for path, group in self._groups(item):
            name = str(group.get("name"))
            if name in names:
                yield Finding.of(
                    "rule-group-duplicate", item, f"There is another group {name} in the same object.", at=path
                )
            names.add(name)
            for number, rule in enumerate(map(mapping, sequence(group.get("rules")))):
                named = rule.get("alert") or rule.get("record") or number
                yield from self._rule(item, f"{path}.rules[{named}]", rule, seconds(group.get("interval")))

    def _rule(self, item: Object, path: str, rule: Mapping[str, Any], interval: float | None) -> Iterator[Finding]:
        query: Query | None = None
        text = rule.get("expr")
        if isinstance(text, str | int | float) and not isinstance(text, bool):
            try:
                query = parse(str(text))
            except ValueError as error:
                yield Finding.of("promql-invalid", item, f"The expression cannot be read: {error}.", at=f"{path}.expr")
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
            yield Finding.of(
                "alert-undescribed", item, f"The alert {name} has not {' and not '.join(missing)}.", at=path
            )
        if query and not query.has_condition:
            yield Finding.of(
                "alert-without-condition",
                item,
                f"The alert {name} fires for every series, whatever its value is.",
                at=f"{path}.expr",
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
            yield Finding.of("alert-timing", item, problem, at=f"{path}.for")
        elif interval and 0 < wait < interval:
            problem = (
                f"The alert {rule['alert']} waits {rule['for']}, less than the {interval:g} s between evaluations."
            )
            yield Finding.of("alert-timing", item, problem, at=f"{path}.for")

    def _template(self, item: Object, path: str, text: str, query: Query | None) -> Iterator[Finding]:
        rest = _TEMPLATE.sub("", text)
        if "{{" in rest or "}}" in rest:
            yield Finding.of(
                "alert-template-invalid", item, "There is a {{ without }}, or the other way round.", at=path
            )
            return
        inside = " ".join(match[1] for match in _TEMPLATE.finditer(text))
        known = _TEMPLATE_NAMES | {name for match in _ASSIGNED.finditer(inside) for name in match.groups() if name}
        for name in dict.fromkeys(_TEMPLATE_VARIABLE.findall(inside)):
            if name not in known:
                hint = closest(name, known)
                yield Finding.of(
                    "alert-template-invalid",
                    item,
                    f"There is no variable ${name} in templates of Prometheus.",
                    at=path,
                    fix=f"Did you mean ${hint}?" if hint else "",
                )
        if query:
            names = (first or second for first, second in _SHOWN_LABEL.findall(inside))
            yield from self._dropped(item, path, names, query.labels)

    def _dropped(self, item: Object, path: str, names: Iterator[str], labels: Labels) -> Iterator[Finding]:
        for name in dict.fromkeys(names):
            if name not in labels:
                left = f"only {', '.join(sorted(labels.only))}" if labels.only else "none of the kind"
                problem = f"It shows the label {name}, and the result of the expression has {left}."
                yield Finding.of("label-dropped", item, problem, at=path)

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
                        yield Finding.of("rule-duplicate", item, problem, at=f"{path}.rules[{key[1]}]")
                    first.setdefault(key, here)

    # Dashboards.

    @cached_property
    def _found_dashboards(self) -> list[tuple[Object, str, str]]:
        """Every file of every ConfigMap that is meant as a dashboard."""
        return [
            (item, key, text)
            for item in self.model.kind("ConfigMap")
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
                yield Finding.of("dashboard-invalid", item, problem, at=path)
                continue
            if not isinstance(content, dict) or not content.get("title"):
                yield Finding.of("dashboard-invalid", item, f"{key} is no dashboard: it has no title.", at=path)
                continue
            dashboard = _Dashboard(item, key, content)
            uid = content.get("uid")
            if isinstance(uid, str) and uid:
                if uid in uids:
                    yield Finding.of(
                        "dashboard-duplicate", item, f"{uids[uid]} has the uid {uid} as well.", at=f"{path}.uid"
                    )
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
            yield Finding.of("dashboard-invalid", dashboard.item, problem, at=f"data[{dashboard.key}].panels")
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
            query = parse(without_variables(text))
        except ValueError as error:
            yield Finding.of("promql-invalid", item, f"The expression cannot be read: {error}.", at=f"{at}.expr")
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
                yield Finding.of(
                    "dashboard-not-loaded",
                    item,
                    f"The sidecar looks for the label {label}: {json.dumps(value)}, and this has "
                    f"{json.dumps(labels.get(label, ''))}.",
                    at=f"metadata.labels.{label}",
                )
            elif searched != "ALL" and item.namespace not in namespaces:
                yield Finding.of(
                    "dashboard-not-loaded",
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
        yield Finding.of("metric-unknown", item, problem, at=path, fix=f"Did you mean {hint}?" if hint else "")

    def _silent(self) -> Iterator[Finding]:
        """Yield what is known and not scraped, once for each source, where it is read first."""
        for source, places in self.silent.items():
            item, path, metric = places[0]
            others = len({(other, at) for other, at, _ in places}) - 1
            as_well = f", and so do {others} more" if others > 1 else ", and so does another one" if others else ""
            problem = f"This reads {metric}{as_well}: it comes from {source.name}, which is not scraped here."
            fix = f"Set {source.value} to true, or leave it out." if source.value else "Scrape it, or leave it out."
            yield Finding.of("metric-unknown", item, problem, at=path, fix=fix)

    def _range(self, expression: _Expression, selector: Selector) -> Iterator[Finding]:
        if not selector.function or selector.seconds is None:
            return
        source, _ = self.exposed.source_of(selector.metric)
        interval = self.exposed.interval(source)
        if selector.seconds < 2 * interval:
            yield Finding.of(
                "range-too-short",
                expression.item,
                f"{selector.function}() reads {selector.metric} over {selector.seconds:g} s, and it is scraped every "
                f"{interval:g} s.",
                at=expression.at,
                fix=f"Take a range of at least {2 * interval:g} s, better {4 * interval:g} s.",
            )

    # What is scraped and evaluated.

    def _not_selected(self) -> Iterator[Finding]:
        items = [*(monitor.item for monitor in self.exposed.monitors), *self.rules]
        if not self.exposed.stacks or self.model.by_kind.get("Prometheus"):
            return
        for item in items:
            key = {"PodMonitor": "podMonitor", "ServiceMonitor": "serviceMonitor", "PrometheusRule": "rule"}[item.kind]
            reasons = [
                reason
                for _, _, release, values in self.exposed.stacks
                if (reason := self._reason(item, key, release, values)) is not None
            ]
            if len(reasons) == len(self.exposed.stacks):
                yield Finding.of(
                    "monitoring-not-selected", item, f"Prometheus selects {reasons[0]}.", at="metadata.labels"
                )

    def _reason(self, item: Object, key: str, release: str, values: Mapping[str, Any]) -> str | None:
        """Return what Prometheus selects instead of an object; None if it selects it."""
        spec = mapping(mapping(values.get("prometheus")).get("prometheusSpec"))
        selector = mapping(spec.get(f"{key}Selector"))
        if not selector and spec.get(f"{key}SelectorNilUsesHelmValues", True) is not False:
            selector = {"matchLabels": {"release": release}}
        if not selects(selector, texts(item.metadata.get("labels"))):
            return f"{item.kind}s with {shown(selector)}"
        namespaces = mapping(spec.get(f"{key}NamespaceSelector"))
        if namespaces and not selects(namespaces, self.model.namespaces.get(item.namespace, {})):
            return f"{item.kind}s in namespaces with {shown(namespaces)}"
        return None

    def _unscraped(self) -> Iterator[Finding]:
        if not self.exposed.watches or any(self.model.by_kind.get(kind) for kind in ("ScrapeConfig", "Probe")):
            return
        scraped: dict[int, set[object]] = defaultdict(set)
        for monitor in self.exposed.monitors:
            for pods in monitor.pods:
                scraped[id(pods.owner)] |= monitor.container_ports
        # A monitor that selects nothing is a finding already, and most likely the one that is missed here.
        idle = [monitor for monitor in self.exposed.monitors if not monitor.pods]
        for pods in self.model.pods:
            known = scraped.get(id(pods.owner), set())
            if None in known or pods.namespace in self.model.open_namespaces or _is_meant(idle, pods):
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
                yield Finding.of("metrics-unscraped", pods.owner, problem, at=f"{pods.path}.containers")
            elif port:
                problem = f"No PodMonitor and no ServiceMonitor selects the pods with the port {port}."
                yield Finding.of("metrics-unscraped", pods.owner, problem, at=f"{pods.path}.containers")
            elif known:
                continue
            elif texts(template.get("annotations")).get("prometheus.io/scrape") == "true":
                problem = (
                    "No monitor selects the pods, and the annotation prometheus.io/scrape is not read by the operator."
                )
                yield Finding.of("metrics-unscraped", pods.owner, problem, at="spec.template.metadata.annotations")

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
            for item in self.model.kind("Prometheus")
            if item.group == OPERATOR_GROUP
        ]
        for item, path, spec, key in found:
            yield from self._kept(item, path, spec, key)

    def _kept(self, item: Object, path: str, spec: Mapping[str, Any], key: str) -> Iterator[Finding]:
        storage = mapping(spec.get(key))
        if not storage:
            yield Finding.of(
                "metrics-not-kept", item, f"{key} is not set, so that Prometheus writes to an emptyDir.", at=path
            )
            return
        claim = mapping(mapping(storage.get("volumeClaimTemplate")).get("spec"))
        asked = mapping(mapping(claim.get("resources")).get("requests")).get("storage")
        volume, size = _volume(asked), _retention_size(spec.get("retentionSize"))
        days = (seconds(spec.get("retention")) or 0) / 86400
        if volume and size and size > _FULL * volume:
            problem = f"retentionSize is {spec['retentionSize']}, and the volume has {asked}."
            yield Finding.of("retention-size-exceeds-volume", item, problem, at=f"{path}.retentionSize")
        elif volume and not size and days * _LEAST_BYTES_A_DAY > volume:
            problem = (
                f"{spec['retention']} take {days * _LEAST_BYTES_A_DAY / 2**30:.0f}Gi at the very least, and the volume "
                f"has {asked}."
            )
            yield Finding.of("retention-exceeds-volume", item, problem, at=f"{path}.retention")

    # Every component.

    def _coverage(self, expressions: Sequence[_Expression], check: str, words: str) -> Iterator[Finding]:
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
        for application in self.model.applications:
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
                yield Finding.of(check, application.item, problem)


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
    _prove,
)

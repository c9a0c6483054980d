"""Expressions of rules and of panels, and whether Prometheus can load the rules, and Grafana the dashboards."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.bounds import parse_json
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, texts
from constructs_lib.prometheus.promql import Query, parse, seconds, without_variables
from constructs_lib.text import closest

_LONGEST_WAIT = 24 * 3600
_TEMPLATE = re.compile(r"\{\{((?:(?!\{\{).)*?)\}\}", re.DOTALL)
_VARIABLE = re.compile(r"\$(\w+)")
_ASSIGNED = re.compile(r"\$(\w+)(?:\s*,\s*\$(\w+))?\s*:?=")
#: One without an end goes on to the end of the text: so no other begins within it, and the time grows with the text.
_TEXT = re.compile(r"\"(?:[^\"\\]|\\[\s\S])*(?:\"|\\?\Z)|`[^`]*(?:`|\Z)")
_FUNCTION = re.compile(r"(?:^-?\s*|\|\s*|\(\s*)([A-Za-z_]\w*)(?![\w.])")
#: ``NewTemplateExpander`` of Prometheus in template/template.go, and what Go's templates have by themselves.
_FUNCTIONS = frozenset(
    {
        *(
            "args",
            "externalURL",
            "first",
            "graphLink",
            "humanize",
            "humanize1024",
            "humanizeDuration",
            "humanizePercentage",
        ),
        *(
            "humanizeTimestamp",
            "label",
            "match",
            "now",
            "parseDuration",
            "pathPrefix",
            "query",
            "reReplaceAll",
            "safeHtml",
            "sortByLabel",
        ),
        *(
            "stripDomain",
            "stripPort",
            "strvalue",
            "tableLink",
            "title",
            "tmpl",
            "toDuration",
            "toLower",
            "toTime",
            "toUpper",
            "urlQueryEscape",
        ),
        *(
            "value",
            "and",
            "call",
            "eq",
            "ge",
            "gt",
            "html",
            "index",
            "js",
            "le",
            "len",
            "lt",
            "ne",
            "not",
            "or",
            "print",
            "printf",
            "println",
            "slice",
            "urlquery",
            "block",
        ),
        *("break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with", "true", "false"),
    }
)
_VARIABLES = {"labels", "externalLabels", "externalURL", "value"}
_SHOWN_LABEL = re.compile(r"\$labels\.(\w+)|index\s+\$labels\s+\"([^\"]+)\"")
_LEGEND_LABEL = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_VALUES = re.compile(r"label_values\(\s*([a-zA-Z_:][\w:]*)\s*(?:\{[^}]{0,500}\})?\s*,")


@dataclass(frozen=True)
class Expression:
    """An expression of a rule or a panel: the object that holds it, its field, and what it reads and gives."""

    item: Object
    at: str
    query: Query


def _parsed(item: Object, at: str, text: str) -> Expression | Finding:
    """Return the expression in a field, or a finding if it is no PromQL."""
    try:
        return Expression(item, at, parse(text))
    except ValueError as error:
        return Finding.of("promql-invalid", item, f"The expression cannot be read: {error}.", at=at)


def _dropped_labels(expression: Expression, at: str, shown: Iterable[str]) -> Iterator[Finding]:
    """Yield the labels that a text shows and that the result of its expression does not have."""
    labels = expression.query.labels
    for name in dict.fromkeys(shown):
        if name not in labels:
            left = f"only {', '.join(sorted(labels.only))}" if labels.only else "none of the kind"
            problem = f"It shows the label {name}, and the result of the expression has {left}."
            yield Finding.of("label-dropped", expression.item, problem, at=at)


@dataclass(frozen=True)
class Rule:
    """A rule of a PrometheusRule: the object, the field in it, the group and the rule itself.

    In place of the expression is a finding if it is no PromQL, and None if there is none.
    """

    item: Object
    at: str
    group: Mapping[str, Any]
    content: Mapping[str, Any]
    expression: Expression | Finding | None

    @property
    def alert(self) -> str | None:
        """The name of the alert; None for a rule that records a series."""
        name = self.content.get("alert")
        return name if isinstance(name, str) else None


def rules_of(items: Iterable[Object]) -> list[Rule]:
    """Return the rules of some PrometheusRules."""
    found = []
    for item, at, group in _groups(items):
        for number, rule in enumerate(mappings(group.get("rules"))):
            here, text = f"{at}.rules[{rule.get('alert') or rule.get('record') or number}]", rule.get("expr")
            is_text = isinstance(text, str | int | float) and not isinstance(text, bool)
            expression = _parsed(item, f"{here}.expr", str(text)) if is_text else None
            found.append(Rule(item, here, group, rule, expression))
    return found


def _groups(items: Iterable[Object]) -> Iterator[tuple[Object, str, Mapping[str, Any]]]:
    for item in items:
        for number, group in enumerate(mappings(item.spec.get("groups"))):
            yield item, f"spec.groups[{group.get('name', number)}]", group


def prove_rules(items: Sequence[Object], rules: Sequence[Rule]) -> Iterator[Finding]:
    """Yield what is wrong with rules in themselves, whatever is scraped."""
    names: set[tuple[Object, str]] = set()
    for item, at, group in _groups(items):
        key = item, str(group.get("name"))
        if key in names:
            problem = f"There is another group {key[1]} in the same object."
            yield Finding.of("rule-group-duplicate", item, problem, at=at)
        names.add(key)
    for rule in rules:
        if isinstance(rule.expression, Finding):
            yield rule.expression
        yield from _refused(rule)
        if rule.alert is not None:
            yield from _alert(rule, rule.alert)
    yield from _duplicates(rules)


def _refused(rule: Rule) -> Iterator[Finding]:
    """Yield what Prometheus refuses in a rule, and histograms of which it makes nothing (``rulefmt.go``)."""
    content, item = rule.content, rule.item
    is_alert, is_record = bool(content.get("alert")), bool(content.get("record"))
    if is_alert is is_record:
        problem = f"It is {'both an alert and a record' if is_alert else 'neither an alert nor a record'}."
        yield Finding.of("rule-invalid", item, problem, at=rule.at)
    elif is_record:
        record = str(content["record"])
        for field in ("for", "keep_firing_for", "annotations"):
            if content.get(field):
                yield Finding.of("rule-invalid", item, f"A record has no {field}.", at=f"{rule.at}.{field}")
        if not _METRIC.fullmatch(record):
            problem = f'"{record}" is no name of a metric.'
            yield Finding.of("rule-invalid", item, problem, at=f"{rule.at}.record")
    for field in ("for", "keep_firing_for"):
        text = content.get(field)
        if isinstance(text, str) and text and seconds(text) is None:
            yield Finding.of("rule-invalid", item, f'"{text}" is no duration.', at=f"{rule.at}.{field}")
    if isinstance(rule.expression, Expression):
        yield from _without_le(rule.expression, f"{rule.at}.expr")


def _without_le(expression: Expression, at: str) -> Iterator[Finding]:
    for metric in expression.query.without_le:
        problem = f"histogram_quantile gets the buckets of {metric} without their label le."
        yield Finding.of("quantile-without-le", expression.item, problem, at=at)


def _alert(rule: Rule, name: str) -> Iterator[Finding]:
    labels, annotations = texts(rule.content.get("labels")), texts(rule.content.get("annotations"))
    missing = [
        *([] if labels.get("severity") else ["the label severity"]),
        *(f"the annotation {key}" for key in ("summary", "runbook_url") if not annotations.get(key)),
    ]
    if missing:
        problem = f"The alert {name} has not {' and not '.join(missing)}."
        yield Finding.of("alert-undescribed", rule.item, problem, at=rule.at)
    if isinstance(rule.expression, Expression) and not rule.expression.query.has_condition:
        problem = f"The alert {name} fires for every series, whatever its value is."
        yield Finding.of("alert-without-condition", rule.item, problem, at=f"{rule.at}.expr")
    yield from _timing(rule, name)
    for kind, entries in (("labels", labels), ("annotations", annotations)):
        for key, text in entries.items():
            yield from _template(rule, f"{rule.at}.{kind}.{key}", text)


def _timing(rule: Rule, name: str) -> Iterator[Finding]:
    wait, interval = seconds(rule.content.get("for")), seconds(rule.group.get("interval"))
    waits = f"The alert {name} waits {rule.content.get('for')}"
    if wait is not None and wait > _LONGEST_WAIT:
        yield Finding.of("alert-timing", rule.item, f"{waits} before it tells anybody.", at=f"{rule.at}.for")
    elif wait and interval and wait < interval:
        problem = f"{waits}, less than the {interval:g} s between evaluations."
        yield Finding.of("alert-timing", rule.item, problem, at=f"{rule.at}.for")


def _template(rule: Rule, at: str, text: str) -> Iterator[Finding]:
    rest = _TEMPLATE.sub("", text)
    if "{{" in rest or "}}" in rest:
        problem = "There is a {{ without }}, or the other way round."
        yield Finding.of("alert-template-invalid", rule.item, problem, at=at)
        return
    inside = " ".join(_TEMPLATE.findall(text))
    known = _VARIABLES | {name for names in _ASSIGNED.findall(inside) for name in names if name}
    for name in dict.fromkeys(_VARIABLE.findall(inside)):
        if name not in known:
            problem = f"There is no variable ${name} in templates of Prometheus."
            close = closest(name, known)
            fix = f"Did you mean ${close}?" if close else ""
            yield Finding.of("alert-template-invalid", rule.item, problem, at=at, fix=fix)
    for action in _TEMPLATE.findall(text):
        # The first word of an action, of a pipe's part or of parentheses is a function.
        for name in _FUNCTION.findall(_TEXT.sub('""', action)):
            if name not in _FUNCTIONS:
                problem = f"There is no function {name} in templates of Prometheus."
                close = closest(name, _FUNCTIONS)
                fix = f"Did you mean {close}?" if close else ""
                yield Finding.of("alert-template-invalid", rule.item, problem, at=at, fix=fix)
    if isinstance(rule.expression, Expression):
        yield from _dropped_labels(rule.expression, at, (one or other for one, other in _SHOWN_LABEL.findall(inside)))


def _duplicates(rules: Iterable[Rule]) -> Iterator[Finding]:
    first: dict[tuple[str, str, str], list[Rule]] = {}
    for rule in rules:
        kind = "alert" if "alert" in rule.content else "record"
        # Rules with one name and different labels are common: a warning and a critical alert, or parts of a system.
        labels = json.dumps(texts(rule.content.get("labels")), sort_keys=True)
        key = kind, str(rule.content.get(kind)), labels
        same = next((known for known in first.get(key, ()) if not _are_apart(known.expression, rule.expression)), None)
        if same:
            where = f"group {same.group.get('name')} of PrometheusRule {same.item.name}"
            problem = f"The {kind} {key[1]} with the same labels is in {where} as well."
            yield Finding.of("rule-duplicate", rule.item, problem, at=rule.at)
        first.setdefault(key, []).append(rule)


def _are_apart(one: Expression | Finding | None, other: Expression | Finding | None) -> bool:
    """Tell whether the results of two expressions have different values of a label, since what they select has."""
    if not isinstance(one, Expression) or not isinstance(other, Expression):
        return False
    return any(
        label in one.query.labels and label in other.query.labels
        for mine in one.query.selectors
        for theirs in other.query.selectors
        if mine.metric == theirs.metric
        for label in {*mine.excluded_by(theirs)} & {*theirs.excluded_by(mine)}
    )


class Dashboards:
    """The dashboards of a tree: what their panels read, and what is wrong with them in themselves.

    Attributes:
        expressions: The expressions of their panels.
        metrics: The metrics that their variables read: the ConfigMap, the field and the name.
        findings: What is wrong.
        items: The ConfigMaps that are labelled as dashboards.
    """

    def __init__(self, model: ClusterModel) -> None:
        """Read every file of every ConfigMap of a dashboard."""
        self.expressions: list[Expression] = []
        self.metrics: list[tuple[Object, str, str]] = []
        self.findings: list[Finding] = []
        self.items = [
            item for item in model.kind("ConfigMap") if "grafana_dashboard" in item.labels and item.manifest.get("data")
        ]
        uids: dict[str, str] = {}
        for item in self.items:
            for key, text in texts(item.manifest.get("data")).items():
                self.findings += self._file(item, key, text, uids)

    def _file(self, item: Object, key: str, text: str, uids: dict[str, str]) -> Iterator[Finding]:
        at = f"data[{key}]"
        try:
            content = parse_json(text)
        except ValueError as error:
            problem = f"{key} is no JSON: {str(error).partition(chr(10))[0]}."
            yield Finding.of("dashboard-invalid", item, problem, at=at)
            return
        if not isinstance(content, dict) or not content.get("title"):
            yield Finding.of("dashboard-invalid", item, f"{key} is no dashboard: it has no title.", at=at)
            return
        uid = content.get("uid")
        if isinstance(uid, str) and uid:
            if uid in uids:
                yield Finding.of("dashboard-duplicate", item, f"{uids[uid]} has the uid {uid} as well.", at=f"{at}.uid")
            uids.setdefault(uid, f"ConfigMap {item.name}")
        panels = list(_panels(at, content))
        if not panels:
            problem = f"The dashboard {content['title']} has no panels."
            yield Finding.of("dashboard-invalid", item, problem, at=f"{at}.panels")
        for path, panel in panels:
            for target in mappings(panel.get("targets")):
                yield from self._target(item, path, panel, target)
        for variable in mappings(inner(content, "templating", "list")):
            query = variable.get("query")
            query = query if isinstance(query, str) else str(mapping(query).get("query", ""))
            for metric in _LABEL_VALUES.findall(query):
                self.metrics.append((item, f"{at}.templating.list[{variable.get('name', '')}]", metric))

    def _target(
        self, item: Object, path: str, panel: Mapping[str, Any], target: Mapping[str, Any]
    ) -> Iterator[Finding]:
        datasource = mapping(target.get("datasource")) or mapping(panel.get("datasource"))
        text, legend = target.get("expr"), target.get("legendFormat")
        if datasource.get("type", "prometheus") != "prometheus" or not isinstance(text, str) or not text.strip():
            return
        at = f"{path}.targets[{target.get('refId', '')}]"
        expression = _parsed(item, f"{at}.expr", without_variables(text))
        if isinstance(expression, Finding):
            yield expression
            return
        self.expressions.append(expression)
        yield from _without_le(expression, f"{at}.expr")
        if isinstance(legend, str):
            labels = (name for name in _LEGEND_LABEL.findall(legend) if name != "__name__")
            yield from _dropped_labels(expression, f"{at}.legendFormat", labels)


def _panels(at: str, dashboard: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the panels of a dashboard with their fields, also those inside of rows and other panels."""
    queue = [(f"{at}.panels", panel) for panel in mappings(dashboard.get("panels"))]
    for row in mappings(dashboard.get("rows")):
        queue += [(f"{at}.rows.panels", panel) for panel in mappings(row.get("panels"))]
    while queue:
        path, panel = queue.pop(0)
        here = f"{path}[{panel.get('title') or panel.get('id') or ''}]"
        yield here, panel
        queue += [(f"{here}.panels", inside) for inside in mappings(panel.get("panels"))]

"""Whether Prometheus can load rules, and whether alerts are of use to whoever gets them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.observability.expressions import Expression, dropped_labels, parsed
from constructs_lib.kubernetes.manifest import mappings, texts
from constructs_lib.prometheus.promql import seconds
from constructs_lib.text import closest

_LONGEST_WAIT = 24 * 3600
_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_VARIABLE = re.compile(r"\$(\w+)")
_ASSIGNED = re.compile(r"\$(\w+)(?:\s*,\s*\$(\w+))?\s*:?=")
_VARIABLES = {"labels", "externalLabels", "externalURL", "value"}
_SHOWN_LABEL = re.compile(r"\$labels\.(\w+)|index\s+\$labels\s+\"([^\"]+)\"")


@dataclass(frozen=True)
class Rule:
    """A rule of a PrometheusRule.

    Attributes:
        item: The PrometheusRule.
        at: Its field.
        group: Its group.
        content: The rule itself.
        expression: Its expression; a finding in its place if it is no PromQL, None if there is none.
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
    return [
        _rule(item, at, group, number, rule)
        for item in items
        for at, group in _groups(item)
        for number, rule in enumerate(mappings(group.get("rules")))
    ]


def _groups(item: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, group in enumerate(mappings(item.spec.get("groups"))):
        yield f"spec.groups[{group.get('name', number)}]", group


def _rule(item: Object, at: str, group: Mapping[str, Any], number: int, rule: Mapping[str, Any]) -> Rule:
    at = f"{at}.rules[{rule.get('alert') or rule.get('record') or number}]"
    text = rule.get("expr")
    is_text = isinstance(text, str | int | float) and not isinstance(text, bool)
    return Rule(item, at, group, rule, parsed(item, f"{at}.expr", str(text)) if is_text else None)


def prove_rules(items: Sequence[Object], rules: Sequence[Rule]) -> Iterator[Finding]:
    """Yield what is wrong with rules in themselves, whatever is scraped."""
    for item in items:
        names: set[str] = set()
        for at, group in _groups(item):
            name = str(group.get("name"))
            if name in names:
                problem = f"There is another group {name} in the same object."
                yield Finding.of("rule-group-duplicate", item, problem, at=at)
            names.add(name)
    for rule in rules:
        if isinstance(rule.expression, Finding):
            yield rule.expression
        if rule.alert is not None:
            yield from _alert(rule, rule.alert)
    yield from _duplicates(rules)


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
        problem = f"{waits} before it tells anybody."
        yield Finding.of("alert-timing", rule.item, problem, at=f"{rule.at}.for")
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
    if isinstance(rule.expression, Expression):
        yield from dropped_labels(rule.expression, at, (one or other for one, other in _SHOWN_LABEL.findall(inside)))


def _duplicates(rules: Iterable[Rule]) -> Iterator[Finding]:
    first: dict[tuple[str, str, str], str] = {}
    for rule in rules:
        kind = "alert" if "alert" in rule.content else "record"
        # Rules with one name and different labels are common: a warning and a critical alert, or parts of a system.
        labels = json.dumps(texts(rule.content.get("labels")), sort_keys=True)
        key = kind, str(rule.content.get(kind)), labels
        if key in first:
            problem = f"The {kind} {key[1]} with the same labels is in {first[key]} as well."
            yield Finding.of("rule-duplicate", rule.item, problem, at=rule.at)
        first.setdefault(key, f"group {rule.group.get('name')} of PrometheusRule {rule.item.name}")

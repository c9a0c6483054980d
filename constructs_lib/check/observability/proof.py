"""Whether failures are measured, alerted on and shown: rules, dashboards, and the metrics that they read."""

from collections.abc import Iterator

from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.monitors import OPERATOR_GROUP
from constructs_lib.check.observability.alertmanager import prove_alertmanager
from constructs_lib.check.observability.expressions import Dashboards, Expression, prove_rules, rules_of
from constructs_lib.check.observability.metrics import Exposed, Metrics, prove_coverage
from constructs_lib.check.observability.scraping import (
    prove_kept,
    prove_loaded,
    prove_scraped,
    prove_selected,
    prove_timeouts,
)
from constructs_lib.text import plural


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield what is wrong with rules and dashboards, with what they read, and with what scrapes it."""
    exposed, dashboards = Exposed(model), Dashboards(model)
    items = [item for item in model.kind("PrometheusRule") if item.group == OPERATOR_GROUP]
    rules = rules_of(items)
    yield from prove_rules(items, rules)
    yield from prove_alertmanager(model, rules)
    yield from dashboards.findings
    if exposed.stacks:
        yield from prove_loaded(model, dashboards.items, exposed.stacks[0])

    expressions = [rule.expression for rule in rules if isinstance(rule.expression, Expression)]
    recorded = [rule.content["record"] for rule in rules if isinstance(rule.content.get("record"), str)]
    yield from Metrics(exposed, recorded).prove(dashboards.metrics, [*expressions, *dashboards.expressions])
    yield from prove_selected(model, exposed, items)
    yield from prove_timeouts(model, exposed)
    yield from prove_scraped(model, exposed)
    yield from prove_kept(model, exposed)

    alerts = [rule.expression for rule in rules if rule.alert is not None and isinstance(rule.expression, Expression)]
    if alerts:
        yield from prove_coverage(model, exposed, alerts, "component-without-alerts", "no alert covers it")
    if panels := dashboards.expressions:
        yield from prove_coverage(model, exposed, panels, "component-without-dashboard", "no panel shows it")


PROOF = Proof(
    "observability",
    "What goes wrong is measured, alerted on and shown: rules and dashboards read metrics that are scraped.",
    prove,
    lambda model: plural(
        sum(1 for _ in model.kind("PodMonitor", "ServiceMonitor", "PrometheusRule")),
        "monitor or rule",
        "monitors and rules",
    ),
)

"""Expressions: what is checked in those of rules and in those of panels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.prometheus.promql import Query, parse


@dataclass(frozen=True)
class Expression:
    """An expression of a rule or a panel.

    Attributes:
        item: The object that holds it.
        at: Its field.
        query: What it reads, and what its result is.
    """

    item: Object
    at: str
    query: Query


def parsed(item: Object, at: str, text: str) -> Expression | Finding:
    """Return the expression in a field, or a finding if it is no PromQL."""
    try:
        return Expression(item, at, parse(text))
    except ValueError as error:
        return Finding.of("promql-invalid", item, f"The expression cannot be read: {error}.", at=at)


def dropped_labels(expression: Expression, at: str, shown: Iterable[str]) -> Iterator[Finding]:
    """Yield the labels that a text shows and that the result of its expression does not have."""
    labels = expression.query.labels
    for name in dict.fromkeys(shown):
        if name not in labels:
            left = f"only {', '.join(sorted(labels.only))}" if labels.only else "none of the kind"
            problem = f"It shows the label {name}, and the result of the expression has {left}."
            yield Finding.of("label-dropped", expression.item, problem, at=at)

"""What expressions in PromQL read and what comes out of them.

https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    MatchOp,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    ValueType,
    VectorMatchCardinality,
    VectorSelector,
)

_COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
_SETS = {"and", "or", "unless"}
#: Aggregations that keep the series that they choose, with all labels.
_CHOOSING = {"topk", "bottomk", "limitk", "limit_ratio"}
#: Functions of one point in time, or of none: what comes out has no labels.
_WITHOUT_LABELS = {"vector", "time", "scalar", "pi"}
#: Functions that need two points in their range, or give nothing.
_RATES = {"rate", "irate", "increase", "delta", "idelta", "deriv", "predict_linear"}

_DURATION_VARIABLES = re.compile(r"\$\{?__(?:rate_interval|interval|range)(?![a-z_])\}?")
_NUMBER_VARIABLES = re.compile(r"\$\{?__(?:interval_ms|range_s|range_ms|from|to)(?::\w+)*\}?")
_IN_BRACKETS = re.compile(r"\[(\s*)(?:\$\{\w+(?::\w+)?\}|\$\w+)")
_AS_NUMBER = re.compile(
    r"((?:topk|bottomk|limitk|limit_ratio|(?:histogram_)?quantile(?:_over_time)?)\s*\(\s*)(?:\$\{\w+(?::\w+)?\}|\$\w+)"
)
_VARIABLE = re.compile(r"\$\{\w+(?:[.:][\w.]+)?\}|\$\w+|\[\[\w+(?::\w+)?\]\]")
#: Stands for a variable of a dashboard whose value nobody knows.
PLACEHOLDER = "grafana_variable"


@dataclass(frozen=True)
class Selector:
    """What an expression reads.

    Attributes:
        metric: The name; empty if it is not said, or only by a pattern.
        matchers: Label, operator and value of every condition.
        seconds: How far back it reads; None for an instant.
        function: The function that needs two points in that time; empty if none does.
    """

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    seconds: float | None
    function: str

    def admits(self, label: str, value: str) -> bool:
        """Tell whether series with a value of a label can be among those that are read."""
        return all(_matches(operator, wanted, value) for name, operator, wanted in self.matchers if name == label)

    def constrains(self, label: str) -> bool:
        """Tell whether there is a condition on a label."""
        return any(name == label for name, _, _ in self.matchers)


@dataclass(frozen=True)
class Labels:
    """Which labels the result of an expression may have.

    Attributes:
        only: No others than these; None if there may be any.
        without: None of these.
    """

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def __contains__(self, label: str) -> bool:
        return label not in self.without and (self.only is None or label in self.only)

    def by(self, labels: frozenset[str]) -> Labels:
        """Return what is left of these labels if all others are dropped."""
        return Labels(frozenset(label for label in labels if label in self))

    def dropping(self, labels: frozenset[str]) -> Labels:
        """Return what is left without some labels."""
        only = None if self.only is None else self.only - labels
        return Labels(only, self.without | labels)

    def adding(self, labels: frozenset[str]) -> Labels:
        """Return these labels and some more."""
        only = None if self.only is None else self.only | labels
        return Labels(only, self.without - labels)

    def or_else(self, other: Labels) -> Labels:
        """Return what either of two results may have."""
        both = None if self.only is None or other.only is None else self.only | other.only
        neither = (label for label in self.without | other.without if label not in self and label not in other)
        return Labels(both, frozenset(neither))


class Query:
    """One expression."""

    def __init__(self, text: str) -> None:
        """Parse an expression.

        Raises:
            ValueError: It is no PromQL; the message says what is wrong.
        """
        try:
            self._root: Expr = promql_parser.parse(text)
            self.selectors: tuple[Selector, ...] = tuple(_selectors(self._root, ""))
            self.labels: Labels = _labels(self._root)
            self.has_condition: bool = _has_condition(self._root)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def without_variables(text: str) -> str:
    """Return an expression of a dashboard in which Grafana's variables have values.

    https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/
    """
    text = _DURATION_VARIABLES.sub("5m", text)
    text = _NUMBER_VARIABLES.sub("300", text)
    text = _IN_BRACKETS.sub(r"[\g<1>5m", text)
    text = _AS_NUMBER.sub(r"\g<1>1", text)
    return _VARIABLE.sub(PLACEHOLDER, text)


def seconds(text: object) -> float | None:
    """Return a duration such as ``5m`` in seconds; None if it is none."""
    if text in ("0", "0s"):
        return 0.0
    if not isinstance(text, str) or text.isdecimal():
        return None
    try:
        return promql_parser.parse_duration(text).total_seconds()
    except (ValueError, OverflowError):
        return None


def _matches(operator: str, wanted: str, value: str) -> bool:
    if PLACEHOLDER in wanted:
        return True
    if operator in ("=", "!="):
        return (wanted == value) is (operator == "=")
    try:
        found = re.fullmatch(wanted, value) is not None
    except re.error:
        return True
    return found is (operator == "=~")


_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def _selector(selector: VectorSelector, range_seconds: float | None, function: str) -> Selector:
    matchers = tuple(
        (
            matcher.name,
            next(sign for name, sign in _OPERATORS.items() if matcher.op == getattr(MatchOp, name)),
            matcher.value,
        )
        for matcher in selector.matchers.matchers
    )
    named = next((value for name, sign, value in matchers if name == "__name__" and sign == "="), "")
    return Selector(selector.name or named, matchers, range_seconds, function)


def _children(part: Expr) -> list[Expr]:
    if isinstance(part, AggregateExpr):
        return [part.expr, *([part.param] if isinstance(part.param, Expr) else [])]
    if isinstance(part, BinaryExpr):
        return [part.lhs, part.rhs]
    if isinstance(part, Call):
        return list(part.args)
    if isinstance(part, ParenExpr | UnaryExpr | SubqueryExpr):
        return [part.expr]
    return []


def _selectors(part: Expr, function: str) -> Iterator[Selector]:
    if isinstance(part, VectorSelector):
        yield _selector(part, None, "")
    elif isinstance(part, MatrixSelector):
        yield _selector(part.vector_selector, part.range.total_seconds(), function)
    else:
        inside = part.func.name if isinstance(part, Call) and part.func.name in _RATES else ""
        for child in _children(part):
            yield from _selectors(child, inside)


def _is_scalar(part: Expr) -> bool:
    if isinstance(part, NumberLiteral | StringLiteral):
        return True
    if isinstance(part, Call):
        return bool(part.func.return_type == ValueType.Scalar)
    if isinstance(part, ParenExpr | UnaryExpr):
        return _is_scalar(part.expr)
    return isinstance(part, BinaryExpr) and _is_scalar(part.lhs) and _is_scalar(part.rhs)


def _labels(part: Expr) -> Labels:
    if isinstance(part, VectorSelector | MatrixSelector):
        return Labels()
    if isinstance(part, AggregateExpr):
        return _aggregated(part)
    if isinstance(part, BinaryExpr):
        return _combined(part)
    if isinstance(part, Call):
        return _called(part)
    children = _children(part)
    return _labels(children[0]) if children else Labels(frozenset())


def _aggregated(part: AggregateExpr) -> Labels:
    inside = _labels(part.expr)
    operator = str(part.op)
    if operator in _CHOOSING:
        return inside
    named = frozenset(part.modifier.labels) if part.modifier else frozenset()
    if PLACEHOLDER in named:
        return Labels()
    is_without = part.modifier is not None and part.modifier.type == AggModifierType.Without
    found = inside.dropping(named) if is_without else inside.by(named)
    if operator == "count_values" and isinstance(part.param, StringLiteral):
        return found.adding(frozenset((part.param.val,)))
    return found


def _combined(part: BinaryExpr) -> Labels:
    """See resultMetric in promql/engine.go of Prometheus."""
    if _is_scalar(part.lhs):
        return _labels(part.rhs)
    left = _labels(part.lhs)
    if _is_scalar(part.rhs):
        return left
    right = _labels(part.rhs)
    operator = str(part.op)
    if operator in _SETS:
        return left.or_else(right) if operator == "or" else left
    modifier = part.modifier
    if modifier is None:
        return left
    more = frozenset(modifier.group_labels or ())
    if modifier.card == VectorMatchCardinality.ManyToOne:
        return left.adding(more)
    if modifier.card == VectorMatchCardinality.OneToMany:
        return right.adding(more)
    if modifier.matching is None:
        return left
    named = frozenset(modifier.matching.labels)
    return left.by(named) if modifier.matching.type == LabelModifierType.Include else left.dropping(named)


def _called(part: Call) -> Labels:
    name = part.func.name
    if name in _WITHOUT_LABELS or not part.args:
        return Labels(frozenset())
    if name in ("absent", "absent_over_time"):
        equal = (
            label
            for selector in _selectors(part, "")
            for label, operator, _ in selector.matchers
            if operator == "=" and label != "__name__"
        )
        return Labels(frozenset(equal))
    inside = next((_labels(child) for child in part.args if not _is_scalar(child)), Labels())
    if name in ("label_replace", "label_join"):
        target = part.args[1]
        return inside.adding(frozenset((target.val,))) if isinstance(target, StringLiteral) else inside
    if name == "histogram_quantile":
        return inside.dropping(frozenset(("le",)))
    # It adds labels of other metrics, which nobody can know.
    return Labels() if name == "info" else inside


def _has_condition(part: Expr) -> bool:
    if isinstance(part, BinaryExpr):
        is_filter = str(part.op) in _COMPARISONS and not (part.modifier and part.modifier.return_bool)
        if is_filter or str(part.op) in ("and", "unless"):
            return True
    if isinstance(part, Call) and part.func.name in ("absent", "absent_over_time", "vector"):
        return True
    return any(_has_condition(child) for child in _children(part))

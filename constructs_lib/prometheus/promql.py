"""What a PromQL expression reads, and which labels its result has.

https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import jsonschema_rs
import promql_parser as ql

_COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
_SETS = {"and", "or", "unless"}
#: Aggregations that keep the series that they choose, with all labels.
_CHOOSING = {"topk", "bottomk", "limitk", "limit_ratio"}
#: Functions whose result has no labels.
_WITHOUT_LABELS = {"vector", "time", "scalar", "pi"}
#: Functions that give nothing for a range with a single sample.
_RATES = {"rate", "irate", "increase", "delta", "idelta", "deriv", "predict_linear"}

_DURATION_VARIABLES = re.compile(r"\$\{?__(?:rate_interval|interval|range)(?![a-z_])\}?")
_NUMBER_VARIABLES = re.compile(r"\$\{?__(?:interval_ms|range_s|range_ms|from|to)(?::\w+)*\}?")
_IN_BRACKETS = re.compile(r"\[(\s*)(?:\$\{\w+(?::\w+)?\}|\$\w+)")
_AS_NUMBER = re.compile(
    r"((?:topk|bottomk|limitk|limit_ratio|(?:histogram_)?quantile(?:_over_time)?)\s*\(\s*)(?:\$\{\w+(?::\w+)?\}|\$\w+)"
)
_VARIABLE = re.compile(r"\$\{\w+(?:[.:][\w.]+)?\}|\$\w+|\[\[\w+(?::\w+)?\]\]")
#: Replaces a variable of a dashboard whose value is not known.
PLACEHOLDER = "grafana_variable"

#: The most characters of an expression, and the most operators and brackets in it: promql_parser takes memory that
#: grows with the square of their number, 27 MB for these.
_MOST_CHARACTERS, _MOST_PARTS = 20_000, 300
#: How often parts of regular expressions may be repeated in an expression, because each repetition is compiled.
_MOST_REPETITIONS = 1_000
#: One that does not end goes on to the end.
_TEXT = re.compile(r"""\"(?:[^"\\]|\\.)*(?:"|\\?\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z)|`[^`]*(?:`|\Z)""", re.DOTALL)
_REPETITION = re.compile(r"\{(\d{1,9})(?:,(\d{0,9}))?\}")
_PART = re.compile(r"[-+*/%^<>=!({\[]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_MATCHERS = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Selector:
    """A selector in an expression: the series that it reads.

    Attributes:
        metric: The name of the metric; empty if there is none, or only a pattern.
        matchers: Label, operator and value of every condition.
        seconds: The range in seconds; None for an instant.
        function: The function around it that needs two samples in the range; empty if there is none.
    """

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    seconds: float | None
    function: str

    def admits(self, label: str, value: str) -> bool:
        """Tell whether it may select series in which a label has this value."""
        return all(_matches(operator, wanted, value) for name, operator, wanted in self.matchers if name == label)

    def excluded_by(self, other: Selector) -> Iterator[str]:
        """Yield labels that have no value in common with another selector, as far as an example of each tells."""
        for label, operator, wanted in self.matchers:
            value = wanted if operator == "=" else _example(wanted) if operator == "=~" else None
            if value is not None and not other.admits(label, value):
                yield label

    def constrains(self, label: str) -> bool:
        """Tell whether there is a condition on a label."""
        return any(name == label for name, _, _ in self.matchers)


@dataclass(frozen=True)
class Labels:
    """Which labels the result of an expression may have.

    Attributes:
        only: The only labels that there may be; None for any.
        without: Labels that there are not.
    """

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def __contains__(self, label: str) -> bool:
        return label not in self.without and (self.only is None or label in self.only)

    def by(self, labels: frozenset[str]) -> Labels:
        """Return the labels after ``by``, which drops all but the given ones."""
        return Labels(frozenset(label for label in labels if label in self))

    def dropping(self, labels: frozenset[str]) -> Labels:
        """Return the labels without the given ones."""
        only = None if self.only is None else self.only - labels
        return Labels(only, self.without | labels)

    def adding(self, labels: frozenset[str]) -> Labels:
        """Return the labels and the given ones."""
        only = None if self.only is None else self.only | labels
        return Labels(only, self.without - labels)

    def or_else(self, other: Labels) -> Labels:
        """Return the labels that either of two results may have."""
        both = None if self.only is None or other.only is None else self.only | other.only
        neither = (label for label in self.without | other.without if label not in self and label not in other)
        return Labels(both, frozenset(neither))


@dataclass(frozen=True)
class Query:
    """One expression.

    Attributes:
        selectors: What it reads.
        labels: Which labels its result may have.
        has_condition: Whether it leaves out series by their values, as an alert must; or by their labels, where these
            are what a series tells, since its value is always 1.
        without_le: The buckets of which it takes a quantile after their label ``le`` was dropped, so that it has none.
    """

    selectors: tuple[Selector, ...]
    labels: Labels
    has_condition: bool
    without_le: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def parse(text: str) -> Query:
    """Parse an expression. The same expression is parsed once: environments share most of theirs.

    Raises:
        ValueError: It is no PromQL, or too large; the message says what is wrong.
    """
    _demand_size(text)
    try:
        root: ql.Expr = ql.parse(text)
        return Query(tuple(_selectors(root, "")), _labels(root), _has_condition(root), tuple(_without_le(root)))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _demand_size(text: str) -> None:
    """Refuse an expression that would take too much to parse, with :class:`ValueError`."""
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"it has more than {_MOST_CHARACTERS} characters")
    if len(_PART.findall(_MATCHERS.sub("", _TEXT.sub("", text)))) > _MOST_PARTS:
        raise ValueError(f"it has more than {_MOST_PARTS} operators and brackets")
    repetitions = (_REPETITION.findall(each) for each in _TEXT.findall(text))
    if sum(prod(int(most or least) for least, most in each) for each in repetitions if each) > _MOST_REPETITIONS:
        raise ValueError(f"its regular expressions repeat parts more than {_MOST_REPETITIONS} times")


def without_variables(text: str) -> str:
    """Return an expression of a dashboard with values in place of Grafana's variables.

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
        return ql.parse_duration(text).total_seconds()
    except (ValueError, OverflowError):
        return None


def _matches(operator: str, wanted: str, value: str) -> bool:
    if PLACEHOLDER in wanted:
        return True
    if operator in ("=", "!="):
        return (wanted == value) is (operator == "=")
    pattern = _pattern(wanted)
    return pattern is None or pattern.is_valid(value) is (operator == "=~")


@lru_cache(maxsize=1024)
def _pattern(text: str) -> jsonschema_rs.Validator | None:
    """Return what tells whether a text matches a regular expression as a whole; None if it cannot be read.

    Patterns come from trees that nobody trusts: Python's own would take time that grows exponentially with some, where
    this engine's grows with the text, as that of Prometheus does.
    """
    # JSON schemas do not have the classes of POSIX.
    if "[:" in text:
        return None
    schema = {"pattern": f"^(?s:{text})$"}
    try:
        return jsonschema_rs.Draft202012Validator(schema, pattern_options=jsonschema_rs.RegexOptions(1_000_000))
    except jsonschema_rs.ValidationError:
        return None


def _example(pattern: str) -> str | None:
    """Return a text that a simple pattern matches; None if it is not simple."""
    first = pattern.partition("|")[0].strip("()^$")
    found = re.sub(r"\.[*+]|\\(.)|\.", lambda match: match[1] or "0", first)
    return found if _matches("=~", pattern, found) else None


_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def _selector(selector: ql.VectorSelector, range_seconds: float | None, function: str) -> Selector:
    matchers = tuple(
        (
            matcher.name,
            next(sign for name, sign in _OPERATORS.items() if matcher.op == getattr(ql.MatchOp, name)),
            matcher.value,
        )
        for matcher in selector.matchers.matchers
    )
    named = next((value for name, sign, value in matchers if name == "__name__" and sign == "="), "")
    return Selector(selector.name or named, matchers, range_seconds, function)


def _children(part: ql.Expr) -> list[ql.Expr]:
    if isinstance(part, ql.AggregateExpr):
        return [part.expr, *([part.param] if isinstance(part.param, ql.Expr) else [])]
    if isinstance(part, ql.BinaryExpr):
        return [part.lhs, part.rhs]
    if isinstance(part, ql.Call):
        return list(part.args)
    if isinstance(part, ql.ParenExpr | ql.UnaryExpr | ql.SubqueryExpr):
        return [part.expr]
    return []


def _selectors(part: ql.Expr, function: str) -> Iterator[Selector]:
    if isinstance(part, ql.VectorSelector):
        yield _selector(part, None, "")
    elif isinstance(part, ql.MatrixSelector):
        yield _selector(part.vector_selector, part.range.total_seconds(), function)
    else:
        inside = part.func.name if isinstance(part, ql.Call) and part.func.name in _RATES else ""
        for child in _children(part):
            yield from _selectors(child, inside)


def _without_le(part: ql.Expr) -> Iterator[str]:
    """Yield the classic histograms of which a quantile is taken without ``le``; native ones have no buckets."""
    if isinstance(part, ql.Call) and part.func.name == "histogram_quantile" and len(part.args) > 1:
        buckets = part.args[1]
        metrics = [selector.metric for selector in _selectors(buckets, "")]
        if metrics and all(name.endswith("_bucket") for name in metrics) and "le" not in _labels(buckets):
            yield metrics[0]
    for child in _children(part):
        yield from _without_le(child)


def _is_scalar(part: ql.Expr) -> bool:
    if isinstance(part, ql.NumberLiteral | ql.StringLiteral):
        return True
    if isinstance(part, ql.Call):
        return bool(part.func.return_type == ql.ValueType.Scalar)
    if isinstance(part, ql.ParenExpr | ql.UnaryExpr):
        return _is_scalar(part.expr)
    return isinstance(part, ql.BinaryExpr) and _is_scalar(part.lhs) and _is_scalar(part.rhs)


def _labels(part: ql.Expr) -> Labels:
    if isinstance(part, ql.VectorSelector | ql.MatrixSelector):
        return Labels()
    if isinstance(part, ql.AggregateExpr):
        return _aggregated(part)
    if isinstance(part, ql.BinaryExpr):
        return _combined(part)
    if isinstance(part, ql.Call):
        return _called(part)
    children = _children(part)
    return _labels(children[0]) if children else Labels(frozenset())


def _aggregated(part: ql.AggregateExpr) -> Labels:
    inside = _labels(part.expr)
    operator = str(part.op)
    if operator in _CHOOSING:
        return inside
    named = frozenset(part.modifier.labels) if part.modifier else frozenset()
    if PLACEHOLDER in named:
        return Labels()
    is_without = part.modifier is not None and part.modifier.type == ql.AggModifierType.Without
    found = inside.dropping(named) if is_without else inside.by(named)
    if operator == "count_values" and isinstance(part.param, ql.StringLiteral):
        return found.adding(frozenset((part.param.val,)))
    return found


def _combined(part: ql.BinaryExpr) -> Labels:
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
    if modifier.card == ql.VectorMatchCardinality.ManyToOne:
        return left.adding(more)
    if modifier.card == ql.VectorMatchCardinality.OneToMany:
        return right.adding(more)
    if modifier.matching is None:
        return left
    named = frozenset(modifier.matching.labels)
    return left.by(named) if modifier.matching.type == ql.LabelModifierType.Include else left.dropping(named)


def _called(part: ql.Call) -> Labels:
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
        return inside.adding(frozenset((target.val,))) if isinstance(target, ql.StringLiteral) else inside
    if name == "histogram_quantile":
        return inside.dropping(frozenset(("le",)))
    # info() adds the labels of other metrics, which are not known here.
    return Labels() if name == "info" else inside


def _has_condition(part: ql.Expr) -> bool:
    if isinstance(part, ql.BinaryExpr):
        is_filter = str(part.op) in _COMPARISONS and not (part.modifier and part.modifier.return_bool)
        if is_filter or str(part.op) in ("and", "unless"):
            return True
    if isinstance(part, ql.Call) and part.func.name in ("absent", "absent_over_time", "vector"):
        return True
    if isinstance(part, ql.VectorSelector):
        found = _selector(part, None, "")
        is_told_by_labels = found.metric.endswith("_info") or found.metric == "ALERTS"
        return is_told_by_labels and any(name not in ("job", "instance") for name, _, _ in found.matchers)
    return any(_has_condition(child) for child in _children(part))

"""What expressions read, and which labels are left of it."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from constructs_lib.prometheus.promql import parse, seconds, without_variables
from constructs_lib.prometheus.sources import sources

LABELS: dict[str, str] = {
    # An expression, the labels among a, b and c that its result may have.
    "x": "abc",
    "sum(x)": "",
    "sum by (a, b) (x)": "ab",
    "sum without (a) (x)": "bc",
    "sum by (a, b) (sum by (b, c) (x))": "b",
    "sum without (a) (sum by (a, b) (x))": "b",
    "topk(3, sum by (a) (x))": "a",
    "topk by (b) (3, x)": "abc",
    'count_values("c", x)': "c",
    "rate(x[5m])": "abc",
    "histogram_quantile(0.9, sum by (le, a) (rate(x[5m])))": "a",
    "sum by (a) (x) > 5": "a",
    "5 < sum by (a) (x)": "a",
    "x / y": "abc",
    "x / on (a) y": "a",
    "x / ignoring (a) y": "bc",
    "sum by (a) (x) * on (a) group_left (b) y": "ab",
    "y * on (a) group_right (b) sum by (a, c) (x)": "abc",
    "sum by (a) (x) and on () vector(1)": "a",
    "sum by (a) (x) or sum by (b) (x)": "ab",
    "sum without (a) (x) or sum by (b) (x)": "bc",
    "sum by (a) (x) unless y": "a",
    'absent(x{a="1", b=~"2"})': "a",
    "vector(1)": "",
    'label_replace(sum(x), "a", "$1", "b", ".*")': "a",
    'label_join(sum by (b) (x), "a", "-", "b")': "ab",
    "max_over_time(sum by (a) (x)[1h:5m])": "a",
    "-sum by (a) (x)": "a",
}


@pytest.mark.parametrize("expression", LABELS)
def test_labels_that_are_left(expression: str) -> None:
    labels = parse(expression).labels
    assert "".join(label for label in "abc" if label in labels) == LABELS[expression]


CONDITIONS = {
    "x > 0": True,
    "x == bool 1": False,
    "rate(x[5m])": False,
    "absent(x)": True,
    "sum(x) and on () (y > 1)": True,
    "vector(1)": True,
    "x unless y": True,
    "x or y": False,
    "sum(x > 1)": True,
    "x * 100": False,
}


@pytest.mark.parametrize("expression", CONDITIONS)
def test_conditions(expression: str) -> None:
    assert parse(expression).has_condition is CONDITIONS[expression]


def test_what_is_read() -> None:
    query = parse('rate(x{a="1",b!~"2|3"}[5m] offset 1h) / {__name__="y"} + max_over_time(z[1m]) + {__name__=~"w.*"}')
    assert [(found.metric, found.seconds, found.function) for found in query.selectors] == [
        ("x", 300, "rate"),
        ("y", None, ""),
        ("z", 60, ""),
        ("", None, ""),
    ]
    first = query.selectors[0]
    assert first.admits("a", "1")
    assert not first.admits("a", "2")
    assert not first.admits("b", "3")
    assert first.admits("b", "33")
    assert first.admits("c", "")


@pytest.mark.parametrize("text", ["sum by (", "rate(x)", "nosuch(x)", "x[5m", "x and 1", ""])
def test_no_promql(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(" * 5_000 + "x" + ")" * 5_000, "more than 300 operators and brackets"),
        ("x" + "+x" * 5_000, "more than 300 operators and brackets"),
        ("-" * 4_000 + "x", "more than 300 operators and brackets"),
        ("x" + " or x" * 301, "more than 300 operators and brackets"),
        ("(" * 200_000, "more than 20000 characters"),
        ("'\\'" * 6_000, "escape|string|unexpected character"),
        ('x{a=~"(a{30}){30}", b=~"b{200}"}', "repeat parts more than 1000 times"),
    ],
)
def test_an_expression_that_would_take_too_much_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(text)


def test_an_expression_with_very_many_series_is_read() -> None:
    matchers = ", ".join(f'l{number}="{{+-*/(["' for number in range(400))
    [selector] = parse(f"sum(x{{{matchers}}}) - 1").selectors
    assert len(selector.matchers) == 400


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)b"])
def test_a_pattern_cannot_take_for_ever(pattern: str) -> None:
    before = time.process_time()
    [selector] = parse(f'x{{n=~"{pattern}"}}').selectors
    assert not selector.admits("n", "a" * 5_000)
    assert selector.admits("n", "a" * 5_000 + "b")
    assert time.process_time() - before < 60


def test_patterns_are_read_as_prometheus_reads_them() -> None:
    for pattern, text, fits in (
        ("prod.*", "prod\nx", True),
        ("a|b", "ab", False),
        ("(?i)AB", "ab", True),
        (r"\\d+", "12", True),
        # Of these nobody can tell; whoever cannot be told is admitted.
        ("[[:alpha:]]+", "ab", True),
        ("a{,2}", "b", True),
    ):
        [selector] = parse(f'x{{n=~"{pattern}"}}').selectors
        assert selector.admits("n", text) is fits, pattern


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(x[$__rate_interval])", "rate(x[5m])"),
        ("rate(x[${window}])", "rate(x[5m])"),
        ("x / $__range_s", "x / 300"),
        ("topk($n, x)", "topk(1, x)"),
        ("sum by ($by) (x)", "sum by (grafana_variable) (x)"),
        ('x{a=~"${a:regex}", b="[[b]]"}', 'x{a=~"grafana_variable", b="grafana_variable"}'),
        ("rate(x[5m])", "rate(x[5m])"),
    ],
)
def test_variables_of_dashboards(text: str, expected: str) -> None:
    assert without_variables(text) == expected
    parse(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5m", 300),
        ("1h30m", 5400),
        ("0s", 0),
        ("0", 0),
        ("1w", 604800),
        ("5", None),
        (5, None),
        ("5 m", None),
        (None, None),
    ],
)
def test_durations(text: object, expected: float | None) -> None:
    assert seconds(text) == expected


def test_sources_say_where_they_are_documented() -> None:
    names = [name for source in sources() for name in source.names]
    # Every SDK of OpenTelemetry has this one; all others tell where they come from.
    assert [name for name, count in Counter(names).items() if count > 1] == ["target_info"]
    for source in sources():
        assert source.prefixes or source.patterns, source.name
        assert all(source.has(name) for name in source.names)
        # The names of OpenTelemetry's conventions are those of any program that follows them.
        shared = ("db_client_", "http_", "rpc_", "target_info") if source.name.startswith("opentelemetry-") else ()
        assert all(name.startswith((*source.prefixes, *shared)) for name in source.names), source.name
        assert not {*source.prefixes} & {*shared}

"""Names in expressions."""

from __future__ import annotations

from constructs_lib.prometheus.rules import one_of


def test_names_in_expressions_are_escaped() -> None:
    """In PromQL a backslash begins an escape, as in Go: that of the regular expression is written twice."""
    assert one_of(["web"]) == '="web"'
    assert one_of(["web-1", "web-2"]) == '=~"web-1|web-2"'
    assert one_of(["orders.v1", "b"]) == r'=~"orders\\.v1|b"'
    assert one_of(['a"b']) == r'="a\"b"'
    assert one_of(["a\\b"]) == r'="a\\b"'

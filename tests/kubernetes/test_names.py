"""What the functions of k8s.io/apimachinery/pkg/util/validation (0.34) said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from constructs_lib.kubernetes import names

LABELS = ["a", "0", "web-2", "a" * 63]
NO_LABELS = ["", "A", "-a", "a-", "a_b", "a.b", "wéb", "a b", "a\n", "a" * 64]


def relaxed(text: str) -> bool:
    return names.is_variable(text, (1, 36))


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.is_label, LABELS, NO_LABELS),
        (names.is_label_1035, ["a", "web-2"], ["0", "2-web", "", "a-", "a" * 64]),
        (names.is_subdomain, ["a", "a.b", "a-b.c9", "a" * 253], ["A", "a_b", "a-", "a..b", ".a", "", "a\n", "a" * 254]),
        (names.is_label_value, ["", "a", "A_b.c-9", "a" * 63], ["-a", "a-", "a b", "ä", "a" * 64, "a\n"]),
        (names.is_label_key, ["a", "a.b/c", "A_b", "team"], ["", "/a", "a/", "a/b/c", "a_b/c", "A.b/c", "x" * 64]),
        (names.is_port_name, ["http", "a-1", "9a", "p" * 15], ["", "1", "a--b", "-a", "A", "a_b", "x" * 16]),
        (names.is_config_key, ["a", ".a", "A_b-c.d", "a" * 253], ["", ".", "..", "..a", "a/b", "a b", "a" * 254]),
        (names.is_variable, ["PORT", "_x", "A-B", "a.b", ".a"], ["", "1A", "A B", "Ä", "A=", ".", "..", "..a"]),
        (relaxed, ["PORT", "1A", "A B", "..", "$"], ["", "A=", "Ä", "A\n"]),
        (names.is_path_segment, ["a", "system:node", "A b"], ["", ".", "..", "a/b", "a%b"]),
    ],
)
def test_names(check: Callable[[str], bool], good: list[str], bad: list[str]) -> None:
    assert {text: check(text) for text in (*good, *bad)} == dict.fromkeys(good, True) | dict.fromkeys(bad, False)

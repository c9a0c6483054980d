"""Types of arguments: what fits its declaration, and how a misfit is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from constructs_lib import Autoscale, Http, InternetHost, Kind, Resources, Rule, Tcp, generated, plain, supplied
from constructs_lib.declare.arguments import misfits
from constructs_lib.declare.secret import Field, Plain, Secret


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("web", str),
        (None, str | None),
        (3, int | Autoscale),
        (Autoscale(1, 2), int | Autoscale),
        (True, bool),
        ("strict", Literal["strict", "lax"]),
        ({"http": 8080}, Mapping[str, int]),
        ({}, Mapping[str, int]),
        ({"A": "a", "B": generated("x"), "C": plain("y")}, Mapping[str, str | Secret | Field | Plain] | None),
        ([Path("a.sql")], Sequence[Path]),
        ((), Sequence[Path]),
        (("a", "b"), tuple[str, ...]),
        (["a", "b"], tuple[str, ...]),
        (({"app": "web"}, (1, 2)), tuple[Mapping[str, str], tuple[int, ...]]),
        ({"a": [1, object()]}, Mapping[str, Any]),
        (object(), Any),
        (Rule(("pods",), ("get",)), Rule),
    ],
)
def test_fits(value: object, annotation: Any) -> None:
    assert [*misfits("argument", value, annotation)] == []


@pytest.mark.parametrize(
    ("value", "annotation", "told"),
    [
        (None, str, "a text is needed, not None."),
        (8080, str, 'a text is needed, not 8080; write "8080".'),
        ("8080", int, 'a whole number is needed, not "8080"; write 8080.'),
        (True, int, "a whole number is needed, not True."),
        (1, bool, "True or False is needed, not 1."),
        (1.0, int, "a whole number is needed, not 1.0."),
        ("x", Literal["strict", "lax"], '"strict" or "lax" is needed, not "x".'),
        ("a.sql", Path | None, 'a path such as Path("…") or None is needed, not "a.sql".'),
        ("a.sql", Sequence[Path], 'a list such as [Path("…")] is needed, not "a.sql".'),
        ({"a"}, Sequence[str], 'a list such as ["…"] is needed, not a set.'),
        (("a", "b", "c"), tuple[str, int], 'a list such as ("…", 1) is needed, not a tuple.'),
        ("http", Http | Tcp | None, 'Http(…), Tcp(…) or None is needed, not "http".'),
        (["http"], Mapping[str, int], 'a mapping such as {"…": 1} is needed, not a list.'),
        (Autoscale, int | Autoscale, "a whole number or Autoscale(…) is needed, not an object of type type."),
    ],
)
def test_misfit(value: object, annotation: Any, told: str) -> None:
    assert [*misfits("argument", value, annotation)] == [f"argument: {told}"]


def test_every_wrong_part_is_told() -> None:
    hosts = [InternetHost("a.example"), "b.example", InternetHost("c.example", "443")]  # type: ignore[arg-type]
    assert [*misfits("internet", hosts, Sequence[InternetHost])] == [
        'internet[1]: InternetHost(…) is needed, not "b.example".',
        'internet[2], port: a whole number is needed, not "443"; write 443.',
    ]


def test_wrong_keys_and_values_are_told() -> None:
    assert [*misfits("ports", {"http": "x", 5: 8080}, Mapping[str, int])] == [
        'ports, http: a whole number is needed, not "x".',
        'ports, a key: a text is needed, not 5; write "5".',
    ]


def test_field_of_a_value_is_told() -> None:
    resources = Resources(1, "1Gi")  # type: ignore[arg-type]
    assert [*misfits("resources", resources, Resources)] == ['resources, cpu: a text is needed, not 1; write "1".']


def test_hint_for_a_number_of_bytes_has_its_unit() -> None:
    """What a hint says to write is accepted; "10" would not be."""
    assert [*misfits("storage", 10, str)] == ['storage: a text is needed, not 10; write it like "10Gi".']
    resources = Resources("1", 512, 1024)  # type: ignore[arg-type]
    assert [*misfits("resources", resources, Resources)] == [
        'resources, memory: a text is needed, not 512; write it like "256Mi".',
        'resources, memory_limit: a text or None is needed, not 1024; write it like "512Mi".',
    ]


def test_hint_for_an_entry_that_is_called_like_a_number_of_bytes_has_no_unit() -> None:
    assert [*misfits("env", {"memory": 512}, Mapping[str, str])] == [
        'env, memory: a text is needed, not 512; write "512".'
    ]


def test_text_in_the_place_of_a_secret_is_not_repeated() -> None:
    told = [*misfits("files", {"/etc/web/key": "hunter2"}, Mapping[str, Secret])]
    assert told == ['files, /etc/web/key: generated("…") or supplied("…") is needed, not a text.']


def test_half_a_character_is_told() -> None:
    [told] = misfits("purpose", supplied("\ud83d"), Secret)
    assert told == 'purpose, purpose: the text "\\ud83d" has half a character (a surrogate), which no file can hold.'


def test_types_of_a_class_of_ones_own_may_be_unknown() -> None:
    class Cached(Kind):
        size: Unknown  # type: ignore[name-defined]  # noqa: F821

    assert [*misfits("kinds", [Cached("apps", "Deployment")], Sequence[Kind])] == []

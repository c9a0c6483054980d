"""Rules that are a table: fields with the values, and the ranges, that the API server takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.schemas.openapi import Steps, path_text
from constructs_lib.text import given, nearest, sentence

#: A field, such as ``ports.*.protocol``, and its values.
Enum = tuple[str, tuple[str, ...]]
#: A field, the least of its numbers, and the greatest if there is one.
Range = tuple[str, int, int | None]


@cache
def _steps(field: str) -> tuple[str, ...]:
    return tuple(field.split("."))


def values(part: object, steps: Sequence[str], at: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Yield every value at a path below a part of a manifest, with its own path; ``*`` stands for all of a list."""
    for position, step in enumerate(steps):
        if step == "*":
            if isinstance(part, list):
                for index, item in enumerate(part):
                    yield from values(item, steps[position + 1 :], (*at, index))
            return
        if not isinstance(part, dict) or step not in part:
            return
        part = part[step]
        at = (*at, step)
    yield at, part


def enum_findings(item: Object, part: Mapping[str, Any], enums: Sequence[Enum], at: str) -> Iterator[Finding]:
    """Yield the fields whose text is none of those that are allowed.

    Args:
        item: The object.
        part: The part of it that the table is about.
        enums: The table.
        at: Where the part stands.
    """
    for field, allowed in enums:
        for steps, value in values(part, _steps(field)):
            if isinstance(value, str) and value not in allowed:
                fix = sentence(nearest(value, [text for text in allowed if text]))
                yield Finding.of(
                    "bad-value", item, f"{given(value)} is not allowed here.", at=_below(at, steps), fix=fix
                )


def range_findings(item: Object, part: Mapping[str, Any], ranges: Sequence[Range], at: str) -> Iterator[Finding]:
    """Yield the fields whose number is out of range.

    Args:
        item: The object.
        part: The part of it that the table is about.
        ranges: The table.
        at: Where the part stands.
    """
    for field, least, most in ranges:
        for steps, value in values(part, _steps(field)):
            if isinstance(value, bool) or not isinstance(value, int):
                continue
            if value < least or (most is not None and value > most):
                wanted = f"at least {least}" if most is None else f"from {least} to {most}"
                fix = f"A whole number {wanted} is needed."
                yield Finding.of("bad-range", item, f"{value} is out of range.", at=_below(at, steps), fix=fix)


def _below(at: str, steps: Steps) -> str:
    below = path_text(steps)
    return f"{at}.{below}" if at else below

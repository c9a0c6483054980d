"""What can be wrong with the fields of an object."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from constructs_lib.text import given, nearest, sentence

Key = TypeVar("Key", bound=Hashable)
#: Keys and numbers that lead to a part of a manifest.
Steps = tuple[str | int, ...]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an object.

    Attributes:
        code: The code of the check that looks for it.
        at: The field, such as ``spec.ports[0].name``.
        problem: What is wrong, in a sentence.
        fix: What would be right; empty if the check says it already.
    """

    code: str
    at: str
    problem: str
    fix: str = ""


Faults = Iterator[Fault]


def path_text(steps: Iterable[str | int]) -> str:
    """Return the path of a field as findings write it, such as ``spec.ports[0].name``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def repeated(keys: Iterable[tuple[str, Key]]) -> Iterator[tuple[str, Key]]:
    """Yield the entries whose key was there before.

    Args:
        keys: The path of every entry with its key.
    """
    seen: set[Key] = set()
    for at, key in keys:
        if key in seen:
            yield at, key
        seen.add(key)


@dataclass(frozen=True)
class _Rule:
    """The values that a field may have: the texts, or the numbers from the least to the most; None is no limit."""

    steps: tuple[str, ...]
    texts: tuple[str, ...]
    least: int
    most: int | None

    def has(self, number: int) -> bool:
        """Tell whether a number is right; any is where texts are needed, as the schema finds those."""
        return bool(self.texts) or (self.least <= number and (self.most is None or number <= self.most))


def field_faults(table: str, part: Mapping[str, Any], at: str = "") -> Faults:
    """Yield the fields that have other values than a table in ``fields.yaml`` allows.

    Args:
        table: The name of the table; nothing is wrong if there is none.
        part: The part of an object that the table is about.
        at: Where the part stands; empty for the whole object.
    """
    for rule in _rules().get(table, ()):
        for steps, value in _values(part, rule.steps):
            field = f"{at}.{path_text(steps)}".removeprefix(".")
            if isinstance(value, str) and rule.texts and value not in rule.texts:
                fix = sentence(nearest(value, filter(None, rule.texts)))
                yield Fault("bad-value", field, f"{given(value)} is not allowed here.", fix)
            elif isinstance(value, int) and not isinstance(value, bool) and not rule.has(value):
                wanted = f"at least {rule.least}" if rule.most is None else f"from {rule.least} to {rule.most}"
                yield Fault("bad-range", field, f"{value} is out of range.", f"A whole number {wanted} is needed.")


@cache
def field_tables() -> Mapping[str, Mapping[str, Any]]:
    """Return the tables of ``fields.yaml``."""
    content = Path(__file__).with_name("fields.yaml").read_bytes()
    tables: Mapping[str, Mapping[str, Any]] = yaml.load(content, Loader=yaml.CSafeLoader)
    return tables


@cache
def _rules() -> Mapping[str, list[_Rule]]:
    return {name: [_rule(field, allowed) for field, allowed in table.items()] for name, table in field_tables().items()}


def _rule(field: str, allowed: Any) -> _Rule:
    steps = tuple(field.split("."))
    if isinstance(allowed, list):
        return _Rule(steps, tuple(allowed), 0, None)
    return _Rule(steps, (), allowed["least"], allowed.get("most"))


def _values(part: object, wanted: tuple[str, ...], at: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Yield every value at a path below a part of a manifest, with its own path; ``*`` stands for all of a list."""
    for position, step in enumerate(wanted):
        if step == "*":
            if isinstance(part, list):
                for index, item in enumerate(part):
                    yield from _values(item, wanted[position + 1 :], (*at, index))
            return
        if not isinstance(part, dict) or step not in part:
            return
        part = part[step]
        at = (*at, step)
    yield at, part

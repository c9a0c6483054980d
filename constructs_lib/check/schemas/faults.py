"""What can be wrong with the fields of an object, and with its quantities."""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from constructs_lib.kubernetes.manifest import inner, mapping
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.template import Template
from constructs_lib.text import given, nearest, sentence

Key = TypeVar("Key", bound=Hashable)
#: Keys and numbers that lead to a part of a manifest.
Steps = tuple[str | int, ...]

_SCALED = ("cpu", "memory", "ephemeral-storage")
_STANDARD = frozenset({*_SCALED, "storage"})
_IN_BYTES = ("memory", "ephemeral-storage", "storage")
#: Suffixes as people write them, and as Kubernetes does.
_SUFFIXES = {"mb": "M", "gb": "G", "kb": "k", "mib": "Mi", "gib": "Gi", "kib": "Ki", "mi": "Mi", "gi": "Gi"}


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
    """Yield the entries, each a path with a key, whose key was there before."""
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
    """Yield the fields of a part of an object that have other values than a table of ``fields.yaml`` allows."""
    for rule in _rules().get(table, ()):
        for steps, value in _values(part, rule.steps):
            field = f"{at}.{path_text(steps)}".removeprefix(".")
            if value is None and rule.steps[-1] == "*" and rule.texts and "" not in rule.texts:
                yield Fault("bad-value", field, "An entry has no value.", "Take it away.")
            elif isinstance(value, str) and rule.texts and value not in rule.texts:
                fix = sentence(nearest(value, filter(None, rule.texts)))
                yield Fault("bad-value", field, f"{given(value)} is not allowed here.", fix)
            elif isinstance(value, int) and not isinstance(value, bool) and not rule.has(value):
                wanted = f"at least {rule.least}" if rule.most is None else f"from {rule.least} to {rule.most}"
                yield Fault("bad-range", field, f"{value} is out of range.", f"A whole number {wanted} is needed.")


@cache
def field_tables() -> Mapping[str, Mapping[str, Any]]:
    """Return the tables of ``fields.yaml``."""
    return Template(Path(__file__).with_name("fields.yaml"), {}).content


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


def quantity_faults(resource: str, value: object, at: str) -> Faults:
    """Yield what is wrong with a quantity of a resource; storage and memory are counted in whole bytes."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return
    amount, text = quantity(value), str(value)
    if amount is None:
        match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]+)\s*", text)
        suffix = _SUFFIXES.get(match[2].lower()) if match else None
        fix = f"Write {match[1]}{suffix}." if match and suffix else ""
        yield Fault("bad-quantity", at, f"{given(value)} is no quantity.", fix)
    elif amount < 0:
        yield Fault("bad-quantity", at, f"{value} is less than nothing.")
    elif amount != amount.to_integral_value() and resource in _IN_BYTES:
        fix = f"An m is a thousandth: {text.rstrip('m')}Mi or {text.rstrip('m')}M is meant."
        yield Fault("bad-quantity", at, f"{value} is {amount} bytes, and there is no part of a byte.", fix)


def resource_faults(resources: object, at: str) -> Faults:
    """Yield what is wrong with requests and limits (``ValidateResourceRequirements``)."""
    for field in ("requests", "limits"):
        for resource, value in mapping(inner(resources, field)).items():
            if resource not in _STANDARD and "/" not in resource and not resource.startswith("hugepages-"):
                fix = "Write cpu or memory, or the full name of what a device plugin offers, such as nvidia.com/gpu."
                yield Fault("bad-value", f"{at}.{field}.{resource}", f'There is no resource "{resource}".', fix)
            yield from quantity_faults(resource, value, f"{at}.{field}.{resource}")
    for resource in _SCALED:
        limits = mapping(inner(resources, "limits"))
        # A limit without a value counts as 0.
        limit_of = 0 if resource in limits and limits[resource] is None else limits.get(resource)
        written = inner(resources, "requests", resource), limit_of
        request, limit = map(quantity, written)
        if request is not None and limit is not None and request > limit:
            problem = f"{written[0]} of {resource} are requested, and the limit is {written[1]}."
            yield Fault("request-above-limit", f"{at}.requests.{resource}", problem)

"""Objects with one field changed, removed or added."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from constructs_lib.kubernetes.manifest import digest

Manifest = dict[str, Any]
Steps = tuple[str | int, ...]

#: Keys that say which object it is: with another one it would be another object.
_IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
#: Metadata that the API server writes.
_OF_SERVER = {"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"}


#: What the API server makes up: addresses, ports, and what follows from the name of an object.
_MADE_UP = re.compile(
    r"Service\.spec\.(clusterIPs?|ipFamil.*|ports\.\*\.nodePort)"
    r"|Job\.spec\.(selector.*|template\.metadata\.labels\.(.*controller-uid|.*job-name))"
    r"|Namespace\.metadata\.labels\.kubernetes\.io/metadata\.name"
    r"|PersistentVolumeClaim\.metadata\.finalizers.*"
)


@dataclass(frozen=True)
class Case:
    """An object, and how it differs by one field from the one that is stored.

    Attributes:
        old: The object as the tree has it.
        new: The object with one field that differs.
        stored: The object as the API server keeps it.
        path: The kind and the field, with ``*`` for entries of lists.
        what: What was done to the field, such as ``remove`` or ``change to ""``.
    """

    old: Manifest
    new: Manifest
    stored: Manifest
    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def cases(pairs: Sequence[tuple[Manifest, Manifest]], number: int, seed: int) -> list[Case]:
    """Return so many cases, each with a field and a change that no other one has, or fewer if there are no more.

    Args:
        pairs: Objects as the tree has them, and as the API server keeps them.
        number: How many.
        seed: Which.
    """
    found: dict[str, list[tuple[Manifest, Manifest, Steps, Any, str, str]]] = {}
    for old, stored in pairs:
        for steps, what, value in _changes(old, stored):
            path = _path(old, steps)
            found.setdefault(f"{path}: {what}", []).append((old, stored, steps, value, path, what))
    # By name, so that what is new in the tree changes little of what is tried.
    names = sorted(found, key=lambda name: digest([seed, name]))[:number]
    chosen = [min(found[name], key=lambda each: digest([seed, each[0]["metadata"]])) for name in names]
    return [Case(old, _with(old, steps, value), stored, path, what) for old, stored, steps, value, path, what in chosen]


def _path(manifest: Manifest, steps: Steps) -> str:
    return ".".join([manifest["kind"], *("*" if isinstance(step, int) else step for step in steps)])


_ABSENT = object()


def _with(manifest: Manifest, steps: Steps, value: Any) -> Manifest:
    changed = copy.deepcopy(manifest)
    part, last = _at(changed, steps[:-1]), steps[-1]
    if value is _ABSENT:
        _drop(changed, steps)
    elif isinstance(part, list) and last == len(part):
        part.append(value)
    else:
        part[last] = value
    return changed


def _drop(manifest: Manifest, steps: Steps) -> None:
    part = _at(manifest, steps[:-1])
    del part[steps[-1]]


def _changes(old: Manifest, stored: Manifest) -> Iterator[tuple[Steps, str, Any]]:
    for steps, value in _fields(old):
        if steps in _IDENTITY or steps == ("metadata",):
            continue
        yield steps, "remove", _ABSENT
        for other in _others(value):
            yield steps, f"change to {_shown(other)}", other
        if isinstance(value, dict):
            yield (*steps, "unknownField"), "add", "x"
        if isinstance(value, list) and value:
            yield (*steps, len(value)), "add the first once more", value[0]
    for steps, value in _fields(kept(stored)):
        if steps[0] != "metadata" and _at(old, steps) is _ABSENT and _at(old, steps[:-1]) is not _ABSENT:
            yield steps, "spell out", value
            for other in _others(value):
                yield steps, f"give {_shown(other)}", other


def _fields(part: Any, at: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    if at:
        yield at, part
    if isinstance(part, dict):
        for key, value in part.items():
            yield from _fields(value, (*at, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _fields(value, (*at, index))


def _at(part: Any, steps: Steps) -> Any:
    for step in steps:
        try:
            part = part[step]
        except (IndexError, KeyError, TypeError):
            return _ABSENT
    return part


def _others(value: Any) -> Iterator[Any]:
    """Yield other values: some of the same type, some of other types."""
    match value:
        case bool():
            yield from (not value, "true", None)
        case int():
            yield from (value + 1, 0, -1, 70_000, str(value), None)
        case str():
            yield from (f"{value}x", "", "Not_a-name.", f"{value}-{'x' * 70}", 1, True, None, [], {})
        case list():
            yield from ([], [{}], ["x"], {}, "x", None)
        case dict():
            yield from ({}, [], "x", {"unknownField": "x"}, None)


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) > 70:
        return "a long text"
    if isinstance(value, str) and value.endswith("x"):
        return "another text"
    if isinstance(value, int) and not isinstance(value, bool) and value not in (0, -1, 70_000):
        return "another number"
    return repr(value)


def kept(stored: Manifest) -> Manifest:
    """Return what the API server keeps of an object that was applied, without what it makes up and the status."""
    found: Manifest = copy.deepcopy({key: value for key, value in stored.items() if key != "status"})
    found["metadata"] = {key: value for key, value in found["metadata"].items() if key not in _OF_SERVER}
    for steps, _ in [*_fields(found)]:
        if _MADE_UP.fullmatch(_path(found, steps)) and _at(found, steps) not in (_ABSENT, "None"):
            _drop(found, steps)
    return found

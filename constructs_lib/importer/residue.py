"""Patches for what no argument says: what is left of the objects of the source, once the declaration is made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from constructs_lib.importer.lookups import key_of
from constructs_lib.importer.model import PATCHED, Imported
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.quantity import quantity

#: Fields in which other keys of the library's would make no sense beside those of the source.
_WHOLE = frozenset(
    {"readinessProbe", "livenessProbe", "startupProbe", "lifecycle", "strategy", "updateStrategy", "affinity"}
)
#: By what the entries of a list are told apart, where it is not their name.
_KEYS = {"hostAliases": "ip", "topologySpreadConstraints": "topologyKey", "volumeMounts": "mountPath"}


def add_patches(imported: Imported, made: Sequence[Manifest]) -> None:
    """Give programs the patches that bring back what their objects lack of the source."""
    objects = {key_of(each): each for each in made}
    for program in imported.programs:
        namespace = imported.groups[program.group].namespace
        for (kind, name), rest in program.rest.items():
            found = objects.get((kind, namespace, name)) or _job(objects, kind, namespace, name)
            if found is None:
                continue
            if lacking := _lacking(rest, found):
                program.patches[kind, name] = lacking
                imported.note(PATCHED, f"{kind}/{name}: {', '.join(sorted(set(_paths(lacking))))}")


def _job(objects: Mapping[tuple[str, str, str], Manifest], kind: str, namespace: str, name: str) -> Manifest | None:
    if kind != "Job":
        return None
    like = re.compile(re.escape(name) + "-[0-9a-f]{10}")
    return next(
        (each for key, each in objects.items() if key[:2] == (kind, namespace) and like.fullmatch(key[2])), None
    )


def _lacking(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return a patch that gives a new mapping what it lacks of an old one."""
    found: dict[str, Any] = {}
    for key, value in old.items():
        known = new.get(key)
        if (
            value == known
            or value in (None, {}, [])
            or (_amount(value) is not None and _amount(value) == _amount(known))
        ):
            continue
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            if key in _WHOLE:
                found[key] = {"$patch": "replace", **value}
            elif inner := _lacking(value, known):
                found[key] = inner
        elif isinstance(value, list) and isinstance(known, list):
            if entries := _entries(value, known, _KEYS.get(key, "name")):
                found[key] = entries
        else:
            found[key] = value
    return found


def _amount(value: object) -> object:
    return quantity(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _entries(old: Sequence[Any], new: Sequence[Any], key: str) -> list[Any]:
    if not all(isinstance(each, Mapping) and key in each for each in (*old, *new)):
        return [*new, *(each for each in old if each not in new)] if any(each not in new for each in old) else []
    known = {each[key]: each for each in new}
    found = []
    for each in old:
        if each[key] not in known:
            found.append(each)
        elif inner := _lacking(each, known[each[key]]):
            found.append({key: each[key], **inner})
    return found


def _paths(change: Mapping[str, Any], before: str = "") -> list[str]:
    """Return the fields of a patch, without those that only lead to others."""
    found = []
    for key, value in change.items():
        path = f"{before}.{key}" if before else key
        if key in ("spec", "template", "jobTemplate", "metadata") and isinstance(value, Mapping):
            found += _paths(value)
        elif key in ("containers", "initContainers") and isinstance(value, list):
            found += [each for one in value for each in _paths({k: v for k, v in one.items() if k != "name"})]
        elif key != "$patch":
            found.append(path)
    return found

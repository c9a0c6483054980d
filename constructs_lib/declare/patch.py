"""Patches: changes of generated objects that no argument makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.declare.arguments import misfits
from constructs_lib.declare.diagnostics import Location
from constructs_lib.kubernetes.patching import PatchError, json_value


@dataclass(frozen=True, eq=False)
class Patch:
    """A change of one object.

    Attributes:
        source: What it was said of: a workload, a component or the system, of whose objects this is one.
        kind: Its kind, or group and kind, such as ``apps/Deployment``.
        name: Its name; None if there is only one, or for the one that is called as the source.
        namespace: Its namespace; None if its name says enough.
        change: What is merged into it (:mod:`constructs_lib.kubernetes.patching`).
        location: The line that wants it.
    """

    source: Any
    kind: str
    name: str | None
    namespace: str | None
    change: Mapping[str, Any]
    location: Location


def patch_of(
    source: Any,
    kind: str,
    change: Mapping[str, object],
    name: str | None,
    namespace: str | None,
    location: Location,
    report: Callable[[str], None],
) -> Patch | None:
    """Return a patch as it was said; None if there is something wrong with it, which is reported."""
    arguments: tuple[tuple[str, object, Any], ...] = (
        ("kind", kind, str),
        ("change", change, Mapping[str, Any]),
        ("name", name, str | None),
        ("namespace", namespace, str | None),
    )
    problems = [problem for argument, value, wanted in arguments for problem in misfits(argument, value, wanted)]
    try:
        copy = {} if problems else json_value(change)
    except PatchError as error:
        problems, copy = [str(error)], {}
    for problem in problems:
        report(f"patch(): {problem}")
    return None if problems else Patch(source, kind, name, namespace, copy, location)

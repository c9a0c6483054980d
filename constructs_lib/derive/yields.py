"""What workloads make, with the mistakes of kinds that users write: each is told at the line that makes it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

from constructs_lib.declare.declaration import diagnostic_from
from constructs_lib.declare.diagnostics import DeclarationError, Location, is_user_code
from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED
from constructs_lib.text import shown
from constructs_lib.user_error import UserError

_PAIR = "a stage and an object, such as yield 1, self.manifest(…)"


def yielded(workload: Workload) -> list[tuple[int, Manifest]] | None:
    """Return what ``manifests()`` of a workload yields; None if something is wrong with that, which is reported."""
    if type(workload).manifests.__module__.startswith("constructs_lib."):
        return [*workload.manifests()]
    found: list[tuple[int, Manifest]] = []
    is_whole = True
    try:
        with workload.system.diagnostics.at(workload.location):
            for each, location in _yielded(workload):
                if problem := _problem(workload, each):
                    is_whole = False
                    workload.report(f"manifests() of {type(workload).__name__}: {problem}", location)
                else:
                    found.append((each[0], each[1]))
    except (DeclarationError, UserError):
        raise
    except Exception as failure:
        diagnostic = diagnostic_from(failure)
        if diagnostic is None:
            raise
        workload.system.diagnostics.found.append(diagnostic)
        return None
    return found if is_whole else None


def _yielded(workload: Workload) -> Iterator[tuple[Any, Location]]:
    """Yield what ``manifests()`` yields or returns, each with the line of the user's that does so."""
    function = inspect.unwrap(type(workload).manifests).__code__
    start = Location(function.co_filename, function.co_firstlineno)
    every: Any = workload.manifests()
    if isinstance(every, GeneratorType):
        for each in every:
            yield each, _line(every) or start
    elif isinstance(every, list | tuple) or hasattr(every, "__next__"):
        for each in every:
            yield each, start
    else:
        yield every, start


def _line(generator: GeneratorType[Any, Any, Any]) -> Location | None:
    """Return the line at which a generator waits, or the one from which it yields, where that is a user's."""
    location = None
    inner: Any = generator
    while isinstance(inner, GeneratorType) and inner.gi_frame is not None:
        file = inner.gi_frame.f_code.co_filename
        if is_user_code(file):
            location = Location(file, inner.gi_frame.f_lineno)
        inner = inner.gi_yieldfrom
    return location


def _problem(workload: Workload, pair: object) -> str:
    """Return what is wrong with something that is yielded; nothing if it is a stage and an object."""
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return f"it yields {shown(pair)} in the place of a pair; yield {_PAIR}."
    stage, made = pair
    if isinstance(stage, bool) or not isinstance(stage, int) or not isinstance(made, dict):
        return f"it yields the pair of {shown(stage)} and {shown(made)}; yield {_PAIR}."
    kind, metadata = made.get("kind"), made.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    for field, value in (("apiVersion", made.get("apiVersion")), ("kind", kind), ("metadata.name", name)):
        if not value or not isinstance(value, str):
            return f"an object that it yields has no {field}; make it with self.manifest(…)."
    assert isinstance(metadata, dict)
    what = f'the {kind} "{name}"'
    if not 0 <= stage <= workload.stages:
        later = f"say stages = {stage} in the class" if stage > 0 else "0 is the first"
        return f"{what} has the stage {stage}, and there are 0 to {workload.stages}; {later}."
    namespace = metadata.get("namespace")
    if kind not in CLUSTER_SCOPED and (not namespace or not isinstance(namespace, str)):
        return f"{what} has no metadata.namespace; make it with self.manifest(…), or give it self.namespace_name."
    if not isinstance(metadata.get("annotations") or {}, dict):
        return f"metadata.annotations of {what} are {shown(metadata['annotations'])}, and no mapping."
    try:
        dump(made)
    except (TypeError, ValueError) as wrong:
        secret = "; a secret is read with secret_variable(…) or container_variables(self)"
        return f"{what} cannot be written: {wrong}{secret if 'Secret' in str(wrong) else ''}."
    return ""

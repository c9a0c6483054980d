"""What workloads and components make, with the mistakes of kinds that users write, each at the line that makes it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GeneratorType
from typing import Any

from constructs_lib.argocd.objects import WAVE
from constructs_lib.declare.component import Component
from constructs_lib.declare.declaration import diagnostic_from
from constructs_lib.declare.diagnostics import DeclarationError, Location, is_user_code
from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED
from constructs_lib.text import shown
from constructs_lib.user_error import UserError

_WHOLE = re.compile(r"[-+]?[0-9]{1,9}")
_PAIR = "a stage and an object, such as yield 1, self.manifest(…)"


def yielded(workload: Workload) -> list[tuple[int, Manifest]] | None:
    """Return what ``manifests()`` of a workload yields; None if something is wrong with that, which is reported."""
    function = type(workload).manifests
    if function.__module__.startswith("constructs_lib."):
        return [*workload.manifests()]
    return _proved(workload, function, workload.manifests, lambda each: _problem(workload, each))


def yielded_late(component: Component, waves: Mapping[str, int]) -> list[Manifest]:
    """Return what ``late_manifests()`` of a component yields; nothing if something is wrong, which is reported."""
    function = type(component).late_manifests
    if function.__module__.startswith("constructs_lib."):
        return [*component.late_manifests(waves)]

    def problem(each: object) -> str:
        return _wrong_object(each) if isinstance(each, dict) else f"it yields {shown(each)} in the place of an object."

    return _proved(component, function, lambda: component.late_manifests(waves), problem) or []


def _proved(
    source: Component | Workload,
    function: Callable[..., object],
    call: Callable[[], Iterable[Any]],
    problem_of: Callable[[object], str],
) -> list[Any] | None:
    """Return what a method of a kind that a user writes yields; None if something is wrong with that."""
    found: list[Any] = []
    is_whole = True
    try:
        with source.system.diagnostics.at(source.location):
            for each, location in _yielded(function, call()):
                if problem := problem_of(each):
                    is_whole = False
                    source.report(f"{function.__name__}() of {type(source).__name__}: {problem}", location)
                else:
                    found.append(each)
    except (DeclarationError, UserError):
        raise
    except Exception as failure:
        diagnostic = diagnostic_from(failure)
        if diagnostic is None:
            raise
        source.system.diagnostics.found.append(diagnostic)
        return None
    return found if is_whole else None


def _yielded(function: Callable[..., object], every: object) -> Iterator[tuple[Any, Location]]:
    """Yield what a method yields or returns, each with the line of the user's that does so."""
    code = inspect.unwrap(function).__code__
    start = Location(code.co_filename, code.co_firstlineno)
    if isinstance(every, GeneratorType):
        for each in every:
            yield each, _line(every) or start
    elif isinstance(every, list | tuple | Iterator):
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
    if problem := _wrong_object(made):
        return problem
    if not 0 <= stage <= workload.stages:
        what = f'the {made["kind"]} "{made["metadata"]["name"]}"'
        later = f"say stages = {stage} in the class" if stage > 0 else "0 is the first"
        return f"{what} has the stage {stage}, and there are 0 to {workload.stages}; {later}."
    return ""


def _wrong_object(made: Mapping[str, Any]) -> str:
    """Return what is wrong with an object; nothing if it can be written, and Argo CD knows where it is to be."""
    kind, metadata = made.get("kind"), made.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    for field, value in (("apiVersion", made.get("apiVersion")), ("kind", kind), ("metadata.name", name)):
        if not value or not isinstance(value, str):
            return f"an object that it yields has no {field}; make it with self.manifest(…)."
    assert isinstance(metadata, dict)
    what = f'the {kind} "{name}"'
    namespace = metadata.get("namespace")
    if kind not in CLUSTER_SCOPED and (not namespace or not isinstance(namespace, str)):
        return f"{what} has no metadata.namespace; make it with self.manifest(…), or give it self.namespace_name."
    annotations = metadata.get("annotations", {})
    if not isinstance(annotations, dict):
        return f"metadata.annotations of {what} are {shown(annotations)}, and no mapping."
    if not _WHOLE.fullmatch(str(annotations.get(WAVE, "0"))):
        return f"{what} has the sync wave {shown(annotations[WAVE])}; a whole number is needed."
    try:
        dump(made)
    except (TypeError, ValueError) as wrong:
        secret = "; a secret is read with secret_variable(…) or container_variables(self)"
        return f"{what} cannot be written: {wrong}{secret if 'Secret' in str(wrong) else ''}."
    return ""

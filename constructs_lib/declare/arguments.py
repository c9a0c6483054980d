"""Arguments of the wrong kind: what a call gives is compared with what its signature declares.

The constructors of constructs are marked with :func:`checked`. Their code can then rely on the types that they
declare, and looks at the values alone.
"""

import dataclasses
import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, ParamSpec, Union, Unpack, cast, get_args, get_origin, get_type_hints

from constructs_lib.declare.calls import bound
from constructs_lib.declare.diagnostics import DeclarationError, Diagnostic, Diagnostics, here
from constructs_lib.declare.secret import Field, Plain, Secret
from constructs_lib.text import joined, shown

Parameters = ParamSpec("Parameters")

#: Valid values for required arguments that are wrong or missing, so that one error does not cause a second one.
_PLACEHOLDERS: Mapping[str, object] = {
    "host": "unnamed.example",
    "image": "unnamed:0.0.0",
    "listeners": {},
    "nodes": 1,
    "pods": {"app": "unnamed"},
    "ports": {"unnamed": 1},
    "repository": "https://unnamed.invalid/unnamed",
    "retention_days": 1,
    "revision": "0.0.0",
    "routes": {},
    "storage": "1Gi",
    "version": "0.0.0",
}
#: For all other required arguments: ids and names.
_PLACEHOLDER = "unnamed"

#: Examples for arguments and fields of which no number is right: whoever writes 10 is not told to write "10", which
#: lacks a unit, for instance, and would be refused next.
_EXAMPLES: Mapping[str, str] = {
    "argocd_chart": "1.2.3",
    "backup_storage": "10Gi",
    "exporter": "name:1.2.3",
    "image": "name:1.2.3",
    "memory": "256Mi",
    "memory_limit": "512Mi",
    "port": "http",
    "size": "1Gi",
    "storage": "10Gi",
    "version": "1.2.3",
    "wait_image": "name:1.2.3",
}

#: What messages call a type, and an example of it. All other types are called by their name.
_WORDS: Mapping[object, tuple[str, str]] = {
    str: ("a text", '"…"'),
    int: ("a whole number", "1"),
    float: ("a number", "1.5"),
    bool: ("True or False", "True"),
    type(None): ("None", "None"),
    Path: ('a path such as Path("…")', 'Path("…")'),
    Secret: ('generated("…") or supplied("…")', 'generated("…")'),
    Field: ('field("…")', 'field("…")'),
    Plain: ('plain("…")', 'plain("…")'),
}


def checked(constructor: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Have a construct's constructor report arguments that are unknown, missing or of the wrong type.

    It goes on with placeholders in their place, so that one run tells what is wrong with the rest of the declaration,
    too; their names are in the construct's ``replaced``. The id is left to the constructor, whose check says more.

    Raises:
        DeclarationError: There is no scope to go on with.
    """
    name = constructor.__qualname__.removesuffix(".__init__")
    # What is needed comes first, as messages name them in this order.
    parameters = sorted(_parameters(constructor), key=lambda each: (each.kind, each.default is not each.empty))

    @functools.wraps(constructor)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        construct: Any
        construct, *positional = args
        given, wrong = bound(name, parameters, positional, kwargs)
        # A user's kind that calls this wrongly is to be mended there; a wrong value may be that of who declares one.
        problems: list[tuple[str, object]] = [(problem, None) for problem in wrong]
        hints = _hints(constructor)
        for argument in [argument for argument in given if argument != "id"]:
            if found := [*misfits(argument, given[argument], hints[argument])]:
                problems += ((problem, construct) for problem in found)
                del given[argument]
        if not problems:
            return constructor(*args, **kwargs)
        _report(name, given, problems)
        construct.replaced = frozenset(parameter.name for parameter in parameters) - given.keys()
        for parameter in parameters:
            if parameter.name not in given and parameter.default is parameter.empty:
                given[parameter.name] = _PLACEHOLDERS.get(parameter.name, _PLACEHOLDER)
        return cast(Callable[..., None], constructor)(construct, **given)

    # For help(), in which the arguments would else be hidden behind their TypedDict.
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wrapper.__signature__ = inspect.Signature([own, *parameters])  # type: ignore[attr-defined]
    return wrapper


def _parameters(constructor: Callable[..., None]) -> Iterator[inspect.Parameter]:
    """Yield the parameters of a constructor, those that stand in a TypedDict of ``**given: Unpack[…]`` among them.

    https://peps.python.org/pep-0692/
    """
    _, *parameters = inspect.signature(constructor).parameters.values()
    for parameter in parameters:
        if parameter.kind is not parameter.VAR_KEYWORD:
            yield parameter
            continue
        (together,) = get_args(parameter.annotation)
        for name, hint in get_type_hints(together).items():
            default = parameter.empty if name in together.__required_keys__ else None
            yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _report(name: str, given: Mapping[str, Any], problems: Sequence[tuple[str, object]]) -> None:
    """Report what is wrong with the arguments of a construct, each with what :func:`here` takes.

    Raises:
        DeclarationError: It has no scope to which they could be reported.
    """
    id = given.get("id")
    subject = id if isinstance(id, str) else name
    scope = given.get("scope")
    if scope is None:
        raise DeclarationError(Diagnostic(here(construct), subject, problem) for problem, construct in problems)
    component = getattr(scope, "component", scope)
    if hasattr(component, "system"):
        subject = f"{component.id}/{subject}"
    diagnostics: Diagnostics = getattr(component, "system", scope).diagnostics
    for problem, construct in problems:
        diagnostics.report(subject, problem, construct=construct)


@functools.cache
def _hints(owner: Any) -> Mapping[str, Any]:
    """Return the types that a function or class declares."""
    try:
        hints = get_type_hints(owner, localns=vars(sys.modules["constructs_lib"]))
    except NameError:
        # A class in the user's code may name types that exist for type checkers only.
        return {}
    for together in [*hints.values()]:
        if get_origin(together) is Unpack:
            hints |= get_type_hints(*get_args(together))
    return hints


def misfits(where: str, value: object, annotation: Any) -> Iterator[str]:
    """Yield where a value, or a part of it, is not of its declared type; ``where`` is the name of the argument."""
    if type(value) is annotation and (
        str(value).isascii() if annotation is str else not dataclasses.is_dataclass(value)
    ):
        # A shortcut for most arguments.
        return
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    option = next((option for option in options if _is(value, option)), None)
    if option is None:
        # Somebody may have written a secret where it cannot stand, and messages end up in logs.
        text = "a text" if isinstance(value, str) and Secret in options else shown(value)
        hint = ""
        if str in options and type(value) in (int, float):
            # Only where the whole name is one of these: a variable "memory" of a program is named "env, memory".
            hint = f'; write it like "{_EXAMPLES[where]}"' if where in _EXAMPLES else f'; write "{value}"'
        elif int in options and isinstance(value, str) and value.isdecimal():
            hint = f"; write {value}"
        yield f"{where}: {joined([_called(option) for option in options], 'or')} is needed, not {text}{hint}."
        return
    parts = get_args(option)
    if isinstance(value, str):
        if not _is_encodable(value):
            yield f"{where}: the text {shown(value)} has half a character (a surrogate), which no file can hold."
    elif isinstance(value, Mapping):
        for key, entry in value.items() if parts else ():
            yield from misfits(f"{where}, a key", key, parts[0])
            yield from misfits(f"{where}, {key}", entry, parts[1])
    elif isinstance(value, list | tuple):
        kinds = parts[:1] * len(value) if get_origin(option) is Sequence or parts[1:] == (...,) else parts
        for index, (entry, kind) in enumerate(zip(value, kinds, strict=False)):
            yield from misfits(f"{where}[{index}]", entry, kind)
    elif dataclasses.is_dataclass(value):
        for _, problem in field_misfits(value):
            yield f"{where}, {problem}"


def field_misfits(record: Any) -> Iterator[tuple[object, str]]:
    """Yield the fields of a dataclass that are not of the type that they are declared to have, each with a message."""
    hints = _hints(record.__class__)
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        for problem in misfits(field.name, value, hints.get(field.name, Any)):
            yield value, problem


def _is(value: object, kind: Any) -> bool:
    """Tell whether a value is of a type, without looking at what it contains."""
    origin = get_origin(kind) or kind
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(kind))
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is float:
        # Type hints let a whole number pass as a float.
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin in (Sequence, tuple):
        # A text is a Sequence, too, but never meant here.
        parts = get_args(kind)
        fixed = origin is tuple and parts and parts[-1] is not ...
        return isinstance(value, list | tuple) and (not fixed or len(value) == len(parts))
    return origin is Any or not isinstance(origin, type) or isinstance(value, origin)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _called(kind: Any) -> str:
    """Return what messages call a type."""
    origin = get_origin(kind) or kind
    if kind in _WORDS:
        return _WORDS[kind][0]
    if origin is Literal:
        return joined([shown(choice) for choice in get_args(kind)], "or")
    if origin in (Mapping, Sequence, tuple):
        return f"{'a mapping' if origin is Mapping else 'a list'} such as {_written(kind)}"
    name = origin.__name__
    return _written(kind) if dataclasses.is_dataclass(kind) else f"{'an' if name[0] in 'AEIO' else 'a'} {name}"


def _written(kind: Any) -> str:
    """Return how a value of a type is written in a declaration."""
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if kind in _WORDS:
        return _WORDS[kind][1]
    if origin in (Union, types.UnionType):
        return _written(parts[0])
    if origin is Mapping:
        return f"{{{_written(parts[0])}: {_written(parts[1])}}}"
    if origin is Sequence or parts[1:] == (...,):
        return f"[{_written(parts[0])}]"
    if origin is tuple:
        return f"({', '.join(_written(part) for part in parts)})"
    return "…" if kind is Any else f"{origin.__name__}(…)"

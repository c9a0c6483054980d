"""Calls with arguments that a function does not take, or without some that it needs: what would be right."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from constructs_lib.declare.diagnostics import DeclarationError, Diagnostic, here, is_library_code
from constructs_lib.text import closest, joined, nearest

Call = TypeVar("Call", bound=Callable[..., Any])


def explained(function: Call) -> Call:
    """Have a wrong call of a function, or of a class, tell what would be right, with its line.

    Raises:
        DeclarationError: It has arguments that the function does not take, or lacks some.
    """
    if isinstance(function, type):
        function.__init__ = _explained(function.__init__, function.__name__)  # type: ignore[misc]
        return function
    return cast(Call, _explained(function, function.__name__))


def _explained(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            signature = inspect.signature(function)
            # The call is right, or the library made it: then the library is at fault.
            if _fits(signature, args, kwargs) or is_library_code(sys._getframe(1).f_code.co_filename):
                raise
        parameters = {parameter.name: parameter for parameter in signature.parameters.values()}
        if parameters.pop("self", None):
            args = args[1:]
        for parameter in [*parameters.values()]:
            if parameter.kind is parameter.VAR_POSITIONAL:
                del parameters[parameter.name]
                args = ()
            elif parameter.kind is parameter.VAR_KEYWORD:
                del parameters[parameter.name]
                kwargs = {name: value for name, value in kwargs.items() if name in parameters}
        _, problems = bound(name, [*parameters.values()], args, kwargs)
        raise DeclarationError(Diagnostic(here(), "declaration", problem) for problem in problems)

    return wrapper


def _fits(signature: inspect.Signature, positional: Sequence[object], keywords: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*positional, **keywords)
    except TypeError:
        return False
    return True


def bound(
    name: str,
    parameters: Sequence[inspect.Parameter],
    positional: Sequence[object],
    keywords: Mapping[str, object],
) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments of a call by name, and what is wrong with the call."""
    names = [parameter.name for parameter in parameters]
    by_position = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    given: dict[str, Any] = dict(zip(by_position, positional, strict=False))
    problems = []
    misspelt = set()
    for keyword, value in keywords.items():
        if keyword in given:
            problems.append(_repeated_argument(name, keyword))
        elif keyword not in names:
            problems.append(_unknown_argument(name, keyword, names))
            misspelt.add(closest(keyword, names))
        else:
            given[keyword] = value
    if len(positional) > len(by_position):
        problems.append(_too_many_arguments(name, by_position, names[len(by_position) :]))
        return given, problems
    needed = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    if missing := [argument for argument in needed if argument not in given and argument not in misspelt]:
        problems.append(_missing_arguments(name, missing))
    return given, problems


def _unknown_argument(name: str, argument: str, known: Sequence[str]) -> str:
    """Return the message for an argument that ``name()`` does not take."""
    return f'{name}() has no argument "{argument}"; {nearest(argument, known)}'


def _repeated_argument(name: str, argument: str) -> str:
    """Return the message for an argument that ``name()`` gets twice, with and without its name."""
    return f'{name}() gets the argument "{argument}" twice; keep one of the two.'


def _missing_arguments(name: str, missing: Sequence[str]) -> str:
    """Return the message for arguments that ``name()`` needs and does not get."""
    quoted = [f'"{argument}"' for argument in missing]
    return f"{name}() lacks the argument{'s' if len(missing) > 1 else ''} {joined(quoted, 'and')}."


def _too_many_arguments(name: str, by_position: Sequence[str], others: Sequence[str]) -> str:
    """Return the message for a call with more arguments without a name than ``name()`` takes."""
    first = f"only {joined(by_position, 'and')} without a name" if by_position else "no argument without its name"
    return f"{name}() takes {first}{f'; write {others[0]}=… and so on' if others else ''}."

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
    name: str, parameters: Sequence[inspect.Parameter], positional: Sequence[object], keywords: Mapping[str, object]
) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments of a call by name, and what is wrong with the call."""
    names = [parameter.name for parameter in parameters]
    by_position = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    given: dict[str, Any] = dict(zip(by_position, positional, strict=False))
    problems = []
    misspelt = set()
    for keyword, value in keywords.items():
        if keyword in given:
            problems.append(f'{name}() gets the argument "{keyword}" twice; keep one of the two.')
        elif keyword not in names:
            problems.append(f'{name}() has no argument "{keyword}"; {nearest(keyword, names)}')
            misspelt.add(closest(keyword, names))
        else:
            given[keyword] = value
    if len(positional) > len(by_position):
        first = f"only {joined(by_position, 'and')} without a name" if by_position else "no argument without its name"
        others = names[len(by_position) :]
        problems.append(f"{name}() takes {first}{f'; write {others[0]}=… and so on' if others else ''}.")
        return given, problems
    needed = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    if missing := [f'"{argument}"' for argument in needed if argument not in given and argument not in misspelt]:
        problems.append(f"{name}() lacks the argument{'s' if len(missing) > 1 else ''} {joined(missing, 'and')}.")
    return given, problems

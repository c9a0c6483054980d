"""Runs a person's declaration and tells their mistakes from faults of the library."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from constructs_lib.declare.environment import Environment, UnknownEnvironmentError
from constructs_lib.declare.mistake import (
    DeclarationError,
    Ledger,
    Location,
    Mistake,
    is_user_code,
    nearest,
    open_ledgers,
)
from constructs_lib.declare.system import System

Declaration = Callable[[Environment], System]


def declare(declaration: Declaration, environments: Iterable[Environment]) -> list[System]:
    """Return a system for every environment.

    Raises:
        DeclarationError: The declaration has mistakes that keep it from being read to its end.
    """
    ledgers: list[Ledger] = []
    token = open_ledgers.set(ledgers)
    try:
        systems = [_run(declaration, environment, ledgers) for environment in environments]
    finally:
        open_ledgers.reset(token)
    return systems


def _run(declaration: Declaration, environment: Environment, ledgers: list[Ledger]) -> System:
    try:
        system = declaration(environment)
    except DeclarationError:
        raise
    except Exception as failure:
        mistake = mistake_from(failure)
        if mistake is None:
            raise
        raise DeclarationError([mistake, *(mistake for ledger in ledgers for mistake in ledger)]) from None
    if not isinstance(system, System):
        code = inspect.unwrap(declaration).__code__
        location = Location(code.co_filename, code.co_firstlineno)
        problem = f"{code.co_name}() must return the System that it declares; it returned {system!r}."
        raise DeclarationError([Mistake(location, "declaration", problem)])
    return system


def mistake_from(failure: BaseException) -> Mistake | None:
    """Return what an exception says about the user's own code; None if it is a fault of the library."""
    frames = list(traceback.walk_tb(failure.__traceback__))
    user = [(frame, line) for frame, line in frames if is_user_code(frame.f_code.co_filename)]
    if not user:
        return None
    frame, line = user[-1]
    location = Location(frame.f_code.co_filename, line)
    if isinstance(failure, UnknownEnvironmentError):
        return Mistake(location, "declaration", str(failure))
    if isinstance(failure, TypeError) and (problem := _wrong_call(failure)):
        return Mistake(location, "declaration", problem)
    if frames[-1][0] is frame:
        return Mistake(location, "declaration", f"{type(failure).__name__}: {failure}")
    return None


_CALL = re.compile(r"(?:(\w+)\.__init__|(\w+))\(\) (got an unexpected keyword argument '(\w+)'|missing .*|takes .*)")


def _wrong_call(failure: TypeError) -> str | None:
    """Return a message for a call with arguments that its target does not take."""
    match = _CALL.search(str(failure))
    if not match:
        return None
    name = match[1] or match[2]
    target = _exported(name)
    if target is None:
        return f"{name}() {match[3]}."
    if match[4]:
        function = target.__init__ if inspect.isclass(target) else target
        parameters = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]
        return f'{name}() has no argument "{match[4]}"; {nearest(match[4], parameters)}'
    problem = (
        match[3]
        .replace("required positional argument", "argument")
        .replace("required keyword-only argument", "argument")
    )
    return f"{name}() is {problem}." if problem.startswith("missing") else f"{name}() {problem}."


def _exported(name: str) -> Callable[..., Any] | None:
    import constructs_lib

    for owner in (constructs_lib, constructs_lib.Workload, constructs_lib.Component):
        target = getattr(owner, name, None)
        if callable(target):
            return cast(Callable[..., Any], target)
    return None


def root_of(declaration: Declaration) -> Path:
    """Return the folder of the file that holds a declaration: the root of its repository."""
    return Path(inspect.unwrap(declaration).__code__.co_filename).resolve().parent

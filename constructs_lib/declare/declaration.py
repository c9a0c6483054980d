"""Runs a person's declaration and tells their errors from faults of the library."""

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import TypeVar

from constructs_lib.declare.diagnostics import (
    DeclarationError,
    Diagnostic,
    Diagnostics,
    Location,
    is_library_code,
    is_user_code,
    open_diagnostics,
)
from constructs_lib.declare.environment import Environment, declared_environments
from constructs_lib.declare.system import System
from constructs_lib.text import closest, shown

Declaration = Callable[[Environment], System]
Result = TypeVar("Result")

#: Modules of which kinds are made, and methods of workloads and components that kinds call for it.
_PARTS = ("constructs_lib.kinds.parts.", "constructs_lib.kubernetes.")
_OF_WORKLOADS = frozenset({"manifest", "secret_key"})


def check(declaration: object, environments: object, location: Location) -> None:
    """Check the two arguments that ``main()`` was called with, at ``location``.

    Raises:
        DeclarationError: It is not a function of one argument, or they are not environments.
    """
    found: list[Diagnostic] = []
    if not inspect.isroutine(declaration) or not hasattr(inspect.unwrap(declaration), "__code__"):
        problem = f"the first argument is the function that declares the system, not {shown(declaration)}."
        found.append(Diagnostic(location, "main()", problem))
    elif not _takes_one_argument(declaration):
        problem = "the function that declares the system takes one argument, the environment."
        found.append(Diagnostic(_definition(declaration), f"{declaration.__name__}()", problem))
    if not isinstance(environments, list | tuple) or not environments:
        problem = "the second argument is a list of at least one environment, such as [LOCAL, PRODUCTION]."
        found.append(Diagnostic(location, "main()", problem))
        environments = ()
    known: dict[str, Environment] = {}
    for environment in environments:
        if not isinstance(environment, Environment):
            problem = f"the second argument holds environments only, not {shown(environment)}."
            found.append(Diagnostic(location, "main()", problem))
        elif problems := [*environment.misfits()]:
            found += [Diagnostic(place, "environment", problem) for place, problem in problems]
        elif (first := known.setdefault(environment.name, environment)) is not environment:
            problem = f"the name is taken by the environment declared at {first.location}; choose another."
            found.append(Diagnostic(environment.location, f"environment {environment.name}", problem))
        elif clashes := [*filter(None, map(environment.clash, known.values()))]:
            found.append(Diagnostic(environment.location, f"environment {environment.name}", clashes[0]))
    if found:
        raise DeclarationError(found)
    declared_environments.set(tuple(known.values()))


def _takes_one_argument(declaration: Callable[..., object]) -> bool:
    try:
        inspect.signature(declaration).bind(None)
    except TypeError:
        return False
    return True


def run(declaration: Declaration, environment: Environment, finish: Callable[[System], Result]) -> Result:
    """Return what ``finish`` makes of the system that is declared for an environment.

    Raises:
        DeclarationError: There are errors, before or after whatever kept the declaration from its end, which is then
            their cause.
    """
    opened: list[Diagnostics] = []
    cause: BaseException | None = None
    token = open_diagnostics.set(opened)
    try:
        result = finish(_declare(declaration, environment))
        found: list[Diagnostic] = []
    except DeclarationError as error:
        found, cause = [*error.diagnostics], error.__cause__
    except Exception as failure:
        cause = failure
        found = [diagnostic] if (diagnostic := diagnostic_from(failure)) else []
        # The error most likely caused this exception; if not, it comes again once the error is fixed.
        if not found and not any(diagnostics.found for diagnostics in opened):
            raise
    finally:
        open_diagnostics.reset(token)
    found += [diagnostic for diagnostics in opened for diagnostic in diagnostics.found]
    if found:
        raise DeclarationError(found) from cause
    return result


def run_all(
    declaration: Declaration, environments: Iterable[Environment], finish: Callable[[System], Result]
) -> list[Result]:
    """Return what ``finish`` makes of the system in each of some environments.

    Raises:
        DeclarationError: The declaration has errors, in any of them.
    """
    results: list[Result] = []
    found: list[Diagnostic] = []
    cause: BaseException | None = None
    for environment in environments:
        try:
            results.append(run(declaration, environment, finish))
        except DeclarationError as error:
            found += error.diagnostics
            cause = cause or error.__cause__
    if found:
        raise DeclarationError(found) from cause
    return results


def _declare(declaration: Declaration, environment: Environment) -> System:
    system = declaration(environment)
    name = f"{declaration.__name__}()"
    if not isinstance(system, System):
        problem = f"it must return the System that it declares, and returned {shown(system)}."
        raise DeclarationError([Diagnostic(_definition(declaration), name, problem)])
    if system.environment is not environment:
        problem = f"it was called for {environment.name} and returned a System for {system.environment.name}."
        raise DeclarationError([Diagnostic(_definition(declaration), name, problem)])
    return system


def diagnostic_from(failure: BaseException) -> Diagnostic | None:
    """Return what an exception says about the user's own code; None if it is a fault of the library.

    Python and installed packages fail on behalf of who called them: the user, or the library. So do those functions of
    the library of which kinds are made, and what misses an attribute of a kind whose ``__init__`` calls no other.
    """
    below: list[FrameType] = []
    is_the_users = _lacks_own_attribute(failure)
    for frame, line in reversed([*traceback.walk_tb(failure.__traceback__)]):
        file = frame.f_code.co_filename
        if is_user_code(file):
            library = (each for each in reversed(below) if is_library_code(each.f_code.co_filename))
            # Those that look at the arguments of others are called wrapper, and those that speak to Node.js sent.
            called = next((each for each in library if each.f_code.co_name not in ("wrapper", "sent")), None)
            if called is None or is_the_users or _is_part_of_kinds(called):
                return Diagnostic(Location(file, line), "declaration", _problem(failure, below, called))
            return None
        below.append(frame)
    return None


def _is_part_of_kinds(frame: FrameType) -> bool:
    """Tell whether a frame runs a function that is there for kinds of all authors, and takes what they give it."""
    module, name = str(frame.f_globals.get("__name__")), frame.f_code.co_name
    return module.startswith(_PARTS) or (module.startswith("constructs_lib.declare.") and name in _OF_WORKLOADS)


def _lacks_own_attribute(failure: BaseException) -> bool:
    """Tell whether what is missing is an attribute of an object whose class is the user's."""
    if not isinstance(failure, AttributeError) or failure.obj is None:
        return False
    return is_user_code(getattr(sys.modules.get(type(failure.obj).__module__), "__file__", None) or "<")


#: What jsii says of a value inside of an argument: column, key or number, and the type that it takes.
_INSIDE = re.compile(
    r"^([^\w\n]*)(?:Key '(.*)'|Index (\d+)): Unable to deserialize value as (.*?)(?: \| undefined)?$", re.M
)
#: What it says of the value itself, of which a mapping or list is not shown.
_FAILING = re.compile(r"Failing value is (.*)(?:\n[ ├│]*│ {2,}(\S.*))?")
#: What the program of cdk8s that reads files could not read.
_UNREAD = re.compile(r"Command failed: .*/_loadurl\.mjs (.*)")
_TYPES = {"string": "a text", "number": "a number", "boolean": "true or false"}


def _cause(message: str) -> str:
    """Return which value in an argument jsii refuses, which it tells at the end of a tree; nothing if it tells none."""
    path, column, wanted, end = "", 0, "", 0
    for inside in _INSIDE.finditer(message):
        # What is no deeper is another type that would be taken.
        if len(inside[1]) <= column:
            break
        column, wanted, end = len(inside[1]), inside[4], inside.end()
        path += f"[{inside[3]}]" if inside[3] else f".{inside[2]}"
    failing = _FAILING.search(message, end)
    if not path or failing is None:
        return ""
    value = failing[1] if (failing[2] or "{")[0] in "{[" else failing[2]
    kind = _TYPES.get(wanted) or ("a mapping" if wanted.startswith("map<") else wanted.rpartition(".")[2])
    return f"{path.removeprefix('.')}: {kind} is needed, not {value}"


def _problem(failure: BaseException, below: Sequence[FrameType], called: FrameType | None) -> str:
    text = next(iter(str(failure).splitlines()), "")
    if any(called.f_globals.get("__name__", "").startswith("jsii.") for called in below):
        if unread := _UNREAD.search(text):
            what = "it cannot be fetched" if "://" in unread[1] else "there is no such file"
            is_whole = unread[1].startswith("/") or "://" in unread[1]
            where = "" if is_whole else "; a path begins at the working directory"
            return f"cdk8s cannot read {shown(unread[1])}: {what}{where}."
        if "reading 'split'" in text:
            return "cdk8s refuses this: what is read, or one object of it, has no apiVersion."
        return f"cdk8s refuses this: {_cause(str(failure)) or text.removeprefix('Error: ')}."
    reason = f"{type(failure).__name__}: {text}" if text else type(failure).__name__
    where = f", in {called.f_code.co_name}()," if called else ""
    if called and _lacks_own_attribute(failure):
        return f"it broke off here{where} with {reason}; does __init__ call super().__init__(scope, id) first?"
    if isinstance(failure, AttributeError) and failure.name:
        hint = closest(failure.name, [name for name in dir(failure.obj) if not name.startswith("_")])
        reason += f'; did you mean "{hint}"?' if hint else "."
        return f"it broke off here{where} with {reason}"
    return f"it broke off here{where} with {reason}."


def _definition(declaration: Callable[..., object]) -> Location:
    """Return the line at which a function is defined."""
    code = inspect.unwrap(declaration).__code__
    return Location(code.co_filename, code.co_firstlineno)


def root_of(declaration: Declaration) -> Path:
    """Return the folder of the file that holds a declaration: the root of its repository."""
    return Path(_definition(declaration).file).resolve().parent

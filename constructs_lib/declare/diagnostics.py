"""Errors in a declaration: where they stand, what is wrong, what would be right.

A construct never raises on bad input. It reports a :class:`Diagnostic` to its system and goes on with a harmless
placeholder, so that one run tells everything that is wrong with a declaration.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_LIBRARY = f"{Path(__file__).parent.parent}/"
#: Folders of Python itself and of installed packages, whose code runs because somebody's code called it.
_INSTALLED = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True, order=True)
class Location:
    """A line of the declaration, counted from 1, in a file as the interpreter knows its path."""

    file: str
    line: int

    def __str__(self) -> str:
        """Return ``file:line`` without the file's folder, as messages name a second place."""
        return f"{Path(self.file).name}:{self.line}"

    def relative_to(self, root: Path | None) -> str:
        """Return ``file:line``, the file relative to ``root`` where it lies below it."""
        if root is not None:
            with suppress(ValueError):
                return f"{Path(self.file).resolve().relative_to(root.resolve()).as_posix()}:{self.line}"
        return f"{self.file}:{self.line}"


def is_library_code(file: str) -> bool:
    """Tell whether a file belongs to this library."""
    return file.startswith(_LIBRARY)


def is_user_code(file: str) -> bool:
    """Tell whether a file belongs to the user: neither to this library nor to Python or an installed package.

    What dataclasses generate runs in a file called ``<string>``.
    """
    return not file.startswith((_LIBRARY, *_INSTALLED, "<"))


def here(construct: object = None) -> Location:
    """Return the line of the user's code that is being run: the innermost of its frames.

    Code of a kind that a user writes runs for those who declare one: what it does with its own ``construct``, in
    ``__init__`` for instance, is told at the line that has it do so.
    """
    if construct is not None and type(construct).__module__.startswith("constructs_lib."):
        # No code of a user is of its class.
        construct = None
    place = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if is_user_code(frame.f_code.co_filename):
            if construct is not None and _is_method_of(construct, frame):
                place = None
            elif place is None:
                place = Location(frame.f_code.co_filename, frame.f_lineno)
                if construct is None:
                    break
        frame = frame.f_back
    return place or Location("<unknown>", 0)


def _is_method_of(construct: object, frame: FrameType) -> bool:
    """Tell whether a frame runs a method of a construct, or one that makes it, of its class or one above that."""
    code = frame.f_code
    owner = code.co_qualname.rpartition(".")[0]
    if not code.co_argcount or all(kind.__qualname__ != owner for kind in type(construct).__mro__):
        return False
    first = frame.f_locals.get(code.co_varnames[0])
    return first is construct or (isinstance(first, type) and isinstance(construct, first))


@dataclass(frozen=True, order=True)
class Diagnostic:
    """One error.

    Attributes:
        location: Its line.
        subject: The construct that it concerns.
        problem: In a sentence or two, what is wrong, with the remedy.
    """

    location: Location
    subject: str
    problem: str

    def render(self, root: Path | None = None) -> str:
        """Return it as one line, its file relative to ``root``."""
        return f"{self.location.relative_to(root)}: {self.subject}: {self.problem}"


class DeclarationError(Exception):
    """Raised when a declaration with errors is to be synthesized.

    In a script, one that nobody catches ends it with the errors, a line each, and no traceback.

    Attributes:
        diagnostics: All errors, in the order of their location.
    """

    def __new__(cls, diagnostics: Iterable[Diagnostic]) -> DeclarationError:
        """Return an error that Python shows without a traceback, if it is raised in a script."""
        return super().__new__(_ScriptEndingError if cls is DeclarationError and _script() else cls, diagnostics)

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Collect ``diagnostics``, each one once."""
        self.diagnostics = tuple(sorted(set(diagnostics)))
        super().__init__("\n".join(diagnostic.render() for diagnostic in self.diagnostics))

    def report(self, root: Path | None = None) -> str:
        """Return one line for every error, its file relative to ``root``, and one with their number."""
        count = f"{len(self.diagnostics)} mistake{'s' if len(self.diagnostics) > 1 else ''}"
        lines = [diagnostic.render(root) for diagnostic in self.diagnostics]
        return "\n".join([*lines, f"{count} in the declaration; nothing was written."])


class _ScriptEndingError(DeclarationError, SystemExit):
    """Ends the process with 1 if nobody catches it: Python prints the ``code`` of a ``SystemExit`` and nothing else."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        super().__init__(diagnostics)
        script = _script()
        self.code = self.report(script.parent if script else None)


def _script() -> Path | None:
    """Return the file that ``python app.py`` runs.

    None where code that is installed has called this, such as a test's or a notebook's: what ends a script would end
    that as well.
    """
    frame: FrameType | None = sys._getframe(1)
    script = None
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_INSTALLED) and not is_library_code(file):
            return None
        # Around the app that the console command runs, the file of that command is another one.
        if script is None and frame.f_globals.get("__name__") == "__main__" and is_user_code(file):
            script = Path(file).resolve()
        frame = frame.f_back
    return script


@dataclass
class Diagnostics:
    """The errors of one system's declaration."""

    found: list[Diagnostic] = field(default_factory=list)
    _place: Location | None = None

    def report(self, subject: str, problem: str, location: Location | None = None, *, construct: object = None) -> None:
        """Report an error at ``location`` (default: the line being run, for a ``construct`` as :func:`here` tells)."""
        self.found.append(Diagnostic(location or self.here(construct), subject, problem))

    def here(self, construct: object) -> Location:
        """Return the line that is being run, as :func:`here` does, or what stands in its place."""
        return self._place or here(construct)

    @contextmanager
    def at(self, location: Location) -> Iterator[None]:
        """Report errors at ``location`` instead of the line that is being run."""
        before, self._place = self._place, location
        try:
            yield
        finally:
            self._place = before

    def raise_if_any(self) -> None:
        """Raise :class:`DeclarationError` if an error was reported."""
        if self.found:
            raise DeclarationError(self.found)


#: Diagnostics of the systems that are declared so far: if a declaration breaks off, its errors are told all the same.
open_diagnostics: ContextVar[list[Diagnostics] | None] = ContextVar("open_diagnostics", default=None)


def new_diagnostics() -> Diagnostics:
    """Return new diagnostics, known to the command line if that is what runs the declaration."""
    diagnostics = Diagnostics()
    if (opened := open_diagnostics.get()) is not None:
        opened.append(diagnostics)
    return diagnostics


def report_outside_of_systems(subject: str, problem: str) -> None:
    """Report an error that is made in no system yet, at the line of the user's code that is being run.

    Raises:
        DeclarationError: No command line runs the declaration, so nobody would read it.
    """
    if open_diagnostics.get() is None:
        raise DeclarationError([Diagnostic(here(), subject, problem)])
    new_diagnostics().report(subject, problem)

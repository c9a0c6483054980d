"""Mistakes in a declaration: where they stand, what is wrong, what would be right.

A construct never raises on bad input. It records a :class:`Mistake` in the ledger of its system and goes on with
a harmless stand-in, so that one run reports everything that is wrong with a declaration.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_LIBRARY = f"{Path(__file__).parent.parent}/"
#: Folders of Python and of the packages that are installed: what runs there was called by somebody's code.
_INSTALLED = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True, order=True)
class Location:
    """A line of the declaration.

    Attributes:
        file: Path of the Python file, as the interpreter knows it.
        line: Line number, counted from 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        """Return ``file:line`` without the file's folder, as messages name a second place."""
        return f"{Path(self.file).name}:{self.line}"

    def relative_to(self, root: Path | None) -> str:
        """Return ``file:line``, the file relative to ``root`` where it lies below it."""
        if root is not None:
            try:
                return f"{Path(self.file).resolve().relative_to(root.resolve()).as_posix()}:{self.line}"
            except ValueError:
                pass
        return f"{self.file}:{self.line}"


def is_library_code(file: str) -> bool:
    """Tell whether a file belongs to this library."""
    return file.startswith(_LIBRARY)


def is_user_code(file: str) -> bool:
    """Tell whether a file belongs to the user: neither to this library nor to Python or an installed package.

    What dataclasses generate runs in a file called ``<string>``.
    """
    return not file.startswith((_LIBRARY, *_INSTALLED, "<"))


def here() -> Location:
    """Return the line of the user's code that is being run: the innermost of its frames."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if is_user_code(frame.f_code.co_filename):
            return Location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return Location("<unknown>", 0)


@dataclass(frozen=True, order=True)
class Mistake:
    """One thing that is wrong with a declaration.

    Attributes:
        location: The line at which it stands.
        subject: The construct that it concerns, for instance ``user-service``.
        problem: What is wrong, with the remedy, in one sentence or two.
    """

    location: Location
    subject: str
    problem: str

    def render(self, root: Path | None = None) -> str:
        """Return the mistake as one line, its file relative to ``root``."""
        return f"{self.location.relative_to(root)}: {self.subject}: {self.problem}"


class DeclarationError(Exception):
    """Raised when a declaration with mistakes is to be synthesized.

    In a script, one that nobody catches ends it with the mistakes, a line each, and no traceback.

    Attributes:
        mistakes: All of them, in the order of their location.
    """

    def __new__(cls, mistakes: Iterable[Mistake]) -> DeclarationError:
        """Return an error that Python shows without a traceback, if it is raised in a script."""
        return super().__new__(_ScriptEndingError if cls is DeclarationError and _script() else cls, mistakes)

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        """Collect ``mistakes``, each one once."""
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(mistake.render() for mistake in self.mistakes))

    def report(self, root: Path | None = None) -> str:
        """Return one line for every mistake, its file relative to ``root``, and one with their number."""
        count = f"{len(self.mistakes)} mistake{'s' if len(self.mistakes) > 1 else ''}"
        lines = [mistake.render(root) for mistake in self.mistakes]
        return "\n".join([*lines, f"{count} in the declaration; nothing was written."])


class _ScriptEndingError(DeclarationError, SystemExit):
    """Ends the process with 1 if nobody catches it: Python prints the ``code`` of a ``SystemExit`` and nothing else."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        super().__init__(mistakes)
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
        if frame.f_globals.get("__name__") == "__main__" and is_user_code(file):
            script = Path(file).resolve()
        frame = frame.f_back
    return script


@dataclass
class Ledger:
    """The mistakes of one system."""

    mistakes: list[Mistake] = field(default_factory=list)
    _place: Location | None = None

    def report(self, subject: str, problem: str, location: Location | None = None) -> None:
        """Record a mistake at ``location`` (default: the line of the user's code that is being run)."""
        self.mistakes.append(Mistake(location or self._place or here(), subject, problem))

    @contextmanager
    def at(self, location: Location) -> Iterator[None]:
        """Record mistakes at ``location``: the line that is being run says nothing of them."""
        before, self._place = self._place, location
        try:
            yield
        finally:
            self._place = before

    def raise_if_any(self) -> None:
        """Raise :class:`DeclarationError` if a mistake was recorded."""
        if self.mistakes:
            raise DeclarationError(self.mistakes)

    def __iter__(self) -> Iterator[Mistake]:
        """Iterate over the mistakes in the order in which they were made."""
        return iter(self.mistakes)


#: Ledgers of the systems declared so far, so that mistakes made before a declaration broke off are reported too.
open_ledgers: ContextVar[list[Ledger] | None] = ContextVar("open_ledgers", default=None)


def new_ledger() -> Ledger:
    """Return a ledger, known to the command line if that is what runs the declaration."""
    ledger = Ledger()
    opened = open_ledgers.get()
    if opened is not None:
        opened.append(ledger)
    return ledger


def report_outside_of_systems(subject: str, problem: str) -> None:
    """Record a mistake that is made in no system yet, at the line of the user's code that is being run.

    Raises:
        DeclarationError: No command line runs the declaration, so nobody would read the record.
    """
    if open_ledgers.get() is None:
        raise DeclarationError([Mistake(here(), subject, problem)])
    new_ledger().report(subject, problem)

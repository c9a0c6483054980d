"""How mistakes reach the person who made them: one line each, no traceback."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType

from rich.console import Console

from constructs_lib.cli.declaration import wrong_call
from constructs_lib.declare.diagnostics import DeclarationError, Location, Mistake, is_user_code


def console() -> Console:
    """Return the console for everything but the result: it shows texts as they are."""
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def print_mistakes(error: DeclarationError, root: Path) -> None:
    """Print all mistakes, their files relative to ``root``."""
    out = console()
    for mistake in error.mistakes:
        out.print(mistake.render(root))
    count = len(error.mistakes)
    out.print(f"{count} mistake{'s' if count > 1 else ''} in the declaration; nothing was written.")


def report_mistakes_outside_of_main() -> None:
    """Have Python report a mistake like :func:`print_mistakes` where ``main()`` does not run yet.

    ``K3d(node=3)`` at the top of a file is one. All other exceptions stay Python's own; its exit code is 1 either way.
    """
    usual = sys.excepthook

    def hook(kind: type[BaseException], failure: BaseException, trace: TracebackType | None) -> None:
        error = _mistakes_in(failure, trace)
        if error is None:
            usual(kind, failure, trace)
        else:
            print_mistakes(error, Path(sys.argv[0]).resolve().parent)

    sys.excepthook = hook


def _mistakes_in(failure: BaseException, trace: TracebackType | None) -> DeclarationError | None:
    if isinstance(failure, DeclarationError):
        return failure
    frames = [*traceback.walk_tb(trace)]
    if isinstance(failure, TypeError) and frames and is_user_code(frames[-1][0].f_code.co_filename):
        frame, line = frames[-1]
        if problem := wrong_call(str(failure), frame):
            return DeclarationError([Mistake(Location(frame.f_code.co_filename, line), "declaration", problem)])
    return None

"""How mistakes reach the person who made them: one line each, no traceback."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from constructs_lib.declare.diagnostics import DeclarationError


def console() -> Console:
    """Return the console for everything but the result: it shows texts as they are."""
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def result_console() -> Console:
    """Return the console for the result of a command: it shows texts as they are."""
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def print_diagnostics(error: DeclarationError, root: Path) -> None:
    """Print all mistakes, their files relative to ``root``."""
    console().print(error.report(root))

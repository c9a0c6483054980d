"""How results and errors are printed."""

from pathlib import Path

from rich.console import Console

from constructs_lib.declare.diagnostics import DeclarationError


def console() -> Console:
    """Return the console for messages, on the standard error; it prints texts without interpreting them."""
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def result_console() -> Console:
    """Return the console for the result of a command; it prints texts without interpreting them."""
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def print_diagnostics(error: DeclarationError, root: Path) -> None:
    """Print all mistakes, their files relative to ``root``."""
    console().print(error.report(root))

"""Parts of sentences that many findings share."""

from __future__ import annotations

from collections.abc import Iterable

from constructs_lib.declare.diagnostics import nearest


def hint(what: str, word: str, known: Iterable[str]) -> str:
    """Return what a name should have been.

    Args:
        what: What the name is of, such as ``Service``.
        word: The name that there is not.
        known: The names that there are.

    Returns:
        A sentence, or nothing if there is no name to choose from.
    """
    names = sorted(known)
    return f"As the {what}, {nearest(word, names)}" if names else ""


def within(namespace: str) -> str:
    """Return where an object is, as the rest of a sentence; nothing if nobody says in which namespace."""
    return f" in the namespace {namespace}" if namespace else ""

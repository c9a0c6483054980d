"""What a proof is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from constructs_lib.check.finding import Check, Finding
from constructs_lib.check.tree import Subject


@dataclass(frozen=True)
class Proof:
    """One proof.

    Attributes:
        name: Its name, that of its file.
        title: What it proves, in a sentence.
        checks: What it looks for.
        prove: Yields what is wrong.
    """

    name: str
    title: str
    checks: tuple[Check, ...]
    prove: Callable[[Subject], Iterator[Finding]]

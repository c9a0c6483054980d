"""A plan at the terminal, line by line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from samples import nothing, sample

from constructs_lib.plan.plan import Plan
from constructs_lib.plan.terminal import print_plan

EXPECTED = (Path(__file__).parent / "sample.txt").read_text()


def printed(plan: Plan, **options: object) -> str:
    out = io.StringIO()
    print_plan(plan, Console(file=out, **options))  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 80, 400])
def test_plan(width: int) -> None:
    assert printed(sample(), width=width) == EXPECTED


def test_nothing() -> None:
    assert printed(nothing(), width=80) == "No changes.\n"


def test_colours_only_at_a_terminal() -> None:
    assert "\x1b[" not in printed(sample(), width=80)
    assert "\x1b[" in printed(sample(), width=80, force_terminal=True, color_system="standard")

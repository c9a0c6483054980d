"""The text of a phase."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from lab import Lab
from rich.console import Console

from constructs_lib.rehearse.report.terminal import print_outcome

SHOP = {"db": {"pin": "a", "callers": ["api"]}, "api": {"pin": "a", "calls": ["db"]}}
CHANGED = {"db": {"pin": "b", "image": 2, "callers": ["api"]}, "api": {"pin": "b", "image": 2, "calls": ["db"]}}
IN_ORDER = {
    10: ["app db", "apply Deployment/db", "pods db 1"],
    30: ["ready db", "end db 1", "healthy db"],
    40: ["all api"],
}


def printed(script: Mapping[Any, list[str]], width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    print_outcome(Lab(SHOP, CHANGED).judged(script), console)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_shows_bars_by_wave() -> None:
    assert printed(IN_ORDER, 106) == [
        "update: the promise was kept, 40 s",
        "wave  component                                            begins  complete  Argo CD",
        "   0  db         ··········████████████████████──────────    10.0      30.0     30.0  complete",
        "   1  api        ·······································█    40.0      40.0     40.0  complete",
    ]


def test_says_what_broke_the_promise() -> None:
    lines = printed({10: ["app db"], 20: ["all api"]}, 80)
    assert lines[0] == "update: the promise was not kept (2 findings), 20 s"
    assert lines[2] == "   0  db         ·······███████    10.0         –        –  never complete"
    assert [line.partition(": ")[0] for line in lines[4:]] == ["✗ order", "✗ not complete"]


@pytest.mark.parametrize("width", [20, 80, 400])
def test_bars_fit(width: int) -> None:
    rows = printed(IN_ORDER, width)[2:4]
    assert len({row.index("10.0" if "10.0" in row else "40.0") for row in rows}) == 1

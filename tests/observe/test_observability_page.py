"""The committed pages about dashboards and alerts are what the declaration gives."""

from __future__ import annotations

from pathlib import Path

import app
from constructs_lib.derive.graph import Graph
from constructs_lib.observe.page import pages

DOCS = Path(app.__file__).parent / "docs"


def test_committed_pages_are_up_to_date() -> None:
    """If this fails, run ``make docs``."""
    found = pages(Graph(app.positionpal(app.PRODUCTION)))
    assert {path: (DOCS / path).read_text(encoding="utf-8") for path in found} == found


def test_every_runbook_is_of_an_alert() -> None:
    found = pages(Graph(app.positionpal(app.PRODUCTION)))
    there = {f"runbooks/{path.name}" for path in (DOCS / "runbooks").iterdir()}
    assert there == {path for path in found if path.startswith("runbooks/")}


def test_every_link_leads_to_a_page() -> None:
    found = pages(Graph(app.positionpal(app.PRODUCTION)))
    for part in found["observability.md"].split("](runbooks/")[1:]:
        assert f"runbooks/{part.partition(')')[0]}" in found

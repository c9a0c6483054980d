"""What docs/rehearsal.md tells is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from app_runs import ROOT
from repositories import run

from constructs_lib.rehearse.findings import Finding, Subject

PAGE = (Path(ROOT) / "docs" / "rehearsal.md").read_text(encoding="utf-8")


def test_every_finding_has_its_row_in_the_order_of_reports() -> None:
    rows = re.findall(r"^\| ([✗·]) \| ([a-z, ]+) \| \S", PAGE, re.MULTILINE)
    assert rows == [("✗" if Finding(subject, "", "").breaks else "·", str(subject)) for subject in Subject]


def test_every_option_is_told() -> None:
    options = set(re.findall(r"^│ (--[a-z]+)", run(ROOT, "rehearse", "--help").out, re.MULTILINE))
    assert {"--install", "--clear"} <= options
    assert {option for option in options if f"`{option}" not in PAGE and f" {option}" not in PAGE} == {"--help"}

"""What is found in recordings: each fault, and its harmless twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from lab import Lab

CASES = yaml.load((Path(__file__).parent / "cases.yaml").read_text(), yaml.CSafeLoader)


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_finds_what_happened_and_nothing_else(case: dict[str, Any]) -> None:
    given = {**CASES["usual"], **case}
    arguments = {"broken": frozenset(given.get("broken", ())), "warnings": given.get("warnings", ())}
    lab = Lab(given["old"], given["new"], given.get("options", ()))
    lab.begin(given.get("begin", []))
    outcome = lab.judged(given["script"], **arguments)
    found = [f"{finding.subject}: {finding.text}" for finding in outcome.findings]
    assert len(found) == len(given["finds"]), found
    for text, words in zip(found, given["finds"], strict=True):
        assert text.startswith(words)
    if "rows" in given:
        assert {row.component: [row.began, row.complete] for row in outcome.progress} == given["rows"]
    for name in ("pruned", "left", "adopted"):
        assert list(getattr(outcome.effects, name)) == given.get(name, [])

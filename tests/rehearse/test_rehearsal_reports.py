"""The reports of a rehearsal."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from json_schemas import valid
from lab import Lab
from rich.console import Console

from constructs_lib.rehearse.judgement import Outcome
from constructs_lib.rehearse.report import json_report, markdown
from constructs_lib.rehearse.report.picture import svg
from constructs_lib.rehearse.report.terminal import print_outcome

SVG = "http://www.w3.org/2000/svg"
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


def outcome(script: Mapping[Any, list[str]], **arguments: Any) -> Outcome:
    return Lab(SHOP, CHANGED).judged(script, **arguments)


#: What objects and messages may hold, to break out of a report.
HOSTILE = "</details>\n# <script>alert(1)</script> | `code` [link](https://example.com) \x1b[31m"


def test_json_tells_everything() -> None:
    found = valid("rehearse", json_report.render([outcome(IN_ORDER), outcome({10: ["app db"], 20: ["all api"]})]))
    assert (found["version"], found["kept"], [phase["kept"] for phase in found["phases"]]) == (1, False, [True, False])
    assert found["phases"][0]["progress"][0] == {
        "component": "db",
        "wave": 0,
        "is_removed": False,
        "is_held": False,
        "began": 10,
        "complete": 30,
        "missing": [],
        "synced": 30,
        "healthy": 30,
        "says": "",
    }
    second = found["phases"][1]
    first = second["findings"][0]
    assert (first["of"], first["start"], first["end"], first["breaks"]) == ("api", 20, None, True)
    assert [finding["subject"] for finding in second["findings"]] == ["order", "not complete"]


def test_markdown_has_a_table_and_what_there_is_to_know() -> None:
    found = markdown.render([outcome(IN_ORDER), outcome({10: ["app db"], 20: ["all api"]})], "PositionPal")
    assert "### PositionPal\n\n**❌ The promise was not kept.**" in found
    assert "| 0 | db | 10.0 | 30.0 | 30.0 | complete |" in found
    assert "<details open><summary>What there is to know (2)</summary>\n\n- ❌ **order**: api began at 20.0 s" in found


def test_markdown_and_picture_show_text_of_objects_as_it_is() -> None:
    found = outcome(IN_ORDER, warnings=[HOSTILE])
    found = replace(found, phase=HOSTILE, progress=(replace(found.progress[0], component=HOSTILE), *found.progress[1:]))
    text = markdown.render([found], HOSTILE)
    assert text.count("</details>") == text.count("<details") == 1
    assert "<script" not in text and "\n# " not in text and "\x1b" not in text
    assert all(len(re.split(r"(?<!\\)\|", line)) == 8 for line in text.splitlines() if line.startswith("|"))
    picture = svg([found], HOSTILE)
    assert not any("script" in element.tag for element in ElementTree.fromstring(picture).iter())


def test_markdown_is_cut_where_it_gets_too_long() -> None:
    found = [outcome(IN_ORDER)] * 50
    text = markdown.render(found, limit=2000)
    assert len(text) <= 2000
    shown = text.count("####")
    assert text.endswith(f"\n… and {50 - shown} more phases, for which there is no room here.\n")
    many = outcome(IN_ORDER, warnings=[f"warning {number}" for number in range(100)])
    assert "- … and 60 more" in markdown.render([many])


def test_picture_has_a_bar_for_each_component() -> None:
    found = outcome(IN_ORDER)
    root = ElementTree.fromstring(svg([found]))
    bars = [group for group in root.iter(f"{{{SVG}}}g") if group[0].tag == f"{{{SVG}}}rect"]
    assert [bar[1].text for bar in bars] == ["db: complete", "api: complete"]
    start, width = (float(bars[0][0].get(name, "")) for name in ("x", "width"))
    assert width == pytest.approx(640 * 20 / 40)
    assert float(bars[1][0].get("x", "")) == pytest.approx(start - 640 / 4 + 640)
    assert "prefers-color-scheme: dark" in svg([found])


def test_picture_shows_closed_calls_and_what_broke_the_promise() -> None:
    lab = Lab(SHOP, CHANGED)
    found = lab.judged({10: ["all api"], 20: ["unready db"], 30: ["ready db"]})
    root = ElementTree.fromstring(svg([found]))
    marked = [group[1].text for group in root.iter(f"{{{SVG}}}g") if group[0].get("class") == "entry"]
    assert marked == ["api: began too early", "closed from 20.0 to 30.0 s"]


def test_nothing_happened() -> None:
    found = Lab(SHOP, SHOP).judged({})
    assert found.kept and found.findings == ()
    assert ElementTree.fromstring(svg([found])).tag == f"{{{SVG}}}svg"
    assert (
        markdown.render([found])
        == "### Rehearsal\n\n**✅ The promise was kept.**\n\n#### ✅ update: the promise was kept, 0 s\n\n\n"
    )

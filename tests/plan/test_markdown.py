"""A plan as a comment on a pull request."""

from __future__ import annotations

import re
from pathlib import Path

from samples import nothing, sample
from trees import snapshot, tree

from constructs_lib.plan.plan import plan
from constructs_lib.plan.report.markdown import LIMIT, render

EXPECTED = (Path(__file__).parent / "sample.md").read_text()


def config(name: str, text: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns"}, "data": {"a": text}}


def test_plan() -> None:
    assert render(sample()) == EXPECTED


def test_nothing() -> None:
    assert render(nothing(), "Plan of local") == "### Plan of local\n\n**No changes.**\n\n"


def test_limit() -> None:
    names = [f"app-{number}" for number in range(300)]
    old = tree({name: [config(f"{name}-{n}", "old") for n in range(4)] for name in names})
    new = tree({name: [config(f"{name}-{n}", "new") for n in range(4)] for name in names})
    found = plan(snapshot(old), snapshot(new))
    text = render(found)
    assert len(text) <= LIMIT
    shown = text.count("<details>")
    assert 0 < shown < 300
    assert text.endswith(
        f"\n… and {4 * (300 - shown)} more changes of {300 - shown} components, for which there is no room here.\n"
    )
    assert len(render(found, limit=1_000)) <= 1_000
    assert render(found, limit=10**9).count("<details>") == 300


def test_content_cannot_break_out() -> None:
    evil = "```\n</details><script>\n````\n# title\n"
    old, new = tree({"web": [config("a", "x\ny\n")]}), tree({"web": [config("a", evil)]})
    text = render(plan(snapshot(old), snapshot(new)))
    assert "    `````diff\n" in text
    assert "    `````\n" in text
    line = tree({"web": [config("a", "x")]}), tree({"web": [config("a", "`</details>` *x* | y")]})
    text = render(plan(*map(snapshot, line)))
    assert "`` `</details>` *x* | y ``" in text
    assert len(re.findall(r"^</details>$", text, flags=re.MULTILINE)) == 1

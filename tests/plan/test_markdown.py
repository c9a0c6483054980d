"""A plan as a comment on a pull request."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from samples import nothing, sample
from trees import snapshot, tree

from constructs_lib.plan.plan import plan
from constructs_lib.plan.report.markdown import LIMIT, escaped, render

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


@pytest.mark.parametrize(
    "text",
    [
        *("@org/security", "org/repo#1", "see #1", "GH-1", "gh-12", "a@b.example", "user@01234567", r"\@org", "@_x"),
        *("https://evil.example/x", "see http://evil.example", "www.evil.example", "WWW.evil.example"),
        *("!1", "~label", '~"a label"', "%3", "$1", "^alert#1", "&1", "&@org", "<b>@org</b>", "*@org*", "[x](#1)"),
    ],
)
def test_a_text_speaks_to_nobody(text: str) -> None:
    """GitHub and GitLab look at the text that Markdown gives: there, what they would find is interrupted."""
    seen = html.unescape(re.sub("<[^<>]*>", "", MarkdownIt().renderInline(escaped(text))))
    assert seen.replace("\u200b", "") == text
    lively = r"[@#!~$%^&](?=[\w\"])|\bGH-\d|\bwww\.|://"
    assert re.findall(lively, text, re.IGNORECASE)
    assert re.findall(lively, seen, re.IGNORECASE) == []


@pytest.mark.parametrize(
    "name", ["@org/security #1 https://evil.example", "</summary></code>@org", "GH-1 www.evil.example"]
)
def test_names_of_components_speak_to_nobody(name: str) -> None:
    """Neither in the title of a step, nor of what deploys them, nor where they are in a sentence."""
    text = render(plan(snapshot(tree({"web": [config("a", "x")]})), snapshot(tree({name: [config("a", "y")]}))), name)
    bare = re.sub(r"(`+).+?\1|<code>[^<]*</code>|\(\[source\]\([^)]*\)\)", "", text)
    assert f"<b><code>{html.escape(name)}</code></b>" in text
    assert re.findall(r"[@#]org|@org|#1|GH-|www\.|://|</code>", bare.replace("\\", "")) == []

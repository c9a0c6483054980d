"""A plan at the terminal, line by line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from github_runner import heard
from rich.console import Console
from samples import nothing, sample
from trees import Manifest, config, snapshot, tree

from constructs_lib.plan.plan import Plan, plan
from constructs_lib.plan.report.terminal import print_plan

EXPECTED = (Path(__file__).parent / "sample.txt").read_text()


def printed(found: Plan, **options: object) -> str:
    out = io.StringIO()
    print_plan(found, Console(file=out, **options))  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 80, 400])
def test_plan(width: int) -> None:
    assert printed(sample(), width=width) == EXPECTED


def test_nothing() -> None:
    assert printed(nothing(), width=80) == "No changes.\n"


def test_many_fields_are_counted() -> None:
    def config(value: str) -> Manifest:
        data = {f"key-{number:03}": value for number in range(200)}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}

    found = plan(*(snapshot(tree({"app": [config(value)]})) for value in ("1", "2")))
    lines = printed(found, width=80).splitlines()
    assert lines[2:4] == ["  ~ ConfigMap/ns/a: update in place", "      data.key-000: 1 → 2"]
    assert lines[-4:-2] == ["      data.key-029: 1 → 2", "      … and 170 more fields"]


def test_a_tree_that_is_all_new_is_summarized() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ns"}}
    many = {"app": [*(config(f"c{number:02}") for number in range(20)), service], "site": [config("other")]}
    new = snapshot(tree(many), "new")
    lines = printed(plan(snapshot({}, "nothing"), new), width=400).splitlines()
    assert "  + 21 objects: create (20 ConfigMap, Service)" in lines
    assert "  + ConfigMap/ns/other: create" in lines
    assert "Everything is new. Each object by itself: --format json." in lines
    # What is not all new is shown one by one, and so is what is small.
    old = snapshot(tree({"app": [config("old")]}), "old")
    for found in (plan(old, new), plan(snapshot({}, "nothing"), old)):
        assert "objects: create" not in printed(found, width=400)


def test_a_long_value_is_shown_where_it_changes() -> None:
    def config(value: str) -> Manifest:
        data = {"key": f"{'a' * 100} {value} {'z' * 100}"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}

    found = plan(*(snapshot(tree({"app": [config(value)]})) for value in ("old", "new")))
    old, new = (f"…{'a' * 39} {value} {'z' * 15}…{'z' * 20}" for value in ("old", "new"))
    assert printed(found, width=80).splitlines()[3] == f"      data.key: {old} → {new}"


def test_names_cannot_command_the_terminal() -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Config\x1b[31mMap",
        "metadata": {"name": "a\nb\udc80"},
        "data": "\x1b]0;x\x07",
    }
    new = tree({"app": []}, **{"parts/app/0.json": json.dumps(manifest).encode()})
    lines = printed(plan(snapshot(tree({"app": []})), snapshot(new)), width=80).splitlines()
    assert lines[2] == "  + Config�[31mMap/ns/a␤b�: create"
    "\n".join(lines).encode()


@pytest.mark.parametrize("change", ["one", "##[add-mask]one"])
def test_values_and_names_cannot_command_the_runner(change: str) -> None:
    """Context of a change begins with what the line has itself; so does the name of a component."""

    def config(value: str) -> Manifest:
        data = {"key": f"::stop-commands::deadbeef\n{value}\n::add-mask::dangerous\n"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}

    trees = (snapshot(tree({"::add-mask::dangerous": [config(value)]})) for value in (change, "two"))
    shown = printed(plan(*trees), width=80)
    assert "│ ::stop-commands::deadbeef" in shown
    assert [*heard(shown)] == []


def test_colours_only_at_a_terminal() -> None:
    assert "\x1b[" not in printed(sample(), width=80)
    assert "\x1b[" in printed(sample(), width=80, force_terminal=True, color_system="standard")

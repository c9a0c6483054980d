"""Who knows whom: the contract of the rooms in pyproject.toml, no large circles, and no long files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import grimp
import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parent.parent


def test_rooms_know_only_what_they_may(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    status = lint_imports("pyproject.toml", no_cache=True, no_logo=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_no_circle_has_more_than_three_files() -> None:
    graph = grimp.build_graph("constructs_lib", cache_dir=None)
    circles = {
        frozenset({module, *(graph.find_upstream_modules(module) & graph.find_downstream_modules(module))})
        for module in graph.modules
    }
    assert [sorted(circle) for circle in circles if len(circle) > 3] == []


def test_no_file_is_long() -> None:
    listing = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    lines = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in listing.stdout.split()}
    assert {name: count for name, count in lines.items() if count > 450} == {}

"""What the command ``rehearse`` says before anything is started: mistakes, and that there is nothing to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from app_runs import run_process
from shop import APP, BASKET, Shop
from stage import tools
from systems import environment

from constructs_lib import GitRepository
from constructs_lib.cli import rehearse
from constructs_lib.rehearse.settings import settings_of
from constructs_lib.user_error import UserError

REHEARSE = "rehearse", "laptop"
NOTHING = "Nothing to rehearse: laptop does not change. --install, or --break COMPONENT, rehearses all of it.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Which environment? laptop, cloud\n"),
        (["labtop"], 'There is no environment "labtop"; did you mean "laptop"?\n'),
        (["laptop", "--break", "bascet"], 'There is no component "bascet"; did you mean "basket"?\n'),
        (["laptop", "--from", "nowhere"], 'There is no Git revision "nowhere".\n'),
        (["laptop", "--from", "HEAD~2"], "HEAD~2 has nothing of laptop: there is no folder argocd/laptop in it.\n"),
        (["cloud", "--to", "HEAD"], "HEAD has nothing of cloud: there is no folder argocd/cloud in it.\n"),
        (["laptop", "--to", "HEAD", "--break", "basket"], "--break breaks what is declared: leave out --to.\n"),
        (
            ["laptop", "--install", "--break", "basket"],
            "--install installs what is declared, and nothing else: leave out --from, --to, --break and --kill.\n",
        ),
        (["laptop", "--install", "--svg", "nowhere/a.svg"], "--svg: nowhere is no folder.\n"),
        (["laptop", "--install", "--svg", "."], "Invalid value for '--svg': file '.' is a directory.\n"),
        (
            ["laptop", "--install", "--charts", "nowhere"],
            "Invalid value for '--charts': dir 'nowhere' does not exist.\n",
        ),
        (["laptop", "--install", "--tools", "nowhere"], "--tools: nowhere is no folder.\n"),
    ],
)
def test_mistakes_are_told_alone(first_published: Shop, arguments: Sequence[str], says: str) -> None:
    run = first_published.run("rehearse", *arguments, COLUMNS="200")
    assert (run.code, run.out, run.err) == (2, "", says)


def test_nothing_to_rehearse(first_published: Shop) -> None:
    for arguments in ([], ["--format", "markdown"], ["--from", "HEAD", "--to", "HEAD"]):
        run = first_published.run(*REHEARSE, *arguments)
        assert (run.code, run.out, run.err) == (0, NOTHING, "")
    run = first_published.run(*REHEARSE, "--format", "json")
    assert json.loads(run.out) == {"version": 1, "kept": True, "phases": []}


def test_what_changes_needs_programs(published: Shop, tmp_path: Path) -> None:
    published.change(*BASKET)
    run = published.run(*REHEARSE, XDG_CACHE_HOME=str(tmp_path))
    assert run.code == 1
    assert run.err.startswith("A rehearsal cannot start:\n  ")
    assert "\n  argocd is missing: `--setup` builds it" in run.err


def test_argocd_without_its_definitions_is_told_before_anything_starts(published: Shop, tmp_path: Path) -> None:
    published.change(*BASKET)
    for tool in vars(tools()).values():
        (tmp_path / tool.name).symlink_to(tool.path)
    run = published.run(*REHEARSE, "--tools", str(tmp_path))
    assert run.code == 1
    assert run.err.splitlines()[-1].startswith(f"{tmp_path}/crds is missing: it has to hold the CustomResource")


def test_what_happened_is_told_even_if_its_picture_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FileNotFoundError):
        rehearse._print([], "json", tmp_path / "removed-meanwhile/picture.svg")
    assert json.loads(capsys.readouterr().out)["phases"] == []


def test_repository_that_is_read_by_ssh(tmp_path: Path) -> None:
    read_by_ssh = replace(environment(), repository=GitRepository("git@github.com:example/shop.git"))
    with pytest.raises(UserError, match=r"reads git@github.com:example/shop.git by SSH, and a rehearsal stands in for"):
        settings_of(read_by_ssh, tmp_path, None, patience=60)


def test_shallow_clone(first_published: Shop, tmp_path: Path) -> None:
    first_published.git("clone", "--quiet", "--depth=1", first_published.remote.as_uri(), str(tmp_path / "shallow"))
    run = run_process(tmp_path / "shallow", *REHEARSE)
    assert (run.code, run.err.strip()) == (
        1,
        "The clone is shallow, so that commits may be missing; git fetch --unshallow first.",
    )


def test_no_repository(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    run = run_process(tmp_path, *REHEARSE, "--install")
    assert run.code == 1
    assert run.err.startswith("A rehearsal reads from a Git repository: fatal: not a git repository")


def test_nothing_is_left_to_clear(first_published: Shop, tmp_path: Path) -> None:
    run = first_published.run("rehearse", "--clear", XDG_CACHE_HOME=str(tmp_path))
    assert (run.code, run.out, run.err) == (0, "", "No rehearsal was left running.\n")

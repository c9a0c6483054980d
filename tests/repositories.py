"""PositionPal in a Git repository of its own, with a remote, to try the commands in."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from app_runs import ROOT, Run, run_process

IDENTITY = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Some Body",
    "GIT_AUTHOR_EMAIL": "somebody@example.com",
    "GIT_COMMITTER_NAME": "Some Body",
    "GIT_COMMITTER_EMAIL": "somebody@example.com",
}


def run(folder: Path, *arguments: str) -> Run:
    """Run PositionPal's command line in a folder, in a process of its own."""
    return run_process(folder, *arguments, COLUMNS="200", NO_COLOR="1", TERM="dumb", **IDENTITY)


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints in a folder."""
    result = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **IDENTITY}, check=True, capture_output=True, text=True
    )
    return result.stdout.rstrip("\n")


def positionpal(folder: Path) -> Path:
    """Return a checkout of PositionPal whose declaration and generated files are committed and pushed."""
    work, remote = folder / "work", folder / "origin.git"
    work.mkdir()
    for name in ("app.py", "versions.py"):
        shutil.copy(ROOT / name, work)
    shutil.copytree(ROOT / "schemas", work / "schemas")
    (work / ".gitignore").write_text("__pycache__/\n")
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    git(work, "remote", "add", "origin", str(remote))
    assert run(work).code == 0
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "Declare PositionPal")
    git(work, "push", "--quiet", "--set-upstream", "origin", "main")
    return work


def change(work: Path, file: str, old: str, new: str) -> None:
    """Replace a text in a file of the declaration, and commit that."""
    text = (work / file).read_text()
    assert old in text
    (work / file).write_text(text.replace(old, new))
    git(work, "commit", "--quiet", "--all", "--message", f"Change {file}")


def newer(image: str) -> str:
    """Return another version of an image, whichever it has: Renovate changes it, and tests go on."""
    name, at, digest = image.partition("@")
    return f"{name}.1{at}{digest}"

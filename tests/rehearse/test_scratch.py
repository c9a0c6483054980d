"""The repository to rehearse in: nothing of it becomes the user's own, wherever the command is called from."""

from __future__ import annotations

from pathlib import Path

import pytest

from constructs_lib.rehearse.scratch import ScratchRepository
from constructs_lib.repository.git import Git


def test_hook_of_git_that_says_where_its_repository_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the hooks of a linked working tree do: https://git-scm.com/docs/githooks."""
    own, scratch = tmp_path / "own", tmp_path / "scratch"
    own.mkdir()
    scratch.mkdir()
    git = Git(own)
    git.run("init", "--quiet", "--initial-branch=main")
    for name in ("first", "second"):
        (own / "file").write_text(name)
        git.run("add", "file")
        git.run("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", f"--message={name}")
    first, second = git.run("rev-parse", "HEAD~1", "HEAD").split()
    configuration = (own / ".git/config").read_bytes()
    monkeypatch.setenv("GIT_DIR", str(own / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(own / ".git/index"))
    found = ScratchRepository(scratch, own, "main")
    found.set(first)
    assert found.head == first
    monkeypatch.delenv("GIT_DIR", raising=False)
    monkeypatch.delenv("GIT_INDEX_FILE", raising=False)
    assert (own / ".git/config").read_bytes() == configuration
    assert (git.run("rev-parse", "HEAD"), git.run("status", "--porcelain")) == (second, "")

"""Snapshots of folders, of Git revisions and of memory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.snapshot import Snapshot, is_commit


def commit(root: Path, message: str) -> str:
    """Commit everything and return the commit's id."""
    who = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", root, "add", "--all"], check=True)
    subprocess.run(["git", "-C", root, *who, "commit", "--quiet", "--message", message], check=True)
    return Git(root).run("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for path in ("top.yaml", "a/one.yaml", "a/two.yml", "b/three.json", "b/notes.md", "c/picture.png"):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(path)
    return tmp_path


MANIFESTS = {path: path.encode() for path in ("top.yaml", "a/one.yaml", "a/two.yml", "b/three.json")}


def test_folder(repository: Path) -> None:
    for skipped in (".venv", "node_modules"):
        (repository / skipped).mkdir()
        (repository / skipped / "a.yaml").write_text("a: 1")
    (repository / "link.yaml").symlink_to("top.yaml")
    found = Snapshot.of_folder(repository, "here")
    assert (found.name, found.files, found.pinned) == ("here", {**MANIFESTS, "link.yaml": b"top.yaml"}, None)


def test_many_links_to_a_file_hold_it_once(repository: Path) -> None:
    for number in range(100):
        (repository / f"{number}.yaml").symlink_to("top.yaml")
    commit(repository, "links")
    for found in (Snapshot.of_folder(repository), Snapshot.of_revision(Git(repository), "HEAD")):
        assert len({id(found.files[f"{number}.yaml"]) for number in range(100)}) == 1


def test_revision(repository: Path) -> None:
    first = commit(repository, "first")
    (repository / "a" / "one.yaml").write_text("changed")
    second = commit(repository, "second")
    git = Git(repository)
    assert Snapshot.of_revision(git, first).files == MANIFESTS
    found = Snapshot.of_revision(git, second, "now")
    assert (found.name, found.files["a/one.yaml"]) == ("now", b"changed")
    assert Snapshot.of_revision(git, second, folders=["b"]).files == {"b/three.json": b"b/three.json"}
    assert found.pinned is not None
    assert found.pinned(first, "a").files == {path: MANIFESTS[path] for path in ("a/one.yaml", "a/two.yml")}
    with pytest.raises(LookupError):
        found.pinned("0" * 40, "a")


def test_no_such_revision(repository: Path) -> None:
    with pytest.raises(GitError):
        Snapshot.of_revision(Git(repository), "missing")


def test_revision_without_manifests(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "README.md").write_text("nothing")
    assert Snapshot.of_revision(Git(tmp_path), commit(tmp_path, "first")).files == {}


def test_memory() -> None:
    assert Snapshot.of_files("declared", {"a.yaml": b"1", "a.tfvars": b"2"}).files == {"a.yaml": b"1"}


def test_commits() -> None:
    assert is_commit("a" * 40)
    assert is_commit("0" * 64)
    assert not any(map(is_commit, ("a" * 39, "main", "A" * 40, None, "a" * 40 + "\n")))

"""What is published, by real Git repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from trees import Manifest, application, with_fields, written

from constructs_lib.plan.change import Effect
from constructs_lib.plan.plan import plan
from constructs_lib.plan.published import published
from constructs_lib.repository.git import Git
from constructs_lib.repository.snapshot import Snapshot

PRODUCTION = ("production", "deployed")


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", root, *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def config(value: str) -> bytes:
    manifest: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": value}}
    return written(manifest)


def app(revision: str = "HEAD") -> bytes:
    return written(with_fields(application("web", "dist/production/web"), {"spec.source.targetRevision": revision}))


def tree(value: str, revision: str = "HEAD") -> dict[str, bytes]:
    return {
        "argocd/production/web.yaml": app(revision),
        "dist/production/web/a.yaml": config(value),
        "argocd/local/other.yaml": app(),
        "versions.yaml": b"a: 1\n",
    }


def write(root: Path, files: dict[str, bytes]) -> str:
    """Commit files, and return the commit's id."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "files")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    return root


OURS = ["argocd/production/web.yaml", "dist/production/web/a.yaml"]


def test_no_repository(tmp_path: Path) -> None:
    assert published(Git(tmp_path), *PRODUCTION).files == {}


def test_no_commit(repository: Path) -> None:
    assert published(Git(repository), *PRODUCTION).files == {}


def test_no_remote(repository: Path) -> None:
    write(repository, tree("1"))
    found = published(Git(repository), *PRODUCTION)
    assert (found.name, sorted(found.files)) == ("HEAD", OURS)


def remote(repository: Path, name: str, branch: str) -> None:
    other = repository.parent / f"{name}.git"
    git(repository.parent, "init", "--quiet", "--bare", str(other))
    git(repository, "remote", "add", name, str(other))
    git(repository, "push", "--quiet", name, f"HEAD:refs/heads/{branch}")
    git(repository, "fetch", "--quiet", name)


def test_branch_of_the_remote_counts_and_not_what_is_checked_out(repository: Path) -> None:
    write(repository, tree("1"))
    remote(repository, "origin", "deployed")
    write(repository, tree("2"))
    found = published(Git(repository), *PRODUCTION)
    assert (found.name, found.files["dist/production/web/a.yaml"]) == ("origin/deployed", config("1"))


def test_branch_that_was_never_pushed(repository: Path) -> None:
    write(repository, tree("1"))
    remote(repository, "origin", "main")
    found = published(Git(repository), *PRODUCTION)
    assert (found.name, found.files) == ("origin/deployed", {})


def test_remote_of_the_deployed_branch_whatever_the_current_one_follows(repository: Path) -> None:
    write(repository, tree("1"))
    remote(repository, "origin", "deployed")
    write(repository, tree("2"))
    remote(repository, "fork", "deployed")
    assert published(Git(repository), *PRODUCTION).name == "origin/deployed"
    git(repository, "config", "branch.main.remote", "fork")
    assert published(Git(repository), *PRODUCTION).name == "origin/deployed"
    git(repository, "config", "branch.deployed.remote", "fork")
    found = published(Git(repository), *PRODUCTION)
    assert (found.name, found.files["dist/production/web/a.yaml"]) == ("fork/deployed", config("2"))
    git(repository, "checkout", "--quiet", "--detach")
    assert published(Git(repository), *PRODUCTION).name == "fork/deployed"


def test_pinned_child_is_read_from_its_commit(repository: Path) -> None:
    first = write(repository, tree("1"))
    write(repository, tree("2", revision=first))
    now = published(Git(repository), *PRODUCTION)
    assert plan(now, Snapshot.of_files("new", tree("1", revision=first)), folder="argocd/production").changes == []
    found = plan(now, Snapshot.of_files("new", tree("2")), folder="argocd/production")
    (change,) = found.changes
    assert (change.full_name, change.effect) == ("ConfigMap/ns/a", Effect.UPDATE)
    assert [(field.old, field.new) for field in change.fields] == [("1", "2")]
    assert [(pin.name, pin.old, pin.new) for pin in found.pins] == [("web", first, "HEAD")]


def test_child_pinned_to_a_commit_that_is_not_here(repository: Path) -> None:
    write(repository, tree("2", revision="0" * 40))
    now = published(Git(repository), *PRODUCTION)
    found = plan(now, Snapshot.of_files("new", tree("2")), folder="argocd/production")
    assert found.changes == []
    assert [warning for warning in found.warnings if "0" * 40 in warning]


def test_repository_in_a_folder_of_another(repository: Path) -> None:
    write(repository, {f"inner/{path}": content for path, content in tree("1").items()})
    assert sorted(published(Git(repository / "inner"), *PRODUCTION).files) == OURS

"""What is published: the state from which Argo CD deploys an environment now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.snapshot import Snapshot

if TYPE_CHECKING:
    from constructs_lib.declare.environment import Environment


def published(git: Git, environment: Environment) -> Snapshot:
    """Return what is published of an environment.

    That is the branch from which it is deployed, as the remote had it when it was last fetched or pushed to, and for
    every Application that is pinned to a commit the files of that commit. Without a remote it is the commit that is
    checked out. It has no files if there is no repository, no commit, or nothing of the environment in it.

    Args:
        git: The repository.
        environment: The environment.
    """
    name, commit = _revision(git, environment.repository.branch)
    if commit is None:
        return Snapshot(name, {})
    folders = [f"argocd/{environment.name}", f"dist/{environment.name}"]
    return Snapshot.of_revision(git, commit, name, folders)


def _revision(git: Git, branch: str) -> tuple[str, str | None]:
    """Return the revision that is published, in a person's words, and its commit if there is one."""
    try:
        remotes = git.run("remote").split()
        current = git.run("symbolic-ref", "--quiet", "--short", "HEAD") if git.commit("HEAD") else ""
    except GitError as error:
        # A checkout of no branch says no, and is a repository all the same.
        if error.code != 1:
            return "nothing", None
        current = ""
    if not remotes:
        return "HEAD", git.commit("HEAD")
    remote = _configured(git, current) or ("origin" if "origin" in remotes else remotes[0])
    return f"{remote}/{branch}", git.commit(f"refs/remotes/{remote}/{branch}")


def _configured(git: Git, branch: str) -> str | None:
    """Return the remote of a branch, if it has one of its own."""
    if not branch:
        return None
    try:
        return git.run("config", "--get", f"branch.{branch}.remote")
    except GitError:
        return None

"""What is published: the state from which Argo CD deploys an environment now."""

from __future__ import annotations

from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.snapshot import Snapshot


def published(git: Git, environment: str, branch: str) -> Snapshot:
    """Return what is published of an environment.

    That is the branch from which it is deployed, as the remote had it when it was last fetched or pushed to, and for
    every Application that is pinned to a commit the files of that commit. Without a remote it is the commit that is
    checked out. It has no files if there is no repository, no commit, or nothing of the environment in it.

    Args:
        git: The repository.
        environment: Name of the environment.
        branch: The branch from which it is deployed.
    """
    return published_at(git, environment, *_revision(git, branch))


def published_at(git: Git, environment: str, name: str, commit: str | None) -> Snapshot:
    """Return what a commit publishes of an environment.

    Args:
        git: The repository.
        environment: Name of the environment.
        name: What to call the commit.
        commit: Its id; None if nothing was ever published.
    """
    if commit is None:
        return Snapshot(name, {})
    folders = [f"argocd/{environment}", f"dist/{environment}"]
    return Snapshot.of_revision(git, commit, name, folders)


def commits_behind(git: Git, branch: str) -> int:
    """Return how many commits of the published branch, as far as they were fetched, the checkout lacks."""
    _, commit = _revision(git, branch)
    return int(git.run("rev-list", "--count", f"HEAD..{commit}")) if commit and git.commit("HEAD") else 0


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

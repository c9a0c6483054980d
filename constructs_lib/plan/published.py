"""What is published: the state from which Argo CD deploys an environment now."""

from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.snapshot import Snapshot


def published(git: Git, environment: str, branch: str) -> Snapshot:
    """Return what is published of an environment.

    That is the deployed branch of the remote as it was last fetched or pushed, and without a remote the commit that is
    checked out. An Application that is pinned to a commit is read from that commit. The snapshot is empty without a
    repository, without a commit, and if the commit has nothing of the environment.

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
    """Return the number of fetched commits of the published branch that the checkout lacks."""
    _, commit = _revision(git, branch)
    return int(git.run("rev-list", "--count", f"HEAD..{commit}")) if commit and git.commit("HEAD") else 0


def _revision(git: Git, branch: str) -> tuple[str, str | None]:
    """Return the revision that is published, in a person's words, and its commit if there is one."""
    try:
        remotes = git.run("remote").split()
        current = git.run("symbolic-ref", "--quiet", "--short", "HEAD") if git.commit("HEAD") else ""
    except GitError as error:
        # With a detached HEAD, git symbolic-ref exits with 1.
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

"""What is published: the state from which Argo CD deploys an environment now."""

from constructs_lib.repository.applications import find_applications
from constructs_lib.repository.deployed import History, publication_at, published_revision, refuse_strays
from constructs_lib.repository.git import Git
from constructs_lib.repository.snapshot import Snapshot


def published(git: Git, environment: str, branch: str, publication: str = "") -> Snapshot:
    """Return what is published of an environment that is deployed from a branch, or from one of its publications.

    That is the branch of the remote as it was last fetched or pushed, and without a remote the commit that is
    checked out. An Application that is pinned to a commit is read from that commit. The snapshot is empty without a
    repository, without a commit, and if the commit has nothing of the environment.

    Raises:
        StrayError: The branch of publications is not on the other one.
    """
    if publication and (held := publication_at(git, branch, publication)):
        history = History.of(git, branch)
        refuse_strays(git, held, history.name, history.tips)
    return published_at(git, environment, *published_revision(git, branch, publication))


def published_at(git: Git, environment: str, name: str, commit: str | None) -> Snapshot:
    """Return what a commit, which people call ``name``, publishes of an environment; nothing if there is no commit."""
    if commit is None:
        return Snapshot(name, {})
    # What the bootstrap gives to the cluster belongs to it as well.
    folders = [f"argocd/{environment}", f"dist/{environment}", f"bootstrap/argocd/{environment}.tfvars.json"]
    while True:
        found = Snapshot.of_revision(git, commit, name, folders)
        # An Application that nobody declared may read any other folder.
        more = {
            path
            for application in find_applications(found, folders[:1]).all
            for path in (source.path for source in application.sources)
            if not any(f"{path}/".startswith(f"{folder}/") for folder in folders)
        }
        if not more or "" in folders:
            return found
        folders = [""] if more & {"", "."} else [*folders, *sorted(more)]


def commits_behind(git: Git, branch: str, publication: str = "") -> int:
    """Return the number of fetched commits of the published branch that the checkout lacks."""
    _, commit = published_revision(git, branch, publication)
    return int(git.run("rev-list", "--count", f"HEAD..{commit}")) if commit and git.commit("HEAD") else 0

"""The user's checkout, and the conditions under which something can be published from it."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from constructs_lib.repository.deployed import StrayError, refuse_strays
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.remote import is_same_repository, repository_name
from constructs_lib.repository.snapshot import inside
from constructs_lib.synth.paths import is_owned
from constructs_lib.text import listed, plural
from constructs_lib.user_error import UserError

#: Paths and commits named in a message; a longer list says how many more there are.
_NAMED = 10
#: What Python makes beside the modules that it runs, and reads only if they have not changed.
_BYTECODE = "/__pycache__/"


class PublishError(UserError):
    """Something cannot be published; the message has a line for each reason."""

    def __init__(self, *problems: str) -> None:
        """Collect the problems."""
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class Checkout:
    """A checkout of the branch of the declaration, with its commit and that of the remote's branch, if there is one.

    Attributes:
        git: The repository.
        branch: The branch.
        remote: Name of the remote.
        head: The commit that is checked out.
        remote_head: That of the remote's branch.
        publication: The branch that only publications move; empty if Argo CD follows the other one.
        published_head: The commit that Argo CD deploys: of that branch if the remote has it, and else of the other.
        is_held: Whether the remote has that branch.
    """

    git: Git
    branch: str
    remote: str
    head: str
    remote_head: str | None
    publication: str = ""
    published_head: str | None = None
    is_held: bool = False

    @property
    def upstream(self) -> str:
        """Name of the remote branch in messages."""
        return f"{self.remote}/{self.branch}"

    def followed(self, publication: str) -> "Checkout":
        """Return the same checkout for an environment with its own branch of publications, after fetching that.

        Args:
            publication: The branch; empty if Argo CD follows the branch of the declaration.

        Raises:
            PublishError: It has commits that the branch of the declaration lacks, or the remote does not answer.
        """
        held = _fetched(self.git, self.remote, publication) if publication else None
        found = replace(
            self, publication=publication, published_head=held or self.remote_head, is_held=held is not None
        )
        if held:
            try:
                refuse_strays(self.git, (found.deployed, held), self.upstream, [self.head])
            except StrayError as error:
                raise PublishError(str(error)) from None
        return found

    @property
    def deployed(self) -> str:
        """Name of the remote branch from which Argo CD deploys, in messages."""
        return f"{self.remote}/{self.publication}" if self.is_held else self.upstream

    @property
    def pushed(self) -> str:
        """Names of all branches that a publication pushes, in messages."""
        return f"{self.upstream} and {self.remote}/{self.publication}" if self.publication else self.upstream

    @property
    def push(self) -> str:
        """The command that pushes what is checked out, so that Argo CD deploys it."""
        if not self.publication:
            return f"git push {self.remote} {self.branch}"
        return f"git push --atomic {self.remote} {self.branch} {self.branch}:{self.publication}"

    @property
    def is_folder(self) -> bool:
        """Whether the remote is a folder, from which Argo CD reads nothing."""
        return not repository_name(self.git.run("remote", "get-url", self.remote))

    def unpushed(self) -> list[str]:
        """Return the commits that the remote does not have, newest first, a line each."""
        span = f"{self.remote_head}..{self.head}" if self.remote_head else self.head
        return self.git.run("log", "--format=%h %s", span, "--").splitlines()

    def changes(self, folders: Sequence[str]) -> bool:
        """Tell whether the commits that the remote does not have change anything in some folders."""
        if self.remote_head is None:
            return bool(self.git.files(self.head, folders))
        return bool(self.git.run("diff", "--name-only", self.remote_head, self.head, "--", *folders))

    def dirty(self, owned: Sequence[str]) -> list[str]:
        """Return the files that differ from the last commit.

        Raises:
            PublishError: The generator does not own one of them, or there are conflicts.
        """
        output = self.git.run("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all")
        states = {inside(self.git.folder, entry[3:]): entry[:2] for entry in output.split("\0") if entry}
        # What is changed elsewhere in the repository is another system's, unless this one is made with it.
        used = {os.path.relpath(file, self.git.root) for file in _loaded()} if self.git.folder else set()
        states = {path: state for path, state in states.items() if not path.startswith("../") or path in used}
        conflicts = sorted(path for path, state in states.items() if "U" in state or state in ("AA", "DD"))
        if conflicts:
            raise PublishError(f"There are conflicts in {listed(conflicts, _NAMED)}; resolve them and commit first.")
        made = {path for path, state in states.items() if state == "??" and _BYTECODE in f"/{path}"}
        foreign = sorted(path for path in states.keys() - made if not is_owned(path, owned))
        if foreign:
            ignored = any(states[path] == "??" for path in foreign)
            raise PublishError(
                f"There are changes that are not committed: {listed(foreign, _NAMED)}. What is published must follow "
                f"from what is in Git: commit them first, or put them away with git stash --include-untracked"
                f"{'; what is no part of the declaration belongs in .gitignore' if ignored else ''}."
            )
        return [path for path in states if path not in made]


def _loaded() -> Iterator[str]:
    """Yield the files of all modules that the declaration has imported."""
    for module in [*sys.modules.values()]:
        if file := getattr(module, "__file__", None):
            yield str(Path(file).resolve())


def open_checkout(git: Git, branch: str, url: str = "", publication: str = "") -> Checkout:
    """Return the checkout of the branch of the declaration, after fetching the remote's branches.

    Args:
        git: The repository.
        branch: The branch.
        url: Address from which Argo CD reads it. Default: whatever the remote is.
        publication: The branch that only publications move. Default: Argo CD follows the other one.

    Raises:
        PublishError: Another branch is checked out, the remote is another repository than Argo CD reads, does not
            answer, or has commits that are missing here.
        GitError: There is no repository.
    """
    if git.run("rev-parse", "--is-inside-work-tree") != "true":
        raise PublishError("This is no working tree of Git, in which a commit could be made.")
    if git.run("rev-parse", "--is-shallow-repository") == "true":
        raise PublishError("The clone is shallow, so that pins cannot be checked; git fetch --unshallow first.")
    current = git.run("branch", "--show-current")
    if current != branch:
        at = f"The branch {current} is" if current else "A single commit is"
        what = "is published from" if publication else "is deployed"
        raise PublishError(f"{at} checked out, and {branch} {what}; git switch {branch} first.")
    head = git.commit("HEAD")
    if head is None:
        raise PublishError("Nothing is committed yet; commit the declaration first.")
    remote = _remote(git, branch)
    if url:
        _refuse_another(git, remote, url)
    remote_head = _fetched(git, remote, branch)
    checkout = Checkout(git, branch, remote, head, remote_head)
    if checkout.remote_head and not git.succeeds("merge-base", "--is-ancestor", checkout.remote_head, head):
        count = int(git.run("rev-list", "--count", f"{head}..{checkout.remote_head}"))
        raise PublishError(
            f"The remote's {checkout.upstream} has {plural(count, 'commit')} that {branch} here lacks; "
            f"git pull --rebase --autostash, then publish again."
        )
    return checkout.followed(publication)


def _refuse_another(git: Git, remote: str, url: str) -> None:
    """Refuse to push to another repository than Argo CD reads; a folder may be a mirror of it.

    Raises:
        PublishError: It is another one.
    """
    own, wanted = repository_name(git.run("remote", "get-url", remote)), repository_name(url)
    if own and wanted and not is_same_repository(own, wanted):
        raise PublishError(
            f"Argo CD reads {url}, as GitRepository(…) says, and {remote} is {own}: it would see nothing of what is "
            f"pushed there. git remote set-url {remote} {url}, or declare the other one. Where that one only passes on "
            f"what is pushed, give it to git remote set-url --push {remote} as well."
        )


def _fetched(git: Git, remote: str, branch: str) -> str | None:
    """Fetch the remote branch and return its newest commit; None if the remote does not have it."""
    try:
        if not git.run("ls-remote", remote, f"refs/heads/{branch}"):
            return None
        tracking = f"refs/remotes/{remote}/{branch}"
        git.run("fetch", "--quiet", "--no-tags", remote, f"+refs/heads/{branch}:{tracking}")
        return git.run("rev-parse", tracking)
    except GitError as error:
        raise PublishError(f"The remote {remote} does not answer, so nothing was published:", str(error)) from error


def _remote(git: Git, branch: str) -> str:
    if remote := git.remote_of(branch):
        return remote
    if not git.run("remote"):
        raise PublishError("There is no remote to push to; git remote add origin … first.")
    missing = f"The branch {branch} follows no remote, and there is none called origin"
    raise PublishError(f"{missing}; git branch --set-upstream-to=… first.")

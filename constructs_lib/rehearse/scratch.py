"""A repository to rehearse in: a remote with the history of the real one, and a checkout of it."""

import os
from collections.abc import Mapping
from pathlib import Path

from constructs_lib.plan.published import published_at
from constructs_lib.publish.checkout import open_checkout
from constructs_lib.publish.publication import Publication, carry_out, prepare
from constructs_lib.repository.git import Git
from constructs_lib.repository.pins import Pin, parse_pins, pins_file
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.synth.tree import Tree


class ScratchRepository:
    """A remote and a checkout; the user's own repository is only read.

    Attributes:
        remote: The folder of the bare repository that Argo CD reads.
    """

    def __init__(self, folder: Path, source: Path, branch: str, publication: str = "") -> None:
        """Make the repository.

        Args:
            folder: Where.
            source: The user's repository, whose commits are used and not copied.
            branch: The branch of the declaration.
            publication: The branch that only publications move. Default: the other one is deployed.

        Raises:
            GitError: The source is no repository.
        """
        work, inner = folder / "work", Git(source).folder
        self.remote, self._root, self._branch = folder / "remote.git", work / inner, branch
        self._publication = publication
        self._deployed = publication or branch
        objects = (source / Git(source).run("rev-parse", "--git-path", "objects")).resolve()
        for name in _PLACES:
            os.environ.pop(name, None)
        here = Git(folder)
        here.run("init", "--quiet", "--bare", f"--initial-branch={branch}", str(self.remote))
        here.run("init", "--quiet", f"--initial-branch={branch}", str(work))
        for repository in (self.remote, work / ".git"):
            (repository / "objects/info/alternates").write_text(f"{objects}\n")
        self._root.mkdir(parents=True, exist_ok=True)
        self._git = Git(self._root)
        self._git.run("remote", "add", "origin", str(self.remote))
        for key, value in _CONFIGURATION.items():
            self._git.run("config", key, value)

    @property
    def needs_publication(self) -> bool:
        """Whether only publications move what is deployed."""
        return bool(self._publication)

    @property
    def head(self) -> str | None:
        """The newest commit that the remote has of what is deployed."""
        return Git(self.remote).commit(f"refs/heads/{self._deployed}")

    def set(self, commit: str) -> None:
        """Make the remote's branches end in a commit."""
        for branch in {self._branch, self._deployed}:
            Git(self.remote).run("update-ref", f"refs/heads/{branch}", commit)
        self._git.run("fetch", "--quiet", "origin")
        self._git.run("reset", "--quiet", "--hard", f"origin/{self._branch}")
        self._root.mkdir(parents=True, exist_ok=True)

    def commit_tree(self, tree: Tree) -> None:
        """Commit and push the files of an environment as they are, as a merge does.

        Where only publications move the branch that is deployed, nothing of it is deployed by that.
        """
        for path in [f"argocd/{tree.environment}", f"dist/{tree.environment}"]:
            self._git.run("rm", "-r", "--quiet", "--force", "--ignore-unmatch", "--", path)
        for path, content in tree.files.items():
            file = self._root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        self._git.run("add", "--all", "--force")
        self._git.run("commit", "--quiet", "--allow-empty", "--message=Synthesize")
        self._git.run("push", "--quiet", "--set-upstream", "origin", f"HEAD:refs/heads/{self._branch}")

    def publish(self, tree: Tree) -> list[str]:
        """Publish a tree; return the commits.

        Raises:
            PublishError: It is refused.
        """
        publication = self._prepare(tree)
        return [] if publication.is_empty else carry_out(publication, self._root)

    def has_news(self, tree: Tree) -> bool:
        """Tell whether publishing a tree would change anything.

        Raises:
            PublishError: It is refused.
        """
        return not self._prepare(tree).is_empty

    def _prepare(self, tree: Tree) -> Publication:
        return prepare(open_checkout(self._git, self._branch, publication=self._publication), tree)

    def revert(self, commits: str = "") -> None:
        """Roll the last publication back: the newest commit, or all that came with it."""
        self._git.run("revert", "--no-edit", commits or "HEAD")
        branches = [f"HEAD:refs/heads/{branch}" for branch in sorted({self._branch, self._deployed})]
        self._git.run("push", "--quiet", "--atomic", "origin", *branches)

    def pins(self, environment: str) -> Mapping[str, Pin]:
        """Return the published pins of an environment, by component; none if it was never published."""
        file = pins_file(environment)
        content = self._git.files("HEAD", [file]).get(file)
        return parse_pins(content, file).components if content else {}

    def snapshot(self, environment: str, name: str) -> Snapshot:
        """Return what is published now of an environment."""
        return published_at(self._git, environment, name, self.head)


#: What git tells its hooks of the repository they belong to: there it would do all that is meant for another one.
_PLACES = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
#: The user's own settings could ask for a password, or run programs.
_CONFIGURATION = {
    "user.name": "rehearsal",
    "user.email": "rehearsal@localhost",
    "commit.gpgsign": "false",
    "core.hooksPath": os.devnull,
    "core.autocrlf": "false",
    "push.gpgSign": "false",
}

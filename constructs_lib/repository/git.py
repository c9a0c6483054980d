"""Runs the ``git`` command, so that hooks, signatures and credentials work as the user has set them up."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

from constructs_lib.kubernetes.sizes import MOST_BYTES, OVERSIZED, demand_tree
from constructs_lib.user_error import UserError


class GitError(UserError):
    """Git refused something; the message is what it said.

    Attributes:
        code: Its exit code.
        output: What it printed on its standard output.
    """

    def __init__(self, message: str, code: int = 1, output: str = "") -> None:
        """Keep the message, the exit code and the output."""
        super().__init__(message)
        self.code = code
        self.output = output


@dataclass(frozen=True)
class Git:
    """A working tree and its repository.

    Attributes:
        root: A folder of the working tree; all paths are relative to it.
    """

    root: Path

    @cached_property
    def folder(self) -> str:
        """The folder of the repository that :attr:`root` is, such as ``deploy``; empty for the repository itself.

        Raises:
            GitError: There is no repository.
        """
        return self.run("rev-parse", "--show-prefix").rstrip("/")

    def at(self, revision: str, path: str) -> str:
        """Return Git's name of a file or folder in a revision, such as ``HEAD:deploy/app.py``."""
        return f"{revision}:{self.folder}/{path}" if self.folder else f"{revision}:{path}"

    def run(self, *arguments: str, input: bytes | None = None) -> str:
        """Return what ``git`` prints, without the line break at its end.

        Raises:
            GitError: It failed, or there is no git.
        """
        return self.run_bytes(*arguments, input=input).decode(errors="surrogateescape").rstrip("\n")

    def run_bytes(self, *arguments: str, input: bytes | None = None) -> bytes:
        """Return what ``git`` prints, as it is.

        Raises:
            GitError: It failed, or there is no git.
        """
        # Messages are matched, so they must be in English; optional locks could block the user's own git.
        environment = {**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
        command = ["git", "-C", str(self.root), *arguments]
        try:
            result = subprocess.run(command, input=input, capture_output=True, env=environment, check=False)
        except FileNotFoundError:
            raise GitError("git is needed, and is not installed.") from None
        if result.returncode != 0:
            output = result.stdout.decode(errors="replace")
            said = result.stderr.decode(errors="replace").strip() or output.strip()
            failure = f"git {arguments[0]} failed with exit code {result.returncode}"
            raise GitError(said or failure, result.returncode, output)
        return result.stdout

    def succeeds(self, *arguments: str) -> bool:
        """Tell whether a command that answers by its exit code, 0 or 1, says yes.

        Raises:
            GitError: It did not answer: its exit code is neither 0 nor 1.
        """
        try:
            self.run(*arguments)
        except GitError as error:
            if error.code != 1:
                raise
            return False
        return True

    def commit(self, revision: str) -> str | None:
        """Return the id of the commit that a revision names, or None if it names none."""
        try:
            return self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except GitError:
            return None

    def remote_of(self, branch: str) -> str | None:
        """Return the remote that a branch follows, or else ``origin``; None if there is no such remote."""
        name = self.run("config", "--default", "origin", "--get", f"branch.{branch}.remote")
        return name if name in self.run("remote").splitlines() else None

    def files(self, revision: str, folders: Sequence[str] = (), suffixes: tuple[str, ...] = ("",)) -> dict[str, bytes]:
        """Return the files of a revision by their path, without links and submodules.

        Only those in some folders, and with some endings, if any are given; all of them are below :attr:`root`.

        Raises:
            GitError: There is no such revision, or a file of it is not in this copy of the repository.
        """
        entries = self.entries(revision, folders)
        blobs = {path: blob for path, (mode, blob) in entries.items() if mode[:3] == "100" and path.endswith(suffixes)}
        contents = self.read(blobs.values())
        return {path: contents[blob] for path, blob in blobs.items()}

    def entries(self, revision: str, folders: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
        """Return mode and id of all that a revision has below :attr:`root`, or in some folders there, by path.

        Raises:
            GitError: There is no such revision.
        """
        listed = self.run_bytes("ls-tree", "-r", "-z", revision, "--", *folders)
        found: dict[str, tuple[str, str]] = {}
        for entry in listed.decode(errors="surrogateescape").split("\0")[:-1]:
            head, _, path = entry.partition("\t")
            mode, _, name = head.split()
            found[path] = mode, name
        return found

    def read(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files by their ids.

        Raises:
            GitError: One is not in this copy of the repository.
        """
        wanted = list(blobs)
        contents = self.contents(wanted) if wanted else {}
        for blob in wanted:
            if blob not in contents:
                raise GitError(f"the object {blob} is not in this copy of the repository")
        return contents

    def contents(self, objects: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of objects by their names, such as ``main:app.py``; those that are not here are left out.

        That of a very large one is not read (:data:`~constructs_lib.kubernetes.sizes.OVERSIZED`).

        Raises:
            GitError: There is no repository.
            UserError: They are larger than anything that is deployed.
        """
        names = list(dict.fromkeys(objects))
        said = self._asked("--batch-check=%(objectsize)", names).read().splitlines()
        sizes = {name: int(size) for name, size in zip(names, said, strict=True) if size.isdigit()}
        contents = {name: OVERSIZED for name, size in sizes.items() if size > MOST_BYTES}
        pending = [name for name in sizes if name not in contents]
        demand_tree(0, sum(sizes[name] for name in pending))
        while pending:
            part, size = [], 0
            # What is read at once is in memory twice.
            while pending and size < MOST_BYTES:
                part.append(pending.pop())
                size += sizes[part[-1]]
            output = self._asked("--batch", part)
            for name in part:
                output.readline()
                contents[name] = output.read(sizes[name])
                output.readline()
        return contents

    def _asked(self, what: str, names: Sequence[str]) -> BytesIO:
        return BytesIO(self.run_bytes("cat-file", what, input="".join(f"{name}\n" for name in names).encode()))

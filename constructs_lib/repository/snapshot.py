"""A repository at one moment: its manifests by path, whether they come from a folder, from Git or from memory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from constructs_lib.repository.git import Git, GitError

Files = Mapping[str, bytes]

_SUFFIXES = (".yaml", ".yml", ".json")
#: Folders with very many files that are no manifests of the repository.
_SKIPPED = {".git", ".venv", "node_modules"}
_APPLICATION = re.compile(rb"""^[ ]*["']?kind["']?:[ ]*["']?Application\b""", re.MULTILINE)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def is_commit(revision: object) -> bool:
    """Tell whether a revision is the full id of a commit, which never moves."""
    return isinstance(revision, str) and bool(_COMMIT.fullmatch(revision))


@dataclass(frozen=True)
class Snapshot:
    """The manifests of a repository at one moment.

    Attributes:
        name: What a person calls it, for instance ``origin/main``.
        files: Content of its YAML and JSON files by path.
        pinned: Returns the files in a folder of another commit of the same repository, by their path; raises
            :class:`LookupError` if there is no such commit. None if there are no commits: then ``files`` are taken for
            the files of any commit.
    """

    name: str
    files: Files = field(repr=False)
    pinned: Callable[[str, str], Files] | None = field(default=None, repr=False)

    @property
    def environments(self) -> list[str]:
        """The environments in it, sorted: the folders in ``argocd/`` that hold Applications."""
        below = {path: content for path, content in self.files.items() if re.match("argocd/[^/]+/", path)}
        return sorted({path.split("/")[1] for path, content in below.items() if _APPLICATION.search(content)})

    @classmethod
    def of_files(cls, name: str, files: Files) -> Snapshot:
        """Return a snapshot of files in memory, such as a synthesized tree."""
        return cls(name, {path: content for path, content in files.items() if path.endswith(_SUFFIXES)})

    @classmethod
    def of_folder(cls, folder: Path, name: str | None = None) -> Snapshot:
        """Return a snapshot of a folder; what cannot be read in it is left out."""
        files: dict[str, bytes] = {}
        for top, folders, names in os.walk(folder):
            folders[:] = sorted(set(folders) - _SKIPPED)
            for file in sorted(names):
                path = Path(top) / file
                if file.endswith(_SUFFIXES) and path.is_file() and not path.is_symlink():
                    with suppress(OSError):
                        files[path.relative_to(folder).as_posix()] = path.read_bytes()
        return cls(name or str(folder), files)

    @classmethod
    def of_revision(cls, git: Git, revision: str, name: str | None = None, folders: Sequence[str] = ()) -> Snapshot:
        """Return a snapshot of a revision, or of some folders of it.

        Raises:
            GitError: There is no such revision.
        """

        @cache
        def pinned(commit: str, folder: str) -> Files:
            if git.commit(commit) is None:
                raise LookupError(commit)
            try:
                return git.files(commit, [folder] if folder else [], _SUFFIXES)
            except GitError as error:
                raise LookupError(commit) from error

        return cls(name or revision, git.files(revision, folders, _SUFFIXES), pinned)

"""A repository at one moment: its files by path, whether they come from a folder, from Git or from memory."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from constructs_lib.kubernetes.sizes import MOST_BYTES, OVERSIZED, demand_tree
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.links import Links

Files = Mapping[str, bytes]

#: Endings of the files that Argo CD takes for manifests (``manifestFile`` in ``reposerver/repository/repository.go``).
_SUFFIXES = (".yaml", ".yml", ".json", ".jsonnet")
#: Folders with very many files that are no part of a repository, unless they were committed.
_SKIPPED = {".venv", "node_modules"}
_APPLICATION = re.compile(rb"""^[ ]*["']?kind["']?:[ ]*["']?Application\b""", re.MULTILINE)
#: What the bootstrap is told of an environment, in a folder of a repository.
_INPUTS = re.compile(r"(.+)/bootstrap/argocd/([^/]+)\.tfvars\.json")
#: The modes of symbolic links and submodules in Git.
LINK, SUBMODULE = "120000", "160000"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def applications_folder(environment: str) -> str:
    """Return the folder with the Applications of one of :attr:`Snapshot.environments`."""
    above, _, name = environment.rpartition("/")
    return posixpath.join(above, "argocd", name)


def is_commit(revision: object) -> bool:
    """Tell whether a revision is the full id of a commit, which never moves."""
    return isinstance(revision, str) and bool(_COMMIT.fullmatch(revision))


def normal(path: str) -> str:
    """Return a path relative to the root of the repository; empty for the root itself."""
    normal = posixpath.normpath(path.strip("/") or ".")
    return "" if normal == "." else normal


def inside(folder: str, path: str) -> str:
    """Return a path of the repository as it is seen from a folder in it; what is outside begins with ``..``."""
    relative = posixpath.relpath(f"/{normal(path)}", f"/{folder}") if folder else normal(path)
    return "" if relative == "." else relative


class Lazy(Mapping[str, bytes]):
    """Files that are read when they are asked for."""

    def __init__(self, places: Mapping[str, str], read: Callable[[str], bytes]) -> None:
        """Remember where the files are, by their path."""
        self._places = places
        self._read = cache(read)

    def __getitem__(self, path: str) -> bytes:
        """Read a file."""
        return self._read(self._places[path])

    def __iter__(self) -> Iterator[str]:
        """Return the paths."""
        return iter(self._places)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._places)


@dataclass(frozen=True)
class Snapshot:
    """The files of a repository at one moment. A symbolic link to a file is there like the file.

    Attributes:
        name: What a person calls it, for instance ``origin/main``.
        files: Content of what may be manifests, by path: YAML, JSON and Jsonnet.
        pinned: Returns another commit of the same repository by its id and a folder: the ``files`` are those in the
            folder. It raises :class:`LookupError` if there is no such commit. None if there are no commits: then this
            snapshot is taken for that of any commit.
        others: Content of all other files by path, read when it is asked for.
        links: The symbolic links.
        submodules: Where Argo CD puts other repositories (Git submodules).
        base: The folder of the repository in which all of that is, and from which its paths are told; empty for the
            repository itself.
    """

    name: str
    files: Files = field(repr=False)
    pinned: Callable[[str, str], Snapshot] | None = field(default=None, repr=False)
    others: Files = field(default_factory=dict, repr=False)
    links: Links = field(default_factory=Links, repr=False)
    submodules: Sequence[str] = ()
    base: str = ""

    @property
    def environments(self) -> list[str]:
        """The environments in it, sorted: the folders in ``argocd/`` that hold Applications.

        Those of systems in folders of their own are called by them, such as ``deploy/shop/production``: where
        the bootstrap of this library is told of one.
        """
        below = {path: content for path, content in self.files.items() if re.match("argocd/[^/]+/", path)}
        own = {path.split("/")[1] for path, content in below.items() if _APPLICATION.search(content)}
        inputs = filter(None, map(_INPUTS.fullmatch, self.files))
        named = {f"{found[1]}/{found[2]}" for found in inputs}
        return sorted(own | {name for name in named if f"{applications_folder(name)}/root.yaml" in self.files})

    def inside(self, path: str) -> str:
        """Return a path of the repository as it is seen from :attr:`base`; what is outside begins with ``..``."""
        return inside(self.base, path)

    def find(self, path: str) -> bytes | None:
        """Return the content of a file; None if there is none."""
        return self.files[path] if path in self.files else self.others.get(path)

    def has_folder(self, path: str) -> bool:
        """Tell whether there is a folder, which may hold no manifest."""
        return not path or path in self._folders

    @cached_property
    def _folders(self) -> frozenset[str]:
        found: set[str] = set(self.submodules)
        for path in (*self.files, *self.others, *self.links.targets, *self.submodules):
            folder = path.rpartition("/")[0]
            while folder and folder not in found:
                found.add(folder)
                folder = folder.rpartition("/")[0]
        return frozenset(found)

    @classmethod
    def of_files(cls, name: str, files: Files, base: str = "") -> Snapshot:
        """Return a snapshot of files in memory, such as a synthesized tree."""
        manifests = {path: content for path, content in files.items() if path.endswith(_SUFFIXES)}
        others = {path: files[path] for path in files.keys() - manifests.keys()}
        return cls(name, manifests, others=others, base=base)

    @classmethod
    def of_folder(cls, folder: Path, name: str | None = None) -> Snapshot:
        """Return a snapshot of a folder; what cannot be read is left out.

        It counts as all of its repository, unless it is in one whose Git knows it by a path that Applications in it
        begin with.

        Raises:
            UserError: There are more files than anybody deploys from.
        """
        places: dict[str, str] = {}
        targets: dict[str, str] = {}
        _walk(folder, places, targets)
        base = _folder_in_git(folder)
        links = Links(targets, base)
        # Links that Git ignores are no part of the repository.
        if links.outside and (ignored := {path for path in links.outside if _is_ignored(folder, path)}):
            links = Links({path: target for path, target in targets.items() if path not in ignored}, base)
        places |= {path: places[target] for path, target in links.files(places)}
        manifests = [path for path in sorted(places) if path.endswith(_SUFFIXES)]
        demand_tree(len(manifests))
        files: dict[str, bytes] = {}
        read: dict[str, bytes] = {}
        size = 0
        for path in manifests:
            place = places[path]
            if place not in read:
                with suppress(OSError), Path(place).open("rb") as file:
                    content = file.read(MOST_BYTES + 1)
                    read[place] = content if len(content) <= MOST_BYTES else OVERSIZED
            # Very many links may lead to the same file.
            if place in read:
                files[path] = read[place]
                size += len(files[path]) if files[path] is not OVERSIZED else 0
                demand_tree(0, size)
        others = {path: place for path, place in sorted(places.items()) if not path.endswith(_SUFFIXES)}
        if base and not _reads_from(base, files):
            base, links = "", Links(links.targets)
        return cls(name or str(folder), files, others=Lazy(others, _content), links=links, base=base)

    @classmethod
    def of_revision(cls, git: Git, revision: str, name: str | None = None, folders: Sequence[str] = ()) -> Snapshot:
        """Return a snapshot of a revision; its ``files`` are those in some folders, if any are given.

        Raises:
            GitError: There is no such revision.
            UserError: There are more files than anybody deploys from.
        """

        @cache
        def pinned(commit: str, folder: str) -> Snapshot:
            if git.commit(commit) is None:
                raise LookupError(commit)
            try:
                return cls.of_revision(git, commit, commit, [folder] if folder else [])
            except GitError as error:
                raise LookupError(commit) from error

        entries = git.entries(revision)
        blobs = {path: blob for path, (mode, blob) in entries.items() if mode.startswith("100")}
        linked = {path: blob for path, (mode, blob) in entries.items() if mode == LINK}
        held = git.read(linked.values())
        targets = {path: held[blob].decode(errors="surrogateescape") for path, blob in linked.items()}
        links = Links(targets, git.folder)
        blobs |= {path: blobs[target] for path, target in links.files(blobs)}
        begins = tuple(f"{links.resolve(folder) or folder}/" for folder in folders)
        wanted = {
            path: blob
            for path, blob in blobs.items()
            if path.endswith(_SUFFIXES) and (not folders or f"{path}/".startswith(begins))
        }
        demand_tree(len(wanted))
        read = git.read(wanted.values())
        demand_tree(0, sum(len(read[blob]) for blob in wanted.values() if read[blob] is not OVERSIZED))
        others = {path: blob for path, blob in blobs.items() if path not in wanted}
        return cls(
            name or revision,
            {path: read[blob] for path, blob in wanted.items()},
            pinned,
            Lazy(others, lambda blob: git.read([blob])[blob]),
            links,
            [path for path, (mode, _) in entries.items() if mode == SUBMODULE],
            git.folder,
        )


def _walk(root: Path, places: dict[str, str], targets: dict[str, str]) -> None:
    """Add where the files of a folder are, and what its links hold, by their path; no link is followed."""
    pending = [""]
    while pending:
        here = pending.pop()
        with suppress(OSError), os.scandir(root / here) as entries:
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                if entry.is_symlink():
                    targets[path] = str(Path(entry.path).readlink())
                elif entry.is_file(follow_symlinks=False):
                    places[path] = entry.path
                elif entry.is_dir(follow_symlinks=False) and not _is_skipped(root, path, entry.name):
                    pending.append(path)


def _is_skipped(root: Path, path: str, name: str) -> bool:
    if name not in _SKIPPED:
        return name == ".git"
    try:
        return not Git(root).run("ls-files", "--", path)
    except GitError:
        return True


def _folder_in_git(folder: Path) -> str:
    """Return the folder of a Git repository that this one is; empty for the repository itself, and without one."""
    if not any((each / ".git").exists() for each in folder.resolve().parents):
        return ""
    try:
        return Git(folder).folder
    except GitError:
        return ""


def _reads_from(base: str, files: Files) -> bool:
    """Tell whether Applications in some files read folders below ``base``."""
    source = re.compile(rb"""\bpath["']?:[ ]*["']?(?:\./)?""" + re.escape(base).encode() + rb"/")
    return any(_APPLICATION.search(content) and source.search(content) for content in files.values())


def _is_ignored(folder: Path, path: str) -> bool:
    """Tell whether Git ignores a path, if the folder is in a working tree."""
    try:
        return Git(folder).succeeds("check-ignore", "--quiet", "--", path)
    except GitError:
        return False


def _content(place: str) -> bytes:
    try:
        return Path(place).read_bytes()
    except OSError:
        return b""

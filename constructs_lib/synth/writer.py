"""Writes a tree of generated files, whole or not at all.

New files are prepared in ``.synth/`` below the root, on the same file system, and then only moved into place.
Before the first move, a journal of all moves is put in place beside what they will displace. Whatever stops a
run after that (an error, a full disk, a kill, a power cut), its moves are undone from the journal, at once or
by the next run, and the tree is the old one again. A run counts once its journal is removed: from then on,
the tree is the new one.

Undoing consists of moves, too. Each is done if its source is there and skipped if not, so that undoing may be
stopped at any point and begun again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from constructs_lib.user_error import UserError

_STATE = ".synth"
_IMPOSSIBLE_PATH = re.compile(r"(?:^|/)(?:\.{0,2}|\.git)(?:/|\Z)|^\.synth(?:/|\Z)|\0", re.IGNORECASE)

_Kind = Literal["file", "folder", "other", "missing"]


class WriteError(UserError):
    """A tree cannot be written."""


@dataclass(frozen=True)
class Change:
    """What a write did or would do. All paths are relative to the root and sorted.

    Attributes:
        created: Files that were not there before.
        updated: Files whose content differed, or in whose place a link was.
        removed: Files and links that no longer belong.
        unchanged: Number of files that were not touched.
    """

    created: tuple[str, ...]
    updated: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int


def write(root: Path, files: Mapping[str, bytes], owned: Sequence[str]) -> Change:
    """Make the owned part of a tree hold exactly the given files, or leave the tree as it was.

    A file that holds the wanted bytes is not touched. One that is new or differs is put in place in one step,
    with the permissions of any new file. Folders that become empty are removed. What an interrupted run has
    left is cleared up first, as by :func:`recover`.

    Args:
        root: The folder that all paths are relative to. It must exist.
        files: The wanted content by path, with ``/`` between names. Paths that are not owned are written, but
            not removed when they are no longer given.
        owned: What belongs to the generator alone: folders, ending in ``/``, from which all that is not in
            ``files`` is removed, and patterns of single files such as ``bootstrap/k3d/*.yaml``, where
            ``*`` stands for any part of one name. Links are removed or replaced, never followed.

    Returns:
        What was done.

    Raises:
        WriteError: The tree cannot be written, or another run is writing to it.
    """
    with _readable_errors(), _locked(root) as state:
        _clear_up(root, state)
        plan = _compare(root, files, owned)
        if not plan.is_empty:
            try:
                _prepare(root, state, plan, files)
                _carry_out(root, state, plan)
            except BaseException as failure:
                try:
                    _clear_up(root, state)
                except OSError as second:
                    raise WriteError(
                        f"{_reason(failure)}; putting the old files back failed as well ({_reason(second)}) "
                        "and is tried again by the next run"
                    ) from failure
                if isinstance(failure, OSError):
                    raise WriteError(f"{_reason(failure)}; all files are as they were before") from failure
                raise
            shutil.rmtree(state / "staging", ignore_errors=True)
        return plan.change()


def compare(root: Path, files: Mapping[str, bytes], owned: Sequence[str]) -> Change:
    """Tell what :func:`write` would do to the tree as it is now, without touching anything.

    Args:
        root: As for :func:`write`.
        files: As for :func:`write`.
        owned: As for :func:`write`.

    Returns:
        What would be done.

    Raises:
        WriteError: The tree cannot be read, or could never be written like this.
    """
    with _readable_errors():
        return _compare(root, files, owned).change()


def recover(root: Path) -> str | None:
    """Clear up after a run that was killed: undo whatever part of it was done.

    Args:
        root: The folder that was written to.

    Returns:
        One sentence for the user that says what was done, or None if there was nothing to do.

    Raises:
        WriteError: The old files cannot be put back, or a run is writing at this moment.
    """
    if not (root / _STATE).is_dir():
        return None
    with _readable_errors(), _locked(root) as state:
        return _clear_up(root, state)


@dataclass
class _Plan:
    """The moves that turn the tree into the wanted one; this is also the content of the journal.

    Attributes:
        updated: Wanted files that are there and differ.
        created: Wanted files that are not there.
        displaced: Unwanted files, and whatever else than a file is in the place of a created one.
        idle_folders: Folders inside the owned ones that hold no wanted file.
        unchanged: Number of files that are as wanted.
    """

    updated: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    displaced: list[str] = field(default_factory=list)
    idle_folders: list[str] = field(default_factory=list)
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether the tree is as wanted already."""
        return not (self.updated or self.created or self.displaced or self.idle_folders)

    def change(self) -> Change:
        """Return the plan as callers see it, where replacing a link by a file is an update."""
        created, displaced = set(self.created), set(self.displaced)
        return Change(
            created=tuple(sorted(created - displaced)),
            updated=tuple(sorted({*self.updated, *(created & displaced)})),
            removed=tuple(sorted(displaced - created)),
            unchanged=self.unchanged,
        )


def _compare(root: Path, files: Mapping[str, bytes], owned: Sequence[str]) -> _Plan:
    """Plan what has to be done."""
    folders = _checked_folders(files)
    plan = _Plan()
    missing = set(files)
    for path, kind in _found(root, files, folders, owned):
        if kind == "folder":
            if path not in folders:
                plan.idle_folders.append(path)
        elif path not in files or kind == "other":
            plan.displaced.append(path)
        else:
            missing.remove(path)
            if _holds(f"{root}/{path}", files[path]):
                plan.unchanged += 1
            else:
                plan.updated.append(path)
    plan.created.extend(path for path in files if path in missing)
    return plan


def _checked_folders(files: Mapping[str, bytes]) -> set[str]:
    """Return the folders that the files lie in; refuse paths that cannot stand side by side everywhere."""
    folders: set[str] = set()
    spellings: dict[str, str] = {}
    for path in files:
        if _IMPOSSIBLE_PATH.search(path):
            raise WriteError(f"{path!r} is no path of a file that may be generated")
        fresh = [path]
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            fresh.append(folder)
            folder = folder.rpartition("/")[0]
        for name in fresh:
            other = spellings.setdefault(name.casefold(), name)
            if other != name:
                raise WriteError(f"{other} and {name} differ in case only; macOS cannot hold both")
    for path in folders & files.keys():
        raise WriteError(f"{path} would have to be a file and a folder at once")
    return folders


def _found(
    root: Path, files: Mapping[str, bytes], folders: set[str], owned: Sequence[str]
) -> Iterator[tuple[str, _Kind]]:
    """Yield, once each, all that is there of the wanted files and of what is owned."""
    for part in owned:
        if _IMPOSSIBLE_PATH.search(part.removesuffix("/")):
            raise WriteError(f"{part!r} is nothing that the generator may own")
    owned_folders = tuple({part for part in owned if part.endswith("/")})
    patterns = [part for part in owned if not part.endswith("/")]

    if not root.is_dir():
        raise WriteError(f"{root} is not a folder")
    for folder in sorted(folders | _ancestors(owned_folders)):
        if not f"{folder}/".startswith(owned_folders) and _kind(root / folder) not in ("folder", "missing"):
            raise WriteError(f"{folder} is a file or a link where a folder is needed; please move it away")

    pending = []
    for folder in owned_folders:
        path = folder.removesuffix("/")
        if not path.startswith(owned_folders):
            kind = _kind(root / path)
            if kind == "folder":
                pending.append(path)
            if kind != "missing":
                yield path, kind
    while pending:
        folder = pending.pop()
        with os.scandir(f"{root}/{folder}") as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}"
                if entry.is_file(follow_symlinks=False):
                    yield path, "file"
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                    yield path, "folder"
                else:
                    yield path, "other"

    matches = {match.relative_to(root).as_posix() for pattern in patterns for match in root.glob(pattern)}
    for path in matches - files.keys():
        behind_a_link = any((root / folder).is_symlink() for folder in _ancestors([path]))
        if not (behind_a_link or f"{path}/".startswith(owned_folders) or _IMPOSSIBLE_PATH.search(path)):
            kind = _kind(root / path)
            if kind in ("file", "other"):
                yield path, kind
    for path in files:
        if not f"{path}/".startswith(owned_folders):
            kind = _kind(root / path)
            if kind == "folder":
                raise WriteError(f"{path} is a folder where a file is to be written; please move it away")
            if kind != "missing":
                yield path, kind


def _kind(path: Path) -> _Kind:
    """Return what a path is, without following a link at its end."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return "missing"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def _holds(path: str, content: bytes) -> bool:
    """Return whether a file holds exactly this content."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return os.read(descriptor, len(content) + 1) == content
    finally:
        os.close(descriptor)


def _ancestors(paths: Iterable[str]) -> set[str]:
    """Return all folders above the paths, without the root."""
    ancestors: set[str] = set()
    for path in paths:
        folder = path.removesuffix("/").rpartition("/")[0]
        while folder and folder not in ancestors:
            ancestors.add(folder)
            folder = folder.rpartition("/")[0]
    return ancestors


def _prepare(root: Path, state: Path, plan: _Plan, files: Mapping[str, bytes]) -> None:
    """Lay out the new files and the means to undo the moves, the journal last.

    A new file is named by its index in updated + created, a kept one by its index in updated + displaced.
    """
    new, old = state / "staging" / "new", state / "staging" / "old"
    new.mkdir(parents=True)
    old.mkdir()
    for index, path in enumerate([*plan.updated, *plan.created]):
        (new / str(index)).write_bytes(files[path])
    for index, path in enumerate(plan.updated):
        kept = old / str(index)
        try:
            kept.hardlink_to(root / path)
        except OSError:
            # Some file systems have no hard links, such as the shared folders of virtual machines.
            shutil.copy2(root / path, kept)
    draft = state / "staging" / "journal"
    draft.write_text(json.dumps(asdict(plan)))
    # One flush of everything is hundreds of times faster than one for each of ten thousand files.
    os.sync()
    draft.replace(state / "journal")
    _flush(state)


def _carry_out(root: Path, state: Path, plan: _Plan) -> None:
    """Move everything into place; the last step, removing the journal, makes it final."""
    new, old = state / "staging" / "new", state / "staging" / "old"
    for index, path in enumerate(plan.displaced, start=len(plan.updated)):
        (root / path).replace(old / str(index))
    _remove_empty(root, _ancestors(plan.displaced).union(plan.idle_folders))
    for folder in sorted(_ancestors(plan.created)):
        (root / folder).mkdir(exist_ok=True)
    for index, path in enumerate([*plan.updated, *plan.created]):
        (new / str(index)).replace(root / path)
    (state / "journal").unlink()
    _flush(state)


def _clear_up(root: Path, state: Path) -> str | None:
    """Undo what the journal tells, if there is one, and discard what was prepared; say so in a sentence."""
    journal, staging = state / "journal", state / "staging"
    done = None
    if staging.exists():
        done = "The temporary files of an interrupted run were removed; no generated file was affected."
    if journal.exists():
        try:
            plan = _Plan(**json.loads(journal.read_bytes()))
        except (ValueError, TypeError) as error:
            raise WriteError(f"{journal} is damaged; restore the tree with git and remove {state}") from error
        _undo(root, staging, plan)
        journal.unlink()
        _flush(state)
        done = "A run that was interrupted while it replaced files was undone; all files are as before it."
    if staging.exists():
        shutil.rmtree(staging)
    return done


def _undo(root: Path, staging: Path, plan: _Plan) -> None:
    """Take back all moves that were done; may be repeated at will."""
    new, old = staging / "new", staging / "old"
    unused = {entry.name for entry in new.iterdir()}
    kept = {entry.name for entry in old.iterdir()}

    def restore(paths: Iterable[str], start: int) -> None:
        for index, path in enumerate(paths, start):
            if str(index) in kept:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (old / str(index)).replace(root / path)

    restore(plan.updated, 0)
    for index, path in enumerate(plan.created, start=len(plan.updated)):
        if str(index) not in unused:
            # A file that somebody has cleaned away since is as gone as it should be.
            with suppress(FileNotFoundError, NotADirectoryError):
                (root / path).replace(new / str(index))
    _remove_empty(root, _ancestors(plan.created))
    restore(plan.displaced, len(plan.updated))


def _remove_empty(root: Path, folders: Iterable[str]) -> None:
    """Remove those of the folders that are empty, inner ones first."""
    for folder in sorted(folders, reverse=True):
        with suppress(OSError):
            (root / folder).rmdir()


def _flush(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(root: Path) -> Iterator[Path]:
    """Keep other runs out, and give the folder for temporary files; a killed run holds no lock any more."""
    state = root / _STATE
    if not root.is_dir() or state.is_symlink():
        raise WriteError(f"{state if root.is_dir() else root} is not a folder")
    state.mkdir(exist_ok=True)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WriteError(f"another run is writing to {root}; try again when it has ended") from None
        (state / ".gitignore").write_text("*\n")
        yield state
    finally:
        os.close(descriptor)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Turn errors of the operating system into one clear sentence."""
    try:
        yield
    except OSError as error:
        raise WriteError(_reason(error)) from error


def _reason(failure: BaseException) -> str:
    """Return what went wrong and where, in the fewest words."""
    if isinstance(failure, OSError) and failure.strerror:
        where = failure.filename2 or failure.filename
        return f"{where}: {failure.strerror}" if where else failure.strerror
    return str(failure) or type(failure).__name__

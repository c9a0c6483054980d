"""Writes a tree of generated files; a reader finds the folder of an environment old or new, never a mixture.

What differs is built in ``.synth/staging/`` below the root, and then each folder changes in one step, and each single
file. There is no journal, and nothing is flushed to the disk: the tree is in Git and follows from the declaration, so
that the next run replaces whatever a kill or a power cut has left.

The folders change in the order in which they are owned, ``dist/`` before ``argocd/``, since the state in between is
harmless: each Application finds the manifests that it names. One whose component is gone finds none; Argo CD reports
that, and removes nothing.
"""

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from constructs_lib.user_error import UserError

_STATE = ".synth"
#: Names that no path may hold. Between slashes, because a search with anchors takes ten times as long.
_IMPOSSIBLE_NAME = re.compile(r"/(?:\.{0,2}|(?i:\.git|\.synth))/")


class WriteError(UserError):
    """A tree cannot be written."""


@dataclass(frozen=True)
class Change:
    """What a write did or would do: paths of files and links, sorted, and the number of files that were as wanted."""

    created: tuple[str, ...]
    updated: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int


def write(
    root: Path, files: Mapping[str, bytes], owned: Sequence[str], *, before: Callable[[Change], None] = lambda _: None
) -> Change:
    """Make the owned part of a tree hold exactly the given files, and return what that changed.

    An unchanged file keeps its times and permissions. Folders that become empty are removed.

    Args:
        root: The folder that all paths are relative to. It must exist.
        files: The wanted content by path, with ``/`` between names. Paths that are not owned are written, but
            not removed when they are no longer given.
        owned: What belongs to the generator alone: patterns of single files such as ``bootstrap/k3d/*.yaml``, where
            ``*`` stands for any part of one name, and folders, ending in ``/``, from which all that is not in
            ``files`` is removed. One such as ``dist/local/`` is the folder of an environment, one such as ``dist/``
            holds those of all environments; none is inside of another. Links are removed or replaced, never followed.
        before: Called with what will change before anything does; what it raises leaves the tree as it is.

    Raises:
        WriteError: The tree cannot be written, or another run is writing to it.
    """
    root = root.absolute()
    with _readable_errors(), _locked(root) as state:
        staging = state / "staging"
        if staging.exists():
            shutil.rmtree(staging)
        change, differing = _compare(root, files, owned)
        before(change)
        places = _places(differing, owned)
        try:
            with _readable_errors("; all files are as they were before"):
                if places:
                    _build(root, staging / "new", files, files.keys() - differing, places)
            with _readable_errors("; the next run writes the rest"):
                for place in places:
                    _put_in_place(staging / "new" / place, root / place, staging / "old" / place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            for folder in sorted(_ancestors(places), reverse=True):
                with suppress(OSError):
                    (root / folder).rmdir()
        return change


def compare(root: Path, files: Mapping[str, bytes], owned: Sequence[str]) -> Change:
    """Tell what :func:`write` would do to the tree as it is now, without touching anything.

    Raises:
        WriteError: The tree cannot be read, or could never be written like this.
    """
    with _readable_errors():
        return _compare(root, files, owned)[0]


def _compare(root: Path, files: Mapping[str, bytes], owned: Sequence[str]) -> tuple[Change, set[str]]:
    """Return how the tree differs, and all paths that do; among them are folders that hold no wanted file."""
    folders = _checked_folders(files)
    same, other, idle = set[str](), set[str](), set[str]()
    for path, kind in _found(root, files, owned):
        if kind != "folder":
            (same if kind == "same" else other).add(path)
        elif path not in folders:
            idle.add(path)
    created = files.keys() - same - other
    updated, removed = files.keys() & other, other - files.keys()
    change = Change(tuple(sorted(created)), tuple(sorted(updated)), tuple(sorted(removed)), len(same))
    return change, created | other | idle


def _checked_folders(files: Mapping[str, bytes]) -> set[str]:
    """Return the folders that the files lie in; refuse paths that cannot stand side by side everywhere."""
    for path in files:
        if _is_impossible(path):
            raise WriteError(f"{path!r} is no path of a file that may be generated")
    folders = _ancestors(files)
    for path in folders & files.keys():
        raise WriteError(f"{path} would have to be a file and a folder at once")
    spellings: dict[str, str] = {}
    for path in (*folders, *files):
        other = spellings.setdefault(path.casefold(), path)
        if other != path:
            raise WriteError(f"{other} and {path} differ in case only; macOS cannot hold both")
    return folders


def _is_impossible(path: str) -> bool:
    return "\0" in path or _IMPOSSIBLE_NAME.search(f"/{path}/") is not None


def _ancestors(paths: Iterable[str]) -> set[str]:
    """Return all folders above the paths, without the root."""
    ancestors: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in ancestors:
            ancestors.add(folder)
            folder = folder.rpartition("/")[0]
    return ancestors


def _found(root: Path, files: Mapping[str, bytes], owned: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what is there of the wanted files and of what is owned: "folder", "same" if it is as wanted, or "other"."""
    for part in owned:
        if _is_impossible(part.removesuffix("/")):
            raise WriteError(f"{part!r} is nothing that the generator may own")
    if not root.is_dir():
        raise WriteError(f"{root} is not a folder")
    folders = tuple(part for part in owned if part.endswith("/"))
    tops = {folder.removesuffix("/") for folder in folders}
    single = {path for path in files if not path.startswith(folders)}
    for folder in sorted(_ancestors(tops | single) | {top for top in tops if "/" not in top}):
        if _kind(root / folder) not in ("folder", "missing"):
            raise WriteError(f"{folder} is a file or a link where a folder is needed; please move it away")
    for pattern in {*owned} - {*folders}:
        for path in (match.relative_to(root).as_posix() for match in root.glob(pattern)):
            behind_a_link = any((root / folder).is_symlink() for folder in _ancestors([path]))
            if not (behind_a_link or path.startswith(folders) or _is_impossible(path)):
                single.add(path)
    for path in tops | single:
        kind = _kind(root / path)
        if kind == "folder" and path in tops:
            yield from _inside(root, path, files)
        elif kind == "folder" and path in files:
            raise WriteError(f"{path} is a folder where a file is to be written; please move it away")
        elif kind in ("file", "other"):
            is_same = kind == "file" and path in files and _holds(root / path, files[path])
            yield path, "same" if is_same else "other"


def _inside(root: Path, top: str, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield, as :func:`_found` does, what is in an owned folder, with the folder itself if one environment has it."""
    if "/" in top:
        yield top, "folder"
    pending = [top]
    while pending:
        folder = pending.pop()
        # To open a file by its name in an open folder takes three quarters of the time that its whole path takes.
        descriptor = os.open(root / folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
                        yield path, "folder"
                    else:
                        wanted = files.get(path)
                        is_same = wanted is not None and entry.is_file() and _holds(entry.name, wanted, descriptor)
                        yield path, "same" if is_same else "other"
        finally:
            os.close(descriptor)


def _kind(path: Path) -> str:
    """Return what a path is, without following a link at its end."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return "missing"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def _holds(path: str | Path, content: bytes, folder: int | None = None) -> bool:
    """Return whether a file holds exactly this content; a link and what cannot be read do not."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(content) + 1) == content
    finally:
        os.close(descriptor)


def _places(paths: Iterable[str], owned: Sequence[str]) -> list[str]:
    """Return what changes in one step each: of an environment's folder, the smallest part that holds all the paths."""
    groups: dict[tuple[int, str], list[str]] = {}
    for path in paths:
        group = len(owned), path
        for rank, part in enumerate(owned):
            if part.endswith("/") and f"{path}/".startswith(part):
                group = rank, "/".join(path.split("/")[: max(2, part.count("/"))])
                break
        groups.setdefault(group, []).append(path)
    return [os.path.commonpath(group) for _, group in sorted(groups.items())]


def _build(root: Path, staging: Path, files: Mapping[str, bytes], same: Set[str], places: Sequence[str]) -> None:
    """Lay out what the places are to hold, after a look at whether they can be moved."""
    for place in map(root.joinpath, places):
        place.parent.mkdir(parents=True, exist_ok=True)
        for folder in (place.parent, place):
            if _kind(folder) == "folder" and not os.access(folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    inside = tuple(f"{place}/" for place in places)
    paths = [path for path in files if f"{path}/".startswith(inside)]
    staging.mkdir(parents=True)
    for name in _ancestors([*paths, *places]):
        (staging / name).mkdir(parents=True, exist_ok=True)
    for path in paths:
        if path not in same:
            _create(f"{staging}/{path}", files[path])
            continue
        try:
            os.link(f"{root}/{path}", f"{staging}/{path}")
        except OSError:
            # Some file systems have no hard links, such as the shared folders of virtual machines.
            shutil.copy2(root / path, staging / path)


def _create(path: str, content: bytes) -> None:
    """Write a new file, in three quarters of the time that ``open`` takes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _put_in_place(new: Path, place: Path, old: Path) -> None:
    """Have the place hold what there is of the new, or nothing, and move away what it held."""
    if not _exchange(new, place):
        # Where there is something new and something old, the place is missing between these two moves.
        if os.path.lexists(place):
            old.parent.mkdir(parents=True, exist_ok=True)
            _move(place, old)
        if os.path.lexists(new):
            _move(new, place)


def _move(source: Path, target: Path) -> None:
    """Rename, or copy what the file system cannot rename, such as a folder of the image that a container runs on."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.move(source, target)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange what two absolute paths name, in one step; return whether the system and the file system can do that."""
    import ctypes  # It takes milliseconds to load, and most runs change nothing.

    library = ctypes.CDLL(None)
    # Linux and macOS have different names for the call, and the same arguments. The -1 are folders that a relative
    # path would start from, and 2 is RENAME_EXCHANGE of the one, and RENAME_SWAP of the other.
    call = getattr(library, "renameat2", None) or getattr(library, "renameatx_np", None)
    return call is not None and call(-1, os.fsencode(one), -1, os.fsencode(other), 2) == 0


@contextmanager
def _locked(root: Path) -> Iterator[Path]:
    """Keep other runs out, and give the folder for temporary files; a killed run holds no lock any more."""
    state = root / _STATE
    if not root.is_dir() or state.is_symlink():
        raise WriteError(f"{state if root.is_dir() else root} is not a folder")
    state.mkdir(exist_ok=True)
    if not (state / ".gitignore").exists():
        # To write a file anew may wait for the disk.
        (state / ".gitignore").write_text("*\n")
    with (state / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WriteError(f"another run is writing to {root}; try again when it has ended") from None
        yield state


@contextmanager
def _readable_errors(then: str = "") -> Iterator[None]:
    """Turn errors of the operating system into one clear sentence, which ends by telling what is the case then."""
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename
        raise WriteError(f"{f'{where}: ' if where else ''}{error.strerror or error}{then}") from error

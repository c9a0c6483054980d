"""The files of ``init`` on the disk: written once, and brought up to date where the user has not changed them.

What was written is in ``.constructs-lib.json``, by path the SHA-256 of the newest text that the user was given: a file
that still has it is nobody's but the library's. One that is gone was removed by the user and stays away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any

from constructs_lib.init.content import files_kept_up_to_date, files_written_once, is_program
from constructs_lib.init.library import library_of
from constructs_lib.init.settings import Settings, settings_of
from constructs_lib.synth.writer import write
from constructs_lib.text import joined, plural
from constructs_lib.user_error import UserError
from constructs_lib.version import VERSION

#: The list of what init wrote, with what it was told.
RECORD = ".constructs-lib.json"


def begin(root: Path, settings: Settings) -> list[str]:
    """Write a new repository into a folder, which is made if it is not there, and return the paths of its files.

    A folder may hold other files already, such as ``.git`` and a README, which stays.

    Raises:
        UserError: One of the files is there already, or the library is installed in a way that others cannot repeat.
        WriteError: The files cannot be written.
    """
    demand_new(root)
    kept = files_kept_up_to_date(settings, library_of(settings.library))
    files = {**files_written_once(settings), **kept}
    if root.is_dir() and any(path.name.lower().startswith("readme") for path in root.iterdir()):
        del files["README.md"]
    folders = {folder.as_posix() for path in files for folder in PurePath(path).parents}
    in_the_way = {folder for folder in folders if (root / folder).is_symlink() or (root / folder).is_file()}
    if there := sorted({path for path in [*files, RECORD] if _is_there(root, path)} | in_the_way - {"."}):
        raise UserError(
            f"{joined(there, 'and')} {'is' if len(there) == 1 else 'are'} in {root} already, and init did not write "
            f"{'it' if len(there) == 1 else 'them'}. Move {'it' if len(there) == 1 else 'them'} away, or begin in "
            f"another folder; nothing was written."
        )
    files[RECORD] = _record(settings, {path: _digest(content) for path, content in kept.items()})
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; nothing was written.") from None
    _write(root, files)
    return sorted(files)


def demand_new(root: Path) -> None:
    """Refuse to begin where init has begun before.

    Raises:
        UserError: It has.
    """
    if (root / RECORD).exists():
        raise UserError(f"init wrote to {root} before; init --update brings that up to date. Nothing was written.")


@dataclass(frozen=True)
class Update:
    """What an update changes.

    Attributes:
        root: The repository.
        added: New files.
        changed: Files that get another text.
        removed: Files that the library gives no more.
        own: What the user has changed or removed, which stays so, with the reason.
        offered: Of these, how each differs from a new text of the library; empty for what it gives no more.
        files: What is to be written, the list among it.
    """

    root: Path
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    own: Mapping[str, str]
    offered: Mapping[str, str]
    files: Mapping[str, bytes]

    @property
    def touches(self) -> bool:
        """Whether anything but the list changes, or something is to be told."""
        return bool(self.added or self.changed or self.removed or self.offered)

    def apply(self) -> None:
        """Write it.

        Raises:
            WriteError: The files cannot be written.
        """
        _write(self.root, self.files, self.removed)


def update_of(root: Path, environments: tuple[str, ...] = (), library: str = "") -> Update:
    """Return what brings the files of a repository up to the version of the library that runs.

    Args:
        root: The repository.
        environments: The environments from now on, as ``name:cluster``; by default those that are known.
        library: How pip gets the library, if not as before.

    Raises:
        UserError: init did not write this repository, its list cannot be read, or an argument is wrong.
    """
    settings, given = _read(root, environments, library)
    wanted = files_kept_up_to_date(settings, library_of(settings.library))
    added, changed, removed = [], [], []
    own: dict[str, str] = {}
    offered: dict[str, str] = {}
    recorded = {path: _digest(content) for path, content in wanted.items()}
    for path in sorted({*wanted, *given}):
        there, new, last = _content(root, path), wanted.get(path), given.get(path)
        if there is None:
            if new is not None and last is None:
                added.append(path)
            elif new is not None:
                own[path] = "you removed it"
        elif new is None:
            if _digest(there) == last:
                removed.append(path)
            else:
                own[path], offered[path] = "you changed it; init gives it no more", ""
        elif there != new:
            if _digest(there) == last:
                changed.append(path)
            else:
                own[path] = "you changed it" if last is not None else "it is yours"
                if recorded[path] != last:
                    offered[path] = _difference(path, there, new)
    record = _record(settings, recorded)
    files = {path: wanted[path] for path in (*added, *changed)}
    if record != _content(root, RECORD):
        files[RECORD] = record
    return Update(root, tuple(added), tuple(changed), tuple(removed), own, offered, files)


def _read(root: Path, environments: tuple[str, ...], library: str) -> tuple[Settings, dict[str, str]]:
    """Return the settings and the digests by path that the list of a repository has."""
    text = _content(root, RECORD)
    if text is None:
        raise UserError(f"There is no {RECORD} in {root}, so that init did not write it. Nothing was written.")
    try:
        record: dict[str, Any] = json.loads(text)
        settings, files = record["settings"], dict(record["files"])
        known = [f"{name}:{cluster}" for name, cluster in settings["environments"].items()]
        return settings_of(
            settings["name"],
            settings["repository"],
            settings["branch"],
            environments or known,
            library or settings.get("library", ""),
            settings.get("values"),
        ), files
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{root / RECORD} is not as init wrote it: restore it with git checkout -- {RECORD}. Nothing was written."
        ) from None


def _record(settings: Settings, digests: Mapping[str, str]) -> bytes:
    content = {"version": VERSION, "settings": settings.as_json(), "files": dict(sorted(digests.items()))}
    return f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode()


def _write(root: Path, files: Mapping[str, bytes], removed: tuple[str, ...] = ()) -> None:
    write(root, files, removed)
    for path, content in files.items():
        if is_program(content):
            (root / path).chmod(0o755)


def _content(root: Path, path: str) -> bytes | None:
    """Return what a file holds; nothing if there is none. A folder or a link in its place holds something else."""
    if not _is_there(root, path):
        return None
    file = root / path
    return file.read_bytes() if file.is_file() and not file.is_symlink() else b""


def _is_there(root: Path, path: str) -> bool:
    file = root / path
    return file.is_symlink() or file.exists()


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _difference(path: str, there: bytes, new: bytes) -> str:
    """Return what would have to change in a file for it to have its new text; a word where that is no text."""
    try:
        before, after = (text.decode().splitlines(keepends=True) for text in (there, new))
    except UnicodeDecodeError:
        return f"{path} is no text: {plural(len(there), 'byte')} here, {plural(len(new), 'byte')} of the library.\n"
    lines = unified_diff(before, after, f"{path} (yours)", f"{path} (constructs-lib {VERSION})")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

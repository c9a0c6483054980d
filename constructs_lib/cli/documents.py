"""Files of documentation that commands write: all of them or none, and only those that changed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import typer

from constructs_lib.cli.app import CommandError
from constructs_lib.cli.report import console
from constructs_lib.text import listed

#: How many files are called by their names.
_NAMED = 4


def demand_folder(folder: Path) -> None:
    """Demand that a folder is there: a mistyped path makes no folders.

    Raises:
        CommandError: It is not.
    """
    if not folder.exists():
        raise CommandError(f"The folder {folder} does not exist; make it, or name another one.")
    if not folder.is_dir():
        raise CommandError(f"{folder} is a file; name a folder.")


def document(files: Mapping[Path, str], *, check: bool) -> None:
    """Write those of the files that are not up to date, and say which; or only say it, and exit with 1."""
    differing = {path: text for path, text in files.items() if _content(path) != text.encode()}
    names = listed(map(str, differing or files), _NAMED)
    if not differing:
        console().print(f"Up to date: {names}; nothing was written.")
    elif check:
        console().print(f"Not up to date: {names}; run the command without --check and commit what it writes.")
        raise typer.Exit(1)
    else:
        write(differing)
        console().print(f"Wrote {names}.")


def _content(path: Path) -> bytes | None:
    """Return what a file holds; None if there is none."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from error


def write(files: Mapping[Path, str]) -> None:
    """Write files: all are complete on the disk before the first one takes its place."""
    ready: list[tuple[str, Path]] = []
    try:
        for path, text in files.items():
            if path.is_dir():
                raise CommandError(f"{path} is a folder; name a file.")
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            ready.append((temporary, path))
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                os.fchmod(descriptor, _mode())
        for temporary, path in ready:
            Path(temporary).replace(path)
    except OSError as error:
        raise CommandError(f"{error.filename2 or error.filename}: {error.strerror}.") from error
    finally:
        for temporary, _ in ready:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()


def _mode() -> int:
    """Return the permissions of a new file; a temporary one has those of a secret."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask

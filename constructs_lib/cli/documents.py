"""Writes files of documentation: only those that changed, and either all of them or none."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import typer

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.exit_codes import ExitCode
from constructs_lib.cli.output import console
from constructs_lib.declare.system import System
from constructs_lib.text import listed
from constructs_lib.user_error import UserError

CHECK = typer.Option(False, "--check", help="With --docs: write nothing; exit 1 if the files are not up to date.")
#: The most files that a message names.
_NAMED = 4
#: What a generated page says of itself at its beginning.
_GENERATED = re.compile(rb"Generated (from the declaration )?by `?(python app\.py |make docs)")
_BEGINNING = 1000


def demand_folder(folder: Path) -> None:
    """Refuse a folder that does not exist, because its name is most likely mistyped.

    Raises:
        CommandError: There is no such folder.
    """
    if not folder.exists():
        raise CommandError(f"The folder {folder} does not exist; make it, or name another one.")
    if not folder.is_dir():
        raise CommandError(f"{folder} is a file; name a folder.")


#: Makes the texts of a folder's files, by their names, from a system.
Pages = Callable[[System], Mapping[str, str]]


def document(app: App, name: str | None, folder: Path, pages: Pages, *, check: bool) -> None:
    """Write the pages of a system into a folder, as :func:`settle` does."""
    demand_folder(folder if folder.exists() else folder.parent)
    settle({folder / file: text for file, text in app.declare_one(name, pages).items()}, check=check)


def settle(files: Mapping[Path, str], *, check: bool) -> None:
    """Write files that are not up to date and name them; with ``check``, only name them, and exit with 1."""
    differing = {path: text for path, text in files.items() if _content(path) != text.encode()}
    names = listed(map(str, differing or files), _NAMED)
    if not differing:
        console().print(f"Up to date: {names}; nothing was written.")
    elif check:
        console().print(f"Not up to date: {names}; run the command without --check and commit what it writes.")
        raise typer.Exit(ExitCode.REFUSED)
    else:
        refuse_strangers(differing)
        write(differing)
        console().print(f"Wrote {names}.")


def _content(path: Path) -> bytes | None:
    """Return what a file holds; None if there is none."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from error


def refuse_strangers(paths: Iterable[Path]) -> None:
    """Refuse to overwrite files that do not say that they are generated.

    Raises:
        CommandError: There are some.
    """
    found = [
        str(path) for path in paths if path.is_file() and not _GENERATED.search((_content(path) or b"")[:_BEGINNING])
    ]
    if found:
        them, are = ("it", "is") if len(found) == 1 else ("them", "are")
        raise CommandError(
            f"{listed(found, _NAMED)} {are} not generated; move {them} away, or name another folder. "
            "Nothing was written."
        )


def write(files: Mapping[Path, str]) -> None:
    """Write files: all are complete on the disk before the first one is put in place."""
    ready: list[tuple[Path, Path]] = []
    try:
        for path, text in files.items():
            if path.is_dir():
                raise CommandError(f"{path} is a folder; name a file.")
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            ready.append((temporary, path))
            temporary.write_text(text, encoding="utf-8", newline="\n")
        for temporary, path in ready:
            temporary.replace(path)
    except OSError as error:
        raise UserError(f"{error.filename2 or error.filename}: {error.strerror}.") from error
    finally:
        for temporary, _ in ready:
            temporary.unlink(missing_ok=True)

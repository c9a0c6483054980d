"""The command ``import``: what others have becomes a declaration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from constructs_lib.cli.documents import write
from constructs_lib.cli.output import result_console
from constructs_lib.text import listed, plural
from constructs_lib.user_error import UserError

if TYPE_CHECKING:
    from constructs_lib.importer.importing import Result


def command(
    source: Path = typer.Argument(
        ..., metavar="SOURCE", help="A Compose file, a file or folder of manifests, or what helm template printed."
    ),
    into: Path = typer.Option(Path(), "--into", metavar="FOLDER", help="Where app.py goes. Default: here."),
    name: str = typer.Option("", "--name", metavar="NAME", help="Name of the system. Default: that of the folder."),
    environment: str = typer.Option("local", "--environment", metavar="NAME", help="Name of its environment."),
    repository: str = typer.Option("", "--repository", metavar="URL", help="The Git repository of the declaration."),
    profile: list[str] = typer.Option(
        [], "--profile", metavar="NAME", help="Take the services of a profile of Compose as well. May be repeated."
    ),
) -> None:
    """Write a declaration of what is there: app.py, and files beside it.

    It tells what it guessed, what a person has to supply, and what no construct says and stays as YAML. Of manifests,
    it compares what the declaration gives with what was imported, object by object. It overwrites no file, and writes
    no value of a secret.

    Example: constructs-lib import compose.yaml --into shop --name shop
    """
    from constructs_lib.importer.importing import import_source

    result = import_source(source, name=name, environment=environment, repository=repository, profiles=profile)
    files = {into / path: text for path, text in result.files.items()}
    if known := [str(path) for path in files if path.exists() or path.is_symlink()]:
        verb = "is" if len(known) == 1 else "are"
        raise UserError(f"{listed(known)} {verb} there already; name another folder with --into. Nothing was written.")
    if into.exists() and not into.is_dir():
        raise UserError(f"--into: {into} is a file; name a folder. Nothing was written.")
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
    write(files)
    out = result_console()
    for line in _told(result, into):
        out.print(line)


def _told(result: Result, into: Path) -> Iterator[str]:
    from constructs_lib.importer.proof import told

    imported, lines = result.imported, result.files["app.py"].count("\n")
    programs = plural(len(imported.programs), "workload")
    yield f"{imported.name}: {programs} of {imported.source} in {plural(lines, 'line')} of {into / 'app.py'}"
    for path in sorted(result.files):
        yield f"  + {into / path}"
    for subject, notes in imported.notes.items():
        if notes:
            yield f"{subject}:"
            yield from (f"  {each}" for each in notes)
    if result.proof:
        yield "beside the source:"
        yield from (f"  {each}" for each in told(result.proof))

"""``python -m constructs_lib.cli.pages FOLDER [--check]`` writes the pages, or tells that they are not up to date."""

from pathlib import Path

import typer

from constructs_lib.cli.commands import command_line, reported
from constructs_lib.cli.documents import CHECK, settle
from constructs_lib.cli.pages import commands, reference


def write(folder: Path = typer.Argument(metavar="FOLDER"), check: bool = CHECK) -> None:
    """Write the pages of commands and of constructs."""
    settle({folder / "commands.md": commands.render(), folder / "reference.md": reference.render()}, check=check)


if __name__ == "__main__":
    cli = command_line([], "Writes the pages of docs that are generated from the library itself.")
    cli.command()(write)
    with reported(Path.cwd()):
        raise SystemExit(cli(standalone_mode=False))

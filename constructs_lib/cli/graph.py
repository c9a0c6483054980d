"""The command ``graph``: draw the system."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import typer

from constructs_lib.cli.app import App, CommandError
from constructs_lib.declare.system import System
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.draw.mermaid import mermaid
from constructs_lib.draw.order import order
from constructs_lib.draw.page import pages
from constructs_lib.draw.svg import svg


class View(StrEnum):
    """What a picture shows."""

    ARCHITECTURE = "architecture"
    ORDER = "order"


class Format(StrEnum):
    """What a picture is made of."""

    MERMAID = "mermaid"
    SVG = "svg"


def register(cli: typer.Typer, app: App) -> None:
    """Add the command to the command line of an app."""

    @cli.command("graph")
    def command(
        name: str = typer.Argument(None, metavar="[ENVIRONMENT]", help="Default: the last one declared."),
        view: View = typer.Option(None, "--view", help="Default: architecture."),
        format: Format = typer.Option(None, "--format", help="Default: mermaid; svg if FILE ends in .svg."),
        output: Path = typer.Option(None, "--output", metavar="FILE", help="Default: the standard output."),
        docs: Path = typer.Option(
            None, "--docs", metavar="FOLDER", help="Write architecture.md with both views as SVG beside it."
        ),
    ) -> None:
        """Draw the system: who runs where and calls whom, or in which order it is deployed.

        Example: python app.py graph production --view order --output order.svg
        """
        graph(app, name, view=view, format=format, output=output, docs=docs)


def graph(
    app: App, name: str | None, *, view: View | None, format: Format | None, output: Path | None, docs: Path | None
) -> None:
    """Draw the system in one environment.

    Args:
        app: The app.
        name: The environment. Default: the last one declared.
        view: What to show. Default: the architecture.
        format: What of. Default: that which the name of ``output`` ends in, else Mermaid.
        output: The file. Default: the standard output.
        docs: A folder that gets a page with both views; then the three above are none of the caller's business.

    Raises:
        CommandError: The environment is unknown, the options do not go together, or a file cannot be written.
        DeclarationError: The declaration has mistakes.
    """
    if docs and (view or format or output):
        raise CommandError("--docs writes both views as it needs them; leave out --view, --format and --output.")
    if output and output.suffix == ".svg" and format is Format.MERMAID:
        raise CommandError(f"{output} would hold Mermaid; name it .mmd, or choose --format svg.")
    environment = app.choose([name])[0] if name is not None else app.environments[-1]

    def draw(system: System) -> dict[Path, str]:
        waves = Graph(system)
        if docs:
            return {docs / file: text for file, text in pages(waves).items()}
        diagram = order(waves) if view is View.ORDER else architecture(waves)
        as_svg = format is Format.SVG or (format is None and output is not None and output.suffix == ".svg")
        return {output or Path("-"): svg(diagram) if as_svg else mermaid(diagram)}

    [files] = app.declare([environment], draw)
    if not docs and not output:
        _print(files[Path("-")])
    else:
        _write(files)


def _print(text: str) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The pictures are in UTF-8, whatever the locale.
        sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(text)


def _write(files: Mapping[Path, str]) -> None:
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

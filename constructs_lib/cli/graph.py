"""The command ``graph``: draw the system."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.completion import environments
from constructs_lib.cli.documents import CHECK, demand_folder, document, write
from constructs_lib.cli.output import console, write_json, write_result
from constructs_lib.declare.system import System

if TYPE_CHECKING:
    from constructs_lib.draw.diagram import Diagram

#: The ending of files that hold SVG, and those of files that hold Mermaid unless ``--format`` says otherwise.
_SVG = ".svg"
_OTHERS = (".mmd", ".md", ".txt")
#: What a picture shows, and what it is made of.
View = Literal["architecture", "order"]
Format = Literal["mermaid", "svg", "json"]
#: The version of the document in JSON: increased when an entry is removed or changes its meaning.
VERSION = 1


def command(
    context: typer.Context,
    name: str = typer.Argument(
        None, metavar="[ENVIRONMENT]", autocompletion=environments, help="Default: the last one declared."
    ),
    view: View = typer.Option(None, "--view", help="Default: architecture."),
    format: Format = typer.Option(None, "--format", help="Default: mermaid; svg if FILE ends in .svg."),
    output: Path = typer.Option(None, "--output", metavar="FILE", help="Default: the standard output."),
    docs: Path = typer.Option(
        None, "--docs", metavar="FOLDER", help="Write architecture.md with both views as SVG beside it."
    ),
    check: bool = CHECK,
) -> None:
    """Draw the system: who runs where and calls whom, or in which order it is deployed.

    Example: python app.py graph production --view order --output order.svg
    """
    app: App = context.obj
    if docs and (view or format or output):
        raise CommandError("--docs writes both views as it needs them; leave out --view, --format and --output.")
    if check and not docs:
        raise CommandError("--check compares what --docs would write; name the folder with --docs FOLDER.")
    if format == "json" and output:
        raise CommandError("--format json goes to the standard output; leave out --output.")
    if docs:
        document(app, name, docs, _pages, check=check)
        return
    if format == "json":
        write_json(app.declare_one(name, lambda system: _document(system, view)))
        return
    as_svg = _is_svg(output, format)
    if output:
        demand_folder(output.parent)
    picture = _picture(app, name, view, as_svg=as_svg)
    if output:
        write({output: picture})
        console().print(f"Wrote {output}.")
        return
    # The pictures are in UTF-8, whatever the locale.
    write_result(picture, encoding="utf-8")


def _is_svg(output: Path | None, format: Format | None) -> bool:
    """Tell whether a picture is to be SVG; wrong names are refused before the declaration runs, which takes time."""
    ending = output.suffix.lower() if output else ""
    if ending not in ("", _SVG, *_OTHERS):
        raise CommandError(
            f"{output}: nothing can be drawn as {ending}; end the name in {_SVG} for SVG, in {', '.join(_OTHERS)} or "
            "nothing for Mermaid."
        )
    if ending == _SVG and format == "mermaid":
        raise CommandError(f"{output} would hold Mermaid; name it .mmd, or choose --format svg.")
    return format == "svg" or (format is None and ending == _SVG)


def _pages(system: System) -> dict[str, str]:
    from constructs_lib.derive.graph import Graph
    from constructs_lib.draw.architecture_page import pages

    return pages(Graph(system))


def _diagram(system: System, view: View | None) -> Diagram:
    from constructs_lib.derive.graph import Graph
    from constructs_lib.draw.architecture import architecture
    from constructs_lib.draw.deployment_order import order

    return (order if view == "order" else architecture)(Graph(system))


def _document(system: System, view: View | None) -> dict[str, Any]:
    return {"version": VERSION, "environment": system.environment.name, **asdict(_diagram(system, view))}


def _picture(app: App, name: str | None, view: View | None, *, as_svg: bool) -> str:
    from constructs_lib.draw.mermaid import mermaid
    from constructs_lib.draw.svg import svg

    diagram = app.declare_one(name, lambda system: _diagram(system, view))
    return svg(diagram) if as_svg else mermaid(diagram)

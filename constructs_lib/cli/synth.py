"""The command ``synth``: write the repository from the declaration."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from constructs_lib.cli.app import CHARTS, App, CommandError, look_into_charts, print_some
from constructs_lib.cli.completion import environments
from constructs_lib.cli.exit_codes import ExitCode
from constructs_lib.cli.output import FORMAT, Format, result_console, write_json
from constructs_lib.text import listed, plural

if TYPE_CHECKING:
    from constructs_lib.synth.tree import Tree
    from constructs_lib.synth.writer import Change

#: The version of the document in JSON: increased when an entry is removed or changes its meaning.
VERSION = 1
#: The most files and components that are named.
_NAMED = 20
#: The output folder in ``cdk8s.yaml``; the cdk8s command line empties it before it runs the app.
CDK8S_FOLDER = ".cdk8s"


def command(
    context: typer.Context,
    names: list[str] = typer.Argument(
        None, metavar="[ENVIRONMENT]...", autocompletion=environments, help="Default: all of them."
    ),
    check: bool = typer.Option(False, "--check", help="Write nothing; exit 1 if the files are not up to date."),
    adopt: bool = typer.Option(False, "--adopt", help="Remove files of others from the folders of the generator."),
    watch: bool = typer.Option(
        False, "--watch", help="Do it again whenever a file is saved, with the plan and the findings, until Ctrl-C."
    ),
    charts: bool = CHARTS,
    form: Format = FORMAT,
) -> None:
    """Write dist/ and argocd/ from the declaration.

    With --watch it goes on: after each save it tells what it wrote, what publishing would do, and what check finds.

    Example: python app.py synth local
    """
    if watch:
        from constructs_lib.cli.watch import watch_for_changes

        if os.environ.get("CDK8S_OUTDIR"):
            raise CommandError("--watch is for python app.py, and not for the cdk8s command line.")
        if form == "json":
            raise CommandError("--watch tells a person; leave out --format json.")
        look_into_charts(charts)
        watch_for_changes(context.obj, names or [], check=check, adopt=adopt)
        return
    synth(context.obj, names or [], check=check, adopt=adopt, form=form)


def synth(app: App, names: Sequence[str], *, check: bool, adopt: bool = False, form: Format = "terminal") -> None:
    """Write the files of some environments, of all without names; or only compare, and exit with 1 if they differ."""
    chosen = app.choose(names)
    output = os.environ.get("CDK8S_OUTDIR")
    if output and Path(output).resolve() != app.root / CDK8S_FOLDER:
        # The user called cdk8s synth with another folder, or for the standard output.
        trees = app.synthesize(chosen)
        change = _copy(Path(output), trees, adopt=adopt)
    else:
        trees, change = app.process(chosen, complete=not names, check=check, adopt=adopt)
        if output:
            _copy(Path(output), trees, adopt=True)
    if form == "json":
        write_json(_document(trees, change))
    else:
        report(trees, change, check=check)
    if check and (change.created or change.updated or change.removed):
        raise typer.Exit(ExitCode.REFUSED)


def _copy(folder: Path, trees: Sequence[Tree], *, adopt: bool) -> Change:
    from constructs_lib.synth.ownership import refuse_strangers
    from constructs_lib.synth.writer import Change, compare

    files = {path: content for tree in trees for path, content in tree.files.items()}
    folder.mkdir(parents=True, exist_ok=True)
    change = compare(folder, files, [])
    if not adopt:
        refuse_strangers(folder, change)
    for path in change.updated:
        (folder / path).unlink()
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return Change(tuple(sorted(files)), (), (), 0)


def _document(trees: Sequence[Tree], change: Change) -> dict[str, Any]:
    environments = [
        {
            "name": tree.environment,
            "objects": tree.objects,
            "components": len(tree.applications),
            "waves": tree.waves,
            "unpublished": tree.unpublished,
            "kept_open": _kept_open(tree),
        }
        for tree in trees
    ]
    return {"version": VERSION, "environments": environments, **dataclasses.asdict(change)}


def _kept_open(tree: Tree) -> int:
    """Return the number of connections that are kept open until the next publication."""
    return sum(len(entries) for entries in tree.pins.kept.values()) if tree.pins else 0


def report(trees: Sequence[Tree], change: Change, *, check: bool) -> None:
    """Print what was written, or with ``check`` would be."""
    out = result_console()
    for tree in trees:
        out.print(
            f"{tree.environment}: {tree.objects} objects of {len(tree.applications)} components in {tree.waves} waves"
        )
    parts = (("+", change.created), ("~", change.updated), ("-", change.removed))
    changed = [f"{sign} {path}" for sign, paths in parts for path in paths]
    print_some(changed, out, _NAMED)
    counts = (
        f"{len(change.created)} created, {len(change.updated)} updated, {len(change.removed)} removed, "
        f"{change.unchanged} unchanged"
    )
    if not changed:
        out.print(f"{change.unchanged} files are up to date; nothing was written.")
    elif check:
        out.print(f"The files are not up to date ({counts}); run python app.py and commit what it writes.")
    else:
        written = len(change.created) + len(change.updated)
        out.print(f"Wrote {plural(written, 'file')}: {counts}.")
    for tree in trees:
        if unpublished := [f"{component} ({state})" for component, state in tree.unpublished.items()]:
            out.print(
                f"Not published to {tree.environment} yet: {listed(unpublished, _NAMED)}; "
                f"python app.py publish {tree.environment} rolls it out, in order."
            )
        if kept := _kept_open(tree):
            out.print(f"Kept open in {tree.environment} until the next publication: {plural(kept, 'connection')}.")

"""The command ``rehearse``: roll a change out on a real Argo CD and a real API server of this machine."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from constructs_lib.cli.app import App, CommandError, console, result_console
from constructs_lib.cli.plan import Format
from constructs_lib.text import nearest

if TYPE_CHECKING:
    from constructs_lib.rehearse.judgement import Outcome
    from constructs_lib.rehearse.tools import Tools
    from constructs_lib.repository.git import Git


def command(
    context: typer.Context,
    name: str = typer.Argument(None, metavar="ENVIRONMENT"),
    setup: bool = typer.Option(False, "--setup", help="Build with Go what is needed and not there yet, once."),
    install: bool = typer.Option(False, "--install", help="Install what is declared, from nothing."),
    old: str = typer.Option(
        None, "--from", metavar="REVISION", help="What is installed first. Default: what is published."
    ),
    new: str = typer.Option(None, "--to", metavar="REVISION", help="What comes then. Default: what is declared."),
    broken: list[str] = typer.Option(
        [],
        "--break",
        metavar="COMPONENT",
        help="No new pod of this component gets ready; then comes the fix, and a rollback. May be repeated.",
    ),
    kill: bool = typer.Option(False, "--kill", help="Kill Argo CD's controller in the middle of each change."),
    keep: bool = typer.Option(False, "--keep", help="Leave everything running, for a look with kubectl."),
    clear: bool = typer.Option(False, "--clear", help="End what --keep left running, and do nothing else."),
    cluster: str = typer.Option(
        None,
        "--context",
        metavar="NAME",
        help="Context of the kubeconfig with an empty cluster on this machine, in place of a control plane of its own. "
        "Pods are simulated there as well, and what was made is removed.",
    ),
    tools: Path = typer.Option(None, "--tools", metavar="FOLDER", help="Folder with the programs to use."),
    charts: Path = typer.Option(
        None, "--charts", metavar="FOLDER", help="Folder with charts, as helm pull saves them."
    ),
    form: Format = typer.Option("terminal", "--format", help="How to show what happened."),
    picture: Path = typer.Option(None, "--svg", metavar="FILE", help="Draw what happened into this file."),
    patience: float = typer.Option(600, "--patience", metavar="SECONDS", help="How long a phase may take."),
) -> None:
    """Roll a change out on a real Argo CD and a real API server, on this machine alone, before it is pushed.

    Nodes, and what operators of custom resources would do, are simulated. It exits with 1 if something did not happen
    in order, as planned, or at all.

    Example: python app.py rehearse production --install
    """
    from constructs_lib.rehearse.processes import remove_kept
    from constructs_lib.rehearse.tools import find_tools, set_up

    gc.enable()
    app: App = context.obj
    if clear:
        console().print(f"Ended: {remove_kept()}.")
        return
    if setup:
        set_up(lambda line: console().print(line))
        console().print(str(find_tools(tools)))
        return
    if not name:
        raise CommandError("Which environment? " + ", ".join(each.name for each in app.environments))
    found = find_tools(tools)
    console().print(str(found))
    outcomes = _play(
        app,
        found,
        name,
        install=install,
        old=old,
        new=new,
        broken=broken,
        kill=kill,
        keep=keep,
        cluster=cluster,
        charts=charts,
        patience=patience,
    )
    _print(outcomes, form, picture)
    if not all(outcome.kept for outcome in outcomes):
        raise typer.Exit(1)


def _play(
    app: App,
    tools: Tools,
    name: str,
    *,
    install: bool,
    old: str | None,
    new: str | None,
    broken: Sequence[str],
    kill: bool,
    keep: bool,
    cluster: str | None,
    charts: Path | None,
    patience: float,
) -> list[Outcome]:
    from constructs_lib.plan.published import published_at, published_revision
    from constructs_lib.rehearse.rehearsal import Rehearsal
    from constructs_lib.rehearse.scenario import Scenario, play
    from constructs_lib.rehearse.settings import settings_of
    from constructs_lib.repository.git import Git
    from constructs_lib.repository.snapshot import Snapshot

    if install and (old or new or broken):
        raise CommandError("--install installs what is declared, and nothing else: leave out --from, --to and --break.")
    if keep and cluster:
        raise CommandError("--context removes what it made: leave out --keep.")
    if new and broken:
        raise CommandError("--break breaks what is declared: leave out --to.")
    (environment,) = app.choose([name])
    git = Git(app.root)
    start = _commit(git, old) if old else published_revision(git, environment.repository.branch)[1]
    target = _commit(git, new) if new else None
    tree = None if target else app.synthesize([environment])[0]
    for component in broken:
        if tree and component not in tree.applications:
            raise CommandError(f'There is no component "{component}"; {nearest(component, tree.applications)}')
    trees = [published_at(git, name, "before", start)] if start else []
    trees += [published_at(git, name, "afterwards", target)] if target else []
    trees += [Snapshot.of_files("the declaration", tree.files)] if tree else []
    if start and not any(path.startswith(f"argocd/{name}/") for path in trees[0].files):
        start = None
    scenario = Scenario(start, tree, target, install or not start, tuple(broken), kill)
    settings = settings_of(environment, app.root, charts, patience)
    out = console()
    with out.status("starting") as status, Rehearsal(tools, settings, trees, status.update, cluster) as rehearsal:
        for chart in rehearsal.replaced:
            out.print(
                f"{chart.name} {chart.version} is not at hand, so only the kinds that it brings are there; "
                f"--charts FOLDER with {chart.file} has Argo CD render it."
            )
        outcomes = []
        for outcome in play(rehearsal, scenario):
            out.print(
                f"{outcome.phase}: {outcome.seconds:.0f} s, {'as promised' if outcome.kept else 'NOT as promised'}"
            )
            outcomes.append(outcome)
        if rehearsal.simulated:
            out.print(f"Simulated, beside nodes and pods: {', '.join(rehearsal.simulated)}.")
        if keep:
            rehearsal.keep()
            out.print(f"It goes on: export KUBECONFIG={rehearsal.kubeconfig}; python app.py rehearse --clear ends it.")
    return outcomes


def _commit(git: Git, revision: str) -> str:
    if commit := git.commit(revision):
        return commit
    raise CommandError(f'There is no Git revision "{revision}".')


def _print(outcomes: Sequence[Outcome], form: Format, picture: Path | None) -> None:
    """Show what became of all phases, and draw it."""
    from constructs_lib.rehearse.report import json_report, markdown
    from constructs_lib.rehearse.report.picture import svg
    from constructs_lib.rehearse.report.terminal import print_outcome

    if picture:
        picture.write_text(svg(outcomes))
    if form == "terminal":
        for outcome in outcomes:
            print_outcome(outcome, result_console())
    else:
        render = json_report.render if form == "json" else markdown.render
        typer.echo(render(outcomes), nl=False)

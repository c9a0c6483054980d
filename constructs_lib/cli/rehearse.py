"""The command ``rehearse``: roll a change out on a real Argo CD and a real API server of this machine."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.completion import components, environments
from constructs_lib.cli.exit_codes import ExitCode
from constructs_lib.cli.output import console, result_console, write_result
from constructs_lib.cli.plan import Format
from constructs_lib.text import listed, nearest, plural
from constructs_lib.user_error import UserError

if TYPE_CHECKING:
    from constructs_lib.declare.environment import Environment
    from constructs_lib.rehearse.judgement import Outcome
    from constructs_lib.rehearse.scenario import Scenario
    from constructs_lib.rehearse.settings import Settings
    from constructs_lib.rehearse.tools import Tools
    from constructs_lib.repository.git import Git
    from constructs_lib.repository.snapshot import Snapshot


def command(
    context: typer.Context,
    name: str = typer.Argument(None, metavar="[ENVIRONMENT]", autocompletion=environments, help="The one to rehearse."),
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
        autocompletion=components,
        help="No new pod of this component gets ready; then comes the fix, and a rollback. May be repeated.",
    ),
    kill: bool = typer.Option(False, "--kill", help="Kill Argo CD's controller in the middle of each change."),
    keep: bool = typer.Option(False, "--keep", help="Leave everything running, for a look with kubectl."),
    clear: bool = typer.Option(False, "--clear", help="End what --keep, or a command that was killed, left running."),
    cluster: str = typer.Option(
        None,
        "--context",
        metavar="NAME",
        help="Context of the kubeconfig with an empty cluster on this machine, in place of a control plane of its own. "
        "Pods are simulated there as well, and what was made is removed.",
    ),
    tools: Path = typer.Option(None, "--tools", metavar="FOLDER", help="Folder with the programs to use."),
    charts: Path = typer.Option(
        None,
        "--charts",
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="Folder with charts, as helm pull saves them: Argo CD renders these.",
    ),
    form: Format = typer.Option("terminal", "--format", help="How to show what happened."),
    picture: Path = typer.Option(None, "--svg", metavar="FILE", dir_okay=False, help="Draw what happened into it."),
    patience: float = typer.Option(600, "--patience", min=1, metavar="SECONDS", help="How long a phase may take."),
) -> None:
    """Roll a change out on a real Argo CD and a real API server, on this machine alone, before it is pushed.

    Nodes, and what operators of custom resources would do, are simulated.

    It exits with 1 if something did not happen in order, as planned, or at all.

    Example: python app.py rehearse production --install
    """
    from constructs_lib.rehearse.processes import remove_kept
    from constructs_lib.rehearse.report import json_report
    from constructs_lib.rehearse.settings import settings_of
    from constructs_lib.rehearse.tools import find_tools, set_up

    gc.enable()
    app: App = context.obj
    out = console()
    if clear:
        ended = remove_kept()
        out.print(f"Ended {plural(ended, 'rehearsal')}." if ended else "No rehearsal was left running.")
        return
    if setup:
        set_up(lambda line: out.print(line))
        out.print(str(find_tools(tools)))
        return
    if not name:
        raise CommandError("Which environment? " + ", ".join(each.name for each in app.choose([])))
    if install and (old or new or broken or kill):
        raise CommandError(
            "--install installs what is declared, and nothing else: leave out --from, --to, --break and --kill."
        )
    if keep and cluster:
        raise CommandError("--context removes what it made: leave out --keep.")
    if new and broken:
        raise CommandError("--break breaks what is declared: leave out --to.")
    if picture and not picture.absolute().parent.is_dir():
        raise CommandError(f"--svg: {picture.parent} is no folder.")
    if tools and not tools.is_dir():
        raise CommandError(f"--tools: {tools} is no folder.")
    (environment,) = app.choose([name])
    scenario, trees = _scenario(app, environment, old, new, broken, install=install, kill=kill)
    if not _has_news(app, environment, scenario):
        said = f"Nothing to rehearse: {name} does not change. --install, or --break COMPONENT, rehearses all of it.\n"
        write_result(json_report.render([]) if form == "json" else said, form)
        return
    settings = settings_of(environment, app.root, charts, patience)
    outcomes = _play(find_tools(tools), settings, scenario, trees, cluster, keep=keep)
    _print(outcomes, form, picture)
    if not all(outcome.kept for outcome in outcomes):
        raise typer.Exit(ExitCode.REFUSED)


def _scenario(
    app: App,
    environment: Environment,
    old: str | None,
    new: str | None,
    broken: Sequence[str],
    *,
    install: bool,
    kill: bool,
) -> tuple[Scenario, list[Snapshot]]:
    """Return what is to be played, and all trees that will be deployed."""
    from constructs_lib.plan.merging import verify
    from constructs_lib.plan.published import published_at
    from constructs_lib.rehearse.scenario import Scenario
    from constructs_lib.repository.deployed import History, pins_at, published_revision
    from constructs_lib.repository.git import Git, GitError

    git, name = Git(app.root), environment.name
    try:
        is_shallow = git.run("rev-parse", "--is-shallow-repository") == "true"
    except GitError as error:
        raise UserError(f"A rehearsal reads from a Git repository: {error}") from None
    if is_shallow:
        raise UserError("The clone is shallow, so that commits may be missing; git fetch --unshallow first.")
    branches = environment.repository.branch, environment.publication_branch
    start = _commit(git, old) if old else published_revision(git, *branches)[1]
    target = _commit(git, new) if new else None
    trees = []
    for commit, said in ((start, old), (target, new)):
        found = published_at(git, name, said or "what is published", commit)
        if any(path.startswith(f"argocd/{name}/") for path in found.files):
            trees.append(found)
        elif said:
            raise CommandError(f"{said} has nothing of {name}: there is no folder argocd/{name} in it.")
    if target:
        history = History.of(git, environment.repository.branch)
        verify(history, name, trees[-1], pins_at(git, target, name))
    start = start if len(trees) == 1 + bool(target) else None
    if not start and target:
        raise CommandError(f"Nothing of {name} is published: say with --from what is installed before {new}.")
    tree = None if target else app.synthesize([environment])[0]
    for component in broken:
        if tree and component not in tree.applications:
            raise CommandError(f'There is no component "{component}"; {nearest(component, tree.applications)}')
    if tree:
        trees.append(tree.snapshot("the declaration"))
    if not start and not install:
        console().print(f"Nothing of {name} is published: what is declared is installed.")
    return Scenario(start, tree, target, install or not (start or broken), tuple(broken), kill), trees


def _has_news(app: App, environment: Environment, scenario: Scenario) -> bool:
    """Tell whether anything would change: that is known before the minutes that it takes to install everything."""
    from constructs_lib.rehearse.scratch import ScratchRepository

    if not scenario.tree:
        return scenario.published != scenario.target
    if not scenario.published or scenario.install or scenario.broken:
        return True
    with TemporaryDirectory() as folder:
        branches = environment.repository.branch, environment.publication_branch
        scratch = ScratchRepository(Path(folder), app.root, *branches)
        scratch.set(scenario.published)
        return scratch.has_news(scenario.tree)


def _play(
    tools: Tools, settings: Settings, scenario: Scenario, trees: Sequence[Snapshot], cluster: str | None, *, keep: bool
) -> list[Outcome]:
    from constructs_lib.rehearse.rehearsal import Rehearsal
    from constructs_lib.rehearse.scenario import play

    out = console()
    out.print(str(tools))
    if not settings.health:
        out.print(
            "bootstrap/argocd/application-health.lua is missing, so that Argo CD waits for no wave of Applications: "
            "it would not in a cluster without this health check either."
        )
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As at Ctrl-C, everything is ended first.
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    with out.status("starting") as status, Rehearsal(tools, settings, trees, status.update, cluster) as rehearsal:
        if rehearsal.replaced:
            files = listed([chart.file for chart in rehearsal.replaced])
            out.print(
                f"Charts that are not at hand, so that only the kinds that they bring are there: {files}. "
                "--charts FOLDER with these files has Argo CD render them."
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
            look = f"{tools.kubectl.path} --kubeconfig {rehearsal.kubeconfig} get applications,pods --all-namespaces"
            out.print(f"Left running, for a look: {look}\nTo end it: python app.py rehearse --clear")
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

    if form == "terminal":
        for outcome in outcomes:
            print_outcome(outcome, result_console())
    else:
        render = json_report.render if form == "json" else markdown.render
        write_result(render(outcomes), form)
    if picture:
        picture.write_text(svg(outcomes))

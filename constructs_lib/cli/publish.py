"""The command ``publish``: commit the manifests, pin what changed, and push."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from constructs_lib.cli.app import CHARTS, App, CommandError, look_into_charts, print_some
from constructs_lib.cli.completion import components, environments
from constructs_lib.cli.output import FORMAT, Format, is_json, result_console, write_json
from constructs_lib.repository.git import Git
from constructs_lib.text import plural
from constructs_lib.user_error import UserError

if TYPE_CHECKING:
    from constructs_lib.kubernetes.manifest import Manifest
    from constructs_lib.plan.plan import Plan
    from constructs_lib.publish.publication import Publication
    from constructs_lib.publish.takeover import Takeover
    from constructs_lib.synth.tree import Tree

#: Options of all commands that publish.
ALLOW = typer.Option(
    [], "--allow", metavar="KIND/NAME", help="Agree to what is dangerous or widens rights. May be repeated."
)
KUBECONFIG = typer.Option(None, "--kubeconfig", metavar="FILE", help="The kubeconfig. Default: kubectl's.")
DRY_RUN = typer.Option(False, "--dry-run", help="Show the plan and the commits, and make none.")

#: The most commits and files that are named.
_NAMED = 10


def command(
    context: typer.Context,
    name: str = typer.Argument(metavar="ENVIRONMENT", autocompletion=environments, help="The one to publish."),
    only: list[str] = typer.Option(
        [],
        "--only",
        metavar="COMPONENT",
        autocompletion=components,
        help="Move the pin of this component alone, and of what must go with it. May be repeated.",
    ),
    allow: list[str] = ALLOW,
    cluster: str = typer.Option(
        "",
        "--context",
        metavar="NAME",
        help="Context of the cluster in the kubeconfig: tell whether the last publication hangs there, and take over.",
    ),
    kubeconfig: Path = KUBECONFIG,
    dry_run: bool = DRY_RUN,
    charts: bool = CHARTS,
    form: Format = FORMAT,
) -> None:
    """Commit the manifests of an environment, pin what changed to that commit, and push.

    Argo CD begins when the last publication is rolled out; with --context, it does not wait for one that hangs.

    Example: python app.py publish production --dry-run
    """
    from constructs_lib.publish.checkout import open_checkout
    from constructs_lib.publish.publication import prepare

    app: App = context.obj
    look_into_charts(charts)
    (environment,) = app.choose([name])
    repository, publication_branch = environment.repository, environment.publication_branch
    checkout = open_checkout(Git(app.root), repository.branch, repository.url, publication_branch)
    (tree,) = app.synthesize([environment], keep_manifests=True, verify=False)
    takeover, rolling = start_takeover(tree, cluster, kubeconfig, result_console())
    publication = prepare(checkout, tree, rolling=rolling)
    publish(app, publication, takeover, only=only, allow=allow, dry_run=dry_run)


def publish(
    app: App,
    publication: Publication,
    takeover: Takeover | None = None,
    *,
    only: Sequence[str] = (),
    allow: Sequence[str] = (),
    dry_run: bool = False,
    refusal: str = "",
) -> None:
    """Show what publishing does, refuse what nobody has allowed, and do it.

    Args:
        app: The app.
        publication: What would be published.
        takeover: What takes over from a publication that hangs. Default: nothing.
        only: Components whose pins move. Default: all.
        allow: What is dangerous and agreed to.
        dry_run: Whether to make no commits.
        refusal: Why nothing may be published. Default: it may.

    Raises:
        UserError: It is refused.
    """
    from constructs_lib.plan.report.terminal import print_plan
    from constructs_lib.plan.report.words import summary
    from constructs_lib.publish.publication import carry_out
    from constructs_lib.publish.scope import closed_by, narrow, refuse_dangers

    out, checkout, tree = result_console(), publication.checkout, publication.tree
    name = tree.environment
    publication, found, joined = narrow(publication, publication.plan(), only)
    for problem in publication.repair.problems:
        out.print(f"Set right: {problem}")
    if not publication.is_empty:
        _refuse_errors(app, publication)
        publication = replace(publication, summary=summary(found) if found.changes else "")
        print_plan(found, out, hint=False)
        if publication.foreign:
            out.print("Taken away, because nothing generates it:")
            print_some(publication.foreign, out, _NAMED)
        if publication.old is None:
            out.print(f"{name} was never published: this pins its components, which then follow the branch no more.")
    kept, closed = publication.kept, closed_by(found)
    if closed:
        out.print(f"Closes {plural(closed, 'connection')} that the last publication kept open.")
    for component, reason in joined.items():
        out.print(f"With it: {component}: {reason}.")
    command = publication.command
    for component in publication.unpublished:
        commit = "" if only else publication.rolled_back.get(component, "")
        why = (
            f", because {commit[:12]} rolled back these manifests; revert their cause as well, or roll them out again "
            f"with {command} --only {component}"
        )
        out.print(f"Held back: {component}{why if commit else ''}.")
    if publication.is_empty:
        all_else = "everything else" if publication.unpublished else "everything"
        source = publication.promoted_from
        nothing = f"promote: {name} has {all_else} that {source} runs" if source else ""
        nothing = nothing or f"publish: {checkout.deployed} has {all_else} that {name} is declared to be"
        out.print(f"Nothing to {nothing}.")
        if not dry_run:
            _take_over(takeover, publication)
        _tell_programs(publication, found, joined)
        return
    if refusal:
        raise UserError(refusal)
    refuse_dangers(found, allow)
    _tell_what_else_is_pushed(app, publication, out)
    if dry_run:
        for message, files in publication.commits:
            out.print(f"\n{message}")
            print_some(files, out, _NAMED)
        out.print("\nNothing was changed.")
        _tell_programs(publication, found, joined)
        return
    made = carry_out(publication, app.root)
    for commit, (message, _) in zip(made, publication.commits, strict=True):
        out.print(f"{commit[:12]} {message.splitlines()[0]}")
    out.print(f"Pushed to {checkout.pushed}.")
    if checkout.is_folder:
        url = app.choose([name])[0].repository.url
        out.print(f"{checkout.remote} is a folder: what is there has to get to {url} by itself.")
    if publication.can_be_reverted and (publication.moved or publication.removed):
        out.print(f"To roll back: git revert {made[-1][:12]} && {checkout.push}")
    if kept:
        out.print(
            f"Kept open for the old pods: {plural(kept, 'connection')}. A later publication closes that, or {command} "
            f"once this one is rolled out."
        )
    if any(change.kind in ("Application", "AppProject") for change in found.changes):
        what = "What is new, removed, or a chart's version or values"
        if way := _way_back(app, publication):
            out.print(f"{what} goes back with all that was published: {way}")
        else:
            out.print(f"{what} goes back with the declaration: revert its change, and publish.")
    if checkout.publication and not checkout.is_held:
        _tell_of_new_branch(publication, out)
    _take_over(takeover, publication)
    if not takeover:
        _tell_how_to_take_over(publication, out)
    _tell_programs(publication, found, joined, made)


def _tell_programs(
    publication: Publication, found: Plan, joined: Mapping[str, str], made: Sequence[str] | None = None
) -> None:
    """Write what was published as JSON, if that is the format: without commits that were ``made``, what would be."""
    if is_json():
        from constructs_lib.publish.json_report import document

        write_json(document(publication, found, joined, made))


def root_of(tree: Tree) -> Manifest:
    """Return the root Application."""
    from constructs_lib.derive.applications import ROOT_FILE

    return tree.manifest(f"argocd/{tree.environment}/{ROOT_FILE}")


def start_takeover(
    tree: Tree, context: str, kubeconfig: Path | None, out: Console
) -> tuple[Takeover | None, bool | None]:
    """Tell what a cluster rolls out; return what takes over and whether it does, or None if there is no context."""
    from constructs_lib.publish.takeover import Takeover, kubectl

    if not context:
        if kubeconfig:
            raise CommandError("--kubeconfig needs --context, which names the cluster.")
        return None, None
    takeover = Takeover(kubectl(context, kubeconfig), root_of(tree), out.print)
    rollout = takeover.look()
    takeover.describe(rollout)
    return takeover, rollout.running or bool(rollout.hangs or rollout.unsettled)


def _way_back(app: App, publication: Publication) -> str:
    """Return the commands that take back all that the branch of publications has got; empty if there are none."""
    from constructs_lib.publish.way_back import way_back

    others = [each.name for each in app.environments if each.name != publication.tree.environment]
    return way_back(publication.checkout, others)


def _tell_of_new_branch(publication: Publication, out: Console) -> None:
    """Tell what is left to do once a branch of publications is there: the bootstrap lets the root follow it."""
    name, checkout = publication.tree.environment, publication.checkout
    out.print(
        f"{checkout.remote}/{checkout.publication} is new. Now apply bootstrap/argocd, so that the root Application "
        f"follows it. A root that {name} has already follows {checkout.branch} until then, as before."
    )


def _take_over(takeover: Takeover | None, publication: Publication) -> None:
    tree, checkout = publication.tree, publication.checkout
    if takeover and tree.pins:
        pins = {component: pin.revision for component, pin in tree.pins.components.items()}
        is_behind = publication.is_empty and checkout.is_held and checkout.published_head
        try:
            takeover.take_over(pins, is_behind or checkout.git.run("rev-parse", "HEAD"))
        except UserError as error:
            raise UserError(f"{error}\nThis is about the cluster alone: everything is pushed.") from error


def _tell_how_to_take_over(publication: Publication, out: Console) -> None:
    """Tell how to see whether the last publication hangs, if a sync of it may still run."""
    from constructs_lib.publish.takeover import by_hand
    from constructs_lib.repository.pins import pins_file
    from constructs_lib.synth.paths import INPUTS

    checkout, tree = publication.checkout, publication.tree
    pushed = [checkout.published_head or "HEAD", "--", pins_file(tree.environment)]
    last = checkout.git.run("log", "-1", "--format=%ct", *pushed) if publication.old else ""
    inputs = json.loads(tree.files[INPUTS.format(module="argocd", environment=tree.environment)])
    if last and time.time() - int(last) < inputs["sync_timeout_seconds"]:
        see, end = by_hand(root_of(tree))
        out.print(f"If the publication before hangs, this one waits for it. To see that: {see}")
        by = "promote with --to-context" if publication.promoted_from else "publish with --context"
        out.print(f"To end it: {by}, or {end}")


def _refuse_errors(app: App, publication: Publication) -> None:
    """Refuse to publish if check finds an error; then its report is printed."""
    from constructs_lib.api import model_of
    from constructs_lib.check.report.formats import show

    tree = publication.tree
    if publication.restored:
        tree = replace(tree, files={**publication.deployed}, manifests=None)
    report = app.check({tree.environment: model_of(tree)})
    if report.errors:
        show(report, result_console())
        raise UserError(f"Nothing was published: check finds {plural(report.errors, 'error')}.")


def _tell_what_else_is_pushed(app: App, publication: Publication, out: Console) -> None:
    """Print the commits that are pushed as well, and which environments they change that follow the branch."""
    from constructs_lib.repository.pins import pins_file

    checkout = publication.checkout
    if commits := checkout.unpushed():
        out.print("Pushed with it:")
        print_some(commits, out, _NAMED)
    for environment in app.environments:
        folders = [f"argocd/{environment.name}", f"dist/{environment.name}"]
        pinned = checkout.git.files(checkout.head, [pins_file(environment.name)])
        follows = environment.name != publication.tree.environment and not environment.publication_branch
        if follows and not pinned and checkout.changes(folders):
            out.print(
                f"These commits change {environment.name} too, which was never published and follows "
                f"{checkout.branch}: see python app.py plan {environment.name} --to HEAD"
            )

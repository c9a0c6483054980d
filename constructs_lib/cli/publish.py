"""The command ``publish``: commit the manifests, pin what changed, and push."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.report import result_console
from constructs_lib.repository.git import Git
from constructs_lib.repository.pins import pins_file
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.text import nearest, plural

if TYPE_CHECKING:
    from constructs_lib.plan.plan import Plan
    from constructs_lib.publish.publish import Publication
    from constructs_lib.publish.together import Pair
    from constructs_lib.synth.tree import Tree

#: Files of a commit that a dry run names; a longer list says how many more there are.
_NAMED = 10


def register(cli: typer.Typer, app: App) -> None:
    """Add the command to the command line of an app."""

    @cli.command("publish")
    def command(
        name: str = typer.Argument(metavar="ENVIRONMENT"),
        only: list[str] = typer.Option(
            [],
            "--only",
            metavar="COMPONENT",
            help="Move the pin of this component alone, and of what must go with it. May be repeated.",
        ),
        allow: list[str] = typer.Option(
            [], "--allow", metavar="KIND/NAME", help="Agree to what the plan calls dangerous. May be repeated."
        ),
        dry_run: bool = typer.Option(False, "--dry-run", help="Show the plan and the commits, and make none."),
    ) -> None:
        """Commit the manifests of an environment, pin what changed to that commit, and push.

        Argo CD then rolls the components out in the order of their waves.

        Example: python app.py publish production --dry-run
        """
        publish(app, name, only, allow, dry_run=dry_run)


def publish(app: App, name: str, only: Sequence[str], allow: Sequence[str], *, dry_run: bool) -> None:
    """Publish an environment.

    Args:
        app: The app.
        name: The environment.
        only: Components to publish; none means all.
        allow: Dangerous changes that may be, as ``Kind/name`` or ``Kind/namespace/name``.
        dry_run: Show what would be done, and do nothing.

    Raises:
        CommandError: Something is named that is not there, a change is dangerous and not allowed, or check finds an
            error.
        DeclarationError: The declaration has errors.
        PublishError: The checkout or the remote is not as it must be.
        GitError: Git failed.
    """
    from constructs_lib.plan.plan import plan
    from constructs_lib.plan.published import published_at
    from constructs_lib.plan.report.terminal import print_plan
    from constructs_lib.plan.report.words import summary
    from constructs_lib.publish.checkout import open_checkout
    from constructs_lib.publish.publish import carry_out, limited, prepare

    out = result_console()
    (environment,) = app.choose([name])
    git = Git(app.root)
    checkout = open_checkout(git, environment.repository.branch)
    (tree,) = app.synthesize([environment], keep_manifests=True)
    publication = prepare(checkout, tree)
    # The Applications follow the pins that are published; what they read is what it will be.
    found = plan(
        published_at(git, name, checkout.upstream, checkout.remote_head),
        Snapshot.of_files("the declaration", tree.files),
        folder=f"argocd/{name}",
    )
    found = replace(found, pins=())
    notes = [*_limits(publication, found, only)] if only else []
    wanted = {*only, *(component for component, _ in notes)} if only else publication.moved.keys()
    if not only:
        wanted -= publication.rolled_back.keys()
    publication = limited(publication, wanted)
    found = _without(found, publication.unpublished)
    if not publication.is_empty:
        _refuse_errors(app, tree)
        publication = replace(publication, summary=summary(found) if found.changes else "")
        print_plan(found, out, hint=False)
        if publication.old is None:
            out.print(f"{name} was never published: its components are pinned now, and follow the branch no more.")
    for component, reason in notes:
        out.print(f"With it: {component}: {reason}.")
    for component in publication.unpublished:
        out.print(f"Held back: {component}{_why_held_back(publication, component, name, only)}.")
    if publication.is_empty:
        out.print(f"Nothing to publish: {checkout.upstream} has everything that {name} is declared to be.")
        return
    _refuse_dangers(found, allow)
    _tell_what_else_is_pushed(app, publication, out)
    if dry_run:
        _show(publication, out)
        return
    messages = publication.messages
    made = carry_out(publication, app.root)
    for commit, message in zip(made, messages, strict=True):
        out.print(f"{commit[:12]} {message.splitlines()[0]}")
    out.print(f"Pushed to {checkout.upstream}.")
    _tell_the_way_back(publication, found, made, out)


def _limits(publication: Publication, found: Plan, only: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what must go with some components, each with the reason."""
    from constructs_lib.publish.together import together

    tree, moved = publication.tree, publication.moved
    known = {*tree.applications, *publication.removed}
    changes: dict[str, list[Pair]] = {component: [] for component in moved}
    for change in found.changes:
        if change.component in known:
            changes.setdefault(change.component, []).append((change.old, change.new))
    problems = [
        f"{component} has nothing to publish; what has: {', '.join(sorted(changes)) or 'nothing'}."
        if component in known
        else f'There is no component "{component}"; {nearest(component, known)}'
        for component in only
        if component not in changes
    ]
    if problems:
        raise CommandError("\n".join(problems))
    if publication.old is None:
        raise CommandError(
            f"{tree.environment} was never published: its Applications follow the branch, so that nothing can be held "
            f"back. Publish all of it once, without --only."
        )
    unavoidable = dict.fromkeys(publication.removed, "it is removed, and no pin holds that back")
    unavoidable |= {
        component: "it is new, and has no pin that holds it back" for component, pin in moved.items() if pin is None
    }
    yield from together(only, unavoidable, changes, tree.namespaces).items()


def _without(found: Plan, held_back: Sequence[str]) -> Plan:
    """Return a plan without what pins hold back: everything of some components but their Applications."""
    steps = [
        replace(
            step,
            changes=[
                change for change in step.changes if change.component not in held_back or change.kind == "Application"
            ],
        )
        for step in found.steps
    ]
    return replace(found, steps=[step for step in steps if step.changes])


def _why_held_back(publication: Publication, component: str, name: str, only: Sequence[str]) -> str:
    commit = publication.rolled_back.get(component)
    if not commit or only:
        return ""
    return (
        f", because {commit[:12]} rolled back these manifests; revert their cause as well, or roll them out again with "
        f"python app.py publish {name} --only {component}"
    )


def _tell_what_else_is_pushed(app: App, publication: Publication, out: Console) -> None:
    """Print the commits that are there already, and what they do to environments that follow the branch."""
    checkout = publication.checkout
    commits = checkout.unpushed()
    if commits:
        out.print("Pushed with it:")
        for commit in commits[:_NAMED]:
            out.print(f"  {commit}")
        if len(commits) > _NAMED:
            out.print(f"  … and {len(commits) - _NAMED} more")
    for environment in app.environments:
        folders = [f"argocd/{environment.name}", f"dist/{environment.name}"]
        pinned = checkout.git.files(checkout.head, [pins_file(environment.name)])
        if environment.name != publication.tree.environment and not pinned and checkout.changes(folders):
            out.print(
                f"These commits change {environment.name} too, which was never published and follows "
                f"{checkout.branch}: see python app.py plan {environment.name} --to HEAD"
            )


def _tell_the_way_back(publication: Publication, found: Plan, made: Sequence[str], out: Console) -> None:
    checkout = publication.checkout
    pinned = bool(publication.moved or publication.removed)
    if pinned:
        out.print(
            f"To roll back: git revert {made[-1][:12]} && git push {checkout.remote} {checkout.branch}", soft_wrap=True
        )
    if any(change.kind == "Application" for change in found.changes):
        what = "What is new, removed, or a chart's version or values"
        out.print(f"{what} goes back with the declaration: revert its change, and publish.")


def _refuse_errors(app: App, tree: Tree) -> None:
    """Let nothing be published in which check finds an error; all that it finds is printed then."""
    from constructs_lib.api import model_of
    from constructs_lib.check.report import terminal

    report = app.check({tree.environment: model_of(tree)})
    if report.errors:
        terminal.show(report, result_console())
        raise CommandError(f"Nothing was published: check finds {plural(report.errors, 'error')}.")


def _refuse_dangers(found: Plan, allow: Sequence[str]) -> None:
    from constructs_lib.plan.plan import allow_names, allowed, unknown_names

    names = allow_names(found)
    problems = [
        f'There is nothing dangerous called "{name}"; {nearest(name, names)}' for name in unknown_names(found, allow)
    ]
    dangers = [change for change in found.dangerous if not allowed(change, allow)]
    if dangers:
        options = [f"--allow {name}" for name in names if any(allowed(change, [name]) for change in dangers)]
        problems.append(
            f"Nothing was published: the plan has {len(dangers)} dangerous change{'s' if len(dangers) > 1 else ''}. "
            f"To agree to all of that, add {' '.join(options)}"
        )
    if problems:
        raise CommandError("\n".join(problems))


def _show(publication: Publication, out: Console) -> None:
    """Print the commits that would be made."""
    for message, files in publication.commits:
        out.print()
        out.print(message)
        for file in files[:_NAMED]:
            out.print(f"  {file}")
        if len(files) > _NAMED:
            out.print(f"  … and {len(files) - _NAMED} more")
    out.print()
    out.print("Nothing was changed.")

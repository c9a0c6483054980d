"""The command ``publish``: commit the manifests, pin what changed, and push."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import typer
from rich.console import Console

from constructs_lib.cli.app import App, CommandError
from constructs_lib.declare.mistake import nearest
from constructs_lib.plan.plan import Plan, allow_names, allowed, plan, unknown_names
from constructs_lib.plan.published import published
from constructs_lib.plan.terminal import print_plan
from constructs_lib.plan.words import summary
from constructs_lib.publish.checkout import open_checkout
from constructs_lib.publish.publish import Publication, carry_out, limited, prepare
from constructs_lib.publish.together import Pair, together
from constructs_lib.repository.git import Git
from constructs_lib.repository.snapshot import Snapshot

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
        CommandError: Something is named that is not there, or a change is dangerous and not allowed.
        DeclarationError: The declaration has mistakes.
        PublishError: The checkout or the remote is not as it must be.
        GitError: Git failed.
    """
    out = Console(highlight=False, soft_wrap=True, markup=False)
    (environment,) = app.choose([name])
    git = Git(app.root)
    checkout = open_checkout(git, environment.repository.branch)
    (tree,) = app.synthesize([environment])
    publication = prepare(checkout, tree)
    if publication.is_empty:
        out.print(f"Nothing to publish: {checkout.upstream} has everything that {name} is declared to be.")
        return
    # The Applications follow the pins that are published; what they read is what it will be.
    found = plan(
        published(git, environment),
        Snapshot.of_files("the declaration", tree.files),
        folder=f"argocd/{name}",
    )
    with_it: dict[str, str] = {}
    if only:
        with_it = _with(publication, found, only)
        publication = limited(publication, {*only, *with_it})
        held_back = set(publication.unpublished)
        found = replace(found, steps=[step for step in found.steps if step.component not in held_back])
    publication = replace(publication, summary=summary(found))
    print_plan(found, out)
    if publication.old is None:
        out.print(f"{name} was never published: now its components are pinned, and follow {checkout.branch} no more.")
    for component, reason in with_it.items():
        out.print(f"With it: {component}: {reason}.")
    if publication.unpublished:
        out.print(f"Held back: {', '.join(publication.unpublished)}.")
    _refuse_dangers(found, allow)
    if dry_run:
        _show(publication, out)
        return
    made = carry_out(publication, app.root)
    for commit, message in zip(made, publication.messages, strict=True):
        out.print(f"{commit[:12]} {message.splitlines()[0]}")
    out.print(f"Pushed to {checkout.upstream}.")
    if publication.moved or publication.removed:
        out.print(f"To roll back: git revert {made[-1][:12]} && git push")


def _with(publication: Publication, found: Plan, only: Sequence[str]) -> dict[str, str]:
    """Return what must go with some components, with the reasons."""
    tree, moved = publication.tree, publication.moved
    if publication.old is None:
        raise CommandError(
            f"{tree.environment} was never published: its Applications follow the branch, so that nothing can be held "
            f"back. Publish all of it once, without --only."
        )
    problems = [
        f"{component} has nothing to publish; {', '.join(moved) or 'no component'} has."
        if component in tree.applications
        else f'There is no component "{component}"; {nearest(component, tree.applications)}'
        for component in only
        if component not in moved
    ]
    if problems:
        raise CommandError("\n".join(problems))
    unavoidable = dict.fromkeys(publication.removed, "it is removed, and no pin holds that back")
    changes: dict[str, list[Pair]] = {component: [] for component in moved}
    for change in found.changes:
        if change.component in tree.applications:
            changes.setdefault(change.component, []).append((change.old, change.new))
            if change.kind == "Application":
                unavoidable[change.component] = "its Application changes, and no pin holds that back"
    for component, pin in moved.items():
        if pin is None:
            unavoidable[component] = "it is new, and has no pin that holds it back"
    return together(only, unavoidable, changes, tree.namespaces)


def _refuse_dangers(found: Plan, allow: Sequence[str]) -> None:
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
    if unpushed := publication.checkout.unpushed():
        out.print("These commits are pushed with them:")
        for commit in unpushed:
            out.print(f"  {commit}")
    out.print("Nothing was changed.")

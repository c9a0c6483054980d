"""The command ``plan``: what Argo CD will do, and how dangerous it is."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import typer
from rich.console import Console

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.report import console
from constructs_lib.declare.environment import Environment
from constructs_lib.declare.mistake import nearest
from constructs_lib.plan import json, markdown
from constructs_lib.plan.plan import Plan, plan
from constructs_lib.plan.published import published
from constructs_lib.plan.terminal import print_plan
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.snapshot import Snapshot


class Format(Enum):
    """How a plan is shown."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    JSON = "json"


def register(cli: typer.Typer, app: App) -> None:
    """Add the command to the command line of an app."""

    @cli.command("plan")
    def command(
        names: list[str] = typer.Argument(None, metavar="[ENVIRONMENT]...", help="Default: all of them."),
        old: str = typer.Option(
            None, "--from", metavar="TREE", help="A folder or a Git revision. Default: what is published."
        ),
        new: str = typer.Option(
            None, "--to", metavar="TREE", help="A folder or a Git revision. Default: what the declaration gives."
        ),
        form: Format = typer.Option(Format.TERMINAL, "--format", help="How to show it."),
    ) -> None:
        """Tell what Argo CD will do, and how dangerous it is, before anything is pushed.

        With both trees given, the declaration is not read: they may be of any repository.

        Example: python app.py plan production
        """
        show(app, names or [], old=old, new=new, form=form)


def show(app: App, names: Sequence[str], *, old: str | None, new: str | None, form: Format) -> None:
    """Print the plans of some environments.

    Args:
        app: The app.
        names: Environments to plan; none means all.
        old: The tree before; None means what is published.
        new: The tree afterwards; None means what the declaration gives.
        form: How to show them.

    Raises:
        CommandError: An environment or a tree is unknown.
        DeclarationError: The declaration has mistakes.
    """
    git = Git(app.root)
    chosen = app.choose(names)
    before, after = (None if tree is None else _snapshot(git, tree) for tree in (old, new))
    if before and after:
        folders = [_folder(environment) for environment in chosen] if names else None
        _print({"": plan(before, after, folder=folders)}, form)
        return
    plans: dict[str, Plan] = {}
    afters = [after] * len(chosen) if after else _synthesized(app, chosen)
    for environment, then in zip(chosen, afters, strict=True):
        now = before or published(git, environment)
        if not before and not now.files:
            console().print(f"{environment.name}: nothing is published yet ({now.name}); everything is created.")
        plans[environment.name] = plan(now, then, folder=_folder(environment))
    _print(plans, form)


def _folder(environment: Environment) -> str:
    return f"argocd/{environment.name}"


def _synthesized(app: App, environments: Sequence[Environment]) -> list[Snapshot]:
    return [Snapshot.of_files("the declaration", tree.files) for tree in app.synthesize(environments)]


def _snapshot(git: Git, tree: str) -> Snapshot:
    """Return the tree that a person has named.

    Raises:
        CommandError: It is neither a folder nor a revision.
    """
    if Path(tree).is_dir():
        return Snapshot.of_folder(Path(tree), tree)
    commit = git.commit(tree)
    if commit is None:
        raise CommandError(f'There is neither a folder nor a Git revision "{tree}"; {nearest(tree, _known(git))}')
    try:
        return Snapshot.of_revision(git, commit, tree)
    except GitError as error:
        raise CommandError(f'The Git revision "{tree}" cannot be read: {error}') from error


def _known(git: Git) -> list[str]:
    folders = [path.name for path in Path().iterdir() if path.is_dir() and not path.name.startswith(".")]
    try:
        return [*folders, "HEAD", *git.run("for-each-ref", "--format=%(refname:short)").splitlines()]
    except GitError:
        return folders


def _print(plans: dict[str, Plan], form: Format) -> None:
    out = Console(highlight=False, soft_wrap=True)
    if form is Format.JSON:
        documents = [{"environment": name, **json.document(found)} for name, found in plans.items()]
        typer.echo(json.dump({"version": json.VERSION, "plans": documents}), nl=False)
        return
    if form is Format.MARKDOWN:
        limit = markdown.LIMIT // len(plans)
        texts = (markdown.render(found, f"Plan of {name}" if name else "Plan", limit) for name, found in plans.items())
        typer.echo("\n".join(texts), nl=False)
        return
    for number, (name, found) in enumerate(plans.items()):
        if name:
            out.print(f"{'' if number == 0 else chr(10)}{name}: from {found.old} to {found.new}", markup=False)
        print_plan(found, out)

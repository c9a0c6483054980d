"""The command ``plan``: what Argo CD will do, and how dangerous it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.output import console, result_console, write_result
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.text import nearest, plural

if TYPE_CHECKING:
    from constructs_lib.plan.plan import Plan

#: How a plan, or a rehearsal of one, is shown.
Format = Literal["terminal", "markdown", "json"]


def command(
    context: typer.Context,
    names: list[str] = typer.Argument(None, metavar="[ENVIRONMENT]...", help="Default: all of them."),
    old: str = typer.Option(
        None, "--from", metavar="TREE", help="A folder or a Git revision. Default: what is published."
    ),
    new: str = typer.Option(
        None, "--to", metavar="TREE", help="A folder or a Git revision. Default: what the declaration gives."
    ),
    form: Format = typer.Option("terminal", "--format", help="How to show it."),
    strict: bool = typer.Option(False, "--strict", help="Exit with 1 if a change is dangerous and not allowed."),
    allow: list[str] = typer.Option(
        [], "--allow", metavar="KIND/NAME", help="Agree to a dangerous change. May be repeated."
    ),
) -> None:
    """Tell what Argo CD will do, and how dangerous it is, before anything is pushed.

    With both trees given, the declaration is not read: they may be of any repository.

    Example: python app.py plan production
    """
    from constructs_lib.plan.plan import allowed

    plans = _compare(context.obj, names or [], old=old, new=new)
    _print(plans, form)
    if strict and any(not allowed(change, allow) for found in plans.values() for change in found.dangerous):
        raise typer.Exit(1)


def _compare(app: App, names: Sequence[str], *, old: str | None, new: str | None) -> dict[str, Plan]:
    """Return the plans of some environments by name; trees without environments have one plan, with an empty name."""
    from constructs_lib.plan.plan import plan
    from constructs_lib.plan.published import commits_behind, published

    git = Git(app.root)
    chosen = app.choose(names)
    before, after = (None if tree is None else _snapshot(git, tree) for tree in (old, new))
    if before and after:
        known = dict.fromkeys([*before.environments, *after.environments])
        for name in names:
            if name not in known:
                raise CommandError(
                    f"There is nothing in argocd/{name}/ of {old} or of {new}; without an environment, everything in "
                    f"them is compared."
                )
        # Applications of several environments have the same names.
        parts = names or (known if len(known) > 1 else [""])
        return {name: plan(before, after, folder=f"argocd/{name}" if name else None) for name in parts}
    plans: dict[str, Plan] = {}
    trees = [None] * len(chosen) if after else app.synthesize(chosen)
    for environment, tree in zip(chosen, trees, strict=True):
        branch = environment.repository.branch
        now = before or published(git, environment.name, branch)
        if not before and not now.files:
            console().print(f"{environment.name}: {_nothing(now.name)} Everything is taken for new.")
        elif not before and (count := commits_behind(git, branch)):
            console().print(f"What is checked out lacks {plural(count, 'commit')} of {now.name}.")
        if tree and not before:
            tree.keep_open(now)
        then = Snapshot.of_files("the declaration", tree.files) if tree else after
        assert then is not None
        found = plan(now, then, folder=f"argocd/{environment.name}")
        # Publishing would set the pins anew, so those in the working tree do not matter.
        plans[environment.name] = found if after else replace(found, pins=())
    return plans


def _nothing(name: str) -> str:
    """Return why nothing is published, as far as it is known."""
    if name == "nothing":
        return "this is no Git repository, so nothing is published."
    if "/" in name:
        return f"{name} has nothing of it, or was not fetched (git fetch {name.partition('/')[0]})."
    return f"nothing of it is in {name}."


def _snapshot(git: Git, tree: str) -> Snapshot:
    """Return the tree with the given name: a folder or a Git revision."""
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
    from constructs_lib.plan.report import json_report as json
    from constructs_lib.plan.report import markdown
    from constructs_lib.plan.report.terminal import print_plan

    if form == "json":
        documents = [{"environment": name, **json.document(found)} for name, found in plans.items()]
        write_result(json.dump({"version": json.VERSION, "plans": documents}), form)
        return
    if form == "markdown":
        limit = markdown.LIMIT // len(plans)
        texts = (markdown.render(found, f"Plan of {name}" if name else "Plan", limit) for name, found in plans.items())
        write_result("\n".join(texts))
        return
    out = result_console()
    for number, (name, found) in enumerate(plans.items()):
        title = f"{name}: from" if name else "From"
        out.print(f"{'' if number == 0 else chr(10)}{title} {found.old} to {found.new}")
        print_plan(found, out)

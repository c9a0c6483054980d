"""The command ``plan``: what Argo CD will do, and how dangerous it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from constructs_lib.cli.app import CHARTS, App, CommandError, NotJudgedError, look_into_charts
from constructs_lib.cli.completion import environments
from constructs_lib.cli.exit_codes import ExitCode
from constructs_lib.cli.output import console, result_console, write_result
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.snapshot import Snapshot, applications_folder, is_commit
from constructs_lib.text import nearest, plural

if TYPE_CHECKING:
    from constructs_lib.declare.environment import Environment
    from constructs_lib.plan.change import Verdict
    from constructs_lib.plan.plan import Plan
    from constructs_lib.repository.pins import Pins
    from constructs_lib.synth.tree import Tree

#: How a plan, or a rehearsal of one, is shown.
Format = Literal["terminal", "markdown", "json"]


@dataclass(frozen=True)
class Part:
    """A plan, of what it is and by what it comes about.

    Attributes:
        environment: Name of the environment; empty for trees without environments.
        phase: ``merging`` for what takes effect with a merge or push, and ``publishing`` for what publish does then;
            empty if there is only one of the two.
        plan: What Argo CD does.
    """

    environment: str
    phase: str
    plan: Plan

    @property
    def title(self) -> str:
        """What it is of."""
        return ", ".join(part for part in (self.environment, self.phase) if part)


def command(
    context: typer.Context,
    names: list[str] = typer.Argument(
        None, metavar="[ENVIRONMENT]...", autocompletion=environments, help="Default: all of them."
    ),
    old: str = typer.Option(
        None, "--from", metavar="TREE", help="A folder or a Git revision. Default: what is published."
    ),
    new: str = typer.Option(
        None, "--to", metavar="TREE", help="A folder or a Git revision. Default: what the declaration gives."
    ),
    merge: str = typer.Option(
        None, "--merge", metavar="REVISION", help="Merge and publish what this Git revision has; nothing of it is run."
    ),
    form: Format = typer.Option("terminal", "--format", help="How to show it."),
    strict: bool = typer.Option(
        False, "--strict", help="Exit with 1 if a change is dangerous or widens rights, and is not allowed."
    ),
    allow: list[str] = typer.Option(
        [],
        "--allow",
        metavar="KIND/NAME",
        help="Agree to a change that is dangerous or widens rights. May be repeated.",
    ),
    charts: bool = CHARTS,
) -> None:
    """Tell what Argo CD will do, and how dangerous it is, before anything is pushed.

    What takes effect as soon as what is checked out is merged or pushed is told apart from what publish does then.
    With both trees given, the declaration is not read: they may be of any repository.

    It exits with 0; with --strict, with 1 if a change is dangerous or widens rights and is not allowed. Wrong usage,
    such as a tree that there is not, gives 2; trees of which nothing can be seen, such as charts alone, and a revision
    that cannot be read give 3; a fault of its own gives 70.

    Example: python app.py plan production
    """
    from constructs_lib.plan.plan import allowed

    if merge and (old or new):
        raise CommandError(
            "--merge begins with what is published, and ends with the revision: leave out --from and --to."
        )
    app: App = context.obj
    look_into_charts(charts)
    if merge:
        parts = [part for each in app.choose(names or []) for part in _merged(Git(app.root), each, merge)]
    else:
        parts = _compare(app, names or [], old=old, new=new)
    _print(parts, form)
    if strict and any(not allowed(change, allow) for part in parts for change in part.plan.dangerous):
        raise typer.Exit(ExitCode.REFUSED)
    if not any(part.plan.is_judged for part in parts):
        raise typer.Exit(ExitCode.NOT_JUDGED)


def _compare(app: App, names: Sequence[str], *, old: str | None, new: str | None) -> list[Part]:
    """Return the plans of some environments; trees without environments have one plan, with an empty name."""
    git = Git(app.root)
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
        return [Part(name, "", _between(app, git, name, before, after, str(new))) for name in parts]
    chosen = app.choose(names)
    if after:
        return [
            Part(each.name, "", _between(app, git, each.name, before or _now(git, each), after, str(new)))
            for each in chosen
        ]
    trees = app.synthesize(chosen)
    return [
        part
        for environment, tree in zip(chosen, trees, strict=True)
        for part in _declared(git, environment, tree, before)
    ]


def _now(git: Git, environment: Environment) -> Snapshot:
    """Return what is published, and say what is not known of it."""
    from constructs_lib.plan.published import commits_behind, published
    from constructs_lib.repository.deployed import publication_at

    branches = environment.repository.branch, environment.publication_branch
    now = published(git, environment.name, *branches)
    if not now.files:
        console().print(f"{environment.name}: {_nothing(now.name)} Everything is taken for new.")
    elif count := commits_behind(git, *branches):
        console().print(f"What is checked out lacks {plural(count, 'commit')} of {now.name}.")
    if environment.publication_branch and not publication_at(git, *branches):
        console().print(
            f"{environment.name} follows {environment.publication_branch}, which is not here: it was not fetched, or "
            f"publish has not made it yet. What is published is taken from {now.name}."
        )
    return now


def _between(app: App, git: Git, name: str, before: Snapshot, after: Snapshot, tree: str) -> Plan:
    """Return the plan of a move to a tree of Git or a folder, of one environment, or of everything without a name.

    The pins of a Git revision are verified; what a folder has is taken for what its pins name.
    """
    from constructs_lib.api import with_refusals
    from constructs_lib.plan.merging import plan_of_push
    from constructs_lib.plan.plan import plan

    folder = applications_folder(name) if name else None
    branches = {each.name: (each.repository.branch, each.publication_branch) for each in app.environments}
    own = name or next(iter(after.environments), "")
    commit = None if Path(tree).is_dir() else git.commit(tree)
    if commit and own in branches:
        branch, publication = branches[own]
        pushed = plan_of_push(git, own, branch, before, after, commit, folder=folder, publication=publication)
        return with_refusals(pushed, after, folder)
    found = with_refusals(plan(before, after, folder=folder), after, folder)
    unseen = [pin for pin in found.pins if is_commit(pin.new)] if commit is None else []
    said = [f"{pin.name}: what {pin.new} holds is taken from {tree}, and may be anything else." for pin in unseen]
    return replace(found, warnings=[*found.warnings, *said])


def _declared(git: Git, environment: Environment, tree: Tree, before: Snapshot | None) -> Iterator[Part]:
    """Yield the plans of a move to what is declared: without a tree ``before``, first what merging does by itself."""
    from constructs_lib.api import with_refusals
    from constructs_lib.plan.merging import merge_of, plan_of_push
    from constructs_lib.plan.plan import plan
    from constructs_lib.plan.published import published_at
    from constructs_lib.publish.becoming import settled
    from constructs_lib.publish.publication import rolled_back
    from constructs_lib.repository.deployed import pins_at

    name, branch, folder = environment.name, environment.repository.branch, f"argocd/{environment.name}"
    publication, phase, head = environment.publication_branch, "", ""
    held: dict[str, str] = {}
    now = before or _now(git, environment)
    if not before and now.files:
        head = git.commit("HEAD") or ""
        if merge := merge_of(git, branch):
            tree.pin(pins_at(git, merge.revision, name))
            merged = published_at(git, name, merge.name, merge.revision)
            found = plan_of_push(
                git,
                name,
                branch,
                now,
                merged,
                merge.revision,
                folder=folder,
                declared=tree.files,
                publication=publication,
            )
            if found.changes or found.pins:
                phase = "publishing"
                waiting = _waiting(git, environment, found)
                found = waiting or found
                warnings = [merge.warning, *found.warnings] if merge.warning else found.warnings
                yield Part(name, "merging", replace(found, warnings=warnings))
                now = now if waiting else merged
    if not before:
        tree.keep_open(now)
    if head and tree.pins:
        held = rolled_back(git, head, name, tree.pins.components, tree.contents)
    files = tree.files
    if tree.pins:
        moving = {each: content for each, content in tree.contents.items() if each not in held}
        files = {**files, **settled(files, name, tree.pins, moving)}
    declared = tree.snapshot("the declaration", files)
    declared, verdicts, kept = _going_back(git, environment, tree.pins, now, declared, held if head else None)
    found = with_refusals(plan(now, declared, folder=folder, verdicts=verdicts), declared, folder)
    yield Part(name, phase, _published(found, held, kept))


def _merged(git: Git, environment: Environment, revision: str) -> Iterator[Part]:
    """Yield what merging a Git revision does by itself, and what publish does then, by the files that it has generated.

    Its declaration is not run, because it may be anybody's: that the files are what it gives, another check has to say.
    """
    from constructs_lib.api import with_refusals
    from constructs_lib.plan.merging import plan_of_push
    from constructs_lib.plan.plan import plan
    from constructs_lib.plan.published import published_at
    from constructs_lib.publish.becoming import settled
    from constructs_lib.publish.publication import rolled_back
    from constructs_lib.repository.deployed import pins_at

    name, branch, folder = environment.name, environment.repository.branch, f"argocd/{environment.name}"
    publication = environment.publication_branch
    commit = git.commit(revision)
    if commit is None:
        raise CommandError(f'There is no Git revision "{revision}".')
    now, merged = _now(git, environment), published_at(git, name, revision, commit)
    found, phase = plan_of_push(git, name, branch, now, merged, commit, folder=folder, publication=publication), ""
    if found.changes or found.pins:
        waiting = _waiting(git, environment, found)
        yield Part(name, "merging", waiting or found)
        now, phase = now if waiting else merged, "publishing"
    pins, held = pins_at(git, commit, name), {}
    if pins:
        entries = (line.split(maxsplit=3) for line in git.run("ls-tree", commit, f"dist/{name}/").splitlines())
        contents = {path.rpartition("/")[2]: tree for _, _, tree, path in entries}
        held = rolled_back(git, commit, name, pins.components, contents)
    files = dict(merged.files)
    if pins:
        moving = {each: content for each, content in contents.items() if each not in held}
        files |= settled(files, name, pins, moving)
    # Without commits, the Applications read the files that there are.
    declared = replace(merged, name=f"{revision}, published", pinned=None, files=files)
    declared, verdicts, kept = _going_back(git, environment, pins, now, declared, held)
    found = plan(now, declared, folder=folder, verdicts=verdicts)
    found = with_refusals(found, merged, folder)
    yield Part(name, phase, _published(found, held, kept))


def _waiting(git: Git, environment: Environment, found: Plan) -> Plan | None:
    """Return what a merge does where Argo CD follows a branch that only publications move: nothing; None elsewhere."""
    from constructs_lib.repository.deployed import publication_at

    if not publication_at(git, environment.repository.branch, environment.publication_branch):
        return None
    note = (
        f"Nothing happens before publish: Argo CD follows {environment.publication_branch}, which only publish moves."
    )
    return replace(found, steps=[], pins=(), notes=(note,))


def _going_back(
    git: Git, environment: Environment, pins: Pins | None, now: Snapshot, new: Snapshot, held: Mapping[str, str] | None
) -> tuple[Snapshot, Mapping[str, Verdict], Collection[str]]:
    """Return what publish deploys, verdicts on it, and which components it leaves as they are, of those it holds back.

    Where Argo CD follows a branch that only publications move, what is held back may still be to be rolled back.
    """
    from constructs_lib.plan.merging import judge_publication
    from constructs_lib.publish.becoming import as_pinned
    from constructs_lib.repository.deployed import pins_at, publication_at

    branches = environment.repository.branch, environment.publication_branch
    branch = publication_at(git, *branches)
    if held is None or not pins or not branch:
        return new, {}, held or {}
    deployed = pins_at(git, branch[1], environment.name)
    before = deployed.components if deployed else {}
    back = {name: pins.components[name] for name in held if before.get(name) != pins.components[name]}
    verdicts = judge_publication(git, environment.name, branches, pins, back, now, new)
    return replace(new, files=as_pinned(git, environment.name, new.files, back)), verdicts, held.keys() - back.keys()


def _published(found: Plan, held: Mapping[str, str], kept: Collection[str]) -> Plan:
    """Return what publish does of a plan: it sets the pins anew, and holds back what was rolled back by a commit."""
    from constructs_lib.publish.scope import without

    said = [f"publish holds back {each}, because {commit[:12]} rolled it back." for each, commit in held.items()]
    return replace(without(found, kept) if kept else found, pins=(), warnings=[*found.warnings, *said])


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
        raise NotJudgedError(f'The Git revision "{tree}" cannot be read: {error}') from error


def _known(git: Git) -> list[str]:
    folders = [path.name for path in Path().iterdir() if path.is_dir() and not path.name.startswith(".")]
    try:
        return [*folders, "HEAD", *git.run("for-each-ref", "--format=%(refname:short)").splitlines()]
    except GitError:
        return folders


def _print(parts: Sequence[Part], form: Format) -> None:
    from constructs_lib.plan.report import json_report as json
    from constructs_lib.plan.report import markdown
    from constructs_lib.plan.report.terminal import print_plan

    if form == "json":
        documents = [
            {"environment": part.environment, "phase": part.phase, **json.document(part.plan)} for part in parts
        ]
        write_result(json.dump({"version": json.VERSION, "plans": documents}), form)
        return
    if form == "markdown":
        limit = markdown.LIMIT // len(parts)
        texts = (markdown.render(part.plan, f"Plan of {part.title}" if part.title else "Plan", limit) for part in parts)
        write_result("\n".join(texts))
        return
    out = result_console()
    for number, part in enumerate(parts):
        title = f"{part.title}: from" if part.title else "From"
        out.print(f"{'' if number == 0 else chr(10)}{title} {part.plan.old} to {part.plan.new}")
        print_plan(part.plan, out)

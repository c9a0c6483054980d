"""What takes effect as soon as something is merged or pushed, before anybody publishes.

Argo CD's root reads ``argocd/<environment>/`` from the branch: Applications, the AppProjects, and the pins in the
Applications. So a merge that moves a pin deploys, and only a publication and its rollback may do that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from constructs_lib.plan.change import Change, Effect, Verdict, reason
from constructs_lib.plan.fields import FieldChange
from constructs_lib.plan.plan import Plan, plan
from constructs_lib.repository.deployed import History, misread, pins_at, published_revision, reads
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.pins import Pin, Pins, PinsError, pins_file
from constructs_lib.repository.snapshot import Files, Snapshot


@dataclass(frozen=True)
class Merge:
    """What a branch holds once the commits that are checked out are merged into it.

    Attributes:
        name: What a person calls that.
        revision: A commit or tree of Git.
        warning: What is not as it will be; empty if nothing is.
    """

    name: str
    revision: str
    warning: str = ""


def merge_of(git: Git, branch: str) -> Merge | None:
    """Return what the published branch holds once what is checked out is merged into it; None if that is nothing new.

    Nothing is merged: Git computes the files of the result.
    """
    name, published = published_revision(git, branch)
    head = git.commit("HEAD") if published else None
    if published is None or head is None or git.succeeds("merge-base", "--is-ancestor", head, published):
        return None
    if git.succeeds("merge-base", "--is-ancestor", published, head):
        return Merge("HEAD", head)
    try:
        # Since Git 2.38; with conflicts, it exits with 1.
        return Merge(f"{name} with HEAD", git.run("merge-tree", "--write-tree", "--no-messages", published, head))
    except GitError:
        lacks = f"HEAD cannot be merged into {name} as it is, so that what {name} has since is taken for undone"
        return Merge("HEAD", head, f"{lacks}: git merge {name} first.")


def plan_of_push(
    git: Git,
    environment: str,
    branch: str,
    old: Snapshot,
    new: Snapshot,
    revision: str,
    *,
    folder: str | None = None,
    declared: Files | None = None,
    publication: str = "",
) -> Plan:
    """Return what Argo CD does as soon as the branch that is deployed holds something.

    Args:
        git: The repository.
        environment: Name of the environment, whose pins are held against the published ones.
        branch: The branch of the declaration.
        old: What was before.
        new: What the branch will hold.
        revision: The commit or tree of Git that this is.
        folder: Where the Applications are. Default: anywhere.
        declared: The files that the declaration gives. What takes effect and is not declared is called dangerous.
        publication: The branch that only publications move. Default: Argo CD follows the other one.

    Raises:
        PinsError: The pins cannot be read, are wrong, or are not those that the Applications have.
    """
    pins = pins_at(git, revision, environment)
    verify(History.of(git, branch), environment, new, pins)
    _, published = published_revision(git, branch, publication)
    verdicts = {}
    if published and not (git.commit(revision) and git.succeeds("merge-base", "--is-ancestor", revision, published)):
        history = History(git, branch, [published])
        verdicts = judge_moves(history, environment, pins_at(git, published, environment), pins)
    _judge_reading(verdicts, _read_elsewhere(environment, (branch, publication), old, new, pins))
    found = plan(old, new, folder=folder, verdicts=verdicts)
    return found if declared is None else _without_foreign(found, environment, pins, new.files, declared)


def judge_publication(
    git: Git,
    environment: str,
    branches: tuple[str, str],
    pins: Pins,
    back: Mapping[str, Pin],
    old: Snapshot,
    new: Snapshot,
) -> dict[str, Verdict]:
    """Return a verdict on each component that publish deploys in another way than as the files that there are say.

    Args:
        git: The repository.
        environment: Name of the environment.
        branches: The branch of the declaration, and that which only publications move.
        pins: The pins that the branch of the declaration will hold.
        back: Those of them that publish does not set anew, because somebody has rolled the component back.
        old: What is published.
        new: What publish deploys.
    """
    name, published = published_revision(git, *branches)
    was = pins_at(git, published, environment) if published else None
    before, history = was.components if was else {}, History(git, name, [published] if published else [])
    verdicts: dict[str, Verdict] = {}
    for component, pin in back.items():
        verdict, old_pin = verdicts.setdefault(component, Verdict(Effect.UPDATE)), before.get(component)
        place = f"{pins_file(environment)}: {component}"
        verdict.fields = [FieldChange(place, old_pin.revision if old_pin else None, pin.revision)]
        if commit := _rolled_back(history, environment, component, before, pins.components):
            verdict.because("publishes-back", component=component, to=pin.revision[:12], commit=commit[:12])
        else:
            verdict.because("publishes-moved-pin", file=pins_file(environment), branch=name)
    _judge_reading(verdicts, _read_elsewhere(environment, branches, old, new, pins))
    return verdicts


def _judge_reading(verdicts: dict[str, Verdict], found: Iterator[tuple[str, str, str]]) -> None:
    for name, where, other in found:
        verdict = verdicts.setdefault(name, Verdict(Effect.UPDATE))
        verdict.because("reads-elsewhere", folder=where or "the repository", revision=other)


def _read_elsewhere(
    environment: str, branches: Sequence[str], old: Snapshot, new: Snapshot, pins: Pins | None
) -> Iterator[tuple[str, str, str]]:
    """Yield what Applications read that they did not read before, and that is neither pinned nor on the branches."""
    followed = {"HEAD", *branches, *(f"refs/heads/{branch}" for branch in branches)}
    known = {*reads(old, environment)}
    pinned = {(f"dist/{environment}/{name}", pin.revision) for name, pin in (pins.components if pins else {}).items()}
    for name, folder, revision in reads(new, environment):
        here = revision in followed or (folder, revision) in pinned
        if not here and (name, folder, revision) not in known:
            yield name, folder, revision


def verify(history: History, environment: str, tree: Snapshot, pins: Pins | None) -> None:
    """Hold the pins of a tree against the history, and its Applications against the pins.

    Raises:
        PinsError: Something is wrong.
    """
    history.verify(environment, pins)
    if wrong := misread(tree, environment, pins):
        raise PinsError("\n".join(wrong.values()) + "\nRun make synth, and commit what it writes.")


def judge_moves(history: History, environment: str, old: Pins | None, new: Pins | None) -> dict[str, Verdict]:
    """Return a verdict on each component whose pin differs from the published one, which ``history`` ends in.

    It is the rollback that docs/publishing.md tells of if the pins are those before the newest publication of the
    component, with all that this publication moved. Anything else is dangerous: a pin that is right, too, since who
    moves it publishes without the tests and the people that publications need.
    """
    before, after = (dict(pins.components) if pins else {} for pins in (old, new))
    kept_before, kept_after = (pins.kept if pins else {} for pins in (old, new))
    verdicts: dict[str, Verdict] = {}

    def verdict_on(component: str) -> Verdict:
        return verdicts.setdefault(component, Verdict(Effect.UPDATE))

    for component in sorted(before.keys() | after.keys()):
        was, becomes = before.get(component), after.get(component)
        if was == becomes:
            continue
        verdict = verdict_on(component)
        old_commit, new_commit = (pin.revision if pin else None for pin in (was, becomes))
        verdict.fields = [FieldChange(f"{pins_file(environment)}: {component}", old_commit, new_commit)]
        if new is None:
            verdict.because("pins-removed")
        elif commit := _rolled_back(history, environment, component, before, after):
            values = {"component": component, "commit": commit[:12]}
            if becomes:
                verdict.because("pin-rolled-back", to=becomes.revision[:12], **values)
            else:
                verdict.because("pin-taken-back", **values)
        else:
            values = {"file": pins_file(environment), "branch": history.name}
            if becomes:
                verdict.because("pin-moved", **values)
            else:
                verdict.because("pin-removed", **values)
    for path in sorted(kept_before.keys() | kept_after.keys()):
        if kept_before.get(path) != kept_after.get(path) and path.count("/") > 2:
            verdict = verdict_on(path.split("/")[2])
            places = (_places(kept.get(path)) for kept in (kept_before, kept_after))
            verdict.fields = [*verdict.fields, FieldChange(f"kept open in {path}", next(places), next(places))]
            verdict.because("kept-moved")
    return verdicts


def _places(kept: Mapping[str, object] | None) -> str | None:
    return ", ".join(kept) if kept else None


def _rolled_back(
    history: History, environment: str, component: str, before: Mapping[str, Pin], after: Mapping[str, Pin]
) -> str:
    """Return the publication of a component that is rolled back as a whole; empty if it is none.

    Between it and now may be pins that somebody set by hand, and that a later publication set right.
    """
    commit, published = "", before
    for version, pins in history.versions(environment):
        then = pins.components if pins else {}
        if then.get(component) == before.get(component):
            commit, published = version, then
        elif not history.wrong(environment, Pins({name: pin for name, pin in then.items() if name == component})):
            moved = {
                name
                for name in published.keys() | then.keys()
                if published.get(name) != then.get(name) and before.get(name) == published.get(name)
            }
            return commit if all(after.get(name) == then.get(name) for name in moved) else ""
    return ""


def _without_foreign(found: Plan, environment: str, pins: Pins | None, merged: Files, declared: Files) -> Plan:
    """Return a plan in which what the branch deploys, though the declaration gives something else, is dangerous."""
    pinned = tuple(f"dist/{environment}/{component}/" for component in (pins.components if pins else {}))

    def judged(change: Change) -> Change:
        if change.file.startswith(pinned) or merged.get(change.file) == declared.get(change.file):
            return change
        return replace(change, dangerous=True, reasons=(*change.reasons, reason("not-declared", file=change.file)))

    steps = [replace(step, changes=[judged(change) for change in step.changes]) for step in found.steps]
    return replace(found, steps=steps)


def undone(found: Plan, legitimate: Plan, components: Collection[str]) -> Plan:
    """Return a plan in which nobody is asked about what was never published: it goes, or becomes what it was.

    ``legitimate`` is the plan that there would be if the pins of these components had never been set by hand. What
    AppProjects permit is restored with them.
    """
    dangers = {change.identity for change in legitimate.dangerous}
    removals = {change.identity for change in legitimate.changes if change.action == "delete"}

    def judged(change: Change) -> Change:
        smuggled = change.action == "delete" and change.identity not in removals
        is_of_them = change.component in components and (smuggled or change.needs_consent)
        restored = change.kind == "AppProject" and change.widens and not change.dangerous
        if change.identity in dangers or not (is_of_them or restored):
            return change
        gone = reason("smuggled-stays") if change.effect == Effect.KEPT else reason("smuggled")
        why = gone if smuggled else reason("undone")
        return replace(change, dangerous=False, widens=(), fix="", reasons=(*change.reasons, why))

    return replace(found, steps=[replace(step, changes=[*map(judged, step.changes)]) for step in found.steps])

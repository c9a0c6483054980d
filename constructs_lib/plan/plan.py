"""The plan: what Argo CD does when one tree of manifests takes the place of another, in its order."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.sync_order import Task, cascade_order, sync_order
from constructs_lib.kubernetes.manifest import inner
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import Change, Effect, Pin, Step, Verdict, reason
from constructs_lib.plan.comparison import Comparison
from constructs_lib.plan.effects import loss_with
from constructs_lib.plan.pair import Key, Pair, key_of
from constructs_lib.plan.running import is_foreign, running, with_owners
from constructs_lib.repository.applications import Application, Applications, find_applications, unseen_chart
from constructs_lib.repository.rendering import looking
from constructs_lib.repository.snapshot import Snapshot


@dataclass(frozen=True)
class Plan:
    """What Argo CD does, in its order.

    Attributes:
        old: Name of the tree before.
        new: Name of the tree afterwards.
        steps: What happens, component by component.
        pins: Applications that read another revision than before.
        warnings: What the plan does not know.
        is_judged: Whether there was an object to look at, or nothing that nobody can look at.
        notes: What else is to be said of it.
    """

    old: str
    new: str
    steps: Sequence[Step]
    pins: Sequence[Pin] = ()
    warnings: Sequence[str] = ()
    is_judged: bool = True
    notes: Sequence[str] = ()

    @property
    def changes(self) -> list[Change]:
        """All changes in the order of Argo CD."""
        return [change for step in self.steps for change in step.changes]

    @property
    def dangerous(self) -> list[Change]:
        """The changes that a person must allow by name."""
        return [change for change in self.changes if change.needs_consent]

    @property
    def losing(self) -> list[Change]:
        """Those of them by which something is lost or stops."""
        return [change for change in self.changes if change.dangerous]

    @property
    def widening(self) -> list[Change]:
        """Those of them that widen rights."""
        return [change for change in self.changes if change.widens]

    @property
    def summary(self) -> Mapping[Effect, int]:
        """The number of changes with each effect, the least severe first."""
        counts = Counter(change.effect for change in self.changes)
        return {effect: counts[effect] for effect in Effect if counts[effect]}

    @property
    def components(self) -> list[str]:
        """The components that change, in the order of Argo CD."""
        return list(dict.fromkeys(step.component for step in self.steps))


def plan(
    old: Snapshot,
    new: Snapshot,
    *,
    folder: str | None = None,
    verdicts: Mapping[str, Verdict] | None = None,
    cache: Cache | None = None,
) -> Plan:
    """Return what Argo CD does when the manifests of all Applications, or of those in a folder, change.

    ``verdicts`` on Applications, by name, are added to what the trees show of them. The ``cache`` remembers what was
    read, for several plans.

    Nothing is raised because of what the manifests hold: what cannot be read is in :attr:`Plan.warnings`.
    """
    folders, cache = [folder] if folder else [], cache or Cache()
    after = find_applications(new, folders, cache, looking.get())
    marks: Mapping[Identity, Object] = {}
    if is_foreign(old, folder):
        groups, marks = running(old, after.all, cache)
        before = Applications(
            groups, {"running": f"What runs is taken from {old.name}, and whatever is not there for new."}
        )
    else:
        before = find_applications(old, folders, cache, looking.get())
    unchanged = _look_at_both(before.all, after.all)
    comparison = Comparison(before.all, after.all, cache, verdicts or {}, published=not marks)
    known = {key: text for key, text in {**before.warnings, **after.warnings}.items() if key not in unchanged}
    warnings = [*known.values(), *dict.fromkeys(comparison.warnings)]
    steps = _with_components(_Ordering(comparison.pairs).steps(), after.all)
    if marks:
        server_side = {each.name for each in after.all if each.sync_options.get("ServerSideApply") == "true"}
        steps = [
            replace(step, changes=[with_owners(change, marks, server_side) for change in step.changes])
            for step in steps
        ]
    is_judged = bool(steps) or not warnings or any(map(_holds_objects, (*before.all, *after.all)))
    return Plan(old.name, new.name, steps, comparison.pins, warnings, is_judged)


def _holds_objects(application: Application) -> bool:
    return any(application.read(path, content) for path, content in application.files.items())


def _look_at_both(before: Sequence[Application], after: Sequence[Application]) -> set[str]:
    """Forget what charts render of which nobody saw one of the two states: all of it would seem to come or go.

    Returns:
        The subjects of warnings that are no matter: nobody saw a chart that does not change.
    """
    olds = {key_of(application): application for application in before}
    unchanged: set[str] = set()
    for new in after:
        if old := olds.get(key_of(new)):
            for one, other in ((old, new), (new, old)):
                for chart in one.unseen:
                    other.look_away(chart.title)
            if [chart.source for chart in old.unseen] == [chart.source for chart in new.unseen]:
                unchanged.add(unseen_chart(new))
    return unchanged


def allowed(change: Change, names: Iterable[str]) -> bool:
    """Tell whether an object's name allows its change: ``Kind/name``, or ``Kind/namespace/name`` of several.

    ``Component/name`` allows what goes with a component that is removed, but for what takes data or a guard with it.
    """
    whole = f"Component/{change.component}" if change.with_component else ""
    return any(name in (change.name, change.full_name, whole) for name in names)


def unknown_names(found: Plan, names: Iterable[str]) -> list[str]:
    """Return those of the given names that name no dangerous change."""
    return [name for name in names if not any(allowed(change, [name]) for change in found.dangerous)]


def allow_names(found: Plan) -> list[str]:
    """Return the shortest names that allow all dangerous changes."""
    short = Counter(change.name for change in found.dangerous)
    whole = Counter(change.component for change in found.dangerous if change.with_component)
    names = (
        f"Component/{change.component}"
        if change.with_component and whole[change.component] > 1
        else change.name
        if short[change.name] == 1
        else change.full_name
        for change in found.dangerous
    )
    return list(dict.fromkeys(names))


def _with_components(steps: Sequence[Step], remaining: Iterable[Application]) -> list[Step]:
    """Return steps in which is marked what goes with a component that is removed.

    What takes data with it, or may, has to be named, and the Namespace as well if there is data in it, or if one of the
    ``remaining`` Applications deploys there. Otherwise its Namespace is no loss.
    """
    removed: dict[str, list[Change]] = {}
    for step in steps:
        for change in step.changes:
            if change.kind == "Application" and change.action == "delete" and not change.moves:
                removed[change.component] = []
    if not removed:
        return [*steps]
    for step in steps:
        for change in step.changes:
            if change.component in removed:
                removed[change.component].append(change)
    used = {inner(each.item.spec, "destination", "namespace") for each in remaining if each.item}
    keeping = {
        component
        for component, changes in removed.items()
        if any(_holds_data(each) and each.kind != "Namespace" for each in changes)
    }

    def marked(change: Change) -> Change:
        if change.component not in removed or change.action != "delete" or change.widens:
            return change
        if change.kind == "Namespace" and change.component not in keeping and change.identity[3] not in used:
            loss = loss_with(Object(change.old or {}, change.file, ""))
            reasons = [each for each in change.reasons if each != loss]
            return replace(change, with_component=True, effect=Effect.DELETE, reasons=reasons, fix="")
        return replace(change, with_component=not _holds_data(change))

    return [replace(step, changes=[*map(marked, step.changes)]) for step in steps]


def _holds_data(change: Change) -> bool:
    """Tell whether data goes with what is removed, or stays with it, or may."""
    return change.effect in (Effect.DATA_LOSS, Effect.KEPT) or reason("operator-deletes") in change.reasons


class _Ordering:
    """Puts the changes of all components in the order of Argo CD."""

    def __init__(self, pairs: Mapping[Key, Pair]) -> None:
        self._seen: set[Pair] = set()
        self._children: dict[Key | None, list[Pair]] = {}
        for key, pair in pairs.items():
            parent = pair.now.parent
            owner = key_of(parent) if parent is not None and key_of(parent) in pairs else None
            self._children.setdefault(None if owner == key else owner, []).append(pair)

    def steps(self) -> list[Step]:
        """Return the steps of all Applications and groups."""
        outermost = self._children.get(None, ())
        return [step for pair in outermost for step in self._of(pair, "", pair.now.wave, ()) if step.changes]

    def _of(self, pair: Pair, parent: str, wave: int, own: Sequence[Change]) -> Iterator[Step]:
        """Yield the steps of a component: what happens to itself, to its objects, and then to what it deploys.

        ``parent`` names what deploys it, ``wave`` is its wave in there, and ``own`` happens to the Application itself.
        """
        if pair in self._seen:
            return
        self._seen.add(pair)
        name, itself = pair.now.name, pair.now.item
        children: dict[Identity, Pair] = {}
        changes: dict[Identity, list[Change]] = {}
        tasks: dict[Identity, Task] = {}
        for item, change in pair.changes:
            changes.setdefault(item.identity, []).append(change)
            tasks[item.identity] = Task(item, prunes=change.action == "delete")
        for child in self._children.get(key_of(pair.now), ()):
            if child.now.item is not None:
                children[child.now.item.identity] = child
                tasks.setdefault(child.now.item.identity, Task(child.now.item, prunes=child.new is None))
        if itself:
            own = [*own, *changes.pop(itself.identity, [])]
            if itself.identity not in children:
                tasks.pop(itself.identity, None)
        if pair.is_gone:
            placed = cascade_order(tasks.values())
        else:
            placed = sync_order(tasks.values(), prune_last=pair.now.sync_options.get("PruneLast") == "true")
        todo = [(at, children.get(task.item.identity), changes.get(task.item.identity, [])) for at, task in placed]
        # Objects beside Applications get steps of their own, between those of the Applications.
        apart = itself is not None and bool(children)
        direct = [change for _, child, found in todo if child is None for change in found]
        yield _step(name, wave, parent, own if apart else [*own, *direct])
        for (at, beside), group in groupby(todo, lambda each: (each[0], each[1] is None)):
            if not beside:
                for _, deployed, found in group:
                    if deployed is not None:
                        yield from self._of(deployed, name, at, found)
            elif apart:
                yield _step(name, at, name, [change for _, _, found in group for change in found])


def _step(component: str, wave: int, parent: str, changes: Iterable[Change]) -> Step:
    return Step(component, wave, parent, [replace(change, component=component) for change in changes])

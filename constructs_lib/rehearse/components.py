"""The components of a phase: what each Application deploys before and afterwards, and which of them come first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import Manifest, mapping, sequence
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import Effect
from constructs_lib.plan.fields import FieldChange, changed_fields
from constructs_lib.plan.plan import Plan
from constructs_lib.rehearse.recording import as_object
from constructs_lib.repository.applications import Application, find_applications
from constructs_lib.repository.snapshot import Snapshot

#: Effects after which an object is no longer there.
_GONE = frozenset({Effect.DELETE, Effect.DATA_LOSS, Effect.REPLACEMENT})


@dataclass(frozen=True, eq=False)
class Component:
    """What one Application deploys, and the Application itself; or what no Application deploys.

    Attributes:
        name: Name of the Application or the group.
        path: Its place: the names and waves of the Applications above it, and its own at the end.
        application: As it is afterwards, or as it was if it is gone.
        old: Its objects before, without hooks.
        new: Its objects afterwards.
        leaves: Objects that nothing deploys any more and that the plan says are deleted.
        is_row: Whether it deploys something other than Applications, so that it is one of those that are in an order.
    """

    name: str
    path: Sequence[tuple[str, int]]
    application: Application
    old: Mapping[Identity, Object]
    new: Mapping[Identity, Object]
    leaves: Mapping[Identity, Object]
    is_row: bool
    _drifts: dict[Identity, tuple[Object, Manifest, list[FieldChange]]] = field(default_factory=dict)

    @property
    def wave(self) -> int:
        """Its wave."""
        return self.path[-1][1]

    @property
    def is_removed(self) -> bool:
        """Whether its Application is gone afterwards."""
        item = self.application.item
        return item is not None and item.identity not in self.new

    @property
    def is_rendered(self) -> bool:
        """Whether it has objects that are in no tree, such as those of a chart."""
        return bool(self.application.charts) or any(source.tool for source in self.application.sources)

    def precedes(self, other: Component) -> bool:
        """Tell whether another component must not begin before this one is complete.

        That is so for two that the same Application deploys, in different waves, and for all that these two deploy.
        """
        for (name, wave), (others, later) in zip(self.path, other.path, strict=False):
            if name != others:
                return wave < later
        return False

    def drift(self, item: Object, live: Manifest) -> list[FieldChange]:
        """Return in what a live object is not as the tree has it.

        What the API server and controllers add is none: fields and labels that the tree does not have. What the tree no
        longer has in a list or in the data of a ConfigMap is one.
        """
        wanted, known, found = self._drifts.get(item.identity, (None, None, []))
        if wanted is not item or known is not live:
            ignored = [
                tuple(str(pointer).strip("/").split("/"))
                for entry in self.application.differences_ignored_of(item)
                for pointer in sequence(entry.get("jsonPointers"))
            ]
            found = [
                change
                for change in changed_fields(as_object(live), item)
                if _counts(change, item) and not any(change.below(*keys) for keys in ignored)
            ]
            self._drifts[item.identity] = item, live, found
        return found


def _counts(change: FieldChange, item: Object) -> bool:
    """Tell whether a difference is one of the tree, and not of what the API server makes of it."""
    last = change.keys[-1]
    # The API server drops many fields that are empty, zero or false, and has an order of its own for some lists.
    is_empty = change.old is None and not change.new and not change.secret
    if is_empty or change.path.endswith("(order)") or change.keys == ("apiVersion",):
        return False
    in_list = isinstance(last, int) or last.startswith("[")
    dropped = change.new is None and in_list and not change.below("metadata")
    return dropped or change.below("data") or (change.new is not None and _is_written(change, item))


def _called(item: Mapping[str, Any]) -> set[str]:
    return {*map(str, item.values()), str(mapping(item.get("metadata")).get("name"))}


def _is_written(change: FieldChange, item: Object) -> bool:
    """Tell whether the tree has a field itself: what is filled in as its default may be another's, as of a scaler."""
    here: Any = item.manifest
    for key in change.keys:
        if isinstance(here, list):
            # Items of a list are called by their place, or by the value of a field such as their name.
            named = (each for each in here if isinstance(each, dict) and str(key)[1:-1] in _called(each))
            here = next(iter(here[key : key + 1]), None) if isinstance(key, int) else next(named, None)
        elif isinstance(here, dict):
            here = here.get(key)
        if here is None:
            return False
    return True


def components(
    old: Snapshot, new: Snapshot, plan: Plan, known: Collection[Identity], folders: Sequence[str] = ()
) -> list[Component]:
    """Return the components of both trees: those of the new one first, parents before what they deploy.

    The plan knows in which wave something is removed. ``known`` are all objects that were ever seen in the cluster.
    Only Applications in ``folders`` count. Default: all.
    """
    cache = Cache()
    before, after = (find_applications(snapshot, folders, cache).all for snapshot in (old, new))
    states = {application.name: application for application in (*before, *after)}
    olds, news = _objects(before, known), _objects(after, known)
    deployed = {identity for items in news.values() for identity in items}
    deleted = [each for each in plan.changes if each.action == "delete" and each.effect in _GONE]
    gone = {placed(change.identity, known) for change in deleted}
    waves = {(step.component, step.parent): step.wave for step in plan.steps}
    parents = {application.parent.name for application in states.values() if application.parent}
    names = dict.fromkeys([application.name for application in (*after, *before)])
    return [
        Component(
            name,
            tuple(_path(states[name], waves)),
            states[name],
            olds.get(name, {}),
            news.get(name, {}),
            {key: item for key, item in olds.get(name, {}).items() if key in gone - deployed},
            states[name].item is not None and name not in parents,
        )
        for name in names
    ]


def placed(identity: Identity, known: Collection[Identity]) -> Identity:
    """Return how the cluster knows an object: a tree may say a namespace for a custom kind that has none."""
    without = (*identity[:2], "", identity[3])
    return without if without in known and identity not in known else identity


def _objects(applications: Iterable[Application], known: Collection[Identity]) -> dict[str, dict[Identity, Object]]:
    found: dict[str, dict[Identity, Object]] = {}
    for application in applications:
        for item in (each for file in application.files.items() for each in application.read(*file)):
            # A hook comes and goes, and an object without a name is another one each time.
            if not item.is_hook and "name" in item.metadata:
                name = item.name if item.full_kind == "argoproj.io/Application" else application.name
                identity = placed(item.identity, known)
                found.setdefault(name, {})[identity] = replace(item, namespace=identity[2])
    return found


def _path(application: Application, waves: Mapping[tuple[str, str], int]) -> Iterator[tuple[str, int]]:
    parent = application.parent
    if parent is not None:
        yield from _path(parent, waves)
    # Those that nothing deploys are in no order.
    ordered = parent is not None and parent.item is not None
    above = parent.name if parent else ""
    yield application.name, waves.get((application.name, above), application.wave) if ordered else 0

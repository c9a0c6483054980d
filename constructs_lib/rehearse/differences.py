"""What happened to each object, beside what the plan had announced."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from constructs_lib.kubernetes.manifest import Manifest, inner
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import Change, Effect
from constructs_lib.plan.fields import changed_fields
from constructs_lib.plan.plan import Plan
from constructs_lib.rehearse.components import Component, placed
from constructs_lib.rehearse.findings import Finding, Subject
from constructs_lib.rehearse.recording import Live, Recording, application_of, as_object, is_ending, revision, uid


class Happened(StrEnum):
    """What happened to an object; the texts are those of reports."""

    NOTHING = "nothing"
    CREATED = "created"
    ADOPTED = "adopted, because it was there already"
    IN_PLACE = "updated in place"
    RESTARTED = "rolling restart"
    SOME_PODS = "some of its pods replaced"
    REPLACED = "replaced by a new object"
    KEPT = "kept in the cluster"
    DELETED = "deleted"
    ABSENT = "not there, neither before nor afterwards"


#: What an announced effect of a new or changed object looks like when it happens.
_EXPECTED: Mapping[Effect, Collection[Happened]] = {
    Effect.NONE: {Happened.NOTHING, Happened.IN_PLACE},
    Effect.CREATE: {Happened.CREATED},
    Effect.ADOPT: {Happened.CREATED, Happened.ADOPTED, Happened.RESTARTED},
    Effect.TAKE_OVER: {Happened.IN_PLACE},
    Effect.UPDATE: {Happened.IN_PLACE},
    Effect.RESTART: {Happened.RESTARTED},
    Effect.REPLACEMENT: {Happened.REPLACED},
    Effect.DATA_LOSS: {Happened.REPLACED},
}


@dataclass(frozen=True)
class Effects:
    """What happened to the objects that only one of the trees has, as ``Kind/namespace/name``.

    Attributes:
        pruned: What is no longer in the tree, and was deleted.
        left: What is no longer in the tree, and is still there.
        adopted: What is new in the tree, and was there already.
    """

    pruned: tuple[str, ...]
    left: tuple[str, ...]
    adopted: tuple[str, ...]


def compare(
    recording: Recording,
    components: Sequence[Component],
    plan: Plan,
    skipped: Collection[str],
    unfinished: Collection[str],
) -> tuple[Effects, list[Finding]]:
    """Return what happened to the objects, and where the plan had announced something else.

    ``skipped`` names components that are not compared with the plan, because it does not begin where they did, and
    ``unfinished`` those that are not complete at the end: what was announced may still come.
    """
    cases = list(_Comparison(recording, components).cases())
    changes = {placed(change.identity, recording.identities): change for change in plan.changes}
    pins = {pin.name for pin in plan.pins}

    def those(happened: Happened) -> tuple[str, ...]:
        return tuple(sorted(_name(case.identity) for case in cases if case.happened == happened and case.is_moved))

    findings = []
    for case in cases:
        change, of, name = changes.get(case.identity), case.component.name, _name(case.identity)
        is_pinned = case.identity[1] == "Application" and case.identity[3] in pins
        expected = of in skipped or (change and of in unfinished)
        if not expected and not _is_announced(case, change, is_pinned):
            said = f"the plan announced “{change.words}”" if change else "the plan announced nothing"
            findings.append(Finding(Subject.PLAN, name, f"{name} of {of}: {said}; what happened: {case.happened}."))
    return Effects(those(Happened.DELETED), those(Happened.KEPT), those(Happened.ADOPTED)), findings


@dataclass(frozen=True, eq=False)
class _Case:
    """One object, with what happened to it.

    Attributes:
        before: Its live state at the beginning.
        after: Its live state at the end.
    """

    component: Component
    identity: Identity
    before: Manifest | None
    after: Manifest | None
    happened: Happened

    @property
    def is_moved(self) -> bool:
        """Whether only one of the two trees has it."""
        return (self.identity in self.component.old) != (self.identity in self.component.new)


class _Comparison:
    """The beginning and the end of a recording."""

    def __init__(self, recording: Recording, components: Sequence[Component]) -> None:
        self._components = components
        self.start = self.end = Live(recording.before)
        for _, self.end, _ in recording.replay():
            pass
        self._deployed = {identity for component in components for identity in component.new}

    def cases(self) -> Iterator[_Case]:
        """Yield every object of the trees; one that moves from one component to another belongs to the new one."""
        for component in self._components:
            for identity in {**component.old, **component.new}:
                if identity in component.new or identity not in self._deployed:
                    before, after = self.start.objects.get(identity), self.end.objects.get(identity)
                    yield _Case(component, identity, before, after, self._happened(component, identity, before, after))

    def _happened(
        self, component: Component, identity: Identity, before: Manifest | None, after: Manifest | None
    ) -> Happened:
        wanted = component.new.get(identity)
        if before is None:
            return Happened.CREATED if after else Happened.ABSENT
        if after is None:
            return Happened.DELETED
        if uid(before) != uid(after):
            return Happened.REPLACED
        if wanted is None:
            return Happened.KEPT
        if replaced := self._replaced(before, after):
            return replaced
        if identity not in component.old and not any(identity in each.old for each in self._components):
            return Happened.ADOPTED
        closer = len(component.drift(wanted, before)) > len(component.drift(wanted, after))
        moves = application_of(before) != application_of(after)
        return Happened.IN_PLACE if closer or moves else Happened.NOTHING

    def _replaced(self, before: Manifest, after: Manifest) -> Happened | None:
        """Return what became of the pods of a workload; None if none took the place of another, as by scaling."""
        old, new = (
            {uid(pod): revision(pod) for pod in live.pods(item) if not is_ending(pod)}
            for live, item in ((self.start, before), (self.end, after))
        )
        if not old.keys() - new.keys() or not new.keys() - old.keys():
            return None
        return Happened.SOME_PODS if set(old.values()) & set(new.values()) else Happened.RESTARTED


def _is_announced(case: _Case, change: Change | None, is_pinned: bool) -> bool:
    """Tell whether the plan had announced what happened."""
    happened = case.happened
    if change is None:
        return happened in (Happened.NOTHING, Happened.ABSENT) or (is_pinned and happened == Happened.IN_PLACE)
    if change.action == "delete":
        kept = change.effect == Effect.KEPT
        return happened == Happened.KEPT if kept else happened in (Happened.DELETED, Happened.ABSENT)
    if happened == Happened.NOTHING and _is_touched(case, change):
        happened = Happened.IN_PLACE
    if change.effect == Effect.RESTART and happened == Happened.IN_PLACE:
        return all(pods.least == 0 for pods in change.pods)
    if change.effect == Effect.RESTART and happened == Happened.SOME_PODS:
        return bool(inner(change.new, "spec", "updateStrategy", "rollingUpdate", "partition"))
    return happened in _EXPECTED.get(change.effect, ())


def _is_touched(case: _Case, change: Change) -> bool:
    """Tell whether the API server has changed any field that the plan named: one that is dropped is no drift."""
    if case.before is None or case.after is None:
        return False
    fields = changed_fields(as_object(case.before), as_object(case.after))
    pairs = ((live.keys, named.keys) for live in fields for named in change.fields)
    return any(one[: len(other)] == other or other[: len(one)] == one for one, other in pairs)


def _name(identity: Identity) -> str:
    return "/".join(part for part in identity[1:] if part)

"""When each component began and was complete, and which of them began before a component below was complete."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from constructs_lib.kubernetes.manifest import Manifest, inner
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.rehearse.completeness import is_healthy, is_synced, missing, verdict
from constructs_lib.rehearse.components import Component
from constructs_lib.rehearse.findings import Finding, Subject
from constructs_lib.rehearse.recording import Live, Moment, Recording, application_of, identity_of, owner_of, uid
from constructs_lib.text import listed, plural


@dataclass(frozen=True)
class Progress:
    """How far a component came in a phase; all times are in seconds since the phase began.

    Attributes:
        component: Name of the component.
        wave: Its wave.
        is_removed: Whether it goes in this phase.
        is_held: Whether it is not expected to become complete: it is broken on purpose, or comes after what is.
        began: When the first of its objects changed, or its Application did; None if none did.
        complete: When it was complete for the first time after that; None if it never was.
        missing: What it lacks at the end.
        synced: When Argo CD called it synced with its newest spec.
        healthy: When Argo CD called it healthy as well.
        says: What Argo CD says at the end if it is not healthy.
    """

    component: str
    wave: int
    is_removed: bool = False
    is_held: bool = False
    began: float | None = None
    complete: float | None = None
    missing: tuple[str, ...] = ()
    synced: float | None = None
    healthy: float | None = None
    says: str = ""


@dataclass(eq=False)
class _Row:
    """What is known of a component so far.

    Attributes:
        start: The objects that it had at the beginning: their ids, and in how many fields they were not as in the new
            tree.
        times: What of a :class:`Progress` happened when.
        early: What each component below lacked when this one began.
    """

    component: Component
    start: Mapping[Identity, tuple[str, int]]
    times: dict[str, float] = field(default_factory=dict)
    early: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, component: Component, live: Live) -> "_Row":
        """Return what is known at the beginning."""
        new, start = component.new, {}
        for identity in {**component.old, **new}:
            if item := live.objects.get(identity):
                start[identity] = uid(item), len(component.drift(new[identity], item)) if identity in new else 0
        return cls(component, start)

    def begins(self, moment: Moment) -> bool:
        """Tell whether the component begins with a change: something is created, goes, or comes closer to the tree."""
        component, item, identity = self.component, moment.object, identity_of(moment.object)
        if identity not in component.old and identity not in component.new:
            return False
        id, drift = self.start.get(identity, ("", 0))
        if moment.verb == "DELETED" or inner(item, "metadata", "deletionTimestamp") or id != uid(item):
            return True
        wanted = component.new.get(identity)
        return wanted is not None and len(component.drift(wanted, item)) < drift


def progress(
    recording: Recording, components: Sequence[Component], planned: Collection[str], broken: Collection[str]
) -> tuple[list[Progress], list[Finding]]:
    """Return how far each component came that changed or was to change, and what is wrong with that.

    ``planned`` names those that the plan says something of, and ``broken`` those that are broken on purpose: none that
    comes later may begin.
    """
    timeline = _Timeline(recording, components)
    rows = {row.component.name: row for row in timeline.rows if row.times or row.component.name in planned}
    stops = [row.component for row in timeline.rows if row.component.name in broken]
    found = {
        name: timeline.progress(row, any(stop is row.component or stop.precedes(row.component) for stop in stops))
        for name, row in rows.items()
    }
    findings = []
    for name, row in rows.items():
        if below := [(found[other], lacks) for other, lacks in row.early.items() if other in found]:
            findings.append(_early(found[name], below))
    by_wave = sorted(found.values(), key=lambda each: (each.wave, each.began is None, each.began))
    findings += [finding for each in by_wave for finding in _findings(each, each.component in broken)]
    return by_wave, findings


def _early(row: Progress, below: Sequence[tuple[Progress, Sequence[str]]]) -> Finding:
    """Return that a component began before those below it were complete, in the words of the last of these."""
    assert row.began is not None
    last, lacks = max(below, key=lambda each: (each[0].complete is None, each[0].complete))
    late = "which it never was" if last.complete is None else f"{last.complete - row.began:.1f} s too early"
    others = f"; the same of {plural(len(below) - 1, 'other')} below it" if len(below) > 1 else ""
    began = f"{row.component} began at {row.began:.1f} s, before {last.component} was complete"
    return Finding(Subject.ORDER, row.component, f"{began}, {late}: {listed(lacks)}{others}.", row.began, last.complete)


def _findings(row: Progress, is_broken: bool) -> Iterator[Finding]:
    """Yield what is wrong with one component."""
    name, complete, healthy = row.component, row.complete, row.healthy
    if is_broken and complete is not None:
        text = f"{name} was to be broken, and became complete at {complete:.1f} s."
        yield Finding(Subject.NOT_BROKEN, name, text, complete)
    if row.is_held:
        return
    if row.missing:
        since = "never began" if row.began is None else "was never complete"
        if complete is not None:
            since = f"was complete at {complete:.1f} s, and at the end no more"
        says = f" Argo CD says: {row.says}." if row.says else ""
        yield Finding(Subject.INCOMPLETE, name, f"{name} {since}: {listed(row.missing)}.{says}", row.began)
    if healthy is not None and (complete is None or complete > healthy):
        early = "and it never was" if complete is None else f"{complete - healthy:.1f} s too early"
        text = f"Argo CD called {name} healthy at {healthy:.1f} s, before it was complete, {early}."
        yield Finding(Subject.GATE, name, text, healthy, complete)


class _Timeline:
    """Replays a recording, and notes when each component begins and is complete."""

    def __init__(self, recording: Recording, components: Sequence[Component]) -> None:
        start = Live(recording.before)
        self.live = start
        self.rows = [_Row.of(each, start) for each in components if each.is_row]
        self._by_name = {row.component.name: row for row in self.rows}
        self._by_identity: dict[Identity, list[_Row]] = defaultdict(list)
        for row in self.rows:
            for identity in {**row.component.old, **row.component.new}:
                self._by_identity[identity].append(row)
        self._owners: dict[str, tuple[str, list[_Row]]] = {}
        for item in recording.before:
            self._rows_of(item)
        for at, self.live, moments in recording.replay():
            touched: dict[_Row, None] = {}
            for moment in moments:
                for row in self._rows_of(moment.object):
                    touched[row] = None
                    if not row.times and row.begins(moment):
                        row.times["began"] = at
                        self._note_below(row)
            for row in touched:
                self._note(row, at, [moment.object for moment in moments])

    def _rows_of(self, item: Manifest) -> Sequence[_Row]:
        """Return the rows to which an object belongs: its own, or those of what made it."""
        identity, owner = identity_of(item), owner_of(item)
        rows = self._by_identity.get(identity, [])
        if not rows and (marked := self._by_name.get(application_of(item))):
            rows = [marked]
        while not rows and owner in self._owners:
            owner, rows = self._owners[owner]
        self._owners[uid(item)] = owner_of(item), rows
        return rows

    def _note_below(self, row: _Row) -> None:
        """Note which components below are not complete at the moment at which a component begins."""
        for other in self.rows:
            waits = "complete" not in other.times and other.component.precedes(row.component)
            if waits and (lacks := tuple(missing(other.component, self.live))):
                row.early[other.component.name] = lacks

    def _note(self, row: _Row, at: float, changed: Sequence[Manifest]) -> None:
        if not row.times:
            return
        if "complete" not in row.times and not any(missing(row.component, self.live)):
            row.times["complete"] = at
        application = self._application(row)
        # What Argo CD said before the component began is no word on it.
        if application is not None and any(application is each for each in changed):
            for name, holds in (("synced", is_synced), ("healthy", is_healthy)):
                if holds(application):
                    row.times.setdefault(name, at)

    def _application(self, row: _Row) -> Manifest | None:
        item = row.component.application.item
        return self.live.objects.get(item.identity) if item else None

    def progress(self, row: _Row, is_held: bool) -> Progress:
        """Return how far a component has come at the end."""
        component, application = row.component, self._application(row)
        return Progress(
            component.name,
            component.wave,
            component.is_removed,
            is_held,
            missing=tuple(missing(component, self.live)),
            says=verdict(application) if application and not is_healthy(application) else "",
            **row.times,
        )

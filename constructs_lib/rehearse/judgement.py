"""The judgement of a phase: whether the promise was kept, and everything that a person should know of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from constructs_lib.plan.plan import Plan
from constructs_lib.rehearse.complaints import Refusal, Unscheduled, events, refusals, unscheduled
from constructs_lib.rehearse.completeness import missing
from constructs_lib.rehearse.components import components
from constructs_lib.rehearse.differences import Effects, compare
from constructs_lib.rehearse.live import Live
from constructs_lib.rehearse.order import Early, Progress, progress
from constructs_lib.rehearse.recording import Recording
from constructs_lib.rehearse.served import ClosedCall, closed_calls
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.text import listed


class Subject(StrEnum):
    """What a finding is about; the texts are the headings of reports."""

    ORDER = "order"
    INCOMPLETE = "not complete"
    NOT_BROKEN = "not broken"
    REFUSED = "refused"
    PLAN = "not as planned"
    CLOSED = "closed call"
    GATE = "gate opened early"
    NODE = "no node"
    WARNING = "warning"
    EVENT = "event"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True)
class Finding:
    """Something that a person should know.

    Attributes:
        subject: What it is about.
        text: What happened, in a sentence.
        breaks: Whether the promise is not kept because of it.
    """

    subject: Subject
    text: str
    breaks: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a phase.

    Attributes:
        phase: What the phase is called.
        began: When it began.
        seconds: How long it took until the last change.
        broken: Names of components that were broken on purpose.
        progress: How far the components came that changed or were to change, by wave.
        early: Those that began before one below them was complete.
        refusals: What was refused.
        warnings: What the API server warned of.
        unscheduled: Pods that found no node.
        events: What the Events of the type Warning say.
        effects: What happened to the objects, and where the plan was wrong.
        not_compared: Components that were not compared with the plan, because they were not complete when the phase
            began, each with what it lacked.
        closed: Calls that running pods could not make.
    """

    phase: str
    began: datetime
    seconds: float
    broken: tuple[str, ...]
    progress: tuple[Progress, ...]
    early: tuple[Early, ...]
    refusals: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    unscheduled: tuple[Unscheduled, ...]
    events: tuple[str, ...]
    effects: Effects
    not_compared: tuple[tuple[str, str], ...]
    closed: tuple[ClosedCall, ...]

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return not any(finding.breaks for finding in self.findings)

    @property
    def findings(self) -> list[Finding]:
        """All that a person should know, what breaks the promise first."""
        return sorted(self._findings(), key=lambda finding: not finding.breaks)

    def _findings(self) -> Iterator[Finding]:
        broken: Iterable[tuple[Subject, Iterable[object]]] = (
            (Subject.ORDER, self.early),
            (Subject.INCOMPLETE, map(_incomplete, self.progress)),
            (Subject.NOT_BROKEN, map(_not_broken, (row for row in self.progress if row.component in self.broken))),
            (Subject.REFUSED, self.refusals),
            (Subject.PLAN, self.effects.differences),
        )
        for subject, found in broken:
            yield from (Finding(subject, str(each), breaks=True) for each in found if each)
        for call in self.closed:
            yield Finding(Subject.CLOSED, str(call), breaks=not call.is_announced)
        notes: Iterable[tuple[Subject, Iterable[object]]] = (
            (Subject.GATE, map(_gate, self.progress)),
            (Subject.NODE, self.unscheduled),
            (Subject.WARNING, self.warnings),
            (Subject.EVENT, self.events),
            (
                Subject.NOT_COMPARED,
                (f"{name} is not compared with the plan: {why}." for name, why in self.not_compared),
            ),
        )
        for subject, found in notes:
            yield from (Finding(subject, str(each), breaks=False) for each in found if each)

    def document(self) -> dict[str, Any]:
        """Return it as JSON holds it: its attributes, whether the promise was kept, and the findings."""
        findings = [asdict(finding) for finding in self.findings]
        return {**asdict(self), "began": self.began.isoformat(), "kept": self.kept, "findings": findings}


def _incomplete(found: Progress) -> str:
    """Return why a component that should be complete is not; empty if all is well."""
    if found.is_held or not found.missing:
        return ""
    since = "never began" if found.began is None else "was never complete"
    if found.complete is not None:
        since = f"was complete at {found.complete:.1f} s, and at the end no more"
    says = f" Argo CD says: {found.says}." if found.says else ""
    return f"{found.component} {since}: {listed(found.missing)}.{says}"


def _not_broken(found: Progress) -> str:
    """Return that a component that was to be broken is not; empty if it is."""
    if found.complete is None:
        return ""
    return f"{found.component} was to be broken, and became complete at {found.complete:.1f} s."


def _gate(found: Progress) -> str:
    """Return that Argo CD called a component healthy too early; empty if it did not."""
    if found.healthy is None or found.is_held or (found.complete is not None and found.complete <= found.healthy):
        return ""
    early = "and it never was" if found.complete is None else f"{found.complete - found.healthy:.1f} s too early"
    return f"Argo CD called {found.component} healthy at {found.healthy:.1f} s, before it was complete, {early}."


def judge(
    recording: Recording,
    old: Snapshot,
    new: Snapshot,
    plan: Plan,
    *,
    phase: str,
    folders: Sequence[str] = (),
    broken: frozenset[str] = frozenset(),
    warnings: Iterable[str] = (),
) -> Outcome:
    """Judge a phase.

    Args:
        recording: What happened.
        old: The tree before.
        new: The tree afterwards.
        plan: What the plan says of the change from one to the other.
        phase: What to call it.
        folders: Only Applications in these folders of the trees. Default: all.
        broken: Names of components that are broken on purpose: they must not become complete, and what comes later
            must not begin.
        warnings: What the API server warned of while the phase ran.
    """
    found = components(old, new, plan, recording.identities, folders)
    start = Live(recording.before)
    lacks = {each.name: next(missing(each, start, each.old), None) for each in found}
    above = {name for each in found if each.name in broken for name, _ in each.path[:-1]}
    planned = {*plan.components, *(pin.name for pin in plan.pins)}
    rows, early = progress(recording, found, planned, broken)
    unfinished = {row.component for row in rows if row.missing}
    return Outcome(
        phase,
        recording.began,
        recording.seconds,
        tuple(sorted(broken)),
        tuple(rows),
        tuple(early),
        tuple(refusals(recording, broken, above)),
        tuple(dict.fromkeys(warnings)),
        tuple(unscheduled(recording)),
        tuple(events(recording)),
        compare(recording, found, plan, {name for name, lack in lacks.items() if lack}, unfinished),
        tuple((name, lack) for name, lack in lacks.items() if lack),
        tuple(closed_calls(recording, plan)),
    )

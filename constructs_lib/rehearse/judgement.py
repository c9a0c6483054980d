"""The judgement of a phase: whether the promise was kept, and everything that a person should know of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from constructs_lib.plan.plan import Plan
from constructs_lib.rehearse.complaints import events, refusals, unscheduled
from constructs_lib.rehearse.completeness import missing
from constructs_lib.rehearse.components import components
from constructs_lib.rehearse.differences import Effects, compare
from constructs_lib.rehearse.findings import Finding, Subject
from constructs_lib.rehearse.order import Progress, progress
from constructs_lib.rehearse.recording import Live, Recording
from constructs_lib.rehearse.served import closed_calls
from constructs_lib.repository.snapshot import Snapshot


@dataclass(frozen=True)
class Outcome:
    """What became of a phase.

    Attributes:
        phase: What the phase is called.
        began: When it began.
        seconds: How long it took until the last change.
        progress: How far the components came that changed or were to change, by wave.
        effects: What happened to the objects that only one of the trees has.
        findings: All that a person should know, in the order of their subjects: first what breaks the promise.
    """

    phase: str
    began: datetime
    seconds: float
    progress: tuple[Progress, ...]
    effects: Effects
    findings: tuple[Finding, ...]

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return not any(finding.breaks for finding in self.findings)


def judge(
    recording: Recording,
    old: Snapshot,
    new: Snapshot,
    plan: Plan,
    *,
    phase: str,
    folders: Sequence[str] = (),
    broken: Collection[str] = (),
    warnings: Iterable[str] = (),
) -> Outcome:
    """Judge a phase by what happened in it, and what the plan says of the change from the old tree to the new one.

    Of the trees, only Applications in ``folders`` count. Default: all. Components that are ``broken`` on purpose must
    not become complete, and what comes later must not begin. The API server gave its ``warnings`` while the phase ran.
    """
    found = components(old, new, plan, recording.identities, folders)
    start = Live(recording.before)
    lacks = {each.name: next(missing(each, start, each.old), None) for each in found}
    above = {name for each in found if each.name in broken for name, _ in each.path[:-1]}
    planned = {*plan.components, *(pin.name for pin in plan.pins)}
    rows, findings = progress(recording, found, planned, broken)
    unfinished = {row.component for row in rows if row.missing}
    effects, differences = compare(recording, found, plan, {name for name, lack in lacks.items() if lack}, unfinished)
    findings += [
        *differences,
        *refusals(recording, frozenset(broken), above),
        # What an earlier phase left undone is done now, as the plan of that one announced.
        *closed_calls(recording, plan, [item for each in found if lacks[each.name] for item in each.new.values()]),
        *unscheduled(recording),
        *events(recording),
        *(Finding(Subject.WARNING, "the API server", warning) for warning in dict.fromkeys(warnings)),
        *(
            Finding(Subject.NOT_COMPARED, name, f"{name} is not compared with the plan: {lack}.")
            for name, lack in lacks.items()
            if lack
        ),
    ]
    order = [*Subject]
    findings.sort(key=lambda finding: order.index(finding.subject))
    return Outcome(phase, recording.began, recording.seconds, tuple(rows), effects, tuple(findings))

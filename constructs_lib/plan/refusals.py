"""What the API server refuses of a plan, told by whoever knows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import REASONS, Change, Effect, reason
from constructs_lib.plan.plan import Plan


@dataclass(frozen=True)
class Refusal:
    """What is wrong with an object as it is from now on.

    Attributes:
        text: What is wrong, and what comes of it.
        fix: What would be right.
        whole: Whether the object stays as it is; otherwise, the wrong part of it may only be dropped.
    """

    text: str
    fix: str
    whole: bool


def with_refusals(found: Plan, refusals: Mapping[Identity, Sequence[Refusal]]) -> Plan:
    """Return a plan that tells of the objects that are refused, and that nothing happens to these."""
    steps = [
        replace(step, changes=[_told(change, refusals.get(change.identity, ())) for change in step.changes])
        for step in found.steps
    ]
    return replace(found, steps=steps) if refusals else found


def _told(change: Change, refusals: Sequence[Refusal]) -> Change:
    if not refusals or change.action == "delete":
        return change
    told = [reason("refused-by-server", problem=each.text) for each in refusals]
    is_whole = any(each.whole for each in refusals)
    if is_whole:
        told.append(reason("sync-stops"))
    return replace(
        change,
        effect=Effect.NONE if is_whole else change.effect,
        pods=() if is_whole else change.pods,
        reasons=(*told, *change.reasons),
        fix=refusals[0].fix or change.fix or REASONS["sync-stops"].get("fix", ""),
        dangerous=True,
    )

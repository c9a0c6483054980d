"""Texts that the reports of all formats share."""

from collections.abc import Sequence
from typing import Literal

from constructs_lib.rehearse.findings import Subject
from constructs_lib.rehearse.judgement import Outcome
from constructs_lib.rehearse.order import Progress
from constructs_lib.text import plural

#: How good it is what a component did; the reports have a colour for each.
Tone = Literal["good", "removed", "held", "bad"]


def verdict(outcome: Outcome) -> str:
    """Return in one line what became of a phase."""
    broken = [finding for finding in outcome.findings if finding.breaks]
    kept = "the promise was kept" if outcome.kept else f"the promise was not kept ({plural(len(broken), 'finding')})"
    return f"{outcome.phase}: {kept}, {outcome.seconds:.0f} s"


def state(outcome: Outcome, row: Progress) -> tuple[str, Tone]:
    """Return how far a component came in a few words, and how good that is."""
    if any(finding.subject == Subject.ORDER and finding.of == row.component for finding in outcome.findings):
        return "began too early", "bad"
    if row.is_held:
        return "waited, as it should" if row.began is None else "broken on purpose", "held"
    if row.missing:
        never = "never began" if row.began is None else "never complete"
        return never if row.complete is None else "no longer complete", "bad"
    if row.began is None:
        return "nothing to do", "good"
    return ("removed", "removed") if row.is_removed else ("complete", "good")


def times(row: Progress) -> Sequence[str]:
    """Return when a component began, was complete, and was healthy to Argo CD; a dash where it was not."""
    return ["–" if at is None else f"{at:.1f}" for at in (row.began, row.complete, row.healthy)]


def objects(outcome: Outcome) -> Sequence[tuple[str, Sequence[str]]]:
    """Return the lists of objects that only one of the trees has, with their titles; those that are not empty."""
    effects = outcome.effects
    found = (("Pruned", effects.pruned), ("Kept in the cluster", effects.left), ("Adopted", effects.adopted))
    return [(title, names) for title, names in found if names]

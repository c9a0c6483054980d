"""Texts that the reports of all formats share."""

from collections.abc import Sequence

from constructs_lib.rehearse.judgement import Outcome
from constructs_lib.rehearse.order import Progress
from constructs_lib.text import plural


def verdict(outcome: Outcome) -> str:
    """Return in one line what became of a phase."""
    broken = [finding for finding in outcome.findings if finding.breaks]
    kept = "the promise was kept" if outcome.kept else f"the promise was not kept ({plural(len(broken), 'finding')})"
    return f"{outcome.phase}: {kept}, {outcome.seconds:.0f} s"


def state(row: Progress) -> str:
    """Return how far a component came, in a few words."""
    if row.began is None:
        return "waited, as it should" if row.is_held else "never began"
    if row.complete is None:
        return "broken on purpose" if row.is_held else "never complete"
    return "removed" if row.is_removed else "complete"


def times(row: Progress) -> Sequence[str]:
    """Return when a component began, was complete, and was healthy to Argo CD; a dash where it was not."""
    return ["–" if at is None else f"{at:.1f}" for at in (row.began, row.complete, row.healthy)]


def objects(outcome: Outcome) -> Sequence[tuple[str, Sequence[str]]]:
    """Return the lists of objects that only one of the trees has, with their titles; those that are not empty."""
    effects = outcome.effects
    found = (("Pruned", effects.pruned), ("Kept in the cluster", effects.left), ("Adopted", effects.adopted))
    return [(title, names) for title, names in found if names]

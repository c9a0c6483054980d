"""Renamed Applications: Argo CD deletes the old one and creates a new one."""

from collections import Counter
from collections.abc import Mapping, Sequence

from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import Effect
from constructs_lib.plan.pair import Pair, Placed
from constructs_lib.plan.verdict import Verdict


def find_heirs(pairs: Sequence[Pair], removals: Sequence[Placed], additions: Mapping[Identity, Placed]) -> None:
    """Find the Applications that were renamed.

    The heir of an Application is a new one that deploys the same folder, or at least half of the objects.

    Args:
        pairs: All Applications; their heirs and forebears are set.
        removals: Objects that Applications no longer deploy.
        additions: Objects that they did not have before.
    """
    added = [pair for pair in pairs if pair.old is None and pair.now.item]
    by_path = {source.path: pair for pair in added for source in pair.now.sources}
    shared: dict[Pair, Counter[Pair]] = {}
    owned = Counter(removal.pair for removal in removals)
    for removal in removals:
        addition = additions.get(removal.item.identity)
        if addition and addition.pair.old is None and addition.pair.now.item:
            # A Namespace belongs to one component only, so its new owner is the heir in any case.
            weight = 1_000_000 if removal.item.kind == "Namespace" else 1
            shared.setdefault(removal.pair, Counter())[addition.pair] += weight
    for pair in pairs:
        if not pair.is_gone:
            continue
        pair.heir = next((by_path[source.path] for source in pair.now.sources if source.path in by_path), None)
        if pair.heir is None and pair in shared:
            [(likely, count)] = shared[pair].most_common(1)
            pair.heir = likely if 2 * count >= owned[pair] else None
        if pair.heir:
            pair.heir.forebears.append(pair)


def explain_removal(pair: Pair, verdict: Verdict) -> None:
    """Add to the verdict on a removed Application what becomes of the objects that it deployed.

    Args:
        pair: The Application.
        verdict: What happens to the Application itself.
    """
    if not pair.is_gone or verdict.effect == Effect.KEPT:
        return
    heir, cascades = pair.heir, pair.now.cascades
    if cascades and heir is None and pair.effects - {Effect.KEPT}:
        verdict.because("deleted-with-application")
    if cascades and pair.now.charts:
        verdict.because("chart-deleted", charts=", ".join(chart.name for chart in pair.now.charts))
    if heir and cascades:
        effect = Effect.DATA_LOSS if Effect.DATA_LOSS in pair.effects else Effect.REPLACEMENT
        verdict.because("renamed", effect, new=heir.now.name)
    elif heir:
        verdict.because("renamed-without-finalizer", new=heir.now.name)
    elif not cascades:
        verdict.because("kept-without-application")


def explain_creation(pair: Pair, verdict: Verdict) -> None:
    """Add to the verdict on a new Application which one it replaces."""
    for forebear in pair.forebears:
        verdict.because("takes-the-place", old=forebear.now.name)
        if Effect.KEPT in forebear.effects:
            verdict.because("begins-empty")

"""An Application in the tree before and in the tree afterwards, and whether it was only renamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import Change, Effect, Surroundings, Verdict
from constructs_lib.repository.applications import Application

#: Namespace and name of an Application, or the name of a group.
Key = tuple[str, str]


def key_of(application: Application) -> Key:
    """Return the key of an Application or group, which is the same in both trees."""
    item = application.item
    return (item.namespace, item.name) if item else ("", application.name)


@dataclass(eq=False)
class Pair:
    """An Application or group before and afterwards; at least one of the two is there.

    Attributes:
        old: Before; None if it is new.
        new: Afterwards; None if it is gone.
        changes: The changes of its objects, each with the object in the state by which Argo CD orders it.
        effects: What happens to the objects that it no longer deploys.
        heir: The new Application that it was renamed to.
        forebears: The Applications that were renamed to it.
    """

    old: Application | None
    new: Application | None
    changes: list[tuple[Object, Change]] = field(default_factory=list)
    effects: set[Effect] = field(default_factory=set)
    heir: Pair | None = None
    forebears: list[Pair] = field(default_factory=list)

    @property
    def now(self) -> Application:
        """The new state, or the old one if it is gone."""
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def is_gone(self) -> bool:
        """Whether it is an Application that is gone."""
        return self.new is None and self.now.item is not None

    @cached_property
    def around_before(self) -> Surroundings:
        """What else the old state deploys, or the new one if there is no old one."""
        return Surroundings(self.old or self.now)

    @cached_property
    def around(self) -> Surroundings:
        """What else the new state deploys, or the old one if it is gone."""
        return Surroundings(self.now) if self.new else self.around_before


@dataclass(frozen=True, eq=False)
class Placed:
    """An object that only one state of an Application has."""

    pair: Pair
    item: Object


def find_heirs(pairs: Sequence[Pair], removals: Sequence[Placed], additions: Mapping[Identity, Placed]) -> None:
    """Set heirs and forebears of renamed Applications: Argo CD deletes the old one and creates the new one.

    The heir of an Application is a new one that deploys the same folder, or at least half of the objects.
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


def explain_removal(pair: Pair, verdict: Verdict, *, last: bool) -> None:
    """Add to the verdict on a removed Application what becomes of the objects that it deployed.

    ``last`` tells whether it is deleted once all else is healthy.
    """
    if not pair.is_gone or verdict.effect == Effect.KEPT:
        return
    heir, cascades = pair.heir, pair.now.cascades
    if last:
        verdict.because("deleted-last")
    if cascades and heir is None and pair.effects - {Effect.KEPT}:
        verdict.because("deleted-with-application")
    if cascades and pair.now.unseen:
        verdict.because("chart-deleted", charts=", ".join(chart.name for chart in pair.now.unseen))
    if heir and cascades and last and not heir.now.shares_nothing:
        verdict.because("renamed-and-taken-over", new=heir.now.name)
    elif heir and cascades:
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

"""When Argo CD applies an object: the waves of all Applications above it, and its own."""

from __future__ import annotations

from collections.abc import Sequence

from constructs_lib.argocd.objects import Identity, Object, mapping
from constructs_lib.argocd.sync_order import Task, sync_order
from constructs_lib.check.model import ClusterModel
from constructs_lib.repository.applications import BY_HAND, Delivery

_PHASES = ("PreSync", "Sync", "PostSync")
#: Phase and wave: whatever has the same ones in a sync is applied at once, and waited for before what comes next.
Step = tuple[int, int]


class Timeline:
    """The order of a first installation.

    A sync applies step after step, and goes on when everything of a step is healthy
    (https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/). An Application is such an object itself, so what
    it deploys comes after everything in earlier steps of the sync that deploys it.
    """

    def __init__(self, model: ClusterModel) -> None:
        """Simulate the syncs of all Applications."""
        self._delivery = {id(item): delivery for delivery, item in model.deployed}
        self._steps: dict[tuple[int, Identity], Step] = {}
        applied: dict[int, list[Object]] = {}
        for delivery, item in model.deployed:
            if set(item.phases) & set(_PHASES) and _is_sound(item):
                applied.setdefault(id(delivery), []).append(item)
        for owner, items in applied.items():
            for wave, task in sync_order(map(Task, items)):
                self._steps[owner, task.item.identity] = _PHASES.index(task.item.phases[0]), wave

    def delivery(self, item: Object) -> Delivery:
        """Return what deploys an object."""
        return self._delivery[id(item)]

    def step(self, item: Object) -> Step | None:
        """Return phase and wave of an object in its own sync; None if no sync applies it."""
        return self._steps.get((id(self.delivery(item)), item.identity))

    def compare(self, one: Object, other: Object) -> int:
        """Compare when two objects are applied.

        Returns:
            -1 if the first is applied, and waited for, before the second; 1 if the second is; 0 if neither waits for
            the other.
        """
        return _compare(self._places(self.delivery(one), one), self._places(self.delivery(other), other))

    def compare_delivery(self, delivery: Delivery, other: Object) -> int:
        """Compare when everything that an Application deploys is there, and when an object is applied."""
        return _compare(self._above(delivery), self._places(self.delivery(other), other))

    def _places(self, delivery: Delivery, item: Object) -> list[tuple[Delivery, Identity, Step | None]]:
        return [*self._above(delivery), (delivery, item.identity, self._steps.get((id(delivery), item.identity)))]

    def _above(self, delivery: Delivery) -> list[tuple[Delivery, Identity, Step | None]]:
        above: list[tuple[Delivery, Identity, Step | None]] = []
        while delivery.application is not None and delivery.parent is not None:
            identity = delivery.application.identity
            delivery = delivery.parent
            above.insert(0, (delivery, identity, self._steps.get((id(delivery), identity))))
        return above


def _is_sound(item: Object) -> bool:
    """Tell whether an object can be put in order: a definition is looked up by what it defines."""
    if item.kind != "CustomResourceDefinition":
        return True
    return isinstance(item.spec.get("group"), str) and isinstance(mapping(item.spec.get("names")).get("kind"), str)


def _compare(
    one: Sequence[tuple[Delivery, Identity, Step | None]], other: Sequence[tuple[Delivery, Identity, Step | None]]
) -> int:
    for (delivery, identity, step), (beside, counterpart, against) in zip(one, other, strict=False):
        if delivery is not beside:
            return 0
        if delivery.name != BY_HAND and step is not None and against is not None and step != against:
            return -1 if step < against else 1
        if identity != counterpart:
            return 0
    return 0

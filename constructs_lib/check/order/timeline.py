"""When Argo CD applies an object: the waves of all Applications above it, and its own."""

from __future__ import annotations

from collections.abc import Sequence

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.sync_order import Task, sync_order
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.manifest import mapping
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.repository.applications import BY_HAND, Application

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
        self._application = {id(item): application for application, item in model.deployed}
        self._steps: dict[tuple[int, Identity], Step] = {}
        applied: dict[int, list[Object]] = {}
        for application, item in model.deployed:
            if set(item.phases) & set(_PHASES) and _is_sound(item):
                applied.setdefault(id(application), []).append(item)
        for owner, items in applied.items():
            for wave, task in sync_order(map(Task, items)):
                self._steps[owner, task.item.identity] = _PHASES.index(task.item.phases[0]), wave

    def application(self, item: Object) -> Application:
        """Return what deploys an object."""
        return self._application[id(item)]

    def step(self, item: Object) -> Step | None:
        """Return phase and wave of an object in its own sync; None if no sync applies it."""
        return self._steps.get((id(self.application(item)), item.identity))

    def compare(self, one: Object, other: Object) -> int:
        """Compare when two objects are applied.

        Returns:
            -1 if the first is applied, and waited for, before the second; 1 if the second is; 0 if neither waits for
            the other.
        """
        return _compare(self._places(self.application(one), one), self._places(self.application(other), other))

    def compare_application(self, application: Application, other: Object) -> int:
        """Compare when everything that an Application deploys is there, and when an object is applied."""
        return _compare(self._above(application), self._places(self.application(other), other))

    def _places(self, application: Application, item: Object) -> list[tuple[Application, Identity, Step | None]]:
        return [
            *self._above(application),
            (application, item.identity, self._steps.get((id(application), item.identity))),
        ]

    def _above(self, application: Application) -> list[tuple[Application, Identity, Step | None]]:
        above: list[tuple[Application, Identity, Step | None]] = []
        while application.item is not None and application.parent is not None:
            identity = application.item.identity
            application = application.parent
            above.insert(0, (application, identity, self._steps.get((id(application), identity))))
        return above


def _is_sound(item: Object) -> bool:
    """Tell whether an object can be put in order: a definition is looked up by what it defines."""
    if item.kind != "CustomResourceDefinition":
        return True
    return isinstance(item.spec.get("group"), str) and isinstance(mapping(item.spec.get("names")).get("kind"), str)


def _compare(
    one: Sequence[tuple[Application, Identity, Step | None]], other: Sequence[tuple[Application, Identity, Step | None]]
) -> int:
    for (application, identity, step), (beside, counterpart, against) in zip(one, other, strict=False):
        if application is not beside:
            return 0
        if application.name != BY_HAND and step is not None and against is not None and step != against:
            return -1 if step < against else 1
        if identity != counterpart:
            return 0
    return 0

"""When Argo CD applies an object: by the waves of the Applications above it, and its own."""

from collections import defaultdict
from collections.abc import Sequence

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.sync_order import Task, sync_order
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.manifest import inner
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.repository.applications import BY_HAND, Application

_PHASES = ("PreSync", "Sync", "PostSync")
#: Phase and wave. A sync applies the objects of a step together, and waits until they are healthy.
Step = tuple[int, int]
#: An object in the sync that applies it: the Application that syncs, the object, and its step; None if it has none.
_Place = tuple[Application, Identity, Step | None]


class Timeline:
    """The order of a first installation.

    A sync applies step after step, and waits after each until its objects are healthy
    (https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/). An Application is an object of the sync that
    deploys it: what it deploys comes after the earlier steps of that sync.
    """

    def __init__(self, model: ClusterModel) -> None:
        """Simulate the syncs of all Applications."""
        self._application = {id(item): application for application, item in model.deployed}
        self._steps: dict[tuple[int, Identity], Step] = {}
        self._known_above: dict[int, list[_Place]] = {}
        applied: dict[int, list[Object]] = defaultdict(list)
        for application, item in model.deployed:
            if not set(item.phases).isdisjoint(_PHASES) and _is_sound(item):
                applied[id(application)].append(item)
        for owner, items in applied.items():
            for wave, task in sync_order(map(Task, items)):
                self._steps[owner, task.item.identity] = _PHASES.index(task.item.phases[0]), wave

    def application(self, item: Object) -> Application:
        """Return the Application that deploys an object, or the group of objects that none deploys."""
        return self._application[id(item)]

    def step(self, item: Object) -> Step | None:
        """Return the step of an object in its own sync; None if no sync applies it."""
        return self._steps.get((id(self.application(item)), item.identity))

    def compare(self, one: Object, other: Object) -> int:
        """Return -1 if the second object waits for the first, 1 if the first waits for the second, and 0 if neither."""
        places = [
            (*self._above(self.application(item)), self._place(self.application(item), item)) for item in (one, other)
        ]
        return _compare(*places)

    def compare_application(self, application: Application, other: Object) -> int:
        """Compare when an Application has deployed everything, and when an object is applied."""
        place = self._place(self.application(other), other)
        return _compare(self._above(application), (*self._above(self.application(other)), place))

    def where(self, later: Object, earlier: Object) -> str:
        """Return in words where an object comes that comes after another."""
        application, own = self.application(later), self.application(earlier)
        if application is own:
            return f"later, in wave {later.wave}, and not before wave {earlier.wave}"
        wave = f"in wave {application.wave}, and not before wave {own.wave}"
        return f"later, with the Application {application.name} {wave}"

    def _place(self, application: Application, item: Object) -> _Place:
        return application, item.identity, self._steps.get((id(application), item.identity))

    def _above(self, application: Application) -> list[_Place]:
        """Return the places of an Application and of those above it, in the syncs that deploy them, from the top."""
        key = id(application)
        if key not in self._known_above:
            above: list[_Place] = []
            while application.item is not None and application.parent is not None:
                above.append(self._place(application.parent, application.item))
                application = application.parent
            self._known_above[key] = above[::-1]
        return self._known_above[key]


def _is_sound(item: Object) -> bool:
    """Tell whether an object can be put in order: a CustomResourceDefinition needs a group and a kind for that."""
    if item.kind != "CustomResourceDefinition":
        return True
    return isinstance(item.spec.get("group"), str) and isinstance(inner(item.spec, "names", "kind"), str)


def _compare(one: Sequence[_Place], other: Sequence[_Place]) -> int:
    for (application, identity, step), (beside, counterpart, against) in zip(one, other, strict=False):
        if application is not beside:
            return 0
        if application.name != BY_HAND and step is not None and against is not None and step != against:
            return -1 if step < against else 1
        if identity != counterpart:
            return 0
    return 0

"""The plan: what Argo CD does when one tree of manifests takes the place of another, in its order."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.plan.change import Change, Effect, Pin, Step
from constructs_lib.plan.comparison import Comparison
from constructs_lib.plan.ordering import ordered
from constructs_lib.repository.applications import find_applications
from constructs_lib.repository.snapshot import Snapshot


@dataclass(frozen=True)
class Plan:
    """What Argo CD does, in its order.

    Attributes:
        old: Name of the tree before.
        new: Name of the tree afterwards.
        steps: What happens, component by component.
        pins: Applications that read another revision than before.
        warnings: What the plan does not know.
    """

    old: str
    new: str
    steps: Sequence[Step]
    pins: Sequence[Pin] = ()
    warnings: Sequence[str] = ()

    @property
    def changes(self) -> list[Change]:
        """All changes in the order of Argo CD."""
        return [change for step in self.steps for change in step.changes]

    @property
    def dangerous(self) -> list[Change]:
        """The changes that a person must allow by name."""
        return [change for change in self.changes if change.dangerous]

    @property
    def summary(self) -> Mapping[Effect, int]:
        """The number of changes with each effect, the least severe first."""
        counts = Counter(change.effect for change in self.changes)
        return {effect: counts[effect] for effect in Effect if counts[effect]}

    @property
    def components(self) -> list[str]:
        """The components that change, in the order of Argo CD."""
        return list(dict.fromkeys(step.component for step in self.steps))

    @property
    def waves(self) -> int:
        """The number of waves in which something happens."""
        return len({(step.parent, step.wave) for step in self.steps})


def plan(old: Snapshot, new: Snapshot, *, folder: str | None = None) -> Plan:
    """Return what Argo CD does when the manifests of all Applications, or of those in a folder, change.

    Nothing is raised because of what the manifests hold: what cannot be read is in :attr:`Plan.warnings`.
    """
    folders, cache = [folder] if folder else [], Cache()
    before, after = (find_applications(snapshot, folders, cache) for snapshot in (old, new))
    comparison = Comparison(before.all, after.all, cache)
    warnings = [*{**before.warnings, **after.warnings}.values(), *dict.fromkeys(comparison.warnings)]
    return Plan(old.name, new.name, ordered(comparison.pairs), comparison.pins, warnings)


def allowed(change: Change, names: Iterable[str]) -> bool:
    """Tell whether an object's name allows its change: ``Kind/name``, or ``Kind/namespace/name`` of several."""
    return any(name in (change.name, change.full_name) for name in names)


def unknown_names(found: Plan, names: Iterable[str]) -> list[str]:
    """Return those of the given names that name no dangerous change."""
    return [name for name in names if not any(allowed(change, [name]) for change in found.dangerous)]


def allow_names(found: Plan) -> list[str]:
    """Return the shortest names that allow all dangerous changes."""
    short = Counter(change.name for change in found.dangerous)
    names = (change.name if short[change.name] == 1 else change.full_name for change in found.dangerous)
    return list(dict.fromkeys(names))

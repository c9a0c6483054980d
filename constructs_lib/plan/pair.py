"""An Application in the tree before and in the tree afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from constructs_lib.argocd.objects import Object
from constructs_lib.plan.change import Change, Effect
from constructs_lib.plan.verdict import Surroundings
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
    def before(self) -> Application:
        """The old state, or the new one if there is no old one."""
        return self.old or self.now

    @property
    def is_gone(self) -> bool:
        """Whether it is an Application that is gone."""
        return self.new is None and self.now.item is not None

    @cached_property
    def around_before(self) -> Surroundings:
        """What else the old state deploys."""
        return Surroundings(self.before)

    @cached_property
    def around(self) -> Surroundings:
        """What else the new state deploys, or the old one if it is gone."""
        return Surroundings(self.now) if self.new else self.around_before


@dataclass(frozen=True, eq=False)
class Placed:
    """An object that only one state of an Application has."""

    pair: Pair
    item: Object

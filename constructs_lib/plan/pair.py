"""An Application before and afterwards."""

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
    """Return what an Application or group is known by in both trees."""
    item = application.item
    return (item.namespace, item.name) if item else ("", application.name)


@dataclass(eq=False)
class Pair:
    """An Application or group before and afterwards; one of the two is there.

    Attributes:
        old: Before; None if it is new.
        new: Afterwards; None if it is gone.
        changes: What happens to its objects, each with the object in the state that counts for the order.
        effects: What happens to the objects that it has no longer.
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
        """It as it is, or as it was if it is gone."""
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def before(self) -> Application:
        """It as it was, or as it is if it is new."""
        return self.old or self.now

    @property
    def is_gone(self) -> bool:
        """Whether it is an Application that is gone."""
        return self.new is None and self.now.item is not None

    @cached_property
    def around_before(self) -> Surroundings:
        """What it deployed before."""
        return Surroundings(self.before)

    @cached_property
    def around(self) -> Surroundings:
        """What it deploys now, or deployed before if it is gone."""
        return Surroundings(self.now) if self.new else self.around_before


@dataclass(frozen=True, eq=False)
class Placed:
    """An object that only one of the states of an Application has."""

    pair: Pair
    item: Object

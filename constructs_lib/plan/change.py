"""The parts of a plan: the change of one object, and the changes that happen in one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.fields import FieldChange
from constructs_lib.text import plural

Action = Literal["create", "change", "delete"]


class Effect(IntEnum):
    """What happens in the cluster; the greater, the worse."""

    words: str

    NONE = 0, "no effect in the cluster"
    CREATE = 1, "create"
    ADOPT = 2, "create or adopt"
    UPDATE = 3, "update in place"
    RESTART = 4, "rolling restart"
    KEPT = 5, "kept in the cluster"
    DELETE = 6, "delete"
    REPLACEMENT = 7, "replacement"
    DATA_LOSS = 8, "data loss"

    def __new__(cls, rank: int, words: str) -> Effect:
        """Make an effect that reports call by these words."""
        effect = int.__new__(cls, rank)
        effect._value_, effect.words = rank, words
        return effect


@dataclass(frozen=True)
class Pods:
    """Pods of a workload (``Kind/name``) that restart or are deleted.

    There are from ``least`` to ``most`` of them, or one on every node; then ``most`` is None.
    """

    workload: str
    least: int
    most: int | None
    per_node: bool = False

    def __str__(self) -> str:
        """Return their number, for instance ``2–4 pods``."""
        if self.per_node:
            return "one pod a node"
        if self.least == self.most:
            return plural(self.least, "pod")
        return f"{self.least}–{self.most} pods"


@dataclass(frozen=True)
class Reason:
    """A sentence that tells why a change has its effect, or what else a person should know.

    Its source is where the rule is from: a page, or a function of the API server.
    """

    text: str
    source: str = ""

    def __str__(self) -> str:
        """Return the sentence with its source."""
        return f"{self.text} ({self.source})" if self.source else self.text


@dataclass(frozen=True)
class Change:
    """One change of one object.

    Attributes:
        component: Name of the Application or group that deploys the object; for an Application, its own name.
        action: What changes in the repository.
        effect: What happens in the cluster.
        identity: The object's API group, kind, namespace and name.
        file: Its file; the old one if it is removed.
        fields: What changes in it.
        reasons: Why the effect is what it is.
        pods: The pods that restart or are deleted.
        fix: How to do it safely; empty if there is nothing to add.
        dangerous: Whether a person must allow it by name.
        replaced: Whether a new object takes its place.
        moves: Whether a component moves with it, by its Application, to another namespace.
        old: The object as it was; None if it is new.
        new: The object as it will be; None if it is removed.
    """

    component: str
    action: Action
    effect: Effect
    identity: Identity
    file: str
    fields: Sequence[FieldChange] = ()
    reasons: Sequence[Reason] = ()
    pods: Sequence[Pods] = ()
    fix: str = ""
    dangerous: bool = False
    replaced: bool = False
    moves: bool = False
    old: Manifest | None = field(default=None, repr=False, compare=False)
    new: Manifest | None = field(default=None, repr=False, compare=False)

    @property
    def words(self) -> str:
        """What happens to it, in words."""
        lost = self.replaced and self.effect == Effect.DATA_LOSS
        return f"{Effect.REPLACEMENT.words} with {self.effect.words}" if lost else self.effect.words

    @property
    def kind(self) -> str:
        """The object's kind."""
        return self.identity[1]

    @property
    def name(self) -> str:
        """The object as ``Kind/name``."""
        return f"{self.identity[1]}/{self.identity[3]}"

    @property
    def full_name(self) -> str:
        """The object as ``Kind/namespace/name``, or ``Kind/name`` if its kind has no namespace."""
        return "/".join(part for part in self.identity[1:] if part)


def named(item: Object) -> str:
    """Return an object as ``Kind/name``."""
    return f"{item.kind}/{item.name}"


@dataclass(frozen=True)
class Pin:
    """An Application that reads a folder from another revision than before."""

    name: str
    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Step:
    """What happens at once to one component, or to objects that an Application deploys beside other Applications.

    Attributes:
        component: Name of the Application or group.
        wave: The wave in which it happens.
        parent: Name of the Application in whose sync it comes, or of the group that none deploys; it is the component
            itself for objects that an Application deploys beside other Applications. Empty for the outermost.
        changes: What happens, in the order of Argo CD.
    """

    component: str
    wave: int
    parent: str
    changes: Sequence[Change]

"""What happens to one object: the verdict, while it is found out, and the change, as a step of a plan has it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import Manifest, inner, mappings, texts
from constructs_lib.kubernetes.manifest_reader import may_hold
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.platform import NAME_LABEL
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import SCALING, Scales, pods_of
from constructs_lib.plan.fields import RULES, FieldChange
from constructs_lib.repository.applications import Application
from constructs_lib.text import plural

Action = Literal["create", "change", "delete"]
#: Kinds whose pods are replaced one after the other when their template changes.
ROLLING = frozenset({"apps/DaemonSet", "apps/Deployment", "apps/StatefulSet", "argoproj.io/Rollout"})
#: Kinds that leave their pods alone when their template changes.
LASTING = frozenset({"ReplicationController", "apps/ReplicaSet"})
#: Why something happens, how to do it safely, and whether a person must agree, by names.
REASONS = {
    name: entry
    for file in ("reasons.yaml", "rights.yaml")
    for name, entry in yaml.load(Path(__file__).with_name(file).read_bytes(), Loader=yaml.CSafeLoader).items()
}


class Effect(IntEnum):
    """What happens in the cluster; the greater, the worse."""

    NONE, CREATE, ADOPT, TAKE_OVER, UPDATE, RESTART, KEPT, DELETE, REPLACEMENT, DATA_LOSS = range(10)

    @property
    def words(self) -> str:
        """What reports call it."""
        return str(RULES["effects"][self.name][0])


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
        return plural(self.least, "pod") if self.least == self.most else f"{self.least}–{self.most} pods"


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
        dangerous: Whether something is lost or stops, so that a person must allow it by name.
        widens: What it lets somebody do who could not do it before, so that a person must allow it by name.
        replaced: Whether a new object takes its place.
        moves: Whether a component moves with it, by its Application, to another namespace.
        with_component: Whether it goes with its whole component, and no data or guard with it, so that the name of the
            component allows it.
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
    widens: Sequence[Reason] = ()
    replaced: bool = False
    moves: bool = False
    with_component: bool = False
    old: Manifest | None = field(default=None, repr=False, compare=False)
    new: Manifest | None = field(default=None, repr=False, compare=False)

    @property
    def words(self) -> str:
        """What happens to it, in words."""
        lost = self.replaced and self.effect == Effect.DATA_LOSS
        return f"{Effect.REPLACEMENT.words} with {self.effect.words}" if lost else self.effect.words

    @property
    def needs_consent(self) -> bool:
        """Whether a person must allow it by name."""
        return self.dangerous or bool(self.widens)

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


@dataclass
class Verdict:
    """What happens to an object, while it is found out; a ``Change`` has the same attributes."""

    effect: Effect
    reasons: list[Reason] = field(default_factory=list)
    pods: list[Pods] = field(default_factory=list)
    fix: str = ""
    dangerous: bool = False
    fields: Sequence[FieldChange] = ()
    replaced: bool = False

    def because(self, name: str, effect: Effect | None = None, /, **values: object) -> None:
        """Add a reason from ``reasons.yaml`` with its fix, its danger and, unless one is given, its least effect.

        The values are for the ``{…}`` in its texts.
        """
        entry = REASONS[name]
        if effect is None and "effect" in entry:
            effect = Effect[entry["effect"]]
        self.add(reason(name, **values), effect)
        self.fix = entry.get("fix", "").format(**values) or self.fix
        self.dangerous |= entry.get("dangerous", False)

    def add(self, reason: Reason, effect: Effect | None = None) -> None:
        """Add a reason; its effect counts if it is worse than the present one."""
        self.reasons.append(reason)
        self.effect = max(self.effect, effect or self.effect)
        self.replaced |= effect == Effect.REPLACEMENT


def kept(name: str, /, **values: object) -> Verdict:
    """Return the verdict that a removed object stays in the cluster, with a reason from ``reasons.yaml``."""
    verdict = Verdict(Effect.KEPT)
    verdict.because(name, **values)
    return verdict


def reason(name: str, /, **values: object) -> Reason:
    """Return a reason by its name in ``reasons.yaml``, with values for the ``{…}`` in its texts."""
    entry = REASONS[name]
    return Reason(entry["text"].format(**values), entry.get("source", "").format(**values))


class Surroundings:
    """What else an Application deploys, as far as it matters for one of its objects; parsed when it is needed."""

    def __init__(self, application: Application) -> None:
        """Parse nothing yet."""
        self.application = application
        #: Workloads whose pods restart anyway.
        self.starting: set[Identity] = set()
        #: All Applications as they are before, whose pods may call those of this one.
        self.running: Sequence[Application] = ()
        #: Names of Applications of whose charts both states were looked into: what changes is seen at the objects.
        self.seen: Collection[str] = ()

    def readers(self, kind: str, namespace: str, name: str, keys: set[str] | None = None) -> list[Object]:
        """Return the workloads whose running pods do not notice that a ConfigMap or Secret changes in some keys."""
        return [
            item
            for item, read in self._readers.get((kind, namespace, name), {}).items()
            if item.identity not in self.starting and (keys is None or None in read or keys & read)
        ]

    def all_readers(self, kind: str, namespace: str, name: str) -> Sequence[Object]:
        """Return the workloads whose pods read a ConfigMap or Secret when they start."""
        return [*self._readers.get((kind, namespace, name), {})]

    def callers_by_number(self, workload: Object, port: object) -> list[Object]:
        """Return the policies of other Applications that let their pods out to a port of a workload's pods."""
        others = [each for each in self.running if each.name != self.application.name]
        found = [item for each in others for item in Surroundings(each)._holding(b"egress")]
        return [item for item in found if item.kind == "NetworkPolicy" and _lets_out(item, workload, port)]

    @cached_property
    def scales(self) -> Scales[Object]:
        """The numbers of pods of its workloads."""
        return Scales(self._holding(*map(str.encode, SCALING)))

    @cached_property
    def _readers(self) -> Mapping[tuple[str, str, str], Mapping[Object, set[str | None]]]:
        found: dict[tuple[str, str, str], dict[Object, set[str | None]]] = {}
        for item in self._holding(b"configMapRef", b"configMapKeyRef", b"secretRef", b"secretKeyRef", b"subPath"):
            if item.full_kind in ROLLING | LASTING and (pods := pods_of(item)):
                for read in pods.references:
                    if read.at_start:
                        readers = found.setdefault((read.kind, item.namespace, read.name), {})
                        readers.setdefault(item, set()).add(read.key)
        return found

    def _holding(self, *words: bytes) -> Iterator[Object]:
        """Yield the objects of files that hold any of some words; no other file is parsed."""
        for path, content in self.application.files.items():
            if may_hold(content, *words):
                yield from self.application.read(path, content)


def _lets_out(policy: Object, workload: Object, port: object) -> bool:
    labels = texts(inner(workload.spec, "template", "metadata", "labels"))
    for rule in mappings(policy.spec.get("egress")):
        peers = mappings(rule.get("to")) if port in (each.get("port") for each in mappings(rule.get("ports"))) else []
        for peer in peers:
            namespace = inner(peer, "namespaceSelector", "matchLabels", NAME_LABEL) or workload.namespace
            selected = "ipBlock" not in peer and Selector(peer.get("podSelector", {})).matches(labels)
            if selected and namespace == workload.namespace:
                return True
    return False


def option(application: Application, name: str, *items: Object) -> str | None:
    """Return a sync option: an object's own, or else the Application's."""
    own = [item.sync_options[name] for item in items if name in item.sync_options]
    return "true" if "true" in own else own[-1] if own else application.sync_options.get(name)


def pods_in(item: Object, around: Surroundings, *, restarting: bool = False) -> list[Pods]:
    """Return the pods of an object, if it is a workload that has any.

    With ``restarting``, those are left out that a StatefulSet's partition keeps from a restart.
    """
    if item.full_kind not in ROLLING | {"Pod"}:
        return []
    scale = around.scales.of(item)
    if scale.per_node:
        return [Pods(named(item), 0, None, per_node=True)]
    least, most = scale.minimum, scale.maximum
    partition = inner(item.spec, "updateStrategy", "rollingUpdate", "partition")
    if restarting and item.kind == "StatefulSet" and isinstance(partition, int):
        least, most = max(least - partition, 0), max(most - partition, 0)
    return [Pods(named(item), least, most)] if most else []

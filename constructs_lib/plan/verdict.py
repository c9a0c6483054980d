"""What happens to an object, and what else is deployed around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import mapping, sequence
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import Effect, Pods, Reason
from constructs_lib.plan.fields import FieldChange
from constructs_lib.plan.pods import SCALERS, pods_of, scaled
from constructs_lib.plan.tables import table
from constructs_lib.repository.applications import Application

#: Kinds whose pods are replaced one after the other when their template changes.
ROLLING = frozenset({"apps/DaemonSet", "apps/Deployment", "apps/StatefulSet", "argoproj.io/Rollout"})
#: Kinds that leave their pods alone when their template changes.
LASTING = frozenset({"ReplicationController", "apps/ReplicaSet"})


@dataclass
class Verdict:
    """What happens to an object.

    Attributes:
        effect: What.
        reasons: Why.
        pods: Whose pods restart, or go.
        fix: How to do it safely.
        dangerous: Whether a person has to agree to it.
        fields: What changes in it.
        replaced: Whether a new object takes its place.
    """

    effect: Effect
    reasons: list[Reason] = field(default_factory=list)
    pods: list[Pods] = field(default_factory=list)
    fix: str = ""
    dangerous: bool = False
    fields: Sequence[FieldChange] = ()
    replaced: bool = False

    def because(self, name: str, effect: Effect | None = None, /, **values: object) -> None:
        """Add a reason, and what goes with it.

        Args:
            name: Its name in ``reasons.yaml``.
            effect: The least effect that it has. Default: the one in ``reasons.yaml``, if there is one.
            values: What its texts leave open.
        """
        entry = table("reasons")[name]
        if effect is None and "effect" in entry:
            effect = Effect[entry["effect"]]
        self.add(reason(name, **values), effect)
        self.fix = entry.get("fix", "").format(**values) or self.fix
        self.dangerous |= entry.get("dangerous", False)

    def add(self, reason: Reason, effect: Effect | None = None) -> None:
        """Add a reason, and let it make the effect more severe."""
        self.reasons.append(reason)
        self.effect = max(self.effect, effect or self.effect)
        self.replaced |= effect == Effect.REPLACEMENT


def kept(name: str, /, **values: object) -> Verdict:
    """Return that an object stays in the cluster although it is gone from the repository.

    Args:
        name: The reason's name in ``reasons.yaml``.
        values: What its texts leave open.
    """
    verdict = Verdict(Effect.KEPT)
    verdict.because(name, **values)
    return verdict


def reason(name: str, /, **values: object) -> Reason:
    """Return a reason by its name in ``reasons.yaml``, with what its texts leave open."""
    entry = table("reasons")[name]
    return Reason(entry["text"].format(**values), entry.get("source", "").format(**values))


class Surroundings:
    """What else an Application deploys, as far as it matters for one of its objects; read when it is asked for."""

    def __init__(self, application: Application) -> None:
        """Look at nothing yet."""
        self.application = application
        #: Objects whose pods are new in any case.
        self.starting: set[Identity] = set()

    def scaler(self, workload: Object) -> Object | None:
        """Return the autoscaler of a workload, if it has one."""
        return self._scalers.get((workload.kind, workload.namespace, workload.name))

    def readers(self, kind: str, namespace: str, name: str) -> list[Object]:
        """Return the workloads whose running pods do not notice that a ConfigMap or Secret changes."""
        return [item for item in self._readers.get((kind, namespace, name), ()) if item.identity not in self.starting]

    @cached_property
    def _scalers(self) -> Mapping[tuple[str, str, str], Object]:
        return {
            scaled(item): item for item in self._holding(*(kind.encode() for kind in SCALERS)) if item.kind in SCALERS
        }

    @cached_property
    def _readers(self) -> Mapping[tuple[str, str, str], Sequence[Object]]:
        found: dict[tuple[str, str, str], list[Object]] = {}
        for item in self._holding(b"configMapRef", b"configMapKeyRef", b"secretRef", b"secretKeyRef", b"subPath"):
            if item.full_kind in ROLLING | LASTING:
                pod = mapping(mapping(item.spec.get("template")).get("spec"))
                for kind, name in dict.fromkeys(_read_at_start(pod)):
                    found.setdefault((kind, item.namespace, name), []).append(item)
        return found

    def _holding(self, *words: bytes) -> Iterator[Object]:
        """Yield the objects of files that hold any of some words; no other file is parsed."""
        for path, content in self.application.files.items():
            if any(word in content for word in words):
                yield from self.application.read(path, content)


def _read_at_start(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the ConfigMaps and Secrets from which a pod takes environment variables or single files."""
    containers = [mapping(item) for group in ("initContainers", "containers") for item in sequence(pod.get(group))]
    for container in containers:
        for entry in map(mapping, sequence(container.get("envFrom"))):
            yield "ConfigMap", str(mapping(entry.get("configMapRef")).get("name"))
            yield "Secret", str(mapping(entry.get("secretRef")).get("name"))
        for entry in map(mapping, sequence(container.get("env"))):
            origin = mapping(entry.get("valueFrom"))
            yield "ConfigMap", str(mapping(origin.get("configMapKeyRef")).get("name"))
            yield "Secret", str(mapping(origin.get("secretKeyRef")).get("name"))
    mounts = [mapping(mount) for container in containers for mount in sequence(container.get("volumeMounts"))]
    single = {mount.get("name") for mount in mounts if mount.get("subPath") and isinstance(mount.get("name"), str)}
    for volume in map(mapping, sequence(pod.get("volumes"))):
        if isinstance(volume.get("name"), str) and volume["name"] in single:
            yield "ConfigMap", str(mapping(volume.get("configMap")).get("name"))
            yield "Secret", str(mapping(volume.get("secret")).get("secretName"))


def option(application: Application, name: str, *items: Object) -> str | None:
    """Return a sync option: an object's own, or else the Application's."""
    own = [item.sync_options[name] for item in items if name in item.sync_options]
    return "true" if "true" in own else own[-1] if own else application.sync_options.get(name)


def pods_in(item: Object, around: Surroundings, *, restarting: bool = False) -> list[Pods]:
    """Return the pods of a workload, if it is one and has any."""
    if item.full_kind not in ROLLING | {"Pod"}:
        return []
    found = pods_of(item, around.scaler(item), restarting=restarting)
    return [] if found.most == 0 and not found.per_node else [found]

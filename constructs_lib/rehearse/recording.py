"""What happened in a phase of a rehearsal: the objects at its beginning, and each change of one as it was watched.

And what Kubernetes and Argo CD say of these objects at one moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from typing import Literal

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import Manifest, condition, inner, mapping, mappings, texts
from constructs_lib.kubernetes.objects import Identity

#: How Argo CD marks what an Application deploys, with ``application.resourceTrackingMethod: annotation``.
_TRACKING = "argocd.argoproj.io/tracking-id"
#: The labels with the revision of a pod, and of what makes it.
_HASHES = ("pod-template-hash", "controller-revision-hash")
_REVISION = "deployment.kubernetes.io/revision"
#: The phases of pods that have ended.
ENDED = ("Succeeded", "Failed")
#: Kinds that make pods.
WORKLOADS = frozenset({("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("batch", "Job")})
Verb = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True)
class Moment:
    """One change of one object.

    Attributes:
        at: When it was seen, in seconds since the phase began.
        verb: What happened to the object.
        object: The object as the API server sent it, with ``apiVersion`` and ``kind``; of a deleted one its last state.
    """

    at: float
    verb: Verb
    object: Manifest


@dataclass(frozen=True)
class Recording:
    """All that was watched in one phase.

    Attributes:
        before: All objects at its beginning: those of the trees, and Applications, Pods, ReplicaSets,
            ControllerRevisions, EndpointSlices, PersistentVolumeClaims and Events.
        moments: What happened, in the order of time.
        began: When it began.
    """

    before: tuple[Manifest, ...]
    moments: tuple[Moment, ...]
    began: datetime

    @property
    def seconds(self) -> float:
        """How long it took until the last change."""
        return self.moments[-1].at if self.moments else 0.0

    @cached_property
    def identities(self) -> frozenset[Identity]:
        """All objects that were ever there."""
        return frozenset(map(identity_of, (*self.before, *(moment.object for moment in self.moments))))

    def replay(self) -> Iterator[tuple[float, Live, list[Moment]]]:
        """Yield every time at which something changed, with all objects as they are then and what changed.

        The first is the beginning, when nothing has changed yet. The objects are the same collection all the time.
        """
        live = Live(self.before)
        yield 0.0, live, []
        for at, group in groupby(self.moments, key=lambda moment: moment.at):
            moments = list(group)
            for moment in moments:
                live.take(moment.object, deleted=moment.verb == "DELETED")
            yield at, live, moments


class Live:
    """The objects of a cluster, which change while a recording is replayed."""

    def __init__(self, objects: Iterable[Manifest] = ()) -> None:
        """Begin with some objects."""
        self.objects: dict[Identity, Manifest] = {}
        self._owned: dict[str, dict[Identity, None]] = defaultdict(dict)
        for item in objects:
            self.take(item)

    def take(self, item: Manifest, *, deleted: bool = False) -> None:
        """Take in the new state of an object, or that it is gone."""
        identity = identity_of(item)
        # An object of the same name may have another owner.
        if known := self.objects.pop(identity, None):
            self._owned[owner_of(known)].pop(identity, None)
        if not deleted:
            self.objects[identity] = item
            self._owned[owner_of(item)][identity] = None

    def of_kind(self, kind: str) -> Iterator[Manifest]:
        """Yield the objects of a kind, whatever their group."""
        return (item for identity, item in self.objects.items() if identity[1] == kind)

    def owned(self, item: Manifest) -> list[Manifest]:
        """Return the objects that an object controls."""
        return [self.objects[identity] for identity in self._owned.get(uid(item), ())]

    def pods(self, workload: Manifest) -> Iterator[Manifest]:
        """Yield the pods of a workload, those of its ReplicaSets or Jobs among them."""
        for item in self.owned(workload):
            if item["kind"] == "Pod":
                yield item
            else:
                yield from self.pods(item)

    def newest_revision(self, workload: Manifest) -> str:
        """Return the revision that the newest pods of a workload have; empty if it has none yet."""
        if workload["kind"] == "StatefulSet":
            return str(inner(workload, "status", "updateRevision") or "")
        sets = [item for item in self.owned(workload) if item["kind"] in ("ReplicaSet", "ControllerRevision")]
        return revision(max(sets, key=_number, default={}))


def _number(item: Manifest) -> int:
    """Return the number of the revision that a ReplicaSet or a ControllerRevision stands for."""
    return int(item.get("revision") or texts(inner(item, "metadata", "annotations")).get(_REVISION, "0"))


def identity_of(item: Manifest) -> Identity:
    """Return what the API server knows an object by."""
    metadata = mapping(item.get("metadata"))
    group = str(item["apiVersion"]).rpartition("/")[0]
    return group, str(item["kind"]), str(metadata.get("namespace") or ""), str(metadata.get("name"))


def as_object(item: Manifest) -> Object:
    """Return a live object as other rooms take objects."""
    return Object(item, "", identity_of(item)[2])


def uid(item: Manifest) -> str:
    """Return the id of an object, which another one of the same name does not have."""
    return str(inner(item, "metadata", "uid"))


def owner_of(item: Manifest) -> str:
    """Return the id of what controls an object; empty if nothing does."""
    references = mappings(inner(item, "metadata", "ownerReferences"))
    return next((str(each.get("uid")) for each in references if each.get("controller")), "")


def application_of(item: Manifest) -> str:
    """Return the name of the Application that deploys an object, as Argo CD marked it; empty if none does."""
    return str(inner(item, "metadata", "annotations", _TRACKING) or "").partition(":")[0].rpartition("_")[2]


def revision(item: Manifest) -> str:
    """Return the revision that a pod or a ReplicaSet is of; empty if it is of none."""
    labels = mapping(inner(item, "metadata", "labels"))
    return next((str(labels[label]) for label in _HASHES if label in labels), "")


def is_true(item: Manifest, name: str) -> bool:
    """Tell whether a condition of an object is true."""
    return condition(item, name).get("status") == "True"


def is_ending(item: Manifest) -> bool:
    """Tell whether an object is being deleted, or is a pod that has ended."""
    return bool(inner(item, "metadata", "deletionTimestamp")) or inner(item, "status", "phase") in ENDED


def is_serving(pod: Manifest) -> bool:
    """Tell whether a Service sends requests to a pod."""
    return is_true(pod, "Ready") and not is_ending(pod)

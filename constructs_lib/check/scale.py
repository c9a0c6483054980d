"""How many pods a workload has: of itself, or as its HorizontalPodAutoscaler wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import mapping


@dataclass(frozen=True)
class Scale:
    """The number of pods of a workload.

    Attributes:
        minimum: The smallest.
        maximum: The largest.
        autoscaler: What moves it between them; None for nothing.
    """

    minimum: int
    maximum: int
    autoscaler: Object | None = None


class Scales:
    """The numbers of pods of all workloads of a tree."""

    def __init__(self, model: ClusterModel) -> None:
        """Find the autoscalers."""
        self._autoscalers: Mapping[tuple[str, str, str], Object] = {
            (item.namespace, str(target.get("kind")), str(target.get("name"))): item
            for item in model.kind("HorizontalPodAutoscaler")
            for target in [mapping(item.spec.get("scaleTargetRef"))]
        }

    def of(self, pods: Pods) -> Scale:
        """Return the number of pods of a workload.

        A Job counts with the pods that run at once, a CronJob with one, and a DaemonSet, which has one pod on every
        node, with none.
        """
        owner = pods.owner
        if owner.kind == "DaemonSet":
            return Scale(0, 0)
        key = "parallelism" if owner.kind == "Job" else "replicas"
        own = _number(owner.spec.get(key), 1)
        autoscaler = self._autoscalers.get((owner.namespace, owner.kind, owner.name))
        if autoscaler is None:
            return Scale(own, own)
        minimum = _number(autoscaler.spec.get("minReplicas"), 1)
        return Scale(minimum, max(minimum, _number(autoscaler.spec.get("maxReplicas"), minimum)), autoscaler)


def _number(value: object, default: int) -> int:
    # A number that is written as a text is told elsewhere, and means itself.
    text = str(value)
    return int(text) if text.isdecimal() else default

"""How many pods a workload has."""

from __future__ import annotations

from collections.abc import Iterable

from constructs_lib.plan.change import Pods, named
from constructs_lib.repository.objects import Object, mapping

#: What gives a workload its number of pods.
SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def pods_of(workload: Object, scalers: Iterable[Object], *, restarting: bool = False) -> Pods:
    """Return the pods of a workload.

    Args:
        workload: A Deployment, StatefulSet, DaemonSet or the like.
        scalers: Autoscalers, among which may be the workload's.
        restarting: Leave out those that a StatefulSet's partition keeps from a restart.
    """
    if workload.kind == "DaemonSet":
        return Pods(named(workload), 0, None, per_node=True)
    for scaler in scalers:
        target = mapping(scaler.spec.get("scaleTargetRef"))
        kind = target.get("kind", "Deployment")
        if (kind, target.get("name"), scaler.namespace) == (workload.kind, workload.name, workload.namespace):
            if scaler.kind == "ScaledObject":
                # https://keda.sh/docs/latest/reference/scaledobject-spec/
                least, most = _count(scaler, "minReplicaCount", 0), _count(scaler, "maxReplicaCount", 100)
            else:
                least, most = _count(scaler, "minReplicas", 1), _count(scaler, "maxReplicas", None)
            return Pods(named(workload), least or 0, most)
    replicas = 1 if workload.kind == "Pod" else _count(workload, "replicas", 1) or 0
    strategy = mapping(mapping(workload.spec.get("updateStrategy")).get("rollingUpdate"))
    partition = strategy.get("partition")
    if restarting and workload.kind == "StatefulSet" and isinstance(partition, int):
        replicas = max(replicas - partition, 0)
    return Pods(named(workload), replicas, replicas)


def _count(item: Object, key: str, default: int | None) -> int | None:
    value = item.spec.get(key)
    return value if isinstance(value, int) else default

"""How many pods a workload has."""

from __future__ import annotations

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import mapping
from constructs_lib.plan.change import Pods, named

#: What gives a workload its number of pods.
SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def scaled(scaler: Object) -> tuple[str, str, str]:
    """Return the kind, namespace and name of the workload that an autoscaler scales."""
    target = mapping(scaler.spec.get("scaleTargetRef"))
    return str(target.get("kind", "Deployment")), scaler.namespace, str(target.get("name"))


def pods_of(workload: Object, scaler: Object | None, *, restarting: bool = False) -> Pods:
    """Return the pods of a workload.

    Args:
        workload: A Deployment, StatefulSet, DaemonSet or the like.
        scaler: Its autoscaler.
        restarting: Leave out those that a StatefulSet's partition keeps from a restart.
    """
    if workload.kind == "DaemonSet":
        return Pods(named(workload), 0, None, per_node=True)
    if scaler is not None and scaler.kind == "ScaledObject":
        # https://keda.sh/docs/latest/reference/scaledobject-spec/
        return Pods(named(workload), _count(scaler, "minReplicaCount", 0) or 0, _count(scaler, "maxReplicaCount", 100))
    if scaler is not None:
        return Pods(named(workload), _count(scaler, "minReplicas", 1) or 0, _count(scaler, "maxReplicas", None))
    replicas = 1 if workload.kind == "Pod" else _count(workload, "replicas", 1) or 0
    partition = mapping(mapping(workload.spec.get("updateStrategy")).get("rollingUpdate")).get("partition")
    if restarting and workload.kind == "StatefulSet" and isinstance(partition, int):
        replicas = max(replicas - partition, 0)
    return Pods(named(workload), replicas, replicas)


def _count(item: Object, key: str, default: int | None) -> int | None:
    value = item.spec.get(key)
    return value if isinstance(value, int) else default

"""Objects beside the pods of a workload: its account, its disruption budget, its autoscaler."""

from collections.abc import Mapping
from typing import Any

from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes.manifest import Manifest


def service_account(workload: Workload) -> Manifest:
    """Return the ServiceAccount of a workload, which gives no pod a token by itself."""
    return workload.manifest("v1", "ServiceAccount", automountServiceAccountToken=False)


def disruption_budget(workload: Workload) -> Manifest:
    """Return a PodDisruptionBudget: nodes drain one pod at a time, and never wait for a pod that is broken."""
    return workload.manifest(
        "policy/v1",
        "PodDisruptionBudget",
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": workload.selector},
        },
    )


def autoscaler(workload: Workload, kind: str, scale: Autoscale, *, scale_down: Mapping[str, Any]) -> Manifest:
    """Return the HorizontalPodAutoscaler of a workload, whose replicas an object of the ``kind`` has."""
    target = {"type": "Utilization", "averageUtilization": scale.cpu}
    return workload.manifest(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        # From Argo CD 3.5 on, an autoscaler that has no metrics yet is Degraded, which would fail the first sync.
        annotations={"argocd.argoproj.io/ignore-healthcheck": "true"},
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": workload.name},
            "minReplicas": scale.minimum,
            "maxReplicas": scale.maximum,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": {"scaleDown": dict(scale_down)},
        },
    )

"""Budgets that let a node be drained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.kubernetes.manifest import Manifest, manifest

if TYPE_CHECKING:
    from constructs_lib.declare.workload import Workload


def disruption_budget(workload: Workload) -> Manifest:
    """Return a PodDisruptionBudget: nodes drain one pod at a time, and never wait for a pod that is broken."""
    return manifest(
        "policy/v1",
        "PodDisruptionBudget",
        workload.name,
        workload.component.namespace_name,
        workload.labels,
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": workload.selector},
        },
    )

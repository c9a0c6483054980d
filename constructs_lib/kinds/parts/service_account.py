"""The accounts of pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.kubernetes.manifest import Manifest, manifest

if TYPE_CHECKING:
    from constructs_lib.declare.workload import Workload


def service_account(workload: Workload) -> Manifest:
    """Return the ServiceAccount of a workload, which gives no pod a token by itself."""
    return manifest(
        "v1",
        "ServiceAccount",
        workload.name,
        workload.component.namespace_name,
        workload.labels,
        automountServiceAccountToken=False,
    )

"""What plan tells of a chart of a new version: what Helm renders of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from charts import REGISTRY, archive, push, registry
from systems import empty

from constructs_lib import HelmChart, synthesize
from constructs_lib.plan.plan import Plan
from constructs_lib.plan.plan import plan as plan_of
from constructs_lib.repository.rendering import Charts, find_helm, looking_with
from constructs_lib.repository.snapshot import Snapshot

CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache}
spec:
  selector: {matchLabels: {app: %s}}
  template:
    metadata: {labels: {app: %s}}
    spec: {containers: [{name: cache, image: "valkey:{{ .Chart.Version }}"}]}
"""
VERSIONS = {
    "1.0.0": {"templates/claim.yaml": CLAIM, "templates/cache.yaml": WORKLOAD % ("cache", "cache")},
    "1.0.1": {"templates/claim.yaml": CLAIM, "templates/cache.yaml": WORKLOAD % ("cache", "cache")},
    "2.0.0": {"templates/cache.yaml": WORKLOAD % ("valkey", "valkey")},
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    helm = find_helm()
    if helm is None or REGISTRY is None:
        pytest.skip("helm or docker-registry is not installed")
    folder = tmp_path_factory.mktemp("registry")
    with registry(folder) as found:
        for version, files in VERSIONS.items():
            push(helm, found, archive("cache", version, files), "cache", version, folder)
        yield found


def plan(address: str, old: str, new: str, charts: Charts) -> Plan:
    """Return the plan of a new version of the chart."""
    states = []
    for version in (old, new):
        system = empty()
        HelmChart(system, "cache", repository=f"oci://{address}/charts", chart="cache", version=version)
        states.append(system)
    before, after = (Snapshot.of_files("declared", synthesize(state).files) for state in states)
    with looking_with(charts):
        return plan_of(before, after, folder="argocd/staging")


def told(found: Plan) -> dict[str, tuple[str, bool]]:
    """Return what happens to each object, and whether that is dangerous."""
    return {change.name: (change.effect.name, change.dangerous) for change in found.changes}


def test_what_changes_is_told_object_by_object(address: str, tmp_path: Path) -> None:
    found = plan(address, "1.0.0", "1.0.1", Charts(folder=tmp_path))
    assert told(found) == {"Application/cache": ("UPDATE", False), "Deployment/cache": ("RESTART", False)}
    assert not found.warnings


def test_dangers_are_those_of_the_objects(address: str, tmp_path: Path) -> None:
    found = plan(address, "1.0.0", "2.0.0", Charts(folder=tmp_path))
    assert told(found)["PersistentVolumeClaim/data"] == ("DATA_LOSS", True)
    deployment = next(change for change in found.changes if change.name == "Deployment/cache")
    assert any("spec.selector" in field.path for field in deployment.fields)
    assert deployment.dangerous


def test_a_state_that_nobody_saw_hides_the_other(address: str, tmp_path: Path) -> None:
    assert told(plan(address, "1.0.0", "1.0.0", Charts(folder=tmp_path))) == {}
    found = plan(address, "1.0.0", "2.0.0", Charts(None, tmp_path))
    assert told(found) == {"Application/cache": ("UPDATE", True)}
    assert len(found.warnings) == 1
    # Of one that does not change, nothing need be known.
    assert plan(address, "2.0.0", "2.0.0", Charts(None, tmp_path)).warnings == []

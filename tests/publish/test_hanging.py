"""What is told of a rollout that hangs, with objects as a cluster holds them."""

from __future__ import annotations

import pytest
from hanging_cluster import BAD, OLD, SOURCE, Cluster, Item, child, pod, root, takeover, told, workload

from constructs_lib.publish.checkout import PublishError

# What hangs, and why.


@pytest.mark.parametrize("waits", ["ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError"])
def test_tells_which_component_hangs_and_why(waits: str) -> None:
    broken = pod("stock", waits=waits)
    assert told(
        root(OLD, "stock", running=True), child("stock", BAD, "Deployment"), workload("Deployment", "stock"), broken
    ) == [
        "The last publication hangs: stock.",
        f"  stock: Deployment/stock: Pod/stock-0: {waits}: Back-off pulling image",
    ]


UNPLACED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes have room."}


@pytest.mark.parametrize(
    ("kind", "found", "expected"),
    [
        ("Deployment", pod("stock", ready=True), ""),
        ("Deployment", pod("stock", waits="ContainerCreating"), ""),
        ("Deployment", pod("stock", waits="CrashLoopBackOff", phase="Failed"), ""),
        # It may take as long as it is placed and starts, and no longer.
        ("StatefulSet", pod("stock", starts=300, age=390), ""),
        ("StatefulSet", pod("stock", starts=300, age=391), "StatefulSet/stock: Pod/stock-0: not ready after 6 minutes"),
        # One that was ready before gets the same time.
        ("Deployment", pod("stock", age=86400, unready=90), ""),
        ("Deployment", pod("stock", age=86400, unready=91), "Deployment/stock: Pod/stock-0: not ready after 1 minutes"),
        ("Deployment", pod("stock", starts=300, age=90, conditions=[UNPLACED]), ""),
        (
            "Deployment",
            pod("stock", starts=300, age=91, conditions=[UNPLACED]),
            "Deployment/stock: Pod/stock-0: Unschedulable: 0/3 nodes have room.",
        ),
        # The pod of somebody else.
        (
            "Deployment",
            {**pod("stock", waits="ErrImagePull"), "metadata": {**pod("stock")["metadata"], "labels": {}}},
            "",
        ),
    ],
)
def test_pods_that_will_not_be_ready(kind: str, found: Item, expected: str) -> None:
    said = told(root(OLD, "stock", running=True), child("stock", BAD, kind), workload(kind, "stock"), found)
    if expected:
        assert said == ["The last publication hangs: stock.", f"  stock: {expected}"]
    else:
        assert said == ["The last publication is still being rolled out: stock."]


@pytest.mark.parametrize(
    ("kind", "condition", "expected"),
    [
        (
            "Deployment",
            {
                "type": "Progressing",
                "status": "False",
                "reason": "ProgressDeadlineExceeded",
                "message": "has timed out.",
            },
            "Deployment/stock: ProgressDeadlineExceeded: has timed out.",
        ),
        ("Deployment", {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}, ""),
        ("Deployment", {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}, ""),
        (
            "Job",
            {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer"},
            "Job/stock: DeadlineExceeded: Job was active longer",
        ),
        ("Job", {"type": "Complete", "status": "True"}, ""),
    ],
)
def test_workloads_that_have_failed(kind: str, condition: Item, expected: str) -> None:
    said = told(root(OLD, "stock", running=True), child("stock", BAD, kind), workload(kind, "stock", condition))
    assert said[1:] == ([f"  stock: {expected}"] if expected else [])


def test_what_argo_cd_says_of_a_sync_that_it_tries_again_and_again() -> None:
    refused = {"kind": "Service", "name": "stock", "status": "SyncFailed", "message": "port is\ninvalid"}
    retried = {"retryCount": 2, "message": "failed", "syncResult": {"resources": [refused]}}
    stock = child("stock", BAD, running=True, operation=retried)
    assert told(root(OLD, "stock", running=True), stock)[1:] == ["  stock: Service/stock: port is invalid"]
    assert told(root(OLD, "stock", running=True), child("stock", BAD, running=True))[1:] == []


def test_what_argo_cd_cannot_render() -> None:
    conditions = [{"type": "ComparisonError", "message": "no such folder"}, {"type": "OrphanedResourceWarning"}]
    stock = child("stock", BAD, conditions=conditions)
    assert told(root(OLD, "stock", running=True), stock)[1:] == ["  stock: no such folder"]


def test_what_is_healthy_is_not_asked_for() -> None:
    cluster = Cluster(root(OLD, "stock", settled=True), child("stock", BAD, "Deployment", settled=True))
    found, said = takeover(cluster)
    found.describe(found.look())
    assert said == [] and len(cluster.calls) == 1


# Where it is.


def test_refuses_a_cluster_without_the_root() -> None:
    with pytest.raises(PublishError, match="The cluster has no Application shop in the namespace argocd"):
        takeover(Cluster())[0].look()


def test_refuses_the_cluster_of_another_environment() -> None:
    other = root()
    other["spec"]["source"] = {**SOURCE, "path": "argocd/cloud"}
    with pytest.raises(PublishError, match=r"deploys argocd/cloud from .*, not argocd/laptop from"):
        takeover(Cluster(other))[0].look()

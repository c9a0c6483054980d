"""Room on nodes of which the declaration tells what they have: what fits, and what is asked for in vain."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from constructs_lib import (
    Autoscale,
    Cluster,
    Environment,
    GitRepository,
    K3d,
    Microservice,
    Node,
    Resources,
    System,
    synthesize,
)
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.report.report import Looked, look
from constructs_lib.repository.snapshot import Snapshot

REPOSITORY = GitRepository("https://github.com/example/shop.git")
GPU = {"nvidia.com/gpu": 1}


def files(cluster: Cluster, **arguments: Any) -> dict[str, bytes]:
    """Return the files of a shop with one service."""
    system = System(Environment(name="place", repository=REPOSITORY, cluster=cluster), "shop")
    Microservice(system, "web", image="example/web:1.0.0", ports={"http": 8080}, **arguments)
    return dict(synthesize(system).files)


def looked(tree: dict[str, bytes]) -> Looked:
    """Return what all proofs say of a tree, which is all that they know."""
    return look(ClusterModel(Snapshot("place", tree, None), ["argocd/place"]), "place")


def codes(tree: dict[str, bytes]) -> set[str]:
    """Return the codes of what is found."""
    return {finding.check.code for finding in looked(tree).findings}


def of(**told: Any) -> Cluster:
    """Return a cluster of any kind with three nodes of which this is told."""
    node = Node(**{"cpu": "4", "memory": "8Gi", **told})
    return Cluster(kubernetes="1.36", nodes=3, provides=("metrics-api",), node=node)


@pytest.mark.parametrize(
    ("resources", "replicas", "expected"),
    [
        (Resources("1", "2Gi"), 3, set()),
        (Resources("3500m", "7Gi"), 2, set()),
        # Argo CD takes half a core as well.
        (Resources("3800m", "1Gi"), 3, {"no-room"}),
        (Resources("100", "256Mi"), 1, {"pod-larger-than-node"}),
        (Resources("100m", "9Gi"), 1, {"pod-larger-than-node"}),
        (Resources("500m", "64Mi"), Autoscale(1, 500), {"no-room-at-maximum"}),
    ],
)
@pytest.mark.parametrize("kind", ["any", "k3d"])
def test_room(kind: str, resources: Resources, replicas: int | Autoscale, expected: set[str]) -> None:
    cluster: Cluster = of()
    if kind == "k3d":
        cluster = K3d(kubernetes="1.36", nodes=3, image=f"rancher/k3s:v1.36.1-k3s1@sha256:{'0' * 64}", node=of().node)
    found = looked(files(cluster, resources=resources, replicas=replicas))
    assert {finding.check.code for finding in found.findings} == expected
    assert found.cluster.nodes == 3
    assert not found.remarks


def test_pods_of_a_node() -> None:
    small = {"resources": Resources("10m", "16Mi"), "replicas": 20}
    assert codes(files(of(), **small)) == set()
    assert codes(files(of(pods=5), **small)) == {"no-room"}


def test_devices() -> None:
    with_one, with_two = (Resources("1", "1Gi", extended={"nvidia.com/gpu": number}) for number in (1, 2))
    assert codes(files(of(extended=GPU), resources=with_one, replicas=3)) == set()
    assert codes(files(of(extended=GPU), resources=with_one, replicas=4)) == {"no-room"}
    assert codes(files(of(extended=GPU), resources=with_two)) == {"pod-larger-than-node"}
    assert codes(files(of(), resources=with_one)) == {"extended-resource-missing"}


@pytest.mark.parametrize(
    ("labels", "wanted", "expected"),
    [
        # What is not told, a pod may ask for.
        (None, {"pool": "gpu"}, set()),
        ({"pool": "gpu"}, {"pool": "gpu"}, set()),
        ({"pool": "gpu"}, {"pool": "cpu"}, {"no-node-matches"}),
        ({"pool": "gpu"}, {"poll": "gpu"}, {"no-node-matches"}),
        ({"pool": "gpu"}, {"topology.kubernetes.io/zone": "fra1"}, set()),
        ({}, {"pool": "gpu"}, {"no-node-matches"}),
    ],
)
def test_labels(labels: dict[str, str] | None, wanted: dict[str, str], expected: set[str]) -> None:
    tree = files(of(labels=labels))
    path = "dist/place/web/Deployment-web.yaml"
    deployment = yaml.safe_load(tree[path])
    deployment["spec"]["template"]["spec"]["nodeSelector"] = wanted
    assert codes({**tree, path: yaml.safe_dump(deployment).encode()}) == expected


def test_what_nobody_told_is_not_proven() -> None:
    large = Resources("100", "256Mi")
    for cluster in (Cluster(kubernetes="1.36", nodes=3), K3d(kubernetes="1.36", nodes=3)):
        found = looked(files(cluster, resources=large))
        assert not found.findings
        assert found.unproven == {"capacity"}
        (remark,) = found.remarks
        assert remark.startswith("whether the nodes have room for all pods: ")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"count": 3}', '{"count": 0, "cpu": "4", "memory": "8Gi"}'])
def test_what_is_told_wrongly_counts_for_nothing(text: str) -> None:
    tree = files(of())
    root = yaml.safe_load(tree["argocd/place/root.yaml"])
    assert yaml.safe_load(root["metadata"]["annotations"]["constructs-lib/nodes"]) == {
        "count": 3,
        "cpu": "4",
        "memory": "8Gi",
        "pods": 110,
    }
    root["metadata"]["annotations"]["constructs-lib/nodes"] = text
    assert looked({**tree, "argocd/place/root.yaml": yaml.safe_dump(root).encode()}).unproven == {"capacity"}

"""What pods ask for and nodes have, by numbers; and packing, against trying everything out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from small_trees import Manifest, model_of
from synthesized import Synthesized

from constructs_lib.argocd.objects import Object
from constructs_lib.check.bootstrap import Cluster
from constructs_lib.check.capacity.packing import Amount, Item, Spread, pack
from constructs_lib.check.capacity.proof import prove
from constructs_lib.check.capacity.requests import chart_items, requests, rolling_update
from constructs_lib.check.capacity.room import ARGOCD, node_of
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.repository.snapshot import Snapshot

GIB, MIB = 2**30, 2**20


@pytest.mark.parametrize(
    ("size", "cpu", "memory", "disk"),
    [
        ("s-4vcpu-8gb-240gb-intel", 3388, 6.0, 216),
        ("s-4vcpu-8gb", 3388, 6.0, None),
        ("s-4vcpu-8gb-amd", 3388, 6.0, None),
        ("g-8vcpu-32gb", 7388, 28.0, None),
        ("c2-2vcpu-4gb", 1388, 2.5, None),
        ("m3-2vcpu-16gb", 1388, 13.0, None),
        ("c-4", 3388, 6.0, None),
        ("c-4-intel", 3388, 6.0, None),
        # Of a size that the table does not have, the share of the next smaller one.
        ("m-3vcpu-24gb", 2388, 19.5, None),
    ],
)
def test_sizes_of_nodes(size: str, cpu: int, memory: float, disk: int | None) -> None:
    node = node_of(size)
    assert node is not None
    assert (node.cpu, node.memory / GIB, node.volumes, node.pods) == (cpu, memory, 7, 104)
    assert node.disk == disk * GIB if disk else node.disk > 2**50


@pytest.mark.parametrize("size", ["", "m5.large", "gpu-h100x8-640gb"])
def test_sizes_that_nobody_knows(size: str) -> None:
    assert node_of(size) is None


def container(cpu: Any = None, memory: Any = None, **more: Any) -> Manifest:
    """Return a container that asks for something."""
    asked = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"resources": {"requests": asked}, **more}


@pytest.mark.parametrize(
    ("spec", "cpu", "mebibytes"),
    [
        ({"containers": [container("100m", "1Gi"), container("0.5", "512Mi")]}, 600, 1536),
        ({"containers": [container(1, 2**20)]}, 1000, 1),
        ({"containers": [container("100m", "1Gi")], "initContainers": [container("50m", "2Gi")]}, 100, 2048),
        (
            {
                "containers": [container("100m", "1Gi")],
                "initContainers": [container("1", "1Mi"), container("2", "1Mi")],
            },
            2000,
            1024,
        ),
        (
            {
                "containers": [container("100m", "1Gi")],
                "initContainers": [container("200m", "256Mi", restartPolicy="Always"), container("200m", "1Gi")],
            },
            400,
            1280,
        ),
        ({"containers": [{"resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}]}, 2000, 1024),
        ({"containers": [{}]}, 0, 0),
        ({"containers": [container("100m", "64Mi")], "overhead": {"cpu": "250m", "memory": "120Mi"}}, 350, 184),
        (
            {"containers": [container("100m", "64Mi")], "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
            1000,
            1024,
        ),
        ({"containers": [container("0.1m", "many")]}, 1, 0),
        ({"containers": "none", "initContainers": [None]}, 0, 0),
    ],
)
def test_requests_of_a_pod(spec: Manifest, cpu: int, mebibytes: int) -> None:
    pods = pods_of(Object({"apiVersion": "v1", "kind": "Pod", "spec": spec}, "pod.yaml", "shop"))
    assert pods is not None
    assert requests(pods) == Amount(cpu, mebibytes * MIB, pods=1)


@pytest.mark.parametrize(
    ("strategy", "replicas", "expected"),
    [
        ({}, 4, (1, 1)),
        ({}, 1, (1, 0)),
        ({}, 3, (1, 0)),
        ({}, 10, (3, 2)),
        ({"rollingUpdate": {"maxSurge": "34%", "maxUnavailable": "34%"}}, 3, (2, 1)),
        ({"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}, 5, (2, 0)),
        ({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "10%"}}, 5, (0, 1)),
        ({"type": "Recreate"}, 5, (0, 5)),
        ({"rollingUpdate": {"maxSurge": "a lot"}}, 8, (0, 2)),
    ],
)
def test_an_update_adds_and_takes_away(strategy: Manifest, replicas: int, expected: tuple[int, int]) -> None:
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"strategy": strategy}}
    assert rolling_update(Object(manifest, "", ""), replicas) == expected


def test_what_is_no_deployment_adds_nothing_when_it_is_updated() -> None:
    assert rolling_update(Object({"apiVersion": "apps/v1", "kind": "StatefulSet"}, "", ""), 3) == (0, 3)


def test_the_values_of_a_chart_ask_for_what_they_say_plainly() -> None:
    values = yaml.safe_load(
        """
        resources: {requests: {cpu: 50m, memory: 128Mi}}
        replicaCount: 2
        cache: {enabled: false, resources: {requests: {cpu: "1"}}}
        store:
          replicas: 3
          resources: {limits: {memory: 1Gi}}
          storage: {volumeClaimTemplate: {spec: {resources: {requests: {storage: 10Gi}}}}}
        local: {volumeClaimTemplate: {spec: {storageClassName: local-path}}}
        none: {resources: {}}
        """
    )
    amounts = [item.amount for item in chart_items("chart", values)]
    assert amounts == [
        *[Amount(50, 128 * MIB, pods=1)] * 2,
        *[Amount(0, GIB, pods=1)] * 3,
        Amount(volumes=1),
    ]


def test_argo_cd_asks_for_what_the_bootstrap_says(root: Path) -> None:
    text = (root / "bootstrap/argocd/main.tf").read_text()
    found = re.findall(
        r'(\w+)\s*=\s*{[^{}]*(?:{[^{}]*}[^{}]*)?resources\s*= {[^{}]*{ cpu = "(\d+)m", memory = "(\d+)Mi" }', text
    )
    found += re.findall(r'(redis)\s*= { resources = { requests = { cpu = "(\d+)m", memory = "(\d+)Mi" }', text)
    assert {(name, int(cpu), int(memory)) for name, cpu, memory in found} == {entry[:3] for entry in ARGOCD}
    for name in ("repoServer", "server"):
        replicas = re.search(rf"{name}\s*=\s*{{\s*replicas\s*=\s*var\.ha \? (\d) : (\d)", text)
        assert replicas is not None
        (entry,) = (entry for entry in ARGOCD if entry[0] == name)
        assert entry[3:] == (int(replicas[2]), int(replicas[1]))


LABELS = {"app": "web"}
WEB = Selector({"matchLabels": LABELS})
NODE = Amount(1000, 1000, 1000, 7, 110)


def pod(cpu: int = 100, **more: Any) -> Item:
    """Return a pod of the web."""
    return Item("web", Amount(cpu, 100, pods=1), "shop", LABELS, **more)


@pytest.mark.parametrize(
    ("items", "nodes", "left"),
    [
        ([pod(600)] * 3, 3, 0),
        ([pod(600)] * 3, 2, 1),
        ([pod(600), pod(600), pod(400), pod(400)], 2, 0),
        # The sum fits, and still there is no node for the last one.
        ([pod(400)] * 5, 2, 1),
        ([pod(repels=(WEB,))] * 3, 3, 0),
        ([pod(repels=(WEB,))] * 4, 3, 1),
        ([pod(spreads=(Spread(WEB, 1),))] * 7, 3, 0),
        ([pod(spreads=(Spread(WEB, 1, 4),))] * 4, 3, 1),
        ([pod(spreads=(Spread(WEB, 2, 4),))] * 6, 3, 0),
        ([Item("disk", Amount(1, 1, volumes=1, pods=1))] * 14, 2, 0),
        ([Item("disk", Amount(1, 1, volumes=1, pods=1))] * 15, 2, 1),
        # One volume for all of them, but then all of them on its node.
        ([pod(claims=("claim",))] * 8, 2, 0),
        ([pod(300, claims=("claim",))] * 4, 2, 1),
        ([Item("small", Amount(pods=1))] * 111, 1, 1),
    ],
)
def test_packing(items: Sequence[Item], nodes: int, left: int) -> None:
    assert len(pack(items, [NODE] * nodes)) == left


def test_neighbours_of_other_namespaces_do_not_repel() -> None:
    other = Item("web", Amount(100, 100, pods=1), "other", LABELS)
    assert pack([pod(repels=(WEB,)), other], [NODE]) == []


item = st.builds(
    lambda cpu, memory, app, alone, spread, claim: Item(
        "pod",
        Amount(cpu, memory, 0, 0, 1),
        "shop",
        {"app": app},
        (Spread(Selector({"matchLabels": {"app": app}}), 1),) if spread else (),
        (Selector({"matchLabels": {"app": app}}),) if alone else (),
        (claim,) if claim else (),
    ),
    st.integers(1, 6).map(lambda part: part * 150),
    st.integers(1, 6).map(lambda part: part * 150),
    st.sampled_from("ab"),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, None, "claim"]),
)


def is_valid(items: Sequence[Item], places: Sequence[int], nodes: Sequence[Amount]) -> bool:
    """Tell whether an assignment of pods to nodes keeps everything that they ask for."""
    for number, node in enumerate(nodes):
        here = [one for one, place in zip(items, places, strict=True) if place == number]
        claims = {claim for one in here for claim in one.claims}
        asked = Amount(volumes=len(claims))
        for one in here:
            asked = asked.plus(one.amount)
        if not asked.fits(node):
            return False
        for one, other in itertools.permutations(here, 2):
            if any(selector.matches(other.labels) for selector in one.repels):
                return False
        elsewhere = {claim for one, place in zip(items, places, strict=True) if place != number for claim in one.claims}
        if claims & elsewhere:
            return False
    for one in items:
        for spread in one.spreads:
            counts = [
                sum(
                    place == number and spread.selector.matches(other.labels)
                    for other, place in zip(items, places, strict=True)
                )
                for number in range(len(nodes))
            ]
            # Others of the same label need not be spread, so only what is fewer than them is for sure.
            if all(other.spreads for other in items if spread.selector.matches(other.labels)) and (
                max(counts) - min(counts) > spread.most_skew
            ):
                return False
    return True


@settings(max_examples=200)
@given(items=st.lists(item, max_size=5), count=st.integers(1, 3))
def test_what_is_said_to_fit_fits(items: list[Item], count: int) -> None:
    nodes = [Amount(1000, 1000, 0, 1, 4)] * count
    if not pack(items, nodes):
        assert any(is_valid(items, places, nodes) for places in itertools.product(range(count), repeat=len(items)))


@settings(max_examples=100)
@given(items=st.lists(item, max_size=8), count=st.integers(1, 3))
def test_what_does_not_fit_is_one_of_the_pods(items: list[Item], count: int) -> None:
    left = pack(items, [Amount(1000, 1000, 0, 1, 4)] * count)
    assert len(left) <= len(items)
    assert {id(one) for one in left} <= {id(one) for one in items}


def codes(model: ClusterModel) -> set[str]:
    """Return the codes of what is wrong."""
    return {finding.check.code for finding in prove(model)}


def workload(kind: str = "Deployment", **spec: Any) -> Manifest:
    """Return a workload that asks for all the memory of a large node."""
    pods = {"containers": [container("4", "64Gi", name="web")], **spec.pop("pods", {})}
    template = {"metadata": {"labels": LABELS}, "spec": pods}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": template, **spec},
    }


def test_nothing_is_said_of_the_room_on_nodes_that_nobody_knows() -> None:
    assert codes(model_of(workload())) == set()
    assert codes(model_of(workload(), cluster=Cluster("k3d", nodes=3))) == set()
    assert codes(model_of(workload(), cluster=Cluster("digitalocean", nodes=3))) == set()
    known = Cluster("digitalocean", nodes=3, size="s-4vcpu-8gb")
    assert codes(model_of(workload(), cluster=known)) == {"pod-larger-than-node"}


@pytest.mark.parametrize(
    ("nodes", "replicas", "bounds", "expected"),
    [
        (2, 2, {}, {"no-room-for-update", "no-room-without-node"}),
        (2, 2, {"maxSurge": 1, "maxUnavailable": 1}, {"no-room-without-node"}),
        (3, 2, {}, set()),
        (1, 1, {"maxSurge": 0, "maxUnavailable": 1}, set()),
        (1, 1, {}, {"no-room-for-update"}),
        (1, 2, {}, {"no-room"}),
    ],
)
def test_room_at_every_moment(nodes: int, replicas: int, bounds: Manifest, expected: set[str]) -> None:
    large = {"containers": [container("1", "5Gi", name="web")]}
    tree = workload(pods=large, replicas=replicas, strategy={"rollingUpdate": bounds})
    assert codes(model_of(tree, cluster=Cluster("digitalocean", nodes=nodes, size="s-4vcpu-8gb"))) == expected


TERMS = [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": LABELS}}]
APART = {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": TERMS}}}


def test_apart_on_nodes_of_which_only_the_number_is_known() -> None:
    tree = [workload("StatefulSet", replicas=4, pods=APART)]
    assert codes(model_of(*tree, cluster=Cluster("k3d", nodes=3))) == {"more-replicas-than-nodes"}
    assert codes(model_of(*tree, cluster=Cluster("k3d", nodes=4))) == set()
    assert codes(model_of(*tree)) == set()


@pytest.mark.parametrize(
    ("kind", "field"), [("HorizontalPodAutoscaler", "maxReplicas"), ("ScaledObject", "maxReplicaCount")]
)
def test_a_scaler_above_the_nodes_is_named_with_its_field(kind: str, field: str) -> None:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, field: 4}
    metadata = {"name": "web", "namespace": "shop"}
    scaler = {"apiVersion": "autoscaling/v2", "kind": kind, "metadata": metadata, "spec": spec}
    (finding,) = prove(model_of(workload(pods=APART), scaler, cluster=Cluster("k3d", nodes=3)))
    assert (finding.check.code, finding.field) == ("autoscaler-above-nodes", f"spec.{field}")


def claim(*modes: str) -> Manifest:
    """Return a claim."""
    metadata = {"name": "data", "namespace": "shop"}
    spec = {"accessModes": list(modes), "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "spec", "modes", "cluster", "shared"),
    [
        ("Deployment", {"replicas": 2}, ["ReadWriteOnce"], "", True),
        ("Deployment", {"replicas": 1}, ["ReadWriteOnce"], "", True),
        ("Deployment", {"replicas": 1, "strategy": {"type": "Recreate"}}, ["ReadWriteOnce"], "", False),
        ("Deployment", {"replicas": 2}, ["ReadWriteMany"], "", False),
        ("Deployment", {"replicas": 2}, ["ReadWriteOnce", "ReadWriteMany"], "", False),
        ("Deployment", {"replicas": 2}, ["ReadWriteOnce"], "k3d", False),
        ("Deployment", {"replicas": 0}, ["ReadWriteOnce"], "", False),
        ("DaemonSet", {}, ["ReadWriteOncePod"], "", True),
        ("StatefulSet", {"replicas": 1}, ["ReadWriteOnce"], "", False),
        ("Job", {"parallelism": 2}, ["ReadWriteOnce"], "", False),
    ],
)
def test_volumes_of_one_node(kind: str, spec: Manifest, modes: list[str], cluster: str, shared: bool) -> None:
    volumes = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
    tree = model_of(workload(kind, pods=volumes, **spec), claim(*modes), cluster=Cluster(cluster))
    assert codes(tree) == ({"read-write-once-shared"} if shared else set())


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"env": [{"name": "JAVA_OPTS", "value": "-Xms1g -Xmx1g"}]}, True),
        ({"env": [{"name": "JAVA_OPTS", "value": "-Xmx1024m"}]}, True),
        ({"env": [{"name": "JAVA_OPTS", "value": "-Xmx1048576k"}]}, True),
        ({"env": [{"name": "JAVA_OPTS", "value": "-Xmx1023m"}]}, False),
        ({"env": [{"name": "JAVA_OPTS", "value": "-XX:MaxHeapSize=2g"}]}, True),
        ({"env": [{"name": "JAVA_OPTS", "value": "-XX:MaxRAMPercentage=75"}]}, False),
        ({"env": [{"name": "HEAP", "value": "2g"}], "args": ["-Xmx$(HEAP)"]}, True),
        ({"env": [{"name": "MAX_HEAP_SIZE", "value": "1G"}]}, True),
        ({"env": [{"name": "MAX_HEAP_SIZE", "value": "auto"}]}, False),
    ],
    ids=str,
)
def test_heaps(spec: Manifest, found: bool) -> None:
    limited = {"name": "web", "resources": {"limits": {"memory": "1Gi"}}, **spec}
    tree = model_of(workload(pods={"containers": [limited]}))
    assert codes(tree) == ({"heap-above-limit"} if found else set())
    del limited["resources"]
    assert codes(model_of(workload(pods={"containers": [limited]}))) == set()


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "Deployment", "spec": []},
        {
            "kind": "Deployment",
            "spec": {"replicas": "2", "template": {"spec": {"containers": [None, "x"], "volumes": {}}}},
        },
        {"kind": "StatefulSet", "spec": {"volumeClaimTemplates": [None], "template": {"spec": {"affinity": []}}}},
        {"kind": "DaemonSet", "spec": {"template": {"spec": {"containers": [{"resources": []}], "overhead": 1}}}},
        {"kind": "HorizontalPodAutoscaler", "spec": {"scaleTargetRef": "web", "minReplicas": "1"}},
        {"kind": "PersistentVolumeClaim", "spec": {"accessModes": "ReadWriteOnce"}},
    ],
    ids=str,
)
def test_odd_objects_of_other_people_break_nothing(broken: Manifest) -> None:
    odd = {"apiVersion": "apps/v1", "metadata": {"name": "odd", "namespace": "odd"}, **broken}
    known = Cluster("digitalocean", nodes=3, size="s-4vcpu-8gb")
    assert codes(model_of(odd, workload(), cluster=known)) == {"pod-larger-than-node"}


def test_production_has_room_for_everything(trees: Mapping[str, Synthesized]) -> None:
    files = dict(trees["production"].files)
    assert codes(ClusterModel(Snapshot("production", files, None), ["argocd/production"])) == set()
    # Not because nothing is counted: a node less, and the autoscalers have no room any more.
    path = "bootstrap/cluster/production.tfvars.json"
    for more, less in ((b'"nodes": 4', b'"nodes": 3'), (b'"nodes_max": 5', b'"nodes_max": 4')):
        assert more in files[path]
        files[path] = files[path].replace(more, less)
    assert codes(ClusterModel(Snapshot("production", files, None), ["argocd/production"])) == {
        "no-room-at-maximum",
        "no-room-for-update",
        "no-room-without-node",
    }

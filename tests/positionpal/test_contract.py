"""PositionPal as it is synthesized, against every fact of ``contract.yaml`` that shows in the manifests.

The facts come from the contract and the observations from the synthesized bytes; what is written out here is only
what a fact means in Kubernetes. Facts about the cluster itself (region, pool, size, tags) do not show in manifests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

import pytest
from contract import (
    AGENT_IMAGES,
    CONTRACT,
    DATABASES,
    IMAGES,
    INFRASTRUCTURE,
    NAMESPACES,
    SERVICES,
    STORE_AGENTS,
    autoscaler_of,
    contract_tree,  # noqa: F401 - the fixture tree
    image_name,
    namespaced,
    needed,
    needed_ports,
    resolve,
    schema_pods,
    service_pods,
    store_pods,
)
from synthesized import Synthesized, wave

from constructs_lib.kinds.parts import images as added

#: What the tests below know how to check; a fact of another kind would go unchecked.
KNOWN_FACTS = {
    "": "system images namespaces services infrastructure order autoscaled databases cloud local dashboards",
    "services": "runtime exposed ports http_probe websockets env note talks_to database publishes files internet "
    "consumes akka_service_name replicas rbac resources",
    "infrastructure": "ports user persistence metrics one_per runs_as_uid replicas authentication "
    "cluster_name_and_dc prometheus grafana",
}


def test_every_kind_of_fact_is_known() -> None:
    """A contract with a new kind of fact needs a new test here."""
    assert set(CONTRACT) == set(KNOWN_FACTS[""].split())
    for part in ("services", "infrastructure"):
        assert {fact for facts in CONTRACT[part].values() for fact in facts} == set(KNOWN_FACTS[part].split())


# The system, its images and namespaces


def test_system(tree: Synthesized) -> None:
    """The system is delivered under its own name."""
    name = CONTRACT["system"]
    assert tree.root["metadata"]["name"] == name
    assert all(project["metadata"]["name"].startswith(f"{name}-") for project in tree.projects.values())
    assert {
        manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] for manifest in [*tree.objects(), *tree.delivered]
    } == {name}


@pytest.mark.parametrize("name", IMAGES)
def test_images(tree: Synthesized, name: str) -> None:
    """Each program and data store runs its image, and so does whatever prepares or serves it: one, with its digest.

    The contract's versions are those of one day, and a test that held them would refuse every update. What it says for
    good is whose image runs where; which version, ``versions.py`` says, and that it is pinned, is asked of each here.
    Beside it there is what measures it, and not what measures another kind, and what waits for what it needs.
    """
    measured_by = {AGENT_IMAGES[SERVICES[name]["runtime"]]} if name in SERVICES else STORE_AGENTS.get(name, set())
    owners = [name]
    if name in INFRASTRUCTURE and name not in NAMESPACES:
        owners = INFRASTRUCTURE[name]["one_per"]
    for owner in owners:
        kinds = ["Deployment"] if name in SERVICES else ["StatefulSet", "Job", "CronJob"]
        templates = tree.pods(NAMESPACES[owner], kinds)
        images = {container["image"] for template in templates for container in template.containers}
        assert measured_by <= images
        beside = {added.WAIT, added.RESTIC}
        assert [image_name(image) for image in images - measured_by - beside] == [IMAGES[name]]


def test_no_other_images(tree: Synthesized) -> None:
    """Nothing runs but these images, those that the library measures with, and what charts bring along.

    By their names: their versions move on from those of the contract (:func:`test_images`).
    """
    images = {container["image"] for template in tree.pods() for container in template.containers}
    # There is no Valkey, and nothing is saved outside of a laptop.
    others = {"REDIS_EXPORTER", *(["RESTIC"] if tree.environment == "local" else [])}
    measuring = {image for name, image in vars(added).items() if name.isupper() and name not in others}
    assert measuring <= images
    assert {image_name(image) for image in images - measuring} == set(IMAGES.values())


def test_no_other_containers(tree: Synthesized) -> None:
    """By their names: one program in each pod, what comes before it, and what measures it."""
    before = {"Deployment": ["telemetry", "wait"], "Job": [], "CronJob": []}
    looked_after = {"save": ["write"], "restore": ["fetch"], "look-after": []}
    saved = tree.environment == "production"
    stores = {
        "rabbitmq": (["prepare"], []),
        "cassandra": (["prepare", "telemetry", *["tools"] * saved], ["save"] * saved),
        "postgres": ([], ["exporter"]),
    }
    for template in tree.pods():
        server = template.program["name"]
        wanted = stores[server] if template.kind == "StatefulSet" else (before[template.kind], [])
        if template.kind == "CronJob":
            # RabbitMQ's own tools ask for its cookie.
            cookie = ["prepare"] if template.namespace == NAMESPACES["rabbitmq"] else []
            wanted = ([*cookie, *looked_after[server]] if saved else [], [])
        found = [
            [container["name"] for container in template.spec.get(kind, [])]
            for kind in ("initContainers", "containers")
        ]
        assert found == [wanted[0], [server, *wanted[1]]], template.name


@pytest.mark.parametrize(
    "reference",
    [
        "postgres",
        "postgres:18.6",
        f"postgres@sha256:{'0' * 64}",
        f"postgres:18.6@sha256:{'0' * 63}",
        f"registry.example:5000/postgres@sha256:{'0' * 64}",
    ],
)
def test_an_image_without_tag_or_digest_is_found(reference: str) -> None:
    """What the tests of images ask is more than a name."""
    with pytest.raises(AssertionError, match="has no tag, or no digest"):
        image_name(reference)


def test_the_name_of_an_image_has_its_registry() -> None:
    """The same name in another registry is another image."""
    assert image_name(f"registry.example:5000/shop/web:1.0@sha256:{'0' * 64}") == "registry.example:5000/shop/web"


@pytest.mark.parametrize("name", NAMESPACES)
def test_namespace_holds_the_service_and_its_stores_alone(tree: Synthesized, name: str) -> None:
    """One program or broker, its own data store, and the Jobs that serve that store."""
    kinds = sorted(template.kind for template in tree.pods(NAMESPACES[name]))
    # In production what every store holds is saved, and can be restored.
    saved = ["CronJob", "CronJob"] if tree.environment == "production" else []
    if name in DATABASES:
        dumped = ["CronJob"] if DATABASES[name]["kind"] == "postgres" else []
        assert kinds == [*(saved or dumped), "Deployment", "Job", "StatefulSet"]
    elif name in SERVICES:
        assert kinds == ["Deployment"]
    else:
        # The monitoring stack comes by its chart.
        users = ["Job"] if name == "rabbitmq" and tree.environment == "production" else []
        assert kinds == ([*saved, *users, "StatefulSet"] if name in CONTRACT["images"] else [])
    in_namespace = {
        application["metadata"]["name"]
        for application in tree.applications.values()
        if application["spec"]["destination"]["namespace"] == NAMESPACES[name]
    }
    folders = {component for component, objects in tree.components.items() if namespaced(objects) & {NAMESPACES[name]}}
    assert in_namespace == folders == {name}


def test_no_other_namespaces(tree: Synthesized) -> None:
    """Beside the system's own there is what secrets, nodes' metrics and, in the cloud, users and autoscaling need."""
    in_the_cloud = ["cert-manager", "metrics-server", "traefik"]
    platform = {"external-secrets", *(in_the_cloud if tree.environment == "production" else [])}
    platform.add("monitoring-nodes")
    names = {manifest["metadata"]["name"] for manifest in tree.objects("Namespace")}
    assert names == set(NAMESPACES.values()) | platform


# Order


def platform(tree: Synthesized) -> set[str]:
    """Return what the contract counts to the cluster: components without a namespace in it."""
    return set(tree.applications) - set(NAMESPACES)


def tiers(tree: Synthesized) -> list[set[str]]:
    """Return the Applications in the tiers of the contract's order; a service's own store is within its own."""
    words: dict[str, set[str]] = {
        "cluster": platform(tree),
        "prometheus and grafana": {"monitoring"},
        "each service's own data store": set(),
    }
    return [set().union(*(words.get(entry, {entry}) for entry in tier)) for tier in CONTRACT["order"]]


def test_order_between_applications(tree: Synthesized) -> None:
    """Whoever comes first in the contract's order is in an earlier wave."""
    waves = {name: wave(application) for name, application in tree.applications.items()}
    ordered = [tier for tier in tiers(tree) if tier]
    assert set().union(*ordered) == set(waves)
    for earlier, later in pairwise(ordered):
        assert max(waves[name] for name in earlier) < min(waves[name] for name in later)


def test_waves_are_as_few_as_the_graph_allows(tree: Synthesized) -> None:
    """Each Application is in the wave that the longest chain below it asks for: none is skipped, none is wasted."""
    before: dict[str, set[str]] = {name: set() for name in tree.applications}
    done: set[str] = set()
    for tier in tiers(tree):
        for name in tier:
            before[name] = done | set(needed(name) if name in SERVICES else [])
        done = done | tier
    waves: dict[str, int] = {}
    while len(waves) < len(before):
        ready = [name for name in before if name not in waves and before[name] <= waves.keys()]
        assert ready, "the contract's order has a cycle"
        waves |= {name: 1 + max((waves[other] for other in before[name]), default=-1) for name in ready}
    assert {name: wave(application) for name, application in tree.applications.items()} == waves
    assert set(waves.values()) == set(range(len(set(waves.values()))))


@pytest.mark.parametrize("service", DATABASES)
def test_order_within_a_service(tree: Synthesized, service: str) -> None:
    """The data store, then its schema, then the program."""
    stages = [wave(find(tree, service).owner) for find in (store_pods, schema_pods, service_pods)]
    assert stages == sorted(set(stages))


@pytest.mark.parametrize("service", SERVICES)
def test_programs_wait_for_what_they_need(tree: Synthesized, service: str) -> None:
    """The second line: should a wave open early, each program waits for every port that it needs."""
    *_, wait = service_pods(tree, service).spec["initContainers"]
    assert wait["name"] == "wait"
    waited = set()
    for target in wait["command"][4:]:
        host, _, port = target.partition(":")
        behind = resolve(tree, host)["metadata"]
        waited.add((behind["namespace"], behind["name"], int(port)))
    assert waited == {(target.namespace, target.name, port) for target, port in needed_ports(tree, service)}


# The cluster


def test_kubernetes_is_chosen_by_minor_version(tree: Synthesized) -> None:
    """Cloud providers drop patch releases; every namespace holds its pods to the rules of the one minor version."""
    versions = {
        manifest["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}-version"]
        for manifest in tree.objects("Namespace")
        for mode in ("enforce", "warn")
    }
    (version,) = versions
    assert re.fullmatch(r"v1\.\d+", version)


@pytest.mark.parametrize("service", [*SERVICES, "rabbitmq"])
def test_pods_are_spread_over_the_nodes(tree: Synthesized, service: str) -> None:
    """There are several nodes, and the loss of one must not take all pods of a workload that has several."""
    for template in tree.pods(NAMESPACES[service], ["Deployment", "StatefulSet"]):
        autoscaler = autoscaler_of(tree, template)
        if autoscaler or template.owner["spec"]["replicas"] > 1:
            (constraint,) = template.spec["topologySpreadConstraints"]
            assert constraint["topologyKey"] == "kubernetes.io/hostname"
            labels: Mapping[str, str] = constraint["labelSelector"]["matchLabels"]
            assert labels.items() <= dict(template.labels).items()

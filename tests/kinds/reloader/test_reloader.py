"""What a Reloader is told and granted, and which programs ask it for a restart."""

from __future__ import annotations

from typing import Any

import pytest
from systems import empty

from constructs_lib import (
    CronJob,
    ExternalSecrets,
    Microservice,
    Postgres,
    Reloader,
    System,
    Valkey,
    generated,
    synthesize,
)
from constructs_lib.synth.tree import Tree

AUTO = "secret.reloader.stakater.com/auto"


def shop(*provides: str) -> System:
    """Return a shop with programs that read secrets, and one that reads none."""
    system = empty("staging", *provides)
    ExternalSecrets(system, version="2.9.0")
    web = Microservice(system, "web", image="registry.example.com/web:1.0.0", ports={"http": 8080})
    orders = Microservice(
        system,
        "orders",
        image="registry.example.com/orders:1.0.0",
        ports={"http": 8080},
        env={"SIGNING_KEY": generated("signs orders")},
    )
    database = Postgres(orders, "database", image="postgres:18.6", database="orders", user="orders", storage="1Gi")
    cache = Valkey(orders, "cache", image="valkey/valkey:8.1.4")
    report = CronJob(orders, "report", image="registry.example.com/report:1.0.0", schedule="5 4 * * *")
    for client in (orders, report):
        client.needs(database.endpoint("sql"), {"DB_PASSWORD": "password"})
    orders.needs(cache.endpoint("resp"), {"CACHE_PASSWORD": "password"})
    web.needs(orders.endpoint("http"))
    return system


def asking(tree: Tree) -> set[str]:
    """Return the objects that ask for a restart, by kind and name."""
    found = [tree.manifest(path) for path in tree.files if path.startswith("dist/")]
    return {
        f"{each['kind']}/{each['metadata']['name'].partition('-schema')[0]}"
        for each in found
        if each["metadata"].get("annotations", {}).get(AUTO) == "true"
    }


@pytest.fixture(scope="module")
def tree() -> Tree:
    system = shop()
    Reloader(system, version="2.2.16")
    return synthesize(system)


def test_what_reads_secrets_at_its_start_asks_for_a_restart(tree: Tree) -> None:
    # The database's server goes on, and its Job brings the password into it; CronJobs start anew by themselves.
    assert asking(tree) == {"Deployment/orders", "StatefulSet/orders-cache", "Job/orders-database"}


def test_nobody_asks_without_a_reloader() -> None:
    assert asking(synthesize(shop())) == set()


def test_the_cluster_may_bring_it() -> None:
    tree = synthesize(shop("reloader"))
    assert asking(tree) == {"Deployment/orders", "StatefulSet/orders-cache", "Job/orders-database"}
    assert not [path for path in tree.files if "reloader" in path]


def rules(tree: Tree, component: str) -> dict[str, list[str]]:
    """Return the verbs that a component grants the Reloader, by resource."""
    role: dict[str, Any] = tree.manifest(f"dist/staging/{component}/Role-reloader.yaml")
    return {resource: rule["verbs"] for rule in role["rules"] for resource in rule["resources"]}


def test_it_may_act_where_programs_read_secrets(tree: Tree) -> None:
    assert "dist/staging/web/Role-reloader.yaml" not in tree.files
    assert rules(tree, "reloader") == {"secrets": ["get", "list", "watch"]}
    assert rules(tree, "orders") == {
        "secrets": ["get", "list", "watch"],
        **{kind: ["get", "list", "patch", "update"] for kind in ("daemonsets", "deployments", "statefulsets")},
        "jobs": ["create", "delete", "get", "list"],
        "events": ["create", "patch"],
    }
    binding = tree.manifest("dist/staging/orders/RoleBinding-reloader.yaml")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "reloader", "namespace": "reloader"}]
    assert not [path for path in tree.files if "ClusterRole" in path]


def test_it_is_told_the_namespaces_that_grant_it_something(tree: Tree) -> None:
    (chart, _) = tree.manifest("argocd/staging/Application-reloader.yaml")["spec"]["sources"]
    values = chart["helm"]["valuesObject"]["reloader"]
    assert values["namespaces"] == ["orders"]
    assert (values["watchGlobally"], values["rbac"]) == (False, {"enabled": False})


def test_its_project_permits_nothing_of_the_cluster(tree: Tree) -> None:
    spec = tree.manifest("argocd/staging/AppProject-shop-reloader.yaml")["spec"]
    assert [entry["name"] for entry in spec["clusterResourceWhitelist"]] == ["reloader"]
    assert [entry["namespace"] for entry in spec["destinations"]] == ["reloader"]

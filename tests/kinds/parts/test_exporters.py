"""What measures data stores, and how little it may."""

from __future__ import annotations

from typing import Any

import pytest
from measured_shop import IMAGE, STORES, Python, named, shop, the_pods, tree_of, web

from constructs_lib import Cassandra, Jvm, Monitoring, Nodejs, Postgres, RabbitMQ, System, synthesize

#: Of a container in a namespace with the standard "restricted" and a read-only root file system.
SECURE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def postgres(system: System, **more: Any) -> Postgres:
    return Postgres(system, "db", database="shop", **STORES, **more)


def cassandra(system: System, **more: Any) -> Cassandra:
    return Cassandra(system, "db", keyspace="shop", nodes=1, **STORES, **more)


@pytest.mark.parametrize(("monitored", "more"), [(False, {}), (True, {"exporter": None}), (False, {"exporter": None})])
def test_postgres_without_an_exporter(monitored: bool, more: dict[str, None]) -> None:
    system = shop(monitored=monitored)
    postgres(system, **more)
    tree = tree_of(system)
    template = the_pods(tree, "StatefulSet")
    assert [container["name"] for container in template.containers] == ["postgres"]
    assert list(named(template.spec["volumes"])) == ["run", "tmp", "password"]
    job = the_pods(tree, "Job")
    assert not [variable for variable in job.program["env"] if variable["name"].startswith("METRICS_")]
    passwords = [value["key"] for value in tree.secrets["values"] if value["component"] == "db"]
    assert passwords == ["password", "superuser-password"]
    assert {monitor["metadata"]["name"] for monitor in tree.objects("PodMonitor")} == (
        {"argocd"} if monitored else set()
    )


@pytest.mark.parametrize(
    ("monitored", "more"), [(False, {}), (True, {"telemetry": None}), (False, {"telemetry": None})]
)
def test_cassandra_without_an_agent(monitored: bool, more: dict[str, None]) -> None:
    system = shop(monitored=monitored)
    cassandra(system, **more)
    tree = tree_of(system)
    template = the_pods(tree, "StatefulSet")
    assert [container["name"] for container in template.containers] == ["prepare", "cassandra"]
    assert "telemetry" not in named(template.spec["volumes"])
    names = list(named(template.program["env"]))
    assert not [name for name in names if name.startswith(("OTEL_", "JVM_", "JAVA_"))]
    assert template.program["resources"]["requests"]["memory"] == "1Gi"
    assert list(tree.the("ConfigMap", "db", "db")["data"]) == ["overrides.yaml"]
    assert "otel-metrics" not in named(template.program["ports"])
    assert {monitor["metadata"]["name"] for monitor in tree.objects("PodMonitor")} == (
        {"argocd"} if monitored else set()
    )


@pytest.mark.parametrize("first", [True, False])
def test_stores_are_measured_wherever_monitoring_is_declared(first: bool) -> None:
    """Before them or after them: it is the system that is watched."""
    system = shop(monitored=first)
    postgres(system)
    if not first:
        Monitoring(system, version="88.5.3", storage="10Gi", retention_days=3)
    tree = tree_of(system)
    template = the_pods(tree, "StatefulSet")
    assert [container["name"] for container in template.containers] == ["postgres", "exporter"]
    assert [port["containerPort"] for port in template.container("exporter")["ports"]] == [9187]
    assert tree.the("PodMonitor", "monitoring", "db")["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"


def test_a_system_may_be_synthesized_twice() -> None:
    system = shop()
    postgres(system)
    web(system, telemetry=Nodejs())
    assert synthesize(system).files == synthesize(system).files


def test_clients_are_told_nothing_of_the_exporter() -> None:
    """The client's Service of a store has the port that clients use, and no other."""
    system = shop()
    service = web(system, telemetry=Jvm())
    service.needs(Postgres(service, "pg", database="shop", **STORES).endpoint("sql"))
    service.needs(Cassandra(service, "ring", keyspace="shop", nodes=1, **STORES).endpoint("cql"))
    tree = tree_of(system)
    for name, port in (("web-pg", "sql"), ("web-ring", "cql")):
        manifest = tree.the("Service", "web", name)
        assert [entry["name"] for entry in manifest["spec"]["ports"]] == [port]


def test_new_containers_are_restricted() -> None:
    """No privileges, a root file system that nobody writes to, a user that is not root, and limits."""
    system = shop()
    service = web(system, telemetry=Nodejs())
    Postgres(service, "pg", database="shop", **STORES)
    Cassandra(service, "ring", keyspace="shop", nodes=1, **STORES)
    RabbitMQ(service, "broker", **STORES)
    web(system, "stock", telemetry=Python(image=IMAGE))
    tree = tree_of(system)
    seen = []
    for template in tree.pods():
        assert template.spec["securityContext"]["runAsNonRoot"] is True
        assert template.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert template.spec["automountServiceAccountToken"] is False
        for container in template.containers:
            assert container["securityContext"] == SECURE, container["name"]
            assert set(container["resources"]) == {"requests", "limits"}
            seen.append(container["name"])
    assert seen.count("telemetry") == 3
    assert seen.count("exporter") == 1


def test_the_exporter_has_its_password_in_a_file_alone() -> None:
    system = shop()
    postgres(system)
    tree = tree_of(system)
    exporter = the_pods(tree, "StatefulSet").container("exporter")
    assert {variable["name"]: variable["value"] for variable in exporter["env"]} == {
        "DATA_SOURCE_PASS_FILE": "/run/secrets/metrics/password",
        "DATA_SOURCE_URI": "127.0.0.1:5432/shop?sslmode=disable",
        "DATA_SOURCE_USER": "metrics_exporter",
    }
    assert exporter["volumeMounts"] == [{"name": "metrics", "mountPath": "/run/secrets/metrics", "readOnly": True}]
    assert "command" not in exporter
    assert "args" not in exporter

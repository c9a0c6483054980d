"""What is an address, what it names, and that all proofs know of the same calls."""

from __future__ import annotations

from typing import Any

import pytest
from small_trees import Manifest, deployed, manifest

from constructs_lib.check.calls import Calls, addresses, resolve
from constructs_lib.check.capacity import proof as capacity
from constructs_lib.check.order import proof as order
from constructs_lib.check.reachability import proof as reachability
from constructs_lib.check.references import proof as references


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db:5432", ["db:5432 alone"]),
        ("redis://db", ["db:6379 alone"]),
        ("amqp://user:pass@rabbit.mq.svc:5672/%2f", ["rabbit.mq.svc:5672 alone"]),
        ("jdbc:postgresql://db.shop.svc:5432/shop?user=a", ["db.shop.svc:5432 alone"]),
        ("a.x:9092, b.x:9093", ["a.x:9092 alone", "b.x:9093 alone"]),
        ("db.shop.svc.cluster.local.:5432", ["db.shop.svc.cluster.local:5432 alone"]),
        ("node@$(POD_NAME).db.shop.svc", ["unknown.db.shop.svc alone"]),
        ("_sql._tcp.db.shop.svc", ["_sql._tcp.db.shop.svc alone"]),
        ("nc -z db 5432", ["db:5432 nearby"]),
        ("exec 3<>/dev/tcp/db/5432", ["db:5432 nearby"]),
        ("psql -h db -p 5433", ["db:5433 nearby host"]),
        ("pg_isready --host=db", ["db host"]),
        ("say db:5432 twice", ["db:5432"]),
        ("HOST:80 $host:81 x_y:82 z:345678 db", []),
    ],
)
def test_addresses_in_texts(text: str, expected: list[str]) -> None:
    marks = {"alone": "is_alone", "nearby": "is_loose", "host": "is_host"}
    assert [
        " ".join([str(each), *(mark for mark, field in marks.items() if getattr(each, field))])
        for each in addresses(text)
        if each.port or each.is_host or ".svc" in each.host
    ] == expected


def service(name: str = "db", **spec: Any) -> Manifest:
    return manifest("Service", name, spec={"selector": {"app": name}, "ports": [{"port": 9042}], **spec})


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("db", ("db", "shop", "")),
        ("db.shop", ("db", "shop", "")),
        ("db-0.db", ("db", "shop", "db-0")),
        ("db-0.db.shop", ("db", "shop", "db-0")),
        ("db.shop.svc", ("db", "shop", "")),
        ("db.shop.svc.cluster.local", ("db", "shop", "")),
        ("db-0.db.shop.svc.cluster.local", ("db", "shop", "db-0")),
        ("_sql._tcp.db.shop.svc.cluster.local", ("db", "shop", "")),
        ("unknown.db.shop.svc.cluster.local", ("db", "shop", "")),
        # Named for certain, whether there is one or not.
        ("other.shop.svc", ("other", "shop", "")),
        ("db.svc.cluster.local", ("db", "", "")),
        ("other", None),
        ("db.other", None),
        ("a.db-0.db.shop", None),
        ("unknown.shop.svc", None),
        ("unknown-db.shop.svc", None),
        ("icon.svc", None),
        ("logo.svc.png", None),
        ("example.com", None),
    ],
)
def test_names(host: str, name: tuple[str, str, str] | None) -> None:
    found = resolve(deployed(service()), host, "shop")
    assert (found and (found.service, found.namespace, found.pod)) == name


DENY = manifest("NetworkPolicy", "deny", api_version="networking.k8s.io/v1", spec={"podSelector": {}})
DATABASE = manifest(
    "StatefulSet",
    "db",
    2,
    "apps/v1",
    spec={
        "serviceName": "db",
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "db", "ports": [{"name": "cql", "containerPort": 9042}]}]},
        },
    },
)
#: Needs more nodes than there are of whatever ring it is run against.
KEYSPACE = "cqlsh -e \"CREATE KEYSPACE a WITH replication = {'class': 'NetworkTopologyStrategy', 'dc': 3}\""


def job(**container: Any) -> Manifest:
    """Return a Job that comes before the database, and needs three nodes of it."""
    env = [{"name": name, "value": value} for name, value in container.pop("env", {}).items()]
    command = [*container.pop("command", ["sh", "-c"]), KEYSPACE]
    pod = {"restartPolicy": "Never", "containers": [{"name": "prepare", "env": env, "command": command, **container}]}
    return manifest(
        "Job", "prepare", 1, "batch/v1", spec={"template": {"metadata": {"labels": {"app": "j"}}, "spec": pod}}
    )


CALLS: list[Any] = [
    {"command": ["sh", "-c", "until nc -z db 9042; do sleep 1; done"]},
    {"command": ["sh", "-c", "until nc -z db.shop 9042; do sleep 1; done"]},
    {"command": ["sh", "-c", "until nc -z db.shop.svc.cluster.local 9042; do sleep 1; done"]},
    {"command": ["sh", "-c", "until nc -z db.shop.svc 9042\ndo sleep 1\ndone"]},
    {"command": ["pg_isready", "-h", "db.shop"]},
    {"command": ["pg_isready", "-h", "db"]},
    {"command": ["pg_isready", "-h", "db.shop.svc.cluster.local", "-p", "9042"]},
    {"command": ["wait-for", "db-0.db.shop"]},
    {"command": ["redis-cli", "--host=db"]},
    {"command": ["run", "exec 3<>/dev/tcp/db/9042"]},
    {"command": ["run", "--database", "db.shop:9042"]},
    {"command": ["run", "cassandra://db.shop/keyspace"]},
    {"env": {"URL": "cassandra://user@db:9042/shop"}},
    {"env": {"DATABASE": "cassandra://db"}},
    {"env": {"DB_HOST": "db", "DB_PORT": "9042"}},
    {"env": {"dbHost": "db", "dbPort": "9042"}},
    {"env": {"DB": "db", "DB_PORT": "9042"}},
    {"env": {"DB_HOST": "db"}},
    {"env": {"DB": "db.shop"}},
    {"env": {"DB": "db.shop.svc"}},
    {"env": {"SEEDS": "db-0.db.shop,db-1.db.shop"}},
    {"env": {"HOST": "db", "URL": "tcp://$(HOST):9042/"}},
    {"env": {"NAME": "db"}, "command": ["run", "--dsn=tcp://$(NAME):9042"]},
    {"env": {"JAVA_OPTS": "-Xmx1g -Ddb=db:9042"}},
]


@pytest.mark.parametrize("told", CALLS, ids=str)
@pytest.mark.parametrize("headless", [False, True])
def test_all_proofs_know_of_a_call(told: Manifest, headless: bool) -> None:
    found = deployed(job(**told), DATABASE, service(**({"clusterIP": "None"} if headless else {})), DENY)
    calls = found.once(Calls).inside
    assert {(call.source.owner.name, call.service.name, call.port in (None, 9042)) for call in calls} == {
        ("prepare", "db", True)
    }
    assert "call-blocked" in {finding.check.code for finding in reachability.PROOF.prove(found)}
    assert "dependency-in-later-wave" in {finding.check.code for finding in order.PROOF.prove(found)}
    assert "replication-above-nodes" in {finding.check.code for finding in capacity.PROOF.prove(found)}


@pytest.mark.parametrize(
    "told",
    [
        {"env": {"DB_USER": "db"}},
        {"env": {"IMAGE": "db:17"}},
        {"env": {"LOG": "see db 80 for more"}},
        {"env": {"TABLE": "select * from db.shop where a"}},
        {"env": {"DB_HOST": "db.other.svc:9042"}},
        {"env": {"DB_HOST": "db.example.com:9042"}},
        {"env": {"PATH": "/usr/lib/db:/usr/bin"}},
        {"env": {"URL": "http://$(DB)/"}},
        {"command": ["run", "db"]},
        {"command": ["cat", "/var/lib/db.shop"]},
        {"command": ["run", "--user=db", "--file=db.json"]},
        {"command": ["head", "-n", "db", "20"]},
    ],
    ids=str,
)
def test_what_only_looks_like_a_call(told: Manifest) -> None:
    found = deployed(job(**told), DATABASE, service(), DENY)
    assert found.once(Calls).inside == []
    codes = {finding.check.code for proof in (reachability, order, capacity) for finding in proof.PROOF.prove(found)}
    assert codes.isdisjoint({"call-blocked", "dependency-in-later-wave", "replication-above-nodes"})


def test_files_are_read_as_well() -> None:
    """But nobody knows which container reads them, and when."""
    for text, expected in (("host: db\nport: 9042", []), ("contact: db:9042", ["db:9042"]), ("see db 9042", [])):
        settings = manifest("ConfigMap", "settings", data={"a.conf": text})
        prepare = job(volumeMounts=[{"name": "v", "mountPath": "/v"}])
        prepare["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "configMap": {"name": "settings"}}]
        found = deployed(prepare, DATABASE, service(), settings)
        assert [call.address for call in found.once(Calls).inside] == expected
        assert not any(call.is_awaited for call in found.once(Calls).inside)


@pytest.mark.parametrize(
    ("container", "is_init", "kind", "waits"),
    [
        ({}, False, "Deployment", False),
        ({}, True, "Deployment", True),
        ({"restartPolicy": "Always"}, True, "Deployment", False),
        ({}, False, "Job", True),
        ({}, True, "CronJob", False),
    ],
)
def test_who_waits(container: Manifest, is_init: bool, kind: str, waits: bool) -> None:
    key = "initContainers" if is_init else "containers"
    spec: Manifest = {"template": {"spec": {key: [{"name": "web", "args": ["nc -z db 9042"], **container}]}}}
    spec = {"jobTemplate": {"spec": spec}} if kind == "CronJob" else spec
    calls = deployed(manifest(kind, "web", spec=spec), DATABASE, service()).once(Calls).inside
    assert [call.is_awaited for call in calls] == [waits]


@pytest.mark.parametrize(
    ("told", "codes"),
    [
        ({"env": {"DB": "db.shop.svc:9043"}}, ["address-port-unknown"]),
        ({"env": {"DB": "db.shop:9043"}}, ["address-port-unknown"]),
        ({"env": {"DB": "db:9043"}}, ["address-port-unknown"]),
        ({"env": {"DB": "http://db"}}, ["address-port-unknown"]),
        ({"env": {"DB_HOST": "db", "DB_PORT": "9043"}}, ["address-port-unknown"]),
        ({"env": {"DB_HOST": "db.shop", "DB_PORT": "9043"}}, ["address-port-unknown"]),
        ({"env": {"DB_HOST": "db.shop", "DB_PORT": "9042"}}, []),
        ({"env": {"HOST": "db", "URL": "tcp://$(HOST):9043"}}, ["address-port-unknown"]),
        ({"env": {"DB": "db-9.db.shop"}}, ["address-without-pod"]),
        ({"env": {"DB": "de.shop.svc"}}, ["address-without-service"]),
        ({"env": {"DB": "de.shop"}}, []),
        ({"command": ["nc", "-z", "db.shop.svc", "9043"]}, []),
        ({"command": ["run", "say db:9043 twice"]}, []),
    ],
    ids=str,
)
def test_addresses_that_lead_nowhere(told: Manifest, codes: list[str]) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    found = deployed(job(**told), DATABASE, service(clusterIP="None" if "9.db" in str(told) else ""), namespace)
    assert [
        finding.check.code for finding in references.PROOF.prove(found) if finding.check.code.startswith("address-")
    ] == codes

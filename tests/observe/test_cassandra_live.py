"""A real Cassandra node: its configuration, the Job that makes its schema, and what Prometheus and Grafana ask of it.

    WRITE_EVIDENCE=1 pytest tests/observe/test_cassandra_live.py

writes ``constructs_lib/observe/evidence/cassandra.yaml`` anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from asking import Asked
from cassandra_node import PASSWORD, ROOT, Node, cassandra_node
from processes import Prometheus, prometheus
from scraping import Pod, scrape_configs
from systems import monitored

from constructs_lib import Cassandra
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.manifests import component_manifests

SCHEMA = ROOT / "schemas" / "locationservice.cql"
TABLES = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SCHEMA.read_text())
#: Alerts that are true by what is asked of the node here.
TRUE = ("CassandraRequestsFailing",)


@pytest.fixture(scope="module")
def graph() -> Graph:
    """A system with a ring of one node."""
    system = monitored("test", nodes=1)
    Cassandra(
        system,
        "history",
        image="cassandra:5.0.8",
        keyspace="history",
        user="owner",
        nodes=1,
        storage="1Gi",
        schema=[SCHEMA],
    )
    return Graph(system)


@pytest.fixture(scope="module")
def node(graph: Graph) -> Iterator[Node]:
    """The node, with its schema."""
    [history] = (each for each in graph.system.components if each.id == "history")
    with cassandra_node(component_manifests(history, graph)) as found:
        result = found.apply_schema()
        assert result.returncode == 0, result.stdout + found.log.read_text()[-4000:]
        yield found


def state(node: Node, password: str = PASSWORD) -> str:
    """Return the roles, the keyspaces and the tables."""
    asked = (
        "SELECT role, can_login, is_superuser FROM system_auth.roles; SELECT * FROM system_schema.keyspaces;"
        "SELECT keyspace_name, table_name, id, gc_grace_seconds FROM system_schema.tables;"
    )
    result = node.query(asked, "owner", password)
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_the_schema_is_in_place(node: Node) -> None:
    found = state(node)
    assert re.search(r"owner \| +True \| +True", found)
    assert re.search(r"cassandra \| +False \| +False", found)
    assert re.search(
        r"history \|.*'class': 'org.apache.cassandra.locator.NetworkTopologyStrategy', 'datacenter1': '1'", found
    )
    assert {table.lower() for table in TABLES} <= {*re.findall(r"history \| +(\w+)", found)}


def test_nobody_gets_in_by_the_built_in_login_or_without_one(node: Node) -> None:
    for password in ("cassandra", PASSWORD):
        assert node.query("SELECT key FROM system.local", "cassandra", password).returncode != 0
    assert node.query("SELECT key FROM system.local", "owner", "wrong").returncode != 0


def test_the_job_runs_again_with_a_changed_password(node: Node) -> None:
    """As docs/bootstrap.md has it: the server first, then what reads the Secret; nothing else changes."""
    before = state(node)
    changed = node.query("ALTER ROLE \"owner\" WITH PASSWORD = 'another ''one'''", "owner")
    assert changed.returncode == 0, changed.stdout
    assert node.query("SELECT key FROM system.local", "owner").returncode != 0
    result = node.apply_schema("another 'one'")
    assert result.returncode == 0, result.stdout
    assert state(node, "another 'one'") == before
    quoted = PASSWORD.replace("'", "''")
    back = node.query(f"ALTER ROLE \"owner\" WITH PASSWORD = '{quoted}'", "owner", "another 'one'")
    assert back.returncode == 0, back.stdout


@pytest.fixture(scope="module")
def server(node: Node, graph: Graph) -> Iterator[Prometheus]:
    """A Prometheus that scrapes it, as PodMonitor and rules of the library have it."""
    [monitoring] = (each for each in graph.system.components if each.id == "monitoring")
    manifests = component_manifests(monitoring, graph)
    pod = Pod(
        "history", "history-0", {"otel-metrics": node.metrics}, {"app.kubernetes.io/name": "history"}, "cassandra"
    )
    monitors = [each for each in manifests if each["kind"] == "PodMonitor"]
    rules = [each["spec"] for each in manifests if each["kind"] == "PrometheusRule"]
    with prometheus([each for monitor in monitors for each in scrape_configs(monitor, [pod])], rules) as found:
        found.wait_for("cassandra_client_request_count_total and on () cassandra_client_request_errors_total")
        yield found


def test_every_expression_about_it_gives_data(node: Node, server: Prometheus, graph: Graph) -> None:
    # What is read from memory asks no cache, so that one table is written to disk at once.
    made = node.query(
        "CREATE TABLE history.seen (id int PRIMARY KEY) WITH memtable_flush_period_in_ms = 500;"
        "INSERT INTO history.seen (id) VALUES (1);"
        "CREATE KEYSPACE missing WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 3};"
        "CREATE TABLE missing.nodes (id int PRIMARY KEY);",
        "owner",
    )
    assert made.returncode == 0, made.stdout
    server.wait_for('cassandra_keyspace_disk_live_bytes{keyspace="history"} > 0')
    # Two of three copies have no node.
    in_vain = "".join(f"SELECT * FROM missing.nodes WHERE id = {number};" for number in range(50))
    read = "".join(f"SELECT * FROM history.seen WHERE id = {number};" for number in (1, 1, 1, 2))
    assert "Cannot achieve consistency level ALL" in node.query(f"{read} CONSISTENCY ALL; {in_vain}", "owner").stdout
    asked = Asked(server, graph)
    for name in TRUE:
        server.wait_for(asked.alerts[name])
    assert asked.silent() == []
    asked.hold_to("cassandra", [asked.alerts[name] for name in TRUE])

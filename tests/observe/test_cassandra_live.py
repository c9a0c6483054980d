"""A real Cassandra ring: its configuration, the Job that makes its schema, and what Prometheus and Grafana ask of it.

    WRITE_EVIDENCE=1 pytest tests/observe/test_cassandra_live.py

writes ``constructs_lib/observe/evidence/cassandra.yaml`` anew. The tests follow each other: at last a node is down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from asking import Asked
from processes import Prometheus, prometheus
from real_cassandra import ROOT, Node, cassandra_ring
from scraping import Pod, scrape_configs
from systems import monitored

from constructs_lib import Cassandra
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.manifests import component_manifests

SCHEMA = ROOT / "schemas" / "locationservice.cql"
TABLES = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SCHEMA.read_text())
READ = "SELECT * FROM history.ScopedUserInfo"
#: What the role of a service may not do, though another role that is not declared may.
FORBIDDEN = (
    "CREATE TABLE history.more (id int PRIMARY KEY)",
    "ALTER TABLE history.ScopedUserInfo ADD more int",
    "DROP TABLE history.ScopedUserInfo",
    "CREATE INDEX ON history.ScopedUserInfo (status)",
    "DROP KEYSPACE history",
    "ALTER KEYSPACE history WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}",
    "CREATE KEYSPACE more WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "SELECT * FROM others.secrets",
    "INSERT INTO others.secrets (id) VALUES (1)",
    "SELECT * FROM system_auth.roles",
    "UPDATE system_auth.roles SET is_superuser = true WHERE role = 'owner'",
    "CREATE ROLE more WITH LOGIN = true AND PASSWORD = 'x'",
    'ALTER ROLE "owner" WITH SUPERUSER = true',
    "ALTER ROLE schema_owner WITH PASSWORD = 'x'",
    "DROP ROLE schema_owner",
    'GRANT schema_owner TO "owner"',
    'GRANT ALL ON KEYSPACE history TO "owner"',
)
#: Alerts that are true while a node is down.
TRUE = ("CassandraNodeDown", "CassandraRequestsFailing")


@pytest.fixture(scope="module")
def graph() -> Graph:
    """A system with a ring of two nodes."""
    system = monitored("test", nodes=2)
    Cassandra(
        system,
        "history",
        image="cassandra:5.0.8",
        keyspace="history",
        user="owner",
        nodes=2,
        storage="1Gi",
        schema=[SCHEMA],
    )
    return Graph(system)


@pytest.fixture(scope="module")
def ring(graph: Graph) -> Iterator[list[Node]]:
    """The nodes, with their schema."""
    [history] = (each for each in graph.system.components if each.id == "history")
    with cassandra_ring(component_manifests(history, graph), size=2) as found:
        result = found[0].apply_schema()
        assert result.returncode == 0, result.stdout + found[0].log.read_text()[-4000:]
        yield found


@pytest.fixture(scope="module")
def server(ring: list[Node], graph: Graph) -> Iterator[Prometheus]:
    """A Prometheus that scrapes it, as PodMonitor and rules of the library have it."""
    [monitoring] = (each for each in graph.system.components if each.id == "monitoring")
    manifests = component_manifests(monitoring, graph)
    ports = {"otel-metrics": ring[0].metrics}
    pod = Pod("history", "history-0", ports, {"app.kubernetes.io/name": "history"}, "cassandra")
    monitors = [each for each in manifests if each["kind"] == "PodMonitor"]
    rules = [each["spec"] for each in manifests if each["kind"] == "PrometheusRule"]
    with prometheus([each for monitor in monitors for each in scrape_configs(monitor, [pod])], rules) as found:
        found.wait_for("cassandra_client_request_count_total and on () cassandra_client_request_errors_total")
        yield found


def state(node: Node) -> str:
    """Return the roles, the keyspaces and the tables."""
    asked = (
        "SELECT role, can_login, is_superuser FROM system_auth.roles; SELECT * FROM system_schema.keyspaces;"
        "SELECT keyspace_name, table_name, id, gc_grace_seconds FROM system_schema.tables;"
    )
    result = node.query(asked)
    assert result.returncode == 0, result.stdout
    return result.stdout


def addresses(node: Node) -> dict[str, str]:
    """Return the addresses of the ring's nodes, each with the name that it keeps on its volume."""
    asked = "SELECT broadcast_address, host_id FROM system.local; SELECT peer, host_id FROM system.peers_v2;"
    result = node.query(asked)
    assert result.returncode == 0, result.stdout
    return dict(re.findall(r"([\d.]+) \| ([\da-f-]{36})", result.stdout))


def test_the_schema_is_in_place_at_each_node(ring: list[Node]) -> None:
    for node in ring:
        found = state(node)
        assert re.search(r" owner \| +True \| +False", found)
        assert re.search(r"schema_owner \| +True \| +True", found)
        assert re.search(r"cassandra \| +False \| +False", found)
        assert re.search(r"history \|.*locator.NetworkTopologyStrategy', 'datacenter1': '2'", found)
        assert {table.lower() for table in TABLES} <= {*re.findall(r"history \| +(\w+)", found)}


def test_nobody_gets_in_by_the_built_in_login_or_without_one(ring: list[Node]) -> None:
    for node in ring:
        assert node.query("SELECT key FROM system.local", "cassandra", "cassandra").returncode != 0
    assert ring[0].query("SELECT key FROM system.local", "owner", "wrong").returncode != 0


def test_the_job_runs_again_with_a_changed_password(ring: list[Node]) -> None:
    """As a new value in the store has it; nothing else changes."""
    node, other = ring
    before = state(node)
    result = node.apply_schema("another 'one'")
    assert result.returncode == 0, result.stdout
    assert state(node) == before
    for each in ring:
        assert each.query(READ, "owner", "another 'one'").returncode == 0
    assert other.query(READ, "owner").returncode != 0
    result = node.apply_schema()
    assert result.returncode == 0, result.stdout
    assert other.query(READ, "owner", "another 'one'").returncode != 0
    assert other.query(READ, "owner").returncode == 0


def test_service_reads_and_writes_rows(ring: list[Node]) -> None:
    """All that the programs of PositionPal do: their tables are made by the Job."""
    for node in ring:
        key = f"groupid = 'g' AND userid = '{node.address}'"
        result = node.query(
            f"INSERT INTO history.ScopedUserInfo (GroupId, UserId, Status) VALUES ('g', '{node.address}', 'lost');"
            f"UPDATE history.ScopedUserInfo SET Status = 'found' WHERE {key};"
            f"SELECT status FROM history.ScopedUserInfo WHERE {key};"
            f"DELETE FROM history.ScopedUserInfo WHERE {key};"
            "SELECT table_name FROM system_schema.tables; SELECT key FROM system.local;",
            "owner",
        )
        assert result.returncode == 0, result.stdout
        assert re.search(r"status\n-+\n +found\n", result.stdout)
    emptied = ring[0].query("TRUNCATE history.ScopedUserInfo", "owner")
    assert emptied.returncode == 0, emptied.stdout


def test_service_may_do_nothing_else(ring: list[Node]) -> None:
    """Neither make a table, nor see another keyspace or a role."""
    node = ring[0]
    node.query(
        "CREATE KEYSPACE IF NOT EXISTS others WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};"
        "CREATE TABLE IF NOT EXISTS others.secrets (id int PRIMARY KEY);"
    )
    before = state(node)
    for statement in FORBIDDEN:
        result = node.query(statement, "owner")
        assert result.returncode != 0, statement
        assert re.search("Unauthorized|Unauthorised|permission|superuser", result.stdout), result.stdout
    assert state(node) == before
    dropped = node.query("DROP KEYSPACE others")
    assert dropped.returncode == 0, dropped.stdout


def test_ring_of_before_is_converted(ring: list[Node]) -> None:
    """There, the clients' role was the superuser that made the keyspace and its tables, and a person made more."""
    node = ring[0]
    result = node.query('ALTER ROLE "owner" WITH SUPERUSER = true')
    assert result.returncode == 0, result.stdout
    result = node.query(
        """DROP ROLE schema_owner; CREATE ROLE another;
        CREATE KEYSPACE others WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
        CREATE TABLE history.made (id int PRIMARY KEY); INSERT INTO history.made (id) VALUES (1);
        GRANT ALL ON KEYSPACE history TO "owner"; GRANT ALL ON ALL KEYSPACES TO "owner";
        GRANT ALL ON ALL ROLES TO "owner"; GRANT ALL ON ALL FUNCTIONS TO "owner";
        GRANT ALL ON ALL MBEANS TO "owner";""",
        "owner",
    )
    assert result.returncode == 0, result.stdout
    result = node.apply_schema()
    assert result.returncode == 0, result.stdout
    for each in ring:
        assert re.search(r" owner \| +True \| +False", state(each))
        rights = each.query("SELECT resource, permissions FROM system_auth.role_permissions WHERE role = 'owner'")
        rows = [line.split(" | ") for line in rights.stdout.splitlines() if "{" in line]
        assert [[part.strip() for part in row] for row in rows] == [["data/history", "{'MODIFY', 'SELECT'}"]]
    assert node.query(READ, "owner").returncode == 0
    assert re.search(r"\n +1\n", node.query("SELECT id FROM history.made", "owner").stdout)
    again = node.apply_schema()
    assert again.returncode == 0, again.stdout
    assert "REVOKE" not in again.stdout
    result = node.query("DROP ROLE another; DROP KEYSPACE others; DROP TABLE history.made")
    assert result.returncode == 0, result.stdout


def test_a_node_that_is_down_is_told_and_holds_the_schema_up(
    ring: list[Node], server: Prometheus, graph: Graph
) -> None:
    """Nothing of the new schema is applied until it is back, with another address; all panels tell about it."""
    node, other = ring
    # What is read from memory asks no cache, so that one table is written to disk at once.
    made = node.query(
        "CREATE TABLE history.seen (id int PRIMARY KEY) WITH memtable_flush_period_in_ms = 500;"
        "INSERT INTO history.seen (id) VALUES (1);"
    )
    assert made.returncode == 0, made.stdout
    server.wait_for('cassandra_keyspace_disk_live_bytes{keyspace="history"} > 0')
    before = state(node)
    names = addresses(node)
    other.kill()
    server.wait_for('cassandra_endpoints{state="down"} == 1')
    node.change_schema("CREATE TABLE IF NOT EXISTS later (id int PRIMARY KEY);")
    result = node.apply_schema()
    assert result.returncode != 0, result.stdout
    assert state(node) == before

    read = "".join(f"SELECT * FROM history.seen WHERE id = {number};" for number in (1, 1, 1, 2))
    written = "INSERT INTO history.seen (id) VALUES (3);"
    in_vain = "".join(f"SELECT * FROM history.seen WHERE id = {number};" for number in range(50))
    answer = node.query(f"{read} {written} CONSISTENCY ALL; {in_vain}", "owner").stdout
    assert "Cannot achieve consistency level ALL" in answer
    asked = Asked(server, graph)
    for name in TRUE:
        server.wait_for(asked.alerts[name])
    assert asked.silent() == []
    asked.hold_to("cassandra", [asked.alerts[name] for name in TRUE])

    # A pod that is made anew has its volume, and another address.
    other.prepare("127.0.0.3")
    other.start()
    server.wait_for('cassandra_endpoints{state="up"} == 2')
    server.wait_for('cassandra_endpoints{state="down"} == 0')
    assert addresses(node) == {"127.0.0.1": names["127.0.0.1"], "127.0.0.3": names["127.0.0.2"]}
    result = node.apply_schema()
    assert result.returncode == 0, result.stdout
    for each in ring:
        assert re.search(r"history \| +later", state(each))

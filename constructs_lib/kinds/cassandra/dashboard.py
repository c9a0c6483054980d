"""Cassandra, by its MBeans, which the agent inside of each node reads.

Every node of a declared ring holds all data, and nobody counts how far a replica is behind. What stands for
replication are the nodes that others see up, the writes that are kept for a node that is away (hints), and messages
between nodes that were dropped: what was dropped is missing at a replica until it is repaired. The counter of hints
says how many were written and never how many are left, so that no alert can be told from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from constructs_lib.grafana import style
from constructs_lib.grafana.model import CHOSEN, RANGE, Dashboard, Panel, Query, Row
from constructs_lib.kinds.cassandra.construct import Cassandra
from constructs_lib.observe import runtimes, stores
from constructs_lib.observe.pods import signal, variables
from constructs_lib.prometheus.rules import Alert, Group

#: Keyspaces of the server itself.
_USED = 'keyspace!~"system.*"'
#: Requests a second below which the slowest percent is a single request.
_FEW = "0.2"


def dashboard(workloads: Sequence[Cassandra], *, uid: str, links: tuple[tuple[str, str], ...]) -> Dashboard:
    """Return the dashboard of all rings.

    Args:
        workloads: The rings.
        uid: Identifier of the dashboard.
        links: ``(title, uid)`` of dashboards that belong to it.
    """
    return Dashboard(
        uid,
        "cassandra",
        "Cassandra",
        "Whether a ring is complete, how fast its nodes answer, and what holds them up.",
        (
            _health(workloads),
            _traffic(),
            _latency(),
            _errors(),
            _saturation(),
            _storage(),
            runtimes.jvm(),
            stores.pods("cassandra"),
        ),
        variables(stores.namespaces(workloads), "cassandra"),
        links,
    )


def golden(workload: Cassandra) -> tuple[Panel, Panel, Panel, Panel]:
    """Return traffic, errors, latency and saturation of a ring."""
    own = stores.of([workload])
    return (
        signal(
            "cassandra-traffic",
            "Requests",
            "Reads and writes of clients each second.",
            "reqps",
            f"sum(rate(cassandra_client_request_count_total{{{own}}}[{RANGE}]))",
        ),
        signal(
            "cassandra-errors",
            "Failed",
            "Share of the requests that time out, fail, or find too few nodes.",
            "percentunit",
            f"sum(rate(cassandra_client_request_errors_total{{{own}}}[{RANGE}])) "
            f"/ (sum(rate(cassandra_client_request_count_total{{{own}}}[{RANGE}])) > 0)",
            0.001,
            0.01,
        ),
        signal(
            "cassandra-latency",
            "Slowest percent",
            "99 % of the recent reads and writes are faster, at the slowest node.",
            "s",
            f'max(cassandra_client_request_latency_p99_seconds{{{own}, operation=~"read|write"}})',
            0.1,
            0.5,
        ),
        signal(
            "cassandra-saturation",
            "Compactions waiting",
            "Compactions that the busiest node has before it.",
            "none",
            f"max(cassandra_compaction_tasks_pending{{{own}}})",
            15,
            30,
        ),
    )


def group(workloads: Sequence[Cassandra]) -> Group:
    """Return the alerts about rings."""
    own = stores.of(workloads)
    errors = f"sum by (namespace, service) (rate(cassandra_client_request_errors_total{{{own}}}[5m]))"
    requests = f"sum by (namespace, service) (rate(cassandra_client_request_count_total{{{own}}}[5m]))"
    by_operation = f'{{{own}, operation=~"read|write"}}'
    return Group(
        "cassandra",
        alerts=(
            Alert(
                "CassandraNodeDown",
                "critical",
                " or ".join(
                    _incomplete(nodes, rings) for nodes, rings in stores.by_number(workloads, lambda ring: ring.size)
                ),
                "10m",
                f"The Cassandra ring {stores.STORE} has fewer nodes than it should have.",
                "Some node sees only {{ $value | humanize }} of {{ $labels.declared }} nodes up. Writes for a node "
                "that is away are kept for three hours; after that it has to be repaired.",
            ),
            Alert(
                "CassandraRequestsFailing",
                "critical",
                f"{errors} / {requests} > 0.01 and {errors} > 0.02",
                "5m",
                f"Requests to the Cassandra ring {stores.STORE} fail.",
                "{{ $value | humanizePercentage }} of them time out, fail, or find too few nodes.",
            ),
            Alert(
                "CassandraSlow",
                "warning",
                "max by (namespace, service, operation) "
                f"(cassandra_client_request_latency_p99_seconds{by_operation}) > 0.5 "
                "and sum by (namespace, service, operation) "
                f"(rate(cassandra_client_request_count_total{by_operation}[5m])) > {_FEW}",
                "15m",
                f"The Cassandra ring {stores.STORE} is slow.",
                "One percent of the {{ $labels.operation }} requests takes longer than {{ $value | humanizeDuration }} "
                "at the slowest node.",
            ),
            Alert(
                "CassandraCompactionsPending",
                "warning",
                f"max by (namespace, service, pod) (cassandra_compaction_tasks_pending{{{own}}}) > 30",
                "30m",
                f"A node of the Cassandra ring {stores.STORE} falls behind with its compactions.",
                "{{ $value | humanize }} compactions wait in {{ $labels.pod }}; until they are done reads get slower "
                "and the volume fuller.",
            ),
            Alert(
                "CassandraMessagesDropped",
                "warning",
                f"sum by (namespace, service, message) (increase(cassandra_messages_dropped_total{{{own}}}[15m])) > 5",
                "5m",
                f"Nodes of the Cassandra ring {stores.STORE} drop messages.",
                "About {{ $value | humanize }} messages of the kind {{ $labels.message }} within 15 minutes waited for "
                "so long that they were dropped; what a mutation should have written is missing at a replica.",
            ),
        ),
    )


def _incomplete(nodes: int, rings: Sequence[Cassandra]) -> str:
    up = f'min by (namespace, service) (cassandra_endpoints{{{stores.of(rings)}, state="up"}})'
    return f'label_replace({up} < {nodes}, "declared", "{nodes}", "", "")'


def _health(workloads: Sequence[Cassandra]) -> Row:
    endpoints = f"cassandra_endpoints{{{CHOSEN}"
    return Row(
        "Health",
        (
            Panel(
                "nodes",
                "Nodes",
                "Nodes that are up, as the node that sees the fewest of them tells, beside those that are wanted. "
                "A node that left for good counts as down for about three days. If nodes are missing, look at the "
                "pods below.",
                "none",
                (
                    Query(f'min({endpoints}, state="up"}})', "up", style.GOOD),
                    Query(f'max({endpoints}, state="down"}})', "down", style.CRITICAL),
                    Query(
                        f"max(kube_statefulset_replicas{{{stores.stateful_sets(workloads)}}})", "wanted", style.WANTED
                    ),
                ),
            ),
            Panel(
                "clients",
                "Clients",
                "Connections of clients to each node. Drivers keep some to every node: a node without any is not "
                "known to the clients, or does not answer them.",
                "none",
                (Query(f"sum by (pod) (cassandra_client_connections{{{CHOSEN}}})", "{{pod}}"),),
            ),
        ),
    )


def _traffic() -> Row:
    return Row(
        "Traffic",
        (
            Panel(
                "requests",
                "Requests",
                "Requests of clients each second, by what they do; each is counted by the node that the client asked.",
                "reqps",
                (
                    Query(
                        f"sum by (operation) (rate(cassandra_client_request_count_total{{{CHOSEN}}}[{RANGE}]))",
                        "{{operation}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "keyspaces",
                "Keyspaces",
                "Reads and writes of each keyspace each second, added up over the nodes that took part in them. If "
                "they grow faster than the requests, look for queries over many partitions.",
                "ops",
                (
                    Query(
                        f"sum by (keyspace) (rate(cassandra_keyspace_reads_total{{{CHOSEN}, {_USED}}}[{RANGE}]))",
                        "{{keyspace}} read",
                    ),
                    Query(
                        f"sum by (keyspace) (rate(cassandra_keyspace_writes_total{{{CHOSEN}, {_USED}}}[{RANGE}]))",
                        "{{keyspace}} written",
                    ),
                ),
            ),
        ),
    )


def _latency() -> Row:
    return Row(
        "Latency",
        (
            Panel(
                "latency",
                "Latency",
                "Average time that a request takes, by what it does; milliseconds are normal. Ranges take longer.",
                "s",
                (
                    Query(
                        "sum by (operation) "
                        f"(rate(cassandra_client_request_latency_sum_seconds_total{{{CHOSEN}}}[{RANGE}])) "
                        "/ (sum by (operation) "
                        f"(rate(cassandra_client_request_count_total{{{CHOSEN}}}[{RANGE}])) > 0)",
                        "{{operation}}",
                    ),
                ),
            ),
            Panel(
                "slowest",
                "Slowest percent",
                "99 % of the recent requests are faster, by what they do, at the slowest node: nobody can tell it for "
                "the ring as a whole. If it rises, look at compactions, garbage collection and the processor.",
                "s",
                (
                    Query(
                        f"max by (operation) (cassandra_client_request_latency_p99_seconds{{{CHOSEN}}})",
                        "{{operation}}",
                    ),
                ),
                warning=0.1,
                critical=0.5,
            ),
        ),
    )


def _errors() -> Row:
    return Row(
        "Errors",
        (
            Panel(
                "errors",
                "Failed requests",
                "Requests that failed each second: too few nodes were up (unavailable), they answered too late "
                "(timeout), or with an error (failure). None is normal; look at the nodes first.",
                "reqps",
                (
                    Query(
                        f"sum by (operation, kind) (rate(cassandra_client_request_errors_total{{{CHOSEN}}}[{RANGE}]))",
                        "{{operation}} {{kind}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "dropped",
                "Dropped messages",
                "Messages between nodes that waited for so long that they were dropped, each second. None is normal: "
                "a node has too much to do. Look at the tasks that wait.",
                "ops",
                (
                    Query(
                        f"sum by (message) (rate(cassandra_messages_dropped_total{{{CHOSEN}}}[{RANGE}]))",
                        "{{message}}",
                    ),
                ),
                stacked=True,
            ),
        ),
    )


def _saturation() -> Row:
    return Row(
        "Saturation",
        (
            Panel(
                "pools",
                "Tasks waiting",
                "Tasks that wait for a thread, by pool, at the busiest node. Short peaks are normal; a pool that stays "
                "high is what holds the node up.",
                "none",
                (
                    Query(
                        f"max by (pool) (cassandra_threadpool_tasks_pending{{{CHOSEN}}})",
                        "{{pool}}",
                    ),
                ),
                width=8,
            ),
            Panel(
                "compactions",
                "Compactions waiting",
                "Compactions that each node has before it. Some are normal after many writes; if they only grow, the "
                "disk or the processor is too slow for what is written.",
                "none",
                (Query(f"max by (pod) (cassandra_compaction_tasks_pending{{{CHOSEN}}})", "{{pod}}"),),
                warning=15,
                critical=30,
                width=8,
            ),
            Panel(
                "hints",
                "Hints",
                "Writes each second that a node keeps for another one that did not take them. None is normal, unless "
                "a node restarts; after three hours without a node it has to be repaired.",
                "ops",
                (Query(f"sum by (pod) (rate(cassandra_storage_hints_total{{{CHOSEN}}}[{RANGE}]))", "{{pod}}"),),
                width=8,
            ),
        ),
    )


def _storage() -> Row:
    hits = f"sum(rate(cassandra_cache_hits_total{{{CHOSEN}}}[{RANGE}]))"
    asked = f"sum(rate(cassandra_cache_requests_total{{{CHOSEN}}}[{RANGE}]))"
    return Row(
        "Storage",
        (
            Panel(
                "load",
                "Data",
                "Data of each node on disk. All hold the same; one that has much less still misses something, or "
                "compacted more. A compaction may need as much again for a while.",
                "bytes",
                (Query(f"max by (pod) (cassandra_storage_load_bytes{{{CHOSEN}}})", "{{pod}}"),),
            ),
            Panel(
                "cache",
                "Key cache hits",
                "Share of the look-ups that the key cache answers. Above 0.8 is normal once it is warm; below it, "
                "reads look into more files. Tables in the newer format have no such cache.",
                "percentunit",
                (Query(f"{hits} / ({asked} > 0)", "hits"),),
                maximum=1,
            ),
        ),
    )

"""PostgreSQL, as postgres_exporter sees it from beside the server.

A declared server has no replica, so there is no replication to watch. What stands for it is the scheduled dump: the
age of the last one that succeeded is how much would be lost, which is why it has a panel and an alert of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from constructs_lib.grafana import style
from constructs_lib.grafana.model import CHOSEN, RANGE, Dashboard, Panel, Query, Row
from constructs_lib.kinds.postgres.construct import Postgres
from constructs_lib.kubernetes.cron import longest_pause
from constructs_lib.observe import stores
from constructs_lib.observe.pods import signal, variables
from constructs_lib.prometheus.matchers import one_of
from constructs_lib.prometheus.rules import Alert, Group

#: Databases of the server itself, which nobody uses.
_USED = 'datname!~"template.*|postgres"'
#: Transactions that may well be long: a dump is one that reads everything, a vacuum takes what it takes.
_ORDINARY = 'backend_type!~"autovacuum.*", application_name!="pg_dump"'
#: Hours that a dump may take, its repetitions included, before it counts as missing.
_BACKUP_HOURS = 2


def dashboard(workloads: Sequence[Postgres], *, uid: str, links: tuple[tuple[str, str], ...]) -> Dashboard:
    """Return the dashboard of all PostgreSQL servers.

    Args:
        workloads: The servers.
        uid: Identifier of the dashboard.
        links: ``(title, uid)`` of dashboards that belong to it.
    """
    return Dashboard(
        uid,
        "postgres",
        "PostgreSQL",
        "Whether a PostgreSQL server answers, what it is asked to do, and what slows it down.",
        (
            _health(workloads),
            _traffic(),
            _latency(),
            _errors(),
            _saturation(),
            Row("Tables", (*_tables(CHOSEN), _dead_rows())),
            stores.pods("postgres"),
        ),
        variables(stores.namespaces(workloads), "postgres"),
        links,
    )


def golden(workload: Postgres) -> tuple[Panel, Panel, Panel, Panel]:
    """Return traffic, errors, latency and saturation of a server."""
    own = stores.of([workload])
    return (
        signal(
            "postgres-traffic",
            "Transactions",
            "Transactions that end each second; the exporter's own keep it above zero.",
            "ops",
            f"sum(rate(pg_stat_database_xact_commit{{{own}, {_USED}}}[{RANGE}]) "
            f"+ rate(pg_stat_database_xact_rollback{{{own}, {_USED}}}[{RANGE}]))",
        ),
        signal(
            "postgres-errors",
            "Rolled back",
            "Share of the transactions that are rolled back.",
            "percentunit",
            _rolled_back("", own),
            0.05,
            0.2,
        ),
        signal(
            "postgres-latency",
            "Longest transaction",
            "Age of the oldest transaction that is still open, dumps and vacuums left out.",
            "s",
            f"max(pg_stat_activity_max_tx_duration{{{own}, {_ORDINARY}}})",
            60,
            600,
        ),
        signal(
            "postgres-saturation",
            "Connections",
            "Connections in use, of those that the server takes.",
            "percentunit",
            f"max({_connections_used('pod', own)})",
            0.7,
            0.8,
        ),
    )


def table_panels(namespace: str) -> tuple[Panel, ...]:
    """Return what the tables of a namespace hold and how they change: the business, as its database sees it.

    Args:
        namespace: The namespace itself, not a variable.
    """
    return _tables(f'namespace="{namespace}"')


def group(workloads: Sequence[Postgres]) -> Group:
    """Return the alerts about PostgreSQL servers."""
    own = stores.of(workloads)
    return Group(
        "postgres",
        alerts=(
            Alert(
                "PostgresDown",
                "critical",
                f"max by (namespace, service, pod) (pg_up{{{own}}}) == 0",
                "2m",
                f"The PostgreSQL server {stores.STORE} does not answer.",
                "The exporter in the pod {{ $labels.pod }} cannot log in: the server is down, or refuses its role.",
            ),
            Alert(
                "PostgresConnectionsNearLimit",
                "warning",
                f"{_connections_used('namespace, service, pod', own)} > 0.8",
                "10m",
                f"The PostgreSQL server {stores.STORE} is about to run out of connections.",
                "{{ $value | humanizePercentage }} of its connections are in use; beyond the limit it refuses clients.",
            ),
            Alert(
                "PostgresLongTransaction",
                "warning",
                "max by (namespace, service, datname, state) "
                f"(pg_stat_activity_max_tx_duration{{{own}, {_ORDINARY}}}) > 600",
                "2m",
                f"A transaction of the PostgreSQL server {stores.STORE} has been open for too long.",
                "It has been open for {{ $value | humanizeDuration }} in the database {{ $labels.datname }} and is "
                "{{ $labels.state }}; it keeps its locks, and nothing that it may still see can be vacuumed.",
            ),
            Alert(
                "PostgresDeadlocks",
                "warning",
                # An increase is extrapolated: two deadlocks count as a little more than two.
                f"sum by (namespace, service, datname) (increase(pg_stat_database_deadlocks{{{own}}}[30m])) > 2.5",
                "5m",
                f"Transactions of the PostgreSQL server {stores.STORE} block each other.",
                "About {{ $value | humanize }} deadlocks within 30 minutes in the database {{ $labels.datname }}; each "
                "ended with a transaction that failed.",
            ),
            Alert(
                "PostgresBackupMissing",
                "warning",
                " or ".join(
                    _backup_overdue(minutes, servers)
                    for minutes, servers in stores.by_number(
                        workloads, lambda server: int(longest_pause(server.backup_schedule).total_seconds()) // 60
                    )
                ),
                "15m",
                f"The last dump of the PostgreSQL server {stores.STORE} is too old.",
                "The CronJob {{ $labels.cronjob }} has not succeeded for {{ $value | humanizeDuration }}: what was "
                "written since then would be lost with the volume.",
            ),
        ),
    )


def _rolled_back(by: str, own: str) -> str:
    summed = f"sum by ({by}) " if by else "sum"
    rolled_back = f"rate(pg_stat_database_xact_rollback{{{own}, {_USED}}}[{RANGE}])"
    committed = f"rate(pg_stat_database_xact_commit{{{own}, {_USED}}}[{RANGE}])"
    return f"{summed}({rolled_back}) / {summed}({rolled_back} + {committed})"


def _connections_used(by: str, own: str) -> str:
    return f"sum by ({by}) (pg_stat_activity_count{{{own}}}) / max by ({by}) (pg_settings_max_connections{{{own}}})"


def _backup_overdue(minutes: int, workloads: Sequence[Postgres]) -> str:
    """Return what is true of servers whose last dump is older than their schedule allows.

    Before the first dump the age of the CronJob counts, so that a new server has the time for it.
    """
    jobs = f"namespace{one_of(stores.namespaces(workloads))}, cronjob{one_of(_backups(workloads))}"
    age = (
        f"time() - (max by (namespace, cronjob) (kube_cronjob_status_last_successful_time{{{jobs}}}) "
        f"or max by (namespace, cronjob) (kube_cronjob_created{{{jobs}}}))"
    )
    hours = f"{minutes / 60 + _BACKUP_HOURS:g}"
    return f'label_replace({age} > {hours} * 3600, "service", "$1", "cronjob", "(.+)-backup")'


def _backups(workloads: Sequence[Postgres]) -> tuple[str, ...]:
    return tuple(f"{name}-backup" for name in stores.names(workloads))


def _health(workloads: Sequence[Postgres]) -> Row:
    return Row(
        "Health",
        (
            Panel(
                "up",
                "Answers",
                "1 if the server answers the exporter beside it. At 0 look at the pod's events and the server's log.",
                "none",
                (Query(f"min by (pod) (pg_up{{{CHOSEN}}})", "{{pod}}"),),
                kind="stat",
                critical=1,
                falling=True,
                width=6,
            ),
            Panel(
                "backup-age",
                "Last dump",
                "Time since the last dump that succeeded: what would be lost. It grows up to the pause between two "
                "dumps; if it grows further, look at the Jobs of the CronJob.",
                "s",
                (
                    Query(
                        "time() - max by (cronjob) (kube_cronjob_status_last_successful_time"
                        f'{{namespace="$namespace", cronjob{one_of(_backups(workloads))}}})',
                        "{{cronjob}}",
                    ),
                ),
                kind="stat",
                width=6,
            ),
            Panel(
                "size",
                "Size",
                "Bytes of each database on disk. Compare its growth with the volume below.",
                "bytes",
                (Query(f"sum by (datname) (pg_database_size_bytes{{{CHOSEN}, {_USED}}})", "{{datname}}"),),
            ),
        ),
    )


def _traffic() -> Row:
    def rows(kind: str) -> str:
        return f"sum(rate(pg_stat_database_tup_{kind}{{{CHOSEN}, {_USED}}}[{RANGE}]))"

    return Row(
        "Traffic",
        (
            Panel(
                "transactions",
                "Transactions",
                "Transactions that are committed each second, by database; the exporter's own are among them. It "
                "follows the requests of the service: if it does not, look at the connections.",
                "ops",
                (
                    Query(
                        f"sum by (datname) (rate(pg_stat_database_xact_commit{{{CHOSEN}, {_USED}}}[{RANGE}]))",
                        "{{datname}}",
                    ),
                ),
            ),
            Panel(
                "rows-touched",
                "Rows read and written",
                "Rows that statements fetch and change each second. Many rows for few transactions are scans of whole "
                "tables: look for an index that is missing.",
                "ops",
                (
                    Query(rows("fetched"), "fetched", style.READ),
                    Query(f"{rows('inserted')} + {rows('updated')} + {rows('deleted')}", "written", style.WRITTEN),
                ),
            ),
        ),
    )


def _latency() -> Row:
    return Row(
        "Latency",
        (
            Panel(
                "longest-transaction",
                "Longest transaction",
                "Age of the oldest open transaction by what it is doing, dumps and vacuums left out. Seconds are "
                "normal. One that is idle in transaction is a program that forgot to commit.",
                "s",
                (
                    Query(
                        f"max by (state) (pg_stat_activity_max_tx_duration{{{CHOSEN}, {_ORDINARY}}})",
                        "{{state}}",
                    ),
                ),
                warning=60,
                critical=600,
            ),
            Panel(
                "locks",
                "Locks",
                "Locks by mode. Exclusive modes that last hold up others: look for the longest transaction.",
                "none",
                (Query(f"sum by (mode) (pg_locks_count{{{CHOSEN}, {_USED}}}) > 0", "{{mode}}"),),
                stacked=True,
            ),
        ),
    )


def _errors() -> Row:
    return Row(
        "Errors",
        (
            Panel(
                "rolled-back",
                "Rolled back",
                "Share of the transactions that are rolled back, by database. A few are normal where programs rely on "
                "constraints; if it rises, look at the log of the service and of the server.",
                "percentunit",
                (Query(_rolled_back("datname", CHOSEN), "{{datname}}"),),
                warning=0.05,
                critical=0.2,
            ),
            Panel(
                "deadlocks",
                "Deadlocks",
                "Deadlocks within the last quarter of an hour, each of which made a transaction fail. None is normal; "
                "the server's log names the statements.",
                "short",
                (
                    Query(
                        f"sum by (datname) (increase(pg_stat_database_deadlocks{{{CHOSEN}, {_USED}}}[15m]))",
                        "{{datname}}",
                    ),
                ),
                warning=1,
            ),
        ),
    )


def _saturation() -> Row:
    hit = f"sum(rate(pg_stat_database_blks_hit{{{CHOSEN}, {_USED}}}[{RANGE}]))"
    read = f"sum(rate(pg_stat_database_blks_read{{{CHOSEN}, {_USED}}}[{RANGE}]))"
    return Row(
        "Saturation",
        (
            Panel(
                "connections",
                "Connections used",
                "Connections of each server, of those that it takes; three of them are kept for its administrator. "
                "At 1 it refuses clients: look at the connection pools of the pods.",
                "percentunit",
                (Query(_connections_used("pod", CHOSEN), "{{pod}}"),),
                warning=0.7,
                critical=0.8,
                maximum=1,
                width=8,
            ),
            Panel(
                "states",
                "Connections by state",
                "What connections are doing. Most are idle in a pool; many that are active wait for processor, disk "
                "or locks.",
                "none",
                (Query(f"sum by (state) (pg_stat_activity_count{{{CHOSEN}}}) > 0", "{{state}}"),),
                stacked=True,
                width=8,
            ),
            Panel(
                "cache",
                "Cache hits",
                "Share of the blocks that are found in the server's own memory. Above 0.95 is normal; if it falls, the "
                "data that is used no longer fits into memory, or whole tables are read.",
                "percentunit",
                (Query(f"{hit} / ({hit} + {read})", "hits"),),
                warning=0.95,
                critical=0.8,
                falling=True,
                maximum=1,
                width=8,
            ),
        ),
    )


def _tables(own: str) -> tuple[Panel, Panel]:
    def rate(kind: str) -> str:
        return f"sum by (relname) (rate(pg_stat_user_tables_n_tup_{kind}{{{own}}}[{RANGE}]))"

    return (
        Panel(
            "rows",
            "Rows",
            "Rows in each table, as the server estimates them: users, groups, whatever the business counts.",
            "short",
            (Query(f"sum by (relname) (pg_stat_user_tables_n_live_tup{{{own}}})", "{{relname}}"),),
        ),
        Panel(
            "changes",
            "Rows changed",
            "Rows that are inserted, updated and deleted each second, by table. A table that nobody changes any more "
            "may be a feature that is broken.",
            "ops",
            (
                Query(rate("ins"), "{{relname}} inserted"),
                Query(rate("upd"), "{{relname}} updated"),
                Query(rate("del"), "{{relname}} deleted"),
            ),
        ),
    )


def _dead_rows() -> Panel:
    dead = f"sum by (relname) (pg_stat_user_tables_n_dead_tup{{{CHOSEN}}})"
    live = f"sum by (relname) (pg_stat_user_tables_n_live_tup{{{CHOSEN}}})"
    return Panel(
        "dead-rows",
        "Dead rows",
        "Share of each table's rows that are dead and wait for a vacuum; tables below 1000 dead rows are left out. "
        "Above a fifth the vacuum is held up: look at the longest transaction.",
        "percentunit",
        (Query(f"({dead} > 1000) / ({dead} + {live})", "{{relname}}"),),
        warning=0.2,
        critical=0.5,
        width=24,
    )

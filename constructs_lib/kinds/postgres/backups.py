"""Which scheduled dumps of servers are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from constructs_lib.declare.observed import in_namespaces
from constructs_lib.kinds.parts.store import grouped
from constructs_lib.kubernetes.cron import longest_pause
from constructs_lib.prometheus.rules import one_of

if TYPE_CHECKING:
    from constructs_lib.kinds.postgres.construct import Postgres

#: Hours that a dump may take, its repetitions included, before it counts as missing.
_HOURS = 2


def names(servers: Sequence[Postgres]) -> str:
    """Return the operator and the value of a matcher for the CronJobs that dump."""
    return one_of(sorted({f"{server.name}-backup" for server in servers}))


def overdue(servers: Sequence[Postgres]) -> str:
    """Return what is true of servers whose last dump is older than their schedule allows.

    Before the first dump the age of the CronJob counts, so that a new server has the time for it.
    """
    return " or ".join(
        _older(minutes / 60 + _HOURS, alike)
        for minutes, alike in grouped(
            servers, lambda server: int(longest_pause(server.backup_schedule).total_seconds()) // 60
        )
    )


def _older(hours: float, servers: Sequence[Postgres]) -> str:
    jobs = f"{in_namespaces(servers)}, cronjob{names(servers)}"
    age = (
        f"time() - (max by (namespace, cronjob) (kube_cronjob_status_last_successful_time{{{jobs}}}) "
        f"or max by (namespace, cronjob) (kube_cronjob_created{{{jobs}}}))"
    )
    return f'label_replace({age} > {hours:g} * 3600, "service", "$1", "cronjob", "(.+)-backup")'

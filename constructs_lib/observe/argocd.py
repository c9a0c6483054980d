"""Argo CD's Applications, as its application controller tells of them.

Its series have the labels ``name`` and ``project`` of the Application. Their ``namespace`` is that of the controller,
and ``dest_namespace`` the one that the Application deploys to.
"""

from __future__ import annotations

from constructs_lib.grafana.model import Panel, Query
from constructs_lib.prometheus.rules import Alert, Group

_BY = "by (name, project, dest_namespace)"
_APPLICATION = "The Application {{ $labels.name }}"
_FAILED = 'argocd_app_sync_total{phase=~"Error|Failed", dry_run!="true"}'


def group() -> Group:
    """Return the alerts about Applications."""
    by_name = f"sum by (name, project) ({_FAILED})"
    return Group(
        "argocd",
        alerts=(
            Alert(
                "ArgoCDApplicationNotSynced",
                "warning",
                f'max {_BY} (argocd_app_info{{sync_status!="Synced"}}) == 1',
                "30m",
                f"{_APPLICATION} is not what Git says.",
                "It has differed from Git, or could not be compared with it, for 30 minutes: a change waits or fails, "
                "or was made by hand in {{ $labels.dest_namespace }}.",
            ),
            Alert(
                "ArgoCDApplicationNotHealthy",
                "critical",
                f'max {_BY} (argocd_app_info{{health_status=~"Degraded|Unknown"}} '
                # While a sync runs, what later waves bring is missing on purpose.
                'or argocd_app_info{health_status="Missing", operation!="sync"}) == 1 '
                # What starts may take its time, and a new version of a ring takes longer than one of a program.
                f'or count_over_time(max {_BY} (argocd_app_info{{health_status=~"Progressing|Missing"}})[45m:1m]) > 40',
                "15m",
                f"{_APPLICATION} is not healthy.",
                "Something that it deploys to {{ $labels.dest_namespace }} is broken, missing, or has not become "
                "ready for an hour; later waves wait for it.",
            ),
            Alert(
                "ArgoCDSyncFailing",
                "warning",
                # A failed sync that is tried again counts as running, and here it is tried for ever. One that is merely
                # slow waits for something that makes progress.
                "count_over_time(max by (name, project) "
                '(argocd_app_info{operation="sync", health_status!~"Progressing|Missing"})[15m:1m]) > 13 '
                # One that is not tried again is counted.
                f"or sum by (name, project) (increase({_FAILED}[30m])) > 0 "
                # A counter that is born with the first failure does not increase. It is new only if others were there.
                f"or {by_name} unless {by_name[:-1]} offset 30m) and on () argocd_app_info offset 30m",
                "1m",
                f"{_APPLICATION} cannot be synced.",
                "Argo CD has been trying for a quarter of an hour, or gave up within the last 30 minutes: what was "
                "pushed is not there, or only in part.",
            ),
            Alert(
                "ArgoCDMetricsMissing",
                "warning",
                "absent(argocd_app_info)",
                "15m",
                "Argo CD tells nothing of its Applications.",
                "Its application controller is down, or is not scraped: nobody would be told of a failed deployment.",
            ),
        ),
    )


def panels(system: str) -> tuple[Panel, ...]:
    """Return how the Applications of a system are, for its overview.

    Args:
        system: Name of the system, which is also that of its AppProject.
    """
    own = f'project="{system}"'

    def number(condition: str) -> str:
        # None of them is no series, which is zero as long as there are Applications.
        applications = f"argocd_app_info{{{own}}}"
        return f"count(argocd_app_info{{{own}, {condition}}}) or 0 * count({applications})"

    return (
        Panel(
            "applications",
            "Applications",
            "All Applications with their state. OutOfSync is a change that waits or fails, Degraded something that "
            "does not run: look at the Application in Argo CD.",
            "none",
            (Query(f"max by (name, sync_status, health_status) (argocd_app_info{{{own}}})", "{{name}}"),),
            kind="table",
        ),
        Panel(
            "applications-not-synced",
            "Not synced",
            "Applications whose objects are not what Git says. None is normal, except for minutes after a push; "
            "the table above names them.",
            "none",
            (Query(number('sync_status!="Synced"'), "not synced"),),
            kind="stat",
            warning=1,
            height=4,
        ),
        Panel(
            "applications-not-healthy",
            "Not healthy",
            "Applications that deploy something which is not healthy. None is normal, except for minutes after a "
            "push; the table above names them.",
            "none",
            (Query(number('health_status!~"Healthy|Suspended"'), "not healthy"),),
            kind="stat",
            critical=1,
            height=4,
        ),
    )

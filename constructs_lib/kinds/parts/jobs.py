"""What runs to its end: Jobs of the library and of programs, by hand or on a schedule."""

from collections.abc import Mapping, Sequence
from typing import Any

from constructs_lib.declare.observed import in_namespaces
from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.prometheus.rules import one_of

#: A run that failed is a reason for an alert, not for holding up every later wave.
SCHEDULED = {"argocd.argoproj.io/ignore-healthcheck": "true"}


def cron_job(
    workload: Workload,
    suffix: str,
    labels: Mapping[str, str],
    schedule: str,
    job: Mapping[str, Any],
    *,
    zone: str = "Etc/UTC",
    concurrency: str = "Forbid",
    **more: Any,
) -> Manifest:
    """Return a CronJob, by default in UTC and never twice at once; ``job`` is the spec of its Jobs."""
    return workload.manifest(
        "batch/v1",
        "CronJob",
        suffix,
        labels=labels,
        annotations=SCHEDULED,
        spec={
            "schedule": schedule,
            "timeZone": zone,
            "concurrencyPolicy": concurrency,
            **more,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": dict(job)},
        },
    )


def overdue(hours: float, workloads: Sequence[Workload], suffix: str = "") -> str:
    """Return what is true of workloads whose CronJob has not succeeded for so long; at first, since it is there.

    The CronJob has the name of the workload with a suffix.
    """
    names = one_of(sorted({f"{workload.name}{suffix}" for workload in workloads}))
    jobs = f"{in_namespaces(workloads)}, cronjob{names}"
    age = (
        f"time() - (max by (namespace, cronjob) (kube_cronjob_status_last_successful_time{{{jobs}}}) "
        f"or max by (namespace, cronjob) (kube_cronjob_created{{{jobs}}}))"
    )
    return f'label_replace({age} > {hours:g} * 3600, "service", "$1", "cronjob", "(.+){suffix}")'

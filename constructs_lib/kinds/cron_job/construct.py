"""A program that runs on a schedule, to its end."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, Unpack

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.component import Component
from constructs_lib.declare.observed import in_namespaces
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.parts.arguments import ProgramArguments
from constructs_lib.kinds.parts.jobs import cron_job, overdue
from constructs_lib.kinds.parts.program import Program
from constructs_lib.kinds.parts.store import grouped
from constructs_lib.kubernetes.cron import longest_pause, schedule_problem, zone_problem
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.prometheus.rules import one_of
from constructs_lib.text import shown


class CronJob(Program):
    """A program that runs on a schedule. Nothing waits for it; an alert tells when it has not succeeded in time.

    https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
    """

    folder = Path(__file__).parent
    #: One name for all, because they share a dashboard.
    container = "cronjob"
    #: By kube-state-metrics.
    is_measured = True

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        schedule: str,
        zone: str = "Etc/UTC",
        concurrency: Literal["Forbid", "Allow", "Replace"] = "Forbid",
        timeout_seconds: int = 3600,
        retries: int = 3,
        suspended: bool = False,
        **given: Unpack[ProgramArguments],
    ) -> None:
        """Declare a program that runs on a schedule.

        Args:
            scope: The system, or a component or workload beside which it lives.
            id: Its name.
            schedule: Cron expression, such as ``17 3 * * *``.
            zone: Time zone of the schedule. Default ``Etc/UTC``.
            concurrency: What becomes of a run while the one before still goes on: it is left out (``Forbid``), runs
                beside it (``Allow``) or in its place (``Replace``). Default ``Forbid``.
            timeout_seconds: Seconds after which a run has failed. Default 3600.
            retries: How often a run that failed is tried again. Default 3.
            suspended: Whether it does not run for now. Default False.
            given: What every program can be told (:class:`ProgramArguments`).
        """
        super().__init__(scope, id, **given)
        self.schedule = schedule
        self.zone = zone
        self.concurrency = concurrency
        self.timeout_seconds = timeout_seconds
        self.retries = retries
        self.suspended = suspended
        if problem := schedule_problem(schedule):
            self.report(f'schedule: {shown(schedule)} is no cron expression: {problem}; write it like "17 3 * * *".')
        if problem := zone_problem(zone):
            self.report(f'zone: {problem}; write it like "Europe/Rome".')
        for problem in run_problems(timeout_seconds, retries):
            self.report(problem)

    @classmethod
    def placeholders(cls, workloads: Sequence[Self]) -> dict[str, str | float | None]:
        """Return what the placeholders of its files stand for: the CronJobs, and which are behind their schedule."""
        watched = [each for each in workloads if not each.suspended and not schedule_problem(each.schedule)]
        by_pause = grouped(watched, lambda each: each._longest_seconds() // 60)
        behind = " or ".join(overdue(minutes / 60, alike) for minutes, alike in by_pause)
        names = one_of(sorted({each.name for each in workloads}))
        return {
            "own": f"{in_namespaces(workloads)}, cronjob{names}",
            "overdue": behind or None,
        }

    def _longest_seconds(self) -> int:
        """Return how long it may take at most from one success to the next."""
        return int(longest_pause(self.schedule).total_seconds()) + self.timeout_seconds

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: configuration, and the CronJob."""
        yield from self.set_up()
        job = {
            "backoffLimit": self.retries,
            "activeDeadlineSeconds": self.timeout_seconds,
            "template": self.pod_template(restart="OnFailure", spread=False),
        }
        more: dict[str, Any] = {"suspend": True} if self.suspended else {}
        yield (
            1,
            cron_job(self, "", self.labels, self.schedule, job, zone=self.zone, concurrency=self.concurrency, **more),
        )


def run_problems(timeout_seconds: int, retries: int) -> Iterator[str]:
    """Yield what is wrong with how long, and how often, something runs."""
    if not 1 <= timeout_seconds <= 7 * 24 * 3600:
        yield f"timeout_seconds: {timeout_seconds} is out of range; 1 to {7 * 24 * 3600}, a week, are allowed."
    if not 0 <= retries <= 100:
        yield f"retries: {retries} is out of range; 0 to 100 are allowed."

"""A program that runs once at each change, to its end: a migration, for instance."""

from collections.abc import Iterator
from typing import Unpack

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.component import Component
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import PLACING_SECONDS, Workload
from constructs_lib.kinds.cron_job.construct import run_problems
from constructs_lib.kinds.parts.arguments import ProgramArguments
from constructs_lib.kinds.parts.program import Program
from constructs_lib.kubernetes.manifest import Manifest, digest


class Job(Program):
    """A program that runs whenever something of it changes: its image, its arguments, its configuration.

    Whoever is declared ``after()`` it starts only once it has succeeded: ``orders.after(migration)``. That it failed is
    told by the Application, and by the alert ``JobFailed``.
    https://kubernetes.io/docs/concepts/workloads/controllers/job/
    """

    #: A Job's name carries the digest of what it does.
    longest_name = 43

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        timeout_seconds: int = 600,
        retries: int = 3,
        **given: Unpack[ProgramArguments],
    ) -> None:
        """Declare a program that runs once at each change.

        Args:
            scope: The system, or a component or workload beside which it lives.
            id: Its name.
            timeout_seconds: Seconds after which it has failed, and the sync with it. Default 600.
            retries: How often it is tried again when it failed. Default 3.
            given: What every program can be told (:class:`ProgramArguments`).
        """
        super().__init__(scope, id, **given)
        self.timeout_seconds = timeout_seconds
        self.retries = retries
        for problem in run_problems(timeout_seconds, retries):
            self.report(problem)

    def rollout_seconds(self, *, first: bool) -> int:
        """Return how many seconds it may take until it has succeeded or failed."""
        return PLACING_SECONDS + self.timeout_seconds

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: configuration, and the Job, under a name that changes with what it does.

        A Job cannot be changed, and one with a time to live would be missed by Argo CD, and run again for ever (argo-cd
        issues 7430 and 27407).
        """
        yield from self.set_up()
        template = self.pod_template(restart="OnFailure", spread=False)
        spec = {"backoffLimit": self.retries, "activeDeadlineSeconds": self.timeout_seconds, "template": template}
        yield 1, self.manifest("batch/v1", "Job", f"-{digest(spec, 8)}", spec=spec)

"""A program whose pods have names and volumes of their own."""

from collections.abc import Iterator
from typing import Unpack

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.component import Component
from constructs_lib.declare.role import Role
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.parts.arguments import LongRunningArguments
from constructs_lib.kinds.parts.long_running import LongRunning
from constructs_lib.kinds.parts.objects import disruption_budget
from constructs_lib.kinds.parts.ports import service_ports
from constructs_lib.kinds.parts.store import stateful_set
from constructs_lib.kubernetes.manifest import Manifest


class StatefulSet(LongRunning):
    """A program whose pods are told apart: each ``Claim`` among its volumes is one for each pod, and outlives it.

    A pod is reached by its own name at ``<pod>.<name>-nodes.<namespace>``. For the databases that the library knows,
    take :class:`Postgres` and the like: they also make schemas and dumps.
    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
    """

    #: The headless Service is called ``…-nodes``.
    longest_name = 46

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        replicas: int = 1,
        parallel: bool = False,
        **given: Unpack[LongRunningArguments],
    ) -> None:
        """Declare a program whose pods are told apart.

        Args:
            scope: The system, or a component or workload beside which it lives.
            id: Its name.
            replicas: Number of its pods. Default 1.
            parallel: Whether its pods start all at once, rather than one after the other. Default False.
            given: What every program can be told (:class:`ProgramArguments`), and every one that keeps running
                (:class:`LongRunningArguments`).
        """
        super().__init__(scope, id, **given)
        self.replicas = replicas
        self.parallel = parallel
        self.mounted.has_templates = True
        self.holds_data = bool(self.mounted.claims)
        if replicas < 0:
            self.report(f"replicas: {replicas} is no number of pods; at least 0.")

    @property
    def role(self) -> Role:
        """A data store if it has volumes that outlive it."""
        return Role.STORE if self.holds_data else Role.SERVICE

    def rollout_seconds(self, *, first: bool) -> int:
        """Return how many seconds its pods may take, one after the other; each ends before it starts anew."""
        one = self.pod_seconds + (0 if first else self.grace_seconds)
        return one if first and self.parallel else one * max(self.replicas, 1)

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: configuration first, then the pods with all that surrounds them."""
        yield from self.set_up()
        for service in self.services():
            yield 1, service
        ports = service_ports(self, internal=True)
        # Pods look each other up before they are ready.
        peers = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": self.selector}
        yield 1, self.manifest("v1", "Service", "-nodes", spec={**peers, **({"ports": ports} if ports else {})})
        yield (
            1,
            stateful_set(
                self,
                replicas=self.replicas,
                parallel=self.parallel,
                template=self.pod_template(grace_seconds=self.grace_seconds),
                claims=self.mounted.claim_templates(),
            ),
        )
        yield 1, disruption_budget(self)

"""An agent that runs on every node."""

from collections.abc import Iterator
from typing import Unpack

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.component import Component
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.parts.arguments import LongRunningArguments
from constructs_lib.kinds.parts.long_running import LongRunning
from constructs_lib.kubernetes.manifest import Manifest


class DaemonSet(LongRunning):
    """An agent on every node, or on those of its ``placement``.

    Nodes with taints are left out, unless its ``placement`` has tolerations: ``Toleration("")`` puts up with all.
    https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/
    """

    @checked
    def __init__(self, scope: System | Component | Workload, id: str, **given: Unpack[LongRunningArguments]) -> None:
        """Declare an agent.

        Args:
            scope: The system, or a component or workload beside which it lives.
            id: Its name.
            given: What every program can be told (:class:`ProgramArguments`), and every one that keeps running
                (:class:`LongRunningArguments`).
        """
        super().__init__(scope, id, **given)
        for path in self.mounted.claims:
            self.report(f"volumes, {path}: the agents of all nodes cannot share a claim; take Empty() or HostPath(…).")

    def rollout_seconds(self, *, first: bool) -> int:
        """Return how many seconds its pods may take: at first all at once, and then node by node."""
        return self.pod_seconds * (1 if first else max(self.system.environment.cluster.nodes, 1))

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: configuration first, then the pods and their Service."""
        yield from self.set_up()
        for service in self.services():
            yield 1, service
        yield (
            1,
            self.manifest(
                "apps/v1",
                "DaemonSet",
                spec={
                    "revisionHistoryLimit": 3,
                    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
                    "selector": {"matchLabels": self.selector},
                    "template": self.pod_template(grace_seconds=self.grace_seconds, spread=False),
                },
            ),
        )

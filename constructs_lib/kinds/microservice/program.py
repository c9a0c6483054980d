"""What the files of this folder know of a microservice."""

from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.probe import Probe
from constructs_lib.declare.secret import SecretReference
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.microservice.objective import Objective
from constructs_lib.kinds.microservice.rule import Rule
from constructs_lib.kinds.parts.telemetry import Telemetry
from constructs_lib.kubernetes.pod import Resources
from constructs_lib.text import nearest, shown


class Program(Workload):
    """The base of :class:`Microservice`, which says what the attributes mean."""

    image: str
    replicas: int | Autoscale
    resources: Resources
    readiness: Probe
    liveness: Probe
    start_seconds: int
    drain_seconds: int
    user: int
    wait_image: str | None
    files: dict[str, SecretReference]
    rbac: list[Rule]
    telemetry: Telemetry | None
    objective: Objective
    #: Labels of its pods beside its own.
    pod_labels: dict[str, str]

    @property
    def autoscaled(self) -> bool:
        """Whether a HorizontalPodAutoscaler owns the number of replicas."""
        return isinstance(self.replicas, Autoscale)

    def check_port(self, argument: str, name: str) -> None:
        """Report that an argument names a port that there is not."""
        if not self.may_offer(name):
            self.report(f"{argument}: there is no port {shown(name)}; {nearest(name, self.endpoints)}")

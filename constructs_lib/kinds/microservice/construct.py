"""A program of one's own: stateless pods behind a Service."""

from collections.abc import Iterator, Sequence
from typing import Any, Self, Unpack

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.component import Component
from constructs_lib.declare.queue import Queue, queue_problem, queues_of
from constructs_lib.declare.role import Role
from constructs_lib.declare.secret import Plain
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.grafana.model import Dashboard, Panel
from constructs_lib.kinds.microservice import dashboard, requests, series
from constructs_lib.kinds.microservice.program import MeasuredProgram, Objective
from constructs_lib.kinds.parts.arguments import LongRunningArguments
from constructs_lib.kinds.parts.objects import autoscaler, disruption_budget
from constructs_lib.kinds.parts.telemetry import PORT_NAME, Telemetry
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.prometheus.rules import Group
from constructs_lib.text import shown

#: Seconds that a pod has to stay ready before the next one is replaced.
_STAYS_READY = 5


class Microservice(MeasuredProgram):
    """A program of one's own. What follows from a declaration of three lines is listed in ``docs/constructs.md``.

    Without ports it is a worker: no Service, and no probes unless it is told some.
    """

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        replicas: int | Autoscale = 1,
        telemetry: Telemetry | None = None,
        objective: Objective = Objective(),
        publishes: Sequence[str] = (),
        consumes: Sequence[str | Queue] = (),
        **given: Unpack[LongRunningArguments],
    ) -> None:
        """Declare a microservice.

        Args:
            scope: The system, or a component or workload beside which it lives.
            id: Its name.
            replicas: A number, also 0, or :class:`Autoscale`. Default 1.
            telemetry: Agent that measures the program from outside, by its runtime: ``Jvm()`` or ``Nodejs()``. Default:
                none, and then only what Kubernetes knows of its pods is measured.
            objective: What it promises, if it is measured by ``telemetry``. Default: 99.5 % of the requests succeed,
                and 95 % are answered within half a second.
            publishes: RabbitMQ exchanges that it publishes to; they are shown with it.
            consumes: RabbitMQ queues that it consumes, by their names or as :class:`Queue`; each that has a name must
                have a consumer, or an alert fires. Where each client has a user of its own, it may do what these two
                say, and nothing else.
            given: What every program can be told (:class:`ProgramArguments`), and every one that keeps running
                (:class:`LongRunningArguments`).
        """
        self.telemetry = telemetry
        super().__init__(scope, id, **given)
        self.replicas = replicas
        self.objective = objective
        self._missed_broker = self._missed_callers = False
        self.publishes = tuple(publishes)
        self.queues = queues_of(consumes)
        self.consumes = tuple(dict.fromkeys(queue.name for queue in self.queues if queue.name is not None))
        for wrong in self._problems():
            self.report(wrong)

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong with the values of the arguments."""
        if isinstance(self.replicas, Autoscale):
            yield from self.replicas.problems()
        elif self.replicas < 0:
            yield f"replicas: {self.replicas} is no number of pods; at least 0, or Autoscale(2, 6)."
        most = self.replicas.maximum if isinstance(self.replicas, Autoscale) else self.replicas
        for path, claim in self.mounted.claims.items():
            if claim.is_for_one and most > 1:
                yield (
                    f"volumes, {path}: {most} pods cannot share a volume that is {claim.access}; take replicas=1, an "
                    f'access="ReadWriteMany" that the storage class has, or a StatefulSet with a volume for each.'
                )
        yield from (unkept := [*self.objective.problems()])
        if self.objective != Objective() and not unkept and not self.telemetry:
            yield "objective: nothing measures whether it is kept; give it telemetry=Jvm() or Nodejs() as well."
        if problem := validation.broker_names(self.publishes):
            yield f"publishes: {problem}"
        if problem := queue_problem(self.queues):
            yield f"consumes: {problem}"

    def offer_more(self) -> None:
        """Offer the port of its agent."""
        if self.telemetry:
            self._take_telemetry(self.telemetry)

    def _take_telemetry(self, telemetry: Telemetry) -> None:
        problems = [*telemetry.problems()]
        for problem in problems:
            self.report(problem)
        if problems:
            return
        if PORT_NAME in self.endpoints:
            self.report(f"ports: the agent's port is called {PORT_NAME}; choose another name.")
            return
        self.offer(PORT_NAME, telemetry.port, metrics=("/metrics",), internal=True)
        for problem in telemetry.override_problems(self.environment):
            self.report(problem)
        option = self.environment.pop(telemetry.option_variable, "")
        if isinstance(option, Plain):
            option = option.text
        if not isinstance(option, str):
            self.report(
                f"telemetry: the agent is started by {telemetry.option_variable}, so that it must be a plain text."
            )
            option = ""
        self.set_variable(telemetry.option_variable, f"{option} {telemetry.option}".lstrip())
        self.agent_variables.add(telemetry.option_variable)
        told = telemetry.variables(self.name, self.system.name, self.system.environment.name, self.image)
        for variable, value in told.items():
            # A variable that is declared wins: it may set the agent up in another way, under which there are metrics.
            if variable not in self.environment:
                self.set_variable(variable, value)
                self.agent_variables.add(variable)

    def complete(self) -> None:
        """Report exchanges and queues without a broker that would have them, and what nobody measures."""
        super().complete()
        self._complete_objective()
        has_broker = any(edge.endpoint.server.role is Role.MESSAGING for edge in self.edges)
        if not has_broker and not self._missed_broker:
            for argument, names in (("publishes", self.publishes), ("consumes", self.consumes)):
                if names:
                    self._missed_broker = True
                    self.report(
                        f"{argument}: it needs no RabbitMQ that would have {shown(names[0])}; add "
                        f'needs(broker.endpoint("amqp"), …).',
                        self.location,
                    )

    def _complete_objective(self) -> None:
        unseen = self.telemetry and not self.telemetry.sees_requests
        if unseen and self.objective != Objective() and not self._missed_callers and not series.callers(self):
            self._missed_callers = True
            self.report(
                "objective: nothing measures whether it is kept: its agent does not see its requests, and no program "
                "with telemetry calls it; leave it out, or give telemetry to one that needs it.",
                self.location,
            )

    @property
    def pod_seconds(self) -> int:
        """Seconds until one of its pods counts as available."""
        return super().pod_seconds + _STAYS_READY

    def rollout_seconds(self, *, first: bool) -> int:
        """Return how many seconds its pods may take: at first all at once, and then one by one."""
        if first or not self.replicas:
            return self.pod_seconds
        return self.pod_seconds * (self.replicas.maximum if isinstance(self.replicas, Autoscale) else self.replicas)

    @classmethod
    def dashboard(cls, workloads: Sequence[Self]) -> Dashboard:
        """Return the dashboard of a service."""
        service = workloads[0]
        needed = [edge.endpoint for edge in service.edges if edge.endpoint.server is not service]
        return dashboard.dashboard(service, [each for each in needed if isinstance(each.server, Microservice)])

    @classmethod
    def rules(cls, workloads: Sequence[Self]) -> Group | None:
        """Return the rules about the requests of services, and the alerts about what they promise."""
        return requests.group(workloads)

    def signals(self) -> Sequence[Panel]:
        """Return its traffic, errors, latency and saturation, as far as they are measured."""
        return dashboard.signals(self)

    def business(self) -> Sequence[Panel]:
        """Return what people ask of it, by route or method, if they reach it."""
        return dashboard.business(self)

    @property
    def own_metrics(self) -> frozenset[str]:
        """The histograms that tell of its requests."""
        return series.metrics(self)

    @property
    def measured_by(self) -> str:
        """Whose agents count its requests."""
        return series.measured_by(self)

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: configuration first, then the pods with all that surrounds them."""
        yield from self.set_up()
        for service in self.services():
            yield 1, service
        yield 1, self._deployment()
        if isinstance(self.replicas, Autoscale):
            # One pod a minute, after 5 minutes of low load: each pod that goes has connections to drain.
            one_by_one = [{"type": "Pods", "value": 1, "periodSeconds": 60}]
            scale_down = {"stabilizationWindowSeconds": 300, "policies": one_by_one}
            yield 1, autoscaler(self, "Deployment", self.replicas, scale_down=scale_down)
        yield 1, disruption_budget(self)

    def _deployment(self) -> Manifest:
        one_by_one: dict[str, Any] = {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        }
        # A new pod would wait for the volume that the old one has until it is ready.
        is_alone = any(claim.is_for_one for claim in self.mounted.claims.values())
        return self.manifest(
            "apps/v1",
            "Deployment",
            spec={
                "replicas": self.replicas.minimum if isinstance(self.replicas, Autoscale) else self.replicas,
                "revisionHistoryLimit": 3,
                # What cannot progress must turn Degraded: only then does Argo CD take up the commit that fixes it.
                "progressDeadlineSeconds": self.pod_seconds,
                "minReadySeconds": _STAYS_READY,
                "strategy": {"type": "Recreate"} if is_alone else one_by_one,
                "selector": {"matchLabels": self.selector},
                "template": self.pod_template(grace_seconds=self.grace_seconds),
            },
        )

"""What a microservice is made of: what it promises, may do and forms, and what the files of this folder know of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from constructs_lib.declare import validation
from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.calls import explained
from constructs_lib.declare.probe import Http, Probe
from constructs_lib.declare.secret import field
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.parts.telemetry import Telemetry
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.text import nearest, shown

#: Boundaries of the agents' histograms in seconds (OpenTelemetry's semantic conventions for HTTP metrics, and the
#: defaults of its SDKs). How many requests are faster than any other time, the histograms cannot tell.
BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


@explained
@dataclass(frozen=True)
class Objective:
    """Service level objectives over 30 days; alerts fire when their error budget is used up too fast.

    https://sre.google/workbook/alerting-on-slos/

    Attributes:
        availability: Percent of the requests that must not fail on the side of the service. Default 99.5.
        fast: Percent of the requests that must be answered within ``seconds``. Default 95.
        seconds: What is fast enough; one of the boundaries of the histograms. Default 0.5.
    """

    availability: float = 99.5
    fast: float = 95.0
    seconds: float = 0.5

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the objective."""
        for name, value in (("availability", self.availability), ("fast", self.fast)):
            # Below 94 %, 14.4 times the budget is more than all requests, so that the alert could never fire.
            if not 94 <= value <= 99.999:
                yield f"objective, {name}: {value} is out of range; 94 to 99.999 percent are allowed."
        if self.seconds not in BOUNDARIES:
            closest = min(BOUNDARIES, key=lambda boundary: abs(boundary - self.seconds))
            yield (
                f"objective, seconds: the histograms cannot tell {self.seconds:g} s apart; the nearest that they can "
                f"is {closest:g}."
            )


@explained
@dataclass(frozen=True)
class Rule:
    """A permission in the Kubernetes API, within the component's own namespace.

    Attributes:
        resources: For instance ``("pods",)``.
        verbs: For instance ``("get", "watch", "list")``.
        api_group: API group. Default: the core group.
    """

    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    api_group: str = ""

    VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the rule."""
        if not self.verbs:
            yield f"rbac: a rule without verbs permits nothing; name some of {', '.join(self.VERBS)}."
        for verb in self.verbs:
            if verb not in self.VERBS:
                yield f"rbac: {shown(verb)} is no verb of the Kubernetes API; {nearest(verb, self.VERBS)}"
        if not self.resources or any("*" in resource for resource in self.resources):
            yield 'rbac: name the resources, for instance "pods"; a wildcard would permit Secrets too.'
        if "*" in self.api_group:
            yield 'rbac: name the API group, for instance "apps"; a wildcard would permit any.'


def permissions(workload: Workload, rules: Sequence[Rule]) -> Iterator[Manifest]:
    """Yield the Role with some rules, and what binds it to the account of a workload; nothing without rules."""
    if not rules:
        return
    group = "rbac.authorization.k8s.io"
    entries = [
        {"apiGroups": [rule.api_group], "resources": list(rule.resources), "verbs": list(rule.verbs)} for rule in rules
    ]
    account = {"kind": "ServiceAccount", "name": workload.name, "namespace": workload.namespace_name}
    yield workload.manifest(f"{group}/v1", "Role", rules=entries)
    role = {"apiGroup": group, "kind": "Role", "name": workload.name}
    yield workload.manifest(f"{group}/v1", "RoleBinding", roleRef=role, subjects=[account])


class Program(Workload):
    """The base of :class:`Microservice`, which says what the attributes mean."""

    replicas: int | Autoscale
    readiness: Probe
    liveness: Probe
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


@explained
@dataclass(frozen=True)
class AkkaCluster:
    """Replicas that form an Akka cluster by Akka Management's Cluster Bootstrap over the Kubernetes API.

    It labels the pods for the discovery, permits it, opens the two ports between the replicas and probes the
    management endpoints (https://doc.akka.io/libraries/akka-management/current/bootstrap/kubernetes-api.html).

    Attributes:
        service_name: What the discovery selects by: the pods' label ``app``.
        contact_points: Replicas that must find each other before a cluster is formed.
        management: Name of the port of Akka Management.
        remoting: Name of the port between the replicas.
    """

    service_name: str
    contact_points: int
    management: str = "management"
    remoting: str = "remoting"

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the cluster."""
        if problem := validation.label("app", self.service_name):
            yield f"akka, service_name: {problem}"
        if self.contact_points < 1:
            yield f"akka: {self.contact_points} contact points form no cluster; at least 1 is needed."

    @property
    def ports(self) -> tuple[str, str]:
        """Names of the ports that only its pods use."""
        return self.management, self.remoting

    @property
    def probes(self) -> tuple[Http, Http]:
        """When a replica is ready, and when it is alive."""
        return Http("/ready", self.management), Http("/alive", self.management)

    def join(self, service: Program) -> None:
        """Have the replicas of a service form the cluster."""
        for problem in self.problems():
            service.report(problem)
        for port in self.ports:
            service.check_port("akka", port)
            if port in service.endpoints:
                service.needs(service.endpoints[port])
        replicas = service.replicas
        minimum = replicas.minimum if isinstance(replicas, Autoscale) else replicas
        if 1 <= minimum < self.contact_points:
            service.report(
                f"replicas: {minimum} can never form an Akka cluster of {self.contact_points} contact points; at least "
                f"{self.contact_points} are needed."
            )
        service.rbac.append(Rule(("pods",), ("get", "watch", "list")))
        service.pod_labels["app"] = self.service_name
        service.set_variable("NAMESPACE", field("metadata.namespace"))
        service.set_variable("REQUIRED_CONTACT_POINT_NR", str(self.contact_points))

"""Replicas of a program that form an Akka cluster."""

from collections.abc import Iterator
from dataclasses import dataclass

from constructs_lib.declare import validation
from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.calls import explained
from constructs_lib.declare.probe import Http
from constructs_lib.declare.rule import Rule
from constructs_lib.declare.secret import field
from constructs_lib.kinds.parts.long_running import LongRunning


@explained
@dataclass(frozen=True)
class AkkaCluster:
    """Replicas that form an Akka cluster by Akka Management's Cluster Bootstrap over the Kubernetes API.

    It labels the pods for the discovery, permits it, opens the two ports between the replicas and probes the
    management endpoints (https://doc.akka.io/libraries/akka-management/current/bootstrap/kubernetes-api.html).

    Attributes:
        service_name: What the discovery selects by: the pods' label ``app``.
        contact_points: Replicas that must find each other before a cluster is formed.
        management: Number of the port of Akka Management, ``management``. Default 8558.
        remoting: Number of the port between the replicas, ``remoting``. Default 25520.
    """

    service_name: str
    contact_points: int
    management: int = 8558
    remoting: int = 25520

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the cluster."""
        if problem := validation.label("app", self.service_name):
            yield f"akka, service_name: {problem}"
        if self.contact_points < 1:
            yield f"akka: {self.contact_points} contact points form no cluster; at least 1 is needed."

    def add_to(self, program: LongRunning) -> None:
        """Have the replicas of a program form the cluster."""
        for problem in self.problems():
            program.report(problem)
        for name, number in (("management", self.management), ("remoting", self.remoting)):
            if name in program.endpoints:
                program.report(f"akka: the port {name} is opened by the cluster; leave it out of ports.")
            else:
                program.needs(program.offer(name, number, internal=True))
        program.ask(Http("/ready", "management"), Http("/alive", "management"))
        replicas = getattr(program, "replicas", 1)
        minimum = replicas.minimum if isinstance(replicas, Autoscale) else replicas
        if 1 <= minimum < self.contact_points:
            program.report(
                f"replicas: {minimum} can never form an Akka cluster of {self.contact_points} contact points; at least "
                f"{self.contact_points} are needed."
            )
        program.rbac.append(Rule(("pods",), ("get", "watch", "list")))
        program.uses_kubernetes_api = True
        if program.pod_labels.setdefault("app", self.service_name) != self.service_name:
            program.report('labels: "app" is set by the Akka cluster; choose another label.')
        program.set_variable("NAMESPACE", field("metadata.namespace"))
        program.set_variable("REQUIRED_CONTACT_POINT_NR", str(self.contact_points))

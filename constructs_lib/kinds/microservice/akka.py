"""Programs whose replicas form an Akka cluster."""

from collections.abc import Iterator
from dataclasses import dataclass

from constructs_lib.declare import validation
from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.calls import explained
from constructs_lib.declare.probe import Http
from constructs_lib.declare.secret import field
from constructs_lib.kinds.microservice.program import Program
from constructs_lib.kinds.microservice.rule import Rule


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

"""Controllers that are no part of the system, and what goes between them and its workloads."""

from collections.abc import Mapping
from dataclasses import dataclass

from constructs_lib.declare.calls import explained
from constructs_lib.declare.diagnostics import Location


@explained
@dataclass(frozen=True)
class ExistingController:
    """A controller that runs in the cluster already, in a namespace of somebody else.

    It is opened to in the policies of those that it calls. Its own policies are its owner's.

    Attributes:
        namespace: Where its pods are.
        pods: Labels of the pods that call the Services: for some Gateways these are not the controller's own pods.
        ingress_class: Name of its IngressClass.
        gateway_class: Name of its GatewayClass.
        http_port, https_port: Ports of a Gateway's listeners that users reach at 80 and 443.
    """

    namespace: str
    pods: Mapping[str, str]
    ingress_class: str = ""
    gateway_class: str = ""
    http_port: int = 80
    https_port: int = 443

    @property
    def subject(self) -> str:
        """How reasons name it."""
        return f"the controller in {self.namespace}"


@dataclass(frozen=True)
class Passage:
    """Traffic between a workload and a controller that is no part of the system, in or out; no ports are all."""

    controller: ExistingController
    inward: bool
    ports: tuple[int, ...]
    reason: str
    location: Location

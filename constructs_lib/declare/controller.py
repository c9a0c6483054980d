"""Who serves Ingresses and Gateways: pods that take what comes from the world and pass it on."""

from __future__ import annotations

from collections.abc import Mapping

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked, misfits
from constructs_lib.declare.chart import ChartPods
from constructs_lib.declare.component import Component
from constructs_lib.declare.passage import ExistingController
from constructs_lib.declare.role import Role
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload


class IngressController(Workload):
    """The pods of a chart that serve Ingresses or Gateways. The chart makes them; who may call whom follows from here.

    Users reach them at their ports; they call the Kubernetes API, and the Services that routes lead to.
    """

    role = Role.PLATFORM
    #: The chart makes the pods.
    sees_to = ("labels",)

    @checked
    def __init__(
        self,
        scope: Component,
        id: str = "controller",
        *,
        pods: Mapping[str, str],
        ports: Mapping[str, int],
        ingress_class: str = "",
        gateway_class: str = "",
        http_port: int = 80,
        https_port: int = 443,
        kubernetes_api: bool = True,
    ) -> None:
        """Declare the pods.

        Args:
            scope: The chart that makes them.
            id: Name of their NetworkPolicy, behind that of the chart. Default ``controller``.
            pods: Labels that select the pods that call the Services.
            ports: Ports of these pods that the world reaches, by name: not those of the Service in front of them.
            ingress_class: Name of the IngressClass that they serve; empty if they serve no Ingresses.
            gateway_class: Name of the GatewayClass that they serve; empty if they serve no Gateways.
            http_port: Port of a Gateway's listener that users reach at 80: for Traefik that of its pods. Default 80.
            https_port: Port of a Gateway's listener that users reach at 443. Default 443.
            kubernetes_api: Whether they call the Kubernetes API; proxies that a controller makes do not. Default True.
        """
        super().__init__(scope, id)
        self._selected = dict(pods)
        self.ingress_class = ingress_class
        self.gateway_class = gateway_class
        self.http_port = http_port
        self.https_port = https_port
        self.uses_kubernetes_api = kubernetes_api
        for name, value in self._selected.items():
            if problem := validation.label(name, value):
                self.report(f"pods: {problem}")
        if not self._selected:
            self.report("pods: no label would select all pods of the namespace; give those of the controller's pods.")
        for name, port in ports.items():
            if self.offer(name, port).declared:
                self.exposed_ports.append(port)

    @property
    def selector(self) -> dict[str, str]:
        """Labels that the chart gives them."""
        return self._selected


#: Whoever can serve a route: Traefik, pods of another chart, any other workload, one that exists already.
Controller = Component | ChartPods | Workload | ExistingController


class _RoutedPods(IngressController):
    """Pods of a chart of which a PodAccess says what else they may exchange."""

    transient = True


def serving(controller: object, system: System) -> Workload | ExistingController | str:
    """Return who serves, or what is wrong with a controller that cannot."""
    if isinstance(controller, ChartPods):
        component, id = system.component(controller.component), f"{controller.name}-routes"
        known = component.workload(id)
        return known or _RoutedPods(component, id, pods=controller.labels, ports={}, kubernetes_api=False)
    if isinstance(controller, Component):
        found = next((each for each in controller.workloads if isinstance(each, IngressController)), None)
        return found or (
            f'which pods of {controller.id} serve it is not known; write {controller.id}.pods("…") with the name of '
            f"their PodAccess, or IngressController({controller.id}, pods={{…}}, ports={{…}}, ingress_class=…)."
        )
    if isinstance(controller, ExistingController):
        problems = [*misfits("controller", controller, ExistingController)]
        problems += filter(None, [validation.dns_label(controller.namespace)] if not problems else [])
        problems += filter(None, (validation.label(name, value) for name, value in controller.pods.items()))
        return problems[0] if problems else controller
    assert isinstance(controller, Workload)
    return controller

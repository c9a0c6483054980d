"""cert-manager, which gets certificates and renews them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.chart import ChartSource
from constructs_lib.declare.component import Component
from constructs_lib.declare.role import Role
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import InternetHost, Workload
from constructs_lib.kinds.helm_chart.construct import HelmChart, described, merged, release_names
from constructs_lib.template import Template

_HERE = Path(__file__).parent
_METRICS_PORT = 9402
#: What the alerts read.
_METRICS = ("certmanager_certificate_*_timestamp_seconds", "certmanager_*_ready_status")


class CertManagerController(Workload):
    """The pods of the chart that talk to certificate authorities and watch over the certificates."""

    folder = _HERE
    role = Role.PLATFORM
    #: The chart makes the pods.
    sees_to = ("labels",)
    container = "cert-manager-controller"

    def __init__(self, scope: Component) -> None:
        """Declare the pods of the chart."""
        super().__init__(scope, scope.id)
        self.uses_kubernetes_api = True
        self.offer("http-metrics", _METRICS_PORT, metrics=("/metrics",), exposes=_METRICS, internal=True)

    @property
    def selector(self) -> dict[str, str]:
        """Labels that the chart gives them."""
        return {"app.kubernetes.io/name": "cert-manager", "app.kubernetes.io/component": "controller"}


class CertManager(HelmChart):
    """cert-manager by its chart, for :class:`ClusterIssuer` and :class:`Issuer`."""

    serves_routes = True

    @checked
    def __init__(
        self, scope: System, id: str = "cert-manager", *, version: str, values: Mapping[str, Any] | None = None
    ) -> None:
        """Declare cert-manager.

        Args:
            scope: The system.
            id: Its name. Default ``cert-manager``.
            version: Version of the chart; the values were checked against v1.21.1.
            values: Further values, over the library's own.
        """
        own = merged(Template(_HERE / "values.yaml", {"id": id}).whole(), values)
        super().__init__(scope, id, version=version, values=own, **described(_HERE, names=release_names(id, own)))
        self.controller = CertManagerController(self)
        self._given = values or {}
        #: Whether challenges are answered for through Gateways, of which cert-manager has to be told.
        self.uses_gateways = False

    def calls(self, host: str, port: int = 443) -> None:
        """Open a host of the internet to it."""
        if not validation.host_name(host) and (found := InternetHost(host, port)) not in self.controller.internet:
            self.controller.internet.append(found)

    @property
    def chart_source(self) -> ChartSource:
        """The chart that Argo CD renders."""
        source = super().chart_source
        if not self.uses_gateways:
            return source
        config = {"apiVersion": "controller.config.cert-manager.io/v1alpha1", "kind": "ControllerConfiguration"}
        values = merged({"config": {**config, "enableGatewayAPI": True}}, self._given)
        return replace(source, values=merged(source.values or {}, values))

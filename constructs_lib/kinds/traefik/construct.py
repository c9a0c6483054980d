"""Traefik, which serves Ingresses and Gateways."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.controller import IngressController
from constructs_lib.declare.system import System
from constructs_lib.kinds.helm_chart.construct import HelmChart, described, merged, release_names
from constructs_lib.template import Template

_HERE = Path(__file__).parent
#: Ports of its pods; the Service in front of them has 80 and 443.
_HTTP, _HTTPS = 8000, 8443


class Traefik(HelmChart):
    """Traefik by its chart: a controller for :class:`Ingress` and :class:`Gateway` behind a load balancer."""

    serves_routes = True

    @checked
    def __init__(
        self,
        scope: System,
        id: str = "traefik",
        *,
        version: str,
        replicas: int = 1,
        redirect: bool = True,
        gateways: bool = False,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Declare Traefik.

        Args:
            scope: The system.
            id: Its name, also that of its IngressClass and its GatewayClass. Default ``traefik``.
            version: Version of the chart; the values were checked against 41.3.0.
            replicas: Number of pods. Default 1.
            redirect: Whether it answers at port 80 that everything is to be had by HTTPS. Default True.
            gateways: Whether it serves Gateways, too. The cluster has to know their kinds, which the chart does not
                bring (https://gateway-api.sigs.k8s.io/guides/#installing-gateway-api). Default False.
            values: Further values, over the library's own.
        """
        placeholders = {
            "id": id,
            "replicas": replicas,
            "spread": replicas > 1,
            "gateways": gateways,
            "redirection": {"to": "websecure", "scheme": "https", "permanent": True} if redirect else {},
            "annotations": dict(scope.environment.cluster.load_balancer_annotations),
        }
        own = merged(Template(_HERE / "values.yaml", placeholders).whole(), values)
        names = [f"{id}-{id}", *release_names(id, own)]
        found = described(_HERE, id=id, names=sorted({*names}))
        super().__init__(scope, id, version=version, values=own, **found)
        if replicas < 1:
            self.report(f"replicas: {replicas} is no number of pods; at least 1 is needed.")
        self.controller = IngressController(
            self,
            id,
            pods={"app.kubernetes.io/name": "traefik"},
            ports={"web": _HTTP, "websecure": _HTTPS},
            ingress_class=id,
            gateway_class=id if gateways else "",
            http_port=_HTTP,
            https_port=_HTTPS,
        )

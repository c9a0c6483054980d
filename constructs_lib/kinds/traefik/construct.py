"""Traefik, which serves Ingresses and Gateways."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.balancing import HTTP_PORT, HTTPS_PORT, Balancing
from constructs_lib.declare.controller import IngressController
from constructs_lib.declare.system import System
from constructs_lib.kinds.cert_manager.issuer import NOT_HEALTH
from constructs_lib.kinds.helm_chart.construct import HelmChart, described, merged, release_names
from constructs_lib.kubernetes.pod import DEREGISTRATION_SECONDS
from constructs_lib.template import Template

_HERE = Path(__file__).parent
#: Ports of its pods; the Service in front of them has 80 and 443.
_HTTP, _HTTPS = 8000, 8443
#: Seconds for which it keeps a connection without a request by itself, ``DefaultIdleTimeout`` in its configuration.
_IDLE_SECONDS = 180
#: Seconds after its own end of all connections until it is killed.
_END_SECONDS = 5


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
        idle_seconds: int | None = None,
        keeps_client_address: bool = False,
        source_ranges: Sequence[str] = (),
        drain_seconds: int = 30,
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
            idle_seconds: Seconds after which its load balancer may close a connection on which nothing is sent, such as
                that of a WebSocket; by itself it closes none of these. DigitalOcean takes 30 to 600. Default: the
                provider's.
            keeps_client_address: Whether programs are told the addresses of their clients, in ``X-Forwarded-For``, and
                only nodes with a pod of it get traffic. Where the load balancer has connections of its own, it says
                them by the PROXY protocol. Default False: they are told an address of the cluster.
            source_ranges: CIDR blocks from which it may be reached. Default: from everywhere.
            drain_seconds: Seconds that open connections, such as WebSockets, get to end when a pod goes. Default 30.
            values: Further values, over the library's own.
        """
        cluster = scope.environment.cluster
        ports = (HTTP_PORT, HTTPS_PORT)
        balancing = Balancing(ports, idle_seconds, tells_addresses=keeps_client_address)
        placeholders = {
            "id": id,
            "replicas": replicas,
            "spread": replicas > 1,
            "gateways": gateways,
            "redirection": {"to": "websecure", "scheme": "https", "permanent": True} if redirect else {},
            "annotations": {**cluster.load_balancer_annotations, **balancing.annotations(cluster), **NOT_HEALTH},
            "service": {
                "type": "LoadBalancer",
                **({"externalTrafficPolicy": "Local"} if keeps_client_address else {}),
                **({"loadBalancerSourceRanges": [*source_ranges]} if source_ranges else {}),
            },
            # Whoever else is in the cluster can claim an address, as far as policies let it reach the pods at all.
            "trusted": [*cluster.cluster_networks] if balancing.speaks_proxy_protocol(cluster) else [],
            "idle": f"{max(idle_seconds or 0, _IDLE_SECONDS)}s",
            "accepting": f"{DEREGISTRATION_SECONDS}s",
            "draining": f"{drain_seconds}s",
            "grace": DEREGISTRATION_SECONDS + drain_seconds + _END_SECONDS,
        }
        own = merged(Template(_HERE / "values.yaml", placeholders).whole(), values)
        names = [f"{id}-{id}", *release_names(id, own)]
        found = described(_HERE, id=id, names=sorted({*names}))
        super().__init__(scope, id, version=version, values=own, **found)
        if replicas < 1:
            self.report(f"replicas: {replicas} is no number of pods; at least 1 is needed.")
        if not 1 <= drain_seconds <= 3600:
            self.report(f"drain_seconds: {drain_seconds} is out of range; 1 to 3600 seconds are allowed.")
        for problem in balancing.problems(cluster, 'values={"service": {"annotations": {…}}}'):
            self.report(problem)
        for problem in filter(None, map(validation.network, source_ranges)):
            self.report(f"source_ranges: {problem}")
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

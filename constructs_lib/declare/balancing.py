"""How load balancers of clouds are told of time-outs, certificates and addresses: by annotations, of each its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from constructs_lib.declare.cluster import Cluster, DigitalOcean, K3d
from constructs_lib.text import shown

#: https://docs.digitalocean.com/products/kubernetes/how-to/configure-load-balancers/
_DIGITALOCEAN = "service.beta.kubernetes.io/do-loadbalancer-"
#: Seconds that it takes for an idle connection.
_DIGITALOCEAN_IDLE = range(30, 601)
HTTP_PORT, HTTPS_PORT = 80, 443


@dataclass(frozen=True)
class Balancing:
    """What a load balancer does beside passing connections on.

    Attributes:
        ports: Numbers that users see.
        idle_seconds: Seconds after which it may close a connection on which nothing is sent; None for its own.
        certificate: Name of the provider's certificate with which it ends TLS; empty if it ends none.
        redirect: Whether it answers at port 80 that everything is to be had by HTTPS.
        tells_addresses: Whether it begins each connection with the address of the client, by the PROXY protocol, where
            it does not leave that address as it is.
    """

    ports: tuple[int, ...]
    idle_seconds: int | None = None
    certificate: str = ""
    redirect: bool = False
    tells_addresses: bool = False

    @property
    def ends_connections(self) -> bool:
        """Whether it has to have connections of its own: one that passes packets on has no time-out and no TLS."""
        return self.idle_seconds is not None or bool(self.certificate)

    def annotations(self, cluster: Cluster) -> dict[str, str]:
        """Return the annotations that tell a cluster's load balancers, beside those of the cluster itself.

        DigitalOcean's load balancers pass packets on unless they are told otherwise. Such a one keeps the addresses of
        clients, and so it needs no PROXY protocol.
        """
        if not isinstance(cluster, DigitalOcean) or not self.ends_connections:
            return {}
        told = {"type": "REGIONAL"}
        if self.idle_seconds is not None:
            told["http-idle-timeout-seconds"] = str(self.idle_seconds)
        if self.certificate:
            secured = (str(port) for port in sorted(self.ports) if port != HTTP_PORT)
            told |= {"protocol": "http", "tls-ports": ",".join(secured), "certificate-name": self.certificate}
        if self.redirect:
            told["redirect-http-to-https"] = "true"
        if self.tells_addresses:
            told["enable-proxy-protocol"] = "true"
        return {f"{_DIGITALOCEAN}{name}": value for name, value in told.items()}

    def speaks_proxy_protocol(self, cluster: Cluster) -> bool:
        """Whether connections begin with the address of the client."""
        return f"{_DIGITALOCEAN}enable-proxy-protocol" in self.annotations(cluster)

    def problems(self, cluster: Cluster, instead: str = "annotations={…}") -> Iterator[str]:
        """Yield what is wrong with it, and what the load balancers of a cluster cannot be told.

        Args:
            cluster: The cluster.
            instead: How annotations are written where it is declared.
        """
        if self.idle_seconds is not None and self.idle_seconds < 1:
            yield f"idle_seconds: {self.idle_seconds} is out of range; at least 1 second is needed."
            return
        if self.redirect and not self.certificate:
            yield "redirect: it has no certificate, so that nothing is to be had by HTTPS; give it certificate=…."
        if self.redirect and HTTPS_PORT not in self.ports:
            yield "redirect: users are sent to port 443, which it does not open; have one of the ports be 443."
        if self.certificate and HTTP_PORT in self.ports:
            yield "certificate: users of port 80 speak plain HTTP; write 443 in its place, and redirect=True."
        if isinstance(cluster, DigitalOcean):
            if self.idle_seconds is not None and self.idle_seconds not in _DIGITALOCEAN_IDLE:
                yield f"idle_seconds: {self.idle_seconds} is out of range; DigitalOcean takes 30 to 600 seconds."
            return
        kind = type(cluster).__name__
        if self.certificate:
            take = "an Ingress with tls=…" if isinstance(cluster, K3d) else f"{instead}, or an Ingress with tls=…"
            given = f"{shown(self.certificate)} cannot be given to the load balancers of {kind}"
            yield f"certificate: {given}; take {take}."
        # That of a laptop is no process that could lose patience.
        if self.idle_seconds is not None and not isinstance(cluster, K3d):
            yield f"idle_seconds: how the load balancers of {kind} are told is not known here; say it by {instead}."

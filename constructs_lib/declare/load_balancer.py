"""A load balancer in front of a program, beside the Service that the cluster uses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from constructs_lib.declare import validation
from constructs_lib.declare.balancing import HTTP_PORT, Balancing
from constructs_lib.declare.calls import explained
from constructs_lib.declare.cluster import Cluster


@explained
@dataclass(frozen=True)
class LoadBalancer:
    """A Service of type LoadBalancer of its own, named after the program with ``-external`` at the end.

    Attributes:
        ports: The numbers that users see, by the names of the ports: ``{"http": 80}``.
        source_ranges: CIDR blocks from which it may be reached. Default: from everywhere.
        annotations: Annotations for the provider, beside those of the cluster and those that follow from what is below.
        keeps_client_address: Whether the program sees the addresses of its clients, and only nodes with a pod of it
            get traffic (``externalTrafficPolicy: Local``). A load balancer that ends connections itself, by
            ``idle_seconds`` or ``certificate``, names them in the header ``X-Forwarded-For``, or not at all. Default
            False.
        idle_seconds: Seconds after which it may close a connection on which nothing is sent, such as that of a
            WebSocket. DigitalOcean takes 30 to 600. Default: the provider's.
        certificate: Name of a certificate that the provider has, with which the load balancer ends TLS at all its
            ports; the program gets plain HTTP. Known of DigitalOcean. Default: it ends none.
        redirect: With a certificate, whether it answers at port 80 that everything is to be had at 443. Default False.
    """

    ports: Mapping[str, int] = field(hash=False)
    source_ranges: Sequence[str] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False, kw_only=True)
    keeps_client_address: bool = field(default=False, kw_only=True)
    idle_seconds: int | None = field(default=None, kw_only=True)
    certificate: str = field(default="", kw_only=True)
    redirect: bool = field(default=False, kw_only=True)

    @property
    def balancing(self) -> Balancing:
        """What it does beside passing connections on."""
        return Balancing((*self.ports.values(),), self.idle_seconds, self.certificate, self.redirect)

    @property
    def further_ports(self) -> Mapping[str, int]:
        """Ports that lead to the first one, too: at 80, users are told of 443."""
        return {"redirect": HTTP_PORT} if self.redirect else {}

    def problems(self, cluster: Cluster) -> Iterator[str]:
        """Yield what is wrong with it, and what the load balancers of a cluster cannot be told."""
        if not self.ports:
            yield 'ports: it opens none; write {"http": 80}.'
        for number in self.ports.values():
            if problem := validation.port_number(number):
                yield f"ports: {problem}"
        for block in self.source_ranges:
            if problem := validation.network(block):
                yield f"source_ranges: {problem}"
        yield from self.balancing.problems(cluster)

"""A load balancer in front of a program, beside the Service that the cluster uses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained


@explained
@dataclass(frozen=True)
class LoadBalancer:
    """A Service of type LoadBalancer of its own, named after the program with ``-external`` at the end.

    Attributes:
        ports: The numbers that users see, by the names of the ports: ``{"http": 80}``.
        source_ranges: CIDR blocks from which it may be reached. Default: from everywhere.
        annotations: Annotations for the provider, such as time-outs, beside those of the cluster.
        keeps_client_address: Whether the program sees the addresses of its clients, and only nodes with a pod of it
            get traffic (``externalTrafficPolicy: Local``). Default False.
    """

    ports: Mapping[str, int] = field(hash=False)
    source_ranges: Sequence[str] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False, kw_only=True)
    keeps_client_address: bool = field(default=False, kw_only=True)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        if not self.ports:
            yield 'ports: it opens none; write {"http": 80}.'
        for number in self.ports.values():
            if problem := validation.port_number(number):
                yield f"ports: {problem}"
        for block in self.source_ranges:
            if problem := validation.network(block):
                yield f"source_ranges: {problem}"

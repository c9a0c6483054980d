"""Ports of a program: where it listens, and under which number its Service offers that."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained

Protocol = Literal["TCP", "UDP", "SCTP"]


@explained
@dataclass(frozen=True)
class Port:
    """A port that is more than a number.

    Attributes:
        container: Number at which the program listens.
        service: Number at which its Service offers it. Default: the same.
        protocol: ``TCP``, ``UDP`` or ``SCTP``. Default ``TCP``.
        internal: Whether only the program's own pods use it; then no Service has it. Default False.
        sidecar: Name of the sidecar that listens there. Default: the program itself.
        balanced: Whether clients are told a name that leads to all pods, and choose among these themselves, as gRPC
            does: a Service chooses a pod once for each connection, and one with many requests stays with it. It takes a
            client that asks for all addresses. Default False.
    """

    container: int
    service: int | None = None
    protocol: Protocol = "TCP"
    internal: bool = False
    sidecar: str = ""
    balanced: bool = False

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the number of the Service; who offers the port looks at that of the container."""
        if self.service is not None:
            if problem := validation.port_number(self.service):
                yield f"service: {problem}"
            if self.internal:
                yield "service: no Service has an internal port; leave the number out."
        if self.balanced and self.internal:
            yield "balanced: no Service has an internal port, and nobody else calls it; leave one of the two out."

    @property
    def service_port(self) -> int:
        """The number at the Service."""
        return self.container if self.service is None else self.service

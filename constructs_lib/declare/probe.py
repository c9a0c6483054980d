"""Probes: how the kubelet learns that a program is alive and ready."""

from dataclasses import dataclass
from typing import Any

from constructs_lib.declare.calls import explained


@explained
@dataclass(frozen=True)
class Http:
    """A GET request to a path at a port, by its name, that must be answered with a status from 200 to 399."""

    path: str
    port: str

    def manifest(self) -> dict[str, Any]:
        """Return the probe's action."""
        return {"httpGet": {"path": self.path, "port": self.port}}


@explained
@dataclass(frozen=True)
class Tcp:
    """A connection to a port, by its name, that must be accepted."""

    port: str

    def manifest(self) -> dict[str, Any]:
        """Return the probe's action."""
        return {"tcpSocket": {"port": self.port}}


Probe = Http | Tcp

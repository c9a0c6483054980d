"""Probes: how the kubelet learns that a program has started, is alive and ready.

https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from constructs_lib.declare.calls import explained
from constructs_lib.text import shown


@dataclass(frozen=True, kw_only=True)
class Timings:
    """How often a probe asks, and how patient it is. What is left out is chosen by what it is used for.

    Attributes:
        delay_seconds: Seconds between the start of the container and the first probe.
        period_seconds: Seconds between two probes.
        timeout_seconds: Seconds that an answer may take.
        failures: Failures in a row that count.
    """

    delay_seconds: int | None = None
    period_seconds: int | None = None
    timeout_seconds: int | None = None
    failures: int | None = None

    @property
    def port_name(self) -> str | None:
        """Name of the port that it asks; None if it asks none."""
        return getattr(self, "port", None)

    @property
    def untimed(self) -> Self:
        """The same probe with the timings left out."""
        return replace(self, delay_seconds=None, period_seconds=None, timeout_seconds=None, failures=None)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the numbers."""
        for name, least in (("delay_seconds", 0), ("period_seconds", 1), ("timeout_seconds", 1), ("failures", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value <= 3600:
                yield f"{name}: {value} is out of range; {least} to 3600 are allowed."

    def action(self, ports: Mapping[str, int]) -> dict[str, Any]:
        """Return what is done, where the program has these ports."""
        raise NotImplementedError

    def manifest(self, ports: Mapping[str, int], **defaults: int) -> dict[str, Any]:
        """Return the probe; ``defaults`` are timings by their names in Kubernetes, for those that are left out."""
        given = {
            "initialDelaySeconds": self.delay_seconds,
            "periodSeconds": self.period_seconds,
            "timeoutSeconds": self.timeout_seconds,
            "failureThreshold": self.failures,
        }
        chosen = {name: defaults.get(name) if value is None else value for name, value in given.items()}
        return {**self.action(ports), **{name: value for name, value in chosen.items() if value is not None}}


@explained
@dataclass(frozen=True)
class Http(Timings):
    """A GET request to a path at a port, by its name, that must be answered with a status from 200 to 399.

    Attributes:
        path: Path, with what follows a question mark.
        port: Name of the port.
        headers: Headers of the request. Default: none.
        scheme: ``HTTP`` or ``HTTPS``, whose certificate is not verified. Default ``HTTP``.
    """

    path: str
    port: str
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the path and the numbers."""
        yield from super().problems()
        if not self.path.startswith("/"):
            yield f'the path {shown(self.path)} must begin with "/".'
        for name in self.headers:
            # IsHTTPHeaderName in k8s.io/apimachinery/pkg/util/validation.
            if not re.fullmatch(r"[-A-Za-z0-9]+", name):
                yield f'headers: {shown(name)} is no name of a header; write it like "X-Probe".'

    def action(self, ports: Mapping[str, int]) -> dict[str, Any]:
        """Return what is done, where the program has these ports."""
        headers = [{"name": name, "value": value} for name, value in self.headers.items()]
        return {
            "httpGet": {
                "path": self.path,
                "port": self.port,
                **({"scheme": self.scheme} if self.scheme != "HTTP" else {}),
                **({"httpHeaders": headers} if headers else {}),
            }
        }


@explained
@dataclass(frozen=True)
class Tcp(Timings):
    """A connection to a port that must be accepted.

    Attributes:
        port: Name of the port.
    """

    port: str

    def action(self, ports: Mapping[str, int]) -> dict[str, Any]:
        """Return what is done, where the program has these ports."""
        return {"tcpSocket": {"port": self.port}}


@explained
@dataclass(frozen=True)
class Grpc(Timings):
    """A call of gRPC's health checking protocol at a port, by its name, that must be answered with ``SERVING``.

    https://github.com/grpc/grpc/blob/master/doc/health-checking.md

    Attributes:
        port: Name of the port.
        service: Name of the service that is asked for. Default: the server as a whole.
    """

    port: str
    service: str = ""

    def action(self, ports: Mapping[str, int]) -> dict[str, Any]:
        """Return what is done, where the program has these ports: Kubernetes takes no name of a port here."""
        return {"grpc": {"port": ports[self.port], **({"service": self.service} if self.service else {})}}


@explained
@dataclass(frozen=True)
class Exec(Timings):
    """A command in the container that must end with 0. Each run starts a process: prefer the others.

    Attributes:
        command: The program and its arguments; no shell reads them.
    """

    command: Sequence[str] = field(hash=False)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the command and the numbers."""
        yield from super().problems()
        if not self.command:
            yield 'the command is empty; write it like ["pg_isready", "--quiet"].'

    def action(self, ports: Mapping[str, int]) -> dict[str, Any]:
        """Return what is done, where the program has these ports."""
        return {"exec": {"command": [*self.command]}}


Probe = Http | Tcp | Grpc | Exec

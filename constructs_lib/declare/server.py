"""Who offers endpoints: pods of the system, or what exists without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import misfits
from constructs_lib.declare.calls import explained
from constructs_lib.declare.diagnostics import Location
from constructs_lib.declare.port import Protocol
from constructs_lib.declare.role import Role
from constructs_lib.declare.secret import SecretReference
from constructs_lib.text import nearest


@dataclass(frozen=True)
class Endpoint:
    """A named port that somebody offers.

    Attributes:
        server: Who offers it.
        name: Its name, also that of the Service's port.
        port: Its number at the pods, which is what NetworkPolicies are about.
        service_port: Its number at the Service, which is what clients are told.
        attributes: What a client may be told about it, by name: ``host``, ``port``, ``address`` (``host:port``) and
            whatever the kind adds, for instance ``username``, ``password``, ``database``.
        metrics: Paths at which Prometheus metrics are served there.
        exposes: Patterns of the metrics, such as ``redis_*``, for programs that the library does not know; ``check``
            then tells where an alert or a panel reads another one.
        internal: Whether only the workload's own pods use it; then no Service names it.
        protocol: ``TCP``, ``UDP`` or ``SCTP``. Default ``TCP``.
        balanced: Whether clients are told a name that leads to all pods, at the pods' own number.
        declared: False for a placeholder of an endpoint that does not exist.
    """

    server: Server
    name: str
    port: int
    service_port: int
    attributes: Mapping[str, str | SecretReference] = field(default_factory=dict, compare=False)
    metrics: tuple[str, ...] = ()
    exposes: tuple[str, ...] = ()
    internal: bool = False
    protocol: Protocol = "TCP"
    balanced: bool = False
    declared: bool = True


class Server:
    """Who offers endpoints that workloads can need: the part of a construct that ``needs()`` and policies know.

    A class that inherits from it sets what follows, or has it as properties, and calls :meth:`offer`.

    Attributes:
        system: The :class:`System` in which it can be needed. It knows this class, which so cannot know it.
        name: How pictures and policies name it.
        location: The line that declares it.
        component: The :class:`Component` that brings it, which is healthy before who needs it is rolled out; None if
            none does.
        networks: CIDR blocks in which it is, where it is no pods; none for the internet.
        replaced: Arguments that were wrong and have placeholders in their place.
    """

    system: Any
    name: str
    location: Location
    component: Any = None
    networks: tuple[str, ...] = ()
    replaced: frozenset[str] = frozenset()

    @property
    def role(self) -> Role:
        """What it is for."""
        return Role.OUTSIDE

    @property
    def subject(self) -> str:
        """How messages name it. Default: by its name."""
        return self.name

    @property
    def host(self) -> str:
        """Name or address at which its endpoints are called."""
        raise NotImplementedError

    @property
    def host_of_pods(self) -> str:
        """Name that leads to all pods that answer, where an endpoint is balanced."""
        return self.host

    @property
    def says_ports(self) -> bool:
        """Whether its own policy lets each caller in at the port that it needs, so that theirs need not say it."""
        return False

    def pods(self, endpoint: Endpoint) -> tuple[str, Mapping[str, str]] | None:
        """Return the namespace and the labels of the pods that answer at an endpoint; None if they are no pods."""
        return None

    @cached_property
    def endpoints(self) -> dict[str, Endpoint]:
        """What it offers, by name."""
        return {}

    @cached_property
    def _refused(self) -> set[str]:
        return set()

    def told(self, endpoint: Endpoint, client: Any) -> Mapping[str, str | SecretReference]:
        """Return what a :class:`Workload` that needs an endpoint may be told about it. Default: the same for all."""
        return endpoint.attributes

    def report(self, problem: str, location: Location | None = None) -> None:
        """Report an error that concerns it, at ``location`` (default: the line being run)."""
        self.system.diagnostics.report(self.subject, problem, location, construct=self)

    @explained
    def offer(
        self,
        name: str,
        port: int,
        *,
        metrics: tuple[str, ...] = (),
        exposes: tuple[str, ...] = (),
        internal: bool = False,
        service_port: int | None = None,
        protocol: Protocol = "TCP",
        balanced: bool = False,
        **attributes: str | SecretReference,
    ) -> Endpoint:
        """Add an endpoint as :class:`Endpoint` tells; ``attributes`` are beside ``host``, ``port`` and ``address``.

        The Service offers it as ``service_port``; default: the same number.
        """
        if problem := validation.port_name(name) or validation.port_number(port):
            self.report(f"port {name}: {problem}")
            self._refused.add(name)
            return self._placeholder(name)
        at_service = port if service_port is None else service_port
        for other in self.endpoints.values():
            if other.protocol == protocol and (other.port == port or other.service_port == at_service):
                number = port if other.port == port else at_service
                self.report(f"the ports {other.name} and {name} are both {number}; give each one a number of its own.")
        host, number = (self.host_of_pods, port) if balanced else (self.host, at_service)
        told = {"host": host, "port": str(number), "address": f"{host}:{number}", **attributes}
        self.endpoints[name] = Endpoint(
            self, name, port, at_service, told, metrics, exposes, internal, protocol, balanced
        )
        return self.endpoints[name]

    @explained
    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint called ``name``; an error is reported if there is none."""
        if problems := [*misfits("endpoint()", name, str)]:
            self.report(problems[0])
        elif name in self.endpoints:
            return self.endpoints[name]
        elif not self.may_offer(name):
            known = nearest(name, self.endpoints) if self.endpoints else "it offers none at all."
            self.report(f'there is no endpoint "{name}"; {known}')
        return self._placeholder(name)

    def may_offer(self, name: str) -> bool:
        """Tell whether there is an endpoint called ``name``, or would be but for an error that is reported already."""
        return name in self.endpoints or name in self._refused or "ports" in self.replaced

    def _placeholder(self, name: str) -> Endpoint:
        return Endpoint(self, name, 1, 1, {}, declared=False)

"""What exists without the system and can be needed: a database that somebody manages, a Service of somebody else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.diagnostics import here
from constructs_lib.declare.port import Port
from constructs_lib.declare.secret import Plain, Secret, SecretReference
from constructs_lib.declare.server import Endpoint, Server
from constructs_lib.declare.system import System
from constructs_lib.kubernetes.names import is_private_host
from constructs_lib.text import shown

#: Attributes that follow from the host and the ports.
_FOLLOWING = ("address", "host", "port")


class Outside(Server):
    """What exists without the system: the base of :class:`External` and :class:`Existing`.

    It has no component and no wave. Nothing of it is made, changed or removed; who needs it waits for its port at most.
    """

    system: System
    #: A name of a port, for messages.
    _example = "http"

    def __init__(self, scope: System, id: str) -> None:
        """Take in its name."""
        self.location = here()
        self.system = scope
        problem = validation.dns_label(id)
        self.name = scope.placeholder_id() if problem else id
        if problem:
            self.system.diagnostics.report(type(self).__name__, problem)
        scope.take_in(self)

    def _take(self, ports: Mapping[str, int | Port], attributes: Mapping[str, str | Secret | Plain] | None) -> None:
        """Take in its ports, and what clients are told beside host and port."""
        if not ports:
            self.report(f'ports: without one, nothing can be called; write ports={{"{self._example}": …}}.')
        told = {name: taken for name, value in (attributes or {}).items() if (taken := self._attribute(name, value))}
        for name, given in ports.items():
            port = given if isinstance(given, Port) else Port(given)
            problems = [*port.problems(), *self._port_problems(port)]
            for problem in problems:
                self.report(f"port {name}: {problem}")
            if problems:
                self._refused.add(name)
                continue
            endpoint = self.offer(name, port.container, service_port=port.service, protocol=port.protocol)
            if endpoint.declared:
                self.endpoints[name] = replace(endpoint, attributes={**told, **endpoint.attributes})

    def _port_problems(self, port: Port) -> Iterator[str]:
        if port.internal or port.sidecar:
            yield "internal and sidecar are about pods of the system; leave them out."

    def _attribute(self, name: str, value: str | Secret | Plain) -> str | SecretReference | None:
        if name in _FOLLOWING:
            self.report(f'attributes: "{name}" follows from the host and the port; leave it out.')
        elif problem := validation.attribute(name):
            self.report(f"attributes: {problem}")
        elif isinstance(value, Secret):
            return SecretReference(self.name, name, value)
        elif isinstance(value, Plain):
            return value.text
        elif problem := validation.plain_secret(name, value):
            self.report(f"attributes: {problem}")
        else:
            return value
        return None


class External(Outside):
    """A host outside of the cluster: a managed database, an API, a machine in a private network."""

    _example = "sql"

    @checked
    def __init__(
        self,
        scope: System,
        id: str,
        *,
        host: str,
        ports: Mapping[str, int | Port],
        networks: Sequence[str] = (),
        attributes: Mapping[str, str | Secret | Plain] | None = None,
    ) -> None:
        """Declare a host outside of the cluster.

        Args:
            scope: The system.
            id: Its name, under which the store has its secret values.
            host: Its full name, or its address in IPv4.
            ports: Its ports by name: numbers, or ``Port(53, protocol="UDP")``.
            networks: CIDR blocks through which policies open. Default: an address opens itself alone. A name opens
                itself where the cluster provides ``cilium``, and else all of the internet, which the
                ``cluster_networks`` are no part of: a name that leads into them needs ``networks``, and only names that
                are private by their form can be told from others.
            attributes: What clients may be told beside ``host``, ``port`` and ``address``: texts, ``generated("…")``,
                ``supplied("…")``, ``plain("…")``.
        """
        super().__init__(scope, id)
        self._host = host
        self.networks = self._opened(host, networks)
        self._take(ports, attributes)

    @property
    def host(self) -> str:
        """Its name or address."""
        return self._host

    def _port_problems(self, port: Port) -> Iterator[str]:
        yield from super()._port_problems(port)
        if port.service is not None:
            yield "service: it has no Service; write the one number at which it is called."

    def _opened(self, host: str, networks: Sequence[str]) -> tuple[str, ...]:
        """Return the blocks through which policies open; none for the internet."""
        found = []
        for number, network in enumerate(networks):
            if problem := validation.opened_network(network, networks[:number]):
                self.report(f"networks: {problem}")
            else:
                found.append(IPv4Network(network))
        if "host" not in self.replaced and (problem := self._host_problem(host, bool(networks))):
            self.report(f"host: {problem}")
        elif validation.is_address(host):
            address = IPv4Address(host)
            if not networks:
                return (f"{address}/32",)
            if len(found) == len(networks) and not any(address in network for network in found):
                self.report(f"host: {host} is in none of its networks, and so would be closed; add the one it is in.")
        return tuple(map(str, found))

    def _host_problem(self, host: str, has_networks: bool) -> str | None:
        cluster = self.system.environment.cluster
        if host.endswith((".svc", f".svc.{cluster.domain}")):
            return f'{shown(host)} is a Service of the cluster; declare Existing(system, "{self.name}", …).'
        if problem := validation.host(host):
            return problem
        if is_private_host(host) and not has_networks and "cilium" not in cluster.provides:
            return (
                f"{shown(host)} is a name in a private network, and policies open the internet alone; add the CIDR "
                f'blocks in which it is, such as networks=("10.20.0.0/16",).'
            )
        return None


class Existing(Outside):
    """A Service in a namespace that somebody else owns. Nothing is taken over there: no Namespace, policy or object."""

    @checked
    def __init__(
        self,
        scope: System,
        id: str,
        *,
        namespace: str,
        service: str,
        pods: Mapping[str, str],
        ports: Mapping[str, int | Port],
        attributes: Mapping[str, str | Secret | Plain] | None = None,
    ) -> None:
        """Declare a Service that somebody else owns.

        Args:
            scope: The system.
            id: Its name, under which the store has its secret values.
            namespace: Its namespace, which no component of the system may have.
            service: Its name there.
            pods: Labels of the pods behind it, as its selector has them. Policies are opened to these pods.
            ports: Its ports by name: numbers, or ``Port(container=8080, service=80)`` where its pods have another one.
            attributes: What clients may be told beside ``host``, ``port`` and ``address``: texts, ``generated("…")``,
                ``supplied("…")``, ``plain("…")``.
        """
        super().__init__(scope, id)
        self.namespace_name = namespace
        self.service = service
        self._pods = dict(pods)
        for argument, name in (("namespace", namespace), ("service", service)):
            if argument not in self.replaced and (problem := validation.dns_label(name)):
                self.report(f"{argument}: {problem}")
        if not pods:
            self.report('pods: policies know Services by their pods; write the selector, such as pods={"app": "…"}.')
        for label, value in pods.items():
            if problem := validation.label(label, value):
                self.report(f"pods: {problem}")
        scope.leave(namespace, self)
        self._take(ports, attributes)

    @property
    def host(self) -> str:
        """DNS name of the Service."""
        return f"{self.service}.{self.namespace_name}.svc.{self.system.environment.cluster.domain}"

    def pods(self, endpoint: Endpoint) -> tuple[str, Mapping[str, str]]:
        """Return where its pods are, and the labels that select them."""
        return self.namespace_name, self._pods

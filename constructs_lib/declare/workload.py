"""Workloads, the endpoints that they offer and the edges between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import constructs

from constructs_lib.declare import validation
from constructs_lib.declare.component import Component
from constructs_lib.declare.mistake import Location, here, nearest
from constructs_lib.declare.secret import Secret, SecretReference
from constructs_lib.declare.system import System

#: Stage of objects that come with the last ones of the component, whose health no other object waits for.
LAST = 10_000


@dataclass(frozen=True)
class Endpoint:
    """A named TCP port that a workload offers.

    Attributes:
        workload: Who offers it.
        name: Its name, also that of the Service's port.
        port: Its number.
        attributes: What a client may be told about it, by name: ``host``, ``port``, ``address`` (``host:port``) and
            whatever the kind adds, for instance ``username``, ``password``, ``database``.
        metrics: Paths at which Prometheus metrics are served there.
        internal: Whether only the workload's own pods use it; then no Service names it.
        declared: False for the stand-in of an endpoint that does not exist.
    """

    workload: Workload
    name: str
    port: int
    attributes: Mapping[str, str | SecretReference] = field(default_factory=dict, compare=False)
    metrics: tuple[str, ...] = ()
    internal: bool = False
    declared: bool = True


@dataclass(frozen=True)
class Edge:
    """One workload needs an endpoint.

    Attributes:
        source: Who needs it.
        endpoint: What it needs.
        order: Whether the endpoint's component must be healthy first.
        location: Where the edge was declared.
    """

    source: Workload
    endpoint: Endpoint
    order: bool
    location: Location


@dataclass(frozen=True)
class InternetHost:
    """A host outside of the cluster that a workload calls.

    Attributes:
        host: Full name. NetworkPolicies know no names, so it documents why the port is open.
        port: Port. Default 443.
    """

    host: str
    port: int = 443


class Workload(constructs.Construct):
    """Pods with one purpose: the base of :class:`Microservice`, :class:`Postgres` and the like.

    Write another kind by inheriting, offering endpoints with :meth:`offer` and returning objects from
    :meth:`manifests`.
    """

    component: Component
    system: System

    #: Whether its volumes must outlive every mistake.
    holds_data = False
    #: How many stages its objects have beside the set-up, see :meth:`manifests`.
    stages = 1

    def __init__(self, scope: System | Component | Workload, id: str, *, namespace: str | None = None) -> None:
        """Declare a workload.

        Args:
            scope: The system (then it gets a component of its own, with the same id), a component, or a workload
                beside which it lives in the same namespace.
            id: Its name within the component.
            namespace: Namespace of its component, if ``scope`` is the system. Default: the id.
        """
        self.location = here()
        component: Component
        if isinstance(scope, System):
            component = Component(scope, id, namespace=namespace)
            name = component.id
            id = component.id
        else:
            component = scope.component if isinstance(scope, Workload) else scope
            problem = validation.dns_label(id)
            if problem:
                component.system.ledger.report(component.id, problem)
                id = "unnamed"
            if component.workload(id) is not None:
                component.system.ledger.report(
                    component.id,
                    f'the id "{id}" is taken by another workload of this component; ids are unique.',
                )
                while component.workload(id) is not None:
                    id += "-again"
            if namespace is not None:
                component.system.ledger.report(
                    f"{component.id}/{id}",
                    f'namespace "{namespace}": a workload inside of {component.id} lives in its namespace, '
                    f"{component.namespace_name}; leave the namespace out.",
                )
            name = component.id if id == component.id else f"{component.id}-{id}"
        super().__init__(component, id)
        self.id = id
        self.component = component
        self.system = component.system
        self.name = name
        self.endpoints: dict[str, Endpoint] = {}
        self.edges: list[Edge] = []
        self.environment: dict[str, object] = {}
        self.internet: list[InternetHost] = []
        self.uses_kubernetes_api = False
        self.exposed_ports: list[int] = []
        if len(name) > 52:
            # A StatefulSet's pods carry its name with a revision hash of up to 11 characters in a label.
            self.mistake(f'the name "{name}" has {len(name)} characters; at most 52 leave room for the pods\' names.')
        component.add_workload(self)

    @property
    def subject(self) -> str:
        """How messages name the workload."""
        return self.component.id if self.name == self.component.id else f"{self.component.id}/{self.id}"

    @property
    def host(self) -> str:
        """DNS name of its Service."""
        return f"{self.name}.{self.component.namespace_name}.svc.{self.system.environment.cluster.domain}"

    @property
    def selector(self) -> dict[str, str]:
        """Labels that select its pods; never changed, because selectors are immutable."""
        return {"app.kubernetes.io/name": self.name}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its objects."""
        return {**self.selector, "app.kubernetes.io/part-of": self.system.name}

    def mistake(self, problem: str, location: Location | None = None) -> None:
        """Record a mistake that concerns this workload, at ``location`` (default: the line being run)."""
        self.system.ledger.report(self.subject, problem, location)

    def offer(
        self,
        name: str,
        port: int,
        *,
        metrics: tuple[str, ...] = (),
        internal: bool = False,
        **attributes: str | SecretReference,
    ) -> Endpoint:
        """Add an endpoint.

        Args:
            name: Its name.
            port: Its number.
            metrics: Paths at which Prometheus metrics are served there.
            internal: Whether only the workload's own pods use it.
            attributes: What clients may be told beside ``host``, ``port`` and ``address``.
        """
        problem = validation.port_name(name) or validation.port_number(port)
        if problem:
            self.mistake(f"port {name}: {problem}")
            return self._stand_in(str(name))
        for other in self.endpoints.values():
            if other.port == port:
                self.mistake(f"the ports {other.name} and {name} are both {port}; a port can be used once.")
        told: dict[str, str | SecretReference] = {
            "host": self.host,
            "port": str(port),
            "address": f"{self.host}:{port}",
            **attributes,
        }
        endpoint = Endpoint(self, name, port, told, metrics=metrics, internal=internal)
        self.endpoints[name] = endpoint
        return endpoint

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint called ``name``; a mistake is recorded when there is none."""
        if name in self.endpoints:
            return self.endpoints[name]
        self.mistake(f'there is no endpoint "{name}"; {nearest(name, self.endpoints)}')
        return self._stand_in(name)

    def _stand_in(self, name: str) -> Endpoint:
        return Endpoint(self, name, 1, {}, declared=False)

    def needs(self, endpoint: Endpoint, variables: Mapping[str, str] | None = None, *, order: bool = True) -> None:
        """Declare that this workload calls an endpoint: its address, order, network and wait follow from it.

        Args:
            endpoint: What it needs.
            variables: Environment variables that tell the program about the endpoint, each with the name of one of
                its attributes: ``needs(database.endpoint("sql"), {"DB_HOST": "host", "DB_PASSWORD": "password"})``.
            order: Whether it must be healthy before this one starts. False only opens the network: for calls that
                can wait, and for two that call each other.
        """
        if not isinstance(endpoint, Endpoint):
            self.mistake(f'needs() takes an endpoint, such as database.endpoint("sql"), not {endpoint!r}.')
            return
        if not endpoint.declared:
            return
        if endpoint.workload.system is not self.system:
            self.mistake(f"{endpoint.workload.subject} belongs to another system; an edge cannot leave its system.")
            return
        for edge in self.edges:
            if edge.endpoint == endpoint:
                self.mistake(
                    f"it already needs {endpoint.workload.subject} {endpoint.name} "
                    f"(line {edge.location.line}); declare an edge once."
                )
        if endpoint.internal and endpoint.workload is not self:
            self.mistake(
                f"the endpoint {endpoint.name} of {endpoint.workload.subject} is for its own pods only; "
                f"{nearest(endpoint.name, [e.name for e in endpoint.workload.endpoints.values() if not e.internal])}"
            )
        if endpoint.workload is self:
            order = False
        self.edges.append(Edge(self, endpoint, order, here()))
        for variable, attribute in (variables or {}).items():
            if attribute not in endpoint.attributes:
                self.mistake(
                    f'{variable}: {endpoint.workload.subject} {endpoint.name} has no "{attribute}"; '
                    f"{nearest(attribute, endpoint.attributes)}"
                )
            else:
                self.set_variable(variable, endpoint.attributes[attribute])

    def after(self, *others: Component | Workload, reason: str = "declared with after()") -> None:
        """Roll out only once ``others`` are healthy, though nothing is called there."""
        self.component.after(*others, reason=reason)

    def set_variable(self, name: str, value: object) -> None:
        """Give the program an environment variable."""
        if problem := validation.environment_variable(name):
            self.mistake(problem)
        elif name in self.environment:
            self.mistake(f"the variable {name} is set twice.")
        else:
            self.environment[name] = value
            if isinstance(value, SecretReference):
                self.component.secret_key(value)

    def secret(self, key: str, secret: Secret) -> SecretReference:
        """Return a reference to a secret value that this workload owns."""
        full_key = key if self.name == self.component.id else f"{self.id}-{key}"
        reference = SecretReference(self.component.id, full_key, secret)
        self.component.secret_key(reference)
        return reference

    @property
    def autoscaled(self) -> bool:
        """Whether a HorizontalPodAutoscaler owns the number of its replicas."""
        return False

    def check(self) -> None:
        """Record mistakes that show only once the whole system is declared."""

    def manifests(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield ``(stage, object)``: stage 0 is set up before any pod, 1 to :attr:`stages` follow, then :data:`LAST`.

        Each stage is healthy before the next one of this workload, and the last one before the first of any
        workload in the same component that needs this one.
        """
        yield from ()

    @property
    def helpers(self) -> Mapping[str, list[Edge]]:
        """Further pods that call something, by the name in their ``app.kubernetes.io/name`` label.

        Jobs that initialise or dump a data store are such pods: what they need is open to them alone.
        """
        return {}

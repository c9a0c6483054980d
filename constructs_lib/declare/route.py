"""Routes: which endpoints the paths of a host lead to, and what follows from that on both sides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from constructs_lib.declare import validation
from constructs_lib.declare.component import Addition, Component
from constructs_lib.declare.controller import Controller, serving
from constructs_lib.declare.passage import ExistingController
from constructs_lib.declare.server import Endpoint
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Edge, Workload
from constructs_lib.text import nearest, shown

#: What the API server refuses in the path of an Ingress or an HTTPRoute, ``validateHTTPIngressPath`` in pkg/apis.
_NO_PATH = re.compile(r"//|/\.\.?(/|$)|%2[fF]|[\s?#*]")


class Route(Addition):
    """The base of :class:`Ingress` and :class:`HttpRoute`.

    It is an object in the namespace of each component that it leads to, because an Ingress names Services of its own
    namespace alone, and a route of a Gateway those of others only if these permit it. The objects have the same host:
    controllers put the paths of a host together.
    """

    #: Arguments that were wrong and have placeholders in their place.
    replaced: frozenset[str] = frozenset()

    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        host: str | Sequence[str],
        routes: Mapping[str, Endpoint],
        controller: Controller | None,
    ) -> None:
        """Declare a route; its kind says what the arguments mean."""
        owner = scope if isinstance(scope, System) else scope if isinstance(scope, Component) else scope.component
        self.system = owner if isinstance(owner, System) else owner.system
        self.location = self.system.diagnostics.here(self)
        problem, self.name = validation.dns_label(id), "unnamed"
        if problem is None:
            self.name = id if isinstance(owner, System) or owner.id == id else f"{owner.id}-{id}"
        self.hosts = (host,) if isinstance(host, str) else tuple(host)
        self.controller = self._serving(controller)
        if problem := problem or validation.dns_label(self.name):
            self.report(problem)
        if known := next((each for each in self.system.routes if each.name == self.name), None):
            self.report(
                f'the name "{self.name}" is taken by the {known.kind} declared at {known.location}; rename one.'
            )
        if "host" not in self.replaced:
            for problem in _host_problems(self.hosts):
                self.report(problem)
        if not routes and "routes" not in self.replaced:
            self.report('it leads nowhere; write routes={"/": web.endpoint("http")} or the like.')
        #: By component, the paths with what they lead to.
        self.parts: dict[Component, dict[str, Endpoint]] = {}
        self._take(routes)
        self.system.routes.append(self)
        self.system.has_edge = True
        for component, paths in self.parts.items():
            component.additions.append(self)
            self._open(component, paths.values())

    @property
    def subject(self) -> str:
        """How messages name it."""
        return self.name

    @property
    def served(self) -> str:
        """By whom it is served, beyond its hosts: two routes that are served by others do not meet."""
        raise NotImplementedError

    @property
    def told_by(self) -> tuple[str, str, str]:
        """Whose status tells the address that its hosts lead to: the kind, the namespace and the name."""
        component = next(iter(self.parts), None)
        return self.kind.lower(), component.namespace_name if component else "", self.name

    def _serving(self, controller: object) -> Workload | ExistingController | None:
        if "controller" in self.replaced or not isinstance(controller, Controller):
            return None
        found = serving(controller, self.system)
        if isinstance(found, str):
            self.report(f"controller: {found}")
            return None
        if isinstance(found, Workload) and found.system is not self.system:
            self.report(f"controller: {found.subject} belongs to another system; a route cannot leave its system.")
            return None
        return found

    def _take(self, routes: Mapping[str, Endpoint]) -> None:
        known: dict[str, str] = {}
        for path, endpoint in routes.items():
            if problem := _path_problem(path):
                self.report(problem)
                continue
            if (other := known.setdefault(path.rstrip("/"), path)) is not path:
                self.report(f'"{path}" and "{other}" are the same path; keep one of the two.')
            if not endpoint.declared:
                continue
            server = endpoint.server
            if server.component is None:
                self.report(f"{path}: {server.subject} is no Service of the system; a route leads to those alone.")
                continue
            if server.system is not self.system:
                self.report(f"{path}: {server.subject} belongs to another system; a route cannot leave its system.")
                continue
            if endpoint.internal:
                others = [each.name for each in server.endpoints.values() if not each.internal]
                problem = f"the endpoint {endpoint.name} of {server.subject} is for its own pods only"
                self.report(f"{path}: {problem}; {nearest(endpoint.name, others)}")
                continue
            self.parts.setdefault(server.component, {})[path] = endpoint

    def claim(self) -> None:
        """Report paths of its hosts that another route has; called by its kind, once it knows by whom it is served."""
        for host in self.hosts:
            for path in (path for paths in self.parts.values() for path in paths):
                key = (self.served, host, path.rstrip("/"))
                if (other := self.system.claims.setdefault(key, self)) is not self:
                    self.report(
                        f'the path "{path}" of {host} is taken by the {other.kind} declared at {other.location}; which '
                        f"one answers would be left to chance. Take one of the two away."
                    )

    def _open(self, component: Component, endpoints: Iterable[Endpoint]) -> None:
        controller, reason = self.controller, f"the {self.kind} {self.name} leads to it"
        if controller is None:
            return
        for endpoint in endpoints:
            server = endpoint.server
            if isinstance(server, Workload):
                server.routed_ports.add(endpoint.port)
            if isinstance(controller, ExistingController):
                why = f"from {controller.subject} to {endpoint.name}, by the {self.kind} {self.name}"
                if isinstance(server, Workload):
                    server.passes(controller, inward=True, reason=why, ports=(endpoint.port,))
                elif all(controller.namespace != name for each in component.access for name, _ in each.from_namespaces):
                    self.report(
                        f"{component.id} has to let it in: give the PodAccess of the pods behind {endpoint.name} "
                        f'from_namespaces=(("{controller.namespace}", ({endpoint.port},)),).'
                    )
            elif all(edge.endpoint != endpoint for edge in controller.edges):
                controller.edges.append(Edge(controller, endpoint, False, self.location))
        if isinstance(controller, Workload) and controller.component is not component:
            component.after(controller.component, reason=f"{reason} through {controller.component.id}")


def service_of(endpoint: Endpoint) -> str:
    """Return the name of the Service of an endpoint: the first part of its host."""
    return endpoint.server.host.partition(".")[0]


def _host_problems(hosts: Sequence[str]) -> Iterable[str]:
    if not hosts:
        yield 'host: no host is named; write one like "shop.example.com".'
    for number, host in enumerate(hosts):
        if validation.host_name(host.removeprefix("*.")):
            yield (
                f'host: {shown(host)} is no host; write it like "shop.example.com" or "*.example.com", without scheme, '
                f"port or path."
            )
        elif host in hosts[:number]:
            yield f"host: {host} is there twice; name it once."


def _path_problem(path: str) -> str | None:
    if not path.startswith("/"):
        return f'routes: {shown(path)} is no path; it begins with "/", as "/{path.lstrip("/")}" does.'
    if _NO_PATH.search(path):
        better = path.rstrip("*/") or "/"
        hint = f'; a path is the beginning of others anyway: "{better}"' if path.endswith("*") else ""
        return f'routes: {shown(path)} is no path: without "*", "?", "#", "//", "/../" and spaces{hint}.'
    return None

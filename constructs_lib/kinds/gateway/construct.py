"""Gateways, and the hosts and paths that they serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.calls import explained
from constructs_lib.declare.component import Component
from constructs_lib.declare.controller import Controller, serving
from constructs_lib.declare.passage import ExistingController
from constructs_lib.declare.role import Role
from constructs_lib.declare.route import Route, service_of
from constructs_lib.declare.server import Endpoint
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.cert_manager.issuer import ClusterIssuer, Issuer
from constructs_lib.kinds.cert_manager.tls import Tls, certificates
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.kubernetes.platform import NAME_LABEL
from constructs_lib.text import joined

_GROUP = "gateway.networking.k8s.io"


@explained
@dataclass(frozen=True)
class Listener:
    """A port at which a Gateway listens: HTTPS with ``tls``, else HTTP.

    Attributes:
        host: Only for this host; ``*.example.com`` for all below one. Default: for all.
        tls: Where the certificate of the host comes from: an issuer of cert-manager, or ``supplied("…")``.
        port: Default: that of the controller for HTTP or HTTPS, mostly 80 or 443.
        redirect: Whether it answers that everything is to be had by HTTPS, and leads nowhere.
    """

    host: str = ""
    tls: Tls | None = None
    port: int | None = None
    redirect: bool = False

    def takes(self, host: str) -> bool:
        """Tell whether it serves a host of a route."""
        if not self.host or self.host == host:
            return True
        return self.host.startswith("*.") and host.removeprefix("*").endswith(self.host[1:])


class Gateway(Component):
    """A Gateway in a namespace of its own, with its certificates. :class:`HttpRoute` leads from it to endpoints.

    https://gateway-api.sigs.k8s.io/api-types/gateway/
    """

    role = Role.PLATFORM
    serves_routes = True

    @checked
    def __init__(
        self,
        scope: System,
        id: str = "gateway",
        *,
        controller: Controller,
        listeners: Mapping[str, Listener],
        gateway_class: str | None = None,
        namespace: str | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Declare a Gateway.

        Args:
            scope: The system.
            id: Its name, and that of its component.
            controller: Who serves it: the chart, such as ``Traefik``, an :class:`IngressController` with the pods that
                call the Services, any other workload, or an :class:`ExistingController`.
            listeners: By name, the ports at which it listens.
            gateway_class: Name of the GatewayClass. Default: that of the controller.
            namespace: Default: the id.
            annotations: Annotations for the controller.
        """
        super().__init__(scope, id, namespace=namespace)
        self.listeners = dict(listeners)
        self.annotations = dict(annotations or {})
        #: Namespaces whose routes it takes: those that have some.
        self.route_namespaces: set[str] = {self.namespace_name}
        self.controller: Workload | ExistingController | None = None
        if "controller" not in self.replaced:
            found = serving(controller, scope)
            if isinstance(found, str):
                self.report(f"controller: {found}")
            else:
                self.controller = found
        if isinstance(self.controller, Workload):
            self.after(self.controller.component, reason=f"its controller is {self.controller.component.id}")
        self.gateway_class = gateway_class or getattr(self.controller, "gateway_class", "")
        if self.controller is not None and not self.gateway_class:
            self.report(
                'gateway_class: its controller names none; write gateway_class="…", as the GatewayClass is called.'
            )
        if not listeners and "listeners" not in self.replaced:
            self.report(
                'listeners: it listens nowhere; write listeners={"https": Listener("shop.example.com", tls=…)}.'
            )
        self._check_listeners()
        for name, listener in self.listeners.items():
            if listener.tls is not None and listener.host:
                certificates(self, self, f"{self.id}-{name}", (listener.host,), listener.tls)
                self._answer_challenges(listener.tls)

    def _check_listeners(self) -> None:
        known: dict[tuple[int, str], str] = {}
        for name, listener in self.listeners.items():
            if problem := validation.dns_label(name):
                self.report(f"listeners: {problem}")
            if listener.host and validation.host_name(listener.host.removeprefix("*.")):
                self.report(f'listeners, {name}: "{listener.host}" is no host; write it like "*.example.com".')
            if listener.port is not None and (problem := validation.port_number(listener.port)):
                self.report(f"listeners, {name}: {problem}")
            if listener.tls is not None and not listener.host:
                self.report(
                    f'listeners, {name}: a certificate is for a host; write Listener("shop.example.com", tls=…).'
                )
            if listener.tls is not None and listener.redirect:
                self.report(f"listeners, {name}: it is HTTPS already and has nothing to redirect to.")
            place = self.port(listener), listener.host
            if (other := known.setdefault(place, name)) != name:
                where = f"port {place[0]} for {place[1] or 'all hosts'}"
                self.report(f"listeners: {other} and {name} are both at {where}; keep one of the two.")

    def port(self, listener: Listener) -> int:
        """Return the port of a listener."""
        https, http = (getattr(self.controller, name, port) for name, port in (("https_port", 443), ("http_port", 80)))
        return listener.port or (https if listener.tls is not None else http)

    def _answer_challenges(self, tls: Tls) -> None:
        """Have an issuer prove hosts through this Gateway, if it proves them through any."""
        if not isinstance(tls, ClusterIssuer | Issuer) or not tls.by_gateway:
            return
        plain = next((name for name, listener in self.listeners.items() if listener.tls is None), None)
        if plain is None:
            self.report(
                f'listeners: the {tls.kind} {tls.name} asks at port 80; add one, "http": Listener(redirect=True).'
            )
            return
        tls.gateways[self.namespace_name, self.id] = plain
        if tls.manager:
            tls.manager.uses_gateways = True
            if isinstance(self.controller, Workload):
                tls.manager.after(
                    self.controller.component,
                    reason=f"it answers through Gateways, whose kinds {self.controller.component.id} brings",
                )

    def for_host(self, host: str) -> list[str]:
        """Return the listeners to which routes for a host belong: those with HTTPS if there are any."""
        fit = {name: each for name, each in self.listeners.items() if each.takes(host) and not each.redirect}
        return [name for name, each in fit.items() if each.tls is not None] or [*fit]

    def late_manifests(self, waves: Mapping[str, int]) -> Iterator[Manifest]:
        """Yield the Gateway, and the route that redirects."""
        labels = {"app.kubernetes.io/name": self.id, "app.kubernetes.io/part-of": self.system.name}
        yield manifest(
            f"{_GROUP}/v1",
            "Gateway",
            self.id,
            self.namespace_name,
            labels,
            annotations=self.annotations,
            spec={
                "gatewayClassName": self.gateway_class,
                "listeners": [self._listener(name, listener) for name, listener in self.listeners.items()],
            },
        )
        if redirecting := [name for name, listener in self.listeners.items() if listener.redirect]:
            redirect = {"scheme": "https", "statusCode": 301}
            rule = {
                "matches": [_prefix("/")],
                "filters": [{"type": "RequestRedirect", "requestRedirect": redirect}],
            }
            spec = {"parentRefs": [self.reference(name) for name in redirecting], "rules": [rule]}
            yield manifest(f"{_GROUP}/v1", "HTTPRoute", f"{self.id}-redirect", self.namespace_name, labels, spec=spec)

    def reference(self, listener: str) -> dict[str, str]:
        """Return how a route names a listener; fields that the API server would fill in are written out."""
        return {
            "group": _GROUP,
            "kind": "Gateway",
            "name": self.id,
            "namespace": self.namespace_name,
            "sectionName": listener,
        }

    def _listener(self, name: str, listener: Listener) -> dict[str, Any]:
        certificate = {"group": "", "kind": "Secret", "name": f"{self.id}-{name}-tls"}
        here = {"key": NAME_LABEL, "operator": "In", "values": sorted(self.route_namespaces)}
        return {
            "name": name,
            **({"hostname": listener.host} if listener.host else {}),
            "port": self.port(listener),
            "protocol": "HTTP" if listener.tls is None else "HTTPS",
            **({} if listener.tls is None else {"tls": {"mode": "Terminate", "certificateRefs": [certificate]}}),
            "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchExpressions": [here]}}},
        }


def _prefix(path: str) -> dict[str, Any]:
    return {"path": {"type": "PathPrefix", "value": path}}


class HttpRoute(Route):
    """An HTTPRoute of a Gateway, in the namespace of each component that it leads to.

    https://gateway-api.sigs.k8s.io/api-types/httproute/
    """

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        gateway: Gateway,
        host: str | Sequence[str],
        routes: Mapping[str, Endpoint],
    ) -> None:
        """Declare a route.

        Args:
            scope: The system, or the component or workload whose name goes before the id.
            id: Its name.
            gateway: The Gateway; the route belongs to its listeners for the host, those with HTTPS if there are any.
            host: Full name of the host, such as ``shop.example.com`` or ``*.example.com``; or several.
            routes: By the beginning of a path, such as ``/`` or ``/api``, the endpoint that answers; the longest that
                fits decides (``PathPrefix``).
        """
        self.gateway = gateway if isinstance(gateway, Gateway) else None
        super().__init__(scope, id, host=host, routes=routes, controller=self.gateway and self.gateway.controller)
        if self.gateway is None:
            return
        if self.gateway.system is not self.system:
            self.report(f"{self.gateway.id} belongs to another system; a route cannot leave its system.")
            return
        self.claim()
        for component in self.parts:
            self.gateway.route_namespaces.add(component.namespace_name)
            if component is not self.gateway:
                component.after(self.gateway, reason=f"the {self.kind} {self.name} is a route of {self.gateway.id}")
        for host in self.hosts if "host" not in self.replaced else ():
            if self.gateway.listeners and not self.gateway.for_host(host):
                known = [
                    f"{name} for {each.host or 'all hosts'}{', which redirects' if each.redirect else ''}"
                    for name, each in self.gateway.listeners.items()
                ]
                self.report(f"no listener of {self.gateway.id} serves {host}; it has {joined(known, 'and')}.")

    @property
    def kind(self) -> str:
        """Its kind in Kubernetes."""
        return "HTTPRoute"

    @property
    def served(self) -> str:
        """The Gateway."""
        return f"gateway {self.gateway.id if self.gateway else ''}"

    @property
    def told_by(self) -> tuple[str, str, str]:
        """The Gateway: it has the address."""
        return ("gateway", self.gateway.namespace_name, self.gateway.id) if self.gateway else super().told_by

    def manifests(self, component: Component) -> Iterator[Manifest]:
        """Yield the route of a component."""
        gateway = self.gateway
        assert gateway is not None
        listeners = dict.fromkeys(name for host in self.hosts for name in gateway.for_host(host))
        rules = [
            {
                "matches": [_prefix(path)],
                "backendRefs": [
                    {
                        "group": "",
                        "kind": "Service",
                        "name": service_of(endpoint),
                        "port": endpoint.service_port,
                        "weight": 1,
                    }
                ],
            }
            for path, endpoint in self.parts[component].items()
        ]
        yield manifest(
            f"{_GROUP}/v1",
            "HTTPRoute",
            self.name,
            component.namespace_name,
            {"app.kubernetes.io/name": self.name, "app.kubernetes.io/part-of": self.system.name},
            spec={
                "parentRefs": [gateway.reference(name) for name in listeners],
                "hostnames": [*self.hosts],
                "rules": rules,
            },
        )

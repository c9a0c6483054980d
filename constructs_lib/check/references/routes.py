"""Whether routes into the cluster, and within a mesh, lead to Services and ports that there are.

Ingresses are looked at in :mod:`constructs_lib.check.references.selections`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from constructs_lib.argocd.objects import Object
from constructs_lib.check.calls import resolve
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.tools import is_placeholder
from constructs_lib.kubernetes.manifest import entries, inner, mapping, sequence
from constructs_lib.kubernetes.workloads import service_ports
from constructs_lib.text import hint, within

_GATEWAY = "gateway.networking.k8s.io"
_TRAEFIK = ("traefik.io", "traefik.containo.us")
_ISTIO = "networking.istio.io"
_CONTOUR = "projectcontour.io"


class _Backend(NamedTuple):
    """Where a route leads: the field, the Service, its namespace, and its port; None if the route names none."""

    at: str
    name: str
    namespace: str
    port: object


def prove_routes(model: ClusterModel) -> Iterator[Finding]:
    """Yield the routes that lead to no Service, or to no port of one."""
    kinds = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "IngressRoute", "IngressRouteTCP")
    for item in model.kind(*kinds, "IngressRouteUDP", "TraefikService", "VirtualService", "HTTPProxy"):
        for backend in _backends(model, item):
            if not is_placeholder(f"{backend.name}{backend.namespace}{backend.port}"):
                yield from _backend(model, item, backend)


def _backends(model: ClusterModel, item: Object) -> Iterator[_Backend]:
    if item.group == _GATEWAY:
        for at, rule in entries(item.spec.get("rules"), "spec.rules"):
            for here, reference in entries(rule.get("backendRefs"), f"{at}.backendRefs"):
                if reference.get("kind", "Service") == "Service" and not reference.get("group"):
                    yield _of(item, here, reference)
            for here, each in entries(rule.get("filters"), f"{at}.filters"):
                mirror = mapping(inner(each, "requestMirror", "backendRef"))
                if mirror and mirror.get("kind", "Service") == "Service" and not mirror.get("group"):
                    yield _of(item, f"{here}.requestMirror.backendRef", mirror)
    elif item.group in _TRAEFIK:
        weighted = ("spec.weighted", mapping(item.spec.get("weighted")))
        for at, group in (*entries(item.spec.get("routes"), "spec.routes"), weighted):
            for here, service in entries(group.get("services"), f"{at}.services"):
                if service.get("kind", "Service") == "Service":
                    yield _of(item, here, service)
        if (mirroring := mapping(item.spec.get("mirroring"))) and mirroring.get("kind", "Service") == "Service":
            yield _of(item, "spec.mirroring", mirroring)
    elif item.group == _ISTIO:
        for kind in ("http", "tls", "tcp"):
            for at, rule in entries(item.spec.get(kind), f"spec.{kind}"):
                for here, route in entries(rule.get("route"), f"{at}.route"):
                    yield from _of_host(model, item, f"{here}.destination", mapping(route.get("destination")))
                if mirror := mapping(rule.get("mirror")):
                    yield from _of_host(model, item, f"{at}.mirror", mirror)
    elif item.group == _CONTOUR:
        proxy = ("spec.tcpproxy", mapping(item.spec.get("tcpproxy")))
        for at, route in (*entries(item.spec.get("routes"), "spec.routes"), proxy):
            for here, service in entries(route.get("services"), f"{at}.services"):
                yield _of(item, here, service)


def _of(item: Object, at: str, reference: Any) -> _Backend:
    namespace = str(reference.get("namespace") or item.namespace)
    return _Backend(at, str(reference.get("name")), namespace, reference.get("port"))


def _of_host(model: ClusterModel, item: Object, at: str, destination: Any) -> Iterator[_Backend]:
    """Yield the Service that a host of Istio means: a short name is one of the namespace of the rule."""
    host, port = str(destination.get("host")), inner(destination, "port", "number")
    if any(host in sequence(entry.spec.get("hosts")) for entry in model.kind("ServiceEntry")):
        return
    if "." not in host:
        yield _Backend(f"{at}.host", host, item.namespace, port)
    elif (name := resolve(model, host, item.namespace)) is not None and name.namespace and not name.pod:
        yield _Backend(f"{at}.host", name.service, name.namespace, port)


def _backend(model: ClusterModel, item: Object, backend: _Backend) -> Iterator[Finding]:
    service, code = model.get("Service", backend.namespace, backend.name), "route-backend-missing"
    if service is None:
        if backend.namespace in model.closed_namespaces:
            known = model.names("Service", backend.namespace)
            yield Finding.missing(code, item, backend.at, "Service", backend.name, known, backend.namespace)
        return
    if model.has_several(service):
        return
    ports = service_ports(service)
    numbers = {str(port.number) for port in ports} | {port.name for port in ports if port.name}
    if backend.port is not None and str(backend.port) not in numbers and service.spec.get("type") != "ExternalName":
        problem = f"The Service {backend.name}{within(backend.namespace)} has no port {backend.port}."
        yield Finding.of(code, item, problem, at=backend.at, fix=hint("port", str(backend.port), numbers))

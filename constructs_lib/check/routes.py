"""Routes into the cluster, and within a mesh: which Services they name."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from constructs_lib.argocd.objects import Object
from constructs_lib.check.calls import resolve
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, sequence
from constructs_lib.kubernetes.selectors import Selector

GATEWAY = "gateway.networking.k8s.io"
_TRAEFIK = ("traefik.io", "traefik.containo.us")
_ISTIO = "networking.istio.io"
_CONTOUR = "projectcontour.io"
#: The kinds of routes that a listener of a protocol takes, unless it says otherwise.
_TAKEN = {
    "HTTP": {"HTTPRoute", "GRPCRoute"},
    "HTTPS": {"HTTPRoute", "GRPCRoute"},
    "TLS": {"TLSRoute", "TCPRoute"},
    "TCP": {"TCPRoute"},
    "UDP": {"UDPRoute"},
}
#: Kinds that lead from outside of the cluster to Services, beside Ingresses.
ROUTES = (
    *("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "IngressRoute", "IngressRouteTCP"),
    *("IngressRouteUDP", "TraefikService", "VirtualService", "HTTPProxy", "DestinationRule"),
)


class Backend(NamedTuple):
    """Where a route leads: the field, the Service, its namespace, and its port; None if the route names none."""

    at: str
    name: str
    namespace: str
    port: object


def ingress_backends(item: Object) -> Iterator[Backend]:
    """Yield where an Ingress leads."""
    found = [("spec.defaultBackend", item.spec.get("defaultBackend"))]
    for at, rule in entries(item.spec.get("rules"), "spec.rules"):
        for here, path in entries(inner(rule, "http", "paths"), f"{at}.http.paths"):
            found.append((f"{here}.backend", path.get("backend")))
    for at, backend in found:
        if isinstance(name := inner(backend, "service", "name"), str):
            port = mapping(inner(backend, "service", "port"))
            yield Backend(at, name, item.namespace, port.get("number") or port.get("name"))


def backends(model: ClusterModel, item: Object) -> Iterator[Backend]:
    """Yield where a route of another kind leads."""
    if item.group == GATEWAY:
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
    elif item.kind == "DestinationRule":
        yield from _of_host(model, item, "spec", item.spec)
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


def _of(item: Object, at: str, reference: Any) -> Backend:
    namespace = str(reference.get("namespace") or item.namespace)
    return Backend(at, str(reference.get("name")), namespace, reference.get("port"))


def _of_host(model: ClusterModel, item: Object, at: str, destination: Any) -> Iterator[Backend]:
    """Yield the Service that a host of Istio means: a short name is one of the namespace of the rule."""
    host, port = str(destination.get("host")), inner(destination, "port", "number")
    if any(host in sequence(entry.spec.get("hosts")) for entry in model.kind("ServiceEntry")):
        return
    if "." not in host:
        yield Backend(f"{at}.host", host, item.namespace, port)
    elif (name := resolve(model, host, item.namespace)) is not None and name.namespace and not name.pod:
        yield Backend(f"{at}.host", name.service, name.namespace, port)


def kinds_of(listener: Mapping[str, Any]) -> set[str]:
    """Return the kinds of routes that a listener takes."""
    told = {str(each.get("kind")) for each in mappings(inner(listener, "allowedRoutes", "kinds"))}
    return told or _TAKEN.get(str(listener.get("protocol")), {kind for kinds in _TAKEN.values() for kind in kinds})


def allows(model: ClusterModel, listener: Mapping[str, Any], gateway: Object, item: Object) -> bool:
    """Tell whether a listener of a Gateway takes routes from the namespace of one."""
    namespaces = mapping(inner(listener, "allowedRoutes", "namespaces"))
    match str(namespaces.get("from") or "Same"):
        case "Same":
            return item.namespace == gateway.namespace
        case "Selector":
            labels = model.namespaces.get(item.namespace)
            # A namespace that is not in the tree may have any labels.
            return item.namespace not in model.names("Namespace") or Selector(namespaces.get("selector")).matches(
                labels or {}
            )
        case "None":
            return False
    return True


def meet(host: str, other: str) -> bool:
    """Tell whether a host of a route and one of a listener have names in common."""
    if not other or host == other:
        return True
    return any(wide.startswith("*.") and one.endswith(wide[1:]) for one, wide in ((host, other), (other, host)))

"""Whether routes lead to Services and ports that there are, from Gateways that take them, and no two claim one host.

What an Ingress leads to is looked at in :mod:`constructs_lib.check.references.selections`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.routes import GATEWAY, ROUTES, Backend, allows, backends, kinds_of, meet
from constructs_lib.check.tools import is_placeholder
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, sequence
from constructs_lib.kubernetes.workloads import service_ports
from constructs_lib.text import closest, hint, listed, within

_CLASS = "kubernetes.io/ingress.class"


def prove_routes(model: ClusterModel) -> Iterator[Finding]:
    """Yield the routes that lead to no Service, or to no port of one, that no Gateway takes, or that others have."""
    for item in model.kind(*ROUTES):
        for backend in backends(model, item):
            if not is_placeholder(f"{backend.name}{backend.namespace}{backend.port}"):
                yield from _backend(model, item, backend)
    for item in model.kind("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"):
        if item.group == GATEWAY:
            for at, reference in entries(item.spec.get("parentRefs"), "spec.parentRefs"):
                if (reference.get("group") or GATEWAY) == GATEWAY and reference.get("kind", "Gateway") == "Gateway":
                    yield from _parent(model, item, at, reference)
    # Of a tree without Applications it is not known what is deployed together.
    if model.has_applications:
        yield from _claimed_twice(model)


def _backend(model: ClusterModel, item: Object, backend: Backend) -> Iterator[Finding]:
    service, code = model.get("Service", backend.namespace, backend.name), "route-backend-missing"
    if service is None:
        if model.lacks("Service", backend.namespace, backend.name):
            known = model.names("Service", backend.namespace)
            yield Finding.missing(code, item, backend.at, "Service", backend.name, known, backend.namespace)
        elif backend.namespace not in model.namespaces and closest(backend.namespace, model.namespaces):
            fix = hint("namespace", backend.namespace, model.namespaces)
            yield Finding.of(code, item, f"There is no namespace {backend.namespace}.", at=backend.at, fix=fix)
        return
    if model.has_several(service):
        return
    ports = service_ports(service)
    numbers = {str(port.number) for port in ports} | {port.name for port in ports if port.name}
    if backend.port is not None and str(backend.port) not in numbers and service.spec.get("type") != "ExternalName":
        problem = f"The Service {backend.name}{within(backend.namespace)} has no port {backend.port}."
        yield Finding.of(code, item, problem, at=backend.at, fix=hint("port", str(backend.port), numbers))


def _parent(model: ClusterModel, item: Object, at: str, reference: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield that a route names a Gateway that there is not, or of which no listener takes it.

    https://gateway-api.sigs.k8s.io/api-types/httproute/#attaching-to-gateways
    """
    namespace, name = str(reference.get("namespace") or item.namespace), str(reference.get("name"))
    if is_placeholder(f"{namespace}{name}"):
        return
    gateway = model.get("Gateway", namespace, name, GATEWAY)
    if gateway is None:
        if model.lacks("Gateway", namespace, name):
            known = model.names("Gateway", namespace)
            yield Finding.missing("route-gateway-missing", item, f"{at}.name", "Gateway", name, known, namespace)
        return
    if model.has_several(gateway):
        return
    listeners = mappings(gateway.spec.get("listeners"))
    section, port = reference.get("sectionName"), reference.get("port")
    named = [each for each in listeners if section in (None, each.get("name")) and port in (None, each.get("port"))]
    which = f"The Gateway {name}{within(namespace)}"
    if not named:
        what = f"called {section}" if section is not None else f"at port {port}"
        offered = [str(each.get("name" if section is not None else "port")) for each in listeners]
        field = f"{at}.{'sectionName' if section is not None else 'port'}"
        wanted = str(section if section is not None else port)
        fix = hint("listener", wanted, offered)
        yield Finding.of("route-without-listener", item, f"{which} has no listener {what}.", at=field, fix=fix)
        return
    named = [each for each in named if item.kind in kinds_of(each)]
    if not named:
        problem = f"{which} takes no {item.kind} there."
        yield Finding.of("route-without-listener", item, problem, at=at)
        return
    allowing = [each for each in named if allows(model, each, gateway, item)]
    if not allowing:
        problem = f"{which} takes no routes from the namespace {item.namespace or 'of the route'}."
        fix = "Let allowedRoutes.namespaces of the listener select it; without it, only its own namespace is."
        yield Finding.of("route-without-listener", item, problem, at=at, fix=fix)
        return
    hosts = [str(host) for host in sequence(item.spec.get("hostnames"))]
    served = [str(each.get("hostname") or "") for each in allowing]
    if hosts and not any(meet(host, other) for host in hosts for other in served):
        problem = f"{which} serves {listed(sorted(served))} there, and none of {listed(hosts)}."
        yield Finding.of("route-without-listener", item, problem, at="spec.hostnames")


def _claimed_twice(model: ClusterModel) -> Iterator[Finding]:
    claims: dict[tuple[str, ...], Object] = {}
    told: set[tuple[Object, Object]] = set()
    for item, at, key, what in (*_ingress_claims(model), *_route_claims(model)):
        other = claims.setdefault(key, item)
        if other.identity != item.identity and (other, item) not in told:
            told.add((other, item))
            where = within(other.namespace)
            yield Finding.of(
                "host-claimed-twice", item, f"The {other.kind} {other.name}{where} has {what} already.", at=at
            )


def _ingress_claims(model: ClusterModel) -> Iterator[tuple[Object, str, tuple[str, ...], str]]:
    for item in model.kind("Ingress"):
        # One of the two is for a share of the requests.
        if any(name.endswith("/canary") for name in item.annotations):
            continue
        by = str(item.spec.get("ingressClassName") or item.annotations.get(_CLASS))
        for at, rule in entries(item.spec.get("rules"), "spec.rules"):
            for here, path in entries(inner(rule, "http", "paths"), f"{at}.http.paths"):
                text = str(path.get("path") or "/")
                if path.get("pathType") == "Prefix":
                    text = text.rstrip("/") or "/"
                key = ("Ingress", by, str(rule.get("host")), str(path.get("pathType")), text)
                yield item, f"{here}.path", key, f"the path {text} of {rule.get('host') or 'all hosts'}"


def _route_claims(model: ClusterModel) -> Iterator[tuple[Object, str, tuple[str, ...], str]]:
    for item in model.kind("HTTPRoute"):
        for parent in mappings(item.spec.get("parentRefs")):
            place = f"{parent.get('namespace') or item.namespace}/{parent.get('name')}/{parent.get('sectionName')}"
            for host in sequence(item.spec.get("hostnames")) or ["all hosts"]:
                for at, rule in entries(item.spec.get("rules"), "spec.rules"):
                    for match in mappings(rule.get("matches")) or [{}]:
                        path = {"type": "PathPrefix", "value": "/", **mapping(match.get("path"))}
                        whole = str(sorted(map(str, {**match, "path": path}.items())))
                        what = f"the path {path['value']} of {host}"
                        yield item, at, ("HTTPRoute", place, str(host), whole), what

"""Proof that what leads into the cluster is encrypted."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.policy.edge_services import service_findings
from constructs_lib.check.routes import GATEWAY, ROUTES, allows, backends, ingress_backends, kinds_of, meet
from constructs_lib.kubernetes.manifest import entries, inner, mappings, sequence
from constructs_lib.text import listed

#: Words in annotations by which controllers are told of certificates or of encryption that is not in the Ingress.
_ELSEWHERE = ("cert", "ssl", "tls", "https")
#: Domains of hosts that are somebody's own machine: RFC 6761, and names of addresses.
_LOCAL = (".localhost", ".local", ".test", ".internal", ".nip.io", ".sslip.io")


def edge_findings(model: ClusterModel) -> Iterator[Finding]:
    """Yield what serves users in plain HTTP: Ingresses, Gateways, routes, Services; but for those of a laptop."""
    if not model.has_applications or _is_laptop(model):
        return
    covered = [
        {str(host) for entry in mappings(item.spec.get("tls")) for host in sequence(entry.get("hosts"))}
        for item in model.kind("Ingress")
    ]
    secured = set().union(*covered)
    for item in model.kind("Ingress"):
        if not _is_told_elsewhere(item) and (plain := _plain(item, secured)):
            problem = f"It serves {listed(plain)} without a certificate."
            yield Finding.of("plain-http-at-edge", item, problem, at="spec.tls")
    for item in model.kind("Gateway"):
        if item.group == GATEWAY and not _is_told_elsewhere(item) and _is_plain(item):
            yield Finding.of("plain-http-at-edge", item, "It listens for HTTP alone.", at="spec.listeners")
    led_to: set[tuple[str, str]] = set()
    for item in model.kind("Ingress"):
        led_to |= {(each.namespace, each.name) for each in ingress_backends(item)}
    for item in model.kind(*ROUTES):
        led_to |= {(each.namespace, each.name) for each in backends(model, item)}
    yield from service_findings(model, frozenset(led_to))
    yield from _route_findings(model)


def _is_laptop(model: ClusterModel) -> bool:
    """Tell whether the cluster is on somebody's own machine: by its configuration, or by how its Argo CD is reached."""
    inputs = model.bootstrap.inputs("argocd").values()
    return model.cluster.kind == "k3d" or any(each.get("node_port") for each in inputs)


def _is_plain(gateway: Object) -> bool:
    listeners = mappings(gateway.spec.get("listeners"))
    is_local = all(str(each.get("hostname") or "").endswith(_LOCAL) for each in listeners)
    return bool(listeners) and all(each.get("protocol") == "HTTP" for each in listeners) and not is_local


def _route_findings(model: ClusterModel) -> Iterator[Finding]:
    """Yield the routes that lead from a plain listener to Services, beside one with TLS."""
    for item in model.kind("HTTPRoute", "GRPCRoute"):
        if item.group == GATEWAY and any(backends(model, item)):
            for at, reference in entries(item.spec.get("parentRefs"), "spec.parentRefs"):
                if listener := _plain_listener(model, item, reference):
                    problem = f"The listener {listener} of {reference.get('name')} serves it in plain HTTP."
                    fix = "Name the listener with TLS by sectionName; another route can send users of this one there."
                    yield Finding.of("plain-http-at-edge", item, problem, at=at, fix=fix)
    for item in model.kind(*_OTHERS):
        if not _is_told_elsewhere(item) and (served := _OTHERS[item.kind](item)):
            yield Finding.of("plain-http-at-edge", item, served, at="spec")


def _plain_listener(model: ClusterModel, item: Object, reference: Mapping[str, Any]) -> str | None:
    """Return the listener by which a Gateway that has one with TLS serves a route without."""
    namespace, name = str(reference.get("namespace") or item.namespace), str(reference.get("name"))
    gateway = model.get("Gateway", namespace, name, GATEWAY)
    if gateway is None or _is_plain(gateway):
        return None
    hosts = [str(host) for host in sequence(item.spec.get("hostnames"))] or [""]
    for each in mappings(gateway.spec.get("listeners")):
        served = str(each.get("hostname") or "")
        meant = [host for host in hosts if not host or meet(host, served)]
        if (
            each.get("protocol") == "HTTP"
            and reference.get("sectionName") in (None, each.get("name"))
            and reference.get("port") in (None, each.get("port"))
            and item.kind in kinds_of(each)
            and allows(model, each, gateway, item)
            and any(not (host or served).endswith(_LOCAL) for host in meant)
        ):
            return str(each.get("name"))
    return None


def _traefik(item: Object) -> str | None:
    points = {str(each) for each in sequence(item.spec.get("entryPoints"))}
    routes = mappings(item.spec.get("routes"))
    sent = [str(each.get("name")) for route in routes for each in mappings(route.get("middlewares"))]
    is_sent = any(re.search(r"redirect|https", name, re.IGNORECASE) for name in sent)
    is_local = all(any(host in str(route.get("match")) for host in _LOCAL) for route in routes)
    # Without entry points, all that there are serve it, and which are these is not said here.
    if not points or not points <= {"http", "web"} or item.spec.get("tls") is not None or is_sent or is_local:
        return None
    return f"The entry point {listed(sorted(points))} serves it in plain HTTP."


def _contour(item: Object) -> str | None:
    host = str(inner(item.spec, "virtualhost", "fqdn") or "")
    if not host or host.endswith(_LOCAL) or inner(item.spec, "virtualhost", "tls"):
        return None
    return f"It serves {host} without a certificate."


def _openshift(item: Object) -> str | None:
    host = str(item.spec.get("host") or "")
    if item.group != "route.openshift.io" or host.endswith(_LOCAL):
        return None
    if not item.spec.get("tls"):
        return f"It serves {host or 'its host'} without TLS."
    is_open = inner(item.spec, "tls", "insecureEdgeTerminationPolicy") == "Allow"
    return f"It serves {host or 'its host'} in plain HTTP, too." if is_open else None


def _istio(item: Object) -> str | None:
    if item.group != "networking.istio.io":
        return None
    plain = {
        str(host).rpartition("/")[2]
        for server in mappings(item.spec.get("servers"))
        if inner(server, "port", "protocol") in ("HTTP", "HTTP2", "GRPC") and not inner(server, "tls", "httpsRedirect")
        for host in sequence(server.get("hosts"))
    }
    hosts = sorted("all hosts" if host == "*" else host for host in plain if not host.endswith(_LOCAL))
    return f"It serves {listed(hosts)} in plain HTTP." if hosts else None


#: How other ways in tell of plain HTTP, by their kinds.
_OTHERS: Mapping[str, Callable[[Object], str | None]] = {
    "Gateway": _istio,
    "HTTPProxy": _contour,
    "IngressRoute": _traefik,
    "Route": _openshift,
}


def _plain(item: Object, secured: set[str]) -> list[str]:
    """Return the hosts of an Ingress for which neither it nor another one has a certificate."""
    tls = mappings(item.spec.get("tls"))
    # Without hosts, an entry is for all of them.
    if any(not sequence(entry.get("hosts")) for entry in tls):
        return []
    hosts = dict.fromkeys(str(rule.get("host") or "") for rule in mappings(item.spec.get("rules")))
    return [
        host or "all hosts"
        for host in hosts
        if host not in secured and f"*.{host.partition('.')[2]}" not in secured and not host.endswith(_LOCAL)
    ]


def _is_told_elsewhere(item: Object) -> bool:
    return any(word in name.lower() for name in item.annotations for word in _ELSEWHERE)

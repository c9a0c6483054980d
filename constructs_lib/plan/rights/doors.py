"""Ways in from outside of the cluster: Services with ports there, Ingresses, routes and gateways.

A new one lets more people in, and one that goes leaves people outside.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Any
from weakref import WeakKeyDictionary

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence, texts
from constructs_lib.plan.rights.tree import Case, State, Widened, widens
from constructs_lib.text import listed

_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
#: Annotations by which load balancers have an address in the private network alone:
#: https://kubernetes.io/docs/concepts/services-networking/service/#internal-load-balancer
_INTERNAL = (
    *("service.beta.kubernetes.io/aws-load-balancer-internal", "networking.gke.io/load-balancer-type"),
    *("service.beta.kubernetes.io/aws-load-balancer-scheme", "cloud.google.com/load-balancer-type"),
    *("service.beta.kubernetes.io/azure-load-balancer-internal", "alb.ingress.kubernetes.io/scheme"),
    *("service.beta.kubernetes.io/openstack-internal-load-balancer", "service.beta.kubernetes.io/do-loadbalancer-type"),
)
#: Ends of the names of annotations that limit who comes in.
_RANGES = ("whitelist-source-range", "allowlist-source-range", "load-balancer-source-ranges", "inbound-cidrs")
_CLASS = "kubernetes.io/ingress.class"
_LOGINS = ("/auth-url", "/auth-type", "/auth-secret", "/auth-tls-secret", "/auth-tls-verify-client", "/auth-signin")


@dataclass(frozen=True, order=True)
class Door:
    """A way in.

    Attributes:
        what: What it is, such as ``host``, or the Service whose port it is.
        host: The host; empty for all of them.
        path: The path, or what else is asked for; empty for everything.
        exact: Whether nothing below the path gets in.
        text: It in words.
    """

    what: str
    host: str
    path: str
    exact: bool
    text: str

    def covers(self, other: Door) -> bool:
        """Tell whether whoever comes in by another one comes in by this one as well."""
        if self.what != other.what or not _is_host(self.host, other.host):
            return False
        if self.path == other.path:
            return not self.exact or other.exact
        prefix = self.path.rstrip("/")
        return not self.exact and (not prefix or other.path.startswith(f"{prefix}/"))


def _is_host(pattern: str, host: str) -> bool:
    return pattern in ("", "*", host) or (pattern[:2] == "*." and host.endswith(pattern[1:]))


def _service(item: Object) -> Iterator[Door]:
    spec, kind = item.spec, str(inner(item.spec, "type") or "ClusterIP")
    # A Service that moves to another namespace is no new way in.
    name = item.name
    for port in mappings(spec.get("ports")):
        number, protocol = port.get("port"), str(port.get("protocol") or "TCP")
        if kind in ("LoadBalancer", "NodePort"):
            yield Door(f"{kind} {name}", "", f"{number}/{protocol}", True, f"port {number} of the {kind} {item.name}")
        for address in map(str, sequence(spec.get("externalIPs"))):
            yield Door(f"address {name}", address, f"{number}/{protocol}", True, f"port {number} of {address}")


def _ingress(item: Object) -> Iterator[Door]:
    default = item.spec.get("defaultBackend") or item.spec.get("backend")
    if default:
        yield Door("host", "", "", False, "every host")
    for rule in mappings(item.spec.get("rules")):
        host = str(rule.get("host") or "")
        paths = mappings(inner(rule, "http", "paths")) or [{}]
        for entry in paths:
            path = str(entry.get("path") or "")
            yield Door("host", host, path.rstrip("/"), entry.get("pathType") == "Exact", _address(host, path))


def _address(host: str, path: str) -> str:
    return f"{host or 'every host'}{path if path not in ('', '/') else ''}"


def _route(item: Object) -> Iterator[Door]:
    hosts = [str(host) for host in sequence(item.spec.get("hostnames"))] or [""]
    parents = [(each.get("namespace"), each.get("name"), each.get("sectionName")) for each in _parents(item)]
    for through in ["/".join(str(part) for part in parent if part) for parent in parents] or [""]:
        for host in hosts:
            for match in [each for rule in _rules(item) for each in (mappings(rule.get("matches")) or [{}])]:
                path = str(inner(match, "path", "value") or inner(match, "method", "service") or "")
                exact = inner(match, "path", "type") in ("Exact", "RegularExpression")
                more = sorted(f"{key}={value}" for key, value in match.items() if key != "path")
                what = " ".join([f"{item.kind} by {through}", *more])
                yield Door(what, host, path.rstrip("/"), exact, _address(host, path))


def _parents(item: Object) -> list[Mapping[str, Any]]:
    return mappings(item.spec.get("parentRefs"))


def _rules(item: Object) -> list[Mapping[str, Any]]:
    return mappings(item.spec.get("rules")) or [{}]


def _gateway(item: Object) -> Iterator[Door]:
    for listener in mappings(item.spec.get("listeners")):
        port, host = listener.get("port"), str(listener.get("hostname") or "")
        what = f"Gateway {item.namespace}/{item.name} {listener.get('protocol')} {port}"
        yield Door(what, host, "", False, f"{host or 'every host'} at port {port}")


def _istio_gateway(item: Object) -> Iterator[Door]:
    for server in mappings(item.spec.get("servers")):
        port = inner(server, "port", "number")
        for host in map(str, sequence(server.get("hosts"))):
            what = f"Gateway {item.namespace}/{item.name} {port}"
            yield Door(what, host.rpartition("/")[2], "", False, f"{host} at port {port}")


def _virtual_service(item: Object) -> Iterator[Door]:
    gateways = [str(each) for each in sequence(item.spec.get("gateways")) if each != "mesh"]
    for gateway in gateways:
        for host in map(str, sequence(item.spec.get("hosts"))):
            yield from _virtual_paths(item, gateway, host)


def _virtual_paths(item: Object, gateway: str, host: str) -> Iterator[Door]:
    rules = [rule for kind in ("http", "tls", "tcp") for rule in mappings(item.spec.get(kind))] or [{}]
    for match in [each for rule in rules for each in (mappings(rule.get("match")) or [{}])]:
        uri = mapping(match.get("uri"))
        path = next((str(uri[key]) for key in ("prefix", "exact", "regex") if key in uri), "")
        yield Door(
            f"host by {gateway}", host, path.rstrip("/"), bool(uri) and "prefix" not in uri, _address(host, path)
        )


def _by_rule(item: Object) -> Iterator[Door]:
    """Yield the ways in of a router that has rules of its own, such as Traefik's ``Host(`a`)``."""
    entries = [str(each) for each in sequence(item.spec.get("entryPoints"))] or [""]
    for route in mappings(item.spec.get("routes")):
        for entry in entries:
            rule = str(route.get("match"))
            yield Door(f"rule {entry}", "", rule, True, rule)


def _proxy(item: Object) -> Iterator[Door]:
    """Yield the ways in of Contour's HTTPProxy and OpenShift's Route."""
    host = str(inner(item.spec, "virtualhost", "fqdn") or item.spec.get("host") or "")
    if not host and item.kind == "HTTPProxy":
        return
    paths = [
        inner(each, "prefix")
        for route in mappings(item.spec.get("routes"))
        for each in mappings(route.get("conditions"))
    ]
    for path in paths or [item.spec.get("path")]:
        yield Door("host", host, str(path or "").rstrip("/"), False, _address(host, str(path or "")))


_WAYS: Mapping[str, Callable[[Object], Iterator[Door]]] = {
    "Service": _service,
    **dict.fromkeys(("networking.k8s.io/Ingress", "extensions/Ingress"), _ingress),
    **dict.fromkeys((f"gateway.networking.k8s.io/{kind}" for kind in _ROUTES), _route),
    "gateway.networking.k8s.io/Gateway": _gateway,
    "networking.istio.io/Gateway": _istio_gateway,
    "networking.istio.io/VirtualService": _virtual_service,
    **dict.fromkeys(
        (f"{group}/IngressRoute{end}" for group in ("traefik.io", "traefik.containo.us") for end in ("", "TCP", "UDP")),
        _by_rule,
    ),
    "projectcontour.io/HTTPProxy": _proxy,
    "route.openshift.io/Route": _proxy,
}
#: Kinds of which an object is a way in by itself.
DOOR_KINDS = frozenset(_WAYS)
#: Their names, but for Services, which have addresses of their own.
_KINDS = sorted({kind.rpartition("/")[2] for kind in _WAYS} - {"Service"})


def doors(item: Object | None) -> list[Door]:
    """Return the ways in that an object opens."""
    return [*_WAYS[item.full_kind](item)] if item is not None and item.full_kind in _WAYS else []


class Doors:
    """Ways in by their hosts, so that no other one has to be compared with all of them."""

    def __init__(self, items: Iterable[Object]) -> None:
        """Index the ways in that some objects open."""
        self._known: dict[tuple[str, str], list[Door]] = defaultdict(list)
        self.targets: set[str] = set()
        for item in items:
            if found := doors(item):
                self.targets.update(_targets(item))
            for door in found:
                self._known[door.what, door.host].append(door)

    def cover(self, door: Door) -> bool:
        """Tell whether one of them lets in whom another one lets in."""
        labels = door.host.split(".")
        wild = ("*." + ".".join(labels[number:]) for number in range(1, len(labels)))
        hosts = dict.fromkeys((door.host, "", "*", *wild))
        return any(known.covers(door) for host in hosts for known in self._known.get((door.what, host), ()))


_BEFORE_OR_AFTER: WeakKeyDictionary[State, dict[str, Doors]] = WeakKeyDictionary()


def _doors_of(state: State, *kinds: str) -> Doors:
    """Return the ways in that objects of some kinds open."""
    known = _BEFORE_OR_AFTER.setdefault(state, {})
    name = " ".join(kinds)
    if name not in known:
        known[name] = Doors(state.of(*kinds))
    return known[name]


def _words(some: Iterable[Door], *others: Doors) -> list[str]:
    """Return the ways in that others do not cover, in words."""
    return list(dict.fromkeys(each.text for each in some if not any(known.cover(each) for known in others)))


def closed(case: Case) -> list[str]:
    """Return the ways in that go with an object as it was, and that nothing else opens, in words.

    A Service that goes, or that is no load balancer any more, is told of anyway.
    """
    old, new = case.old, case.new
    if old is None or not doors(old):
        return []
    if old.full_kind != "Service":
        found = _words(doors(old), _doors_of(case.after, *_KINDS))
        return [*found, *(_kept_out(old, new) if new else ()), *(_unencrypted(case, old, new) if new else ())]
    if new is None or (inner(old.spec, "type") == "LoadBalancer" != inner(new.spec, "type")):
        return []
    return [*_words(doors(old), Doors([new])), *_node_ports_gone(old, new), *_kept_out(old, new)]


def _unencrypted(case: Case, old: Object, new: Object) -> Iterator[str]:
    """Yield the hosts of an Ingress that have a certificate no more."""
    if new.kind != "Ingress":
        return
    now = {host for item in case.after.of("Ingress") for host in _certified(item)}
    hosts = {door.host for door in doors(new)}
    yield from (f"https://{host}" for host in dict.fromkeys(_certified(old)) if host in hosts and host not in now)


def _certified(item: Object) -> list[str]:
    return [str(host) for each in mappings(item.spec.get("tls")) for host in sequence(each.get("hosts"))]


def _node_ports_gone(old: Object, new: Object) -> Iterator[str]:
    """Yield the ports of the nodes that lead to a Service no more; one that is left out stays as it is."""
    now = {(each.get("port"), each.get("protocol") or "TCP"): each.get("nodePort") for each in _ports_of(new)}
    taken = {each.get("nodePort") for each in _ports_of(new)}
    for port in _ports_of(old) if inner(new.spec, "type") in ("NodePort", "LoadBalancer") else ():
        number, key = port.get("nodePort"), (port.get("port"), port.get("protocol") or "TCP")
        if number and number not in taken and now.get(key) and inner(old.spec, "type") == "NodePort":
            yield f"port {number} of the nodes"


def _ports_of(service: Object) -> list[Mapping[str, Any]]:
    return mappings(service.spec.get("ports"))


def _kept_out(old: Object, new: Object) -> Iterator[str]:
    """Yield the addresses that came in and are kept out from now on."""
    before, after = _ranges(old), _ranges(new)
    for name, now in after.items():
        if gone := [each for each in before.get(name, ["every address"]) if not _is_within(each, now)]:
            yield f"{listed(gone)} to {new.kind} {new.name}"


def door_widening(case: Case) -> Widened:
    """Yield the ways in that an object opens."""
    item = case.new
    if item is None:
        return
    own = doors(item)
    others = [Doors([*case.gone.of(item.kind), *([case.old] if case.old else [])])] if own else []
    if item.kind == "Ingress":
        others.append(_doors_of(case.before, "Ingress"))
    if more := _words(own, *others):
        yield widens("way-in", ways=listed(more, 4))
    if case.old is None or not own:
        return
    if opened := _limits_gone(case.old, item):
        yield widens("way-in-for-more", limits=listed(opened))
    if more := [each for each in _targets(item) if each not in _doors_of(case.before, item.kind).targets]:
        yield widens("way-in-to-another", targets=listed(more))


def _limits_gone(old: Object, new: Object) -> list[str]:
    """Return the limits on who comes in that are gone or wider."""
    found = []
    ranges, before = (_ranges(item) for item in (new, old))
    for name, known in before.items():
        if not ranges.get(name) or any(not _is_within(each, known) for each in ranges[name]):
            found.append(name)
    classes = [item.spec.get("ingressClassName") or item.annotations.get(_CLASS) for item in (old, new)]
    if all(classes) and classes[0] != classes[1]:
        found.append(f"class {classes[0]}")
    for name, value in old.annotations.items():
        if name in _INTERNAL and new.annotations.get(name) != value and _is_internal(value):
            found.append(name)
        if name.endswith(_LOGINS) and new.annotations.get(name) != value:
            found.append(name)
    return [*found, *_listeners_opened(old, new)]


def _is_internal(value: str) -> bool:
    return value.lower() in ("true", "internal", "0.0.0.0/0")


def _ranges(item: Object) -> dict[str, list[str]]:
    found = {
        name: [part.strip() for part in value.split(",") if part.strip()]
        for name, value in item.annotations.items()
        if name.endswith(_RANGES)
    }
    found["loadBalancerSourceRanges"] = [str(each) for each in sequence(item.spec.get("loadBalancerSourceRanges"))]
    return {name: texts for name, texts in found.items() if texts}


@lru_cache(maxsize=1024)
def _is_part(block: str, of: str) -> bool:
    try:
        inside, outside = ip_network(block, strict=False), ip_network(of, strict=False)
    except ValueError:
        return block == of
    return inside.version == outside.version and inside.prefixlen >= outside.prefixlen and inside[0] in outside


def _is_within(block: str, known: Iterable[str]) -> bool:
    return any(_is_part(block, each) for each in known)


_ALLOWED = {"Same": 0, "Selector": 1, "All": 2}


def _listeners_opened(old: Object, new: Object) -> Iterator[str]:
    """Yield the listeners of a Gateway that take routes from more namespaces."""
    before = {str(each.get("name")): each for each in mappings(old.spec.get("listeners"))}
    for listener in mappings(new.spec.get("listeners")):
        name = str(listener.get("name"))
        if new.kind == "Gateway" and name in before:
            allowed, known = (mapping(inner(each, "allowedRoutes", "namespaces")) for each in (listener, before[name]))
            ranks = [_ALLOWED.get(str(each.get("from") or "Same"), 0) for each in (allowed, known)]
            if ranks[0] > ranks[1] or (ranks == [1, 1] and allowed.get("selector") != known.get("selector")):
                yield f"allowedRoutes of its listener {name}"


def _targets(item: Object) -> list[str]:
    """Return what is behind the ways in of an object."""
    if item.kind == "Service":
        return [", ".join(f"{key}={value}" for key, value in sorted(texts(item.spec.get("selector")).items()))]
    found: dict[str, None] = {}
    parts: list[Any] = [item.spec]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "service" and isinstance(value, dict):
                    found[f"{item.namespace}/{value.get('name')}"] = None
                elif key in ("backendRefs", "services", "destination"):
                    for each in value if isinstance(value, list) else [value]:
                        name = mapping(each).get("name") or mapping(each).get("host")
                        found[f"{mapping(each).get('namespace') or item.namespace}/{name}"] = None
                else:
                    parts.append(value)
        elif isinstance(part, list):
            parts += part
    return list(found)

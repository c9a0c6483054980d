"""Which Services let users in by plain HTTP: by their ports, and by what their annotations tell load balancers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.manifest import mappings, sequence
from constructs_lib.kubernetes.workloads import Port
from constructs_lib.text import listed

#: Protocols as ports and ``appProtocol`` name them; of gRPC and HTTP/2, those without TLS.
_PLAIN = frozenset({"grpc", "grpc-web", "h2c", "http", "http2", "web", "ws", "www"})
_SECURED = frozenset({"grpcs", "h2", "https", "ssl", "tls", "websecure", "wss"})
#: Numbers at which programs serve HTTP or HTTPS, for ports whose names say nothing.
_PLAIN_NUMBERS = frozenset({80, 3000, 5000, 8000, 8008, 8080, 8081, 8888})
_SECURED_NUMBERS = frozenset({443, 8443, 9443})
#: Words in annotations that tell load balancers to end TLS, or to pass it on.
_ENDS_TLS = re.compile(r"cert|ssl|tls|https", re.IGNORECASE)
#: An annotation for a load balancer, and what keeps it from being reached from outside of the cluster's network.
_BALANCER = re.compile(r"load-?balancer|elb\b", re.IGNORECASE)
_INTERNAL_NAME = re.compile(r"internal|balancer-private$|disable-public-network", re.IGNORECASE)
_INTERNAL_TEXT = re.compile(r"internal|intranet|inner|private", re.IGNORECASE)
_NO = frozenset({"", "0", "disabled", "false", "no", "none", "off"})
#: What makes load balancers whose connections are encrypted by themselves, and lead to nobody else.
_PRIVATE_CLASSES = frozenset({"tailscale"})
#: Addresses that nobody in the internet has: RFC 1918, RFC 6598, RFC 4193.
_PRIVATE = [
    ipaddress.ip_network(block)
    for block in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
]


def service_findings(model: ClusterModel, led_to: frozenset[tuple[str, str]]) -> Iterator[Finding]:
    """Yield the Services by which users get plain HTTP.

    Args:
        model: The tree.
        led_to: Namespace and name of the Services that routes lead to, whose ports at the nodes are for a controller.
    """
    for item in model.kind("Service"):
        kind = item.spec.get("type")
        if item.group or kind not in ("LoadBalancer", "NodePort"):
            continue
        ports = mappings(item.spec.get("ports"))
        if kind == "NodePort":
            # A number that nobody chose is for machines, which look it up.
            ports = [] if (item.namespace, item.name) in led_to else [each for each in ports if each.get("nodePort")]
        protocols = [_protocol(model, item, port) for port in ports]
        # Beside a port with TLS, that of plain HTTP is there to send users to it.
        if "plain" not in protocols or "secured" in protocols or _is_told(item) or _is_internal(item):
            continue
        numbers = [
            str(port.get("nodePort") if kind == "NodePort" else port.get("port"))
            for port, protocol in zip(ports, protocols, strict=True)
            if protocol == "plain"
        ]
        where = "of every node" if kind == "NodePort" else "of its load balancer"
        problem = f"It serves plain HTTP at port {listed(numbers)} {where}."
        yield Finding.of("plain-http-at-edge", item, problem, at="spec.ports")


def _protocol(model: ClusterModel, service: Object, port: Mapping[str, Any]) -> str:
    """Return whether a port is ``plain`` HTTP, ``secured`` by TLS, or empty for what is not known or something else."""
    if port.get("protocol", "TCP") != "TCP":
        return ""
    target = port.get("targetPort", port.get("port"))
    behind = _behind(model, service, target)
    # What the protocol is called says more than names, and these more than numbers.
    for word in (port.get("appProtocol"), port.get("name"), target, behind and behind.name):
        if isinstance(word, str) and (found := _by_word(word)):
            return found
    if any(isinstance(word, str) for word in (port.get("appProtocol"), port.get("name"))) and not _says_nothing(port):
        return ""
    for number in (behind and behind.number, target, port.get("port")):
        if number in _SECURED_NUMBERS:
            return "secured"
        if number in _PLAIN_NUMBERS:
            return "plain"
    return ""


def _by_word(word: str) -> str:
    # As "kubernetes.io/h2c", "http-api" or "public-https" are written.
    whole = word.lower().rpartition("/")[2]
    words = {whole, *whole.split("-")}
    return "secured" if words & _SECURED else "plain" if words & _PLAIN else ""


def _says_nothing(port: Mapping[str, Any]) -> bool:
    """Tell whether a port's name is one that any port could have."""
    name = str(port.get("appProtocol") or port.get("name"))
    return bool(re.fullmatch(r"(main|default|port|public|service|svc|tcp|app|api|frontend|server|ui)?-?\d*", name))


def _behind(model: ClusterModel, service: Object, target: object) -> Port | None:
    """Return the port of a container that a Service leads to; None if the tree tells of none."""
    ports = (port for pods in model.behind(service) for port in pods.ports)
    return next((port for port in ports if target in (port.name or None, port.number)), None)


def _is_told(item: Object) -> bool:
    """Tell whether annotations have the load balancer end TLS, or have it pass on what the pods end."""
    return any(
        (_ENDS_TLS.search(name) and text.lower() not in _NO) or (_BALANCER.search(name) and _ENDS_TLS.search(text))
        for name, text in item.annotations.items()
    )


def _is_internal(item: Object) -> bool:
    """Tell whether a load balancer is reached from within the cluster's network alone."""
    if item.spec.get("loadBalancerClass") in _PRIVATE_CLASSES:
        return True
    ranges = [str(each) for each in sequence(item.spec.get("loadBalancerSourceRanges"))]
    if ranges and all(map(_is_private, ranges)):
        return True
    return any(
        (_INTERNAL_NAME.search(name) and text.lower() not in _NO) or _INTERNAL_TEXT.fullmatch(text)
        for name, text in item.annotations.items()
        if _BALANCER.search(name)
    )


def _is_private(block: str) -> bool:
    try:
        network = ipaddress.ip_network(block.strip(), strict=False)
    except ValueError:
        return False
    # Of the same version, or they are not comparable.
    return any(network.version == each.version and network.subnet_of(each) for each in _PRIVATE)  # type: ignore[arg-type]

"""What the API server checks in Services, Ingresses and NetworkPolicies beyond their schema."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.schemas.faults import Fault, Faults, repeated
from constructs_lib.check.schemas.metadata import label_faults, selector_faults
from constructs_lib.kubernetes.manifest import entries, inner, mapping, sequence
from constructs_lib.kubernetes.names import is_label, is_port_name, is_subdomain
from constructs_lib.text import given

_PORT_NAME_RULE = "at most 15 lower-case letters, digits and single hyphens, a letter among them"


def port_faults(port: object, at: str) -> Faults:
    """Yield what is wrong with the number or name of a port; anything else is for the schema to find."""
    if isinstance(port, bool):
        return
    if isinstance(port, int) and not 1 <= port <= 65535:
        yield Fault("bad-port", at, f"{port} is no port.", "A port is a number from 1 to 65535.")
    elif isinstance(port, str) and not is_port_name(port):
        fix = f"Write the number {port} without quotes." if port.isdecimal() else f"It has {_PORT_NAME_RULE}."
        yield Fault("bad-port", at, f'"{port}" is no name of a port.', fix)


def twin_faults(ports: list[tuple[str, Mapping[str, Any]]], number: str, code: str, below: str = "") -> Faults:
    """Yield the names that two ports have, and the ports that are there twice, with a code and at a field of theirs."""
    named = ((f"{at}.name", port["name"]) for at, port in ports if isinstance(port.get("name"), str) and port["name"])
    for at, name in repeated(named):
        yield Fault("duplicate-name", at, f'Two ports are called "{name}".')
    numbered = ((f"{at}{below}", f"{port.get(number)} of {port.get('protocol') or 'TCP'}") for at, port in ports)
    for at, twice in repeated(numbered):
        yield Fault(code, at, f"The port {twice} is there twice.")


def service_faults(item: Object) -> Faults:
    """Yield what is wrong with a Service."""
    spec = item.spec
    kind, headless = spec.get("type") or "ClusterIP", spec.get("clusterIP") == "None"
    yield from label_faults(spec.get("selector"), "spec.selector")
    if kind == "ExternalName":
        name, at = spec.get("externalName"), "spec.externalName"
        if not name:
            yield Fault("missing-field", at, "It stands for no name.")
        elif isinstance(name, str) and not is_subdomain(name.rstrip(".")):
            yield Fault("bad-name", at, f'"{name}" is no name of a host.', "Give a DNS name.")
        return
    address = spec.get("clusterIP")
    if isinstance(address, str) and address not in ("", "None") and not is_address(address):
        fix = "Take it away, or write None for a Service without an address."
        yield Fault("bad-value", "spec.clusterIP", f"{given(address)} is no address.", fix)
    if headless and kind != "ClusterIP":
        problem, fix = f"A {kind} cannot be headless.", "Take type or clusterIP away."
        yield Fault("contradictory-fields", "spec.clusterIP", problem, fix)
    if not headless and not sequence(spec.get("ports")):
        yield Fault("missing-field", "spec.ports", "It has no port.")
    if kind == "ClusterIP" and spec.get("externalTrafficPolicy"):
        problem = "Nothing comes from outside to a ClusterIP."
        yield Fault("contradictory-fields", "spec.externalTrafficPolicy", problem, "Take it away.")
    yield from _service_ports(spec.get("ports"))
    for index, block in enumerate(sequence(spec.get("loadBalancerSourceRanges"))):
        yield from _block_faults(block, f"spec.loadBalancerSourceRanges[{index}]")


def _service_ports(value: object) -> Faults:
    ports = [*entries(value, "spec.ports")]
    for at, port in ports:
        for field in ("port", "nodePort", "targetPort"):
            number = port.get(field)
            # The API server chooses a nodePort of 0.
            is_given = number not in (None, "") and (field != "nodePort" or number != 0)
            if is_given and (field == "targetPort" or not isinstance(number, str)):
                yield from port_faults(number, f"{at}.{field}")
        node_port = port.get("nodePort")
        if isinstance(node_port, int) and node_port and not 30000 <= node_port <= 32767 and 1 <= node_port <= 65535:
            fix = "Take it away, or give one from 30000 to 32767, as the API server wants if nobody tells it others."
            yield Fault("bad-port", f"{at}.nodePort", f"{node_port} is no port of the nodes.", fix)
        name = port.get("name")
        if isinstance(name, str) and name:
            if not is_label(name):
                fix = "It has at most 63 lower-case letters, digits and hyphens."
                yield Fault("bad-port", f"{at}.name", f'"{name}" is no name of a port of a Service.', fix)
        elif len(ports) > 1:
            fix = "Name all ports of a Service that has several."
            yield Fault("missing-field", f"{at}.name", "One port of several has no name.", fix)
    yield from twin_faults(ports, "port", "duplicate-name", ".port")


def _block_faults(block: object, at: str) -> Faults:
    if isinstance(block, str) and ("/" not in block or _network(block.strip()) is None):
        yield Fault("bad-value", at, f"{given(block)} is no range of addresses.", "Write 10.0.0.0/8.")


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address."""
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _network(block: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(str(block), strict=False)
    except ValueError:
        return None


def policy_faults(item: Object) -> Faults:
    """Yield what is wrong with a NetworkPolicy."""
    yield from selector_faults(item.spec.get("podSelector"), "spec.podSelector")
    if len(sequence(item.spec.get("policyTypes"))) > 2:
        problem = "It names more types than there are: Ingress and Egress."
        yield Fault("bad-range", "spec.policyTypes", problem, "Name each once.")
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for at, rule in entries(item.spec.get(direction), f"spec.{direction}"):
            for here, port in entries(rule.get("ports"), f"{at}.ports"):
                yield from _policy_port(port, here)
            for here, peer in entries(rule.get(side), f"{at}.{side}"):
                yield from _peer_faults(peer, here)


def _policy_port(port: Mapping[str, Any], at: str) -> Faults:
    first, last = port.get("port"), port.get("endPort")
    if first is not None:
        yield from port_faults(first, f"{at}.port")
    if last is None:
        return
    yield from port_faults(last, f"{at}.endPort")
    if not isinstance(first, int):
        yield Fault("contradictory-fields", f"{at}.endPort", "A range of ports begins with a number.", "Give port.")
    elif isinstance(last, int) and last < first:
        problem = f"The ports end with {last} and begin with {first}."
        yield Fault("bad-range", f"{at}.endPort", problem, f"At least {first} is needed.")


def _peer_faults(peer: Mapping[str, Any], at: str) -> Faults:
    named = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    if not named:
        fix = "Write {podSelector: {}} for all pods of the namespace, and no peer at all for everybody."
        yield Fault("missing-field", at, "It says nobody.", fix)
    elif "ipBlock" in named and len(named) > 1:
        problem = f"An ipBlock stands beside a {named[0]}."
        yield Fault("contradictory-fields", f"{at}.ipBlock", problem, "Make them two entries of the list.")
    for name in ("podSelector", "namespaceSelector"):
        yield from selector_faults(peer.get(name), f"{at}.{name}")
    block = mapping(peer.get("ipBlock"))
    yield from _block_faults(block.get("cidr"), f"{at}.ipBlock.cidr")
    for index, part in enumerate(sequence(block.get("except"))):
        here = f"{at}.ipBlock.except[{index}]"
        yield from _block_faults(part, here)
        if not _is_within(part, block.get("cidr")):
            yield Fault("bad-value", here, f"{part} is not a part of {block.get('cidr')}.", "Name a part of cidr.")


def _is_within(part: object, whole: object) -> bool:
    """Tell whether a range of addresses is a part of another one; also if one of them is no range."""
    small, large = _network(part), _network(whole)
    if small is None or large is None:
        return True
    return small.version == large.version and small != large and small.subnet_of(large)  # type: ignore[arg-type]


def ingress_faults(item: Object) -> Faults:
    """Yield what is wrong with an Ingress."""
    if not sequence(item.spec.get("rules")) and not item.spec.get("defaultBackend"):
        yield Fault("missing-field", "spec.rules", "It has neither rules nor a defaultBackend.")
    name = item.spec.get("ingressClassName")
    if isinstance(name, str) and not is_subdomain(name):
        yield Fault("bad-name", "spec.ingressClassName", f'"{name}" is no name of an IngressClass.')
    hosts = [(f"{at}.host", rule.get("host")) for at, rule in entries(item.spec.get("rules"), "spec.rules")]
    for at, entry in entries(item.spec.get("tls"), "spec.tls"):
        # A rule without a host is for all of them, an entry without one is none.
        hosts += [(f"{at}.hosts[{number}]", host or " ") for number, host in enumerate(sequence(entry.get("hosts")))]
        secret = entry.get("secretName")
        if isinstance(secret, str) and secret and not is_subdomain(secret):
            yield Fault("bad-name", f"{at}.secretName", f'"{secret}" is no name of a Secret.')
    for at, host in hosts:
        if isinstance(host, str) and host and not is_subdomain(host.removeprefix("*.")):
            fix = "Give a DNS name without scheme, port and capitals; its first part may be *."
            yield Fault("bad-name", at, f'"{host.strip()}" is no name of a host.', fix)
    for at, rule in entries(item.spec.get("rules"), "spec.rules"):
        if inner(rule, "http", "paths") == []:
            yield Fault("missing-field", f"{at}.http.paths", "It leads nowhere.", "Give a path, or take http away.")
        for here, path in entries(inner(rule, "http", "paths"), f"{at}.http.paths"):
            text = path.get("path")
            if path.get("pathType") in ("Exact", "Prefix") and not str(text or "").startswith("/"):
                yield Fault("bad-value", f"{here}.path", f"{given(text)} is no path.", "It begins with /.")
            backend, service = path.get("backend"), inner(path, "backend", "service")
            if isinstance(backend, dict) and not (backend.get("service") or backend.get("resource")):
                yield Fault("missing-field", f"{here}.backend", "It leads to nothing.", "Name a Service.")
            name = mapping(service).get("name")
            if isinstance(name, str) and name and not is_label(name):
                yield Fault("bad-name", f"{here}.backend.service.name", f'"{name}" is no name of a Service.')
            port = mapping(inner(service, "port"))
            if service and len([value for value in port.values() if value is not None]) != 1:
                problem = "The port is given by one of name and number."
                fix = "Give the name of the port or its number."
                yield Fault("contradictory-fields", f"{here}.backend.service.port", problem, fix)

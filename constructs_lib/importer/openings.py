"""What is open in the source, and what policies of the library would close: ways in that stay as YAML, hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.importer.code import Call, call
from constructs_lib.importer.model import GUESSED, INCLUDED, LEFT_OUT, Group, Imported, Need, Program
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings, texts
from constructs_lib.kubernetes.names import is_private_host

#: An address with its scheme, and one with its port.
_ADDRESS = re.compile(
    r"(?:\b([a-z][a-z0-9+]{1,12})://(?:[^\s/@]*@)?)?\b((?:[a-z0-9-]{1,63}\.){1,9}[a-z]{2,63})(?::([0-9]{1,5}))?"
)
_PORTS = {"https": 443, "http": 80, "wss": 443, "ws": 80, "smtp": 587, "amqps": 5671, "rediss": 6379}


def open_hosts(imported: Imported) -> None:
    """Let programs call the hosts of the internet that their variables name."""
    for program in imported.programs:
        found: dict[tuple[str, int], None] = {}
        for value in program.arguments.get("env", {}).values():
            found |= dict.fromkeys(_hosts(value) if isinstance(value, str) else ())
        hosts = []
        for host, port in found:
            if is_private_host(host) or validation.internet_host(host):
                text = (
                    f"{program.id}: calls of {host} at port {port} are closed; declare it as External, and need that."
                )
                imported.note(LEFT_OUT, text)
            else:
                hosts.append(call("InternetHost", host, *(() if port == 443 else (port,))))
                imported.note(GUESSED, f"{program.id}: it may call {host} at port {port}, which a variable names.")
        if hosts:
            program.arguments["internet"] = hosts
    imported.note(GUESSED, "nothing may call the internet but what is listed here; say internet=[InternetHost(…)].")


def _hosts(text: str) -> Iterator[tuple[str, int]]:
    """Yield the hosts with full names in a text, where a scheme or a port says that it is an address."""
    for match in _ADDRESS.finditer(text):
        scheme, host, number = match[1], match[2], match[3]
        port = int(number) if number else _PORTS.get(scheme or "", 0)
        if port and not re.search(r"\.(svc|cluster|local|localhost|ya?ml|json|html?|js|sh|conf)(\.|$)", host):
            yield host, port


def let_peers_call(imported: Imported) -> None:
    """Let the pods of a StatefulSet call each other where a headless Service has them find each other."""
    for program in imported.programs:
        is_many = program.kind == "StatefulSet" and program.arguments.get("replicas", 1) != 1
        holds = any(
            isinstance(each, Call) and each.name == "Claim" for each in program.arguments.get("volumes", {}).values()
        )
        if is_many and holds and program.ports:
            program.needs += [Need(program.key, name, order=True) for name in program.ports]


def open_ways_in(imported: Imported) -> None:
    """Open the pods to what leads to them and stays as YAML, as they are open in the source."""
    for group in imported.groups.values():
        ways: dict[str, dict[str, set[tuple[str, int]]]] = {"world": {}, "cluster": {}}
        for each in group.included:
            name = str(each["metadata"]["name"])
            if each["kind"] == "Service" and inner(each, "spec", "type") in ("NodePort", "LoadBalancer"):
                numbers = [port.get("port") for port in mappings(inner(each, "spec", "ports"))]
                _collect(imported, group, ways["world"], [(name, number) for number in numbers])
            elif each["kind"] in ("ServiceMonitor", "PodMonitor"):
                _collect(imported, group, ways["cluster"], _scraped(imported, group, each))
            elif each["kind"] == "Ingress":
                _collect(imported, group, ways["cluster"], _backends(each))
        for whom, targets in ways.items():
            for id, ports in targets.items():
                group.included.append(
                    _policy(imported.program((group.id, id)), f"{id}-from-{whom}", ports, whom == "world")
                )
                text = f"NetworkPolicy/{id}-from-{whom}: it opens {id} to what stays as YAML and leads to it."
                imported.note(INCLUDED, text)


def _backends(ingress: Manifest) -> list[tuple[str, Any]]:
    spec = mapping(ingress.get("spec"))
    paths = [path for rule in mappings(spec.get("rules")) for path in mappings(inner(rule, "http", "paths"))]
    services = [mapping(inner(each, "backend", "service")) for each in paths]
    services.append(mapping(inner(spec, "defaultBackend", "service")))
    return [
        (str(each.get("name")), inner(each, "port", "number") or inner(each, "port", "name"))
        for each in services
        if each
    ]


def _scraped(imported: Imported, group: Group, monitor: Manifest) -> list[tuple[str, Any]]:
    """Return the Services that Prometheus looks for, with all that they offer: it asks the pods behind them."""
    labels = texts(inner(monitor, "spec", "selector", "matchLabels"))
    found = []
    for each in imported.original or ():
        own = texts(inner(each, "spec", "selector" if monitor["kind"] == "PodMonitor" else "none"))
        own = own or texts(each["metadata"].get("labels"))
        if (
            each["kind"] == "Service"
            and each["metadata"].get("namespace") == group.namespace
            and labels.items() <= own.items()
        ):
            numbers = (port.get("port") for port in mappings(inner(each, "spec", "ports")))
            found += [(str(each["metadata"]["name"]), number) for number in numbers]
    return found


def _collect(
    imported: Imported, group: Group, found: dict[str, set[tuple[str, int]]], targets: list[tuple[str, Any]]
) -> None:
    for service, number in targets:
        for program in imported.programs:
            if program.group != group.id or service not in program.hosts:
                continue
            known = program.hosts[service]
            name = known.get(number) if isinstance(number, int) else str(number)
            port = program.arguments.get("ports", {}).get(name)
            if port is not None:
                protocol = str(port.named.get("protocol", "TCP")) if isinstance(port, Call) else "TCP"
                at = port.arguments[0] if isinstance(port, Call) else port
                found.setdefault(program.id, set()).add((protocol, at))


def _policy(program: Program, name: str, ports: set[tuple[str, int]], to_world: bool) -> Manifest:
    selector: Mapping[str, str] = program.arguments.get("selector") or {"app.kubernetes.io/name": program.id}
    rule: dict[str, Any] = {} if to_world else {"from": [{"namespaceSelector": {}}]}
    rule["ports"] = [{"port": number, "protocol": protocol} for protocol, number in sorted(ports)]
    spec = {"podSelector": {"matchLabels": dict(selector)}, "policyTypes": ["Ingress"], "ingress": [rule]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}

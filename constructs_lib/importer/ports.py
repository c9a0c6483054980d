"""The ports of a program from its containers and its Services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.importer.code import Call
from constructs_lib.importer.lookups import main_container
from constructs_lib.importer.model import Program
from constructs_lib.kubernetes.manifest import Manifest, mapping, mappings
from constructs_lib.kubernetes.names import is_port_name


def name_ports(program: Program, pod: dict[str, Any], services: Sequence[Manifest]) -> dict[int | str, str]:
    """Give a program its ports, and return their names by number, and by the name that the manifest has for them.

    A port without a name is called as that of a Service is, by the protocol of a probe, or by its own.
    """
    own = next((each for each in services if mapping(each.get("metadata")).get("name") == program.id), None)
    declared = [(container, port) for container in mappings(pod.get("containers")) for port in _take(container)]
    names: dict[int | str, str] = {}
    ports: dict[str, Any] = {}
    for container, port in declared:
        number, protocol = port["containerPort"], str(port.get("protocol") or "TCP")
        called = str(port.get("name") or "")
        said = [called, *(_called(services, number, called))]
        name = next((each for each in said if is_port_name(each) and each not in ports), "")
        name = name or _by_probe(container, number, ports) or _free(protocol.lower(), number, ports)
        at = _service_number(own, number, called)
        sidecar = str(container.get("name")) if container is not main_container(pod, program.id) else ""
        named = {
            **({"service": at} if at not in (None, number) else {}),
            **({"protocol": protocol} if protocol != "TCP" else {}),
            **({"internal": True} if at is None else {}),
            **({"sidecar": sidecar} if sidecar else {}),
        }
        ports[name] = Call("Port", (number,), named) if named else number
        names[number] = name
        if called:
            names[called] = name
        if at is not None:
            program.ports[name] = at
    for number in sorted(_probed(pod) - {*names}):
        # A probe asks a port that no container declares, which Kubernetes permits.
        name = _free("probe", number, ports)
        ports[name], names[number] = Call("Port", (number,), {"internal": True}), name
    if own and not declared:
        for each in mappings(mapping(own.get("spec")).get("ports")):
            target = each.get("targetPort", each.get("port"))
            if isinstance(target, int) and target not in names:
                name = str(each.get("name") or "") or _free("tcp", target, ports)
                number = each["port"]
                ports[name] = target if number == target else Call("Port", (target,), {"service": number})
                names[target], program.ports[name] = name, number
    if ports:
        program.arguments["ports"] = ports
    return names


def _take(container: Any) -> Iterator[Mapping[str, Any]]:
    yield from [each for each in mappings(container.pop("ports", None)) if isinstance(each.get("containerPort"), int)]


def _called(services: Sequence[Manifest], number: int, name: str) -> Iterator[str]:
    for service in services:
        for each in mappings(mapping(service.get("spec")).get("ports")):
            if each.get("targetPort", each.get("port")) in (number, name or number):
                yield str(each.get("name") or "")


def _service_number(service: Manifest | None, number: int, name: str) -> int | None:
    for each in mappings(mapping((service or {}).get("spec")).get("ports")):
        if each.get("targetPort", each.get("port")) in (number, name or number):
            return int(each["port"])
    return None


def _by_probe(container: Mapping[str, Any], number: int, taken: Mapping[str, Any]) -> str:
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        for how, name in (("grpc", "grpc"), ("httpGet", "http")):
            if mapping(mapping(container.get(probe)).get(how)).get("port") == number and name not in taken:
                return name
    return ""


def _free(name: str, number: int, taken: Mapping[str, Any]) -> str:
    return name if name not in taken else f"{name}-{number}"


def _probed(pod: Mapping[str, Any]) -> set[int]:
    found = set()
    for container in mappings(pod.get("containers")):
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            for how in ("grpc", "httpGet", "tcpSocket"):
                port = mapping(mapping(container.get(probe)).get(how)).get("port")
                if isinstance(port, int):
                    found.add(port)
    return found

"""Services: their ports, and whether they are the names of their pods."""

from dataclasses import dataclass

from constructs_lib.kubernetes.manifest import mappings
from constructs_lib.kubernetes.objects import Object


@dataclass(frozen=True)
class ServicePort:
    """A port of a Service.

    Attributes:
        name: Its name; empty if it has none.
        target: The port of the pods behind it: a number, or the name of a port of their containers.
    """

    name: str
    protocol: str
    number: int
    target: int | str


def service_ports(service: Object) -> list[ServicePort]:
    """Return the ports of a Service."""
    found = []
    for entry in mappings(service.spec.get("ports")):
        number, target = entry.get("port"), entry.get("targetPort")
        if isinstance(number, int):
            name, protocol = str(entry.get("name") or ""), str(entry.get("protocol") or "TCP")
            found.append(ServicePort(name, protocol, number, target if isinstance(target, int | str) else number))
    return found


def is_headless(service: Object) -> bool:
    """Tell whether the name of a Service is that of its pods, so that any port of theirs can be called by it.

    https://kubernetes.io/docs/concepts/services-networking/service/#headless-services
    """
    return service.spec.get("clusterIP") == "None"

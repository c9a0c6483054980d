"""What pods are told to call: the addresses in their variables, their commands and the files that are mounted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.check.addresses import Address, Name, addresses, resolve
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.variables import apart, command, mounted
from constructs_lib.kubernetes.containers import Container, Variable
from constructs_lib.kubernetes.services import is_headless, service_ports

#: Words in the names of variables that hold a host; the one with its port has the word PORT in that place.
_HOST_WORDS = ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR", "ENDPOINT", "URL", "URI", "SEEDS", "NODES", "BROKERS")
#: Domains of no host in the internet.
_PRIVATE_DOMAINS = frozenset({"local", "svc", "internal", "localhost", "test", "invalid"})


@dataclass(frozen=True)
class ServiceCall:
    """Pods are told to call a Service.

    Attributes:
        container: The container that is told so; None for a mounted file, of which nobody knows who reads it.
        port: The port of the Service; None if nothing tells it.
        address: The address as it is written.
        at: The field of the workload in which it stands.
    """

    source: Pods
    container: Container | None
    service: Object
    port: int | None
    address: str
    at: str

    @property
    def is_awaited(self) -> bool:
        """Whether the pods cannot start, or end, before the Service answers."""
        ends = self.container is not None and (not self.container.runs or self.source.owner.kind == "Job")
        return ends and self.source.owner.kind != "CronJob"


@dataclass(frozen=True)
class OutsideCall:
    """Pods are given an https host that is not in the cluster, in a field of their workload."""

    source: Pods
    host: str
    port: int
    at: str


class Calls:
    """Everything that the pods of a tree are told to call, each address once. All proofs ask here.

    Attributes:
        inside: The calls of Services of the tree.
        outside: The calls of https hosts outside of the cluster.
    """

    def __init__(self, model: ClusterModel) -> None:
        """Read the tree."""
        self._model = model
        self.inside: list[ServiceCall] = []
        self.outside: list[OutsideCall] = []
        for pods in model.pods:
            for container in pods.containers:
                known = model.variables(pods, container)
                for variable in known.values():
                    for address in addresses(variable.value):
                        beside = port_beside(variable.name, known) if address.port is None else None
                        port = int(beside.value) if beside else address.port
                        self._add(pods, container, address, port, variable.at, variable.name)
                at = container.words_at
                for text in apart(command(container, known)):
                    for address in addresses(text):
                        self._add(pods, container, address, address.port, at, None)
            for at, text in mounted(model, pods):
                for address in addresses(text):
                    if address.port is not None and not address.is_loose:
                        self._add(pods, None, address, address.port, at, None)

    def _add(
        self, pods: Pods, container: Container | None, address: Address, port: int | None, at: str, variable: str | None
    ) -> None:
        if port is None and variable is None and not (address.scheme or address.is_host or "." in address.host):
            return
        name = resolve(self._model, address.host, pods.namespace)
        service = name.of(self._model) if name else None
        if name is None or service is None:
            if name is None and address.scheme == "https" and _is_outside(address.host):
                self.outside.append(OutsideCall(pods, address.host, port or 443, at))
            return
        numbers = {offered.number for offered in service_ports(service)}
        if address.is_loose and port not in numbers:
            # It is another number.
            port = None
        is_offered = port in numbers or (is_headless(service) and not address.is_loose)
        if is_offered if port is not None else _is_call(address, name, variable):
            self.inside.append(ServiceCall(pods, container, service, port, str(address), at))


def _is_call(address: Address, name: Name, variable: str | None) -> bool:
    """Tell whether an address without a port is meant to be one: a word is more often the name of something else.

    Args:
        address: The address.
        name: What it names.
        variable: The variable whose value it stands in; None for a command.
    """
    if name.is_certain or address.scheme or address.is_host:
        return True
    if variable is not None:
        return address.is_alone and (name.is_full or is_host(variable))
    return name.is_full and address.is_word


def is_host(variable: str) -> bool:
    """Tell whether a variable is called like one that holds a host."""
    return any(word in variable.upper() for word in _HOST_WORDS)


def port_beside(name: str, known: Mapping[str, Variable]) -> Variable | None:
    """Return the variable that holds the port for one that holds a host, such as ``DB_PORT`` beside ``DB_HOST``."""
    found = (known[candidate] for candidate in _port_names(name) if candidate in known)
    return next((variable for variable in found if variable.value.isdecimal() and len(variable.value) < 6), None)


def _port_names(name: str) -> Iterator[str]:
    yield f"{name}_PORT"
    for word in _HOST_WORDS:
        begin = name.upper().rfind(word)
        if begin >= 0:
            port = "PORT" if name[begin:].isupper() else "port" if name[begin].islower() else "Port"
            yield f"{name[:begin]}{port}{name[begin + len(word) :]}"


def _is_outside(host: str) -> bool:
    """Tell whether a host is one of the internet: a name with a domain that is none of a cluster."""
    domain = host.rpartition(".")[2]
    return "." in host and domain.isalpha() and domain not in _PRIVATE_DOMAINS

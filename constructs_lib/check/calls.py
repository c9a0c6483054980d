"""What pods call: the addresses in their variables and commands, and in the files that are mounted into them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.check.addresses import Address, Name, addresses, resolve
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.variables import apart, command, mounted
from constructs_lib.kubernetes.containers import Container, Variable, is_headless, service_ports

#: Words in the names of variables with a host. The variable with its port has the word PORT in the same place.
_HOST_WORDS = ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR", "ENDPOINT", "URL", "URI", "SEEDS", "NODES", "BROKERS")
#: Top-level domains that no host in the internet has.
_PRIVATE_DOMAINS = frozenset({"local", "svc", "internal", "localhost", "test", "invalid"})


@dataclass(frozen=True)
class ServiceCall:
    """A call of a Service, because of an address that pods are given.

    Attributes:
        container: The container with the address; None for a mounted file, which any container may read.
        port: The port of the Service; None if it is not known.
        address: The address as it is written.
        at: The field of the workload that holds it.
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
    """A call of an https host outside of the cluster, because of an address in a field of the pods' workload."""

    source: Pods
    host: str
    port: int
    at: str


class Calls:
    """The calls of all pods of a tree, one for every address. All proofs ask here.

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
            # The number after the host is something else.
            port = None
        is_offered = port in numbers or (is_headless(service) and not address.is_loose)
        if is_offered if port is not None else _is_call(address, name, variable):
            self.inside.append(ServiceCall(pods, container, service, port, str(address), at))


def _is_call(address: Address, name: Name, variable: str | None) -> bool:
    """Tell whether an address without a port is one. A single word is more often the name of something else.

    Args:
        address: The address.
        name: What it names.
        variable: The variable with the address in its value; None for a command.
    """
    if name.is_certain or address.scheme or address.is_host:
        return True
    if variable is not None:
        return address.is_alone and (name.is_full or is_host(variable))
    return name.is_full and address.is_word


def is_host(variable: str) -> bool:
    """Tell whether the name of a variable is like those of variables with a host."""
    return any(word in variable.upper() for word in _HOST_WORDS)


def port_beside(name: str, known: Mapping[str, Variable]) -> Variable | None:
    """Return the variable with the port for a variable with a host, such as ``DB_PORT`` for ``DB_HOST``."""
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
    """Tell whether a host is in the internet: a name with a domain that is not one of a cluster."""
    domain = host.rpartition(".")[2]
    return "." in host and domain.isalpha() and domain not in _PRIVATE_DOMAINS

"""What pods call: the addresses in their variables and commands, and in the files that are mounted into them.

The names of Services in the DNS of a cluster: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import yaml

from constructs_lib.argocd.objects import Object
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.elsewhere import Elsewhere
from constructs_lib.kubernetes.manifest import inner, mapping, mappings
from constructs_lib.kubernetes.workloads import Container, Variable, expanded, is_headless, service_ports

#: The default ports of schemes.
SCHEMES: Mapping[str, int] = yaml.load(Path(__file__).with_name("schemes.yaml").read_bytes(), Loader=yaml.CSafeLoader)
_LABEL = r"_?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ADDRESS = re.compile(
    # pg_isready -h host, redis-cli --host=host: the option says that the word is a host.
    r"(?:(?<![\w-])(?P<option>-h|--host(?:name)?)[\s=]+|(?<![\w.$-]))"
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^\s/@\"']*@)?)?"
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*)\.?(?![\w-])"
    # nc -z host 80, /dev/tcp/host/80, psql -h host -p 80: the number after the host is its port.
    r"(?::(?P<port>\d{1,5})(?!\d)|(?:\s+(?:(?:-p|-P|--port)[\s=]*)?|/)(?P<loose>\d{2,5})(?![\w.]))?"
)
_UNKNOWN = re.compile(r"\$\([^)]{0,255}\)|\$\{[^}]{0,255}\}|\{\{[^}]{0,255}\}\}")
#: Replaces an unexpanded variable such as ``$(POD_NAME)``, or a part of a template, so that the host still parses.
PLACEHOLDER = "unknown"
#: What may come before and after an address that is alone: an option that it is the value of, a login or another scheme
#: (``jdbc:``), and a path.
_BEFORE = re.compile(r"(?:--?[\w.-]+=)?(?:[a-z][a-z0-9+.:-]*:|[^\s/@]*@)?")
#: What connects to the host, and to the port, that come next; and programs of which the option ``-h`` is a host.
_DIALS = re.compile(r"(?:^|[\s/(])(?:nc|ncat|netcat|telnet)(?:\s+-\w+(?:[\s=]\d+)?)*\s+$|/dev/tcp/$")
_CLIENT = re.compile(
    r"(?:^|[\s/(])(?:clickhouse-client|cqlsh|createdb|dropdb|mariadb[\w-]*|mongo\w*|mysql\w*|pg_\w+|psql|redis-cli)\s"
)
_COMMAND_BREAKS = re.compile(r"[;|&\n]")
_BEHIND = re.compile(r"(?:[/?]\S*)?")
#: How far to look around an address, so that the time does not grow with the square of the text.
_FAR = 1000
_WORD_BREAKS = frozenset(" \t\r\n\"'`=@,(")
_SHELL_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
#: Words in the names of variables with a host. The variable with its port has the word PORT in the same place.
_HOST_WORDS = ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR", "ENDPOINT", "URL", "URI", "SEEDS", "NODES", "BROKERS")
#: Top-level domains that no host in the internet has.
_PRIVATE_DOMAINS = frozenset({"local", "svc", "internal", "localhost", "test", "invalid"})


@dataclass(frozen=True)
class Address:
    """An address in a text.

    Attributes:
        port: Its port, or the default port of its scheme; None if there is neither.
        is_loose: Whether the port is a number after the host, which may also be something else.
        is_host: Whether it is the value of an option for a host.
        is_alone: Whether it makes up the whole text, or the whole part between two commas.
        is_word: Whether it is a whole word, and not the end of a path.
        is_dialed: Whether a program is told to connect to it, as by ``nc -z host 80`` or ``psql -h host``.
    """

    scheme: str
    host: str
    port: int | None
    is_loose: bool
    is_host: bool
    is_alone: bool
    is_word: bool
    is_dialed: bool = False

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


# Many pods have the same scripts.
@lru_cache(maxsize=4096)
def addresses(text: str) -> tuple[Address, ...]:
    """Return everything in a text that may be an address."""
    text = _UNKNOWN.sub(PLACEHOLDER, text) if "$" in text or "{{" in text else text
    return tuple(_address(text, match) for match in _ADDRESS.finditer(text))


def _address(text: str, match: re.Match[str]) -> Address:
    scheme, number, loose = match["scheme"] or "", match["port"], match["loose"]
    start, end = match.start(), match.end()
    before = text[max(0, start - _FAR) : start].rpartition(",")[2].strip()
    behind = text[end : end + _FAR].partition(",")[0].strip()
    port = int(number or loose) if number or loose else SCHEMES.get(scheme)
    is_alone = not loose and bool(_BEFORE.fullmatch(before) and _BEHIND.fullmatch(behind))
    is_word, is_host = start == 0 or text[start - 1] in _WORD_BREAKS, match["option"] is not None
    is_dialed = (is_host or loose is not None) and _is_dialed(text[max(0, start - _FAR) : start], is_host)
    return Address(scheme, match["host"], port, loose is not None, is_host, is_alone, is_word, is_dialed)


def _is_dialed(before: str, is_host: bool) -> bool:
    """Tell whether the command that the text before an address ends with connects to it."""
    said = _COMMAND_BREAKS.split(before)[-1]
    return bool((_CLIENT if is_host else _DIALS).search(said))


@dataclass(frozen=True)
class Name:
    """What a host names in a cluster.

    Attributes:
        namespace: The namespace of the Service; empty if the host lacks one.
        pod: The pod of a StatefulSet behind the Service, if the host names one that is known.
        domain: The domain after ``svc``; empty if there is none.
        is_certain: Whether the host contains ``svc``, so that it names a Service and nothing else.
        is_full: Whether the host contains the namespace.
    """

    service: str
    namespace: str
    pod: str = ""
    domain: str = ""
    is_certain: bool = False
    is_full: bool = False

    def of(self, model: ClusterModel) -> Object | None:
        """Return the Service, if the tree has it."""
        return model.get("Service", self.namespace, self.service)

    def elsewhere(self, model: ClusterModel) -> Elsewhere | None:
        """Return the Service of somebody else, if the tree tells of it."""
        return model.elsewhere.get((self.namespace, self.service))


def resolve(model: ClusterModel, host: str, namespace: str) -> Name | None:
    """Return what a host names for the pods of a namespace; None if it names no Service that is known.

    A host with ``svc`` names a Service whether or not it exists. Any other host names one only if the tree has it.
    """
    if "." not in host:
        # Most are words of a script.
        return Name(host, namespace) if model.get("Service", namespace, host) else None
    labels = host.split(".")
    if "svc" in labels:
        return _certain(labels)
    candidates = []
    if len(labels) in (2, 3):
        candidates.append(Name(labels[-2], labels[-1], labels[0] if len(labels) == 3 else "", is_full=True))
    if len(labels) == 2:
        candidates.append(Name(labels[-1], namespace, labels[0]))
    return next((name for name in candidates if name.of(model) or name.elsewhere(model)), None)


def _certain(labels: list[str]) -> Name | None:
    place = labels.index("svc")
    domain = ".".join(labels[place + 1 :])
    # The name of an SRV record begins with _port._protocol.
    names = [label for label in labels[:place] if not label.startswith("_")]
    if len(names) >= 2 and not any(PLACEHOLDER in name for name in names[-2:]):
        pod = names[-3] if len(names) == 3 and PLACEHOLDER not in names[-3] else ""
        return Name(names[-2], names[-1], pod, domain, is_certain=True, is_full=True)
    if len(names) == 1 and "." in domain and PLACEHOLDER not in names[0]:
        return Name(names[0], "", "", domain, is_certain=True)
    return None


def command(container: Container, known: Mapping[str, Variable]) -> list[str]:
    """Return the words of a container's command and arguments, with variables replaced by their values."""
    return [expanded(word, known) for _, word in container.words]


def apart(words: Iterable[str], separator: str = "\n") -> Iterator[str]:
    """Yield the words of a command as texts: each script alone, and all words between two scripts together.

    Words belong together because an option and its value may be two words. A script is a word of its own, and the same
    in many pods, so that what is read from it can be remembered.
    """
    for is_script, group in groupby(words, lambda word: "\n" in word):
        texts = list(group)
        yield from texts if is_script else [separator.join(texts)]


def mounted(model: ClusterModel, pods: Pods) -> Iterator[tuple[str, str]]:
    """Yield the texts of the ConfigMaps that are mounted into pods, each with the field of its volume."""
    for at, volume in pods.volumes:
        parts = [volume, *mappings(inner(volume, "projected", "sources"))]
        for source in (mapping(part.get("configMap")) for part in parts):
            items = [item.get("key") for item in mappings(source.get("items"))]
            for key, text in model.config_map(pods.namespace, str(source.get("name"))).items():
                if not items or key in items:
                    yield at, text


def expanded_by_shell(text: str, known: Mapping[str, Variable]) -> str:
    """Return a script with the values of known variables in place of ``$NAME`` and ``${NAME}``."""
    values = {name: variable.value for name, variable in known.items()}
    return _SHELL_REFERENCE.sub(lambda match: values.get(match[1] or match[2], match[0]), text)


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


@dataclass(frozen=True)
class ElsewhereCall:
    """A call of a host or a Service of which the tree tells, because of an address that pods are given.

    Attributes:
        ports: The port that is called, with its protocol, as policies see it; several if it is one of these.
        address: The address as it is written.
        at: The field of the workload that holds it.
    """

    source: Pods
    target: Elsewhere
    ports: tuple[tuple[str, int], ...]
    address: str
    at: str


@dataclass(frozen=True)
class ForeignCall:
    """A call of a Service that the tree does not have, in a namespace where a chart or another tree may bring it.

    Attributes:
        address: The address as it is written.
        at: The field of the workload that holds it.
    """

    source: Pods
    namespace: str
    port: int | None
    address: str
    at: str


class Calls:
    """The calls of all pods of a tree, of its Services, of hosts outside and of what it tells of, one an address."""

    def __init__(self, model: ClusterModel) -> None:
        """Read the tree."""
        self._model = model
        self.inside: list[ServiceCall] = []
        self.outside: list[OutsideCall] = []
        self.elsewhere: list[ElsewhereCall] = []
        #: Namespaces of the tree, of its charts and of Kubernetes: others may be misspelled.
        self._namespaces = {*model.namespaces, *model.open_namespaces, "kube-system"} - {"default"}
        self.foreign: list[ForeignCall] = []
        for pods in model.pods:
            for container in pods.containers:
                known = model.variables(pods, container)
                for variable in known.values():
                    for address in addresses(variable.value):
                        beside = port_beside(variable.name, known) if address.port is None else None
                        port = int(beside.value) if beside else address.port
                        self._add(pods, container, address, port, variable.at, variable.name)
                for text in apart(command(container, known)):
                    for address in addresses(text):
                        self._add(pods, container, address, address.port, container.words_at, None)
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
        told = self._model.elsewhere.get(address.host) or (name and name.elsewhere(self._model))
        if told and service is None:
            offered = tuple((protocol, target) for protocol, number, target in told.ports if port in (None, number))
            if not offered and address.is_loose:
                offered = tuple((protocol, target) for protocol, _, target in told.ports)
            ports = offered or ((("TCP", port),) if port else ())
            self.elsewhere += [ElsewhereCall(pods, told, ports, str(address), at)] if ports else []
            return
        if name is None and address.scheme == "https" and _is_outside(address.host):
            self.outside.append(OutsideCall(pods, address.host, port or 443, at))
        if service is None:
            namespace = self._foreign(name, address)
            if namespace and namespace != pods.namespace:
                self.foreign.append(ForeignCall(pods, namespace, port, str(address), at))
        if name is None or service is None:
            return
        numbers = {offered.number for offered in service_ports(service)}
        if address.is_loose and port not in numbers:
            # The number after the host is something else.
            port = None
        is_offered = port in numbers or (is_headless(service) and not address.is_loose)
        if is_offered if port is not None else _is_call(address, name, variable):
            self.inside.append(ServiceCall(pods, container, service, port, str(address), at))

    def _foreign(self, name: Name | None, address: Address) -> str:
        """Return the namespace of a Service that others bring; empty if an address names none."""
        if name is not None:
            is_known = name.namespace in self._namespaces and name.domain in ("", "cluster.local")
            is_lacked = self._model.lacks("Service", name.namespace, name.service)
            return name.namespace if name.is_certain and is_known and not is_lacked else ""
        service, _, namespace = address.host.rpartition(".")
        is_one = address.is_alone and service and "." not in service and address.port is not None
        return namespace if is_one and namespace in self._model.open_namespaces else ""


def _is_call(address: Address, name: Name, variable: str | None) -> bool:
    """Tell whether an address without a port is one, in the value of a variable or, without one, in a command.

    A single word is more often the name of something else.
    """
    if name.is_certain or address.scheme or address.is_host:
        return True
    if variable is not None:
        return address.is_alone and (name.is_full or is_host(variable))
    return name.is_full and address.is_word


def is_host(variable: str) -> bool:
    """Tell whether the name of a variable is like those of variables with a host."""
    upper = variable.upper()
    return any(word in upper for word in _HOST_WORDS)


def port_beside(name: str, known: Mapping[str, Variable]) -> Variable | None:
    """Return the variable with the port for a variable with a host, such as ``DB_PORT`` for ``DB_HOST``."""
    found = (known[candidate] for candidate in _port_names(name) if candidate in known)
    return next((variable for variable in found if variable.value.isdecimal() and len(variable.value) < 6), None)


def _port_names(name: str) -> Iterator[str]:
    yield f"{name}_PORT"
    upper = name.upper()
    for word in _HOST_WORDS:
        begin = upper.rfind(word)
        if begin >= 0:
            port = "PORT" if name[begin:].isupper() else "port" if name[begin].islower() else "Port"
            yield f"{name[:begin]}{port}{name[begin + len(word) :]}"


def _is_outside(host: str) -> bool:
    """Tell whether a host is in the internet: a name with a domain that is not one of a cluster."""
    domain = host.rpartition(".")[2]
    return "." in host and domain.isalpha() and domain not in _PRIVATE_DOMAINS

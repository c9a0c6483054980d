"""Proof that every address of a Service in configuration leads to one, on a port that it offers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import PLATFORM_NAMESPACES, ClusterModel, Pods
from constructs_lib.kubernetes.containers import Container
from constructs_lib.kubernetes.manifest import mapping, mappings, sequence
from constructs_lib.text import closest, hint, within

_DNS = "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/"


#: A domain name of two labels or more, and the port behind it. What comes before it is no part of a longer word, nor of
#: a variable that is put together with it.
_NAME = re.compile(
    r"(?<![\w)}-])([a-z0-9_](?:[-a-z0-9_]*[a-z0-9])?(?:\.[a-z0-9_](?:[-a-z0-9_]*[a-z0-9])?)+)\.?(?![\w-])(?::(\d{1,5})(?!\w))?"
)
#: A text that is an address and nothing else: with a scheme and a login, a port, a path.
_ALONE = re.compile(
    r"(?:[a-z][a-z0-9+.:-]*://)?(?:[^\s/@]*@)?([a-z][-a-z0-9]*(?:\.[a-z0-9][-a-z0-9]*)?)(?::(\d{1,5}))?(/\S*)?"
)
#: The domain of Services that several clusters share.
_SHARED_DOMAIN = "clusterset.local"


@dataclass(frozen=True)
class Address:
    """An address of a Service.

    Attributes:
        host: The name as it is written.
        service: Name of the Service.
        namespace: Its namespace; empty if the name has none and should.
        pod: The pod of a StatefulSet behind it, if it is that pod's name.
        domain: The domain behind ``svc``, or nothing.
        port: The port, if there is one.
        certain: Whether it can be nothing else, because it is written with ``svc``.
    """

    host: str
    service: str
    namespace: str
    pod: str
    domain: str
    port: int | None
    certain: bool


@dataclass(frozen=True, eq=False)
class Written:
    """A text that may hold addresses.

    Attributes:
        item: The object in which it stands.
        at: The field.
        text: The text.
        name: The variable or key that it is the value of; empty for an argument.
    """

    item: Object
    at: str
    text: str
    name: str = ""


def texts_of_map(item: Object) -> Iterator[Written]:
    """Yield the values of a ConfigMap."""
    for key, value in mapping(item.manifest.get("data")).items():
        if isinstance(value, str):
            yield Written(item, f"data.{key}", value, key)


def texts_of_container(owner: Object, container: Container) -> Iterator[Written]:
    """Yield the environment variables and arguments of a container, as far as they stand in it."""
    for variable in mappings(container.get("env")):
        if isinstance(variable.get("value"), str):
            name = str(variable.get("name"))
            yield Written(owner, f"{container.path}.env[{name}].value", variable["value"], name)
    yield from (Written(owner, at, word) for at, word in container.words)


def environment(model: ClusterModel, pods: Pods, container: Container) -> dict[str, Written]:
    """Return the variables of a container whose values are known, those of ConfigMaps among them."""
    found: dict[str, Written] = {}
    for variable in model.variables(pods, container).values():
        item = model.get("ConfigMap", pods.namespace, variable.config_map) if ".envFrom[" in variable.at else None
        at = f"data.{variable.name}" if item else variable.at
        found[variable.name] = Written(item or pods.owner, at, variable.value, variable.name)
    return found


def texts_read_by(model: ClusterModel, pods: Pods, container: Container) -> Iterator[Written]:
    """Yield everything in which a container may find addresses: its variables, wherever they stand, and arguments."""
    yield from environment(model, pods, container).values()
    yield from (text for text in texts_of_container(pods.owner, container) if not text.name)


class Directory:
    """The Services of a tree, by the names under which programs know them."""

    def __init__(self, model: ClusterModel) -> None:
        """Read the Services of a tree, and the texts in which they are named."""
        self._model = model
        self._services: dict[str, dict[str, Object]] = defaultdict(dict)
        for service in model.kind("Service"):
            if not service.group:
                self._services[service.namespace][service.name] = service

    def service(self, address: Address) -> Object | None:
        """Return the Service that an address leads to."""
        return self._services.get(address.namespace, {}).get(address.service)

    def names(self, namespace: str) -> set[str]:
        """Return the names of the Services in a namespace."""
        return set(self._services.get(namespace, ()))

    def in_text(self, text: str, namespace: str) -> Iterator[Address]:
        """Yield the addresses in a text.

        Args:
            text: A value, an argument or a script.
            namespace: Namespace of the pods that read it, in which short names are looked up.
        """
        if ".svc" in text:
            for match in _NAME.finditer(text):
                if (
                    address := _qualified(match[1], match[2], continued=text[: match.start()].endswith("."))
                ) is not None:
                    yield address
        else:
            for part in text.split(","):
                alone = _ALONE.fullmatch(part.strip())
                if alone and (address := self._short(alone, namespace)):
                    yield address

    def _short(self, match: re.Match[str], namespace: str) -> Address | None:
        """Return the Service that a short name leads to: ``name``, or ``name.namespace``."""
        service, _, named = match[1].partition(".")
        home = named or namespace
        if service not in self._services.get(home, {}) or (match[2] is None and not named and "://" not in match[0]):
            # A word alone is more often a name of something else, such as a user or a database.
            return None
        return Address(match[1], service, home, "", "", int(match[2]) if match[2] else None, certain=False)


def _qualified(host: str, port: str | None, *, continued: bool) -> Address | None:
    """Return the address that a name with ``svc`` stands for.

    Args:
        host: The name.
        port: The port, in digits.
        continued: Whether something stands before it that is known in the cluster only, such as ``$(POD_NAME).``.
    """
    labels = host.split(".")
    if "svc" not in labels:
        return None
    place = labels.index("svc")
    domain = ".".join(labels[place + 1 :])
    names = [label for label in labels[:place] if not label.startswith("_")]
    number = int(port) if port else None
    if len(names) >= 2:
        pod = names[-3] if len(names) == 3 else ""
        return Address(host, names[-2], names[-1], pod, domain, number, certain=True)
    if len(names) == 1 and not continued and "." in domain:
        return Address(host, names[0], "", "", domain, number, certain=True)
    return None


def prove_addresses(model: ClusterModel) -> Iterator[Finding]:
    """Yield addresses of Services, pods and ports that do not exist."""
    yield from _Addresses(model).prove()


class _Addresses:
    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._directory = model.once(Directory)
        self._closed = model.closed_namespaces
        self._domain = ""

    def prove(self) -> Iterator[Finding]:
        found = [(written, address) for written in self._written() for address in self._of(written)]
        domains = Counter(address.domain for _, address in found if address.domain and address.namespace)
        self._domain = domains.most_common(1)[0][0] if domains else ""
        for written, address in found:
            yield from self._check(written, address)
        yield from self._pairs()

    def _of(self, written: Written) -> Iterator[Address]:
        return self._directory.in_text(written.text, written.item.namespace)

    def _written(self) -> Iterator[Written]:
        for item in self._model.kind("ConfigMap"):
            yield from texts_of_map(item)
        for pods in self._model.pods:
            for container in pods.containers:
                yield from texts_of_container(pods.owner, container)

    def _check(self, written: Written, address: Address) -> Iterator[Finding]:
        if address.certain and not address.namespace:
            if address.domain == self._domain:
                yield self._unknown(written, address, "It names no namespace.")
        elif address.domain not in ("", self._domain, _SHARED_DOMAIN):
            # A host of the world may be called so, but hardly after a namespace of the tree.
            if address.namespace in self._model.namespaces:
                yield self._unknown(written, address, f"The domain of the cluster is {self._domain} everywhere else.")
        elif (service := self._directory.service(address)) is not None:
            yield from self._check_port(written, address, service, address.port)
            if address.pod:
                yield from self._check_pod(written, address, service)
        elif address.namespace in self._closed:
            known = self._directory.names(address.namespace)
            yield self._unknown(
                written,
                address,
                f"There is no Service {address.service}{within(address.namespace)}.",
                hint("Service", address.service, known),
            )
        elif not self._exists(address.namespace):
            yield self._unknown(
                written,
                address,
                f"There is no namespace {address.namespace}.",
                hint("namespace", address.namespace, self._model.namespaces),
            )

    def _exists(self, namespace: str) -> bool:
        """Tell whether a namespace may exist: a name close to one of the tree's is a mistake, others are unknown."""
        known = {*self._model.namespaces, *self._model.open_namespaces, *PLATFORM_NAMESPACES}
        return namespace in known or closest(namespace, known) is None

    def _unknown(self, written: Written, address: Address, reason: str, fix: str = "") -> Finding:
        problem = f"{address.host} leads nowhere. {reason}"
        return Finding.of("address-without-service", written.item, problem, at=written.at, fix=fix)

    def _check_port(self, written: Written, address: Address, service: Object, port: int | None) -> Iterator[Finding]:
        ports = {str(mapping(entry).get("port")) for entry in sequence(service.spec.get("ports"))}
        if service.spec.get("clusterIP") == "None":
            # Without an address of its own, the pods are connected to themselves, on any of their ports.
            ports |= {str(offered.number) for pods in self._model.behind(service) for offered in pods.ports}
        if port is None or not ports or str(port) in ports or service.spec.get("type") == "ExternalName":
            return
        yield Finding.of(
            "address-port-unknown",
            written.item,
            f"The Service {service.name}{within(service.namespace)} has no port {port}.",
            at=written.at,
            fix=hint("port", str(port), ports),
        )

    def _check_pod(self, written: Written, address: Address, service: Object) -> Iterator[Finding]:
        headless = service.spec.get("clusterIP") == "None"
        pods = self._model.behind(service)
        if headless and any(
            _has_pod(selected, service, address.pod, self._model.scales.of(selected.owner).maximum) for selected in pods
        ):
            return
        if not pods and service.namespace not in self._closed:
            return
        reason = (
            f"no StatefulSet with the serviceName {service.name} has a pod {address.pod}"
            if headless
            else f"the Service {service.name} is not headless"
        )
        yield Finding.of("address-without-pod", written.item, f"{address.host} leads nowhere: {reason}.", at=written.at)

    def _pairs(self) -> Iterator[Finding]:
        """Yield ports that stand beside the host that they belong to, such as DB_HOST and DB_PORT."""
        for item in self._model.kind("ConfigMap"):
            yield from self._paired({written.name: written for written in texts_of_map(item)}, None)
        for pods in self._model.pods:
            for container in pods.containers:
                yield from self._paired(environment(self._model, pods, container), pods.owner)

    def _paired(self, values: Mapping[str, Written], owner: Object | None) -> Iterator[Finding]:
        for name, host in values.items():
            port = values.get(_port_name(name))
            if port is None or not port.text.isdecimal():
                continue
            if owner is not None and host.item is port.item is not owner:
                # Both stand in one ConfigMap, of which this is found already.
                continue
            for address in self._directory.in_text(host.text, host.item.namespace):
                service = self._directory.service(address)
                if service is not None and address.port is None:
                    yield from self._check_port(port, address, service, int(port.text))


def _port_name(host: str) -> str:
    """Return the name of the variable that holds the port for one that holds a host; empty if it holds none."""
    for word in ("HOSTNAME", "HOST", "hostname", "host", "Host"):
        if host.endswith(word):
            port = "PORT" if word.isupper() else "Port" if word.istitle() else "port"
            return host[: -len(word)] + port
    return ""


def _has_pod(pods: Pods, service: Object, name: str, most: int) -> bool:
    owner, _, number = name.rpartition("-")
    start = mapping(pods.owner.spec.get("ordinals")).get("start", 0)
    first = start if isinstance(start, int) else 0
    if pods.owner.kind == "StatefulSet":
        fits = number.isdecimal() and first <= int(number) < first + most
        return fits and pods.owner.name == owner and pods.owner.spec.get("serviceName") == service.name
    return pods.spec.get("hostname") == name and pods.spec.get("subdomain") == service.name

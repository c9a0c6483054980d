"""Proof that every address of a Service in configuration leads to one, on a port that it offers."""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.check.calls import (
    PLACEHOLDER,
    SCHEMES,
    Address,
    Name,
    addresses,
    command,
    is_host,
    port_beside,
    resolve,
)
from constructs_lib.check.files import lines
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods, grouped
from constructs_lib.check.references.secret_sources import external_secrets
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import entries, inner, mappings, sequence, texts, texts_in
from constructs_lib.kubernetes.workloads import Variable, expanded, is_headless, service_ports
from constructs_lib.text import closest, hint, listed, within

#: The domain of Services that several clusters share.
_SHARED_DOMAIN = "clusterset.local"
#: What pods know by themselves, or by the clouds that they run in.
_OWN_HOSTS = frozenset({"kubernetes", "localhost", "metadata"})
#: Variables that tell a program its own names, or whom it serves.
_OWN_NAMES = re.compile(
    r"(?:^|_)(?:HOSTNAME|(?:SERVER|NODE|HOST)_?NAME|(?:ALLOWED|TRUSTED|VIRTUAL|PUBLIC|EXTERNAL)_\w{1,200})$",
    re.IGNORECASE,
)
_USUAL_PORTS = frozenset(port for port in SCHEMES.values() if port > 1000)
#: Schemes of the internet, in whose addresses the namespace of a Service may as well be a top-level domain.
_WEB = frozenset({"http", "https", "ws", "wss"})
_OPTION = re.compile(r"--?([\w.-]+)=")


@dataclass(frozen=True)
class _Found:
    """An address in an object.

    Attributes:
        name: What the address names.
        beside: The variable that holds its port; None if it tells one itself, or nothing does.
    """

    item: Object
    at: str
    address: Address
    name: Name
    beside: Variable | None


def prove_addresses(model: ClusterModel) -> Iterator[Finding]:
    """Yield addresses of Services, pods and ports that do not exist."""
    found = [*_in_maps(model), *_in_containers(model), *_in_triggers(model), *_in_charts(model)]
    domains = Counter(each.name.domain for each in found if each.name.domain and each.name.namespace)
    domain = domains.most_common(1)[0][0] if domains else ""
    for each in found:
        yield from _prove(model, domain, each)


def _in_maps(model: ClusterModel) -> Iterator[_Found]:
    """Yield what stands in ConfigMaps, and in the texts from which External Secrets makes Secrets."""
    maps = [(item, "data", model.texts_of(item)) for item in model.kind("ConfigMap")]
    template = ("target", "template", "data")
    maps += [
        (item, ".".join(("spec", *template)), texts(inner(item.spec, *template))) for item in external_secrets(model)
    ]
    maps += [(item, "stringData", _secret_texts(item)) for item in model.kind("Secret") if not item.group]
    for item, at, data in maps:
        values = {name: Variable(name, value, f"{at}.{name}") for name, value in data.items()}
        for variable in values.values():
            yield from _in_text(model, item, variable, values)
            for line in lines(variable):
                yield from _in_text(model, item, line, {})


def _secret_texts(item: Object) -> Mapping[str, str]:
    """Return the texts of a Secret that is in the tree, which tells what it holds."""
    found = dict(texts(item.manifest.get("stringData")))
    for key, value in texts(item.manifest.get("data")).items():
        with suppress(binascii.Error, ValueError):
            found.setdefault(key, base64.b64decode(value, validate=True).decode())
    return found


def _in_triggers(model: ClusterModel) -> Iterator[_Found]:
    """Yield what KEDA asks."""
    for item in model.kind("ScaledObject", "ScaledJob"):
        for at, trigger in entries(item.spec.get("triggers"), "spec.triggers"):
            values = {
                name: Variable(name, value, f"{at}.metadata.{name}")
                for name, value in texts(trigger.get("metadata")).items()
            }
            for variable in values.values():
                yield from _in_text(model, item, variable, values)


def _in_charts(model: ClusterModel) -> Iterator[_Found]:
    """Yield the full names of Services in the values of charts."""
    for application in model.applications:
        item = application.item
        told = (text for chart in application.charts for text in texts_in(chart.helm) if ".svc" in text)
        for address in (address for text in told for address in addresses(text)) if item is not None else ():
            name = resolve(model, address.host, application.namespace)
            if name is not None and name.is_certain and item is not None:
                yield _Found(item, "spec.sources", address, name, None)


def _in_containers(model: ClusterModel) -> Iterator[_Found]:
    """Yield what stands in containers themselves, or beside a variable from a ConfigMap."""
    for pods in model.pods:
        for container in pods.containers:
            known = model.variables(pods, container)
            for variable in known.values():
                for each in _in_text(model, pods.owner, variable, known):
                    # What stands in one ConfigMap with its port is found there.
                    if not variable.config_map or (each.beside and each.beside.config_map != variable.config_map):
                        yield each
            for at, word in container.words:
                option = _OPTION.match(word)
                name = option[1] if option else ""
                yield from _in_text(model, pods.owner, Variable(name, expanded(word, known), at), {})
            words = " ".join(word for word in command(container, known) if "\n" not in word)
            for address in addresses(words):
                # An option and the host that is its value may be two words.
                if address.is_host and (near := _nearly(model, pods.owner, "", address, {})) is not None:
                    yield _Found(pods.owner, container.words_at, address, near, None)


def _in_text(model: ClusterModel, item: Object, variable: Variable, values: Mapping[str, Variable]) -> Iterator[_Found]:
    if "\n" in variable.value and ".svc" not in variable.value:
        # A file: nothing in it is alone.
        return
    for address in addresses(variable.value):
        may_be_one = address.is_alone or address.is_dialed or ".svc" in address.host
        name = resolve(model, address.host, item.namespace) if may_be_one else None
        if name is None:
            if (near := _nearly(model, item, variable.name, address, values)) is not None:
                yield _Found(item, variable.at, address, near, None)
            continue
        beside = port_beside(variable.name, values) if address.port is None else None
        is_address = address.port is not None or beside or address.scheme or name.is_full or is_host(variable.name)
        # A short name within other words is more often the name of something else.
        if name.is_certain or address.is_dialed or (address.is_alone and is_address):
            yield _Found(item, variable.at, address, name, beside)


def _nearly(
    model: ClusterModel, item: Object, variable: str, address: Address, values: Mapping[str, Variable]
) -> Name | None:
    """Return what an address that names no Service means: one of another namespace, one letter beside it, or none."""
    service, _, namespace = address.host.partition(".")
    if _OWN_NAMES.search(variable) and not address.scheme:
        return None
    if "." in namespace or service.isdecimal() or not (address.is_alone or address.is_word or address.is_dialed):
        return None
    offering = _namespaces_with(model, service, address.port if address.is_loose else None)
    is_told = address.scheme or (address.port is not None and not address.is_loose) or is_host(variable)
    known = model.names("Service", namespace or item.namespace)
    if namespace:
        is_close = namespace in model.namespaces and closest(service, known, 0.8)
        is_port = address.port is not None and not (address.scheme in _WEB and address.port in (80, 443))
        # A namespace of the tree, or the default one, where the tree has a Service of this name elsewhere.
        near = None if namespace in model.namespaces else closest(namespace, model.namespaces, 0.75)
        if is_port and address.is_alone and near and service in model.names("Service", near):
            return Name(service, namespace, is_full=True)
        is_one = is_port and (model.lacks("Service", namespace, service) or (namespace == "default" and offering))
        return Name(service, namespace, is_full=True) if is_told and address.is_alone and (is_close or is_one) else None
    if _is_alias(model, item, service) or service in _OWN_HOSTS or PLACEHOLDER in service:
        return None
    is_called = (
        (is_told and address.is_alone) or address.is_host or address.is_dialed or (address.is_loose and offering)
    )
    has_port = address.port is not None and not address.is_loose
    is_of_two = is_host(variable) and address.port is None and port_beside(variable, values) is not None
    if address.is_alone and has_port and not address.scheme and not is_host(variable):
        # The number may be the version of an image, or of anything else, but for a port that is offered.
        offering = _namespaces_with(model, service, address.port)
    # Without a Service of its name anywhere, the word must be a host and nothing else.
    is_telling = is_host(variable) or address.port in _USUAL_PORTS
    is_certain = address.is_dialed or (
        address.is_alone and (address.scheme in SCHEMES or (is_telling and has_port) or is_of_two)
    )
    is_meant = offering or is_certain or (has_port and address.is_alone and closest(service, known, 0.8))
    return Name(service, item.namespace) if is_called and is_meant else None


def _namespaces_with(model: ClusterModel, service: str, port: int | None) -> list[str]:
    """Return the namespaces that have a Service of a name, with a port if one is given."""
    found = model.once(_services_by_name).get(service, ())
    ports = {item.namespace: [each.number for each in service_ports(item)] for item in found}
    return sorted(namespace for namespace, numbers in ports.items() if port is None or port in numbers)


def _services_by_name(model: ClusterModel) -> Mapping[str, list[Object]]:
    return grouped((item.name, item) for items in model.services.values() for item in items)


def _is_alias(model: ClusterModel, item: Object, host: str) -> bool:
    """Tell whether pods know a host from their own file of hosts."""
    pods = model.pods_by_owner.get(item)
    aliases = mappings(pods.spec.get("hostAliases")) if pods else ()
    return any(host in sequence(alias.get("hostnames")) for alias in aliases)


def _prove(model: ClusterModel, domain: str, found: _Found) -> Iterator[Finding]:
    name, item = found.name, found.item
    if not name.namespace and name.is_certain:
        if name.domain == domain:
            yield _nowhere(found, "It names no namespace.")
    elif name.domain not in ("", domain, _SHARED_DOMAIN):
        # A host of the world may be called so, but hardly after a namespace of the tree.
        if name.namespace in model.namespaces:
            yield _nowhere(found, f"The domain of the cluster is {domain} everywhere else.")
    elif (service := name.of(model)) is not None:
        if found.beside:
            at = found.beside.at if not found.beside.config_map else found.at
            yield from _port(model, item, at, service, int(found.beside.value))
        elif found.address.port is not None and (found.address.is_dialed or not found.address.is_loose):
            yield from _port(model, item, found.at, service, found.address.port)
        if name.pod:
            yield from _pod(model, found, service)
    elif name.elsewhere(model) is not None:
        return
    elif model.lacks("Service", name.namespace, name.service):
        elsewhere = [] if name.is_full else _namespaces_with(model, name.service, None)
        problem = f"There is no Service {name.service}{within(name.namespace)}."
        if elsewhere:
            near = " or ".join(f"{name.service}.{namespace}" for namespace in elsewhere)
            yield _nowhere(found, f"{problem[:-1]}; one is in {listed(elsewhere)}.", f"Did you mean {near}?")
            return
        known = model.names("Service", name.namespace)
        # A host of one word that no Service is called like may be for something that is never called.
        code = "address-without-service" if name.is_full or closest(name.service, known, 0.75) else "host-unknown"
        nowhere = _nowhere(found, problem, hint("Service", name.service, known), code)
        yield nowhere.because_of("Service", name.namespace, name.service)
    elif name.namespace == "default" and (elsewhere := _namespaces_with(model, name.service, found.address.port)):
        near = " or ".join(f"{name.service}.{namespace}" for namespace in elsewhere)
        problem = f"The tree has no Service {name.service} in the namespace default."
        yield _nowhere(found, problem, f"Did you mean {near}?")
    else:
        # A namespace with a name close to one of the tree's is a mistake; of others nobody knows whether they exist.
        known = {*model.namespaces, *model.open_namespaces, *platform.NAMESPACES, *model.others_namespaces}
        if name.namespace not in known and closest(name.namespace, known):
            problem = f"There is no namespace {name.namespace}."
            yield _nowhere(found, problem, hint("namespace", name.namespace, model.namespaces))


def _nowhere(found: _Found, reason: str, fix: str = "", code: str = "address-without-service") -> Finding:
    return Finding.of(code, found.item, f"{found.address.host} leads nowhere. {reason}", at=found.at, fix=fix)


def _port(model: ClusterModel, item: Object, at: str, service: Object, port: int) -> Iterator[Finding]:
    offered = service_ports(service)
    ports, what = {str(each.number) for each in offered}, f"The Service {service.name}{within(service.namespace)}"
    problem = f"{what} has no port {port}."
    if is_headless(service):
        behind = [each for pods in model.behind(service) for each in pods.ports]
        own = {str(each.number) for each in behind}
        # Its name is that of the pods: to which of theirs it leads its own numbers is nothing to who calls it by that.
        moved = {
            str(each.number) for each in offered if any(each.target in (known.name, known.number) for known in behind)
        } - own
        ports = ports - moved | own
        if str(port) in moved:
            problem = f"{what} is headless: its name leads to the pods, which have no port {port}."
    if (
        ports
        and str(port) not in ports
        and not model.has_several(service)
        and service.spec.get("type") != "ExternalName"
    ):
        yield Finding.of("address-port-unknown", item, problem, at=at, fix=hint("port", str(port), ports))


def _pod(model: ClusterModel, found: _Found, service: Object) -> Iterator[Finding]:
    selected, pod = model.behind(service), found.name.pod
    if is_headless(service):
        if any(_has_pod(model, pods, service, pod) for pods in selected):
            return
        reason = f"no StatefulSet with the serviceName {service.name} has a pod {pod}"
    else:
        reason = f"the Service {service.name} is not headless"
    if selected or service.namespace in model.closed_namespaces:
        problem = f"{found.address.host} leads nowhere: {reason}."
        yield Finding.of("address-without-pod", found.item, problem, at=found.at)


def _has_pod(model: ClusterModel, pods: Pods, service: Object, name: str) -> bool:
    if pods.owner.kind != "StatefulSet":
        return pods.spec.get("hostname") == name and pods.spec.get("subdomain") == service.name
    owner, _, number = name.rpartition("-")
    start = inner(pods.owner.spec, "ordinals", "start")
    first = start if isinstance(start, int) else 0
    fits = number.isdecimal() and first <= int(number) < first + model.scales.of(pods.owner).maximum
    return fits and pods.owner.name == owner and pods.owner.spec.get("serviceName") == service.name

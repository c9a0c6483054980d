"""Proof that every address of a Service in configuration leads to one, on a port that it offers."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.check.calls import Address, Name, addresses, is_host, port_beside, resolve
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import inner
from constructs_lib.kubernetes.workloads import Variable, expanded, is_headless, service_ports
from constructs_lib.text import closest, hint, within

#: The domain of Services that several clusters share.
_SHARED_DOMAIN = "clusterset.local"


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
    found = [*_in_maps(model), *_in_containers(model)]
    domains = Counter(each.name.domain for each in found if each.name.domain and each.name.namespace)
    domain = domains.most_common(1)[0][0] if domains else ""
    for each in found:
        yield from _prove(model, domain, each)


def _in_maps(model: ClusterModel) -> Iterator[_Found]:
    for item in model.kind("ConfigMap"):
        values = {name: Variable(name, value, f"data.{name}") for name, value in model.texts_of(item).items()}
        for variable in values.values():
            yield from _in_text(model, item, variable, values)


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
                yield from _in_text(model, pods.owner, Variable("", expanded(word, known), at), {})


def _in_text(model: ClusterModel, item: Object, variable: Variable, values: Mapping[str, Variable]) -> Iterator[_Found]:
    if "\n" in variable.value and ".svc" not in variable.value:
        # A file: nothing in it is alone.
        return
    for address in addresses(variable.value):
        may_be_one = address.is_alone or ".svc" in address.host
        name = resolve(model, address.host, item.namespace) if may_be_one else None
        if name is None:
            continue
        beside = port_beside(variable.name, values) if address.port is None else None
        is_address = address.port is not None or beside or address.scheme or name.is_full or is_host(variable.name)
        # A short name within other words is more often the name of something else.
        if name.is_certain or (address.is_alone and is_address):
            yield _Found(item, variable.at, address, name, beside)


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
        elif found.address.port is not None and not found.address.is_loose:
            yield from _port(model, item, found.at, service, found.address.port)
        if name.pod:
            yield from _pod(model, found, service)
    elif name.namespace in model.closed_namespaces:
        problem = f"There is no Service {name.service}{within(name.namespace)}."
        yield _nowhere(found, problem, hint("Service", name.service, model.names("Service", name.namespace)))
    else:
        # A namespace with a name close to one of the tree's is a mistake; of others nobody knows whether they exist.
        known = {*model.namespaces, *model.open_namespaces, *platform.NAMESPACES}
        if name.namespace not in known and closest(name.namespace, known):
            problem = f"There is no namespace {name.namespace}."
            yield _nowhere(found, problem, hint("namespace", name.namespace, model.namespaces))


def _nowhere(found: _Found, reason: str, fix: str = "") -> Finding:
    problem = f"{found.address.host} leads nowhere. {reason}"
    return Finding.of("address-without-service", found.item, problem, at=found.at, fix=fix)


def _port(model: ClusterModel, item: Object, at: str, service: Object, port: int) -> Iterator[Finding]:
    ports = {str(offered.number) for offered in service_ports(service)}
    if is_headless(service):
        ports |= {str(offered.number) for pods in model.behind(service) for offered in pods.ports}
    if ports and str(port) not in ports and service.spec.get("type") != "ExternalName":
        problem = f"The Service {service.name}{within(service.namespace)} has no port {port}."
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

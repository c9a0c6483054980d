"""What the objects of a tree say that pods call: addresses that they are given, monitors, open ports, the API."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from constructs_lib.argocd.objects import Object
from constructs_lib.check.areas import CLUSTER
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.network import Network, Outside, Pod, Policy, Port, pod_of
from constructs_lib.check.variables import apart, command, mounted
from constructs_lib.kubernetes.containers import Variable
from constructs_lib.kubernetes.manifest import mapping, sequence, texts
from constructs_lib.kubernetes.selectors import Selector

#: What answers for names in a cluster: https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/
DNS = Pod("kube-system", "kube-dns", {"k8s-app": "kube-dns"}, (("dns", "UDP", 53), ("dns-tcp", "TCP", 53)))
DNS_PORTS: tuple[Port, ...] = (("UDP", 53), ("TCP", 53))
#: The API server has a Service in the cluster, at 443, and mostly listens on 6443 behind it; policies see either.
API = Outside("the Kubernetes API", CLUSTER)
API_PORTS: tuple[Port, ...] = (("TCP", 443), ("TCP", 6443))
#: What the Prometheus operator calls its pods, in ``pkg/prometheus/common.go``.
_PROMETHEUS = ("app.kubernetes.io/name", "prometheus")

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ADDRESS = re.compile(
    rf"(?<![\w.$-])(?:(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^\s/@\"']*@)?)?"
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*)\.?(?![\w-])"
    # nc -z host 80, /dev/tcp/host/80 and psql -h host -p 80 say a port as well.
    r"(?::(?P<port>\d{1,5})(?!\d)|(?:\s+(?:(?:-p|-P|--port)[\s=]*)?|/)(?P<loose>\d{2,5})(?![\w.]))?"
)
_UNKNOWN_PART = re.compile(r"\$\([^)]*\)|\$\{[^}]*\}")
_SCHEMES = {
    "amqp": 5672,
    "amqps": 5671,
    "http": 80,
    "https": 443,
    "kafka": 9092,
    "mongodb": 27017,
    "mysql": 3306,
    "nats": 4222,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
    "ws": 80,
    "wss": 443,
}
#: Words in the names of variables that hold a host; the one with its port has the word PORT in that place.
_HOST_WORDS = ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR", "ENDPOINT", "URL", "URI", "SEEDS", "NODES", "BROKERS")
_ROUTES = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "IngressRoute", "IngressRouteTCP")


@dataclass(frozen=True)
class Address:
    """An address in a text.

    Attributes:
        scheme: Its scheme; empty if it has none.
        host: Its host.
        port: Its port; None if it tells none.
        is_loose: Whether the port only stands nearby.
    """

    scheme: str
    host: str
    port: int | None
    is_loose: bool

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


# Scripts are the same in many pods.
@lru_cache(maxsize=1024)
def addresses(text: str) -> tuple[Address, ...]:
    """Return whatever may be an address in a text."""
    # A part of a name that nobody knows yet, such as that of a pod, is a part all the same.
    return tuple(
        Address(
            match["scheme"] or "",
            match["host"],
            int(port) if (port := match["port"] or match["loose"]) else None,
            match["loose"] is not None,
        )
        for match in _ADDRESS.finditer(_UNKNOWN_PART.sub("pod", text) if "$" in text else text)
    )


@lru_cache(maxsize=1024)
def _with_ports(text: str) -> tuple[tuple[Address, int], ...]:
    """Return the addresses in a text that tell a port, or a scheme that has one, each with the port."""
    return tuple(
        (address, port) for address in addresses(text) if (port := address.port or _SCHEMES.get(address.scheme))
    )


@dataclass(frozen=True)
class Call:
    """Pods call others, by what they are told.

    Attributes:
        source: Who calls.
        target: Who is called.
        ports: The port of the target; several if it is one of them and nobody says which.
        address: The address as it is written.
        at: The field of the source's workload in which it stands.
    """

    source: Pod
    target: Pod
    ports: tuple[Port, ...]
    address: str
    at: str


@dataclass(frozen=True)
class OutsideCall:
    """Pods call a host that is not in the cluster.

    Attributes:
        source: Who calls.
        host: The host.
        port: Its port.
        at: The field of the source's workload in which it stands.
    """

    source: Pod
    host: str
    port: int
    at: str


@dataclass(frozen=True)
class Offer:
    """An object lets others call pods: a Service of the world, a monitor of Prometheus.

    Attributes:
        item: The object.
        at: Its field.
        target: Who is called.
        port: At which port.
    """

    item: Object
    at: str
    target: Pod
    port: Port


class Services:
    """The Services of a tree, found by the names that they have in the DNS of the cluster.

    https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
    """

    def __init__(self, model: ClusterModel) -> None:
        """Find them."""
        self._by_name = {(item.namespace, item.name): item for item in model.kind("Service") if not item.group}

    def get(self, namespace: str, name: str) -> Object | None:
        """Return a Service by its name."""
        return self._by_name.get((namespace, name))

    def resolve(self, host: str, namespace: str) -> Object | None:
        """Return the Service that a host names for pods of a namespace; None if it is none of the tree."""
        labels = host.lower().rstrip(".").split(".")
        if "svc" in labels[2:4]:
            # The domain behind it may be any; a pod's own name may stand before it.
            end = labels.index("svc", 2)
            return self.get(labels[end - 1], labels[end - 2])
        candidates = [(namespace, labels[0])] if len(labels) == 1 else []
        if len(labels) in (2, 3):
            candidates += [(labels[-1], labels[-2])]
        if len(labels) == 2:
            candidates += [(namespace, labels[1])]
        return next((found for candidate in candidates if (found := self.get(*candidate))), None)


def is_headless(service: Object) -> bool:
    """Tell whether the name of a Service is that of its pods, so that any port of theirs can be called by it."""
    return service.spec.get("clusterIP") == "None"


class Traffic:
    """Everything that is called in a tree, and the network in which it is."""

    def __init__(self, model: ClusterModel) -> None:
        """Read the tree."""
        self.model = model
        self.services = Services(model)
        self.scales = model.scales
        own = [pod_of(pods) for pods in model.pods]
        #: The pods of the tree.
        self.pods: Sequence[Pod] = own
        policies = [Policy(item) for item in model.kind("NetworkPolicy") if item.group == "networking.k8s.io"]
        #: Pods that the tree only knows by its policies: those of charts and of other trees.
        self.guests: Sequence[Pod] = list(_guests(model, Network(policies, model.namespaces, [*own, DNS])))
        namespaces = {
            **{pod.namespace: {"kubernetes.io/metadata.name": pod.namespace} for pod in [DNS, *self.guests]},
            **model.namespaces,
        }
        self.network = Network(policies, namespaces, [*own, *self.guests, DNS])

    @cached_property
    def calls(self) -> Sequence[Call]:
        """What pods are told to call, each call once for every address that tells it."""
        return self._told[0]

    @cached_property
    def outside_calls(self) -> Sequence[OutsideCall]:
        """The https hosts outside of the cluster that pods are told to call."""
        return self._told[1]

    @cached_property
    def called(self) -> Mapping[tuple[Pod, Pod], frozenset[Port]]:
        """The ports at which one is told to call another."""
        found: dict[tuple[Pod, Pod], set[Port]] = defaultdict(set)
        for call in self.calls:
            found[call.source, call.target].update(call.ports)
        return {pair: frozenset(ports) for pair, ports in found.items()}

    @cached_property
    def reasons(self) -> Mapping[tuple[Pod, Pod], frozenset[Port]]:
        """The ports at which there is a reason for one to call another: it is told to, or both are peers."""
        among_peers = {(pod, pod): pod.numbers | self.called.get((pod, pod), frozenset()) for pod in self.peers}
        return {**self.called, **among_peers}

    @cached_property
    def _told(self) -> tuple[list[Call], list[OutsideCall]]:
        calls: list[Call] = []
        outside: list[OutsideCall] = []
        for pod in self.pods:
            for address, at, port in self._addresses(pod):
                service = self.services.resolve(address.host, pod.namespace)
                if service is not None:
                    for target, ports in self._targets(service, port, is_loose=address.is_loose):
                        calls.append(Call(pod, target, ports, str(address), at))
                elif address.scheme == "https" and _is_outside(address.host):
                    outside.append(OutsideCall(pod, address.host, address.port or 443, at))
        return calls, outside

    def _addresses(self, pod: Pod) -> Iterator[tuple[Address, str, int | None]]:
        """Yield the addresses that a pod is given, with the fields in which they stand and their ports."""
        pods = workload(pod)
        for container in pods.containers:
            known = self.model.variables(pods, container)
            for variable in known.values():
                for address in addresses(variable.value):
                    port = address.port or _SCHEMES.get(address.scheme) or _port_beside(variable.name, known)
                    if port or ".svc" in address.host or (address.host == variable.value and _is_host(variable.name)):
                        yield address, variable.at, port
            for text in apart(command(container, known)):
                for address, port in _with_ports(text):
                    yield address, container.words_at, port
        for at, text in mounted(self.model, pods):
            for address, port in _with_ports(text):
                if not address.is_loose:
                    yield address, at, port

    def _targets(
        self, service: Object, number: int | None, *, is_loose: bool = False
    ) -> Iterator[tuple[Pod, tuple[Port, ...]]]:
        """Yield the pods of a Service with the ports of theirs that are called at one port of it, or at any."""
        if number is not None and is_headless(service) and not is_loose:
            protocol = next((kind for _, kind, own, _ in _service_ports(service) if own == number), "TCP")
            for pod in self.behind(service):
                yield pod, ((protocol, number),)
            return
        entries = [entry for entry in _service_ports(service) if number in (None, entry[2])]
        for pod in self.behind(service):
            ports = tuple(port for entry in entries if (port := self._pod_port(service, entry, pod)))
            if ports:
                yield pod, ports

    def behind(self, service: Object) -> list[Pod]:
        """Return the pods that a Service selects, none if it has no selector."""
        selector = texts(service.spec.get("selector"))
        if not selector or service.spec.get("type") == "ExternalName":
            return []
        return self.network.selecting(service.namespace, Selector({"matchLabels": selector}))

    @staticmethod
    def _pod_port(service: Object, entry: tuple[str, str, int, int | str], pod: Pod) -> Port | None:
        _, protocol, number, target = entry
        if is_headless(service):
            return protocol, number
        resolved = pod.port(target, protocol) if isinstance(target, str) else target
        return (protocol, resolved) if resolved is not None else None

    def called_at(self, service: Object, port: int | str | None) -> Iterator[tuple[Pod, Port]]:
        """Yield the pods and ports behind a port of a Service, by its number or name; None means all of them."""
        for entry in _service_ports(service):
            if port in (None, entry[0], entry[2]):
                for pod in self.behind(service):
                    if found := self._pod_port(service, entry, pod):
                        yield pod, found

    @cached_property
    def public(self) -> Sequence[Offer]:
        """The ports that Services open to the world."""
        return [
            Offer(service, f"spec.ports[{number}]", pod, port)
            for service in self.model.kind("Service")
            if service.spec.get("type") in ("LoadBalancer", "NodePort") or service.spec.get("externalIPs")
            for number, (name, _, own, _) in enumerate(_service_ports(service))
            for pod, port in self.called_at(service, name or own)
        ]

    @cached_property
    def called_from_anywhere(self) -> frozenset[tuple[Pod, Port]]:
        """Ports that are called by what no tree holds: the world, ingress controllers, the API server."""
        return frozenset({(offer.target, offer.port) for offer in self.public} | set(self._called_by_controllers()))

    def _called_by_controllers(self) -> Iterator[tuple[Pod, Port]]:
        for namespace, name, port in self._backends():
            service = self.services.get(namespace, name)
            if service is not None:
                yield from self.called_at(service, port)

    def _backends(self) -> Iterator[tuple[str, str, int | str | None]]:
        """Yield the Services that Ingresses, routes, webhooks and API services name, with the port."""
        for item in self.model.kind("Ingress"):
            paths = [
                mapping(path)
                for rule in sequence(item.spec.get("rules"))
                for path in sequence(mapping(mapping(rule).get("http")).get("paths"))
            ]
            backends = [item.spec.get("defaultBackend"), *(path.get("backend") for path in paths)]
            for service in (mapping(mapping(backend).get("service")) for backend in backends):
                port = mapping(service.get("port"))
                yield item.namespace, str(service.get("name")), port.get("number") or port.get("name")
        for item in self.model.kind(*_ROUTES):
            rules = [mapping(rule) for key in ("rules", "routes") for rule in sequence(item.spec.get(key))]
            for rule in rules:
                for backend in map(mapping, (*sequence(rule.get("backendRefs")), *sequence(rule.get("services")))):
                    namespace = str(backend.get("namespace") or item.namespace)
                    yield namespace, str(backend.get("name")), backend.get("port")
        for item in self.model.kind("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
            for webhook in map(mapping, sequence(item.manifest.get("webhooks"))):
                service = mapping(mapping(webhook.get("clientConfig")).get("service"))
                yield str(service.get("namespace")), str(service.get("name")), service.get("port", 443)
        for item in self.model.kind("APIService"):
            service = mapping(item.spec.get("service"))
            yield str(service.get("namespace")), str(service.get("name")), service.get("port", 443)

    @cached_property
    def scrapes(self) -> Sequence[Offer]:
        """The ports that monitors have Prometheus scrape.

        https://prometheus-operator.dev/docs/api-reference/api/
        """
        return [*self._pod_monitors(), *self._service_monitors()]

    def _pod_monitors(self) -> Iterator[Offer]:
        for monitor in self.model.kind("PodMonitor"):
            selector = Selector(monitor.spec.get("selector", {}))
            endpoints = [mapping(entry) for entry in sequence(monitor.spec.get("podMetricsEndpoints"))]
            for namespace in self._monitored(monitor):
                for pod in self.network.selecting(namespace, selector):
                    for number, endpoint in enumerate(endpoints):
                        port = pod.port(str(endpoint.get("port")), "TCP") or endpoint.get("portNumber")
                        if isinstance(port, int):
                            yield Offer(monitor, f"spec.podMetricsEndpoints[{number}]", pod, ("TCP", port))

    def _service_monitors(self) -> Iterator[Offer]:
        for monitor in self.model.kind("ServiceMonitor"):
            selector = Selector(monitor.spec.get("selector", {}))
            endpoints = [mapping(entry) for entry in sequence(monitor.spec.get("endpoints"))]
            for namespace in self._monitored(monitor):
                for service in self._services_by_namespace.get(namespace, ()):
                    if selector.matches(service.labels):
                        for number, endpoint in enumerate(endpoints):
                            if isinstance(endpoint.get("port"), str):
                                for pod, port in self.called_at(service, endpoint["port"]):
                                    yield Offer(monitor, f"spec.endpoints[{number}]", pod, port)

    @cached_property
    def _services_by_namespace(self) -> Mapping[str, list[Object]]:
        found: dict[str, list[Object]] = defaultdict(list)
        for service in self.model.kind("Service"):
            found[service.namespace].append(service)
        return found

    def _monitored(self, monitor: Object) -> Iterator[str]:
        selector = mapping(monitor.spec.get("namespaceSelector"))
        if selector.get("any") is True:
            yield from self.model.namespaces
        else:
            yield from map(str, sequence(selector.get("matchNames")) or [monitor.namespace])

    @cached_property
    def prometheus(self) -> Sequence[Pod]:
        """The pods of Prometheus, as far as the tree knows them."""
        key, value = _PROMETHEUS
        made = [Pod(item.namespace, item.name, {key: value}) for item in self.model.kind("Prometheus")]
        return [*(pod for pod in self.network.pods if pod.labels.get(key) == value), *made]

    @cached_property
    def api_users(self) -> Sequence[Pod]:
        """The pods that have a token of a ServiceAccount with a role, and so call the Kubernetes API."""
        return [pod for pod in self.pods if self._account(pod) in self._bound and self._has_token(pod)]

    @staticmethod
    def _account(pod: Pod) -> tuple[str, str]:
        spec = workload(pod).spec
        return pod.namespace, str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")

    @cached_property
    def _bound(self) -> Mapping[tuple[str, str], bool]:
        """ServiceAccounts with a role, and whether it lets them find pods."""
        found: dict[tuple[str, str], bool] = {}
        for binding in self.model.kind("RoleBinding", "ClusterRoleBinding"):
            reference = mapping(binding.manifest.get("roleRef"))
            namespace = binding.namespace if reference.get("kind") == "Role" else ""
            role = self.model.get(
                str(reference.get("kind")), namespace, str(reference.get("name")), "rbac.authorization.k8s.io"
            )
            for entry in map(mapping, sequence(binding.manifest.get("subjects"))):
                if entry.get("kind") == "ServiceAccount":
                    account = str(entry.get("namespace") or binding.namespace), str(entry.get("name"))
                    found[account] = found.get(account, False) or (role is not None and _finds_pods(role))
        return found

    def _has_token(self, pod: Pod) -> bool:
        """Tell whether a token is mounted.

        https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/
        """
        spec = workload(pod).spec
        for volume in map(mapping, sequence(spec.get("volumes"))):
            for source in map(mapping, sequence(mapping(volume.get("projected")).get("sources"))):
                token = mapping(source.get("serviceAccountToken"))
                # One for somebody else than the API names its audience.
                if token and not token.get("audience"):
                    return True
        mounts = spec.get("automountServiceAccountToken")
        account = self.model.get("ServiceAccount", *self._account(pod))
        if mounts is None and account is not None:
            mounts = account.manifest.get("automountServiceAccountToken")
        return mounts is not False

    @cached_property
    def peers(self) -> Sequence[Pod]:
        """Pods that call others of their own workload.

        Those of StatefulSets with a headless Service have names to call each other by; those that may list pods find
        each other through the API.
        """
        return [pod for pod in self.pods if self._governing(pod) is not None or self._discovers(pod)]

    def _discovers(self, pod: Pod) -> bool:
        is_service = workload(pod).owner.kind in ("Deployment", "StatefulSet", "ReplicaSet")
        return is_service and self._bound.get(self._account(pod), False) and pod in self.callers_of_api

    @cached_property
    def callers_of_api(self) -> frozenset[Pod]:
        """The same pods, to be asked for."""
        return frozenset(self.api_users)

    def _governing(self, pod: Pod) -> Object | None:
        owner = workload(pod).owner
        service = self.services.get(pod.namespace, str(owner.spec.get("serviceName")))
        return service if owner.kind == "StatefulSet" and service is not None and is_headless(service) else None

    def peer_ports(self, pod: Pod) -> frozenset[Port]:
        """Return the ports of a pod that are for others of its workload: no Service for clients leads to them."""
        offered = {
            port
            for service in self._services_by_namespace.get(pod.namespace, ())
            if not is_headless(service) and _selects(service, pod)
            for entry in _service_ports(service)
            if (port := self._pod_port(service, entry, pod))
        }
        return pod.numbers - offered

    @cached_property
    def callers_by_name(self) -> Mapping[Pod, str]:
        """The pods that have to ask DNS, each with the field of an address that it calls by name."""
        found: dict[Pod, str] = {}
        told: list[Call | OutsideCall] = [*self.calls, *self.outside_calls]
        for call in told:
            found.setdefault(call.source, call.at)
        return found


def _selects(service: Object, pod: Pod) -> bool:
    selector = texts(service.spec.get("selector"))
    return bool(selector) and all(pod.labels.get(key) == value for key, value in selector.items())


def _service_ports(service: Object) -> list[tuple[str, str, int, int | str]]:
    """Return name, protocol, number and target of the ports of a Service."""
    found = []
    for entry in map(mapping, sequence(service.spec.get("ports"))):
        number = entry.get("port")
        if isinstance(number, int):
            target = entry.get("targetPort", number)
            target = target if isinstance(target, int | str) else number
            found.append((str(entry.get("name", "")), str(entry.get("protocol", "TCP")), number, target))
    return found


def _port_beside(name: str, known: Mapping[str, Variable]) -> int | None:
    """Return the port that a variable beside that of a host tells, such as ``DB_PORT`` beside ``DB_HOST``."""
    upper = name.upper()
    names = [f"{name}_PORT"]
    for word in _HOST_WORDS:
        begin = upper.rfind(word)
        if begin >= 0:
            port = "port" if name[begin].islower() else "PORT"
            names.append(f"{name[:begin]}{port}{name[begin + len(word) :]}")
    values = (known[candidate].value for candidate in names if candidate in known)
    return next((int(value) for value in values if value.isdecimal() and len(value) < 6), None)


def _is_host(name: str) -> bool:
    return any(word in name.upper() for word in _HOST_WORDS)


def _is_outside(host: str) -> bool:
    """Tell whether a host is one of the internet: a name with a domain that is none of a cluster."""
    top = host.rpartition(".")[2]
    return "." in host and top.isalpha() and top not in ("local", "svc", "internal", "localhost", "test", "invalid")


def _finds_pods(role: Object) -> bool:
    """Tell whether a role permits to list pods or what leads to them."""
    wanted = {"pods", "endpoints", "endpointslices", "*"}
    return any(
        not wanted.isdisjoint(map(str, sequence(rule.get("resources"))))
        and not {"list", "*"}.isdisjoint(map(str, sequence(rule.get("verbs"))))
        for rule in map(mapping, sequence(role.manifest.get("rules")))
    )


def _guests(model: ClusterModel, network: Network) -> Iterator[Pod]:
    """Yield pods that no object of the tree makes and that its policies name, in namespaces where others are."""
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()

    def guest(namespace: str, selector: Selector | None, name: str) -> Iterator[Pod]:
        if selector is None or not selector.labels:
            return
        key = namespace, frozenset(selector.labels.items())
        if key not in seen and not network.selecting(namespace, selector):
            seen.add(key)
            yield Pod(namespace, name, selector.labels)

    for policy in network.policies:
        if policy.namespace in model.open_namespaces:
            yield from guest(policy.namespace, policy.selector, policy.name)
    for policy in network.policies:
        for rules in policy.rules.values():
            for peer in (peer for rule in rules for peer in rule.peers or ()):
                namespace = peer.namespace
                if namespace and (namespace in model.open_namespaces or namespace not in model.namespaces):
                    labels = peer.pods.labels if peer.pods else {}
                    name = labels.get("app.kubernetes.io/name") or labels.get("app") or next(iter(labels.values()), "")
                    yield from guest(namespace, peer.pods, name)


def workload(pod: Pod) -> Pods:
    """Return where a pod of the tree comes from."""
    assert pod.workload is not None
    return pod.workload

"""What the objects of a tree say that pods call: addresses that they are given, monitors, open ports, the API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.areas import CLUSTER
from constructs_lib.check.calls import Calls, OutsideCall
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.monitors import Monitor, monitors
from constructs_lib.check.network import Network, Outside, Pod, Policy, Port, pod_of
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.accounts import Grant
from constructs_lib.kubernetes.containers import Port as ContainerPort
from constructs_lib.kubernetes.manifest import mapping, sequence
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.services import ServicePort, is_headless, service_ports

DNS = Pod(
    platform.DNS_NAMESPACE,
    "kube-dns",
    platform.DNS_LABELS,
    tuple(ContainerPort(name, protocol, platform.DNS_PORT) for protocol, name in platform.DNS_PROTOCOLS.items()),
)
DNS_PORTS: tuple[Port, ...] = tuple((protocol, platform.DNS_PORT) for protocol in platform.DNS_PROTOCOLS)
API = Outside("the Kubernetes API", CLUSTER)
API_PORTS: tuple[Port, ...] = tuple(("TCP", number) for number in platform.API_PORTS)
#: What the Prometheus operator calls its pods, in ``pkg/prometheus/common.go``.
_PROMETHEUS = ("app.kubernetes.io/name", "prometheus")

_ROUTES = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "IngressRoute", "IngressRouteTCP")


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
class Offer:
    """An object lets others call pods: a Service of the world, a monitor of Prometheus."""

    item: Object
    at: str
    target: Pod
    port: Port


class Traffic:
    """Everything that is called in a tree, and the network in which it is."""

    def __init__(self, model: ClusterModel) -> None:
        """Read the tree."""
        self.model = model
        self.scales = model.scales
        own = [pod_of(pods) for pods in model.pods]
        #: The pods of the tree.
        self.pods: Sequence[Pod] = own
        policies = [Policy(item) for item in model.kind("NetworkPolicy") if item.group == "networking.k8s.io"]
        #: Pods that the tree only knows by its policies: those of charts and of other trees.
        self.foreign: Sequence[Pod] = list(_foreign_pods(model, Network(policies, model.namespaces, [*own, DNS])))
        namespaces = {
            **{pod.namespace: {platform.NAME_LABEL: pod.namespace} for pod in [DNS, *self.foreign]},
            **model.namespaces,
        }
        self.network = Network(policies, namespaces, [*own, *self.foreign, DNS])

    @cached_property
    def calls(self) -> Sequence[Call]:
        """What pods are told to call, each call once for every address that tells it."""
        return [
            Call(self._by_pods[call.source], target, ports, call.address, call.at)
            for call in self.model.once(Calls).inside
            for target, ports in self._targets(call.service, call.port)
        ]

    @cached_property
    def outside_calls(self) -> Sequence[tuple[Pod, OutsideCall]]:
        """The https hosts outside of the cluster that pods are told to call."""
        return [(self._by_pods[call.source], call) for call in self.model.once(Calls).outside]

    @cached_property
    def _by_pods(self) -> Mapping[Pods, Pod]:
        return {workload(pod): pod for pod in self.pods}

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

    def _targets(self, service: Object, number: int | None) -> Iterator[tuple[Pod, tuple[Port, ...]]]:
        """Yield the pods of a Service with the ports of theirs that are called at one port of it, or at any."""
        offered = [port for port in service_ports(service) if number in (None, port.number)]
        for pod in self.behind(service):
            ports = tuple(found for port in offered if (found := self._pod_port(service, port, pod)))
            if number is not None and not offered and is_headless(service):
                ports = (("TCP", number),)
            if ports:
                yield pod, ports

    def behind(self, service: Object) -> list[Pod]:
        """Return the pods that a Service selects, none if it has no selector."""
        if service.spec.get("type") == "ExternalName":
            return []
        return self.network.selecting(service.namespace, Selector.of_labels(service.spec.get("selector")))

    @staticmethod
    def _pod_port(service: Object, port: ServicePort, pod: Pod) -> Port | None:
        if is_headless(service):
            return port.protocol, port.number
        number = pod.port(port.target, port.protocol) if isinstance(port.target, str) else port.target
        return (port.protocol, number) if number is not None else None

    def called_at(self, service: Object, named: int | str | None) -> Iterator[tuple[Pod, Port]]:
        """Yield the pods and ports behind a port of a Service, by its number or name; None means all of them."""
        for port in service_ports(service):
            if named in (None, port.name, port.number):
                for pod in self.behind(service):
                    if found := self._pod_port(service, port, pod):
                        yield pod, found

    @cached_property
    def public(self) -> Sequence[Offer]:
        """The ports that Services open to the world."""
        return [
            Offer(service, f"spec.ports[{number}]", pod, port)
            for service in self.model.kind("Service")
            if service.spec.get("type") in ("LoadBalancer", "NodePort") or service.spec.get("externalIPs")
            for number, offered in enumerate(service_ports(service))
            for pod, port in self.called_at(service, offered.name or offered.number)
        ]

    @cached_property
    def called_from_anywhere(self) -> frozenset[tuple[Pod, Port]]:
        """Ports that are called by what no tree holds: the world, ingress controllers, the API server."""
        return frozenset({(offer.target, offer.port) for offer in self.public} | set(self._called_by_controllers()))

    def _called_by_controllers(self) -> Iterator[tuple[Pod, Port]]:
        for namespace, name, port in self._backends():
            service = self.model.get("Service", namespace, name)
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
        """The ports that monitors have Prometheus scrape."""
        return [
            Offer(monitor.item, at, pod, port)
            for monitor in self.model.once(monitors)
            for at, endpoint in monitor.endpoints.items()
            for pod, port in self._scraped(monitor, endpoint)
        ]

    def _scraped(self, monitor: Monitor, endpoint: Mapping[str, Any]) -> Iterator[tuple[Pod, Port]]:
        """Yield the pods and ports that one endpoint of a monitor means."""
        named = endpoint.get("port")
        for service in monitor.services if isinstance(named, str) else ():
            yield from self.called_at(service, named)
        for pod in (self._by_pods[pods] for pods in monitor.pods if not monitor.is_of_services):
            port = pod.port(str(named), "TCP") or endpoint.get("portNumber")
            if isinstance(port, int):
                yield pod, ("TCP", port)

    @cached_property
    def prometheus(self) -> Sequence[Pod]:
        """The pods of Prometheus, as far as the tree knows them."""
        key, value = _PROMETHEUS
        made = [Pod(item.namespace, item.name, {key: value}) for item in self.model.kind("Prometheus")]
        return [*(pod for pod in self.network.pods if pod.labels.get(key) == value), *made]

    @cached_property
    def api_users(self) -> Sequence[Pod]:
        """The pods that have a token of a ServiceAccount with a role, and so call the Kubernetes API."""
        accounts = self.model.accounts
        return [pod for pod in self.pods if accounts.grants(workload(pod)) and accounts.holds_token(workload(pod))]

    @cached_property
    def peers(self) -> Sequence[Pod]:
        """Pods that call others of their own workload.

        Those of StatefulSets with a headless Service have names to call each other by; those that may list pods find
        each other through the API.
        """
        return [pod for pod in self.pods if self._governing(pod) is not None or self._discovers(pod)]

    def _discovers(self, pod: Pod) -> bool:
        is_service = workload(pod).owner.kind in ("Deployment", "StatefulSet", "ReplicaSet")
        roles = self.model.accounts.grants(workload(pod)) if is_service and pod in self.callers_of_api else ()
        return any(map(_finds_pods, roles))

    @cached_property
    def callers_of_api(self) -> frozenset[Pod]:
        """The same pods, to be asked for."""
        return frozenset(self.api_users)

    def _governing(self, pod: Pod) -> Object | None:
        owner = workload(pod).owner
        service = self.model.get("Service", pod.namespace, str(owner.spec.get("serviceName")))
        return service if owner.kind == "StatefulSet" and service is not None and is_headless(service) else None

    def peer_ports(self, pod: Pod) -> frozenset[Port]:
        """Return the ports of a pod that are for others of its workload: no Service for clients leads to them."""
        offered = {
            port
            for service in self.model.services.get(pod.namespace, ())
            if not is_headless(service) and Selector.of_labels(service.spec.get("selector")).matches(pod.labels)
            for offer in service_ports(service)
            if (port := self._pod_port(service, offer, pod))
        }
        return pod.numbers - offered

    @cached_property
    def callers_by_name(self) -> Mapping[Pod, str]:
        """The pods that have to ask DNS, each with the field of an address that it calls by name."""
        found: dict[Pod, str] = {}
        for call in self.calls:
            found.setdefault(call.source, call.at)
        for pod, outside in self.outside_calls:
            found.setdefault(pod, outside.at)
        return found


def _finds_pods(grant: Grant[Object]) -> bool:
    """Tell whether a role permits to list pods or what leads to them."""
    return any(
        not {"pods", "endpoints", "endpointslices", "*"}.isdisjoint(map(str, sequence(rule.get("resources"))))
        and not {"list", "*"}.isdisjoint(map(str, sequence(rule.get("verbs"))))
        for rule in grant.rules
    )


def _foreign_pods(model: ClusterModel, network: Network) -> Iterator[Pod]:
    """Yield pods that no object of the tree makes and that its policies name, in namespaces where others are."""
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()

    def foreign(namespace: str, selector: Selector | None, name: str) -> Iterator[Pod]:
        if selector is None or not selector.labels:
            return
        key = namespace, frozenset(selector.labels.items())
        if key not in seen and not network.selecting(namespace, selector):
            seen.add(key)
            yield Pod(namespace, name, selector.labels)

    for policy in network.policies:
        if policy.namespace in model.open_namespaces:
            yield from foreign(policy.namespace, policy.selector, policy.name)
    for policy in network.policies:
        for rules in policy.rules.values():
            for peer in (peer for rule in rules for peer in rule.peers or ()):
                namespace = peer.namespace
                if namespace and (namespace in model.open_namespaces or namespace not in model.namespaces):
                    labels = peer.pods.labels if peer.pods else {}
                    name = labels.get("app.kubernetes.io/name") or labels.get("app") or next(iter(labels.values()), "")
                    yield from foreign(namespace, peer.pods, name)


def workload(pod: Pod) -> Pods:
    """Return where a pod of the tree comes from."""
    assert pod.workload is not None
    return pod.workload

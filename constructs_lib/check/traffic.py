"""What is called in a tree: by addresses that pods are given, by monitors, at public ports, and through the API."""

from collections.abc import Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.areas import CLUSTER, INTERNET, Area, block_of
from constructs_lib.check.calls import Calls, ElsewhereCall, ForeignCall, OutsideCall
from constructs_lib.check.cilium import policies, unknown_namespaces
from constructs_lib.check.model import ClusterModel, Pods, grouped
from constructs_lib.check.monitors import Monitor, monitors
from constructs_lib.check.network import End, Network, Outside, Peer, Pod, Port, Rule, pod_of
from constructs_lib.check.routes import Backend, backends, ingress_backends
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.accounts import Grant
from constructs_lib.kubernetes.elsewhere import Elsewhere
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import Port as ContainerPort
from constructs_lib.kubernetes.workloads import ServicePort, is_headless, service_ports

_DNS = tuple(ContainerPort(name, protocol, platform.DNS_PORT) for protocol, name in platform.DNS_PROTOCOLS.items())
DNS = Pod(platform.DNS_NAMESPACE, "kube-dns", platform.DNS_LABELS, _DNS)
DNS_PORTS: tuple[Port, ...] = tuple((protocol, platform.DNS_PORT) for protocol in platform.DNS_PROTOCOLS)
API = Outside("the Kubernetes API", CLUSTER, "kube-apiserver")
API_PORTS: tuple[Port, ...] = tuple(("TCP", number) for number in platform.API_PORTS)
#: The label that the Prometheus operator gives to its pods, in ``pkg/prometheus/common.go``.
_PROMETHEUS = ("app.kubernetes.io/name", "prometheus")

#: Resources that a controller of routes watches.
_WATCHED = frozenset({"gateways", "httpproxies", "httproutes", "ingresses", "ingressroutes", "virtualservices", "*"})
#: Kinds of routes that lead into the cluster: those of a mesh may be for calls within it.
_FROM_OUTSIDE = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "IngressRoute", "IngressRouteTCP")


@dataclass(frozen=True)
class Call:
    """A call of one workload to another, because of an address that it is given.

    Attributes:
        ports: The port of the target; several if it is one of these, and not known which.
        address: The address as it is written.
        at: The field of the caller's workload that holds it.
    """

    source: Pod
    target: Pod
    ports: tuple[Port, ...]
    address: str
    at: str


@dataclass(frozen=True)
class Offer:
    """An object that lets others call pods: a public Service, or a monitor of Prometheus."""

    item: Object
    at: str
    target: Pod
    port: Port


class Traffic:
    """Everything that is called in a tree, and the network that it is called in.

    Attributes:
        pods: The pods of the tree.
        foreign: Pods that are not in it, but that its policies select or permit: those of charts and of other trees.
        network: All pods and policies.
    """

    def __init__(self, model: ClusterModel) -> None:
        """Read the tree."""
        self.model = model
        self.pods: Sequence[Pod] = [pod_of(pods) for pods in model.pods]
        read = policies(model)
        #: Namespaces in which policies that are not read may be about pods; None for all of them.
        self.unknown = unknown_namespaces(model)
        known = Network(read, model.namespaces, [*self.pods, DNS])
        self.foreign: Sequence[Pod] = list(_foreign_pods(model, known))
        others = [*self.foreign, DNS]
        namespaces = {pod.namespace: {platform.NAME_LABEL: pod.namespace} for pod in others}
        self.network = Network(read, {**namespaces, **model.namespaces}, [*self.pods, *others])

    def is_known(self, namespace: str) -> bool:
        """Tell whether all policies about the pods of a namespace are read."""
        return self.unknown is not None and namespace not in self.unknown

    def knows_reasons(self, pod: Pod) -> bool:
        """Tell whether the tree says what pods call: not those of charts, whose programs know by themselves."""
        return pod.workload is not None and pod.workload.owner.path not in self.model.homes

    @cached_property
    def calls(self) -> Sequence[Call]:
        """The calls of workloads of the tree to each other, one for every address."""
        return [
            Call(self._by_pods[call.source], target, ports, call.address, call.at)
            for call in self.model.once(Calls).inside
            for target, ports in self._targets(call.service, call.port)
        ]

    @cached_property
    def outside_calls(self) -> Sequence[tuple[Pod, OutsideCall]]:
        """The https hosts outside of the cluster that pods are given."""
        return [(self._by_pods[call.source], call) for call in self.model.once(Calls).outside]

    @cached_property
    def elsewhere_calls(self) -> Sequence[tuple[Pod, End, ElsewhereCall]]:
        """The calls of hosts and Services that the tree tells of, with the other end as policies see it."""
        calls = self.model.once(Calls).elsewhere
        ends = {told: end_of(told) for told in {call.target for call in calls}}
        return [(self._by_pods[call.source], ends[call.target], call) for call in calls]

    @cached_property
    def foreign_calls(self) -> Sequence[tuple[Pod, ForeignCall]]:
        """The calls of Services that the tree does not have."""
        return [(self._by_pods[call.source], call) for call in self.model.once(Calls).foreign]

    def may_lead_to(self, rule: Rule, namespace: str) -> bool:
        """Tell whether a rule may lead to pods of others, in a namespace of which only the name may be known."""
        is_dns = rule.ports and all(entry.first == platform.DNS_PORT for entry in rule.ports)
        return not is_dns and (rule.peers is None or any(self._may_match(peer, namespace) for peer in rule.peers))

    def _may_match(self, peer: Peer, namespace: str) -> bool:
        if peer.block is not None:
            # A single address is that of a host: those of pods change.
            return peer.block.num_addresses > 1 and CLUSTER.may_lie_in(peer.block, peer.holes)
        if peer.entities or peer.hosts:
            return not peer.entities.isdisjoint({"all", "cluster"})
        if peer.namespaces is None:
            return peer.own_namespace == namespace
        known = self.model.get("Namespace", "", namespace)
        labels = {platform.NAME_LABEL: namespace, **(known.labels if known else {})}
        is_told = known is not None or peer.namespaces.labels.keys() <= {platform.NAME_LABEL}
        return peer.namespaces.matches(labels) or (not is_told and peer.namespace in (None, namespace))

    @cached_property
    def _by_pods(self) -> Mapping[Pods, Pod]:
        return {workload(pod): pod for pod in self.pods}

    @cached_property
    def called(self) -> Mapping[tuple[Pod, Pod], frozenset[Port]]:
        """The ports that each caller calls of each target."""
        found = grouped(((call.source, call.target), port) for call in self.calls for port in call.ports)
        return {pair: frozenset(ports) for pair, ports in found.items()}

    @cached_property
    def reasons(self) -> Mapping[tuple[Pod, Pod], frozenset[Port]]:
        """The ports that each caller has a reason to call of each target: an address, or that both are peers."""
        among_peers = {(pod, pod): pod.numbers | self.called.get((pod, pod), frozenset()) for pod in self.peers}
        return {**self.called, **among_peers}

    def _targets(self, service: Object, number: int | None) -> Iterator[tuple[Pod, tuple[Port, ...]]]:
        """Yield the pods behind a Service, each with its ports behind one port of the Service, or all of them."""
        offered = [port for port in service_ports(service) if number in (None, port.number)]
        for pod in self.behind(service):
            ports = tuple(found for port in offered if (found := self._pod_port(service, port, pod)))
            if number is not None and not offered and is_headless(service):
                ports = (("TCP", number),)
            if ports:
                yield pod, ports

    def behind(self, service: Object) -> list[Pod]:
        """Return the pods behind a Service."""
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
        """Yield the pods and their ports behind a port of a Service, by its number or name; None for all its ports."""
        for port in service_ports(service):
            for pod in self.behind(service) if named in (None, port.name, port.number) else ():
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
        """Ports whose callers are in no tree: the world, ingress controllers, the API server."""
        public = {(offer.target, offer.port) for offer in self.public}
        backends = ((self.model.get("Service", place, name), port) for place, name, port in self._backends())
        called = (self.called_at(service, port) for service, port in backends if service is not None)
        return frozenset(public.union(*called))

    def _backends(self) -> Iterator[tuple[str, str, int | str | None]]:
        """Yield namespace, name and port of the Services that Ingresses, routes, webhooks and APIServices name."""
        kind = self.model.kind
        for _, backend in self._route_backends():
            port = backend.port
            yield backend.namespace, backend.name, port if isinstance(port, int | str) else None
        configurations = kind("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
        webhooks = (webhook for item in configurations for webhook in mappings(item.manifest.get("webhooks")))
        services = [inner(webhook, "clientConfig", "service") for webhook in webhooks]
        for service in map(mapping, (*services, *(item.spec.get("service") for item in kind("APIService")))):
            yield str(service.get("namespace")), str(service.get("name")), service.get("port", 443)

    def _route_backends(self) -> Iterator[tuple[Object, Backend]]:
        for item in self.model.kind("Ingress"):
            yield from ((item, backend) for backend in ingress_backends(item))
        for item in self.model.kind(*_FROM_OUTSIDE):
            yield from ((item, backend) for backend in backends(self.model, item))

    @cached_property
    def routed(self) -> Sequence[Offer]:
        """The ports that Ingresses and routes lead to."""
        return [
            Offer(item, backend.at, pod, port)
            for item, backend in self._route_backends()
            if (service := self.model.get("Service", backend.namespace, backend.name)) is not None
            and not self.model.has_several(service)
            for pod, port in self.called_at(service, backend.port if isinstance(backend.port, int | str) else None)
        ]

    @cached_property
    def scrapes(self) -> Sequence[Offer]:
        """The ports that Prometheus scrapes for monitors."""
        return [
            Offer(monitor.item, at, pod, port)
            for monitor in self.model.once(monitors)
            for at, endpoint in monitor.endpoints.items()
            for pod, port in self._scraped(monitor, endpoint)
        ]

    def _scraped(self, monitor: Monitor, endpoint: Mapping[str, Any]) -> Iterator[tuple[Pod, Port]]:
        named = endpoint.get("port")
        if monitor.is_of_services:
            for service in monitor.services if isinstance(named, str) else ():
                yield from self.called_at(service, named)
            return
        # The network has foreign pods as well.
        selector = Selector(monitor.item.spec.get("selector", {}))
        for pod in (pod for name in monitor.namespaces for pod in self.network.selecting(name, selector)):
            number = pod.port(str(named), "TCP") or endpoint.get("portNumber")
            if isinstance(number, int):
                yield pod, ("TCP", number)

    @cached_property
    def prometheus(self) -> Sequence[Pod]:
        """The pods of Prometheus that are known."""
        key, value = _PROMETHEUS
        made = [Pod(item.namespace, item.name, {key: value}) for item in self.model.kind("Prometheus")]
        return [*(pod for pod in self.network.pods if pod.labels.get(key) == value), *made]

    @cached_property
    def api_users(self) -> KeysView[Pod]:
        """The pods that hold a token of a ServiceAccount with a role, and so are taken to call the Kubernetes API."""
        accounts = self.model.accounts
        owners = ((pod, workload(pod)) for pod in self.pods)
        return {pod: None for pod, pods in owners if accounts.grants(pods) and accounts.holds_token(pods)}.keys()

    @cached_property
    def route_servers(self) -> frozenset[Pod]:
        """The pods of the tree that may serve routes: they watch them, or the world reaches them."""
        accounts = self.model.accounts
        watching = {pod for pod in self.pods if any(map(_watches_routes, accounts.grants(workload(pod))))}
        return frozenset(watching | {offer.target for offer in self.public})

    @cached_property
    def peers(self) -> Sequence[Pod]:
        """Pods that call other pods of their own workload.

        Pods of a StatefulSet with a headless Service call each other by name. Pods that may list pods find each other
        through the API.
        """
        return [pod for pod in self.pods if self._governing(pod) is not None or self._discovers(pod)]

    def _discovers(self, pod: Pod) -> bool:
        """Tell whether pods can find each other through the API."""
        pods = workload(pod)
        is_service = pods.owner.kind in ("Deployment", "StatefulSet", "ReplicaSet")
        return is_service and pod in self.api_users and any(map(_finds_pods, self.model.accounts.grants(pods)))

    def _governing(self, pod: Pod) -> Object | None:
        """Return the headless Service that gives names to pods of a StatefulSet."""
        owner = workload(pod).owner
        service = self.model.get("Service", pod.namespace, str(owner.spec.get("serviceName")))
        return service if owner.kind == "StatefulSet" and service is not None and is_headless(service) else None

    def peer_ports(self, pod: Pod) -> frozenset[Port]:
        """Return the ports of a pod that only its peers call: no Service for clients leads to them."""
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
        """The pods that have to ask DNS, each with the field of a name that it calls."""
        inside = [(call.source, call.at) for call in self.calls]
        outside = [(pod, call.at) for pod, call in self.outside_calls]
        told = [(pod, call.at) for pod, _, call in self.elsewhere_calls if block_of(call.target.host) is None]
        return {pod: fields[0] for pod, fields in grouped([*inside, *outside, *told]).items()}


def end_of(told: Elsewhere) -> End:
    """Return what the tree tells of as policies see it."""
    if told.service:
        return Pod(*told.service, dict(told.pods))
    blocks = tuple(block for network in told.networks if (block := block_of(network)) is not None)
    return Outside(told.host, Area(blocks) if blocks else INTERNET)


def _watches_routes(grant: Grant[Object]) -> bool:
    """Tell whether a role permits to read what a controller of routes reads."""
    return any(not _WATCHED.isdisjoint(map(str, sequence(rule.get("resources")))) for rule in grant.rules)


def _finds_pods(grant: Grant[Object]) -> bool:
    """Tell whether a role permits to list pods, or objects with the addresses of pods."""
    return any(
        not {"pods", "endpoints", "endpointslices", "*"}.isdisjoint(map(str, sequence(rule.get("resources"))))
        and not {"list", "*"}.isdisjoint(map(str, sequence(rule.get("verbs"))))
        for rule in grant.rules
    )


def _foreign_pods(model: ClusterModel, network: Network) -> Iterator[Pod]:
    """Yield the pods that policies select or permit by labels, where no pods of the tree have these labels.

    That is done for namespaces that the tree does not have, or not alone.
    """
    open_namespaces = model.open_namespaces
    policies = (policy for policy in network.policies if policy.namespace in open_namespaces)
    found = [(policy.namespace, policy.selector, policy.name) for policy in policies]
    for peer in (peer for policy in network.policies for peer in policy.peers):
        namespace, selector = peer.namespace, peer.pods
        if namespace and selector and (namespace in open_namespaces or namespace not in model.namespaces):
            labels = selector.labels
            name = labels.get("app.kubernetes.io/name") or labels.get("app") or next(iter(labels.values()), "")
            found.append((namespace, selector, name))
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for namespace, selector, name in found:
        key = namespace, frozenset(selector.labels.items())
        if selector.labels and key not in seen and not network.selecting(namespace, selector):
            seen.add(key)
            yield Pod(namespace, name, selector.labels)


def workload(pod: Pod) -> Pods:
    """Return the workload of a pod of the tree."""
    assert pod.workload is not None
    return pod.workload

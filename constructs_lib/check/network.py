"""What NetworkPolicies let through, as Kubernetes defines them.

https://kubernetes.io/docs/concepts/services-networking/network-policies/ and the field descriptions of
https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/; ``policyTypes`` is filled in as
``SetDefaults_NetworkPolicy`` in Kubernetes' ``pkg/apis/networking/v1/defaults.go`` does. Policies are found by their
namespace and a label that they ask for, so that no pair of pods is ever tried out.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal

from constructs_lib.argocd.objects import Object
from constructs_lib.check.model import Pods
from constructs_lib.kubernetes.manifest import mapping, sequence, texts

Direction = Literal["Ingress", "Egress"]
DIRECTIONS: tuple[Direction, ...] = ("Ingress", "Egress")
#: A protocol and the number of a port.
Port = tuple[str, int]
#: A name, a protocol and a number: a port that a container declares.
ContainerPort = tuple[str, str, int]

_Block = IPv4Network | IPv6Network
_NAME_LABEL = "kubernetes.io/metadata.name"


def port_text(port: Port) -> str:
    """Return a port as messages show it."""
    protocol, number = port
    return str(number) if protocol == "TCP" else f"{number}/{protocol}"


@lru_cache(maxsize=4096)
def block_of(text: str) -> _Block | None:
    """Return a CIDR block, or None if the text is none; a single address is a block of one."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _blocks(*written: str) -> tuple[_Block, ...]:
    return tuple(ipaddress.ip_network(text) for text in written)


@dataclass(frozen=True)
class Area:
    """Addresses of which one is meant, nobody knows which.

    Attributes:
        blocks: Where it lies.
        holes: Where it does not.
    """

    blocks: tuple[_Block, ...]
    holes: tuple[_Block, ...] = ()

    def may_lie_in(self, block: _Block, holes: Sequence[_Block]) -> bool:
        """Tell whether one of the addresses is in a block and in none of its exceptions."""
        return any(
            own.overlaps(block) and _something_left(_smaller(own, block), [*holes, *self.holes])
            for own in self.blocks
            if own.version == block.version
        )


def _smaller(one: _Block, other: _Block) -> _Block:
    return one if one.prefixlen >= other.prefixlen else other


def _something_left(block: _Block, holes: Iterable[_Block]) -> bool:
    inner = []
    for hole in holes:
        if hole.version == block.version and hole.overlaps(block):
            if hole.prefixlen <= block.prefixlen:
                return False
            inner.append(hole)
    merged: Iterable[_Block] = ipaddress.collapse_addresses(inner)  # type: ignore[type-var] # all of one version
    return sum(hole.num_addresses for hole in merged) < block.num_addresses


#: The private addresses of RFC 1918 and RFC 4193.
PRIVATE = _blocks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
#: The addresses that clusters give to pods, Services and nodes: the private ones, the shared ones and the link-local
#: ones (RFC 6598, 3927 and 4291).
CLUSTER = Area((*PRIVATE, *_blocks("100.64.0.0/10", "169.254.0.0/16", "fe80::/10")))
#: All others.
INTERNET = Area(_blocks("0.0.0.0/0", "2000::/3"), CLUSTER.blocks)
ANYWHERE = Area(_blocks("0.0.0.0/0", "::/0"))


@dataclass(frozen=True, eq=False)
class Pod:
    """One of several pods that are alike; "itself" is another one of them.

    Attributes:
        namespace: Its namespace.
        name: What a person calls it.
        labels: Its labels.
        ports: The ports that its containers declare.
        host_network: Whether it has the addresses of its node: then no policy and no selector is about it, as the
            network plug-ins that the documentation describes see a node in its place.
        area: Where its address lies. Default: anywhere in a cluster. An ``ipBlock`` is about it if it may be.
        workload: Where it comes from; None for pods of charts and of the cluster itself, which no tree holds.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    ports: tuple[ContainerPort, ...] = ()
    host_network: bool = False
    area: Area = CLUSTER
    workload: Pods | None = None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def port(self, name: str, protocol: str) -> int | None:
        """Return the number of the port that has a name, or None if no container declares it."""
        if self.host_network:
            return None
        return next((number for own, kind, number in self.ports if (own, kind) == (name, protocol)), None)

    @property
    def numbers(self) -> frozenset[Port]:
        """The ports that its containers declare, by their numbers."""
        return frozenset((protocol, number) for _, protocol, number in self.ports)


@dataclass(frozen=True, eq=False)
class Outside:
    """Something that is no pod: the internet, an address, the Kubernetes API.

    Attributes:
        name: What a person calls it.
        area: Where its address lies.
    """

    name: str
    area: Area

    def __str__(self) -> str:
        return self.name


End = Pod | Outside


def pod_of(pods: Pods) -> Pod:
    """Return what the network sees of the pods of a workload."""
    return Pod(
        pods.namespace,
        pods.owner.name,
        pods.labels,
        tuple(container_ports(pods)),
        pods.spec.get("hostNetwork") is True,
        workload=pods,
    )


def container_ports(pods: Pods) -> Iterator[ContainerPort]:
    """Yield the ports that the containers of a workload declare."""
    for _, container in pods.containers:
        for entry in map(mapping, sequence(container.get("ports"))):
            number = entry.get("containerPort")
            if isinstance(number, int):
                yield str(entry.get("name", "")), str(entry.get("protocol", "TCP")), number


class Selector:
    """A label selector (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/)."""

    def __init__(self, written: object) -> None:
        """Take it in; a requirement that Kubernetes would refuse matches nothing."""
        selector = mapping(written)
        self.labels = texts(selector.get("matchLabels"))
        self._requirements = [
            (
                str(entry.get("key")),
                str(entry.get("operator")),
                frozenset(str(value) for value in sequence(entry.get("values"))),
            )
            for entry in map(mapping, sequence(selector.get("matchExpressions")))
        ]

    @property
    def is_empty(self) -> bool:
        """Whether it matches everything."""
        return not self.labels and not self._requirements

    @cached_property
    def pair(self) -> tuple[str, str] | None:
        """A label that everything has that it matches; None if there is none."""
        wanted = {**self.labels}
        for key, operator, values in self._requirements:
            if operator == "In" and len(values) == 1:
                wanted.setdefault(key, *values)
        # What many have in common, such as part-of, comes last as a rule.
        return next(iter(wanted.items()), None)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether something with these labels is meant."""
        for key, value in self.labels.items():
            if labels.get(key) != value:
                return False
        return all(_holds(labels.get(key), operator, values) for key, operator, values in self._requirements)


def _holds(value: str | None, operator: str, values: frozenset[str]) -> bool:
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    return operator == "DoesNotExist" and value is None


@dataclass(frozen=True, eq=False)
class Peer:
    """One entry of ``from`` or ``to``.

    Attributes:
        path: Where it stands in the spec of its policy, such as ``ingress[0].from[1]``.
        own_namespace: The namespace of its policy.
        namespaces: Which namespaces it means; None for its own.
        pods: Which pods in them; None for all.
        block: Which addresses; None if it means pods.
        holes: Addresses in the block that it does not mean.
    """

    path: str
    own_namespace: str
    namespaces: Selector | None
    pods: Selector | None
    block: _Block | None
    holes: tuple[_Block, ...]

    @classmethod
    def read(cls, path: str, own_namespace: str, entry: Mapping[str, Any]) -> Peer | None:
        """Return a peer, or None if nothing can be meant by it."""
        if entry.get("ipBlock") is not None:
            written = mapping(entry["ipBlock"])
            block = block_of(str(written.get("cidr")))
            found = (block_of(str(hole)) for hole in sequence(written.get("except")))
            holes = tuple(hole for hole in found if hole is not None)
            return cls(path, own_namespace, None, None, block, holes) if block else None
        namespaces, pods = (
            Selector(entry[key]) if entry.get(key) is not None else None for key in ("namespaceSelector", "podSelector")
        )
        if namespaces is None and pods is None:
            return None
        return cls(path, own_namespace, namespaces, pods, None, ())

    @property
    def namespace(self) -> str | None:
        """The only namespace that it can mean; None if there may be several."""
        return self.own_namespace if self.namespaces is None else self.namespaces.labels.get(_NAME_LABEL)

    def means(self, end: End, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
        """Tell whether it means something, given the labels of all namespaces."""
        if self.block is not None:
            return end.area.may_lie_in(self.block, self.holes)
        if isinstance(end, Outside) or end.host_network:
            return False
        if self.namespaces is None:
            inside = end.namespace == self.own_namespace
        else:
            inside = self.namespaces.matches(namespaces.get(end.namespace, {_NAME_LABEL: end.namespace}))
        return inside and (self.pods is None or self.pods.matches(end.labels))


@dataclass(frozen=True)
class PortRange:
    """One entry of ``ports``.

    Attributes:
        protocol: Its protocol.
        first: Its first port, or its name; None for all ports of the protocol.
        last: Its last port.
    """

    protocol: str
    first: int | str | None
    last: int | None = None

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> PortRange:
        """Return what an entry says."""
        port, last = entry.get("port"), entry.get("endPort")
        first = port if isinstance(port, int | str) else None
        return cls(str(entry.get("protocol") or "TCP"), first, last if isinstance(last, int) else None)

    def includes(self, port: Port, target: End) -> bool:
        """Tell whether it includes a port of something; a name is that of a port of its containers."""
        protocol, number = port
        if protocol != self.protocol:
            return False
        if isinstance(self.first, str):
            return isinstance(target, Pod) and target.port(self.first, protocol) == number
        return self.first is None or self.first <= number <= (self.last or self.first)

    def __str__(self) -> str:
        if self.first is None:
            return f"all ports of {self.protocol}"
        numbers = f"{self.first}" if self.last in (None, self.first) else f"{self.first}-{self.last}"
        return numbers if self.protocol == "TCP" else f"{numbers}/{self.protocol}"


@dataclass(frozen=True, eq=False)
class Rule:
    """One entry of ``ingress`` or ``egress``.

    Attributes:
        path: Where it stands in the spec of its policy, such as ``egress[2]``.
        peers: Whom it is about; None for everybody.
        ports: Which ports it opens; None for all.
    """

    path: str
    peers: tuple[Peer, ...] | None
    ports: tuple[PortRange, ...] | None

    def opens(self, port: Port, target: End) -> bool:
        """Tell whether it opens a port of something, whoever calls."""
        return self.ports is None or any(entry.includes(port, target) for entry in self.ports)


class _Index:
    """The rules of one policy in one direction, found by whom they are about."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.everybody: list[Rule] = []
        self.blocks: list[tuple[Rule, Peer]] = []
        self._others: list[tuple[Rule, Peer]] = []
        self._by_place: dict[tuple[str | None, tuple[str, str] | None], list[tuple[Rule, Peer]]] = defaultdict(list)
        for rule in rules:
            if rule.peers is None:
                self.everybody.append(rule)
            for peer in rule.peers or ():
                pair = peer.pods.pair if peer.pods else None
                if peer.block is not None:
                    self.blocks.append((rule, peer))
                elif peer.namespace is None and pair is None:
                    self._others.append((rule, peer))
                else:
                    self._by_place[peer.namespace, pair].append((rule, peer))

    def candidates(self, end: End) -> Iterator[tuple[Rule, Peer]]:
        """Yield the rules that may be about something, with the peers by which they may be."""
        yield from self.blocks
        if isinstance(end, Pod):
            yield from self._others
            if self._by_place:
                yield from self._by_place.get((end.namespace, None), ())
                for pair in end.labels.items():
                    yield from self._by_place.get((end.namespace, pair), ())
                    yield from self._by_place.get((None, pair), ())


class Policy:
    """A NetworkPolicy."""

    def __init__(self, item: Object) -> None:
        """Read it."""
        self.item = item
        self.namespace = item.namespace
        self.selector = Selector(item.spec.get("podSelector"))
        written = [str(entry) for entry in sequence(item.spec.get("policyTypes"))]
        self.directions: Sequence[str] = written or ["Ingress", *(["Egress"] if item.spec.get("egress") else [])]
        self.rules: Mapping[str, tuple[Rule, ...]] = {
            "Ingress": tuple(_rules(item, "ingress", "from")) if "Ingress" in self.directions else (),
            "Egress": tuple(_rules(item, "egress", "to")) if "Egress" in self.directions else (),
        }

    @property
    def name(self) -> str:
        """Its name."""
        return self.item.name

    @cached_property
    def index(self) -> Mapping[str, _Index]:
        """Its rules by direction and by whom they are about."""
        return {direction: _Index(rules) for direction, rules in self.rules.items()}

    def permits(
        self, direction: Direction, peer: End, namespaces: Mapping[str, Mapping[str, str]]
    ) -> Iterator[tuple[Rule, Peer | None]]:
        """Yield the rules about something, each with the entry that names it; None if it names nobody."""
        index = self.index[direction]
        for rule in index.everybody:
            yield rule, None
        for rule, candidate in index.candidates(peer):
            if candidate.means(peer, namespaces):
                yield rule, candidate


def _rules(item: Object, key: str, peers: str) -> Iterator[Rule]:
    for number, written in enumerate(sequence(item.spec.get(key))):
        rule, path = mapping(written), f"{key}[{number}]"
        entries = sequence(rule.get(peers))
        found = (
            Peer.read(f"{path}.{peers}[{position}]", item.namespace, mapping(entry))
            for position, entry in enumerate(entries)
        )
        ports = tuple(PortRange.read(mapping(entry)) for entry in sequence(rule.get("ports")))
        yield Rule(path, tuple(peer for peer in found if peer) if entries else None, ports or None)


@dataclass(frozen=True)
class Side:
    """What the policies of one end of a connection say to it.

    Attributes:
        direction: ``Egress`` of who calls, ``Ingress`` of who is called.
        end: The end.
        policies: The policies that isolate it in this direction; none leaves it open.
        rules: The rules that let the connection through, with their policies.
    """

    direction: Direction
    end: End
    policies: tuple[Policy, ...] = field(repr=False)
    rules: tuple[tuple[Policy, Rule, Peer | None], ...] = field(repr=False)

    @property
    def allows(self) -> bool:
        """Whether it lets the connection through."""
        return not self.policies or bool(self.rules)


@dataclass(frozen=True)
class Connection:
    """One end calls another at a port.

    Attributes:
        egress: What the policies of who calls say.
        ingress: What those of who is called say.
    """

    egress: Side
    ingress: Side

    @property
    def allowed(self) -> bool:
        """Whether it can be made: both ends have to agree."""
        return self.egress.allows and self.ingress.allows

    @property
    def closed(self) -> list[Side]:
        """The sides that do not let it through."""
        return [side for side in (self.egress, self.ingress) if not side.allows]


class Network:
    """The network of a cluster under its policies."""

    def __init__(
        self, policies: Iterable[Policy], namespaces: Mapping[str, Mapping[str, str]], pods: Iterable[Pod]
    ) -> None:
        """Take everything in.

        Args:
            policies: All policies.
            namespaces: The labels of the namespaces, the one with their name included.
            pods: One pod of every workload.
        """
        self.policies = list(policies)
        self.namespaces = namespaces
        self.pods = list(pods)
        self._policies_by_pair: dict[tuple[str, tuple[str, str] | None], list[Policy]] = defaultdict(list)
        for policy in self.policies:
            self._policies_by_pair[policy.namespace, policy.selector.pair].append(policy)
        self._pods_by_pair: dict[tuple[str, tuple[str, str] | None], list[Pod]] = defaultdict(list)
        for pod in self.pods:
            for pair in (None, *pod.labels.items()):
                self._pods_by_pair[pod.namespace, pair].append(pod)
        self._isolating: dict[tuple[Pod, Direction], tuple[Policy, ...]] = {}

    def selecting(self, namespace: str, selector: Selector) -> list[Pod]:
        """Return the pods of a namespace that a selector means."""
        return [pod for pod in self._pods_by_pair.get((namespace, selector.pair), ()) if selector.matches(pod.labels)]

    def selected(self, policy: Policy) -> list[Pod]:
        """Return the pods that a policy is about."""
        return [pod for pod in self.selecting(policy.namespace, policy.selector) if not pod.host_network]

    def meant(self, peer: Peer) -> Iterator[Pod]:
        """Yield the pods that a peer means by its selectors."""
        if peer.block is not None:
            return
        if peer.namespace is not None:
            inside: Iterable[str] = (peer.namespace,)
        else:
            inside = self._namespaces_of(peer.namespaces or Selector({}))
        selector = peer.pods or Selector({})
        for namespace in inside:
            for pod in self.selecting(namespace, selector):
                if peer.means(pod, self.namespaces):
                    yield pod

    def _namespaces_of(self, selector: Selector) -> Iterator[str]:
        return (name for name, labels in self.namespaces.items() if selector.matches(labels))

    def isolating(self, pod: Pod, direction: Direction) -> tuple[Policy, ...]:
        """Return the policies that close a pod in a direction but for what they and others permit."""
        if pod.host_network:
            return ()
        key = pod, direction
        if key not in self._isolating:
            candidates = (
                policy
                for pair in (None, *pod.labels.items())
                for policy in self._policies_by_pair.get((pod.namespace, pair), ())
            )
            self._isolating[key] = tuple(
                policy
                for policy in candidates
                if direction in policy.directions and policy.selector.matches(pod.labels)
            )
        return self._isolating[key]

    def side(self, direction: Direction, end: End, peer: End, port: Port) -> Side:
        """Return what the policies of one end say to a connection with another.

        Args:
            direction: ``Egress`` if the end is who calls, ``Ingress`` if it is called.
            end: The end.
            peer: The other one.
            port: The port that is called.
        """
        if isinstance(end, Outside):
            return Side(direction, end, (), ())
        target = peer if direction == "Egress" else end
        policies = self.isolating(end, direction)
        rules = tuple(
            (policy, rule, by)
            for policy in policies
            for rule, by in policy.permits(direction, peer, self.namespaces)
            if rule.opens(port, target)
        )
        return Side(direction, end, policies, rules)

    def connection(self, source: End, target: End, port: Port) -> Connection:
        """Return what happens if one calls another; a pod that calls itself, and not another like it, always may."""
        return Connection(self.side("Egress", source, target, port), self.side("Ingress", target, source, port))

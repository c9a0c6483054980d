"""What NetworkPolicies let through, as Kubernetes defines them.

https://kubernetes.io/docs/concepts/services-networking/network-policies/ and the field descriptions of
https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/; ``policyTypes`` is filled in as
``SetDefaults_NetworkPolicy`` in Kubernetes' ``pkg/apis/networking/v1/defaults.go`` does. Policies and pods are indexed
by their namespace and labels, so that the work does not grow with the pairs of pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from constructs_lib.argocd.globs import glob
from constructs_lib.argocd.objects import Object
from constructs_lib.check.areas import CLUSTER, Area, Block, block_of
from constructs_lib.check.model import Pods, grouped
from constructs_lib.kubernetes.manifest import mapping, mappings, sequence
from constructs_lib.kubernetes.platform import NAME_LABEL
from constructs_lib.kubernetes.selectors import LabelIndex, Selector
from constructs_lib.kubernetes.workloads import Port as ContainerPort

Direction = Literal["Ingress", "Egress"]
DIRECTIONS: tuple[Direction, ...] = ("Ingress", "Egress")
#: The protocol and the number of a port.
Port = tuple[str, int]


def port_text(port: Port) -> str:
    """Return a port as messages show it."""
    protocol, number = port
    return str(number) if protocol == "TCP" else f"{number}/{protocol}"


@dataclass(frozen=True, eq=False)
class Pod:
    """The pods of one workload, which are alike. A call from such a pod to itself means another pod of the workload.

    Attributes:
        name: The name of the workload.
        ports: The ports that their containers declare.
        host_network: Whether they use the network of their node. Then no policy and no selector applies to them: most
            network plug-ins take their traffic for that of the node.
        area: The addresses that they may have. An ``ipBlock`` that holds one of these may apply to them.
        workload: The pods as the tree has them; None for pods of charts and of the cluster itself.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    ports: tuple[ContainerPort, ...] = ()
    host_network: bool = False
    area: Area = CLUSTER
    workload: Pods | None = None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def port(self, name: str, protocol: str) -> int | None:
        """Return the number of a named port, or None if no container declares it."""
        if self.host_network:
            return None
        return next((port.number for port in self.ports if (port.name, port.protocol) == (name, protocol)), None)

    @property
    def numbers(self) -> frozenset[Port]:
        """The numbers of the ports that their containers declare."""
        return frozenset((port.protocol, port.number) for port in self.ports)


@dataclass(frozen=True, eq=False)
class Outside:
    """Something that is not a pod: the internet, a host or an address of it, the Kubernetes API.

    Attributes:
        entity: What Cilium calls it, such as ``kube-apiserver``; empty if that is not known.
    """

    name: str
    area: Area
    entity: str = "world"

    def __str__(self) -> str:
        return self.name


End = Pod | Outside


def pod_of(pods: Pods) -> Pod:
    """Return the pods of a workload as the network sees them."""
    on_host = pods.spec.get("hostNetwork") is True
    return Pod(pods.namespace, pods.owner.name, pods.labels, pods.ports, on_host, workload=pods)


@dataclass(frozen=True, eq=False)
class Peer:
    """One entry of ``from`` or ``to``.

    Attributes:
        path: Its field in the spec of its policy, such as ``ingress[0].from[1]``.
        own_namespace: The namespace of its policy.
        namespaces: Selects namespaces; None for that of the policy.
        pods: Selects pods in them; None for all.
        block: The addresses that it matches; None if it matches pods.
        holes: Exceptions in the block.
        hosts: Patterns of the names of hosts that it matches, as a CiliumNetworkPolicy may have them; or
        entities: what Cilium calls the things that it matches.
    """

    path: str
    own_namespace: str
    namespaces: Selector | None
    pods: Selector | None
    block: Block | None = None
    holes: tuple[Block, ...] = ()
    hosts: tuple[str, ...] = ()
    entities: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: str, own_namespace: str, entry: Mapping[str, Any]) -> Peer | None:
        """Return a peer, or None if it matches nothing."""
        if entry.get("ipBlock") is not None:
            written = mapping(entry["ipBlock"])
            block = block_of(str(written.get("cidr")))
            found = (block_of(str(hole)) for hole in sequence(written.get("except")))
            holes = tuple(hole for hole in found if hole is not None)
            return cls(path, own_namespace, None, None, block, holes) if block else None
        namespaces, pods = (
            Selector(entry[key]) if entry.get(key) is not None else None for key in ("namespaceSelector", "podSelector")
        )
        return cls(path, own_namespace, namespaces, pods, None, ()) if namespaces or pods else None

    @property
    def is_outside(self) -> bool:
        """Whether it is not about pods with some labels."""
        return self.block is not None or bool(self.hosts or self.entities)

    @property
    def namespace(self) -> str | None:
        """The only namespace that it can match; None if it may match several."""
        return self.own_namespace if self.namespaces is None else self.namespaces.labels.get(NAME_LABEL)

    def matches(self, end: End, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
        """Tell whether it matches one end of a connection, given the labels of all namespaces."""
        if self.block is not None:
            return end.area.may_lie_in(self.block, self.holes)
        if self.entities:
            return not self.entities.isdisjoint(_entities(end))
        if isinstance(end, Outside):
            return end.entity == "world" and any(glob(host, end.name.lower(), ".") for host in self.hosts)
        if end.host_network or self.hosts:
            return False
        if self.namespaces is None:
            inside = end.namespace == self.own_namespace
        else:
            inside = self.namespaces.matches(namespaces.get(end.namespace, {NAME_LABEL: end.namespace}))
        return inside and (self.pods is None or self.pods.matches(end.labels))


def _entities(end: End) -> tuple[str, ...]:
    """Return what Cilium calls an end (https://docs.cilium.io/en/stable/security/policy/language/#entities-based)."""
    if isinstance(end, Outside):
        return ("all", end.entity)
    return ("all", "cluster", *(("host", "remote-node") if end.host_network else ()))


@dataclass(frozen=True)
class PortRange:
    """One entry of ``ports``.

    Attributes:
        first: Its first port, or its name; None for all ports of the protocol.
        last: Its last port; None if there is only one.
    """

    protocol: str
    first: int | str | None
    last: int | None = None

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> PortRange:
        """Read an entry."""
        port, last = entry.get("port"), entry.get("endPort")
        first = port if isinstance(port, int | str) else None
        return cls(str(entry.get("protocol") or "TCP"), first, last if isinstance(last, int) else None)

    def includes(self, port: Port, target: End) -> bool:
        """Tell whether it includes a port of a target. A named port is looked up in the containers of the target."""
        protocol, number = port
        if protocol != self.protocol:
            return False
        if isinstance(self.first, str):
            return isinstance(target, Pod) and target.port(self.first, protocol) == number
        return self.first is None or self.first <= number <= (self.last or self.first)

    def of(self, target: Pod) -> frozenset[Port]:
        """Return the ports of a target that it includes; its own port if the target declares none."""
        if not target.ports and isinstance(self.first, int) and self.last in (None, self.first):
            return frozenset({(self.protocol, self.first)})
        return frozenset(port for port in target.numbers if self.includes(port, target))

    def __str__(self) -> str:
        if self.first is None:
            return f"all ports of {self.protocol}"
        numbers = f"{self.first}" if self.last in (None, self.first) else f"{self.first}-{self.last}"
        return numbers if self.protocol == "TCP" else f"{numbers}/{self.protocol}"


@dataclass(frozen=True, eq=False)
class Rule:
    """One entry of ``ingress`` or ``egress``.

    Attributes:
        path: Its field in the spec of its policy, such as ``egress[2]``.
        peers: The peers that it permits; None for everybody.
        ports: The ports that it opens; None for all.
    """

    path: str
    peers: tuple[Peer, ...] | None
    ports: tuple[PortRange, ...] | None

    def opens(self, port: Port, target: End) -> bool:
        """Tell whether it opens a port of a target, whoever calls."""
        return self.ports is None or any(entry.includes(port, target) for entry in self.ports)


class _Index:
    """The rules of one policy in one direction, by the labels and namespaces of their peers."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        everybody = [(rule, None) for rule in rules if rule.peers is None]
        named = [(rule, peer) for rule in rules for peer in rule.peers or ()]
        self._anywhere: list[tuple[Rule, Peer | None]] = [
            *everybody,
            *(entry for entry in named if entry[1].is_outside),
        ]
        self._by_place = grouped(
            ((peer.namespace, peer.pods.pair if peer.pods else None), (rule, peer))
            for rule, peer in named
            if not peer.is_outside
        )

    def candidates(self, end: End) -> Iterator[tuple[Rule, Peer | None]]:
        """Yield the rules that may permit something, each with the peer that may match it; None for everybody."""
        yield from self._anywhere
        if isinstance(end, Pod) and self._by_place:
            for pair in (None, *end.labels.items()):
                for namespace in (None, end.namespace):
                    yield from self._by_place.get((namespace, pair), ())


class Policy:
    """A NetworkPolicy, or a CiliumNetworkPolicy that says no more than one with names of hosts and entities could.

    Attributes:
        directions: In which it isolates the pods that it selects.
        rules: What it lets through, by direction.
    """

    def __init__(
        self, item: Object, selector: Selector, directions: Sequence[str], rules: Mapping[str, tuple[Rule, ...]]
    ) -> None:
        """Take in what was read."""
        self.item = item
        self.name, self.namespace = item.name, item.namespace
        self.selector = selector
        self.directions = directions
        self.rules = rules

    @classmethod
    def read(cls, item: Object) -> Policy:
        """Read a NetworkPolicy."""
        written = [str(entry) for entry in sequence(item.spec.get("policyTypes"))]
        directions = written or ["Ingress", *(["Egress"] if item.spec.get("egress") else [])]
        rules: Mapping[str, tuple[Rule, ...]] = {
            direction: tuple(_rules(item, direction.lower(), peers)) if direction in directions else ()
            for direction, peers in zip(DIRECTIONS, ("from", "to"), strict=True)
        }
        return cls(item, Selector(item.spec.get("podSelector") or {}), directions, rules)

    @property
    def peers(self) -> Iterator[Peer]:
        """The peers of all its rules."""
        return (peer for rules in self.rules.values() for rule in rules for peer in rule.peers or ())

    @cached_property
    def index(self) -> Mapping[str, _Index]:
        """Its rules by direction, indexed by their peers."""
        return {direction: _Index(rules) for direction, rules in self.rules.items()}

    def permits(
        self, direction: Direction, peer: End, namespaces: Mapping[str, Mapping[str, str]]
    ) -> Iterator[tuple[Rule, Peer | None]]:
        """Yield the rules that permit a peer, each with the entry that matches it; None if the rule has no entries."""
        for rule, candidate in self.index[direction].candidates(peer):
            if candidate is None or candidate.matches(peer, namespaces):
                yield rule, candidate


def _rules(item: Object, key: str, peers: str) -> Iterator[Rule]:
    for number, rule in enumerate(mappings(item.spec.get(key))):
        path, entries = f"{key}[{number}]", mappings(rule.get(peers))
        read = (Peer.read(f"{path}.{peers}[{place}]", item.namespace, entry) for place, entry in enumerate(entries))
        ports = tuple(map(PortRange.read, mappings(rule.get("ports"))))
        yield Rule(path, tuple(peer for peer in read if peer) if entries else None, ports or None)


@dataclass(frozen=True)
class Side:
    """What the policies of one end of a connection say to it.

    Attributes:
        direction: ``Egress`` for the end that calls, ``Ingress`` for the one that is called.
        policies: The policies that isolate it in this direction. Without any, it is open.
        rules: The rules that let the connection through, with their policies and the entries that match.
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
    """A call of one end to a port of another: what the policies of the caller say, and those of the other end."""

    egress: Side
    ingress: Side

    @property
    def allowed(self) -> bool:
        """Whether both ends let it through."""
        return self.egress.allows and self.ingress.allows

    @property
    def closed(self) -> list[Side]:
        """The ends that do not let it through."""
        return [side for side in (self.egress, self.ingress) if not side.allows]


class Network:
    """The pods of a cluster, and what its policies let them call."""

    def __init__(
        self, policies: Iterable[Policy], namespaces: Mapping[str, Mapping[str, str]], pods: Iterable[Pod]
    ) -> None:
        """Index policies, and the pods of every workload. Among the labels of namespaces is the one with their name."""
        self.policies = list(policies)
        self.namespaces = namespaces
        self.pods = list(pods)
        self._policies_by_pair = grouped(((policy.namespace, policy.selector.pair), policy) for policy in self.policies)
        self._pods_by_label = LabelIndex(self.pods)
        self._isolating: dict[tuple[Pod, Direction], tuple[Policy, ...]] = {}
        #: Several proofs ask for the same call, of both of its ends.
        self._connections: dict[tuple[End, End, Port], Connection] = {}

    def selecting(self, namespace: str, selector: Selector) -> list[Pod]:
        """Return the pods of a namespace that a selector matches."""
        return self._pods_by_label.select(namespace, selector)

    def selected(self, policy: Policy) -> list[Pod]:
        """Return the pods to which a policy applies."""
        return [pod for pod in self.selecting(policy.namespace, policy.selector) if not pod.host_network]

    def matching(self, peer: Peer) -> Iterator[Pod]:
        """Yield the pods that a peer matches by its selectors."""
        if peer.is_outside:
            return
        every = Selector({})
        wanted = peer.namespaces or every
        for namespace in self.namespaces if peer.namespace is None else (peer.namespace,):
            if peer.namespace is not None or wanted.matches(self.namespaces[namespace]):
                for pod in self.selecting(namespace, peer.pods or every):
                    if peer.matches(pod, self.namespaces):
                        yield pod

    def isolating(self, pod: Pod, direction: Direction) -> tuple[Policy, ...]:
        """Return the policies that isolate a pod in a direction."""
        if pod.host_network:
            return ()
        key = pod, direction
        if key not in self._isolating:
            self._isolating[key] = tuple(
                policy
                for pair in (None, *pod.labels.items())
                for policy in self._policies_by_pair.get((pod.namespace, pair), ())
                if direction in policy.directions and policy.selector.matches(pod.labels)
            )
        return self._isolating[key]

    def side(self, direction: Direction, end: End, peer: End, port: Port) -> Side:
        """Return what the policies of an end say to a connection in which it calls (``Egress``) or is called."""
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
        """Return what the policies of both ends say to a call."""
        key = source, target, port
        if key not in self._connections:
            sides = self.side("Egress", source, target, port), self.side("Ingress", target, source, port)
            self._connections[key] = Connection(*sides)
        return self._connections[key]

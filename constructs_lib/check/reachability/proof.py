"""Whether the network lets through what is called, and nothing that nobody calls.

What is called is read from the tree (:mod:`constructs_lib.check.traffic`), what gets through from its NetworkPolicies
(:mod:`constructs_lib.check.network`). Both sides of a connection have to agree, and what the platform needs counts as
called: DNS, the Kubernetes API, Prometheus, the world at a public port. The probes of the kubelet come from the pod's
own node, from which traffic is always allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.network import (
    ANYWHERE,
    DIRECTIONS,
    INTERNET,
    PRIVATE,
    Connection,
    Direction,
    End,
    Outside,
    Peer,
    Pod,
    Policy,
    Port,
    PortRange,
    Rule,
    Side,
    port_text,
)
from constructs_lib.check.traffic import API, API_PORTS, DNS, DNS_PORTS, Offer, Traffic, workload
from constructs_lib.text import listed, plural

_POLICIES = "https://kubernetes.io/docs/concepts/services-networking/network-policies/"
_TWO_SORTS = f"{_POLICIES}#the-two-sorts-of-pod-isolation"
_TARGETING = f"{_POLICIES}#behavior-of-to-and-from-selectors"


#: No more pods than these that nobody calls are tried out for one entry of a rule; the first of them tells enough.
_MOST_TRIED = 32


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield what is blocked that should not be, and what is open that need not be."""
    traffic = model.once(Traffic)
    network = traffic.network
    if network.policies:
        yield from _blocked_calls(traffic)
        yield from _blocked_peers(traffic)
        yield from _blocked_dns(traffic)
        yield from _blocked_offers(traffic)
        yield from _blocked_outside(traffic)
        for policy in network.policies:
            pods = [pod for pod in network.selected(policy) if pod.workload]
            if pods:
                for direction in DIRECTIONS:
                    for rule in policy.rules[direction]:
                        yield from _Judged(traffic, policy, pods, direction, rule).findings()
    yield from _unisolated(traffic)


def _told(traffic: Traffic, sides: Iterable[Side]) -> bool:
    """Tell whether the tree knows all that decides on closed sides.

    Where a chart deploys, policies of its own may open what those of the tree do not. Who writes policies for pods by
    name has taken that over.
    """
    return all(
        isinstance(side.end, Pod)
        and (
            side.end.namespace not in traffic.model.open_namespaces
            or any(not policy.selector.is_empty for policy in side.policies)
        )
        for side in sides
    )


def _blocked_calls(traffic: Traffic) -> Iterator[Finding]:
    peers = frozenset(traffic.peers)
    seen: set[tuple[Pod, Pod, tuple[Port, ...]]] = set()
    for call in traffic.calls:
        key = call.source, call.target, call.ports
        is_itself = call.source is call.target and (
            call.source in peers or traffic.scales.of(workload(call.source)).maximum < 2
        )
        if key in seen or is_itself:
            continue
        seen.add(key)
        connections = [traffic.network.connection(call.source, call.target, port) for port in call.ports]
        if any(connection.allowed for connection in connections):
            continue
        closed = connections[0].closed
        if _told(traffic, closed):
            port = call.ports[0]
            yield Finding.of(
                "call-blocked",
                workload(call.source).owner,
                f"{call.source} calls {call.address}, port {port_text(port)} of {call.target}; {_reasons(closed)}.",
                at=call.at,
                fix=_fix(traffic, connections[0], port),
            )


def _blocked_peers(traffic: Traffic) -> Iterator[Finding]:
    told = {call.source: call.ports for call in traffic.calls if call.source is call.target}
    for pod in traffic.peers:
        ports = sorted(traffic.peer_ports(pod) or told.get(pod, ()))
        if not ports or traffic.scales.of(workload(pod)).maximum < 2:
            continue
        connections = [traffic.network.connection(pod, pod, port) for port in ports]
        if not any(connection.allowed for connection in connections) and _told(traffic, connections[0].closed):
            yield Finding.of(
                "peers-blocked",
                workload(pod).owner,
                f"the pods of {pod} find each other and can call each other at none of the ports that they have for "
                f"that ({listed(map(port_text, ports))}); {_reasons(connections[0].closed)}.",
                at=f"{workload(pod).path}.containers",
                fix=_fix(traffic, connections[0], ports[0]),
            )


def _blocked_dns(traffic: Traffic) -> Iterator[Finding]:
    for pod, at in traffic.callers_by_name.items():
        sides = [traffic.network.side("Egress", pod, DNS, port) for port in DNS_PORTS]
        closed = [side for side in sides if not side.allows]
        if not closed or not _told(traffic, closed) or _has_other_dns(closed[0]):
            continue
        check, protocol = ("dns-blocked", "at all") if sides[0] in closed else ("dns-over-tcp-blocked", "over TCP")
        yield Finding.of(
            check,
            workload(pod).owner,
            f"{pod} calls names and cannot ask DNS {protocol}; {_reasons(closed[:1])}.",
            at=at,
        )


def _has_other_dns(side: Side) -> bool:
    """Tell whether a rule leads to a DNS that is not the usual one, or may do so by labels that nobody knows here."""
    return any(
        peer.namespace != DNS.namespace
        for policy in side.policies
        for rule in policy.rules["Egress"]
        if rule.opens(("UDP", 53), DNS) or rule.opens(("UDP", 5353), DNS)
        for peer in rule.peers or ()
    )


def _blocked_offers(traffic: Traffic) -> Iterator[Finding]:
    network = traffic.network
    world = Outside("the world", ANYWHERE)
    for offer in traffic.public:
        side = network.side("Ingress", offer.target, world, offer.port)
        if not side.allows and _told(traffic, [side]):
            yield Finding.of(
                "public-port-closed",
                offer.item,
                f"it opens port {port_text(offer.port)} of {offer.target} to the world; {_reasons([side])}.",
                at=offer.at,
            )
    for offer in traffic.scrapes:
        yield from _blocked_scrape(traffic, offer)


def _blocked_scrape(traffic: Traffic, offer: Offer) -> Iterator[Finding]:
    network = traffic.network
    connections = [network.connection(pod, offer.target, offer.port) for pod in traffic.prometheus]
    if any(connection.allowed for connection in connections):
        return
    if connections:
        closed = connections[0].closed
        who = str(connections[0].egress.end)
    else:
        # Prometheus is not of this tree: any rule that opens the port may be about it.
        policies = network.isolating(offer.target, "Ingress")
        rules = [rule for policy in policies for rule in policy.rules["Ingress"]]
        if not policies or any(rule.opens(offer.port, offer.target) for rule in rules):
            return
        closed = [Side("Ingress", offer.target, policies, ())]
        who = "Prometheus"
    if _told(traffic, closed):
        yield Finding.of(
            "metrics-blocked",
            offer.item,
            f"{who} is to scrape port {port_text(offer.port)} of {offer.target}; {_reasons(closed)}.",
            at=offer.at,
        )


def _blocked_outside(traffic: Traffic) -> Iterator[Finding]:
    network = traffic.network
    for pod in traffic.api_users:
        sides = [network.side("Egress", pod, API, port) for port in API_PORTS]
        if not any(side.allows for side in sides) and _told(traffic, sides):
            yield Finding.of(
                "api-blocked",
                workload(pod).owner,
                f"{pod} has the token of a ServiceAccount with a role and cannot call the Kubernetes API; "
                f"{_reasons(sides[:1])}.",
                at=f"{workload(pod).path}.serviceAccountName",
            )
    for call in traffic.outside_calls:
        side = network.side("Egress", call.source, Outside(call.host, INTERNET), ("TCP", call.port))
        if not side.allows and _told(traffic, [side]):
            yield Finding.of(
                "internet-blocked",
                workload(call.source).owner,
                f"{call.source} is given the host {call.host}, port {call.port}; {_reasons([side])}.",
                at=call.at,
            )


def _unisolated(traffic: Traffic) -> Iterator[Finding]:
    network, model = traffic.network, traffic.model
    with_policies = {policy.namespace for policy in network.policies}
    for namespace, found in model.pods_by_namespace.items():
        if namespace not in with_policies and namespace not in model.open_namespaces:
            where = f"the namespace {namespace}" if namespace else "what names no namespace"
            yield Finding.of(
                "namespace-without-policies",
                model.get("Namespace", "", namespace),
                f"{where} has {plural(len(found), 'workload')} "
                f"({listed(sorted(pods.owner.name for pods in found))}) and no NetworkPolicy.",
            )
    closed = with_policies - model.open_namespaces
    for pod in traffic.pods:
        if pod.host_network or pod.namespace not in closed:
            continue
        if not any(network.isolating(pod, direction) for direction in DIRECTIONS):
            yield Finding.of(
                "pods-not-isolated",
                workload(pod).owner,
                f"the namespace {pod.namespace} has policies, and none of them is about {pod}.",
                at=f"{workload(pod).path.removesuffix('.spec')}.metadata.labels",
            )


@dataclass(frozen=True)
class _Judged:
    """One rule of a policy, to be looked at for what it opens."""

    traffic: Traffic
    policy: Policy
    pods: Sequence[Pod]
    direction: Direction
    rule: Rule

    def findings(self) -> Iterator[Finding]:
        if self.direction == "Ingress":
            yield from self._undeclared_ports(self.rule.path, self.pods)
        if self.rule.peers is None:
            if not self._may_be_wide():
                yield self._finding("open-to-everybody", self.rule.path, f"{self._whom} everybody at {self._ports}")
            return
        for peer in self.rule.peers:
            if peer.block is not None:
                if _covers_cluster(peer) and not self._may_be_wide():
                    problem = f"{self._whom} {peer.block}, the cluster's own addresses among them, at {self._ports}"
                    yield self._finding("ip-block-covers-cluster", peer.path, problem)
            elif _is_empty(peer):
                if not self._may_be_wide():
                    where = "every namespace" if peer.namespaces else f"the namespace {self.policy.namespace}"
                    problem = f"{self._whom} every pod of {where} at {self._ports}"
                    yield self._finding("empty-peer-selector", peer.path, problem)
            else:
                yield from self._named(peer)

    @property
    def _whom(self) -> str:
        who = listed([str(pod) for pod in self.pods])
        return f"{who} can be called by" if self.direction == "Ingress" else f"{who} may call"

    @property
    def _ports(self) -> str:
        if self.rule.ports is None:
            return "all ports"
        return f"port {listed([str(entry) for entry in self.rule.ports])}"

    def _finding(self, check: str, path: str, problem: str, fix: str = "") -> Finding:
        return Finding.of(check, self.policy.item, f"by {path}, {problem}.", at=f"spec.{path}", fix=fix)

    def _may_be_wide(self) -> bool:
        """Tell whether there is a reason to name nobody: DNS, the API server, callers that no tree holds."""
        if self.direction == "Egress":
            ports = {(entry.protocol, entry.first) for entry in self.rule.ports or ()}
            calls_api = not self.traffic.callers_of_api.isdisjoint(self.pods)
            return bool(ports) and (ports <= {*DNS_PORTS} or (ports <= {*API_PORTS} and calls_api))
        return all(
            unit & {port for port in unit if (pod, port) in self.traffic.called_from_anywhere}
            for pod in self.pods
            for unit in self._units(pod)
        )

    def _units(self, target: Pod) -> list[frozenset[Port]]:
        """Return what the rule opens of a target: sets of ports, of which one that is called justifies the set."""
        if self.rule.ports is None:
            return [frozenset({port}) for port in sorted(target.numbers)] or [frozenset({("TCP", 0)})]
        return [unit for entry in self.rule.ports if (unit := frozenset(_ports_of(entry, target)))]

    def _named(self, peer: Peer) -> Iterator[Finding]:
        others = (pod for pod in self.traffic.network.meant(peer) if pod.workload)
        few = list(islice(others, _MOST_TRIED + 1))
        if self.direction == "Egress":
            yield from self._undeclared_ports(peer.path, few)
        if len(few) * len(self.pods) <= _MOST_TRIED:
            one_sided = self._one_sided(peer, few)
            if one_sided:
                yield one_sided
                return
        yield from self._without_reason(peer)

    def _undeclared_ports(self, path: str, targets: Sequence[Pod]) -> Iterator[Finding]:
        if not targets or any(not pod.ports or pod.host_network for pod in targets):
            return
        known = frozenset(port for pod in targets for port in pod.numbers)
        for entry in self.rule.ports or ():
            if isinstance(entry.first, int) and not any(entry.includes(port, targets[0]) for port in known):
                yield self._finding(
                    "policy-port-undeclared",
                    path,
                    f"port {entry} is opened, which no container of {listed([str(pod) for pod in targets])} has",
                    fix=f"They have {listed(map(port_text, sorted(known)), 12)}.",
                )

    def _pair(self, pod: Pod, other: Pod) -> tuple[Pod, Pod]:
        return (other, pod) if self.direction == "Ingress" else (pod, other)

    def _one_sided(self, peer: Peer, others: Sequence[Pod]) -> Finding | None:
        """Return a finding if nothing that the rule opens for a peer gets through on the other side."""
        traffic = self.traffic
        closed: list[tuple[Pod, Pod, Port]] = []
        for source, target in (self._pair(pod, other) for pod in self.pods for other in others):
            for port in sorted(port for unit in self._units(target) for port in unit):
                if traffic.network.connection(source, target, port).allowed:
                    return None
                if port not in traffic.called.get((source, target), ()):
                    closed.append((source, target, port))
        if not closed:
            return None
        source, target, _ = closed[0]
        ports = sorted({port for own, other, port in closed if (own, other) == (source, target)})
        connection = traffic.network.connection(source, target, ports[0])
        if not _told(traffic, connection.closed):
            return None
        problem = (
            f"{source} may call {target} at port {listed(map(port_text, ports))}, but {_reasons(connection.closed)}"
        )
        return self._finding("one-sided-rule", peer.path, problem, _fix(traffic, connection, ports[0]))

    def _without_reason(self, peer: Peer) -> Iterator[Finding]:
        found: dict[Pod, set[Port]] = {}
        example: tuple[Pod, Pod] | None = None
        for source, target, port in islice(self._uncalled(peer), _MOST_TRIED):
            connection = self.traffic.network.connection(source, target, port)
            if connection.allowed and not self._is_told_by_ingress(connection):
                other = source if self.direction == "Ingress" else target
                found.setdefault(other, set()).add(port)
                example = example or (source, target)
        if example is None:
            return
        names = listed([str(pod) for pod in found])
        ports = listed([port_text(port) if port[1] else "any" for port in sorted(set().union(*found.values()))])
        whom = f"{names} can call {example[1]}" if self.direction == "Ingress" else f"{example[0]} can call {names}"
        problem = f"{whom} at port {ports}, and nothing in the tree tells them to"
        yield self._finding("traffic-without-reason", peer.path, problem)

    def _uncalled(self, peer: Peer) -> Iterator[tuple[Pod, Pod, Port]]:
        """Yield what the rule opens for a peer and nobody calls, one by one, so that nobody has to see all of it."""
        reasons, anywhere = self.traffic.reasons, self.traffic.called_from_anywhere
        for pod in self.pods:
            for other in self.traffic.network.meant(peer):
                if not other.workload:
                    continue
                source, target = self._pair(pod, other)
                known = reasons.get((source, target), frozenset())
                for unit in self._units(target):
                    called = known & unit or (known and ("TCP", 0) in unit)
                    if self.direction == "Ingress":
                        called = called or any((target, port) in anywhere for port in unit)
                    if not called:
                        yield source, target, min(unit)

    def _is_told_by_ingress(self, connection: Connection) -> bool:
        """Tell whether a rule for named pods on the other side is told already: one rule is enough to be told of."""
        return self.direction == "Egress" and any(
            by is not None and by.block is None for _, _, by in connection.ingress.rules
        )


def _ports_of(entry: PortRange, target: Pod) -> Iterator[Port]:
    """Yield the ports of a target that an entry includes; any, if its containers declare none."""
    for port in target.numbers:
        if entry.includes(port, target):
            yield port
    if not target.ports and isinstance(entry.first, int) and entry.last in (None, entry.first):
        yield entry.protocol, entry.first


def _is_empty(peer: Peer) -> bool:
    pods_are_all = peer.pods is None or peer.pods.is_empty
    return pods_are_all and (peer.namespaces is None or peer.namespaces.is_empty)


def _covers_cluster(peer: Peer) -> bool:
    """Tell whether a block holds all of a private range, and not only a part of it that somebody chose."""
    return peer.block is not None and any(
        one.version == peer.block.version
        and one.prefixlen >= peer.block.prefixlen
        and one.overlaps(peer.block)
        and not any(hole.version == one.version and hole.overlaps(one) for hole in peer.holes)
        for one in PRIVATE
    )


def _reasons(closed: Sequence[Side]) -> str:
    """Return which sides are closed, with the policies that decide."""
    return " and ".join(
        f"the {side.direction.lower()} of {side.end} is closed to that by "
        f"{listed(dict.fromkeys(policy.name for policy in side.policies), 6)}"
        for side in closed
    )


def _fix(traffic: Traffic, connection: Connection, port: Port) -> str:
    """Return what would open a connection."""
    parts = []
    for side in connection.closed:
        peer: End = connection.ingress.end if side.direction == "Egress" else connection.egress.end
        near = next(
            (
                f"{policy.name} is about these pods in {rule.path} and not about port {port_text(port)}, which is the "
                f"one that the containers have"
                for policy in side.policies
                for rule, by in policy.permits(side.direction, peer, traffic.network.namespaces)
                if by is not None
            ),
            None,
        )
        own = next((policy.name for policy in side.policies if not policy.selector.is_empty), None)
        words = ("egress", "to") if side.direction == "Egress" else ("ingress", "from")
        model = own or f"for {_described(side.end)}"
        rule = f"{model} needs an {words[0]} rule {words[1]} {_described(peer)}, port {port_text(port)}"
        parts.append(f"NetworkPolicy {near or rule}")
    return f"{'; '.join(parts)}."


def _described(end: End) -> str:
    if isinstance(end, Outside):
        return str(end)
    labels = ", ".join(f"{key}={value}" for key, value in end.labels.items() if key == "app.kubernetes.io/name")
    labels = labels or ", ".join(f"{key}={value}" for key, value in islice(end.labels.items(), 2))
    return f"pods {labels} in the namespace {end.namespace}"


PROOF = Proof(
    "reachability",
    "The network lets through what is called, and nothing that nobody calls.",
    prove,
)

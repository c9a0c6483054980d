"""What the rules of NetworkPolicies open without a reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from constructs_lib.check.areas import PRIVATE
from constructs_lib.check.finding import Finding
from constructs_lib.check.network import DIRECTIONS, Connection, Direction, Peer, Pod, Policy, Port, Rule, port_text
from constructs_lib.check.reachability.explanation import fix, is_certain, port_list, reasons
from constructs_lib.check.traffic import API_PORTS, DNS_PORTS, Traffic
from constructs_lib.text import listed

#: The most connections that are tried for one peer of a rule: the first ones are enough for a finding.
_MOST_TRIED = 32
#: Stands for all ports of pods that declare none.
_ANY_PORT: Port = ("TCP", 0)


def prove_rules(traffic: Traffic) -> Iterator[Finding]:
    """Yield the rules that open more than what is called."""
    for policy in traffic.network.policies:
        pods = [pod for pod in traffic.network.selected(policy) if traffic.knows_reasons(pod)]
        for direction in DIRECTIONS if pods else ():
            for rule in policy.rules[direction]:
                yield from _Opened(traffic, policy, pods, direction, rule).findings()


@dataclass(frozen=True)
class _Opened:
    """What one rule of a policy opens for the pods of the tree that the policy selects."""

    traffic: Traffic
    policy: Policy
    pods: Sequence[Pod]
    direction: Direction
    rule: Rule

    def findings(self) -> Iterator[Finding]:
        if self.direction == "Ingress":
            yield from self._undeclared_ports(self.rule.path, self.pods)
        if self.rule.peers is None:
            yield from self._wide("open-to-everybody", self.rule.path, "everybody")
            return
        for peer in self.rule.peers:
            if peer.block is not None:
                if _covers_cluster(peer):
                    whom = f"{peer.block}, the cluster's own addresses among them,"
                    yield from self._wide("ip-block-covers-cluster", peer.path, whom)
            elif peer.is_outside:
                if not peer.entities.isdisjoint(("all", "cluster")):
                    yield from self._wide("open-to-everybody", peer.path, "everything in the cluster")
            elif _is_empty(peer):
                own = f"the namespace {self.policy.namespace}" if self.policy.namespace else "its own namespace"
                where = "every namespace" if peer.namespaces else own
                yield from self._wide("empty-peer-selector", peer.path, f"every pod of {where}")
            else:
                yield from self._named(peer)

    def _wide(self, code: str, path: str, whom: str) -> Iterator[Finding]:
        """Yield a finding about a rule that names no pods, unless there is a reason for it."""
        if not self._may_be_wide():
            verb = "can be called by" if self.direction == "Ingress" else "may call"
            ports = "all ports" if self.rule.ports is None else f"port {listed(map(str, self.rule.ports))}"
            yield self._finding(code, path, f"{listed(dict.fromkeys(map(str, self.pods)))} {verb} {whom} at {ports}")

    def _finding(self, code: str, path: str, problem: str, how: str = "") -> Finding:
        return Finding.of(code, self.policy.item, f"by {path}, {problem}.", at=f"spec.{path}", fix=how)

    def _may_be_wide(self) -> bool:
        """Tell whether it may name no pods: for DNS, for the API server, and for callers that are in no tree."""
        if self.direction == "Egress":
            ports = {(entry.protocol, entry.first) for entry in self.rule.ports or ()}
            calls_api = not self.traffic.api_users.isdisjoint(self.pods)
            return bool(ports) and (ports <= {*DNS_PORTS} or (ports <= {*API_PORTS} and calls_api))
        return all(
            any((pod, port) in self.traffic.called_from_anywhere for port in unit)
            for pod in self.pods
            for unit in self._units(pod)
        )

    def _units(self, target: Pod) -> list[frozenset[Port]]:
        """Return the ports that the rule opens, by its entries: one port that is called justifies an entry."""
        if self.rule.ports is None:
            return [frozenset({port}) for port in sorted(target.numbers)] or [frozenset({_ANY_PORT})]
        return [unit for entry in self.rule.ports if (unit := entry.of(target))]

    def _named(self, peer: Peer) -> Iterator[Finding]:
        few = list(islice(self._others(peer), _MOST_TRIED + 1))
        if self.direction == "Egress":
            yield from self._undeclared_ports(peer.path, few)
        one_sided = self._one_sided(peer, few) if len(few) * len(self.pods) <= _MOST_TRIED else None
        if one_sided:
            yield one_sided
        else:
            yield from self._without_reason(peer)

    def _others(self, peer: Peer) -> Iterator[Pod]:
        """Yield the pods of the tree that a peer matches."""
        return (pod for pod in self.traffic.network.matching(peer) if self.traffic.knows_reasons(pod))

    def _undeclared_ports(self, path: str, targets: Sequence[Pod]) -> Iterator[Finding]:
        if not targets or any(not pod.ports or pod.host_network for pod in targets):
            return
        known = frozenset(port for pod in targets for port in pod.numbers)
        for entry in self.rule.ports or ():
            if isinstance(entry.first, int) and not any(entry.includes(port, targets[0]) for port in known):
                problem = f"port {entry} is opened, which no container of {listed(map(str, targets))} has"
                they_have = f"They have {port_list(sorted(known), 12)}."
                yield self._finding("policy-port-undeclared", path, problem, they_have)

    def _pair(self, pod: Pod, other: Pod) -> tuple[Pod, Pod]:
        """Return who calls, and who is called."""
        return (other, pod) if self.direction == "Ingress" else (pod, other)

    def _one_sided(self, peer: Peer, others: Sequence[Pod]) -> Finding | None:
        """Return a finding if the other side closes everything that the rule opens for a peer."""
        traffic = self.traffic
        closed: list[tuple[Pod, Pod, Port]] = []
        for source, target in (self._pair(pod, other) for pod in self.pods for other in others):
            called = traffic.called.get((source, target), frozenset())
            for port in sorted(port for unit in self._units(target) for port in unit):
                if traffic.network.connection(source, target, port).allowed:
                    return None
                # A rule for all ports is for the calls that there are, which are judged by themselves.
                if port not in called and not (called and self.rule.ports is None):
                    closed.append((source, target, port))
        if not closed:
            return None
        source, target, _ = closed[0]
        ports = sorted({port for own, other, port in closed if (own, other) == (source, target)})
        connection = traffic.network.connection(source, target, ports[0])
        if not is_certain(traffic, connection.closed):
            return None
        problem = f"{source} may call {target} at port {port_list(ports)}, but {reasons(connection.closed)}"
        return self._finding("one-sided-rule", peer.path, problem, fix(traffic, connection, ports[0]))

    def _without_reason(self, peer: Peer) -> Iterator[Finding]:
        found = [
            (source, target, port)
            for source, target, port in islice(self._uncalled(peer), _MOST_TRIED)
            if (connection := self.traffic.network.connection(source, target, port)).allowed
            and not self._is_found_by_ingress(connection)
        ]
        if not found:
            return
        source, target, _ = found[0]
        names = listed(dict.fromkeys(str(one if self.direction == "Ingress" else other) for one, other, _ in found))
        every = sorted({port for _, _, port in found})
        ports = listed("any" if port == _ANY_PORT else port_text(port) for port in every)
        whom = f"{names} can call {target}" if self.direction == "Ingress" else f"{source} can call {names}"
        problem = f"{whom} at port {ports}, and nothing in the tree tells them to"
        yield self._finding("traffic-without-reason", peer.path, problem)

    def _uncalled(self, peer: Peer) -> Iterator[tuple[Pod, Pod, Port]]:
        """Yield the connections that the rule opens for a peer and that there is no reason for, one by one."""
        reasons_to_call, anywhere = self.traffic.reasons, self.traffic.called_from_anywhere
        for pod in self.pods:
            for other in self._others(peer):
                source, target = self._pair(pod, other)
                known = reasons_to_call.get((source, target), frozenset())
                for unit in self._units(target):
                    called = known & unit or (known and _ANY_PORT in unit)
                    if self.direction == "Ingress":
                        called = called or any((target, port) in anywhere for port in unit)
                    if not called:
                        yield source, target, min(unit)

    def _is_found_by_ingress(self, connection: Connection) -> bool:
        """Tell whether there is a finding about an ingress rule that opens the same connection for named pods."""
        named = (by is not None and not by.is_outside for _, _, by in connection.ingress.rules)
        return self.direction == "Egress" and any(named)


def _is_empty(peer: Peer) -> bool:
    return all(selector is None or selector.is_empty for selector in (peer.pods, peer.namespaces))


def _covers_cluster(peer: Peer) -> bool:
    """Tell whether a block holds all of a private range; a part of one was most likely chosen on purpose."""
    return peer.block is not None and any(
        one.version == peer.block.version
        and one.prefixlen >= peer.block.prefixlen
        and one.overlaps(peer.block)
        and not any(hole.version == one.version and hole.overlaps(one) for hole in peer.holes)
        for one in PRIVATE
    )

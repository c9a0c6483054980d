"""What NetworkPolicies let in and out, pod by pod.

They add up: what one opens is open, and pods that none selects are open to all.
https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import product
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence, texts
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.platform import DNS_PORT, NAME_LABEL
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import Pods, pods_of
from constructs_lib.plan.change import Reason, named
from constructs_lib.plan.rights.tree import Case, State, widens
from constructs_lib.text import listed

_DIRECTIONS = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}
#: A requirement of a selector: the key, the operator, and the values.
_Requirement = tuple[str, str, tuple[str, ...]]
_Requirements = frozenset[_Requirement]
#: Addresses that do not lead out of a private network.
_PRIVATE = [
    ip_network(block)
    for block in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
] + [ip_network("fc00::/7"), ip_network("fe80::/10")]


@dataclass(frozen=True)
class _Peer:
    """Whom a rule is about: addresses, pods by their labels and those of their namespaces, or everybody."""

    block: str = ""
    but: tuple[str, ...] = ()
    namespaces: _Requirements | None = None
    pods: _Requirements = frozenset()

    @property
    def is_everybody(self) -> bool:
        return not self.block and self.namespaces is None

    @property
    def is_outside(self) -> bool:
        """Whether it takes in addresses outside of the cluster and of private networks."""
        network = _network(self.block) if self.block else None
        return self.is_everybody or (network is not None and not any(_within(network, each) for each in _PRIVATE))

    def is_in(self, namespace: str) -> bool:
        """Whether it is in one namespace alone."""
        return (NAME_LABEL, "In", (namespace,)) in (self.namespaces or ())

    def covers(self, other: _Peer) -> bool:
        if self.is_everybody or self == other:
            return True
        if self.block or other.block or other.namespaces is None or self.namespaces is None:
            return bool(self.block and other.block) and _contains(self, other)
        return _implies(other.namespaces, self.namespaces) and _implies(other.pods, self.pods)

    def __str__(self) -> str:
        if self.is_everybody:
            return "every address"
        if self.block:
            return self.block
        names = [*(_words(self.namespaces or frozenset()))]
        where = f" of namespaces with {', '.join(names)}" if names else " of all namespaces"
        name = [values[0] for key, sign, values in self.namespaces or () if key == NAME_LABEL and sign == "In"]
        where = f" in {name[0]}" if len(names) == 1 and name else where
        pods = ", ".join(_words(self.pods))
        return f"{pods or 'all pods'}{where}"


@dataclass(frozen=True)
class _Port:
    """Ports of a protocol: a name, or numbers from the first to the last; all if there is no protocol."""

    protocol: str = ""
    name: str = ""
    first: int = 0
    last: int = 65535

    def covers(self, other: _Port) -> bool:
        if not self.protocol or self == other:
            return True
        same = self.protocol == other.protocol and self.name == other.name
        return same and self.first <= other.first and other.last <= self.last

    def __str__(self) -> str:
        if not self.protocol:
            return "all ports"
        numbers = str(self.first) if self.first == self.last else f"{self.first}–{self.last}"
        return f"{self.protocol} {self.name or numbers}"


#: What a rule opens: a peer at a port.
_Opened = tuple[_Peer, _Port]


def _words(requirements: _Requirements) -> Iterator[str]:
    for key, operator, values in sorted(requirements):
        sign = {"In": "=", "NotIn": "≠"}.get(operator)
        yield f"{key}{sign}{'|'.join(values)}" if sign else f"{operator} {key}"


def _implies(narrow: _Requirements, wide: _Requirements) -> bool:
    return all(any(_is_within(own, each) for own in narrow) for each in wide)


def _is_within(narrow: _Requirement, wide: _Requirement) -> bool:
    (key, operator, values), (other, sign, known) = narrow, wide
    if key != other:
        return False
    if sign == "Exists":
        return operator in ("Exists", "In")
    if sign == "NotIn":
        return (
            operator == "DoesNotExist"
            or (operator == "In" and not {*values} & {*known})
            or (operator == "NotIn" and {*values} >= {*known})
        )
    return operator == sign and {*values} <= {*known}


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _within(inside: IPv4Network | IPv6Network | None, outside: IPv4Network | IPv6Network | None) -> bool:
    if inside is None or outside is None or inside.version != outside.version:
        return False
    return inside.prefixlen >= outside.prefixlen and inside.network_address in outside


def _contains(wide: _Peer, narrow: _Peer) -> bool:
    block = _network(narrow.block)
    if not _within(block, _network(wide.block)):
        return False
    for each in map(_network, wide.but):
        overlaps = each and block and each.version == block.version and each.overlaps(block)
        if overlaps and not any(_within(each, _network(own)) for own in narrow.but):
            return False
    return True


def _requirements(selector: object, *more: _Requirement) -> Iterator[_Requirements]:
    """Yield the requirements of a selector, one set for each of the values that it takes."""
    labels = texts(mapping(selector).get("matchLabels"))
    single = [(key, "In", (value,)) for key, value in labels.items()] + [*more]
    several: list[list[_Requirement]] = []
    for each in mappings(mapping(selector).get("matchExpressions")):
        key, operator = str(each.get("key")), str(each.get("operator"))
        values = tuple(sorted(map(str, sequence(each.get("values")))))
        several.append(
            [(key, operator, (value,)) for value in values] if operator == "In" else [(key, operator, values)]
        )
    for chosen in product(*several):
        yield frozenset([*single, *chosen])


def _peers(rule: Mapping[str, Any], field: str, namespace: str) -> Iterator[_Peer]:
    entries = mappings(rule.get(field))
    if not entries:
        yield _Peer()
    for entry in entries:
        if block := mapping(entry.get("ipBlock")):
            yield _Peer(str(block.get("cidr")), tuple(sorted(map(str, sequence(block.get("except"))))))
            continue
        of_namespaces = entry.get("namespaceSelector")
        own = [frozenset({(NAME_LABEL, "In", (namespace,))})] if of_namespaces is None else _requirements(of_namespaces)
        pods = [*_requirements(entry.get("podSelector"))]
        yield from (_Peer(namespaces=each, pods=labels) for each in own for labels in pods)


def _ports(rule: Mapping[str, Any], names: Mapping[tuple[str, str], Sequence[int]]) -> Iterator[_Port]:
    entries = mappings(rule.get("ports"))
    if not entries:
        yield _Port()
    for entry in entries:
        protocol, port = str(entry.get("protocol") or "TCP"), entry.get("port")
        if port is None:
            yield _Port(protocol)
        elif isinstance(port, int):
            last = entry.get("endPort")
            yield _Port(protocol, "", port, last if isinstance(last, int) else port)
        elif numbers := names.get((protocol, str(port))):
            yield from (_Port(protocol, "", number, number) for number in numbers)
        else:
            yield _Port(protocol, str(port), 0, 0)


@dataclass(frozen=True, eq=False)
class _Policy:
    item: Object
    selector: Selector
    directions: Sequence[str]

    def opened(self, direction: str, names: Mapping[tuple[str, str], Sequence[int]]) -> Iterator[_Opened]:
        rules, peers = _DIRECTIONS[direction]
        for rule in mappings(self.item.spec.get(rules)):
            yield from product(_peers(rule, peers, self.item.namespace), [*_ports(rule, names)])


def _policies(state: State) -> dict[str, list[_Policy]]:
    found: dict[str, list[_Policy]] = defaultdict(list)
    for item in state.of("NetworkPolicy"):
        if item.group == "networking.k8s.io":
            implied = ["Ingress", "Egress"] if inner(item.spec, "egress") else ["Ingress"]
            directions = [str(each) for each in sequence(item.spec.get("policyTypes"))] or implied
            selector = Selector(dict(mapping(item.spec.get("podSelector"))))
            found[item.namespace].append(_Policy(item, selector, [each for each in directions if each in _DIRECTIONS]))
    return found


@dataclass(frozen=True)
class _Pod:
    """Pods in both trees: the labels that they had and have, and the workload, if one is known."""

    name: str
    old: Mapping[str, str]
    new: Mapping[str, str]
    workload: Identity | None = None
    is_new: bool = False
    names: Mapping[tuple[str, str], Sequence[int]] = field(default_factory=dict)


def _named_ports(pods: Pods[Object] | None) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for port in pods.ports if pods else ():
        if port.name:
            found[port.protocol, port.name].append(port.number)
    return found


def network_widening(cases: Mapping[Identity, Case], before: State, after: State) -> Iterator[tuple[Identity, Reason]]:
    """Yield what pods may reach, or who may reach them, and could not before, by the object that brings it."""
    yield from _let_in_by_labels(cases, before, after)
    changed = {case.item.namespace for case in cases.values() if case.item.kind == "NetworkPolicy"}
    changed |= {case.item.namespace for case in cases.values() if _labels(case.old) != _labels(case.new)}
    if not changed:
        return
    olds, news = _policies(before), _policies(after)
    for namespace in sorted(changed):
        if namespace in before.namespaces or namespace not in after.created_namespaces:
            opened = _Opening(cases, olds.get(namespace, []), news.get(namespace, []))
            yield from opened.reasons(_pods_in(namespace, before, after, olds, news))
        else:
            yield from _ways_out(cases, news.get(namespace, []))


def _let_in_by_labels(cases: Mapping[Identity, Case], before: State, after: State) -> Iterator[tuple[Identity, Reason]]:
    """Yield the Namespaces and pods that get labels by which policies that stay as they are know a peer."""
    olds, news = ({item.name: item.labels for item in state.of("Namespace")} for state in (before, after))
    for identity, case in cases.items():
        was, becomes = ({}, {}) if case.new is None else (_labels(case.old), _labels(case.new))
        if case.item.full_kind == "Namespace" and case.new:
            was, becomes = olds.get(case.item.name, {}), case.new.labels
        if not becomes or was is None or becomes == was:
            continue
        name = case.item.name if case.item.full_kind == "Namespace" else case.item.namespace
        places = [{**labels.get(name, {}), NAME_LABEL: name} for labels in (olds, news)]
        pods = None if case.item.full_kind == "Namespace" else (was, becomes)
        policies = [
            named(item)
            for item in after.of("NetworkPolicy")
            if item.identity not in cases
            and any(_knows(peer, item.namespace, places, name, pods) for peer in _written_peers(item))
        ]
        if policies:
            yield identity, widens("labels-let-in", policies=listed(policies))


def _written_peers(item: Object) -> Iterator[Mapping[str, Any]]:
    for rules, peers in _DIRECTIONS.values():
        for rule in mappings(item.spec.get(rules)):
            yield from (peer for peer in mappings(rule.get(peers)) if "ipBlock" not in peer)


def _knows(
    peer: Mapping[str, Any],
    own: str,
    places: Sequence[Mapping[str, str]],
    name: str,
    pods: tuple[Mapping[str, str], Mapping[str, str]] | None,
) -> bool:
    """Tell whether a peer is a Namespace, or are its pods, by the labels that come, and was not by those before."""
    spaces = Selector(dict(mapping(peer["namespaceSelector"]))) if peer.get("namespaceSelector") is not None else None
    before, after = ((own == name if spaces is None else spaces.matches(labels)) for labels in places)
    if pods is None:
        return after and not before
    selector = Selector(dict(mapping(peer.get("podSelector"))))
    return after and selector.matches(pods[1]) and not selector.matches(pods[0])


def _labels(item: Object | None) -> Mapping[str, str] | None:
    pods = pods_of(item) if item else None
    return pods.labels if pods else None


def _ways_out(cases: Mapping[Identity, Case], policies: Sequence[_Policy]) -> Iterator[tuple[Identity, Reason]]:
    """Yield the ways to addresses outside of the cluster of a component that is new."""
    for policy in policies:
        if policy.item.identity in cases and "Egress" in policy.directions:
            found = [
                f"{peer} at {port}"
                for peer, port in policy.opened("Egress", {})
                if peer.is_outside and not port.first == port.last == DNS_PORT
            ]
            if found:
                yield policy.item.identity, widens("way-out", peers=listed(found))


def _pods_in(
    namespace: str,
    before: State,
    after: State,
    olds: Mapping[str, Sequence[_Policy]],
    news: Mapping[str, Sequence[_Policy]],
) -> Iterator[_Pod]:
    """Yield the pods of a namespace afterwards, and those that policies are for and that no manifest makes."""
    known = []
    for identity, pods in after.pods.items():
        if pods.namespace == namespace:
            old = before.pods.get(identity)
            known.append((old.labels if old else pods.labels, pods.labels))
            yield _Pod(f"{identity[1]}/{identity[3]}", *known[-1], identity, old is None, _named_ports(pods))
    gone = [pods.labels for identity, pods in before.pods.items() if pods.namespace == namespace]
    if not known and gone:
        return
    every = [labels for pair in known for labels in pair] + gone
    seen = set()
    for policy in (*olds.get(namespace, ()), *news.get(namespace, ())):
        labels = _example(policy)
        if labels is not None and str(labels) not in seen:
            seen.add(str(labels))
            if policy.selector.is_empty or not any(policy.selector.matches(each) for each in every):
                yield _Pod(f"pods with {policy.selector}" if labels else "other pods", labels, labels)


def _example(policy: _Policy) -> dict[str, str] | None:
    """Return labels that a policy selects."""
    labels = dict(policy.selector.labels)
    for each in mappings(inner(policy.item.spec, "podSelector", "matchExpressions")):
        values = [str(value) for value in sequence(each.get("values"))]
        if each.get("operator") in ("In", "Exists"):
            labels.setdefault(str(each.get("key")), values[0] if values else "x")
    return labels if policy.selector.matches(labels) else None


class _Opening:
    """Compares what the policies of a namespace let through."""

    def __init__(self, cases: Mapping[Identity, Case], old: Sequence[_Policy], new: Sequence[_Policy]) -> None:
        self._cases, self._old, self._new = cases, old, new
        #: What is opened, by the object that brings it and the direction: whom it is for, and what.
        self._found: dict[tuple[Identity, str], dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))

    def reasons(self, pods: Iterable[_Pod]) -> Iterator[tuple[Identity, Reason]]:
        for pod in pods:
            for direction in _DIRECTIONS:
                self._compare(pod, direction)
        for (identity, direction), found in self._found.items():
            what = dict.fromkeys(text for texts in found.values() for text in texts)
            name = "policy-lets-in" if direction == "Ingress" else "policy-lets-out"
            yield identity, widens(name, pods=listed(found), peers=listed(what))

    def _compare(self, pod: _Pod, direction: str) -> None:
        old = [policy for policy in self._old if direction in policy.directions and policy.selector.matches(pod.old)]
        new = [policy for policy in self._new if direction in policy.directions and policy.selector.matches(pod.new)]
        if not old:
            return
        names = pod.names if direction == "Ingress" and pod.names else {}
        known = {opened for policy in old for opened in policy.opened(direction, names)}
        if not new:
            if not any(peer.is_everybody and not port.protocol for peer, port in known):
                self._blame(pod, direction, [policy.item.identity for policy in old], "everything: no policy is left")
            return
        for policy in new:
            for opened in policy.opened(direction, names):
                peer, port = opened
                # What new pods and others of their namespace have to do with each other is told of the others.
                is_near = pod.is_new and peer.is_in(policy.item.namespace)
                if opened not in known and not is_near and not any(_covers(each, opened) for each in known):
                    self._blame(pod, direction, [policy.item.identity], f"{peer} at {port}")

    def _blame(self, pod: _Pod, direction: str, policies: Sequence[Identity], what: str) -> None:
        changed = [identity for identity in policies if identity in self._cases]
        if not changed and pod.workload and pod.workload in self._cases:
            changed = [pod.workload]
        for identity in changed:
            self._found[identity, direction][pod.name][what] = None


def _covers(wide: _Opened, narrow: _Opened) -> bool:
    return wide[0].covers(narrow[0]) and wide[1].covers(narrow[1])

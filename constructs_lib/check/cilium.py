"""Policies of other kinds than NetworkPolicy: what is read of them, and which are not.

Of a CiliumNetworkPolicy is read what lets something through: to or from pods by their labels, addresses, hosts by their
names, and entities such as the API server (https://docs.cilium.io/en/stable/security/policy/language/). One that has
anything else in it is not read at all, and neither are other kinds: what they open or close is not known.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.areas import block_of
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.network import DIRECTIONS, Peer, Policy, PortRange, Rule
from constructs_lib.kubernetes.manifest import entries, mapping, mappings, sequence, texts
from constructs_lib.kubernetes.platform import NAME_LABEL
from constructs_lib.kubernetes.selectors import Selector

#: The kinds of policies for the network of pods, by their groups, as far as they are known.
_GROUPS = frozenset({"cilium.io", "crd.projectcalico.org", "policy.networking.k8s.io", "projectcalico.org"})
_KIND = "NetworkPolicy"
#: How Cilium writes the namespace of pods, and the sources of labels.
_NAMESPACE = "io.kubernetes.pod.namespace"
_SOURCES = ("k8s:", "any:", "k8s.", "any.")
_INGRESS_PEERS = ("Endpoints", "Entities", "CIDR", "CIDRSet")
_PEERS = {"Ingress": _INGRESS_PEERS, "Egress": (*_INGRESS_PEERS, "FQDNs")}
_SIDES = {"Ingress": "from", "Egress": "to"}


class _NotReadError(Exception):
    """A policy has something that is not read."""


def policies(model: ClusterModel) -> list[Policy]:
    """Return the policies of a tree that are read."""
    every = (_read(item) for item in (*model.kind(_KIND), *model.kind("CiliumNetworkPolicy")))
    return [policy for policy in every if policy is not None]


def not_read(model: ClusterModel) -> list[Object]:
    """Return the policies of a tree that are not read."""
    return [
        item
        for kind, items in model.by_kind.items()
        for item in items
        if item.group in _GROUPS and kind.endswith("Policy") and _read(item) is None
    ]


def unknown_namespaces(model: ClusterModel) -> frozenset[str] | None:
    """Return the namespaces whose pods policies that are not read may be about; None if they may be about all pods."""
    found = not_read(model)
    named = {"CiliumNetworkPolicy", _KIND}
    return frozenset(item.namespace for item in found) if {item.kind for item in found} <= named else None


def _read(item: Object) -> Policy | None:
    if item.group == "networking.k8s.io":
        return Policy.read(item)
    try:
        return _read_cilium(item) if (item.group, item.kind) == ("cilium.io", "CiliumNetworkPolicy") else None
    except _NotReadError:
        return None


def _read_cilium(item: Object) -> Policy:
    spec = _with_only(item.spec, "endpointSelector", "description", "ingress", "egress")
    namespace, selector = _selector(spec.get("endpointSelector"))
    if "specs" in item.manifest or namespace not in (None, item.namespace):
        raise _NotReadError
    directions = [direction for direction in DIRECTIONS if direction.lower() in spec]
    rules: Mapping[str, tuple[Rule, ...]] = {
        direction: tuple(_rule(item.namespace, direction, at, rule) for at, rule in _listed(spec, direction.lower()))
        for direction in DIRECTIONS
    }
    return Policy(item, selector, directions, rules)


def _with_only(part: Any, *known: str) -> Mapping[str, Any]:
    """Return a part of a policy, if all that it has is known."""
    if not isinstance(part, dict) or not part.keys() <= set(known):
        raise _NotReadError
    return part


def _listed(part: Mapping[str, Any], key: str, at: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    written = part.get(key)
    if written is not None and not (isinstance(written, list) and all(isinstance(entry, dict) for entry in written)):
        raise _NotReadError
    return [(place, mapping(entry)) for place, entry in entries(written, f"{at}.{key}" if at else key)]


def _rule(namespace: str, direction: str, at: str, written: Mapping[str, Any]) -> Rule:
    side = _SIDES[direction]
    kinds = [f"{side}{kind}" for kind in _PEERS[direction]]
    rule = _with_only(written, *kinds, "toPorts")
    # One rule has one kind of peers. Without any, and without ports, it lets nothing through.
    if sum(kind in rule for kind in kinds) > 1 or not rule:
        raise _NotReadError
    named = next((kind for kind in kinds if kind in rule), None)
    peers = tuple(_peers(namespace, named.removeprefix(side), rule[named], f"{at}.{named}")) if named else None
    ports = [port for _, each in _listed(rule, "toPorts", at) for port in _ports(each)]
    return Rule(at, peers, tuple(ports) or None)


def _peers(namespace: str, kind: str, written: Any, at: str) -> Iterator[Peer]:
    for number, entry in enumerate(sequence(written)):
        path = f"{at}[{number}]"
        match kind:
            case "Endpoints":
                named, pods = _selector(entry)
                where = None if named in (None, namespace) else Selector.of_labels({NAME_LABEL: named})
                yield Peer(path, namespace, where, pods)
            case "FQDNs":
                host = _with_only(entry, "matchName", "matchPattern")
                patterns = [str(pattern).rstrip(".").lower() for pattern in host.values()]
                yield Peer(path, namespace, None, None, hosts=tuple("**" if each == "*" else each for each in patterns))
            case "Entities":
                yield Peer(
                    path, namespace, None, None, entities=frozenset({re.sub(r"^world-ipv[46]$", "world", str(entry))})
                )
            case _:
                block = _with_only(entry if isinstance(entry, dict) else {"cidr": entry}, "cidr", "except")
                cidr, holes = block_of(str(block.get("cidr"))), map(block_of, map(str, sequence(block.get("except"))))
                if cidr is None:
                    raise _NotReadError
                yield Peer(path, namespace, None, None, cidr, tuple(hole for hole in holes if hole is not None))


def _selector(written: Any) -> tuple[str | None, Selector]:
    """Return the namespace that a selector of pods names, and a selector of the labels as Kubernetes has them."""
    selector = _with_only(written, "matchLabels", "matchExpressions")
    labels = {_plain(key): value for key, value in texts(selector.get("matchLabels")).items()}
    namespace = labels.pop(_NAMESPACE, None)
    expressions = [{**each, "key": _plain(str(each.get("key")))} for each in mappings(selector.get("matchExpressions"))]
    keys = [*labels, *(str(each["key"]) for each in expressions)]
    if any(key == _NAMESPACE or key.startswith(("io.cilium.", "reserved:")) for key in keys):
        raise _NotReadError
    return namespace, Selector({"matchLabels": labels, "matchExpressions": expressions})


def _plain(key: str) -> str:
    return next((key.removeprefix(source) for source in _SOURCES if key.startswith(source)), key)


def _ports(written: Mapping[str, Any]) -> Iterator[PortRange]:
    rules = _with_only(written, "ports", "rules").get("rules")
    if rules is not None:
        # Which names may be asked for is a matter of DNS; the port is open.
        _with_only(rules, "dns")
    for _, each in _listed(written, "ports"):
        port = _with_only(each, "port", "endPort", "protocol")
        text, protocol = str(port.get("port", "0")), str(port.get("protocol") or "ANY")
        number = int(text) if text.isdecimal() else text
        for one in ("TCP", "UDP", "SCTP") if protocol == "ANY" else (protocol,):
            last = port.get("endPort")
            yield PortRange(one, None if number == 0 else number, last if isinstance(last, int) else None)

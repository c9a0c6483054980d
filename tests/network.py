"""What a set of NetworkPolicies lets through, by the rules of the Kubernetes documentation.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
https://kubernetes.io/docs/reference/kubernetes-api/networking-resources/network-policy-v1/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Literal

Direction = Literal["Ingress", "Egress"]

PROTOCOLS = ("TCP", "UDP", "SCTP")
#: A protocol and the number of a port.
Port = tuple[str, int]


@dataclass(frozen=True)
class Pod:
    """One of the pods with the same labels; "itself" is another one of them.

    Attributes:
        namespace: Its namespace.
        name: How results name it.
        labels: Its labels.
        address: Its address in the cluster.
        ports: Its container ports by name, for policies that name ports.
        protocols: The protocols of those that are not TCP, by name.
        host_network: Whether it has the address of its node: policies and selectors are not about it then.
    """

    namespace: str
    name: str
    labels: Mapping[str, str] = field(compare=False)
    address: str = field(default="10.244.0.1", compare=False)
    ports: Mapping[str, int] = field(default_factory=dict, compare=False)
    protocols: Mapping[str, str] = field(default_factory=dict, compare=False)
    host_network: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Outside:
    """Something at an address that is no pod: the internet, a node, a cloud's metadata service."""

    address: str

    def __str__(self) -> str:
        return self.address


class Network:
    """A cluster's network under its NetworkPolicies."""

    def __init__(self, policies: Iterable[dict[str, Any]], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Take the policies in.

        Args:
            policies: All NetworkPolicies.
            namespaces: The labels of every namespace; the label with its own name is added, as Kubernetes does.
        """
        self.policies = list(policies)
        self.namespaces = {name: {**labels, "kubernetes.io/metadata.name": name} for name, labels in namespaces.items()}
        self.ports = sorted(self._ports_that_matter())

    def _ports_that_matter(self) -> Iterator[Port]:
        """Yield every port that some rule begins or ends at: between two of them, nothing changes."""
        for policy in self.policies:
            for rule in [*(policy["spec"].get("ingress") or []), *(policy["spec"].get("egress") or [])]:
                for entry in rule.get("ports") or []:
                    if isinstance(entry.get("port"), int):
                        for number in (entry["port"], entry.get("endPort", entry["port"])):
                            yield from ((protocol, number) for protocol in PROTOCOLS)
        # Stands for every port that no policy names.
        yield from ((protocol, 1) for protocol in PROTOCOLS)

    def with_ports(self, ports: Iterable[int]) -> Network:
        """Look at further TCP ports too, such as those that containers listen on."""
        self.ports = sorted({*self.ports, *(("TCP", port) for port in ports)})
        return self

    def open_ports(self, source: Pod | Outside, target: Pod | Outside) -> set[Port]:
        """Return the ports of ``target`` that ``source`` may connect to: both sides have to let it through."""
        outgoing = self._let_through("Egress", source, target, target)
        return outgoing and outgoing & self._let_through("Ingress", target, source, target)

    def isolated(self, pod: Pod, direction: Direction) -> bool:
        """Tell whether a pod is closed but for what policies permit."""
        return any(True for _ in self._policies_of(pod, direction))

    def _policies_of(self, pod: Pod, direction: Direction) -> Iterator[Mapping[str, Any]]:
        if pod.host_network:
            return
        for policy in self.policies:
            spec = policy["spec"]
            # Without policyTypes, a policy is about ingress, and about egress if it has such rules.
            types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
            if (
                direction in types
                and policy["metadata"]["namespace"] == pod.namespace
                and selects(spec.get("podSelector") or {}, pod.labels)
            ):
                yield policy

    def _let_through(
        self, direction: Direction, pod: Pod | Outside, peer: Pod | Outside, target: Pod | Outside
    ) -> set[Port]:
        """Return the ports that the policies of ``pod`` leave open between it and ``peer``, of which one is called."""
        policies = [] if isinstance(pod, Outside) else list(self._policies_of(pod, direction))
        if not policies:
            return set(self.ports)
        peers, key = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
        rules = [
            rule
            for policy in policies
            for rule in policy["spec"].get(key) or []
            if self._names_peer(rule.get(peers), policy["metadata"]["namespace"], peer)
        ]
        return {port for port in self.ports if any(self._names_port(rule.get("ports"), target, port) for rule in rules)}

    def _names_port(self, entries: list[Mapping[str, Any]] | None, target: Pod | Outside, port: Port) -> bool:
        if not entries:
            return True
        protocol, number = port
        for entry in entries:
            first = entry.get("port")
            if isinstance(first, str):
                if not isinstance(target, Pod) or target.host_network or first not in target.ports:
                    continue
                if target.protocols.get(first, "TCP") != protocol:
                    continue
                first = target.ports[first]
            if entry.get("protocol", "TCP") == protocol and (
                first is None or first <= number <= entry.get("endPort", first)
            ):
                return True
        return False

    def _names_peer(self, entries: list[Mapping[str, Any]] | None, namespace: str, peer: Pod | Outside) -> bool:
        return not entries or any(self._is_peer(entry, namespace, peer) for entry in entries)

    def _is_peer(self, entry: Mapping[str, Any], namespace: str, peer: Pod | Outside) -> bool:
        if entry.get("ipBlock") is not None:
            # Some network plug-ins match pods by their address too: the wider reading is the one to be safe under.
            address, block = ip_address(peer.address), entry["ipBlock"]
            return address in ip_network(block["cidr"]) and not any(
                address in ip_network(hole) for hole in block.get("except") or []
            )
        if isinstance(peer, Outside) or peer.host_network:
            return False
        if entry.get("namespaceSelector") is not None:
            in_namespace = selects(entry["namespaceSelector"], self.namespaces[peer.namespace])
        else:
            in_namespace = peer.namespace == namespace
        return in_namespace and selects(entry.get("podSelector") or {}, peer.labels)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector matches; an empty one matches everything."""
    return all(labels.get(label) == value for label, value in (selector.get("matchLabels") or {}).items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions") or []
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    label, operator = expression["key"], expression["operator"]
    if operator == "Exists":
        return label in labels
    if operator == "DoesNotExist":
        return label not in labels
    if operator == "In":
        return labels.get(label) in expression["values"]
    if operator == "NotIn":
        return labels.get(label) not in expression["values"]
    raise ValueError(f"{operator!r} is no operator of a label selector")

"""Proof that NetworkPolicies select pods, namespaces and ports that exist."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.references.selections import without_pods
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import entries, inner, texts
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.text import hint

#: The label that Kubernetes gives every namespace.


def prove_policies(model: ClusterModel) -> Iterator[Finding]:
    """Yield selectors and ports of NetworkPolicies that find nothing."""
    namespaces = _Namespaces(model)
    for policy in model.kind("NetworkPolicy"):
        if policy.group == "networking.k8s.io":
            yield from _policy(model, namespaces, policy)


class _Namespaces:
    """The namespaces that are known to exist, by their labels."""

    def __init__(self, model: ClusterModel) -> None:
        others = (*platform.NAMESPACES, *model.open_namespaces)
        self._labels = {**{name: {platform.NAME_LABEL: name} for name in others}, **model.namespaces}

    def selected(self, selector: object) -> list[str]:
        named = _named(selector)
        known = self._labels if named is None else {named} & self._labels.keys()
        return [name for name in known if Selector(selector).matches(self._labels[name])]


def _named(selector: object) -> str | None:
    """Return the name that a selector of namespaces wants, if it wants one."""
    return texts(inner(selector, "matchLabels")).get(platform.NAME_LABEL)


def _policy(model: ClusterModel, namespaces: _Namespaces, policy: Object) -> Iterator[Finding]:
    selector = policy.spec.get("podSelector")
    if selector:
        yield from without_pods(model, "policy-without-pods", policy, "podSelector")
    own = model.selected(policy.namespace, selector or {})
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for at, rule in entries(policy.spec.get(direction), f"spec.{direction}"):
            peers = [*entries(rule.get(side), f"{at}.{side}")]
            for here, peer in peers:
                wanted = peer.get("namespaceSelector")
                named = _named(wanted)
                # A namespace outside of the tree may have other labels, but not another name.
                if named is not None and not namespaces.selected(wanted):
                    field, known = f"{here}.namespaceSelector", model.namespaces
                    yield Finding.missing("policy-namespace-unknown", policy, field, "namespace", named, known)
            called = own if direction == "ingress" else _peers(model, namespaces, policy, [peer for _, peer in peers])
            yield from _ports(policy, rule, called, at)


def _peers(
    model: ClusterModel, namespaces: _Namespaces, policy: Object, peers: Sequence[Mapping[str, Any]]
) -> Sequence[Pods]:
    """Return the pods that a rule leads to; none if it may lead to others as well."""
    found: list[Pods] = []
    for peer in peers:
        selector = peer.get("namespaceSelector")
        names = [policy.namespace] if selector is None else namespaces.selected(selector)
        if "ipBlock" in peer or not model.closed_namespaces.issuperset(names):
            return ()
        for name in names:
            found += model.selected(name, peer.get("podSelector") or {})
    return found


def _ports(policy: Object, rule: Mapping[str, Any], called: Sequence[Pods], at: str) -> Iterator[Finding]:
    for here, entry in entries(rule.get("ports"), f"{at}.ports"):
        port, protocol = entry.get("port"), str(entry.get("protocol") or "TCP")
        if not isinstance(port, str) or not called:
            continue
        names = {port.name for pods in called for port in pods.ports if port.protocol == protocol}
        if port not in names:
            problem = f'No pods that the rule leads to have a {protocol} port named "{port}".'
            fix = hint("port's name", port, names - {""})
            yield Finding.of("policy-port-unknown", policy, problem, at=f"{here}.port", fix=fix)

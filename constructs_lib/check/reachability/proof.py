"""Whether the network lets through what is called, and nothing that nobody calls.

What is called is read from the tree (:mod:`constructs_lib.check.traffic`), what gets through from its NetworkPolicies
(:mod:`constructs_lib.check.network`). Both sides of a connection have to agree. What the platform needs counts as
called: DNS, the Kubernetes API, Prometheus, the world at a public port. The probes of the kubelet come from the node of
the pod, and traffic from there is always allowed.
"""

from collections.abc import Iterator

from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.network import DIRECTIONS
from constructs_lib.check.reachability.blocked import (
    prove_calls,
    prove_dns,
    prove_outside,
    prove_peers,
    prove_public,
    prove_scrapes,
)
from constructs_lib.check.reachability.opened import prove_rules
from constructs_lib.check.traffic import Traffic, workload
from constructs_lib.text import listed, plural

_BLOCKED = (prove_calls, prove_peers, prove_dns, prove_public, prove_scrapes, prove_outside)


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield what is blocked that should not be, and what is open that need not be."""
    traffic = model.once(Traffic)
    if traffic.network.policies:
        for prove_blocked in _BLOCKED:
            yield from prove_blocked(traffic)
        yield from prove_rules(traffic)
    yield from _unisolated(traffic)


def _unisolated(traffic: Traffic) -> Iterator[Finding]:
    """Yield the namespaces and pods that no policy is about."""
    network, model = traffic.network, traffic.model
    with_policies = {policy.namespace for policy in network.policies}
    for namespace, found in model.pods_by_namespace.items():
        if namespace not in with_policies and namespace not in model.open_namespaces:
            where = f"the namespace {namespace}" if namespace else "what names no namespace"
            names = listed(sorted(pods.owner.name for pods in found))
            problem = f"{where} has {plural(len(found), 'workload')} ({names}) and no NetworkPolicy."
            yield Finding.of("namespace-without-policies", model.get("Namespace", "", namespace), problem)
    for pod in traffic.pods:
        is_closed = pod.namespace in with_policies and pod.namespace not in model.open_namespaces
        isolated = any(network.isolating(pod, direction) for direction in DIRECTIONS)
        if is_closed and not isolated and not pod.host_network:
            problem = f"the namespace {pod.namespace} has policies, and none of them is about {pod}."
            at = f"{workload(pod).path.removesuffix('.spec')}.metadata.labels"
            yield Finding.of("pods-not-isolated", workload(pod).owner, problem, at=at)


PROOF = Proof(
    "reachability",
    "The network lets through what is called, and nothing that nobody calls.",
    prove,
    lambda model: plural(len(model.by_kind.get("NetworkPolicy", ())), "policy", "policies"),
)

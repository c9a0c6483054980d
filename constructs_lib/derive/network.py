"""NetworkPolicies: nothing gets through but the declared edges and what the platform needs.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from constructs_lib.declare.chart import PodAccess
from constructs_lib.declare.cluster import Cluster
from constructs_lib.declare.component import Component
from constructs_lib.declare.workload import Edge, Workload
from constructs_lib.derive.graph import Graph
from constructs_lib.kubernetes.manifest import Manifest, manifest

#: The API server answers on 443 behind its Service and on 6443 on its own; policies see the one behind the Service.
_API_PORTS = (443, 6443)
#: Names of the policies that every component has.
DEFAULT_DENY, DNS = "default-deny", "dns"
_DNS_PODS = {"k8s-app": "kube-dns"}
#: Pods that know how all Applications are; the bootstrap's chart opens their metrics to the whole cluster.
ARGOCD_CONTROLLER = {"app.kubernetes.io/name": "argocd-application-controller"}


def network_policies(component: Component, graph: Graph) -> Iterator[Manifest]:
    """Yield the policies of a component: deny all, permit names, then one for every kind of pods."""
    yield _policy(component, DEFAULT_DENY, {}, None, None)
    names = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    yield _policy(
        component,
        DNS,
        {},
        None,
        [{"to": [_peer("kube-system", _DNS_PODS)], "ports": names}],
        types=("Egress",),
    )
    for workload in component.workloads:
        yield _policy(
            component, workload.name, workload.selector, _ingress(workload, graph), _workload_egress(workload)
        )
        for name, edges in workload.helpers.items():
            yield _policy(component, name, {"app.kubernetes.io/name": name}, [], _egress(edges))
    for access in component.access:
        yield _policy(
            component,
            access.name,
            access.pods,
            _chart_ingress(component, access),
            _chart_egress(component, access, graph),
        )


def _policy(
    component: Component,
    name: str,
    pods: Mapping[str, str],
    ingress: list[dict[str, Any]] | None,
    egress: list[dict[str, Any]] | None,
    *,
    types: tuple[str, ...] = ("Ingress", "Egress"),
) -> Manifest:
    return manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        name,
        component.namespace_name,
        {"app.kubernetes.io/part-of": component.system.name},
        spec={
            "podSelector": {"matchLabels": dict(pods)} if pods else {},
            "policyTypes": list(types),
            **({"ingress": ingress} if ingress else {}),
            **({"egress": egress} if egress else {}),
        },
    )


def _peer(namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": dict(labels)},
    }


def _ports(*ports: int) -> list[dict[str, Any]]:
    return [{"port": port, "protocol": "TCP"} for port in ports]


def _ingress(workload: Workload, graph: Graph) -> list[dict[str, Any]]:
    """Return who may call a workload: the world if it is exposed, its callers, Prometheus."""
    # No "from": load balancers and nodes have addresses that selectors and CIDR blocks do not match everywhere.
    rules: list[dict[str, Any]] = [{"ports": _ports(port)} for port in sorted(workload.exposed_ports)]
    by_pods: dict[tuple[str, tuple[tuple[str, str], ...]], set[int]] = {}
    for caller in graph.callers.get(workload, ()):
        by_pods.setdefault((caller.namespace, caller.labels), set()).add(caller.port)
    metrics = [endpoint.port for endpoint in workload.endpoints.values() if endpoint.metrics]
    if metrics:
        for scraper in graph.scrapers:
            for access in scraper.access:
                if access.scrapes:
                    pods = (scraper.namespace_name, tuple(access.pods.items()))
                    by_pods.setdefault(pods, set()).update(metrics)
    for (namespace, labels), ports in sorted(by_pods.items()):
        rules.append({"from": [_peer(namespace, dict(labels))], "ports": _ports(*sorted(ports))})
    return rules


def _egress(edges: list[Edge]) -> list[dict[str, Any]]:
    by_target: dict[Workload, set[int]] = {}
    for edge in edges:
        by_target.setdefault(edge.endpoint.workload, set()).add(edge.endpoint.port)
    return [
        {
            "to": [_peer(target.component.namespace_name, target.selector)],
            "ports": _ports(*sorted(ports)),
        }
        for target, ports in sorted(by_target.items(), key=lambda item: (item[0].component.id, item[0].name))
    ]


def _workload_egress(workload: Workload) -> list[dict[str, Any]]:
    rules = _egress(workload.edges)
    cluster = workload.system.environment.cluster
    if workload.uses_kubernetes_api:
        rules.append(_api_rule())
    if workload.internet:
        rules.append(_internet_rule(cluster, {host.port for host in workload.internet}))
    return rules


def _internet_rule(cluster: Cluster, ports: Iterable[int]) -> dict[str, Any]:
    world = {"cidr": "0.0.0.0/0", "except": list(cluster.cluster_networks)}
    return {"to": [{"ipBlock": world}], "ports": _ports(*sorted(ports))}


def _api_rule() -> dict[str, Any]:
    # No "to": Cilium, which DigitalOcean runs, matches the API server by no CIDR block (cilium issue 20550).
    return {"ports": _ports(*_API_PORTS)}


def _chart_ingress(component: Component, access: PodAccess) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    if access.from_kubernetes_api:
        rules.append({"ports": _ports(*access.from_kubernetes_api)})
    for other in component.access:
        for labels, ports in other.to_pods:
            if labels == access.pods:
                rules.append({"from": [_peer(component.namespace_name, other.pods)], "ports": _ports(*ports)})
    return rules


def _chart_egress(component: Component, access: PodAccess, graph: Graph) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [
        {"to": [_peer(component.namespace_name, labels)], "ports": _ports(*ports)} for labels, ports in access.to_pods
    ]
    if access.scrapes:
        for other in sorted(graph.system.components, key=lambda component: component.id):
            for workload in sorted(other.workloads, key=lambda workload: workload.name):
                ports = sorted(endpoint.port for endpoint in workload.endpoints.values() if endpoint.metrics)
                if ports:
                    rules.append({"to": [_peer(other.namespace_name, workload.selector)], "ports": _ports(*ports)})
    if access.to_dns_metrics:
        rules.append({"to": [_peer("kube-system", _DNS_PODS)], "ports": _ports(9153)})
    if access.internet:
        rules.append(_internet_rule(component.system.environment.cluster, access.internet))
    if access.to_argocd:
        rules.append({"to": [_peer("argocd", ARGOCD_CONTROLLER)], "ports": _ports(*access.to_argocd)})
    if access.to_nodes:
        # Nodes are matched by no selector, and by CIDR blocks not everywhere.
        rules.append({"ports": _ports(*access.to_nodes)})
    if access.kubernetes_api:
        rules.append(_api_rule())
    return rules

"""NetworkPolicies: nothing gets through but the declared edges and what the platform needs.

The ports of a call are said once, where it comes in. The client's policy names the server's pods without them: a call
passes only if both sides let it, so that nothing more is open; and when a server changes its port, clients of later
waves, which run with their old policies still, reach its new pods. A server that is open to the world lets all clients
in at that port, so that those who call another of its ports name it.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.declare.chart import PodAccess
from constructs_lib.declare.cluster import Cluster
from constructs_lib.declare.component import Component
from constructs_lib.declare.diagnostics import Location
from constructs_lib.declare.server import Endpoint
from constructs_lib.declare.workload import Edge, Workload
from constructs_lib.derive.graph import Graph
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import Manifest, manifest

#: Names of the policies that every component has.
DEFAULT_DENY, DNS = "default-deny", "dns"
#: Pods that know how all Applications are; the bootstrap's chart opens their metrics to the whole cluster.
ARGOCD_CONTROLLER = {"app.kubernetes.io/name": "argocd-application-controller"}
#: The pods with some labels in a namespace.
Pods = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Opening:
    """What a policy lets in or out, and why.

    Attributes:
        inward: Whether it is let in, rather than out.
        peer: The other side: pods, :data:`INTERNET`, :data:`API`, :data:`NODES` or :data:`ANYWHERE`.
        ports: Ports of the pods; none if the policy of the other side says which.
        reason: Why, in words.
        location: The line that wants it.
        host: Which host of the internet, where it is known.
        networks: In which CIDR blocks it is; none for all of the internet.
        protocol: Protocol of the ports. Default ``TCP``.
    """

    inward: bool
    peer: Pods | str
    ports: tuple[int, ...]
    reason: str
    location: Location
    host: str = ""
    networks: tuple[str, ...] = ()
    protocol: str = "TCP"


#: Everything outside of the cluster.
INTERNET = "internet"
#: Everything: load balancers have addresses that selectors and CIDR blocks do not match in every cluster.
ANYWHERE = "anywhere"
#: The API server, and the nodes. No selector matches them, and CIDR blocks do so in some clusters only (cilium issue
#: 20550): without the cluster's word for their addresses, they are everything.
API, NODES = "api", "nodes"


def openings(workload: Workload, graph: Graph) -> Iterator[Opening]:
    """Yield what is opened to and from the pods of a workload itself."""
    yield from called(workload.edges)
    for host in workload.internet:
        reason = f"to {host.host}:{host.port}"
        yield Opening(False, INTERNET, (host.port,), reason, workload.location, host.host)
    if workload.uses_kubernetes_api:
        yield Opening(False, API, platform.API_PORTS, "to the Kubernetes API", workload.location)
    for endpoint in workload.endpoints.values():
        if endpoint.port in workload.exposed_ports:
            reason = f"from everywhere to {endpoint.name}"
            yield Opening(True, ANYWHERE, (endpoint.port,), reason, workload.location, protocol=endpoint.protocol)
        if endpoint.metrics:
            for scraper in graph.scrapers:
                for access in scraper.access:
                    if access.scrapes:
                        pods = (scraper.namespace_name, tuple(access.pods.items()))
                        reason = f"from {scraper.id} to {endpoint.name}"
                        yield Opening(True, pods, (endpoint.port,), reason, scraper.location)
    for passage in workload.passages:
        pods = (passage.controller.namespace, tuple(passage.controller.pods.items()))
        yield Opening(passage.inward, pods, passage.ports, passage.reason, passage.location)
    for caller in graph.callers.get(workload, ()):
        source, endpoint = caller.edge.source, caller.edge.endpoint
        pods = (source.namespace_name, caller.labels)
        reason = f"from {source.subject} to {endpoint.name}"
        yield Opening(True, pods, (endpoint.port,), reason, caller.edge.location, protocol=endpoint.protocol)
    for endpoint in workload.endpoints.values():
        for component, access in graph.chart_callers.get(endpoint, ()):
            pods = (component.namespace_name, tuple(access.pods.items()))
            reason = f"from {component.id} {access.name} to {endpoint.name}"
            yield Opening(True, pods, (endpoint.port,), reason, component.location, protocol=endpoint.protocol)


def called(edges: Iterable[Edge]) -> Iterator[Opening]:
    """Yield what is opened to pods that call something: a workload's own, or further ones such as those of a Job."""
    for edge in sorted(edges, key=_by_server):
        yield _called(edge.endpoint, edge.location)


def _called(endpoint: Endpoint, location: Location) -> Opening:
    """Return what is opened to pods that call an endpoint."""
    server, peer = endpoint.server, server_pods(endpoint)
    return Opening(
        False,
        peer or INTERNET,
        () if server.says_ports else (endpoint.port,),
        f"to {server.subject} {endpoint.name}",
        location,
        "" if peer or server.networks else server.host,
        server.networks,
        endpoint.protocol,
    )


def server_pods(endpoint: Endpoint) -> Pods | None:
    """Return the pods that answer at an endpoint; None if it is no pods of the cluster."""
    found = endpoint.server.pods(endpoint)
    return (found[0], tuple(found[1].items())) if found else None


def _by_server(edge: Edge) -> tuple[str, str]:
    server = edge.endpoint.server
    return server.component.id if server.component else "", server.name


def network_policies(component: Component, graph: Graph) -> Iterator[Manifest]:
    """Yield the policies of a component: deny all, permit names, then one for every kind of pods."""
    cluster = component.system.environment.cluster
    yield closed(component, component.namespace_name)
    names = [{"port": platform.DNS_PORT, "protocol": protocol} for protocol in platform.DNS_PROTOCOLS]
    to_dns = [{"to": [_peer(platform.DNS_NAMESPACE, platform.DNS_LABELS)], "ports": names}]
    yield _policy(component, DNS, {}, None, to_dns, types=("Egress",))
    for workload in component.workloads:
        found = [each for each in openings(workload, graph) if not is_by_name(cluster, each)]
        rules = (_rules(cluster, found, inward=True), _rules(cluster, found, inward=False))
        yield _policy(component, workload.name, workload.selector, *rules)
        for name, edges in workload.helpers.items():
            out = _rules(cluster, [each for each in called(edges) if not is_by_name(cluster, each)], inward=False)
            yield _policy(component, name, {"app.kubernetes.io/name": name}, [], out)
    for access in component.access:
        rules = (_chart_ingress(component, access, graph), _chart_egress(component, access, graph))
        yield _policy(component, access.name, access.pods, *rules)


def is_by_name(cluster: Cluster, opening: Opening) -> bool:
    """Tell whether an opening is for a CiliumNetworkPolicy, which opens it by the name of the other side.

    What one policy lets through is open, whatever the others say. So it is in no NetworkPolicy as well, which would
    have to open more (https://docs.cilium.io/en/stable/network/kubernetes/policy/).
    """
    return "cilium" in cluster.provides and (bool(opening.host) or opening.peer in (API, NODES))


def closed(component: Component, namespace: str) -> Manifest:
    """Return the policy that lets nothing into or out of any pod of a namespace of a component.

    Pods in the network of their node, such as node-exporter's, are not subject to it.
    """
    return _policy(component, DEFAULT_DENY, {}, None, None, namespace=namespace)


def _rules(cluster: Cluster, found: Iterable[Opening], *, inward: bool) -> list[dict[str, Any]]:
    """Return the rules of a policy in one direction: one for all ports of the same pods."""
    by_pods: dict[Pods, set[tuple[int, str]]] = {}
    anywhere: dict[tuple[str, tuple[int, ...], str], None] = {}
    outside: dict[tuple[str, ...], set[tuple[int, str]]] = {}
    for opening in found:
        if opening.inward is inward:
            if isinstance(opening.peer, tuple):
                by_pods.setdefault(opening.peer, set()).update((port, opening.protocol) for port in opening.ports)
            elif opening.peer == INTERNET:
                ports = outside.setdefault(opening.networks, set())
                ports.update((port, opening.protocol) for port in opening.ports)
            else:
                anywhere[opening.peer, opening.ports, opening.protocol] = None
    side = "from" if inward else "to"
    pods = [
        {side: [_peer(namespace, dict(labels))], **({"ports": _ports_of(ports)} if ports else {})}
        for (namespace, labels), ports in (sorted(by_pods.items()) if inward else by_pods.items())
    ]
    open_to_all = [_cluster_rule(cluster, peer, ports, protocol) for peer, ports, protocol in sorted(anywhere)]
    if inward:
        return [*open_to_all, *pods]
    return [
        *pods,
        *open_to_all,
        *(_outside_rule(cluster, networks, ports) for networks, ports in sorted(outside.items())),
    ]


def _policy(
    component: Component,
    name: str,
    pods: Mapping[str, str],
    ingress: list[dict[str, Any]] | None,
    egress: list[dict[str, Any]] | None,
    *,
    types: tuple[str, ...] = ("Ingress", "Egress"),
    namespace: str = "",
) -> Manifest:
    return manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        name,
        namespace or component.namespace_name,
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
        "namespaceSelector": {"matchLabels": {platform.NAME_LABEL: namespace}},
        "podSelector": {"matchLabels": dict(labels)},
    }


def _ports(*ports: int) -> list[dict[str, Any]]:
    return [{"port": port, "protocol": "TCP"} for port in ports]


def _ports_of(ports: Iterable[tuple[int, str]]) -> list[dict[str, Any]]:
    return [{"port": port, "protocol": protocol} for port, protocol in sorted(ports)]


def _outside_rule(cluster: Cluster, networks: Iterable[str], ports: Iterable[tuple[int, str]]) -> dict[str, Any]:
    """Return a rule for some networks, or without any for the internet."""
    world: dict[str, Any] = {"cidr": "0.0.0.0/0", "except": list(cluster.cluster_networks)}
    blocks = [{"cidr": network} for network in networks] or [world]
    return {"to": [{"ipBlock": block} for block in blocks], "ports": _ports_of(ports)}


def _cluster_rule(cluster: Cluster, peer: str, ports: Iterable[int], protocol: str = "TCP") -> dict[str, Any]:
    """Return a rule for the API server or the nodes, by their addresses if these are known."""
    known = {API: cluster.api_networks, NODES: cluster.node_networks}.get(peer)
    to = {"to": [{"ipBlock": {"cidr": network}} for network in known]} if known else {}
    return {**to, "ports": _ports_of((port, protocol) for port in ports)}


def beyond_pods(component: Component, access: PodAccess) -> Iterator[Opening]:
    """Yield what the pods of a chart call that is no pod and has an address of its own: known hosts, nodes, the API."""
    yield from outside(component, access)
    for host in access.hosts:
        yield Opening(False, INTERNET, access.internet, f"to {host}", component.location, host)
    if access.to_nodes:
        yield Opening(False, NODES, access.to_nodes, "to the nodes", component.location)
    if access.kubernetes_api:
        yield Opening(False, API, platform.API_PORTS, "to the Kubernetes API", component.location)


def _chart_ingress(component: Component, access: PodAccess, graph: Graph) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    for ports in (access.from_kubernetes_api, access.from_world):
        if ports:
            rules.append({"ports": _ports(*ports)})
    for namespace, ports in access.from_namespaces:
        name = {"namespaceSelector": {"matchLabels": {platform.NAME_LABEL: namespace}}}
        rules.append({"from": [name], "ports": _ports(*ports)})
    rules += _clients(component, access, graph)
    for other in component.access:
        for labels, ports in other.to_pods:
            if labels == access.pods:
                rules.append({"from": [_peer(component.namespace_name, other.pods)], "ports": _ports(*ports)})
    return rules


def _clients(component: Component, access: PodAccess, graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield the rules for those who need what some pods of a chart offer."""
    found: dict[Pods, set[tuple[int, str]]] = {}
    for server in component.servers:
        for endpoint in server.endpoints.values():
            if (server.pods(endpoint) or ("", {}))[1] == access.pods:
                edges = [caller for caller in graph.callers.get(server, ()) if caller.edge.endpoint == endpoint]
                clients = [(caller.edge.source.namespace_name, caller.labels) for caller in edges]
                charts = graph.chart_callers.get(endpoint, ())
                clients += [(other.namespace_name, tuple(pods.pods.items())) for other, pods in charts]
                for client in clients:
                    found.setdefault(client, set()).add((endpoint.port, endpoint.protocol))
    for (namespace, labels), ports in sorted(found.items()):
        yield {"from": [_peer(namespace, dict(labels))], "ports": _ports_of(ports)}


def _chart_egress(component: Component, access: PodAccess, graph: Graph) -> list[dict[str, Any]]:
    cluster = component.system.environment.cluster
    rules: list[dict[str, Any]] = [
        {"to": [_peer(component.namespace_name, labels)], "ports": _ports(*ports)} for labels, ports in access.to_pods
    ]
    for endpoint in access.to_endpoints:
        if found := endpoint.server.pods(endpoint):
            rules.append({"to": [_peer(*found)], "ports": _ports_of([(endpoint.port, endpoint.protocol)])})
    if access.scrapes:
        for other in sorted(graph.system.components, key=lambda component: component.id):
            for workload in sorted(other.workloads, key=lambda workload: workload.name):
                ports = sorted(endpoint.port for endpoint in workload.endpoints.values() if endpoint.metrics)
                if ports:
                    named = {"ports": _ports(*ports)} if workload.exposed_ports else {}
                    rules.append({"to": [_peer(other.namespace_name, workload.selector)], **named})
    if access.to_dns_metrics:
        rules.append({"to": [_peer(platform.DNS_NAMESPACE, platform.DNS_LABELS)], "ports": _ports(9153)})
    if access.internet and not (access.hosts and "cilium" in cluster.provides):
        rules.append(_outside_rule(cluster, (), [(port, "TCP") for port in access.internet]))
    if access.to_argocd and not cluster.is_remote:
        argocd = _peer(component.system.environment.argocd.namespace, ARGOCD_CONTROLLER)
        rules.append({"to": [argocd], "ports": _ports(*access.to_argocd)})
    called_outside = [each for each in outside(component, access) if not is_by_name(cluster, each)]
    others = [each for each in beyond_pods(component, access) if not is_by_name(cluster, each)]
    rules += [_cluster_rule(cluster, str(each.peer), each.ports) for each in others if each.peer != INTERNET]
    return [*rules, *_rules(cluster, called_outside, inward=False)]


def outside(component: Component, access: PodAccess) -> Iterator[Opening]:
    """Yield what the pods of a chart call of what is declared and no pods."""
    for endpoint in access.to_endpoints:
        if server_pods(endpoint) is None:
            yield _called(endpoint, component.location)

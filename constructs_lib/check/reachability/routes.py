"""Whether controllers of Ingresses and Gateways get through to what their routes lead to."""

from collections.abc import Iterator

from constructs_lib.check.finding import Finding
from constructs_lib.check.network import Connection, Peer, Pod, Port, Side, port_text
from constructs_lib.check.reachability.explanation import fix, is_certain, reasons
from constructs_lib.check.traffic import DNS, Traffic


def prove_routes(traffic: Traffic) -> Iterator[Finding]:
    """Yield the routes to pods that are closed to every controller, or that every controller is closed to.

    Which pods are a controller's is told nowhere. So any may be that is in no tree, that has a role for routes, or that
    the world reaches; a rule that names no pods may be meant for them as well.
    """
    seen: set[tuple[object, Pod, Port]] = set()
    for offer in traffic.routed:
        key = (offer.item.identity, offer.target, offer.port)
        if key in seen:
            continue
        seen.add(key)
        policies = traffic.network.isolating(offer.target, "Ingress")
        rules = [
            rule for policy in policies for rule in policy.rules["Ingress"] if rule.opens(offer.port, offer.target)
        ]
        peers = [peer for rule in rules for peer in rule.peers or ()]
        if not policies or any(rule.peers is None for rule in rules) or any(map(_is_wide, peers)):
            continue
        callers = [
            pod for peer in peers for pod in traffic.network.matching(peer) if _may_serve(traffic, pod, offer.target)
        ]
        connections = [traffic.network.connection(pod, offer.target, offer.port) for pod in callers]
        if any(connection.allowed for connection in connections) or any(_is_unknown(traffic, peer) for peer in peers):
            continue
        closed = connections[0].closed if connections else [Side("Ingress", offer.target, policies, ())]
        if is_certain(traffic, closed):
            leads = f"it leads to port {port_text(offer.port)} of {offer.target}"
            how = _fix(traffic, connections, offer.port)
            yield Finding.of("route-blocked", offer.item, f"{leads}; {reasons(closed)}.", at=offer.at, fix=how)


def _fix(traffic: Traffic, connections: list[Connection], port: Port) -> str:
    return fix(traffic, connections[0], port) if connections else ""


def _is_wide(peer: Peer) -> bool:
    return peer.is_outside or (peer.namespaces is not None and peer.namespace is None)


def _is_unknown(traffic: Traffic, peer: Peer) -> bool:
    """Tell whether a peer is in a namespace that the tree does not have, without labels by which pods were made up."""
    model = traffic.model
    return (peer.pods is None or not peer.pods.labels) and peer.namespace not in model.closed_namespaces


def _may_serve(traffic: Traffic, pod: Pod, target: Pod) -> bool:
    if pod.workload is None:
        return pod is not DNS and pod not in traffic.prometheus
    # A controller is given no address of what it leads to.
    return pod in traffic.route_servers and (pod, target) not in traffic.called

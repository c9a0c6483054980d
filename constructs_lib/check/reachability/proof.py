"""Whether the network lets through what is called, and nothing that nobody calls.

What is called is read from the tree (:mod:`constructs_lib.check.traffic`), what gets through from its NetworkPolicies
(:mod:`constructs_lib.check.network`). Both sides of a connection have to agree. What the platform needs counts as
called: DNS, the Kubernetes API, Prometheus, the world at a public port. The probes of the kubelet come from the node of
the pod, and traffic from there is always allowed.
"""

from collections.abc import Iterator

from constructs_lib.check.areas import ANYWHERE, INTERNET
from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.network import DIRECTIONS, End, Network, Outside, Pod, Port, Side, port_text
from constructs_lib.check.reachability.explanation import fix, is_certain, port_list, reasons
from constructs_lib.check.reachability.opened import prove_rules
from constructs_lib.check.reachability.routes import prove_routes
from constructs_lib.check.traffic import API, API_PORTS, DNS, DNS_PORTS, Offer, Traffic, workload
from constructs_lib.kubernetes.manifest import mapping
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.repository.applications import CHART
from constructs_lib.text import listed, plural


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield what is blocked that should not be, and what is open that need not be."""
    traffic = model.once(Traffic)
    if traffic.network.policies:
        for prove_blocked in (
            _calls,
            _foreign_calls,
            _elsewhere,
            _peers,
            _dns,
            _public,
            prove_routes,
            _scrapes,
            _outside,
        ):
            yield from prove_blocked(traffic)
        yield from prove_rules(traffic)
    yield from _unisolated(traffic)
    yield from _pods_of_charts(traffic)


def _calls(traffic: Traffic) -> Iterator[Finding]:
    """Yield the calls of one workload to another that do not get through."""
    peers = frozenset(traffic.peers)
    seen: set[tuple[Pod, Pod, tuple[Port, ...]]] = set()
    for call in traffic.calls:
        key = call.source, call.target, call.ports
        is_itself = call.source is call.target and (
            call.source in peers or traffic.model.scales.of(workload(call.source).owner).maximum < 2
        )
        if key in seen or is_itself:
            continue
        seen.add(key)
        connections = [traffic.network.connection(call.source, call.target, port) for port in call.ports]
        closed, port = connections[0].closed, call.ports[0]
        if not any(connection.allowed for connection in connections) and is_certain(traffic, closed):
            called = f"{call.address}, port {port_text(port)} of {call.target}"
            yield Finding.of(
                "call-blocked",
                workload(call.source).owner,
                f"{call.source} calls {called}; {reasons(closed)}.",
                at=call.at,
                fix=fix(traffic, connections[0], port),
            )


def _elsewhere(traffic: Traffic) -> Iterator[Finding]:
    """Yield the calls of hosts and of others' Services, of which the tree tells, that do not get out."""
    seen: set[tuple[Pod, End, tuple[Port, ...]]] = set()
    for pod, end, call in traffic.elsewhere_calls:
        key = pod, end, call.ports
        connections = [traffic.network.connection(pod, end, port) for port in call.ports]
        closed, port = connections[0].egress, call.ports[0]
        if key in seen or any(each.egress.allows for each in connections) or not is_certain(traffic, [closed]):
            continue
        seen.add(key)
        problem = f"{pod} calls {call.address}, port {port_text(port)} of {end}, outside of the tree"
        how = fix(traffic, connections[0], port)
        yield Finding.of("call-blocked", workload(pod).owner, f"{problem}; {reasons([closed])}.", at=call.at, fix=how)


def _foreign_calls(traffic: Traffic) -> Iterator[Finding]:
    """Yield the calls into namespaces of charts, and of others, that no rule of the caller lets out."""
    seen: set[tuple[Pod, str]] = set()
    for pod, call in traffic.foreign_calls:
        policies = traffic.network.isolating(pod, "Egress")
        rules = (rule for policy in policies for rule in policy.rules["Egress"])
        # Which labels its pods have, and which port they listen on, is not known here.
        is_open = not policies or any(traffic.may_lead_to(rule, call.namespace) for rule in rules)
        closed = Side("Egress", pod, policies, ())
        if not is_open and (pod, call.namespace) not in seen and is_certain(traffic, [closed]):
            seen.add((pod, call.namespace))
            problem = f"{pod} calls {call.address}; {reasons([closed])}."
            names = [policy.name for policy in policies if not policy.selector.is_empty] or ["of its pods"]
            fix = f"NetworkPolicy {names[0]} needs an egress rule to the namespace {call.namespace}."
            yield Finding.of("call-blocked", workload(pod).owner, problem, at=call.at, fix=fix)


def _peers(traffic: Traffic) -> Iterator[Finding]:
    """Yield the workloads whose pods find each other and cannot call each other."""
    own_calls = {call.source: call.ports for call in traffic.calls if call.source is call.target}
    for pod in traffic.peers:
        ports = sorted(traffic.peer_ports(pod) or own_calls.get(pod, ()))
        if not ports or traffic.model.scales.of(workload(pod).owner).maximum < 2:
            continue
        connections = [traffic.network.connection(pod, pod, port) for port in ports]
        closed = connections[0].closed
        if not any(connection.allowed for connection in connections) and is_certain(traffic, closed):
            yield Finding.of(
                "peers-blocked",
                workload(pod).owner,
                f"the pods of {pod} find each other and can call each other at none of the ports that they have for "
                f"that ({port_list(ports)}); {reasons(closed)}.",
                at=f"{workload(pod).path}.containers",
                fix=fix(traffic, connections[0], ports[0]),
            )


def _dns(traffic: Traffic) -> Iterator[Finding]:
    """Yield the pods that call names and cannot ask DNS for them."""
    for pod, at in traffic.callers_by_name.items():
        sides = [traffic.network.side("Egress", pod, DNS, port) for port in DNS_PORTS]
        closed = [side for side in sides if not side.allows]
        if not closed or not is_certain(traffic, closed) or _has_other_dns(traffic.network, closed[0]):
            continue
        code, protocol = ("dns-blocked", "at all") if sides[0] in closed else ("dns-over-tcp-blocked", "over TCP")
        problem = f"{pod} calls names and cannot ask DNS {protocol}; {reasons(closed[:1])}."
        yield Finding.of(code, workload(pod).owner, problem, at=at)


def _has_other_dns(network: Network, side: Side) -> bool:
    """Tell whether a rule leads to another DNS server, or may do so by labels that are not known here."""
    return any(
        peer.namespace != DNS.namespace and (rule.ports or not any(network.matching(peer)))
        for policy in side.policies
        for rule in policy.rules["Egress"]
        if rule.opens(("UDP", 53), DNS) or rule.opens(("UDP", 5353), DNS)
        for peer in rule.peers or ()
    )


def _public(traffic: Traffic) -> Iterator[Finding]:
    """Yield the ports that Services open to the world and policies close."""
    world = Outside("the world", ANYWHERE)
    for offer in traffic.public:
        item = offer.item
        if traffic.model.is_patched(item.path, item.kind, item.name, "spec.type"):
            continue
        side = traffic.network.side("Ingress", offer.target, world, offer.port)
        if not side.allows and is_certain(traffic, [side]):
            opened = f"it opens port {port_text(offer.port)} of {offer.target} to the world"
            yield Finding.of("public-port-closed", offer.item, f"{opened}; {reasons([side])}.", at=offer.at)


def _scrapes(traffic: Traffic) -> Iterator[Finding]:
    """Yield the ports that Prometheus is to scrape and cannot call."""
    for offer in traffic.scrapes:
        who, closed = _closed_to_prometheus(traffic, offer)
        if closed and is_certain(traffic, closed):
            problem = f"{who} is to scrape port {port_text(offer.port)} of {offer.target}; {reasons(closed)}."
            yield Finding.of("metrics-blocked", offer.item, problem, at=offer.at)


def _closed_to_prometheus(traffic: Traffic, offer: Offer) -> tuple[str, list[Side]]:
    """Return what is called Prometheus here, and the sides that are closed to it; none if it gets through."""
    network = traffic.network
    connections = [network.connection(pod, offer.target, offer.port) for pod in traffic.prometheus]
    if connections:
        is_open = any(connection.allowed for connection in connections)
        return str(connections[0].egress.end), [] if is_open else connections[0].closed
    # Prometheus is unknown here, so any ingress rule for the port may be meant for it.
    policies = network.isolating(offer.target, "Ingress")
    rules = [rule for policy in policies for rule in policy.rules["Ingress"]]
    is_open = not policies or any(rule.opens(offer.port, offer.target) for rule in rules)
    return "Prometheus", [] if is_open else [Side("Ingress", offer.target, policies, ())]


def _outside(traffic: Traffic) -> Iterator[Finding]:
    """Yield the pods that cannot call the Kubernetes API, or a host outside of the cluster that they are given."""
    network = traffic.network
    for pod in traffic.api_users:
        sides = [network.side("Egress", pod, API, port) for port in API_PORTS]
        if not any(side.allows for side in sides) and is_certain(traffic, sides):
            has = f"{pod} has the token of a ServiceAccount with a role and cannot call the Kubernetes API"
            at = f"{workload(pod).path}.serviceAccountName"
            yield Finding.of("api-blocked", workload(pod).owner, f"{has}; {reasons(sides[:1])}.", at=at)
    for pod, call in traffic.outside_calls:
        side = network.side("Egress", pod, Outside(call.host, INTERNET), ("TCP", call.port))
        if not side.allows and is_certain(traffic, [side]):
            given = f"{pod} is given the host {call.host}, port {call.port}"
            yield Finding.of("internet-blocked", workload(pod).owner, f"{given}; {reasons([side])}.", at=call.at)


def _unisolated(traffic: Traffic) -> Iterator[Finding]:
    """Yield the namespaces and pods that no policy is about."""
    network, model = traffic.network, traffic.model
    with_policies = {policy.namespace for policy in network.policies}
    for namespace, found in model.pods_by_namespace.items():
        is_known = traffic.is_known(namespace) and namespace not in model.open_namespaces
        if namespace not in with_policies and is_known:
            where = _where(namespace)
            names = listed(sorted(pods.owner.name for pods in found))
            problem = f"{where} has {plural(len(found), 'workload')} ({names}) and no NetworkPolicy."
            yield Finding.of("namespace-without-policies", model.get("Namespace", "", namespace), problem)
    for pod in traffic.pods:
        is_known = traffic.is_known(pod.namespace) and pod.namespace not in model.open_namespaces
        is_closed = pod.namespace in with_policies and is_known
        isolated = any(network.isolating(pod, direction) for direction in DIRECTIONS)
        if is_closed and not isolated and not pod.host_network:
            problem = f"{_where(pod.namespace)} has policies, and none of them is about {pod}."
            at = f"{workload(pod).path.removesuffix('.spec')}.metadata.labels"
            yield Finding.of("pods-not-isolated", workload(pod).owner, problem, at=at)


def _where(namespace: str) -> str:
    return f"the namespace {namespace}" if namespace else "what names no namespace"


def _pods_of_charts(traffic: Traffic) -> Iterator[Finding]:
    """Yield the Applications with pods of charts that no policy is about but those for all pods of their namespace."""
    network, model = traffic.network, traffic.model
    closed: dict[str, dict[str, Pod]] = {}
    for pod in network.pods:
        owner = pod.workload.owner if pod.workload else None
        if owner is None or owner.path not in model.homes or not owner.phases or pod.host_network:
            continue
        policies = {policy for direction in DIRECTIONS for policy in network.isolating(pod, direction)}
        if policies and all(str(policy.selector) == str(Selector({})) for policy in policies):
            closed.setdefault(owner.path.removeprefix(CHART).partition("/")[0], {})[pod.name] = pod
    for application in model.applications:
        if application.item and (found := closed.get(application.name)):
            names = listed([str(pod) for _, pod in sorted(found.items())], 5)
            texts = [_access(pod, calls_api=pod in traffic.api_users) for _, pod in sorted(found.items())]
            fix = f"Add {', '.join(texts)} to access=[…] of the chart, with what else these pods exchange."
            problem = f"No policy is about {names} but those that close the namespace."
            yield Finding.of("chart-pods-closed", application.item, problem, fix=fix)


def _access(pod: Pod, *, calls_api: bool) -> str:
    """Return the PodAccess of some pods: by the labels that their workload selects them by, if it does."""
    selector = mapping(mapping(pod.workload.owner.spec.get("selector")).get("matchLabels")) if pod.workload else {}
    labels = ", ".join(f'"{key}": "{value}"' for key, value in (selector or pod.labels).items())
    return f'PodAccess("{pod.name}", {{{labels}}}{", kubernetes_api=True" * calls_api})'


PROOF = Proof(
    "reachability",
    "The network lets through what is called, and nothing that nobody calls.",
    prove,
    lambda model: plural(len(model.once(Traffic).network.policies), "policy", "policies"),
)

"""Whether what pods wait for answers with the NetworkPolicies that are there by then."""

from collections.abc import Iterator

from constructs_lib.check.calls import Calls
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.network import Network, Pod, Policy, Side
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.check.reachability.explanation import is_certain
from constructs_lib.check.traffic import Traffic, workload


def prove_openings(model: ClusterModel) -> Iterator[Finding]:
    """Yield the waits for an answer that only a NetworkPolicy of a later wave would let through."""
    traffic, timeline = model.once(Traffic), model.once(Timeline)
    awaited = {(call.source.owner, call.at) for call in model.once(Calls).inside if call.is_awaited}
    networks: dict[frozenset[int], Network] = {}
    seen: set[tuple[Pod, Pod]] = set()
    for call in traffic.calls:
        owner = workload(call.source).owner
        target = call.target.workload
        # Of what itself comes later, there is another finding.
        is_there = target is None or timeline.compare(target.owner, owner) <= 0
        if (owner, call.at) not in awaited or (call.source, call.target) in seen or not is_there:
            continue
        connections = [traffic.network.connection(call.source, call.target, port) for port in call.ports]
        opening = {policy.item for each in connections for side in (each.egress, each.ingress) for policy in _of(side)}
        later = {item for item in opening if timeline.compare(item, owner) > 0}
        if not later or not any(each.allowed for each in connections):
            continue
        key = frozenset(map(id, later))
        if key not in networks:
            kept: list[Policy] = [policy for policy in traffic.network.policies if policy.item not in later]
            networks[key] = Network(kept, traffic.network.namespaces, traffic.network.pods)
        before = [networks[key].connection(call.source, call.target, port) for port in call.ports]
        if not any(each.allowed for each in before) and is_certain(traffic, before[0].closed):
            seen.add((call.source, call.target))
            policy = min(later, key=lambda item: item.name)
            when = timeline.where(policy, owner)
            problem = f"It waits for {call.target}, which the {policy.kind} {policy.name} opens, and that comes {when}."
            yield Finding.of("policy-in-later-wave", owner, problem, at=call.at)


def _of(side: Side) -> Iterator[Policy]:
    """Yield the policies that let a connection through on a side."""
    return (policy for policy, _, _ in side.rules)

"""What findings about the network say: which policies close a connection, and what would open it."""

from collections.abc import Iterable, Sequence
from itertools import islice

from constructs_lib.check.network import Connection, End, Outside, Pod, Port, Side, port_text
from constructs_lib.check.traffic import Traffic
from constructs_lib.text import listed, within


def is_certain(traffic: Traffic, closed: Iterable[Side]) -> bool:
    """Tell whether the tree has all policies that may open some closed sides, and all of them are read.

    Charts may bring policies of their own, which would open their namespace where those of the tree do not. But whoever
    wrote policies for these very pods knows what they need.
    """
    return all(
        isinstance(side.end, Pod)
        and traffic.is_known(side.end.namespace)
        and (
            side.end.namespace not in traffic.model.open_namespaces
            or any(not policy.selector.is_empty for policy in side.policies)
        )
        for side in closed
    )


def reasons(closed: Iterable[Side]) -> str:
    """Return which sides are closed, and the policies that close them."""
    return " and ".join(
        f"the {side.direction.lower()} of {side.end} is closed to that by "
        f"{listed(dict.fromkeys(policy.name for policy in side.policies), 6)}"
        for side in closed
    )


def fix(traffic: Traffic, connection: Connection, port: Port) -> str:
    """Return what would open a connection at a port."""
    return f"{'; '.join(_rule(traffic, connection, side, port) for side in connection.closed)}."


def _rule(traffic: Traffic, connection: Connection, side: Side, port: Port) -> str:
    """Return which rule a closed side needs, or which rule of it has another port."""
    peer: End = connection.ingress.end if side.direction == "Egress" else connection.egress.end
    for policy in side.policies:
        for rule, by in policy.permits(side.direction, peer, traffic.network.namespaces):
            if by is not None:
                has = f"not about port {port_text(port)}, which is the one that the containers have"
                return f"NetworkPolicy {policy.name} is about these pods in {rule.path} and {has}"
    own = next((policy.name for policy in side.policies if not policy.selector.is_empty), None)
    words = "egress rule to" if side.direction == "Egress" else "ingress rule from"
    who = own or f"for {_described(side.end)}"
    return f"NetworkPolicy {who} needs an {words} {_described(peer)}, port {port_text(port)}"


def _described(end: End) -> str:
    if isinstance(end, Outside):
        return str(end)
    labels = [pair for pair in end.labels.items() if pair[0] == "app.kubernetes.io/name"]
    pairs = labels or islice(end.labels.items(), 2)
    return f"pods {', '.join(f'{key}={value}' for key, value in pairs)}{within(end.namespace)}"


def port_list(ports: Sequence[Port], most: int = 3) -> str:
    """Return ports as a list for people, which is cut where it gets long."""
    return listed(map(port_text, ports), most)

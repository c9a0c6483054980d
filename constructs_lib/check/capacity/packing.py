"""Whether pods fit on nodes, one by one and not only as a sum.

The scheduler places pods as they come and moves none, so nothing here looks for the best packing: pods are placed from
the largest to the smallest, in some orders and manners, and what fits in none of them fits by luck at best.
https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/ and
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from constructs_lib.check.network import Selector


class Amount(NamedTuple):
    """What a pod asks for, or a node has.

    Attributes:
        cpu: Processor, in thousandths of a core.
        memory: Memory in bytes.
        disk: Storage of the node itself in bytes.
        volumes: Volumes that are attached.
        pods: Pods.
    """

    cpu: int = 0
    memory: int = 0
    disk: int = 0
    volumes: int = 0
    pods: int = 0

    def plus(self, other: Amount) -> Amount:
        """Return the sum of both."""
        return Amount(*(own + more for own, more in zip(self, other, strict=True)))

    def minus(self, other: Amount) -> Amount:
        """Return what is left."""
        return Amount(*(own - less for own, less in zip(self, other, strict=True)))

    def times(self, number: int) -> Amount:
        """Return so many times as much."""
        return Amount(*(own * number for own in self))

    def fits(self, free: Amount) -> bool:
        """Tell whether it is no more than what is free."""
        return (
            self.cpu <= free.cpu
            and self.memory <= free.memory
            and self.disk <= free.disk
            and self.volumes <= free.volumes
            and self.pods <= free.pods
        )


@dataclass(frozen=True, eq=False)
class Spread:
    """A topology spread constraint over nodes that must hold.

    Attributes:
        selector: Which pods of the namespace count.
        most_skew: By how many a node may have more of them than another.
        least_nodes: While there are fewer nodes than these, the node with the fewest counts as if it had none.
    """

    selector: Selector
    most_skew: int
    least_nodes: int = 0


@dataclass(frozen=True, eq=False)
class Item:
    """A pod to be placed.

    Attributes:
        name: The workload that it belongs to.
        amount: What it asks for.
        namespace: Its namespace.
        labels: Its labels.
        spreads: How it must be spread over the nodes.
        repels: Pods of its namespace that it shares no node with, whichever of them comes first.
        claims: Claims that others may use as well: only on the same node, where they take one place for a volume.
    """

    name: str
    amount: Amount
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    spreads: tuple[Spread, ...] = ()
    repels: tuple[Selector, ...] = ()
    claims: tuple[str, ...] = ()


def pack(items: Sequence[Item], nodes: Sequence[Amount]) -> list[Item]:
    """Return the pods for which there is no place.

    Args:
        items: All pods.
        nodes: What each node has.
    """
    capacity = sum_of(nodes)
    best: list[Item] = list(items)
    for measure, choose in _MANNERS:
        ordered = sorted(items, key=lambda item: (not (item.spreads or item.repels), -measure(item.amount, capacity)))
        left = _place(ordered, nodes, choose)
        best = min(best, left, key=len)
        if not best:
            break
    return best


def sum_of(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of some amounts."""
    total = Amount()
    for amount in amounts:
        total = total.plus(amount)
    return total


def _largest_share(amount: Amount, capacity: Amount) -> float:
    return max(own / all_ if all_ else float(own > 0) for own, all_ in zip(amount, capacity, strict=True))


def _emptiest(places: list[_Node]) -> _Node:
    return max(places, key=lambda node: min(node.free.cpu / node.whole.cpu, node.free.memory / node.whole.memory))


def _first(places: list[_Node]) -> _Node:
    return places[0]


class _Node:
    """A node while pods are placed on it."""

    def __init__(self, whole: Amount) -> None:
        self.whole = whole
        self.free = whole
        self.claims: set[str] = set()
        self._placed: dict[str, list[Item]] = defaultdict(list)
        self._counts: dict[tuple[str, Selector], int] = {}
        self._repelled: dict[str, set[Selector]] = defaultdict(set)

    def count(self, namespace: str, selector: Selector) -> int:
        """Return how many pods of a namespace it has that a selector means."""
        key = namespace, selector
        if key not in self._counts:
            self._counts[key] = sum(selector.matches(item.labels) for item in self._placed[namespace])
        return self._counts[key]

    def has_room(self, item: Item) -> bool:
        """Tell whether a pod fits, and gets along with those that are there."""
        asked = item.amount
        if item.claims:
            asked = asked.plus(Amount(volumes=sum(claim not in self.claims for claim in item.claims)))
        return (
            asked.fits(self.free)
            and not any(self.count(item.namespace, selector) for selector in item.repels)
            and not any(selector.matches(item.labels) for selector in self._repelled[item.namespace])
        )

    def add(self, item: Item) -> None:
        """Place a pod."""
        new = set(item.claims) - self.claims
        self.claims |= new
        self.free = self.free.minus(item.amount.plus(Amount(volumes=len(new))))
        self._placed[item.namespace].append(item)
        self._repelled[item.namespace].update(item.repels)
        for namespace, selector in self._counts:
            if namespace == item.namespace and selector.matches(item.labels):
                self._counts[namespace, selector] += 1


def _place(items: Iterable[Item], nodes: Sequence[Amount], choose: Callable[[list[_Node]], _Node]) -> list[Item]:
    places = [_Node(whole) for whole in nodes]
    left = []
    for item in items:
        possible = _spread(item, places, [node for node in _with_claims(item, places) if node.has_room(item)])
        if possible:
            choose(possible).add(item)
        else:
            left.append(item)
    return left


def _with_claims(item: Item, places: list[_Node]) -> list[_Node]:
    """Return the nodes that have a claim of the pod attached, if any has."""
    if not item.claims:
        return places
    return [node for node in places if node.claims.intersection(item.claims)] or places


def _spread(item: Item, places: list[_Node], possible: list[_Node]) -> list[_Node]:
    """Return the nodes on which the pod is not too many of its kind."""
    for spread in item.spreads:
        counts = {id(node): node.count(item.namespace, spread.selector) for node in places}
        fewest = min(counts.values(), default=0) if len(places) >= spread.least_nodes else 0
        own = int(spread.selector.matches(item.labels))
        possible = [node for node in possible if counts[id(node)] + own - fewest <= spread.most_skew]
    return possible


#: By which measure the largest comes first, and which of the nodes it gets. The first is what the scheduler does.
_MANNERS: tuple[tuple[Callable[[Amount, Amount], float], Callable[[list[_Node]], _Node]], ...] = (
    (_largest_share, _emptiest),
    (_largest_share, _first),
    (lambda amount, capacity: amount.memory, _first),
    (lambda amount, capacity: amount.cpu, _first),
)

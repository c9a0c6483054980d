"""Whether pods fit on nodes one by one, and not only as a sum.

The scheduler places pods as they come and never moves them, so this does not search for the best packing. It places the
pods from the largest to the smallest by a few strategies. Pods that fit with none of these would fit by luck at best.
https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/ and
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
"""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from constructs_lib.kubernetes.selectors import Selector


class Amount(NamedTuple):
    """What a pod requests, or a node has.

    Attributes:
        cpu: Thousandths of a core.
        memory: Bytes of memory.
        disk: Bytes of the disk of the node (ephemeral storage).
        volumes: Attached volumes.
    """

    cpu: int = 0
    memory: int = 0
    disk: int = 0
    volumes: int = 0
    pods: int = 0

    def plus(self, other: Amount) -> Amount:
        """Return the sum."""
        return Amount(*map(operator.add, self, other))

    def minus(self, other: Amount) -> Amount:
        """Return the difference."""
        return Amount(*map(operator.sub, self, other))

    def times(self, number: int) -> Amount:
        """Return a multiple."""
        return Amount(*(own * number for own in self))

    def fits(self, free: Amount) -> bool:
        """Tell whether it is at most what is free."""
        return all(map(operator.le, self, free))


@dataclass(frozen=True, eq=False)
class Spread:
    """A topology spread constraint over nodes, which must hold.

    Attributes:
        selector: Selects the pods of the namespace that count.
        most_skew: How many more of them a node may have than the node with the fewest (``maxSkew``).
        least_nodes: With fewer nodes than these, the fewest counts as 0 (``minDomains``).
    """

    selector: Selector
    most_skew: int
    least_nodes: int = 0


@dataclass(frozen=True, eq=False)
class Item:
    """A pod that needs a place on a node.

    Attributes:
        name: Its workload.
        amount: What it requests.
        spreads: How it must be spread over the nodes.
        repels: Selects pods of its namespace that must be on other nodes, whichever comes first.
        claims: Claims that it may share with pods on the same node, where each counts as one volume.
    """

    name: str
    amount: Amount
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    spreads: tuple[Spread, ...] = ()
    repels: tuple[Selector, ...] = ()
    claims: tuple[str, ...] = ()


def pack(items: Sequence[Item], nodes: Sequence[Amount]) -> list[Item]:
    """Return the pods that find no place."""
    capacity = sum_of(nodes)
    best: list[Item] = list(items)
    for measure, choose in _STRATEGIES:
        ordered = sorted(items, key=lambda item: (not (item.spreads or item.repels), -measure(item.amount, capacity)))
        best = min(best, _place(ordered, nodes, choose), key=len)
        if not best:
            break
    return best


def sum_of(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of some amounts."""
    return functools.reduce(Amount.plus, amounts, Amount())


def _largest_share(amount: Amount, capacity: Amount) -> float:
    return max(own / all_ if all_ else float(own > 0) for own, all_ in zip(amount, capacity, strict=True))


def _emptiest(places: list[_Node]) -> _Node:
    return max(places, key=lambda node: min(node.free.cpu / node.whole.cpu, node.free.memory / node.whole.memory))


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
        """Return how many pods of a namespace on it a selector matches."""
        key = namespace, selector
        if key not in self._counts:
            self._counts[key] = sum(selector.matches(item.labels) for item in self._placed[namespace])
        return self._counts[key]

    def has_room(self, item: Item) -> bool:
        """Tell whether a pod fits on it, beside the pods that are there."""
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
        # A claim that is attached to some node leads to it.
        attached = [node for node in places if node.claims.intersection(item.claims)] if item.claims else []
        possible = _spread(item, places, [node for node in attached or places if node.has_room(item)])
        if possible:
            choose(possible).add(item)
        else:
            left.append(item)
    return left


def _spread(item: Item, places: list[_Node], possible: list[_Node]) -> list[_Node]:
    """Return the nodes on which the pod keeps its spread constraints."""
    for spread in item.spreads:
        counts = {id(node): node.count(item.namespace, spread.selector) for node in places}
        fewest = min(counts.values(), default=0) if len(places) >= spread.least_nodes else 0
        own = int(spread.selector.matches(item.labels))
        possible = [node for node in possible if counts[id(node)] + own - fewest <= spread.most_skew]
    return possible


#: The strategies: by which measure the largest pod comes first, and which node it gets. The first is the scheduler's.
_STRATEGIES: tuple[tuple[Callable[[Amount, Amount], float], Callable[[list[_Node]], _Node]], ...] = (
    (_largest_share, _emptiest),
    (_largest_share, operator.itemgetter(0)),
    (lambda amount, capacity: amount.memory, operator.itemgetter(0)),
    (lambda amount, capacity: amount.cpu, operator.itemgetter(0)),
)

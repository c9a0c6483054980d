"""Chains and cycles of things that come after others."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

Node = TypeVar("Node")


def longest_chains(targets: Mapping[Node, Iterable[Node]]) -> dict[Node, int]:
    """Return the length of the longest chain below every node, given those that it comes after; 0 without any.

    Raises:
        CycleError: Nodes come after each other.
    """
    lengths: dict[Node, int] = {}
    for node in TopologicalSorter(targets).static_order():
        lengths[node] = max((lengths[target] + 1 for target in targets.get(node, ())), default=0)
    return lengths


def cycles(targets: Mapping[Node, Iterable[Node]], most: int = 10) -> list[list[Node]]:
    """Return cycles, no two of which share a node: each node of one comes after the next, the last after the first.

    No more than ``most`` are looked for; who has more has one cause for them.
    """
    found: list[list[Node]] = []
    rest = {node: list(after) for node, after in targets.items()}
    while len(found) < most:
        try:
            TopologicalSorter(rest).prepare()
        except CycleError as error:
            # It begins and ends with the same node, and every node in it comes before the next.
            cycle: list[Node] = error.args[1][:0:-1]
            first = cycle.index(next(node for node in rest if node in cycle))
            found.append(cycle[first:] + cycle[:first])
            rest = {
                node: [target for target in after if target not in cycle]
                for node, after in rest.items()
                if node not in cycle
            }
        else:
            break
    return found

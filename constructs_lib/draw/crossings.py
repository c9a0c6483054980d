"""The order of what stands in a column: such that few lines cross. Barycentres, sweep by sweep, then swaps."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise

from constructs_lib.draw.nets import Item

_SWEEPS = 8
_SWAPS = 4
#: Between two items at positions that differ by 1 lie their terminals.
_Place = tuple[int, int]


def arrange(columns: list[list[Item]]) -> None:
    """Order the items of all columns.

    Args:
        columns: The items of each column; reordered in place.
    """
    best, fewest = [[*column] for column in columns], _crossings(columns)
    for sweep in range(_SWEEPS):
        rightwards = sweep % 2 == 0
        numbers = range(1, len(columns)) if rightwards else range(len(columns) - 2, -1, -1)
        for number in numbers:
            _sort(columns, number, leftmost=not rightwards)
        _swap(columns)
        if (count := _crossings(columns)) < fewest:
            best, fewest = [[*column] for column in columns], count
    columns[:] = best


def _places(column: Sequence[Item]) -> dict[Item, int]:
    return {item: number for number, item in enumerate(column)}


def _neighbours(item: Item, places: dict[Item, int], *, leftmost: bool) -> list[_Place]:
    """Return where what an item is connected to stands, in the column at one of its sides."""
    return sorted(
        (places[other.item], other.offset)
        for terminal in item.terminals
        if terminal.leftmost is leftmost
        for other in terminal.across
    )


def _sort(columns: list[list[Item]], number: int, *, leftmost: bool) -> None:
    """Order a column by the places of what its items are connected to."""
    column, beside = columns[number], columns[number + (1 if leftmost else -1)]
    places = _places(beside)
    wanted: dict[Item, float] = {}
    for place, item in enumerate(column):
        found = _neighbours(item, places, leftmost=leftmost)
        # The finest step is a part of an item: an offset counts for as much as the height of its item allows.
        wanted[item] = (
            sum(at + 0.5 * offset / (1 + beside[at].height) for at, offset in found) / len(found)
            if found
            else place * len(beside) / len(column)
        )
    column.sort(key=lambda item: wanted[item])


def _swap(columns: list[list[Item]]) -> None:
    """Swap neighbours as long as that takes crossings away."""
    for _ in range(_SWAPS):
        swapped = False
        for number, column in enumerate(columns):
            sides = [
                (_places(columns[number + step]), leftmost)
                for step, leftmost in ((-1, False), (1, True))
                if 0 <= number + step < len(columns)
            ]
            around = {
                item: [_neighbours(item, places, leftmost=leftmost) for places, leftmost in sides] for item in column
            }
            for place in range(len(column) - 1):
                upper, lower = column[place], column[place + 1]
                pairs = [*zip(around[upper], around[lower], strict=True)]
                if sum(_inversions(a, b) - _inversions(b, a) for a, b in pairs) > 0:
                    column[place], column[place + 1] = lower, upper
                    swapped = True
        if not swapped:
            return


def _inversions(upper: list[_Place], lower: list[_Place]) -> int:
    return sum(len(upper) - bisect_right(upper, place) for place in lower)


def _crossings(columns: Sequence[Sequence[Item]]) -> int:
    total = 0
    for left, right in pairwise(columns):
        places = _places(right)
        seen: list[_Place] = []
        for item in left:
            starts = sorted((terminal for terminal in item.terminals if terminal.leftmost), key=lambda t: t.offset)
            for terminal in starts:
                ends = [(places[other.item], other.offset) for other in terminal.across]
                total += sum(len(seen) - bisect_right(seen, end) for end in ends)
                for end in ends:
                    insort(seen, end)
    return total

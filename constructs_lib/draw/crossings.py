"""The order of what stands in a column: such that few lines cross. Barycentres, sweep by sweep, then swaps."""

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise

from constructs_lib.draw.nets import Item

_SWEEPS = 8
_SWAPS = 4


def arrange(columns: list[list[Item]]) -> None:
    """Order the items of each column, in place."""
    for column in columns:
        _number(column)
    best, fewest = [[*column] for column in columns], _crossings(columns)
    for sweep in range(_SWEEPS):
        leftwards = sweep % 2 == 1
        for beside, column in pairwise(columns[::-1] if leftwards else columns):
            _sort(column, len(beside), leftmost=leftwards)
        _swap(columns)
        if (count := _crossings(columns)) < fewest:
            best, fewest = [[*column] for column in columns], count
    columns[:] = best


def _number(column: Sequence[Item]) -> None:
    for number, item in enumerate(column):
        item.number = number


def _neighbours(item: Item, *, leftmost: bool) -> list[float]:
    """Return where what an item is connected to stands, in the column at one of its sides."""
    return sorted(
        other.place for terminal in item.terminals if terminal.leftmost is leftmost for other in terminal.across
    )


def _sort(column: list[Item], beside: int, *, leftmost: bool) -> None:
    """Order a column by the mean of what its items are connected to in the next one, which has so many items."""
    wanted: dict[Item, float] = {}
    for item in column:
        found = _neighbours(item, leftmost=leftmost)
        wanted[item] = sum(found) / len(found) if found else item.number * beside / len(column)
    column.sort(key=lambda item: wanted[item])
    _number(column)


def _swap(columns: list[list[Item]]) -> None:
    """Swap neighbours as long as that takes crossings away."""
    for _ in range(_SWAPS):
        swapped = False
        for column in columns:
            around = {item: [_neighbours(item, leftmost=leftmost) for leftmost in (False, True)] for item in column}
            for place in range(len(column) - 1):
                upper, lower = column[place : place + 2]
                pairs = zip(around[upper], around[lower], strict=True)
                if sum(_inversions(a, b) - _inversions(b, a) for a, b in pairs) > 0:
                    column[place : place + 2] = lower, upper
                    swapped = True
            _number(column)
        if not swapped:
            return


def _inversions(upper: list[float], lower: list[float]) -> int:
    return sum(len(upper) - bisect_right(upper, place) for place in lower)


def _crossings(columns: Sequence[Sequence[Item]]) -> int:
    total = 0
    for column in columns:
        seen: list[float] = []
        starts = [terminal for item in column for terminal in item.terminals if terminal.leftmost]
        for terminal in sorted(starts, key=lambda terminal: terminal.place):
            ends = [other.place for other in terminal.across]
            total += _inversions(seen, ends)
            for end in ends:
                insort(seen, end)
    return total

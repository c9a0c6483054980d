"""Where items stand in their columns.

The order is one in which few lines cross: barycentres, sweep by sweep, then swaps. Then items are moved towards what
they are connected to, as far as their order lets them.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import fmean, median

from constructs_lib.draw.boxes import GRID
from constructs_lib.draw.nets import Item, Terminal

#: How often columns are ordered, neighbours swapped, and items moved.
_ORDER_SWEEPS, _SWAPS, _MOVE_SWEEPS = 8, 4, 12
#: A long line that is straight is worth more than a box at the height of its neighbours.
_PASSING_WEIGHT = 4
_UNCONNECTED_WEIGHT = 0.001
#: By how much a line is moved that would lie on another one.
_SHIFT = 4


def arrange(columns: list[list[Item]]) -> None:
    """Order the items of each column, in place."""
    for column in columns:
        _number(column)
    best, fewest = [[*column] for column in columns], _crossings(columns)
    for sweep in range(_ORDER_SWEEPS):
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


def place(columns: Sequence[Sequence[Item]]) -> None:
    """Set the heights of all items, which stand in their order, and the shifts of their terminals."""
    for column in columns:
        for item, least in zip(column, _least(column), strict=True):
            item.y = least
    for sweep in range(_MOVE_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            _align(column)
    for before, column in pairwise([(), *columns]):
        _align(column, leftwards=True)
        _snap(column, before)
    match columns[0]:
        case [Item(terminals=[terminal]) as item] if len(terminal.others) == 1:
            # Who stands alone before all others, with one line, stands at the height at which that ends.
            item.y += terminal.others[0].y - terminal.y
    top = min((item.y for column in columns for item in column), default=0)
    for column in columns:
        for item in column:
            item.y -= top


def _least(column: Sequence[Item]) -> list[int]:
    """Return the heights of a column's items when they stand as close together as they may."""
    distances = (
        upper.height + (2 * GRID if upper.height and lower.height else GRID) for upper, lower in pairwise(column)
    )
    return [*accumulate(distances, initial=0)][: len(column)]


def _align(column: Sequence[Item], *, leftwards: bool = False) -> None:
    """Move a column's items to where they want to be, as near as their order and distances allow.

    The sum of the squared, weighted distances becomes minimal: pool adjacent violators, after the least distances
    have been taken off.
    """
    blocks: list[tuple[float, float, int]] = []
    bases = _least(column)
    for item, base in zip(column, bases, strict=True):
        wanted, weight = _wish(item, leftwards=leftwards)
        mean, count = wanted - base, 1
        while blocks and blocks[-1][0] > mean:
            other, other_weight, other_count = blocks.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight += other_weight
            count += other_count
        blocks.append((mean, weight, count))
    positions = [mean for mean, _, count in blocks for _ in range(count)]
    for item, position, base in zip(column, positions, bases, strict=True):
        item.y = position + base


def _wish(item: Item, *, leftwards: bool) -> tuple[float, float]:
    """Return the height at which an item would have straight lines, and how much that counts.

    With ``leftwards``, lines that pass through go on as they come from the left.
    """
    wishes = []
    for terminal in item.terminals:
        if leftwards and not item.height and terminal.leftmost:
            continue
        if across := terminal.across:
            wishes.append(sum(other.item.y + other.offset for other in across) / len(across) - terminal.offset)
    if not wishes:
        return item.y, _UNCONNECTED_WEIGHT
    # The median: one line straight is better than all a little bent.
    return median(wishes), 1 if item.height else _PASSING_WEIGHT


def _snap(column: Sequence[Item], before: Sequence[Item]) -> None:
    """Put a column's items on the grid, such that no line lies on one that comes from the column before."""
    taken = {terminal.y: terminal.net for item in before for terminal in item.terminals if terminal.leftmost}

    def is_taken(terminal: Terminal) -> bool:
        return taken.get(terminal.y, terminal.net) is not terminal.net

    bases = _least(column)
    for number, item in enumerate(column):
        item.y = round(item.y / GRID) * GRID
        if number:
            least = column[number - 1].y + bases[number] - bases[number - 1]
            # What is connected to nothing stands at the end of its column.
            item.y = max(item.y, least) if item.terminals else least
        for terminal in item.terminals:
            if not terminal.leftmost:
                # A line that passes through is left terminal of the next gutter, and so has to stay on the grid.
                terminal.shift = 0
                while item.height == 0 and is_taken(terminal):
                    item.y += GRID
                terminal.shift = _SHIFT if is_taken(terminal) else 0


def permute(columns: Sequence[Sequence[Item]]) -> None:
    """Let the lines at one side of a part leave in the order in which they arrive elsewhere, once all are placed."""
    for column in columns:
        for item in column:
            groups: dict[tuple[str, bool], list[Terminal]] = {}
            for terminal in item.terminals:
                groups.setdefault((terminal.part, terminal.leftmost), []).append(terminal)
            for group in groups.values():
                offsets = sorted(terminal.offset for terminal in group)
                # A line around a column comes back at the side at which it arrives.
                group.sort(key=lambda terminal: fmean(other.y for other in terminal.across or terminal.others))
                for terminal, offset in zip(group, offsets, strict=True):
                    terminal.offset = offset

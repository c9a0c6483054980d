"""Heights: items are moved towards what they are connected to, as far as their order lets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from constructs_lib.draw.boxes import GRID
from constructs_lib.draw.nets import Item, Terminal

_SWEEPS = 12
#: A long line that is straight is worth more than a box at the height of its neighbours.
_PASSING_WEIGHT = 4
_UNCONNECTED_WEIGHT = 0.001
#: By how much a line is moved that would lie on another one.
_SHIFT = 4


def place(columns: Sequence[Sequence[Item]]) -> None:
    """Set the heights of all items and the shifts of their terminals.

    Args:
        columns: The items of each column, in their order.
    """
    for column in columns:
        at = 0
        for upper, item in zip([None, *column], column, strict=False):
            at += _distance(upper, item)
            item.y = at
    exact: dict[Item, float] = {item: item.y for column in columns for item in column}
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            _align(column, exact)
    for before, column in zip([(), *columns], columns, strict=False):
        _align(column, exact, leftwards=True)
        _snap(column, before, exact)
    _straighten_entry(columns)
    top = min((item.y for column in columns for item in column), default=0)
    for column in columns:
        for item in column:
            item.y -= top


def _distance(upper: Item | None, lower: Item) -> int:
    """Return the least distance between the upper edges of two neighbours."""
    if upper is None:
        return 0
    return upper.height + (2 * GRID if upper.height and lower.height else GRID)


def _align(column: Sequence[Item], exact: dict[Item, float], *, leftwards: bool = False) -> None:
    """Move a column's items to where they want to be, as near as their order and distances allow.

    The sum of the squared, weighted distances becomes minimal: pool adjacent violators, after the least distances
    have been taken off.

    Args:
        column: The items.
        exact: The heights of all items.
        leftwards: Let lines that pass through go on as they come from the left.
    """
    blocks: list[tuple[float, float, int]] = []
    bases = []
    base = 0
    for upper, item in zip([None, *column], column, strict=False):
        base += _distance(upper, item)
        bases.append(base)
        wanted, weight = _wish(item, exact, leftwards=leftwards)
        mean, count = wanted - base, 1
        while blocks and blocks[-1][0] > mean:
            other, other_weight, other_count = blocks.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight += other_weight
            count += other_count
        blocks.append((mean, weight, count))
    positions = [mean for mean, _, count in blocks for _ in range(count)]
    for item, position, base in zip(column, positions, bases, strict=True):
        exact[item] = position + base


def _wish(item: Item, exact: Mapping[Item, float], *, leftwards: bool) -> tuple[float, float]:
    wishes = []
    for terminal in item.terminals:
        if leftwards and item.box is None and terminal.leftmost:
            continue
        across = [
            exact[other.item] + other.offset
            for other in terminal.net.terminals[terminal.gutter]
            if other.leftmost is not terminal.leftmost
        ]
        if across:
            wishes.append(sum(across) / len(across) - terminal.offset)
    if not wishes:
        return exact[item], _UNCONNECTED_WEIGHT
    # The median: one line straight is better than all a little bent.
    wishes.sort()
    middle = wishes[len(wishes) // 2] if len(wishes) % 2 else sum(wishes[len(wishes) // 2 - 1 :][:2]) / 2
    return middle, float(_PASSING_WEIGHT if item.height == 0 else 1)


def _snap(column: Sequence[Item], before: Sequence[Item], exact: dict[Item, float]) -> None:
    """Put a column's items on the grid, such that no line lies on one that comes from the column before."""
    taken = {
        (terminal.gutter, terminal.y): terminal.net
        for item in before
        for terminal in item.terminals
        if terminal.leftmost
    }

    def is_taken(terminal: Terminal) -> bool:
        return taken.get((terminal.gutter, terminal.y), terminal.net) is not terminal.net

    for upper, item in zip([None, *column], column, strict=False):
        item.y = round(exact[item] / GRID) * GRID
        if upper is not None:
            least = upper.y + _distance(upper, item)
            # What is connected to nothing stands at the end of its column.
            item.y = max(item.y, least) if item.terminals else least
        for terminal in item.terminals:
            if not terminal.leftmost:
                # A line that passes through is left terminal of the next gutter, and so has to stay on the grid.
                terminal.shift = 0
                while item.height == 0 and is_taken(terminal):
                    item.y += GRID
                terminal.shift = _SHIFT if is_taken(terminal) else 0
        exact[item] = item.y


def _straighten_entry(columns: Sequence[Sequence[Item]]) -> None:
    """Move who stands alone before all others, with one line, to the height at which that ends."""
    if len(columns[0]) == 1 and len(columns[0][0].terminals) == 1:
        [terminal] = columns[0][0].terminals
        ends = [other.y for other in terminal.net.terminals[0] if other is not terminal]
        if len(ends) == 1:
            terminal.item.y += ends[0] - terminal.y


def permute(columns: Sequence[Sequence[Item]]) -> None:
    """Let the lines at one side of a part leave in the order in which they arrive elsewhere.

    Args:
        columns: The items of each column, placed.
    """
    for column in columns:
        for item in column:
            groups: dict[tuple[str, bool], list[Terminal]] = {}
            for terminal in item.terminals:
                groups.setdefault((terminal.part, terminal.leftmost), []).append(terminal)
            for group in groups.values():
                offsets = sorted(terminal.offset for terminal in group)
                heights = {terminal: _mean_across(terminal) for terminal in group}
                for terminal, offset in zip(sorted(group, key=lambda t: heights[t]), offsets, strict=True):
                    terminal.offset = offset


def _mean_across(terminal: Terminal) -> float:
    others = [other for other in terminal.net.terminals[terminal.gutter] if other is not terminal]
    # A line around a column comes back at the side at which it arrives.
    across = [other.y for other in others if other.leftmost is not terminal.leftmost] or [other.y for other in others]
    return sum(across) / len(across)

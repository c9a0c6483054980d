"""Edges that may share a line: all that end at the same row, or all that one scraper begins.

The vertical parts of lines are in the gutters between columns. Those that overlap get tracks of their own, in an order
in which few of them cross what leads to the others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from constructs_lib.draw.diagram import Edge

#: Distance of two tracks, and of the first and the last to the boxes; the arrow heads need room at the right.
TRACK, BEFORE, BEHIND = 10, 16, 20
#: Least distance of two lines in one track.
_GAP = 8
#: The heights at which something leads to the left and to the right of a vertical line.
Line = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Link:
    """An edge between two nodes, by their ids; a backward one leaves at the left, and those of one net share a line."""

    edge: Edge
    source: str
    target: str
    backwards: bool
    net: Hashable


@dataclass(eq=False)
class Item:
    """What stands in a column and has lines at its left and right: a box, or a line that only passes through.

    The height of such a line is 0. ``number`` is the place among the items of the column, ``y`` the upper edge, and
    ``offsets`` are where nets touch it below that: by part, whether at the right, and net.
    """

    column: int
    height: int = 0
    y: float = 0
    number: int = 0
    offsets: dict[tuple[str, bool, Hashable], int] = field(default_factory=dict)
    terminals: list[Terminal] = field(default_factory=list)


@dataclass(eq=False)
class Terminal:
    """A place at which a net touches an item, or the part of a box with this id, so far below its upper edge.

    It leads into a gutter. The gutter with the number of a column is at the right of the column: what is leftmost in it
    is at the right of its item. The shift moves a line if another one is in its place.
    """

    net: Net
    item: Item
    part: str
    leftmost: bool
    gutter: int
    offset: int
    shift: int = 0

    @property
    def y(self) -> float:
        """Where it is."""
        return self.item.y + self.offset + self.shift

    @property
    def place(self) -> float:
        """Where it is in the order of its column: behind the number of its item, and before the next number."""
        return self.item.number + 0.5 * self.offset / (1 + self.item.height)

    @property
    def others(self) -> list[Terminal]:
        """All others of its net in its gutter."""
        return [other for other in self.net.terminals[self.gutter] if other is not self]

    @property
    def across(self) -> list[Terminal]:
        """Those at the other end of its gutter."""
        return [other for other in self.net.terminals[self.gutter] if other.leftmost is not self.leftmost]


@dataclass(eq=False)
class Net:
    """Edges that share a line.

    Attributes:
        edges: The edges, each with the terminals at its source and at its target.
        terminals: All its terminals, those of the lines that pass through columns too, by gutter.
        tracks: Where its vertical line is, by gutter; none where it goes straight on.
        passing: What passes through a column, by its number.
    """

    id: Hashable
    edges: list[tuple[Edge, Terminal, Terminal]] = field(default_factory=list)
    terminals: dict[int, list[Terminal]] = field(default_factory=dict)
    tracks: dict[int, float] = field(default_factory=dict)
    passing: dict[int, Item] = field(default_factory=dict)

    def touch(self, item: Item, part: str = "", *, leftmost: bool) -> Terminal:
        """Add a terminal, or return the one that is there."""
        for terminal in item.terminals:
            if terminal.net is self and terminal.part == part and terminal.leftmost is leftmost:
                return terminal
        gutter = item.column if leftmost else item.column - 1
        terminal = Terminal(self, item, part, leftmost, gutter, item.offsets.get((part, leftmost, self.id), 0))
        self.terminals.setdefault(gutter, []).append(terminal)
        item.terminals.append(terminal)
        return terminal

    def pass_through(self) -> dict[int, Item]:
        """Add the lines that connect its gutters through the columns between them, and return them by column."""
        for column in range(min(self.terminals) + 1, max(self.terminals) + 1):
            item = self.passing[column] = Item(column)
            self.touch(item, leftmost=False)
            self.touch(item, leftmost=True)
        return self.passing

    def line(self, gutter: int) -> Line:
        """Return its vertical line in a gutter."""
        ends = self.terminals[gutter]
        return [end.y for end in ends if end.leftmost], [end.y for end in ends if not end.leftmost]


def assign_tracks(lines: Sequence[Line]) -> list[int]:
    """Return the number of the track of each line of a gutter, from the left."""
    spans = [(min(*left, *right), max(*left, *right)) for left, right in lines]
    lefts, rights = ([sorted(line[side]) for line in lines] for side in (0, 1))

    def crossings(first: int, second: int) -> int:
        """Count how often two lines cross if the first is left of the second."""
        (top, bottom), (other_top, other_bottom) = spans[first], spans[second]
        return (
            bisect_left(rights[first], other_bottom)
            - bisect_right(rights[first], other_top)
            + bisect_left(lefts[second], bottom)
            - bisect_right(lefts[second], top)
        )

    def overlap(one: int, other: int) -> bool:
        return spans[one][0] < spans[other][1] + _GAP and spans[other][0] < spans[one][1] + _GAP

    order: list[int] = []
    for line in sorted(range(len(lines)), key=lambda number: spans[number]):
        # From the right end to the left: what changes with every line that it passes.
        best, least, change = len(order), 0, 0
        for place in range(len(order) - 1, -1, -1):
            other = order[place]
            if overlap(line, other):
                change += crossings(line, other) - crossings(other, line)
                if change < least:
                    best, least = place, change
        order.insert(best, line)
    tracks = [0] * len(lines)
    for number, line in enumerate(order):
        tracks[line] = max((tracks[other] + 1 for other in order[:number] if overlap(line, other)), default=0)
    return tracks

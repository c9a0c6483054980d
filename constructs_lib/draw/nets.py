"""Edges that may share a line: all that end at the same row, or all that one scraper begins."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from constructs_lib.draw.diagram import Edge
from constructs_lib.draw.tracks import Line


@dataclass(frozen=True)
class Link:
    """An edge, as far as the columns of its ends decide about it.

    Attributes:
        edge: The edge.
        source: Id of the node at which it begins.
        target: Id of the node at which it ends.
        backwards: Whether it leaves at the left and arrives at the right.
        key: What all edges have in common that share a line.
    """

    edge: Edge
    source: str
    target: str
    backwards: bool
    key: Hashable


@dataclass(eq=False)
class Item:
    """What stands in a column, and has lines at its left and right.

    A box is one; what is none else is a line that only passes through.

    Attributes:
        height: Its height; 0 for a line that only passes through.
        y: Its upper edge.
        terminals: Where nets touch it.
    """

    height: int = 0
    y: int = 0
    terminals: list[Terminal] = field(default_factory=list)


@dataclass(eq=False)
class Terminal:
    """A place at which a net touches an item.

    Attributes:
        net: The net.
        item: The item.
        offset: The place, relative to the upper edge of the item.
        gutter: The gutter into which it leads: that with the number of its column is at the right of the column.
        leftmost: Whether it is at the left end of the gutter, at the right of its column.
        part: Id of what it touches; empty for a line that only passes through.
        shift: By how much the line is moved, because another one is in its place.
    """

    net: Net
    item: Item
    offset: int
    gutter: int
    leftmost: bool
    part: str
    shift: int = 0

    @property
    def y(self) -> int:
        """Where it is."""
        return self.item.y + self.offset + self.shift

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
        known: All its terminals, by what they touch and at which side.
    """

    edges: list[tuple[Edge, Terminal, Terminal]] = field(default_factory=list)
    terminals: dict[int, list[Terminal]] = field(default_factory=dict)
    tracks: dict[int, float] = field(default_factory=dict)
    passing: dict[int, Item] = field(default_factory=dict)
    known: dict[tuple[Item, str, bool], Terminal] = field(default_factory=dict)

    def touch(self, item: Item, offset: int, gutter: int, *, leftmost: bool, part: str = "") -> Terminal:
        """Add a terminal, or return the one that is there."""
        if (item, part, leftmost) not in self.known:
            terminal = Terminal(self, item, offset, gutter, leftmost, part)
            self.known[item, part, leftmost] = terminal
            self.terminals.setdefault(gutter, []).append(terminal)
            item.terminals.append(terminal)
        return self.known[item, part, leftmost]

    def pass_through(self) -> dict[int, Item]:
        """Add the lines that connect its gutters through the columns between them, and return them by column."""
        for column in range(min(self.terminals) + 1, max(self.terminals) + 1):
            item = self.passing[column] = Item()
            self.touch(item, 0, column - 1, leftmost=False)
            self.touch(item, 0, column, leftmost=True)
        return self.passing

    def line(self, gutter: int) -> Line:
        """Return its vertical line in a gutter."""
        lefts, rights = (
            tuple(terminal.y for terminal in self.terminals[gutter] if terminal.leftmost is leftmost)
            for leftmost in (True, False)
        )
        return Line(lefts, rights)

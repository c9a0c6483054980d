"""Edges that may share a line: all that end at the same row, or all that one scraper begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from constructs_lib.draw.boxes import Box
from constructs_lib.draw.diagram import Edge


@dataclass(eq=False)
class Item:
    """What stands in a column, and has lines at its left and right.

    Attributes:
        height: Its height; 0 for a line that only passes through.
        y: Its upper edge.
        terminals: Where nets touch it.
        box: What it is; None for a line that only passes through.
    """

    height: int
    box: Box | None = None
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
        known = self.known.get((item, part, leftmost))
        if known is not None:
            return known
        terminal = Terminal(self, item, offset, gutter, leftmost, part)
        self.known[item, part, leftmost] = terminal
        self.terminals.setdefault(gutter, []).append(terminal)
        item.terminals.append(terminal)
        return terminal

    def pass_through(self) -> None:
        """Add the lines that connect its gutters, through the columns between them."""
        first, last = min(self.terminals), max(self.terminals)
        for column in range(first + 1, last + 1):
            item = Item(0)
            self.touch(item, 0, column - 1, leftmost=False)
            self.touch(item, 0, column, leftmost=True)
            self.passing[column] = item


def by_gutter(nets: Sequence[Net], gutters: int) -> list[list[Net]]:
    """Return the nets of each gutter."""
    found: list[list[Net]] = [[] for _ in range(gutters)]
    for net in nets:
        for gutter in net.terminals:
            found[gutter].append(net)
    return found

"""The size of boxes, and the places at which edges touch them.

Everything at which an edge may begin or end lies on a grid, so that lines of different edges are either far enough
from each other to be told apart, or in one line.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from constructs_lib.draw.diagram import Node, Row, Section

#: Distance of neighbouring lines.
GRID = 12
#: Sizes of the text, and the height of a line of it.
TITLE_SIZE, TEXT_SIZE = 14, 12
TITLE_LINE, TEXT_LINE = 20, 16
#: Space between a frame and what is in it: room for an arrow head.
INSET = 12
#: Space at the left and the right of a text.
MARGIN = 10
#: Space between a name and what stands at the other end of its line.
_BETWEEN = 20
_ROW = 2 * GRID
#: Distance of the lines within a box, between its own sections.
INNER_TRACK = 8


def text_width(text: str, size: float) -> float:
    """Return an upper bound of the width of a text, in any of the usual fonts of fixed width."""
    return len(text) * size * 0.61


@dataclass
class Part:
    """A rectangle of a box, relative to the box.

    Attributes:
        id: What it stands for.
        content: The same, with its texts.
        top: Its upper edge.
        height: Its height, with its rows.
        header: Its height without rows.
        depth: 0 for the box itself, 1 for a section, 2 for a row.
    """

    id: str
    content: Node | Section | Row
    top: int
    height: int
    header: int
    depth: int


@dataclass
class Box:
    """A node with its size.

    Attributes:
        node: The node.
        width: Its least width.
        height: Its height.
        parts: Its rectangles, the node itself first.
        left: Where edges touch its left, relative to its top, by part and net.
        right: The same for its right.
        inner: Number of nets that lead from one of its sections to another.
        x: Its left edge.
        y: Its upper edge.
    """

    node: Node
    width: float = 0
    height: int = 0
    parts: list[Part] = field(default_factory=list)
    left: dict[tuple[str, Hashable], int] = field(default_factory=dict)
    right: dict[tuple[str, Hashable], int] = field(default_factory=dict)
    inner: int = 0
    x: float = 0
    y: int = 0


#: Nets that touch a part, in the order in which they should.
Touching = Mapping[str, Iterable[Hashable]]


def box(node: Node, left: Touching, right: Touching, inner: int) -> Box:
    """Return a box that has room for its texts and for all edges.

    Args:
        node: What it shows.
        left: Nets that touch the left of its parts.
        right: Nets that touch the right of its parts.
        inner: Number of nets that lead from one of its sections to another.
    """
    result = Box(node, inner=inner)
    width = max(
        text_width(node.title, TITLE_SIZE), max((text_width(fact, TEXT_SIZE) for fact in node.facts), default=0)
    )
    result.width = max(width + 2 * MARGIN, 120)

    def ports(id: str, top: int, height: int) -> None:
        for touching, places in ((left, result.left), (right, result.right)):
            nets = [*touching.get(id, ())]
            # In the middle, on the grid.
            start = top + GRID * max(1, (height // GRID - len(nets) + 1) // 2)
            for number, net in enumerate(nets):
                places[id, net] = start + number * GRID

    def fitting(id: str, least: float) -> int:
        count = max(len([*touching.get(id, ())]) for touching in (left, right))
        return max(math.ceil(least / GRID), count + 1) * GRID

    def header(facts: Iterable[str]) -> float:
        return 10 + TITLE_LINE + TEXT_LINE * len([*facts])

    top = fitting(node.id, header(node.facts))
    if not node.sections:
        top = max(top + top % (2 * GRID), 4 * GRID)
    ports(node.id, 0, top)
    result.parts.append(Part(node.id, node, 0, 0, top, 0))
    for section in node.sections:
        height = fitting(section.id, header(section.facts))
        ports(section.id, top, height)
        part = Part(section.id, section, top, 0, height, 1)
        result.parts.append(part)
        at = top + height
        for row in section.rows:
            height = max(fitting(row.id, _ROW), _ROW)
            ports(row.id, at, height)
            result.parts.append(Part(row.id, row, at, height, height, 2))
            at += height
        part.height = at - top
        result.width = max(result.width, _section_width(section) + 2 * INSET + inner * INNER_TRACK)
        top = at + GRID
    result.width = 2 * math.ceil(result.width / 2)
    result.height = top
    result.parts[0].height = top
    return result


def _section_width(section: Section) -> float:
    lines = [text_width(section.title, TITLE_SIZE) + _BETWEEN + text_width(section.kind, TEXT_SIZE)]
    lines += [text_width(fact, TEXT_SIZE) for fact in section.facts]
    lines += [
        text_width(row.name, TEXT_SIZE)
        + text_width(row.value, TEXT_SIZE)
        + _BETWEEN
        + (text_width(row.note, TEXT_SIZE) + _BETWEEN if row.note else 0)
        for row in section.rows
    ]
    return max(lines) + 2 * MARGIN

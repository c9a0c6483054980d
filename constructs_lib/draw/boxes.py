"""The size of boxes, and the places at which edges touch them.

Everything at which an edge may begin or end lies on a grid, so that lines of different edges are either far enough
from each other to be told apart, or in one line.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from constructs_lib.draw.diagram import Node, Row, Section
from constructs_lib.draw.nets import Item

#: Distance of neighbouring lines.
GRID = 12
#: Sizes of the text, which stand in ``picture.css`` as well, and the height of a line of it.
TITLE_SIZE, TEXT_SIZE = 14, 12
TITLE_LINE, TEXT_LINE = 20, 16
#: Space between a frame and what is in it: room for an arrow head.
INSET = 12
#: Space at the left and the right of a text.
MARGIN = 10
#: Space between a name and what stands at the other end of its line.
_BETWEEN = 20
_ROW = 2 * GRID
#: Nets that touch a part, in the order in which they should.
Touching = Mapping[str, Iterable[Hashable]]
#: Distance of the lines within a box, between its own sections.
INNER_TRACK = 8


def text_width(text: str, size: float) -> float:
    """Return an upper bound of the width of a text, in any of the usual fonts of fixed width."""
    return len(text) * size * 0.61


@dataclass
class Part:
    """A rectangle of a box, relative to the box.

    Attributes:
        content: What it stands for, with its texts.
        look: Its class in ``picture.css``.
        top: Its upper edge.
        header: Its height without rows.
        height: Its height, with its rows.
    """

    content: Node | Section | Row
    look: str
    top: int
    header: int
    height: int

    @property
    def id(self) -> str:
        """Id of what it stands for."""
        return self.content.id


@dataclass(eq=False, kw_only=True)
class Box(Item):
    """A node with its size.

    Attributes:
        node: The node.
        inner: Number of nets that lead from one of its sections to another.
        width: Its least width.
        x: Its left edge.
        parts: Its rectangles, the node itself first.
        left: Where edges touch its left, relative to its top, by part and net.
        right: The same for its right.
    """

    node: Node
    inner: int
    width: float = 0
    x: float = 0
    parts: list[Part] = field(default_factory=list)
    left: dict[tuple[str, Hashable], int] = field(default_factory=dict)
    right: dict[tuple[str, Hashable], int] = field(default_factory=dict)

    def sides(self, part: str) -> tuple[float, float]:
        """Return the left and the right edge of a part."""
        if part == self.node.id:
            return self.x, self.x + self.width
        return self.x + INSET, self.x + self.width - INSET - self.inner * INNER_TRACK

    def add(self, content: Node | Section | Row, look: str, least: float, left: Touching, right: Touching) -> Part:
        """Add a rectangle below the others, high enough for its texts and for the nets that touch it.

        Args:
            content: What it stands for.
            look: Its class in ``picture.css``.
            least: The least height that it has.
            left: Nets that touch the left of parts.
            right: Nets that touch the right of parts.
        """
        count = max(len([*touching.get(content.id, ())]) for touching in (left, right))
        height = max(math.ceil(least / GRID), count + 1) * GRID
        if isinstance(content, Node) and not content.sections:
            height = max(height + height % (2 * GRID), 4 * GRID)
        for touching, places in ((left, self.left), (right, self.right)):
            nets = [*touching.get(content.id, ())]
            # In the middle, on the grid.
            start = self.height + GRID * max(1, (height // GRID - len(nets) + 1) // 2)
            places |= {(content.id, net): start + number * GRID for number, net in enumerate(nets)}
        part = Part(content, look, self.height, height, height)
        self.parts.append(part)
        self.height += height
        return part


def box(node: Node, left: Touching, right: Touching, inner: int) -> Box:
    """Return a box that has room for its texts and for all edges.

    Args:
        node: What it shows.
        left: Nets that touch the left of its parts.
        right: Nets that touch the right of its parts.
        inner: Number of nets that lead from one of its sections to another.
    """
    result = Box(node=node, inner=inner)
    whole = result.add(node, "box" if node.sections else node.role, _header(node.facts), left, right)
    widths = [
        120 - 2 * MARGIN,
        text_width(node.title, TITLE_SIZE),
        *(text_width(fact, TEXT_SIZE) for fact in node.facts),
    ]
    width = max(widths) + 2 * MARGIN
    for section in node.sections:
        part = result.add(section, section.role, _header(section.facts), left, right)
        for row in section.rows:
            result.add(row, section.role, _ROW, left, right)
        part.height = result.height - part.top
        result.height += GRID
        width = max(width, _section_width(section) + 2 * INSET + inner * INNER_TRACK)
    result.width = 2 * math.ceil(width / 2)
    whole.height = result.height
    return result


def _header(facts: Iterable[str]) -> float:
    return 10 + TITLE_LINE + TEXT_LINE * len([*facts])


def _section_width(section: Section) -> float:
    lines = [text_width(section.title, TITLE_SIZE) + _BETWEEN + text_width(section.kind, TEXT_SIZE)]
    lines += [text_width(fact, TEXT_SIZE) for fact in section.facts]
    lines += [
        sum(text_width(text, TEXT_SIZE) + _BETWEEN for text in (row.name, row.value, row.note) if text) - _BETWEEN
        for row in section.rows
    ]
    return max(lines) + 2 * MARGIN

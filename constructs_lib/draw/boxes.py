"""The size of boxes, and the places at which edges touch them.

Everything at which an edge may begin or end lies on a grid, so that lines of different edges are either far enough
from each other to be told apart, or in one line.
"""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.draw.diagram import Edge, Node, Row, Section
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
#: Distance of the lines within a box, between its own sections.
INNER_TRACK = 8
#: Nets that touch a part, in the order in which they should; by its id and whether they touch its right.
Touching = Mapping[tuple[str, bool], Collection[Hashable]]


def text_width(text: str, size: float = TEXT_SIZE) -> float:
    """Return an upper bound of the width of a text, in any of the usual fonts of fixed width."""
    return len(text) * size * 0.61


@dataclass
class Part:
    """A rectangle of a box with the texts of a node, section or row, from ``top`` of the box on.

    Its look is a class in ``picture.css``; the header is its height without rows.
    """

    content: Node | Section | Row
    look: str
    top: int
    header: int
    height: int


class Box(Item):
    """A node with its size: it has room for its texts and for all edges; its first part is the node itself."""

    def __init__(self, column: int, node: Node, touching: Touching, inner: Mapping[Hashable, Sequence[Edge]]) -> None:
        """Measure a node; ``inner`` are the edges from one of its sections to another, by net."""
        super().__init__(column)
        self.node = node
        self.inner = inner
        self.x = 0.0
        self.width = 120.0
        self.parts: list[Part] = []
        whole = self._add(node, "box" if node.sections else node.role, touching)
        for section in node.sections:
            part = self._add(section, section.role, touching)
            for row in section.rows:
                self._add(row, section.role, touching)
            part.height = self.height - part.top
            self.height += GRID
        whole.height = self.height
        self.width = 2 * math.ceil(self.width / 2)

    def sides(self, part: str) -> tuple[float, float]:
        """Return the left and the right edge of a part."""
        if part == self.node.id:
            return self.x, self.x + self.width
        return self.x + INSET, self.x + self.width - INSET - len(self.inner) * INNER_TRACK

    def _add(self, content: Node | Section | Row, look: str, touching: Touching) -> Part:
        """Add a rectangle below the others, large enough for its texts and for the nets that touch it."""
        sides = {right: touching.get((content.id, right), ()) for right in (False, True)}
        lines = 2 if isinstance(content, Row) else math.ceil((10 + TITLE_LINE + TEXT_LINE * len(content.facts)) / GRID)
        height = max(lines, *(len(nets) + 1 for nets in sides.values())) * GRID
        if isinstance(content, Node) and not content.sections:
            height = max(height + height % (2 * GRID), 4 * GRID)
        for right, nets in sides.items():
            # In the middle, on the grid.
            start = self.height + GRID * max(1, (height // GRID - len(nets) + 1) // 2)
            self.offsets |= {(content.id, right, net): start + number * GRID for number, net in enumerate(nets)}
        around = 0 if content is self.node else 2 * INSET + len(self.inner) * INNER_TRACK
        self.width = max(self.width, _width(content) + 2 * MARGIN + around)
        part = Part(content, look, self.height, height, height)
        self.parts.append(part)
        self.height += height
        return part


def _width(content: Node | Section | Row) -> float:
    """Return the width of the longest line of texts."""
    if isinstance(content, Row):
        texts = [text for text in (content.name, content.value, content.note) if text]
        return sum(text_width(text) + _BETWEEN for text in texts) - _BETWEEN
    title = text_width(content.title, TITLE_SIZE)
    if isinstance(content, Section):
        title += _BETWEEN + text_width(content.kind)
    return max([title, *map(text_width, content.facts)])

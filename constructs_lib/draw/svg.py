"""A diagram as SVG: one file that needs nothing else, on light and on dark pages."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from constructs_lib.declare.role import Role
from constructs_lib.draw.boxes import MARGIN, TEXT_LINE, TITLE_LINE, TITLE_SIZE, Box, Part, text_width
from constructs_lib.draw.diagram import MEANINGS, Diagram, Node, Row, Section
from constructs_lib.draw.layout import FRAME, Layout, Point, Route, lay_out

#: The looks of everything, a rule a line.
CSS = Path(__file__).parent / "picture.css"
#: Space around the picture, and above what a title names.
_MARGIN, _HEADING = 24, 44
_LEGEND_LINE = 24
_SWATCH = 28
_CORNER = 6
#: Length and half of the width of an arrow head.
_HEAD, _HALF = 8, 4


def svg(diagram: Diagram) -> str:
    """Return a diagram as the text of an SVG file."""
    layout = lay_out(diagram)
    # What surrounds the boxes begins at the margin, and not they.
    start = min(0, layout.frame[0]) if diagram.boundary else -MARGIN if diagram.bands else 0
    end = max(layout.width, layout.frame[1]) if diagram.boundary else layout.width - start
    left = _MARGIN - start
    top = _MARGIN + _HEADING + (_HEADING - 8 if diagram.bands else 0)
    title = text_width(diagram.boundary or diagram.title, TITLE_SIZE) + 2 * FRAME
    right = left + max(end, title, *(_legend_width(text) for _, text in diagram.legend))
    bottom = top + layout.height + (FRAME if diagram.boundary or diagram.bands else 0)
    legend, height = _legend(diagram, _MARGIN, bottom + 32, right)
    size = right + _MARGIN, bottom + height + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_numbers(*size)}" width="{_numbers(size[0])}" '
        f'height="{_numbers(size[1])}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(diagram.title)}</title>',
        f'<desc id="desc">{escape(diagram.description)}</desc>',
        "<style>",
        *_css(diagram),
        "</style>",
        _rectangle(0.5, 0.5, size[0] - 1, size[1] - 1, "panel", 12),
        *_surroundings(diagram, layout, left, bottom),
        f'<g transform="translate({_numbers(left, top)})">',
        *(line for box in layout.boxes for line in _box(box)),
        *_edges(layout.routes),
        "</g>",
        *legend,
        "</svg>",
    ]
    return "\n".join([*lines, ""])


def _css(diagram: Diagram) -> Iterator[str]:
    """Yield the rules for what is in a picture."""
    unused = MEANINGS.keys() - dict(diagram.legend)
    for line in CSS.read_text().partition("*/\n")[2].splitlines():
        rule = re.match(r"[\w.]*\.(\w+) \{", line)
        if rule is None or rule[1] not in unused:
            yield line


def _surroundings(diagram: Diagram, layout: Layout, left: float, bottom: float) -> Iterator[str]:
    """Yield the frame or the bands, with their titles."""
    if not diagram.boundary:
        yield _text(_MARGIN, _MARGIN + 18, diagram.title, "title ink")
    else:
        start, end = layout.frame
        width = max(end - start, text_width(diagram.boundary, TITLE_SIZE) + 2 * FRAME)
        yield _rectangle(left + start, _MARGIN, width, bottom - _MARGIN, "frame bounds", 10)
        yield _text(left + start + FRAME, _MARGIN + 26, diagram.boundary, "title ink")
    for (begin, end), title in zip(layout.bands, diagram.bands, strict=True):
        y = _MARGIN + _HEADING - 8
        yield _rectangle(left + begin - MARGIN, y, end - begin + 2 * MARGIN, bottom - y, "frame", 8)
        yield _text(left + (begin + end) / 2, y + 24, title, "middle ink")


def _box(box: Box) -> Iterator[str]:
    yield f"<g data-node={quoteattr(box.node.id)}>"
    for part in box.parts:
        yield from _row(box, part, part.content) if isinstance(part.content, Row) else _header(box, part, part.content)
    yield "</g>"


def _row(box: Box, part: Part, row: Row) -> Iterator[str]:
    left, right = box.sides(row.id)
    y = box.y + part.top + part.height / 2 + 4
    yield f"<g data-row={quoteattr(row.id)}>"
    yield _rectangle(left, box.y + part.top, right - left, part.height, part.look, 0)
    yield _text(left + MARGIN, y, row.name, "ink")
    if row.note:
        yield _text(left + MARGIN + text_width(row.name) + 12, y, row.note, "quiet")
    yield _text(right - MARGIN, y, row.value, "ink end")
    yield "</g>"


def _header(box: Box, part: Part, content: Node | Section) -> Iterator[str]:
    """Yield the rectangle of a node or section, and the texts at its top."""
    left, right = box.sides(content.id)
    top = box.y + part.top
    yield _rectangle(left, top, right - left, part.height, part.look, 4 if isinstance(content, Section) else 8)
    # A header that is higher than its lines has them in the middle.
    y = top + (part.header - TITLE_LINE - TEXT_LINE * len(content.facts)) / 2 + 15
    x = left + MARGIN + (2 if part.look == "box" else 0)
    yield _text(x, y, content.title, "title ink")
    if isinstance(content, Section):
        yield _text(right - MARGIN, y, content.kind, "quiet end")
    for number, fact in enumerate(content.facts, start=1):
        yield _text(x, y + 2 + TEXT_LINE * number, fact, "quiet")


def _edges(routes: Iterable[Route]) -> Iterator[str]:
    """Yield the lines, and then the arrow heads: one for all lines that end at the same point."""
    heads: dict[Point, str] = {}
    for route in routes:
        style = route.edge.style
        (x, y), (tip, _) = route.points[-2:]
        back = tip - _HEAD if tip > x else tip + _HEAD
        path = _path((*route.points[:-1], (tip + (back - tip) * 0.75, y)))
        yield f'<path class="edge {style}" d="{path}"><title>{escape(route.edge.meaning)}</title></path>'
        heads[route.points[-1]] = (
            f'<path class="head {style}" d="M{_numbers(tip, y)}L{_numbers(back, y - _HALF)}V{_numbers(y + _HALF)}Z"/>'
        )
    yield from heads.values()


def _path(points: Sequence[Point]) -> str:
    """Return a line through points at right angles, with round corners."""
    path = f"M{_numbers(*points[0])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_CORNER, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        start, end = _towards(corner, before, radius), _towards(corner, after, radius)
        path += f"L{_numbers(*start)}Q{_numbers(*corner, *end)}"
    return f"{path}L{_numbers(*points[-1])}"


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = math.dist(start, end) or 1
    return start[0] + (end[0] - start[0]) * distance / length, start[1] + (end[1] - start[1]) * distance / length


def _legend(diagram: Diagram, left: float, top: float, right: float) -> tuple[list[str], float]:
    """Return the explanation of colours and strokes, and the height that it takes."""
    lines: list[str] = []
    x, y = left, top
    for meaning, text in diagram.legend:
        width = _legend_width(text)
        if x > left and x + width > right:
            x, y = left, y + _LEGEND_LINE
        if isinstance(meaning, Role):
            lines.append(_rectangle(x, y - 7, _SWATCH, 14, meaning, 4))
        else:
            lines.append(
                f'<path class="edge {meaning}" d="M{_numbers(x, y)}H{_numbers(x + _SWATCH - _HEAD)}"/>'
                f'<path class="head {meaning}" d="M{_numbers(x + _SWATCH, y)}l-8 -4v8Z"/>'
            )
        lines.append(_text(x + _SWATCH + 8, y + 4, text, "quiet"))
        x += width + 24
    return lines, y - top + 40 if lines else 0


def _legend_width(text: str) -> float:
    return _SWATCH + 8 + text_width(text)


def _rectangle(x: float, y: float, width: float, height: float, look: str, radius: float) -> str:
    corner = f' rx="{_numbers(radius)}"' if radius else ""
    place = f'x="{_numbers(x)}" y="{_numbers(y)}" width="{_numbers(width)}" height="{_numbers(height)}"'
    return f'<rect class="{look}" {place}{corner}/>'


def _text(x: float, y: float, text: str, look: str) -> str:
    return f'<text class="{look}" x="{_numbers(x)}" y="{_numbers(y)}">{escape(text)}</text>'


def _numbers(*numbers: float) -> str:
    return " ".join(f"{number:.1f}".removesuffix(".0") for number in numbers)

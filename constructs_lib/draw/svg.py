"""A diagram as SVG: one file that needs nothing else, on light and on dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from constructs_lib.declare.role import Role
from constructs_lib.draw.boxes import (
    MARGIN,
    TEXT_LINE,
    TEXT_SIZE,
    TITLE_LINE,
    TITLE_SIZE,
    Box,
    Part,
    text_width,
)
from constructs_lib.draw.diagram import Diagram, Node, Row, Section, Style
from constructs_lib.draw.layout import FRAME, Layout, Point, Route, lay_out, sides

#: Space around the picture, and above what a title names.
_MARGIN, _HEADING = 24, 44
_LEGEND_LINE = 24
_SWATCH = 28
_CORNER = 6
#: Length and half of the width of an arrow head.
_HEAD, _HALF = 8, 4

#: Colours on light and on dark pages. Text has a contrast of 4.5 : 1 at least, on everything that it stands on
#: (https://www.w3.org/TR/WCAG22/#contrast-minimum).
_FILLS = {
    "panel": ("#ffffff", "#0d1117"),
    "frame": ("#f6f8fa", "#151b23"),
    "box": ("#ffffff", "#0d1117"),
    Role.PLATFORM.value: ("#eceff3", "#262c36"),
    Role.MESSAGING.value: ("#fdf1d0", "#3a2d0c"),
    Role.STORE.value: ("#e0f4e8", "#12341f"),
    Role.SERVICE.value: ("#e3effd", "#132d4d"),
    Role.ENTRY.value: ("#fde6e4", "#48191a"),
    Role.OUTSIDE.value: ("#f1e9fc", "#2e1f49"),
}
_STROKES = {
    "panel": ("#d0d7de", "#3d444d"),
    "frame": ("#8c959f", "#656c76"),
    "box": ("#afb8c1", "#656c76"),
    Role.PLATFORM.value: ("#7d8590", "#8b949e"),
    Role.MESSAGING.value: ("#b58a1b", "#c69026"),
    Role.STORE.value: ("#3a9b62", "#3fb068"),
    Role.SERVICE.value: ("#4b83c4", "#5a9be0"),
    Role.ENTRY.value: ("#cf5b5b", "#e07474"),
    Role.OUTSIDE.value: ("#8e63ce", "#a37ee0"),
}
_TEXTS = {"ink": ("#1f2328", "#f0f6fc"), "quiet": ("#4d5560", "#b1bac4")}
_EDGES = {
    Style.NEEDS: ("#57606a", "#b1bac4", ""),
    Style.LATER: ("#57606a", "#b1bac4", "7 4"),
    Style.SCRAPES: ("#0f7b83", "#4fc3cb", "2 3"),
    Style.REACHES: ("#8e63ce", "#a37ee0", ""),
    Style.PRECEDES: ("#57606a", "#b1bac4", ""),
}


def svg(diagram: Diagram) -> str:
    """Return a diagram as the text of an SVG file.

    Args:
        diagram: The diagram.
    """
    layout = lay_out(diagram)
    heading = diagram.boundary or diagram.title
    # What surrounds the boxes begins at the margin, and not they.
    start = min(0, layout.frame[0]) if diagram.boundary else -MARGIN if diagram.bands else 0
    end = max(layout.width, layout.frame[1]) if diagram.boundary else layout.width - start
    left = _MARGIN - start
    top = _MARGIN + _HEADING + (_HEADING - 8 if diagram.bands else 0)
    width = max(end, text_width(heading, TITLE_SIZE) + 2 * FRAME)
    below = FRAME if diagram.boundary or diagram.bands else 0
    bottom = top + layout.height + below
    body = [
        *_surroundings(diagram, layout, (left, left + width, bottom)),
        f'<g transform="translate({_number(left)} {_number(top)})">',
        *(line for box in layout.boxes for line in _box(box)),
        *_edges(layout.routes),
        "</g>",
    ]
    legend, height = _legend(diagram, _MARGIN, bottom + 32, left + width)
    total_width, total_height = left + width + _MARGIN, bottom + height + _MARGIN
    size = f"{_number(total_width)} {_number(total_height)}"
    width_text, height_text = size.split()
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width_text}" '
            f'height="{height_text}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(diagram.title)}</title>',
            f'<desc id="desc">{escape(diagram.description)}</desc>',
            "<style>",
            *_css(diagram),
            "</style>",
            _rectangle(0.5, 0.5, total_width - 1, total_height - 1, "panel", 12),
            *body,
            *legend,
            "</svg>",
            "",
        ]
    )


def _css(diagram: Diagram) -> Iterator[str]:
    yield (
        'text { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", '
        f"monospace; font-size: {TEXT_SIZE}px; white-space: pre }}"
    )
    yield f".title {{ font-size: {TITLE_SIZE}px; font-weight: 600 }}"
    yield ".end { text-anchor: end } .middle { text-anchor: middle }"
    yield ".edge { fill: none; stroke-width: 1.5 }"
    yield ".bounds { stroke-dasharray: 6 4 }"
    roles = diagram.roles()
    styles = {edge.style for edge in diagram.edges}
    hidden = {role.value for role in Role if role not in roles}
    for style, (_, _, dashes) in _EDGES.items():
        if dashes and style in styles:
            yield f".edge.{style.value} {{ stroke-dasharray: {dashes} }}"
    for page, (start, end) in enumerate((("", ""), ("@media (prefers-color-scheme: dark) {", "}"))):
        if start:
            yield start
        for name, fill in _FILLS.items():
            if name not in hidden:
                yield f".{name} {{ fill: {fill[page]}; stroke: {_STROKES[name][page]} }}"
        for name, text in _TEXTS.items():
            yield f".{name} {{ fill: {text[page]} }}"
        for style, colours in _EDGES.items():
            if style in styles:
                yield f".edge.{style.value} {{ stroke: {colours[page]} }}"
                yield f".head.{style.value} {{ fill: {colours[page]} }}"
        if end:
            yield end


def _surroundings(diagram: Diagram, layout: Layout, area: tuple[float, float, float]) -> Iterator[str]:
    """Yield the frame or the bands, with their titles."""
    left, right, bottom = area
    if not diagram.boundary:
        yield _text(_MARGIN, _MARGIN + 18, diagram.title, "title ink")
    else:
        start, end = left + layout.frame[0], left + layout.frame[1]
        if layout.frame[1] <= layout.frame[0]:
            start, end = left, right
        end = max(end, start + text_width(diagram.boundary, TITLE_SIZE) + 2 * FRAME)
        yield _rectangle(start, _MARGIN, end - start, bottom - _MARGIN, "frame bounds", 10)
        yield _text(start + FRAME, _MARGIN + 26, diagram.boundary, "title ink")
    for (begin, end), title in zip(layout.bands, diagram.bands, strict=True):
        y = _MARGIN + _HEADING - 8
        yield _rectangle(left + begin - MARGIN, y, end - begin + 2 * MARGIN, bottom - y, "frame", 8)
        yield _text(left + (begin + end) / 2, y + 24, title, "middle ink")


def _box(box: Box) -> Iterator[str]:
    yield f"<g data-node={quoteattr(box.node.id)}>"
    for part in box.parts:
        left, right = sides(box, part.id)
        top = box.y + part.top
        yield from _part(box, part, left, top, right)
    yield "</g>"


def _part(box: Box, part: Part, left: float, top: float, right: float) -> Iterator[str]:
    content = part.content
    if isinstance(content, Row):
        yield f"<g data-row={quoteattr(part.id)}>"
        role = next(section.role for section in box.node.sections if content in section.rows)
        yield _rectangle(left, top, right - left, part.height, role.value, 0)
        y = top + part.height / 2 + 4
        yield _text(left + MARGIN, y, content.name, "ink")
        if content.note:
            x = left + MARGIN + text_width(content.name, TEXT_SIZE) + 12
            yield _text(x, y, content.note, "quiet")
        yield _text(right - MARGIN, y, content.value, "ink end")
        yield "</g>"
        return
    whole = isinstance(content, Node) and bool(content.sections)
    kind = "box" if whole else content.role.value
    yield _rectangle(left, top, right - left, part.height, kind, 8 if part.depth == 0 else 4)
    # A header that is higher for its lines has its text in the middle.
    y = top + (part.header - TITLE_LINE - TEXT_LINE * len(content.facts)) / 2 + 15
    yield _text(left + MARGIN + (2 if whole else 0), y, content.title, "title ink")
    if isinstance(content, Section):
        yield _text(right - MARGIN, y, content.kind, "quiet end")
    for number, fact in enumerate(content.facts, start=1):
        yield _text(left + MARGIN + (2 if whole else 0), y + 2 + TEXT_LINE * number, fact, "quiet")


def _edges(routes: Iterable[Route]) -> Iterator[str]:
    heads: dict[tuple[int, Point], str] = {}
    for route in routes:
        style = route.edge.style.value
        (x, y), (tip, _) = route.points[-2:]
        direction = 1 if tip > x else -1
        end = (tip - direction * _HEAD * 0.75, y)
        yield (
            f'<path class="edge {style}" d="{_path((*route.points[:-1], end))}">'
            f"<title>{escape(route.edge.meaning)}</title></path>"
        )
        back = _number(tip - direction * _HEAD)
        heads[route.net, route.points[-1]] = (
            f'<path class="head {style}" d="M{_number(tip)} {_number(y)}L{back} {_number(y - _HALF)}'
            f'V{_number(y + _HALF)}Z"/>'
        )
    yield from heads.values()


def _path(points: Sequence[Point]) -> str:
    """Return a line through points at right angles, with round corners."""
    path = f"M{_number(points[0][0])} {_number(points[0][1])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_CORNER, _length(before, corner) / 2, _length(corner, after) / 2)
        start, end = _towards(corner, before, radius), _towards(corner, after, radius)
        path += (
            f"L{_number(start[0])} {_number(start[1])}"
            f"Q{_number(corner[0])} {_number(corner[1])} {_number(end[0])} {_number(end[1])}"
        )
    return f"{path}L{_number(points[-1][0])} {_number(points[-1][1])}"


def _length(start: Point, end: Point) -> float:
    return abs(end[0] - start[0]) + abs(end[1] - start[1])


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = _length(start, end) or 1
    return start[0] + (end[0] - start[0]) * distance / length, start[1] + (end[1] - start[1]) * distance / length


def _legend(diagram: Diagram, left: float, top: float, right: float) -> tuple[list[str], float]:
    """Return the explanation of colours and strokes, and the height that it takes."""
    lines: list[str] = []
    x, y = left, top
    for meaning, text in diagram.legend:
        width = _SWATCH + 8 + text_width(text, TEXT_SIZE)
        if x > left and x + width > right:
            x, y = left, y + _LEGEND_LINE
        if isinstance(meaning, Role):
            lines.append(_rectangle(x, y - 7, _SWATCH, 14, meaning.value, 4))
        else:
            lines.append(
                f'<path class="edge {meaning.value}" d="M{_number(x)} {_number(y)}H{_number(x + _SWATCH - _HEAD)}"/>'
                f'<path class="head {meaning.value}" d="M{_number(x + _SWATCH)} {_number(y)}l-8 -4v8Z"/>'
            )
        lines.append(_text(x + _SWATCH + 8, y + 4, text, "quiet"))
        x += width + 24
    return lines, y - top + 40 if lines else 0


def _rectangle(x: float, y: float, width: float, height: float, kind: str, radius: float) -> str:
    corner = f' rx="{_number(radius)}"' if radius else ""
    return (
        f'<rect class="{kind}" x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" '
        f'height="{_number(height)}"{corner}/>'
    )


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{_number(x)}" y="{_number(y)}">{escape(text)}</text>'


def _number(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")

"""Reads an SVG back and says what is wrong with the picture, knowing nothing of how it was made."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Of the widest of the usual monospace fonts, in parts of their size; and how far letters reach above the line.
ADVANCE, ASCENT, DESCENT = 0.605, 0.8, 0.22
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_SIZES = {"title": 14.0}
#: Differences below it are those of rounding.
_EPSILON = 0.11


@dataclass(frozen=True)
class Area:
    """A rectangle with what it shows."""

    kind: str
    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: Area) -> bool:
        return (
            self.left <= other.left + _EPSILON
            and self.top <= other.top + _EPSILON
            and self.right >= other.right - _EPSILON
            and self.bottom >= other.bottom - _EPSILON
        )

    def meets(self, other: Area) -> bool:
        """Tell whether two areas share more than an edge."""
        return (
            self.left < other.right - _EPSILON
            and other.left < self.right - _EPSILON
            and self.top < other.bottom - _EPSILON
            and other.top < self.bottom - _EPSILON
        )


@dataclass(frozen=True)
class Line:
    """An edge: what it says, its style and its corners."""

    meaning: str
    style: str
    points: tuple[tuple[float, float], ...]

    @property
    def segments(self) -> list[Area]:
        return [
            Area(self.meaning, min(x, u), min(y, v), max(x, u), max(y, v))
            for (x, y), (u, v) in itertools.pairwise(self.points)
        ]


@dataclass
class Drawing:
    """All that is in an SVG."""

    width: float
    height: float
    title: str
    description: str
    style: str
    areas: list[Area] = field(default_factory=list)
    texts: list[Area] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    heads: list[tuple[float, float]] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        return [text.kind for text in self.texts]


def read(svg: str) -> Drawing:
    """Read an SVG as this library writes it."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{_NAMESPACE}svg"
    assert root.get("role") == "img"
    x, y, width, height = map(float, (root.get("viewBox") or "").split())
    assert (x, y) == (0, 0)
    assert (root.get("width"), root.get("height")) == (f"{width:g}", f"{height:g}")
    drawing = Drawing(
        width,
        height,
        root.findtext(f"{_NAMESPACE}title") or "",
        root.findtext(f"{_NAMESPACE}desc") or "",
        root.findtext(f"{_NAMESPACE}style") or "",
    )
    _collect(root, 0, 0, drawing)
    return drawing


def _collect(parent: ElementTree.Element, x: float, y: float, drawing: Drawing) -> None:
    for element in parent:
        kind = element.get("class", "")
        if element.tag == f"{_NAMESPACE}g":
            moved = re.fullmatch(r"translate\(([\d.]+) ([\d.]+)\)", element.get("transform", "translate(0 0)"))
            assert moved
            _collect(element, x + float(moved[1]), y + float(moved[2]), drawing)
        elif element.tag == f"{_NAMESPACE}rect":
            left, top = x + float(element.get("x", "")), y + float(element.get("y", ""))
            right, bottom = left + float(element.get("width", "")), top + float(element.get("height", ""))
            drawing.areas.append(Area(kind, left, top, right, bottom))
        elif element.tag == f"{_NAMESPACE}text":
            drawing.texts.append(_text_area(element, kind.split(), x, y))
            drawing.classes.append(kind)
        elif element.tag == f"{_NAMESPACE}path":
            meaning = element.findtext(f"{_NAMESPACE}title")
            points = [(x + u, y + v) for u, v in _corners(element.get("d", ""))]
            if kind.startswith("head") and "l" not in element.get("d", ""):
                drawing.heads.append(points[0])
            elif meaning is not None:
                drawing.lines.append(Line(meaning, kind.split()[1], tuple(points)))


def _text_area(element: ElementTree.Element, kinds: list[str], x: float, y: float) -> Area:
    text = element.text or ""
    size = next((_SIZES[kind] for kind in kinds if kind in _SIZES), 12.0)
    width = len(text) * size * ADVANCE
    left = x + float(element.get("x", "")) - (width if "end" in kinds else width / 2 if "middle" in kinds else 0)
    base = y + float(element.get("y", ""))
    return Area(text, left, base - size * ASCENT, left + width, base + size * DESCENT)


def _corners(path: str) -> Iterator[tuple[float, float]]:
    """Yield the corners of a path; where one is round, the point that it bends around."""
    for command, numbers in re.findall(r"([MLQ])([^A-Za-z]*)", path):
        values = [float(number) for number in numbers.split()]
        if command == "Q" or (command == "L" and path.endswith(numbers)) or command == "M":
            yield values[0], values[1]


def problems(drawing: Drawing) -> list[str]:
    """Return what a person would find wrong with a picture."""
    return [*_areas(drawing), *_texts(drawing), *_lines(drawing)]


def _areas(drawing: Drawing) -> Iterator[str]:
    whole = Area("picture", 0, 0, drawing.width, drawing.height)
    for area in (*drawing.areas, *drawing.texts, *(part for line in drawing.lines for part in line.segments)):
        if not whole.holds(area):
            yield f"{area} is outside of the picture"
    for one, other in itertools.combinations(drawing.areas, 2):
        if one.meets(other) and not one.holds(other) and not other.holds(one):
            yield f"{one} and {other} overlap"
    for one, other in itertools.combinations([area for area in drawing.areas if area.kind == "box"], 2):
        if one.meets(other):
            yield f"the boxes {one} and {other} overlap"


def _texts(drawing: Drawing) -> Iterator[str]:
    for one, other in itertools.combinations(drawing.texts, 2):
        if one.meets(other):
            yield f"the texts {one.kind!r} and {other.kind!r} overlap"
    for text in drawing.texts:
        for area in drawing.areas:
            if text.meets(area) and not area.holds(text):
                yield f"the text {text.kind!r} leaves {area}"


def _lines(drawing: Drawing) -> Iterator[str]:
    solid = [area for area in drawing.areas if not area.kind.startswith(("panel", "frame", "box"))]
    boxes = [area for area in drawing.areas if area.kind == "box"]
    for line in drawing.lines:
        start, end = line.points[0], line.points[-1]
        own = [box for box in boxes if _contains(box, start) or _contains(box, end)]
        for (x, y), (u, v) in itertools.pairwise(line.points):
            if abs(x - u) > _EPSILON and abs(y - v) > _EPSILON:
                yield f"{line.meaning} runs askew"
        for part in line.segments:
            for area in (*solid, *(box for box in boxes if box not in own)):
                if part.meets(area) or _runs_through(part, area):
                    yield f"{line.meaning} runs through {area}"
            for text in drawing.texts:
                if _runs_through(part, text):
                    yield f"{line.meaning} runs through the text {text.kind!r}"
        if not any(abs(x - end[0]) < 9 and abs(y - end[1]) < _EPSILON for x, y in drawing.heads):
            yield f"{line.meaning} has no arrow head"
    yield from _overlaps(drawing)


def _contains(area: Area, point: tuple[float, float]) -> bool:
    return area.left <= point[0] <= area.right and area.top <= point[1] <= area.bottom


def _runs_through(part: Area, area: Area) -> bool:
    return (
        part.left < area.right - _EPSILON
        and part.right > area.left + _EPSILON
        and part.top < area.bottom - _EPSILON
        and part.bottom > area.top + _EPSILON
    )


def _overlaps(drawing: Drawing) -> Iterator[str]:
    """Yield lines that lie on each other, and do not end at the same place or begin at the same scraper."""
    runs: dict[tuple[str, float], list[tuple[float, float, Line]]] = {}
    for line in drawing.lines:
        for part in line.segments:
            if part.left == part.right:
                runs.setdefault(("vertical", part.left), []).append((part.top, part.bottom, line))
            else:
                runs.setdefault(("horizontal", part.top), []).append((part.left, part.right, line))
    for (direction, place), found in runs.items():
        found.sort(key=lambda run: run[:2])
        for number, (_, end, line) in enumerate(found):
            for start, _, other in found[number + 1 :]:
                if start > end - _EPSILON:
                    break
                if not _may_merge(line, other):
                    yield f"{line.meaning} and {other.meaning} share a {direction} run at {place}"


def _may_merge(one: Line, other: Line) -> bool:
    if one.style != other.style:
        return False
    if one.style in ("scrapes", "precedes") and one.points[0] == other.points[0]:
        return True
    return one.points[-1] == other.points[-1]

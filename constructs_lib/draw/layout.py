"""Lays a diagram out: boxes in columns, lines with right angles in the gutters between them.

The steps are those of Sugiyama's method: columns from the longest paths, an order within each that avoids crossings,
heights that keep lines straight, and then a track in a gutter for each vertical part of a line.

No library does this for us: none in pure Python lays out boxes with rows that lines end at, and routes these at right
angles. Graphviz and elkjs, which do, need more than Python when they run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.draw.boxes import INNER_TRACK, INSET, Box, box
from constructs_lib.draw.columns import assign_columns
from constructs_lib.draw.crossings import arrange
from constructs_lib.draw.diagram import Diagram, Edge, Style
from constructs_lib.draw.nets import Item, Link, Net, Terminal
from constructs_lib.draw.placement import permute, place
from constructs_lib.draw.tracks import BEFORE, BEHIND, TRACK, Line, assign_tracks

#: Styles of which all edges with the same source share a line; of the others, those with the same target do.
_SHARE_SOURCE = frozenset({Style.SCRAPES, Style.PRECEDES})
#: Space between the frame around all and what is in it.
FRAME = 20
#: Space between that frame and who is outside.
OUTSIDE = 28

Point = tuple[float, float]


@dataclass(frozen=True)
class Route:
    """An edge with its corners.

    Attributes:
        edge: The edge.
        points: Where it begins, turns and ends.
        net: Number of the line that it shares with others.
    """

    edge: Edge
    points: tuple[Point, ...]
    net: int


@dataclass(frozen=True)
class Layout:
    """Where everything is; the upper left corner of all boxes is (0, 0).

    Attributes:
        boxes: The boxes, each with its place.
        routes: The edges.
        width: Width of all of it.
        height: Height of all of it.
        frame: Left and right edge of the frame around all that is inside.
        bands: Left and right edge of each layer, by its number.
    """

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    width: float
    height: float
    frame: tuple[float, float]
    bands: tuple[tuple[float, float], ...]


def lay_out(diagram: Diagram) -> Layout:
    """Return where everything of a diagram is.

    Args:
        diagram: The diagram.
    """
    # How high a box is depends on the lines at its sides, those on its column, and that a little on its height.
    links = _links(diagram, {})
    boxes = _boxes(diagram, links)
    ids = assign_columns(boxes, [link for link in links if link.source != link.target])
    numbers = {id: number for number, column in enumerate(ids) for id in column}
    links = _links(diagram, numbers)
    boxes = _boxes(diagram, links)
    columns: list[list[Item]] = [[boxes[id] for id in column] for column in ids]
    nets = _nets(links, boxes, numbers)
    for net in nets:
        for number, item in net.pass_through().items():
            # In the middle: there it stays among those with which it has a neighbour in common.
            columns[number].insert(len(columns[number]) // 2, item)
    arrange(columns)
    for column in columns:
        # What is connected to nothing would only be in the way.
        column.sort(key=lambda item: not item.terminals)
    place(columns)
    permute(columns)
    place(columns)
    width, frame = _spread(columns, nets)
    inner = [link for link in links if link.source == link.target]
    return Layout(
        tuple(boxes.values()),
        (*_outer_routes(nets), *_inner_routes(inner, boxes, len(nets))),
        width,
        max((item.y + item.height for column in columns for item in column), default=0),
        frame,
        _bands(boxes.values()),
    )


def _links(diagram: Diagram, numbers: Mapping[str, int]) -> list[Link]:
    """Return the edges; without the numbers of columns, all lead to the right."""
    owners = diagram.owners()
    links = []
    for edge in diagram.edges:
        source, target = owners[edge.source].id, owners[edge.target].id
        # What reads metrics reads them everywhere: one line of its own leads around the boxes to all that it scrapes.
        backwards = numbers.get(source, 0) > numbers.get(target, 0) and edge.style is not Style.SCRAPES
        end = edge.source if edge.style in _SHARE_SOURCE else edge.target
        key = (edge.style, edge.target) if source == target else (edge.style, end, backwards)
        links.append(Link(edge, source, target, backwards, key))
    return links


def _boxes(diagram: Diagram, links: Sequence[Link]) -> dict[str, Box]:
    """Return the boxes, as high as the lines at their sides make them."""
    left: dict[str, dict[Hashable, None]] = defaultdict(dict)
    right: dict[str, dict[Hashable, None]] = defaultdict(dict)
    inner: dict[str, set[Hashable]] = defaultdict(set)
    for link in links:
        within = link.source == link.target
        (left if link.backwards else right)[link.edge.source][link.key] = None
        (right if link.backwards or within else left)[link.edge.target][link.key] = None
        if within:
            inner[link.source].add(link.key)
    return {node.id: box(node, left, right, len(inner[node.id])) for node in diagram.nodes}


def _nets(links: Sequence[Link], boxes: Mapping[str, Box], numbers: Mapping[str, int]) -> list[Net]:
    """Return the lines between boxes."""
    nets: dict[Hashable, Net] = {}

    def touch(node: str, part: str, link: Link, *, right: bool) -> Terminal:
        offset = (boxes[node].right if right else boxes[node].left)[part, link.key]
        gutter = numbers[node] if right else numbers[node] - 1
        return nets.setdefault(link.key, Net()).touch(boxes[node], offset, gutter, leftmost=right, part=part)

    for link in links:
        if link.source != link.target:
            begin = touch(link.source, link.edge.source, link, right=not link.backwards)
            end = touch(link.target, link.edge.target, link, right=link.backwards)
            nets[link.key].edges.append((link.edge, begin, end))
    return [*nets.values()]


def _spread(columns: Sequence[Sequence[Item]], nets: Sequence[Net]) -> tuple[float, tuple[float, float]]:
    """Give every box and every vertical line its place from left to right; return the width and the frame's edges."""
    x = left = right = 0.0
    for number, column in enumerate(columns):
        members = [item for item in column if isinstance(item, Box)]
        width = max((member.width for member in members), default=0)
        for member in members:
            member.x, member.width = x, width
        x += width
        if number == len(columns) - 1:
            break
        first, last = number == 0, number == len(columns) - 2
        used = [net for net in nets if number in net.terminals]
        if first:
            # The frame stands beside those who are outside, so that all lines turn inside of it.
            left = x = x + OUTSIDE if members else x
        if used:
            turning = [(net, line) for net in used if (line := net.line(number)).bends]
            tracks = assign_tracks([line for _, line in turning])
            for (net, _), track in zip(turning, tracks, strict=True):
                net.tracks[number] = x + BEFORE + track * TRACK
            x += BEFORE + max(tracks, default=0) * TRACK + BEHIND
        elif not first and not last:
            x += BEFORE + BEHIND
        if first and not used:
            left -= FRAME
        if last:
            right = x if used else x + FRAME
            x = right + OUTSIDE if columns[-1] else x
    return x, (left, right)


def _bands(boxes: Iterable[Box]) -> tuple[tuple[float, float], ...]:
    layers: dict[int, list[Box]] = defaultdict(list)
    for each in boxes:
        if each.node.layer is not None:
            layers[each.node.layer].append(each)
    return tuple(
        (min(each.x for each in layer), max(each.x + each.width for each in layer))
        for _, layer in sorted(layers.items())
    )


def _outer_routes(nets: Sequence[Net]) -> Iterator[Route]:
    """Yield the edges between boxes: from gutter to gutter, with a turn where the next height is another one."""
    for number, net in enumerate(nets):
        for edge, source, target in net.edges:
            step = 1 if source.gutter <= target.gutter else -1
            y = source.y
            points = [(_side(source), float(y))]
            for gutter in range(source.gutter, target.gutter + step, step):
                following = target.y if gutter == target.gutter else net.passing[gutter + (step > 0)].y
                if following != y:
                    points += [(net.tracks[gutter], y), (net.tracks[gutter], following)]
                y = following
            yield Route(edge, (*points, (_side(target), y)), number)


def _side(terminal: Terminal) -> float:
    """Return the edge of what a line touches."""
    assert isinstance(terminal.item, Box)
    left, right = terminal.item.sides(terminal.part)
    return right if terminal.leftmost else left


def _inner_routes(links: Sequence[Link], boxes: Mapping[str, Box], number: int) -> Iterator[Route]:
    """Yield the edges within a box: out of a section at its right, and back into another one's row."""
    nets: dict[str, dict[Hashable, list[Edge]]] = {id: defaultdict(list) for id in boxes}
    for link in links:
        nets[link.source][link.key].append(link.edge)
    for id, groups in nets.items():
        heights = [
            tuple(boxes[id].y + boxes[id].right[part, key] for part in (edges[0].target, *(e.source for e in edges)))
            for key, edges in groups.items()
        ]
        tracks = assign_tracks([Line(ys, ()) for ys in heights])
        for edges, (end, *begins), track in zip(groups.values(), heights, tracks, strict=True):
            _, side = boxes[id].sides(edges[0].target)
            x = side + INSET + track * INNER_TRACK
            for edge, begin in zip(edges, begins, strict=True):
                yield Route(edge, ((side, begin), (x, begin), (x, end), (side, end)), number)
            number += 1

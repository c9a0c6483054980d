"""Lays a diagram out: boxes in columns, lines with right angles in the gutters between them.

The steps are those of Sugiyama's method: columns from the longest paths, an order within each that avoids crossings,
heights that keep lines straight, and then a track in a gutter for each vertical part of a line.

No library does this for us: none in pure Python lays out boxes with rows that lines end at, and routes these at right
angles. Graphviz and elkjs, which do, need more than Python when they run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.draw.boxes import INNER_TRACK, INSET, Box, box
from constructs_lib.draw.columns import assign_columns
from constructs_lib.draw.diagram import Diagram, Edge, Node, Style
from constructs_lib.draw.nets import Item, Net, Terminal, by_gutter
from constructs_lib.draw.ordering import arrange
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
    owners = diagram.owners()
    # How high a box is depends on the lines at its sides, those on its column, and that a little on its height.
    boxes = _boxes(diagram, {})
    ends = [
        (boxes[owners[edge.source].id], boxes[owners[edge.target].id], edge)
        for edge in diagram.edges
        if owners[edge.source] is not owners[edge.target]
    ]
    ids = [[box.node.id for box in column] for column in assign_columns([*boxes.values()], ends)]
    numbers = {id: number for number, column in enumerate(ids) for id in column}
    boxes = _boxes(diagram, numbers)
    columns = [[Item(boxes[id].height, boxes[id]) for id in column] for column in ids]
    nets = _nets(diagram, columns, numbers)
    for net in nets.values():
        net.pass_through()
        for number, item in net.passing.items():
            # In the middle: there it stays among those with which it has a neighbour in common.
            columns[number].insert(len(columns[number]) // 2, item)
    arrange(columns)
    for column in columns:
        # What is connected to nothing would only be in the way.
        column.sort(key=lambda item: not item.terminals)
    place(columns)
    permute(columns)
    place(columns)
    for item in (item for column in columns for item in column):
        if item.box:
            item.box.y = item.y
    return _routed(diagram, [*boxes.values()], columns, [*nets.values()])


def _key(edge: Edge, numbers: Mapping[str, int], owners: Mapping[str, Node]) -> Hashable:
    """Return what all edges have in common that share a line."""
    source, target = owners[edge.source].id, owners[edge.target].id
    if source == target:
        return edge.style, edge.target
    end = edge.source if edge.style in _SHARE_SOURCE else edge.target
    return edge.style, end, _is_backwards(edge, numbers.get(source, 0), numbers.get(target, 0))


def _is_backwards(edge: Edge, source: int, target: int) -> bool:
    """Tell whether an edge leaves at the left and arrives at the right.

    What reads metrics reads them everywhere: one line of its own leads around the boxes to all that it scrapes.
    """
    return source > target and edge.style is not Style.SCRAPES


def _boxes(diagram: Diagram, numbers: Mapping[str, int]) -> dict[str, Box]:
    """Return the boxes, as high as the lines at their sides make them; without columns, all lead to the right."""
    owners = diagram.owners()
    left: dict[str, dict[Hashable, None]] = defaultdict(dict)
    right: dict[str, dict[Hashable, None]] = defaultdict(dict)
    inner: dict[str, set[Hashable]] = defaultdict(set)
    for edge in diagram.edges:
        source, target = owners[edge.source].id, owners[edge.target].id
        key = _key(edge, numbers, owners)
        backwards = _is_backwards(edge, numbers.get(source, 0), numbers.get(target, 0))
        (left if backwards else right)[edge.source][key] = None
        (right if backwards or source == target else left)[edge.target][key] = None
        if source == target:
            inner[source].add(key)
    return {node.id: box(node, left, right, len(inner[node.id])) for node in diagram.nodes}


def _nets(diagram: Diagram, columns: Sequence[Sequence[Item]], numbers: Mapping[str, int]) -> dict[Hashable, Net]:
    """Return the lines between boxes."""
    owners = diagram.owners()
    items = {item.box.node.id: item for column in columns for item in column if item.box}
    nets: dict[Hashable, Net] = {}
    for edge in diagram.edges:
        source, target = items[owners[edge.source].id], items[owners[edge.target].id]
        if source is target or source.box is None or target.box is None:
            continue
        key = _key(edge, numbers, owners)
        net = nets.setdefault(key, Net())
        first, last = numbers[source.box.node.id], numbers[target.box.node.id]
        forwards = not _is_backwards(edge, first, last)
        begin = (source.box.right if forwards else source.box.left)[edge.source, key]
        end = (target.box.left if forwards else target.box.right)[edge.target, key]
        net.edges.append(
            (
                edge,
                net.touch(source, begin, first - (not forwards), leftmost=forwards, part=edge.source),
                net.touch(target, end, last - forwards, leftmost=not forwards, part=edge.target),
            )
        )
    return nets


def _routed(diagram: Diagram, boxes: Sequence[Box], columns: Sequence[Sequence[Item]], nets: Sequence[Net]) -> Layout:
    """Give everything its place from left to right, and the lines their corners."""
    used = by_gutter(nets, len(columns) - 1)
    x = 0.0
    left = right = 0.0
    for number, column in enumerate(columns):
        members = [item.box for item in column if item.box]
        width = max((member.width for member in members), default=0)
        for member in members:
            member.x, member.width = x, width
        x += width
        if number == len(columns) - 1:
            break
        first, last = number == 0, number == len(columns) - 2
        crossed = [*_turning(used[number], number)]
        tracks = assign_tracks([line for _, line in crossed])
        if first:
            # The frame stands beside those who are outside, so that all lines turn inside of it.
            left = x = x + OUTSIDE if members else x
        if used[number]:
            for (net, _), track in zip(crossed, tracks, strict=True):
                net.tracks[number] = x + BEFORE + track * TRACK
            x += BEFORE + max(tracks, default=0) * TRACK + BEHIND
        elif not first and not last:
            x += BEFORE + BEHIND
        if first and not used[number]:
            left -= FRAME
        if last:
            right = x if used[number] else x + FRAME
            x = right + OUTSIDE if columns[-1] else x
    routes = [*_outer_routes(nets)]
    routes += _inner_routes(diagram, boxes, len(nets))
    layers: dict[int, list[Box]] = defaultdict(list)
    for each in boxes:
        if each.node.layer is not None:
            layers[each.node.layer].append(each)
    return Layout(
        tuple(boxes),
        tuple(routes),
        x,
        max((item.y + item.height for column in columns for item in column), default=0),
        (left, right),
        tuple(
            (min(each.x for each in layer), max(each.x + each.width for each in layer))
            for _, layer in sorted(layers.items())
        ),
    )


def _turning(nets: Sequence[Net], gutter: int) -> Iterator[tuple[Net, Line]]:
    """Yield the nets that have a vertical line in a gutter."""
    for net in nets:
        terminals = net.terminals[gutter]
        line = Line(
            tuple(terminal.y for terminal in terminals if terminal.leftmost),
            tuple(terminal.y for terminal in terminals if not terminal.leftmost),
        )
        top, bottom = line.span
        if top != bottom:
            yield net, line


def _outer_routes(nets: Sequence[Net]) -> Iterator[Route]:
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
    if terminal.item.box is None:
        raise ValueError("a line ends at a box")
    left, right = sides(terminal.item.box, terminal.part)
    return right if terminal.leftmost else left


def sides(box: Box, part: str) -> tuple[float, float]:
    """Return the left and the right edge of a part of a box."""
    if part == box.node.id:
        return box.x, box.x + box.width
    return box.x + INSET, box.x + box.width - INSET - box.inner * INNER_TRACK


def _inner_routes(diagram: Diagram, boxes: Sequence[Box], number: int) -> Iterator[Route]:
    """Yield the edges within a box: out of a section at its right, and back into another one's row."""
    owners = diagram.owners()
    inner: dict[str, dict[Hashable, list[Edge]]] = defaultdict(lambda: defaultdict(list))
    for edge in diagram.edges:
        if owners[edge.source] is owners[edge.target]:
            inner[owners[edge.source].id][_key(edge, {}, owners)].append(edge)
    for each in boxes:
        groups = inner[each.node.id]
        heights = [
            tuple(each.y + each.right[part, key] for part in (edges[0].target, *(edge.source for edge in edges)))
            for key, edges in groups.items()
        ]
        tracks = assign_tracks([Line(ys, ()) for ys in heights])
        for edges, (end, *begins), track in zip(groups.values(), heights, tracks, strict=True):
            _, side = sides(each, edges[0].target)
            x = side + INSET + track * INNER_TRACK
            for edge, begin in zip(edges, begins, strict=True):
                yield Route(edge, ((side, begin), (x, begin), (x, end), (side, end)), number)
            number += 1

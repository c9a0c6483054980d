"""Lays a diagram out: boxes in columns, lines with right angles in the gutters between them.

The steps are those of Sugiyama's method: columns from the longest paths, an order within each that avoids crossings,
heights that keep lines straight, and then a track in a gutter for each vertical part of a line.

No library does this for us: none in pure Python lays out boxes with rows that lines end at, and routes these at right
angles. Graphviz and elkjs, which do, need more than Python when they run.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.draw.arrangement import arrange, permute, place
from constructs_lib.draw.boxes import INNER_TRACK, INSET, Box
from constructs_lib.draw.columns import assign_columns
from constructs_lib.draw.diagram import Diagram, Edge, Style
from constructs_lib.draw.nets import BEFORE, BEHIND, TRACK, Item, Link, Net, Terminal, assign_tracks

#: Styles of which all edges with the same source share a line; of the others, those with the same target do.
_SHARE_SOURCE = frozenset({Style.SCRAPES, Style.PRECEDES})
#: Space between the frame around all and what is in it.
FRAME = 20
#: Space between that frame and who is outside.
OUTSIDE = 28

Point = tuple[float, float]


@dataclass(frozen=True)
class Route:
    """An edge with the points at which it begins, turns and ends."""

    edge: Edge
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Layout:
    """Where everything is, with the left and right edges of the frame and of the bands; all boxes begin at (0, 0)."""

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    width: float
    height: float
    frame: tuple[float, float]
    bands: tuple[tuple[float, float], ...]


def lay_out(diagram: Diagram) -> Layout:
    """Return where everything of a diagram is."""
    # How high a box is depends on the lines at its sides, those on its column, and that a little on its height.
    boxes, links = _measured(diagram, {})
    ids = assign_columns(boxes, links)
    boxes, links = _measured(diagram, {id: number for number, column in enumerate(ids) for id in column})
    columns: list[list[Item]] = [[boxes[id] for id in column] for column in ids]
    nets = _nets(links, boxes)
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
    layers = [[box for box in boxes.values() if box.node.layer == number] for number in range(len(diagram.bands))]
    return Layout(
        tuple(boxes.values()),
        (*_outer_routes(nets), *_inner_routes(boxes.values())),
        width,
        max((item.y + item.height for column in columns for item in column), default=0),
        frame,
        tuple((min(box.x for box in layer), max(box.x + box.width for box in layer)) for layer in layers),
    )


def _measured(diagram: Diagram, columns: Mapping[str, int]) -> tuple[dict[str, Box], list[Link]]:
    """Return the boxes, as high as the lines at their sides make them, and the edges between them.

    Without the numbers of columns, all edges lead to the right.
    """
    owners = diagram.owners()
    links: list[Link] = []
    touching: dict[tuple[str, bool], dict[Hashable, None]] = defaultdict(dict)
    inner: dict[str, dict[Hashable, list[Edge]]] = {node.id: defaultdict(list) for node in diagram.nodes}
    for edge in diagram.edges:
        source, target = owners[edge.source].id, owners[edge.target].id
        # What reads metrics reads them everywhere: one line of its own leads around the boxes to all that it scrapes.
        backwards = columns.get(source, 0) > columns.get(target, 0) and edge.style is not Style.SCRAPES
        net: Hashable = edge.style, edge.source if edge.style in _SHARE_SOURCE else edge.target, backwards
        if source == target:
            net = edge.style, edge.target
            inner[source][net].append(edge)
        else:
            links.append(Link(edge, source, target, backwards, net))
        touching[edge.source, not backwards][net] = None
        touching[edge.target, backwards or source == target][net] = None
    return {node.id: Box(columns.get(node.id, 0), node, touching, inner[node.id]) for node in diagram.nodes}, links


def _nets(links: Iterable[Link], boxes: Mapping[str, Box]) -> list[Net]:
    """Return the lines between boxes."""
    nets: dict[Hashable, Net] = {}
    for link in links:
        net = nets.setdefault(link.net, Net(link.net))
        begin = net.touch(boxes[link.source], link.edge.source, leftmost=not link.backwards)
        end = net.touch(boxes[link.target], link.edge.target, leftmost=link.backwards)
        net.edges.append((link.edge, begin, end))
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
        if first:
            # The frame stands beside those who are outside, so that all lines turn inside of it.
            left = x = x + OUTSIDE if members else x
        used = [(net, net.line(number)) for net in nets if number in net.terminals]
        turning = [(net, line) for net, line in used if len({*line[0], *line[1]}) > 1]
        tracks = assign_tracks([line for _, line in turning])
        for (net, _), track in zip(turning, tracks, strict=True):
            net.tracks[number] = x + BEFORE + track * TRACK
        if used or not (first or last):
            x += BEFORE + max(tracks, default=0) * TRACK + BEHIND
        if first and not used:
            left -= FRAME
        if last:
            right = x if used else x + FRAME
            x = right + OUTSIDE if columns[-1] else x
    return x, (left, right)


def _outer_routes(nets: Iterable[Net]) -> Iterator[Route]:
    """Yield the edges between boxes: from gutter to gutter, with a turn where the next height is another one."""
    for net in nets:
        for edge, source, target in net.edges:
            step = 1 if source.gutter <= target.gutter else -1
            y = source.y
            points = [(_side(source), y)]
            for gutter in range(source.gutter, target.gutter + step, step):
                following = target.y if gutter == target.gutter else net.passing[gutter + (step > 0)].y
                if following != y:
                    points += [(net.tracks[gutter], y), (net.tracks[gutter], following)]
                y = following
            yield Route(edge, (*points, (_side(target), y)))


def _side(terminal: Terminal) -> float:
    """Return the edge of what a line touches."""
    assert isinstance(terminal.item, Box)
    left, right = terminal.item.sides(terminal.part)
    return right if terminal.leftmost else left


def _inner_routes(boxes: Iterable[Box]) -> Iterator[Route]:
    """Yield the edges within a box: out of a section at its right, and back into another one's row."""
    for box in boxes:
        heights = [
            tuple(box.y + box.offsets[part, True, net] for part in (edges[0].target, *(e.source for e in edges)))
            for net, edges in box.inner.items()
        ]
        tracks = assign_tracks([(ys, ()) for ys in heights])
        for edges, (end, *begins), track in zip(box.inner.values(), heights, tracks, strict=True):
            _, side = box.sides(edges[0].target)
            x = side + INSET + track * INNER_TRACK
            for edge, begin in zip(edges, begins, strict=True):
                yield Route(edge, ((side, begin), (x, begin), (x, end), (side, end)))

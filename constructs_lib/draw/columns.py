"""Which box stands in which column.

Columns follow from the longest path of edges that lead to a box. A column that would be much higher than the picture
is wide is split into several: boxes of one column have no edges between them, so nothing is lost by it, and the
picture keeps the shape of a page.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from constructs_lib.chains import longest_chains
from constructs_lib.draw.boxes import GRID, Box
from constructs_lib.draw.diagram import Side, Style
from constructs_lib.draw.nets import Link

#: Width of a picture in relation to its height that is aimed at.
_ASPECT = 1.5
#: Typical width of the space between two columns.
_GUTTER = 90


def assign_columns(boxes: Mapping[str, Box], links: Sequence[Link]) -> list[list[str]]:
    """Return the ids of the boxes of each column; those before and behind the boundary are there even if empty."""
    by_side = {side: [id for id, box in boxes.items() if box.node.side is side] for side in Side}
    inside = by_side[Side.INSIDE]
    among = [link for link in links if boxes[link.source].node.side is boxes[link.target].node.side is Side.INSIDE]
    layers = _layers({id: boxes[id] for id in inside}, among)
    pairs = {(link.source, link.target) for link in among}
    flow = Counter(source for source, _ in pairs)
    flow.subtract(target for _, target in pairs)
    for id in {link.target for link in links if boxes[link.source].node.side is Side.BEFORE}:
        flow[id] -= len(links)
    heights = {id: boxes[id].height + 2 * GRID for id in inside}
    area = sum((boxes[id].width + _GUTTER) * heights[id] for id in inside)
    height = max([math.sqrt(area / _ASPECT), *(boxes[id].height for id in inside)])
    touched = {id for link in links for id in (link.source, link.target)}
    connected = sorted((id for id in inside if id in touched), key=lambda id: layers[id])
    columns: list[list[str]] = []
    for _, group in groupby(connected, lambda id: layers[id]):
        # Who calls more than it is called stands further left from what it calls.
        columns += _split(sorted(group, key=lambda id: flow[id]), heights, height)
    # What has no edges fills the columns that are short.
    for id in inside:
        if id not in touched:
            shortest = min(columns, key=lambda column: sum(heights[other] for other in column), default=None)
            if shortest is None or sum(heights[other] for other in shortest) + boxes[id].height > height:
                columns.append(shortest := [])
            shortest.append(id)
    return [by_side[Side.BEFORE], *columns, by_side[Side.BEHIND]]


def _split(column: Sequence[str], heights: Mapping[str, int], height: float) -> list[list[str]]:
    total = sum(heights[id] for id in column)
    count = round(total / height)
    parts: list[list[str]] = [[]]
    for id in column:
        if parts[-1] and len(parts) < count and sum(heights[other] for other in (*parts[-1], id)) > total / count * 1.1:
            parts.append([])
        parts[-1].append(id)
    return parts


def _layers(boxes: Mapping[str, Box], links: Sequence[Link]) -> Mapping[str, int]:
    fixed = {id: box.node.layer for id, box in boxes.items() if box.node.layer is not None}
    if len(fixed) == len(boxes):
        return fixed
    before: dict[str, list[str]] = {id: [] for id in boxes}
    for link in links:
        if link.edge.style not in (Style.LATER, Style.SCRAPES):
            before[link.target].append(link.source)
    # Edges that may be cyclic bend to the order of the others, and among each other to that of the declaration.
    levels = longest_chains(before)
    rank = {id: number for number, id in enumerate(sorted(before, key=lambda id: levels[id]))}
    for link in links:
        if link.edge.style is Style.LATER:
            first, second = sorted((link.source, link.target), key=lambda id: rank[id])
            before[second].append(first)
    layers = longest_chains(before)
    # What nobody calls stands beside what it calls, so that its edges are short.
    called = {link.target for link in links if link.edge.style is not Style.SCRAPES}
    after: dict[str, list[int]] = {id: [] for id in layers}
    for link in links:
        after[link.source].append(layers[link.target])
    return {
        id: max(0, min(after[id]) - 1) if id not in called and after[id] and not before[id] else layer
        for id, layer in layers.items()
    }

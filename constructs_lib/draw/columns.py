"""Which box stands in which column.

Columns follow from the longest path of edges that lead to a box. A column that would be much higher than the picture
is wide is split into several: boxes of one column have no edges between them, so nothing is lost by it, and the
picture keeps the shape of a page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from constructs_lib.derive.graph import longest_chains
from constructs_lib.draw.boxes import GRID, Box
from constructs_lib.draw.diagram import Edge, Side, Style

#: Width of a picture in relation to its height that is aimed at.
_ASPECT = 1.5
#: Typical width of the space between two columns.
_GUTTER = 90


def assign_columns(boxes: Sequence[Box], edges: Sequence[tuple[Box, Box, Edge]]) -> list[list[Box]]:
    """Put every box into a column.

    Args:
        boxes: The boxes.
        edges: The edges, each with the boxes at its ends, which differ.

    Returns:
        The boxes of each column. The columns before and behind the boundary are there even if they are empty.
    """
    inside = [box for box in boxes if box.node.side is Side.INSIDE]
    pairs = {
        (source.node.id, target.node.id): (source, target, edge)
        for source, target, edge in reversed(edges)
        if source.node.side is target.node.side is Side.INSIDE
    }
    layers = _layers(inside, [*reversed(pairs.values())])
    touched = {box.node.id for source, target, _ in edges for box in (source, target)}
    entered = {target.node.id for source, target, _ in edges if source.node.side is Side.BEFORE}
    flow = dict.fromkeys((box.node.id for box in inside), 0)
    for source, target in pairs:
        flow[source] += 1
        flow[target] -= 1
    for id in entered:
        flow[id] -= len(edges)
    area = sum((box.width + _GUTTER) * (box.height + 2 * GRID) for box in inside)
    height = max([math.sqrt(area / _ASPECT), *(box.height for box in inside)])
    connected = [box for box in inside if box.node.id in touched]
    columns: list[list[Box]] = []
    for _, group in groupby(sorted(connected, key=lambda box: layers[box.node.id]), lambda box: layers[box.node.id]):
        # Who calls more than it is called stands further left from what it calls.
        columns += _split(sorted(group, key=lambda box: flow[box.node.id]), height)
    # What has no edges fills the columns that are short.
    for box in inside:
        if box.node.id not in touched:
            shortest = min(columns, key=_height, default=None)
            if shortest is None or _height(shortest) + box.height > height:
                columns.append(shortest := [])
            shortest.append(box)
    columns.insert(0, [box for box in boxes if box.node.side is Side.BEFORE])
    columns.append([box for box in boxes if box.node.side is Side.BEHIND])
    return columns


def _height(column: Sequence[Box]) -> int:
    return sum(box.height + 2 * GRID for box in column)


def _split(column: list[Box], height: float) -> list[list[Box]]:
    count = round(_height(column) / height)
    if count < 2:
        return [column]
    target = _height(column) / count
    parts: list[list[Box]] = [[]]
    for box in column:
        if parts[-1] and _height([*parts[-1], box]) > target * 1.1 and len(parts) < count:
            parts.append([])
        parts[-1].append(box)
    return parts


def _layers(boxes: Sequence[Box], edges: Sequence[tuple[Box, Box, Edge]]) -> Mapping[str, int]:
    fixed = {box.node.id: box.node.layer for box in boxes if box.node.layer is not None}
    if len(fixed) == len(boxes):
        return fixed
    before: dict[str, list[str]] = {box.node.id: [] for box in boxes}
    for source, target, edge in edges:
        if edge.style not in (Style.LATER, Style.SCRAPES):
            before[target.node.id].append(source.node.id)
    # Edges that may be cyclic bend to the order of the others, and among each other to that of the declaration.
    levels, _ = longest_chains(before)
    rank = {id: number for number, id in enumerate(sorted(before, key=lambda id: levels[id]))}
    for source, target, edge in edges:
        if edge.style is Style.LATER:
            first, second = sorted((source.node.id, target.node.id), key=lambda id: rank[id])
            before[second].append(first)
    layers, _ = longest_chains(before)
    return _pulled(layers, before, edges)


def _pulled(
    layers: dict[str, int], before: Mapping[str, Sequence[str]], edges: Sequence[tuple[Box, Box, Edge]]
) -> dict[str, int]:
    """Move what nobody calls beside what it calls, so that its edges are short."""
    called = {target.node.id for _, target, edge in edges if edge.style is not Style.SCRAPES}
    after: dict[str, list[int]] = {id: [] for id in layers}
    for source, target, _ in edges:
        after[source.node.id].append(layers[target.node.id])
    return {
        id: max(0, min(after[id]) - 1) if id not in called and after[id] and not before[id] else layer
        for id, layer in layers.items()
    }

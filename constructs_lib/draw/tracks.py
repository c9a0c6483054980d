"""Where the vertical part of every line is, in the gutters between columns.

Those that overlap get tracks of their own, in an order in which few of them cross what leads to the others.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

#: Distance of two tracks, and of the first and the last to the boxes; the arrow heads need room at the right.
TRACK, BEFORE, BEHIND = 10, 16, 20
#: Least distance of two lines in one track.
_GAP = 8


#: The heights at which something leads to the left and to the right of a vertical line.
Line = tuple[Sequence[float], Sequence[float]]


def assign_tracks(lines: Sequence[Line]) -> list[int]:
    """Return the number of the track of each line of a gutter, from the left."""
    spans = [(min(*left, *right), max(*left, *right)) for left, right in lines]
    lefts, rights = ([sorted(line[side]) for line in lines] for side in (0, 1))

    def crossings(first: int, second: int) -> int:
        """Count how often two lines cross if the first is left of the second."""
        (top, bottom), (other_top, other_bottom) = spans[first], spans[second]
        return (
            bisect_left(rights[first], other_bottom)
            - bisect_right(rights[first], other_top)
            + bisect_left(lefts[second], bottom)
            - bisect_right(lefts[second], top)
        )

    def overlap(one: int, other: int) -> bool:
        return spans[one][0] < spans[other][1] + _GAP and spans[other][0] < spans[one][1] + _GAP

    order: list[int] = []
    for line in sorted(range(len(lines)), key=lambda number: spans[number]):
        # From the right end to the left: what changes with every line that it passes.
        best, least, change = len(order), 0, 0
        for place in range(len(order) - 1, -1, -1):
            other = order[place]
            if overlap(line, other):
                change += crossings(line, other) - crossings(other, line)
                if change < least:
                    best, least = place, change
        order.insert(best, line)
    tracks = [0] * len(lines)
    for number, line in enumerate(order):
        tracks[line] = max((tracks[other] + 1 for other in order[:number] if overlap(line, other)), default=0)
    return tracks

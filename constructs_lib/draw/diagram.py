"""A picture as data: nodes with sections and rows, edges between them. Knows nothing of how it is output."""

from dataclasses import dataclass
from enum import StrEnum

from constructs_lib.declare.role import Role


class Style(StrEnum):
    """What an edge means; it decides the stroke."""

    REACHES = "reaches"
    NEEDS = "needs"
    LATER = "later"
    SCRAPES = "scrapes"
    PRECEDES = "precedes"


#: How a legend explains colours and strokes, in its order.
MEANINGS: dict[Role | Style, str] = {
    Role.PLATFORM: "infrastructure",
    Role.MESSAGING: "messaging",
    Role.STORE: "data store",
    Role.SERVICE: "service",
    Role.ENTRY: "entry point",
    Role.OUTSIDE: "outside of the system",
    Style.REACHES: "over the boundary of the cluster",
    Style.NEEDS: "calls, and starts after it",
    Style.LATER: "calls, in any order",
    Style.SCRAPES: "reads metrics",
    Style.PRECEDES: "must be healthy before",
}


class Side(StrEnum):
    """Where a node stands: inside of the boundary, or before or behind it."""

    BEFORE = "before"
    INSIDE = "inside"
    BEHIND = "behind"


@dataclass(frozen=True)
class Row:
    """Something within a section at which edges may end: an endpoint, with its port and what else there is to say."""

    id: str
    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a node: a workload, with lines of text below its title and then its endpoints."""

    id: str
    title: str
    kind: str
    role: Role
    facts: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Node:
    """A box: a component, or somebody outside of the cluster. Its layer follows from the edges where none is given."""

    id: str
    title: str
    role: Role
    facts: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    side: Side = Side.INSIDE
    layer: int | None = None


@dataclass(frozen=True)
class Edge:
    """An arrow from a node or section to a node, section or row, by their ids; its meaning in words names both."""

    source: str
    target: str
    style: Style
    meaning: str


@dataclass(frozen=True)
class Diagram:
    """A picture, in which every id is unique, with a description for those who cannot see it.

    The boundary is the title of a frame around all nodes that are inside, if there is one; bands are titles of layers.
    """

    title: str
    description: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    boundary: str = ""
    bands: tuple[str, ...] = ()

    @property
    def legend(self) -> list[tuple[Role | Style, str]]:
        """The roles and styles that are in it, with what they mean."""
        used: set[Role | Style] = {edge.style for edge in self.edges}
        used |= {node.role for node in self.nodes} | {part.role for node in self.nodes for part in node.sections}
        return [(look, meaning) for look, meaning in MEANINGS.items() if look in used]

    def owners(self) -> dict[str, Node]:
        """Return the node to which each id belongs: its own, and those of its sections and rows."""
        found = {node.id: node for node in self.nodes}
        for node in self.nodes:
            for section in node.sections:
                found |= dict.fromkeys([section.id, *(row.id for row in section.rows)], node)
        return found

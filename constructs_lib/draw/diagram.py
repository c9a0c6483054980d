"""A picture as data: nodes with sections and rows, edges between them. Knows nothing of how it is output."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from constructs_lib.declare.role import Role


class Style(StrEnum):
    """What an edge means; it decides the stroke."""

    #: The target is called and must be healthy first.
    NEEDS = "needs"
    #: The target is called, and need not be there first.
    LATER = "later"
    #: Prometheus reads metrics there.
    SCRAPES = "scrapes"
    #: Traffic over the boundary of the cluster.
    REACHES = "reaches"
    #: The source must be healthy before the target is deployed.
    PRECEDES = "precedes"


class Side(StrEnum):
    """Where a node stands: inside of the boundary, or before or behind it."""

    BEFORE = "before"
    INSIDE = "inside"
    BEHIND = "behind"


@dataclass(frozen=True)
class Row:
    """Something within a section at which edges may end: an endpoint.

    Attributes:
        id: Its id, unique in the diagram.
        name: Its name.
        value: Its value, a port number.
        note: What else there is to say about it.
    """

    id: str
    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a node: a workload.

    Attributes:
        id: Its id, unique in the diagram.
        title: Its name.
        kind: What it is.
        role: What it is for.
        facts: Lines of text below the title.
        rows: What edges end at.
    """

    id: str
    title: str
    kind: str
    role: Role
    facts: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Node:
    """A box: a component, or somebody outside of the cluster.

    Attributes:
        id: Its id, unique in the diagram.
        title: Its name.
        role: What it is for.
        facts: Lines of text below the title.
        sections: Its parts.
        side: Where it stands.
        layer: Its place in the order, if that is known. Default: it follows from the edges.
    """

    id: str
    title: str
    role: Role
    facts: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    side: Side = Side.INSIDE
    layer: int | None = None


@dataclass(frozen=True)
class Edge:
    """An arrow.

    Attributes:
        source: Id of the node or section at which it begins.
        target: Id of the node, section or row at which it ends.
        style: What it means.
        meaning: The same in words, with both ends.
    """

    source: str
    target: str
    style: Style
    meaning: str


@dataclass(frozen=True)
class Diagram:
    """A picture.

    Attributes:
        title: Its title.
        description: What it shows, for those who cannot see it.
        nodes: Its boxes.
        edges: Its arrows.
        boundary: Title of the frame around all nodes that are inside; without one there is no frame.
        bands: Titles of the layers, by number.
        legend: The roles and styles that are explained below the picture, with their explanation.
    """

    title: str
    description: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    boundary: str = ""
    bands: tuple[str, ...] = ()
    legend: tuple[tuple[Role | Style, str], ...] = ()

    def roles(self) -> set[Role]:
        """Return what its nodes and sections are for."""
        return {node.role for node in self.nodes} | {part.role for node in self.nodes for part in node.sections}

    def owners(self) -> dict[str, Node]:
        """Return the node to which each id belongs: its own, and those of its sections and rows."""
        found: dict[str, Node] = {}
        for node in self.nodes:
            found[node.id] = node
            for section in node.sections:
                found[section.id] = node
                found |= {row.id: node for row in section.rows}
        return found

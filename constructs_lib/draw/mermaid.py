"""A diagram in the language of Mermaid, which Git hosts draw by themselves.

https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

from collections.abc import Iterator

from constructs_lib.declare.role import Role
from constructs_lib.draw.diagram import Diagram, Node, Section, Side, Style

#: Fill, stroke and text of each role, legible on light and on dark pages.
_COLOURS = {
    Role.PLATFORM: ("#eceff3", "#7d8590"),
    Role.MESSAGING: ("#fdf1d0", "#b58a1b"),
    Role.STORE: ("#e0f4e8", "#3a9b62"),
    Role.SERVICE: ("#e3effd", "#4b83c4"),
    Role.ENTRY: ("#fde6e4", "#cf5b5b"),
    Role.OUTSIDE: ("#f1e9fc", "#8e63ce"),
}
_INK = "#1f2328"
#: Lines of a label stay whole.
_SETTINGS = '%%{init: {"flowchart": {"wrappingWidth": 600}}}%%'
_ARROWS = {
    Style.NEEDS: "-->",
    Style.LATER: "-.->",
    Style.SCRAPES: "-.->",
    Style.REACHES: "==>",
    Style.PRECEDES: "-->",
}


def mermaid(diagram: Diagram) -> str:
    """Return a diagram as a flowchart.

    Args:
        diagram: The diagram.
    """
    names = _names(diagram)
    lines = [
        _SETTINGS,
        "flowchart LR",
        f"  accTitle: {_plain(diagram.title)}",
        f"  accDescr: {_plain(diagram.description)}",
    ]
    outside = [node for node in diagram.nodes if node.side is not Side.INSIDE]
    inside = [node for node in diagram.nodes if node.side is Side.INSIDE]
    for node in outside:
        lines += _node(node, names, "  ")
    if diagram.boundary:
        lines += [f"  subgraph boundary[{_label(diagram.boundary)}]", *_nodes(inside, names, "    "), "  end"]
    for number, title in enumerate(diagram.bands):
        band = [node for node in inside if node.layer == number]
        lines += [f"  subgraph band{number}[{_label(title)}]", *_nodes(band, names, "    "), "  end"]
    rows = {row.id: f"{row.name} {row.value}" for node in inside for part in node.sections for row in part.rows}
    for edge in diagram.edges:
        label = f"|{_label(rows[edge.target])}|" if edge.target in rows else ""
        lines.append(f"  {names[edge.source]} {_ARROWS[edge.style]}{label} {names[edge.target]}")
    lines += [
        f"  classDef {role.value} fill:{fill},stroke:{stroke},color:{_INK}"
        for role, (fill, stroke) in _COLOURS.items()
        if role in diagram.roles()
    ]
    return "\n".join([*lines, ""])


def _names(diagram: Diagram) -> dict[str, str]:
    """Return the name in the flowchart of whatever has an id: any name of Kubernetes may be a word of Mermaid's."""
    names: dict[str, str] = {}
    for number, node in enumerate(diagram.nodes):
        names[node.id] = f"n{number}"
        for place, section in enumerate(node.sections):
            names[section.id] = f"n{number}s{place}"
            # A row is no node of its own: what ends at it has its name as a label.
            names |= {row.id: f"n{number}s{place}" for row in section.rows}
    return names


def _nodes(nodes: list[Node], names: dict[str, str], indent: str) -> Iterator[str]:
    for node in nodes:
        yield from _node(node, names, indent)


def _node(node: Node, names: dict[str, str], indent: str) -> Iterator[str]:
    name = names[node.id]
    if not node.sections:
        yield f"{indent}{name}[{_label(node.title, *node.facts)}]:::{node.role.value}"
        return
    yield f"{indent}subgraph {name}[{_group(node)}]"
    for section in node.sections:
        yield f"{indent}  {names[section.id]}[{_section(section)}]:::{section.role.value}"
    yield f"{indent}end"


def _group(node: Node) -> str:
    """Return the title of a group: short, because Mermaid breaks it at 200 pixels and hides its second line."""
    said = {*(section.title for section in node.sections), *" ".join(node.facts).split()}
    return _label(" · ".join((*(() if node.title in said else (node.title,)), *node.facts)))


def _section(section: Section) -> str:
    rows = [" ".join(filter(None, (row.name, row.value, row.note and f"({row.note})"))) for row in section.rows]
    return _label(f"{section.title} · {section.kind}", *section.facts, *rows)


def _label(*lines: str) -> str:
    return f'"{"<br/>".join(_escaped(line) for line in lines)}"'


def _escaped(text: str) -> str:
    """Return a text in which nothing means anything to Mermaid, HTML or Markdown."""
    return "".join(
        character if character.isalnum() or character in " -–→·.,:()/+" else f"#{ord(character)};" for character in text
    )


def _plain(text: str) -> str:
    """Return a text for one line of a description, which has no way to escape anything."""
    return " ".join(text.replace(";", ",").split())

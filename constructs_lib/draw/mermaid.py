"""A diagram in the language of Mermaid, which Git hosts draw by themselves.

https://mermaid.js.org/syntax/flowchart.html
"""

import re
from collections.abc import Iterator

from constructs_lib.draw.diagram import Diagram, Node, Side, Style
from constructs_lib.draw.svg import CSS

#: Lines of a label stay whole.
_SETTINGS = '%%{init: {"flowchart": {"wrappingWidth": 600}}}%%'
_ARROWS = {Style.NEEDS: "-->", Style.LATER: "-.->", Style.SCRAPES: "-.->", Style.REACHES: "==>", Style.PRECEDES: "-->"}


def mermaid(diagram: Diagram) -> str:
    """Return a diagram as a flowchart."""
    return "\n".join([*_lines(diagram), ""])


def _lines(diagram: Diagram) -> Iterator[str]:
    names = _names(diagram)
    yield from (_SETTINGS, "flowchart LR")
    yield from (f"  accTitle: {_plain(diagram.title)}", f"  accDescr: {_plain(diagram.description)}")
    inside = [node for node in diagram.nodes if node.side is Side.INSIDE]
    for node in diagram.nodes:
        if node.side is not Side.INSIDE:
            yield from _node(node, names, "  ")
    groups = [("boundary", diagram.boundary, inside)] if diagram.boundary else []
    for number, title in enumerate(diagram.bands):
        groups.append((f"band{number}", title, [node for node in inside if node.layer == number]))
    for name, title, nodes in groups:
        yield f"  subgraph {name}[{_label(title)}]"
        for node in nodes:
            yield from _node(node, names, "    ")
        yield "  end"
    rows = {row.id: f"{row.name} {row.value}" for node in inside for part in node.sections for row in part.rows}
    for edge in diagram.edges:
        label = f"|{_label(rows[edge.target])}|" if edge.target in rows else ""
        yield f"  {names[edge.source]} {_ARROWS[edge.style]}{label} {names[edge.target]}"
    # The colours of light pages, which are legible on dark ones as well.
    light, _, _ = CSS.read_text().partition("@media")
    used = dict(diagram.legend).keys()
    for role, fill, stroke in re.findall(r"^\.(\w+) { fill: (#\w+); stroke: (#\w+) }", light, re.MULTILINE):
        if role in used:
            yield f"  classDef {role} fill:{fill},stroke:{stroke},color:#1f2328"


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


def _node(node: Node, names: dict[str, str], indent: str) -> Iterator[str]:
    name = names[node.id]
    if not node.sections:
        yield f"{indent}{name}[{_label(node.title, *node.facts)}]:::{node.role}"
        return
    # Short, because Mermaid breaks the title of a group at 200 pixels and hides its second line.
    said = {*(section.title for section in node.sections), *" ".join(node.facts).split()}
    title = _label(" · ".join(node.facts if node.title in said else (node.title, *node.facts)))
    yield f"{indent}subgraph {name}[{title}]"
    for section in node.sections:
        rows = [" ".join(filter(None, (row.name, row.value, row.note and f"({row.note})"))) for row in section.rows]
        label = _label(f"{section.title} · {section.kind}", *section.facts, *rows)
        yield f"{indent}  {names[section.id]}[{label}]:::{section.role}"
    yield f"{indent}end"


def _label(*lines: str) -> str:
    """Return lines of text as a label in which nothing means anything to Mermaid, HTML or Markdown."""
    escaped = (re.sub(r"[^\w \-–→·.,:()/+]|_", lambda found: f"#{ord(found[0])};", line) for line in lines)
    return f'"{"<br/>".join(escaped)}"'


def _plain(text: str) -> str:
    """Return a text for one line of a description, which has no way to escape anything."""
    return " ".join(text.replace(";", ",").split())

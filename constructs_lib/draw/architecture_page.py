"""A page in Markdown about a system: its pictures, their sources, and what they show as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.draw.deployment_order import order
from constructs_lib.draw.diagram import Diagram
from constructs_lib.draw.mermaid import mermaid
from constructs_lib.draw.svg import svg

#: The pictures, as files beside the page.
ARCHITECTURE, ORDER = "architecture.svg", "deployment-order.svg"
PAGE = "architecture.md"


def pages(graph: Graph) -> dict[str, str]:
    """Return the page and its pictures, by the names of their files."""
    hosts = [*_hosts(graph)]
    views = {ARCHITECTURE: architecture(graph), ORDER: order(graph)}
    text = [
        f"# {graph.system.name} in {graph.system.environment.name}",
        "",
        "Generated from the declaration by `python app.py graph --docs`; never edit it by hand.",
        "",
        "## Architecture",
        "",
        *_picture(ARCHITECTURE, views[ARCHITECTURE]),
        "## Order of deployment",
        "",
        "What is at the left is healthy before what an arrow leads to is deployed. What follows from other arrows has",
        "none of its own; the table has all.",
        "",
        *_picture(ORDER, views[ORDER]),
        *_table("Components", ("wave", "component", "namespace", "comes after, because"), _components(graph)),
        *(_table("Hosts outside of the cluster", ("host", "port", "called by"), hosts) if hosts else ()),
    ]
    return {PAGE: "\n".join(text), **{name: svg(diagram) for name, diagram in views.items()}}


def _picture(file: str, diagram: Diagram) -> Iterator[str]:
    yield from (f"[![{diagram.title}]({file})]({file})", "")
    yield from ("<details>", "<summary>The same as Mermaid</summary>", "", "```mermaid")
    yield from mermaid(diagram).splitlines()
    yield from ("```", "", "</details>", "")


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from (f"## {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}")
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""


def _components(graph: Graph) -> Iterator[Sequence[str]]:
    for component in sorted(graph.system.components, key=lambda component: graph.waves[component.id]):
        found = graph.dependencies[component.id]
        reasons = "<br>".join(f"{dependency.target.id}: {dependency.reason}" for dependency in found)
        yield str(graph.waves[component.id]), component.id, component.namespace_name, reasons


def _hosts(graph: Graph) -> Iterator[Sequence[str]]:
    for workload in graph.system.workloads:
        for host in dict.fromkeys(workload.internet):
            yield host.host, str(host.port), workload.name

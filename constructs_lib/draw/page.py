"""A page in Markdown about a system: its pictures, their sources, and what they show as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from constructs_lib.declare.component import Component
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.draw.deployment_order import order
from constructs_lib.draw.mermaid import mermaid
from constructs_lib.draw.svg import svg

#: The pictures, as files beside the page.
ARCHITECTURE, ORDER = "architecture.svg", "deployment-order.svg"
PAGE = "architecture.md"


def pages(graph: Graph) -> dict[str, str]:
    """Return the page and its pictures, by the names of their files.

    Args:
        graph: What follows from the edges of the system.
    """
    views = {ARCHITECTURE: architecture(graph), ORDER: order(graph)}
    system = graph.system
    environment = system.environment.name
    text = [
        f"# {system.name} in {environment}",
        "",
        "Generated from the declaration by `python app.py graph --docs`; never edit it by hand.",
        "",
        "## Architecture",
        "",
        *_picture(ARCHITECTURE, views[ARCHITECTURE].title),
        *_source(mermaid(views[ARCHITECTURE])),
        "## Order of deployment",
        "",
        "What is at the left is healthy before what an arrow leads to is deployed. What follows from other arrows has",
        "none of its own; the table has all.",
        "",
        *_picture(ORDER, views[ORDER].title),
        *_source(mermaid(views[ORDER])),
        *_components(graph),
        *_hosts(system.components),
    ]
    files = {PAGE: "\n".join(text).rstrip("\n") + "\n"}
    return files | {name: svg(diagram) for name, diagram in views.items()}


def _picture(file: str, title: str) -> list[str]:
    return [f"[![{title}]({file})]({file})", ""]


def _source(source: str) -> list[str]:
    summary = "<summary>The same as Mermaid</summary>"
    return ["<details>", summary, "", "```mermaid", *source.splitlines(), "```", "", "</details>", ""]


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from (f"## {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}")
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""


def _components(graph: Graph) -> Iterator[str]:
    components = sorted(graph.system.components, key=lambda component: graph.waves[component.id])
    rows = []
    for component in components:
        reasons = "<br>".join(
            f"{dependency.target.id}: {dependency.reason}" for dependency in graph.dependencies[component.id]
        )
        rows.append((str(graph.waves[component.id]), component.id, component.namespace_name, reasons))
    yield from _table("Components", ("wave", "component", "namespace", "comes after, because"), rows)


def _hosts(components: Iterable[Component]) -> Iterator[str]:
    rows = [
        (host.host, str(host.port), workload.name)
        for component in components
        for workload in component.workloads
        for host in dict.fromkeys(workload.internet)
    ]
    if rows:
        yield from _table("Hosts outside of the cluster", ("host", "port", "called by"), rows)

"""A page in Markdown about a system: its pictures, their sources, and what they show as tables."""

from pathlib import Path
from string import Template

from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.draw.deployment_order import order
from constructs_lib.draw.mermaid import mermaid
from constructs_lib.draw.svg import svg

#: Name of the page, whose text is in the file of the same name here.
PAGE = "architecture.md"
_OUTSIDE = "\n## Outside of the system\n\n| host | port | called by |\n|---|---|---|\n"


def pages(graph: Graph) -> dict[str, str]:
    """Return the page and its pictures, by the names of their files."""
    system = graph.system
    called, deployed = architecture(graph), order(graph)
    components = ""
    for component in sorted(system.components, key=lambda component: graph.waves[component.id]):
        reasons = "<br>".join(f"{found.target.id}: {found.reason}" for found in graph.dependencies[component.id])
        components += _row(str(graph.waves[component.id]), component.id, component.namespace_name, reasons)
    hosts = dict.fromkeys((host, workload.name) for workload in system.workloads for host in workload.internet)
    called_outside = [(host.host, host.port, name) for host, name in hosts]
    called_outside += [
        (edge.endpoint.server.host, edge.endpoint.service_port, workload.name)
        for workload in system.workloads
        for edge in workload.edges
        if edge.endpoint.server in system.outside
    ]
    outside = "".join(_row(host, str(port), name) for host, port, name in called_outside)
    page = Template((Path(__file__).parent / PAGE).read_text(encoding="utf-8")).substitute(
        system=system.name,
        environment=system.environment.name,
        architecture_title=called.title,
        architecture=mermaid(called),
        order_title=deployed.title,
        order=mermaid(deployed),
        components=components,
        outside=_OUTSIDE + outside if outside else "",
    )
    return {PAGE: page, "architecture.svg": svg(called), "deployment-order.svg": svg(deployed)}


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"

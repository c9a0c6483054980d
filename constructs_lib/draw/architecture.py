"""The architecture of a system as a diagram: who runs where, and who calls whom."""

from __future__ import annotations

from collections.abc import Container, Iterator

from constructs_lib.declare.component import Component
from constructs_lib.declare.role import Role
from constructs_lib.declare.workload import Endpoint, InternetHost, Workload
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.diagram import Diagram, Edge, Node, Row, Section, Side, Style
from constructs_lib.draw.facts import facts
from constructs_lib.draw.roles import MEANINGS, role_of_component, role_of_workload
from constructs_lib.text import plural

#: Ids of what is outside; a colon is in no name of Kubernetes.
USERS = ":users"

_STYLES = {
    Style.REACHES: "over the boundary of the cluster",
    Style.NEEDS: "calls, and starts after it",
    Style.LATER: "calls, in any order",
    Style.SCRAPES: "reads metrics",
}


def architecture(graph: Graph) -> Diagram:
    """Return the architecture of a system.

    Args:
        graph: What follows from its edges.
    """
    system = graph.system
    edges = [*_edges(graph)]
    hosts = dict.fromkeys(
        host for component in system.components for workload in component.workloads for host in workload.internet
    )
    nodes = [_node(component) for component in system.components]
    if any(edge.source == USERS for edge in edges):
        nodes.insert(0, Node(USERS, "Users", Role.OUTSIDE, ("from the internet",), side=Side.BEFORE))
    nodes += [Node(_host_id(host), host.host, Role.OUTSIDE, (f"port {host.port}",), side=Side.BEHIND) for host in hosts]
    roles = {node.role for node in nodes} | {part.role for node in nodes for part in node.sections}
    styles = {edge.style for edge in edges}
    environment = system.environment.name
    return Diagram(
        title=f"Architecture of {system.name} in {environment}",
        description=f"{plural(len(system.components), 'component')} in the Kubernetes cluster of {environment}. "
        + " ".join(f"{edge.meaning}." for edge in edges),
        nodes=tuple(nodes),
        edges=tuple(edges),
        boundary=f"{system.name} · {environment} · Kubernetes cluster",
        legend=(
            *((role, meaning) for role, meaning in MEANINGS.items() if role in roles),
            *((style, meaning) for style, meaning in _STYLES.items() if style in styles),
        ),
    )


def _host_id(host: InternetHost) -> str:
    return f":internet:{host.host}:{host.port}"


def _workload_id(workload: Workload) -> str:
    return f"{workload.component.id}/{workload.name}"


def _endpoint_id(endpoint: Endpoint) -> str:
    return f"{_workload_id(endpoint.workload)}/{endpoint.name}"


def _chart_id(component: Component, access: str) -> str:
    return f"{component.id}:{access}"


def _node(component: Component) -> Node:
    sections = [_section(workload) for workload in component.workloads]
    sections += _chart_sections(component)
    return Node(
        component.id,
        component.id,
        role_of_component(component),
        (f"namespace {component.namespace_name}",),
        tuple(sections),
    )


def _whom(endpoint: Endpoint, own: Container[str]) -> str:
    """Return who alone uses an endpoint; nothing is said of one that others call, Prometheus among them."""
    if endpoint.name in own:
        return "among its pods"
    return "inside of its pod" if endpoint.internal and not endpoint.metrics else ""


def _section(workload: Workload) -> Section:
    own = {edge.endpoint.name for edge in workload.edges if edge.endpoint.workload is workload}
    rows = (
        Row(
            _endpoint_id(endpoint),
            endpoint.name,
            str(endpoint.port),
            _whom(endpoint, own),
        )
        for endpoint in workload.endpoints.values()
    )
    return Section(
        _workload_id(workload),
        workload.name,
        type(workload).__name__,
        role_of_workload(workload),
        facts(workload),
        tuple(rows),
    )


def _chart_sections(component: Component) -> Iterator[Section]:
    if chart := component.chart_source:
        others = [f"pods {access.name}" for access in component.access if not access.scrapes]
        facts = (f"version {chart.version}", *others)
        yield Section(_chart_id(component, ""), chart.name, "Helm chart", Role.PLATFORM, facts)
    for access in component.access:
        if access.scrapes:
            yield Section(_chart_id(component, access.name), access.name, "pods", Role.PLATFORM, ("reads metrics",))


def _edges(graph: Graph) -> Iterator[Edge]:
    for component in graph.system.components:
        for workload in component.workloads:
            yield from _workload_edges(workload)
    for scraper in graph.scrapers:
        for access in scraper.access:
            if access.scrapes:
                for endpoint in _metrics(graph):
                    meaning = f"{access.name} reads metrics of {endpoint.workload.name} {endpoint.name} {endpoint.port}"
                    yield Edge(_chart_id(scraper, access.name), _endpoint_id(endpoint), Style.SCRAPES, meaning)


def _workload_edges(workload: Workload) -> Iterator[Edge]:
    for endpoint in workload.endpoints.values():
        if endpoint.port in workload.exposed_ports:
            meaning = f"Users reach {workload.name} {endpoint.name} {endpoint.port}"
            yield Edge(USERS, _endpoint_id(endpoint), Style.REACHES, meaning)
    for edge in workload.edges:
        target = edge.endpoint.workload
        if target is not workload:
            verb = "needs" if edge.order else "calls"
            meaning = f"{workload.name} {verb} {target.name} {edge.endpoint.name} {edge.endpoint.port}"
            style = Style.NEEDS if edge.order else Style.LATER
            yield Edge(_workload_id(workload), _endpoint_id(edge.endpoint), style, meaning)
    for host in dict.fromkeys(workload.internet):
        meaning = f"{workload.name} calls {host.host} {host.port}"
        yield Edge(_workload_id(workload), _host_id(host), Style.REACHES, meaning)


def _metrics(graph: Graph) -> Iterator[Endpoint]:
    for component in graph.system.components:
        for workload in component.workloads:
            yield from (endpoint for endpoint in workload.endpoints.values() if endpoint.metrics)

"""The order of deployment as a diagram: wave by wave, and what waits for what."""

import textwrap
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_

from constructs_lib.declare.component import Component
from constructs_lib.declare.role import Role
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import role_of_component
from constructs_lib.draw.diagram import MEANINGS, Diagram, Edge, Node, Style

#: Id of the cluster; a colon is in no name of Kubernetes.
CLUSTER = ":cluster"


def order(graph: Graph) -> Diagram:
    """Return the order of deployment of a system."""
    system = graph.system
    cluster = Node(CLUSTER, "Kubernetes cluster", Role.PLATFORM, ("infrastructure",), layer=0)
    targets = {id: [dependency.target.id for dependency in found] for id, found in graph.dependencies.items()}
    reduced = transitive_reduction(targets, graph.waves)
    waits = [(id, first, first) for id, found in reduced.items() for first in found]
    waits += [(id, CLUSTER, "the Kubernetes cluster") for id, found in reduced.items() if not found]
    waves = range(max(graph.waves.values(), default=-1) + 1)
    members = (f"Wave {wave}: {', '.join(id for id, at in graph.waves.items() if at == wave)}." for wave in waves)
    return Diagram(
        title=f"Order of deployment of {system.name} in {system.environment.name}",
        description=" ".join(members) or "There is no component.",
        nodes=(cluster, *(_node(component, graph.waves[component.id]) for component in system.components)),
        edges=tuple(Edge(first, id, Style.PRECEDES, f"{id} waits for {name}") for id, first, name in waits),
        bands=("bootstrap", *(f"wave {wave}" for wave in waves)),
    )


def _node(component: Component, wave: int) -> Node:
    role = role_of_component(component)
    facts = [MEANINGS[role]]
    if chart := component.chart_source:
        names = ", ".join(access.name for access in component.access)
        what = "chart" if chart.values is not None else "folder"
        facts = [f"{what} {chart.name} {chart.version}"]
        facts += textwrap.wrap(f"pods {names}", 36, break_on_hyphens=False) if names else []
    return Node(component.id, component.title, role, tuple(facts), layer=wave + 1)


def transitive_reduction(targets: Mapping[str, Iterable[str]], levels: Mapping[str, int]) -> dict[str, list[str]]:
    """Return what each node comes after, without what comes before another of its targets anyway.

    There are no cycles; the level of a node is the length of the longest chain below it.
    """
    # One bit a node: sets of a thousand nodes for each of a thousand nodes are united in no time.
    bits = {node: 1 << number for number, node in enumerate(targets)}
    below: dict[str, int] = {}
    reduced: dict[str, list[str]] = {}
    for node in sorted(targets, key=lambda node: levels[node]):
        implied = reduce(or_, (below[target] for target in targets[node]), 0)
        reduced[node] = [target for target in targets[node] if not bits[target] & implied]
        below[node] = reduce(or_, (bits[target] for target in targets[node]), implied)
    return {node: reduced[node] for node in targets}

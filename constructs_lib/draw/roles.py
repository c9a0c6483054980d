"""What a component and a workload are for, and how a legend explains it."""

from __future__ import annotations

from collections.abc import Iterable

from constructs_lib.declare.component import Component
from constructs_lib.declare.role import Role
from constructs_lib.declare.workload import Workload
from constructs_lib.draw.diagram import Edge, Node, Style

#: How a legend explains them, in its order.
MEANINGS = {
    Role.PLATFORM: "infrastructure",
    Role.MESSAGING: "messaging",
    Role.STORE: "data store",
    Role.SERVICE: "service",
    Role.ENTRY: "entry point",
    Role.OUTSIDE: "outside of the cluster",
}
_STYLES = {
    Style.REACHES: "over the boundary of the cluster",
    Style.NEEDS: "calls, and starts after it",
    Style.LATER: "calls, in any order",
    Style.SCRAPES: "reads metrics",
    Style.PRECEDES: "must be healthy before",
}


def legend(nodes: Iterable[Node], edges: Iterable[Edge]) -> tuple[tuple[Role | Style, str], ...]:
    """Return the roles and styles that a picture has, with what they mean."""
    used = {role for node in nodes for role in (node.role, *(part.role for part in node.sections))}
    styles = {edge.style for edge in edges}
    return (
        *((role, meaning) for role, meaning in MEANINGS.items() if role in used),
        *((style, meaning) for style, meaning in _STYLES.items() if style in styles),
    )


def role_of_workload(workload: Workload) -> Role:
    """Return what a workload is for."""
    return Role.ENTRY if workload.exposed_ports else workload.role


def role_of_component(component: Component) -> Role:
    """Return what a component is for: its most visible workload decides."""
    if component.role:
        return component.role
    roles = {role_of_workload(workload) for workload in component.workloads}
    for role in (Role.ENTRY, Role.SERVICE, Role.MESSAGING, Role.STORE):
        if role in roles:
            return role
    return Role.SERVICE

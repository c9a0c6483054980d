"""What a component and a workload are for."""

from __future__ import annotations

from constructs_lib.declare.component import Component
from constructs_lib.declare.role import Role
from constructs_lib.declare.workload import Workload

#: How a legend explains them, in its order.
MEANINGS = {
    Role.PLATFORM: "infrastructure",
    Role.MESSAGING: "messaging",
    Role.STORE: "data store",
    Role.SERVICE: "service",
    Role.ENTRY: "entry point",
    Role.OUTSIDE: "outside of the cluster",
}


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

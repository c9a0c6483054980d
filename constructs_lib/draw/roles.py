"""What a component and a workload are for."""

from __future__ import annotations

from constructs_lib.declare.component import Component
from constructs_lib.declare.workload import Workload
from constructs_lib.draw.diagram import Role
from constructs_lib.kinds.helm_chart.construct import HelmChart
from constructs_lib.kinds.rabbitmq.construct import RabbitMQ

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
    if workload.exposed_ports:
        return Role.ENTRY
    if isinstance(workload, RabbitMQ):
        return Role.MESSAGING
    return Role.STORE if workload.holds_data else Role.SERVICE


def role_of_component(component: Component) -> Role:
    """Return what a component is for: its most visible workload decides."""
    if isinstance(component, HelmChart):
        return Role.PLATFORM
    roles = {role_of_workload(workload) for workload in component.workloads}
    for role in (Role.ENTRY, Role.SERVICE, Role.MESSAGING, Role.STORE):
        if role in roles:
            return role
    return Role.SERVICE

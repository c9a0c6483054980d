"""The ports of a workload, on its containers and on its Service."""

from collections.abc import Collection
from typing import Any

from constructs_lib.declare.workload import Workload


def container_ports(workload: Workload, names: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the ports of a workload's container: all of them, or those with the ``names``."""
    return [
        {"name": endpoint.name, "containerPort": endpoint.port, "protocol": endpoint.protocol}
        for endpoint in workload.endpoints.values()
        if names is None or endpoint.name in names
    ]


def service_ports(workload: Workload, *, internal: bool = False) -> list[dict[str, Any]]:
    """Return the ports of a workload's Service: all, or all but those that only its own pods use."""
    return [
        {
            "name": endpoint.name,
            "port": endpoint.service_port,
            "targetPort": endpoint.name,
            "protocol": endpoint.protocol,
        }
        for endpoint in workload.endpoints.values()
        if internal or not endpoint.internal
    ]

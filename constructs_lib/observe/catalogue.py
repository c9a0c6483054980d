"""All dashboards and rules of a system."""

from __future__ import annotations

from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.derive.graph import Graph
from constructs_lib.grafana.model import Dashboard
from constructs_lib.kinds.cassandra import dashboard as cassandra
from constructs_lib.kinds.cassandra.construct import Cassandra
from constructs_lib.kinds.microservice import dashboard as microservice
from constructs_lib.kinds.microservice import requests
from constructs_lib.kinds.microservice.construct import Microservice
from constructs_lib.kinds.postgres import dashboard as postgres
from constructs_lib.kinds.postgres.construct import Postgres
from constructs_lib.kinds.rabbitmq import dashboard as rabbitmq
from constructs_lib.kinds.rabbitmq.construct import RabbitMQ
from constructs_lib.kubernetes.manifest import digest
from constructs_lib.observe import argocd, cluster, overview
from constructs_lib.observe import pods as workload
from constructs_lib.prometheus.rules import Group

#: Grafana's limit of a uid.
_LONGEST_UID = 40


def groups(system: System) -> list[Group]:
    """Return all recording rules and alerts of a system, by what they are about."""
    services, databases, rings, brokers = _by_kind(system)
    found = [workload.group(), argocd.group()]
    if rules := requests.group(services):
        found.append(rules)
    if databases:
        found.append(postgres.group(databases))
    if rings:
        found.append(cassandra.group(rings))
    if brokers:
        consumed: dict[RabbitMQ, list[str]] = {}
        for service in services:
            for broker in dict.fromkeys(edge.endpoint.workload for edge in service.edges):
                if isinstance(broker, RabbitMQ) and broker in brokers:
                    consumed.setdefault(broker, []).extend(service.consumes)
        found.append(rabbitmq.group(brokers, consumed))
    return found


def dashboards(graph: Graph) -> list[Dashboard]:
    """Return all dashboards of a system, linked with each other."""
    system = graph.system
    services, databases, rings, brokers = _by_kind(system)
    overview_uid = _uid(system, "overview")
    uids = {service.name: _uid(system, service.name) for service in services}
    for kind, workloads in (("postgresql", databases), ("cassandra", rings), ("rabbitmq", brokers)):
        uids |= dict.fromkeys((workload.name for workload in workloads), _uid(system, f"all-{kind}"))
    up = (("Overview", overview_uid),)
    found = [
        overview.dashboard(graph, uid=overview_uid, uids=uids),
        cluster.dashboard(uid=_uid(system, "cluster"), links=up),
    ]
    for service in services:
        needed = sorted({edge.endpoint.workload.name for edge in service.edges} & uids.keys() - {service.name})
        links = (*up, *((name, uids[name]) for name in needed))
        found.append(microservice.dashboard(service, uid=uids[service.name], links=links))
    if databases:
        found.append(postgres.dashboard(databases, uid=uids[databases[0].name], links=up))
    if rings:
        found.append(cassandra.dashboard(rings, uid=uids[rings[0].name], links=up))
    if brokers:
        found.append(rabbitmq.dashboard(brokers, uid=uids[brokers[0].name], links=up))
    return found


def _by_kind(system: System) -> tuple[list[Microservice], list[Postgres], list[Cassandra], list[RabbitMQ]]:
    """Return the workloads that have something to show, by name: stores without an exporter are left out."""
    found = sorted(
        (workload for component in system.components for workload in component.workloads),
        key=lambda workload: (workload.component.namespace_name, workload.name),
    )
    measured = [workload for workload in found if _is_measured(workload)]
    return (
        [workload for workload in found if isinstance(workload, Microservice)],
        [workload for workload in measured if isinstance(workload, Postgres)],
        [workload for workload in measured if isinstance(workload, Cassandra)],
        [workload for workload in measured if isinstance(workload, RabbitMQ)],
    )


def _is_measured(workload: Workload) -> bool:
    return any(endpoint.metrics for endpoint in workload.endpoints.values())


def _uid(system: System, name: str) -> str:
    """Return an identifier that says what it is, and stays the same: bookmarks hold it."""
    uid = f"{system.name}-{name}"
    return uid if len(uid) <= _LONGEST_UID else f"{uid[: _LONGEST_UID - 9]}-{digest(uid, 8)}"

"""The dashboard of the whole system: the golden signals of every component, laid out by the order of deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from constructs_lib.declare.component import Component
from constructs_lib.declare.workload import Workload
from constructs_lib.derive.graph import Graph
from constructs_lib.grafana.model import Dashboard, Panel, Query, Row
from constructs_lib.kinds.cassandra import dashboard as cassandra
from constructs_lib.kinds.cassandra.construct import Cassandra
from constructs_lib.kinds.microservice import dashboard as microservice
from constructs_lib.kinds.microservice.construct import Microservice
from constructs_lib.kinds.postgres import dashboard as postgres
from constructs_lib.kinds.postgres.construct import Postgres
from constructs_lib.kinds.rabbitmq import dashboard as rabbitmq
from constructs_lib.kinds.rabbitmq.construct import RabbitMQ
from constructs_lib.observe import argocd

Golden = tuple[Panel, Panel, Panel, Panel]
#: What is asked of each kind; an entry of another kind may be added.
GOLDEN: dict[type[Workload], Callable[..., Golden | None]] = {
    Cassandra: cassandra.golden,
    Microservice: microservice.golden,
    Postgres: postgres.golden,
    RabbitMQ: rabbitmq.golden,
}


def dashboard(graph: Graph, *, uid: str, uids: Mapping[str, str]) -> Dashboard:
    """Return the dashboard of a system: first what is wrong, then one row a wave, the last wave at the top.

    Traffic flows downwards: who calls stands above what it calls, as in the picture of the architecture.

    Args:
        graph: The system with its order.
        uid: Identifier of the dashboard.
        uids: Identifiers of the dashboards of workloads, by name.
    """
    system = graph.system
    by_wave: dict[int, list[Component]] = {}
    for component in sorted(system.components, key=lambda component: component.id):
        by_wave.setdefault(graph.waves[component.id], []).append(component)
    rows = [_state(system.name)]
    for wave, components in sorted(by_wave.items(), reverse=True):
        panels = [panel for component in components for panel in _component(component, uids)]
        rows.append(Row(f"Wave {wave}: {', '.join(component.id for component in components)}", tuple(panels)))
    return Dashboard(
        uid,
        "system",
        f"{system.name}: overview",
        "Traffic, errors, latency and saturation of all components, in the order in which they depend on each other.",
        tuple(rows),
    )


def _state(system: str) -> Row:
    alerts = Panel(
        "alerts",
        "Firing alerts",
        "Alerts that fire now. Each has a runbook, which its notification links to.",
        "none",
        (
            Query(
                "sum by (severity, alertname, namespace, service) "
                '(ALERTS{alertstate="firing", severity=~"critical|warning"})',
                "{{severity}} {{alertname}} {{namespace}} {{service}}",
            ),
        ),
        kind="table",
    )
    return Row("State", (alerts, *argocd.panels(system)))


def _component(component: Component, uids: Mapping[str, str]) -> Sequence[Panel]:
    panels = [_signals(workload, uids.get(workload.name, "")) for workload in component.workloads]
    return panels or [_pods(component.id, component.namespace_name, "")]


def _signals(workload: Workload, uid: str) -> Panel:
    for kind, golden in GOLDEN.items():
        if isinstance(workload, kind) and (signals := golden(workload)):
            return _merged(workload.name, kind.__name__.lower(), signals, uid)
    return _pods(workload.name, workload.component.namespace_name, uid, f"{workload.name}-.*")


def _merged(name: str, kind: str, signals: Sequence[Panel], uid: str) -> Panel:
    """Return one panel with all signals of a workload, each with its unit and thresholds."""
    return Panel(
        kind,
        name,
        "\n".join(f"{signal.title}: {signal.description}" for signal in signals),
        "none",
        tuple(
            Query(
                signal.queries[0].expression,
                signal.title,
                unit=signal.unit,
                warning=signal.warning,
                critical=signal.critical,
                falling=signal.falling,
            )
            for signal in signals
        ),
        kind="stat",
        width=6,
        height=5,
        link=uid,
    )


def _pods(name: str, namespace: str, uid: str, pods: str = ".*") -> Panel:
    """Return what is known of pods that give no metrics of their own."""
    own = f'namespace="{namespace}", pod=~"{pods}"'
    return Panel(
        "pods",
        name,
        "Pods that are ready, and those that are not; Jobs that are done are left out.",
        "none",
        (
            Query(f'sum(kube_pod_status_ready{{{own}, condition="true"}})', "Ready"),
            Query(
                f'sum(kube_pod_status_ready{{{own}, condition="false"}} '
                f'unless on (pod) kube_pod_status_phase{{{own}, phase="Succeeded"}} == 1) or vector(0)',
                "Not ready",
                unit="none",
                warning=1,
            ),
        ),
        kind="stat",
        width=6,
        height=5,
        link=uid,
    )

"""The dashboard of the whole system: the golden signals of every component, laid out by the order of deployment."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from constructs_lib.declare.component import Component
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.grafana import panels
from constructs_lib.grafana.model import Dashboard, Panel, Query, Row

_FILE = Path(__file__).parent / "overview.yaml"


def dashboard(system: System, waves: Mapping[str, int], *, uid: str, uids: Mapping[str, str]) -> Dashboard:
    """Return the dashboard of a system: first what is wrong, then one row a wave, the last wave at the top.

    Traffic flows downwards: who calls stands above what it calls, as in the picture of the architecture.

    Args:
        system: The system.
        waves: The wave of each component, by its id.
        uid: Identifier of the dashboard.
        uids: Identifiers of the dashboards of workloads, by name.
    """
    by_wave: dict[int, list[Component]] = {}
    for component in sorted(system.components, key=lambda component: component.id):
        by_wave.setdefault(waves[component.id], []).append(component)
    # The AppProject has the name of the system.
    rows = [panels.rows(_FILE, {"own": f'project="{system.name}"', "name": None, "pods": None})["State"]]
    for wave, components in sorted(by_wave.items(), reverse=True):
        shown = [panel for component in components for panel in _component(component, uids)]
        rows.append(Row(f"Wave {wave}: {', '.join(component.id for component in components)}", tuple(shown)))
    return Dashboard(
        "system",
        f"{system.name}: overview",
        "Traffic, errors, latency and saturation of all components, in the order in which they depend on each other.",
        tuple(rows),
        uid,
    )


def _component(component: Component, uids: Mapping[str, str]) -> Sequence[Panel]:
    shown = [_workload(workload, uids.get(workload.name, "")) for workload in component.workloads]
    return shown or [_pods(component.id, component.namespace_name, ".*", "")]


def _workload(workload: Workload, uid: str) -> Panel:
    if signals := workload.signals():
        return _merged(workload.name, type(workload).__name__.lower(), signals, uid)
    return _pods(workload.name, workload.namespace_name, f"{workload.name}-.*", uid)


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


def _pods(name: str, namespace: str, pods: str, uid: str) -> Panel:
    """Return what is known of pods that give no metrics of their own."""
    values = {"own": None, "name": name, "pods": f'namespace="{namespace}", pod=~"{pods}"'}
    [panel] = panels.panels(_FILE, values, "pods")
    return replace(panel, link=uid)

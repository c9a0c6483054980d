"""All dashboards and rules of a system."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from constructs_lib.declare.component import Component
from constructs_lib.declare.role import Role
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.grafana import panels
from constructs_lib.grafana.model import CHOSEN, Dashboard, Panel, Query, Row, Variable
from constructs_lib.kubernetes.manifest import digest
from constructs_lib.prometheus.rules import Group, one_of, rules

_HERE = Path(__file__).parent
_OVERVIEW = _HERE / "overview.yaml"
#: Grafana's limit of a uid.
_LONGEST_UID = 40
#: The order of kinds on lists and pages: services, then what they need.
_ROLES = {role: number for number, role in enumerate((Role.SERVICE, Role.STORE, Role.MESSAGING))}


def groups(system: System) -> list[Group]:
    """Return all recording rules and alerts of a system, by what they are about."""
    found: list[Group] = []
    for kind, workloads in _by_kind(system, "rules").items():
        measured = [workload for workload in workloads if workload.is_measured]
        if measured and (group := kind.rules(measured)):
            found.append(group)
    # What the slowest component may take when nothing of it runs yet.
    minutes = -(-max((each.rollout_seconds(first=True) for each in system.components), default=0) // 60)
    waiting = {"root": system.application_name, "minutes": minutes, "samples": minutes - 2}
    pods = rules(_HERE / "workload_alerts.yaml", {"running": _running(system)})
    # An Argo CD in another cluster is watched there.
    of_argocd = [] if system.environment.cluster.is_remote else [rules(_HERE / "argocd_alerts.yaml", waiting)]
    return [*found, pods, *of_argocd]


def _running(system: System) -> str | None:
    """Return which containers run of workloads that are scraped; None if none is."""
    scraped: dict[str, set[str]] = {}
    for workload in system.workloads:
        if any(endpoint.metrics for endpoint in workload.endpoints.values()):
            scraped.setdefault(workload.namespace_name, set()).add(workload.container)
    return (
        " or ".join(
            f'kube_pod_container_status_running{{namespace="{namespace}", container{one_of(sorted(containers))}}}'
            for namespace, containers in sorted(scraped.items())
        )
        or None
    )


def dashboards(system: System, waves: Mapping[str, int]) -> list[Dashboard]:
    """Return all dashboards of a system, linked with each other; ``waves`` are those of its components, by id."""
    shown = _by_dashboard(system)
    uids = {workload.name: uid for uid, (_, workloads) in shown.items() for workload in workloads}
    overview_uid = _uid(system, "overview")
    up = (("Overview", overview_uid),)
    cluster = panels.dashboard(_HERE / "cluster.yaml", {})
    found = [
        _overview(system, waves, uid=overview_uid, uids=uids),
        replace(cluster, template="cluster", uid=_uid(system, "cluster"), links=up),
    ]
    for uid, (kind, workloads) in shown.items():
        own = {workload.name for workload in workloads}
        servers = (edge.endpoint.server for workload in workloads for edge in workload.edges)
        needed = {server.name for server in servers if isinstance(server, Workload)}
        links = tuple((name, uids[name]) for name in sorted(needed & uids.keys() - own))
        dashboard = kind.dashboard(workloads)
        found.append(
            replace(
                dashboard,
                uid=uid,
                rows=(*dashboard.rows, _pods(workloads[0])),
                variables=_variables(workloads),
                links=(*up, *links),
            )
        )
    return found


def _by_kind(system: System, method: str) -> dict[type[Workload], list[Workload]]:
    """Return the workloads by the class that says what a method returns, which subclasses share.

    Services come first, and kinds of the same role in the order of their declaration.
    """
    found: dict[type[Workload], list[Workload]] = {}
    for workload in system.workloads:
        lineage = [each for each in type(workload).__mro__ if issubclass(each, Workload)]
        kind = next((each for each in lineage if vars(each).keys() & {method, "folder"}), Workload)
        found.setdefault(kind, []).append(workload)
    in_order = sorted(found.items(), key=lambda item: _ROLES.get(item[1][0].role, len(_ROLES)))
    return {kind: sorted(workloads, key=_place) for kind, workloads in in_order}


def _place(workload: Workload) -> tuple[str, str]:
    return workload.namespace_name, workload.name


def _by_dashboard(system: System) -> dict[str, tuple[type[Workload], list[Workload]]]:
    """Return the workloads that share a dashboard, with their kind, by its uid."""
    found: dict[str, tuple[type[Workload], list[Workload]]] = {}
    for kind, workloads in _by_kind(system, "dashboard").items():
        for workload in workloads:
            if name := workload.dashboard_name:
                found.setdefault(_uid(system, name), (kind, []))[1].append(workload)
    return found


def _pods(workload: Workload) -> Row:
    """Return the last row of a dashboard: what the pods use, and how full their volumes are if they hold data."""
    own = f'{CHOSEN}, container="{workload.container}"'
    volumes = 'namespace="$namespace"' if workload.holds_data else None
    return panels.rows(_HERE / "pods.yaml", {"own": own, "storing": volumes})["Pods"]


def _variables(workloads: Sequence[Workload]) -> tuple[Variable, ...]:
    """Return the choices of a namespace and of pods in it that have the container."""
    namespaces = sorted({workload.namespace_name for workload in workloads})
    pods = f'kube_pod_container_info{{namespace="$namespace", container="{workloads[0].container}"}}'
    return (
        Variable("namespace", "Namespace", values=tuple(namespaces)),
        Variable("pod", "Pod", query=f"label_values({pods}, pod)", several=True),
    )


def _uid(system: System, name: str) -> str:
    """Return an identifier that stays the same from run to run, because bookmarks hold it."""
    uid = f"{system.application_name}-{name}"
    return uid if len(uid) <= _LONGEST_UID else f"{uid[: _LONGEST_UID - 9]}-{digest(uid, 8)}"


def _overview(system: System, waves: Mapping[str, int], *, uid: str, uids: Mapping[str, str]) -> Dashboard:
    """Return the dashboard of a system: first what is wrong, then one row a wave, the last wave at the top.

    Traffic flows downwards: who calls stands above what it calls, as in the picture of the architecture. The ``uids``
    are those of the dashboards of workloads, by name.
    """
    by_wave: dict[int, list[Component]] = {}
    for component in sorted(system.components, key=lambda component: component.id):
        by_wave.setdefault(waves[component.id], []).append(component)
    # Each component has an AppProject of its own, behind the name of the system; so has the root, of the system's name.
    own = f'project=~"{system.application_name}-.+", name!="{system.application_name}"'
    rows = [panels.rows(_OVERVIEW, {"own": own, "name": None, "pods": None})["State"]]
    measured = (each for each in sorted(system.workloads, key=_place) if each.is_measured)
    if business := tuple(panel for each in measured for panel in each.business()):
        rows.append(Row("Business", business))
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
    shown = [
        _on_overview(workload, uids.get(workload.name, ""))
        for workload in component.workloads
        if not workload.transient
    ]
    return shown or [_unmeasured(component.id, component.namespace_name, ".*", "")]


def _on_overview(workload: Workload, uid: str) -> Panel:
    if signals := workload.signals():
        return _merged(workload.name, type(workload).__name__.lower(), signals, uid)
    return _unmeasured(workload.name, workload.namespace_name, f"{workload.name}-.*", uid)


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


def _unmeasured(name: str, namespace: str, pods: str, uid: str) -> Panel:
    """Return what is known of pods that give no metrics of their own."""
    values = {"own": None, "name": name, "pods": f'namespace="{namespace}", pod=~"{pods}"'}
    [panel] = panels.panels(_OVERVIEW, values, "pods")
    return replace(panel, link=uid)

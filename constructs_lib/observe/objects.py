"""The objects that Prometheus, Alertmanager and Grafana read: monitors, rules and dashboards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.derive.graph import Graph
from constructs_lib.derive.network import ARGOCD_CONTROLLER
from constructs_lib.grafana.dashboard_json import to_json
from constructs_lib.kinds.monitoring.construct import FOLDER_ANNOTATION, Monitoring
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.observe import catalogue
from constructs_lib.observe.routing import alertmanager_config
from constructs_lib.prometheus.rules import Alert, Group

_GROUP = "monitoring.coreos.com"
#: How often everything is scraped; ranges in rules are four times that or more.
_INTERVAL = "30s"


def observability(monitoring: Monitoring, graph: Graph) -> Iterator[Manifest]:
    """Yield the monitors, rules and dashboards of a system.

    They stand with Prometheus and not with the workloads, so that a component needs no monitoring to be deployed.
    """
    labels = {"app.kubernetes.io/part-of": monitoring.system.name}
    namespace = monitoring.namespace_name
    yield from _pod_monitors(monitoring)
    endpoint = {"port": "metrics", "path": "/metrics", "interval": _INTERVAL}
    yield _pod_monitor("argocd", namespace, labels, ("argocd", ARGOCD_CONTROLLER), [endpoint])
    yield alertmanager_config(monitoring, labels)
    for group in catalogue.groups(monitoring.system):
        yield manifest(
            f"{_GROUP}/v1",
            "PrometheusRule",
            group.name,
            namespace,
            labels,
            spec={"groups": [rule_group(group, monitoring.runbooks)]},
        )
    for dashboard in catalogue.dashboards(graph):
        yield manifest(
            "v1",
            "ConfigMap",
            f"dashboard-{dashboard.uid}",
            namespace,
            {**labels, "grafana_dashboard": "1"},
            annotations={FOLDER_ANNOTATION: monitoring.system.name},
            data={f"{dashboard.uid}.json": to_json(dashboard, monitoring.system.name)},
        )


def rule_group(group: Group, runbooks: str) -> dict[str, Any]:
    """Return a group as Prometheus reads it, records first.

    Args:
        group: The group.
        runbooks: Address of the folder with the runbooks, without a slash at its end.
    """
    records: list[dict[str, Any]] = [{"record": record.name, "expr": record.expression} for record in group.records]
    return {"name": group.name, "rules": records + [_alert(alert, runbooks) for alert in group.alerts]}


def _alert(alert: Alert, runbooks: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.wait,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbooks}/{alert.name}.md",
        },
    }


def _pod_monitors(monitoring: Monitoring) -> Iterator[Manifest]:
    for component in monitoring.system.components:
        for workload in component.workloads:
            endpoints = [
                {
                    "port": endpoint.name,
                    "path": path,
                    "interval": _INTERVAL,
                    # Its Service has the same name; the rules and dashboards select by it.
                    "relabelings": [{"targetLabel": "service", "replacement": workload.name}],
                }
                for endpoint in workload.endpoints.values()
                for path in endpoint.metrics
            ]
            if endpoints:
                watched = (component.namespace_name, workload.selector)
                yield _pod_monitor(workload.name, monitoring.namespace_name, workload.labels, watched, endpoints)


def _pod_monitor(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    watched: tuple[str, Mapping[str, str]],
    endpoints: Sequence[Mapping[str, Any]],
) -> Manifest:
    """Return a PodMonitor; ``watched`` is the namespace of the pods, and the labels that select them."""
    return manifest(
        f"{_GROUP}/v1",
        "PodMonitor",
        name,
        namespace,
        labels,
        spec={
            "namespaceSelector": {"matchNames": [watched[0]]},
            "selector": {"matchLabels": watched[1]},
            "podMetricsEndpoints": [*endpoints],
        },
    )

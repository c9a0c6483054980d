"""The objects that Prometheus, Alertmanager and Grafana read: monitors, rules and dashboards."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.declare.component import Component
from constructs_lib.derive.network import ARGOCD_CONTROLLER
from constructs_lib.grafana.dashboard_json import to_json
from constructs_lib.grafana.model import FOLDER_ANNOTATION
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.observe import catalogue
from constructs_lib.prometheus.rules import Alert, Group
from constructs_lib.prometheus.sources import ANNOTATION

_GROUP = "monitoring.coreos.com"
#: How often everything is scraped; ranges in rules are four times that or more.
_INTERVAL = "30s"


def observability(monitoring: Component, waves: Mapping[str, int], runbooks: str) -> Iterator[Manifest]:
    """Yield the monitors, rules and dashboards of a system.

    They stand in the namespace of ``monitoring`` and not with the workloads, so that a component needs no monitoring to
    be deployed. The ``waves`` are by the ids of components; ``runbooks`` is the address of a folder, without a slash at
    its end.
    """
    system, namespace = monitoring.system, monitoring.namespace_name
    labels = {"app.kubernetes.io/part-of": system.name}
    yield from _pod_monitors(monitoring)
    endpoint = {"port": "metrics", "path": "/metrics", "interval": _INTERVAL}
    if not system.environment.cluster.is_remote:
        argocd = system.environment.argocd.namespace
        yield _pod_monitor("argocd", namespace, labels, (argocd, ARGOCD_CONTROLLER), [endpoint])
    for group in catalogue.groups(system):
        yield manifest(
            f"{_GROUP}/v1",
            "PrometheusRule",
            group.name,
            namespace,
            labels,
            spec={"groups": [rule_group(group, runbooks)]},
        )
    for dashboard in catalogue.dashboards(system, waves):
        yield manifest(
            "v1",
            "ConfigMap",
            f"dashboard-{dashboard.uid}",
            namespace,
            {**labels, "grafana_dashboard": "1"},
            annotations={FOLDER_ANNOTATION: system.name},
            data={f"{dashboard.uid}.json": to_json(dashboard, system.name)},
        )


def rule_group(group: Group, runbooks: str) -> dict[str, Any]:
    """Return a group as Prometheus reads it, records first; its alerts name their pages in the folder ``runbooks``."""
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


def _pod_monitors(monitoring: Component) -> Iterator[Manifest]:
    for workload in monitoring.system.workloads:
        endpoints = [
            {
                "port": endpoint.name,
                "path": path,
                "interval": _INTERVAL,
                # Rules and dashboards select by the name of the workload, which is also that of its Service.
                "relabelings": [{"targetLabel": "service", "replacement": workload.name}],
            }
            for endpoint in workload.endpoints.values()
            for path in endpoint.metrics
        ]
        if endpoints:
            watched = (workload.namespace_name, workload.selector)
            exposed = [pattern for endpoint in workload.endpoints.values() for pattern in endpoint.exposes]
            annotations = {ANNOTATION: ",".join(exposed)} if exposed else {}
            yield _pod_monitor(
                workload.name, monitoring.namespace_name, workload.labels, watched, endpoints, annotations
            )


def _pod_monitor(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    watched: tuple[str, Mapping[str, str]],
    endpoints: Sequence[Mapping[str, Any]],
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Return a PodMonitor; ``watched`` is the namespace of the pods, and the labels that select them."""
    return manifest(
        f"{_GROUP}/v1",
        "PodMonitor",
        name,
        namespace,
        labels,
        annotations=annotations,
        spec={
            "namespaceSelector": {"matchNames": [watched[0]]},
            "selector": {"matchLabels": watched[1]},
            "podMetricsEndpoints": [*endpoints],
        },
    )

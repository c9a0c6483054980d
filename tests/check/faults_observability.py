"""Mistakes in what is measured, alerted on and shown; most are made beside what PositionPal has of that."""

from __future__ import annotations

import json
from typing import Any

from corpus import Fault, Harmless, Manifest, Tree, container
from faults_references import both

DESCRIBED = {"summary": "{{ $labels.namespace }} is in trouble", "runbook_url": "https://example.com/runbooks"}

NODE = {**DESCRIBED, "summary": "{{ $labels.instance }} is in trouble"}


def alert(name: str, expr: object, **more: Any) -> Manifest:
    """Return an alert that says all that an alert should, unless ``more`` says it otherwise."""
    rule = {"alert": name, "expr": expr, "for": "5m", "labels": {"severity": "warning"}, "annotations": DESCRIBED}
    return {key: value for key, value in {**rule, **more}.items() if value is not None}


#: Covers the pods of every component.
RESTARTS = alert("ContainerRestarts", "increase(kube_pod_container_status_restarts_total[15m]) > 3")
BACKLOG = alert("QueueBacklog", "sum by (namespace, queue) (rabbitmq_queue_messages_ready) > 1000")


def prometheus_rule(*rules: Manifest, name: str = "positionpal", group: str = "positionpal", **more: Any) -> Manifest:
    """Return a PrometheusRule with one group."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name, "namespace": "monitoring"},
        "spec": {"groups": [{"name": group, **more, "rules": list(rules)}]},
    }


def panel(title: str, expr: str, legend: str = "{{namespace}}") -> Manifest:
    """Return a panel of a dashboard."""
    target = {"refId": "A", "expr": expr, "legendFormat": legend}
    datasource = {"type": "prometheus", "uid": "prometheus"}
    return {"title": title, "type": "timeseries", "datasource": datasource, "targets": [target]}


MEMORY = panel(
    "Memory", 'sum by (namespace) (container_memory_working_set_bytes{namespace=~"$namespace", container!=""})'
)
VARIABLE = {"name": "namespace", "type": "query", "query": {"query": "label_values(kube_pod_info, namespace)"}}


def dashboard(*panels: Manifest, name: str = "overview", label: str = "1", **more: Any) -> Manifest:
    """Return the ConfigMap of a dashboard."""
    model = {"uid": name, "title": name, "templating": {"list": [VARIABLE]}, "panels": list(panels), **more}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "monitoring", "labels": {"grafana_dashboard": label}},
        "data": {f"{name}.json": json.dumps(model, indent=2) + "\n"},
    }


def rules(tree: Tree, *added: Manifest, **more: Any) -> None:
    """Add rules, beside one that covers every component."""
    tree.add("monitoring", prometheus_rule(RESTARTS, *added, **more))


def panels(tree: Tree, *added: Manifest, **more: Any) -> None:
    """Add a dashboard, with a panel that covers every component."""
    tree.add("monitoring", dashboard(MEMORY, *added, **more))


def stack(manifest: Manifest) -> Manifest:
    """Return the values of kube-prometheus-stack."""
    found: Manifest = manifest["spec"]["sources"][0]["helm"]["valuesObject"]
    return found


def spec(manifest: Manifest) -> Manifest:
    """Return what the chart is told about Prometheus."""
    found: Manifest = stack(manifest)["prometheus"]["prometheusSpec"]
    return found


def without_rules(tree: Tree) -> None:
    """Take all rules of the library away: they cover every component."""
    for path in [path for path in tree.files if path.rpartition("/")[2].startswith("PrometheusRule-")]:
        del tree.files[path]


def without_dashboards(tree: Tree) -> None:
    """Take all dashboards of the library away: they show every component."""
    for path in [path for path in tree.files if path.rpartition("/")[2].startswith("ConfigMap-dashboard-")]:
        del tree.files[path]


def long_retention(tree: Tree) -> None:
    """Keep metrics for half a year, whatever they take."""
    tree.edit("Application/monitoring", lambda manifest: spec(manifest).pop("retentionSize"))
    values(tree, retention="180d")


def values(tree: Tree, **more: Any) -> None:
    """Change what the chart is told about Prometheus."""
    tree.edit("Application/monitoring", lambda manifest: spec(manifest).update(more))


def rule_of_another_release(tree: Tree) -> None:
    """Let Prometheus take no rules but those of its own chart, which is the chart's default."""
    rules(tree)
    tree.edit("Application/monitoring", lambda manifest: spec(manifest).pop("ruleSelectorNilUsesHelmValues"))


def etcd_is_not_scraped(tree: Tree) -> None:
    rules(tree, alert("EtcdHasNoLeader", "etcd_server_has_leader == 0"))


def turned_off(tree: Tree) -> None:
    """Turn off what the alerts read."""
    rules(tree)
    tree.edit("Application/monitoring", lambda manifest: stack(manifest).update(kubeStateMetrics={"enabled": False}))


def without_node_exporter(tree: Tree) -> None:
    rules(
        tree, alert("DiskFillsUp", "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1", annotations=NODE)
    )
    tree.edit("Application/monitoring", lambda manifest: stack(manifest).update(nodeExporter={"enabled": False}))


def broken_dashboard(tree: Tree) -> None:
    manifest = dashboard(MEMORY)
    manifest["data"]["overview.json"] = manifest["data"]["overview.json"].replace('"panels": [', '"panels": [,')
    tree.add("monitoring", manifest)


def same_uid(tree: Tree) -> None:
    panels(tree)
    tree.add("monitoring", dashboard(MEMORY, name="copy", uid="overview"))


def dashboard_beside_its_service(tree: Tree) -> None:
    manifest = dashboard(MEMORY)
    manifest["metadata"]["namespace"] = "pp-gws"
    tree.add("gateway", manifest)


def metrics_port(manifest: Manifest) -> None:
    container(manifest)["ports"].append({"name": "metrics", "containerPort": 9100, "protocol": "TCP"})


def scrape_annotation(manifest: Manifest) -> None:
    """Let the annotation alone tell of the metrics, and not the name of a port."""
    for port in container(manifest)["ports"]:
        if port["name"] == "otel-metrics":
            port["name"] = "agent"
    manifest["spec"]["template"]["metadata"].setdefault("annotations", {})["prometheus.io/scrape"] = "true"


def same_rules_twice(tree: Tree) -> None:
    rules(tree, BACKLOG)
    tree.add("monitoring", prometheus_rule(BACKLOG, name="rabbitmq", group="rabbitmq"))


def same_group_twice(tree: Tree) -> None:
    manifest = prometheus_rule(RESTARTS)
    manifest["spec"]["groups"].append({"name": "positionpal", "rules": [BACKLOG]})
    tree.add("monitoring", manifest)


def detailed(tree: Tree) -> None:
    """Scrape another endpoint of RabbitMQ, which has the same metrics under other names."""
    rules(tree, BACKLOG)
    tree.edit(
        "PodMonitor/rabbitmq",
        lambda manifest: manifest["spec"]["podMetricsEndpoints"][0].update(path="/metrics/detailed"),
    )


def monitor_of_another_release(tree: Tree) -> None:
    tree.edit("Application/monitoring", lambda manifest: spec(manifest).pop("podMonitorSelectorNilUsesHelmValues"))


RULE = "PrometheusRule/monitoring/positionpal"
OVERVIEW = "ConfigMap/monitoring/overview"
MONITORING = "Application/argocd/monitoring"

FAULTS = [
    Fault(
        "bracket of an alert is not closed",
        "promql-invalid",
        RULE,
        lambda tree: rules(tree, alert("QueueBacklog", "sum by (queue) (rabbitmq_queue_messages_ready > 1000")),
    ),
    Fault(
        "rate without a range",
        "promql-invalid",
        RULE,
        lambda tree: rules(tree, alert("Publishing", "rate(rabbitmq_global_messages_received_total) == 0")),
    ),
    Fault(
        "panel with an unknown function",
        "promql-invalid",
        OVERVIEW,
        lambda tree: panels(tree, panel("CPU", "sum by (namespace) (ratee(container_cpu_usage_seconds_total[5m]))")),
    ),
    Fault(
        "metric of RabbitMQ is misspelled",
        "metric-unknown",
        RULE,
        lambda tree: rules(tree, alert("QueueBacklog", "sum by (namespace) (rabbitmq_queue_message_ready) > 1000")),
    ),
    Fault("metric of a component that is not scraped", "metric-unknown", RULE, etcd_is_not_scraped),
    Fault("exporter of the nodes is turned off", "metric-unknown", RULE, without_node_exporter),
    # Told once, where it is read first.
    Fault(
        "exporter is turned off",
        "metric-unknown",
        "ConfigMap/monitoring/dashboard-positionpal-all-cassandra",
        turned_off,
    ),
    Fault(
        "metric of a program that exposes none",
        "metric-unknown",
        RULE,
        lambda tree: rules(tree, alert("LocationErrors", "rate(location_requests_failed_total[5m]) > 1")),
    ),
    Fault("another endpoint of RabbitMQ is scraped", "metric-unknown", RULE, detailed),
    Fault(
        "panel with the name of an old version of a metric",
        "metric-unknown",
        OVERVIEW,
        lambda tree: panels(tree, panel("Pods", "sum by (namespace) (kube_pod_container_status_restarts)")),
    ),
    Fault(
        "variable of a dashboard reads an unknown metric",
        "metric-unknown",
        OVERVIEW,
        lambda tree: panels(
            tree, templating={"list": [{"name": "queue", "query": "label_values(rabbitmq_que, queue)"}]}
        ),
    ),
    Fault(
        "recording rule was renamed",
        "metric-unknown",
        RULE,
        lambda tree: rules(
            tree,
            {"record": "queue:messages:sum", "expr": "sum by (namespace, queue) (rabbitmq_queue_messages_ready)"},
            alert("QueueBacklog", "queue:messages_ready:sum > 1000"),
        ),
    ),
    Fault(
        "message names a label that the sum dropped",
        "label-dropped",
        RULE,
        lambda tree: rules(
            tree,
            alert(
                "QueueBacklog",
                "sum by (namespace) (rabbitmq_queue_messages_ready) > 1000",
                annotations={**DESCRIBED, "summary": "{{ $labels.queue }} has {{ $value }} messages"},
            ),
        ),
    ),
    Fault(
        "legend names a label that the sum dropped",
        "label-dropped",
        OVERVIEW,
        lambda tree: panels(
            tree, panel("Queues", "sum by (queue) (rabbitmq_queue_messages)", legend="{{vhost}} {{queue}}")
        ),
    ),
    Fault(
        "rate over the interval of the scrapes",
        "range-too-short",
        RULE,
        lambda tree: rules(
            tree, alert("NoMessages", "sum by (namespace) (rate(rabbitmq_global_messages_received_total[30s])) == 0")
        ),
    ),
    Fault(
        "alert waits for a week",
        "alert-timing",
        RULE,
        lambda tree: rules(tree, alert("QueueBacklog", BACKLOG["expr"], **{"for": "1w"})),
    ),
    Fault(
        "alert waits for less than an evaluation",
        "alert-timing",
        RULE,
        lambda tree: tree.add(
            "monitoring",
            prometheus_rule(alert("ContainerRestarts", RESTARTS["expr"], **{"for": "30s"}), interval="5m"),
        ),
    ),
    Fault(
        "alert without a severity",
        "alert-undescribed",
        RULE,
        lambda tree: rules(tree, alert("QueueBacklog", BACKLOG["expr"], labels=None)),
    ),
    Fault(
        "alert without a runbook",
        "alert-undescribed",
        RULE,
        lambda tree: rules(tree, alert("QueueBacklog", BACKLOG["expr"], annotations={"summary": "Too many messages"})),
    ),
    Fault(
        "alert without a comparison",
        "alert-without-condition",
        RULE,
        lambda tree: rules(tree, alert("Unroutable", "rate(rabbitmq_global_messages_unroutable_dropped_total[5m])")),
    ),
    Fault(
        "variable of a template is misspelled",
        "alert-template-invalid",
        RULE,
        lambda tree: rules(
            tree,
            alert("QueueBacklog", BACKLOG["expr"], annotations={**DESCRIBED, "summary": "{{ $label.queue }} is full"}),
        ),
    ),
    Fault(
        "braces of a template are not closed",
        "alert-template-invalid",
        RULE,
        lambda tree: rules(
            tree,
            alert("QueueBacklog", BACKLOG["expr"], annotations={**DESCRIBED, "summary": "{{ $labels.queue is full"}),
        ),
    ),
    Fault(
        "alert was copied into another object",
        "rule-duplicate",
        "PrometheusRule/monitoring/rabbitmq",
        same_rules_twice,
    ),
    Fault("two groups have one name", "rule-group-duplicate", RULE, same_group_twice),
    Fault("rules lack the label of the release", "monitoring-not-selected", RULE, rule_of_another_release),
    Fault(
        "monitor lacks the label of the release",
        "monitoring-not-selected",
        "PodMonitor/monitoring/rabbitmq",
        monitor_of_another_release,
    ),
    Fault(
        "monitor of RabbitMQ is gone",
        "metrics-unscraped",
        "StatefulSet/rabbitmq/rabbitmq",
        lambda tree: tree.remove("PodMonitor/rabbitmq"),
        also=("metric-unknown",),
    ),
    Fault(
        "new metrics port without a monitor",
        "metrics-unscraped",
        "Deployment/pp-gws/gateway",
        lambda tree: tree.edit("Deployment/gateway", metrics_port),
    ),
    Fault(
        "annotation that the operator does not read",
        "metrics-unscraped",
        "Deployment/pp-cs/chat-service",
        both(
            lambda tree: tree.remove("PodMonitor/chat-service"),
            lambda tree: tree.edit("Deployment/chat-service", scrape_annotation),
        ),
    ),
    Fault("comma too many in a dashboard", "dashboard-invalid", OVERVIEW, broken_dashboard),
    Fault("dashboard without panels", "dashboard-invalid", OVERVIEW, lambda tree: panels(tree, panels=[])),
    Fault("dashboard was copied with its uid", "dashboard-duplicate", OVERVIEW, same_uid),
    Fault(
        "label of a dashboard has another value",
        "dashboard-not-loaded",
        OVERVIEW,
        lambda tree: panels(tree, label="true"),
    ),
    Fault(
        "dashboard is in the namespace of its service",
        "dashboard-not-loaded",
        "ConfigMap/pp-gws/overview",
        dashboard_beside_its_service,
    ),
    Fault(
        "Prometheus may keep all of its volume",
        "retention-size-exceeds-volume",
        MONITORING,
        lambda tree: values(tree, retentionSize="20GB"),
    ),
    Fault(
        "half a year on a small volume",
        "retention-exceeds-volume",
        MONITORING,
        long_retention,
    ),
    Fault(
        "Prometheus without a volume",
        "metrics-not-kept",
        MONITORING,
        lambda tree: tree.edit("Application/monitoring", lambda manifest: spec(manifest).pop("storageSpec")),
    ),
    Fault(
        "alerts leave out a service",
        "component-without-alerts",
        "Application/argocd/chat-service",
        both(
            without_rules,
            # They show what the rules record.
            without_dashboards,
            lambda tree: tree.add(
                "monitoring",
                prometheus_rule(
                    alert(
                        "ContainerRestarts",
                        'increase(kube_pod_container_status_restarts_total{namespace!="pp-cs"}[15m]) > 3',
                    )
                ),
            ),
        ),
    ),
    Fault(
        "dashboard shows the broker only",
        "component-without-dashboard",
        "Application/argocd/gateway",
        both(
            without_dashboards,
            lambda tree: tree.add(
                "monitoring",
                dashboard(panel("Queues", "sum by (queue) (rabbitmq_queue_messages)", "{{queue}}")),
            ),
        ),
    ),
]


def severities(tree: Tree) -> None:
    expr = "sum by (namespace, queue) (rabbitmq_queue_messages_ready)"
    rules(
        tree,
        alert("QueueBacklog", f"{expr} > 1000"),
        alert("QueueBacklog", f"{expr} > 10000", labels={"severity": "critical"}),
        {"record": "queue:messages_ready:sum", "expr": expr},
        alert("QueueGrows", "deriv(queue:messages_ready:sum[10m]) > 10"),
        alert("Watchdog", "vector(1)", **{"for": None}, annotations={**DESCRIBED, "summary": "All is well"}),
    )


def joined(tree: Tree) -> None:
    """A value that takes a label from another metric, and a template that asks for more than one thing."""
    rules(
        tree,
        alert(
            "VolumeFillsUp",
            "kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes < 0.1"
            " and on (namespace, persistentvolumeclaim) kube_persistentvolumeclaim_info",
            annotations={
                **DESCRIBED,
                "summary": "{{ with $x := $labels.persistentvolumeclaim }}{{ $x }}{{ end }}: {{ $value | humanize }}",
            },
        ),
        alert(
            "QueueNode", "rabbitmq_queue_messages * on (instance) group_left (rabbitmq_node) rabbitmq_identity_info > 9"
        ),
        alert(
            "NodeLoad",
            "node_load5 / on (instance) count by (instance) (node_cpu_seconds_total{mode='idle'}) > 2",
            annotations=NODE,
        ),
    )


def variables(tree: Tree) -> None:
    panels(
        tree,
        panel(
            "Rates",
            'sum by (queue) (rate(rabbitmq_queue_messages_published_total{queue=~"$queue", vhost="${vhost:raw}"}'
            "[$__rate_interval]))",
            "{{queue}}",
        ),
        panel("Top", "topk($n, sum by ($by) (increase(container_network_receive_bytes_total[${window}])))", "{{pod}}"),
        {"title": "Row", "type": "row", "panels": [panel("Logs", "sum(up)", "all")]},
        {"title": "Text", "type": "text", "options": {"content": "# Hello"}},
        {
            "title": "Logs",
            "type": "logs",
            "datasource": {"type": "loki", "uid": "loki"},
            "targets": [{"refId": "A", "expr": '{namespace="pp-gws"} |= "error"'}],
        },
    )


def own_metrics(tree: Tree) -> None:
    """A service whose monitor says what it exposes."""
    tree.edit("Deployment/gateway", metrics_port)
    tree.edit(
        "NetworkPolicy/gateway",
        lambda manifest: manifest["spec"]["ingress"].append(
            {
                "from": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
                        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
                    }
                ],
                "ports": [{"port": 9100, "protocol": "TCP"}],
            }
        ),
    )
    tree.edit(
        "NetworkPolicy/monitoring/prometheus",
        lambda manifest: manifest["spec"]["egress"].append(
            {
                "to": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "pp-gws"}},
                        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}},
                    }
                ],
                "ports": [{"port": 9100, "protocol": "TCP"}],
            }
        ),
    )
    tree.add(
        "monitoring",
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {
                "name": "gateway-requests",
                "namespace": "monitoring",
                "annotations": {"constructs-lib/metrics": "gateway_requests_*, gateway_up"},
            },
            "spec": {
                "namespaceSelector": {"matchNames": ["pp-gws"]},
                "selector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}},
                "podMetricsEndpoints": [{"port": "metrics", "interval": "15s"}],
            },
        },
    )
    rules(tree, alert("GatewayErrors", "sum by (namespace) (rate(gateway_requests_failed_total[5m])) > 1"))


HARMLESS = [
    Harmless("alerts of two severities and what is recorded", severities),
    Harmless("alerts that join metrics", joined),
    Harmless("dashboard with variables", variables),
    Harmless("service that says which metrics it has", own_metrics),
    Harmless("Prometheus keeps what fits", lambda tree: values(tree, retentionSize="16GB")),
    Harmless("a long time on a large volume", lambda tree: values(tree, retention="60d")),
    Harmless("dashboard of the local environment", panels, "local"),
]

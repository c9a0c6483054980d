"""Makes of PodMonitors what the Prometheus operator makes of them, with pods that are given instead of discovered.

https://github.com/prometheus-operator/prometheus-operator/blob/main/pkg/prometheus/promcfg.go
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synthesized import Manifest

#: What an endpoint says, by what it is called in the configuration of Prometheus.
_ENDPOINT_FIELDS = {
    "path": "metrics_path",
    "scheme": "scheme",
    "params": "params",
    "honorLabels": "honor_labels",
    "honorTimestamps": "honor_timestamps",
}
_MONITOR_FIELDS = {
    "sampleLimit": "sample_limit",
    "labelLimit": "label_limit",
    "labelNameLengthLimit": "label_name_length_limit",
    "labelValueLengthLimit": "label_value_length_limit",
    "targetLimit": "target_limit",
}


@dataclass(frozen=True)
class Pod:
    """A pod that a monitor may select.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        ports: Where its ports are, such as ``{"metrics": "127.0.0.1:9464"}``, by their names.
        labels: Its labels.
        container: The container that has the ports.
        node: The node that it runs on.
    """

    namespace: str
    name: str
    ports: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    container: str = "main"
    node: str = "node-1"


def scrape_configs(monitor: Manifest, pods: Sequence[Pod], interval: str = "1s") -> list[Manifest]:
    """Return the scrape configs of a PodMonitor, one for each of its endpoints.

    The series get the labels that the operator gives: ``namespace``, ``pod``, ``container``, ``endpoint``, ``job`` and
    ``instance``, and what relabelings make of them. Pods that the monitor does not select are left out.

    Args:
        monitor: The PodMonitor.
        pods: All pods there are.
        interval: How often to scrape, whatever the monitor says.

    Raises:
        AssertionError: The monitor says something that would be lost here.
    """
    assert monitor["kind"] == "PodMonitor", monitor["kind"]
    spec = dict(monitor["spec"])
    namespace, name = monitor["metadata"]["namespace"], monitor["metadata"]["name"]
    selected = _selected(spec.pop("selector"), spec.pop("namespaceSelector", {}), namespace, pods)
    endpoints = spec.pop("podMetricsEndpoints")
    pod_labels, job_label = spec.pop("podTargetLabels", []), spec.pop("jobLabel", None)
    assert spec.keys() <= _MONITOR_FIELDS.keys(), spec
    of_monitor = {_MONITOR_FIELDS[key]: value for key, value in spec.items()}
    configs = []
    for number, endpoint in enumerate(endpoints):
        rest = {key: value for key, value in endpoint.items() if key not in ("interval", "scrapeTimeout")}
        port = rest.pop("port")
        relabelings, metric_relabelings = rest.pop("relabelings", []), rest.pop("metricRelabelings", [])
        assert rest.keys() <= _ENDPOINT_FIELDS.keys(), rest
        configs.append(
            {
                "job_name": f"podMonitor/{namespace}/{name}/{number}",
                "scrape_interval": interval,
                "scrape_timeout": interval,
                **of_monitor,
                **{_ENDPOINT_FIELDS[key]: value for key, value in rest.items()},
                "static_configs": [_target(pod, port) for pod in selected if port in pod.ports],
                "relabel_configs": [
                    _copied("__meta_kubernetes_namespace", "namespace"),
                    _copied("__meta_kubernetes_pod_container_name", "container"),
                    _copied("__meta_kubernetes_pod_name", "pod"),
                    *(_copied(_pod_label(label), _safe(label), regex="(.+)") for label in pod_labels),
                    {"target_label": "job", "replacement": f"{namespace}/{name}"},
                    *([_copied(_pod_label(job_label), "job", regex="(.+)")] if job_label else []),
                    {"target_label": "endpoint", "replacement": port},
                    *map(_relabeling, relabelings),
                ],
                "metric_relabel_configs": [*map(_relabeling, metric_relabelings)],
            }
        )
    return configs


def _selected(selector: Manifest, namespaces: Manifest, own: str, pods: Sequence[Pod]) -> list[Pod]:
    assert selector.keys() <= {"matchLabels", "matchExpressions"}, selector
    assert namespaces.keys() <= {"matchNames", "any"}, namespaces
    names = namespaces.get("matchNames", [own])
    return [
        pod
        for pod in pods
        if (namespaces.get("any") or pod.namespace in names)
        and selector.get("matchLabels", {}).items() <= pod.labels.items()
        and all(_holds(expression, pod.labels) for expression in selector.get("matchExpressions", []))
    ]


def _holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    return {
        "In": value in expression.get("values", []),
        "NotIn": value not in expression.get("values", []),
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


def _target(pod: Pod, port: str) -> Manifest:
    meta = {
        "namespace": pod.namespace,
        "pod_name": pod.name,
        "pod_container_name": pod.container,
        "pod_container_port_name": port,
        "pod_node_name": pod.node,
        "pod_phase": "Running",
        "pod_ready": "true",
    }
    return {
        "targets": [pod.ports[port]],
        "labels": {
            **{f"__meta_kubernetes_{name}": value for name, value in meta.items()},
            **{_pod_label(name): value for name, value in pod.labels.items()},
        },
    }


def _copied(source: str, target: str, **more: str) -> Manifest:
    return {"source_labels": [source], "target_label": target, **more}


def _pod_label(name: str) -> str:
    return f"__meta_kubernetes_pod_label_{_safe(name)}"


def _safe(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _relabeling(relabeling: Mapping[str, Any]) -> Manifest:
    return {
        re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), key): value.lower() if key == "action" else value
        for key, value in relabeling.items()
    }

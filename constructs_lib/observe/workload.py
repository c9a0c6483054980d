"""What all pods have: processor, memory, restarts, network; measured by Kubernetes itself, for any workload."""

from __future__ import annotations

from constructs_lib.observe import style
from constructs_lib.observe.model import Alert, Group, Panel, Query, Row, Unit, Variable

#: A container's own series: no sandbox, and nothing twice.
_OF = 'namespace="$namespace", pod=~"$pod", container!=""'


def variables(namespaces: tuple[str, ...], container: str) -> tuple[Variable, ...]:
    """Return the choices of a namespace and of pods in it that have a container."""
    return (
        Variable("namespace", "Namespace", values=namespaces),
        Variable(
            "pod",
            "Pod",
            query=f'label_values(kube_pod_container_info{{namespace="$namespace", container="{container}"}}, pod)',
            several=True,
        ),
    )


def resources(container: str) -> Row:
    """Return the row with what the pods use of their machine.

    Args:
        container: The container that does the work.
    """
    own = f'namespace="$namespace", pod=~"$pod", container="{container}"'
    return Row(
        "Pods",
        (
            Panel(
                "cpu",
                "CPU",
                "Processor time that each pod uses, beside what it asks for. Above the request it lives on what others "
                "leave; there is no limit on purpose.",
                "cores",
                (
                    Query(
                        f"sum by (pod) (rate(container_cpu_usage_seconds_total{{{own}}}[$__rate_interval]))", "{{pod}}"
                    ),
                    Query(
                        f'max(kube_pod_container_resource_requests{{{own}, resource="cpu"}})',
                        "requested",
                        style.REQUESTED,
                    ),
                ),
            ),
            Panel(
                "memory",
                "Memory",
                "Working set of each pod. The container is killed when it reaches the limit.",
                "bytes",
                (
                    Query(f"max by (pod) (container_memory_working_set_bytes{{{own}}})", "{{pod}}"),
                    Query(
                        f'max(kube_pod_container_resource_requests{{{own}, resource="memory"}})',
                        "requested",
                        style.REQUESTED,
                    ),
                    Query(f'max(kube_pod_container_resource_limits{{{own}, resource="memory"}})', "limit", style.LIMIT),
                ),
            ),
            Panel(
                "restarts",
                "Restarts",
                "Restarts of containers within the last quarter of an hour. Anything above zero that lasts is a crash "
                "loop.",
                "short",
                (
                    Query(
                        f"sum by (pod, container) (increase(kube_pod_container_status_restarts_total{{{_OF}}}[15m]))",
                        "{{pod}} {{container}}",
                    ),
                ),
                warning=1,
                critical=3,
                width=8,
            ),
            Panel(
                "ready",
                "Ready pods",
                "Pods that are ready to serve.",
                "none",
                (
                    Query(
                        'sum(kube_pod_status_ready{namespace="$namespace", pod=~"$pod", condition="true"})',
                        "ready",
                        style.GOOD,
                    ),
                ),
                width=8,
            ),
            Panel(
                "network",
                "Network",
                "Bytes that the pods receive and send, other pods of the system included.",
                "Bps",
                (
                    Query(
                        'sum(rate(container_network_receive_bytes_total{namespace="$namespace", pod=~"$pod"}'
                        "[$__rate_interval]))",
                        "received",
                        style.IN,
                    ),
                    Query(
                        'sum(rate(container_network_transmit_bytes_total{namespace="$namespace", pod=~"$pod"}'
                        "[$__rate_interval]))",
                        "sent",
                        style.OUT,
                    ),
                ),
                width=8,
            ),
        ),
    )


def signal(
    id: str,
    title: str,
    description: str,
    unit: Unit,
    expression: str,
    warning: float | None = None,
    critical: float | None = None,
) -> Panel:
    """Return one of the four golden signals of a workload."""
    return Panel(
        id,
        title,
        description,
        unit,
        (Query(expression, title),),
        kind="stat",
        warning=warning,
        critical=critical,
        width=3,
        height=3,
    )


def volumes() -> Panel:
    """Return the panel with how full the volumes of a namespace are."""
    return Panel(
        "volumes",
        "Volumes",
        "How full each volume is. A data store that cannot write stops.",
        "percentunit",
        (
            Query(
                "max by (persistentvolumeclaim) ("
                'kubelet_volume_stats_used_bytes{namespace="$namespace"} '
                '/ kubelet_volume_stats_capacity_bytes{namespace="$namespace"})',
                "{{persistentvolumeclaim}}",
            ),
        ),
        warning=0.8,
        critical=0.95,
        maximum=1,
    )


def group() -> Group:
    """Return the alerts about pods, volumes, Jobs and targets of the whole cluster."""
    pod = "{{ $labels.namespace }}/{{ $labels.pod }}"
    return Group(
        "workloads",
        alerts=(
            Alert(
                "ContainerRestarting",
                "warning",
                "sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[15m])) > 2",
                "5m",
                f"The container {{{{ $labels.container }}}} of {pod} restarts again and again.",
                "{{ $value | humanize }} restarts within 15 minutes.",
            ),
            Alert(
                "ContainerOutOfMemory",
                "warning",
                "sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[15m])) > 0 "
                "and on (namespace, pod, container) "
                'kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1',
                "1m",
                f"The container {{{{ $labels.container }}}} of {pod} was killed because it ran out of memory.",
                "It reached its memory limit {{ $value | humanize }} times within 15 minutes.",
            ),
            Alert(
                "ContainerMemoryNearLimit",
                "warning",
                'max by (namespace, pod, container) (container_memory_working_set_bytes{container!=""}) '
                "/ on (namespace, pod, container) "
                'max by (namespace, pod, container) (kube_pod_container_resource_limits{resource="memory"}) > 0.9',
                "15m",
                f"The container {{{{ $labels.container }}}} of {pod} is about to run out of memory.",
                "It uses {{ $value | humanizePercentage }} of its memory limit.",
            ),
            Alert(
                "WorkloadUnavailable",
                "critical",
                "label_replace(kube_deployment_status_replicas_available == 0 and kube_deployment_spec_replicas > 0, "
                '"workload", "$1", "deployment", "(.+)") or '
                "label_replace(kube_statefulset_status_replicas_ready == 0 and kube_statefulset_replicas > 0, "
                '"workload", "$1", "statefulset", "(.+)")',
                "5m",
                "{{ $labels.namespace }}/{{ $labels.workload }} has no pod that is ready.",
                "None of its pods has been ready for 5 minutes: whatever needs it fails.",
            ),
            Alert(
                "WorkloadDegraded",
                "warning",
                "label_replace(kube_deployment_status_replicas_available < kube_deployment_spec_replicas, "
                '"workload", "$1", "deployment", "(.+)") or '
                "label_replace(kube_statefulset_status_replicas_ready < kube_statefulset_replicas, "
                '"workload", "$1", "statefulset", "(.+)")',
                "15m",
                "{{ $labels.namespace }}/{{ $labels.workload }} has fewer pods than it should have.",
                "Only {{ $value | humanize }} of its pods are ready, for 15 minutes.",
            ),
            Alert(
                "AutoscalerAtMaximum",
                "warning",
                "kube_horizontalpodautoscaler_status_current_replicas "
                ">= kube_horizontalpodautoscaler_spec_max_replicas "
                "and kube_horizontalpodautoscaler_spec_max_replicas > kube_horizontalpodautoscaler_spec_min_replicas",
                "30m",
                "{{ $labels.namespace }}/{{ $labels.horizontalpodautoscaler }} cannot grow any further.",
                "It has been at its maximum of {{ $value | humanize }} replicas for 30 minutes.",
            ),
            Alert(
                "VolumeFilling",
                "warning",
                "kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes < 0.25 "
                "and predict_linear(kubelet_volume_stats_available_bytes[6h], 4 * 24 * 3600) < 0",
                "1h",
                "The volume {{ $labels.namespace }}/{{ $labels.persistentvolumeclaim }} will be full within four days.",
                "{{ $value | humanizePercentage }} of it is free, and it fills at the rate of the last 6 hours.",
            ),
            Alert(
                "VolumeAlmostFull",
                "critical",
                "kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes < 0.05",
                "5m",
                "The volume {{ $labels.namespace }}/{{ $labels.persistentvolumeclaim }} is almost full.",
                "{{ $value | humanizePercentage }} of it is free.",
            ),
            Alert(
                "JobFailed",
                "warning",
                'kube_job_failed{condition="true"} > 0',
                "5m",
                "The Job {{ $labels.namespace }}/{{ $labels.job_name }} failed.",
                "It will not be tried again.",
            ),
            Alert(
                "MetricsMissing",
                "warning",
                "up == 0",
                "10m",
                "{{ $labels.namespace }}/{{ $labels.pod }} gives no metrics.",
                "Prometheus cannot scrape the target {{ $labels.job }} at {{ $labels.instance }}: "
                "no other alert about it can be trusted.",
            ),
        ),
    )

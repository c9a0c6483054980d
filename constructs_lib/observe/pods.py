"""What all pods have: processor, memory, restarts, network; measured by Kubernetes itself, for any workload."""

from __future__ import annotations

from constructs_lib.grafana import style
from constructs_lib.grafana.model import Panel, Query, Row, Unit, Variable
from constructs_lib.prometheus.rules import Alert, Group

#: A container's own series: no sandbox, and nothing twice.
_OF = 'namespace="$namespace", pod=~"$pod", container!=""'


# Of the series of kube-state-metrics the labels of its own pod are left out: with them, an alert would end and begin
# anew when that pod is replaced.
_AVAILABLE = "max by (namespace, deployment) (kube_deployment_status_replicas_available)"
_WANTED = "max by (namespace, deployment) (kube_deployment_spec_replicas)"
_READY = "max by (namespace, statefulset) (kube_statefulset_status_replicas_ready)"
_REPLICAS = "max by (namespace, statefulset) (kube_statefulset_replicas)"
_UTILIZATION = '{metric_target_type="utilization"}'


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
                # Half an hour: a program that runs for minutes waits for five more between two of its starts. And an
                # increase is extrapolated: two restarts count as a little more than two.
                "sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[30m])) > 2.5",
                "5m",
                f"The container {{{{ $labels.container }}}} of {pod} restarts again and again.",
                "About {{ $value | humanize }} restarts within 30 minutes.",
            ),
            Alert(
                "ContainerOutOfMemory",
                "warning",
                "sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[15m])) > 0 "
                "and on (namespace, pod, container) "
                'kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1',
                "1m",
                f"The container {{{{ $labels.container }}}} of {pod} was killed because it ran out of memory.",
                "It reached its memory limit, and restarted about {{ $value | humanize }} times within 15 minutes.",
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
                f"{_workload('deployment', f'{_AVAILABLE} == 0 and {_WANTED} > 0')} "
                f"or {_workload('statefulset', f'{_READY} == 0 and {_REPLICAS} > 0')}",
                "5m",
                "{{ $labels.namespace }}/{{ $labels.workload }} has no pod that is ready.",
                "None of its pods has been ready for 5 minutes: whatever needs it fails.",
            ),
            Alert(
                "WorkloadDegraded",
                "warning",
                f"{_workload('deployment', f'{_AVAILABLE} < {_WANTED}')} "
                f"or {_workload('statefulset', f'{_READY} < {_REPLICAS}')}",
                "15m",
                "{{ $labels.namespace }}/{{ $labels.workload }} has fewer pods than it should have.",
                "No more than {{ $value | humanize }} of its pods are ready, for 15 minutes.",
            ),
            Alert(
                "AutoscalerAtMaximum",
                "warning",
                f"{_autoscaler('status_current_replicas')} >= {_autoscaler('spec_max_replicas')} "
                f"and {_autoscaler('spec_max_replicas')} > {_autoscaler('spec_min_replicas')} "
                # One that never shrinks stays at its maximum when nothing is left to do.
                f"and {_autoscaler('status_target_metric', _UTILIZATION)} > "
                f"{_autoscaler('spec_target_metric', _UTILIZATION)}",
                "30m",
                "{{ $labels.namespace }}/{{ $labels.horizontalpodautoscaler }} cannot grow any further.",
                "It has been at its maximum of {{ $value | humanize }} replicas, and above its target, for 30 minutes.",
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
                'max by (namespace, job_name) (kube_job_failed{condition="true"}) > 0 '
                # A CronJob keeps its failed Jobs for ever; they are of no interest once a later one succeeded.
                "unless on (namespace, job_name) (max by (namespace, job_name, owner_name) "
                "(kube_job_status_start_time * on (namespace, job_name) group_left (owner_name) "
                'max by (namespace, job_name, owner_name) (kube_job_owner{owner_kind="CronJob"})) '
                "< on (namespace, owner_name) group_left () label_replace(max by (namespace, cronjob) "
                '(kube_cronjob_status_last_successful_time), "owner_name", "$1", "cronjob", "(.+)"))',
                "5m",
                "The Job {{ $labels.namespace }}/{{ $labels.job_name }} failed.",
                "It has failed as often as it may, and is not tried again.",
            ),
            Alert(
                "MetricsMissing",
                "warning",
                "up == 0",
                "10m",
                "The target {{ $labels.job }} at {{ $labels.instance }} gives no metrics.",
                "Prometheus cannot scrape it, so that no other alert about it can be trusted.",
            ),
        ),
    )


def _workload(kind: str, condition: str) -> str:
    """Return a condition whose result is labelled by the name of the workload, of whichever kind it is."""
    return f'label_replace({condition}, "workload", "$1", "{kind}", "(.+)")'


def _autoscaler(metric: str, matchers: str = "") -> str:
    return f"max by (namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_{metric}{matchers})"

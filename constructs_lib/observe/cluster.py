"""The cluster itself: what its nodes have, what is promised to pods, and what they use.

Alerts about nodes come with kube-prometheus-stack, so that there are none here.
"""

from __future__ import annotations

from constructs_lib.grafana import style
from constructs_lib.grafana.model import RANGE, Dashboard, Panel, Query, Row

#: Pods that hold what they asked for: finished ones do not any more.
_ALIVE = 'and on (namespace, pod) kube_pod_status_phase{phase=~"Pending|Running"} == 1'
#: Pods on the network of their node would count the traffic of all others as theirs.
_OWN_NETWORK = 'and on (namespace, pod) kube_pod_info{host_network="false"}'


def dashboard(*, uid: str, links: tuple[tuple[str, str], ...]) -> Dashboard:
    """Return the dashboard of the cluster.

    Args:
        uid: Identifier of the dashboard.
        links: ``(title, uid)`` of dashboards that belong to it.
    """
    return Dashboard(
        uid,
        "cluster",
        "Cluster overview",
        "Whether the nodes are well, how much of them is promised and used, and by whom.",
        (_health(), _usage(), _commitment(), _namespaces()),
        (),
        links,
    )


def _health() -> Row:
    return Row(
        "Health",
        (
            Panel(
                "nodes",
                "Nodes ready",
                "Share of the nodes that take pods. Below 1 a node does not report: look at it by kubectl describe "
                "node, and whether its pods found another one.",
                "percentunit",
                (
                    Query(
                        'sum(kube_node_status_condition{condition="Ready", status="true"}) / count(kube_node_info)',
                        "ready",
                    ),
                ),
                kind="stat",
                critical=1,
                falling=True,
                width=4,
            ),
            Panel(
                "phases",
                "Pods by phase",
                "All pods. Pods of Jobs stay as Succeeded for a while. Some that are Pending for long find no node: "
                "look at what is requested below.",
                "none",
                (Query("sum by (phase) (kube_pod_status_phase) > 0", "{{phase}}"),),
                stacked=True,
                width=8,
            ),
            Panel(
                "restarting",
                "Restarts",
                "The ten pods whose containers restarted most often within the last hour. None is normal; look at the "
                "log of the container before its restart.",
                "none",
                (
                    Query(
                        "topk(10, round(sum by (namespace, pod) "
                        "(increase(kube_pod_container_status_restarts_total[1h]))) > 0)",
                        "{{namespace}}/{{pod}}",
                    ),
                ),
                kind="bargauge",
                warning=1,
                critical=3,
                width=6,
            ),
            Panel(
                "volumes",
                "Fullest volumes",
                "How full the ten fullest volumes are. A data store that cannot write stops: enlarge the volume in "
                "time.",
                "percentunit",
                (
                    Query(
                        "topk(10, max by (namespace, persistentvolumeclaim) "
                        "(kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes))",
                        "{{namespace}}/{{persistentvolumeclaim}}",
                    ),
                ),
                kind="bargauge",
                warning=0.8,
                critical=0.95,
                maximum=1,
                width=6,
            ),
        ),
    )


def _usage() -> Row:
    def network(direction: str) -> str:
        # Traffic between pods passes virtual devices as well, and would count twice.
        device = 'device!~"lo|(cali|cilium|cni|docker|flannel|lxc|tunl|veth|vxlan).*"'
        return f"sum(rate(node_network_{direction}_bytes_total{{{device}}}[{RANGE}]))"

    return Row(
        "Usage",
        (
            Panel(
                "cpu",
                "CPU",
                "Processor time that the nodes use, beside what pods ask for and what there is. Used above requested: "
                "pods live on what others leave.",
                "cores",
                (
                    Query(
                        f'sum(rate(node_cpu_seconds_total{{mode!~"idle|iowait|steal"}}[{RANGE}]))', "used", style.USED
                    ),
                    Query(f"sum({_requested('cpu')})", "requested", style.REQUESTED),
                    Query(f"sum({_allocatable('cpu')})", "allocatable", style.LIMIT),
                ),
                width=8,
            ),
            Panel(
                "memory",
                "Memory",
                "Memory that the nodes use, beside what pods ask for and what there is. Near the last, pods are "
                "evicted.",
                "bytes",
                (
                    Query("sum(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)", "used", style.USED),
                    Query(f"sum({_requested('memory')})", "requested", style.REQUESTED),
                    Query(f"sum({_allocatable('memory')})", "allocatable", style.LIMIT),
                ),
                width=8,
            ),
            Panel(
                "network",
                "Network",
                "Bytes that the nodes receive and send, between each other and with the world.",
                "Bps",
                (
                    Query(network("receive"), "received", style.IN),
                    Query(network("transmit"), "sent", style.OUT),
                ),
                width=8,
            ),
        ),
    )


def _requested(resource: str) -> str:
    return f'kube_pod_container_resource_requests{{resource="{resource}"}} {_ALIVE}'


def _limits(resource: str) -> str:
    return f'kube_pod_container_resource_limits{{resource="{resource}"}} {_ALIVE}'


def _allocatable(resource: str) -> str:
    return f'kube_node_status_allocatable{{resource="{resource}"}}'


def _commitment() -> Row:
    def cluster(resource: str) -> tuple[Query, Query]:
        return (
            Query(f"sum({_requested(resource)}) / sum({_allocatable(resource)})", "requested", style.REQUESTED),
            Query(f"sum({_limits(resource)}) / sum({_allocatable(resource)})", "limits", style.LIMIT),
        )

    def node(resource: str) -> Query:
        return Query(
            f"sum by (node) ({_requested(resource)}) / sum by (node) ({_allocatable(resource)})",
            "{{node}}",
        )

    return Row(
        "Promised",
        (
            Panel(
                "cpu-commitment",
                "CPU promised",
                "What all pods ask for, and may use at most, of what there is. Requests near 1: new pods stay "
                "Pending. Limits are few on purpose.",
                "percentunit",
                cluster("cpu"),
                warning=0.9,
                critical=1,
                width=6,
            ),
            Panel(
                "memory-commitment",
                "Memory promised",
                "What all pods ask for, and may use at most, of what there is. Requests near 1: new pods stay "
                "Pending. Limits above 1 are normal, unless all pods grow at once.",
                "percentunit",
                cluster("memory"),
                warning=0.9,
                width=6,
            ),
            Panel(
                "node-cpu",
                "CPU promised by node",
                "What the pods of each node ask for, of what it has. A node near 1 takes no more pods; if one must be "
                "drained, the others need as much room.",
                "percentunit",
                (node("cpu"),),
                kind="bargauge",
                warning=0.9,
                maximum=1,
                width=6,
            ),
            Panel(
                "node-memory",
                "Memory promised by node",
                "What the pods of each node ask for, of what it has. A node near 1 takes no more pods; if one must be "
                "drained, the others need as much room.",
                "percentunit",
                (node("memory"),),
                kind="bargauge",
                warning=0.9,
                maximum=1,
                width=6,
            ),
        ),
    )


def _namespaces() -> Row:
    def network(direction: str) -> str:
        return f"sum by (namespace) (rate(container_network_{direction}_bytes_total[{RANGE}]) {_OWN_NETWORK})"

    def committed(resource: str) -> str:
        return f"sum by (namespace) ({_requested(resource)}) / on () group_left () sum({_allocatable(resource)})"

    return Row(
        "Namespaces",
        (
            Panel(
                "namespace-cpu",
                "CPU",
                "Processor time that the pods of each namespace use.",
                "cores",
                (
                    Query(
                        f'sum by (namespace) (rate(container_cpu_usage_seconds_total{{container!=""}}[{RANGE}]))',
                        "{{namespace}}",
                    ),
                ),
                stacked=True,
                width=8,
            ),
            Panel(
                "namespace-memory",
                "Memory",
                "Working set of the pods of each namespace. One that only grows is a leak.",
                "bytes",
                (
                    Query(
                        'sum by (namespace) (container_memory_working_set_bytes{container!=""})',
                        "{{namespace}}",
                    ),
                ),
                stacked=True,
                width=8,
            ),
            Panel(
                "namespace-network",
                "Network",
                "Bytes that the pods of each namespace receive and send; those on the network of their node are left "
                "out.",
                "Bps",
                (
                    Query(network("receive"), "{{namespace}} received"),
                    Query(network("transmit"), "{{namespace}} sent"),
                ),
                width=8,
            ),
            Panel(
                "namespace-cpu-commitment",
                "CPU promised",
                "What the pods of each namespace ask for, of what the cluster has.",
                "percentunit",
                (Query(committed("cpu"), "{{namespace}}"),),
                kind="bargauge",
            ),
            Panel(
                "namespace-memory-commitment",
                "Memory promised",
                "What the pods of each namespace ask for, of what the cluster has.",
                "percentunit",
                (Query(committed("memory"), "{{namespace}}"),),
                kind="bargauge",
            ),
        ),
    )

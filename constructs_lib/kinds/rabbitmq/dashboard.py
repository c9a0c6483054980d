"""RabbitMQ, by its own plugin, at ``/metrics/per-object``.

Quorum queues and the metadata are replicated to the nodes of a cluster, classic queues live on one node, and the
metrics of the replication have other names in each version. What stands for it is the number of nodes: fewer than
declared, and nothing is left to lose; no more than half of them, and quorum queues stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from constructs_lib.grafana import style
from constructs_lib.grafana.model import CHOSEN, RANGE, Dashboard, Panel, Query, Row
from constructs_lib.kinds.rabbitmq.construct import RabbitMQ
from constructs_lib.observe import stores
from constructs_lib.observe.pods import signal, variables
from constructs_lib.prometheus.matchers import none_of, one_of
from constructs_lib.prometheus.rules import Alert, Group


def dashboard(workloads: Sequence[RabbitMQ], *, uid: str, links: tuple[tuple[str, str], ...]) -> Dashboard:
    """Return the dashboard of all brokers.

    Args:
        workloads: The brokers.
        uid: Identifier of the dashboard.
        links: ``(title, uid)`` of dashboards that belong to it.
    """
    return Dashboard(
        uid,
        "rabbitmq",
        "RabbitMQ",
        "Whether a broker is complete, whether messages are taken as fast as they come, and what holds them up.",
        (
            _health(workloads),
            _traffic(),
            _latency(),
            _errors(),
            _saturation(),
            _clients(),
            stores.pods("rabbitmq"),
        ),
        variables(stores.namespaces(workloads), "rabbitmq"),
        links,
    )


def golden(workload: RabbitMQ) -> tuple[Panel, Panel, Panel, Panel]:
    """Return traffic, errors, latency and saturation of a broker."""
    own = stores.of([workload])
    return (
        signal(
            "rabbitmq-traffic",
            "Published",
            "Messages that are published each second.",
            "ops",
            f"sum(rate(rabbitmq_global_messages_received_total{{{own}}}[{RANGE}]))",
        ),
        signal(
            "rabbitmq-errors",
            "Unroutable",
            "Messages each second that no queue wanted, so that they were dropped or sent back.",
            "ops",
            f"sum({_unroutable(own, RANGE)})",
            0.001,
            1,
        ),
        signal(
            "rabbitmq-latency",
            "Waiting",
            "Messages that wait in queues for a consumer.",
            "none",
            f"sum(rabbitmq_queue_messages_ready{{{own}}})",
            1000,
            10000,
        ),
        signal(
            "rabbitmq-saturation",
            "Memory",
            "Memory of the fullest node, of the mark at which it takes no more messages.",
            "percentunit",
            f"max({_memory(own)})",
            0.8,
            0.9,
        ),
    )


def exchange_panels(namespace: str, exchanges: Sequence[str]) -> tuple[Panel, ...]:
    """Return what is published to some exchanges.

    Args:
        namespace: Namespace of the broker itself, not a variable.
        exchanges: Names of the exchanges.
    """
    return (_published(f'namespace="{namespace}", exchange{one_of(exchanges)}'),)


def queue_panels(namespace: str, queues: Sequence[str]) -> tuple[Panel, ...]:
    """Return how some queues are consumed.

    Args:
        namespace: Namespace of the broker itself, not a variable.
        queues: Names of the queues.
    """
    own = f'namespace="{namespace}", queue{one_of(queues)}'
    return _waiting(own).wide(8), _delivered(own).wide(8), _consumers(own).wide(8)


def group(workloads: Sequence[RabbitMQ], consumed: Mapping[RabbitMQ, Sequence[str]] | None = None) -> Group:
    """Return the alerts about brokers.

    Args:
        workloads: The brokers.
        consumed: Queues of each broker that must have a consumer, because somebody declares to be one.
    """
    own = stores.of(workloads)
    wanted = {broker: sorted(set(queues)) for broker, queues in (consumed or {}).items() if queues}
    queues = sorted({queue for each in wanted.values() for queue in each})
    alerts = [*_about_nodes(workloads, own), *_about_messages(own, queues)]
    if wanted:
        alerts.append(_consumers_missing(wanted))
    return Group("rabbitmq", alerts=tuple(alerts))


def _about_nodes(workloads: Sequence[RabbitMQ], own: str) -> list[Alert]:
    alerts: list[Alert] = []
    # The only node of a broker is missing when nothing is there to tell it: its StatefulSet then has no pod.
    clusters = stores.by_number([broker for broker in workloads if broker.nodes > 1], lambda broker: broker.nodes)
    if clusters:
        alerts += [
            Alert(
                "RabbitMQNodeMissing",
                "warning",
                " or ".join(_fewer(nodes, nodes, brokers) for nodes, brokers in clusters),
                "10m",
                f"The RabbitMQ cluster {stores.STORE} has fewer nodes than it should have.",
                "Only {{ $value | humanize }} of {{ $labels.declared }} nodes give metrics.",
            ),
            Alert(
                "RabbitMQMajorityLost",
                "critical",
                " or ".join(_fewer(nodes // 2 + 1, nodes, brokers) for nodes, brokers in clusters),
                "2m",
                f"The RabbitMQ cluster {stores.STORE} has lost its majority.",
                "Only {{ $value | humanize }} of {{ $labels.declared }} nodes give metrics: quorum queues stop, and "
                "nothing can be declared.",
            ),
        ]
    free = f"min by (namespace, service, pod) (rabbitmq_disk_space_available_bytes{{{own}}})"
    limit = f"max by (namespace, service, pod) (rabbitmq_disk_space_available_limit_bytes{{{own}}})"
    return [
        *alerts,
        Alert(
            "RabbitMQMemoryHigh",
            "critical",
            f"max by (namespace, service, pod) ({_memory(own)}) > 0.9",
            "5m",
            f"A node of the RabbitMQ broker {stores.STORE} is about to take no more messages.",
            "{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory mark; above it publishers wait.",
        ),
        Alert(
            "RabbitMQDiskLow",
            "critical",
            f"{free} < 2 * {limit}",
            "5m",
            f"A node of the RabbitMQ broker {stores.STORE} is about to run out of disk.",
            "{{ $labels.pod }} has {{ $value | humanize1024 }}B left, less than twice the limit below which all "
            "publishers wait.",
        ),
        Alert(
            "RabbitMQFileDescriptors",
            "warning",
            "max by (namespace, service, pod) "
            f"(rabbitmq_process_open_fds{{{own}}} / rabbitmq_process_max_fds{{{own}}}) > 0.8",
            "10m",
            f"A node of the RabbitMQ broker {stores.STORE} is about to run out of file descriptors.",
            "{{ $labels.pod }} uses {{ $value | humanizePercentage }} of them; without any it takes no connections.",
        ),
    ]


def _about_messages(own: str, consumed: Sequence[str]) -> list[Alert]:
    ready = f"sum by (namespace, service, vhost, queue) (rabbitmq_queue_messages_ready{{{own}}})"
    # Those that must have a consumer have an alert of their own.
    others = f"{{{own}, queue{none_of(consumed)}}}" if consumed else f"{{{own}}}"
    return [
        Alert(
            "RabbitMQQueueGrowing",
            "warning",
            f"{ready} > 1000 and sum by (namespace, service, vhost, queue) "
            f"(deriv(rabbitmq_queue_messages_ready{{{own}}}[15m])) > 0",
            "15m",
            f"A queue of the RabbitMQ broker {stores.STORE} grows.",
            "{{ $value | humanize }} messages wait in {{ $labels.queue }}, and they become more: its consumers are "
            "too slow.",
        ),
        Alert(
            "RabbitMQMessagesUnconsumed",
            "warning",
            f"sum by (namespace, service, vhost, queue) (rabbitmq_queue_messages_ready{others}) > 0 "
            f"and sum by (namespace, service, vhost, queue) (rabbitmq_queue_consumers{others}) == 0",
            "15m",
            f"Messages of the RabbitMQ broker {stores.STORE} wait, and nobody consumes them.",
            "{{ $value | humanize }} messages wait in {{ $labels.queue }}, which has no consumer.",
        ),
        Alert(
            "RabbitMQMessagesUnroutable",
            "warning",
            f"sum by (namespace, service) ({_unroutable(own, '10m', 'increase')}) > 0",
            "10m",
            f"Messages that are published to the RabbitMQ broker {stores.STORE} reach no queue.",
            "About {{ $value | humanize }} messages within 10 minutes were dropped or sent back, because no queue is "
            "bound for them.",
        ),
    ]


def _consumers_missing(wanted: Mapping[RabbitMQ, Sequence[str]]) -> Alert:
    return Alert(
        "RabbitMQConsumersMissing",
        "critical",
        " or ".join(_not_consumed(broker, queues) for broker, queues in wanted.items()),
        "10m",
        "Nobody consumes the RabbitMQ queue {{ $labels.queue }}.",
        "A service declares to consume it, and it has no consumer, or is not there at all: what is published for it "
        "waits or is lost.",
    )


def _not_consumed(broker: RabbitMQ, queues: Sequence[str]) -> str:
    own = stores.of([broker])
    consumers = f"sum by (namespace, service, queue) (rabbitmq_queue_consumers{{{own}, queue{one_of(queues)}}})"
    # A queue may go with its last consumer. Its absence tells something only if all nodes say what they have.
    complete = f"count(count by (rabbitmq_node) (rabbitmq_identity_info{{{own}}})) >= {broker.nodes}"
    absent = " or ".join(f'absent(rabbitmq_queue_consumers{{{own}, queue="{queue}"}})' for queue in queues)
    return f"({consumers} == 0 or 0 * ({absent}) and on () ({complete}))"


def _fewer(least: int, declared: int, brokers: Sequence[RabbitMQ]) -> str:
    nodes = f"count by (namespace, service, rabbitmq_node) (rabbitmq_identity_info{{{stores.of(brokers)}}})"
    return f'label_replace(count by (namespace, service) ({nodes}) < {least}, "declared", "{declared}", "", "")'


def _memory(own: str) -> str:
    return f"rabbitmq_process_resident_memory_bytes{{{own}}} / rabbitmq_resident_memory_limit_bytes{{{own}}}"


def _unroutable(own: str, window: str, function: str = "rate") -> str:
    return (
        f"{function}(rabbitmq_global_messages_unroutable_dropped_total{{{own}}}[{window}]) "
        f"+ {function}(rabbitmq_global_messages_unroutable_returned_total{{{own}}}[{window}])"
    )


def _delivery(own: str) -> str:
    """Return the deliveries of queues, with and without acknowledgements, to consumers and to those who ask."""
    counters = ("messages_delivered_ack", "messages_delivered", "get_ack", "get")
    # Told apart by a label: a channel that does both would otherwise count once.
    return " or ".join(
        f'label_replace(rate(rabbitmq_channel_{counter}_total{{{own}}}[{RANGE}]), "how", "{counter}", "", "")'
        for counter in counters
    )


def _published(own: str) -> Panel:
    return Panel(
        "published",
        "Published",
        "Messages that are published to each exchange each second. It follows what people do; none at all at a busy "
        "time means that publishers are blocked or away.",
        "ops",
        (
            Query(
                f"sum by (exchange) (rate(rabbitmq_channel_messages_published_total{{{own}}}[{RANGE}]))",
                "{{exchange}}",
            ),
        ),
        stacked=True,
    )


def _waiting(own: str) -> Panel:
    return Panel(
        "queued",
        "Waiting",
        "Messages that wait in each queue for a consumer. About none is normal; if they grow, consumers are away or "
        "too slow.",
        "none",
        (Query(f"sum by (queue) (rabbitmq_queue_messages_ready{{{own}}})", "{{queue}}"),),
        warning=1000,
        critical=10000,
    )


def _delivered(own: str) -> Panel:
    return Panel(
        "consumed",
        "Delivered",
        "Messages of each queue that are delivered each second. It follows what is published; if it does not, look at "
        "the messages that wait.",
        "ops",
        (Query(f"sum by (queue) ({_delivery(own)})", "{{queue}}"),),
        stacked=True,
    )


def _consumers(own: str) -> Panel:
    return Panel(
        "consumers",
        "Consumers",
        "Consumers of each queue. One that has none keeps its messages until somebody comes.",
        "none",
        (Query(f"sum by (queue) (rabbitmq_queue_consumers{{{own}}})", "{{queue}}"),),
    )


def _health(workloads: Sequence[RabbitMQ]) -> Row:
    return Row(
        "Health",
        (
            Panel(
                "nodes",
                "Nodes",
                "Nodes that give metrics, beside those that are wanted. If nodes are missing, look at the pods below.",
                "none",
                (
                    Query(
                        f"count(count by (rabbitmq_node) (rabbitmq_identity_info{{{CHOSEN}}}))",
                        "up",
                        style.GOOD,
                    ),
                    Query(
                        f"max(kube_statefulset_replicas{{{stores.stateful_sets(workloads)}}})", "wanted", style.WANTED
                    ),
                ),
            ),
            Panel(
                "connections",
                "Connections",
                "What clients have open. Programs keep one connection with some channels; numbers that only grow are "
                "a leak.",
                "none",
                (
                    Query(f"sum(rabbitmq_connections{{{CHOSEN}}})", "connections"),
                    Query(f"sum(rabbitmq_channels{{{CHOSEN}}})", "channels"),
                ),
            ),
        ),
    )


def _traffic() -> Row:
    return Row("Traffic", (_published(CHOSEN), _delivered(CHOSEN)))


def _latency() -> Row:
    return Row(
        "Latency",
        (
            _waiting(CHOSEN),
            Panel(
                "unacknowledged",
                "Unacknowledged",
                "Messages of each queue that a consumer has and has not acknowledged yet. If they stay, the consumer "
                "hangs, or has been given too many at once.",
                "none",
                (
                    Query(
                        f"sum by (queue) (rabbitmq_queue_messages_unacked{{{CHOSEN}}})",
                        "{{queue}}",
                    ),
                ),
            ),
        ),
    )


def _errors() -> Row:
    def rate(metric: str) -> str:
        return f"sum(rate(rabbitmq_global_messages_{metric}_total{{{CHOSEN}}}[{RANGE}]))"

    dead = " + ".join(rate(f"dead_lettered_{reason}") for reason in ("expired", "maxlen", "rejected"))
    return Row(
        "Errors",
        (
            Panel(
                "unroutable",
                "Unroutable",
                "Messages each second that no queue wanted: dropped, or sent back if the publisher asked for it. None "
                "is normal; look which exchange has no queue bound to it.",
                "ops",
                (
                    Query(rate("unroutable_dropped"), "dropped", style.ERRORS),
                    Query(rate("unroutable_returned"), "sent back", style.WARNING),
                ),
                width=8,
            ),
            Panel(
                "repeated",
                "Delivered again",
                "Messages each second that are delivered once more, because a consumer refused them or went away, and "
                "those that are put aside as dead letters. If they last, look at the log of the consumer.",
                "ops",
                (Query(rate("redelivered"), "delivered again"), Query(dead, "dead letters", style.ERRORS)),
                width=8,
            ),
            Panel(
                "logins",
                "Refused logins",
                "Logins that are refused each second. None is normal; a program with an old password tries for ever.",
                "ops",
                (
                    Query(
                        f"sum(rate(rabbitmq_auth_attempts_failed_total{{{CHOSEN}}}[{RANGE}]))",
                        "refused",
                        style.ERRORS,
                    ),
                ),
                width=8,
            ),
        ),
    )


def _saturation() -> Row:
    return Row(
        "Saturation",
        (
            Panel(
                "watermark",
                "Memory mark",
                "Memory of each node, of the mark at which it takes no more messages. Below 0.6 is normal; if it "
                "rises, look at the messages that wait.",
                "percentunit",
                (Query(f"max by (pod) ({_memory(CHOSEN)})", "{{pod}}"),),
                warning=0.8,
                critical=0.9,
                width=8,
            ),
            Panel(
                "disk",
                "Free disk",
                "Bytes that each node has left, beside the limit below which it takes no more messages.",
                "bytes",
                (
                    Query(
                        f"min by (pod) (rabbitmq_disk_space_available_bytes{{{CHOSEN}}})",
                        "{{pod}}",
                    ),
                    Query(f"max(rabbitmq_disk_space_available_limit_bytes{{{CHOSEN}}})", "limit", style.LIMIT),
                ),
                width=8,
            ),
            Panel(
                "descriptors",
                "File descriptors",
                "File descriptors of each node, of those that it may have. Each connection and each open file of a "
                "queue takes one.",
                "percentunit",
                (
                    Query(
                        f"max by (pod) (rabbitmq_process_open_fds{{{CHOSEN}}} / rabbitmq_process_max_fds{{{CHOSEN}}})",
                        "{{pod}}",
                    ),
                ),
                warning=0.7,
                critical=0.8,
                maximum=1,
                width=8,
            ),
        ),
    )


def _clients() -> Row:
    def rate(metric: str) -> str:
        return f"sum(rate(rabbitmq_{metric}_total{{{CHOSEN}}}[{RANGE}]))"

    return Row(
        "Clients",
        (
            _consumers(CHOSEN),
            Panel(
                "churn",
                "Connections opened",
                "Connections and channels that are opened each second. Long-lived ones are normal: a program that "
                "opens one for each message is slow, and costs the broker much.",
                "ops",
                (
                    Query(rate("connections_opened"), "connections"),
                    Query(rate("channels_opened"), "channels"),
                ),
                warning=10,
            ),
        ),
    )

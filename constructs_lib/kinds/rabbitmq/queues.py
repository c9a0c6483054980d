"""What the alerts about brokers say of their nodes and of the queues that somebody consumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from constructs_lib.declare.observed import own
from constructs_lib.kinds.parts.store import grouped
from constructs_lib.prometheus.rules import none_of, one_of

if TYPE_CHECKING:
    from constructs_lib.kinds.rabbitmq.construct import RabbitMQ


def placeholders(brokers: Sequence[RabbitMQ]) -> dict[str, str | float | None]:
    """Return what ``$nodes_missing``, ``$majority_lost``, ``$unconsumed`` and ``$others`` stand for."""
    clusters = grouped([broker for broker in brokers if broker.nodes > 1], lambda broker: broker.nodes)
    consumed = _consumed(brokers)
    queues = sorted({queue for each in consumed.values() for queue in each})
    return {
        "nodes_missing": " or ".join(_fewer(nodes, nodes, alike) for nodes, alike in clusters) or None,
        "majority_lost": " or ".join(_fewer(nodes // 2 + 1, nodes, alike) for nodes, alike in clusters) or None,
        "unconsumed": " or ".join(_not_consumed(broker, queues) for broker, queues in consumed.items()) or None,
        "others": f"{own(brokers)}, queue{none_of(queues)}" if queues else own(brokers),
    }


def _consumed(brokers: Sequence[RabbitMQ]) -> Mapping[RabbitMQ, Sequence[str]]:
    """Return the queues of each broker that must have a consumer, because somebody declares to be one."""
    found: dict[RabbitMQ, set[str]] = {}
    consumers = [workload for workload in brokers[0].system.workloads if workload.consumes]
    for consumer in sorted(consumers, key=lambda workload: (workload.namespace_name, workload.name)):
        for edge in consumer.edges:
            for broker in brokers:
                if edge.endpoint.workload is broker:
                    found.setdefault(broker, set()).update(consumer.consumes)
    return {broker: sorted(queues) for broker, queues in found.items()}


def _not_consumed(broker: RabbitMQ, queues: Sequence[str]) -> str:
    brokers = own([broker])
    consumers = f"sum by (namespace, service, queue) (rabbitmq_queue_consumers{{{brokers}, queue{one_of(queues)}}})"
    # A queue may be deleted with its last consumer. That it is absent counts only if all nodes report their queues.
    complete = f"count(count by (rabbitmq_node) (rabbitmq_identity_info{{{brokers}}})) >= {broker.nodes}"
    absent = " or ".join(f'absent(rabbitmq_queue_consumers{{{brokers}, queue="{queue}"}})' for queue in queues)
    return f"({consumers} == 0 or 0 * ({absent}) and on () ({complete}))"


def _fewer(least: int, declared: int, brokers: Sequence[RabbitMQ]) -> str:
    nodes = f"count by (namespace, service, rabbitmq_node) (rabbitmq_identity_info{{{own(brokers)}}})"
    return f'label_replace(count by (namespace, service) ({nodes}) < {least}, "declared", "{declared}", "", "")'

"""What a real cluster of three RabbitMQ nodes does when nodes are lost.

The nodes have the generated configuration, but for the one line that lets them find each other: without Kubernetes, it
is by a list of names. The library declares no queues, quorum or classic: the programs do.
"""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator

import pytest
from rabbitmq_node import Node, rabbitmq_nodes
from running import wait_for
from synthesized import Synthesized


@pytest.fixture(scope="module")
def nodes(trees: dict[str, Synthesized]) -> Iterator[list[Node]]:
    """As many nodes as PositionPal has in production."""
    (pod,) = trees["production"].pods("rabbitmq", ["StatefulSet"])
    with rabbitmq_nodes(trees["production"], pod.owner["spec"]["replicas"]) as found:
        yield found


def publish(node: Node, queue: str, payload: str) -> bool | None:
    """Publish a message that is written to disk.

    Returns:
        Whether it went to the queue, which says that it has it, or to none; None if the queue does not say so.
    """
    message = {"routing_key": queue, "payload": payload, "payload_encoding": "string"}
    body = {"properties": {"delivery_mode": 2}, **message}
    try:
        answer = node.request("exchanges/%2F/amq.default/publish", "POST", body, patience=5)
    except (urllib.error.HTTPError, TimeoutError):
        return None
    return bool(answer["routed"])


def take(node: Node, queue: str) -> list[str]:
    """Take all messages out of a queue, and return each once: one that was published again may be there twice.

    Raises:
        HTTPError: The queue is not to be had.
    """
    options = {"count": 9, "ackmode": "ack_requeue_false", "encoding": "auto"}
    found = node.request(f"queues/%2F/{queue}/get", "POST", options)
    return [*dict.fromkeys(each["payload"] for each in found)]


def test_messages_of_quorum_queues_outlive_a_node_and_those_of_classic_ones_wait_for_it(nodes: list[Node]) -> None:
    """One node of three is lost, then another, then the first is back."""
    first, second, third = nodes
    for queue in ("quorum", "classic"):
        first.request(f"queues/%2F/{queue}", "PUT", {"durable": True, "arguments": {"x-queue-type": queue}})
        assert publish(second, queue, "before")
    assert set(first.request("queues/%2F/quorum")["members"]) == {node.name for node in nodes}
    assert first.request("queues/%2F/quorum")["leader"] == first.name
    assert third.request("queues/%2F/classic")["node"] == first.name

    first.kill()
    wait_for(lambda: publish(second, "quorum", "without one") is True, "another leader")
    assert take(third, "quorum") == ["before", "without one"]
    assert publish(third, "quorum", "kept")
    assert publish(second, "classic", "lost") is False
    with pytest.raises(urllib.error.HTTPError, match="404"):
        take(second, "classic")

    third.kill()
    assert publish(second, "quorum", "without two") is None

    first.start()
    wait_for(lambda: publish(second, "quorum", "with two") is True, "another leader")
    # What no queue said that it has may be there all the same.
    assert [each for each in take(second, "quorum") if each != "without two"] == ["kept", "with two"]
    assert take(second, "classic") == ["before"]

"""Nobody who runs is shut out on a real Argo CD: connections, ports and components that come and go."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from stage import Stage, broken_promises, shop, stage

from constructs_lib import Autoscale

#: The shop, with one more connection, without the component in the middle, with another port, and with that port and an
#: autoscaler.
VARIANTS = (
    shop(),
    shop(front_needs_stock=True),
    shop(basket=False),
    shop({"http": 8081}),
    shop({"http": 8081}, basket_replicas=Autoscale(1, 3)),
)


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("shop"), VARIANTS) as found:
        yield found


def test_install(changes: Stage) -> None:
    assert not broken_promises(changes.install(changes.trees[0]))


def test_dropped_edge(changes: Stage) -> None:
    assert not broken_promises(changes.publish(changes.trees[1]))
    assert not broken_promises(changes.publish(changes.trees[0]))


def test_removed_component(changes: Stage) -> None:
    """What it deployed goes first, then its Application, and its project last, without which nothing of it could go.

    Argo CD deletes both in one wave, after all others (PruneLast); it is the project's finalizer that waits.
    """
    start = time.monotonic()
    outcome = changes.publish(changes.trees[2])
    assert not broken_promises(outcome)
    assert any("basket" in name for name in outcome.effects.pruned)
    seen = changes.rehearsal.watcher.seen_since(start)
    gone = [f"{item['kind']}/{item['metadata']['name']}" for _, verb, item in seen if verb == "DELETED"]
    order = ["Deployment/basket", "Application/basket", "AppProject/shop-basket"]
    assert [name for name in gone if name in order] == order
    left = changes.rehearsal.watcher.snapshot()
    assert not [item for item in left if item["metadata"].get("namespace", item["metadata"]["name"]) == "basket"]
    assert not [item["metadata"]["name"] for item in left if "deletionTimestamp" in item["metadata"]]
    assert not broken_promises(changes.publish(changes.trees[0]))


def test_changed_port(changes: Stage) -> None:
    assert not broken_promises(changes.publish(changes.trees[3]))


def test_pods_that_are_handed_to_an_autoscaler(changes: Stage) -> None:
    """They stay, although its minimum is lower: an autoscaler takes pods away only after it has seen them idle."""
    assert not broken_promises(changes.publish(changes.trees[4]))
    client = changes.rehearsal.client
    found = client.get(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "basket", "namespace": "basket"}}
    )
    assert found is not None
    assert found["spec"]["replicas"] == found["status"]["readyReplicas"] == 2

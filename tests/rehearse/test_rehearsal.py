"""Changes that are rolled out on a real API server by a real Argo CD."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import Stage, altered, broken_promises, in_order, stage
from systems import environment

from constructs_lib import Autoscale, Microservice, Postgres, System


def shop(*, stock_port: int = 8080, front_needs_stock: bool = False, basket: bool = True) -> System:
    """Return a shop: a store, a service on it, one on that, and what is in front."""
    system = System(environment("staging", "external-secrets"), "shop")
    stock = Microservice(
        system, "stock", image="example/stock:1.0.0", ports={"http": stock_port}, replicas=Autoscale(2, 3)
    )
    database = Postgres(stock, "database", image="postgres:18.6", database="stock", user="stock", storage="1Gi")
    stock.needs(database.endpoint("sql"), {"DATABASE": "host"})
    front = Microservice(system, "front", image="example/front:1.0.0", ports={"http": 3000}, replicas=2)
    if basket:
        middle = Microservice(system, "basket", image="example/basket:1.0.0", ports={"http": 8080}, replicas=2)
        middle.needs(stock.endpoint("http"), {"STOCK": "address"})
        front.needs(middle.endpoint("http"), {"BASKET": "address"})
    if front_needs_stock:
        front.needs(stock.endpoint("http"), {"STOCK": "address"})
    return system


VARIANTS = (
    shop(),
    shop(front_needs_stock=True),
    shop(stock_port=8081),
    shop(basket=False),
)


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("shop"), VARIANTS) as found:
        yield found


def test_install(changes: Stage) -> None:
    outcome = changes.install(changes.trees[0])
    assert not broken_promises(outcome)
    assert [(row.component, row.wave) for row in outcome.progress] == [("stock", 0), ("basket", 1), ("front", 2)]


def test_update_in_three_waves_while_the_controller_dies(changes: Stage) -> None:
    tree, _ = altered(changes.trees[0], "1")
    outcome = changes.publish(tree, kill=True)
    assert not broken_promises(outcome)
    assert in_order(outcome) == ["stock", "basket", "front"]


def test_what_is_broken_holds_what_comes_later(changes: Stage) -> None:
    fixed, faulty = altered(changes.trees[0], "2", broken="stock")
    outcome = changes.publish(faulty, broken=["stock"])
    assert not broken_promises(outcome)
    assert [row.component for row in outcome.progress if row.is_held] == ["stock", "basket", "front"]
    outcome = changes.publish(fixed, take_over=True)
    assert not broken_promises(outcome)
    assert outcome.seconds < 90


def test_revert(changes: Stage) -> None:
    """All pods restart once more, in order: the last publication but one had other annotations."""
    outcome = changes.revert()
    assert not broken_promises(outcome)


def test_dropped_edge(changes: Stage) -> None:
    assert not broken_promises(changes.publish(changes.trees[1]))
    assert not broken_promises(changes.publish(changes.trees[0]))


def test_changed_port(changes: Stage) -> None:
    assert not broken_promises(changes.publish(changes.trees[2]))


def test_removed_component(changes: Stage) -> None:
    outcome = changes.publish(changes.trees[3])
    assert not broken_promises(outcome)
    assert any("basket" in name for name in outcome.effects.pruned)
    assert not broken_promises(changes.publish(changes.trees[0]))


def test_planted_difference(changes: Stage) -> None:
    """Pods that nobody announced restart."""
    rehearsal = changes.rehearsal
    tree, _ = altered(changes.trees[0], "3")

    def push() -> None:
        rehearsal.scratch.publish(tree)
        for item in rehearsal.watcher.snapshot():
            if item["kind"] == "Deployment" and item["metadata"]["name"] == "front":
                annotations = {"metadata": {"annotations": {"by": "hand"}}}
                rehearsal.client.patch(item, {"spec": {"template": annotations}})

    assert broken_promises(rehearsal.run("publish, and restart something", push))

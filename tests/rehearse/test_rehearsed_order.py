"""What changes is rolled out in order on a real Argo CD, whatever breaks or dies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import Stage, altered, broken_promises, in_order, shop, stage


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("shop"), [shop()]) as found:
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


def test_revert(changes: Stage) -> None:
    """The publication before is rolled out once more."""
    outcome = changes.revert()
    assert not broken_promises(outcome)
    assert in_order(outcome) == ["stock", "basket", "front"]


def test_what_is_broken_holds_what_comes_later(changes: Stage) -> None:
    fixed, faulty = altered(changes.trees[0], "2", broken="stock")
    outcome = changes.publish(faulty, broken=["stock"])
    assert not broken_promises(outcome)
    assert [row.component for row in outcome.progress if row.is_held] == ["stock", "basket", "front"]
    outcome = changes.publish(fixed, take_over=True)
    assert not broken_promises(outcome)


def test_planted_difference(changes: Stage) -> None:
    """Something that nobody announced is deleted by hand, and comes back."""
    rehearsal = changes.rehearsal
    published, _ = altered(changes.trees[0], "2")
    tree, _ = altered(published, "3", "stock")

    def push() -> None:
        rehearsal.scratch.publish(tree)
        for item in rehearsal.watcher.snapshot():
            if item["kind"] == "PodDisruptionBudget" and item["metadata"]["name"] == "front":
                rehearsal.client.delete(item)

    told = broken_promises(rehearsal.run("publish, and delete something", push))
    assert any("PodDisruptionBudget/front/front" in text for text in told), told

"""Nobody who runs is shut out on a real Argo CD: connections, ports and components that come and go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import Stage, broken_promises, shop, stage

#: The shop, with one more connection, without the component in the middle, and with another port.
VARIANTS = (shop(), shop(front_needs_stock=True), shop(basket=False), shop({"http": 8081}))


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
    outcome = changes.publish(changes.trees[2])
    assert not broken_promises(outcome)
    assert any("basket" in name for name in outcome.effects.pruned)
    assert not broken_promises(changes.publish(changes.trees[0]))


def test_changed_port(changes: Stage) -> None:
    assert not broken_promises(changes.publish(changes.trees[3]))
    assert not broken_promises(changes.publish(changes.trees[0]))

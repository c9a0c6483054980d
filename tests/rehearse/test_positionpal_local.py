"""PositionPal's local, installed and changed on a real API server by a real Argo CD."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import Stage, altered, broken_promises, in_order, positionpal, stage


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("positionpal"), [positionpal("local")], patience=400) as found:
        yield found


def test_install(rehearsed: Stage) -> None:
    outcome = rehearsed.install(rehearsed.trees[0])
    assert not broken_promises(outcome)
    assert len(outcome.progress) == len(rehearsed.trees[0].applications)


def test_update_in_three_waves(rehearsed: Stage) -> None:
    tree, _ = altered(rehearsed.trees[0], "1", "chat-service", "user-service", "gateway")
    outcome = rehearsed.publish(tree)
    assert not broken_promises(outcome)
    assert in_order(outcome) == ["chat-service", "user-service", "gateway"]


def test_revert(rehearsed: Stage) -> None:
    outcome = rehearsed.revert()
    assert not broken_promises(outcome)


def test_broken_and_mended(rehearsed: Stage) -> None:
    names = ("notification-service", "user-service", "gateway")
    fixed, faulty = altered(rehearsed.trees[0], "2", *names, broken="notification-service")
    outcome = rehearsed.publish(faulty, broken=["notification-service"])
    assert not broken_promises(outcome)
    assert [row.component for row in outcome.progress if row.is_held] == [*names]
    outcome = rehearsed.publish(fixed, take_over=True)
    assert not broken_promises(outcome)

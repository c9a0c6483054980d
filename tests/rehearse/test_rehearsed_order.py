"""What changes is rolled out in order on a real Argo CD, whatever breaks or dies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from stage import Stage, altered, broken_promises, in_order, shop, stage

from constructs_lib.plan.plan import Plan, plan
from constructs_lib.rehearse import rehearsal
from constructs_lib.rehearse.findings import Subject
from constructs_lib.repository.snapshot import Snapshot


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("shop"), [shop()]) as found:
        yield found


def test_install(changes: Stage) -> None:
    outcome = changes.install(changes.trees[0])
    assert not broken_promises(outcome)
    assert [(row.component, row.wave) for row in outcome.progress] == [("stock", 0), ("basket", 1), ("front", 2)]
    assert changes.unhealthy() == []


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
    assert [line.partition(":")[0].strip() for line in changes.unhealthy()] == [
        "basket",
        "front",
        "stock",
        "StatefulSet/stock-database",
    ]
    outcome = changes.publish(fixed, take_over=True)
    assert not broken_promises(outcome)
    assert changes.unhealthy() == []


def test_planted_difference(changes: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is made to leave out what happens to one component."""

    def forgetful(old: Snapshot, new: Snapshot, *, folder: str) -> Plan:
        found = plan(old, new, folder=folder)
        steps = [
            replace(step, changes=[change for change in step.changes if change.kind != "Deployment"])
            for step in found.steps
        ]
        return replace(found, steps=steps)

    monkeypatch.setattr(rehearsal, "plan", forgetful)
    tree, _ = altered(changes.trees[0], "3", "stock")
    found = [finding for finding in changes.publish(tree).findings if finding.breaks]
    assert {finding.subject for finding in found} == {Subject.PLAN}
    assert any("Deployment/stock/stock" in finding.text for finding in found)
    assert all("Deployment/" in finding.text for finding in found)

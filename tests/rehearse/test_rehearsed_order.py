"""What changes is rolled out in order on a real Argo CD, whatever breaks or dies, and wherever everything is.

The declaration is in a folder of its repository, Argo CD in another namespace than usual, its Applications in yet
another one, and all names have a prefix, because a second environment is in the same cluster. Other tests have what is
plain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from stage import Stage, altered, broken_promises, in_order, shop, stage

from constructs_lib import ArgoCD, Environment, GitRepository, K3d, Microservice, System, synthesize
from constructs_lib.plan.plan import Plan, plan
from constructs_lib.rehearse import rehearsal
from constructs_lib.rehearse.findings import Subject
from constructs_lib.repository.snapshot import Snapshot

PLAIN = Environment(
    name="production",
    repository=GitRepository("https://github.com/example/mono.git", path="deploy/shop"),
    cluster=K3d(kubernetes="1.36", nodes=3, provides=("metrics-api", "external-secrets")),
    argocd=ArgoCD(namespace="gitops", application_namespace="shop-apps"),
)
ELSEWHERE = replace(PLAIN, name="staging", prefix="blue-", secret_store_namespace="blue-secrets")
ALL = ["blue-stock", "blue-basket", "blue-front"]


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("shop"), [shop(environment=ELSEWHERE)]) as found:
        yield found


def beside() -> System:
    """Return the system of the other environment, which has a stock, too."""
    system = System(PLAIN, "shop")
    Microservice(system, "stock", image="example/stock:1.0.0", ports={"http": 8080})
    return system


def pods_beside(changes: Stage) -> set[str]:
    """Return the ids of the pods of the other environment."""
    found = [item["metadata"] for item in changes.rehearsal.watcher.snapshot() if item["kind"] == "Pod"]
    return {pod["uid"] for pod in found if pod["namespace"] == "stock"}


def test_install(changes: Stage) -> None:
    other = synthesize(beside())
    changes.rehearsal.scratch.commit_tree(other)
    for name in ("AppProject-shop-root", "root"):
        changes.rehearsal.client.apply(other.manifest(f"argocd/production/{name}.yaml"))
    outcome = changes.install(changes.trees[0])
    assert not broken_promises(outcome)
    assert [(row.component, row.wave) for row in outcome.progress] == [(name, wave) for wave, name in enumerate(ALL)]
    assert changes.unhealthy() == []
    changes.install_guard(changes.trees[0])


def test_update_in_three_waves_while_the_controller_dies(changes: Stage) -> None:
    tree, _ = altered(changes.trees[0], "1")
    others = pods_beside(changes)
    outcome = changes.publish(tree, kill=True)
    assert not broken_promises(outcome)
    assert len(others) == 1
    assert pods_beside(changes) == others
    assert in_order(outcome) == ALL


def test_revert(changes: Stage) -> None:
    """The publication before is rolled out once more."""
    outcome = changes.revert()
    assert not broken_promises(outcome)
    assert in_order(outcome) == ALL


def test_what_is_broken_holds_what_comes_later(changes: Stage) -> None:
    fixed, faulty = altered(changes.trees[0], "2", broken="blue-stock")
    outcome = changes.publish(faulty, broken=["blue-stock"])
    assert not broken_promises(outcome)
    assert [row.component for row in outcome.progress if row.is_held] == ALL
    assert [line.partition(":")[0].strip() for line in changes.unhealthy()] == [
        "blue-basket",
        "blue-front",
        "blue-stock",
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
    tree, _ = altered(altered(changes.trees[0], "2")[0], "3", "blue-stock")
    found = [finding for finding in changes.publish(tree).findings if finding.breaks]
    assert {finding.subject for finding in found} == {Subject.PLAN}
    assert any("Deployment/blue-stock/stock" in finding.text for finding in found)
    assert all("Deployment/" in finding.text for finding in found)

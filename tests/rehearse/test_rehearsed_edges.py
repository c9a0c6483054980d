"""Nobody who runs is shut out on a real Argo CD: connections, ports and components that come and go.

The environment follows a branch of its own, so that nothing happens before a publication.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
from stage import Stage, broken_promises, stage
from stage import shop as shop_of
from systems import environment

from constructs_lib import Autoscale, Microservice, System
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.rehearse.judgement import Outcome

ENVIRONMENT = replace(environment("staging", "external-secrets"), publication_branch="deploy/staging")
shop = partial(shop_of, environment=ENVIRONMENT)


def rebuilt() -> System:
    """Return the shop without the component in the middle, with another one, and with an Application that differs."""
    system = shop(basket=False, front_replicas=Autoscale(2, 4))
    Microservice(system, "mail", image="example/mail:1.0.0", ports={"http": 8080})
    return system


#: The shop, with one more connection, without the component in the middle, with another port, and with that port and an
#: autoscaler.
VARIANTS = (
    shop(),
    shop(front_needs_stock=True),
    shop(basket=False),
    shop({"http": 8081}),
    shop({"http": 8081}, basket_replicas=3),
    shop({"http": 8081}, basket_replicas=Autoscale(3, 5, cpu=30)),
    rebuilt(),
)


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("shop"), VARIANTS) as found:
        yield found


def test_install(changes: Stage) -> None:
    assert not broken_promises(changes.install(changes.trees[0]))


def follows(outcome: Outcome, below: str, above: str) -> bool:
    """Tell whether a component began after another one was complete."""
    rows = {row.component: row for row in outcome.progress}
    complete, began = rows[below].complete, rows[above].began
    return complete is not None and began is not None and complete < began


def deployments(changes: Stage, start: float, name: str = "basket") -> list[Manifest]:
    """Return a Deployment in each of its states since some moment."""
    seen = changes.rehearsal.watcher.seen_since(start)
    return [item for _, _, item in seen if (item["kind"], item["metadata"]["name"]) == ("Deployment", name)]


def fewest(changes: Stage, start: float, name: str = "basket") -> int:
    """Return the fewest pods that served for a Deployment at any time since some moment."""
    return min(int(item["status"].get("availableReplicas", 0)) for item in deployments(changes, start, name))


def wait_for(changes: Stage, pods: int) -> None:
    """Wait until a number of pods is asked for, and serves."""
    end, wanted = time.monotonic() + 120, {"kind": "Deployment", "metadata": {"name": "basket", "namespace": "basket"}}
    while time.monotonic() < end:
        found = changes.rehearsal.client.get({"apiVersion": "apps/v1", **wanted})
        if found and found["spec"]["replicas"] == found["status"].get("availableReplicas") == pods:
            return
        time.sleep(0.5)
    raise AssertionError(f"There are not {pods} pods.")


def test_a_push_changes_nothing_before_its_publication(changes: Stage) -> None:
    """What goes, what comes and an Application that changes wait for it, and a revert brings all of it back."""
    rehearsal, tree = changes.rehearsal, changes.trees[-1]
    scratch, before, start = rehearsal.scratch, rehearsal.scratch.head, time.monotonic()
    outcome = rehearsal.run("push to main", lambda: scratch.commit_tree(tree))
    assert not broken_promises(outcome)
    assert scratch.head == before
    assert not [item["metadata"]["name"] for _, verb, item in rehearsal.watcher.seen_since(start) if verb != "MODIFIED"]
    assert {item["kind"] for _, _, item in rehearsal.watcher.seen_since(start)} <= {"Application"}
    outcome = changes.publish(tree)
    assert not broken_promises(outcome)
    assert {"mail", "front"} <= {row.component for row in outcome.progress}
    assert any("basket" in name for name in outcome.effects.pruned)
    outcome = rehearsal.run("revert", lambda: scratch.revert(f"{before}..HEAD"))
    assert not broken_promises(outcome)
    assert follows(outcome, "basket", "front")
    assert any("mail" in name for name in outcome.effects.pruned)


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
    # Its client has all its pods all the time, and it has all of its own until it goes.
    assert fewest(changes, start, "front") == 2
    staying = [each for each in deployments(changes, start) if "deletionTimestamp" not in each["metadata"]]
    assert {item["status"].get("availableReplicas") for item in staying} <= {2}
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


def test_pods_that_are_handed_to_an_autoscaler_and_back(changes: Stage) -> None:
    """At no moment there are fewer of them than declared: three, at least three, and three again.

    What is measured here is half of what is requested, so that the autoscaler goes up to its maximum.
    """
    assert not broken_promises(changes.publish(changes.trees[4]))
    start = time.monotonic()
    assert not broken_promises(changes.publish(changes.trees[5]))
    wait_for(changes, 5)
    assert fewest(changes, start) == 3
    start = time.monotonic()
    assert not broken_promises(changes.publish(changes.trees[4]))
    wait_for(changes, 3)
    assert fewest(changes, start) == 3

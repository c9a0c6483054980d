"""Taking over from a publication that hangs: what is decided, with objects as a cluster holds them.

What Argo CD and Kubernetes make of it shows in a rehearsal, on the real ones.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hanging_cluster import (
    BAD,
    GOOD,
    NEW,
    NOW,
    OLD,
    ROOT,
    SOURCE,
    Cluster,
    Item,
    child,
    hanging,
    kubectl_of,
    merge,
    pod,
    root,
    takeover,
    workload,
)
from shop import BASKET, Shop

from constructs_lib.argocd.refresh import REFRESH, refresh
from constructs_lib.publish.checkout import PublishError
from constructs_lib.publish.takeover import KubectlError, Takeover, by_hand, kubectl

# Taking over.


def test_ends_the_root_and_looks_for_the_new_commit() -> None:
    cluster = Cluster(*hanging())

    def controller() -> None:
        if cluster["shop"]["metadata"].get("annotations"):
            cluster["shop"].update(operation={"sync": {}})
        cluster.argo_cd()

    cluster.controller = controller
    found, said = takeover(cluster)
    found.take_over({"stock": GOOD, "front": BAD}, NEW)
    assert cluster.ended == ["shop"]
    assert cluster["shop"]["metadata"]["annotations"] == refresh(NOW)["metadata"]["annotations"]
    # First the end, then the look: before, it takes up nothing.
    assert [name for name, _ in cluster.patches()] == ["shop", "shop"] and "status" in cluster.patches()[0][1]
    assert said == ["Ended the operation of shop."] and not cluster.begun


def test_a_look_that_began_before_the_push_is_not_taken_for_the_new_one() -> None:
    """At its end, Argo CD takes the request away, and with it one that came meanwhile, if its time is not known."""
    cluster = Cluster(root(OLD, "stock", settled=True), child("stock", BAD, settled=True))
    asked = cluster["shop"]["metadata"]["annotations"] = {REFRESH: "normal"}
    pauses: list[int] = []

    def controller() -> None:
        pauses.append(len(cluster.patches()))
        if len(pauses) == 3:
            asked.clear()

    cluster.controller = controller
    takeover(cluster)[0].take_over({"stock": GOOD}, NEW)
    assert pauses == [0, 0, 0]
    assert asked == refresh(NOW)["metadata"]["annotations"]


def test_a_look_that_never_ends_keeps_nobody_from_asking() -> None:
    cluster = Cluster(root(OLD, "stock", settled=True), child("stock", BAD, settled=True))
    cluster["shop"]["metadata"]["annotations"] = {REFRESH: "normal"}
    takeover(cluster)[0].take_over({"stock": GOOD}, NEW)
    assert cluster["shop"]["metadata"]["annotations"] == refresh(NOW)["metadata"]["annotations"]


def test_begins_the_sync_of_the_root_where_argo_cd_does_not() -> None:
    """It has compared the new commit while the operation ran, and takes it for one without changes."""
    cluster = Cluster(*hanging())
    takeover(cluster)[0].take_over({"stock": GOOD, "front": BAD}, NEW)
    assert cluster.ended == cluster.begun == ["shop"]
    assert "operation" in cluster.patches()[-1][1]


def test_ends_what_deploys_another_commit_than_it_is_pinned_to() -> None:
    cluster = Cluster(*hanging(running=True))
    takeover(cluster)[0].take_over({"stock": GOOD, "front": BAD}, NEW)
    assert cluster.ended == ["shop", "stock"]


def test_leaves_the_sync_of_a_component_alone_that_does_not_move() -> None:
    """It would not be begun anew for the same commit."""
    cluster = Cluster(*hanging(running=True))
    found, said = takeover(cluster)
    found.take_over({"stock": BAD, "front": GOOD}, NEW)
    assert cluster.ended == ["shop"]
    assert said[-1] == "stock hangs still: what was pushed does not change it, and later waves wait for it."


def test_a_chart_is_told_by_the_commit_beside_its_version() -> None:
    cluster = Cluster(*hanging(running=True, operation={"syncResult": {"revisions": ["1.2.3", BAD]}}))
    takeover(cluster)[0].take_over({"stock": BAD}, NEW)
    assert cluster.ended == ["shop"]


def test_a_root_that_has_the_commit_already_is_not_ended() -> None:
    """After a failure it tries again with the newest commit, and then only the component is in the way."""
    cluster = Cluster(*hanging(running=True))
    takeover(cluster)[0].take_over({"stock": GOOD, "front": BAD}, OLD)
    assert cluster.ended == ["stock"]


def progressing() -> Cluster:
    return Cluster(root(OLD, "stock", running=True), child("stock", BAD, "Deployment"), workload("Deployment", "stock"))


def test_what_makes_progress_is_not_ended() -> None:
    cluster = progressing()
    cluster.controller = lambda: cluster["shop"].update(operation=None)
    found, said = takeover(cluster)
    found.take_over({"stock": GOOD}, NEW)
    assert not cluster.ended and "annotations" in cluster["shop"]["metadata"]
    assert said == ["Argo CD takes up what was pushed after stock. Ctrl-C ends the wait for it, and no more."]


def test_what_makes_progress_is_ended_once_it_hangs() -> None:
    cluster = progressing()

    def controller() -> None:
        broken = pod("stock", waits="ImagePullBackOff")
        cluster.items["Pod", "stock-0"] = broken
        cluster.argo_cd()

    cluster.controller = controller
    takeover(cluster)[0].take_over({"stock": GOOD}, NEW)
    assert cluster.ended == ["shop"]


def test_a_root_that_follows_another_branch_is_told() -> None:
    """As after the first publication to a branch, until the bootstrap is applied."""
    cluster = Cluster(root(OLD, "stock", settled=True), child("stock", BAD, settled=True))
    cluster["shop"]["spec"] = {"source": {**SOURCE, "targetRevision": "refs/heads/main"}}
    declared = {**ROOT, "spec": {"source": {**SOURCE, "targetRevision": "refs/heads/deploy/laptop"}}}
    said: list[str] = []
    found = Takeover(cluster, declared, said.append, pause=lambda seconds: None, now=lambda: NOW)
    found.describe(found.look())
    assert said == [
        "The Application shop of the cluster follows refs/heads/main, and is declared to follow "
        "refs/heads/deploy/laptop: apply bootstrap/argocd once that branch is there."
    ]


def test_what_was_pushed_is_not_waited_for() -> None:
    cluster = progressing()
    takeover(cluster)[0].take_over({"stock": GOOD}, OLD)
    assert not cluster.ended


def test_nothing_is_to_be_ended() -> None:
    cluster = Cluster(root(OLD, "stock", settled=True), child("stock", BAD, settled=True))
    found, said = takeover(cluster)
    found.take_over({"stock": GOOD}, NEW)
    assert {name for name, _ in cluster.patches()} == {"shop"} and said == []


def test_an_operation_that_changes_meanwhile_is_not_marked_as_ended() -> None:
    """The mark on an operation that is over would stay for ever."""
    cluster = Cluster(*hanging())
    ask = cluster.__call__

    def interfering(*arguments: str) -> str:
        if arguments[0] == "patch" and cluster["shop"]["metadata"]["resourceVersion"] == "1":
            done = {"status": {"operationState": {"phase": "Succeeded"}}, "operation": None}
            merge(cluster["shop"], {**done, "metadata": {"resourceVersion": "2"}})
        return ask(*arguments)

    found = Takeover(interfering, ROOT, print, pause=lambda seconds: None, now=lambda: NOW)
    found.take_over({"stock": GOOD}, NEW)
    assert cluster["shop"]["status"]["operationState"]["phase"] == "Succeeded"


def test_an_operation_that_is_about_to_start_is_ended_when_it_has() -> None:
    cluster = Cluster(*hanging())
    operation = cluster["shop"]["status"]["operationState"]
    operation["phase"] = "Succeeded"

    def controller() -> None:
        if operation["phase"] == "Succeeded":
            operation.update(phase="Running", startedAt="2026-11-28T11:59:00Z")
        cluster.argo_cd()

    cluster.controller = controller
    takeover(cluster)[0].take_over({"stock": GOOD}, NEW)
    assert cluster.ended == ["shop"] and operation["phase"] == "Failed"


def test_tells_when_argo_cd_does_not_end_it() -> None:
    cluster = Cluster(*hanging())
    cluster.controller = lambda: None
    with pytest.raises(PublishError, match=r"does not end the operation of shop\. Does its controller run"):
        takeover(cluster)[0].take_over({"stock": GOOD}, NEW)
    assert cluster.ended == ["shop"]


@pytest.mark.parametrize("head", [OLD, NEW])
def test_begins_a_sync_anew_that_was_given_up(head: str) -> None:
    """Argo CD tries a commit once, and another one if it sees that it changes something."""
    cluster = Cluster(root(OLD, "stock", phase="Failed"), child("stock", BAD, settled=True))
    takeover(cluster)[0].take_over({"stock": BAD}, head)
    assert cluster.begun == ["shop"]
    assert cluster["shop"]["operation"]["sync"] == {"prune": True, "syncOptions": ["ServerSideApply=true"]}


# A StatefulSet that waits for a pod that is never ready.


def stuck(**spec: Any) -> Cluster:
    broken = pod("stock", waits="ImagePullBackOff")
    return Cluster(
        root(OLD, "stock", running=True),
        child("stock", BAD, "StatefulSet"),
        workload("StatefulSet", "stock", **spec),
        broken,
    )


def test_deletes_the_pod_once_its_stateful_set_has_another_revision() -> None:
    cluster = stuck()
    seen: list[list[str]] = []

    def controller() -> None:
        cluster.argo_cd()
        seen.append(cluster.deleted)
        if len(seen) == 8:
            cluster.items["StatefulSet", "stock"]["status"]["updateRevision"] = f"stock-{GOOD}"

    cluster.controller = controller
    takeover(cluster)[0].take_over({"stock": GOOD}, NEW)
    assert cluster.deleted == ["stock-0"] and seen == [[]] * 8


def test_tells_what_to_do_if_there_is_no_other_revision() -> None:
    cluster = stuck()
    with pytest.raises(PublishError, match=r"When there is: kubectl --namespace stock delete pod stock-0"):
        takeover(cluster)[0].take_over({"stock": GOOD}, NEW)
    assert cluster.deleted == []


def test_a_pod_of_an_older_revision_is_deleted_at_once() -> None:
    """What mends it was pushed before, by somebody who could not ask the cluster."""
    cluster = stuck()
    cluster.items["StatefulSet", "stock"]["status"]["updateRevision"] = f"stock-{GOOD}"
    takeover(cluster)[0].take_over({"stock": BAD}, OLD)
    assert cluster.deleted == ["stock-0"]


@pytest.mark.parametrize("change", [{"uid": "2"}, {}])
def test_a_pod_that_was_replaced_or_became_ready_is_left_alone(change: Item) -> None:
    cluster = stuck()

    def controller() -> None:
        cluster.argo_cd()
        live = cluster.items["Pod", "stock-0"]
        live["metadata"].update(change)
        live["status"]["conditions"][0]["status"] = "False" if change else "True"
        cluster.items["StatefulSet", "stock"]["status"]["updateRevision"] = f"stock-{GOOD}"

    cluster.controller = controller
    takeover(cluster)[0].take_over({"stock": GOOD}, NEW)
    assert cluster.deleted == []


@pytest.mark.parametrize(("policy", "pins"), [("Parallel", {"stock": GOOD}), ("OrderedReady", {"stock": BAD})])
def test_pods_that_kubernetes_replaces_or_that_nothing_mends_are_left_alone(policy: str, pins: dict[str, str]) -> None:
    cluster = stuck(podManagementPolicy=policy)
    takeover(cluster)[0].take_over(pins, NEW)
    assert cluster.deleted == []


# The command.


def test_asks_the_cluster_of_a_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", kubectl_of(tmp_path, 'echo "$@"')["PATH"])
    said = kubectl("laptop", Path("/some/config"))("get", "pods")
    assert said == "--context=laptop --kubeconfig=/some/config --request-timeout=30s get pods\n"


def test_tells_what_kubectl_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", kubectl_of(tmp_path, "echo 'error: context does not exist' >&2; exit 1")["PATH"])
    with pytest.raises(KubectlError, match="kubectl get pods in the context laptop: error: context does not exist"):
        kubectl("laptop")("get", "pods")


def test_tells_that_kubectl_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KubectlError, match="There is no kubectl on the PATH"):
        kubectl("laptop")


def test_publishes_nothing_if_the_cluster_does_not_answer(published: Shop, tmp_path: Path) -> None:
    published.change(*BASKET)
    before = published.pushed
    variables = kubectl_of(tmp_path, "echo 'error: connection refused' >&2; exit 1")
    run = published.run("publish", "laptop", "--context", "laptop", **variables)
    assert run.code == 1 and "in the context laptop: error: connection refused" in run.said
    assert published.pushed == before


def answering(shop: Shop, folder: Path) -> dict[str, str]:
    """Return variables with which kubectl speaks of a hanging root of a shop, until its operation is ended."""
    declared = yaml.safe_load((shop.folder / "argocd/laptop/root.yaml").read_text())
    broken = root(OLD, "stock", running=True)
    broken["metadata"] |= {"name": declared["metadata"]["name"], "resourceVersion": "1"}
    broken["spec"] = declared["spec"]
    ended = json.loads(json.dumps(broken))
    del ended["operation"]
    stock = child("stock", BAD, conditions=[{"type": "ComparisonError", "message": "no such folder"}])
    for name, found in (("now", broken), ("ended", ended)):
        (folder / f"{name}.json").write_text(json.dumps({"items": [found, stock]}))
        (folder / f"{name}-root.json").write_text(json.dumps(found))
    script = f"""cd {folder}
echo "$@" >> calls
state=now
test ! -e done || state=ended
case "$*" in
*" patch "*Terminating*) touch done ;;
*" get applications.argoproj.io --namespace"*) cat $state.json ;;
*" get applications.argoproj.io "*) cat $state-root.json ;;
esac"""
    return kubectl_of(folder, script)


def test_publishes_and_takes_over(published: Shop, tmp_path: Path) -> None:
    variables = answering(published, tmp_path)
    published.change(*BASKET)
    told = published.run("publish", "laptop", "--context", "laptop", "--dry-run", **variables)
    assert "The last publication hangs: stock.\n  stock: no such folder\n" in told.said
    assert " patch " not in (tmp_path / "calls").read_text()
    run = published.run("publish", "laptop", "--context", "laptop", **variables)
    assert run.code == 0, run.said
    pushed, _, after = run.said.partition("Pushed to origin/main.\n")
    assert "The last publication hangs: stock." in pushed and "Ended the operation of shop." in after
    assert "If the publication before hangs" not in run.said
    published.check()


def test_closes_nothing_while_the_last_publication_is_rolled_out(published: Shop, tmp_path: Path) -> None:
    """The old pods that hang still call what only the last publication keeps open."""
    published.change('basket.needs(stock.endpoint("http"), {"STOCK": "address"})', "pass")
    published.publish()
    head = published.git("rev-parse", "HEAD")
    variables = answering(published, tmp_path)
    run = published.run("publish", "laptop", "--context", "laptop", **variables)
    assert "Nothing to publish" in run.said and published.git("rev-parse", "HEAD") == head
    # Its operation is ended, and the stock is still not there.
    run = published.run("publish", "laptop", "--context", "laptop", **variables)
    assert "Nothing to publish" in run.said and published.git("rev-parse", "HEAD") == head
    assert "Closes 2 connections that the last publication kept open." in published.publish()


def test_takes_over_with_nothing_to_publish(published: Shop, tmp_path: Path) -> None:
    run = published.run("publish", "laptop", "--context", "laptop", **answering(published, tmp_path))
    assert run.code == 0, run.said
    _, _, after = run.said.partition("Nothing to publish")
    assert "Ended the operation of shop." in after


def test_a_failure_after_the_push_is_told_as_such(published: Shop, tmp_path: Path) -> None:
    variables = answering(published, tmp_path)
    script = tmp_path / "bin" / "kubectl"
    script.write_text(script.read_text().replace("touch done", "echo 'Error: forbidden' >&2; exit 1"))
    published.change(*BASKET)
    run = published.run("publish", "laptop", "--context", "laptop", **variables)
    assert run.code == 1 and "Error: forbidden\nThis is about the cluster alone: everything is pushed." in run.said
    published.check()


def test_a_kubeconfig_needs_a_context(published: Shop) -> None:
    run = published.run("publish", "laptop", "--kubeconfig", "config")
    assert run.code == 2 and "--kubeconfig needs --context" in run.said


@pytest.mark.parametrize(("age", "expected"), [(60, True), (86400, False)])
def test_tells_how_to_end_the_last_publication_if_it_may_still_run(shop: Shop, age: int, expected: bool) -> None:
    date = f"{int(time.time()) - age} +0000"
    assert "To see that" not in shop.run("publish", "laptop", GIT_COMMITTER_DATE=date).said
    shop.change(*BASKET)
    said = shop.publish()
    see, end = by_hand(ROOT)
    assert (f"To see that: {see}\n" in said and f"or {end}\n" in said) == expected
    assert ("To see that" in said) == expected

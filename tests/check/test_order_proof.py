"""What the corpus does not reach: nested Applications, and the facts on which the order rests."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import yaml
from small_trees import application, manifest, model_of_files
from work import calls_of

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.order import proof as order
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.repository.snapshot import Snapshot


def model(**files: Any) -> ClusterModel:
    """Return a tree of one object a file; in the keywords, ``__`` stands for a folder."""
    return model_of_files({f"{path.replace('__', '/')}.yaml": found for path, found in files.items()})


def nested() -> ClusterModel:
    """Return a root with two Applications, the first of which deploys two more."""
    return model(
        root=application("root", "apps"),
        apps__first=application("first", "first", 1),
        apps__second=application("second", "second", 2),
        first__data=application("data", "data", 5),
        first__program=application("program", "program", 6),
        data__early=manifest("ConfigMap", "early", 0),
        data__late=manifest("ConfigMap", "late", 7),
        program__map=manifest("ConfigMap", "program", 0),
        second__map=manifest("ConfigMap", "second", 0),
    )


def named(found: ClusterModel, name: str) -> Object:
    return next(item for item in found.objects if item.name == name)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("early", "late", -1),
        ("late", "early", 1),
        ("late", "program", -1),
        ("late", "second", -1),
        ("second", "program", 1),
        ("first", "second", -1),
        ("first", "late", 0),
        ("early", "early", 0),
    ],
)
def test_nested_applications(one: str, other: str, expected: int) -> None:
    found = nested()
    assert Timeline(found).compare(named(found, one), named(found, other)) == expected


def test_the_charts_of_an_application_come_with_it() -> None:
    found = nested()
    timeline = Timeline(found)
    first = next(application for application in found.all_applications if application.name == "first")
    assert timeline.compare_application(first, named(found, "second")) == -1
    assert timeline.compare_application(first, named(found, "late")) == 0


def test_a_sync_hook_comes_before_a_post_sync_hook() -> None:
    hook = manifest("ConfigMap", "hook", -9)
    hook["metadata"]["annotations"]["argocd.argoproj.io/hook"] = "PostSync"
    found = model(root=application("root", "maps"), maps__hook=hook, maps__plain=manifest("ConfigMap", "plain", 9))
    assert Timeline(found).compare(named(found, "plain"), named(found, "hook")) == -1


def deployment(name: str, wave: int, *waits: str) -> dict[str, Any]:
    labels = {"app": name}
    init = [{"name": "wait", "image": "busybox:1.37", "args": list(waits)}] if waits else []
    template = {"metadata": {"labels": labels}, "spec": {"initContainers": init, "containers": [{"name": name}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return manifest("Deployment", name, wave, "apps/v1", spec=spec)


def service(name: str, wave: int = 0) -> dict[str, Any]:
    return manifest("Service", name, wave, spec={"selector": {"app": name}, "ports": [{"port": 80}]})


def proven(found: ClusterModel) -> list[Finding]:
    return [*order.PROOF.prove(found)]


def test_a_long_circle_is_told_once() -> None:
    files: dict[str, Any] = {"root": application("root", "shop")}
    for name, following in (("a", "b"), ("b", "c"), ("c", "a")):
        files[f"shop__{name}"] = deployment(name, 0, f"{following}.shop.svc:80")
        files[f"shop__service_{name}"] = service(name)
    circles = [finding for finding in proven(model(**files)) if finding.check.code == "waits-in-circle"]
    assert [finding.problem for finding in circles] == ["It waits, in the end, for itself: a → b → c → a."]


@pytest.mark.slow
def test_a_chain_of_waits_is_no_circle() -> None:
    # Longer than Python lets functions call each other.
    length = sys.getrecursionlimit() + 100
    files: dict[str, Any] = {"root": application("root", "shop")}
    for number in range(length):
        files[f"shop__{number}"] = deployment(f"p{number}", -number, f"p{number + 1}.shop.svc:80")
        files[f"shop__service{number}"] = service(f"p{number}", -length)
    assert {finding.check.code for finding in proven(model(**files))} == set()


def test_nothing_is_said_of_a_tree_without_argo_cd() -> None:
    files = {"a": deployment("a", 0, "b.shop.svc:80"), "b": deployment("b", 1), "c": service("b")}
    assert proven(model(**files)) == []
    later = {f"shop__{name}": found for name, found in files.items()}
    codes = {finding.check.code for finding in proven(model(root=application("root", "shop"), **later))}
    assert codes == {"dependency-in-later-wave"}


@pytest.mark.parametrize(("wave", "expected"), [(0, set()), (1, {"application-deploys-itself"})])
def test_a_root_may_deploy_itself_if_nothing_waits_for_it(wave: int, expected: set[str]) -> None:
    found = model(apps__root=application("root", "apps"), apps__map=manifest("ConfigMap", "settings", wave))
    assert {finding.check.code for finding in proven(found)} == expected


@pytest.mark.parametrize(("limit", "expected"), [(600, {"deadline-exceeds-sync"}), (601, set()), (None, set())])
def test_the_limit_of_a_sync_is_that_of_the_bootstrap(limit: int | None, expected: set[str]) -> None:
    inputs = {} if limit is None else {"sync_timeout_seconds": limit}
    files = {"apps/root.yaml": application("root", "shop"), "shop/a.yaml": deployment("a", 0)}
    content = {path: yaml.safe_dump(each).encode() for path, each in files.items()}
    content["bootstrap/argocd/apps.tfvars.json"] = json.dumps(inputs).encode()
    found = proven(ClusterModel(Snapshot.of_files("test", content)))
    assert {finding.check.code for finding in found} == expected


def test_the_limit_of_a_sync_of_ones_own() -> None:
    slow = deployment("a", 0)
    slow["spec"]["progressDeadlineSeconds"] = 900
    for limit, expected in (("600", {"deadline-exceeds-sync"}), ("1200", set()), ("0", set())):
        settings = manifest("ConfigMap", "argocd-cmd-params-cm", 0, data={"controller.sync.timeout.seconds": limit})
        found = proven(model(root=application("root", "shop"), shop__a=slow, shop__settings=settings))
        assert {finding.check.code for finding in found} == expected


@pytest.mark.parametrize("binding", ["Immediate", "WaitForFirstConsumer"])
def test_storage_classes_of_the_tree(binding: str) -> None:
    kind = manifest("StorageClass", "disk", 0, "storage.k8s.io/v1", provisioner="x", volumeBindingMode=binding)
    claim = manifest("PersistentVolumeClaim", "data", 0, spec={"storageClassName": "disk"})
    claim["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] = "Prune=false"
    program = deployment("a", 1)
    program["spec"]["template"]["spec"]["volumes"] = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    found = proven(model(root=application("root", "shop"), shop__k=kind, shop__c=claim, shop__p=program))
    expected = {"claim-waits-for-pod"} if binding == "WaitForFirstConsumer" else set()
    assert {finding.check.code for finding in found} == expected


def test_the_work_grows_with_the_objects_and_not_faster() -> None:
    """Ten times the services must not take much more than ten times the work."""

    def work(count: int) -> int:
        files: dict[str, Any] = {"root": application("root", "shop")}
        for number in range(count):
            files[f"shop__{number}"] = deployment(f"p{number}", number, f"p{number - 1}.shop.svc:80")
            files[f"shop__service{number}"] = service(f"p{number}")
        found = model(**files)
        return calls_of(lambda: proven(found))

    work(1)
    few, many = work(20), work(200)
    assert many < 12 * few


@pytest.mark.parametrize("kind", ["HorizontalPodAutoscaler", "ScaledObject"])
def test_replicas_in_git_and_of_a_scaler(kind: str) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    scaler = manifest(kind, "web", api_version="x/v1", spec={"scaleTargetRef": target})
    for replicas, expected in (({"replicas": 2}, ["replicas-of-autoscaler"]), ({}, [])):
        web = deployment("web", 0)
        web["spec"] = {key: value for key, value in web["spec"].items() if key != "replicas"} | replicas
        found = proven(model(app=application("app", "shop"), shop__web=web, shop__scaler=scaler))
        assert [finding.check.code for finding in found] == expected

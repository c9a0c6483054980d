"""The order of a sync."""

from __future__ import annotations

from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.sync_order import Task, cascade_order, sync_order


def item(kind: str, name: str = "a", wave: int | None = None, namespace: str = "", **annotations: str) -> Object:
    metadata: dict[str, Any] = {
        "name": name,
        "annotations": {f"argocd.argoproj.io/{k}": v for k, v in annotations.items()},
    }
    if wave is not None:
        metadata["annotations"]["argocd.argoproj.io/sync-wave"] = str(wave)
    return Object({"apiVersion": "v1", "kind": kind, "metadata": metadata}, f"{kind}-{name}.yaml", namespace)


def order(*tasks: Task, prune_last: bool = False) -> list[tuple[int, str]]:
    found = sync_order(tasks, prune_last=prune_last)
    assert found == sync_order(reversed(tasks), prune_last=prune_last)
    return [(wave, f"{'-' if task.prunes else '+'}{task.item.kind}/{task.item.name}") for wave, task in found]


def applied(*items: Object) -> list[str]:
    return [name for _, name in order(*map(Task, items))]


def test_phase_wave_kind_name() -> None:
    assert applied(
        item("Job", "last", hook="PostSync"),
        item("Gadget", "b"),
        item("Deployment", "b"),
        item("Deployment", "a"),
        item("Service", "late", wave=1),
        item("ConfigMap", wave=-1),
        item("NetworkPolicy"),
        item("Job", "first", hook="PreSync"),
    ) == [
        "+Job/first",
        "+ConfigMap/a",
        "+NetworkPolicy/a",
        "+Deployment/a",
        "+Deployment/b",
        "+Gadget/b",
        "+Service/late",
        "+Job/last",
    ]


def test_namespace_comes_before_what_is_in_it_whatever_its_wave() -> None:
    found = order(Task(item("Namespace", "ns", wave=5)), Task(item("ConfigMap", wave=-1, namespace="ns")))
    assert found == [(-1, "+Namespace/ns"), (-1, "+ConfigMap/a")]


def test_definition_comes_before_its_resources() -> None:
    spec = {"group": "example.com", "names": {"kind": "Gadget"}}
    manifest = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    definition = Object({**manifest, "metadata": {"name": "gadgets.example.com"}}, "crd.yaml", "")
    metadata = {"name": "a", "annotations": {"argocd.argoproj.io/sync-wave": "-2"}}
    gadget = Object({"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": metadata}, "a.yaml", "ns")
    assert [task.item.kind for _, task in sync_order([Task(gadget), Task(definition)])] == [
        "CustomResourceDefinition",
        "Gadget",
    ]


def test_waves_of_what_is_pruned_are_swapped() -> None:
    pruned = [Task(item("ConfigMap", str(wave), wave=wave), prunes=True) for wave in (0, 2, 5, 9)]
    assert order(*pruned) == [(0, "-ConfigMap/9"), (2, "-ConfigMap/5"), (5, "-ConfigMap/2"), (9, "-ConfigMap/0")]


def test_pruning_comes_first_in_its_wave() -> None:
    assert order(Task(item("Namespace")), Task(item("Service"), prunes=True)) == [
        (0, "-Service/a"),
        (0, "+Namespace/a"),
    ]


def test_prune_last() -> None:
    old, new = Task(item("ConfigMap", "old", wave=-1), prunes=True), Task(item("ConfigMap", "new", wave=3))
    hook = Task(item("Job", hook="PostSync"))
    assert order(old, new, hook, prune_last=True) == [(3, "+ConfigMap/new"), (4, "-ConfigMap/old"), (0, "+Job/a")]
    own = Task(item("ConfigMap", "old", wave=-1, **{"sync-options": "PruneLast=true"}), prunes=True)
    assert order(own, new, hook) == [(3, "+ConfigMap/new"), (4, "-ConfigMap/old"), (0, "+Job/a")]


def test_cascade_goes_by_descending_wave() -> None:
    tasks = [Task(item(kind, wave=wave)) for kind, wave in (("Namespace", 0), ("Deployment", 2), ("Service", 1))]
    found = [(wave, task.item.kind) for wave, task in cascade_order(tasks)]
    assert found == [(2, "Deployment"), (1, "Service"), (0, "Namespace")]

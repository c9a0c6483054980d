"""A cluster in which a publication hangs, as kubectl shows it; no API server runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from constructs_lib.publish.takeover import KubectlError, Takeover

Item = dict[str, Any]

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SOURCE = {"repoURL": "https://github.com/example/shop.git", "path": "argocd/laptop"}
ROOT: Item = {"metadata": {"name": "shop", "namespace": "argocd"}, "spec": {"source": SOURCE}}
#: The commits of the root, and what its components are pinned to: as it hangs, and as it was pushed to mend that.
OLD, NEW, BAD, GOOD = "old", "new", "bad", "good"


class Cluster:
    """A stand-in for kubectl: objects by kind and name, and a controller that works between two looks at them."""

    def __init__(self, *items: Item) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        for item in items:
            item["metadata"].setdefault("resourceVersion", "1")
            self.items[item["kind"], item["metadata"]["name"]] = item
        self.calls: list[tuple[str, ...]] = []
        self.controller: Callable[[], None] = self.argo_cd

    def __getitem__(self, name: str) -> Item:
        return next(item for (_, each), item in self.items.items() if each == name)

    def __call__(self, *arguments: str) -> str:
        self.calls.append(arguments)
        verb, kinds, *rest = arguments
        wanted = {kind.partition(".")[0].rstrip("s").lower() for kind in kinds.split(",")}
        found = [item for (kind, _), item in self.items.items() if kind.lower() in wanted]
        [namespace] = [each.partition("=")[2] for each in rest if each.startswith("--namespace=")]
        found = [item for item in found if item["metadata"]["namespace"] == namespace]
        if verb == "get" and rest[0].startswith("--"):
            return json.dumps({"items": found})
        named = [item for item in found if item["metadata"]["name"] == rest[0]]
        if verb == "get":
            return json.dumps(named[0]) if named else ""
        if verb == "delete":
            del self.items[named[0]["kind"], rest[0]]
            return ""
        assert verb == "patch" and "--type=merge" in rest
        [patch] = [json.loads(each.partition("=")[2]) for each in rest if each.startswith("--patch=")]
        version = patch["metadata"].pop("resourceVersion", None) if "metadata" in patch else None
        if version not in (None, named[0]["metadata"]["resourceVersion"]):
            raise KubectlError("Error from server (Conflict): the object has been modified; please apply your changes")
        merge(named[0], patch)
        named[0]["metadata"]["resourceVersion"] += "0"
        return ""

    def argo_cd(self) -> None:
        """End what is to be ended."""
        for item in self.items.values():
            operation = item.get("status", {}).get("operationState", {})
            if operation.get("phase") == "Terminating":
                operation["phase"] = "Failed"
                item.pop("operation")

    def patches(self) -> list[tuple[str, Item]]:
        """Return the names of what was patched, each with the patch."""
        return [(call[2], json.loads(call[-1].partition("=")[2])) for call in self.calls if call[0] == "patch"]

    @property
    def ended(self) -> list[str]:
        return [name for name, patch in self.patches() if "status" in patch]

    @property
    def begun(self) -> list[str]:
        return [name for name, patch in self.patches() if "operation" in patch]

    @property
    def deleted(self) -> list[str]:
        return [call[2] for call in self.calls if call[0] == "delete"]


def merge(into: Item, patch: Item) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def application(
    name: str, revision: str, *, running: bool = False, phase: str = "", settled: bool = False, **status: Any
) -> Item:
    operation: Item = {"phase": phase or ("Running" if running else "Succeeded"), "startedAt": "2026-11-28T11:00:00Z"}
    operation |= {"syncResult": {"revision": revision}, **status.pop("operation", {})}
    synced = "Synced" if settled or not (running or phase) else "OutOfSync"
    health = "Healthy" if settled else "Progressing"
    return {
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {"source": SOURCE if name == "shop" else {}, "syncPolicy": {"syncOptions": ["ServerSideApply=true"]}},
        **({"operation": {"sync": {}}} if running else {}),
        "status": {"operationState": operation, "sync": {"status": synced}, "health": {"status": health}, **status},
    }


def root(revision: str = OLD, *children: str, **more: Any) -> Item:
    resources = [{"group": "argoproj.io", "kind": "Application", "name": name} for name in children]
    return application("shop", revision, resources=resources, **more)


def child(name: str, revision: str, *kinds: str, **more: Any) -> Item:
    resources = [{"kind": kind, "namespace": name, "name": name} for kind in kinds]
    return application(name, revision, resources=resources, **more)


def workload(kind: str, name: str, *conditions: Item, **spec: Any) -> Item:
    labels = {"app": name}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": name},
        "spec": {"selector": {"matchLabels": labels}, **spec},
        "status": {"conditions": [*conditions], "updateRevision": f"{name}-{BAD}"},
    }


def ago(seconds: int) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def pod(name: str, *, ready: bool = False, age: int = 60, waits: str = "", starts: int = 0, **more: Any) -> Item:
    conditions = [*more.pop("conditions", []), {"type": "Ready", "status": "True" if ready else "False"}]
    if unready := more.pop("unready", 0):
        conditions[-1]["lastTransitionTime"] = ago(unready)
    state: Item = {"waiting": {"reason": waits, "message": "Back-off pulling image"}} if waits else {"running": {}}
    probe = {"startupProbe": {"periodSeconds": 5, "failureThreshold": starts // 5}} if starts else {}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-0",
            "namespace": name,
            "uid": "1",
            "labels": {"app": name, "controller-revision-hash": f"{name}-{BAD}"},
            "creationTimestamp": ago(age),
        },
        "spec": {"containers": [{"name": name, **probe}]},
        "status": {"conditions": conditions, "containerStatuses": [{"name": name, "state": state}], **more},
    }


def takeover(cluster: Cluster) -> tuple[Takeover, list[str]]:
    said: list[str] = []

    def pause(seconds: float) -> None:
        cluster.controller()

    return Takeover(cluster, ROOT, said.append, pause=pause, now=lambda: NOW), said


def told(*items: Item) -> list[str]:
    """Return what is told of a rollout."""
    found, said = takeover(Cluster(*items))
    found.describe(found.look())
    return said


def hanging(**more: Any) -> Iterator[Item]:
    """Yield the objects of a root that waits for a broken image of stock."""
    yield root(OLD, "stock", "front", running=True)
    yield child("stock", BAD, "Deployment", **more)
    yield child("front", BAD, "Deployment", settled=True)
    yield workload("Deployment", "stock")
    yield pod("stock", waits="ImagePullBackOff")


def kubectl_of(folder: Path, script: str) -> dict[str, str]:
    """Return variables with which kubectl is a script."""
    program = folder / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:/usr/bin:/bin"}

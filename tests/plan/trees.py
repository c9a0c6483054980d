"""Trees of manifests for tests: an app of apps, as plain as it gets."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from constructs_lib.plan.plan import Plan, plan
from constructs_lib.repository.snapshot import Snapshot

Manifest = dict[str, Any]


def application(name: str, path: str, wave: int = 0) -> Manifest:
    """Return an Application that prunes, heals, and takes with it what it deployed."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": name,
            "namespace": "argocd",
            "annotations": {"argocd.argoproj.io/sync-wave": str(wave)},
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {
            "project": "default",
            "source": {"repoURL": "https://example.com/gitops.git", "targetRevision": "HEAD", "path": path},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "ns"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }


def written(*manifests: Manifest) -> bytes:
    """Return objects as the documents of a file."""
    return yaml.safe_dump_all(manifests, sort_keys=False).encode()


def tree(applications: Mapping[str, Iterable[Manifest]], **files: bytes) -> dict[str, bytes]:
    """Return the files of Applications with these objects, each in a file of its own, and of their root.

    The root deploys something of its own as well: it would delete none of them if it had to delete everything.
    """
    found = {"apps/root.yaml": written(root()), "apps/kept.yaml": written(config("kept")), **files}
    for wave, (name, manifests) in enumerate(applications.items()):
        found[f"apps/{name}.yaml"] = written(application(name, f"parts/{name}", wave))
        for number, manifest in enumerate(manifests):
            found[f"parts/{name}/{number}.yaml"] = written(manifest)
    return found


def root() -> Manifest:
    """Return the Application that deploys the others."""
    manifest = application("root", "apps")
    manifest["spec"]["source"]["directory"] = {"exclude": "root.yaml"}
    manifest["spec"]["destination"]["namespace"] = "argocd"
    return manifest


def config(name: str, **data: str) -> Manifest:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns"}, "data": data}


def between(old: Mapping[str, bytes], new: Mapping[str, bytes], **more: Any) -> Plan:
    """Return the plan from one tree to another."""
    return plan(snapshot(old, "old"), snapshot(new, "new"), **more)


def snapshot(files: Mapping[str, bytes], name: str = "tree") -> Snapshot:
    """Return a snapshot of files."""
    return Snapshot.of_files(name, files)


def with_fields(manifest: Manifest, fields: Mapping[str, Any]) -> Manifest:
    """Return an object with some of its fields set; None removes one.

    A path has dots between its keys, and the number of an item in place of the key of a list.
    """
    result = copy.deepcopy(manifest)
    for path, value in fields.items():
        here: Any = result
        *way, last = path.split(".")
        for key in way:
            here = here[int(key)] if isinstance(here, list) else here.setdefault(key, {})
        if isinstance(here, list):
            here[int(last) : int(last) + 1] = [value]
        elif value is None:
            here.pop(last, None)
        else:
            here[last] = json.loads(json.dumps(value))
    return result

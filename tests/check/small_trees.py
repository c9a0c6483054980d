"""Small trees of other people's making, to prove one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from constructs_lib.check.bootstrap import Cluster
from constructs_lib.check.model import ClusterModel
from constructs_lib.repository.snapshot import Snapshot

Manifest = dict[str, Any]

ARGOCD = "argoproj.io/v1alpha1"
WAVE = "argocd.argoproj.io/sync-wave"


def manifest(kind: str, name: str, wave: int | None = None, api_version: str = "v1", **content: Any) -> Manifest:
    """Return an object in the namespace of the shop."""
    metadata: Manifest = {"name": name, "namespace": "shop"}
    if wave is not None:
        metadata["annotations"] = {WAVE: str(wave)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def application(name: str, path: str, wave: int = 0) -> Manifest:
    """Return an Application that deploys a folder into the namespace of the shop."""
    source = {"repoURL": "https://example.org/shop.git", "path": path, "targetRevision": "main"}
    policy = {"automated": {"prune": True}, "retry": {"limit": -1, "refresh": True}}
    spec = {"project": "default", "source": source, "destination": {"namespace": "shop"}, "syncPolicy": policy}
    found = manifest("Application", name, wave, ARGOCD, spec=spec)
    found["metadata"]["namespace"] = "argocd"
    return found


def model_of_files(files: Mapping[str, Manifest], cluster: Cluster | None = None) -> ClusterModel:
    """Return a tree of one object a file."""
    content = {path: yaml.safe_dump(found).encode() for path, found in files.items()}
    return ClusterModel(Snapshot.of_files("test", content), cluster=cluster)


def model_of(*manifests: Manifest, cluster: Cluster | None = None, charts: tuple[str, ...] = ()) -> ClusterModel:
    """Return a tree without Applications, or one in the namespaces of whose ``charts`` a chart is deployed as well."""
    files = {f"tree/{number}.yaml": found for number, found in enumerate(manifests)}
    if charts:
        files["apps/tree.yaml"] = application("tree", "tree")
    for name in charts:
        source = {"repoURL": "https://charts.example.com", "chart": name, "targetRevision": "1.0.0"}
        spec = {"sources": [source], "destination": {"namespace": name}}
        files[f"apps/{name}.yaml"] = manifest("Application", name, api_version=ARGOCD, spec=spec)
    return model_of_files(files, cluster)


def deployed(*manifests: Manifest) -> ClusterModel:
    """Return a tree with one Application that deploys all of it."""
    files = {f"shop/{number}.yaml": found for number, found in enumerate(manifests)}
    return model_of_files({"app.yaml": application("app", "shop"), **files})


def deployment(name: str, namespace: str = "shop", kind: str = "Deployment", **parts: Any) -> Manifest:
    """Return a workload of one container; ``env`` and ``ports`` are its variables and ports by name."""
    env = [{"name": key, "value": value} for key, value in parts.pop("env", {}).items()]
    ports = [{"name": key, "containerPort": value} for key, value in parts.pop("ports", {}).items()]
    container = {"name": name, "image": "x", "env": env, "ports": ports, **parts.pop("container", {})}
    pod = {"containers": [container], **parts.pop("pod", {})}
    spec = {"template": {"metadata": {"labels": {"app": name}}, "spec": pod}, **parts}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def service(name: str, namespace: str = "shop", port: int = 80, target: int | str = 80, **spec: Any) -> Manifest:
    """Return a Service with one port."""
    ports = [{"name": "main", "port": port, "targetPort": target}]
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"app": name}, "ports": ports, **spec},
    }


def policy(name: str, namespace: str = "shop", pods: str | None = None, **spec: Any) -> Manifest:
    """Return a NetworkPolicy, of the pods with a name or of all."""
    selector = {"matchLabels": {"app": pods}} if pods else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": selector, **spec},
    }

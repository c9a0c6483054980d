"""Manifests that say what those of Online Boutique say, from the facts that were noted of them (``tests/boutique``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

GOOGLE = "us-central1-docker.pkg.dev/online-boutique-ci/microservices-demo"
#: What the original runs before its load generator: a script of several lines.
WAITING = "until wget -q http://${FRONTEND_ADDR}; do\n  echo waiting\n  sleep 10\ndone\n"


def manifests() -> list[dict[str, Any]]:
    """Return the manifests, without namespaces, as the original has none."""
    file = Path(__file__).parent.parent / "boutique" / "original.yaml"
    facts = yaml.safe_load(file.read_text(encoding="utf-8"))["objects"]
    return [_object(identity.partition("/")[0], identity.partition("/")[2], said) for identity, said in facts.items()]


def _object(kind: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name}
    if kind == "ServiceAccount":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    if kind == "Service":
        ports = []
        for port, numbers in said["ports"].items():
            number, _, target = numbers.partition(" → ")
            ports.append({"name": port, "port": int(number), "targetPort": int(target)})
        spec = {"type": said["type"], "selector": {"app": said["of"]}, "ports": ports}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
    labels = {"app": name}
    volumes = {path: f"volume-{number}" for number, path in enumerate(said["program"].get("volumes", {}))}
    pod: dict[str, Any] = {
        **({"serviceAccountName": said["account"]} if "account" in said else {}),
        **({"terminationGracePeriodSeconds": said["grace_seconds"]} if "grace_seconds" in said else {}),
        "securityContext": said["security"],
        "containers": [_container(said["program"], volumes)],
    }
    if "before" in said:
        pod["initContainers"] = [_container({"name": each, **fact}, {}) for each, fact in said["before"].items()]
    if volumes:
        pod["volumes"] = [{"name": each, "emptyDir": {}} for each in volumes.values()]
    annotations = {"annotations": said["annotations"]} if "annotations" in said else {}
    template = {"metadata": {"labels": labels, **annotations}, "spec": pod}
    replicas = {"replicas": said["replicas"]} if "replicas" in said else {}
    spec = {**replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {**metadata, "labels": labels}, "spec": spec}


def _container(said: dict[str, Any], volumes: dict[str, str]) -> dict[str, Any]:
    resources = {key: said[key] for key in ("requests", "limits") if key in said}
    return {
        "name": said["name"],
        "image": said["image"].replace("…", GOOGLE),
        **({"command": [said["shell"], "-exc", WAITING]} if "shell" in said else {}),
        **({"ports": [{"containerPort": each} for each in said["ports"]]} if "ports" in said else {}),
        **({"env": [{"name": key, "value": value} for key, value in said["env"].items()]} if said.get("env") else {}),
        **({"resources": resources} if resources else {}),
        "securityContext": said["security"],
        **{f"{kind}Probe": _probe(said[kind]) for kind in ("readiness", "liveness") if kind in said},
        **({"volumeMounts": [{"name": name, "mountPath": path} for path, name in volumes.items()]} if volumes else {}),
    }


def _probe(said: dict[str, Any]) -> dict[str, Any]:
    how = next(each for each in ("grpc", "tcpSocket", "httpGet") if each in said)
    timings = {key: value for key, value in said.items() if key.endswith("Seconds")}
    asked = {"port": said[how], **({"path": said["path"]} if "path" in said else {})}
    headers = [{"name": key, "value": value} for key, value in said.items() if key == "Cookie"]
    return {**timings, how: {**asked, **({"httpHeaders": headers} if headers else {})}}

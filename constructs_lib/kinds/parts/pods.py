"""The frames of containers and pods, with what the library's own have in common, and scripts that run in them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes import pod


def container(
    name: str,
    image: str,
    *,
    command: Sequence[str] = (),
    args: Sequence[str] = (),
    ports: Sequence[Mapping[str, Any]] = (),
    config_map: str = "",
    env: Sequence[Mapping[str, Any]] = (),
    resources: pod.Resources = pod.SCRIPT_RESOURCES,
    mounts: Iterable[Mapping[str, Any]] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return a container that Pod Security ``restricted`` permits, with a read-only root.

    Args:
        name: Its name.
        image: Its image.
        command: What it runs. Default: what the image says.
        args: Its arguments. Default: what the image says.
        ports: Its ports.
        config_map: Name of a ConfigMap whose keys are environment variables.
        env: Further environment variables.
        resources: What it asks for. Default: what a short script needs.
        mounts: Its volume mounts.
        more: Probes and the like, by their names in Kubernetes.
    """
    mounts = [*mounts]
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        **({"command": [*command]} if command else {}),
        **({"args": [*args]} if args else {}),
        **({"ports": [*ports]} if ports else {}),
        **({"envFrom": [{"configMapRef": {"name": config_map}}]} if config_map else {}),
        **({"env": [*env]} if env else {}),
        "resources": resources.manifest(),
        **more,
        "securityContext": pod.container_security(),
        **({"volumeMounts": mounts} if mounts else {}),
    }


@cache
def script(kind: str, name: str) -> str:
    """Return the text of a script of a kind, by the name of its folder; ``parts`` for what several kinds run."""
    return (Path(__file__).parent.parent / kind / "scripts" / name).read_text(encoding="utf-8")


def variables(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return environment variables with plain values."""
    return [{"name": name, "value": value} for name, value in values.items()]


def pod_spec(
    workload: Workload,
    user: int,
    *,
    containers: Iterable[Mapping[str, Any]],
    before: Iterable[Mapping[str, Any]] = (),
    volumes: Iterable[Mapping[str, Any]],
    grace_seconds: int | None = None,
    spread: Sequence[Mapping[str, Any]] = (),
    restart: str = "",
) -> dict[str, Any]:
    """Return the spec of a pod that Pod Security ``restricted`` permits, without a token.

    Args:
        workload: Whose account it has.
        user: Numeric user and group as which its programs run.
        containers: Its containers.
        before: Init containers.
        volumes: Its volumes.
        grace_seconds: Seconds that its programs get to end. Default: as Kubernetes, 30.
        spread: Constraints that spread the pods over the nodes.
        restart: Its restart policy. Default: as Kubernetes, ``Always``.
    """
    before = [*before]
    return {
        "serviceAccountName": workload.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **({"hostUsers": False} if "user-namespaces" in workload.component.system.environment.cluster.provides else {}),
        **({"restartPolicy": restart} if restart else {}),
        **({"terminationGracePeriodSeconds": grace_seconds} if grace_seconds is not None else {}),
        "securityContext": pod.pod_security(user),
        **({"topologySpreadConstraints": [*spread]} if spread else {}),
        **({"initContainers": before} if before else {}),
        "containers": [*containers],
        "volumes": [*volumes],
    }

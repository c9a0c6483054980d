"""The Deployment of a microservice."""

import posixpath
from collections.abc import Mapping
from typing import Any

from constructs_lib.kinds.microservice.program import Program
from constructs_lib.kinds.parts.client import container_variables, wait_containers
from constructs_lib.kinds.parts.pods import container, pod_spec
from constructs_lib.kinds.parts.ports import container_ports
from constructs_lib.kinds.parts.telemetry import FOLDER, SCRIPTS_FOLDER, script_files
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest, digest


def deployment(service: Program, config: Mapping[str, str]) -> Manifest:
    """Return the Deployment of a service.

    Args:
        service: The service.
        config: Its ConfigMap; all other variables stand with the pods.
    """
    template: dict[str, Any] = {
        "metadata": {"labels": {**service.labels, **service.pod_labels}},
        "spec": _pods(service, config),
    }
    read: dict[str, object] = {**config}
    if service.telemetry and service.telemetry.scripts:
        read["telemetry"] = script_files(service.telemetry)
    if read:
        # Pods read ConfigMaps when they start: the checksum restarts them when one changes.
        template["metadata"]["annotations"] = {"checksum/config": digest(read)}
    return service.manifest(
        "apps/v1",
        "Deployment",
        spec={
            **({} if service.autoscaled else {"replicas": service.replicas}),
            "revisionHistoryLimit": 3,
            # What cannot progress must turn Degraded: only then does Argo CD take up the commit that fixes it.
            "progressDeadlineSeconds": service.start_seconds + 180,
            "minReadySeconds": 5,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": service.selector},
            "template": template,
        },
    )


def _pods(service: Program, config: Mapping[str, str]) -> dict[str, Any]:
    volumes = [pod.empty_volume("tmp")]
    mounts = [pod.mount("tmp", "/tmp")]
    for number, (folder, items) in enumerate(_files_by_folder(service).items()):
        volumes.append(pod.secret_volume(f"files-{number}", service.component.id, items))
        mounts.append(pod.mount(f"files-{number}", folder, read_only=True))
    if service.uses_kubernetes_api:
        # Only for this container: the init containers call no API.
        volumes.append(pod.token_volume("token"))
        mounts.append(pod.mount("token", pod.TOKEN_FOLDER, read_only=True))
    before: list[dict[str, Any]] = []
    resources = service.resources
    if service.telemetry:
        before.append(service.telemetry.init_container())
        resources = resources.plus(service.telemetry.memory)
        volumes.append(pod.empty_volume("telemetry"))
        mounts.append(pod.mount("telemetry", FOLDER, read_only=True))
        if service.telemetry.scripts:
            volumes.append(pod.config_volume("telemetry-metrics", f"{service.name}-telemetry"))
            mounts.append(pod.mount("telemetry-metrics", SCRIPTS_FOLDER, read_only=True))
    alive = service.liveness.manifest()
    starts = -(-service.start_seconds // 5)
    program = container(
        service.name,
        service.image,
        ports=container_ports(service),
        config_map=service.name if config else "",
        env=container_variables(service, service.environment.keys() - config.keys()),
        resources=resources,
        startupProbe={**alive, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": starts},
        readinessProbe={**service.readiness.manifest(), "periodSeconds": 5, "timeoutSeconds": 3},
        livenessProbe={**alive, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        lifecycle={"preStop": {"sleep": {"seconds": pod.DEREGISTRATION_SECONDS}}},
        mounts=mounts,
    )
    return pod_spec(
        service,
        service.user,
        containers=[program],
        before=[*before, *wait_containers(service, service.wait_image or service.image)],
        volumes=volumes,
        grace_seconds=pod.DEREGISTRATION_SECONDS + service.drain_seconds,
        spread=pod.spread(service.selector),
    )


def _files_by_folder(service: Program) -> dict[str, dict[str, str]]:
    folders: dict[str, dict[str, str]] = {}
    for path, reference in sorted(service.files.items()):
        folder, name = posixpath.split(path)
        folders.setdefault(folder, {})[service.component.secret_key(reference)] = name
    return folders

"""What the StatefulSets of all data stores share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from constructs_lib.declare import validation
from constructs_lib.kinds.parts.ports import service_ports
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest, digest, manifest

if TYPE_CHECKING:
    from constructs_lib.declare.workload import Workload

Store = TypeVar("Store", bound="Workload")


def check_store(workload: Workload, image: str, storage: str, resources: pod.Resources) -> None:
    """Record what is wrong with the arguments that every data store takes."""
    if problem := validation.image(image):
        workload.report(problem)
    if problem := validation.quantity(storage, "10Gi"):
        workload.report(f"storage: {problem}")
    for problem in resources.problems():
        workload.report(problem)


def read_schema(workload: Workload, files: Iterable[Path], suffix: str) -> dict[str, str]:
    """Return the text of schema files by their name; what cannot be read is reported as an error."""
    texts: dict[str, str] = {}
    for file in files:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except FileNotFoundError:
            beside = [entry.name for entry in sorted(Path(file).parent.glob(f"*{suffix}"))]
            workload.report(f'there is no schema file "{file}"; in its folder: {", ".join(beside) or "none"}.')
        except (OSError, UnicodeDecodeError) as problem:
            workload.report(f'the schema file "{file}" cannot be read as UTF-8 text: {problem}')
        else:
            if not text.strip():
                workload.report(f'the schema file "{file}" is empty.')
            texts[Path(file).name] = text.replace("\r\n", "\n")
    return texts


def services(workload: Workload) -> tuple[Manifest, Manifest]:
    """Return the Service for clients and the headless one that gives every pod a name of its own."""
    namespace = workload.component.namespace_name
    clients = manifest(
        "v1",
        "Service",
        workload.name,
        namespace,
        workload.labels,
        spec={"type": "ClusterIP", "selector": workload.selector, "ports": service_ports(workload)},
    )
    peers = manifest(
        "v1",
        "Service",
        f"{workload.name}-nodes",
        namespace,
        workload.labels,
        spec={
            "clusterIP": "None",
            # Nodes look each other up before they are ready.
            "publishNotReadyAddresses": True,
            "selector": workload.selector,
            "ports": [
                {"name": endpoint.name, "port": endpoint.port, "targetPort": endpoint.name, "protocol": "TCP"}
                for endpoint in workload.endpoints.values()
            ],
        },
    )
    return clients, peers


def stateful_set(
    workload: Workload,
    *,
    replicas: int,
    storage: str,
    template_spec: Mapping[str, Any],
    parallel: bool = False,
    checksum: object = None,
) -> Manifest:
    """Return a StatefulSet whose volumes outlive it.

    Args:
        workload: Whose pods it runs.
        replicas: How many.
        storage: Size of each pod's volume ``data``.
        template_spec: Spec of the pods.
        parallel: Whether pods start at once rather than one after the other.
        checksum: Configuration whose change must restart the pods.
    """
    cluster = workload.system.environment.cluster
    template: dict[str, Any] = {"metadata": {"labels": workload.labels}, "spec": dict(template_spec)}
    if checksum is not None:
        template["metadata"]["annotations"] = {"checksum/config": digest(checksum)}
    return manifest(
        "apps/v1",
        "StatefulSet",
        workload.name,
        workload.component.namespace_name,
        workload.labels,
        annotations={
            # The API server fills in fields of the claims; only a server-side comparison knows them.
            "argocd.argoproj.io/compare-options": "IgnoreExtraneous,ServerSideDiff=true",
        },
        spec={
            "replicas": replicas,
            "serviceName": f"{workload.name}-nodes",
            "podManagementPolicy": "Parallel" if parallel else "OrderedReady",
            "revisionHistoryLimit": 3,
            "updateStrategy": {"type": "RollingUpdate"},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "selector": {"matchLabels": workload.selector},
            "template": template,
            "volumeClaimTemplates": [
                {"metadata": {"name": "data"}, "spec": pod.volume_claim(storage, cluster.storage_class)}
            ],
        },
    )


def grouped(workloads: Sequence[Store], number: Callable[[Store], int]) -> list[tuple[int, list[Store]]]:
    """Return workloads by a number that each one has, the smallest first."""
    return [(key, [*group]) for key, group in groupby(sorted(workloads, key=number), number)]


def script_pod(
    workload: Workload,
    name: str,
    *,
    image: str,
    user: int,
    command: Sequence[str],
    variables: Mapping[str, str],
    mounts: Sequence[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the template of a pod that runs a script against a data store, under a name of its own.

    The name is its label, so that the network opens the store to it and to nobody who looks like it.
    """
    return {
        "metadata": {"labels": {**workload.labels, "app.kubernetes.io/name": name}},
        "spec": {
            "serviceAccountName": workload.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "OnFailure",
            "securityContext": pod.pod_security(user),
            "containers": [
                {
                    "name": "script",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": list(command),
                    "env": [{"name": key, "value": value} for key, value in variables.items()],
                    "resources": pod.SCRIPT_RESOURCES.manifest(),
                    "securityContext": pod.container_security(),
                    "volumeMounts": [*mounts, pod.mount("tmp", "/tmp")],
                }
            ],
            "volumes": [*volumes, pod.empty_volume("tmp")],
        },
    }


def schema_job(workload: Workload, template: Mapping[str, Any], inputs: object) -> Manifest:
    """Return a Job under a name that changes with what it does, because a Job cannot be changed.

    https://kubernetes.io/docs/concepts/workloads/controllers/job/ and argo-cd issues 7430 and 27407. It has no time to
    live: Argo CD would find it missing and run it again for ever.
    """
    return manifest(
        "batch/v1",
        "Job",
        f"{workload.name}-schema-{digest([template, inputs], 8)}",
        workload.component.namespace_name,
        {**workload.labels, "app.kubernetes.io/name": f"{workload.name}-schema"},
        # In the end it must fail: only then does Argo CD take up the commit that mends it.
        spec={"backoffLimit": 10, "activeDeadlineSeconds": 1800, "template": dict(template)},
    )

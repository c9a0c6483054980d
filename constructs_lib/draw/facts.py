"""What a workload's own Kubernetes objects say about it, in a few words.

Read from the objects and not from the arguments, so that a kind of the user's own is drawn as well as ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.text import plural

_CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet")
_TASKS = ("Job", "CronJob")


def facts(workload: Workload) -> tuple[str, ...]:
    """Return what runs a workload, what stands before it, what it stores on and what serves it, a line each."""
    objects = [manifest for _, manifest in workload.manifests()]
    return (*_chains(objects), *_services(objects), *_volumes(workload, objects), *_tasks(workload, objects))


def _of(objects: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in objects if manifest["kind"] in kinds]


def _chains(objects: Sequence[Manifest]) -> Iterator[str]:
    scales = {
        (scaler["spec"]["scaleTargetRef"]["kind"], scaler["spec"]["scaleTargetRef"]["name"]): scaler["spec"]
        for scaler in _of(objects, "HorizontalPodAutoscaler")
    }
    for controller in _of(objects, *_CONTROLLERS):
        kind = controller["kind"]
        scale = scales.get((kind, controller["metadata"]["name"]))
        counted = not scale and kind != "DaemonSet"
        chain = [f"HPA {scale.get('minReplicas', 1)}–{scale['maxReplicas']}"] if scale else []
        chain += [kind, "ReplicaSet"] if kind == "Deployment" else [kind]
        chain.append(plural(controller["spec"].get("replicas", 1), "pod") if counted else "pods")
        yield " → ".join(chain)


def _services(objects: Sequence[Manifest]) -> Iterator[str]:
    types = [
        "headless" if service["spec"].get("clusterIP") == "None" else service["spec"].get("type", "ClusterIP")
        for service in _of(objects, "Service")
    ]
    if types:
        yield f"Service {' + '.join(types)}"


def _volumes(workload: Workload, objects: Sequence[Manifest]) -> Iterator[str]:
    for controller in _of(objects, *_CONTROLLERS):
        for claim in controller["spec"].get("volumeClaimTemplates", ()):
            yield f"volume {_size(claim)} a pod"
    for claim in _of(objects, "PersistentVolumeClaim"):
        yield f"volume {_size(claim)} {claim['metadata']['name'].removeprefix(f'{workload.name}-')}"


def _size(claim: Manifest) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def _tasks(workload: Workload, objects: Sequence[Manifest]) -> Iterator[str]:
    tasks = [
        f"{task['kind']} {labels.get('app.kubernetes.io/name', task['metadata']['name']).removeprefix(workload.name)}"
        for task in _of(objects, *_TASKS)
        for labels in [task["metadata"].get("labels", {})]
    ]
    if tasks:
        yield ", ".join(tasks).replace(" -", " ")

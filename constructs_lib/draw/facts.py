"""What pictures say about a component and a workload: what it is for, and in a few words what it consists of.

Facts are read from a workload's Kubernetes objects and not from its arguments, so that a kind of the user's own is
drawn as well as ours.
"""

from collections.abc import Iterator, Sequence

from constructs_lib.declare.component import Component
from constructs_lib.declare.role import Role
from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.text import plural

_CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet")


def role_of_workload(workload: Workload) -> Role:
    """Return what a workload is for."""
    return Role.ENTRY if workload.exposed_ports else workload.role


def role_of_component(component: Component) -> Role:
    """Return what a component is for: its most visible workload decides."""
    roles = {role_of_workload(workload) for workload in component.workloads}
    visible = (Role.ENTRY, Role.SERVICE, Role.MESSAGING, Role.STORE)
    return component.role or next((role for role in visible if role in roles), Role.SERVICE)


def facts(workload: Workload) -> tuple[str, ...]:
    """Return what runs a workload, what stands before it, what it stores on and what serves it, a line each."""
    objects = [manifest for _, manifest in workload.manifests()]
    return (*_chains(objects), *_services(objects), *_volumes(workload, objects), *_tasks(workload, objects))


def _of(objects: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in objects if manifest["kind"] in kinds]


def _chains(objects: Sequence[Manifest]) -> Iterator[str]:
    specs = [scaler["spec"] for scaler in _of(objects, "HorizontalPodAutoscaler")]
    scales = {(spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]): spec for spec in specs}
    for controller in _of(objects, *_CONTROLLERS):
        kind = controller["kind"]
        scale = scales.get((kind, controller["metadata"]["name"]))
        chain = [f"HPA {scale.get('minReplicas', 1)}–{scale['maxReplicas']}"] if scale else []
        chain += [kind, "ReplicaSet"] if kind == "Deployment" else [kind]
        chain.append("pods" if scale or kind == "DaemonSet" else plural(controller["spec"].get("replicas", 1), "pod"))
        yield " → ".join(chain)


def _services(objects: Sequence[Manifest]) -> Iterator[str]:
    specs = [service["spec"] for service in _of(objects, "Service")]
    if specs:
        types = ("headless" if spec.get("clusterIP") == "None" else spec.get("type", "ClusterIP") for spec in specs)
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
    tasks = []
    for task in _of(objects, "Job", "CronJob"):
        metadata = task["metadata"]
        name = metadata.get("labels", {}).get("app.kubernetes.io/name", metadata["name"])
        tasks.append(f"{task['kind']} {name.removeprefix(workload.name)}")
    if tasks:
        yield ", ".join(tasks).replace(" -", " ")

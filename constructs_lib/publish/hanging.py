"""What hangs in a rollout, and why, as Argo CD's Applications and the objects of Kubernetes tell."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from constructs_lib.declare.workload import PLACING_SECONDS
from constructs_lib.kubernetes.manifest import Manifest, condition, inner, mapping, mappings, texts
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import start_seconds

#: Kinds of workloads that a rollout waits for, as kubectl names them.
WORKLOADS = {"Deployment": "deployments.apps", "StatefulSet": "statefulsets.apps", "Job": "jobs.batch"}
#: Reasons for which a container waits that time alone seldom mends.
_STUCK = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
#: Conditions of workloads that say that they have failed, each with its status then.
_FAILED = {"Progressing": "False", "ReplicaFailure": "True", "Failed": "True"}
#: Conditions of an Application for which nothing is deployed.
_REFUSED = ("ComparisonError", "InvalidSpecError")


@dataclass(frozen=True)
class StuckPod:
    """A pod of a StatefulSet that is not replaced before it is ready, which it never is.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
    """

    component: str
    namespace: str
    stateful_set: str
    name: str
    uid: str
    revision: str


def is_running(application: Manifest) -> bool:
    """Tell whether an operation of an Application runs, is about to, or waits for its next try."""
    return application.get("operation") is not None


def phase(application: Manifest) -> str:
    """Return the phase of an Application's last operation; empty if there was none."""
    return str(inner(application, "status", "operationState", "phase") or "")


def started(application: Manifest) -> str:
    """Return when an Application's last operation began; empty if there was none."""
    return str(inner(application, "status", "operationState", "startedAt") or "")


def deployed(application: Manifest) -> set[str]:
    """Return the revisions of its sources that an Application's last operation deploys."""
    result = mapping(inner(application, "status", "operationState", "syncResult"))
    return {str(each) for each in (result.get("revision"), *(result.get("revisions") or ())) if each}


def is_settled(application: Manifest) -> bool:
    """Tell whether everything of an Application is there, and healthy."""
    status = mapping(application.get("status"))
    healthy = inner(status, "health", "status") == "Healthy" and inner(status, "sync", "status") == "Synced"
    return healthy and not is_running(application)


def workloads_of(application: Manifest) -> set[tuple[str, str, str]]:
    """Return kind, namespace and name of the workloads that an Application deploys."""
    resources = mappings(inner(application, "status", "resources"))
    return {
        (str(each.get("kind")), str(each.get("namespace")), str(each.get("name")))
        for each in resources
        if each.get("kind") in WORKLOADS
    }


def was_given_up(application: Manifest) -> bool:
    """Tell whether an Application's last operation failed or was ended, and left something to do."""
    is_over = not is_running(application) and phase(application) in ("Failed", "Error")
    return is_over and inner(application, "status", "sync", "status") != "Synced"


def complaints(application: Manifest) -> Iterator[str]:
    """Yield what Argo CD says of an Application that it cannot deploy."""
    status = mapping(application.get("status"))
    for found in mappings(status.get("conditions")):
        if found.get("type") in _REFUSED:
            yield _short(found.get("message"))
    operation = mapping(status.get("operationState"))
    if not was_given_up(application) and not (is_running(application) and operation.get("retryCount")):
        return
    refused = [
        f"{each.get('kind')}/{each.get('name')}: {_short(each.get('message'))}"
        for each in mappings(inner(operation, "syncResult", "resources"))
        if each.get("status") == "SyncFailed" or each.get("hookPhase") in ("Failed", "Error")
    ]
    yield from refused or [_short(operation.get("message"))]


def troubles(workload: Manifest, pods: Iterable[Manifest], now: datetime) -> Iterator[tuple[str, Manifest]]:
    """Yield why a workload will not be ready, each with the object that says so: itself, or one of its pods."""
    subject = f"{workload['kind']}/{workload['metadata']['name']}"
    for found in mappings(inner(workload, "status", "conditions")):
        if _FAILED.get(str(found.get("type"))) == found.get("status"):
            yield f"{subject}: {found.get('reason')}: {_short(found.get('message'))}", workload
    selector = Selector(inner(workload, "spec", "selector"))
    for pod in pods:
        is_own = selector.matches(texts(inner(pod, "metadata", "labels")))
        if is_own and (reason := _trouble(pod, now)):
            yield f"{subject}: Pod/{pod['metadata']['name']}: {reason}", pod


def _trouble(pod: Manifest, now: datetime) -> str:
    """Return why a pod will not be ready; nothing if it is, or may be in time."""
    status, ready, placed = mapping(pod.get("status")), condition(pod, "Ready"), condition(pod, "PodScheduled")
    done = status.get("phase") in ("Succeeded", "Failed") or inner(pod, "metadata", "deletionTimestamp")
    if done or ready.get("status") == "True":
        return ""
    states = [*mappings(status.get("initContainerStatuses")), *mappings(status.get("containerStatuses"))]
    for state in states:
        waiting = mapping(inner(state, "state", "waiting"))
        if waiting.get("reason") in _STUCK:
            return f"{waiting['reason']}: {_short(waiting.get('message')) or state.get('name')}"
    since = _age(ready.get("lastTransitionTime") or inner(pod, "metadata", "creationTimestamp"), now)
    if placed.get("status") == "False" and since > timedelta(seconds=PLACING_SECONDS):
        return f"{placed.get('reason')}: {_short(placed.get('message'))}"
    starts = max(map(start_seconds, mappings(inner(pod, "spec", "containers"))), default=0)
    if since > timedelta(seconds=PLACING_SECONDS + starts):
        return f"not ready after {int(since.total_seconds()) // 60} minutes"
    return ""


def stuck_pod(component: str, workload: Manifest, pod: Manifest) -> StuckPod | None:
    """Return a pod that holds up its StatefulSet, if it does: where pods need no order, Kubernetes replaces it."""
    if workload["kind"] != "StatefulSet" or pod["kind"] != "Pod":
        return None
    if inner(workload, "spec", "podManagementPolicy") == "Parallel":
        return None
    metadata, revision = pod["metadata"], inner(pod, "metadata", "labels", "controller-revision-hash")
    name = workload["metadata"]["name"]
    return StuckPod(component, metadata["namespace"], name, metadata["name"], metadata["uid"], str(revision))


def is_superseded(pod: StuckPod, stateful_set: Manifest) -> bool:
    """Tell whether a StatefulSet has a newer revision than a pod of it."""
    return inner(stateful_set, "status", "updateRevision") not in (None, pod.revision)


def is_ready(pod: Manifest) -> bool:
    """Tell whether a pod is ready."""
    return bool(condition(pod, "Ready").get("status") == "True")


def _age(time: object, now: datetime) -> timedelta:
    return now - datetime.fromisoformat(str(time)) if time else timedelta()


def _short(message: object) -> str:
    """Return the beginning of a message, on one line."""
    text = " ".join(str(message or "").split())
    return text if len(text) <= 160 else f"{text[:160]}…"

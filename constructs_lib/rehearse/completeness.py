"""Whether a component is complete: what is missing of it, decided from its objects and pods alone.

Argo CD's health is not asked. What a chart makes is in no tree: it is known by the mark of its Application, and all
there when Argo CD says that the Application is synced.
"""

from collections.abc import Iterator, Mapping

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import Manifest, condition, inner, mapping, mappings
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.workloads import SCALERS, Scales
from constructs_lib.plan.change import named
from constructs_lib.rehearse.components import Component
from constructs_lib.rehearse.recording import (
    WORKLOADS,
    Live,
    application_of,
    as_object,
    is_ending,
    is_serving,
    is_true,
    revision,
)
from constructs_lib.text import listed, plural


def missing(component: Component, live: Live, wanted: Mapping[Identity, Object] | None = None) -> Iterator[str]:
    """Yield what a component lacks, which should consist of what is wanted. Default: its objects in the new tree."""
    items = component.new if wanted is None else wanted
    for item in items.values():
        found = live.objects.get(item.identity)
        if found is None:
            yield f"{named(item)} is not there"
        elif is_ending(found):
            yield f"{named(item)} is being deleted"
        elif drift := component.drift(item, found):
            yield f"{named(item)} has not changed yet ({listed([change.path for change in drift])})"
    for identity in component.leaves if wanted is None else ():
        if live.objects.get(identity) is not None:
            yield f"{identity[1]}/{identity[3]} is still there"
    own = component.application.item
    if own is None or own.identity not in items:
        return
    application = live.objects.get(own.identity)
    if component.is_rendered and (application is None or not is_synced(application)):
        yield "Argo CD has not synced its chart"
    scales = Scales(item for item in items.values() if item.kind in SCALERS)
    for identity, workload in live.objects.items():
        if identity[:2] in WORKLOADS and (identity in items or application_of(workload) == component.name):
            yield from _missing_pods(workload, scales.of(items.get(identity) or as_object(workload)).minimum, live)


def _missing_pods(workload: Manifest, minimum: int, live: Live) -> Iterator[str]:
    """Yield what a workload lacks."""
    item = as_object(workload)
    if item.kind == "Job":
        if not is_true(workload, "Complete") and not item.spec.get("suspend"):
            yield f"{named(item)} has not completed{_because(workload, 'Failed', 'True', live)}"
        return
    status = mapping(workload.get("status"))
    if int(status.get("observedGeneration") or 0) < int(item.metadata.get("generation") or 0):
        yield f"{named(item)}: its controller has not seen the change yet"
        return
    if item.kind == "DaemonSet":
        minimum = int(status.get("desiredNumberScheduled") or 0)
    newest = live.newest_revision(workload)
    kept = int(inner(item.spec, "updateStrategy", "rollingUpdate", "partition") or 0)
    pods = [pod for pod in live.pods(workload) if not is_ending(pod)]
    updated = [pod for pod in pods if revision(pod) == newest]
    ready = [pod for pod in updated if is_serving(pod)]
    old = max(len(pods) - len(updated) - kept, 0)
    lacks = [f"{len(ready)} of {plural(minimum, 'new pod')} ready"] if len(ready) + kept < minimum else []
    lacks += [f"{plural(old, 'old pod')} still there"] if old else []
    if lacks:
        why = _because(workload, "ReplicaFailure", "True", live) or _because(workload, "Progressing", "False", live)
        yield f"{named(item)}: {' and '.join(lacks)}{why}"


def _because(workload: Manifest, name: str, status: str, live: Live) -> str:
    """Return why pods are missing: what the first of them waits for, or else a condition of the workload."""
    for pod in live.pods(workload):
        if not is_serving(pod) and not is_ending(pod) and (why := _waits_for(pod)):
            return f"; {inner(pod, 'metadata', 'name')}: {why}"
    found = condition(workload, name)
    return f"; {found.get('message') or found.get('reason')}" if found.get("status") == status else ""


def _waits_for(pod: Manifest) -> str:
    """Return what keeps a pod from being ready, as the scheduler or the kubelet says it; empty if they say nothing."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return str(scheduled.get("message") or scheduled.get("reason"))
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in mappings(inner(pod, "status", field)):
            waiting = mapping(inner(container, "state", "waiting"))
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                return ": ".join(str(waiting[key]) for key in ("reason", "message") if waiting.get(key))
    return ""


def is_synced(application: Manifest) -> bool:
    """Tell whether Argo CD has compared the spec of an Application as it is now, and calls it synced."""
    spec, sync = mapping(application.get("spec")), mapping(inner(application, "status", "sync"))
    compared = mapping(sync.get("comparedTo"))
    sources = "sources" if spec.get("sources") else "source"
    return sync.get("status") == "Synced" and all(
        _filled(spec.get(key)) == _filled(compared.get(key)) for key in (sources, "destination")
    )


def is_healthy(application: Manifest) -> bool:
    """Tell whether Argo CD calls an Application healthy, as the waves of its root take it.

    ``bootstrap/argocd/application-health.lua``: what it says before it has seen the newest spec does not count.
    """
    operation = mapping(inner(application, "status", "operationState"))
    runs = application.get("operation") or operation.get("phase") in ("Running", "Terminating")
    return is_synced(application) and not runs and inner(application, "status", "health", "status") == "Healthy"


def verdict(application: Manifest) -> str:
    """Return what Argo CD says about an Application that is not healthy; empty if it says nothing."""
    status = mapping(application.get("status"))
    found = [str(each.get("message")) for each in mappings(status.get("conditions")) if each.get("message")]
    operation = mapping(status.get("operationState"))
    if operation.get("phase") != "Succeeded" and operation.get("message"):
        found.append(str(operation["message"]))
    if message := inner(status, "health", "message"):
        found.append(str(message))
    words = [str(inner(status, *keys)) for keys in (("sync", "status"), ("health", "status")) if inner(status, *keys)]
    return ": ".join(part for part in (" and ".join(words), "; ".join(dict.fromkeys(found))) if part)


def _filled(value: object) -> object:
    """Return a value without fields that are empty: the controller writes some of them out."""
    if isinstance(value, dict):
        filled = {key: _filled(entry) for key, entry in value.items()}
        return {key: entry for key, entry in filled.items() if entry not in (None, "", {}, [])}
    return [_filled(entry) for entry in value] if isinstance(value, list) else value

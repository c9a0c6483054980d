"""What the API server, Argo CD and the controllers complained about in a phase."""

from collections.abc import Collection, Iterator

from constructs_lib.kubernetes.manifest import Manifest, condition, inner, mapping, mappings
from constructs_lib.rehearse.findings import Finding, Subject, until
from constructs_lib.rehearse.recording import Moment, Recording, identity_of, is_ending, uid

#: Conditions of an Application that are no refusal: they are about objects that nobody deploys.
_HARMLESS = frozenset({"OrphanedResourceWarning", "ExcludedResourceWarning"})
#: What Argo CD says of an operation that a takeover ended.
_ENDED = "Operation terminated"
#: For how many seconds a pod may wait for a node: the scheduler waits for volumes that are being bound.
_BINDING = 3
#: Reasons of events that say nothing of a change: the scheduler's are told with the pods, an autoscaler asks for the
#: metrics of pods that do not run yet, and a controller that was overtaken by another tries again.
_NOISE = {
    *("FailedComputeMetricsReplicas", "FailedGetResourceMetric", "FailedScheduling"),
    *("FailedToCreateEndpoint", "FailedToUpdateEndpoint", "FailedToUpdateEndpointSlices"),
}


def refusals(recording: Recording, broken: frozenset[str], above: Collection[str]) -> Iterator[Finding]:
    """Yield what was refused in a phase, each once; what was so before the phase began is not told.

    That Argo CD says that a component is ``broken``, which it is on purpose, is no refusal, nor that the sync does not
    succeed of an Application ``above`` it.
    """
    known = {key for item in recording.before for key, *_ in _refused(item)}
    texts: set[str] = set()
    for moment in recording.moments:
        for key, component, subject, message in _refused(moment.object):
            text = f"{component}: {subject}: {message}"
            if key in known or text in texts:
                continue
            texts.add(text)
            stops = component in above and subject == "SyncError"
            if not stops and broken.isdisjoint((component, subject.rpartition("/")[2])):
                yield Finding(Subject.REFUSED, component, text, moment.at)


def _refused(application: Manifest) -> Iterator[tuple[object, str, str, str]]:
    """Yield what was refused of an Application: a key that another attempt does not have, its name, what, and why."""
    if application["kind"] != "Application":
        return
    name, status = str(inner(application, "metadata", "name")), mapping(application.get("status"))
    # What is in the way of its own deletion for a moment is no refusal; that it stays is told as such.
    for found in () if is_ending(application) else mappings(status.get("conditions")):
        kind, message = str(found.get("type")), str(found.get("message"))
        if kind not in _HARMLESS and not message.endswith(_ENDED):
            yield (name, kind, found.get("lastTransitionTime")), name, kind, message
    operation = mapping(status.get("operationState"))
    for found in mappings(inner(operation, "syncResult", "resources")):
        failed = found.get("status") == "SyncFailed" or found.get("hookPhase") in ("Failed", "Error")
        message = str(found.get("message"))
        # That something is gone which was to go is none, and of what a component tries again it tells itself.
        is_gone, is_told = message.endswith(f'"{found.get("name")}" not found'), "Retrying attempt" in message
        if failed and not (is_gone or is_told or message.endswith(_ENDED)):
            subject = "/".join(str(found[key]) for key in ("kind", "namespace", "name") if found.get(key))
            yield (name, subject, operation.get("startedAt")), name, subject, str(found.get("message") or "it failed")


def unscheduled(recording: Recording) -> Iterator[Finding]:
    """Yield the pods that found no node for longer than it takes to bind a volume."""
    since: dict[str, tuple[float, Manifest]] = {}
    before = [Moment(0.0, "ADDED", item) for item in recording.before]
    for moment in (*before, *recording.moments):
        pod, scheduled = moment.object, condition(moment.object, "PodScheduled")
        waits = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
        if pod["kind"] == "Pod" and waits and moment.verb != "DELETED":
            start, _ = since.get(uid(pod), (moment.at, pod))
            since[uid(pod)] = start, pod
        elif uid(pod) in since:
            start, pod = since.pop(uid(pod))
            if moment.at - start > _BINDING:
                yield _without_node(start, pod, moment.at)
    for start, pod in since.values():
        yield _without_node(start, pod, None)


def _without_node(start: float, pod: Manifest, end: float | None) -> Finding:
    name = "/".join(identity_of(pod)[2:])
    message = condition(pod, "PodScheduled").get("message")
    return Finding(Subject.NODE, name, f"{name} found no node from {start:.1f} s {until(end)}: {message}", start, end)


def events(recording: Recording) -> Iterator[Finding]:
    """Yield what the Events of the type Warning say, each once, with how often."""
    found: dict[str, tuple[str, float, dict[str, int]]] = {}
    for moment in recording.moments:
        event = moment.object
        if event["kind"] != "Event" or event.get("type") != "Warning" or event.get("reason") in _NOISE:
            continue
        about = mapping(event.get("involvedObject") or event.get("regarding"))
        subject = "/".join(str(about[key]) for key in ("kind", "namespace", "name") if about.get(key))
        text = f"{subject}: {event.get('reason')}: {event.get('message') or event.get('note')}"
        _, _, counts = found.setdefault(text, (subject, moment.at, {}))
        series = inner(event, "series", "count") or event.get("count") or event.get("deprecatedCount") or 1
        counts[uid(event)] = int(series)
    for text, (subject, start, counts) in found.items():
        often = sum(counts.values())
        yield Finding(Subject.EVENT, subject, text if often == 1 else f"{text} ({often} times)", start)

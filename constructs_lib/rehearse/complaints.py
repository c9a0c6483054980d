"""What the API server, Argo CD and the controllers complained about in a phase."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings
from constructs_lib.rehearse.live import condition, identity_of, owner_of, uid
from constructs_lib.rehearse.recording import Moment, Recording
from constructs_lib.text import plural

#: Conditions of an Application that are no refusal: they are about objects that nobody deploys.
_HARMLESS = frozenset({"OrphanedResourceWarning", "ExcludedResourceWarning"})
#: Reasons of events that say nothing of a change: the scheduler's are told with the pods, an autoscaler has no metrics
#: in its first minute, and a controller that was overtaken by another tries again.
_NOISE = frozenset(
    {
        "FailedComputeMetricsReplicas",
        "FailedGetResourceMetric",
        "FailedScheduling",
        "FailedToCreateEndpoint",
        "FailedToUpdateEndpoint",
        "FailedToUpdateEndpointSlices",
    }
)


@dataclass(frozen=True)
class Refusal:
    """Something that was refused.

    Attributes:
        component: The Application whose sync it was.
        subject: The object as ``Kind/namespace/name``, or the type of the Application's condition.
        message: What the API server, an admission plug-in or Argo CD said.
    """

    component: str
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.component}: {self.subject}: {self.message}"


def refusals(recording: Recording, broken: frozenset[str], above: Collection[str]) -> Iterator[Refusal]:
    """Yield what was refused in a phase, each once; what was so before the phase began is not told.

    Args:
        recording: What happened.
        broken: Names of components that are broken on purpose: that Argo CD says so is no refusal.
        above: Names of the Applications that deploy these, whose sync cannot succeed.
    """
    known = {key for item in recording.before for key, _ in _refused(item)}
    for moment in recording.moments:
        for key, refusal in _refused(moment.object):
            same = (refusal.component, refusal.subject, refusal.message)
            if key in known or same in known:
                continue
            known |= {key, same}
            stops = refusal.component in above and refusal.subject == "SyncError"
            if not stops and broken.isdisjoint((refusal.component, refusal.subject.rpartition("/")[2])):
                yield refusal


def _refused(application: Manifest) -> Iterator[tuple[object, Refusal]]:
    """Yield what was refused of an Application, each with a key that another attempt does not have."""
    if application["kind"] != "Application":
        return
    name, status = str(inner(application, "metadata", "name")), mapping(application.get("status"))
    for found in mappings(status.get("conditions")):
        kind, message = str(found.get("type")), str(found.get("message"))
        if kind not in _HARMLESS:
            yield (name, kind, found.get("lastTransitionTime")), Refusal(name, kind, message)
    operation = mapping(status.get("operationState"))
    for found in mappings(inner(operation, "syncResult", "resources")):
        failed = found.get("status") == "SyncFailed" or found.get("hookPhase") in ("Failed", "Error")
        if failed:
            subject = "/".join(str(found[key]) for key in ("kind", "namespace", "name") if found.get(key))
            message = str(found.get("message") or "it failed")
            yield (name, subject, operation.get("startedAt")), Refusal(name, subject, message)


@dataclass(frozen=True)
class Unscheduled:
    """Pods for which there was no node.

    Attributes:
        pods: Their names, with the namespace.
        message: What the scheduler said of the last of them.
        at: When the first of them was refused, in seconds since the phase began.
        until: When the last of them had a node or was gone; None if there was none at the end.
    """

    pods: tuple[str, ...]
    message: str
    at: float
    until: float | None

    def __str__(self) -> str:
        who = f"{plural(len(self.pods), 'pod')} ({', '.join(self.pods)})"
        end = "the end" if self.until is None else f"{self.until:.1f} s"
        return f"{who} found no node from {self.at:.1f} s until {end}: {self.message}"


def unscheduled(recording: Recording) -> Iterator[Unscheduled]:
    """Yield the pods that found no node, those of the same owner together."""
    first: dict[str, tuple[float, Manifest]] = {}
    until: dict[str, float] = {}
    before = [Moment(0.0, "ADDED", item) for item in recording.before]
    for moment in (*before, *recording.moments):
        pod, scheduled = moment.object, condition(moment.object, "PodScheduled")
        waits = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
        if pod["kind"] == "Pod" and waits and moment.verb != "DELETED":
            first.setdefault(uid(pod), (moment.at, pod))
        elif uid(pod) in first:
            until.setdefault(uid(pod), moment.at)
    groups: dict[str, list[str]] = defaultdict(list)
    for key, (_, pod) in first.items():
        groups[owner_of(pod) or key].append(key)
    for keys in groups.values():
        names = tuple("/".join(identity_of(first[key][1])[2:]) for key in keys)
        ends = [until.get(key) for key in keys]
        last = None if None in ends else max(end for end in ends if end is not None)
        message = str(condition(first[keys[-1]][1], "PodScheduled").get("message"))
        yield Unscheduled(names, message, min(first[key][0] for key in keys), last)


def events(recording: Recording) -> list[str]:
    """Return what the Events of the type Warning say, each once, with how often."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for moment in recording.moments:
        event = moment.object
        if event["kind"] != "Event" or event.get("type") != "Warning" or event.get("reason") in _NOISE:
            continue
        about = mapping(event.get("involvedObject") or event.get("regarding"))
        subject = "/".join(str(about[key]) for key in ("kind", "namespace", "name") if about.get(key))
        text = f"{subject}: {event.get('reason')}: {event.get('message') or event.get('note')}"
        series = inner(event, "series", "count") or event.get("count") or event.get("deprecatedCount") or 1
        counts[text][uid(event)] = int(series)
    return [
        text if sum(found.values()) == 1 else f"{text} ({sum(found.values())} times)" for text, found in counts.items()
    ]

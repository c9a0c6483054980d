"""Whether running pods could make their calls at every moment: policies let them through, and somebody answers.

What a pod calls is read from its own template and from the ConfigMaps that were there when it started, as ``check``
reads them from a tree. It counts as a caller once it was ready, and until it is gone: while it ends, it still works.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from constructs_lib.check.areas import INTERNET
from constructs_lib.check.calls import Calls
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.network import Network, Outside, Pod, Policy, Port, pod_of
from constructs_lib.check.reachability.explanation import reasons
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.containers import is_headless, service_ports
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.plan.change import Change, Effect
from constructs_lib.plan.plan import Plan
from constructs_lib.rehearse.live import (
    Live,
    as_object,
    identity_of,
    is_serving,
    is_true,
    owner_of,
    revision,
    uid,
)
from constructs_lib.rehearse.recording import Recording
from constructs_lib.repository.snapshot import Snapshot

#: Kinds whose changes can close a call or open it.
_RELEVANT = frozenset({"Pod", "NetworkPolicy", "Service", "Namespace"})


@dataclass(frozen=True)
class ClosedCall:
    """A call that running pods could not make for a time.

    Attributes:
        caller: The workload that calls, with its namespace.
        old: Whether its pods are some that ran when the phase began.
        callee: The address as the caller is given it.
        start: From when on, in seconds since the phase began.
        end: Until when; None if it was so at the end, or until the callers were gone.
        reason: Why: policies closed it, or there was no server.
        is_announced: Whether it follows from what the plan announced: the restart of a server with one pod.
    """

    caller: str
    old: bool
    callee: str
    start: float
    end: float | None
    reason: str
    is_announced: bool = False

    def __str__(self) -> str:
        end = "until the end" if self.end is None else f"until {self.end:.1f} s"
        pods = f"{'old' if self.old else 'new'} pods of {self.caller}"
        text = f"{pods} could not call {self.callee} from {self.start:.1f} s {end}: {self.reason}"
        return f"{text}, as the announced restart of its only pod means." if self.is_announced else f"{text}."


@dataclass(frozen=True)
class _Declared:
    """A call that pods declare: of a Service, or of a host outside of the cluster if there is no Service."""

    service: Identity | None
    port: int | None
    address: str


@dataclass(eq=False)
class _Revision:
    """Pods that are alike.

    Attributes:
        workload: What made them in the end: a Deployment rather than its ReplicaSet.
        pod: The pods as policies see them.
        calls: What they call.
        is_old: Whether some of them were there when the phase began.
        ready: Ids of those that a Service sends requests to.
        calling: Ids of those that were ready once and are not gone.
    """

    workload: Identity
    pod: Pod
    calls: Sequence[_Declared]
    is_old: bool
    ready: set[str] = field(default_factory=set)
    calling: set[str] = field(default_factory=set)


#: A call that is closed: who calls, what, and why.
_Closed = tuple[_Revision, _Declared, str, bool]


def closed_calls(recording: Recording, plan: Plan) -> list[ClosedCall]:
    """Return the calls that running pods could not make, in the order of time.

    A server that was never up since the phase began is waited for, and is not gone.
    """
    watch = _Watch(recording, plan)
    since: dict[_Closed, float] = {}
    found: list[ClosedCall] = []
    for at, live, moments in recording.replay():
        if not watch.take(live, [(moment.verb, moment.object) for moment in moments], is_start=not moments):
            continue
        closed = dict.fromkeys(watch.closed())
        found += [_interval(key, since.pop(key), at) for key in list(since) if key not in closed]
        for key in closed:
            since.setdefault(key, at)
    found += [_interval(key, start, None) for key, start in since.items()]
    return sorted(found, key=lambda call: (call.start, call.caller))


def _interval(closed: _Closed, start: float, end: float | None) -> ClosedCall:
    caller, call, reason, is_announced = closed
    return ClosedCall(str(caller.pod), caller.is_old, call.address, start, end, reason, is_announced)


class _Watch:
    """The pods, Services and policies of a moment."""

    def __init__(self, recording: Recording, plan: Plan) -> None:
        self._cache = Cache()
        self._services = _all_services(recording)
        self._restarting = {change.identity for change in plan.changes if _interrupts(change)}
        self._revisions: dict[tuple[str, str], _Revision] = {}
        self._policies: dict[str, Policy] = {}
        self._been_up: dict[Identity, set[Identity]] = {}
        self._live = Live()
        self._network = Network((), {}, ())
        self._answers: dict[tuple[_Revision, _Declared, frozenset[_Revision]], str] = {}
        self._last: object = None

    def take(self, live: Live, moments: Sequence[tuple[str, Manifest]], *, is_start: bool) -> bool:
        """Take in what changed, and tell whether a call may have been closed or opened by it."""
        self._live = live
        changes = [("ADDED", item) for item in live.objects.values()] if is_start else moments
        kinds = {item["kind"] for _, item in changes} & _RELEVANT
        for verb, item in changes:
            if item["kind"] == "Pod":
                self._take_pod(item, gone=verb == "DELETED", is_old=is_start)
        if is_start or kinds - {"Pod"}:
            # Policies are few, and change seldom.
            self._answers.clear()
            self._last = None
        if is_start or kinds & {"NetworkPolicy", "Namespace"}:
            policies = [self._policy(item) for item in live.of_kind("NetworkPolicy")]
            namespaces = {as_object(item).name: as_object(item).labels for item in live.of_kind("Namespace")}
            named = {name: {**labels, platform.NAME_LABEL: name} for name, labels in namespaces.items()}
            self._network = Network(policies, named, ())
        state = [(key, bool(each.ready), bool(each.calling)) for key, each in self._revisions.items()]
        changed, self._last = state != self._last, state
        return changed

    def _policy(self, item: Manifest) -> Policy:
        key = f"{uid(item)} {inner(item, 'metadata', 'resourceVersion')}"
        if key not in self._policies:
            self._policies[key] = Policy(as_object(item))
        return self._policies[key]

    def _take_pod(self, item: Manifest, *, gone: bool, is_old: bool) -> None:
        key = owner_of(item) or uid(item), revision(item)
        if key not in self._revisions:
            self._revisions[key] = self._revision(item, is_old)
        found, id = self._revisions[key], uid(item)
        for ids, belongs in (
            (found.ready, not gone and is_serving(item)),
            (found.calling, not gone and _runs(item) and (id in found.calling or is_true(item, "Ready"))),
        ):
            ids.add(id) if belongs else ids.discard(id)

    def _revision(self, item: Manifest, is_old: bool) -> _Revision:
        workload = self._workload(item)
        placed = pod_of(pods) if (pods := pods_of(as_object(item))) else None
        assert placed is not None
        pod = Pod(placed.namespace, workload[3], placed.labels, placed.ports, placed.host_network)
        return _Revision(workload, pod, list(dict.fromkeys(self._declared(item))), is_old)

    def _workload(self, item: Manifest) -> Identity:
        """Return what made a pod in the end: a Deployment rather than its ReplicaSet."""
        owners = {uid(each): each for each in self._live.objects.values()}
        while owner := owners.get(owner_of(item)):
            item = owner
        return identity_of(item)

    def _declared(self, item: Manifest) -> Iterator[_Declared]:
        namespace = str(inner(item, "metadata", "namespace"))
        maps = [each for each in self._live.of_kind("ConfigMap") if inner(each, "metadata", "namespace") == namespace]
        pod = {key: value for key, value in item.items() if key != "status"}
        files = {f"{number}.json": json.dumps(each).encode() for number, each in enumerate([pod, *maps])}
        model = ClusterModel(Snapshot.of_files("a pod", {**files, **self._services}), cache=self._cache)
        calls = model.once(Calls)
        for call in calls.inside:
            if call.container is None or call.container.runs:
                yield _Declared(call.service.identity, call.port, call.address)
        for outside in calls.outside:
            yield _Declared(None, outside.port, f"{outside.host}:{outside.port}")

    def closed(self) -> Iterator[_Closed]:
        """Yield the calls of running pods that are closed now."""
        ready = [each for each in self._revisions.values() if each.ready]
        behind: dict[Identity, list[_Revision]] = {}
        for service in self._live.of_kind("Service"):
            selector = Selector.of_labels(inner(service, "spec", "selector"))
            identity = identity_of(service)
            behind[identity] = [
                each for each in ready if each.pod.namespace == identity[2] and selector.matches(each.pod.labels)
            ]
            if behind[identity]:
                self._been_up[identity] = {each.workload for each in behind[identity]}
        for caller in self._revisions.values():
            for call in caller.calls if caller.calling else ():
                if reason := self._reason(caller, call, behind.get(call.service, []) if call.service else []):
                    up = self._been_up.get(call.service, set()) if call.service else set()
                    gone = reason.startswith("no pod")
                    yield caller, call, reason, gone and up <= self._restarting

    def _reason(self, caller: _Revision, call: _Declared, behind: Sequence[_Revision]) -> str:
        """Return why a call is closed; empty if it is open."""
        if call.service is not None and (
            call.service not in self._been_up or caller.workload in self._been_up[call.service]
        ):
            # What was never up is waited for, and peers know that they come one by one.
            return ""
        key = caller, call, frozenset(behind)
        if key not in self._answers:
            self._answers[key] = self._closing(caller, call, behind)
        return self._answers[key]

    def _closing(self, caller: _Revision, call: _Declared, behind: Sequence[_Revision]) -> str:
        if call.service is None:
            outside = Outside(call.address, INTERNET)
            side = self._network.side("Egress", caller.pod, outside, ("TCP", call.port or 443))
            return "" if side.allows else reasons([side])
        service = self._live.get(call.service)
        if service is None:
            return f"the Service {call.service[3]} is gone"
        if not behind:
            return f"no pod behind the Service {call.service[3]} is ready"
        found = as_object(service)
        offered = [port for port in service_ports(found) if call.port in (None, port.number)]
        if not offered and not is_headless(found):
            return f"the Service {call.service[3]} no longer has the port {call.port}"
        for target in behind:
            ports: list[Port] = [("TCP", call.port)] if call.port and not offered else []
            for port in offered:
                number = port.number if is_headless(found) else port.target
                named = target.pod.port(number, port.protocol) if isinstance(number, str) else number
                ports += [(port.protocol, named)] if named else []
            connections = [self._network.connection(caller.pod, target.pod, port) for port in ports]
            if connections and not any(connection.allowed for connection in connections):
                return reasons(connections[0].closed)
        return ""


def _interrupts(change: Change) -> bool:
    """Tell whether the plan announced that the only pod of a server ends before another one is there."""
    if change.action != "change" or change.effect < Effect.RESTART:
        return False
    recreates = inner(change.new, "spec", "strategy", "type") == "Recreate"
    is_single = change.kind == "StatefulSet" and sum(pods.least for pods in change.pods) <= 1
    return recreates or is_single or change.replaced


def _runs(pod: Manifest) -> bool:
    return inner(pod, "status", "phase") not in ("Succeeded", "Failed")


def _all_services(recording: Recording) -> Mapping[str, bytes]:
    """Return every Service that was ever there, with all ports that it ever had, as files.

    A pod may be given the address of a Service before it is there, and keep it when it is gone.
    """
    found: dict[Identity, dict[str, Any]] = {}
    for item in (*recording.before, *(moment.object for moment in recording.moments)):
        if item["kind"] == "Service" and item["apiVersion"] == "v1":
            known, spec = found.get(identity_of(item), {}), mapping(item.get("spec"))
            every = [*mappings(inner(known, "spec", "ports")), *mappings(spec.get("ports"))]
            ports = list({port.get("port"): port for port in every}.values())
            found[identity_of(item)] = {**item, "spec": {**spec, "ports": ports}, "status": {}}
    return {f"services/{number}.json": json.dumps(item).encode() for number, item in enumerate(found.values())}

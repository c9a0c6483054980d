"""Whether running pods could make their calls at every moment: policies let them through, and somebody answers.

What a pod calls is read from its own template and from the ConfigMaps that were there when it started, as ``check``
reads them from a tree. It counts as a caller once it was ready, and until it is gone: while it ends, it gets no new
work, but still has some under way.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from constructs_lib.argocd.objects import Object
from constructs_lib.check.areas import INTERNET
from constructs_lib.check.calls import Calls
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.network import Network, Outside, Pod, Policy, Port, pod_of
from constructs_lib.check.reachability.explanation import reasons
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.selectors import LabelIndex, Selector
from constructs_lib.kubernetes.workloads import is_headless, pods_of, service_ports
from constructs_lib.plan.change import Change, Effect
from constructs_lib.plan.plan import Plan
from constructs_lib.rehearse.findings import Finding, Subject, until
from constructs_lib.rehearse.recording import (
    ENDED,
    Live,
    Moment,
    Recording,
    as_object,
    identity_of,
    is_ending,
    is_serving,
    is_true,
    owner_of,
    revision,
    uid,
)
from constructs_lib.repository.snapshot import Snapshot


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
        ending: Ids of those that are being deleted.
    """

    workload: Identity
    pod: Pod
    calls: Sequence[_Declared]
    is_old: bool
    ready: set[str] = field(default_factory=set)
    calling: set[str] = field(default_factory=set)
    ending: set[str] = field(default_factory=set)

    @property
    def namespace(self) -> str:
        """Their namespace."""
        return self.pod.namespace

    @property
    def labels(self) -> Mapping[str, str]:
        """Their labels."""
        return self.pod.labels


#: A call that is closed: who calls, what, why, and what kind of finding that is.
_Closed = tuple[_Revision, _Declared, str, Subject]


def closed_calls(recording: Recording, plan: Plan, late: Iterable[Object] = ()) -> list[Finding]:
    """Return the calls that running pods could not make, in the order of time.

    A server that was never up since the phase began is waited for, and is not gone. That the only pod of a server
    restarts, as the plan announced, is an interruption that was accepted; so it is where an earlier plan announced it,
    and its component is ``late``.
    """
    watch = _Watch(recording, plan, late)
    since: dict[_Closed, float] = {}
    found: list[Finding] = []
    for at, live, moments in recording.replay():
        start = [Moment(at, "ADDED", item) for item in live.objects.values()]
        if watch.take(live, moments or start, is_start=not moments):
            closed = dict.fromkeys(watch.closed())
            found += [_finding(key, start, at) for key, start in since.items() if key not in closed]
            since = {key: since.get(key, at) for key in closed}
    found += [_finding(key, start, None) for key, start in since.items()]
    return sorted(found, key=lambda finding: (finding.start, finding.of))


def _finding(closed: _Closed, start: float, end: float | None) -> Finding:
    caller, call, reason, subject = closed
    state = "ending" if subject is Subject.ENDING else "old" if caller.is_old else "new"
    pods = f"{state} pods of {caller.pod}"
    text = f"{pods} could not call {call.address} from {start:.1f} s {until(end)}: {reason}."
    return Finding(subject, f"{caller.pod} → {call.address}", text, start, end)


class _Watch:
    """The pods, Services and policies of a moment."""

    def __init__(self, recording: Recording, plan: Plan, late: Iterable[Object]) -> None:
        self._cache = Cache()
        self._services = _all_services(recording)
        self._restarting = {change.identity for change in plan.changes if _interrupts(change)}
        self._restarting |= {item.identity for item in late if _is_single(item)}
        self._revisions: dict[tuple[str, str], _Revision] = {}
        #: What was behind each Service when it last had a pod, and which calls to the outside were open once.
        self._been_up: dict[Identity, set[Identity]] = {}
        self._been_open: set[tuple[_Revision, _Declared]] = set()
        self._live = Live()
        self._network = Network((), {}, ())
        self._answers: dict[tuple[_Revision, _Declared, frozenset[_Revision]], str] = {}
        self._last: object = None

    def take(self, live: Live, moments: Sequence[Moment], *, is_start: bool) -> bool:
        """Take in what changed, and tell whether a call may have been closed or opened by it."""
        self._live = live
        for moment in moments:
            if moment.object["kind"] == "Pod":
                self._take_pod(moment.object, gone=moment.verb == "DELETED", is_old=is_start)
        if is_start or any(moment.object["kind"] in ("NetworkPolicy", "Service", "Namespace") for moment in moments):
            policies = [Policy.read(as_object(item)) for item in live.of_kind("NetworkPolicy")]
            namespaces = {item.name: item.labels for item in map(as_object, live.of_kind("Namespace"))}
            named = {name: {**labels, platform.NAME_LABEL: name} for name, labels in namespaces.items()}
            self._network = Network(policies, named, ())
            self._answers.clear()
            self._last = None
        state = [
            (key, bool(each.ready), bool(each.calling), each.calling <= each.ending)
            for key, each in self._revisions.items()
        ]
        changed, self._last = state != self._last, state
        return changed

    def _take_pod(self, item: Manifest, *, gone: bool, is_old: bool) -> None:
        key = owner_of(item) or uid(item), revision(item)
        if key not in self._revisions:
            self._revisions[key] = self._revision(item, is_old)
        found, id = self._revisions[key], uid(item)
        runs = not gone and inner(item, "status", "phase") not in ENDED
        for ids, belongs in (
            (found.ready, runs and is_serving(item)),
            (found.calling, runs and (id in found.calling or is_true(item, "Ready"))),
            (found.ending, runs and is_ending(item)),
        ):
            ids.add(id) if belongs else ids.discard(id)

    def _revision(self, item: Manifest, is_old: bool) -> _Revision:
        owners, made = {uid(each): each for each in self._live.objects.values()}, item
        while owner := owners.get(owner_of(made)):
            made = owner
        pods = pods_of(as_object(item))
        assert pods is not None
        calls = list(dict.fromkeys(self._declared(item)))
        return _Revision(identity_of(made), replace(pod_of(pods), name=as_object(made).name), calls, is_old)

    def _declared(self, item: Manifest) -> Iterator[_Declared]:
        """Yield what a pod calls while it runs, from its template and the ConfigMaps of now."""
        namespace = as_object(item).namespace
        maps = [each for each in self._live.of_kind("ConfigMap") if as_object(each).namespace == namespace]
        objects = [{**item, "status": {}}, *maps, *self._services]
        files = {f"{number}.json": json.dumps(each).encode() for number, each in enumerate(objects)}
        calls = ClusterModel(Snapshot.of_files("a pod", files), cache=self._cache).once(Calls)
        for call in calls.inside:
            if call.container is None or call.container.runs:
                yield _Declared(call.service.identity, call.port, call.address)
        for outside in calls.outside:
            yield _Declared(None, outside.port, f"{outside.host}:{outside.port}")

    def closed(self) -> Iterator[_Closed]:
        """Yield the calls of running pods that are closed now."""
        ready = LabelIndex(each for each in self._revisions.values() if each.ready)
        behind: dict[Identity | None, list[_Revision]] = {}
        for service in map(as_object, self._live.of_kind("Service")):
            found = ready.select(service.namespace, Selector.of_labels(service.spec.get("selector")))
            behind[service.identity] = found
            if found:
                self._been_up[service.identity] = {each.workload for each in found}
        for caller in self._revisions.values():
            for call in caller.calls if caller.calling else ():
                up = self._been_up.get(call.service) if call.service else None
                # What was never up is waited for, and peers know that they come one by one.
                if call.service and (up is None or caller.workload in up):
                    continue
                key = caller, call, frozenset(behind.get(call.service, ()))
                if key not in self._answers:
                    self._answers[key] = self._closing(*key) if call.service else self._closing_outside(caller, call)
                if reason := self._answers[key]:
                    is_down = behind.get(call.service) == []
                    is_announced = is_down and up is not None and up <= self._restarting
                    is_over = caller.calling <= caller.ending
                    subject = Subject.ENDING if is_over else Subject.INTERRUPTED if is_announced else Subject.CLOSED
                    yield caller, call, reason, subject

    def _closing_outside(self, caller: _Revision, call: _Declared) -> str:
        """Return what closes a call to the outside that was open once; empty if nothing does."""
        outside = Outside(call.address, INTERNET)
        side = self._network.side("Egress", caller.pod, outside, ("TCP", call.port or 443))
        if side.allows:
            self._been_open.add((caller, call))
        return reasons([side]) if (caller, call) in self._been_open and not side.allows else ""

    def _closing(self, caller: _Revision, call: _Declared, behind: frozenset[_Revision]) -> str:
        """Return what closes a call of a Service; empty if nothing does."""
        assert call.service is not None
        name, service = call.service[3], self._live.objects.get(call.service)
        if service is None:
            return f"the Service {name} is gone"
        if not behind:
            return f"no pod behind the Service {name} is ready"
        headless = is_headless(as_object(service))
        offered = [port for port in service_ports(as_object(service)) if call.port in (None, port.number)]
        if not offered and not headless:
            return f"the Service {name} no longer has the port {call.port}"
        for target in behind:
            ports: list[Port] = [("TCP", call.port)] if call.port and not offered else []
            for port in offered:
                number = port.number if headless else port.target
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


def _is_single(item: Object) -> bool:
    """Tell whether the only pod of a workload ends before another one is there."""
    is_single = item.kind == "StatefulSet" and bool(item.spec.get("replicas", 1) == 1)
    return is_single or inner(item.spec, "strategy", "type") == "Recreate"


def _all_services(recording: Recording) -> Sequence[Manifest]:
    """Return every Service that was ever there, with all ports that it ever had.

    A pod may be given the address of a Service before it is there, and keep it when it is gone.
    """
    found: dict[Identity, Manifest] = {}
    for item in (*recording.before, *(moment.object for moment in recording.moments)):
        if item["kind"] == "Service" and item["apiVersion"] == "v1":
            spec, known = mapping(item.get("spec")), inner(found.get(identity_of(item)), "spec", "ports")
            ports = {port.get("port"): port for port in (*mappings(known), *mappings(spec.get("ports")))}
            found[identity_of(item)] = {**item, "spec": {**spec, "ports": [*ports.values()]}, "status": {}}
    return [*found.values()]

"""Proof that Argo CD applies everything after what it needs, and that nothing waits for what never comes.

The order is simulated as Argo CD has it: https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.check.addresses import Directory, texts_read_by
from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import PLATFORM_NAMESPACES, ClusterModel, Pods
from constructs_lib.check.order import gates
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.check.references.configuration import claim_names, references, service_account
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.check.selectors import PodIndex
from constructs_lib.check.storage import claims
from constructs_lib.kubernetes.manifest import mapping, sequence
from constructs_lib.repository.applications import Application

_WAVES = "https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/"
_OPTIONS = "https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/"


#: API groups, and the charts that are known to bring their CustomResourceDefinitions.
_CHARTS = {
    "cert-manager.io": ("cert-manager",),
    "external-secrets.io": ("external-secrets",),
    "generators.external-secrets.io": ("external-secrets",),
    "monitoring.coreos.com": ("kube-prometheus-stack", "prometheus-operator-crds"),
}


@dataclass(frozen=True, eq=False)
class _Call:
    """A connection of pods to a Service.

    Attributes:
        caller: What makes the pods.
        service: The Service.
        at: Where its address stands.
        waits: Whether the pods cannot start, or end, before the Service answers.
    """

    caller: Object
    service: Object
    at: str
    waits: bool


def _prove(model: ClusterModel) -> Iterator[Finding]:
    if not any(model.applications):
        # Without Argo CD, nobody knows in which order objects are applied.
        return
    yield from _Order(model).prove()
    yield from gates.prove_gates(model)


class _Order:
    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._timeline = model.once(Timeline)
        self._pods = model.once(PodIndex)
        self._secrets = SecretSources(model)
        self._bindings: dict[tuple[str, str], list[Object]] = defaultdict(list)
        for binding in model.kind("RoleBinding"):
            for entry in map(mapping, sequence(binding.manifest.get("subjects"))):
                if entry.get("kind") == "ServiceAccount":
                    self._bindings[str(entry.get("namespace")), str(entry.get("name"))].append(binding)

    def prove(self) -> Iterator[Finding]:
        calls = list(self._calls())
        for call in calls:
            if call.waits:
                yield from self._wait(call)
        yield from self._circles(calls)
        yield from self._schemas(calls)
        for pods in self._model.pods:
            yield from self._needs(pods)
        yield from self._stores()
        yield from self._custom_resources()
        yield from self._namespaces()

    def _calls(self) -> Iterator[_Call]:
        directory = self._model.once(Directory)
        for pods in self._model.pods:
            seen: set[tuple[str, str, bool]] = set()
            for path, container in pods.containers:
                first = ".initContainers[" in path and container.get("restartPolicy") != "Always"
                waits = (first or pods.owner.kind == "Job") and pods.owner.kind != "CronJob"
                for written in texts_read_by(self._model, pods, path, container):
                    for address in directory.in_text(written.text, pods.namespace):
                        service = directory.service(address)
                        if service is not None and (key := (service.namespace, service.name, waits)) not in seen:
                            seen.add(key)
                            at = written.at if written.item is pods.owner else path
                            yield _Call(pods.owner, service, at, waits)

    def _providers(self, service: Object) -> list[Object]:
        """Return the workloads behind a Service."""
        pods = self._pods.of_service(service.spec, service.namespace)
        return [selected.owner for selected in pods if selected.owner.kind not in ("Job", "CronJob")]

    def _wait(self, call: _Call) -> Iterator[Finding]:
        providers = [item for item in self._providers(call.service) if item is not call.caller]
        if not providers:
            return
        target = f"the {providers[0].kind} {providers[0].name} behind the Service {call.service.name}"
        if all(item.spec.get("replicas") == 0 for item in providers):
            yield Finding.of(
                "dependency-without-replicas", call.caller, f"It waits for {target}, which has none.", at=call.at
            )
        when = max(self._timeline.compare(item, call.caller) for item in [*providers, call.service])
        ordered = all(self._timeline.compare(item, call.caller) < 0 for item in providers)
        if when > 0:
            where = self._where(providers[0], call.caller)
            yield Finding.of(
                "dependency-in-later-wave", call.caller, f"It waits for {target}, which comes {where}.", at=call.at
            )
        elif not ordered:
            yield Finding.of(
                "dependency-not-ordered",
                call.caller,
                f"It waits for {target}, which does not come in an earlier wave.",
                at=call.at,
            )

    def _where(self, later: Object, earlier: Object) -> str:
        """Return where an object comes, as seen from one that comes before it."""
        application, own = self._timeline.application(later), self._timeline.application(earlier)
        if application is own:
            return f"later, in wave {later.wave}, and not before wave {earlier.wave}"
        return (
            f"later, with the Application {application.name} in wave {application.wave}, and not before wave {own.wave}"
        )

    def _circles(self, calls: Sequence[_Call]) -> Iterator[Finding]:
        """Yield one finding for every circle of waits before the start."""
        edges: dict[int, dict[int, _Call]] = defaultdict(dict)
        items: dict[int, Object] = {}
        for call in calls:
            if call.waits:
                items[id(call.caller)] = call.caller
                for provider in self._providers(call.service):
                    items[id(provider)] = provider
                    edges[id(call.caller)].setdefault(id(provider), call)
        for circle in _circles({node: list(targets) for node, targets in edges.items()}):
            names = [items[node].name for node in circle]
            call = edges[circle[0]][circle[1 % len(circle)]]
            yield Finding.of(
                "waits-in-circle",
                call.caller,
                f"It waits, in the end, for itself: {' → '.join([*names, names[0]])}.",
                at=call.at,
            )

    def _schemas(self, calls: Sequence[_Call]) -> Iterator[Finding]:
        by_service: dict[int, list[_Call]] = defaultdict(list)
        for call in calls:
            by_service[id(call.service)].append(call)
        for group in by_service.values():
            stores = [item for item in self._providers(group[0].service) if any(claims(item))]
            if not stores:
                continue
            home = self._timeline.application(stores[0])
            near = [call.caller for call in group if self._timeline.application(call.caller) is home]
            jobs = dict.fromkeys(item for item in near if item.kind == "Job" and "PostSync" not in item.phases)
            programs = dict.fromkeys(item for item in near if item.kind in _PROGRAMS and item not in stores)
            for job in jobs:
                for program in programs:
                    if self._timeline.compare(job, program) >= 0:
                        yield Finding.of(
                            "schema-not-before-workload",
                            program,
                            f"It uses the {stores[0].kind} {stores[0].name} and comes in wave {program.wave}, not "
                            f"after the Job {job.name} in wave {job.wave} that prepares it.",
                            at="metadata.annotations",
                        )

    def _needs(self, pods: Pods) -> Iterator[Finding]:
        owner = pods.owner
        for kind, name, at, _, optional in references(pods):
            if not optional:
                makers = self._makers(kind, pods.namespace, name)
                yield from self._after(owner, makers, f"the {kind} {name}", at)
        for name, at in claim_names(pods):
            yield from self._after(
                owner,
                self._makers("PersistentVolumeClaim", pods.namespace, name),
                f"the PersistentVolumeClaim {name}",
                at,
            )
        account = service_account(pods)
        at = f"{pods.path}.serviceAccountName"
        yield from self._after(
            owner, self._makers("ServiceAccount", pods.namespace, account), f"the ServiceAccount {account}", at
        )
        for binding in self._bindings.get((pods.namespace, account), ()):
            yield from self._after(owner, [binding], f"the RoleBinding {binding.name} of its ServiceAccount", at)
            reference = mapping(binding.manifest.get("roleRef"))
            kind, name = str(reference.get("kind")), str(reference.get("name"))
            namespace = binding.namespace if kind == "Role" else ""
            role = self._model.get(kind, namespace, name, "rbac.authorization.k8s.io")
            yield from self._after(owner, [role] if role else [], f"the {kind} {name} of its ServiceAccount", at)

    def _makers(self, kind: str, namespace: str, name: str) -> list[Object]:
        if kind == "Secret":
            return self._secrets.makes(namespace, name)
        found = self._model.get(kind, namespace, name)
        return [found] if found else []

    def _after(self, owner: Object, makers: Sequence[Object], what: str, at: str) -> Iterator[Finding]:
        """Yield that all that makes something comes after its user."""
        if not makers or any(self._timeline.compare(item, owner) <= 0 for item in makers):
            return
        maker = makers[0]
        made = "" if maker.kind in what else f", which the {maker.kind} {maker.name} makes,"
        if owner.is_hook and self._timeline.application(owner) is self._timeline.application(maker):
            phase = next(iter(maker.phases), "Sync")
            yield Finding.of(
                "hook-needs-later-object",
                owner,
                f"It is a hook of the phase {owner.phases[0]} and needs {what}{made} that comes in the phase {phase}, "
                f"wave {maker.wave}.",
                at=at,
            )
        else:
            yield Finding.of(
                "needed-object-later", owner, f"It needs {what}{made} that comes {self._where(maker, owner)}.", at=at
            )

    def _stores(self) -> Iterator[Finding]:
        for item in self._model.kind("ExternalSecret"):
            reference = mapping(item.spec.get("secretStoreRef"))
            kind = str(reference.get("kind") or "SecretStore")
            namespace = "" if kind == "ClusterSecretStore" else item.namespace
            store = self._model.get(kind, namespace, str(reference.get("name")), "external-secrets.io")
            yield from self._after(
                item, [store] if store else [], f"the {kind} {reference.get('name')}", "spec.secretStoreRef"
            )

    def _custom_resources(self) -> Iterator[Finding]:
        definitions = {
            (str(definition.spec.get("group")), str(mapping(definition.spec.get("names")).get("kind"))): definition
            for definition in self._model.kind("CustomResourceDefinition")
        }
        charts: dict[str, list[Application]] = defaultdict(list)
        for application in self._model.all_applications:
            for group, names in _CHARTS.items():
                if any(chart.name in names for chart in application.charts):
                    charts[group].append(application)
        told: set[tuple[int, str]] = set()
        for application, item in self._model.deployed:
            definition = definitions.get((item.group, item.kind))
            bringers = [self._timeline.application(definition)] if definition else charts.get(item.group, [])
            if not bringers or application in bringers or (id(application), item.kind) in told:
                continue
            when = min(
                self._timeline.compare(definition, item)
                if definition
                else self._timeline.compare_application(bringer, item)
                for bringer in bringers
            )
            skips = "true" in (
                item.sync_options.get("SkipDryRunOnMissingResource"),
                application.sync_options.get("SkipDryRunOnMissingResource"),
            )
            if when > 0 or (when == 0 and not skips):
                told.add((id(application), item.kind))
                yield Finding.of(
                    "custom-resource-too-early",
                    item,
                    f"The definition of {item.kind} comes with {_not_before(bringers[0], application)}.",
                    at="kind",
                )

    def _namespaces(self) -> Iterator[Finding]:
        made: Mapping[str, Object] = {
            item.name: item for item in self._model.kind("Namespace") if item.name not in PLATFORM_NAMESPACES
        }
        told: set[tuple[int, str]] = set()
        for application, item in self._model.deployed:
            namespace = made.get(item.namespace)
            key = id(application), item.namespace
            if namespace is None or key in told or self._timeline.application(namespace) is application:
                continue
            creates = application.creates_namespace and application.namespace == item.namespace
            if not creates and self._timeline.compare(namespace, item) >= 0:
                told.add(key)
                owner = self._timeline.application(namespace)
                yield Finding.of(
                    "namespace-too-late",
                    item,
                    f"The Namespace {namespace.name} comes with {_not_before(owner, application)}.",
                    at="metadata.namespace",
                )


_PROGRAMS = ("Deployment", "StatefulSet", "DaemonSet")


def _not_before(bringer: Application, application: Application) -> str:
    """Return which Application brings something, and that it does not come before another."""
    waves = f": their waves are {bringer.wave} and {application.wave}" if bringer.parent is application.parent else ""
    return f"the Application {bringer.name}, which does not come before this object of {application.name}{waves}"


def _circles(edges: Mapping[int, Sequence[int]]) -> Iterator[list[int]]:
    """Yield circles of a graph, one for every way back that a search of it meets."""
    done: set[int] = set()
    for start in edges:
        if start in done:
            continue
        path: list[int] = [start]
        place = {start: 0}
        branches = [iter(edges.get(start, ()))]
        while branches:
            following = next(branches[-1], None)
            if following is None:
                branches.pop()
                left = path.pop()
                del place[left]
                done.add(left)
            elif following in place:
                yield path[place[following] :]
            elif following not in done:
                place[following] = len(path)
                path.append(following)
                branches.append(iter(edges.get(following, ())))


PROOF = Proof(
    "order",
    "Argo CD applies everything after what it needs, and nothing waits for what never comes.",
    _prove,
)

"""Whether what an object needs or waits for comes before it, and answers."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import GROUP
from constructs_lib.chains import cycles
from constructs_lib.check.calls import Calls, ServiceCall
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.check.references.secret_sources import SecretSources, store_of
from constructs_lib.check.storage import claims
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import inner, mapping
from constructs_lib.repository.applications import Application

#: API groups, and the charts that are known to install their CustomResourceDefinitions.
CHARTS_OF_KINDS = {
    "cert-manager.io": ("cert-manager",),
    "external-secrets.io": ("external-secrets",),
    "generators.external-secrets.io": ("external-secrets",),
    "monitoring.coreos.com": ("kube-prometheus-stack", "prometheus-operator-crds"),
}
_PROGRAMS = ("Deployment", "StatefulSet", "DaemonSet")


def prove_needs(model: ClusterModel) -> Iterator[Finding]:
    """Yield the objects that come before something that they need."""
    needs = _Needs(model)
    for pods in model.pods:
        yield from needs.of_pods(pods)
    yield from needs.of_external_secrets()
    yield from _custom_resources(model)
    yield from _namespaces(model)


class _Needs:
    """What the objects of a tree need of each other."""

    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._timeline = model.once(Timeline)
        self._secrets = model.once(SecretSources)

    def of_pods(self, pods: Pods) -> Iterator[Finding]:
        """Yield what some pods cannot start without."""
        owner, field = pods.owner, f"{pods.path}.serviceAccountName"
        named = [(read.kind, read.name, read.at) for read in pods.references if not read.optional]
        for kind, name, at in (*named, ("ServiceAccount", pods.account, field)):
            yield from self._after(owner, self._makers(kind, pods.namespace, name), f"the {kind} {name}", at)
        for grant in self._model.accounts.grants(pods):
            of_account = f"the {grant.binding.kind} {grant.binding.name} of its ServiceAccount"
            yield from self._after(owner, [grant.binding], of_account, field)
            what = f"the {grant.kind} {grant.name} of its ServiceAccount"
            yield from self._after(owner, [grant.role] if grant.role else [], what, field)

    def of_external_secrets(self) -> Iterator[Finding]:
        """Yield the ExternalSecrets that come before their store."""
        for item in self._model.kind("ExternalSecret"):
            kind, _, name, store = store_of(self._model, item, mapping(item.spec.get("secretStoreRef")))
            yield from self._after(item, [store] if store else [], f"the {kind} {name}", "spec.secretStoreRef")

    def _makers(self, kind: str, namespace: str, name: str) -> list[Object]:
        if kind == "Secret":
            return self._secrets.makes(namespace, name)
        found = self._model.get(kind, namespace, name)
        return [found] if found else []

    def _after(self, owner: Object, makers: Sequence[Object], what: str, at: str) -> Iterator[Finding]:
        """Yield a finding if everything that makes a thing comes after an object that needs it."""
        if not makers or any(self._timeline.compare(item, owner) <= 0 for item in makers):
            return
        maker = makers[0]
        made = "" if maker.kind in what else f", which the {maker.kind} {maker.name} makes,"
        if owner.is_hook and self._timeline.application(owner) is self._timeline.application(maker):
            phase = next(iter(maker.phases), "Sync")
            when = f"that comes in the phase {phase}, wave {maker.wave}"
            problem = f"It is a hook of the phase {owner.phases[0]} and needs {what}{made} {when}."
            yield Finding.of("hook-needs-later-object", owner, problem, at=at)
        else:
            problem = f"It needs {what}{made} that comes {self._timeline.where(maker, owner)}."
            yield Finding.of("needed-object-later", owner, problem, at=at)


def _custom_resources(model: ClusterModel) -> Iterator[Finding]:
    """Yield custom resources that come before their definition, the first of each kind in an Application."""
    timeline = model.once(Timeline)
    definitions = {
        (str(definition.spec.get("group")), str(inner(definition.spec, "names", "kind"))): definition
        for definition in model.kind("CustomResourceDefinition")
    }
    charts: dict[str, list[Application]] = defaultdict(list)
    for application in model.all_applications:
        for group, names in CHARTS_OF_KINDS.items():
            if any(chart.name in names for chart in application.charts):
                charts[group].append(application)
    reported: set[tuple[int, str]] = set()
    for application, item in model.deployed:
        if item.group == GROUP and item.kind in ("Application", "ApplicationSet", "AppProject"):
            # Argo CD reads them itself, so that it has their definitions already, whatever else brings them.
            continue
        definition = definitions.get((item.group, item.kind))
        bringers = [timeline.application(definition)] if definition else charts.get(item.group, [])
        key = id(application), item.kind
        if not bringers or application in bringers or key in reported:
            continue
        if definition:
            when = timeline.compare(definition, item)
        else:
            when = min(timeline.compare_application(bringer, item) for bringer in bringers)
        holders = (item.sync_options, application.sync_options)
        skips = any(holder.get("SkipDryRunOnMissingResource") == "true" for holder in holders)
        if when > 0 or (when == 0 and not skips):
            reported.add(key)
            problem = f"The definition of {item.kind} comes with {_not_before(bringers[0], application)}."
            yield Finding.of("custom-resource-too-early", item, problem, at="kind")


def _namespaces(model: ClusterModel) -> Iterator[Finding]:
    """Yield objects that come before their Namespace, the first of each namespace in an Application."""
    timeline = model.once(Timeline)
    made = {item.name: item for item in model.kind("Namespace") if item.name not in platform.NAMESPACES}
    reported: set[tuple[int, str]] = set()
    for application, item in model.deployed:
        namespace = made.get(item.namespace)
        key = id(application), item.namespace
        if namespace is None or key in reported or timeline.application(namespace) is application:
            continue
        creates = application.creates_namespace and application.namespace == item.namespace
        if not creates and timeline.compare(namespace, item) >= 0:
            reported.add(key)
            where = _not_before(timeline.application(namespace), application)
            problem = f"The Namespace {namespace.name} comes with {where}."
            yield Finding.of("namespace-too-late", item, problem, at="metadata.namespace")


def _not_before(bringer: Application, application: Application) -> str:
    """Return which Application brings something, and that it does not come before another."""
    waves = f": their waves are {bringer.wave} and {application.wave}" if bringer.parent is application.parent else ""
    return f"the Application {bringer.name}, which does not come before this object of {application.name}{waves}"


def prove_waits(model: ClusterModel) -> Iterator[Finding]:
    """Yield the waits that never end, and those that end later than they need to."""
    waits = _Waits(model)
    yield from waits.prove_order()
    yield from waits.prove_circles()
    yield from waits.prove_schemas()


class _Waits:
    def __init__(self, model: ClusterModel) -> None:
        self._timeline = model.once(Timeline)
        self._model = model
        first: dict[object, ServiceCall] = {}
        for call in model.once(Calls).inside:
            first.setdefault((call.source, call.service, call.is_awaited), call)
        #: The calls of pods: each Service once, and what they wait for apart.
        self._calls = list(first.values())

    def _providers(self, service: Object) -> list[Object]:
        """Return the workloads behind a Service."""
        pods = self._model.behind(service)
        return [selected.owner for selected in pods if selected.owner.kind not in ("Job", "CronJob")]

    def prove_order(self) -> Iterator[Finding]:
        """Yield the waits for what does not come earlier, or has no pods."""
        for call in self._calls:
            caller = call.source.owner
            providers = [item for item in self._providers(call.service) if item is not caller]
            if not call.is_awaited or not providers:
                continue
            first = providers[0]
            target = f"the {first.kind} {first.name} behind the Service {call.service.name}"
            if all(self._model.scales.of(item).is_none for item in providers):
                problem = f"It waits for {target}, which has none."
                yield Finding.of("dependency-without-replicas", caller, problem, at=call.at)
            if any(self._timeline.compare(item, caller) > 0 for item in (*providers, call.service)):
                problem = f"It waits for {target}, which comes {self._timeline.where(first, caller)}."
                yield Finding.of("dependency-in-later-wave", caller, problem, at=call.at)
            elif any(self._timeline.compare(item, caller) == 0 for item in providers):
                problem = f"It waits for {target}, which does not come in an earlier wave."
                yield Finding.of("dependency-not-ordered", caller, problem, at=call.at)

    def prove_circles(self) -> Iterator[Finding]:
        """Yield the workloads that wait for each other, one finding for every circle."""
        waits: dict[Object, dict[Object, ServiceCall]] = defaultdict(dict)
        for call in self._calls:
            for provider in self._providers(call.service) if call.is_awaited else ():
                waits[call.source.owner].setdefault(provider, call)
        for circle in cycles(waits):
            call = waits[circle[0]][circle[1 % len(circle)]]
            names = " → ".join(item.name for item in (*circle, circle[0]))
            problem = f"It waits, in the end, for itself: {names}."
            yield Finding.of("waits-in-circle", call.source.owner, problem, at=call.at)

    def prove_schemas(self) -> Iterator[Finding]:
        """Yield the programs that use a data store, and that do not come after the Job that prepares it."""
        by_service: dict[Object, list[ServiceCall]] = defaultdict(list)
        for call in self._calls:
            by_service[call.service].append(call)
        for service, calls in by_service.items():
            stores = [item for item in self._providers(service) if any(claims(item))]
            if not stores:
                continue
            home = self._timeline.application(stores[0])
            callers = dict.fromkeys(call.source.owner for call in calls)
            near = [item for item in callers if self._timeline.application(item) is home]
            jobs = [item for item in near if item.kind == "Job" and "PostSync" not in item.phases]
            programs = [item for item in near if item.kind in _PROGRAMS and item not in stores]
            for job, program in ((job, program) for job in jobs for program in programs):
                if self._timeline.compare(job, program) >= 0:
                    uses = f"It uses the {stores[0].kind} {stores[0].name} and comes in wave {program.wave}"
                    problem = f"{uses}, not after the Job {job.name} in wave {job.wave} that prepares it."
                    yield Finding.of("schema-not-before-workload", program, problem, at="metadata.annotations")

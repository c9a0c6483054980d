"""Whether Applications gate each other, and whether Argo CD can sync them and their objects again and again."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.argocd.objects import Object, options
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.check.storage import claims
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.repository.applications import BY_HAND, Application

_VALUES = {"argocd-cm": "cm", "argocd-cmd-params-cm": "params"}
_HEALTH = "resource.customizations.health.argoproj.io_Application"
#: ``TotalAnnotationSizeLimitB`` in apimachinery/pkg/api/validation/objectmeta.go.
_MOST_ANNOTATIONS = 262_144
_DIGEST = re.compile(r"[-.](?:(?=[a-f]*[0-9])[0-9a-f]{5,}|v?[0-9]+(?:[.-][0-9]+){0,9})\Z")
_COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"


def _settings(model: ClusterModel, name: str) -> list[Mapping[str, Any]]:
    """Return the settings in a ConfigMap of Argo CD: from the tree, and from the values of the chart argo-cd."""
    charts = (chart for application in model.all_applications for chart in application.charts)
    values = [
        inner(chart.helm, "valuesObject", "configs", _VALUES[name]) for chart in charts if chart.name == "argo-cd"
    ]
    maps = [item.manifest.get("data") for item in model.kind("ConfigMap") if item.name == name]
    return [mapping(found) for found in (*maps, *values)]


def sync_timeout(model: ClusterModel) -> int | None:
    """Return after how many seconds Argo CD ends a sync; None for never, and if it is not known."""
    for found in _settings(model, "argocd-cmd-params-cm"):
        value = str(found.get("controller.sync.timeout.seconds", ""))
        if value.isdecimal():
            return int(value) or None
    limits = (inputs.get("sync_timeout_seconds") for inputs in model.bootstrap.inputs("argocd").values())
    return next((limit for limit in limits if isinstance(limit, int)), None)


def prove_applications(model: ClusterModel) -> Iterator[Finding]:
    """Yield what is wrong with Applications."""
    siblings: dict[int, list[Application]] = defaultdict(list)
    for application in model.applications:
        if application.parent is not None and application.parent.name != BY_HAND:
            siblings[id(application.parent)].append(application)
    yield from _without_health_check(model, siblings)
    yield from _defined_twice(model)
    for application in model.applications:
        if application.item is None:
            continue
        if application.item.path in application.files and _has_several_steps(model, application):
            problem = f"Its own file {application.item.path} is among those that it deploys."
            yield Finding.of("application-deploys-itself", application.item, problem, at="spec.source")
        yield from _policy(application, application.item, siblings[id(application.parent)])


def _without_health_check(model: ClusterModel, siblings: Mapping[int, list[Application]]) -> Iterator[Finding]:
    found = _settings(model, "argocd-cm")
    if not found or any(map(_has_health_check, found)):
        return
    for group in siblings.values():
        first = min(group, key=lambda application: application.wave)
        last = max(group, key=lambda application: application.wave)
        if first.parent is not None and first.wave < last.wave:
            waves = f"{first.name} has the wave {first.wave} and {last.name} {last.wave}"
            problem = f"{waves}, and argocd-cm has no health check of Applications."
            yield Finding.of("waves-gate-nothing", first.parent.item, problem)


def _has_health_check(config: Mapping[str, Any]) -> bool:
    return _HEALTH in config or "argoproj.io/Application" in str(config.get("resource.customizations", ""))


def _defined_twice(model: ClusterModel) -> Iterator[Finding]:
    seen: dict[Identity, tuple[Application, Object]] = {}
    for application, item in model.deployed:
        if item.kind != "Application" or item.group != "argoproj.io":
            continue
        first, known = seen.setdefault(item.identity, (application, item))
        # An Application that deploys its own file has a check of its own.
        if known is not item and not (first.name == BY_HAND and known.path == item.path):
            where = f"in {known.path}" if first is application else f"by {first.name}, from {known.path},"
            problem = f"The Application {item.name} is defined {where} as well."
            yield Finding.of("application-defined-twice", item, problem, at="metadata.name")


def _has_several_steps(model: ClusterModel, application: Application) -> bool:
    """Tell whether a sync waits for health at all: after its last step, it does not."""
    timeline = model.once(Timeline)
    return len({timeline.step(item) for owner, item in model.deployed if owner is application}) > 1


def _policy(application: Application, item: Object, siblings: Sequence[Application]) -> Iterator[Finding]:
    """Yield what is wrong with the sync policy of an Application; the siblings are those of the same sync."""
    policy = mapping(item.spec.get("syncPolicy"))
    if not application.automated:
        later = next((other.name for other in siblings if other.wave > application.wave), None)
        if later:
            problem = f"It is synced by hand only, and {later} in a later wave waits for it."
            yield Finding.of("application-not-automated", item, problem, at="spec.syncPolicy.automated")
    elif not isinstance(policy.get("retry"), dict):
        yield Finding.of("application-without-retry", item, "It has no retry.", at="spec.syncPolicy")
    elif policy["retry"].get("refresh") is not True:
        yield Finding.of("retry-without-refresh", item, "Its retry has no refresh.", at="spec.syncPolicy.retry")
    if application.sync_options.get("RespectIgnoreDifferences") == "true":
        return
    for number, entry in enumerate(application.ignored_differences):
        if _ignores_replicas(entry):
            problem = "It ignores differences of replicas without RespectIgnoreDifferences=true."
            yield Finding.of("ignored-differences-applied", item, problem, at=f"spec.ignoreDifferences[{number}]")


def prove_syncs(model: ClusterModel) -> Iterator[Finding]:
    """Yield the objects that a second sync refuses, repeats for ever, overwrites or deletes."""
    syncs = _Syncs(model)
    for application, item in model.deployed:
        yield from _names(item)
        if application.item is not None:
            yield from syncs.of(application, item)


def _names(item: Object) -> Iterator[Finding]:
    named = "name" in item.metadata
    if not named and "generateName" in item.metadata and not item.is_hook:
        problem = "It has a generateName and is no hook."
        yield Finding.of("generated-name-without-hook", item, problem, at="metadata.generateName")
    policies = item.hook_delete_policies
    deleted = "BeforeHookCreation" in policies or {"HookSucceeded", "HookFailed"} <= policies
    if named and item.is_hook and item.phases and not deleted:
        problem = f"With the policy {', '.join(sorted(policies))}, {item.name} may still be there at the next sync."
        yield Finding.of("hook-runs-once", item, problem, at="metadata.annotations")


class _Syncs:
    """The objects of a tree, each as its Application syncs it."""

    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        stateful = model.kind("PersistentVolumeClaim", "StatefulSet")
        self._namespaces_with_data = {item.namespace for item in stateful if any(claims(item))}
        self._compares_on_server = any(
            str(found.get("controller.diff.server.side")) == "true"
            for found in _settings(model, "argocd-cmd-params-cm")
        )

    def of(self, application: Application, item: Object) -> Iterator[Finding]:
        """Yield what is wrong with an object of an Application."""
        chosen = {**application.sync_options, **item.sync_options}
        if item.kind == "Job":
            yield from _job(application, item, chosen)
        if item.kind == "StatefulSet":
            yield from self._comparison(application, item)
        yield from self._replicas(application, item)
        yield from _size(application, item, chosen)
        yield from self._protection(application, item, chosen)

    def _replicas(self, application: Application, item: Object) -> Iterator[Finding]:
        autoscaler = self._model.scales.scaler(item)
        if autoscaler is None or "replicas" not in item.spec:
            return
        ignored = application.differences_ignored_of(item)
        if not any(_ignores_replicas(entry) or entry.get("managedFieldsManagers") for entry in ignored):
            own = f"It has {item.spec['replicas']} replicas in Git"
            problem = f"{own}, and the {autoscaler.kind} {autoscaler.name} sets them as well."
            yield Finding.of("replicas-of-autoscaler", item, problem, at="spec.replicas")

    def _comparison(self, application: Application, item: Object) -> Iterator[Finding]:
        templates = mappings(item.spec.get("volumeClaimTemplates"))
        complete = all({"apiVersion", "kind"} <= template.keys() for template in templates)
        ignored = any("volumeClaimTemplates" in str(entry) for entry in application.ignored_differences)
        chosen = _compare_options(item) | _compare_options(application.item)
        on_server = self._compares_on_server or chosen.get("ServerSideDiff") == "true"
        if application.automated and not (complete or ignored or on_server):
            problem = "It has volumeClaimTemplates and is not compared by the API server."
            yield Finding.of("claims-compared-locally", item, problem, at="metadata.annotations")

    def _protection(self, application: Application, item: Object, chosen: Mapping[str, str]) -> Iterator[Finding]:
        if not self._holds_data(application, item):
            return
        kept = ("false", "confirm")
        # An Application is deleted with its manifest only if the Application above it prunes.
        is_pruned = application.parent is not None and application.parent.prunes
        deletes = application.cascades and (application.prunes or is_pruned)
        missing = [
            *(["Prune=false"] if application.prunes and chosen.get("Prune") not in kept else []),
            *(["Delete=false"] if deletes and chosen.get("Delete") not in kept else []),
        ]
        if missing:
            problem = f"It holds data and is removed without a question; it lacks {' and '.join(missing)}."
            yield Finding.of("data-not-protected", item, problem, at="metadata.annotations")

    def _holds_data(self, application: Application, item: Object) -> bool:
        if item.kind in ("PersistentVolumeClaim", "StatefulSet"):
            return any(claims(item))
        if item.kind != "Namespace":
            return item.kind == "PersistentVolume"
        of_chart = any("volumeClaimTemplate" in str(chart.helm) for chart in application.charts)
        return item.name in self._namespaces_with_data or (item.name == application.namespace and of_chart)


def _job(application: Application, job: Object, chosen: Mapping[str, str]) -> Iterator[Finding]:
    if job.is_hook or "name" not in job.metadata:
        return
    if "ttlSecondsAfterFinished" in job.spec and application.automated:
        deleted = f"It is deleted {job.spec['ttlSecondsAfterFinished']} seconds after its end"
        problem = f"{deleted}, and the Application {application.name} makes it again."
        yield Finding.of("job-with-ttl", job, problem, at="spec.ttlSecondsAfterFinished")
    if "true" not in (chosen.get("Replace"), chosen.get("Force")) and not _DIGEST.search(job.name):
        problem = f"Its name {job.name} stays the same when its template changes."
        yield Finding.of("job-cannot-change", job, problem, at="metadata.name")


def _ignores_replicas(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry of ``ignoreDifferences`` names the number of replicas."""
    pointers = map(str, sequence(entry.get("jsonPointers")))
    expressions = map(str, sequence(entry.get("jqPathExpressions")))
    return "/spec/replicas" in pointers or any(".spec.replicas" in expression for expression in expressions)


def _size(application: Application, item: Object, chosen: Mapping[str, str]) -> Iterator[Finding]:
    # Escapes aside, the JSON of an object is hardly longer than its YAML, so that most need not be written.
    if len(application.files[item.path]) * 2 < _MOST_ANNOTATIONS:
        return
    if "true" in (chosen.get("ServerSideApply"), chosen.get("Replace")):
        return
    size = len(json.dumps(item.manifest, separators=(",", ":"), ensure_ascii=False).encode(errors="replace"))
    if size > _MOST_ANNOTATIONS:
        yield Finding.of("object-too-large", item, f"It has {size:,} bytes.")


def _compare_options(item: Object | None) -> dict[str, str]:
    return options(item.annotations.get(_COMPARE_OPTIONS, "").split(",")) if item else {}

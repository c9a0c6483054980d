"""Whether Argo CD can sync an object again and again, and what it would delete or overwrite."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object, options
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.order.settings import settings
from constructs_lib.check.storage import claims
from constructs_lib.kubernetes.manifest import mappings, sequence
from constructs_lib.repository.applications import Application

#: ``TotalAnnotationSizeLimitB`` in apimachinery/pkg/api/validation/objectmeta.go.
_MOST_ANNOTATIONS = 262_144
_DIGEST = re.compile(r"[-.](?:(?=[a-f]*[0-9])[0-9a-f]{5,}|v?[0-9]+(?:[.-][0-9]+)*)\Z")
_COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"


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
            str(found.get("controller.diff.server.side")) == "true" for found in settings(model, "argocd-cmd-params-cm")
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
        if not any(ignores_replicas(entry) or entry.get("managedFieldsManagers") for entry in ignored):
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


def ignores_replicas(entry: Mapping[str, Any]) -> bool:
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

"""What never happens: hooks of no phase, Jobs that do not end, and Applications that are never synced."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from constructs_lib.argocd.globs import glob
from constructs_lib.argocd.objects import HELM_HOOK, HOOK, HOOK_WEIGHT, WAVE, Object
from constructs_lib.argocd.projects import GROUP
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.cron import longest_pause
from constructs_lib.kubernetes.manifest import entries, mapping, sequence
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.prometheus.promql import seconds
from constructs_lib.repository.applications import Application
from constructs_lib.text import nearest, sentence

_HOOKS = ("PreSync", "Sync", "PostSync", "SyncFail", "PreDelete", "PostDelete", "Skip")
_HELM_HOOKS = (
    *("pre-install", "post-install", "pre-upgrade", "post-upgrade", "pre-delete", "post-delete", "pre-rollback"),
    *("post-rollback", "crd-install", "test", "test-success", "test-failure"),
)
_DELETE_POLICY = "argocd.argoproj.io/hook-delete-policy"
_DELETE_POLICIES = ("HookSucceeded", "HookFailed", "BeforeHookCreation")
_SKIP_RECONCILE = "argocd.argoproj.io/skip-reconcile"
#: What Go's ``strconv.ParseBool`` takes for true.
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
#: Controllers that let suspended Jobs run by these labels when there is room for them.
_QUEUES = ("kueue.x-k8s.io/queue-name",)
#: Commands that never end by themselves.
_ENDLESS = (("sleep", "infinity"), ("sleep", "inf"), ("tail", "-f", "/dev/null"))


def prove_never(model: ClusterModel) -> Iterator[Finding]:
    """Yield what Argo CD never applies, never syncs, or never sees the end of."""
    for application, item in model.deployed:
        yield from _hook(item)
        if application.item is not None and item.kind == "Job" and item.group == "batch":
            yield from _job(item)
    for application in model.applications:
        if application.item is not None:
            yield from _application(model, application, application.item)


def _hook(item: Object) -> Iterator[Finding]:
    for annotation, known in ((HOOK, _HOOKS), (HELM_HOOK, _HELM_HOOKS), (_DELETE_POLICY, _DELETE_POLICIES)):
        if annotation == HELM_HOOK and HOOK in item.annotations:
            # The hook of Argo CD counts alone.
            continue
        for written in item.annotations.get(annotation, known[0]).split(","):
            if (name := written.strip()) not in known:
                if annotation == _DELETE_POLICY:
                    problem = f'"{name}" is no deletion policy, and counts as if it were not there.'
                elif item.phases:
                    problem = f'"{name}" is no hook, and its other phases count alone.'
                else:
                    problem = f'"{name}" is no hook: Argo CD never applies the {item.kind}.'
                at, fix = f"metadata.annotations.{annotation}", sentence(nearest(name, known))
                yield Finding.of("hook-unknown", item, problem, at=at, fix=fix)
    wave, weight = item.annotations.get(WAVE), item.annotations.get(HOOK_WEIGHT)
    if HELM_HOOK in item.annotations and wave and weight and wave != weight:
        problem = f"Its wave is {wave}, and the weight {weight} does not count."
        yield Finding.of("hook-weight-ignored", item, problem, at=f"metadata.annotations.{HOOK_WEIGHT}")


def _job(job: Object) -> Iterator[Finding]:
    if job.is_hook and not job.phases:
        return
    if job.spec.get("suspend") is True and not any(label in job.labels for label in _QUEUES):
        yield Finding.of("job-never-ends", job, "It is suspended: it starts no pod.", at="spec.suspend")
    elif job.spec.get("parallelism") == 0:
        yield Finding.of("job-never-ends", job, "Its parallelism is 0: it starts no pod.", at="spec.parallelism")
    elif (pods := pods_of(job)) is not None and "activeDeadlineSeconds" not in job.spec:
        for container in pods.containers:
            words = tuple(word for _, text in container.words for word in text.replace(";", " ").split())
            end = next((command for command in _ENDLESS if words[-len(command) :] == command), None)
            if end and (not container.is_init or not container.runs):
                problem = f"The container {container.name} ends with {' '.join(end)}, which never does."
                yield Finding.of("job-never-ends", job, problem, at=container.words_at)


def _application(model: ClusterModel, application: Application, item: Object) -> Iterator[Finding]:
    if item.annotations.get(_SKIP_RECONCILE) in _TRUE:
        at = f"metadata.annotations.{_SKIP_RECONCILE}"
        yield Finding.of("application-never-synced", item, "Argo CD does not look at it.", at=at)
        return
    project = model.get("AppProject", item.namespace, str(item.spec.get("project") or "default"), GROUP)
    if project is None or not application.automated:
        return
    windows = [(at, entry) for at, entry in entries(project.spec.get("syncWindows"), "spec.syncWindows")]
    found = [(at, window) for at, window in windows if _is_about(window, application, item)]
    denied = next((at for at, window in found if window.get("kind") == "deny" and _is_always(window)), None)
    allowed = [window for _, window in found if window.get("kind") == "allow"]
    if denied:
        problem = f"The AppProject {project.name} denies it at all times ({denied})."
    elif allowed and all(map(_is_never, allowed)):
        problem = f"No window of the AppProject {project.name} that allows it ever opens."
    else:
        return
    yield Finding.of("application-never-synced", item, problem, at="spec.project")


def _is_about(window: Mapping[str, Any], application: Application, item: Object) -> bool:
    """Tell whether a sync window is about an Application (``AppProjectSpec.SyncWindows.Matches``)."""
    destination = mapping(item.spec.get("destination"))
    named: Mapping[str, Sequence[object]] = {
        "applications": [item.name],
        "namespaces": [application.namespace],
        "clusters": [destination.get("server"), destination.get("name")],
    }
    hits = [
        any(glob(str(pattern), str(value)) for pattern in sequence(window.get(field)) for value in values if value)
        for field, values in named.items()
        if sequence(window.get(field))
    ]
    return bool(hits) and (all(hits) if window.get("andOperator") is True else any(hits))


def _is_always(window: Mapping[str, Any]) -> bool:
    """Tell whether a window is open again before it closes."""
    duration = seconds(window.get("duration"))
    with suppress(ValueError):
        return duration is not None and duration >= longest_pause(str(window.get("schedule"))).total_seconds()
    return False


def _is_never(window: Mapping[str, Any]) -> bool:
    """Tell whether a window never opens."""
    try:
        longest_pause(str(window.get("schedule")))
    except ValueError:
        return True
    return seconds(window.get("duration")) == 0

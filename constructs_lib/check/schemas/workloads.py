"""What the API server checks in workloads beyond their schema, and in what scales, disrupts and stores for them."""

import re
from collections.abc import Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.schemas.faults import Fault, Faults, field_faults
from constructs_lib.check.schemas.metadata import annotation_faults, label_faults, selector_faults
from constructs_lib.check.schemas.quantities import quantity_faults
from constructs_lib.kubernetes.cron import known_zones, schedule_problem, zone_problem
from constructs_lib.kubernetes.manifest import entries, inner, mapping, sequence, texts
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.text import closest, given

_PERCENT = re.compile(r"[0-9]+%")


def _template_faults(spec: Mapping[str, Any], at: str) -> Faults:
    metadata = inner(spec, "template", "metadata")
    yield from label_faults(inner(metadata, "labels"), f"{at}.template.metadata.labels")
    yield from annotation_faults(inner(metadata, "annotations"), f"{at}.template.metadata.annotations")
    if not isinstance(spec.get("template"), dict):
        yield Fault("missing-field", f"{at}.template", "It has no template of its pods.")


def workload_faults(item: Object) -> Faults:
    """Yield what is wrong with a Deployment, ReplicaSet, StatefulSet or DaemonSet."""
    spec = item.spec
    yield from _template_faults(spec, "spec")
    selector, at = spec.get("selector"), "spec.selector"
    if not mapping(selector):
        fix = "Give it the labels of its pods that never change."
        yield Fault("missing-field", at, "It selects no pods.", fix)
    else:
        faults = [*selector_faults(selector, at)]
        yield from faults
        labels = texts(inner(spec, "template", "metadata", "labels"))
        if not faults and isinstance(spec.get("template"), dict) and not Selector(selector).matches(labels):
            wanted = texts(inner(selector, "matchLabels"))
            missed = [f"{key}={value}" for key, value in wanted.items() if labels.get(key) != value]
            problem = f"Its pods do not have what it selects: {', '.join(missed) or 'its expressions'}."
            yield Fault("selector-misses-template", "spec.template.metadata.labels", problem)
    yield from _strategy_faults(item)
    for at, claim in entries(spec.get("volumeClaimTemplates"), "spec.volumeClaimTemplates"):
        yield from _claim_faults(mapping(claim.get("spec")), f"{at}.spec")


def _strategy_faults(item: Object) -> Faults:
    field = "strategy" if item.kind == "Deployment" else "updateStrategy"
    strategy, at = mapping(item.spec.get(field)), f"spec.{field}.rollingUpdate"
    bounds = mapping(strategy.get("rollingUpdate"))
    if strategy.get("type") in ("Recreate", "OnDelete") and strategy.get("rollingUpdate"):
        problem = f"The strategy {strategy['type']} has no rollingUpdate."
        yield Fault("contradictory-fields", at, problem, "Take it away.")
    for name in ("maxSurge", "maxUnavailable"):
        value = bounds.get(name)
        if isinstance(value, str) and not _PERCENT.fullmatch(value):
            fix = "A whole number without quotes, or a percentage such as 25%, is needed."
            yield Fault("bad-value", f"{at}.{name}", f"{given(value)} is no amount.", fix)
    if item.kind == "Deployment" and all(bounds.get(name) in (0, "0%") for name in ("maxSurge", "maxUnavailable")):
        problem = "No pod may be more than wanted and none less, so that none can be replaced."
        yield Fault("contradictory-fields", at, problem, "Let maxSurge or maxUnavailable be 1.")
    deadline, ready = item.spec.get("progressDeadlineSeconds"), item.spec.get("minReadySeconds")
    if isinstance(deadline, int) and isinstance(ready, int) and deadline <= ready:
        problem = f"The deadline of {deadline} seconds is over before a pod counts as ready after {ready}."
        yield Fault("bad-range", "spec.progressDeadlineSeconds", problem, f"More than {ready} is needed.")


def job_faults(item: Object) -> Faults:
    """Yield what is wrong with a Job."""
    return _job_faults(item.spec, "spec")


def _job_faults(spec: Mapping[str, Any], at: str) -> Faults:
    yield from field_faults("job", spec, at)
    yield from _template_faults(spec, at)
    if spec.get("selector") is not None and spec.get("manualSelector") is not True:
        problem = "A Job selects its pods by a label that it makes up itself."
        yield Fault("contradictory-fields", f"{at}.selector", problem, "Take it away.")
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        yield Fault("missing-field", f"{at}.completions", "An Indexed Job needs the number of its completions.")


def cron_job_faults(item: Object) -> Faults:
    """Yield what is wrong with a CronJob."""
    schedule, zone = item.spec.get("schedule"), item.spec.get("timeZone")
    if isinstance(schedule, str) and (problem := schedule_problem(schedule)):
        yield Fault("bad-schedule", "spec.schedule", f"{given(schedule)} is no schedule: {problem}.")
    if isinstance(zone, str) and (problem := zone_problem(zone)):
        close = closest(zone, known_zones())
        fix = f'Did you mean "{close}"?' if close else "Give a name such as Europe/Rome."
        yield Fault("bad-schedule", "spec.timeZone", f"{given(zone)} is no time zone: {problem}.", fix)
    yield from _job_faults(mapping(inner(item.spec, "jobTemplate", "spec")), "spec.jobTemplate.spec")


def budget_faults(item: Object) -> Faults:
    """Yield what is wrong with a PodDisruptionBudget."""
    spec = item.spec
    yield from selector_faults(spec.get("selector"), "spec.selector")
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield Fault("contradictory-fields", "spec.maxUnavailable", "It has minAvailable and maxUnavailable.")
    for field in ("minAvailable", "maxUnavailable"):
        value = spec.get(field)
        if isinstance(value, str) and not (_PERCENT.fullmatch(value) and int(value[:-1]) <= 100):
            fix = "A whole number without quotes, or a percentage up to 100%, is needed."
            yield Fault("bad-value", f"spec.{field}", f"{given(value)} is no amount.", fix)


def autoscaler_faults(item: Object) -> Faults:
    """Yield what is wrong with a HorizontalPodAutoscaler."""
    least, most = item.spec.get("minReplicas", 1), item.spec.get("maxReplicas")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        problem = f"It wants at least {least} replicas and at most {most}."
        yield Fault("bad-range", "spec.maxReplicas", problem, f"At least {least} are needed.")
    for at, metric in entries(item.spec.get("metrics"), "spec.metrics"):
        kind = str(metric.get("type") or "")
        field = f"{kind[:1].lower()}{kind[1:]}"
        if field in ("containerResource", "external", "object", "pods", "resource") and field not in metric:
            yield Fault("missing-field", f"{at}.{field}", f"A metric of the type {kind} does not say which.")


def claim_faults(item: Object) -> Faults:
    """Yield what is wrong with a PersistentVolumeClaim."""
    return _claim_faults(item.spec, "spec")


def _claim_faults(spec: Mapping[str, Any], at: str) -> Faults:
    if not sequence(spec.get("accessModes")):
        yield Fault("missing-field", f"{at}.accessModes", "A claim says how it is accessed.", "ReadWriteOnce.")
    storage, at = inner(spec, "resources", "requests", "storage"), f"{at}.resources.requests.storage"
    if storage is None:
        yield Fault("missing-field", at, "A claim says how much it wants.")
    else:
        yield from quantity_faults("storage", storage, at)

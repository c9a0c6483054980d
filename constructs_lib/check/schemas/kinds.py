"""What the API server and Argo CD check in objects beyond their schema, kind by kind.

The rules are those of ``pkg/apis/<group>/validation/validation.go`` in https://github.com/kubernetes/kubernetes, of
``LabelSelectorAsSelector`` in apimachinery, and of ``ValidatePermissions`` in Argo CD's ``util/argo/argo.go``.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

from constructs_lib.argocd.objects import SYNC_OPTIONS, WAVE, Object
from constructs_lib.check.schemas.faults import (
    Fault,
    Faults,
    field_faults,
    field_tables,
    quantity_faults,
    resource_faults,
)
from constructs_lib.check.schemas.metadata import annotation_faults, data_faults, label_faults, selector_faults
from constructs_lib.check.schemas.network import ingress_faults, policy_faults, service_faults
from constructs_lib.check.schemas.sources import name_faults
from constructs_lib.kubernetes.cron import known_zones, schedule_problem, zone_problem
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, sequence, texts
from constructs_lib.kubernetes.names import is_label
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.text import closest, given, nearest, sentence

_PERCENT = re.compile(r"[0-9]+%")
_RBAC = "rbac.authorization.k8s.io"


def kind_faults(item: Object) -> Faults:
    """Yield what is wrong with an object by the rules of its kind."""
    kind = f"{item.kind}.{item.group}".rstrip(".")
    yield from field_faults(kind, item.manifest)
    if rules := _RULES.get(kind):
        yield from rules(item)


def _template_faults(spec: Mapping[str, Any], at: str) -> Faults:
    metadata = inner(spec, "template", "metadata")
    yield from label_faults(inner(metadata, "labels"), f"{at}.template.metadata.labels")
    yield from annotation_faults(inner(metadata, "annotations"), f"{at}.template.metadata.annotations")
    if not isinstance(spec.get("template"), dict):
        yield Fault("missing-field", f"{at}.template", "It has no template of its pods.")


def _workload(item: Object) -> Faults:
    spec = item.spec
    yield from _template_faults(spec, "spec")
    selector, at = spec.get("selector"), "spec.selector"
    if not any(mapping(selector).values()):
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
    service = spec.get("serviceName")
    if isinstance(service, str) and service and not is_label(service):
        yield Fault("bad-name", "spec.serviceName", f"{given(service)} can be the name of no Service.")
    yield from _strategy_faults(item)
    for at, claim in entries(spec.get("volumeClaimTemplates"), "spec.volumeClaimTemplates"):
        yield from _claim_spec(mapping(claim.get("spec")), f"{at}.spec")
        name = inner(claim, "metadata", "name")
        if isinstance(name, str) and not is_label(name):
            problem = f"{given(name)} is no name of a volume."
            yield Fault("bad-name", f"{at}.metadata.name", problem, "It has lower-case letters, digits and hyphens.")


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
        elif isinstance(value, int) and value < 0:
            yield Fault("bad-range", f"{at}.{name}", f"{value} pods are less than none.")
    if (
        item.kind == "DaemonSet"
        and bounds.get("maxUnavailable") in (0, "0%")
        and bounds.get("maxSurge") in (None, 0, "0%")
    ):
        problem = "No node may lack its pod and none have two, so that none can be replaced."
        yield Fault("contradictory-fields", f"{at}.maxUnavailable", problem, "Let maxSurge or maxUnavailable be 1.")
    if item.kind == "Deployment" and all(bounds.get(name) in (0, "0%") for name in ("maxSurge", "maxUnavailable")):
        problem = "No pod may be more than wanted and none less, so that none can be replaced."
        yield Fault("contradictory-fields", at, problem, "Let maxSurge or maxUnavailable be 1.")
    deadline, ready = item.spec.get("progressDeadlineSeconds"), item.spec.get("minReadySeconds")
    if isinstance(deadline, int) and isinstance(ready, int) and deadline <= ready:
        problem = f"The deadline of {deadline} seconds is over before a pod counts as ready after {ready}."
        yield Fault("bad-range", "spec.progressDeadlineSeconds", problem, f"More than {ready} is needed.")


def _job(item: Object) -> Faults:
    return _job_spec(item.spec, "spec")


def _job_spec(spec: Mapping[str, Any], at: str) -> Faults:
    yield from field_faults("job", spec, at)
    yield from _template_faults(spec, at)
    if spec.get("selector") is not None and spec.get("manualSelector") is not True:
        problem = "A Job selects its pods by a label that it makes up itself."
        yield Fault("contradictory-fields", f"{at}.selector", problem, "Take it away.")
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        yield Fault("missing-field", f"{at}.completions", "An Indexed Job needs the number of its completions.")


def _cron_job(item: Object) -> Faults:
    schedule, zone = item.spec.get("schedule"), item.spec.get("timeZone")
    if isinstance(schedule, str) and (problem := schedule_problem(schedule)):
        yield Fault("bad-schedule", "spec.schedule", f"{given(schedule)} is no schedule: {problem}.")
    if isinstance(zone, str) and (problem := zone_problem(zone)):
        close = closest(zone, known_zones())
        fix = f'Did you mean "{close}"?' if close else "Give a name such as Europe/Rome."
        yield Fault("bad-schedule", "spec.timeZone", f"{given(zone)} is no time zone: {problem}.", fix)
    yield from _job_spec(mapping(inner(item.spec, "jobTemplate", "spec")), "spec.jobTemplate.spec")


def _budget(item: Object) -> Faults:
    spec = item.spec
    yield from selector_faults(spec.get("selector"), "spec.selector")
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield Fault("contradictory-fields", "spec.maxUnavailable", "It has minAvailable and maxUnavailable.")
    for field in ("minAvailable", "maxUnavailable"):
        value = spec.get(field)
        if isinstance(value, str) and not (_PERCENT.fullmatch(value) and int(value[:-1]) <= 100):
            fix = "A whole number without quotes, or a percentage up to 100%, is needed."
            yield Fault("bad-value", f"spec.{field}", f"{given(value)} is no amount.", fix)


def _autoscaler(item: Object) -> Faults:
    target = item.spec.get("scaleTargetRef")
    kind, version = str(inner(target, "kind") or ""), inner(target, "apiVersion")
    if isinstance(target, dict) and kind != "ReplicationController" and "/" not in str(version or ""):
        problem = f"There is no {kind or 'kind'} of {given(version) if version else 'no group'} to scale."
        fix = "Give its group and version, such as apps/v1."
        yield Fault("bad-value", "spec.scaleTargetRef.apiVersion", problem, fix)
    yield from _scaling_faults(item)
    counted = {str(metric.get("type")) for metric in mappings(item.spec.get("metrics"))}
    if item.spec.get("minReplicas") == 0 and not counted & {"External", "Object"}:
        problem = "Without any pod there is nothing to measure that would bring one back."
        yield Fault("bad-range", "spec.minReplicas", problem, "At least 1 is needed, or a metric of another object.")
    least, most = item.spec.get("minReplicas", 1), item.spec.get("maxReplicas")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        problem = f"It wants at least {least} replicas and at most {most}."
        yield Fault("bad-range", "spec.maxReplicas", problem, f"At least {least} are needed.")
    for at, metric in entries(item.spec.get("metrics"), "spec.metrics"):
        kind = str(metric.get("type") or "")
        field = f"{kind[:1].lower()}{kind[1:]}"
        if field in ("containerResource", "external", "object", "pods", "resource") and field not in metric:
            yield Fault("missing-field", f"{at}.{field}", f"A metric of the type {kind} does not say which.")
        if kind == "Resource" and inner(metric, field, "name") == "":
            yield Fault("missing-field", f"{at}.resource.name", "A metric does not say of which resource.")
        yield from _target_faults(mapping(inner(metric, field, "target")), f"{at}.{field}.target")


_AMOUNTS = {"Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"}


def _target_faults(target: Mapping[str, Any], at: str) -> Faults:
    """Yield what is wrong with what a metric should be (``validateMetricTarget``)."""
    wanted = _AMOUNTS.get(str(target.get("type")))
    if wanted and target.get(wanted) is None:
        yield Fault("missing-field", f"{at}.{wanted}", f"A target of the type {target['type']} has no number.")


def _scaling_faults(item: Object) -> Faults:
    """Yield what is wrong with how fast an autoscaler acts (``validateScalingRules``)."""
    for direction in ("scaleDown", "scaleUp"):
        rules, at = inner(item.spec, "behavior", direction), f"spec.behavior.{direction}"
        policies = inner(rules, "policies")
        if isinstance(policies, list) and not policies:
            fix = "Take the field away for the usual ones, or write selectPolicy: Disabled beside one of them."
            yield Fault("missing-field", f"{at}.policies", "No policy says how many pods may come or go.", fix)


def _claim(item: Object) -> Faults:
    return _claim_spec(item.spec, "spec")


def _claim_spec(spec: Mapping[str, Any], at: str) -> Faults:
    if not sequence(spec.get("accessModes")):
        yield Fault("missing-field", f"{at}.accessModes", "A claim says how it is accessed.", "ReadWriteOnce.")
    yield from name_faults(spec.get("storageClassName"), f"{at}.storageClassName")
    if inner(spec, "resources", "requests", "storage") is None:
        yield Fault("missing-field", f"{at}.resources.requests.storage", "A claim says how much it wants.")
    yield from resource_faults(spec.get("resources"), f"{at}.resources")


def _ingress_class(item: Object) -> Faults:
    name = item.spec.get("controller")
    if isinstance(name, str) and name and "/" not in name:
        problem = f"{given(name)} has no domain before it."
        yield Fault("bad-value", "spec.controller", problem, "Write it like k8s.io/ingress-nginx.")


def _priority(item: Object) -> Faults:
    value = item.manifest.get("value")
    if isinstance(value, int) and value > 1_000_000_000 and not item.name.startswith("system-"):
        problem = f"{value} is above what is left to users."
        yield Fault("bad-range", "value", problem, "At most 1000000000 is allowed.")


def _quota(item: Object) -> Faults:
    for name, value in mapping(item.spec.get("hard")).items():
        yield from quantity_faults(name.rpartition(".")[2], value, f"spec.hard[{name}]")


#: The fields of a range, from the least to the most, and what is said of two in the wrong order.
_BOUNDS = ("min", "defaultRequest", "default", "max")


def _range(item: Object) -> Faults:
    """Yield what is wrong with a LimitRange (``ValidateLimitRange``)."""
    for at, limit in entries(item.spec.get("limits"), "spec.limits"):
        if limit.get("type") == "Pod":
            for field in ("default", "defaultRequest"):
                if limit.get(field):
                    problem = "A pod has no resources of its own that could be filled in."
                    yield Fault("contradictory-fields", f"{at}.{field}", problem, "Give it for the type Container.")
        for field in (*_BOUNDS, "maxLimitRequestRatio"):
            for resource, value in mapping(limit.get(field)).items():
                yield from quantity_faults(resource, value, f"{at}.{field}.{resource}")
        for resource in {name for field in _BOUNDS for name in mapping(limit.get(field))}:
            told = [(field, quantity(inner(limit, field, resource))) for field in _BOUNDS]
            known = [(field, amount) for field, amount in told if amount is not None]
            for (low, less), (high, more) in itertools.pairwise(known):
                if less > more:
                    problem = f"The {low} of {resource} is above the {high}."
                    yield Fault("bad-range", f"{at}.{low}.{resource}", problem)
                    break


def _role(item: Object) -> Faults:
    for at, rule in entries(item.manifest.get("rules"), "rules"):
        if not sequence(rule.get("verbs")):
            yield Fault("missing-field", f"{at}.verbs", "A rule allows no verb.")
        if rule.get("nonResourceURLs"):
            if item.kind == "Role":
                problem = "A Role is about a namespace, in which there are no URLs."
                yield Fault("contradictory-fields", f"{at}.nonResourceURLs", problem, "Use a ClusterRole.")
            continue
        for field, fix in (("apiGroups", 'The core group is "".'), ("resources", "")):
            if not sequence(rule.get(field)):
                yield Fault("missing-field", f"{at}.{field}", f"A rule names no {field}.", fix)


def _binding(item: Object) -> Faults:
    role = mapping(item.manifest.get("roleRef"))
    if role.get("apiGroup") not in (None, "", _RBAC):
        problem = f"{given(role['apiGroup'])} is not the group of roles."
        yield Fault("bad-value", "roleRef.apiGroup", problem, f'"{_RBAC}" is needed.')
    if role.get("name") == "":
        yield Fault("missing-field", "roleRef.name", "It binds no role.")
    for at, subject in entries(item.manifest.get("subjects"), "subjects"):
        if subject.get("name") == "":
            yield Fault("missing-field", f"{at}.name", "It names nobody.")
        is_account = subject.get("kind") == "ServiceAccount"
        # In a RoleBinding it is by default that of the binding: ValidateRoleBindingSubject in pkg/apis/rbac/validation.
        if is_account and item.kind == "ClusterRoleBinding" and not subject.get("namespace"):
            problem = "A ClusterRoleBinding is in no namespace in which to look for a ServiceAccount."
            yield Fault("missing-field", f"{at}.namespace", problem, "Give its namespace.")
        group, wanted = subject.get("apiGroup"), "" if is_account else _RBAC
        if group not in (None, wanted):
            problem = f"{given(group)} is not the group of its kind."
            yield Fault("bad-value", f"{at}.apiGroup", problem, f'"{wanted}" is needed.')


def _scaled(item: Object) -> Faults:
    least, most = item.spec.get("minReplicaCount", 0), item.spec.get("maxReplicaCount", 100)
    if isinstance(least, int) and isinstance(most, int) and least > most:
        problem = f"It wants at least {least} replicas and at most {most}."
        yield Fault("bad-range", "spec.maxReplicaCount", problem, f"At least {least} are needed.")


def _definition(item: Object) -> Faults:
    stored = [version for version in mappings(item.spec.get("versions")) if version.get("storage") is True]
    if len(stored) != 1:
        problem = f"{len(stored)} of its versions are stored."
        yield Fault("contradictory-fields", "spec.versions", problem, "Let storage be true for one of them.")
    wanted = f"{inner(item.spec, 'names', 'plural')}.{item.spec.get('group')}"
    named = item.spec.get("group") and inner(item.spec, "names", "plural")
    if named and item.metadata.get("name") != wanted:
        problem = "The name of a CustomResourceDefinition is that of its kind."
        yield Fault("bad-name", "metadata.name", problem, f"Call it {wanted}.")


def _application(item: Object) -> Faults:
    spec = item.spec
    several = sequence(spec.get("sources"))
    if "source" in spec and several:
        yield Fault("contradictory-fields", "spec.source", "It has source and sources; source is ignored.")
    if not any(spec.get(field) for field in ("source", "sources", "sourceHydrator")):
        yield Fault("missing-field", "spec.source", "It says nowhere what to deploy.")
    if not several:
        yield from _source_faults(spec.get("source"), "spec.source")
    for at, source in entries(several, "spec.sources"):
        yield from _source_faults(source, at)
    destination = mapping(spec.get("destination"))
    named = [field for field in ("server", "name") if destination.get(field)]
    if len(named) == 2:
        problem = "The cluster is named by its address and by its name."
        yield Fault("contradictory-fields", "spec.destination.name", problem)
    if not named and isinstance(spec.get("destination"), dict):
        fix = "Give server: https://kubernetes.default.svc for the cluster of Argo CD itself."
        yield Fault("missing-field", "spec.destination.server", "The destination names no cluster.", fix)
    for index, option in enumerate(sequence(inner(spec, "syncPolicy", "syncOptions"))):
        yield from _option_faults(option, f"spec.syncPolicy.syncOptions[{index}]")


def _source_faults(source: object, at: str) -> Faults:
    if not isinstance(source, dict) or not source.get("repoURL"):
        return
    is_whole = str(source["repoURL"]).startswith("oci:")
    if not is_whole and not any(source.get(field) for field in ("path", "chart", "ref")):
        fix = "Give path, chart or ref; path: . is the root of the repository."
        yield Fault("missing-field", f"{at}.path", "A source says nothing of what to take.", fix)
    if source.get("chart") and not source.get("targetRevision"):
        yield Fault("missing-field", f"{at}.targetRevision", "A chart needs a version.")


def _option_faults(option: object, at: str) -> Faults:
    if not isinstance(option, str) or not option.strip():
        return
    name, _, value = option.strip().partition("=")
    known = field_tables()["sync option"]
    if name not in known:
        fix = sentence(nearest(name, known))
        yield Fault("unknown-sync-option", at, f'There is no sync option "{name}".', fix)
    elif value not in known[name]:
        problem, fix = f'"{option}" is no sync option.', f"{name} is one of {', '.join(known[name])}."
        yield Fault("unknown-sync-option", at, problem, fix)


def sync_faults(item: Object) -> Faults:
    """Yield what Argo CD does not understand in the annotations of an object: the wave, and sync options.

    A wave that is no whole number counts as 0, and Argo CD does not say so
    (https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/).
    """
    wave = item.annotations.get(WAVE)
    if wave is not None and not re.fullmatch(r"[+-]?[0-9]+", wave):
        problem = f'The sync wave "{wave}" is no whole number, and counts as 0.'
        yield Fault("bad-value", f"metadata.annotations.{WAVE}", problem, 'Write one, such as "1".')
    for option in item.annotations.get(SYNC_OPTIONS, "").split(","):
        yield from _option_faults(option, f"metadata.annotations.{SYNC_OPTIONS}")


_RULES: Mapping[str, Callable[[Object], Faults]] = {
    **dict.fromkeys(("Deployment.apps", "ReplicaSet.apps", "StatefulSet.apps", "DaemonSet.apps"), _workload),
    "Job.batch": _job,
    "CronJob.batch": _cron_job,
    "Service": service_faults,
    **dict.fromkeys(("ConfigMap", "Secret"), data_faults),
    "PersistentVolumeClaim": _claim,
    "ResourceQuota": _quota,
    "IngressClass.networking.k8s.io": _ingress_class,
    "PriorityClass.scheduling.k8s.io": _priority,
    "LimitRange": _range,
    "PodDisruptionBudget.policy": _budget,
    "HorizontalPodAutoscaler.autoscaling": _autoscaler,
    "NetworkPolicy.networking.k8s.io": policy_faults,
    "Ingress.networking.k8s.io": ingress_faults,
    **dict.fromkeys((f"Role.{_RBAC}", f"ClusterRole.{_RBAC}"), _role),
    **dict.fromkeys((f"RoleBinding.{_RBAC}", f"ClusterRoleBinding.{_RBAC}"), _binding),
    "ScaledObject.keda.sh": _scaled,
    "CustomResourceDefinition.apiextensions.k8s.io": _definition,
    "Application.argoproj.io": _application,
}

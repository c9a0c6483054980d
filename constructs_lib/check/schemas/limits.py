"""What the API server checks in objects of Kubernetes and Argo CD beyond their schema, kind by kind.

The rules are those of ``pkg/apis/<group>/validation/validation.go`` in https://github.com/kubernetes/kubernetes, of
``LabelSelectorAsSelector`` in apimachinery, and of ``ValidatePermissions`` in Argo CD's ``util/argo/argo.go``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import SYNC_OPTIONS, WAVE, Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.schemas.names import annotation_findings, data_findings, label_findings
from constructs_lib.check.schemas.pod_limits import port_findings, quantity_findings
from constructs_lib.check.schemas.tables import Enum, Range, enum_findings, range_findings
from constructs_lib.check.selectors import selects
from constructs_lib.kubernetes.cron import known_zones, schedule_problem, zone_problem
from constructs_lib.kubernetes.manifest import mapping, sequence, texts
from constructs_lib.kubernetes.names import is_label, is_subdomain
from constructs_lib.text import closest, given, nearest, sentence

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_PERCENT = re.compile(r"[0-9]+%")
_BOOLEANS = ("true", "false")
#: https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/
_SYNC_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "ApplyOutOfSyncOnly": _BOOLEANS,
    "ClientSideApplyMigration": _BOOLEANS,
    "CreateNamespace": _BOOLEANS,
    "Delete": (*_BOOLEANS, "confirm"),
    "FailOnSharedResource": _BOOLEANS,
    "Force": _BOOLEANS,
    "Prune": (*_BOOLEANS, "confirm"),
    "PruneLast": _BOOLEANS,
    "PrunePropagationPolicy": ("background", "foreground", "orphan"),
    "Replace": _BOOLEANS,
    "RespectIgnoreDifferences": _BOOLEANS,
    "ServerSideApply": _BOOLEANS,
    "SkipDryRunOnMissingResource": _BOOLEANS,
    "Validate": _BOOLEANS,
}

_ENUMS: Mapping[tuple[str, str], tuple[Enum, ...]] = {
    ("apps", "Deployment"): (("spec.strategy.type", ("Recreate", "RollingUpdate")),),
    ("apps", "StatefulSet"): (
        ("spec.podManagementPolicy", ("OrderedReady", "Parallel")),
        ("spec.updateStrategy.type", ("OnDelete", "RollingUpdate")),
        ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", ("Delete", "Retain")),
        ("spec.persistentVolumeClaimRetentionPolicy.whenScaled", ("Delete", "Retain")),
        ("spec.volumeClaimTemplates.*.spec.accessModes.*", _ACCESS_MODES),
    ),
    ("apps", "DaemonSet"): (("spec.updateStrategy.type", ("OnDelete", "RollingUpdate")),),
    ("batch", "Job"): (("spec.completionMode", ("Indexed", "NonIndexed")),),
    ("batch", "CronJob"): (
        ("spec.concurrencyPolicy", ("Allow", "Forbid", "Replace")),
        ("spec.jobTemplate.spec.completionMode", ("Indexed", "NonIndexed")),
    ),
    ("", "Service"): (
        ("spec.type", ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")),
        ("spec.ports.*.protocol", _PROTOCOLS),
        ("spec.sessionAffinity", ("ClientIP", "None")),
        ("spec.externalTrafficPolicy", ("Cluster", "Local")),
        ("spec.internalTrafficPolicy", ("Cluster", "Local")),
        ("spec.ipFamilyPolicy", ("PreferDualStack", "RequireDualStack", "SingleStack")),
    ),
    ("", "PersistentVolumeClaim"): (
        ("spec.accessModes.*", _ACCESS_MODES),
        ("spec.volumeMode", ("Block", "Filesystem")),
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): (
        ("spec.metrics.*.type", ("ContainerResource", "External", "Object", "Pods", "Resource")),
        ("spec.metrics.*.resource.target.type", ("AverageValue", "Utilization")),
        ("spec.behavior.scaleUp.selectPolicy", ("Disabled", "Max", "Min")),
        ("spec.behavior.scaleDown.selectPolicy", ("Disabled", "Max", "Min")),
        ("spec.behavior.scaleUp.policies.*.type", ("Percent", "Pods")),
        ("spec.behavior.scaleDown.policies.*.type", ("Percent", "Pods")),
    ),
    ("policy", "PodDisruptionBudget"): (("spec.unhealthyPodEvictionPolicy", ("AlwaysAllow", "IfHealthyBudget")),),
    ("networking.k8s.io", "NetworkPolicy"): (
        ("spec.policyTypes.*", ("Egress", "Ingress")),
        ("spec.ingress.*.ports.*.protocol", _PROTOCOLS),
        ("spec.egress.*.ports.*.protocol", _PROTOCOLS),
    ),
    ("networking.k8s.io", "Ingress"): (
        ("spec.rules.*.http.paths.*.pathType", ("Exact", "ImplementationSpecific", "Prefix")),
    ),
    ("rbac.authorization.k8s.io", "RoleBinding"): (
        ("roleRef.kind", ("ClusterRole", "Role")),
        ("subjects.*.kind", ("Group", "ServiceAccount", "User")),
    ),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (
        ("roleRef.kind", ("ClusterRole",)),
        ("subjects.*.kind", ("Group", "ServiceAccount", "User")),
    ),
    ("storage.k8s.io", "StorageClass"): (
        ("reclaimPolicy", ("Delete", "Retain")),
        ("volumeBindingMode", ("Immediate", "WaitForFirstConsumer")),
    ),
}
_WORKLOAD: tuple[Range, ...] = (
    ("spec.replicas", 0, None),
    ("spec.minReadySeconds", 0, None),
    ("spec.revisionHistoryLimit", 0, None),
)
_JOB: tuple[Range, ...] = (
    ("spec.parallelism", 0, None),
    ("spec.completions", 0, None),
    ("spec.backoffLimit", 0, None),
    ("spec.activeDeadlineSeconds", 0, None),
    ("spec.ttlSecondsAfterFinished", 0, None),
)
_RANGES: Mapping[tuple[str, str], tuple[Range, ...]] = {
    ("apps", "Deployment"): (*_WORKLOAD, ("spec.progressDeadlineSeconds", 0, None)),
    ("apps", "ReplicaSet"): _WORKLOAD,
    ("apps", "StatefulSet"): (*_WORKLOAD, ("spec.updateStrategy.rollingUpdate.partition", 0, None)),
    ("apps", "DaemonSet"): _WORKLOAD,
    ("batch", "Job"): _JOB,
    ("batch", "CronJob"): (
        *((f"spec.jobTemplate.{field}", least, most) for field, least, most in _JOB),
        ("spec.startingDeadlineSeconds", 0, None),
        ("spec.successfulJobsHistoryLimit", 0, None),
        ("spec.failedJobsHistoryLimit", 0, None),
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): (
        ("spec.minReplicas", 0, None),
        ("spec.maxReplicas", 1, None),
        ("spec.metrics.*.resource.target.averageUtilization", 1, None),
        ("spec.metrics.*.containerResource.target.averageUtilization", 1, None),
        ("spec.behavior.scaleUp.stabilizationWindowSeconds", 0, 3600),
        ("spec.behavior.scaleDown.stabilizationWindowSeconds", 0, 3600),
        ("spec.behavior.scaleUp.policies.*.value", 1, None),
        ("spec.behavior.scaleDown.policies.*.value", 1, None),
        ("spec.behavior.scaleUp.policies.*.periodSeconds", 1, 1800),
        ("spec.behavior.scaleDown.policies.*.periodSeconds", 1, 1800),
    ),
    ("policy", "PodDisruptionBudget"): (("spec.minAvailable", 0, None), ("spec.maxUnavailable", 0, None)),
    ("", "Service"): (("spec.sessionAffinityConfig.clientIP.timeoutSeconds", 1, 86400),),
}


def kind_findings(item: Object) -> Iterator[Finding]:
    """Yield what is wrong with an object by the rules of its kind.

    Args:
        item: The object.
    """
    key = item.group, item.kind
    yield from enum_findings(item, item.manifest, _ENUMS.get(key, ()), "")
    yield from range_findings(item, item.manifest, _RANGES.get(key, ()), "")
    if rules := _RULES.get(key):
        yield from rules(item)


def selector_findings(item: Object, selector: object, at: str) -> Iterator[Finding]:
    """Yield what is wrong with a label selector.

    Args:
        item: The object that it belongs to.
        selector: The selector.
        at: Where it stands.
    """
    yield from label_findings(item, mapping(selector).get("matchLabels"), f"{at}.matchLabels")
    for index, expression in enumerate(map(mapping, sequence(mapping(selector).get("matchExpressions")))):
        here = f"{at}.matchExpressions[{index}]"
        operator, found = expression.get("operator"), sequence(expression.get("values"))
        if operator in ("In", "NotIn") and not found:
            yield Finding.of("bad-selector", item, f"{operator} needs values.", at=f"{here}.values")
        elif operator in ("Exists", "DoesNotExist") and found:
            yield Finding.of("bad-selector", item, f"{operator} has no values.", at=f"{here}.values")
        elif isinstance(operator, str) and operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            fix = sentence(nearest(operator, ("In", "NotIn", "Exists", "DoesNotExist")))
            yield Finding.of("bad-selector", item, f'"{operator}" is no operator.', at=f"{here}.operator", fix=fix)


def _template_findings(item: Object, spec: Mapping[str, Any], at: str) -> Iterator[Finding]:
    metadata = mapping(mapping(spec.get("template")).get("metadata"))
    yield from label_findings(item, metadata.get("labels"), f"{at}.template.metadata.labels")
    yield from annotation_findings(item, metadata.get("annotations"), f"{at}.template.metadata.annotations")
    if not isinstance(spec.get("template"), dict):
        yield Finding.of("missing-field", item, "It has no template of its pods.", at=f"{at}.template")


def _workload(item: Object) -> Iterator[Finding]:
    spec = item.spec
    yield from _template_findings(item, spec, "spec")
    selector = spec.get("selector")
    if not mapping(selector):
        fix = "Give it the labels of its pods that never change."
        yield Finding.of("missing-field", item, "It selects no pods.", at="spec.selector", fix=fix)
    else:
        yield from selector_findings(item, selector, "spec.selector")
        labels = texts(mapping(mapping(spec.get("template")).get("metadata")).get("labels"))
        if isinstance(spec.get("template"), dict) and not selects(selector, labels):
            missed = [
                f"{key}={value}"
                for key, value in texts(mapping(selector).get("matchLabels")).items()
                if labels.get(key) != value
            ]
            problem = f"Its pods do not have what it selects: {', '.join(missed) or 'its expressions'}."
            yield Finding.of("selector-misses-template", item, problem, at="spec.template.metadata.labels")
    yield from _strategy_findings(item)
    for index, claim in enumerate(map(mapping, sequence(spec.get("volumeClaimTemplates")))):
        yield from _claim_findings(item, mapping(claim.get("spec")), f"spec.volumeClaimTemplates[{index}].spec")


def _strategy_findings(item: Object) -> Iterator[Finding]:
    field = "strategy" if item.kind == "Deployment" else "updateStrategy"
    strategy = mapping(item.spec.get(field))
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") in ("Recreate", "OnDelete") and rolling:
        problem = f"The strategy {strategy['type']} has no rollingUpdate."
        yield Finding.of("contradictory-fields", item, problem, at=f"spec.{field}.rollingUpdate", fix="Take it away.")
    bounds, at = mapping(rolling), f"spec.{field}.rollingUpdate"
    for name in ("maxSurge", "maxUnavailable"):
        value = bounds.get(name)
        if isinstance(value, str) and not _PERCENT.fullmatch(value):
            fix = "A whole number without quotes, or a percentage such as 25%, is needed."
            yield Finding.of("bad-value", item, f"{given(value)} is no amount.", at=f"{at}.{name}", fix=fix)
    if item.kind == "Deployment" and all(bounds.get(name) in (0, "0%") for name in ("maxSurge", "maxUnavailable")):
        problem = "No pod may be more than wanted and none less, so that none can be replaced."
        fix = "Let maxSurge or maxUnavailable be 1."
        yield Finding.of("contradictory-fields", item, problem, at=at, fix=fix)
    deadline, ready = item.spec.get("progressDeadlineSeconds"), item.spec.get("minReadySeconds")
    if isinstance(deadline, int) and isinstance(ready, int) and deadline <= ready:
        problem = f"The deadline of {deadline} seconds is over before a pod counts as ready after {ready}."
        yield Finding.of(
            "bad-range", item, problem, at="spec.progressDeadlineSeconds", fix=f"More than {ready} is needed."
        )


def _job_spec(item: Object, spec: Mapping[str, Any], at: str) -> Iterator[Finding]:
    yield from _template_findings(item, spec, at)
    if spec.get("selector") is not None and spec.get("manualSelector") is not True:
        problem = "A Job selects its pods by a label that it makes up itself."
        yield Finding.of("contradictory-fields", item, problem, at=f"{at}.selector", fix="Take it away.")
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        problem = "An Indexed Job needs the number of its completions."
        yield Finding.of("missing-field", item, problem, at=f"{at}.completions")


def _cron_job(item: Object) -> Iterator[Finding]:
    spec = item.spec
    schedule, zone = spec.get("schedule"), spec.get("timeZone")
    if isinstance(schedule, str) and (problem := schedule_problem(schedule)):
        yield Finding.of("bad-schedule", item, f"{given(schedule)} is no schedule: {problem}.", at="spec.schedule")
    if isinstance(zone, str) and (problem := zone_problem(zone)):
        close = closest(zone, known_zones())
        fix = f'Did you mean "{close}"?' if close else "Give a name such as Europe/Rome."
        yield Finding.of(
            "bad-schedule", item, f"{given(zone)} is no time zone: {problem}.", at="spec.timeZone", fix=fix
        )
    yield from _job_spec(item, mapping(mapping(spec.get("jobTemplate")).get("spec")), "spec.jobTemplate.spec")


def _service(item: Object) -> Iterator[Finding]:
    spec = item.spec
    kind, ports = spec.get("type") or "ClusterIP", [mapping(port) for port in sequence(spec.get("ports"))]
    yield from label_findings(item, spec.get("selector"), "spec.selector")
    if kind == "ExternalName":
        name = spec.get("externalName")
        if not name:
            yield Finding.of("missing-field", item, "It stands for no name.", at="spec.externalName")
        elif isinstance(name, str) and not is_subdomain(name.rstrip(".")):
            yield Finding.of(
                "bad-name", item, f'"{name}" is no name of a host.', at="spec.externalName", fix="Give a DNS name."
            )
        return
    if spec.get("clusterIP") == "None" and kind != "ClusterIP":
        problem = f"A {kind} cannot be headless."
        yield Finding.of("contradictory-fields", item, problem, at="spec.clusterIP", fix="Take type or clusterIP away.")
    if not ports and spec.get("clusterIP") != "None":
        yield Finding.of("missing-field", item, "It has no port.", at="spec.ports")
    if kind == "ClusterIP" and spec.get("externalTrafficPolicy"):
        problem = "Nothing comes from outside to a ClusterIP."
        yield Finding.of("contradictory-fields", item, problem, at="spec.externalTrafficPolicy", fix="Take it away.")
    yield from _service_ports(item, ports)
    for index, block in enumerate(sequence(spec.get("loadBalancerSourceRanges"))):
        yield from _block_findings(item, block, f"spec.loadBalancerSourceRanges[{index}]")


def _service_ports(item: Object, ports: list[Mapping[str, Any]]) -> Iterator[Finding]:
    names: set[str] = set()
    pairs: set[tuple[str, str]] = set()
    for index, port in enumerate(ports):
        at = f"spec.ports[{index}]"
        for field in ("port", "nodePort", "targetPort"):
            if port.get(field) not in (None, "", 0) or (field != "nodePort" and port.get(field) == 0):
                number = port[field]
                if field == "targetPort" or not isinstance(number, str):
                    yield from port_findings(item, number, f"{at}.{field}")
        name = port.get("name")
        if isinstance(name, str) and name:
            if not is_label(name):
                fix = "It has at most 63 lower-case letters, digits and hyphens."
                yield Finding.of(
                    "bad-port", item, f'"{name}" is no name of a port of a Service.', at=f"{at}.name", fix=fix
                )
            if name in names:
                yield Finding.of("duplicate-name", item, f'Two ports are called "{name}".', at=f"{at}.name")
            names.add(name)
        elif len(ports) > 1:
            fix = "Name all ports of a Service that has several."
            yield Finding.of("missing-field", item, "One port of several has no name.", at=f"{at}.name", fix=fix)
        pair = str(port.get("port")), str(port.get("protocol") or "TCP")
        if pair in pairs:
            yield Finding.of(
                "duplicate-name", item, f"The port {pair[0]} of {pair[1]} is there twice.", at=f"{at}.port"
            )
        pairs.add(pair)


def _block_findings(item: Object, block: object, at: str) -> Iterator[Finding]:
    if not isinstance(block, str):
        return
    try:
        network = ipaddress.ip_network(block.strip(), strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in block:
        yield Finding.of("bad-value", item, f"{given(block)} is no range of addresses.", at=at, fix="Write 10.0.0.0/8.")


def _budget(item: Object) -> Iterator[Finding]:
    spec = item.spec
    yield from selector_findings(item, spec.get("selector"), "spec.selector")
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield Finding.of(
            "contradictory-fields", item, "It has minAvailable and maxUnavailable.", at="spec.maxUnavailable"
        )
    for field in ("minAvailable", "maxUnavailable"):
        value = spec.get(field)
        if isinstance(value, str) and not (_PERCENT.fullmatch(value) and int(value[:-1]) <= 100):
            fix = "A whole number without quotes, or a percentage up to 100%, is needed."
            yield Finding.of("bad-value", item, f"{given(value)} is no amount.", at=f"spec.{field}", fix=fix)


def _autoscaler(item: Object) -> Iterator[Finding]:
    spec = item.spec
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        problem = f"It wants at least {least} replicas and at most {most}."
        yield Finding.of("bad-range", item, problem, at="spec.maxReplicas", fix=f"At least {least} are needed.")
    for index, metric in enumerate(map(mapping, sequence(spec.get("metrics")))):
        kind = metric.get("type")
        if isinstance(kind, str) and kind:
            field = kind[0].lower() + kind[1:]
            if field in ("containerResource", "external", "object", "pods", "resource") and field not in metric:
                problem = f"A metric of the type {kind} does not say which."
                yield Finding.of("missing-field", item, problem, at=f"spec.metrics[{index}].{field}")


def _network_policy(item: Object) -> Iterator[Finding]:
    yield from selector_findings(item, item.spec.get("podSelector"), "spec.podSelector")
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(map(mapping, sequence(item.spec.get(direction)))):
            at = f"spec.{direction}[{number}]"
            for index, port in enumerate(map(mapping, sequence(rule.get("ports")))):
                yield from _policy_port(item, port, f"{at}.ports[{index}]")
            for index, peer in enumerate(sequence(rule.get(side))):
                yield from _peer_findings(item, mapping(peer), f"{at}.{side}[{index}]")


def _policy_port(item: Object, port: Mapping[str, Any], at: str) -> Iterator[Finding]:
    first, last = port.get("port"), port.get("endPort")
    if first is not None:
        yield from port_findings(item, first, f"{at}.port")
    if last is None:
        return
    yield from port_findings(item, last, f"{at}.endPort")
    if not isinstance(first, int):
        yield Finding.of(
            "contradictory-fields", item, "A range of ports begins with a number.", at=f"{at}.endPort", fix="Give port."
        )
    elif isinstance(last, int) and last < first:
        fix = f"At least {first} is needed."
        yield Finding.of(
            "bad-range", item, f"The ports end with {last} and begin with {first}.", at=f"{at}.endPort", fix=fix
        )


def _peer_findings(item: Object, peer: Mapping[str, Any], at: str) -> Iterator[Finding]:
    named = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    if not named:
        fix = "Write {podSelector: {}} for all pods of the namespace, and no peer at all for everybody."
        yield Finding.of("missing-field", item, "It says nobody.", at=at, fix=fix)
    elif "ipBlock" in named and len(named) > 1:
        fix = "Make them two entries of the list."
        yield Finding.of(
            "contradictory-fields", item, f"An ipBlock stands beside a {named[0]}.", at=f"{at}.ipBlock", fix=fix
        )
    for name in ("podSelector", "namespaceSelector"):
        yield from selector_findings(item, peer.get(name), f"{at}.{name}")
    block = mapping(peer.get("ipBlock"))
    yield from _block_findings(item, block.get("cidr"), f"{at}.ipBlock.cidr")
    for index, part in enumerate(sequence(block.get("except"))):
        yield from _block_findings(item, part, f"{at}.ipBlock.except[{index}]")
        if not _within(part, block.get("cidr")):
            problem = f"{part} is not a part of {block.get('cidr')}."
            yield Finding.of("bad-value", item, problem, at=f"{at}.ipBlock.except[{index}]", fix="Name a part of cidr.")


def _within(part: object, whole: object) -> bool:
    try:
        inner = ipaddress.ip_network(str(part), strict=False)
        outer = ipaddress.ip_network(str(whole), strict=False)
    except ValueError:
        return True
    return inner.version == outer.version and inner != outer and inner.subnet_of(outer)  # type: ignore[arg-type]


def _ingress(item: Object) -> Iterator[Finding]:
    rules = sequence(item.spec.get("rules"))
    if not rules and not item.spec.get("defaultBackend"):
        yield Finding.of("missing-field", item, "It has neither rules nor a defaultBackend.", at="spec.rules")
    for number, rule in enumerate(map(mapping, rules)):
        host = rule.get("host")
        if isinstance(host, str) and host and not is_subdomain(host.removeprefix("*.")):
            fix = "Give a DNS name without scheme, port and capitals; its first part may be *."
            yield Finding.of(
                "bad-name", item, f'"{host}" is no name of a host.', at=f"spec.rules[{number}].host", fix=fix
            )
        for index, path in enumerate(map(mapping, sequence(mapping(rule.get("http")).get("paths")))):
            at = f"spec.rules[{number}].http.paths[{index}]"
            text = path.get("path")
            if path.get("pathType") in ("Exact", "Prefix") and not str(text or "").startswith("/"):
                yield Finding.of(
                    "bad-value", item, f"{given(text)} is no path.", at=f"{at}.path", fix="It begins with /."
                )
            backend = mapping(path.get("backend"))
            port = mapping(mapping(backend.get("service")).get("port"))
            if backend.get("service") and len([value for value in port.values() if value is not None]) != 1:
                fix = "Give the name of the port or its number."
                yield Finding.of(
                    "contradictory-fields",
                    item,
                    "The port is given by one of name and number.",
                    at=f"{at}.backend.service.port",
                    fix=fix,
                )


def _claim(item: Object) -> Iterator[Finding]:
    yield from _claim_findings(item, item.spec, "spec")


def _claim_findings(item: Object, spec: Mapping[str, Any], at: str) -> Iterator[Finding]:
    if not sequence(spec.get("accessModes")):
        yield Finding.of(
            "missing-field", item, "A claim says how it is accessed.", at=f"{at}.accessModes", fix="ReadWriteOnce."
        )
    storage = mapping(mapping(spec.get("resources")).get("requests")).get("storage")
    if storage is None:
        yield Finding.of(
            "missing-field", item, "A claim says how much it wants.", at=f"{at}.resources.requests.storage"
        )
    else:
        yield from quantity_findings(item, "storage", storage, f"{at}.resources.requests.storage")


def _role(item: Object) -> Iterator[Finding]:
    for index, rule in enumerate(map(mapping, sequence(item.manifest.get("rules")))):
        at = f"rules[{index}]"
        if not sequence(rule.get("verbs")):
            yield Finding.of("missing-field", item, "A rule allows no verb.", at=f"{at}.verbs")
        if rule.get("nonResourceURLs"):
            if item.kind == "Role":
                problem = "A Role is about a namespace, in which there are no URLs."
                yield Finding.of(
                    "contradictory-fields", item, problem, at=f"{at}.nonResourceURLs", fix="Use a ClusterRole."
                )
            continue
        for field in ("apiGroups", "resources"):
            if not sequence(rule.get(field)):
                fix = 'The core group is "".' if field == "apiGroups" else ""
                yield Finding.of("missing-field", item, f"A rule names no {field}.", at=f"{at}.{field}", fix=fix)


def _binding(item: Object) -> Iterator[Finding]:
    for index, subject in enumerate(map(mapping, sequence(item.manifest.get("subjects")))):
        at = f"subjects[{index}]"
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            fix = "Give its namespace, even if it is the same."
            yield Finding.of("missing-field", item, "A ServiceAccount has a namespace.", at=f"{at}.namespace", fix=fix)
        group = subject.get("apiGroup")
        wanted = "" if subject.get("kind") == "ServiceAccount" else "rbac.authorization.k8s.io"
        if group not in (None, wanted):
            fix = f'"{wanted}" is needed.'
            yield Finding.of(
                "bad-value", item, f"{given(group)} is not the group of its kind.", at=f"{at}.apiGroup", fix=fix
            )


def _definition(item: Object) -> Iterator[Finding]:
    wanted = f"{mapping(item.spec.get('names')).get('plural')}.{item.spec.get('group')}"
    if item.metadata.get("name") != wanted:
        problem = "The name of a CustomResourceDefinition is that of its kind."
        yield Finding.of("bad-name", item, problem, at="metadata.name", fix=f"Call it {wanted}.")


def _application(item: Object) -> Iterator[Finding]:
    spec = item.spec
    if "source" in spec and sequence(spec.get("sources")):
        yield Finding.of(
            "contradictory-fields", item, "It has source and sources; source is ignored.", at="spec.source"
        )
    if not any(spec.get(field) for field in ("source", "sources", "sourceHydrator")):
        yield Finding.of("missing-field", item, "It says nowhere what to deploy.", at="spec.source")
    if not sequence(spec.get("sources")):
        yield from _source_findings(item, spec.get("source"), "spec.source")
    for index, source in enumerate(sequence(spec.get("sources"))):
        yield from _source_findings(item, source, f"spec.sources[{index}]")
    destination = mapping(spec.get("destination"))
    named = [field for field in ("server", "name") if destination.get(field)]
    if len(named) == 2:
        problem = "The cluster is named by its address and by its name."
        yield Finding.of("contradictory-fields", item, problem, at="spec.destination.name")
    if not named and isinstance(spec.get("destination"), dict):
        fix = "Give server: https://kubernetes.default.svc for the cluster of Argo CD itself."
        yield Finding.of(
            "missing-field", item, "The destination names no cluster.", at="spec.destination.server", fix=fix
        )
    entries = sequence(mapping(spec.get("syncPolicy")).get("syncOptions"))
    for index, option in enumerate(entries):
        yield from _option_findings(item, option, f"spec.syncPolicy.syncOptions[{index}]")


def _source_findings(item: Object, source: object, at: str) -> Iterator[Finding]:
    if not isinstance(source, dict) or not source.get("repoURL"):
        return
    whole = str(source["repoURL"]).startswith("oci:")
    if not whole and not any(source.get(field) for field in ("path", "chart", "ref")):
        fix = "Give path, chart or ref; path: . is the root of the repository."
        yield Finding.of("missing-field", item, "A source says nothing of what to take.", at=f"{at}.path", fix=fix)
    if source.get("chart") and not source.get("targetRevision"):
        yield Finding.of("missing-field", item, "A chart needs a version.", at=f"{at}.targetRevision")


def _option_findings(item: Object, option: object, at: str) -> Iterator[Finding]:
    if not isinstance(option, str) or not option.strip():
        return
    name, _, value = option.strip().partition("=")
    allowed = _SYNC_OPTIONS.get(name)
    if allowed is None:
        fix = sentence(nearest(name, _SYNC_OPTIONS))
        yield Finding.of("unknown-sync-option", item, f'There is no sync option "{name}".', at=at, fix=fix)
    elif value not in allowed:
        fix = f"{name} is one of {', '.join(allowed)}."
        yield Finding.of("unknown-sync-option", item, f'"{option}" is no sync option.', at=at, fix=fix)


def argocd_annotation_findings(item: Object) -> Iterator[Finding]:
    """Yield what Argo CD does not understand in its annotations of an object: the wave, and sync options.

    A wave that is no whole number counts as 0 without a word
    (https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/).

    Args:
        item: The object.
    """
    wave = item.annotations.get(WAVE)
    if wave is not None and not re.fullmatch(r"[+-]?[0-9]+", wave):
        problem = f'The sync wave "{wave}" is no whole number, and counts as 0.'
        yield Finding.of("bad-value", item, problem, at=f"metadata.annotations.{WAVE}", fix='Write one, such as "1".')
    for option in item.annotations.get(SYNC_OPTIONS, "").split(","):
        yield from _option_findings(item, option, f"metadata.annotations.{SYNC_OPTIONS}")


_RULES: Mapping[tuple[str, str], Callable[[Object], Iterator[Finding]]] = {
    ("apps", "Deployment"): _workload,
    ("apps", "ReplicaSet"): _workload,
    ("apps", "StatefulSet"): _workload,
    ("apps", "DaemonSet"): _workload,
    ("batch", "Job"): lambda item: _job_spec(item, item.spec, "spec"),
    ("batch", "CronJob"): _cron_job,
    ("", "Service"): _service,
    ("", "ConfigMap"): data_findings,
    ("", "Secret"): data_findings,
    ("", "PersistentVolumeClaim"): _claim,
    ("policy", "PodDisruptionBudget"): _budget,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("networking.k8s.io", "NetworkPolicy"): _network_policy,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("rbac.authorization.k8s.io", "Role"): _role,
    ("rbac.authorization.k8s.io", "ClusterRole"): _role,
    ("rbac.authorization.k8s.io", "RoleBinding"): _binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("argoproj.io", "Application"): _application,
}

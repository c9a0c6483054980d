"""Proof that what selects or names pods finds them: autoscalers, disruption budgets, monitors, affinities."""

from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.monitors import Monitor, monitors
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, texts
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import SCALERS
from constructs_lib.kubernetes.workloads import scaled as scaled_by
from constructs_lib.text import hint, nearest, within

_SCALABLE = ("Deployment", "ReplicaSet", "StatefulSet")


def prove_selections(model: ClusterModel) -> Iterator[Finding]:
    """Yield selectors that find no pods, and references to workloads that do not exist."""
    yield from _autoscalers(model)
    for budget in model.kind("PodDisruptionBudget"):
        yield from without_pods(model, "disruption-budget-without-pods", budget, "selector")
    for monitor in model.once(monitors):
        yield from _monitor(model, monitor)
    for pods in model.pods:
        yield from _spread(model, pods)


def without_pods(model: ClusterModel, code: str, item: Object, field: str) -> Iterator[Finding]:
    """Yield a finding if a selector in the spec of an object finds no pods in its namespace."""
    selector, namespace = item.spec.get(field), item.namespace
    if namespace in model.closed_namespaces and not model.selected(namespace, selector):
        problem = f"No pods{within(namespace)} match {Selector(selector)}."
        fix = labels_hint(model, namespace, texts(mapping(selector).get("matchLabels")))
        yield Finding.of(code, item, problem, at=f"spec.{field}", fix=fix)


def labels_hint(model: ClusterModel, namespace: str, selector: Mapping[str, str]) -> str:
    """Return which value a label should have, if pods have all the labels of a selector but one."""
    for key, value in selector.items():
        others = {other: text for other, text in selector.items() if other != key}
        matching = model.selected(namespace, {"matchLabels": others})
        values = {pods.labels[key] for pods in matching if key in pods.labels}
        if values and value not in values:
            return f"For {key}, {nearest(value, values)}"
    return ""


def _autoscalers(model: ClusterModel) -> Iterator[Finding]:
    scaled: dict[Identity, Object] = {}
    for autoscaler in model.kind(*SCALERS):
        kind, namespace, name = scaled_by(autoscaler)
        default = "apps/v1" if autoscaler.kind == "ScaledObject" else ""
        version = inner(autoscaler.spec, "scaleTargetRef", "apiVersion") or default
        identity = str(version).rpartition("/")[0], kind, namespace, name
        yield from _scale_target(model, autoscaler, identity)
        if (other := scaled.setdefault(identity, autoscaler)) is not autoscaler:
            problem = f"The {kind} {name} is scaled by the {other.kind} {other.name} already."
            yield Finding.of("autoscalers-share-target", autoscaler, problem, at="spec.scaleTargetRef")


def _scale_target(model: ClusterModel, autoscaler: Object, identity: Identity) -> Iterator[Finding]:
    group, kind, namespace, name = identity
    known = group in ("", "apps") and kind in (*_SCALABLE, "DaemonSet")
    missing = identity not in model.by_identity
    if not known or not (missing or kind == "DaemonSet") or (missing and namespace not in model.closed_namespaces):
        return
    problem = f'There is no {kind} {name} of the API group "{group}"{within(namespace)} that can be scaled.'
    others = {other for scalable in _SCALABLE for other in model.names(scalable, namespace)}
    fix = hint("workload", name, others) if name not in others else ""
    yield Finding.of("autoscaler-without-target", autoscaler, problem, at="spec.scaleTargetRef", fix=fix)


def _monitor(model: ClusterModel, monitor: Monitor) -> Iterator[Finding]:
    code, item = "monitor-without-target", monitor.item
    known = {*model.namespaces, *model.open_namespaces, *platform.NAMESPACES}
    if unknown := next((name for name in monitor.namespaces if name not in known), None):
        yield Finding.missing(code, item, "spec.namespaceSelector", "namespace", unknown, model.namespaces)
        return
    if not (monitor.services if monitor.is_of_services else monitor.pods):
        if model.closed_namespaces.issuperset(monitor.namespaces):
            what = "Services" if monitor.is_of_services else "pods"
            where, selector = ", ".join(sorted(monitor.namespaces)), Selector(item.spec.get("selector", {}))
            yield Finding.of(code, item, f"No {what} in the namespaces {where} match {selector}.", at="spec.selector")
        return
    offered = (port for service in monitor.services for port in mappings(service.spec.get("ports")))
    names = {str(port.get("name")) for port in offered}
    if not monitor.is_of_services:
        names = {port.name for pods in monitor.pods for port in pods.ports}
    for at, endpoint in monitor.endpoints.items():
        port = endpoint.get("port")
        if isinstance(port, str) and port not in names:
            problem, fix = f'No target has a port named "{port}".', hint("port's name", port, names)
            yield Finding.of("monitor-port-unknown", monitor.item, problem, at=f"{at}.port", fix=fix)


def _spread(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    field = "topologySpreadConstraints"
    for at, constraint in entries(pods.spec.get(field), f"{pods.path}.{field}"):
        selector = constraint.get("labelSelector")
        if selector is not None and not Selector(selector).matches(pods.labels):
            problem = f"The pods do not have the labels {Selector(selector)} by which they are spread."
            yield Finding.of("spread-without-pods", pods.owner, problem, at=f"{at}.labelSelector")
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = mapping(inner(pods.spec, "affinity", kind))
        for at, term in _terms(affinity, f"{pods.path}.affinity.{kind}"):
            selector = term.get("labelSelector")
            elsewhere = term.get("namespaces") or term.get("namespaceSelector") is not None
            if selector is None or elsewhere or pods.namespace not in model.closed_namespaces:
                continue
            if not model.selected(pods.namespace, selector):
                problem = f"No pods{within(pods.namespace)} match {Selector(selector)}."
                yield Finding.of("spread-without-pods", pods.owner, problem, at=f"{at}.labelSelector")


def _terms(affinity: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    yield from entries(affinity.get(required), f"{at}.{required}")
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    for here, weighted in entries(affinity.get(preferred), f"{at}.{preferred}"):
        yield f"{here}.podAffinityTerm", mapping(weighted.get("podAffinityTerm"))

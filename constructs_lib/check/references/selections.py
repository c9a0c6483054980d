"""Proof that what selects or names pods, Services and their ports finds them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.monitors import Monitor, monitors
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, sequence, texts, texts_in
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import SCALERS, Container, is_headless, service_ports
from constructs_lib.kubernetes.workloads import scaled as scaled_by
from constructs_lib.text import closest, hint, nearest, within

_SCALABLE = ("Deployment", "ReplicaSet", "StatefulSet")
#: What stands for the port of a backend that an annotation describes, to the controller of AWS.
#: https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/#actions
_IN_ANNOTATION = "use-annotation"
#: Labels that the controller of a kind adds to its pods.
_ADDED_LABELS = {
    *("controller-revision-hash", "controller-uid", "job-name", "pod-template-hash"),
    *("apps.kubernetes.io/pod-index", "statefulset.kubernetes.io/pod-name"),
    *("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-completion-index", "batch.kubernetes.io/job-name"),
}

#: A label of pods that cert-manager makes for as long as it takes to show that a host is ours.
_ACME_SOLVER = "acme.cert-manager.io/http01-solver"


def prove_selections(model: ClusterModel) -> Iterator[Finding]:
    """Yield selectors that find no pods, and references to workloads, Services and ports that do not exist."""
    for service in model.kind("Service"):
        if not service.group:
            yield from _service(model, service)
    for stateful_set in model.kind("StatefulSet"):
        yield from _governing_service(model, stateful_set)
    for ingress in model.kind("Ingress"):
        yield from _ingress(model, ingress)
    yield from _autoscalers(model)
    for budget in model.kind("PodDisruptionBudget"):
        yield from _without_pods(model, "disruption-budget-without-pods", budget, "selector")
    for monitor in model.once(monitors):
        yield from _monitor(model, monitor)
    for pods in model.pods:
        yield from _spread(model, pods)
        yield from _probes(pods)
    namespaces = _Namespaces(model)
    for policy in model.kind("NetworkPolicy"):
        if policy.group == "networking.k8s.io":
            yield from _policy(model, namespaces, policy)


def _without_pods(model: ClusterModel, code: str, item: Object, field: str) -> Iterator[Finding]:
    """Yield a finding if a selector in the spec of an object finds no pods in its namespace."""
    selector, namespace = item.spec.get(field), item.namespace
    labels = texts(mapping(selector).get("matchLabels"))
    if not model.selected(namespace, selector) and _lacks_pods(model, namespace, labels):
        problem = f"No pods{within(namespace)} match {Selector(selector)}."
        fix = _labels_hint(model, namespace, labels)
        yield Finding.of(code, item, problem, at=f"spec.{field}", fix=fix)


def _lacks_pods(model: ClusterModel, namespace: str, labels: Mapping[str, str]) -> bool:
    """Tell whether no pods have some labels, since there are no other pods, or since one label is a misspelled one."""
    if namespace in model.closed_namespaces:
        return True
    own = {label for pods in model.pods_by_namespace.get(namespace, ()) for label in pods.labels.items()}
    unknown = [label for label in labels.items() if label not in own]
    return model.lacks("Pod", namespace, *labels, *labels.values()) and any(
        closest(value, {known for name, known in own if name == key}) for key, value in unknown
    )


def _labels_hint(model: ClusterModel, namespace: str, selector: Mapping[str, str]) -> str:
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
    if not known or not (missing or kind == "DaemonSet") or (missing and not model.lacks(kind, namespace, name)):
        return
    problem = f'There is no {kind} {name} of the API group "{group}"{within(namespace)} that can be scaled.'
    others = {other for scalable in _SCALABLE for other in model.names(scalable, namespace)}
    fix = hint("workload", name, others) if name not in others else ""
    yield Finding.of("autoscaler-without-target", autoscaler, problem, at="spec.scaleTargetRef", fix=fix)


def _monitor(model: ClusterModel, monitor: Monitor) -> Iterator[Finding]:
    code, item = "monitor-without-target", monitor.item
    known = {*model.namespaces, *model.open_namespaces, *platform.NAMESPACES}
    unknown = next((name for name in monitor.namespaces if name not in known), None)
    if unknown and not model.has_applications and not closest(unknown, known):
        # Where nothing tells what makes namespaces, a person or a tool may have made it.
        return
    if unknown:
        yield Finding.missing(code, item, "spec.namespaceSelector", "namespace", unknown, model.namespaces)
        return
    if not (monitor.services if monitor.is_of_services else monitor.pods):
        kind, wanted = ("Service" if monitor.is_of_services else "Pod"), texts_in(item.spec.get("selector"))
        if all(model.lacks(kind, name, *wanted) for name in monitor.namespaces):
            what = "Services" if monitor.is_of_services else "pods"
            where, selector = ", ".join(sorted(monitor.namespaces)), Selector(item.spec.get("selector", {}))
            yield Finding.of(code, item, f"No {what} in the namespaces {where} match {selector}.", at="spec.selector")
        return
    if "selector" not in item.spec:
        # The API server refuses it.
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
            places = [*map(str, sequence(term.get("namespaces")))] if elsewhere else [pods.namespace]
            if selector is None or not places or term.get("namespaceSelector") is not None:
                continue
            labels = texts(mapping(selector).get("matchLabels"))
            if not any(model.selected(place, selector) or not _lacks_pods(model, place, labels) for place in places):
                problem = f"No pods in the namespace {' or '.join(places)} match {Selector(selector)}."
                yield Finding.of("spread-without-pods", pods.owner, problem, at=f"{at}.labelSelector")


def _terms(affinity: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    yield from entries(affinity.get(required), f"{at}.{required}")
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    for here, weighted in entries(affinity.get(preferred), f"{at}.{preferred}"):
        yield f"{here}.podAffinityTerm", mapping(weighted.get("podAffinityTerm"))


def _service(model: ClusterModel, service: Object) -> Iterator[Finding]:
    selector = texts(service.spec.get("selector"))
    if not selector:
        return
    wanted = {key: value for key, value in selector.items() if key not in _ADDED_LABELS}
    selected = model.selected(service.namespace, {"matchLabels": wanted})
    if not selected and _lacks_pods(model, service.namespace, selector):
        problem = f"No pods{within(service.namespace)} have the labels {Selector({'matchLabels': selector})}."
        fix = _labels_hint(model, service.namespace, selector)
        yield Finding.of("service-without-pods", service, problem, at="spec.selector", fix=fix)
    for at, port in entries(service.spec.get("ports"), "spec.ports"):
        found = [(pods, finding) for pods in selected for finding in _target(service, port, pods, f"{at}.targetPort")]
        # Variants in a tree without Applications, or ports that a patch brings.
        if model.has_applications or len(found) == len(selected):
            yield from (finding for pods, finding in found if not _has_other_ports(model, pods.owner))


def _has_other_ports(model: ClusterModel, item: Object) -> bool:
    return model.is_patched(item.path, item.kind, item.name, "spec.template.spec.containers.ports")


def _target(service: Object, port: Mapping[str, Any], pods: Pods, at: str) -> Iterator[Finding]:
    target = port.get("targetPort", port.get("port"))
    protocol = str(port.get("protocol") or "TCP")
    names = {port.name for port in pods.ports if port.name and port.protocol == protocol}
    numbers = {str(port.number) for port in pods.ports if port.protocol == protocol}
    owner = f"{pods.owner.kind} {pods.owner.name}"
    if isinstance(target, str) and not target.isdecimal():
        if target not in names:
            problem = f'No container of the {owner} has a {protocol} port named "{target}".'
            yield Finding.of("target-port-unknown", service, problem, at=at, fix=hint("port's name", target, names))
    elif pods.ports and isinstance(target, int | str) and str(target) not in numbers and not is_headless(service):
        problem = f"No container of the {owner} declares the {protocol} port {target}."
        yield Finding.of("target-port-undeclared", service, problem, at=at, fix=hint("port", str(target), numbers))


def _named(model: ClusterModel, code: str, item: Object, name: str, at: str) -> Iterator[Finding]:
    """Yield a finding if there is no Service of a name beside an object."""
    namespace = item.namespace
    if model.get("Service", namespace, name) is None and model.lacks("Service", namespace, name):
        known = model.names("Service", namespace)
        yield Finding.missing(code, item, at, "Service", name, known, namespace)


def _governing_service(model: ClusterModel, stateful_set: Object) -> Iterator[Finding]:
    name, at = stateful_set.spec.get("serviceName"), "spec.serviceName"
    if not isinstance(name, str) or not name:
        return
    yield from _named(model, "governing-service-missing", stateful_set, name, at)
    service = model.get("Service", stateful_set.namespace, name)
    if service is None or model.has_several(service) or model.has_several(stateful_set):
        return
    selected = model.behind(service)
    if all(pods.owner is not stateful_set for pods in selected):
        problem = f"The Service {name} does not select its pods."
        yield Finding.of("governing-service-unfit", stateful_set, problem, at=at)
    elif not is_headless(service):
        pod = re.compile(rf"(?<![\w.-]){re.escape(stateful_set.name)}-[^.\s]+\.{re.escape(name)}(?![\w-])")
        caller = next((pods for pods in model.pods if any(map(pod.search, _said(model, pods)))), None)
        if caller:
            problem = f"The Service {name} is not headless, and {caller.owner.name} calls a pod by its name."
            yield Finding.of("governing-service-unfit", stateful_set, problem, at=at)
        else:
            yield Finding.of(
                "governing-service-with-address", stateful_set, f"The Service {name} is not headless.", at=at
            )


def _said(model: ClusterModel, pods: Pods) -> Iterator[str]:
    """Yield what the containers of pods are told, by arguments and by variables."""
    for container in pods.containers:
        yield from (text for _, text in container.words)
        yield from (variable.value for variable in model.variables(pods, container).values())


def _ingress(model: ClusterModel, ingress: Object) -> Iterator[Finding]:
    if "defaultBackend" in ingress.spec:
        yield from _backend(model, ingress, inner(ingress.spec, "defaultBackend", "service"), "spec.defaultBackend")
    for at, rule in entries(ingress.spec.get("rules"), "spec.rules"):
        for here, path in entries(inner(rule, "http", "paths"), f"{at}.http.paths"):
            yield from _backend(model, ingress, inner(path, "backend", "service"), f"{here}.backend")
    named, known = ingress.spec.get("ingressClassName"), model.names("IngressClass")
    if isinstance(named, str) and named not in known and (not _may_exist(model, named) or closest(named, known, 0.7)):
        at = "spec.ingressClassName"
        yield Finding.missing("ingress-class-missing", ingress, at, "IngressClass", named, known, hinted="class")


def _may_exist(model: ClusterModel, ingress_class: str) -> bool:
    """Tell whether a chart or the cluster may bring an IngressClass that the tree does not have."""
    of_k3s = model.cluster.kind == "k3d" and ingress_class == "traefik"
    if of_k3s and "traefik" not in model.bootstrap.k3s_disabled:
        return True
    return not model.cluster.kind or model.is_named_by_chart(ingress_class)


def _backend(model: ClusterModel, ingress: Object, backend: object, at: str) -> Iterator[Finding]:
    name, port = mapping(backend).get("name"), mapping(mapping(backend).get("port"))
    if not isinstance(name, str):
        return
    yield from _named(model, "ingress-backend-missing", ingress, name, f"{at}.service.name")
    service = model.get("Service", ingress.namespace, name)
    # An ExternalName needs no ports: it leads to whatever port is called.
    if service is None or service.spec.get("type") == "ExternalName" or model.has_several(service):
        return
    for key in ("name", "number"):
        known = {str(getattr(offered, key)) for offered in service_ports(service)}
        if key in port and str(port[key]) not in known and port[key] != _IN_ANNOTATION:
            problem, fix = f"The Service {name} has no port {port[key]}.", hint("port", str(port[key]), known)
            yield Finding.of("ingress-backend-missing", ingress, problem, at=f"{at}.service.port.{key}", fix=fix)


def _probes(pods: Pods) -> Iterator[Finding]:
    for container in pods.containers:
        names = {port.name for port in container.ports if port.name}
        for field, handler in container.handlers:
            for action in ("httpGet", "tcpSocket", "grpc"):
                port = inner(handler, action, "port")
                if isinstance(port, int) and container.runs:
                    yield from _undeclared(pods, container, f"{container.path}.{field}.{action}.port", port)
                if isinstance(port, str) and not port.isdecimal() and port not in names:
                    problem = f'The container {container.name} has no port named "{port}".'
                    at, fix = f"{container.path}.{field}.{action}.port", hint("port's name", port, names)
                    yield Finding.of("probe-port-unknown", pods.owner, problem, at=at, fix=fix)


def _undeclared(pods: Pods, container: Container, at: str, port: int) -> Iterator[Finding]:
    """Yield a probe of a port that is almost one of the container's, and that nothing tells it to listen on."""
    numbers = {str(each.number) for each in container.ports}
    every = {str(each.number) for each in pods.ports}
    told = any(
        str(port) in str(text)
        for text in texts_in([container.get("args"), container.get("command"), container.get("env")])
    )
    if numbers and str(port) not in every and not told and closest(str(port), numbers, 0.75):
        problem, fix = f"The container {container.name} declares no port {port}.", hint("port", str(port), numbers)
        yield Finding.of("probe-port-undeclared", pods.owner, problem, at=at, fix=fix)


class _Namespaces:
    """The namespaces that are known to exist, by their labels."""

    def __init__(self, model: ClusterModel) -> None:
        others = (*platform.NAMESPACES, *model.open_namespaces, *model.others_namespaces)
        self._labels = {**{name: {platform.NAME_LABEL: name} for name in others}, **model.namespaces}

    def selected(self, selector: object) -> list[str]:
        named = _wanted_name(selector)
        known = self._labels if named is None else {named} & self._labels.keys()
        return [name for name in known if Selector(selector).matches(self._labels[name])]


def _wanted_name(selector: object) -> str | None:
    """Return the name that a selector of namespaces wants, if it wants one."""
    return texts(inner(selector, "matchLabels")).get(platform.NAME_LABEL)


def _policy(model: ClusterModel, namespaces: _Namespaces, policy: Object) -> Iterator[Finding]:
    selector = policy.spec.get("podSelector")
    if selector and _ACME_SOLVER not in texts(mapping(selector).get("matchLabels")):
        yield from _without_pods(model, "policy-without-pods", policy, "podSelector")
    own = model.selected(policy.namespace, selector or {})
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for at, rule in entries(policy.spec.get(direction), f"spec.{direction}"):
            peers = [*entries(rule.get(side), f"{at}.{side}")]
            for here, peer in peers:
                wanted = peer.get("namespaceSelector")
                named = _wanted_name(wanted)
                # A namespace outside of the tree may have other labels, but not another name.
                if named is not None and not namespaces.selected(wanted):
                    field, known = f"{here}.namespaceSelector", model.namespaces
                    yield Finding.missing("policy-namespace-unknown", policy, field, "namespace", named, known)
            called = own if direction == "ingress" else _peers(model, namespaces, policy, [peer for _, peer in peers])
            yield from _ports(policy, rule, called, at)


def _peers(
    model: ClusterModel, namespaces: _Namespaces, policy: Object, peers: Sequence[Mapping[str, Any]]
) -> Sequence[Pods]:
    """Return the pods that a rule leads to; none if it may lead to others as well."""
    found: list[Pods] = []
    for peer in peers:
        selector = peer.get("namespaceSelector")
        names = [policy.namespace] if selector is None else namespaces.selected(selector)
        if "ipBlock" in peer or not model.closed_namespaces.issuperset(names):
            return ()
        for name in names:
            found += model.selected(name, peer.get("podSelector") or {})
    return found


def _ports(policy: Object, rule: Mapping[str, Any], called: Sequence[Pods], at: str) -> Iterator[Finding]:
    for here, entry in entries(rule.get("ports"), f"{at}.ports"):
        port, protocol = entry.get("port"), str(entry.get("protocol") or "TCP")
        if not isinstance(port, str) or not called:
            continue
        names = {port.name for pods in called for port in pods.ports if port.protocol == protocol}
        if port not in names:
            problem = f'No pods that the rule leads to have a {protocol} port named "{port}".'
            fix = hint("port's name", port, names - {""})
            yield Finding.of("policy-port-unknown", policy, problem, at=f"{here}.port", fix=fix)

"""Proof that Services, and what leads to them, find pods and ports: Ingresses, StatefulSets and probes."""

from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.references.selections import labels_hint
from constructs_lib.kubernetes.manifest import entries, inner, mapping, texts
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.services import service_ports
from constructs_lib.text import hint, within

#: Labels that the controller of a kind adds to its pods.
_ADDED_LABELS = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/job-name",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    }
)


def prove_services(model: ClusterModel) -> Iterator[Finding]:
    """Yield Services without pods or ports, and what leads to Services or ports that do not exist."""
    for service in model.kind("Service"):
        if not service.group:
            yield from _service(model, service)
    for stateful_set in model.kind("StatefulSet"):
        yield from _governing_service(model, stateful_set)
    for ingress in model.kind("Ingress"):
        yield from _ingress(model, ingress)
    for pods in model.pods:
        yield from _probes(pods)


def _service(model: ClusterModel, service: Object) -> Iterator[Finding]:
    selector = texts(service.spec.get("selector"))
    if not selector:
        return
    wanted = {key: value for key, value in selector.items() if key not in _ADDED_LABELS}
    selected = model.selected(service.namespace, {"matchLabels": wanted})
    if not selected and service.namespace in model.closed_namespaces:
        problem = f"No pods{within(service.namespace)} have the labels {Selector({'matchLabels': selector})}."
        fix = labels_hint(model, service.namespace, selector)
        yield Finding.of("service-without-pods", service, problem, at="spec.selector", fix=fix)
    for at, port in entries(service.spec.get("ports"), "spec.ports"):
        for pods in selected:
            yield from _target(service, port, pods, f"{at}.targetPort")


def _target(service: Object, port: Mapping[str, Any], pods: Pods, at: str) -> Iterator[Finding]:
    target = port.get("targetPort", port.get("port"))
    protocol = str(port.get("protocol") or "TCP")
    names = {port.name for port in pods.ports if port.name and port.protocol == protocol}
    numbers = {str(port.number) for port in pods.ports if port.protocol == protocol}
    owner = f"{pods.owner.kind} {pods.owner.name}"
    if isinstance(target, str) and not target.isdecimal():
        if target not in names:
            problem = f'No container of the {owner} has a {protocol} port named "{target}".'
            fix = hint("port's name", target, names)
            yield Finding.of("target-port-unknown", service, problem, at=at, fix=fix)
    elif pods.ports and isinstance(target, int | str) and str(target) not in numbers:
        problem = f"No container of the {owner} declares the {protocol} port {target}."
        fix = hint("port", str(target), numbers)
        yield Finding.of("target-port-undeclared", service, problem, at=at, fix=fix)


def _named(model: ClusterModel, code: str, item: Object, name: str, at: str) -> Iterator[Finding]:
    """Yield a finding if there is no Service of a name beside an object."""
    namespace = item.namespace
    if model.get("Service", namespace, name) is None and namespace in model.closed_namespaces:
        known = model.names("Service", namespace)
        yield Finding.missing(code, item, at, "Service", name, known, namespace)


def _governing_service(model: ClusterModel, stateful_set: Object) -> Iterator[Finding]:
    name, at = stateful_set.spec.get("serviceName"), "spec.serviceName"
    if not isinstance(name, str) or not name:
        return
    yield from _named(model, "governing-service-missing", stateful_set, name, at)
    if (service := model.get("Service", stateful_set.namespace, name)) is None:
        return
    selected = model.behind(service)
    headless = service.spec.get("clusterIP") == "None"
    if not headless or all(pods.owner is not stateful_set for pods in selected):
        problem = f"The Service {name} {'does not select its pods' if headless else 'is not headless'}."
        yield Finding.of("governing-service-unfit", stateful_set, problem, at=at)


def _ingress(model: ClusterModel, ingress: Object) -> Iterator[Finding]:
    if "defaultBackend" in ingress.spec:
        yield from _backend(model, ingress, inner(ingress.spec, "defaultBackend", "service"), "spec.defaultBackend")
    for at, rule in entries(ingress.spec.get("rules"), "spec.rules"):
        for here, path in entries(inner(rule, "http", "paths"), f"{at}.http.paths"):
            yield from _backend(model, ingress, inner(path, "backend", "service"), f"{here}.backend")
    named, known = ingress.spec.get("ingressClassName"), model.names("IngressClass")
    if isinstance(named, str) and named not in known and not _may_exist(model, named):
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
    if (service := model.get("Service", ingress.namespace, name)) is None:
        return
    for key in ("name", "number"):
        known = {str(getattr(offered, key)) for offered in service_ports(service)}
        if key in port and str(port[key]) not in known:
            problem, fix = f"The Service {name} has no port {port[key]}.", hint("port", str(port[key]), known)
            yield Finding.of("ingress-backend-missing", ingress, problem, at=f"{at}.service.port.{key}", fix=fix)


def _probes(pods: Pods) -> Iterator[Finding]:
    for container in pods.containers:
        names = {port.name for port in container.ports if port.name}
        for field, handler in container.handlers:
            for action in ("httpGet", "tcpSocket"):
                port = inner(handler, action, "port")
                if isinstance(port, str) and not port.isdecimal() and port not in names:
                    problem = f'The container {container.name} has no port named "{port}".'
                    at, fix = f"{container.path}.{field}.{action}.port", hint("port's name", port, names)
                    yield Finding.of("probe-port-unknown", pods.owner, problem, at=at, fix=fix)

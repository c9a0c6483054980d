"""Proof that what selects or names pods and Services finds them, with the ports that it means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import PLATFORM_NAMESPACES, ClusterModel, Pods
from constructs_lib.check.selectors import PodIndex, container_ports, selects, shown
from constructs_lib.kubernetes.manifest import mapping, sequence, texts
from constructs_lib.text import hint, nearest, within

_SERVICES = "https://kubernetes.io/docs/concepts/services-networking/service/"
_POLICIES = "https://kubernetes.io/docs/concepts/services-networking/network-policies/"
_OPERATOR = "https://prometheus-operator.dev/docs/api-reference/api/"


_SCALABLE = ("Deployment", "ReplicaSet", "StatefulSet")
#: The label that Kubernetes gives every namespace.
_NAME = "kubernetes.io/metadata.name"
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
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


def prove_selections(model: ClusterModel) -> Iterator[Finding]:
    """Yield every selector that finds nothing, and every named pod, Service or port that is not there."""
    return _Selections(model).prove()


class _Selections:
    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._pods = model.once(PodIndex)
        self._closed = model.closed_namespaces

    def prove(self) -> Iterator[Finding]:
        for service in self._model.kind("Service"):
            if not service.group:
                yield from self._service(service)
        yield from self._autoscalers()
        for budget in self._model.kind("PodDisruptionBudget"):
            yield from self._budget(budget)
        for monitor in self._model.kind("ServiceMonitor", "PodMonitor"):
            yield from self._monitor(monitor)
        for stateful_set in self._model.kind("StatefulSet"):
            yield from self._governing_service(stateful_set)
        for policy in self._model.kind("NetworkPolicy"):
            if policy.group == "networking.k8s.io":
                yield from self._policy(policy)
        for ingress in self._model.kind("Ingress"):
            yield from self._ingress(ingress)
        for pods in self._model.pods:
            yield from self._probes(pods)
            yield from self._spread(pods)

    @cached_property
    def _services(self) -> Mapping[str, list[Object]]:
        found: dict[str, list[Object]] = defaultdict(list)
        for service in self._model.kind("Service"):
            if not service.group:
                found[service.namespace].append(service)
        return found

    def _service(self, service: Object) -> Iterator[Finding]:
        selector = texts(service.spec.get("selector"))
        if not selector:
            return
        pods = self._without_added(service.namespace, selector)
        if not pods:
            if service.namespace in self._closed:
                yield Finding.of(
                    "service-without-pods",
                    service,
                    f"No pods{within(service.namespace)} have the labels {shown({'matchLabels': selector})}.",
                    at="spec.selector",
                    fix=self._labels_hint(service.namespace, selector),
                )
            return
        for number, port in enumerate(map(mapping, sequence(service.spec.get("ports")))):
            yield from self._target(service, number, port, pods)

    def _without_added(self, namespace: str, selector: Mapping[str, str]) -> list[Pods]:
        wanted = {key: value for key, value in selector.items() if key not in _ADDED_LABELS}
        return self._pods.selected(namespace, {"matchLabels": wanted})

    def _labels_hint(self, namespace: str, selector: Mapping[str, str]) -> str:
        """Return which value a label should have, where one label has a wrong one."""
        for key, value in selector.items():
            others = {known: text for known, text in selector.items() if known != key}
            values = {
                pods.labels[key]
                for pods in self._pods.selected(namespace, {"matchLabels": others})
                if key in pods.labels
            }
            if values and value not in values:
                return f"For {key}, {nearest(value, values)}"
        return ""

    def _target(self, service: Object, number: int, port: Mapping[str, Any], pods: Sequence[Pods]) -> Iterator[Finding]:
        target = port.get("targetPort", port.get("port"))
        protocol = str(port.get("protocol") or "TCP")
        at = f"spec.ports[{number}].targetPort"
        for selected in pods:
            ports = list(container_ports(selected))
            names = {name for name, _, offered in ports if name and offered == protocol}
            numbers = {str(known) for _, known, offered in ports if offered == protocol}
            owner = f"{selected.owner.kind} {selected.owner.name}"
            if isinstance(target, str) and not target.isdecimal():
                if target not in names:
                    yield Finding.of(
                        "target-port-unknown",
                        service,
                        f'No container of the {owner} has a {protocol} port named "{target}".',
                        at=at,
                        fix=hint("port's name", target, names),
                    )
            elif ports and isinstance(target, int | str) and str(target) not in numbers:
                yield Finding.of(
                    "target-port-undeclared",
                    service,
                    f"No container of the {owner} declares the {protocol} port {target}.",
                    at=at,
                    fix=hint("port", str(target), numbers),
                )

    def _autoscalers(self) -> Iterator[Finding]:
        scaled: dict[tuple[str, str, str, str], Object] = {}
        for autoscaler in self._model.kind("HorizontalPodAutoscaler"):
            target = mapping(autoscaler.spec.get("scaleTargetRef"))
            kind, name = str(target.get("kind")), str(target.get("name"))
            group = str(target.get("apiVersion") or "").rpartition("/")[0]
            identity = group, kind, autoscaler.namespace, name
            yield from self._scale_target(autoscaler, identity)
            if (other := scaled.setdefault(identity, autoscaler)) is not autoscaler:
                yield Finding.of(
                    "autoscalers-share-target",
                    autoscaler,
                    f"The {kind} {name} is scaled by the HorizontalPodAutoscaler {other.name} already.",
                    at="spec.scaleTargetRef",
                )

    def _scale_target(self, autoscaler: Object, identity: tuple[str, str, str, str]) -> Iterator[Finding]:
        group, kind, namespace, name = identity
        known = group in ("", "apps") and kind in (*_SCALABLE, "DaemonSet")
        missing = identity not in self._model.by_identity
        if not known or not (missing or kind == "DaemonSet") or (missing and namespace not in self._closed):
            return
        others = {item.name for item in self._model.kind(*_SCALABLE) if item.namespace == namespace}
        yield Finding.of(
            "autoscaler-without-target",
            autoscaler,
            f'There is no {kind} {name} of the API group "{group}"{within(namespace)} that can be scaled.',
            at="spec.scaleTargetRef",
            fix=hint("workload", name, others) if name not in others else "",
        )

    def _budget(self, budget: Object) -> Iterator[Finding]:
        selector = budget.spec.get("selector")
        if budget.namespace in self._closed and not self._pods.selected(budget.namespace, selector):
            yield Finding.of(
                "disruption-budget-without-pods",
                budget,
                f"No pods{within(budget.namespace)} match {shown(selector)}.",
                at="spec.selector",
                fix=self._labels_hint(budget.namespace, texts(mapping(selector).get("matchLabels"))),
            )

    def _monitor(self, monitor: Object) -> Iterator[Finding]:
        namespaces = self._monitored(monitor)
        known = self._model.namespaces
        for name in namespaces:
            if name not in known and name not in PLATFORM_NAMESPACES and name not in self._model.open_namespaces:
                yield Finding.of(
                    "monitor-without-target",
                    monitor,
                    f"There is no namespace {name}.",
                    at="spec.namespaceSelector",
                    fix=hint("namespace", name, known),
                )
                return
        selector = monitor.spec.get("selector", {})
        names = self._target_ports(monitor.kind, namespaces, selector)
        if names is None:
            if all(name in self._closed for name in namespaces):
                what = "Services" if monitor.kind == "ServiceMonitor" else "pods"
                yield Finding.of(
                    "monitor-without-target",
                    monitor,
                    f"No {what} in the namespaces {', '.join(sorted(namespaces))} match {shown(selector)}.",
                    at="spec.selector",
                )
            return
        field = "endpoints" if monitor.kind == "ServiceMonitor" else "podMetricsEndpoints"
        for number, endpoint in enumerate(map(mapping, sequence(monitor.spec.get(field)))):
            port = endpoint.get("port")
            if isinstance(port, str) and port not in names:
                yield Finding.of(
                    "monitor-port-unknown",
                    monitor,
                    f'No target has a port named "{port}".',
                    at=f"spec.{field}[{number}].port",
                    fix=hint("port's name", port, names),
                )

    def _monitored(self, monitor: Object) -> list[str]:
        """Return the namespaces in which a monitor looks for its targets."""
        selector = mapping(monitor.spec.get("namespaceSelector"))
        if selector.get("any") is True:
            return [*self._model.namespaces]
        return [str(name) for name in sequence(selector.get("matchNames"))] or [monitor.namespace]

    def _target_ports(self, kind: str, namespaces: Sequence[str], selector: object) -> set[str] | None:
        """Return the names of the ports of a monitor's targets, or None if it has no target."""
        if kind == "PodMonitor":
            pods = [pods for namespace in namespaces for pods in self._pods.selected(namespace, selector)]
            return {name for selected in pods for name, _, _ in container_ports(selected)} if pods else None
        services = [
            service
            for namespace in namespaces
            for service in self._services.get(namespace, [])
            if selects(selector, texts(service.metadata.get("labels")))
        ]
        ports = (port for service in services for port in map(mapping, sequence(service.spec.get("ports"))))
        return {str(port.get("name")) for port in ports} if services else None

    def _governing_service(self, stateful_set: Object) -> Iterator[Finding]:
        name = stateful_set.spec.get("serviceName")
        if not isinstance(name, str) or not name:
            return
        service = self._model.get("Service", stateful_set.namespace, name)
        if service is None:
            if stateful_set.namespace in self._closed:
                known = {item.name for item in self._services.get(stateful_set.namespace, [])}
                yield Finding.of(
                    "governing-service-missing",
                    stateful_set,
                    f"There is no Service {name}{within(stateful_set.namespace)}.",
                    at="spec.serviceName",
                    fix=hint("Service", name, known),
                )
            return
        if service.spec.get("clusterIP") != "None":
            yield Finding.of(
                "governing-service-unfit", stateful_set, f"The Service {name} is not headless.", at="spec.serviceName"
            )
        elif all(pods.owner is not stateful_set for pods in self._pods.of_service(service.spec, service.namespace)):
            yield Finding.of(
                "governing-service-unfit",
                stateful_set,
                f"The Service {name} does not select its pods.",
                at="spec.serviceName",
            )

    def _probes(self, pods: Pods) -> Iterator[Finding]:
        for path, container in pods.containers:
            names = {str(mapping(port).get("name")) for port in sequence(container.get("ports"))} - {"None"}
            handlers = [(probe, mapping(container.get(probe))) for probe in _PROBES]
            lifecycle = mapping(container.get("lifecycle"))
            handlers += [(f"lifecycle.{hook}", mapping(lifecycle.get(hook))) for hook in ("postStart", "preStop")]
            for field, handler in handlers:
                for action in ("httpGet", "tcpSocket"):
                    port = mapping(handler.get(action)).get("port")
                    if isinstance(port, str) and not port.isdecimal() and port not in names:
                        yield Finding.of(
                            "probe-port-unknown",
                            pods.owner,
                            f'The container {container.get("name")} has no port named "{port}".',
                            at=f"{path}.{field}.{action}.port",
                            fix=hint("port's name", port, names),
                        )

    def _policy(self, policy: Object) -> Iterator[Finding]:
        selector = policy.spec.get("podSelector") or {}
        own = self._pods.selected(policy.namespace, selector)
        if not own and selector and policy.namespace in self._closed:
            yield Finding.of(
                "policy-without-pods",
                policy,
                f"No pods{within(policy.namespace)} match {shown(selector)}.",
                at="spec.podSelector",
                fix=self._labels_hint(policy.namespace, texts(mapping(selector).get("matchLabels"))),
            )
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for number, rule in enumerate(map(mapping, sequence(policy.spec.get(direction)))):
                at = f"spec.{direction}[{number}]"
                peers = list(map(mapping, sequence(rule.get(side))))
                for index, peer in enumerate(peers):
                    yield from self._policy_namespace(policy, peer, f"{at}.{side}[{index}].namespaceSelector")
                called = own if direction == "ingress" else self._peers(policy, peers)
                yield from self._policy_ports(policy, rule, called, at)

    def _policy_namespace(self, policy: Object, peer: Mapping[str, Any], at: str) -> Iterator[Finding]:
        selector = peer.get("namespaceSelector")
        if not selector or self._namespaces(selector):
            return
        named = texts(mapping(selector).get("matchLabels")).get(_NAME)
        if named is None:
            # Other labels may be set by hand on namespaces that the tree does not make.
            return
        yield Finding.of(
            "policy-namespace-unknown",
            policy,
            f"There is no namespace {named}.",
            at=at,
            fix=hint("namespace", named, self._model.namespaces),
        )

    @cached_property
    def _labelled(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of all namespaces that are known to exist."""
        others = (*PLATFORM_NAMESPACES, *self._model.open_namespaces)
        return {**{name: {_NAME: name} for name in others}, **self._model.namespaces}

    def _namespaces(self, selector: object) -> list[str]:
        named = texts(mapping(selector).get("matchLabels")).get(_NAME)
        known = self._labelled if named is None else {named} & self._labelled.keys()
        return [name for name in known if selects(selector, self._labelled[name])]

    def _peers(self, policy: Object, peers: Sequence[Mapping[str, Any]]) -> list[Pods] | None:
        """Return the pods that a rule leads to; None if there may be others."""
        found: list[Pods] = []
        for peer in peers:
            selector = peer.get("namespaceSelector")
            namespaces = [policy.namespace] if selector is None else self._namespaces(selector)
            if "ipBlock" in peer or any(name not in self._closed for name in namespaces):
                return None
            for namespace in namespaces:
                found += self._pods.selected(namespace, peer.get("podSelector") or {})
        return found or None

    def _policy_ports(
        self, policy: Object, rule: Mapping[str, Any], pods: Sequence[Pods] | None, at: str
    ) -> Iterator[Finding]:
        for number, entry in enumerate(map(mapping, sequence(rule.get("ports")))):
            port = entry.get("port")
            if not isinstance(port, str) or not pods:
                continue
            protocol = str(entry.get("protocol") or "TCP")
            names = {name for known in pods for name, _, offered in container_ports(known) if offered == protocol}
            if port not in names:
                yield Finding.of(
                    "policy-port-unknown",
                    policy,
                    f'No pods that the rule leads to have a {protocol} port named "{port}".',
                    at=f"{at}.ports[{number}].port",
                    fix=hint("port's name", port, names - {""}),
                )

    def _ingress(self, ingress: Object) -> Iterator[Finding]:
        for at, backend in _backends(ingress):
            yield from self._backend(ingress, mapping(backend.get("service")), at)
        named = ingress.spec.get("ingressClassName")
        classes = {item.name for item in self._model.kind("IngressClass")}
        if isinstance(named, str) and named not in classes and self._knows_all_classes(named):
            yield Finding.of(
                "ingress-class-missing",
                ingress,
                f"There is no IngressClass {named}.",
                at="spec.ingressClassName",
                fix=hint("class", named, classes),
            )

    def _knows_all_classes(self, named: str) -> bool:
        """Tell whether no chart and no cluster can bring a class that the tree does not have."""
        brought = self._model.cluster.kind == "k3d" and named == "traefik"
        if brought and "traefik" not in self._model.bootstrap.k3s_disabled():
            return False
        return bool(self._model.cluster.kind) and not self._model.is_named_by_chart(named)

    def _backend(self, ingress: Object, backend: Mapping[str, Any], at: str) -> Iterator[Finding]:
        name = backend.get("name")
        if not isinstance(name, str):
            return
        service = self._model.get("Service", ingress.namespace, name)
        if service is None:
            if ingress.namespace in self._closed:
                known = {item.name for item in self._services.get(ingress.namespace, [])}
                yield Finding.of(
                    "ingress-backend-missing",
                    ingress,
                    f"There is no Service {name}{within(ingress.namespace)}.",
                    at=f"{at}.service.name",
                    fix=hint("Service", name, known),
                )
            return
        port = mapping(backend.get("port"))
        offered = [mapping(entry) for entry in sequence(service.spec.get("ports"))]
        for key, field in (("name", "name"), ("number", "port")):
            known = {str(entry.get(field)) for entry in offered}
            if key in port and str(port[key]) not in known:
                yield Finding.of(
                    "ingress-backend-missing",
                    ingress,
                    f"The Service {name} has no port {port[key]}.",
                    at=f"{at}.service.port.{key}",
                    fix=hint("port", str(port[key]), known),
                )

    def _spread(self, pods: Pods) -> Iterator[Finding]:
        for number, constraint in enumerate(map(mapping, sequence(pods.spec.get("topologySpreadConstraints")))):
            selector = constraint.get("labelSelector")
            if selector is not None and not selects(selector, pods.labels):
                yield Finding.of(
                    "spread-without-pods",
                    pods.owner,
                    f"The pods do not have the labels {shown(selector)} by which they are spread.",
                    at=f"{pods.path}.topologySpreadConstraints[{number}].labelSelector",
                )
        affinity = mapping(pods.spec.get("affinity"))
        for kind in ("podAffinity", "podAntiAffinity"):
            for at, term in _affinity_terms(mapping(affinity.get(kind))):
                yield from self._affinity(pods, term, f"{pods.path}.affinity.{kind}.{at}")

    def _affinity(self, pods: Pods, term: Mapping[str, Any], at: str) -> Iterator[Finding]:
        selector = term.get("labelSelector")
        elsewhere = term.get("namespaces") or term.get("namespaceSelector") is not None
        if selector is None or elsewhere or pods.namespace not in self._closed:
            return
        if not self._pods.selected(pods.namespace, selector):
            yield Finding.of(
                "spread-without-pods",
                pods.owner,
                f"No pods{within(pods.namespace)} match {shown(selector)}.",
                at=f"{at}.labelSelector",
            )


def _affinity_terms(affinity: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    for number, term in enumerate(map(mapping, sequence(affinity.get(required)))):
        yield f"{required}[{number}]", term
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    for number, weighted in enumerate(map(mapping, sequence(affinity.get(preferred)))):
        yield f"{preferred}[{number}].podAffinityTerm", mapping(weighted.get("podAffinityTerm"))


def _backends(ingress: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "defaultBackend" in ingress.spec:
        yield "spec.defaultBackend", mapping(ingress.spec["defaultBackend"])
    for number, rule in enumerate(map(mapping, sequence(ingress.spec.get("rules")))):
        for index, path in enumerate(map(mapping, sequence(mapping(rule.get("http")).get("paths")))):
            yield f"spec.rules[{number}].http.paths[{index}].backend", mapping(path.get("backend"))

"""Proof that containers say what they run and need, and that pods survive drained nodes and being replaced."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import inner, mapping, sequence
from constructs_lib.kubernetes.names import IMAGE_TAGS, image
from constructs_lib.kubernetes.quantity import share
from constructs_lib.kubernetes.workloads import Container, service_ports
from constructs_lib.text import plural

_HANDLERS = ("exec", "grpc", "httpGet", "tcpSocket")
_SLEEP = re.compile(r"\bsleep\s+([0-9]+)(m?)\b")
#: Kinds whose pods are evicted one by one and start again on other nodes.
_REPLICATED = ("Deployment", "ReplicaSet", "StatefulSet")


def image_findings(pods: Pods) -> Iterator[Finding]:
    """Yield the images of pods that may be other ones tomorrow, each once; what asks for any tag is in the notes."""
    if pods.owner.annotations.get(IMAGE_TAGS) == "any":
        return
    images = [(f"{container.path}.image", container.get("image")) for container in pods.containers]
    images += [(f"{at}.image.reference", inner(volume, "image", "reference")) for at, volume in pods.volumes]
    first: dict[str, str] = {}
    for at, reference in images:
        if isinstance(reference, str):
            first.setdefault(reference, at)
    for reference, at in first.items():
        found = image(reference)
        if found is not None and not found.is_exact:
            problem = f"The tag {found.tag} of {reference} moves from version to version."
            if found.tag in ("", "latest"):
                problem = f"{reference} is whatever is the latest."
            yield Finding.of("image-not-pinned", pods.owner, problem, at=at)


def resource_findings(pods: Pods) -> Iterator[Finding]:
    """Yield containers without requests, and containers whose memory is not limited."""
    unasked: list[tuple[str, str]] = []
    unlimited: list[tuple[str, str]] = []
    for container in pods.containers:
        own, at = container.get("resources"), f"{container.path}.resources"
        requests, limits = (
            {*mapping(inner(pods.spec, "resources", field)), *mapping(inner(own, field))}
            for field in ("requests", "limits")
        )
        # A resource that is limited and not requested is requested up to its limit.
        missing = [name for name in ("cpu", "memory") if name not in requests | limits]
        if missing:
            unasked.append((f"{at}.requests", f"{container.name} requests no {' and no '.join(missing)}"))
        if "memory" not in limits:
            unlimited.append((f"{at}.limits", container.name))
    if unasked:
        problem = f"{'; '.join(text for _, text in unasked)}."
        yield Finding.of("requests-missing", pods.owner, problem, at=unasked[0][0])
    if unlimited:
        problem = f"The memory of {', '.join(name for _, name in unlimited)} is not limited."
        yield Finding.of("memory-limit-missing", pods.owner, problem, at=unlimited[0][0])


def resilience_findings(model: ClusterModel, unfinished: frozenset[int]) -> Iterator[Finding]:
    """Yield what makes pods fail when others are replaced or nodes are drained.

    A tool may add what is missing in the manifests with the ids ``unfinished``.
    """
    for pods in model.pods:
        for container in pods.containers:
            yield from _container_findings(pods, container)
    yield from _readiness_findings(model, unfinished)
    yield from _budget_findings(model, unfinished)


def _container_findings(pods: Pods, container: Container) -> Iterator[Finding]:
    grace, wait = pods.spec.get("terminationGracePeriodSeconds"), _wait(inner(container.get("lifecycle"), "preStop"))
    grace = grace if isinstance(grace, int) else 30
    if wait and wait >= grace:
        problem = f"The hook waits {wait} seconds, and the pod must have ended after {grace}."
        at, fix = f"{container.path}.lifecycle.preStop", f"Let terminationGracePeriodSeconds be more than {wait}."
        yield Finding.of("hook-outlasts-grace-period", pods.owner, problem, at=at, fix=fix)
    live, ready = mapping(container.get("livenessProbe")), mapping(container.get("readinessProbe"))
    if live and ready and _asks(live) == _asks(ready) and _patience(live) <= _patience(ready):
        problem = f"It gives up after {_patience(live)} seconds, when the pod has only just become unready."
        yield Finding.of("liveness-like-readiness", pods.owner, problem, at=f"{container.path}.livenessProbe")


def _wait(hook: object) -> int:
    """Return how many seconds a hook sleeps."""
    seconds = inner(hook, "sleep", "seconds")
    if isinstance(seconds, int):
        return seconds
    words = " ".join(map(str, sequence(inner(hook, "exec", "command"))))
    return sum(int(number) * (60 if minutes else 1) for number, minutes in _SLEEP.findall(words))


def _asks(probe: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: probe[name] for name in _HANDLERS if name in probe}


def _patience(probe: Mapping[str, Any]) -> int:
    """Return after how many seconds a probe gives up."""
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    return period * failures if isinstance(period, int) and isinstance(failures, int) else 0


def _readiness_findings(model: ClusterModel, unfinished: frozenset[int]) -> Iterator[Finding]:
    for service in model.kind("Service"):
        if service.spec.get("publishNotReadyAddresses") is True:
            continue
        targets = {str(port.target) for port in service_ports(service)}
        for pods in model.behind(service):
            if pods.owner.kind in ("Job", "CronJob") or id(pods.owner.manifest) in unfinished:
                continue
            for container in _called(pods, targets):
                if not container.get("readinessProbe"):
                    problem = f"The Service {service.name} calls {container.name}, which has no readinessProbe."
                    field = f"{container.path}.readinessProbe"
                    yield Finding.of("readiness-probe-missing", pods.owner, problem, at=field)


def _called(pods: Pods, targets: set[str]) -> list[Container]:
    """Return the containers that a Service calls; the first of all if none declares the port and none has a probe."""
    running = [container for container in pods.containers if container.runs]
    found = [container for container in running for port in container.ports if {port.name, str(port.number)} & targets]
    if not found and not any(container.get("readinessProbe") for container in running):
        found = running[:1]
    return found


def _budget_findings(model: ClusterModel, unfinished: frozenset[int]) -> Iterator[Finding]:
    budgets: dict[Pods, Object] = {}
    for budget in model.kind("PodDisruptionBudget"):
        selected = model.selected(budget.namespace, budget.spec.get("selector"))
        selected = [pods for pods in selected if pods.owner.kind in _REPLICATED]
        replicas = sum(model.scales.of(pods.owner).minimum for pods in selected)
        if selected and (field := _blocking(budget.spec, replicas)):
            most = plural(replicas, "pod")
            problem = f"{field} is {budget.spec[field]}, and there may be no more than {most} at times."
            yield Finding.of("budget-blocks-drain", budget, problem, at=f"spec.{field}")
        for pods in selected:
            other = budgets.setdefault(pods, budget)
            if other is not budget:
                problem = f"It selects the pods of {pods.owner.kind} {pods.owner.name}, as {other.name} does."
                yield Finding.of("pods-with-two-budgets", budget, problem, at="spec.selector")
    for pods in model.pods:
        owner, replicas = pods.owner, model.scales.of(pods.owner).minimum
        if owner.kind not in _REPLICATED or replicas < 2 or id(owner.manifest) in unfinished:
            continue
        if pods not in budgets and pods.namespace not in model.open_namespaces:
            yield Finding.of("replicas-without-budget", owner, f"No PodDisruptionBudget selects its {replicas} pods.")
        field = "topologySpreadConstraints"
        if not sequence(pods.spec.get(field)) and not inner(pods.spec, "affinity", "podAntiAffinity"):
            problem = f"Nothing keeps its {replicas} pods from one node."
            yield Finding.of("replicas-not-spread", owner, problem, at=f"{pods.path}.{field}")


def _blocking(spec: Mapping[str, Any], replicas: int) -> str | None:
    """Return the field by which a budget allows no eviction while there are so many pods, if it does."""
    # Of no pods, a percentage is none in any case.
    if share(spec.get("maxUnavailable"), replicas or 1, up=True) == 0:
        return "maxUnavailable"
    least = share(spec.get("minAvailable"), replicas, up=True)
    if least is not None and 0 < replicas <= least:
        return "minAvailable"
    return None

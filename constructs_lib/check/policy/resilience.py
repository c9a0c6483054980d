"""Whether pods survive that a node is drained, or that they are replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object, mapping, sequence
from constructs_lib.check.finding import Check, Finding, Severity
from constructs_lib.check.scale import Scales
from constructs_lib.check.selectors import PodIndex
from constructs_lib.check.tree import Pods, Subject

_PROBES = "https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/"
_BUDGETS = "https://kubernetes.io/docs/tasks/run-application/configure-pdb/"

READINESS_MISSING = Check(
    "readiness-probe-missing",
    Severity.WARNING,
    "A Service sends requests to a container that does not say when it is ready",
    "Requests fail whenever a pod starts, in every rollout among others.",
    "Give the container a readinessProbe.",
    _PROBES,
)
LIVENESS_EAGER = Check(
    "liveness-like-readiness",
    Severity.WARNING,
    "A liveness probe asks what the readiness probe asks, and is no more patient",
    "A pod that is merely slow is killed, which makes all others slower.",
    "Let it fail later, or ask something that only a broken program fails.",
    _PROBES,
)
HOOK_OUTLASTS_GRACE = Check(
    "hook-outlasts-grace-period",
    Severity.ERROR,
    "A preStop hook waits longer than the pod may take to end",
    "The program is killed without a chance to finish what it does.",
    "Let terminationGracePeriodSeconds be the wait and what the program needs after it.",
    "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
)
BUDGET_BLOCKS_DRAIN = Check(
    "budget-blocks-drain",
    Severity.ERROR,
    "A PodDisruptionBudget allows no eviction",
    "No node with one of the pods can be drained: upgrades of the cluster stop there.",
    "Let maxUnavailable be 1.",
    "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
)
TWO_BUDGETS = Check(
    "pods-with-two-budgets",
    Severity.ERROR,
    "Two PodDisruptionBudgets select the same pods",
    "The API server refuses to evict pods with more than one budget, so that no node can be drained.",
    "Keep one of them.",
    f"{_BUDGETS}#arbitrary-controllers-and-selectors",
)
BUDGET_MISSING = Check(
    "replicas-without-budget",
    Severity.WARNING,
    "Several replicas have no PodDisruptionBudget",
    "Draining nodes may take all of them at once.",
    "Add a PodDisruptionBudget with maxUnavailable: 1 that selects them.",
    _BUDGETS,
)
NOT_SPREAD = Check(
    "replicas-not-spread",
    Severity.WARNING,
    "Several replicas may all be on one node",
    "They fail together with it.",
    "Add topologySpreadConstraints over kubernetes.io/hostname.",
    "https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/",
)
CHECKS = (
    READINESS_MISSING,
    LIVENESS_EAGER,
    HOOK_OUTLASTS_GRACE,
    BUDGET_BLOCKS_DRAIN,
    TWO_BUDGETS,
    BUDGET_MISSING,
    NOT_SPREAD,
)

_HANDLERS = ("exec", "grpc", "httpGet", "tcpSocket")
_SLEEP = re.compile(r"\bsleep\s+([0-9]+)(m?)\b")
#: Kinds whose pods are evicted one by one, and come back elsewhere.
_REPLICATED = ("Deployment", "ReplicaSet", "StatefulSet")


def resilience_findings(subject: Subject, unfinished: frozenset[int]) -> Iterator[Finding]:
    """Yield what makes pods fail when others are replaced or nodes are drained.

    Args:
        subject: The tree.
        unfinished: The manifests, by their ids, to which a tool may add what they lack.
    """
    index = subject.once(PodIndex)
    for pods in subject.pods:
        yield from _container_findings(pods)
    yield from _readiness_findings(subject, index, unfinished)
    yield from _budget_findings(subject, index, unfinished)


def _container_findings(pods: Pods) -> Iterator[Finding]:
    grace = pods.spec.get("terminationGracePeriodSeconds")
    grace = grace if isinstance(grace, int) else 30
    for at, container in pods.containers:
        wait = _wait(mapping(mapping(container.get("lifecycle")).get("preStop")))
        if wait and wait >= grace:
            problem = f"The hook waits {wait} seconds, and the pod must have ended after {grace}."
            mend = f"Let terminationGracePeriodSeconds be more than {wait}."
            yield HOOK_OUTLASTS_GRACE.at(pods.owner, problem, at=f"{at}.lifecycle.preStop", mend=mend)
        live, ready = mapping(container.get("livenessProbe")), mapping(container.get("readinessProbe"))
        if live and ready and _asks(live) == _asks(ready) and _patience(live) <= _patience(ready):
            problem = f"It gives up after {_patience(live)} seconds, when the pod has only just become unready."
            yield LIVENESS_EAGER.at(pods.owner, problem, at=f"{at}.livenessProbe")


def _wait(hook: Mapping[str, Any]) -> int:
    seconds = mapping(hook.get("sleep")).get("seconds")
    if isinstance(seconds, int):
        return seconds
    words = " ".join(map(str, sequence(mapping(hook.get("exec")).get("command"))))
    return sum(int(number) * (60 if minutes else 1) for number, minutes in _SLEEP.findall(words))


def _asks(probe: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: probe[name] for name in _HANDLERS if name in probe}


def _patience(probe: Mapping[str, Any]) -> int:
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    return period * failures if isinstance(period, int) and isinstance(failures, int) else 0


def _readiness_findings(subject: Subject, index: PodIndex, unfinished: frozenset[int]) -> Iterator[Finding]:
    for service in subject.kind("Service"):
        if service.spec.get("publishNotReadyAddresses") is True:
            continue
        targets = {
            str(port.get("targetPort") or port.get("port"))
            for port in map(mapping, sequence(service.spec.get("ports")))
        }
        for pods in index.of_service(service.spec, service.namespace):
            if pods.owner.kind in ("Job", "CronJob") or id(pods.owner.manifest) in unfinished:
                continue
            for at, container in _called(pods, targets):
                if not container.get("readinessProbe"):
                    problem = f"The Service {service.name} calls {container.get('name')}, which has no readinessProbe."
                    yield READINESS_MISSING.at(pods.owner, problem, at=f"{at}.readinessProbe")


def _called(pods: Pods, targets: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the containers that a Service calls; the first of all if none declares the port and none has a probe."""
    running = [(at, container) for at, container in pods.containers if ".initContainers[" not in at]
    found = [
        (at, container)
        for at, container in running
        for port in [map(mapping, sequence(container.get("ports")))]
        if any(str(entry.get(field)) in targets for entry in port for field in ("containerPort", "name"))
    ]
    if not found and not any(container.get("readinessProbe") for _, container in running):
        found = running[:1]
    yield from found


def _budget_findings(subject: Subject, index: PodIndex, unfinished: frozenset[int]) -> Iterator[Finding]:
    scales = Scales(subject)
    budgets: dict[int, Object] = {}
    for budget in subject.kind("PodDisruptionBudget"):
        selected = [
            pods
            for pods in index.selected(budget.namespace, budget.spec.get("selector"))
            if pods.owner.kind in _REPLICATED
        ]
        replicas = sum(scales.of(pods).minimum for pods in selected)
        if selected and (field := _blocking(budget.spec, replicas)):
            problem = f"{field} is {budget.spec[field]}, and there may be no more than {_count(replicas)} at times."
            yield BUDGET_BLOCKS_DRAIN.at(budget, problem, at=f"spec.{field}")
        for pods in selected:
            other = budgets.setdefault(id(pods), budget)
            if other is not budget:
                problem = f"It selects the pods of {pods.owner.kind} {pods.owner.name}, as {other.name} does."
                yield TWO_BUDGETS.at(budget, problem, at="spec.selector")
    for pods in subject.pods:
        owner = pods.owner
        if owner.kind not in _REPLICATED or scales.of(pods).minimum < 2 or id(owner.manifest) in unfinished:
            continue
        if id(pods) not in budgets and pods.namespace not in subject.open_namespaces:
            problem = f"No PodDisruptionBudget selects its {scales.of(pods).minimum} pods."
            yield BUDGET_MISSING.at(owner, problem)
        affinity = mapping(pods.spec.get("affinity"))
        if not sequence(pods.spec.get("topologySpreadConstraints")) and not affinity.get("podAntiAffinity"):
            problem = f"Nothing keeps its {scales.of(pods).minimum} pods from one node."
            yield NOT_SPREAD.at(owner, problem, at=f"{pods.path}.topologySpreadConstraints")


def _count(replicas: int) -> str:
    return "one pod" if replicas == 1 else f"{replicas} pods"


def _blocking(spec: Mapping[str, Any], replicas: int) -> str | None:
    """Return the field by which a budget allows no eviction while there are so many pods, if it does."""
    most, least = spec.get("maxUnavailable"), spec.get("minAvailable")
    if most in (0, "0%") and not isinstance(most, bool):
        return "maxUnavailable"
    if isinstance(least, str) and least.endswith("%") and least[:-1].isdecimal():
        # A share of the pods is rounded up.
        least = -(-int(least[:-1]) * replicas // 100)
    if isinstance(least, int) and not isinstance(least, bool) and 0 < replicas <= least:
        return "minAvailable"
    return None

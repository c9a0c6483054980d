"""Proof that pods keep to the Pod Security level of their namespace, and that namespaces with pods enforce one."""

from collections.abc import Iterator, Mapping

from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.policy.pod_security import LEVELS, Violation, violations
from constructs_lib.kubernetes.manifest import inner, texts
from constructs_lib.kubernetes.platform import ENFORCE
from constructs_lib.text import nearest, sentence

_MISSING = "pod-security-level-missing"
#: The controls that keep a pod from taking over its node.
_RIGHTS = ("hostProcess", "host namespaces", "privileged", "capabilities", "hostPath volumes")


def enforced_levels(model: ClusterModel) -> Mapping[str, str]:
    """Return the levels that namespaces enforce; one that Argo CD creates gets its labels from the Application."""
    path = ("syncPolicy", "managedNamespaceMetadata", "labels")
    managed = {
        application.namespace: texts(inner(application.item.spec, *path))
        for application in model.applications
        if application.item and application.creates_namespace
    }
    labels = {**managed, **{name: {**managed.get(name, {}), **own} for name, own in model.namespaces.items()}}
    return {name: own[ENFORCE] for name, own in labels.items() if ENFORCE in own}


def level_findings(model: ClusterModel, levels: Mapping[str, str]) -> Iterator[Finding]:
    """Yield namespaces that enforce no level, or one that does not exist.

    Args:
        model: The tree.
        levels: The levels that namespaces enforce.
    """
    for item in model.kind("Namespace"):
        level, at = item.labels.get(ENFORCE), f"metadata.labels.{ENFORCE}"
        if level is None and item.name in model.pods_by_namespace:
            yield Finding.of(_MISSING, item, "It has pods, and enforces no Pod Security level.", at=at)
        elif level is not None and level not in LEVELS:
            problem, fix = f'"{level}" is no level.', sentence(nearest(level, LEVELS))
            yield Finding.of("pod-security-level-unknown", item, problem, at=at, fix=fix)
    created = model.pods_by_namespace.keys() - model.names("Namespace") - levels.keys()
    for application in model.applications:
        if application.item and application.creates_namespace and application.namespace in created:
            problem = f"The namespace {application.namespace} that it creates enforces no Pod Security level."
            at = "spec.syncPolicy.managedNamespaceMetadata.labels"
            yield Finding.of(_MISSING, application.item, problem, at=at)


def violation_findings(pods: Pods, level: str) -> Iterator[Finding]:
    """Yield what the level of their namespace does not allow in pods, one finding for each control."""
    first: dict[str, Violation] = {}
    for violation in violations(pods, level):
        first.setdefault(violation.control, violation)
    for violation in first.values():
        problem = f"The namespace {pods.namespace} enforces {level}, and {violation.text}."
        yield Finding.of("pod-security-violated", pods.owner, problem, at=violation.at, fix=violation.fix)


def privilege_findings(pods: Pods) -> Iterator[Finding]:
    """Yield a finding if pods have rights over their node, in a namespace that does not forbid it."""
    rights = [violation for violation in violations(pods, "baseline") if violation.control in _RIGHTS]
    rights.sort(key=lambda violation: _RIGHTS.index(violation.control))
    rights += [violation for violation in violations(pods, "restricted") if violation.control == "user 0"]
    if rights:
        texts = [*dict.fromkeys(violation.text for violation in rights)]
        more = f"; and so on, {len(texts)} in all" if len(texts) > 3 else ""
        problem = f"Of a pod it is true that {'; '.join(texts[:3])}{more}."
        yield Finding.of("privileged-pods", pods.owner, problem, at=rights[0].at)

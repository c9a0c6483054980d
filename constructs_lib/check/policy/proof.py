"""Proof that a tree keeps to what a careful platform team demands of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.policy import credentials, resilience
from constructs_lib.check.policy.pod_security import ENFORCE, LEVELS, violations
from constructs_lib.check.tools import patched
from constructs_lib.kubernetes.image import image
from constructs_lib.kubernetes.manifest import mapping, sequence, texts
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.text import nearest, plural

_SECURITY = "https://kubernetes.io/docs/concepts/security/pod-security-standards/"
_RBAC = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"
_PROJECTS = "https://argo-cd.readthedocs.io/en/stable/user-guide/projects/"


#: Identities of clouds, for which the token is exchanged.
_CLOUD_IDENTITIES = (
    "eks.amazonaws.com/role-arn",
    "iam.gke.io/gcp-service-account",
    "azure.workload.identity/client-id",
)


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield what a careful platform team would send back."""
    unfinished = patched(model)
    levels = _levels(model)
    yield from _level_findings(model)
    limited = {item.namespace for item in model.kind("LimitRange")}
    for item in model.objects:
        yield from credentials.credential_findings(item, pods_of(item))
    for pods in model.pods:
        complete = id(pods.owner.manifest) not in unfinished
        if complete:
            yield from _security_findings(pods, levels.get(pods.namespace, ""))
            yield from _image_findings(pods)
        if complete and pods.namespace not in limited:
            yield from _resource_findings(pods)
        if levels.get(pods.namespace) not in ("baseline", "restricted"):
            yield from _privilege_findings(pods)
    yield from _permission_findings(model)
    yield from _token_findings(model, unfinished)
    yield from _project_findings(model)
    yield from resilience.resilience_findings(model, unfinished)


PROOF = Proof(
    "policy",
    "The tree keeps to what a careful platform team demands.",
    prove,
    lambda model: plural(sum(len(pods.containers) for pods in model.pods), "container"),
)


def _levels(model: ClusterModel) -> Mapping[str, str]:
    """Return the levels that namespaces enforce; what Argo CD makes itself has the labels of its Application."""
    managed = {
        application.namespace: texts(_managed(application.item).get("labels"))
        for application in model.applications
        if application.item and application.creates_namespace
    }
    found = {name: labels[ENFORCE] for name, labels in managed.items() if ENFORCE in labels}
    return found | {name: labels[ENFORCE] for name, labels in model.namespaces.items() if ENFORCE in labels}


def _managed(application: Object) -> Mapping[str, Any]:
    return mapping(mapping(application.spec.get("syncPolicy")).get("managedNamespaceMetadata"))


def _level_findings(model: ClusterModel) -> Iterator[Finding]:
    declared = {item.name: item for item in model.kind("Namespace")}
    for name, item in declared.items():
        level = item.labels.get(ENFORCE)
        at = f"metadata.labels.{ENFORCE}"
        if level is None:
            if name in model.pods_by_namespace:
                yield Finding.of(
                    "pod-security-level-missing", item, "It has pods, and enforces no Pod Security level.", at=at
                )
        elif level not in LEVELS:
            fix = nearest(level, LEVELS)
            yield Finding.of(
                "pod-security-level-unknown", item, f'"{level}" is no level.', at=at, fix=f"{fix[:1].upper()}{fix[1:]}"
            )
    levels = _levels(model)
    for application in model.applications:
        namespace = application.namespace
        if (
            application.item
            and application.creates_namespace
            and namespace in model.pods_by_namespace
            and namespace not in declared
            and namespace not in levels
        ):
            problem = f"The namespace {namespace} that it creates enforces no Pod Security level."
            at = "spec.syncPolicy.managedNamespaceMetadata.labels"
            yield Finding.of("pod-security-level-missing", application.item, problem, at=at)


def _security_findings(pods: Pods, level: str) -> Iterator[Finding]:
    told: set[str] = set()
    for violation in violations(pods, level):
        if violation.control not in told:
            told.add(violation.control)
            problem = f"The namespace {pods.namespace} enforces {level}, and {violation.text}."
            yield Finding.of("pod-security-violated", pods.owner, problem, at=violation.at, fix=violation.fix)


def _privilege_findings(pods: Pods) -> Iterator[Finding]:
    rights = [violation for violation in violations(pods, "baseline") if violation.control in _RIGHTS]
    rights += [violation for violation in violations(pods, "restricted") if violation.control == "user 0"]
    if rights:
        told = [*dict.fromkeys(violation.text for violation in rights)]
        more = f"; and so on, {len(told)} in all" if len(told) > 3 else ""
        yield Finding.of(
            "privileged-pods", pods.owner, f"Of a pod it is true that {'; '.join(told[:3])}{more}.", at=rights[0].at
        )


_RIGHTS = ("hostProcess", "host namespaces", "privileged", "capabilities", "hostPath volumes")


def _image_findings(pods: Pods) -> Iterator[Finding]:
    images = [(f"{container.path}.image", container.get("image")) for container in pods.containers]
    for index, volume in enumerate(map(mapping, sequence(pods.spec.get("volumes")))):
        at = f"{pods.path}.volumes[{volume.get('name', index)}].image.reference"
        images.append((at, mapping(volume.get("image")).get("reference")))
    told: set[str] = set()
    for at, reference in images:
        if not isinstance(reference, str) or reference in told:
            continue
        found = image(reference)
        if found is None or found.is_exact:
            continue
        told.add(reference)
        problem = f"The tag {found.tag} of {reference} moves from version to version."
        if found.tag in ("", "latest"):
            problem = f"{reference} is whatever is the latest."
        yield Finding.of("image-not-pinned", pods.owner, problem, at=at)


def _resource_findings(pods: Pods) -> Iterator[Finding]:
    common = mapping(pods.spec.get("resources"))
    unasked: list[tuple[str, str]] = []
    unlimited: list[tuple[str, str]] = []
    for container in pods.containers:
        own = mapping(container.get("resources"))
        requests = {**mapping(common.get("requests")), **mapping(own.get("requests"))}
        limits = {**mapping(common.get("limits")), **mapping(own.get("limits"))}
        # What is limited and not requested is requested as it is limited.
        missing = [name for name in ("cpu", "memory") if name not in requests and name not in limits]
        if missing:
            unasked.append((container.path, f"{container.name} requests no {' and no '.join(missing)}"))
        if "memory" not in limits:
            unlimited.append((container.path, container.name))
    if unasked:
        problem = f"{'; '.join(text for _, text in unasked)}."
        yield Finding.of("requests-missing", pods.owner, problem, at=f"{unasked[0][0]}.resources.requests")
    if unlimited:
        problem = f"The memory of {', '.join(name for _, name in unlimited)} is not limited."
        yield Finding.of("memory-limit-missing", pods.owner, problem, at=f"{unlimited[0][0]}.resources.limits")


def _permission_findings(model: ClusterModel) -> Iterator[Finding]:
    for role in model.kind("Role", "ClusterRole"):
        for index, rule in enumerate(map(mapping, sequence(role.manifest.get("rules")))):
            fields = [field for field in ("verbs", "resources") if "*" in sequence(rule.get(field))]
            if fields:
                problem = f"It allows all {' of all '.join(fields)}."
                yield Finding.of("wildcard-permission", role, problem, at=f"rules[{index}].{fields[0]}")
                break
    for binding in model.kind("RoleBinding", "ClusterRoleBinding"):
        if mapping(binding.manifest.get("roleRef")).get("name") != "cluster-admin":
            continue
        for index, who in enumerate(map(mapping, sequence(binding.manifest.get("subjects")))):
            if who.get("kind") == "ServiceAccount" or str(who.get("name")).startswith("system:serviceaccounts"):
                problem = f"It gives cluster-admin to {who.get('name')}."
                yield Finding.of("cluster-admin-bound", binding, problem, at=f"subjects[{index}]")


def _token_findings(model: ClusterModel, unfinished: frozenset[int]) -> Iterator[Finding]:
    accounts = model.accounts
    using: dict[tuple[str, str], list[Pods]] = defaultdict(list)
    for pods in model.pods:
        own = accounts.get(pods.namespace, pods.account)
        if pods.namespace in model.open_namespaces or id(pods.owner.manifest) in unfinished:
            continue
        if accounts.has_role(pods) or not accounts.mounts_token(pods) or (own is None and pods.account != "default"):
            continue
        if own is None or not any(name in own.annotations for name in _CLOUD_IDENTITIES):
            using[pods.namespace, pods.account].append(pods)
    for (namespace, account), found in using.items():
        own = accounts.get(namespace, account)
        names = ", ".join(sorted({pods.owner.name for pods in found})[:5])
        problem = f"No role is bound to the ServiceAccount {account}, whose token the pods of {names} have."
        at = f"{found[0].path}.automountServiceAccountToken"
        if own is not None and own.manifest.get("automountServiceAccountToken") is not False:
            yield Finding.of("token-without-role", own, problem, at="automountServiceAccountToken")
        else:
            yield Finding.of("token-without-role", found[0].owner, problem, at=at)


def _project_findings(model: ClusterModel) -> Iterator[Finding]:
    for project in model.kind("AppProject"):
        for field, entries in (
            ("sourceRepos", sequence(project.spec.get("sourceRepos"))),
            ("sourceNamespaces", sequence(project.spec.get("sourceNamespaces"))),
        ):
            if "*" in entries:
                yield Finding.of("project-wildcard", project, f"All {field} are permitted.", at=f"spec.{field}")
        for index, target in enumerate(map(mapping, sequence(project.spec.get("destinations")))):
            wide = [field for field in ("namespace", "server", "name") if target.get(field) == "*"]
            if wide:
                problem = f"Every {wide[0]} is permitted as a destination."
                yield Finding.of("project-wildcard", project, problem, at=f"spec.destinations[{index}].{wide[0]}")
        for field in ("clusterResourceWhitelist", "namespaceResourceWhitelist"):
            for index, kind in enumerate(map(mapping, sequence(project.spec.get(field)))):
                if kind.get("kind") == "*":
                    problem = f"Every kind of {kind.get('group') or 'the core group'} is permitted."
                    if kind.get("group") == "*":
                        problem = "Every kind is permitted."
                    yield Finding.of("project-wildcard", project, problem, at=f"spec.{field}[{index}].kind")
    for application in model.applications:
        if application.item and application.item.spec.get("project") in ("default", "", None):
            yield Finding.of("default-project", application.item, "Its project is default.", at="spec.project")

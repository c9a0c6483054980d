"""Proof that a tree keeps to what a careful platform team demands of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object, mapping, sequence
from constructs_lib.check.finding import Check, Finding, Severity
from constructs_lib.check.policy import credentials, resilience
from constructs_lib.check.policy.pod_security import ENFORCE, LEVELS, violations
from constructs_lib.check.proof import Proof
from constructs_lib.check.schemas.pod_limits import is_image
from constructs_lib.check.tools import patched
from constructs_lib.check.tree import Pods, Subject, pods_of, texts
from constructs_lib.declare.diagnostics import nearest

_SECURITY = "https://kubernetes.io/docs/concepts/security/pod-security-standards/"
_RBAC = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"
_PROJECTS = "https://argo-cd.readthedocs.io/en/stable/user-guide/projects/"

POD_SECURITY = Check(
    "pod-security-violated",
    Severity.ERROR,
    "Pods do not keep to the Pod Security level of their namespace",
    "The API server refuses them: the workload is accepted, and none of its pods ever starts.",
    "Keep to the level.",
    _SECURITY,
)
LEVEL_UNKNOWN = Check(
    "pod-security-level-unknown",
    Severity.ERROR,
    "A namespace enforces a Pod Security level that there is not",
    "The API server refuses the namespace.",
    "One of privileged, baseline and restricted is needed.",
    "https://kubernetes.io/docs/concepts/security/pod-security-admission/",
)
LEVEL_MISSING = Check(
    "pod-security-level-missing",
    Severity.WARNING,
    "A namespace enforces no Pod Security level",
    "Whatever gets into it may take over the node.",
    f"Label it {ENFORCE}: restricted, or baseline if its pods need more.",
    "https://kubernetes.io/docs/concepts/security/pod-security-admission/",
)
PRIVILEGED = Check(
    "privileged-pods",
    Severity.WARNING,
    "Pods have more rights than programs need",
    "Whoever breaks into one of them has the node.",
    "Take the rights away, or keep such pods in a namespace of their own.",
    _SECURITY,
)
REQUESTS_MISSING = Check(
    "requests-missing",
    Severity.WARNING,
    "A container does not say what it needs",
    "The scheduler puts too many on one node, and autoscalers that count in percent do nothing.",
    "Request what it uses on average.",
    "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
)
MEMORY_LIMIT_MISSING = Check(
    "memory-limit-missing",
    Severity.WARNING,
    "A container may take all memory of its node",
    "A leak takes the other pods of the node with it.",
    "Limit its memory.",
    "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
)
IMAGE_NOT_PINNED = Check(
    "image-not-pinned",
    Severity.WARNING,
    "An image may be another one tomorrow",
    "Two pods of one workload may run different programs, and a rollback may not bring back what ran before.",
    "Give an exact version, best of all with its digest.",
    "https://kubernetes.io/docs/concepts/containers/images/#image-names",
)
WILDCARD_PERMISSION = Check(
    "wildcard-permission",
    Severity.WARNING,
    "A role allows everything",
    "It also allows what will only be added to the cluster.",
    "Name the resources and verbs that are used.",
    _RBAC,
)
CLUSTER_ADMIN = Check(
    "cluster-admin-bound",
    Severity.WARNING,
    "A workload may do everything in the cluster",
    "Whoever breaks into one of its pods has the cluster.",
    "Bind a role with the permissions that it uses.",
    _RBAC,
)
TOKEN_WITHOUT_ROLE = Check(
    "token-without-role",
    Severity.WARNING,
    "Pods have a token of the API server that allows nothing",
    "It helps nobody but who steals it.",
    "Set automountServiceAccountToken to false.",
    "https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting",
)
PROJECT_WILDCARD = Check(
    "project-wildcard",
    Severity.WARNING,
    "An AppProject permits everything",
    "Whoever can write to one repository can change everything that Argo CD can.",
    "Name what its Applications need.",
    _PROJECTS,
)
DEFAULT_PROJECT = Check(
    "default-project",
    Severity.WARNING,
    "An Application is in the project default",
    "That project permits every repository, every namespace and every kind.",
    "Make an AppProject, and name it here.",
    f"{_PROJECTS}#the-default-project",
)
CHECKS = (
    POD_SECURITY,
    LEVEL_UNKNOWN,
    LEVEL_MISSING,
    PRIVILEGED,
    REQUESTS_MISSING,
    MEMORY_LIMIT_MISSING,
    IMAGE_NOT_PINNED,
    WILDCARD_PERMISSION,
    CLUSTER_ADMIN,
    TOKEN_WITHOUT_ROLE,
    PROJECT_WILDCARD,
    DEFAULT_PROJECT,
    *credentials.CHECKS,
    *resilience.CHECKS,
)

#: What tells one version from the next: two numbers, a day, a commit.
_EXACT = re.compile(r"\d+\.\d+|\d{8}|(?:^|[-._])(?=[0-9a-f]*\d)[0-9a-f]{7,40}(?:$|[-._])")
#: Identities of clouds, for which the token is exchanged.
_CLOUD_IDENTITIES = (
    "eks.amazonaws.com/role-arn",
    "iam.gke.io/gcp-service-account",
    "azure.workload.identity/client-id",
)


def prove(subject: Subject) -> Iterator[Finding]:
    """Yield what a careful platform team would send back.

    Args:
        subject: The tree.
    """
    unfinished = patched(subject)
    levels = _levels(subject)
    yield from _level_findings(subject)
    limited = {item.namespace for item in subject.kind("LimitRange")}
    for item in subject.objects:
        yield from credentials.credential_findings(item, pods_of(item))
    for pods in subject.pods:
        complete = id(pods.owner.manifest) not in unfinished
        if complete:
            yield from _security_findings(pods, levels.get(pods.namespace, ""))
            yield from _image_findings(pods)
        if complete and pods.namespace not in limited:
            yield from _resource_findings(pods)
        if levels.get(pods.namespace) not in ("baseline", "restricted"):
            yield from _privilege_findings(pods)
    yield from _permission_findings(subject)
    yield from _token_findings(subject, unfinished)
    yield from _project_findings(subject)
    yield from resilience.resilience_findings(subject, unfinished)


PROOF = Proof("policy", "The tree keeps to what a careful platform team demands.", CHECKS, prove)


def _levels(subject: Subject) -> Mapping[str, str]:
    """Return the levels that namespaces enforce; what Argo CD makes itself has the labels of its Application."""
    managed = {
        delivery.namespace: texts(_managed(delivery.application).get("labels"))
        for delivery in subject.applications
        if delivery.application and delivery.sync_options.get("CreateNamespace") == "true"
    }
    found = {name: labels[ENFORCE] for name, labels in managed.items() if ENFORCE in labels}
    return found | {name: labels[ENFORCE] for name, labels in subject.namespaces.items() if ENFORCE in labels}


def _managed(application: Object) -> Mapping[str, Any]:
    return mapping(mapping(application.spec.get("syncPolicy")).get("managedNamespaceMetadata"))


def _level_findings(subject: Subject) -> Iterator[Finding]:
    declared = {item.name: item for item in subject.kind("Namespace")}
    for name, item in declared.items():
        level = texts(item.metadata.get("labels")).get(ENFORCE)
        at = f"metadata.labels.{ENFORCE}"
        if level is None:
            if name in subject.pods_by_namespace:
                yield LEVEL_MISSING.at(item, "It has pods, and enforces no Pod Security level.", at=at)
        elif level not in LEVELS:
            mend = nearest(level, LEVELS)
            yield LEVEL_UNKNOWN.at(item, f'"{level}" is no level.', at=at, mend=f"{mend[:1].upper()}{mend[1:]}")
    levels = _levels(subject)
    for delivery in subject.applications:
        namespace = delivery.namespace
        if (
            delivery.application
            and delivery.sync_options.get("CreateNamespace") == "true"
            and namespace in subject.pods_by_namespace
            and namespace not in declared
            and namespace not in levels
        ):
            problem = f"The namespace {namespace} that it creates enforces no Pod Security level."
            at = "spec.syncPolicy.managedNamespaceMetadata.labels"
            yield LEVEL_MISSING.at(delivery.application, problem, at=at)


def _security_findings(pods: Pods, level: str) -> Iterator[Finding]:
    told: set[str] = set()
    for violation in violations(pods, level):
        if violation.control not in told:
            told.add(violation.control)
            problem = f"The namespace {pods.namespace} enforces {level}, and {violation.text}."
            yield POD_SECURITY.at(pods.owner, problem, at=violation.at, mend=violation.mend)


def _privilege_findings(pods: Pods) -> Iterator[Finding]:
    rights = [violation for violation in violations(pods, "baseline") if violation.control in _RIGHTS]
    rights += [violation for violation in violations(pods, "restricted") if violation.control == "user 0"]
    if rights:
        told = [*dict.fromkeys(violation.text for violation in rights)]
        more = f"; and so on, {len(told)} in all" if len(told) > 3 else ""
        yield PRIVILEGED.at(pods.owner, f"Of a pod it is true that {'; '.join(told[:3])}{more}.", at=rights[0].at)


_RIGHTS = ("hostProcess", "host namespaces", "privileged", "capabilities", "hostPath volumes")


def _image_findings(pods: Pods) -> Iterator[Finding]:
    images = [(f"{at}.image", container.get("image")) for at, container in pods.containers]
    for index, volume in enumerate(map(mapping, sequence(pods.spec.get("volumes")))):
        at = f"{pods.path}.volumes[{volume.get('name', index)}].image.reference"
        images.append((at, mapping(volume.get("image")).get("reference")))
    told: set[str] = set()
    for at, image in images:
        if not isinstance(image, str) or image in told or "@" in image or not is_image(image):
            continue
        told.add(image)
        _, colon, tag = image.rpartition("/")[2].partition(":")
        if not colon or tag == "latest":
            yield IMAGE_NOT_PINNED.at(pods.owner, f"{image} is whatever is the latest.", at=at)
        elif not _EXACT.search(tag):
            yield IMAGE_NOT_PINNED.at(pods.owner, f"The tag {tag} of {image} moves from version to version.", at=at)


def _resource_findings(pods: Pods) -> Iterator[Finding]:
    common = mapping(pods.spec.get("resources"))
    unasked: list[tuple[str, str]] = []
    unlimited: list[tuple[str, str]] = []
    for at, container in pods.containers:
        own = mapping(container.get("resources"))
        requests = {**mapping(common.get("requests")), **mapping(own.get("requests"))}
        limits = {**mapping(common.get("limits")), **mapping(own.get("limits"))}
        # What is limited and not requested is requested as it is limited.
        missing = [name for name in ("cpu", "memory") if name not in requests and name not in limits]
        if missing:
            unasked.append((at, f"{container.get('name')} requests no {' and no '.join(missing)}"))
        if "memory" not in limits:
            unlimited.append((at, str(container.get("name"))))
    if unasked:
        problem = f"{'; '.join(text for _, text in unasked)}."
        yield REQUESTS_MISSING.at(pods.owner, problem, at=f"{unasked[0][0]}.resources.requests")
    if unlimited:
        problem = f"The memory of {', '.join(name for _, name in unlimited)} is not limited."
        yield MEMORY_LIMIT_MISSING.at(pods.owner, problem, at=f"{unlimited[0][0]}.resources.limits")


def _permission_findings(subject: Subject) -> Iterator[Finding]:
    for role in subject.kind("Role", "ClusterRole"):
        for index, rule in enumerate(map(mapping, sequence(role.manifest.get("rules")))):
            fields = [field for field in ("verbs", "resources") if "*" in sequence(rule.get(field))]
            if fields:
                problem = f"It allows all {' of all '.join(fields)}."
                yield WILDCARD_PERMISSION.at(role, problem, at=f"rules[{index}].{fields[0]}")
                break
    for binding in subject.kind("RoleBinding", "ClusterRoleBinding"):
        if mapping(binding.manifest.get("roleRef")).get("name") != "cluster-admin":
            continue
        for index, who in enumerate(map(mapping, sequence(binding.manifest.get("subjects")))):
            if who.get("kind") == "ServiceAccount" or str(who.get("name")).startswith("system:serviceaccounts"):
                problem = f"It gives cluster-admin to {who.get('name')}."
                yield CLUSTER_ADMIN.at(binding, problem, at=f"subjects[{index}]")


def _token_findings(subject: Subject, unfinished: frozenset[int]) -> Iterator[Finding]:
    bound, bound_namespaces = _bound(subject)
    using: dict[tuple[str, str], list[Pods]] = defaultdict(list)
    for pods in subject.pods:
        account = str(pods.spec.get("serviceAccountName") or pods.spec.get("serviceAccount") or "default")
        if pods.namespace in subject.open_namespaces or id(pods.owner.manifest) in unfinished:
            continue
        if (pods.namespace, account) in bound or bound_namespaces & {pods.namespace, ""}:
            continue
        own = subject.get("ServiceAccount", pods.namespace, account)
        if own is None and account != "default":
            continue
        if own is not None and any(name in own.annotations for name in _CLOUD_IDENTITIES):
            continue
        mounts = pods.spec.get("automountServiceAccountToken")
        if mounts is None and own is not None:
            mounts = own.manifest.get("automountServiceAccountToken")
        if mounts is not False:
            using[pods.namespace, account].append(pods)
    for (namespace, account), found in using.items():
        own = subject.get("ServiceAccount", namespace, account)
        names = ", ".join(sorted({pods.owner.name for pods in found})[:5])
        problem = f"No role is bound to the ServiceAccount {account}, whose token the pods of {names} have."
        at = f"{found[0].path}.automountServiceAccountToken"
        if own is not None and own.manifest.get("automountServiceAccountToken") is not False:
            yield TOKEN_WITHOUT_ROLE.at(own, problem, at="automountServiceAccountToken")
        else:
            yield TOKEN_WITHOUT_ROLE.at(found[0].owner, problem, at=at)


def _bound(subject: Subject) -> tuple[set[tuple[str, str]], set[str]]:
    """Return the ServiceAccounts that a role is bound to, and the namespaces in which one is bound to all of them."""
    accounts: set[tuple[str, str]] = set()
    namespaces: set[str] = set()
    for binding in subject.kind("RoleBinding", "ClusterRoleBinding"):
        for who in map(mapping, sequence(binding.manifest.get("subjects"))):
            name = str(who.get("name"))
            if who.get("kind") == "ServiceAccount":
                accounts.add((str(who.get("namespace") or binding.namespace), name))
            elif name in ("system:serviceaccounts", "system:authenticated"):
                namespaces.add("")
            elif name.startswith("system:serviceaccounts:"):
                namespaces.add(name.rpartition(":")[2])
    return accounts, namespaces


def _project_findings(subject: Subject) -> Iterator[Finding]:
    for project in subject.kind("AppProject"):
        for field, entries in (
            ("sourceRepos", sequence(project.spec.get("sourceRepos"))),
            ("sourceNamespaces", sequence(project.spec.get("sourceNamespaces"))),
        ):
            if "*" in entries:
                yield PROJECT_WILDCARD.at(project, f"All {field} are permitted.", at=f"spec.{field}")
        for index, target in enumerate(map(mapping, sequence(project.spec.get("destinations")))):
            wide = [field for field in ("namespace", "server", "name") if target.get(field) == "*"]
            if wide:
                problem = f"Every {wide[0]} is permitted as a destination."
                yield PROJECT_WILDCARD.at(project, problem, at=f"spec.destinations[{index}].{wide[0]}")
        for field in ("clusterResourceWhitelist", "namespaceResourceWhitelist"):
            for index, kind in enumerate(map(mapping, sequence(project.spec.get(field)))):
                if kind.get("kind") == "*":
                    problem = f"Every kind of {kind.get('group') or 'the core group'} is permitted."
                    if kind.get("group") == "*":
                        problem = "Every kind is permitted."
                    yield PROJECT_WILDCARD.at(project, problem, at=f"spec.{field}[{index}].kind")
    for delivery in subject.applications:
        if delivery.application and delivery.application.spec.get("project") in ("default", "", None):
            yield DEFAULT_PROJECT.at(delivery.application, "Its project is default.", at="spec.project")

"""Proof that roles and AppProjects permit no more than is needed."""

from collections import defaultdict
from collections.abc import Iterator

from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.accounts import BINDINGS, ROLES
from constructs_lib.kubernetes.manifest import entries, inner, sequence

#: Annotations of ServiceAccounts whose token is exchanged for an identity in a cloud.
_CLOUD_IDENTITIES = frozenset(
    {"eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id"}
)


def role_findings(model: ClusterModel) -> Iterator[Finding]:
    """Yield roles that allow everything, and bindings that make workloads administrators of the cluster."""
    for role in model.kind(*ROLES):
        for at, rule in entries(role.manifest.get("rules"), "rules"):
            fields = [field for field in ("verbs", "resources") if "*" in sequence(rule.get(field))]
            if fields:
                problem = f"It allows all {' of all '.join(fields)}."
                yield Finding.of("wildcard-permission", role, problem, at=f"{at}.{fields[0]}")
                break
    for binding in model.kind(*BINDINGS):
        if inner(binding.manifest, "roleRef", "name") != "cluster-admin":
            continue
        for at, subject in entries(binding.manifest.get("subjects"), "subjects"):
            name = str(subject.get("name"))
            if subject.get("kind") == "ServiceAccount" or name.startswith("system:serviceaccounts"):
                yield Finding.of("cluster-admin-bound", binding, f"It gives cluster-admin to {name}.", at=at)


def token_findings(model: ClusterModel, unfinished: frozenset[int]) -> Iterator[Finding]:
    """Yield ServiceAccounts without a role whose token is mounted into pods.

    A tool may add what is missing in the manifests with the ids ``unfinished``.
    """
    accounts = model.accounts
    using: dict[tuple[str, str], list[Pods]] = defaultdict(list)
    for pods in model.pods:
        own = accounts.get(pods.namespace, pods.account)
        if pods.namespace in model.open_namespaces or id(pods.owner.manifest) in unfinished:
            continue
        if accounts.has_role(pods) or not accounts.mounts_token(pods) or (own is None and pods.account != "default"):
            continue
        if own is None or _CLOUD_IDENTITIES.isdisjoint(own.annotations):
            using[pods.namespace, pods.account].append(pods)
    for (namespace, account), found in using.items():
        own = accounts.get(namespace, account)
        names = ", ".join(sorted({pods.owner.name for pods in found})[:5])
        problem = f"No role is bound to the ServiceAccount {account}, whose token the pods of {names} have."
        field = "automountServiceAccountToken"
        item, at = found[0].owner, f"{found[0].path}.{field}"
        if own is not None and own.manifest.get(field) is not False:
            item, at = own, field
        yield Finding.of("token-without-role", item, problem, at=at)


def project_findings(model: ClusterModel) -> Iterator[Finding]:
    """Yield AppProjects that permit everything, and Applications in the project that does."""
    code = "project-wildcard"
    for project in model.kind("AppProject"):
        for field in ("sourceRepos", "sourceNamespaces"):
            if "*" in sequence(project.spec.get(field)):
                yield Finding.of(code, project, f"All {field} are permitted.", at=f"spec.{field}")
        for at, target in entries(project.spec.get("destinations"), "spec.destinations"):
            wide = [field for field in ("namespace", "server", "name") if target.get(field) == "*"]
            if wide:
                yield Finding.of(code, project, f"Every {wide[0]} is permitted as a destination.", at=f"{at}.{wide[0]}")
        for field in ("clusterResourceWhitelist", "namespaceResourceWhitelist"):
            for at, kind in entries(project.spec.get(field), f"spec.{field}"):
                group = kind.get("group")
                if kind.get("kind") == "*":
                    of_group = "" if group == "*" else f" of {group or 'the core group'}"
                    yield Finding.of(code, project, f"Every kind{of_group} is permitted.", at=f"{at}.kind")
    for application in model.applications:
        if application.item and application.item.spec.get("project") in ("default", "", None):
            yield Finding.of("default-project", application.item, "Its project is default.", at="spec.project")

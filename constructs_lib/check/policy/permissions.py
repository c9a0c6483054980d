"""Proof that roles and AppProjects permit no more than is needed."""

from collections import defaultdict
from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.accounts import BINDINGS, ROLES
from constructs_lib.kubernetes.manifest import entries, inner, mapping, sequence
from constructs_lib.text import joined, listed

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
                groups = [str(group) or "the core group" for group in sequence(rule.get("apiGroups"))]
                what = {"verbs": "all verbs", "resources": "all resources"}
                where = f" of {joined(groups, 'and')}" if groups and "*" not in groups and len(groups) < 4 else ""
                if "resources" not in fields:
                    where = f" of {listed(map(str, sequence(rule.get('resources'))))}{where}"
                problem = f"It allows {' of '.join(what[field] for field in fields)}{where}."
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
    """Yield AppProjects that permit too much: everything, what is another project's, or a change of themselves."""
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
    yield from _others(model)
    for application, item in model.deployed:
        if item.kind == "AppProject" and application.item and application.item.spec.get("project") == item.name:
            problem = f"The Application {application.name} is in it and deploys it."
            yield Finding.of("project-changes-itself", item, problem, at="metadata.name")
    for application in model.applications:
        if application.item and application.item.spec.get("project") in ("default", "", None):
            yield Finding.of("default-project", application.item, "Its project is default.", at="spec.project")


def _others(model: ClusterModel) -> Iterator[Finding]:
    """Yield AppProjects that permit namespaces to which only Applications of other projects deploy."""
    homes: dict[str, dict[str, Object]] = defaultdict(dict)
    for application in model.applications:
        if application.item and application.namespace:
            homes[application.namespace].setdefault(str(application.item.spec.get("project")), application.item)
    used = {name for found in homes.values() for name in found}
    destinations = {
        namespace: mapping(next(iter(found.values())).spec.get("destination")) for namespace, found in homes.items()
    }
    for item, project in model.projects.items():
        if item.name not in used:
            continue
        others = {
            namespace: destination
            for namespace, destination in destinations.items()
            if item.name not in homes[namespace]
        }
        for at, namespace in project.others(others):
            name = next(iter(homes[namespace].values())).name
            problem = (
                f"It permits the namespace {namespace}, to which only others deploy, such as the Application {name}."
            )
            yield Finding.of("project-permits-others", item, problem, at=at)

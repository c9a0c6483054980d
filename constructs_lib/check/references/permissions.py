"""Proof that role bindings bind roles that exist to accounts that exist, and that roles name objects that exist."""

from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import entries, mapping, sequence

_GROUP = "rbac.authorization.k8s.io"
#: Roles for people that the API server creates itself; its others have a colon in their names.
_BUILT_IN = frozenset({"admin", "cluster-admin", "edit", "view"})
#: Resources whose objects the model has, by their kind.
_RESOURCES = {"configmaps": "ConfigMap", "secrets": "Secret", "services": "Service"}
#: Verbs for objects that exist already.
_EXISTING = frozenset({"get", "watch"})


def prove_permissions(model: ClusterModel) -> Iterator[Finding]:
    """Yield bindings of roles or to accounts that do not exist, and roles for objects that do not."""
    for binding in model.kind("RoleBinding", "ClusterRoleBinding"):
        yield from _role(model, binding)
        yield from _accounts(model, binding)
    for role in model.kind("Role"):
        yield from _objects(model, role)


def _role(model: ClusterModel, binding: Object) -> Iterator[Finding]:
    reference = mapping(binding.manifest.get("roleRef"))
    kind, name = reference.get("kind"), str(reference.get("name"))
    if kind not in ("Role", "ClusterRole"):
        return
    namespace = binding.namespace if kind == "Role" else ""
    if model.get(kind, namespace, name, _GROUP) is None and not _may_exist(model, kind, namespace, name):
        known = model.names(kind, namespace)
        yield Finding.missing("role-missing", binding, "roleRef.name", kind, name, known, hinted="role")


def _may_exist(model: ClusterModel, kind: str, namespace: str, name: str) -> bool:
    """Tell whether a role that the tree does not have may come from elsewhere."""
    if any(source.tool for application in model.all_applications for source in application.sources):
        # A tool may have given the role another name.
        return True
    if kind == "Role":
        # Only the tree creates the roles that its own bindings name.
        return namespace in model.open_namespaces | platform.NAMESPACES
    # Charts bring roles that are called after the chart.
    charts = (chart for application in model.all_applications for chart in application.charts)
    is_of_chart = model.is_named_by_chart(name) or any(chart.name in name for chart in charts)
    return is_of_chart or name in _BUILT_IN or ":" in name


def _accounts(model: ClusterModel, binding: Object) -> Iterator[Finding]:
    for at, entry in entries(binding.manifest.get("subjects"), "subjects"):
        name, namespace = str(entry.get("name")), str(entry.get("namespace") or "")
        if entry.get("kind") != "ServiceAccount" or name == "default" or namespace not in model.closed_namespaces:
            continue
        if model.get("ServiceAccount", namespace, name) is None:
            known = model.names("ServiceAccount", namespace)
            yield Finding.missing("role-subject-missing", binding, at, "ServiceAccount", name, known, namespace)


def _objects(model: ClusterModel, role: Object) -> Iterator[Finding]:
    for at, rule in entries(role.manifest.get("rules"), "rules"):
        kinds = [_RESOURCES[name] for name in map(str, sequence(rule.get("resources"))) if name in _RESOURCES]
        if len(kinds) != 1 or not _EXISTING.intersection(map(str, sequence(rule.get("verbs")))):
            continue
        known = _known(model, kinds[0], role.namespace)
        for name in map(str, sequence(rule.get("resourceNames"))):
            if known is not None and name not in known:
                field, where = f"{at}.resourceNames", role.namespace
                yield Finding.missing("role-object-missing", role, field, kinds[0], name, known, where, "name")


def _known(model: ClusterModel, kind: str, namespace: str) -> set[str] | None:
    """Return the names of all objects of a kind in a namespace, or None if there may be others."""
    store = model.bootstrap.store
    in_store = store is not None and kind == "Secret" and namespace == store.namespace
    if not in_store and namespace not in model.closed_namespaces:
        return None
    names = model.names(kind, namespace)
    if kind == "Secret":
        names = names | model.once(SecretSources).names(namespace)
    return names | {component for component, _ in store.values} if store and in_store else names

"""Proof that role bindings bind roles that exist to accounts that exist, and that roles name what there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.check.bootstrap import Store
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import PLATFORM_NAMESPACES, ClusterModel
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.kubernetes.manifest import mapping, sequence
from constructs_lib.text import hint, within

_RBAC = "https://kubernetes.io/docs/reference/access-authn-authz/rbac/"
_GROUP = "rbac.authorization.k8s.io"


#: Roles for people that the API server makes itself; its others have a colon in their names.
_BUILT_IN = frozenset({"admin", "cluster-admin", "edit", "view"})
#: Resources whose objects the tree has, by their kind.
_RESOURCES = {"configmaps": "ConfigMap", "secrets": "Secret", "services": "Service"}
#: Verbs of objects that exist already.
_EXISTING = frozenset({"get", "watch"})


def prove_permissions(model: ClusterModel) -> Iterator[Finding]:
    """Yield bindings of nothing or to nobody, and roles for what there is not."""
    closed = model.closed_namespaces
    for binding in model.kind("RoleBinding", "ClusterRoleBinding"):
        yield from _role(model, binding)
        yield from _subjects(model, binding, closed)
    objects = _Objects(model, closed)
    for role in model.kind("Role"):
        yield from objects.named_by(role)


def _role(model: ClusterModel, binding: Object) -> Iterator[Finding]:
    reference = mapping(binding.manifest.get("roleRef"))
    kind, name = reference.get("kind"), str(reference.get("name"))
    if kind not in ("Role", "ClusterRole"):
        return
    namespace = binding.namespace if kind == "Role" else ""
    if model.get(kind, namespace, name, _GROUP) is not None:
        return
    if any(source.tool for application in model.all_applications for source in application.sources):
        # A tool may have given the role another name.
        certain = False
    elif kind == "ClusterRole":
        # Charts bring roles that are called after themselves.
        certain = not (name in _BUILT_IN or ":" in name or model.is_named_by_chart(name)) and not any(
            chart.name in name for application in model.all_applications for chart in application.charts
        )
    else:
        # Nobody but the tree makes the roles that it binds itself.
        certain = namespace not in model.open_namespaces | PLATFORM_NAMESPACES
    if certain:
        known = {role.name for role in model.kind(kind) if role.namespace == namespace}
        yield Finding.of(
            "role-missing", binding, f"There is no {kind} {name}.", at="roleRef.name", fix=hint("role", name, known)
        )


def _subjects(model: ClusterModel, binding: Object, closed: frozenset[str]) -> Iterator[Finding]:
    for number, entry in enumerate(map(mapping, sequence(binding.manifest.get("subjects")))):
        if entry.get("kind") != "ServiceAccount":
            continue
        name, namespace = str(entry.get("name")), str(entry.get("namespace") or "")
        if name != "default" and namespace in closed and model.get("ServiceAccount", namespace, name) is None:
            known = {item.name for item in model.kind("ServiceAccount") if item.namespace == namespace}
            yield Finding.of(
                "role-subject-missing",
                binding,
                f"There is no ServiceAccount {name}{within(namespace)}.",
                at=f"subjects[{number}]",
                fix=hint("ServiceAccount", name, known),
            )


class _Objects:
    def __init__(self, model: ClusterModel, closed: frozenset[str]) -> None:
        self._closed = closed
        self._store: Store | None = model.bootstrap.store()
        self._names: dict[tuple[str, str], set[str]] = defaultdict(set)
        for item in model.kind("ConfigMap", "Service"):
            self._names[item.kind, item.namespace].add(item.name)
        secrets = SecretSources(model)
        for item, name in secrets.producers:
            self._names["Secret", item.namespace].add(name)
        if self._store is not None:
            self._names["Secret", self._store.namespace].update(component for component, _ in self._store.values)

    def named_by(self, role: Object) -> Iterator[Finding]:
        """Yield what a role names and there is not."""
        for number, rule in enumerate(map(mapping, sequence(role.manifest.get("rules")))):
            kinds = [_RESOURCES[name] for name in map(str, sequence(rule.get("resources"))) if name in _RESOURCES]
            existing = _EXISTING.intersection(map(str, sequence(rule.get("verbs"))))
            if len(kinds) != 1 or not existing or not self._knows(kinds[0], role.namespace):
                continue
            known = self._names[kinds[0], role.namespace]
            for name in map(str, sequence(rule.get("resourceNames"))):
                if name not in known:
                    yield Finding.of(
                        "role-object-missing",
                        role,
                        f"There is no {kinds[0]} {name}{within(role.namespace)}.",
                        at=f"rules[{number}].resourceNames",
                        fix=hint("name", name, known),
                    )

    def _knows(self, kind: str, namespace: str) -> bool:
        in_store = self._store is not None and kind == "Secret" and namespace == self._store.namespace
        return in_store or namespace in self._closed

"""Proof that role bindings bind roles that exist to accounts that exist, and that roles name what there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from constructs_lib.argocd.objects import Object, mapping, sequence
from constructs_lib.check.finding import Check, Finding, Severity
from constructs_lib.check.hint import hint, within
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.check.surroundings import PLATFORM_NAMESPACES, Store, brought_by_chart, closed_namespaces, store
from constructs_lib.check.tree import Subject

_RBAC = "https://kubernetes.io/docs/reference/access-authn-authz/rbac/"
_GROUP = "rbac.authorization.k8s.io"

ROLE_MISSING = Check(
    "role-missing",
    Severity.ERROR,
    "A binding names a role that does not exist",
    "It grants nothing: the program is refused by the API.",
    "Name a Role of the same namespace, or a ClusterRole.",
    f"{_RBAC}#rolebinding-and-clusterrolebinding",
)
ROLE_SUBJECT_MISSING = Check(
    "role-subject-missing",
    Severity.ERROR,
    "A binding names a ServiceAccount that does not exist",
    "The program that it is meant for is refused by the API.",
    "Name a ServiceAccount, with its namespace.",
    f"{_RBAC}#referring-to-subjects",
)
ROLE_OBJECT_MISSING = Check(
    "role-object-missing",
    Severity.WARNING,
    "A role names an object that does not exist",
    "The permission is for nothing, and the one that was meant is missing.",
    "Name an object that there is.",
    f"{_RBAC}#referring-to-resources",
)

CHECKS = (ROLE_MISSING, ROLE_SUBJECT_MISSING, ROLE_OBJECT_MISSING)

#: Roles for people that the API server makes itself; its others have a colon in their names.
_BUILT_IN = frozenset({"admin", "cluster-admin", "edit", "view"})
#: Resources whose objects the tree has, by their kind.
_RESOURCES = {"configmaps": "ConfigMap", "secrets": "Secret", "services": "Service"}
#: Verbs of objects that exist already.
_EXISTING = frozenset({"get", "watch"})


def prove_permissions(subject: Subject) -> Iterator[Finding]:
    """Yield bindings of nothing or to nobody, and roles for what there is not."""
    closed = subject.once(closed_namespaces)
    for binding in subject.kind("RoleBinding", "ClusterRoleBinding"):
        yield from _role(subject, binding)
        yield from _subjects(subject, binding, closed)
    objects = _Objects(subject, closed)
    for role in subject.kind("Role"):
        yield from objects.named_by(role)


def _role(subject: Subject, binding: Object) -> Iterator[Finding]:
    reference = mapping(binding.manifest.get("roleRef"))
    kind, name = reference.get("kind"), str(reference.get("name"))
    if kind not in ("Role", "ClusterRole"):
        return
    namespace = binding.namespace if kind == "Role" else ""
    if subject.get(kind, namespace, name, _GROUP) is not None:
        return
    if any(source.tool for delivery in subject.deliveries for source in delivery.sources):
        # A tool may have given the role another name.
        certain = False
    elif kind == "ClusterRole":
        # Charts bring roles that are called after themselves.
        certain = not (name in _BUILT_IN or ":" in name or brought_by_chart(subject, name)) and not any(
            chart.name in name for delivery in subject.deliveries for chart in delivery.charts
        )
    else:
        # Nobody but the tree makes the roles that it binds itself.
        certain = namespace not in subject.open_namespaces | PLATFORM_NAMESPACES
    if certain:
        known = {role.name for role in subject.kind(kind) if role.namespace == namespace}
        yield ROLE_MISSING.at(binding, f"There is no {kind} {name}.", at="roleRef.name", mend=hint("role", name, known))


def _subjects(subject: Subject, binding: Object, closed: frozenset[str]) -> Iterator[Finding]:
    for number, entry in enumerate(map(mapping, sequence(binding.manifest.get("subjects")))):
        if entry.get("kind") != "ServiceAccount":
            continue
        name, namespace = str(entry.get("name")), str(entry.get("namespace") or "")
        if name != "default" and namespace in closed and subject.get("ServiceAccount", namespace, name) is None:
            known = {item.name for item in subject.kind("ServiceAccount") if item.namespace == namespace}
            yield ROLE_SUBJECT_MISSING.at(
                binding,
                f"There is no ServiceAccount {name}{within(namespace)}.",
                at=f"subjects[{number}]",
                mend=hint("ServiceAccount", name, known),
            )


class _Objects:
    def __init__(self, subject: Subject, closed: frozenset[str]) -> None:
        self._closed = closed
        self._store: Store | None = store(subject)
        self._names: dict[tuple[str, str], set[str]] = defaultdict(set)
        for item in subject.kind("ConfigMap", "Service"):
            self._names[item.kind, item.namespace].add(item.name)
        secrets = SecretSources(subject)
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
                    yield ROLE_OBJECT_MISSING.at(
                        role,
                        f"There is no {kinds[0]} {name}{within(role.namespace)}.",
                        at=f"rules[{number}].resourceNames",
                        mend=hint("name", name, known),
                    )

    def _knows(self, kind: str, namespace: str) -> bool:
        in_store = self._store is not None and kind == "Secret" and namespace == self._store.namespace
        return in_store or namespace in self._closed

"""Rights towards the API server: roles, who is bound to them, and what is added to them by aggregation.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/, as ``RuleAllows`` and ``VisitRulesFor`` of Kubernetes'
``plugin/pkg/auth/authorizer/rbac`` read it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from typing import Any
from weakref import WeakKeyDictionary

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.accounts import BINDINGS, ROLES
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.plan.rights.tree import Case, State, Widened, widens
from constructs_lib.text import listed

_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
#: What the roles of every cluster for people take in by labels: that for viewing is part of that for editing.
_BUILT_IN = {"view": ("view",), "edit": ("view", "edit"), "admin": ("view", "edit", "admin")}


@dataclass(frozen=True, order=True)
class Right:
    """One thing that may be done: a verb on a resource, on one by its name, or on a path of the API server.

    The group of a role of which the rules are not known is None, and its resource what it is called.
    """

    group: str
    resource: str
    name: str
    verb: str

    def covers(self, other: Right) -> bool:
        """Tell whether it includes another one."""
        if self.verb not in ("*", other.verb) or (self.group == _PATH) != (other.group == _PATH):
            return False
        if self.group == _PATH:
            start = self.resource.removesuffix("*")
            return self.resource == other.resource or (start != self.resource and other.resource.startswith(start))
        wide = self.resource
        of_group = self.group in ("*", other.group)
        of_resource = wide in ("*", other.resource) or (wide[:2] == "*/" and other.resource.endswith(wide[1:]))
        return of_group and of_resource and self.name in ("", other.name)


_PATH, _ROLE = "(path)", "(role)"
_EVERYTHING = frozenset({Right("*", "*", "", "*"), Right(_PATH, "*", "", "*")})
_NOTHING: frozenset[Right] = frozenset()


def gained(new: Iterable[Right], old: Iterable[Right]) -> list[Right]:
    """Return the rights that others do not cover."""
    known = set(old)
    wide = [right for right in known if "*" in right.verb + right.group + right.resource or not right.name]
    return sorted(right for right in new if right not in known and not any(each.covers(right) for each in wide))


def shown(rights: Iterable[Right]) -> str:
    """Return rights in a few words."""
    texts = []
    for (group, resource, name), same in groupby(
        sorted(rights), lambda right: (right.group, right.resource, right.name)
    ):
        verbs = "/".join(right.verb for right in same).replace("*", "everything")
        if group == _ROLE:
            texts.append(f"what {resource} permits")
            continue
        what = "all resources" if resource == "*" and group != _PATH else resource
        suffix = "" if group in ("", _PATH) else " of all groups" if group == "*" else f".{group}"
        texts.append(f"{verbs} {what}{suffix}{f' {name}' if name else ''}")
    return listed(texts, 4)


def _rights(rules: object) -> Iterator[Right]:
    for rule in mappings(rules):
        verbs = [str(verb) for verb in sequence(rule.get("verbs"))]
        fields = ([str(each) for each in sequence(rule.get(key))] for key in ("apiGroups", "resources"))
        names = [str(name) for name in sequence(rule.get("resourceNames"))] or [""]
        yield from (Right(*each) for each in product(*fields, names, verbs))
        paths = (str(path) for path in sequence(rule.get("nonResourceURLs")))
        yield from (Right(_PATH, path, "", verb) for path, verb in product(paths, verbs))


class _Roles:
    """The roles of a tree with all that they permit, and who is bound to them."""

    def __init__(self, state: State) -> None:
        self._roles = {(item.kind, item.namespace, item.name): item for item in state.of(*ROLES)}
        self._rights: dict[tuple[str, str, str], frozenset[Right]] = {}
        self.bound: dict[tuple[str, str, str], list[tuple[str, tuple[str, str]]]] = defaultdict(list)
        self._held: dict[str, dict[str, set[tuple[str, str, str]]]] = defaultdict(lambda: defaultdict(set))
        for binding in state.of(*BINDINGS):
            for subject in subjects(binding):
                self.bound[role_of(binding)].append((subject, (binding.kind, binding.namespace)))
                self._held[subject][binding.namespace].add(role_of(binding))

    def get(self, role: tuple[str, str, str]) -> Object | None:
        return self._roles.get(role)

    def rights(self, role: tuple[str, str, str]) -> frozenset[Right]:
        """Return what a role permits, with what others add to it."""
        if role not in self._rights:
            self._rights[role] = _NOTHING  # Ends the recursion of roles that select each other.
            self._rights[role] = frozenset(self._find(role))
        return self._rights[role]

    def _find(self, role: tuple[str, str, str]) -> Iterator[Right]:
        kind, _, name = role
        item = self._roles.get(role)
        if item is not None:
            yield from _rights(item.manifest.get("rules"))
            for other in self._selected(item):
                yield from self.rights((other.kind, "", other.name))
        elif role[0] == "ClusterRole" and name == "cluster-admin":
            yield from _EVERYTHING
        else:
            known = _BUILT_IN.get(name, ()) if kind == "ClusterRole" else ()
            yield from (Right(_ROLE, f"{kind} {each}", "", "use") for each in known or (name,))
            for each in known:
                for other in self._cluster_roles:
                    if other.labels.get(_AGGREGATE + each) == "true":
                        yield from self.rights(("ClusterRole", "", other.name))

    @cached_property
    def _cluster_roles(self) -> list[Object]:
        return [item for item in self._roles.values() if item.kind == "ClusterRole"]

    @cached_property
    def _summed(self) -> list[Object]:
        return [item for item in self._cluster_roles if "aggregationRule" in item.manifest]

    def _selected(self, role: Object) -> list[Object]:
        written = mappings(inner(role.manifest, "aggregationRule", "clusterRoleSelectors"))
        selectors = [Selector(dict(each)) for each in written]
        others = [item for item in self._cluster_roles if item is not role] if selectors else []
        return [item for item in others if any(selector.matches(item.labels) for selector in selectors)]

    def aggregates(self, role: Object) -> list[tuple[str, str, str]]:
        """Return the roles to which a ClusterRole is added."""
        own = self._roles.get((role.kind, role.namespace, role.name))
        summed = (
            (item.kind, "", item.name) for item in self._summed if item is not own and own in self._selected(item)
        )
        found = [*summed]
        for name, parts in _BUILT_IN.items():
            key = ("ClusterRole", "", name)
            if key not in self._roles and any(role.labels.get(_AGGREGATE + each) == "true" for each in parts):
                found.append(key)
        return found

    def held(self, subject: str, namespace: str) -> frozenset[Right]:
        """Return what a subject may do in a namespace, or in all of the cluster if there is none."""
        found: set[Right] = set()
        for each in _same(subject):
            for place in {"", namespace} if each in self._held else ():
                for role in self._held[each].get(place, ()):
                    found |= self.rights(role)
        return frozenset(found)


def role_of(binding: Object) -> tuple[str, str, str]:
    """Return kind, namespace and name of the role that a binding gives."""
    reference = mapping(binding.manifest.get("roleRef"))
    kind = str(reference.get("kind"))
    return kind, binding.namespace if kind == "Role" else "", str(reference.get("name"))


def subjects(binding: Object) -> list[str]:
    """Return the subjects of a binding; a ServiceAccount is called by the user that it is."""
    return list(dict.fromkeys(_subject(each, binding) for each in mappings(binding.manifest.get("subjects"))))


def _subject(subject: Mapping[str, Any], binding: Object) -> str:
    kind, name = str(subject.get("kind")), str(subject.get("name"))
    if kind == "ServiceAccount":
        return f"ServiceAccount {subject.get('namespace') or binding.namespace}/{name}"
    account = name.removeprefix("system:serviceaccount:") if kind == "User" else name
    return f"ServiceAccount {account.replace(':', '/')}" if account != name else f"{kind} {name}"


def _same(subject: str) -> Iterator[str]:
    """Yield a subject and the groups that it is in."""
    yield subject
    if subject.startswith("ServiceAccount "):
        namespace = subject.removeprefix("ServiceAccount ").partition("/")[0]
        yield from ("Group system:serviceaccounts", f"Group system:serviceaccounts:{namespace}")
    if subject.startswith("Group system:serviceaccounts:"):
        yield "Group system:serviceaccounts"
    if not subject.endswith((" system:anonymous", " system:unauthenticated", " system:authenticated")):
        yield "Group system:authenticated"


_KNOWN: WeakKeyDictionary[State, _Roles] = WeakKeyDictionary()


def roles_in(state: State) -> _Roles:
    """Return the roles of a tree."""
    if state not in _KNOWN:
        _KNOWN[state] = _Roles(state)
    return _KNOWN[state]


def account_rights(state: State, namespace: str, name: str) -> frozenset[Right]:
    """Return what a ServiceAccount may do in its own namespace and in the cluster."""
    return roles_in(state).held(f"ServiceAccount {namespace}/{name}", namespace)


def role_widening(case: Case) -> Widened:
    """Yield what a role permits more, by itself or as part of others."""
    role = case.new
    if role is None:
        return
    before, after = roles_in(case.before), roles_in(case.after)
    key = (role.kind, role.namespace, role.name)
    more = gained(after.rights(key), before.rights(key) if before.get(key) else _NOTHING)
    bound = [*after.bound.get(key, ()), *before.bound.get(key, ())]
    # A new role gives nothing to anybody before it is bound, which is told of the binding.
    matters = case.old is not None or key in before.bound
    if matters and not case.is_fresh(role.namespace) and (more := _new_to(bound, more, case)):
        yield widens("role-permits-more", rights=shown(more))
    for other in after.aggregates(role):
        own = [*_rights(role.manifest.get("rules"))]
        if more := gained(own, before.rights(other)):
            yield widens("role-adds-to-another", role=f"{other[0]} {other[2]}", rights=shown(more))


def _new_to(bound: Iterable[tuple[str, tuple[str, str]]], more: list[Right], case: Case) -> list[Right]:
    """Return those of the rights that anybody who is bound to their role did not have; all if nobody is known."""
    every = [*bound]
    if not every:
        return more
    before = roles_in(case.before)
    held = [before.held(subject, place[1]) for subject, place in every]
    return sorted({right for known in held for right in gained(more, known)})


def binding_widening(case: Case) -> Widened:
    """Yield what subjects of a binding get that they did not have."""
    binding = case.new
    # What a component that is new permits within its own namespace is its own affair.
    if binding is None or case.is_fresh(binding.namespace):
        return
    before, after = roles_in(case.before), roles_in(case.after)
    was_bound = subjects(case.old) if case.old is not None and role_of(case.old) == role_of(binding) else []
    for subject in subjects(binding):
        # What the role permits more is told of the role.
        if subject not in was_bound:
            more = gained(after.rights(role_of(binding)), before.held(subject, binding.namespace))
            if more:
                where = f"in {binding.namespace}" if binding.namespace else "in the whole cluster"
                rights = "everything" if _EVERYTHING.issubset(more) else shown(more)
                yield widens("bound", subject=subject, where=where, rights=rights)

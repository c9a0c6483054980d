"""Proof that Roles permit what there is, to those that there are, and to few enough."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.accounts import BINDINGS, ROLES
from constructs_lib.kubernetes.manifest import entries, mapping, mappings, sequence
from constructs_lib.text import closest, hint, listed

#: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
_VERBS = {
    *(
        "*",
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "use",
        "bind",
        "escalate",
    ),
    *("impersonate", "approve", "sign", "attest"),
}
_URL_VERBS = {"*", "get", "post", "put", "delete", "patch", "head", "options"}
#: Groups and users that are whoever can reach the API server, and those that are everybody in the cluster.
_ANYBODY, _EVERYBODY = (
    {"system:unauthenticated", "system:anonymous"},
    {"system:authenticated", "system:serviceaccounts"},
)
#: Roles that everybody is meant to have: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles
_PUBLIC = {
    *("system:basic-user", "system:discovery", "system:public-info-viewer", "system:service-account-issuer-discovery"),
}
_READING = {"get", "list", "watch"}


@cache
def _resources() -> Mapping[str, frozenset[str]]:
    table = yaml.load(Path(__file__).with_name("resources.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    return {group: frozenset(names.split()) for group, names in table.items()}


def prove_roles(model: ClusterModel) -> Iterator[Finding]:
    """Yield rules for what there is not, roles for everybody, and roles that nobody can make use of."""
    for role in model.kind(*ROLES):
        for at, rule in entries(role.manifest.get("rules"), "rules"):
            yield from _rule(role, at, rule)
    for binding in model.kind(*BINDINGS):
        yield from _subjects(model, binding)
    yield from _accounts(model)


def _rule(role: Object, at: str, rule: Mapping[str, Any]) -> Iterator[Finding]:
    groups, resources, verbs = ([*map(str, sequence(rule.get(field)))] for field in ("apiGroups", "resources", "verbs"))
    known = _URL_VERBS if rule.get("nonResourceURLs") else _VERBS
    own = set(groups) <= _resources().keys()
    if groups and all(map(_is_no_group, groups)) and not _is_covered(role, rule):
        problem, fix = f'There is no API group "{groups[0]}".', hint("group", groups[0], _resources())
        yield Finding.of("role-resource-unknown", role, problem, at=f"{at}.apiGroups", fix=fix)
    for verb in verbs:
        if verb not in known and (own or rule.get("nonResourceURLs")):
            problem = f'There is no verb "{verb}".'
            yield Finding.of("role-verb-unknown", role, problem, at=at, fix=hint("verb", verb, known))
    if not own or not groups:
        return
    offered = frozenset().union(*(_resources()[group] for group in groups))
    for resource in resources:
        plain = resource.partition("/")[0]
        if "*" in resource or resource in offered or (resource.endswith("/finalizers") and plain in offered):
            continue
        others = [group for group, names in _resources().items() if resource in names]
        where = listed(f'"{group}"' for group in groups)
        fix = f'It is in the group "{others[0]}".' if others else hint("resource", resource, offered)
        problem = f"There is no {resource} in the API group {where}."
        yield Finding.of("role-resource-unknown", role, problem, at=f"{at}.resources", fix=fix)


def _is_covered(role: Object, rule: Mapping[str, Any]) -> bool:
    """Tell whether other rules permit the same resources in groups that there are: this one is for old clusters."""
    wanted = set(map(str, sequence(rule.get("resources"))))
    for other in mappings(role.manifest.get("rules")):
        if {"*", *_resources()} & set(map(str, sequence(other.get("apiGroups")))):
            resources = set(map(str, sequence(other.get("resources"))))
            wanted -= wanted if "*" in resources else resources
    return not wanted


def _is_no_group(group: str) -> bool:
    """Tell whether no API group is called so: those of custom resources are called like domains.

    Those of special interest groups of Kubernetes end in x-k8s.io: scheduling.x-k8s.io beside scheduling.k8s.io.
    """
    is_other = group in ("*", *_resources()) or group.endswith(".x-k8s.io")
    return not is_other and ("." not in group or closest(group, _resources(), 0.9) is not None)


def _subjects(model: ClusterModel, binding: Object) -> Iterator[Finding]:
    reference = mapping(binding.manifest.get("roleRef"))
    name, kind = str(reference.get("name")), str(reference.get("kind"))
    role = model.get(kind, binding.namespace if kind == "Role" else "", name, "rbac.authorization.k8s.io")
    for at, subject in entries(binding.manifest.get("subjects"), "subjects"):
        who, namespace = str(subject.get("name")), str(subject.get("namespace") or binding.namespace)
        if subject.get("kind") == "ServiceAccount":
            if namespace and not _may_be(model, namespace):
                problem = f"Nobody makes the namespace {namespace}."
                known = {*model.names("Namespace"), *model.created_namespaces}
                fix = hint("namespace", namespace, known)
                yield Finding.of("binding-namespace-missing", binding, problem, at=f"{at}.namespace", fix=fix)
        elif name not in _PUBLIC and (who in _ANYBODY or (who in _EVERYBODY and (role is None or _reaches_far(role)))):
            problem = f"It gives the {kind} {name} to {who}."
            yield Finding.of("role-for-everybody", binding, problem, at=at)


def _may_be(model: ClusterModel, namespace: str) -> bool:
    if not model.has_applications or model.has_generated_applications:
        return True
    made = {*model.names("Namespace"), *model.created_namespaces, *platform.NAMESPACES, *model.open_namespaces}
    homes = {application.item.namespace for application in model.all_applications if application.item}
    return namespace in made | homes | model.others_namespaces | {item.namespace for item in model.objects}


def _reaches_far(role: Object) -> bool:
    """Tell whether a role changes something, or reads Secrets."""
    for rule in mappings(role.manifest.get("rules")):
        verbs, resources = (set(map(str, sequence(rule.get(field)))) for field in ("verbs", "resources"))
        if resources and (verbs - _READING or resources & {"*", "secrets"}):
            return True
    return False


def _accounts(model: ClusterModel) -> Iterator[Finding]:
    """Yield roles that read all Secrets, and those of pods of which none holds a token to use them with."""
    users: dict[tuple[str, str], list[Any]] = {}
    for pods in model.pods:
        users.setdefault((pods.namespace, pods.account), []).append(pods)
    told: set[Object] = set()
    for (_, account), found in users.items():
        grants = model.accounts.grants(found[0])
        holders = [pods for pods in found if model.accounts.holds_token(pods)]
        if grants and not holders:
            problem = f"Pods of {found[0].owner.name} hold no token of {account}, to which it is bound."
            yield Finding.of("role-without-token", grants[0].binding, problem, at="subjects")
        for grant in grants:
            if grant.role is None or grant.role in told or not holders:
                continue
            for at, rule in entries(grant.role.manifest.get("rules"), "rules"):
                reads = not {"*", *_READING}.isdisjoint(map(str, sequence(rule.get("verbs"))))
                if reads and "secrets" in sequence(rule.get("resources")) and not sequence(rule.get("resourceNames")):
                    told.add(grant.role)
                    of = f"the namespace {grant.binding.namespace}" if grant.binding.namespace else "the cluster"
                    problem = f"Pods of {holders[0].owner.name} may read every Secret of {of}."
                    yield Finding.of("role-reads-all-secrets", grant.role, problem, at=at)
                    break

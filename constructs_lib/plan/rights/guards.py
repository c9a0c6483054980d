"""What watches over others: admission, definitions that a program answers for, meshes, and Argo CD's own rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence, texts
from constructs_lib.plan.change import Reason
from constructs_lib.plan.rights.tree import Case, Widened, widens
from constructs_lib.text import listed

_ADMISSION = "admissionregistration.k8s.io"
#: What keeps something out, by its kind: the field that says how strictly, and its values, the strictest first.
_STRICT: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "kyverno.io/ClusterPolicy": ("validationFailureAction", ("Enforce", "Audit")),
    "kyverno.io/Policy": ("validationFailureAction", ("Enforce", "Audit")),
    "security.istio.io/PeerAuthentication": ("mtls.mode", ("STRICT", "PERMISSIVE", "DISABLE")),
    "security.istio.io/AuthorizationPolicy": ("action", ("DENY", "ALLOW", "AUDIT")),
    "security.istio.io/RequestAuthentication": ("", ()),
    "templates.gatekeeper.sh/ConstraintTemplate": ("", ()),
    "kyverno.io/ValidatingPolicy": ("validationActions", ()),
    "policies.kyverno.io/ValidatingPolicy": ("validationActions", ()),
}
#: What makes an exception from it, so that each new one widens rights.
_EXCEPTIONS = ("kyverno.io/PolicyException", "policies.kyverno.io/PolicyException")
_CILIUM = {"ingress": True, "egress": True, "ingressDeny": False, "egressDeny": False}
#: Lists whose entries open something, or close it if they are False.
_LISTS: Mapping[str, Mapping[str, bool]] = {
    "cilium.io/CiliumNetworkPolicy": _CILIUM,
    "cilium.io/CiliumClusterwideNetworkPolicy": _CILIUM,
    **{
        f"{group}/{scope}NetworkPolicy": {"ingress": True, "egress": True}
        for group in ("crd.projectcalico.org", "projectcalico.org")
        for scope in ("", "Global")
    },
    "gateway.networking.k8s.io/ReferenceGrant": {"from": True, "to": True},
}
_GRANTS = frozenset({"gateway.networking.k8s.io/ReferenceGrant"})


def guard_widening(case: Case) -> Widened:
    """Yield what is watched less than before."""
    kind = case.item.full_kind
    if judge := _JUDGES.get(kind):
        yield from judge(case)
    elif kind in _EXCEPTIONS:
        if case.new and (case.old is None or case.new.spec != case.old.spec):
            yield widens("exception")
    elif kind in _STRICT or case.item.group == "constraints.gatekeeper.sh":
        field, values = _STRICT.get(kind, ("enforcementAction", ("deny", "warn", "dryrun")))
        yield from _strictness(case, field, values)
    elif kind in _LISTS:
        yield from _lists(case)


def _strictness(case: Case, field: str, values: tuple[str, ...]) -> Iterator[Reason]:
    old, new = case.old, case.new
    if old is None:
        return
    if new is None:
        yield widens("guard-removed")
        return
    before, after = (str(inner(item.spec, *field.split(".")) or values[0] if values else "") for item in (old, new))
    ranks = [values.index(each) if each in values else len(values) for each in (before, after)]
    if ranks[1] > ranks[0]:
        yield widens("guard-weaker", what=f"{field}: {before} → {after}")
    elif _sorted(_rules(new)) != _sorted(_rules(old)) and (lost := [r for r in _rules(old) if r not in _rules(new)]):
        yield widens("guard-weaker", what=f"{len(lost)} of its rules changed or gone")


def _rules(item: Object) -> list[Any]:
    return [each for key in ("rules", "jwtRules", "targets", "validations") for each in sequence(item.spec.get(key))]


def _sorted(entries: list[Any]) -> list[str]:
    return sorted(map(str, entries))


def _lists(case: Case) -> Iterator[Reason]:
    old, new = case.old, case.new
    is_grant = case.item.full_kind in _GRANTS
    if case.is_fresh(case.item.namespace) and not is_grant:
        return
    found: dict[str, None] = {}
    for field in _LISTS[case.item.full_kind]:
        before, after = ([_entries(item, field, opens=each) for each in (True, False)] for item in (old, new))
        more = [entry for entry in after[0] if entry not in before[0]]
        fewer = [entry for entry in before[1] if entry not in after[1]]
        found |= {field: None} if more or fewer else {}
    selectors = ("endpointSelector", "nodeSelector", "selector")
    if old and new and any(old.spec.get(key) != new.spec.get(key) for key in selectors):
        found["its selector"] = None
    if found:
        yield widens("opens-more", fields=listed(found))
    elif new is None and not is_grant and not _is_isolated(case):
        yield widens("guard-removed")


def _is_isolated(case: Case) -> bool:
    """Tell whether other policies are left in the namespace of one that goes."""
    kinds = sorted({kind.rpartition("/")[2] for kind in _LISTS.keys() - _GRANTS})
    return any(item.namespace in ("", case.item.namespace) for item in case.after.of(*kinds))


def _entries(item: Object | None, field: str, *, opens: bool) -> list[Any]:
    """Return the entries of a list that open something, or those that close it; an empty one does neither."""
    specs = [item.spec, *mappings(item.manifest.get("specs"))] if item else []
    closing = item is not None and not _LISTS[item.full_kind][field]
    return [
        entry
        for spec in specs
        for entry in sequence(spec.get(field))
        if entry and (closing or mapping(entry).get("action") == "Deny") != opens
    ]


# Admission.


def _webhooks(case: Case) -> Iterator[Reason]:
    old, new = ({str(each.get("name")): each for each in _hooks(item)} for item in (case.old, case.new))
    lost = [name for name in old if name not in new]
    if lost:
        yield widens("webhook-removed", names=listed(lost))
    for name, hook in new.items():
        known = old.get(name)
        if known is None:
            if not any(name == each.get("name") for item in case.gone.of(case.item.kind) for each in _hooks(item)):
                yield widens("webhook-added", name=name)
            continue
        if weaker := [*_weaker(hook, known)]:
            yield widens("webhook-weaker", name=name, what=listed(weaker))
        more = [rule for rule in _operations(hook) if not any(rule <= each for each in _operations(known))]
        if more or _client(hook) != _client(known):
            yield widens("webhook-sees-more", name=name)


def _hooks(item: Object | None) -> list[Mapping[str, Any]]:
    return mappings(item.manifest.get("webhooks")) if item else []


def _client(hook: Mapping[str, Any]) -> Any:
    return {key: value for key, value in mapping(hook.get("clientConfig")).items() if key != "caBundle"}


def _weaker(new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    if (old.get("failurePolicy") or "Fail") == "Fail" != (new.get("failurePolicy") or "Fail"):
        yield "failurePolicy Ignore"
    if (old.get("matchPolicy") or "Equivalent") == "Equivalent" != (new.get("matchPolicy") or "Equivalent"):
        yield "matchPolicy Exact"
    if any(not any(rule <= each for each in _operations(new)) for rule in _operations(old)):
        yield "fewer rules"
    for field in ("namespaceSelector", "objectSelector"):
        if new.get(field) and new.get(field) != old.get(field):
            yield field
    if any(each not in sequence(old.get("matchConditions")) for each in sequence(new.get("matchConditions"))):
        yield "matchConditions"


def _operations(hook: Mapping[str, Any]) -> list[frozenset[tuple[str, str]]]:
    """Return what a webhook is asked about, one set for each combination; a wildcard stands for itself."""
    found = []
    for rule in mappings(hook.get("rules")):
        for group in sequence(rule.get("apiGroups")):
            for resource in sequence(rule.get("resources")):
                for operation in sequence(rule.get("operations")):
                    found.append(frozenset({("group", str(group)), ("of", str(resource)), ("do", str(operation))}))
    return found


def _admission_policy(case: Case) -> Iterator[Reason]:
    old, new = case.old, case.new
    changes = case.item.kind.startswith("Mutating")
    if old is None:
        if new and changes:
            yield widens("objects-are-changed")
        return
    if new is None:
        yield widens("guard-removed")
        return
    weaker = [text for text in _weaker(new.spec, old.spec) if text != "fewer rules"]
    for field in ("validations", "mutations"):
        lost = [each for each in sequence(old.spec.get(field)) if each not in sequence(new.spec.get(field))]
        weaker += [field] if lost else []
    if new.spec.get("matchConstraints") != old.spec.get("matchConstraints"):
        weaker.append("matchConstraints")
    if weaker:
        yield widens("guard-weaker", what=listed(weaker))


def _admission_binding(case: Case) -> Iterator[Reason]:
    old, new = case.old, case.new
    if old is None:
        return
    if new is None:
        yield widens("guard-removed")
        return
    weaker = []
    before, after = ({str(each) for each in sequence(item.spec.get("validationActions"))} for item in (old, new))
    if "Deny" in before - after:
        weaker.append("validationActions without Deny")
    for field in ("matchResources", "paramRef", "policyName"):
        if new.spec.get(field) != old.spec.get(field) and (field != "matchResources" or new.spec.get(field)):
            weaker.append(field)
    if weaker:
        yield widens("guard-weaker", what=listed(weaker))


# Who answers for others.


def _api_service(case: Case) -> Iterator[Reason]:
    new, old = case.new, case.old
    if new and mapping(new.spec.get("service")) and (old is None or new.spec.get("service") != old.spec.get("service")):
        service = mapping(new.spec.get("service"))
        yield widens("answers-for-api", service=f"{service.get('namespace')}/{service.get('name')}")
    if (
        new
        and new.spec.get("insecureSkipTLSVerify") is True
        and (old is None or old.spec.get("insecureSkipTLSVerify") is not True)
    ):
        yield widens("answers-unverified")


def _definition(case: Case) -> Iterator[Reason]:
    def client(item: Object | None) -> Any:
        if item is None or inner(item.spec, "conversion", "strategy") != "Webhook":
            return None
        found = mapping(inner(item.spec, "conversion", "webhook", "clientConfig"))
        return {key: value for key, value in found.items() if key != "caBundle"}

    if case.new and client(case.new) and client(case.new) != client(case.old):
        yield widens("answers-for-kind")


def _config_map(case: Case) -> Iterator[Reason]:
    """Yield what people may do more in Argo CD: https://argo-cd.readthedocs.io/en/stable/operator-manual/rbac/."""
    if case.item.name not in ("argocd-rbac-cm", "argocd-cm", "aws-auth"):
        return
    new, old = (texts(item.manifest.get("data")) if item else {} for item in (case.new, case.old))
    if case.item.name == "aws-auth":
        # https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html
        if case.item.namespace == "kube-system" and new and new != old:
            yield widens("cloud-users", what=listed([key for key in new if new[key] != old.get(key)]))
        return
    if case.item.name == "argocd-rbac-cm":
        more = [*_policy_more(new, old)]
    else:
        more = [key for key in _LOGIN_KEYS if new.get(key) != old.get(key) and new.get(key) not in (None, "false")]
        more += [key for key in new if key.startswith("accounts.") and new[key] != old.get(key)]
        more += ["admin.enabled"] if old.get("admin.enabled") == "false" != new.get("admin.enabled") else []
    if more:
        yield widens("argocd-permits-more", what=listed(more))


_LOGIN_KEYS = ("users.anonymous.enabled", "exec.enabled", "dex.config", "oidc.config")


def _policy_more(new: Mapping[str, str], old: Mapping[str, str]) -> Iterator[str]:
    def lines(data: Mapping[str, str]) -> set[str]:
        texts_of = (text for key, text in data.items() if key.startswith("policy.") and key.endswith("csv"))
        return {
            "".join(line.split())
            for text in texts_of
            for line in text.splitlines()
            if line.strip()[:1] not in ("", "#")
        }

    before, after = lines(old), lines(new)
    yield from sorted(line for line in after - before if not line.endswith(",deny"))
    yield from sorted(f"no more {line}" for line in before - after if line.endswith(",deny"))
    if new.get("policy.default") and new.get("policy.default") != old.get("policy.default"):
        yield f"policy.default {new['policy.default']}"


_JUDGES: Mapping[str, Callable[[Case], Iterator[Reason]]] = {
    **dict.fromkeys((f"{_ADMISSION}/{kind}WebhookConfiguration" for kind in ("Validating", "Mutating")), _webhooks),
    **dict.fromkeys((f"{_ADMISSION}/{kind}AdmissionPolicy" for kind in ("Validating", "Mutating")), _admission_policy),
    **dict.fromkeys(
        (f"{_ADMISSION}/{kind}AdmissionPolicyBinding" for kind in ("Validating", "Mutating")), _admission_binding
    ),
    "apiregistration.k8s.io/APIService": _api_service,
    "apiextensions.k8s.io/CustomResourceDefinition": _definition,
    "ConfigMap": _config_map,
}

"""Adds to the changes of a plan what they let somebody do who could not do it before.

Where nothing was published, nothing is widened: the whole tree is new and is read as a whole. A component that is new
has a namespace that is created and that nothing was in before, and what it may do within that is its own affair. Named
is what reaches out of it: to the node, the cluster, other namespaces, others' secrets, or out of the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.accounts import BINDINGS, ROLES
from constructs_lib.kubernetes.accounts import GROUP as RBAC
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.workloads import TEMPLATED
from constructs_lib.plan.change import REASONS, Change, Effect, Reason, reason
from constructs_lib.plan.pair import Pair
from constructs_lib.plan.rights.doors import DOOR_KINDS, closed, door_widening
from constructs_lib.plan.rights.guards import guard_widening
from constructs_lib.plan.rights.pods import account_widening, namespace_widening, pods_widening, volume_widening
from constructs_lib.plan.rights.policies import network_widening
from constructs_lib.plan.rights.projects import application_widening, project_widening
from constructs_lib.plan.rights.roles import binding_widening, role_widening
from constructs_lib.plan.rights.secrets import SECRET_KINDS, reference_widening
from constructs_lib.plan.rights.tree import Case, Gone, State, Widened
from constructs_lib.repository.applications import Application
from constructs_lib.text import listed

_JUDGES: Mapping[str, Callable[[Case], Widened]] = {
    **dict.fromkeys((f"{RBAC}/{kind}" for kind in ROLES), role_widening),
    **dict.fromkeys((f"{RBAC}/{kind}" for kind in BINDINGS), binding_widening),
    **dict.fromkeys(DOOR_KINDS, door_widening),
    **SECRET_KINDS,
    "Namespace": namespace_widening,
    "PersistentVolume": volume_widening,
    "ServiceAccount": account_widening,
    "argoproj.io/AppProject": project_widening,
    "argoproj.io/Application": application_widening,
    "argoproj.io/ApplicationSet": application_widening,
}


def add_widening(pairs: Iterable[Pair], before: Sequence[Application], after: Sequence[Application]) -> None:
    """Add to the changes of all Applications what they widen, and which ways in from outside go with them."""
    states = State(before), State(after)
    places: dict[Identity, tuple[Pair, int]] = {}
    for pair in pairs:
        for number, (item, change) in enumerate(pair.changes):
            if change.effect not in (Effect.NONE, Effect.KEPT):
                places[item.identity] = pair, number
    changes = {identity: pair.changes[number] for identity, (pair, number) in places.items()}
    gone = Gone(item for item, change in changes.values() if change.action == "delete")
    cases = {identity: _case(*found, *states, gone) for identity, found in changes.items()}
    found: dict[Identity, list[Reason]] = {identity: [*_widened(case)] for identity, case in cases.items()}
    for identity, opened in network_widening(cases, *states):
        found[identity].append(opened)
    for identity, reasons in found.items():
        pair, number = places[identity]
        item, change = pair.changes[number]
        if reasons:
            change = replace(change, widens=tuple(dict.fromkeys(reasons)))
        if ways := closed(cases[identity]):
            told = reason("way-in-goes", ways=listed(ways, 4))
            fix = change.fix or str(REASONS["way-in-goes"]["fix"])
            change = replace(change, dangerous=True, reasons=(*change.reasons, told), fix=fix)
        pair.changes[number] = item, change


def _case(item: Object, change: Change, before: State, after: State, gone: Gone) -> Case:
    def placed(manifest: dict[str, object] | None) -> Object | None:
        return None if manifest is None else Object(manifest, item.path, item.namespace)

    return Case(placed(change.old), placed(change.new), change.component, before, after, gone)


def _widened(case: Case) -> Widened:
    if judge := _JUDGES.get(case.item.full_kind):
        yield from judge(case)
    else:
        yield from guard_widening(case)
    if case.item.kind in TEMPLATED or case.item.full_kind == "Pod":
        yield from pods_widening(case)
        yield from reference_widening(case)

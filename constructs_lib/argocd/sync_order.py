"""The order in which Argo CD applies and prunes objects.

Facts from https://github.com/argoproj/argo-cd/tree/master/gitops-engine/pkg/sync (``sync_tasks.go``: phase, wave, kind,
name, then what others need first; ``sync_context.go``: waves of pruned objects are swapped, ``PruneLast``, and in every
wave pruning comes first) and from ``controller/sort_delete.go`` (what a deleted Application owned goes by descending
wave).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from constructs_lib.argocd.objects import PHASES, Object
from constructs_lib.kubernetes.manifest import mapping
from constructs_lib.kubernetes.objects import Identity

_KINDS = (
    *("Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy", "PodDisruptionBudget"),
    *("ServiceAccount", "Secret", "SecretList", "ConfigMap", "StorageClass", "PersistentVolume"),
    *("PersistentVolumeClaim", "CustomResourceDefinition", "ClusterRole", "ClusterRoleList", "ClusterRoleBinding"),
    *("ClusterRoleBindingList", "Role", "RoleList", "RoleBinding", "RoleBindingList", "Service", "DaemonSet", "Pod"),
    *("ReplicationController", "ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob"),
    *("IngressClass", "Ingress", "APIService"),
)
_KIND_ORDER = {kind: position for position, kind in enumerate(_KINDS)}
#: Phase, wave, whether it is applied, position of the kind, name, and identity.
Place = tuple[int, int, bool, int, str, Identity]


@dataclass(frozen=True, eq=False)
class Task:
    """Something that a sync does to one object: it applies it, or prunes it, or would if nothing protected it."""

    item: Object
    prunes: bool = False


def sync_order(tasks: Iterable[Task], *, prune_last: bool = False) -> list[tuple[int, Task]]:
    """Return what one sync does, in its order, each with the wave in which it happens.

    ``prune_last`` is the sync option ``PruneLast`` of the Application.
    """
    todo = list(tasks)
    waves = {id(task): task.item.wave for task in todo}
    pruning = [task for task in todo if task.prunes]
    swapped = sorted({task.item.wave for task in pruning})
    opposite = dict(zip(swapped, reversed(swapped), strict=True))
    for task in pruning:
        waves[id(task)] = opposite[task.item.wave]
    last = max((waves[id(task)] for task in todo if _phase(task) == "Sync"), default=0) + 1
    for task in pruning:
        if prune_last or task.item.sync_options.get("PruneLast") == "true":
            waves[id(task)] = last
    places: dict[int, Place] = {
        id(task): (
            PHASES.index(_phase(task)),
            waves[id(task)],
            not task.prunes,
            _KIND_ORDER.get(task.item.kind, len(_KINDS)),
            task.item.name,
            task.item.identity,
        )
        for task in todo
    }
    todo.sort(key=lambda task: places[id(task)])
    applied = [task for task in todo if not task.prunes]
    # What an object is for others, and what an object needs.
    for given, needed in (
        (_namespace, lambda item: item.namespace or None),
        (_custom_kind, lambda item: (item.group, item.kind)),
    ):
        first: dict[object, Place] = {}
        for task in applied:
            key = needed(task.item)
            if given(task.item) is None and key is not None:
                first.setdefault(key, places[id(task)])
        for task in applied:
            provided = given(task.item)
            if provided is not None and provided in first and first[provided] < places[id(task)]:
                phase, wave, *_ = first[provided]
                # Before anything that is applied in that wave, and after what is pruned in it.
                places[id(task)] = (phase, wave, True, -1, task.item.name, task.item.identity)
                waves[id(task)] = wave
        todo.sort(key=lambda task: places[id(task)])
    return [(waves[id(task)], task) for task in todo]


def cascade_order(tasks: Iterable[Task]) -> list[tuple[int, Task]]:
    """Return what a deleted Application owned, each with its wave, in the order in which it goes: the last first."""

    def place(task: Task) -> tuple[int, int, str]:
        return -task.item.wave, _KIND_ORDER.get(task.item.kind, len(_KINDS)), task.item.name

    return [(task.item.wave, task) for task in sorted(tasks, key=place)]


def _phase(task: Task) -> str:
    return next(iter(task.item.phases), "Sync")


def _namespace(item: Object) -> object:
    return item.name if item.kind == "Namespace" and not item.group else None


def _custom_kind(item: Object) -> object:
    if item.kind != "CustomResourceDefinition":
        return None
    return str(item.spec.get("group")), str(mapping(item.spec.get("names")).get("kind"))

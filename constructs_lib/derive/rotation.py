"""Rotation: a changed secret restarts the programs that read it, where the system or the cluster has a Reloader."""

from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.declare.component import Component
from constructs_lib.declare.workload import Workload
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.patches import Source
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.kubernetes.workloads import pods_of

#: Restart what reads the secret that changed, and no other: https://docs.stakater.com/reloader/
RELOAD = "secret.reloader.stakater.com/auto"
_RBAC = "rbac.authorization.k8s.io"
#: Kinds that it restarts. The next run of a CronJob reads what is new.
_RESTARTED = ("DaemonSet", "Deployment", "StatefulSet")


def reload_rights(component: Component, graph: Graph) -> Iterator[Manifest]:
    """Yield what lets the system's Reloader watch the secrets of a component and restart its programs.

    It watches its own namespace, too, whatever it is told.
    """
    operator = graph.providers.get("reloader")
    if operator is None or not operator.restarts_as or not (component.restarts or component is operator):
        return
    name, labels = operator.id, {"app.kubernetes.io/name": operator.id, "app.kubernetes.io/part-of": graph.system.name}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]
    if component.restarts:
        kinds = [f"{kind.lower()}s" for kind in _RESTARTED]
        rules += [
            {"apiGroups": ["apps"], "resources": kinds, "verbs": ["get", "list", "patch", "update"]},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "get", "list"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        ]
    account = {"kind": "ServiceAccount", "name": operator.restarts_as, "namespace": operator.namespace_name}
    reference = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    # Whoever watches for changes lists, and who lists cannot be held to names.
    asked = {"constructs-lib/asks-for.role-reads-all-secrets": "Reloader watches for those that change."}
    yield manifest(f"{_RBAC}/v1", "Role", name, component.namespace_name, labels, annotations=asked, rules=rules)
    yield manifest(
        f"{_RBAC}/v1",
        "RoleBinding",
        name,
        component.namespace_name,
        labels,
        roleRef=reference,
        subjects=[account],
    )


def ask_for_restart(component: Component, graph: Graph, made: Manifest, source: Source) -> None:
    """Have an object restarted when a secret that its pods read changes; a Job runs again."""
    if "reloader" not in graph.providers and "reloader" not in component.system.environment.cluster.provides:
        return
    if made["kind"] in _RESTARTED and isinstance(source, Workload) and not source.restarts_with_secrets:
        return
    pods = pods_of(Object(made, "", component.namespace_name)) if made["kind"] in (*_RESTARTED, "Job") else None
    if pods is not None and any(reference.kind == "Secret" for reference in pods.references):
        made["metadata"].setdefault("annotations", {}).setdefault(RELOAD, "true")

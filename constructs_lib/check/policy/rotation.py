"""Proof that a rotated secret reaches the programs that read it."""

import re
from collections.abc import Iterator, Mapping

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import inner, mappings
from constructs_lib.kubernetes.workloads import Reference
from constructs_lib.text import listed

#: Kinds whose pods run on: those of Jobs read what there is when they start.
_RUNNING = ("DaemonSet", "Deployment", "Rollout", "StatefulSet")
#: Operators that write a Secret anew when the value changes in a store elsewhere, with the field that names it.
_SYNCED = {
    "external-secrets.io": ("ExternalSecret", ("target", "name")),
    "secrets.hashicorp.com": ("", ("destination", "name")),
}
#: Annotations of controllers that restart pods: Reloader's, also under a name of one's own, and Wave's.
_RESTARTING = re.compile(r"reload|^wave\.pusher\.com/|update-on-config-change")
_NO = ("false", "no", "0", "")


def rotation_findings(model: ClusterModel) -> Iterator[Finding]:
    """Yield programs that keep the old value of a secret that an operator renews; those of a laptop do no harm."""
    if not model.has_applications or model.cluster.is_laptop:
        return
    renewed = {(item.namespace, name): item for item, name in _renewed(model)}
    if not renewed or _restarts_all(model):
        return
    for pods in model.pods:
        if pods.owner.kind not in _RUNNING or _asks(pods):
            continue
        kept: dict[str, Reference] = {}
        for reference in pods.references:
            source = renewed.get((pods.namespace, reference.name)) if reference.kind == "Secret" else None
            if source is not None and reference.at_start and not _is_restarted_by(source, pods.owner):
                kept.setdefault(reference.name, reference)
        if kept:
            problem = f"Nobody restarts its pods when the Secret {listed(sorted(kept))} changes."
            yield Finding.of("rotated-secret-unnoticed", pods.owner, problem, at=next(iter(kept.values())).at)


def _renewed(model: ClusterModel) -> Iterator[tuple[Object, str]]:
    """Yield what writes a Secret whenever the value changes elsewhere, with the Secret's name.

    https://external-secrets.io/latest/api/externalsecret/: ``refreshInterval`` and ``refreshPolicy``.
    """
    for item in model.objects:
        kind, named = _SYNCED.get(item.group, ("", ()))
        if not named or (kind and item.kind != kind):
            continue
        never = (
            str(item.spec.get("refreshInterval", "")) in ("0", "0s") or item.spec.get("refreshPolicy") == "CreatedOnce"
        )
        name = inner(item.spec, *named) or (item.name if kind else "")
        if name and not never:
            yield item, str(name)


def _asks(pods: Pods) -> bool:
    """Tell whether an annotation of the owner or of its pods asks a controller for restarts."""
    template = inner(pods.owner.spec, "template", "metadata", "annotations")
    annotations = {**(template if isinstance(template, Mapping) else {}), **pods.owner.annotations}
    return any(_RESTARTING.search(name) and str(value).lower() not in _NO for name, value in annotations.items())


def _is_restarted_by(source: Object, owner: Object) -> bool:
    """Tell whether what writes a Secret restarts a workload itself.

    https://developer.hashicorp.com/vault/docs/deploy/kubernetes/vso/api-reference#rolloutrestarttarget
    """
    targets = mappings(source.spec.get("rolloutRestartTargets"))
    return any((each.get("kind"), each.get("name")) == (owner.kind, owner.name) for each in targets)


def _restarts_all(model: ClusterModel) -> bool:
    """Tell whether a Reloader in the tree restarts whatever reads a Secret, without being asked."""
    for known in model.all_applications:
        for chart in known.charts:
            if inner(chart.values, "reloader", "autoReloadAll") is True:
                return True
    return any(
        str(word).startswith("--auto-reload-all") and not str(word).endswith("=false")
        for pods in model.pods
        for container in pods.containers
        for word in (*(container.get("args") or ()), *(container.get("command") or ()))
    )

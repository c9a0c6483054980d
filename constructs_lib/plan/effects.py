"""What a change of an object does in the cluster, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.argocd.objects import WAVE, Object, mapping, sequence
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.plan.change import Effect, Reason, named
from constructs_lib.plan.fields import FieldChange, field
from constructs_lib.plan.removals import loss_with
from constructs_lib.plan.rules import IMMUTABLE, is_dangerous
from constructs_lib.plan.verdict import (
    ARGOCD,
    DOCS,
    LASTING,
    OPTIONS,
    ROLLING,
    TEMPLATED,
    Surroundings,
    Verdict,
    automation,
    option,
    pods_in,
)
from constructs_lib.repository.applications import Application
from constructs_lib.text import listed


def changed(old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings) -> Verdict:
    """Return what happens to an object that is changed in the repository.

    Args:
        old: Its state before.
        new: Its state afterwards.
        fields: What differs.
        around: What is deployed together with it.
    """
    verdict = Verdict(Effect.UPDATE, fields=fields)
    counted = _without_ignored(old, fields, around.application, verdict)
    if not counted:
        return verdict
    kind = (new.group, new.kind)
    if kind in TEMPLATED:
        _workload_changed(old, new, counted, around, verdict)
    for judge in _JUDGES.get(kind, ()):
        judge(old, new, counted, around, verdict)
    _check_immutable(old, new, counted, around, verdict)
    verdict.dangerous = verdict.dangerous or is_dangerous(new, verdict.effect)
    return verdict


def _check_immutable(
    old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings, verdict: Verdict
) -> None:
    replaced = option(around.application, "Replace", old, new) == "true"
    forced = "true" in (old.sync_options.get("Force"), new.sync_options.get("Force"))
    kind = (new.group, new.kind)
    updated_only = kind in {("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")}
    runs_again = kind in {("batch", "Job"), ("", "Pod")}
    if new.metadata.get("name") is None:
        verdict.because("Every sync makes a new one (generateName); those that are there stay as they are.")
        return
    if new.is_hook:
        if {"BeforeHookCreation", "HookSucceeded"} & old.hook_delete_policies:
            verdict.because(
                f"A hook is deleted and created again for a sync: the {new.kind} runs with what is new.",
                f"{ARGOCD}/user-guide/sync-waves/",
            )
            return
    elif replaced and forced and not updated_only:
        if runs_again:
            verdict.because(
                f"Argo CD deletes the {new.kind} and creates it again (Force=true,Replace=true): it runs again.",
                OPTIONS,
            )
            return
        verdict.because(
            "Argo CD deletes it and creates it again, whatever changes in it (Force=true,Replace=true).",
            OPTIONS,
            Effect.REPLACEMENT,
        )
        if deletion := loss_with(old):
            verdict.because(deletion.text, deletion.source, Effect.DATA_LOSS)
        verdict.pods = pods_in(old, around)
    for rule in IMMUTABLE:
        if (rule.group, rule.kind) != kind or (rule.when and not rule.when(old, new)):
            continue
        hit = [change.path for change in fields if rule.hits(change)]
        if not hit:
            continue
        verdict.because(f"{listed(hit)} cannot be changed; it takes a new {new.kind}.", rule.source, Effect.REPLACEMENT)
        if rule.loss:
            verdict.because(f"{rule.loss[0].upper()}{rule.loss[1:]}.", "", Effect.DATA_LOSS)
        by_itself = not updated_only and forced and (replaced or not _server_side(around.application, new))
        if by_itself and not replaced:
            verdict.because("Argo CD deletes it and creates it again when the change is refused (Force=true).", OPTIONS)
        elif not by_itself:
            verdict.reasons.append(_what_happens(old, new, hit))
        verdict.pods = []
        verdict.mend = (
            rule.mend.format(name=new.name, namespace=new.namespace)
            or verdict.mend
            or (
                f"Give it another name, so that the new one is there before the old one goes, or delete {named(new)} "
                f"by hand after the push, which interrupts what it does."
            )
        )


def _what_happens(old: Object, new: Object, hit: Sequence[str]) -> Reason:
    if new.kind == "Service" and not field(new, "spec", "clusterIP") and any("clusterIP" in path for path in hit):
        return Reason(
            f"If pushed, nothing happens: an address that is left out stays as it is, and the Service stays headless "
            f"until a person deletes {named(old)}.",
            "patchAllocatedValues",
        )
    return Reason(
        f"If pushed, the sync fails at this object with the API server's message, and this and all later waves stay as "
        f"they are until a person deletes {named(old)}."
    )


def _server_side(application: Application, item: Object) -> bool:
    return option(application, "ServerSideApply", item) == "true"


def _without_ignored(
    item: Object, fields: Sequence[FieldChange], application: Application, verdict: Verdict
) -> Sequence[FieldChange]:
    """Return the fields that the Application does not ignore; the effect is weakened if it ignores some."""
    pointers = [
        pointer for entry in application.ignored_differences if _concerns(entry, item) for pointer in _keys(entry)
    ]
    ignored = [change for change in fields if any(change.below(*keys) for keys in pointers)]
    if not ignored:
        return fields
    if application.sync_options.get("RespectIgnoreDifferences") == "true":
        kept = [change for change in fields if change not in ignored]
        if not kept:
            verdict.effect = Effect.NONE
        verdict.because(
            f"{listed([change.path for change in ignored])} stays as it is in the cluster (ignoreDifferences with "
            f"RespectIgnoreDifferences=true).",
            OPTIONS,
        )
        return kept
    verdict.because(
        f"{listed([change.path for change in ignored])} is no difference to Argo CD (ignoreDifferences): it is "
        f"applied with the next sync that has another cause.",
        f"{ARGOCD}/user-guide/diffing/",
    )
    return fields


def _concerns(entry: Mapping[str, Any], item: Object) -> bool:
    wanted = {"group": item.group, "kind": item.kind, "name": item.name, "namespace": item.namespace}
    given = {key: str(entry[key]) for key in wanted if entry.get(key)}
    if "group" not in given and item.group:
        return False
    return all(value in (wanted[key], "*") for key, value in given.items())


def _keys(entry: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for pointer in sequence(entry.get("jsonPointers")):
        parts = str(pointer).strip("/").split("/")
        yield tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
    for path in sequence(entry.get("jqPathExpressions")):
        text = str(path).removeprefix(".")
        if all(part.isidentifier() for part in text.split(".")):
            yield tuple(text.split("."))


# Judges of single kinds.

Judge = Callable[[Object, Object, Sequence[FieldChange], Surroundings, Verdict], None]


def _touched(fields: Sequence[FieldChange], *keys: str) -> bool:
    return any(change.below(*keys) for change in fields)


def _workload_changed(
    old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings, verdict: Verdict
) -> None:
    kind = (new.group, new.kind)
    if kind == ("batch", "CronJob") and _touched(fields, "spec", "jobTemplate"):
        verdict.because("It takes effect from the next run on.", f"{DOCS}/workloads/controllers/cron-jobs/")
    if kind in LASTING and _touched(fields, "spec", "template"):
        verdict.because(
            "Its pods stay as they are; only those that replace them are new.",
            f"{DOCS}/workloads/controllers/replicaset/",
        )
    if kind in ROLLING and _touched(fields, "spec", "template"):
        _template_changed(new, around, verdict)
    if kind in ROLLING | LASTING and _touched(fields, "spec", "replicas"):
        _scaled(old, new, around, verdict)


def _template_changed(new: Object, around: Surroundings, verdict: Verdict) -> None:
    strategy = mapping(new.spec.get("strategy" if new.kind in ("Deployment", "Rollout") else "updateStrategy"))
    if strategy.get("type") == "OnDelete":
        verdict.because(
            "Nothing restarts by itself (updateStrategy OnDelete): a pod is new once somebody deletes the old one.",
            f"{DOCS}/workloads/controllers/{new.kind.lower()}/",
        )
        return
    if new.spec.get("paused") is True:
        verdict.because(
            "Nothing restarts before the rollout is resumed (spec.paused).",
            f"{DOCS}/workloads/controllers/deployment/#pausing-and-resuming-a-deployment",
        )
        return
    verdict.pods = pods_in(new, around, restarting=True)
    if not verdict.pods:
        verdict.because("No pod is running that would restart.")
        return
    verdict.effect = Effect.RESTART
    if strategy.get("type") == "Recreate":
        verdict.because(
            "All its pods stop before the first new one starts (strategy Recreate): it is down meanwhile.",
            f"{DOCS}/workloads/controllers/deployment/#recreate-deployment",
        )


def _scaled(old: Object, new: Object, around: Surroundings, verdict: Verdict) -> None:
    before, after = (item.spec.get("replicas", 1) for item in (old, new))
    if not isinstance(before, int) or not isinstance(after, int):
        return
    scaler = around.scaler(new)
    if scaler is not None:
        verdict.because(f"{named(scaler)} sets the number of pods, too, and has the last word.")
    elif after == 0:
        verdict.because("No pod is left.")
    if after < before and new.kind == "StatefulSet" and field(new, "spec", "volumeClaimTemplates"):
        if field(new, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled") == "Delete":
            verdict.because(
                f"{before - after} of its pods go with their volumes "
                f"(persistentVolumeClaimRetentionPolicy.whenScaled is Delete).",
                f"{DOCS}/workloads/controllers/statefulset/#persistentvolumeclaim-retention",
                Effect.DATA_LOSS,
            )
            verdict.mend = "Set persistentVolumeClaimRetentionPolicy.whenScaled to Retain first."
        else:
            verdict.because(
                f"{before - after} of its pods go, those with the highest numbers; their volumes stay. What they hold "
                f"has to be moved to the others before.",
                f"{DOCS}/workloads/controllers/statefulset/#deployment-and-scaling-guarantees",
            )


def _pod_changed(
    old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings, verdict: Verdict
) -> None:
    if any(change.keys[-1] == "image" for change in fields):
        verdict.because(
            "The container restarts with the new image, in the same pod.", f"{DOCS}/workloads/pods/", Effect.RESTART
        )
        verdict.pods = pods_in(new, around)


def _service_changed(
    old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings, verdict: Verdict
) -> None:
    if field(old, "spec", "type") == "LoadBalancer" != field(new, "spec", "type"):
        verdict.because(
            "Its load balancer is given back, and with it the public address, which may never come again.",
            f"{DOCS}/services-networking/service/#loadbalancer",
        )
        verdict.mend = "Move clients to another address first, or reserve the address with the provider."
        verdict.dangerous = True


def _claim_changed(
    old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings, verdict: Verdict
) -> None:
    before, after = (quantity(field(item, "spec", "resources", "requests", "storage")) for item in (old, new))
    if before is None or after is None or before == after:
        return
    if after > before:
        verdict.because(
            "The volume grows if its storage class allows it (allowVolumeExpansion).",
            f"{DOCS}/storage/persistent-volumes/#expanding-persistent-volumes-claims",
        )
        return
    verdict.because("A claim cannot shrink; it takes a new one.", "ValidatePersistentVolumeClaimUpdate")
    verdict.because("A new claim starts with an empty volume.", "", Effect.DATA_LOSS)
    verdict.reasons.append(_what_happens(old, new, []))
    verdict.mend = "Create a smaller claim under another name, copy the data, and let the pods use that one."


def _configuration_changed(
    old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings, verdict: Verdict
) -> None:
    if all(change.keys[:1] == ("metadata",) for change in fields):
        return
    kind, name = new.kind, new.name
    if kind not in ("ConfigMap", "Secret"):
        kind = "Secret"
        name = str(field(new, "spec", "target", "name") or new.name)
    for reader in around.readers(kind, new.namespace, name):
        verdict.because(
            f"{named(reader)} reads it when its pods start, and keeps the old values until they restart.",
            f"{DOCS}/configuration/configmap/#mounted-configmaps-are-updated-automatically",
        )


def _definition_changed(
    old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings, verdict: Verdict
) -> None:
    before, after = (
        {str(mapping(version).get("name")): mapping(version) for version in sequence(item.spec.get("versions"))}
        for item in (old, new)
    )
    source = (
        "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/"
    )
    for name, version in before.items():
        if name not in after and version.get("storage") is True:
            verdict.because(
                f"{name} is the version in which its resources are stored. The API server refuses to drop it as long "
                f"as status.storedVersions names it, and what is stored in it cannot be read once it is gone.",
                "ValidateCustomResourceDefinitionStoredVersions",
                Effect.DATA_LOSS,
            )
            verdict.mend = "Store all resources in the new version first, then take the old one out of storedVersions."
        elif version.get("served") is True and after.get(name, {}).get("served") is not True:
            verdict.because(f"{name} is served no more: who still uses it fails.", source)
            verdict.dangerous = True


def _application_changed(
    old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings, verdict: Verdict
) -> None:
    before, after = (mapping(item.spec.get("syncPolicy")) for item in (old, new))
    automated = [mapping(policy.get("automated")) for policy in (before, after)]
    if _touched(fields, "spec", "destination", "server") or _touched(fields, "spec", "destination", "name"):
        verdict.because(
            "It deploys to another cluster: what is on the old one stays there, and nobody manages it.",
            f"{ARGOCD}/user-guide/application-specification/",
        )
        verdict.dangerous = True
    elif _touched(fields, "spec", "destination", "namespace"):
        verdict.because("Objects that name no namespace move to another one: they are created there and pruned here.")
    if _touched(fields, "spec", "project"):
        verdict.because(
            "Another project decides what it may deploy; what that one does not permit fails.",
            f"{ARGOCD}/user-guide/projects/",
        )
    if isinstance(before.get("automated"), dict) and not isinstance(after.get("automated"), dict):
        verdict.because("Argo CD syncs it no more by itself: changes wait for a person.", automation("automated-sync"))
    elif automated[0].get("prune") is True and automated[1].get("prune") is not True:
        verdict.because(
            "What is removed from its folder from now on stays in the cluster.", automation("automatic-pruning")
        )
    healed, heals = (policy.get("selfHeal") is True for policy in automated)
    if healed and not heals and isinstance(after.get("automated"), dict):
        verdict.because(
            "What somebody changes by hand in the cluster stays changed.", automation("automatic-self-healing")
        )
    if _touched(fields, "metadata", "annotations", WAVE):
        verdict.because(f"It is synced in wave {new.wave}, no longer in wave {old.wave}.")
    if _touched(fields, "metadata", "finalizers"):
        has = bool(sequence(new.metadata.get("finalizers")))
        verdict.because(
            f"Once it is deleted, what it deployed {'is deleted with it' if has else 'stays'}.",
            f"{ARGOCD}/user-guide/app_deletion/",
        )
    source = any(change.below("spec", key) for key in ("source", "sources") for change in fields)
    if source and any(mapping(item).get("chart") for item in _sources(new)):
        verdict.because("What its chart renders is not in the tree: helm template shows what changes there.")


def _sources(item: Object) -> list[Any]:
    return [item.spec.get("source"), *sequence(item.spec.get("sources"))]


_JUDGES: dict[tuple[str, str], tuple[Judge, ...]] = {
    ("", "Pod"): (_pod_changed,),
    ("", "Service"): (_service_changed,),
    ("", "PersistentVolumeClaim"): (_claim_changed,),
    ("", "ConfigMap"): (_configuration_changed,),
    ("", "Secret"): (_configuration_changed,),
    ("external-secrets.io", "ExternalSecret"): (_configuration_changed,),
    ("bitnami.com", "SealedSecret"): (_configuration_changed,),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (_definition_changed,),
    ("argoproj.io", "Application"): (_application_changed,),
}

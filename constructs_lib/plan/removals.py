"""What happens to an object that was removed from the repository, and why."""

from dataclasses import replace

from constructs_lib.argocd.objects import Object
from constructs_lib.plan.change import Effect
from constructs_lib.plan.fields import field
from constructs_lib.plan.rules import is_dangerous, loss_with
from constructs_lib.plan.verdict import Surroundings, Verdict, kept, option, pods_in, reason
from constructs_lib.repository.applications import Application

_PROTECT = (
    "To keep it, push argocd.argoproj.io/sync-options: Prune=false,Delete=false on it first, and let that be synced."
)


def deleted(item: Object, around: Surroundings) -> Verdict:
    """Return what happens when nothing keeps an object from being deleted."""
    verdict = Verdict(Effect.DELETE, pods=pods_in(item, around))
    if loss := loss_with(item):
        verdict.add(loss, Effect.DATA_LOSS)
        verdict.fix = _PROTECT
    elif item.full_kind == "apps/StatefulSet" and field(item, "spec", "volumeClaimTemplates"):
        verdict.because("volumes-stay")
    if item.kind == "Service" and field(item, "spec", "type") == "LoadBalancer":
        verdict.because("load-balancer-deleted")
    verdict.dangerous = is_dangerous(item, verdict.effect)
    return verdict


def pruned(item: Object, around: Surroundings, now: Application) -> Verdict:
    """Return what happens to an object that an Application no longer finds in its folder.

    Args:
        item: The object.
        around: What was deployed together with it.
        now: The Application as it is from now on.
    """
    if now.item is None:
        return deleted(item, around)
    protection = option(now, "Prune", item)
    if item.is_hook:
        return kept("hook-never-pruned")
    if protection == "false":
        return kept("not-pruned")
    if not now.automated:
        return kept("pruned-by-hand")
    if not now.prunes:
        return kept("pruning-is-off")
    verdict = deleted(item, around)
    if protection == "confirm":
        verdict.because("pruning-waits", application=now.name)
    return verdict


def cascaded(item: Object, around: Surroundings) -> Verdict:
    """Return what happens to an object whose Application is deleted."""
    owner = around.application
    protection = option(owner, "Delete", item)
    if not owner.cascades:
        return kept("no-finalizer", application=owner.name)
    if item.full_kind == "apiextensions.k8s.io/CustomResourceDefinition":
        return kept("definition-stays")
    if protection == "false":
        return kept("not-deleted")
    if item.annotations.get("helm.sh/resource-policy") == "keep":
        return kept("kept-by-helm")
    verdict = deleted(item, around)
    if protection == "confirm":
        verdict.because("deletion-waits", application=owner.name)
    return verdict


def lost_with_namespace(item: Object, verdict: Verdict, around: Surroundings) -> Verdict:
    """Return what happens to an object whose Namespace is deleted, whatever protects the object itself."""
    holds_data = item.kind == "PersistentVolumeClaim" or (
        item.kind == "StatefulSet" and field(item, "spec", "volumeClaimTemplates")
    )
    stays = verdict.effect == Effect.KEPT
    effect = max(Effect.DATA_LOSS if holds_data else Effect.DELETE, Effect.DELETE if stays else verdict.effect)
    lost = replace(verdict, effect=effect, reasons=[] if stays else [*verdict.reasons])
    lost.because("namespace-deleted", namespace=item.namespace)
    if effect == Effect.DATA_LOSS:
        lost.reasons = [known for known in lost.reasons if known != reason("volumes-stay")]
    lost.pods = verdict.pods or pods_in(item, around)
    lost.dangerous = is_dangerous(item, effect)
    return lost

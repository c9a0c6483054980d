"""What happens to an object that is gone from the repository, and why."""

from __future__ import annotations

from dataclasses import replace

from constructs_lib.argocd.objects import Object
from constructs_lib.plan.change import Effect, Reason
from constructs_lib.plan.fields import field
from constructs_lib.plan.rules import LOSSES, is_dangerous
from constructs_lib.plan.verdict import ARGOCD, DOCS, OPTIONS, Surroundings, Verdict, automation, option, pods_in
from constructs_lib.repository.applications import Application

_PROTECT = (
    "To keep it, push argocd.argoproj.io/sync-options: Prune=false,Delete=false on it first, and let that be synced."
)


def loss_with(item: Object) -> Reason | None:
    """Return what is lost with an object that is deleted, if anything is."""
    for loss in LOSSES:
        if (loss.group, loss.kind) == (item.group, item.kind) and (loss.when is None or loss.when(item)):
            return Reason(loss.text, loss.source)
    return None


def deleted(item: Object, around: Surroundings) -> Verdict:
    """Return what happens when an object is really deleted."""
    verdict = Verdict(Effect.DELETE, pods=pods_in(item, around))
    if reason := loss_with(item):
        verdict.because(reason.text, reason.source, Effect.DATA_LOSS)
        verdict.mend = _PROTECT
    elif (item.group, item.kind) == ("apps", "StatefulSet") and field(item, "spec", "volumeClaimTemplates"):
        verdict.because(
            "The volumes of its pods stay.",
            f"{DOCS}/workloads/controllers/statefulset/#persistentvolumeclaim-retention",
        )
    if item.kind == "Service" and field(item, "spec", "type") == "LoadBalancer":
        verdict.because("Its load balancer is given back, and with it the public address, which may never come again.")
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
    if item.is_hook:
        return _kept("It is a hook, which Argo CD never prunes; it runs no more.", f"{ARGOCD}/user-guide/sync-waves/")
    protection = option(now, "Prune", item)
    if protection == "false":
        return _kept("It is protected from pruning (Prune=false).", f"{OPTIONS}#no-prune-resources")
    if not now.automated:
        return _kept(
            "Nothing is pruned before somebody syncs the Application by hand, with pruning.",
            automation("automated-sync"),
        )
    if not now.prunes:
        return _kept("Automated pruning is off.", automation("automatic-pruning"))
    verdict = deleted(item, around)
    if protection == "confirm":
        verdict.because(
            f"Its deletion waits until a person confirms it (Prune=confirm); until then the sync of {now.name} stands "
            f"still.",
            f"{OPTIONS}#resource-pruning-with-confirmation",
        )
    return verdict


def cascaded(item: Object, around: Surroundings) -> Verdict:
    """Return what happens to an object whose Application is deleted."""
    owner = around.application
    if not owner.cascades:
        return _kept(
            f"The Application {owner.name} goes without what it deployed: it does not have the finalizer "
            f"resources-finalizer.argocd.argoproj.io.",
            f"{ARGOCD}/user-guide/app_deletion/",
        )
    if (item.group, item.kind) == ("apiextensions.k8s.io", "CustomResourceDefinition"):
        return _kept("A CustomResourceDefinition stays when its Application is deleted.", "shouldBeDeleted of Argo CD")
    protection = option(owner, "Delete", item)
    if protection == "false":
        return _kept(
            "It is protected from the deletion of its Application (Delete=false).", f"{OPTIONS}#no-resource-deletion"
        )
    if item.annotations.get("helm.sh/resource-policy") == "keep":
        return _kept(
            "It is protected from the deletion of its Application (helm.sh/resource-policy: keep).",
            f"{ARGOCD}/user-guide/helm/",
        )
    verdict = deleted(item, around)
    if protection == "confirm":
        verdict.because(
            f"Its deletion waits until a person confirms it (Delete=confirm); until then the Application {owner.name} "
            f"is not gone, and the sync of what deployed it waits.",
            f"{OPTIONS}#resource-deletion-with-confirmation",
        )
    return verdict


def kept_with(reason: Reason) -> Verdict:
    """Return what happens to an object whose Application stays although it is gone from the repository."""
    return Verdict(Effect.KEPT, [reason])


def _kept(text: str, source: str) -> Verdict:
    return Verdict(Effect.KEPT, [Reason(text, source)])


def lost_with_namespace(item: Object, verdict: Verdict, around: Surroundings) -> Verdict:
    """Return what happens to an object whose Namespace is deleted, whatever protects the object itself."""
    effect = Effect.DELETE
    if item.kind == "PersistentVolumeClaim" or (
        item.kind == "StatefulSet" and field(item, "spec", "volumeClaimTemplates")
    ):
        effect = Effect.DATA_LOSS
    reason = Reason(
        f"Its Namespace {item.namespace} is deleted, and everything in it, whatever protects it.",
        f"{DOCS}/overview/working-with-objects/namespaces/",
    )
    effect = max(effect, verdict.effect if verdict.effect > Effect.KEPT else effect)
    reasons = [reason] if verdict.effect == Effect.KEPT else [*verdict.reasons, reason]
    if effect == Effect.DATA_LOSS:
        reasons = [known for known in reasons if known.text != "The volumes of its pods stay."]
    return replace(
        verdict,
        effect=effect,
        reasons=reasons,
        pods=verdict.pods or pods_in(item, around),
        mend=f"Protect Namespace/{item.namespace} first (Prune=false,Delete=false).",
        dangerous=is_dangerous(item, effect),
    )

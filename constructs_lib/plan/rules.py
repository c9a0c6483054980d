"""What the API server refuses to change, and what is lost with an object: the rules of ``rules.yaml``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import inner, sequence
from constructs_lib.plan.change import Effect, Reason
from constructs_lib.plan.fields import RULES, FieldChange


@dataclass(frozen=True)
class Immutable:
    """Fields of a kind that the API server does not allow to change: a row of ``rules.yaml``, which explains it."""

    kind: str
    fields: Sequence[str]
    source: str
    but: Sequence[str] = ()
    when: str = ""
    loss: str = ""
    fix: str = ""

    def broken_by(self, old: Object, new: Object, fields: Sequence[FieldChange]) -> list[str]:
        """Return the paths of those of the changed fields that cannot change."""
        if new.full_kind != self.kind or (self.when and not _CHANGES[self.when](old, new)):
            return []
        return [
            change.path
            for change in fields
            if any(_below(change, name) for name in self.fields) and not any(_below(change, name) for name in self.but)
        ]


IMMUTABLE = [Immutable(**rule) for rule in RULES["immutable"]]


def _below(change: FieldChange, name: str) -> bool:
    """Tell whether a field is the named one or lies below it; ``*`` stands for any item of a list."""
    parts = name.split(".")
    return len(change.keys) >= len(parts) and all(
        part in ("*", key) for part, key in zip(parts, change.keys, strict=False)
    )


def _cannot_be_scaled(old: Object, new: Object) -> bool:
    completions = inner(new.spec, "completions")
    indexed = inner(new.spec, "completionMode") == "Indexed"
    return not (indexed and completions is not None and completions == inner(new.spec, "parallelism"))


def _has_address(old: Object, new: Object) -> bool:
    """Tell whether a Service has an address in the cluster before and afterwards."""
    return "ExternalName" not in (inner(old.spec, "type"), inner(new.spec, "type"))


def _address_changes(old: Object, new: Object) -> bool:
    """Tell whether the address of a Service changes; an address that is left out stays as it is."""
    before, after = (
        str(inner(item.spec, "clusterIP") or next(iter(sequence(inner(item.spec, "clusterIPs"))), ""))
        for item in (old, new)
    )
    return _has_address(old, new) and before != after and (bool(after) or before == "None")


def _family_changes(old: Object, new: Object) -> bool:
    before, after = (sequence(inner(item.spec, "ipFamilies"))[:1] for item in (old, new))
    return _has_address(old, new) and bool(before) and bool(after) and before != after


def _balances(old: Object, new: Object) -> bool:
    return all(inner(item.spec, "type") == "LoadBalancer" for item in (old, new))


_CHANGES: Mapping[str, Callable[[Object, Object], bool]] = {
    "job cannot be scaled": _cannot_be_scaled,
    "address changes": _address_changes,
    "first address family changes": _family_changes,
    "stays a load balancer": _balances,
    "stays a load balancer with a port for health checks": lambda old, new: (
        _balances(old, new) and bool(inner(old.spec, "healthCheckNodePort"))
    ),
    "had a node affinity": lambda old, new: bool(inner(old.spec, "nodeAffinity")),
    "was immutable": lambda old, new: old.manifest.get("immutable") is True,
}
_STATES: Mapping[str, Callable[[Object], bool]] = {
    "is reclaimed": lambda item: inner(item.spec, "persistentVolumeReclaimPolicy") not in (None, "Retain"),
    "deletes its claims": lambda item: (
        inner(item.spec, "persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete"
        and bool(inner(item.spec, "volumeClaimTemplates"))
    ),
}


def loss_with(item: Object) -> Reason | None:
    """Return what is lost with an object that is deleted, if anything is."""
    for loss in RULES["losses"]:
        if loss["kind"] == item.full_kind and ("when" not in loss or _STATES[loss["when"]](item)):
            return Reason(loss["text"], loss["source"])
    return None


def is_dangerous(item: Object, effect: Effect) -> bool:
    """Tell whether a person must allow an effect on an object by name."""
    return effect >= Effect.REPLACEMENT or (effect == Effect.DELETE and item.full_kind in RULES["outages"])

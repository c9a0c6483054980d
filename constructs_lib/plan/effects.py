"""What a change of an object does in the cluster, and why."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from constructs_lib.argocd.objects import WAVE, Object
from constructs_lib.argocd.projects import cluster_name, repository_name
from constructs_lib.kubernetes.manifest import inner, mapping, sequence
from constructs_lib.kubernetes.openings import kept_in
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.plan.change import LASTING, ROLLING, Effect, Reason, Surroundings, Verdict, named, option, pods_in
from constructs_lib.plan.fields import RULES, FieldChange
from constructs_lib.plan.holdings import (
    MAKING_SECRETS,
    changed_keys,
    chosen_addresses,
    counts_members,
    keeps_no_more,
    left_behind,
    loses_majority,
    other_format,
    owns_its_secret,
    secret_of,
)
from constructs_lib.repository.applications import cascades
from constructs_lib.repository.sources import sources_of
from constructs_lib.text import listed

#: Kinds that Argo CD never deletes and creates again.
_UPDATED_ONLY = frozenset({"Namespace", "apiextensions.k8s.io/CustomResourceDefinition"})
#: Kinds that run to their end.
_RUNNING_ONCE = frozenset({"Pod", "batch/Job"})


@dataclass
class _Case:
    """A changed object before and afterwards, its fields that differ and are not ignored, and what is deployed with it.

    The judges fill in the verdict.
    """

    old: Object
    new: Object
    fields: Sequence[FieldChange]
    around: Surroundings
    verdict: Verdict

    def touches(self, *keys: str) -> bool:
        """Tell whether a field, or something below it, is changed."""
        return any(change.below(*keys) for change in self.fields)


def changed(old: Object, new: Object, fields: Sequence[FieldChange], around: Surroundings) -> Verdict:
    """Return what happens to an object that is changed in the repository, and deployed together with others."""
    verdict = Verdict(Effect.UPDATE, fields=fields)
    case = _Case(old, new, _without_ignored(old, fields, around, verdict), around, verdict)
    if case.fields:
        if judge := _JUDGES.get(new.full_kind):
            judge(case)
        elif holds_something(new):
            _custom(case)
        _judge_replacement(case)
        _tell_what_is_kept_open(case)
        verdict.dangerous = verdict.dangerous or is_dangerous(new, verdict.effect)
    return verdict


def _tell_what_is_kept_open(case: _Case) -> None:
    before, after = kept_in(case.old.manifest), kept_in(case.new.manifest)
    if after:
        case.verdict.because("kept-open", fields=listed([*after]))
    if any(entry not in after.values() for entry in before.values()):
        case.verdict.because("kept-open-no-more")


def _without_ignored(
    item: Object, fields: Sequence[FieldChange], around: Surroundings, verdict: Verdict
) -> Sequence[FieldChange]:
    """Return the fields that the Application does not ignore; if it ignores some, say so in the verdict."""
    application = around.application
    pointers = [pointer for entry in application.differences_ignored_of(item) for pointer in _keys(entry)]
    ignored = [change for change in fields if any(change.below(*keys) for keys in pointers)]
    if not ignored:
        return fields
    names = listed([change.path for change in ignored])
    if application.sync_options.get("RespectIgnoreDifferences") != "true":
        verdict.because("ignored", fields=names)
        return fields
    counted = [change for change in fields if change not in ignored]
    if not counted:
        verdict.effect = Effect.NONE
    verdict.because("ignored-and-respected", fields=names)
    return counted


def _keys(entry: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the fields that an entry of ignoreDifferences names; jq expressions other than plain paths are skipped."""
    for pointer in sequence(entry.get("jsonPointers")):
        parts = str(pointer).strip("/").split("/")
        yield tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
    for path in sequence(entry.get("jqPathExpressions")):
        text = str(path).removeprefix(".")
        if all(part.isidentifier() for part in text.split(".")):
            yield tuple(text.split("."))


def _judge_replacement(case: _Case) -> None:
    """Judge whether the object is deleted and created again, or must be for the change to take effect."""
    old, new, verdict = case.old, case.new, case.verdict
    replaced = option(case.around.application, "Replace", old, new) == "true"
    forced = "true" in (old.sync_options.get("Force"), new.sync_options.get("Force"))
    may_be_deleted = forced and new.full_kind not in _UPDATED_ONLY
    if new.metadata.get("name") is None:
        verdict.because("generated-name")
        return
    if new.is_hook:
        if {"BeforeHookCreation", "HookSucceeded"} & old.hook_delete_policies:
            verdict.because("hook-runs-again", kind=new.kind)
            return
    elif replaced and may_be_deleted:
        if new.full_kind in _RUNNING_ONCE:
            verdict.because("forced-runs-again", kind=new.kind)
            return
        verdict.because("forced-replacement")
        if loss := loss_with(old):
            verdict.add(loss, Effect.DATA_LOSS)
        verdict.pods = pods_in(old, case.around)
    server_side = option(case.around.application, "ServerSideApply", new) == "true"
    for rule in _IMMUTABLE:
        hit = rule.broken_by(old, new, case.fields)
        if not hit:
            continue
        verdict.because("immutable", fields=listed(hit), kind=new.kind, source=rule.source)
        if rule.loss:
            verdict.because("immutable-loss", loss=rule.loss)
        by_itself = may_be_deleted and (replaced or not server_side)
        if by_itself and not replaced:
            verdict.because("deleted-when-refused")
        elif not by_itself:
            _add_what_happens(case, hit)
        verdict.pods = []
        fix = rule.fix.format(name=new.name, namespace=new.namespace)
        verdict.fix = fix or verdict.fix or RULES["fix"].format(object=named(new))


def _add_what_happens(case: _Case, hit: Sequence[str]) -> None:
    """Add what happens when a change is pushed that the API server refuses."""
    headless = case.new.kind == "Service" and not inner(case.new.spec, "clusterIP")
    stays = headless and any("clusterIP" in path for path in hit)
    case.verdict.because("service-stays-headless" if stays else "sync-fails", name=named(case.old))


# What each kind does with a change.


def _cron_job(case: _Case) -> None:
    if case.touches("spec", "jobTemplate"):
        case.verdict.because("cron-job-changed")


def _workload(case: _Case) -> None:
    if case.touches("spec", "template"):
        if case.new.full_kind in LASTING:
            case.verdict.because("pods-stay")
        else:
            _judge_restart(case)
        for place, source in left_behind(case.old, case.new):
            case.verdict.because("volume-left-behind", place=place, source=source)
        for old, new in other_format(case.old, case.new):
            case.verdict.because("data-of-another-version", old=old, new=new)
    _judge_scale(case)
    _judge_retention(case)


def _judge_restart(case: _Case) -> None:
    new, verdict = case.new, case.verdict
    strategy = mapping(new.spec.get("strategy" if new.kind in ("Deployment", "Rollout") else "updateStrategy"))
    pods = pods_in(new, case.around, restarting=True)
    if strategy.get("type") == "OnDelete":
        verdict.because("on-delete", kind=new.kind.lower())
    elif new.spec.get("paused") is True:
        verdict.because("paused")
    elif not pods:
        verdict.because("nothing-runs")
    else:
        verdict.pods = pods
        verdict.effect = Effect.RESTART
        if strategy.get("type") == "Recreate":
            verdict.because("recreate")
        left = [change.old for change in case.fields if change.keys[-1] == "containerPort" and change.new is not None]
        callers = [item for port in left if port for item in case.around.callers_by_number(case.old, port)]
        if callers:
            verdict.because("listens-elsewhere", policies=listed(dict.fromkeys(map(named, callers))))


def _judge_scale(case: _Case) -> None:
    old, new, verdict = case.old, case.new, case.verdict
    before, after = (item.spec.get("replicas", 1) for item in (old, new))
    if not case.touches("spec", "replicas") or not isinstance(before, int) or not isinstance(after, int):
        return
    if scaler := case.around.scales.scaler(new):
        if before > 1 and new.spec.get("replicas") is None:
            verdict.because("handed-to-autoscaler", number=before, scaler=named(scaler))
        else:
            verdict.because("autoscaled", scaler=named(scaler))
    elif after == 0:
        verdict.because("scaled-to-zero")
    elif new.kind == "StatefulSet" and loses_majority(before, after):
        verdict.because("majority-goes", number=before - after, all=before)
    if after < before and new.kind == "StatefulSet" and inner(new.spec, "volumeClaimTemplates"):
        deletes = inner(new.spec, "persistentVolumeClaimRetentionPolicy", "whenScaled") == "Delete"
        verdict.because("scaled-down-with-volumes" if deletes else "scaled-down", number=before - after)


def _judge_retention(case: _Case) -> None:
    """Say what will be deleted later on by a policy for claims or volumes that turns to Delete."""
    policy = "persistentVolumeClaimRetentionPolicy"
    turned = {change.keys[-1] for change in case.fields if change.new == "Delete" and change.below("spec", policy)}
    words = {"whenDeleted": "with the StatefulSet", "whenScaled": "with every pod that is scaled away"}
    if turned:
        case.verdict.because("claims-go-later", when=" and ".join(words[key] for key in words if key in turned))


def _volume(case: _Case) -> None:
    if any(change.new == "Delete" and change.keys[-1] == "persistentVolumeReclaimPolicy" for change in case.fields):
        case.verdict.because("storage-goes-later")


def _pod(case: _Case) -> None:
    if any(change.keys[-1] == "image" for change in case.fields):
        case.verdict.because("image-changed-in-place")
        case.verdict.pods = pods_in(case.new, case.around)


def _custom(case: _Case) -> None:
    for change in case.fields:
        if counts_members(change.keys[-1]) and loses_majority(change.old, change.new):
            case.verdict.because("majority-goes", number=change.old - change.new, all=change.old)
        if keeps_no_more(change.keys[-1], change.old, change.new):
            case.verdict.because("kept-no-more", field=change.path)


def _service(case: _Case) -> None:
    kinds = [inner(item.spec, "type") for item in (case.old, case.new)]
    addresses = [chosen_addresses(item) for item in (case.old, case.new)]
    if kinds[0] == "LoadBalancer" and (kinds[1] != kinds[0] or (addresses[0] and addresses[0] != addresses[1])):
        case.verdict.because("load-balancer-changed")


def _claim(case: _Case) -> None:
    before, after = (quantity(inner(item.spec, "resources", "requests", "storage")) for item in (case.old, case.new))
    if before is None or after is None or before == after:
        return
    if after > before:
        case.verdict.because("claim-grows")
    else:
        case.verdict.because("claim-shrinks")
        case.verdict.because("new-claim-is-empty")
        _add_what_happens(case, [])


def _configuration(case: _Case) -> None:
    new = case.new
    if all(change.below("metadata") for change in case.fields):
        return
    kind, name = new.kind, new.name
    if new.full_kind in MAKING_SECRETS:
        kind, name = "Secret", secret_of(new)
        if secret_of(case.old) != name and owns_its_secret(case.old):
            former = secret_of(case.old)
            case.verdict.because("secret-renamed", name=former)
            if left := case.around.all_readers("Secret", new.namespace, former):
                case.verdict.because("secret-missed", readers=listed(map(named, left)))
    for reader in case.around.readers(kind, new.namespace, name, changed_keys(case.old, new)):
        case.verdict.because("read-at-start", reader=named(reader))


def _definition(case: _Case) -> None:
    before, after = (
        {str(mapping(version).get("name")): mapping(version) for version in sequence(item.spec.get("versions"))}
        for item in (case.old, case.new)
    )
    for name, version in before.items():
        if name not in after and version.get("storage") is True:
            case.verdict.because("stored-version-dropped", version=name)
        elif version.get("served") is True and after.get(name, {}).get("served") is not True:
            case.verdict.because("version-not-served", version=name)


def _application(case: _Case) -> None:
    old, new, verdict = case.old, case.new, case.verdict
    before, after = (mapping(item.spec.get("syncPolicy")).get("automated") for item in (old, new))
    automated = isinstance(after, dict)

    def turned_off(setting: str) -> bool:
        return mapping(before).get(setting) is True and mapping(after).get(setting) is not True

    if cluster_name(old.spec.get("destination")) != cluster_name(new.spec.get("destination")):
        verdict.because("other-cluster")
    elif case.touches("spec", "destination", "namespace"):
        verdict.because("other-namespace")
    if case.touches("spec", "project"):
        verdict.because("other-project")
    if isinstance(before, dict) and not automated:
        verdict.because("no-longer-automated")
    elif turned_off("prune"):
        verdict.because("prunes-no-more")
    if automated and turned_off("selfHeal"):
        verdict.because("heals-no-more")
    if case.touches("metadata", "annotations", WAVE):
        verdict.because("other-wave", new=new.wave, old=old.wave)
    if cascades(old) != cascades(new):
        verdict.because("finalizer-added" if cascades(new) else "finalizer-removed")
    folders, former = (
        {repository_name(str(each.get("repoURL"))) for each in sources_of(item.spec) if "path" in each}
        for item in (new, old)
    )
    if folders - former:
        verdict.because("other-repository")
    sources = sources_of(new.spec)
    # Of two repositories, one at least is of somebody else.
    has_chart = any(source.get("chart") or source.get("helm") for source in sources)
    has_chart = has_chart or len({str(source.get("repoURL")) for source in sources}) > 1
    if (
        has_chart
        and new.name not in case.around.seen
        and (case.touches("spec", "source") or case.touches("spec", "sources"))
    ):
        verdict.because("chart-changed")


_JUDGES: dict[str, Callable[[_Case], None]] = {
    **dict.fromkeys(ROLLING | LASTING, _workload),
    **dict.fromkeys(("ConfigMap", "Secret", *MAKING_SECRETS), _configuration),
    **dict.fromkeys((f"snapshot.storage.k8s.io/VolumeSnapshot{end}" for end in ("Class", "Content")), _custom),
    "batch/CronJob": _cron_job,
    "Pod": _pod,
    "Service": _service,
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "apiextensions.k8s.io/CustomResourceDefinition": _definition,
    "argoproj.io/Application": _application,
}


# The rules of ``rules.yaml``: what the API server refuses to change, and what is lost with an object.


@dataclass(frozen=True)
class _Immutable:
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


_IMMUTABLE = [_Immutable(**rule) for rule in RULES["immutable"]]


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


def holds_something(item: Object) -> bool:
    """Tell whether it is a custom resource whose operator may delete data with it, or stop what it runs."""
    is_own = "." not in item.group or (item.group.endswith(".k8s.io") and not item.group.endswith(".x-k8s.io"))
    return not is_own and not any(fnmatchcase(item.full_kind, known) for known in RULES["holding_nothing"])


def is_dangerous(item: Object, effect: Effect) -> bool:
    """Tell whether a person must allow an effect on an object by name."""
    return effect >= Effect.REPLACEMENT or (effect == Effect.DELETE and item.full_kind in RULES["outages"])

"""What happens to objects that were removed from the repository, or that another Application deploys now, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from math import inf

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import Project
from constructs_lib.kubernetes.manifest import inner, mapping, sequence
from constructs_lib.kubernetes.manifest_reader import may_hold
from constructs_lib.kubernetes.workloads import SCALERS, scaled
from constructs_lib.plan.change import Effect, Reason, Surroundings, Verdict, kept, named, option, pods_in, reason
from constructs_lib.plan.effects import changed, holds_something, is_dangerous, loss_with
from constructs_lib.plan.fields import RULES, changed_fields
from constructs_lib.plan.holdings import owns_its_secret, secret_of
from constructs_lib.plan.pair import Key, Pair, Placed, key_of
from constructs_lib.repository.applications import BY_HAND, Application

#: With it, an AppProject is gone only once no Application is in it (``finalizeProjectDeletion`` of Argo CD).
_PROJECT_FINALIZER = "resources-finalizer.argocd.argoproj.io"


def _deleted(item: Object, around: Surroundings) -> Verdict:
    """Return what happens when nothing keeps an object from being deleted."""
    verdict = Verdict(Effect.DELETE, pods=pods_in(item, around))
    if loss := loss_with(item):
        verdict.add(loss, Effect.DATA_LOSS)
        verdict.fix = RULES["keep"]
    elif item.full_kind == "apps/StatefulSet" and inner(item.spec, "volumeClaimTemplates"):
        verdict.because("volumes-stay")
    if item.kind == "Service" and inner(item.spec, "type") == "LoadBalancer":
        verdict.because("load-balancer-deleted")
    verdict.dangerous = is_dangerous(item, verdict.effect)
    if owns_its_secret(item):
        verdict.because("secret-goes", name=secret_of(item))
    if holds_something(item) or (item.kind == "PushSecret" and item.spec.get("deletionPolicy") == "Delete"):
        verdict.because("operator-deletes")
    return verdict


def _pruned(item: Object, around: Surroundings, now: Application) -> Verdict:
    """Return what happens to an object that an Application, as it is from now on, no longer finds in its folder."""
    if now.item is None:
        return _deleted(item, around)
    protection = option(now, "Prune", item)
    if item.is_hook:
        return kept("hook-never-pruned")
    if protection == "false":
        verdict = kept("not-pruned")
        if "IgnoreExtraneous" not in item.compare_options:
            where = f" --namespace {item.namespace}" if item.namespace else ""
            kind = item.kind.lower()
            verdict.because("kept-is-a-difference", application=now.name, kind=kind, name=item.name, where=where)
        return verdict
    if not now.syncs_itself:
        return kept("pruned-by-hand")
    if not now.prunes:
        return kept("pruning-is-off")
    if now.lost_folders(around.application):
        return kept("folder-gone", application=now.name)
    if now.is_emptied:
        return kept("emptied", application=now.name)
    verdict = _deleted(item, around)
    if item.kind in SCALERS and (workload := _scaled(item, now)):
        least, asked = around.scales.of(workload).minimum, Surroundings(now).scales.of(workload).minimum
        if least < asked:
            verdict.because("scaler-goes-last", number=asked, minimum=least, workload=named(workload))
    if protection == "confirm":
        verdict.because("pruning-waits", application=now.name)
    return verdict


def _scaled(scaler: Object, application: Application) -> Object | None:
    """Return the workload of a scaler that an Application deploys; None if there is none."""
    name = scaled(scaler)[2].encode()
    items = (
        item
        for path, content in application.files.items()
        if name in content
        for item in application.read(path, content)
    )
    return next((item for item in items if (item.kind, item.namespace, item.name) == scaled(scaler)), None)


def _cascaded(item: Object, around: Surroundings) -> Verdict:
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
    verdict = _deleted(item, around)
    if protection == "confirm":
        verdict.because("deletion-waits", application=owner.name)
    return verdict


def lost_with_namespace(item: Object, verdict: Verdict, around: Surroundings) -> Verdict:
    """Return what happens to an object whose Namespace is deleted, whatever protects the object itself."""
    holds_data = item.kind == "PersistentVolumeClaim" or (
        item.kind == "StatefulSet" and inner(item.spec, "volumeClaimTemplates")
    )
    stays = verdict.effect == Effect.KEPT
    effect = max(Effect.DATA_LOSS if holds_data else Effect.DELETE, Effect.DELETE if stays else verdict.effect)
    lost = replace(verdict, effect=effect, reasons=[] if stays else [*verdict.reasons])
    lost.because("namespace-deleted", namespace=item.namespace)
    if effect == Effect.DATA_LOSS:
        lost.reasons = [known for known in lost.reasons if known != reason("volumes-stay")]
    lost.pods = verdict.pods or pods_in(item, around)
    lost.dangerous = verdict.dangerous or is_dangerous(item, effect)
    return lost


def created(addition: Placed) -> Verdict:
    """Return what happens to a new object: if its removal would leave it in the cluster, an earlier one may have."""
    pair, item = addition.pair, addition.item
    verdict = Verdict(Effect.CREATE)
    if pair.now.item is None or item.is_hook:
        return verdict
    removal = _pruned(item, pair.around, pair.now) if pair.old else _cascaded(item, pair.around)
    if removal.effect == Effect.KEPT:
        why = removal.reasons[0]
        verdict.because("may-live-on", why=why.text, source=why.source)
    return verdict


def _projects_in(application: Application | None) -> Iterator[Object]:
    """Yield the AppProjects that an Application deploys."""
    for path, content in application.files.items() if application else ():
        if may_hold(content, b"AppProject") and application:
            found = application.read(path, content)
            yield from (item for item in found if item.full_kind == "argoproj.io/AppProject")


class Departures:
    """Judges removed objects: their fate depends on that of the Application which deployed them."""

    def __init__(self, pairs: Mapping[Key, Pair]) -> None:
        """Judge nothing yet."""
        self.pairs = pairs
        self._fates: dict[Pair, Reason | None] = {}

    def owner(self, application: Application) -> Pair | None:
        """Return what deploys an Application."""
        return self.pairs.get(key_of(application.parent)) if application.parent else None

    def goes_last(self, application: Application) -> bool:
        """Tell whether a removed Application is deleted only once all else that its owner deploys is healthy."""
        owner = self.owner(application)
        if owner is None or owner.new is None or application.item is None:
            return False
        return "true" in (each.get("PruneLast") for each in (owner.new.sync_options, application.item.sync_options))

    def removed(self, removal: Placed) -> Verdict:
        """Return what happens to an object that its Application no longer deploys."""
        pair, item = removal.pair, removal.item
        if pair.new is not None:
            if pair.new.name == BY_HAND:
                return kept("applied-by-hand")
            return self._permitted(pair, item, _pruned(item, pair.around_before, pair.new), pair.now.wave)
        if pair.now.item is None:
            return kept("deployed-by-none")
        if stays := self._fate(pair):
            return Verdict(Effect.KEPT, [stays])
        verdict = _cascaded(item, pair.around_before)
        project = str(pair.now.item.spec.get("project"))
        if verdict.effect != Effect.KEPT and self._goes_before(project, pair.now):
            return kept("project-gone", application=pair.now.name, project=project)
        return self._permitted(pair, item, verdict, self._first_removal)

    def _goes_before(self, name: str, application: Application) -> bool:
        """Tell whether the AppProject of a removed Application may be gone before that has deleted what it had."""
        found = self._projects_before.get(name)
        if found is None or name in self._projects or _PROJECT_FINALIZER in sequence(found.metadata.get("finalizers")):
            return False
        # What is pruned goes in the opposite order of the waves, or all at the end.
        return self.goes_last(application) or found.wave >= application.wave

    def _permitted(self, pair: Pair, item: Object, verdict: Verdict, wave: float) -> Verdict:
        """Return the verdict on an object that is deleted in a wave, if its AppProject permits it by then."""
        application, owner = pair.now.item, self.owner(pair.now)
        project = self._projects.get(str(application.spec.get("project"))) if application else None
        if application is None or owner is None or owner.new is None or project is None:
            return verdict
        # Only a project of an earlier wave has surely changed before.
        changes_before = project.item.path in owner.new.files and project.item.wave < wave
        if not changes_before or verdict.effect == Effect.KEPT:
            return verdict
        permitted = project.permits(item, mapping(application.spec.get("destination")))
        return verdict if permitted else kept("project-forbids", project=named(project.item))

    @cached_property
    def _first_removal(self) -> float:
        """The first wave in which an Application is deleted; later than all if Applications are deleted last."""
        gone = [pair for pair in self.pairs.values() if pair.is_gone]
        return min((inf if self.goes_last(pair.now) else pair.now.wave for pair in gone), default=inf)

    @cached_property
    def _projects(self) -> Mapping[str, Project]:
        """The AppProjects as they are afterwards, by name."""
        return {item.name: Project(item) for pair in self.pairs.values() for item in _projects_in(pair.new)}

    @cached_property
    def _projects_before(self) -> Mapping[str, Object]:
        """The AppProjects as they were, by name."""
        return {item.name: item for pair in self.pairs.values() for item in _projects_in(pair.old)}

    def _fate(self, pair: Pair) -> Reason | None:
        """Return why a removed Application stays in the cluster; None if it is deleted."""
        if pair not in self._fates:
            # Ends the recursion for Applications that deploy each other.
            self._fates[pair] = None
            self._fates[pair] = self._reason_to_stay(pair.now)
        return self._fates[pair]

    def _reason_to_stay(self, old: Application) -> Reason | None:
        parent = self.owner(old)
        assert old.item is not None
        if parent is None or parent.old is None or parent.old.item is None:
            return reason("application-by-hand", application=old.name)
        verdict = self.removed(Placed(parent, old.item))
        if verdict.effect != Effect.KEPT:
            return None
        why = verdict.reasons[0]
        return reason("application-stays", application=old.name, why=why.text, source=why.source)


def moved(removal: Placed, addition: Placed, verdict: Verdict, *, last: bool) -> Verdict:
    """Return what happens to an object that another Application has now.

    ``verdict`` is what would happen to it if it were only removed, and ``last`` tells whether the Application that had
    it is deleted once the other is healthy.
    """
    old, new = removal.pair.now, addition.pair.now
    fields = changed_fields(removal.item, addition.item)
    change = changed(removal.item, addition.item, fields, addition.pair.around) if fields else Verdict(Effect.UPDATE)
    strict = new.shares_nothing
    gone = removal.pair.new is None
    names = {"old": old.name, "new": new.name}
    if old.item is None or (last and not strict):
        change.because("taken-over", new=new.name)
        if old.item is None and not fields:
            change.effect = Effect.TAKE_OVER
    elif verdict.effect == Effect.KEPT:
        why = verdict.reasons[0]
        change.because("moves-and-stays", why=why.text, source=why.source, **names)
        if strict:
            change.because("marked-by-another", **names)
    elif strict or gone:
        source = reason("renamed" if gone else "moves-in-any-order", **names).source
        effect = max(change.effect, Effect.DATA_LOSS if verdict.effect == Effect.DATA_LOSS else Effect.REPLACEMENT)
        change.because("moves-and-is-deleted", effect, source=source, **names)
        change.reasons += verdict.reasons
        change.pods = verdict.pods
        change.fix = verdict.fix or change.fix
    else:
        change.because("moves-in-any-order", **names)
        if verdict.effect == Effect.DATA_LOSS:
            change.dangerous = True
            change.fix = verdict.fix
    if last and strict:
        change.because("wait-for-each-other", **names)
    return change

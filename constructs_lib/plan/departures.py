"""What happens to objects that their Application no longer deploys, or that another one deploys now."""

from collections.abc import Mapping
from functools import cached_property

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import Project
from constructs_lib.kubernetes.manifest import mapping
from constructs_lib.plan.change import Effect, Reason, named
from constructs_lib.plan.effects import changed
from constructs_lib.plan.fields import changed_fields
from constructs_lib.plan.pair import Key, Pair, Placed, key_of
from constructs_lib.plan.removals import cascaded, pruned
from constructs_lib.plan.verdict import Verdict, kept, reason
from constructs_lib.repository.applications import BY_HAND, Application


class Departures:
    """Judges removed objects: their fate depends on that of the Application which deployed them."""

    def __init__(self, pairs: Mapping[Key, Pair]) -> None:
        """Judge nothing yet."""
        self._pairs = pairs
        self._fates: dict[Pair, Reason | None] = {}

    def owner(self, application: Application) -> Pair | None:
        """Return what deploys an Application."""
        return self._pairs.get(key_of(application.parent)) if application.parent else None

    def removed(self, removal: Placed) -> Verdict:
        """Return what happens to an object that its Application no longer deploys."""
        pair, item = removal.pair, removal.item
        if pair.new is not None:
            if pair.new.name == BY_HAND:
                return kept("applied-by-hand")
            return pruned(item, pair.around_before, pair.new)
        if pair.now.item is None:
            return kept("deployed-by-none")
        if stays := self._fate(pair):
            return Verdict(Effect.KEPT, [stays])
        verdict = cascaded(item, pair.around_before)
        if verdict.effect != Effect.KEPT and (project := self._forbidding(pair.now.item, item)):
            return kept("project-forbids", project=named(project))
        return verdict

    def _forbidding(self, application: Object, item: Object) -> Object | None:
        """Return the AppProject that no longer permits an object when its Application is deleted, if there is one."""
        project = self._projects.get(str(application.spec.get("project")))
        # Only a project of an earlier wave has surely changed before the Application is deleted.
        if project is None or project.item.wave >= self._first_removal:
            return None
        return None if project.permits(item, mapping(application.spec.get("destination"))) else project.item

    @cached_property
    def _first_removal(self) -> int:
        """The first wave in which an Application is deleted."""
        return min((pair.now.wave for pair in self._pairs.values() if pair.is_gone), default=0)

    @cached_property
    def _projects(self) -> Mapping[str, Project]:
        """The AppProjects as they are afterwards, by name."""
        return {
            item.name: Project(item)
            for pair in self._pairs.values()
            if pair.new
            for path, content in pair.new.files.items()
            if b"AppProject" in content
            for item in pair.new.read(path, content)
            if item.full_kind == "argoproj.io/AppProject"
        }

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
        if parent.new is not None:
            verdict = pruned(old.item, parent.around_before, parent.new)
        elif stays := self._fate(parent):
            verdict = Verdict(Effect.KEPT, [stays])
        else:
            verdict = cascaded(old.item, parent.around_before)
        if verdict.effect != Effect.KEPT:
            return None
        why = verdict.reasons[0]
        return reason("application-stays", application=old.name, why=why.text, source=why.source)


def moved(removal: Placed, addition: Placed, verdict: Verdict) -> Verdict:
    """Return what happens to an object that moves from one Application to another.

    Args:
        removal: The object in the Application that had it.
        addition: The object in the Application that has it now.
        verdict: What would happen to it if it were only removed.
    """
    old, new = removal.pair.now, addition.pair.now
    fields = changed_fields(removal.item, addition.item)
    change = changed(removal.item, addition.item, fields, addition.pair.around) if fields else Verdict(Effect.UPDATE)
    strict = new.sync_options.get("FailOnSharedResource") == "true"
    gone = removal.pair.new is None
    names = {"old": old.name, "new": new.name}
    if old.item is None:
        change.because("taken-over", new=new.name)
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
    return change

"""Compares what is deployed from two trees, and judges what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from constructs_lib.argocd.objects import Cache, Identity, Object, mapping, sequence, unreadable
from constructs_lib.argocd.projects import permits
from constructs_lib.plan.change import Action, Change, Effect, Pin, Reason, named
from constructs_lib.plan.effects import changed
from constructs_lib.plan.fields import FieldChange, changed_fields
from constructs_lib.plan.removals import cascaded, kept_with, lost_with_namespace, pruned
from constructs_lib.plan.verdict import Surroundings, Verdict
from constructs_lib.repository.applications import BY_HAND, OPAQUE, Application
from constructs_lib.repository.snapshot import Files
from constructs_lib.text import listed

_RENAMED = "https://github.com/argoproj/argo-cd/issues/28576"

#: Namespace and name of an Application, or the name of a group.
Key = tuple[str, str]


def key_of(application: Application) -> Key:
    """Return what an Application or group is known by in both trees."""
    item = application.item
    return (item.namespace, item.name) if item else ("", application.name)


@dataclass(eq=False)
class Pair:
    """An Application or group before and afterwards.

    Attributes:
        old: Before; None if it is new.
        new: Afterwards; None if it is gone.
        changes: What happens to its objects, with the object in the state that counts for the order.
    """

    old: Application | None
    new: Application | None
    changes: list[tuple[Object, Change]] = field(default_factory=list)

    @property
    def now(self) -> Application:
        """It as it is, or as it was if it is gone."""
        found = self.new or self.old
        assert found is not None
        return found


@dataclass(frozen=True, eq=False)
class _Placed:
    """An object that only one of the states of an Application has."""

    pair: Pair
    item: Object


class Comparison:
    """Compares what is deployed before and afterwards.

    Attributes:
        pairs: All Applications and groups, with what happens to their objects.
        pins: Applications that read another revision than before.
        warnings: What cannot be read, or cannot be told from the trees.
    """

    def __init__(self, before: Sequence[Application], after: Sequence[Application], cache: Cache) -> None:
        """Take two lists of Applications, and compare nothing yet."""
        self._cache = cache
        self.warnings: list[str] = []
        self.pins: list[Pin] = []
        olds = {key_of(application): application for application in before}
        news = {key_of(application): application for application in after}
        self.pairs = {key: Pair(olds.get(key), news.get(key)) for key in (*news, *(k for k in olds if k not in news))}
        self._around: dict[int, Surroundings] = {}
        self._removals: list[_Placed] = []
        self._additions: dict[Identity, _Placed] = {}
        self._fates: dict[int, Reason | None] = {}
        self._renamed: dict[int, Pair] = {}
        self._forebears: dict[Key, list[Pair]] = {}
        #: What happens to the objects that an Application has no longer.
        self._effects: dict[int, set[Effect]] = {}
        #: Applications of which something changes that is not in the tree.
        self._unseen: list[tuple[Pair, Verdict]] = []

    def run(self) -> None:
        """Compare everything."""
        for pair in self.pairs.values():
            self._compare(pair)
        self._find_renamed()
        moved = {removal.item.identity for removal in self._removals} & set(self._additions)
        verdicts = [(removal, self._removed(removal)) for removal in self._removals]
        for removal, verdict in verdicts:
            self._effects.setdefault(id(removal.pair), set()).add(verdict.effect)
        doomed = {
            removal.item.name
            for removal, verdict in verdicts
            if removal.item.kind == "Namespace" and not removal.item.group and verdict.effect == Effect.DATA_LOSS
        }
        for removal, verdict in verdicts:
            item, pair = removal.item, removal.pair
            if item.namespace in doomed and _outlives(item, verdict):
                verdict = lost_with_namespace(item, verdict, self._surroundings(pair.old or pair.now))
            action: Action = "delete"
            if item.identity in moved:
                action = "change"
                verdict = self._moved(removal, self._additions[item.identity], verdict)
                pair, item = self._additions[item.identity].pair, self._additions[item.identity].item
            elif item.kind == "Application":
                self._explain_removed_application(removal, verdict)
            self._add(pair, item, action, verdict)
        for addition in self._additions.values():
            if addition.item.identity not in moved:
                self._created(addition)
        for pair, verdict in self._unseen:
            self._add_unseen(pair, verdict)
        for namespace in sorted(doomed):
            users = sorted(
                {
                    _component(addition.item, addition.pair.now)
                    for addition in self._additions.values()
                    if addition.item.namespace == namespace
                }
            )
            if users:
                self.warnings.append(
                    f"The Namespace {namespace} is deleted, with all that {', '.join(users)} puts into it by then."
                )

    def _surroundings(self, application: Application) -> Surroundings:
        return self._around.setdefault(id(application), Surroundings(application))

    # What differs.

    def _compare(self, pair: Pair) -> None:
        old, new = pair.old, pair.new
        old_files, new_files = (dict(application.files) if application else {} for application in (old, new))
        if old and new:
            if old.namespace == new.namespace:
                _drop_equal(old_files, new_files)
            self._compare_sources(pair, old, new)
        self._drop_unreadable(old_files, new_files)
        before = self._read(old, old_files)
        after = self._read(new, new_files)
        gone = [item for identity, item in before.items() if identity not in after]
        forgotten = bool(old and new and self._forget_rendered(pair, old, new, gone))
        for identity, item in before.items():
            if identity not in after and not forgotten:
                self._removals.append(_Placed(pair, item))
        changes = {
            identity: changed_fields(item, after[identity]) for identity, item in before.items() if identity in after
        }
        if new:
            starting = (
                identity for identity, fields in changes.items() if any(f.below("spec", "template") for f in fields)
            )
            self._surroundings(new).starting = {*starting, *(identity for identity in after if identity not in before)}
        for identity, fields in changes.items():
            self._changed(pair, before[identity], after[identity], fields)
        for identity, item in after.items():
            if identity not in before:
                self._additions[identity] = _Placed(pair, item)

    def _read(self, application: Application | None, files: Files) -> dict[Identity, Object]:
        if application is None:
            return {}
        return {item.identity: item for path in sorted(files) for item in application.read(path, files[path])}

    def _drop_unreadable(self, old: dict[str, bytes], new: dict[str, bytes]) -> None:
        """Leave out files that cannot be read, so that their objects do not seem to be removed."""
        for path in sorted(new):
            if problem := unreadable(path, new[path], self._cache):
                self.warnings.append(
                    f"{path}: it cannot be read ({problem.reason}); neither plan nor Argo CD sees what is in it."
                )
                old.pop(path, None)

    def _compare_sources(self, pair: Pair, old: Application, new: Application) -> None:
        before = {source.path: source for source in old.sources}
        for source in new.sources:
            known = before.get(source.path)
            if known and known.revision != source.revision:
                self.pins.append(Pin(new.name, source.path, known.revision, source.revision))
        differing = [
            path for path in sorted({*old.rendered, *new.rendered}) if old.rendered.get(path) != new.rendered.get(path)
        ]
        if differing:
            tool = next((source.tool for source in new.sources if source.tool), "its chart")
            text = f"What {tool} renders from {listed(differing)} is not in the tree: plan does not see what changes."
            fields = [
                FieldChange(path, _presence(old.rendered, path), _presence(new.rendered, path)) for path in differing
            ]
            self._unseen.append((pair, Verdict(Effect.UPDATE, [Reason(text)], fields=fields)))

    def _add_unseen(self, pair: Pair, verdict: Verdict) -> None:
        """Add what changes of an Application beside its objects to what changes of the Application itself."""
        assert pair.new is not None and pair.new.item is not None
        owner = self._owner(pair.new) or pair
        for number, (item, change) in enumerate(owner.changes):
            if change.identity == pair.new.item.identity:
                merged = replace(
                    change,
                    effect=max(change.effect, verdict.effect),
                    fields=(*change.fields, *verdict.fields),
                    reasons=(*change.reasons, *verdict.reasons),
                    dangerous=change.dangerous or verdict.dangerous,
                )
                owner.changes[number] = (item, merged)
                return
        self._add(owner, pair.new.item, "change", verdict)

    def _forget_rendered(self, pair: Pair, old: Application, new: Application, removed: Sequence[Object]) -> bool:
        """Tell whether objects that are gone may be rendered from now on by a tool of which nobody sees the result."""
        known = {(source.path, source.tool) for source in old.sources}
        opaque = [
            *(
                source.tool
                for source in new.sources
                if source.tool in OPAQUE and (source.path, source.tool) not in known
            ),
            *(f"the chart {chart.name}" for chart in new.charts if chart.name not in {c.name for c in old.charts}),
        ]
        if not opaque or not removed:
            return False
        verdict = Verdict(Effect.UPDATE, dangerous=True)
        verdict.because(
            f"From now on, {listed(opaque)} renders what it deploys: plan does not know what becomes of "
            f"{listed([named(item) for item in removed])}."
        )
        self._unseen.append((pair, verdict))
        return True

    def _owner(self, application: Application) -> Pair | None:
        return self.pairs.get(key_of(application.parent)) if application.parent else None

    def _changed(self, pair: Pair, old: Object, new: Object, fields: Sequence[FieldChange]) -> None:
        if new.kind == "Application":
            fields = self._without_pins(new, fields)
        if fields:
            self._add(pair, new, "change", changed(old, new, fields, self._surroundings(pair.now)), old)

    def _without_pins(self, item: Object, fields: Sequence[FieldChange]) -> list[FieldChange]:
        """Return the fields without the revisions of folders of this repository, which are content."""
        pair = self.pairs.get((item.namespace, item.name))
        if not pair or not pair.old or not pair.new:
            return list(fields)
        paths = {source.path for source in pair.new.sources} & {source.path for source in pair.old.sources}
        sources = [mapping(item.spec.get("source")), *map(mapping, sequence(item.spec.get("sources")))]
        pinned = {
            str(source.get("targetRevision"))
            for source in sources
            if not source.get("chart")
            and str(source.get("path", "")).strip("./") in {path.strip("./") for path in paths}
        }
        return [
            change
            for change in fields
            if change.keys[-1] != "targetRevision" or not change.below("spec") or str(change.new) not in pinned
        ]

    # What happens to what is new or gone.

    def _created(self, addition: _Placed) -> None:
        item, pair = addition.item, addition.pair
        verdict = Verdict(Effect.CREATE)
        if item.kind == "Application":
            for removed in self._forebears.get((item.namespace, item.name), ()):
                verdict.because(f"It takes the place of the Application {removed.now.name}.")
                if Effect.KEPT in self._effects.get(id(removed), ()):
                    verdict.because(
                        "What is kept keeps its data under its old name; what is created in its place begins empty."
                    )
        self._add(pair, item, "create", verdict)

    def _removed(self, removal: _Placed) -> Verdict:
        pair, item = removal.pair, removal.item
        assert pair.old is not None
        around = self._surroundings(pair.old)
        if pair.new is not None:
            if pair.new.name == BY_HAND:
                return kept_with(Reason("It was applied by hand, and nothing deletes it."))
            return pruned(item, around, pair.new)
        if pair.old.item is None:
            return kept_with(Reason("It was deployed by no Application, and nothing deletes it."))
        stays = self._fate(pair)
        if stays:
            return kept_with(stays)
        verdict = cascaded(item, around)
        if verdict.effect != Effect.KEPT and (project := self._forbidding(pair, item)):
            return Verdict(
                Effect.KEPT,
                [
                    Reason(
                        f"It stays, and nobody manages it: {named(project)} permits it no more by the time at which "
                        f"Argo CD deletes the Application, and Argo CD leaves alone what a project does not permit.",
                        "getPermittedAppLiveObjects of Argo CD",
                    )
                ],
                mend=f"Remove the Application first, and what it needs in {named(project)} in a push of its own.",
            )
        return verdict

    def _forbidding(self, pair: Pair, item: Object) -> Object | None:
        """Return the AppProject that permits an object no more when its Application is deleted, if it does not."""
        old = pair.old
        assert old is not None and old.item is not None
        project = self._projects.get(str(old.item.spec.get("project")))
        # It has to be changed before: what comes in the same wave is changed too late for sure to tell.
        if project is None or project.wave >= self._first_removal:
            return None
        return None if permits(project, item, mapping(old.item.spec.get("destination"))) else project

    @cached_property
    def _first_removal(self) -> int:
        """The first wave in which an Application is deleted."""
        gone = (pair.now.wave for pair in self.pairs.values() if pair.new is None and pair.now.item)
        return min(gone, default=0)

    @cached_property
    def _projects(self) -> Mapping[str, Object]:
        """The AppProjects as they are afterwards, by name."""
        return {
            item.name: item
            for pair in self.pairs.values()
            if pair.new
            for path, content in pair.new.files.items()
            if b"AppProject" in content
            for item in pair.new.read(path, content)
            if (item.group, item.kind) == ("argoproj.io", "AppProject")
        }

    def _fate(self, pair: Pair) -> Reason | None:
        """Return why the Application that is gone from the repository stays in the cluster; None if it goes."""
        if id(pair) not in self._fates:
            # Applications that deploy each other would ask each other for ever.
            self._fates[id(pair)] = None
            self._fates[id(pair)] = self._reason_to_stay(pair)
        return self._fates[id(pair)]

    def _reason_to_stay(self, pair: Pair) -> Reason | None:
        old = pair.old
        assert old is not None and old.item is not None
        name, parent = old.name, self._owner(old)
        if parent is None or parent.old is None or parent.old.item is None:
            return Reason(f"Its Application {name} was applied by hand: nothing deletes it, nor what it deployed.")
        if parent.new is None:
            stays = self._fate(parent)
            verdict = kept_with(stays) if stays else cascaded(old.item, self._surroundings(parent.old))
        else:
            verdict = pruned(old.item, self._surroundings(parent.old), parent.new)
        if verdict.effect != Effect.KEPT:
            return None
        return Reason(
            f"Its Application {name} stays in the cluster. {verdict.reasons[0].text}", verdict.reasons[0].source
        )

    def _moved(self, removal: _Placed, addition: _Placed, verdict: Verdict) -> Verdict:
        """Return what happens to an object that one Application leaves to another."""
        old, new = removal.pair.now, addition.pair.now
        fields = changed_fields(removal.item, addition.item)
        change = (
            changed(removal.item, addition.item, fields, self._surroundings(new)) if fields else Verdict(Effect.UPDATE)
        )
        strict = new.sync_options.get("FailOnSharedResource") == "true"
        gone = removal.pair.new is None
        text = f"It moves from {old.name} to {new.name}."
        if old.item is None:
            change.because(f"{new.name} takes it over.")
            return change
        if verdict.effect == Effect.KEPT:
            change.because(f"{text} {verdict.reasons[0].text}", verdict.reasons[0].source)
            if strict:
                change.because(
                    f"The sync of {new.name} fails as long as the object carries the mark of {old.name} "
                    f"(FailOnSharedResource=true): remove its annotation argocd.argoproj.io/tracking-id.",
                    "https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/",
                )
            return change
        if strict or gone:
            source = _RENAMED if gone else "https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/"
            effect = max(change.effect, Effect.DATA_LOSS if verdict.effect == Effect.DATA_LOSS else Effect.REPLACEMENT)
            change.because(f"{text} {old.name} deletes it before {new.name} creates it again.", source, effect)
            change.reasons += verdict.reasons
            change.dangerous = True
            change.pods = verdict.pods
            change.mend = verdict.mend or (
                "Push argocd.argoproj.io/sync-options: Prune=false,Delete=false on it first, and move it once that is "
                "synced."
            )
            return change
        change.because(
            f"{text} If {old.name} is synced first, it deletes it before {new.name} creates it again; otherwise it "
            f"stays.",
            "https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/",
        )
        if verdict.effect == Effect.DATA_LOSS:
            change.dangerous = True
            change.mend = verdict.mend
        return change

    # Applications under another name.

    def _find_renamed(self) -> None:
        added = [pair for pair in self.pairs.values() if pair.old is None and pair.now.item]
        if not added:
            return
        identities: dict[int, set[Identity]] = {}
        for addition in self._additions.values():
            identities.setdefault(id(addition.pair), set()).add(addition.item.identity)
        by_identity: dict[Identity, Pair] = {
            identity: pair for pair in added for identity in identities.get(id(pair), ())
        }
        by_path = {source.path: pair for pair in added for source in pair.now.sources}
        shared: dict[int, Counter[int]] = {}
        owned: Counter[int] = Counter()
        for removal in self._removals:
            owned[id(removal.pair)] += 1
            target = by_identity.get(removal.item.identity)
            if target is not None:
                # A Namespace belongs to one component, so that its new owner is the old one's heir.
                weight = 1_000_000 if removal.item.kind == "Namespace" else 1
                shared.setdefault(id(removal.pair), Counter())[id(target)] += weight
        pairs = {id(pair): pair for pair in added}
        for pair in self.pairs.values():
            if pair.new is not None or not pair.now.item:
                continue
            heir = next((by_path[source.path] for source in pair.now.sources if source.path in by_path), None)
            if heir is None and id(pair) in shared:
                [(target_id, count)] = shared[id(pair)].most_common(1)
                heir = pairs[target_id] if 2 * count >= owned[id(pair)] else None
            if heir is not None:
                self._renamed[id(pair)] = heir
                self._forebears.setdefault(key_of(heir.now), []).append(pair)

    def _explain_removed_application(self, removal: _Placed, verdict: Verdict) -> None:
        pair = self.pairs.get((removal.item.namespace, removal.item.name))
        if pair is None or pair.old is None or pair.new is not None or verdict.effect == Effect.KEPT:
            return
        heir = self._renamed.get(id(pair))
        effects = self._effects.get(id(pair), set())
        if pair.old.cascades and heir is None and effects - {Effect.KEPT}:
            verdict.because(
                "What it deployed is deleted with it, because it has the finalizer "
                "resources-finalizer.argocd.argoproj.io.",
                "https://argo-cd.readthedocs.io/en/stable/user-guide/app_deletion/",
            )
        if pair.old.charts and pair.old.cascades:
            charts = ", ".join(chart.name for chart in pair.old.charts)
            verdict.because(f"What the chart {charts} made goes with it; plan does not see what that is.")
        if heir is None:
            if not pair.old.cascades:
                verdict.because(
                    "What it deployed stays, because it does not have the finalizer "
                    "resources-finalizer.argocd.argoproj.io.",
                    "https://argo-cd.readthedocs.io/en/stable/user-guide/app_deletion/",
                )
            return
        if pair.old.cascades:
            lost = Effect.DATA_LOSS in effects
            verdict.because(
                f"Renamed to {heir.now.name}: Argo CD deletes and creates again all that it owns, but for what is "
                f"protected.",
                _RENAMED,
                Effect.DATA_LOSS if lost else Effect.REPLACEMENT,
            )
            verdict.mend = (
                "Keep the name. Or push argocd.argoproj.io/sync-options: Delete=false on all its objects first, and "
                "rename it once that is synced."
            )
        else:
            verdict.because(
                f"Renamed to {heir.now.name}: what it deployed stays, for want of a finalizer, and {heir.now.name} "
                f"takes it over.",
                _RENAMED,
            )
        verdict.dangerous = True

    # The result, and its order.

    def _add(self, pair: Pair, item: Object, action: Action, verdict: Verdict, old: Object | None = None) -> None:
        change = Change(
            component=_component(item, pair.now),
            wave=0,
            action=action,
            effect=verdict.effect,
            identity=item.identity,
            file=item.path,
            fields=tuple(verdict.fields),
            reasons=tuple(dict.fromkeys(verdict.reasons)),
            pods=tuple(verdict.pods),
            mend=verdict.mend,
            dangerous=verdict.dangerous,
            replaced=verdict.replaced,
            old=item.manifest if action == "delete" else old.manifest if old else None,
            new=None if action == "delete" else item.manifest,
        )
        pair.changes.append((item, change))


def _outlives(item: Object, verdict: Verdict) -> bool:
    """Tell whether an object, or what it holds, would stay if its Namespace did."""
    return verdict.effect == Effect.KEPT or item.kind in ("PersistentVolumeClaim", "StatefulSet")


def _component(item: Object, application: Application) -> str:
    return item.name if item.kind == "Application" else application.name


def _drop_equal(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """Leave only files whose content is not in the other tree, whatever their name."""
    for path in [path for path, content in old.items() if new.get(path) == content]:
        del old[path], new[path]
    common = set(old.values()) & set(new.values())
    for files in (old, new):
        for path in [path for path, content in files.items() if content in common]:
            del files[path]


def _presence(files: Files, path: str) -> str | None:
    return f"{len(files[path])} bytes" if path in files else None

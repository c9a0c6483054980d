"""Compares what is deployed from two trees, and judges what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from constructs_lib.argocd.objects import Object, unreadable
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import Action, Change, Effect, Pin, Verdict, named, option
from constructs_lib.plan.effects import changed
from constructs_lib.plan.fields import FieldChange, changed_fields
from constructs_lib.plan.leftovers import tell_what_was_filled_in
from constructs_lib.plan.moves import explain_moves
from constructs_lib.plan.pair import Pair, Placed, explain_creation, explain_removal, find_heirs, key_of
from constructs_lib.plan.removals import Departures, created, lost_with_namespace, moved
from constructs_lib.plan.rights.widening import add_widening
from constructs_lib.repository.applications import Application
from constructs_lib.repository.snapshot import Files
from constructs_lib.repository.sources import OPAQUE, Content, sources_of
from constructs_lib.text import listed


class Comparison:
    """Compares what is deployed before and afterwards.

    Attributes:
        pairs: All Applications and groups, with what happens to their objects.
        pins: Applications that read another revision than before.
        warnings: What cannot be read, or is not known from the trees.
    """

    def __init__(
        self,
        before: Sequence[Application],
        after: Sequence[Application],
        cache: Cache,
        verdicts: Mapping[str, Verdict],
        *,
        published: bool = True,
    ) -> None:
        """Compare all Applications and groups of two trees; ``verdicts`` are on Applications, by name.

        ``published`` tells whether the tree before is one that Argo CD has deployed from.
        """
        self._cache = cache
        self.warnings: list[str] = []
        self.pins: list[Pin] = []
        olds = {key_of(application): application for application in before}
        news = {key_of(application): application for application in after}
        self.pairs = {key: Pair(olds.get(key), news.get(key)) for key in {**news, **olds}}
        self._removals: list[Placed] = []
        self._additions: dict[Identity, Placed] = {}
        #: Applications with a change that the trees do not show, and the file that it is about.
        self._unseen: list[tuple[Pair, Verdict, str]] = []
        self._departures = Departures(self.pairs)
        self._published = published
        self._began = published and any(application.files for application in before)
        self._before = before
        self._seen = {
            pair.now.name
            for pair in self.pairs.values()
            if pair.old and pair.new and pair.now.looked_into and not pair.old.unseen and not pair.new.unseen
        }
        for pair in self.pairs.values():
            self._compare(pair)
            if pair.new and pair.new.item and (verdict := verdicts.get(pair.new.name)):
                self._unseen.append((pair, verdict, ""))
        find_heirs([*self.pairs.values()], self._removals, self._additions)
        self._judge_removals()
        self._judge_additions()
        explain_moves(self._removals, self._additions, self._departures)
        for pair, verdict, path in self._unseen:
            self._add_unseen(pair, verdict, path)
        # Where nothing was published, the whole tree is read as a whole.
        if self._began:
            add_widening(self.pairs.values(), before, after)

    # What differs.

    def _compare(self, pair: Pair) -> None:
        old, new = pair.old, pair.new
        old_files, new_files = (dict(application.files) if application else {} for application in (old, new))
        if old and new:
            if old.namespace == new.namespace:
                _drop_equal(old_files, new_files)
            self._compare_sources(pair, old, new)
        if new:
            self._tell_of_missing(pair, old, new)
            self._compare_rendering(pair, old, new)
        self._drop_unreadable(pair, old_files, new_files)
        before, after = _read(old, old_files), _read(new, new_files)
        removed = [item for identity, item in before.items() if identity not in after]
        added = [item for identity, item in after.items() if identity not in before]
        refused = new is not None and bool(new.problems)
        if not refused and not (old and new and self._may_be_rendered(pair, old, new, removed)):
            self._removals += [Placed(pair, item) for item in removed]
        self._additions |= {item.identity: Placed(pair, item) for item in added}
        changes = {key: changed_fields(item, after[key]) for key, item in before.items() if key in after}
        pair.around.running = self._before
        pair.around.seen = self._seen
        pair.around.starting = {
            *(identity for identity, fields in changes.items() if any(f.below("spec", "template") for f in fields)),
            *(item.identity for item in added),
        }
        for identity, fields in changes.items():
            item = after[identity]
            application = self._application(item)
            if counted := _without_pins(application, item, fields) if application else fields:
                verdict = changed(before[identity], item, counted, pair.around)
                if self._published and option(pair.around.application, "ServerSideApply", item) == "true":
                    tell_what_was_filled_in(verdict, before[identity], item)
                self._add(pair, item, "change", verdict, before[identity])

    def _drop_unreadable(self, pair: Pair, old: dict[str, bytes], new: dict[str, bytes]) -> None:
        """Leave out files that cannot be read, so that their objects do not seem to be removed."""
        for path in sorted(new):
            if problem := unreadable(path, new[path], self._cache, strict=pair.now.item is not None):
                self._tell(pair, "unreadable", path, Effect.NONE, file=path, problem=problem.reason)
                old.pop(path, None)

    def _tell_of_missing(self, pair: Pair, old: Application | None, new: Application) -> None:
        """Call it dangerous if an Application reads a commit that it did not read before and that is not here."""
        known = {*(source.revision for source in old.sources), *old.missing} if old else set()
        for revision in sorted({*new.missing} - known):
            self._tell(pair, "unseen-commit", "", Effect.UPDATE, commit=revision)

    def _compare_sources(self, pair: Pair, old: Application, new: Application) -> None:
        before = {source.path: source for source in old.sources}
        for source in new.sources:
            known = before.get(source.path)
            if known and known.revision != source.revision:
                self.pins.append(Pin(new.name, source.path, known.revision, source.revision))

    def _compare_rendering(self, pair: Pair, old: Application | None, new: Application) -> None:
        """Find what changes in how an Application is rendered, or in what nobody sees of it."""
        before = old or Content()
        tools = [source.tool for source in new.sources if source.tool]
        if differing := sorted({path for path, _ in before.rendered.items() ^ new.rendered.items()}):
            verdict = Verdict(Effect.UPDATE)
            verdict.because("rendered-changed", tool=tools[0] if tools else "its tool", files=listed(differing, 5))
            if old:
                verdict.fields = [
                    FieldChange(path, _size(old.rendered, path), _size(new.rendered, path)) for path in differing
                ]
            self._unseen.append((pair, verdict, differing[0]))
        elif not old and self._began and (unseen := [*tools, *(chart.title for chart in new.unseen)]):
            self._tell(pair, "rendered-unseen", "", Effect.CREATE, tools=listed(unseen))
        if differing := sorted({path for path, _ in new.overrides.items() - before.overrides.items()}):
            self._tell(pair, "override-changed", differing[0], Effect.UPDATE, files=listed(differing))
        if skipped := sorted({*new.skipped} & before.files.keys()):
            self._tell(pair, "skipped-now", skipped[0], Effect.UPDATE, files=listed(skipped, 5))
        for problem in new.problems:
            if problem not in before.problems:
                self._tell(pair, "refused", "", Effect.NONE, problem=problem)

    def _tell(self, pair: Pair, name: str, path: str, effect: Effect, **values: object) -> None:
        """Add a change that no object shows, with a reason from ``reasons.yaml``, which is about a file."""
        verdict = Verdict(effect)
        verdict.because(name, **values)
        self._unseen.append((pair, verdict, path))

    def _may_be_rendered(self, pair: Pair, old: Application, new: Application, removed: Sequence[Object]) -> bool:
        """Tell whether objects that are gone may be rendered from now on by a tool of which nobody sees the result."""
        known = {(source.path, source.tool) for source in old.sources}
        charts = {chart.name for chart in old.unseen}
        tools = [each.tool for each in new.sources if each.tool in OPAQUE and (each.path, each.tool) not in known]
        tools += [chart.title for chart in new.unseen if chart.name not in charts]
        if not tools or not removed:
            return False
        verdict = Verdict(Effect.UPDATE)
        objects = listed([named(item) for item in removed])
        verdict.because("rendered-from-now-on", tools=listed(tools), objects=objects)
        self._unseen.append((pair, verdict, ""))
        return True

    def _add_unseen(self, pair: Pair, verdict: Verdict, path: str) -> None:
        """Add what changes of an Application beside its objects to what changes of the Application itself.

        What no Application deploys is shown as a change of the file.
        """
        item = pair.now.item or Object({"apiVersion": "v1", "kind": "File", "metadata": {"name": path}}, path, "")
        owner = self._departures.owner(pair.now) or pair
        for number, (known, change) in enumerate(owner.changes):
            if change.identity == item.identity:
                merged = replace(
                    change,
                    effect=max(change.effect, verdict.effect),
                    fields=(*change.fields, *verdict.fields),
                    reasons=(*change.reasons, *verdict.reasons),
                    fix=change.fix or verdict.fix,
                    dangerous=change.dangerous or verdict.dangerous,
                )
                owner.changes[number] = (known, merged)
                return
        self._add(owner, item, "change", verdict)

    def _application(self, item: Object) -> Pair | None:
        return self.pairs.get((item.namespace, item.name)) if item.kind == "Application" else None

    # What happens to what is gone or new.

    def _judge_removals(self) -> None:
        verdicts = [(removal, self._departures.removed(removal)) for removal in self._removals]
        for removal, verdict in verdicts:
            removal.pair.effects.add(verdict.effect)
        lost = [removal.item for removal, verdict in verdicts if verdict.effect == Effect.DATA_LOSS]
        doomed = {item.name for item in lost if item.full_kind == "Namespace"}
        for removal, verdict in verdicts:
            item = removal.item
            # It, or what it holds, would stay if its Namespace did.
            outlives = verdict.effect == Effect.KEPT or item.kind in ("PersistentVolumeClaim", "StatefulSet")
            if item.namespace in doomed and outlives:
                verdict = lost_with_namespace(item, verdict, removal.pair.around_before)
            if addition := self._additions.get(item.identity):
                last = removal.pair.is_gone and self._departures.goes_last(removal.pair.now)
                self._add(addition.pair, addition.item, "change", moved(removal, addition, verdict, last=last))
                continue
            if application := self._application(item):
                explain_removal(application, verdict, last=self._departures.goes_last(application.now))
            self._add(removal.pair, item, "delete", verdict)
        for namespace in sorted(doomed):
            additions = [each for each in self._additions.values() if each.item.namespace == namespace]
            if users := sorted({_component(each.item, each.pair.now) for each in additions}):
                self.warnings.append(
                    f"The Namespace {namespace} is deleted, with all that {', '.join(users)} puts into it by then."
                )

    def _judge_additions(self) -> None:
        removed = {removal.item.identity for removal in self._removals}
        for addition in (each for each in self._additions.values() if each.item.identity not in removed):
            # Where nothing was ever deployed, nothing can be left.
            verdict = created(addition) if self._began else Verdict(Effect.CREATE)
            if application := self._application(addition.item):
                explain_creation(application, verdict)
            self._add(addition.pair, addition.item, "create", verdict)

    def _add(self, pair: Pair, item: Object, action: Action, verdict: Verdict, old: Object | None = None) -> None:
        before, after = (item, None) if action == "delete" else (old, item)
        # A person who syncs it does so later, and has to see what is dangerous then.
        if action != "delete" and pair.new and not pair.new.syncs_itself and pair.new.item is not item:
            if not verdict.dangerous and verdict.effect <= Effect.RESTART:
                verdict = replace(verdict, effect=Effect.NONE, pods=[])
            verdict.because("synced-by-hand", application=pair.new.name)
        judged = {
            **vars(verdict),
            "fields": tuple(verdict.fields),
            "reasons": tuple(dict.fromkeys(verdict.reasons)),
            "old": before and before.manifest,
            "new": after and after.manifest,
        }
        component = _component(item, pair.now)
        change = Change(component, action, identity=item.identity, file=item.path, **judged)
        pair.changes.append((item, change))


def _read(application: Application | None, files: Files) -> dict[Identity, Object]:
    items = (item for path in sorted(files) for item in application.read(path, files[path])) if application else ()
    return {item.identity: item for item in items}


def _without_pins(pair: Pair, item: Object, fields: Sequence[FieldChange]) -> Sequence[FieldChange]:
    """Return what changes of an Application without the revisions of folders of this repository, which are content."""
    if not pair.old or not pair.new:
        return fields
    before, after = ({source.path.strip("./") for source in state.sources} for state in (pair.old, pair.new))
    pinned = {
        str(source.get("targetRevision"))
        for source in sources_of(item.spec)
        if not source.get("chart") and pair.new.folder_of(source).strip("./") in before & after
    }
    return [
        change
        for change in fields
        if change.keys[-1] != "targetRevision" or not change.below("spec") or str(change.new) not in pinned
    ]


def _component(item: Object, application: Application) -> str:
    return item.name if item.kind == "Application" else application.name


def _drop_equal(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """Leave only files whose content is not in the other tree, whatever their name."""
    common = set(old.values()) & set(new.values())
    for files in (old, new):
        for path in [path for path, content in files.items() if content in common]:
            del files[path]


def _size(files: Files, path: str) -> str | None:
    return f"{len(files[path])} bytes" if path in files else None

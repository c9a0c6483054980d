"""What a person should know of a component or a workload that moves to another namespace or gets another name.

To Argo CD it is one that goes and another that comes, and what happens to their objects says little. So it is one
danger, at one object, which tells what becomes of the data, who answers meanwhile, and how to do it safely. What takes
the place of a removed object is a new one that is nearly the same.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import inner, mapping, mappings
from constructs_lib.kubernetes.names import image
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.plan.change import LASTING, ROLLING, Change, Effect, Reason, Surroundings, Verdict, named, reason
from constructs_lib.plan.pair import Pair, Placed
from constructs_lib.plan.removals import Departures
from constructs_lib.text import listed

_HOST = re.compile(rb"(?<![a-z0-9-])[a-z0-9-]+\.[a-z0-9-]+")
#: Fields of custom resources by which their operators are told what volumes to make.
_VOLUMES = re.compile(
    r"storage|storage(Class|ClassName|Config|Spec)|(persistent)?VolumeClaim\w*|dataVolumeClaim\w*", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class _Match:
    """A removed object, and the new one that takes its place."""

    old: Placed
    new: Placed

    @property
    def changes_namespace(self) -> bool:
        """Whether it only goes from one namespace of its Application to another."""
        return self.old.pair is self.new.pair and self.old.item.namespace != self.new.item.namespace


def _owns_data(item: Object) -> bool:
    """Tell whether an object is a custom resource whose operator makes volumes for it."""
    custom = "." in item.group and not item.group.endswith(".k8s.io") and item.group != "argoproj.io"
    return custom and any(_VOLUMES.fullmatch(key) for path, _ in _leaves(item.spec) for key in path)


def _matches(removals: Sequence[Placed], additions: Mapping[Identity, Placed]) -> list[_Match]:
    """Return the workloads and custom resources with data that only get another name, namespace or Application."""
    removed = {removal.item.identity for removal in removals}
    gone = [each for each in removals if each.item.identity not in additions and _has_pods_or_data(each.item)]
    come = [each for each in additions.values() if each.item.identity not in removed and _has_pods_or_data(each.item)]
    settings = _Settings([*removals, *additions.values()] if gone and come else ())
    found: list[_Match] = []
    for key in _CLOSEST_FIRST:
        candidates: dict[object, list[Placed]] = {}
        for each in come:
            candidates.setdefault(key(each), []).append(each)
        for old in gone:
            likely = candidates.get(key(old), [])
            if new := next((each for each in likely if settings.alike(old, each)), None):
                found.append(_Match(old, new))
                likely.remove(new)
        matched = {each for match in found for each in (match.old, match.new)}
        gone, come = ([each for each in left if each not in matched] for left in (gone, come))
    return _without_strays(found, removals)


def _without_strays(matches: Sequence[_Match], removals: Sequence[Placed]) -> list[_Match]:
    """Leave out what an Application that goes shares by chance with another, such as a database of the same kind."""
    owned = Counter(each.pair for each in removals if each.pair.is_gone and _has_pods_or_data(each.item))
    shared = Counter((match.old.pair, match.new.pair) for match in matches)
    return [
        match
        for match in matches
        if match.old.item.name == match.new.item.name
        or 2 * shared[match.old.pair, match.new.pair] > owned.get(match.old.pair, 0)
    ]


#: By what an object is looked for that takes the place of another, the closest first.
_CLOSEST_FIRST: Sequence[Callable[[Placed], object]] = (
    lambda each: (each.pair, each.item.full_kind, each.item.name),
    lambda each: (_image(each.item), each.item.name),
    lambda each: (each.pair, _image(each.item)),
    lambda each: _image(each.item),
)


def _has_pods_or_data(item: Object) -> bool:
    return item.full_kind in ROLLING | LASTING or _owns_data(item)


def _image(item: Object) -> str:
    """Return the kind with the image of the first container, without its version."""
    pods = pods_of(item)
    first = next((str(each.get("image")) for each in pods.containers if each.runs), "") if pods else ""
    parsed = image(first)
    return f"{item.full_kind} {parsed.registry}/{parsed.path}" if parsed else f"{item.full_kind} {first}"


class _Settings:
    """What programs and operators are told, with placeholders for the names of object, component and namespace."""

    def __init__(self, placed: Sequence[Placed]) -> None:
        self._config_maps = {
            (each.pair, each.item.namespace, each.item.name): mapping(each.item.manifest.get("data"))
            for each in placed
            if each.item.full_kind == "ConfigMap"
        }
        self._of = cache(self._read)

    def alike(self, old: Placed, new: Placed) -> bool:
        """Tell whether two objects are told nearly the same, or keep name and Application."""
        if old.pair is new.pair and old.item.name == new.item.name:
            return True
        before, after = self._of(old), self._of(new)
        shared = before.keys() & after.keys()
        differing = sum(before[key] != after[key] for key in shared)
        return 2 * len(shared) > max(len(before), len(after)) and 3 * differing <= len(shared)

    def _read(self, placed: Placed) -> Mapping[str, str]:
        item = placed.item
        names = sorted({item.name, placed.pair.now.name, item.namespace} - {""}, key=len, reverse=True)
        pattern = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, names))})(?![A-Za-z0-9])")
        return {pattern.sub("·", key): pattern.sub("·", text) for key, text in self._told(placed)}

    def _told(self, placed: Placed) -> Iterator[tuple[str, str]]:
        item = placed.item
        pods = pods_of(item)
        if pods is None:
            yield from ((".".join(path), str(value)) for path, value in _leaves(item.spec))
            return
        for number, container in enumerate(each for each in pods.containers if each.runs):
            for variable in mappings(container.get("env")):
                yield f"{number} {variable.get('name')}", json.dumps(variable, sort_keys=True, default=str)
            yield f"{number}", " ".join(word for _, word in container.words)
        for reference in pods.references:
            if reference.kind == "ConfigMap":
                data = self._config_maps.get((placed.pair, item.namespace, reference.name), {})
                yield from ((f"{reference.name} {key}", str(value)) for key, value in data.items())


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield all values inside of mappings and lists, each with the keys that lead to it."""
    if isinstance(value, dict | list):
        for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inside, (*path, str(key)))
    else:
        yield path, value


def explain_moves(removals: Sequence[Placed], additions: Mapping[Identity, Placed], departures: Departures) -> None:
    """Make one danger of each component or workload that moves, in place of those of its parts."""
    pairs = departures.pairs.values()
    moves: dict[tuple[Object, Pair, Pair], list[_Match]] = {
        (pair.now.item, pair, pair.heir): [] for pair in pairs if pair.heir and pair.now.item
    }
    first: dict[object, Object] = {}
    for match in _matches(removals, additions):
        # What goes to another namespace goes together.
        places = match.old.pair, match.old.item.namespace, match.new.item.namespace
        bearer = first.setdefault(places if match.changes_namespace else match, _bearer(match))
        moves.setdefault((bearer, match.old.pair, match.new.pair), []).append(match)
    callers = _callers(pairs) if moves else {}
    at = {
        change.identity: (pair.changes, number)
        for pair in pairs
        for number, (_, change) in enumerate(pair.changes)
        if change.action != "create"
    }
    left: dict[Pair, set[Identity]] = defaultdict(set)
    for each in removals:
        left[each.pair].add(each.item.identity)
    for (bearer, old, new), found in moves.items():
        if bearer.identity in at:
            changes, number = at[bearer.identity]
            item, change = changes[number]
            move = _Move(bearer, old, new, found, left[old], callers, departures)
            changes[number] = item, move.explained(change)


def _bearer(match: _Match) -> Object:
    """Return the object whose change is the danger: the Application if that moves, or else the workload."""
    pair, application = match.old.pair, match.old.pair.now.item
    moves = match.changes_namespace and pair.around_before.application.namespace != pair.now.namespace
    return application if application and (moves or pair.is_gone) else match.old.item


def _callers(pairs: Collection[Pair]) -> Mapping[str, set[str]]:
    """Return the components that call each Service which is removed, by its address."""
    removed = [item for pair in pairs for item, change in pair.changes if change.action == "delete"]
    services = [item for item in removed if item.full_kind == "Service"]
    found: dict[str, set[str]] = {f"{item.name}.{item.namespace}": set() for item in services}
    for application in [pair.old for pair in pairs if pair.old and found]:
        for path, content in application.files.items():
            for host in found.keys() & {match.decode() for match in _HOST.findall(content)}:
                applications = {item.name for item in application.read(path, content) if item.kind == "Application"}
                found[host] |= applications or {application.name}
    return found


@dataclass(frozen=True, eq=False)
class _Move:
    """A component or a workload that moves.

    Attributes:
        bearer: The object whose change is the danger.
        left: What the old Application deploys no more.
        callers: The components that call each Service which is removed, by its address.
    """

    bearer: Object
    old: Pair
    new: Pair
    matches: Sequence[_Match]
    left: set[Identity]
    callers: Mapping[str, set[str]]
    departures: Departures

    def explained(self, change: Change) -> Change:
        """Return the bearer's change with all that is to be told; no danger of the parts is left."""
        verdict = Verdict(change.effect, [*change.reasons], fix=change.fix, dangerous=change.dangerous)
        self._tell(verdict)
        if all(part.effect != Effect.DATA_LOSS for part in self._changes(self.old, self.new)):
            verdict.effect = min(verdict.effect, Effect.REPLACEMENT)
        return replace(
            change,
            effect=verdict.effect,
            reasons=tuple(dict.fromkeys(verdict.reasons)),
            fix=verdict.fix,
            dangerous=verdict.dangerous or bool(self.matches),
            moves=self.bearer.kind == "Application" and self.old is self.new,
        )

    def _tell(self, verdict: Verdict) -> None:
        parts = list(self._fold())
        shared = [part.name for part in parts if self._waiting in part.reasons]
        place = "under a name and in a namespace of its own" if self._whole else "under a name of its own"
        names = {"new": self._new_name, "place": place}
        if any(reason("load-balancer-deleted") in part.reasons for part in parts):
            verdict.because("load-balancer-deleted")
        if self._whole and self.old is self.new:
            verdict.because("moves-to-namespace", old=self.matches[0].old.item.namespace, **names)
        elif self.old.heir is not self.new:
            verdict.because("becomes", **names)
        kept, lost = self._data
        for name, claims in ("starts-empty", kept), ("starts-empty-and-lost", lost):
            if claims:
                verdict.because(name, claims=listed(claims, 6), **names)
        if self.matches and not kept and not lost:
            verdict.because("holds-no-volumes", **names)
        addresses, callers = self._addresses
        if shared:
            verdict.because("shared-with-the-old", objects=listed(shared), old=self.old.now.name, **names)
        elif not self.matches:
            pass
        elif all(self._fates[match.old.item.identity] == Effect.KEPT for match in self.matches):
            verdict.because("both-stay")
        elif not self._last:
            verdict.because("nobody-answers")
        elif self.old.is_gone:
            verdict.because("somebody-answers")
        elif callers:
            verdict.because("callers-wait", callers=listed(callers))
        else:
            verdict.because("removed-at-the-end")
        if addresses:
            call = "calls" if len(callers) < 2 else "call"
            who = f"{listed(callers, 6) or 'Nobody in the tree'} {call}"
            verdict.because("address-changes", addresses=listed(addresses), who=who)

    @property
    def _whole(self) -> bool:
        """Whether a whole component moves, or all that it has in a namespace."""
        return self.bearer.kind == "Application" or self.matches[0].changes_namespace

    @property
    def _new_name(self) -> str:
        """What it will be, in words."""
        if not self._whole:
            new = next(match.new.item for match in self.matches if match.old.item is self.bearer)
            return named(new) if new.namespace == self.bearer.namespace else f"{named(new)} in {new.namespace}"
        return f"the namespace {self.matches[0].new.item.namespace}" if self.old is self.new else self.new.now.name

    @property
    def _last(self) -> bool:
        """Whether the old one is removed once the new one is ready."""
        if self.old.is_gone:
            return self.departures.goes_last(self.old.now)
        return self.old.now.sync_options.get("PruneLast") == "true"

    @property
    def _waiting(self) -> Reason:
        return reason("wait-for-each-other", old=self.old.now.name, new=self.new.now.name)

    @cached_property
    def _data(self) -> tuple[list[str], list[str]]:
        """What holds the old data and stays, and what goes; nothing if the new one uses it on."""
        kept: dict[str, None] = {}
        lost: dict[str, None] = {}
        for match in self.matches:
            old, new = match.old.item, match.new.item
            before, after = (dict(_volumes(each.item, each.pair.around_before)) for each in (match.old, match.new))
            if before.keys() & after.keys():
                continue
            for (namespace, claim), words in before.items():
                its = self._fates.get(("", "PersistentVolumeClaim", namespace, claim), self._fates[old.identity])
                goes = its == Effect.DATA_LOSS or (_owns_data(new) and its != Effect.KEPT)
                (lost if goes else kept)[f"{words} in {namespace}"] = None
        for identity, effect in self._fates.items() if self._whole else ():
            if identity[:2] == ("", "PersistentVolumeClaim") and effect in (Effect.KEPT, Effect.DATA_LOSS):
                words = f"PersistentVolumeClaim/{identity[3]} in {identity[2]}"
                (kept if effect == Effect.KEPT else lost)[words] = None
        return [*kept], [*lost]

    @cached_property
    def _fates(self) -> Mapping[Identity, Effect]:
        """What happens to what the old Application deploys no more."""
        return {each.identity: each.effect for each in self._changes(self.old) if each.action == "delete"}

    @cached_property
    def _addresses(self) -> tuple[list[str], list[str]]:
        """How the addresses change that others call, and the components which do."""
        addresses, callers = [], set()
        for change in self._changes(self.old):
            item, new = change.identity, self._counterpart(change.identity)
            if item[:2] == ("", "Service") and change.action == "delete" and new:
                old = f"{item[3]}.{item[2]}"
                known = self.callers.get(old, set()) - {self.old.now.name, self.new.now.name}
                if known or change.effect == Effect.DELETE:
                    addresses.append(f"{old} becomes {new[3]}.{new[2]}")
                    callers |= known
        return addresses, sorted(callers)

    # Its parts.

    def _fold(self) -> Iterator[Change]:
        """Take the danger from its parts, and yield them."""
        for pair in dict.fromkeys((self.old, self.new)):
            for number, (item, change) in enumerate(pair.changes):
                if change.dangerous and change.identity != self.bearer.identity and self._is_part(change):
                    # A Namespace without data is no loss.
                    effect = min(change.effect, Effect.DELETE if change.action == "delete" else Effect.REPLACEMENT)
                    pair.changes[number] = item, replace(change, dangerous=False, effect=effect)
                    yield change

    def _is_part(self, change: Change) -> bool:
        if change.effect == Effect.DATA_LOSS:
            return self._whole and change.kind == "Namespace" and self._is_empty(change.identity[3])
        if change.identity in {match.old.item.identity for match in self.matches}:
            return True
        if change.action == "change":
            return self.old.heir is self.new and change.identity in self.left
        return change.identity in self.left and self._counterpart(change.identity) is not None

    def _is_empty(self, namespace: str) -> bool:
        """Tell whether no data and no other component is in a Namespace."""
        both = self.old, self.new
        lost = [each.kind for each in self._changes(*both) if each.effect == Effect.DATA_LOSS]
        pairs = self.departures.pairs.values()
        others = any(pair not in both and pair.now.namespace == namespace for pair in pairs)
        return lost == ["Namespace"] and not others

    def _counterpart(self, identity: Identity) -> Identity | None:
        """Return the new object that takes the place of a removed one, by its name."""
        group, kind, namespace, name = identity
        renamed = {match.old.item.name: match.new.item.name for match in self.matches}
        if self._whole:
            renamed.setdefault(self.old.now.name, self.new.now.name)
        known = [old for old in renamed if name == old or name.startswith(f"{old}-")]
        if old := max(known, key=len, default=""):
            name = renamed[old] + name[len(old) :]
        places = {match.old.item.namespace: match.new.item.namespace for match in self.matches}
        new = group, kind, places.get(namespace, namespace), name
        return new if new != identity and new in self._created else None

    @cached_property
    def _created(self) -> set[Identity]:
        return {change.identity for change in self._changes(self.new) if change.action == "create"}

    @staticmethod
    def _changes(*pairs: Pair) -> list[Change]:
        return [change for pair in dict.fromkeys(pairs) for _, change in pair.changes]


def _volumes(item: Object, around: Surroundings) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield what holds the data of a workload or a custom resource: namespace and name, and what it is in words."""
    if item.full_kind == "apps/StatefulSet":
        last = max(around.scales.of(item).maximum, 1) - 1
        for template in mappings(item.spec.get("volumeClaimTemplates")):
            first = f"{inner(template, 'metadata', 'name')}-{item.name}-"
            words = f"PersistentVolumeClaim/{first}0" + (f" to {last}" if last else "")
            yield (item.namespace, f"{first}0"), words
    if _owns_data(item):
        yield (item.namespace, item.name), named(item)
    elif pods := pods_of(item):
        for claim in pods.claims:
            yield (item.namespace, claim.name), f"PersistentVolumeClaim/{claim.name}"

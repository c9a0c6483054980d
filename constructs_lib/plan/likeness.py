"""Finds what only has another name or namespace: removed objects, and new ones that are nearly the same."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.image import image
from constructs_lib.kubernetes.manifest import mapping, mappings
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.plan.pair import Placed
from constructs_lib.plan.verdict import LASTING, ROLLING

#: Fields of custom resources by which their operators are told what volumes to make.
_VOLUMES = re.compile(
    r"storage|storage(Class|ClassName|Config|Spec)|(persistent)?VolumeClaim\w*|dataVolumeClaim\w*", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class Match:
    """A removed object, and the new one that takes its place."""

    old: Placed
    new: Placed

    @property
    def changes_namespace(self) -> bool:
        """Whether it only goes from one namespace of its Application to another."""
        return self.old.pair is self.new.pair and self.old.item.namespace != self.new.item.namespace


def owns_data(item: Object) -> bool:
    """Tell whether an object is a custom resource whose operator makes volumes for it."""
    custom = "." in item.group and not item.group.endswith(".k8s.io") and item.group != "argoproj.io"
    return custom and any(_VOLUMES.fullmatch(key) for path, _ in _leaves(item.spec) for key in path)


def find_matches(removals: Sequence[Placed], additions: Mapping[Identity, Placed]) -> list[Match]:
    """Return the workloads and custom resources with data that only get another name, namespace or Application."""
    removed = {removal.item.identity for removal in removals}
    gone = [each for each in removals if each.item.identity not in additions and _has_pods_or_data(each.item)]
    come = [each for each in additions.values() if each.item.identity not in removed and _has_pods_or_data(each.item)]
    settings = _Settings([*removals, *additions.values()] if gone and come else ())
    found: list[Match] = []
    for key in _CLOSEST_FIRST:
        candidates: dict[object, list[Placed]] = {}
        for each in come:
            candidates.setdefault(key(each), []).append(each)
        for old in gone:
            likely = candidates.get(key(old), [])
            if new := next((each for each in likely if settings.alike(old, each)), None):
                found.append(Match(old, new))
                likely.remove(new)
        matched = {each for match in found for each in (match.old, match.new)}
        gone, come = ([each for each in left if each not in matched] for left in (gone, come))
    return _without_strays(found, removals)


def _without_strays(matches: Sequence[Match], removals: Sequence[Placed]) -> list[Match]:
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
    return item.full_kind in ROLLING | LASTING or owns_data(item)


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

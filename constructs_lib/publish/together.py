"""Which components must be published together: those whose changes name each other."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from constructs_lib.kubernetes.manifest import Manifest, texts_in

#: An object before and afterwards; None if there is none.
Pair = tuple[Manifest | None, Manifest | None]


def together(
    wanted: Iterable[str],
    unavoidable: Mapping[str, str],
    changes: Mapping[str, Iterable[Pair]],
    namespaces: Mapping[str, str],
) -> dict[str, str]:
    """Return what must go with some components, by name, with the reason.

    Two changed components belong together if a change of one names the other: by an address, a network policy or a
    secret. So both sides of an edge that is added, removed or changed are published together.

    The changes of ``unavoidable`` components, each with the reason, cannot be held back. ``changes`` are the changed
    objects of each component, ``namespaces`` the namespace of every one.
    """
    spoken_of = {component: _components_in(pairs, namespaces) - {component} for component, pairs in changes.items()}
    joined = dict(unavoidable)
    wanted = set(wanted)
    pending = [*sorted(wanted), *sorted(unavoidable.keys() - wanted)]
    while pending:
        component = pending.pop(0)
        for other in sorted(changes.keys() - joined.keys() - wanted):
            if other in spoken_of.get(component, ()):
                joined[other] = f"the changes of {component} speak of it"
            elif component in spoken_of[other]:
                joined[other] = f"its changes speak of {component}"
            else:
                continue
            pending.append(other)
    return {component: reason for component, reason in joined.items() if component not in wanted}


def _components_in(pairs: Iterable[Pair], namespaces: Mapping[str, str]) -> set[str]:
    """Return the components whose names or namespaces occur in the changed parts of objects."""
    texts: set[str] = set()
    for old, new in pairs:
        # In a rule of a policy, the peers stand beside the changed port, so the whole rule counts as changed.
        whole = (new or old or {}).get("kind") == "NetworkPolicy"
        texts |= {text for part in _differing(old, new, whole=whole) for text in texts_in(part)}
    hosts = {label for text in texts if ".svc" in text for label in text.replace(":", ".").split(".")}
    return {
        component
        for component, namespace in namespaces.items()
        if component in texts or namespace in texts or namespace in hosts
    }


def _differing(old: Any, new: Any, *, whole: bool) -> Iterator[Any]:
    """Yield the smallest parts that differ.

    Entries of lists without names are compared in their order; with ``whole``, one that differs counts as a whole.
    """
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from _differing(old.get(key), new.get(key), whole=whole)
    elif isinstance(old, list) and isinstance(new, list):
        before, after = ({_key(entry): entry for entry in entries} for entries in (old, new))
        for key in before.keys() & after.keys():
            yield from _differing(before[key], after[key], whole=whole)
        gone = [entry for key, entry in before.items() if key not in after]
        added = [entry for key, entry in after.items() if key not in before]
        if whole:
            yield from (*gone, *added)
        else:
            for first, second in zip_longest(gone, added):
                yield from _differing(first, second, whole=whole)
    else:
        yield old
        yield new


def _key(entry: Any) -> str:
    """Return what identifies an entry of a list: its name, or else its content."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else json.dumps(entry, sort_keys=True, default=str)

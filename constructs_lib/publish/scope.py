"""What a publication includes, what it holds back, and what must be allowed by name."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from constructs_lib.kubernetes.manifest import Manifest, texts_in
from constructs_lib.kubernetes.openings import kept_in
from constructs_lib.plan.plan import Plan, allow_names, allowed, unknown_names
from constructs_lib.publish.checkout import PublishError
from constructs_lib.publish.publication import Publication
from constructs_lib.text import nearest, plural

#: An object before and afterwards; None if there is none.
Pair = tuple[Manifest | None, Manifest | None]


def narrow(publication: Publication, found: Plan, only: Sequence[str]) -> tuple[Publication, Plan, Mapping[str, str]]:
    """Limit a publication and its plan to some components; none means all that were not rolled back.

    The third value are the components that must go with ``only``, with the reasons.

    Raises:
        PublishError: A component is unknown or has nothing to publish, or nothing can be held back.
    """
    joined = _joined(publication, found, only) if only else {}
    wanted = {*only, *joined} if only else publication.moved.keys() - publication.rolled_back.keys()
    # What is new or removed cannot be held back, and what is pinned wrong becomes what it was before.
    repair = publication.repair
    before = {name: pin for name, pin in publication.before.items() if name not in repair.wrong} | {**repair.sound}
    pins = {name: pin if name in wanted else before.get(name, pin) for name, pin in publication.pins.items()}
    held = {name for name in publication.moved if pins[name] != publication.pins[name]}
    narrowed = replace(publication, pins=pins, unpublished=tuple(sorted(held)))
    found = narrowed.plan() if narrowed.restored or narrowed.verdicts else found
    return narrowed, without(found, held - narrowed.restored.keys()), joined


def _joined(publication: Publication, found: Plan, only: Sequence[str]) -> Mapping[str, str]:
    """Return what must go with some components, each with the reason."""
    tree, moved, removed = publication.tree, publication.moved, publication.removed
    known = {*tree.applications, *removed}
    changes: dict[str, list[Pair]] = {component: [] for component in moved}
    for change in found.changes:
        if change.component in known:
            changes.setdefault(change.component, []).append((change.old, change.new))
    problems = [
        f"{component} has nothing to publish; what has: {', '.join(sorted(changes)) or 'nothing'}."
        if component in known
        else f'There is no component "{component}"; {nearest(component, known)}'
        for component in only
        if component not in changes
    ]
    if problems:
        raise PublishError(*problems)
    if publication.old is None:
        raise PublishError(
            f"{tree.environment} was never published: its Applications follow the branch, so that nothing can be held "
            f"back. Publish all of it once, without --only."
        )
    unavoidable = dict.fromkeys(removed, "it is removed, and no pin holds that back")
    unavoidable |= {
        component: "it is new, and has no pin that holds it back" for component, pin in moved.items() if pin is None
    }
    wrong = publication.repair.wrong.keys() & moved.keys() - publication.repair.sound.keys()
    unavoidable |= dict.fromkeys(sorted(wrong), "its pin is wrong, and was never right")
    return together(only, unavoidable, changes, tree.namespaces)


def without(found: Plan, held_back: Collection[str]) -> Plan:
    """Return a plan without the changes of some components; pins do not hold back the Applications themselves.

    A component does not move to another namespace as long as its pin does not move.
    """
    steps = []
    for step in found.steps:
        changes = [
            replace(each, dangerous=False, reasons=(), fix="") if each.moves and each.component in held_back else each
            for each in step.changes
            if each.component not in held_back or each.kind == "Application"
        ]
        steps += [replace(step, changes=changes)] if changes else []
    return replace(found, steps=steps)


def closed_by(found: Plan) -> int:
    """Return the number of connections that the last publication kept open, and that this one closes."""
    pairs = [(kept_in(change.old), kept_in(change.new) if change.new else {}) for change in found.changes if change.old]
    return sum(entry not in after.values() for before, after in pairs for entry in before.values())


def refuse_dangers(found: Plan, allow: Sequence[str]) -> None:
    """Refuse dangerous changes that are not allowed.

    Raises:
        PublishError: There are some, or a name in ``allow`` names no dangerous change.
    """
    names = allow_names(found)
    problems = [
        f'There is nothing dangerous called "{name}"; {nearest(name, names)}' for name in unknown_names(found, allow)
    ]
    dangers = [change for change in found.dangerous if not allowed(change, allow)]
    if dangers:
        options = [f"--allow {name}" for name in names if any(allowed(change, [name]) for change in dangers)]
        losing, widening = sum(each.dangerous for each in dangers), sum(bool(each.widens) for each in dangers)
        kinds = [
            *([plural(losing, "dangerous change")] if losing else []),
            *([plural(widening, "change that widens rights", "changes that widen rights")] if widening else []),
        ]
        problems.append(
            f"Nothing was published: the plan has {' and '.join(kinds)}. "
            f"To agree to all of that, add {' '.join(options)}"
        )
    if problems:
        raise PublishError(*problems)


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

"""Puts the changes of all components in the order of Argo CD."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.sync_order import Task, cascade_order, sync_order
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import Change, Step
from constructs_lib.plan.pair import Key, Pair, key_of


def ordered(pairs: Mapping[Key, Pair]) -> list[Step]:
    """Return what happens in the order in which it does.

    Args:
        pairs: All Applications and groups, with their changes.
    """
    children: dict[Key | None, list[Pair]] = {}
    for key, pair in pairs.items():
        parent = pair.now.parent
        owner = key_of(parent) if parent is not None and key_of(parent) in pairs else None
        children.setdefault(None if owner == key else owner, []).append(pair)
    return _Ordering(pairs, children).steps()


class _Ordering:
    """Puts the changes of all components in the order of Argo CD."""

    def __init__(self, pairs: Mapping[Key, Pair], children: Mapping[Key | None, Sequence[Pair]]) -> None:
        self._keys = {id(pair): key for key, pair in pairs.items()}
        self._children = children
        self._seen: set[int] = set()

    def steps(self) -> list[Step]:
        """Return the steps."""
        outermost = [
            step for pair in self._children.get(None, ()) for step in self._of(pair, "", pair.now.wave, own=[])
        ]
        return [step for step in outermost if step.changes]

    def _of(self, pair: Pair, parent: str, wave: int, own: list[Change]) -> Iterator[Step]:
        """Yield the steps of a component: what happens to itself, to its objects, and then to what it deploys.

        Args:
            pair: The component.
            parent: Name of what deploys it.
            wave: The wave in which it comes there.
            own: What happens to the Application itself.
        """
        if id(pair) in self._seen:
            return
        self._seen.add(id(pair))
        name = pair.now.name
        children = {
            child.now.item.identity: child
            for child in self._children.get(self._keys[id(pair)], ())
            if child.now.item is not None
        }
        itself = pair.now.item.identity if pair.now.item else None
        by_identity: dict[Identity, list[Change]] = {}
        tasks: dict[Identity, Task] = {}
        cascade = pair.new is None and pair.now.item is not None
        for item, change in pair.changes:
            by_identity.setdefault(item.identity, []).append(change)
            tasks[item.identity] = Task(item, prunes=change.action == "delete")
        for identity, child in children.items():
            assert child.now.item is not None
            tasks.setdefault(identity, Task(child.now.item, prunes=child.new is None))
        own = [*own, *(by_identity.pop(itself, []) if itself else [])]
        tasks.pop(itself, None) if itself and itself not in children else None
        placed = (
            [(task.item.wave, task) for task in map(tasks.__getitem__, _identities(cascade_order(_items(tasks))))]
            if cascade
            else sync_order(tasks.values(), prune_last=pair.now.sync_options.get("PruneLast") == "true")
        )
        direct = [
            change
            for _, task in placed
            if task.item.identity not in children
            for change in by_identity.get(task.item.identity, ())
        ]
        grouped = pair.now.item is None or not children
        if grouped or not direct:
            yield _step(name, wave, parent, [*own, *direct])
        elif own:
            yield _step(name, wave, parent, own)
        pending: list[Change] = []
        pending_wave = 0
        for position, task in placed:
            identity = task.item.identity
            found = by_identity.get(identity, [])
            if identity not in children:
                if grouped:
                    continue
                if pending and position != pending_wave:
                    yield _step(name, pending_wave, name, pending)
                    pending = []
                pending_wave = position
                pending += found
                continue
            if pending:
                yield _step(name, pending_wave, name, pending)
                pending = []
            yield from self._of(children[identity], name, position, found)
        if pending:
            yield _step(name, pending_wave, name, pending)


def _step(component: str, wave: int, parent: str, changes: Iterable[Change]) -> Step:
    placed = [replace(change, component=component, wave=wave) for change in changes]
    return Step(component, wave, parent, placed)


def _items(tasks: Mapping[Identity, Task]) -> list[Object]:
    return [task.item for task in tasks.values()]


def _identities(items: Iterable[Object]) -> list[Identity]:
    return [item.identity for item in items]

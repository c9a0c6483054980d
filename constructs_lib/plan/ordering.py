"""Puts the changes of all components in the order of Argo CD."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from constructs_lib.argocd.sync_order import Task, cascade_order, sync_order
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.plan.change import Change, Step
from constructs_lib.plan.pair import Key, Pair, key_of


def ordered(pairs: Mapping[Key, Pair]) -> list[Step]:
    """Return the steps of all Applications and groups, in the order of Argo CD."""
    ordering = _Ordering(pairs)
    outermost = ordering.children.get(None, ())
    return [step for pair in outermost for step in ordering.of(pair, "", pair.now.wave, ()) if step.changes]


class _Ordering:
    """Puts the changes of all components in the order of Argo CD."""

    def __init__(self, pairs: Mapping[Key, Pair]) -> None:
        self._seen: set[Pair] = set()
        self.children: dict[Key | None, list[Pair]] = {}
        for key, pair in pairs.items():
            parent = pair.now.parent
            owner = key_of(parent) if parent is not None and key_of(parent) in pairs else None
            self.children.setdefault(None if owner == key else owner, []).append(pair)

    def of(self, pair: Pair, parent: str, wave: int, own: Sequence[Change]) -> Iterator[Step]:
        """Yield the steps of a component: what happens to itself, to its objects, and then to what it deploys.

        ``parent`` names what deploys it, ``wave`` is its wave in there, and ``own`` happens to the Application itself.
        """
        if pair in self._seen:
            return
        self._seen.add(pair)
        name, itself = pair.now.name, pair.now.item
        children: dict[Identity, Pair] = {}
        changes: dict[Identity, list[Change]] = {}
        tasks: dict[Identity, Task] = {}
        for item, change in pair.changes:
            changes.setdefault(item.identity, []).append(change)
            tasks[item.identity] = Task(item, prunes=change.action == "delete")
        for child in self.children.get(key_of(pair.now), ()):
            if child.now.item is not None:
                children[child.now.item.identity] = child
                tasks.setdefault(child.now.item.identity, Task(child.now.item, prunes=child.new is None))
        if itself:
            own = [*own, *changes.pop(itself.identity, [])]
            if itself.identity not in children:
                tasks.pop(itself.identity, None)
        if pair.is_gone:
            placed = cascade_order(tasks.values())
        else:
            placed = sync_order(tasks.values(), prune_last=pair.now.sync_options.get("PruneLast") == "true")
        todo = [(at, children.get(task.item.identity), changes.get(task.item.identity, [])) for at, task in placed]
        # Objects beside Applications get steps of their own, between those of the Applications.
        apart = itself is not None and bool(children)
        direct = [change for _, child, found in todo if child is None for change in found]
        yield _step(name, wave, parent, own if apart else [*own, *direct])
        for (at, beside), group in groupby(todo, lambda each: (each[0], each[1] is None)):
            if not beside:
                for _, deployed, found in group:
                    if deployed is not None:
                        yield from self.of(deployed, name, at, found)
            elif apart:
                yield _step(name, at, name, [change for _, _, found in group for change in found])


def _step(component: str, wave: int, parent: str, changes: Iterable[Change]) -> Step:
    return Step(component, wave, parent, [replace(change, component=component, wave=wave) for change in changes])

"""What a publication includes, what it holds back, and what must be allowed by name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from constructs_lib.plan.plan import Plan, allow_names, allowed, unknown_names
from constructs_lib.publish.checkout import PublishError
from constructs_lib.publish.publication import Publication
from constructs_lib.publish.together import Pair, together
from constructs_lib.text import nearest, plural


def narrow(publication: Publication, found: Plan, only: Sequence[str]) -> tuple[Publication, Plan, Mapping[str, str]]:
    """Limit a publication and its plan to some components; none means all that were not rolled back.

    The third value are the components that must go with ``only``, with the reasons.

    Raises:
        PublishError: A component is unknown or has nothing to publish, or nothing can be held back.
    """
    joined = _joined(publication, found, only) if only else {}
    wanted = {*only, *joined} if only else publication.moved.keys() - publication.rolled_back.keys()
    # What is new or removed cannot be held back.
    before = publication.before
    pins = {name: pin if name in wanted else before.get(name, pin) for name, pin in publication.pins.items()}
    narrowed = replace(publication, pins=pins)
    narrowed = replace(narrowed, unpublished=tuple(sorted(publication.moved.keys() - narrowed.moved.keys())))
    return narrowed, _without(found, narrowed.unpublished), joined


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
    return together(only, unavoidable, changes, tree.namespaces)


def _without(found: Plan, held_back: Collection[str]) -> Plan:
    """Return a plan without the changes of some components; pins do not hold back the Applications themselves."""
    steps = []
    for step in found.steps:
        changes = [each for each in step.changes if each.component not in held_back or each.kind == "Application"]
        steps += [replace(step, changes=changes)] if changes else []
    return replace(found, steps=steps)


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
        problems.append(
            f"Nothing was published: the plan has {plural(len(dangers), 'dangerous change')}. "
            f"To agree to all of that, add {' '.join(options)}"
        )
    if problems:
        raise PublishError(*problems)

"""A plan for a person at a terminal."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from rich.console import Console
from rich.text import Text

from constructs_lib.plan.change import Change, Reason, Step
from constructs_lib.plan.plan import Plan
from constructs_lib.plan.report import words
from constructs_lib.text import unheard

#: The most changes of a tree that is all new that are shown one by one, and the fewest that are shown as one.
_MOST, _FEW = 20, 3


def print_plan(plan: Plan, console: Console, *, hint: bool = True) -> None:
    """Print a plan without wrapping its lines; ``hint`` names the options that allow dangerous changes."""
    for line in _lines(plan, hint=hint):
        console.print(line, soft_wrap=True, highlight=False)


def _lines(plan: Plan, *, hint: bool) -> Iterator[Text]:
    for note in plan.notes:
        yield plain(note)
    for warning in plan.warnings:
        yield plain(("Warning: ", "yellow"), warning)
    for pin in plan.pins:
        yield plain(f"{pin.name} reads {pin.path or 'the repository'} from {pin.new}, no longer from {pin.old}.")
    sources: set[str] = set()
    is_short = len(plan.changes) > _MOST and all(change.action == "create" for change in plan.changes)
    for step in plan.steps:
        yield plain()
        yield plain((step.component, "bold"), f"  {words.heading(step)}".rstrip())
        yield from _summary(step, sources) if is_short else _step(step, sources)
    if plan.steps:
        yield plain()
    if is_short:
        yield plain("Everything is new. Each object by itself: --format json.")
    dangerous = bool(plan.dangerous)
    yield plain((words.summary(plan), "bold red" if dangerous else "bold"))
    if dangerous and hint:
        yield plain(f"To publish it all the same: {words.allowing(plan)}")


def _step(step: Step, sources: set[str]) -> Iterator[Text]:
    for change, together in words.explained(step):
        yield from _change(change, together, sources)


def _summary(step: Step, sources: set[str]) -> Iterator[Text]:
    """Yield a line for all objects of which there is nothing to say but that they come, and the others as they are."""

    def alike(change: Change) -> object:
        quiet = not (change.fields or change.reasons or change.needs_consent or change.fix or change.pods)
        return change.effect if quiet and change.kind != "Application" else change.full_name

    for _, group in groupby(step.changes, key=alike):
        changes = [*group]
        if len(changes) < _FEW:
            yield from _step(replace(step, changes=changes), sources)
            continue
        sign, colour = words.look(changes[0])
        kinds = Counter(change.kind for change in changes)
        named = ", ".join(f"{number} {kind}" if number > 1 else kind for kind, number in kinds.items())
        yield plain("  ", (f"{sign} {len(changes)} objects: {changes[0].words}", colour), f" ({named})")


def plain(*parts: str | tuple[str, str]) -> Text:
    """Return a line of plain text: names of objects can hold no markup, no control characters and no commands."""
    styled = ((part, "") if isinstance(part, str) else part for part in parts)
    return Text.assemble(*((unheard(words.clean(text)), style) for text, style in styled))


def _change(change: Change, together: int, sources: set[str]) -> Iterator[Text]:
    """Yield the lines of a change. A source is shown once, and reasons once for all changes that they explain."""
    pods = f" of {', '.join(map(str, change.pods))}" if change.pods else ""
    sign, colour = words.look(change)
    yield plain(
        "  ",
        (f"{sign} {change.full_name}: {change.words}", colour),
        pods,
        (f" ({dangers})", "red") if (dangers := words.dangers(change)) else "",
    )
    fields, more = words.fields_of(change)
    for field in fields:
        lines = words.lines_of(field)
        yield plain("      ", (field.path, "dim"), ":" if lines else f": {words.values(field)}")
        for line in lines:
            yield plain("        ", (line, {"+": "green", "-": "red"}.get(line[:1], "dim")))
    if more:
        yield plain(f"      … and {more} more fields")
    for reason in change.widens:
        yield plain("      ", ("Widens rights: ", "red"), reason.text, *_source(reason, sources))
    if not together:
        return
    for number, reason in enumerate(change.reasons):
        all_of_them = f"All {together}: " if together > 1 and number == 0 else ""
        yield plain("      ", all_of_them, reason.text, *_source(reason, sources))
    if change.fix:
        yield plain("      ", ("Instead: ", "green"), change.fix)


def _source(reason: Reason, sources: set[str]) -> Iterator[tuple[str, str]]:
    if reason.source and reason.source not in sources:
        sources.add(reason.source)
        yield f" [{reason.source}]", "dim"

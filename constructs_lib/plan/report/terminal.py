"""A plan for a person at a terminal."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from constructs_lib.plan.change import Change, Reason
from constructs_lib.plan.plan import Plan
from constructs_lib.plan.report import words
from constructs_lib.text import unheard


def print_plan(plan: Plan, console: Console, *, hint: bool = True) -> None:
    """Print a plan without wrapping its lines; ``hint`` names the options that allow dangerous changes."""
    for line in _lines(plan, hint=hint):
        console.print(line, soft_wrap=True, highlight=False)


def _lines(plan: Plan, *, hint: bool) -> Iterator[Text]:
    for warning in plan.warnings:
        yield plain(("Warning: ", "yellow"), warning)
    for pin in plan.pins:
        yield plain(f"{pin.name} reads {pin.path or 'the repository'} from {pin.new}, no longer from {pin.old}.")
    sources: set[str] = set()
    for step in plan.steps:
        yield plain()
        yield plain((step.component, "bold"), f"  {words.heading(step)}".rstrip())
        for change, together in words.explained(step):
            yield from _change(change, together, sources)
    if plan.steps:
        yield plain()
    dangerous = bool(plan.dangerous)
    yield plain((words.summary(plan), "bold red" if dangerous else "bold"))
    if dangerous and hint:
        yield plain(f"To publish it all the same: {words.allowing(plan)}")


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

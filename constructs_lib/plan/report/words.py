"""Texts that the reports of all formats share."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile, zip_longest
from typing import Any

import yaml

from constructs_lib.plan.change import Change, Effect, Pods, Step
from constructs_lib.plan.fields import RULES, FieldChange
from constructs_lib.plan.plan import Plan, allow_names
from constructs_lib.repository.applications import ALL_OBJECTS, BY_HAND
from constructs_lib.text import plural

#: The most characters of a value that is shown on one line.
_ONE_LINE = 80
#: The first characters of a digest are enough to tell it from others.
_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}(?![0-9a-f])")
#: The most fields of a change that are shown.
_FIELDS = 30
#: The most lines of a field that are shown.
_LINES = 12


def look(change: Change) -> tuple[str, str]:
    """Return the sign of a change's effect, and its colour, as rich calls it."""
    _, sign, colour, *_ = RULES["effects"][change.effect.name]
    return sign, colour


def heading(step: Step) -> str:
    """Return the title of a step, without the component's name."""
    if step.component in (BY_HAND, ALL_OBJECTS) or step.parent == BY_HAND:
        return BY_HAND if step.parent == BY_HAND else ""
    return f"wave {step.wave}" + (f" of {step.parent}" if step.parent not in ("", step.component) else "")


def fields_of(change: Change) -> tuple[Sequence[FieldChange], int]:
    """Return the fields of a change that are shown, and how many more there are."""
    most = _FIELDS if len(change.fields) > _FIELDS + 1 else len(change.fields)
    return change.fields[:most], len(change.fields) - most


def explained(step: Step) -> Iterator[tuple[Change, int]]:
    """Yield the changes of a step, each with the number of changes that its reasons explain.

    Adjacent changes with the same reasons are explained once, after the last of them; for the others the number is 0.
    """
    together = 0
    for change, following in zip_longest(step.changes, step.changes[1:]):
        together += 1
        if following is not None and change.reasons and _explanation(change) == _explanation(following):
            yield change, 0
        else:
            yield change, together
            together = 0


def _explanation(change: Change) -> object:
    # Changes with fields are explained one by one, because the fields are shown before the reasons.
    return change.effect, change.reasons, change.fix, (change.fields or change.widens) and change.full_name


def summary(plan: Plan) -> str:
    """Return the plan in one line; what deploys components is no component itself, unless nothing else changes."""
    if not plan.changes:
        return f"Plan: {_pins(plan)}; no object changes." if plan.pins else "No changes."
    names = RULES["effects"]
    counts = [
        f"{number} {names[effect.name][3 if number == 1 else 4]}{_pods(plan) if effect == Effect.RESTART else ''}"
        for effect, number in plan.summary.items()
    ]
    roots = {step.parent for step in plan.steps if step.parent != step.component}
    steps = [step for step in plan.steps if step.component not in roots] or plan.steps
    components, waves = {step.component for step in steps}, {(step.parent, step.wave) for step in steps}
    where = f"{plural(len(components), 'component')} in {plural(len(waves), 'wave')}"
    pins = f"{_pins(plan)}; " if plan.pins else ""
    number = len(plan.losing)
    dangers = f"{plural(number, 'change')} {'is' if number == 1 else 'are'} dangerous" if number else "nothing is lost"
    widening = f"; widens rights: {len(plan.widening)}" if plan.widening else ""
    return f"Plan: {where}: {pins}{', '.join(counts)}; {dangers}{widening}."


def _pins(plan: Plan) -> str:
    return f"{plural(len({pin.name for pin in plan.pins}), 'Application')} moved to another revision"


def _pods(plan: Plan) -> str:
    pods = [pods for change in plan.changes if change.effect == Effect.RESTART for pods in change.pods]
    if any(each.most is None for each in pods):
        return ""
    return f" ({Pods('', sum(each.least for each in pods), sum(each.most or 0 for each in pods))})"


def allowing(plan: Plan) -> str:
    """Return the options that allow what is dangerous."""
    return " ".join(f"--allow {name}" for name in allow_names(plan))


def dangers(change: Change) -> str:
    """Return why a person has to agree to a change, in a few words; empty if nobody has to."""
    found = {"dangerous": change.dangerous, "widens rights": bool(change.widens)}
    return ", ".join(words for words, is_so in found.items() if is_so)


def clean(text: str) -> str:
    """Return a text on one line, without control characters."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "␤" if character == "\n" else "�" for character in text)


def _shown(value: Any, other: Any) -> str:
    """Return a value on one line, shortened if it is long, but not where it begins to differ from the other one."""
    if value is None:
        return "(absent)"
    texts = (each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in (value, other))
    text, compared = (_DIGEST.sub(r"\1…", clean(each)) for each in texts)
    # The end of an image tells more than the middle.
    same = len([*takewhile(lambda pair: pair[0] == pair[1], zip(text, compared, strict=False))])
    start = same - 40 if _ONE_LINE - 21 <= same < len(text) - 20 else 0
    shortened = f"{'…' if start else ''}{text[start : start + _ONE_LINE - 21]}…{text[-20:]}"
    return (text if len(text) <= _ONE_LINE else shortened) or '""'


def values(field: FieldChange) -> str:
    """Return how a field changes, on one line."""
    return "(secret; not shown)" if field.secret else f"{_shown(field.old, field.new)} → {_shown(field.new, field.old)}"


def lines_of(field: FieldChange) -> Sequence[str]:
    """Return a change as lines of a diff if it is too large for one line."""
    if field.secret:
        return []
    lines = field.diff or [
        f"{mark}{line}"
        for mark, value, other in (("-", field.old, field.new), ("+", field.new, field.old))
        if other is None and isinstance(value, dict | list) and len(json.dumps(value)) > _ONE_LINE
        for line in yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1_000).splitlines()
    ]
    printable = [clean(line.replace("\t", "    ")) for line in lines]
    more = len(printable) - _LINES + 1
    return printable if more <= 1 else [*printable[: _LINES - 1], f"… and {plural(more, 'more line')}"]

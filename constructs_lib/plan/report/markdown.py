"""A plan as a comment on a pull request."""

import re
from collections.abc import Iterator

from constructs_lib.plan.change import Change, Reason, Step
from constructs_lib.plan.plan import Plan
from constructs_lib.plan.report import words
from constructs_lib.text import plural

#: A comment on GitHub may have 65,536 characters, one on GitLab a million.
LIMIT = 60_000

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~-])")
#: Where a host makes something of the text that Markdown gives, after a backslash is gone: a mention (@), references
#: to issues and to what GitLab has beside them (# ! ~ $ % ^ &, GH-1), and addresses that nobody has put into a link.
_LIVELY = re.compile(r"((?:\\?[@#!~$%^]|&amp;)(?=[\w\"\\])|\bGH(?=\\?-\d)|\bwww(?=\.)|:(?=//))", re.IGNORECASE)
#: A space without a width, which ends whatever it is in.
_BREAK = "&#8203;"


def render(plan: Plan, title: str = "Plan", limit: int = LIMIT) -> str:
    """Return a plan as Markdown of at most ``limit`` characters; steps beyond are counted and not shown."""
    head = [f"### {escaped(title)}", "", f"**{escaped(words.summary(plan))}**", ""]
    if plan.dangerous:
        head += [f"To publish it all the same: {code(words.allowing(plan))}", ""]
    head += [f"- {escaped(note)}" for note in plan.notes]
    head += [f"- ⚠ {escaped(warning)}" for warning in plan.warnings]
    head += [
        f"- {escaped(pin.name)} reads {code(pin.path or '/')} from {code(pin.new)}, no longer from {code(pin.old)}"
        for pin in plan.pins
    ]
    if plan.notes or plan.warnings or plan.pins:
        head.append("")
    shown = "\n".join(head) + "\n"
    blocks = [_step(step) for step in plan.steps]
    # Leaves room for the line after the last block.
    room = limit - 200
    shown = shown if len(shown) <= room else f"{shown[: room - 1]}…\n"
    for number, block in enumerate(blocks):
        if len(shown) + len(block) > room:
            left = plan.steps[number:]
            changes = sum(len(step.changes) for step in left)
            more = f"{plural(changes, 'more change')} of {plural(len(left), 'component')}"
            return f"{shown}\n… and {more}, for which there is no room here.\n"
        shown += block
    return shown


def _step(step: Step) -> str:
    worst = max(step.changes, key=lambda change: change.effect)
    # Dangerous steps are shown unfolded.
    is_open = " open" if any(change.needs_consent for change in step.changes) else ""
    title = f"{words.look(worst)[0]} <b><code>{_html(step.component)}</code></b> · {_inert(_html(words.heading(step)))}"
    lines = [
        f"<details{is_open}><summary>{title} · {plural(len(step.changes), 'change')}, "
        f"at most {worst.effect.words}</summary>",
        "",
        *(line for change, together in words.explained(step) for line in _change(change, together)),
        "",
        "</details>",
        "",
    ]
    return "\n".join(lines) + "\n"


def _change(change: Change, together: int) -> Iterator[str]:
    pods = f" of {', '.join(map(str, change.pods))}" if change.pods else ""
    danger = f" ⚠{' widens rights' if change.widens else ''}" if change.needs_consent else ""
    yield f"- {escaped(words.look(change)[0])} {code(change.full_name)}: **{change.words}**{pods}{danger}"
    fields, more = words.fields_of(change)
    for field in fields:
        lines = words.lines_of(field)
        yield f"  - {code(field.path)}" + ("" if lines else f": {_values(field.secret, words.values(field))}")
        if lines:
            fence = "`" * max(3, 1 + max(len(run) for line in lines for run in re.findall(r"`*", line)))
            yield from (f"    {line}" for line in (f"{fence}diff", *lines, fence))
    if more:
        yield f"  - … and {more} more fields"
    yield from (f"  - **Widens rights:** {_reason(reason)}" for reason in change.widens)
    if not together:
        return
    for number, reason in enumerate(change.reasons):
        all_of_them = f"All {together}: " if together > 1 and number == 0 else ""
        yield f"  - {all_of_them}{_reason(reason)}"
    if change.fix:
        yield f"  - Instead: {escaped(change.fix)}"


def _values(secret: bool, text: str) -> str:
    return escaped(text) if secret else " → ".join(code(part) for part in text.split(" → ", 1))


def _reason(reason: Reason) -> str:
    return escaped(reason.text) + (f" ({_source(reason.source)})" if reason.source else "")


def _source(source: str) -> str:
    return f"[source]({source})" if source.startswith("https://") else code(source)


def code(text: str) -> str:
    """Return a text in a code span, whatever backticks it has itself."""
    text = words.clean(text)
    fence = "`" * (1 + max(len(run) for run in re.findall(r"`*", text)))
    space = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{fence}{space}{text}{space}{fence}"


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, and of which GitHub and GitLab make no mention, reference or link."""
    return _inert(_SPECIAL.sub(r"\\\1", _html(text)))


def _inert(text: str) -> str:
    return _LIVELY.sub(rf"\1{_BREAK}", text)


def _html(text: str) -> str:
    return words.clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

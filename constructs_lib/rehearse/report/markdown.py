"""A rehearsal as a comment on a pull request."""

from collections.abc import Iterator, Sequence

from constructs_lib.plan.report.markdown import LIMIT, code, escaped
from constructs_lib.rehearse.judgement import Outcome
from constructs_lib.rehearse.report.words import objects, state, times, verdict
from constructs_lib.text import plural

#: The most findings, and the most names in a list, that are shown of a phase.
_MOST = 40
#: The most characters of a finding.
_LONG = 600


def render(outcomes: Sequence[Outcome], title: str = "Rehearsal", limit: int = LIMIT) -> str:
    """Return the phases of a rehearsal as Markdown of at most ``limit`` characters; it says where it is cut."""
    kept = all(outcome.kept for outcome in outcomes)
    promise = "✅ The promise was kept." if kept else "❌ The promise was not kept."
    shown = f"### {escaped(title)}\n\n**{promise}**\n\n"
    for number, outcome in enumerate(outcomes):
        block = "\n".join(_phase(outcome)) + "\n\n"
        # Leaves room for the line that says so.
        if len(shown) + len(block) > limit - 100:
            return f"{shown}… and {plural(len(outcomes) - number, 'more phase')}, for which there is no room here.\n"
        shown += block
    return shown


def _phase(outcome: Outcome) -> Iterator[str]:
    mark, fold = ("✅", "") if outcome.kept else ("❌", " open")
    yield f"#### {mark} {escaped(verdict(outcome))}"
    yield ""
    if outcome.progress:
        yield "| wave | component | began, s | complete, s | healthy to Argo CD, s | |"
        yield "|--:|---|--:|--:|--:|---|"
        for row in outcome.progress:
            yield f"| {row.wave} | {escaped(row.component)} | {' | '.join(times(row))} | {state(outcome, row)[0]} |"
        yield ""
    findings, lists = outcome.findings, objects(outcome)
    if findings:
        yield f"<details{fold}><summary>What there is to know ({len(findings)})</summary>"
        yield ""
        for finding in findings[:_MOST]:
            text = finding.text if len(finding.text) <= _LONG else f"{finding.text[:_LONG]}…"
            yield f"- {'❌' if finding.breaks else '⚠'} **{finding.subject}**: {escaped(text)}"
        yield from _more(len(findings))
        yield from ("", "</details>")
    for title, names in lists:
        yield f"<details><summary>{title} ({len(names)})</summary>"
        yield ""
        yield from (f"- {code(name)}" for name in names[:_MOST])
        yield from _more(len(names))
        yield from ("", "</details>")


def _more(number: int) -> Iterator[str]:
    if number > _MOST:
        yield f"- … and {number - _MOST} more"

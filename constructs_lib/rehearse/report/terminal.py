"""A phase of a rehearsal for a person at a terminal."""

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.text import Text

from constructs_lib.plan.report.terminal import plain
from constructs_lib.plan.report.words import clean
from constructs_lib.rehearse.judgement import Outcome
from constructs_lib.rehearse.order import Progress
from constructs_lib.rehearse.report.words import Tone, objects, state, times, verdict
from constructs_lib.text import listed

#: The fewest and the most characters of a bar.
_NARROW, _WIDE = 10, 60
_COLOURS: Mapping[Tone, str] = {"good": "cyan", "removed": "magenta", "held": "yellow", "bad": "red"}


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Print a phase: a line for each component by wave, as wide as the console, and then what a person should know."""
    for line in _lines(outcome, console.width):
        console.print(line, soft_wrap=True, highlight=False)


def _lines(outcome: Outcome, width: int) -> Iterator[Text]:
    yield plain((verdict(outcome), "bold green" if outcome.kept else "bold red"))
    rows = outcome.progress
    name = max([9, *(len(row.component) for row in rows)])
    room = min(max(width - name - 57, _NARROW), _WIDE)
    if rows:
        columns = f"{'wave':>4}  {'component':{name}}  {'':{room}}  {'begins':>6}  {'complete':>8}  {'Argo CD':>7}"
        yield plain((columns, "dim"))
    for row in rows:
        begins, complete, healthy = times(row)
        words, tone = state(outcome, row)
        yield plain(
            f"{row.wave:4}  {clean(row.component):{name}}  ",
            *_bar(row, outcome.seconds, room, _COLOURS[tone]),
            f"  {begins:>6}  {complete:>8}  {healthy:>7}  ",
            (words, _COLOURS[tone]),
        )
    for title, names in objects(outcome):
        yield plain(f"{title}: {listed(names, 12)}.")
    for finding in outcome.findings:
        mark, colour = ("✗", "red") if finding.breaks else ("·", "yellow")
        yield plain((f"{mark} {finding.subject}: ", colour), finding.text)


def _bar(row: Progress, seconds: float, room: int, colour: str) -> Iterator[tuple[str, str]]:
    """Yield a line with the time from the beginning of a component to its end, and what comes before and after it."""
    scale = room / seconds if seconds else 0.0
    start = room if row.began is None else min(int(row.began * scale), room - 1)
    end = room if row.complete is None else max(min(round(row.complete * scale), room), start + 1)
    yield "·" * start, "dim"
    yield "█" * (end - start), colour
    yield "─" * (room - end), "dim"

"""A rehearsal as a picture: a bar for each component, from its beginning to its end, by wave; SVG in one file."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from xml.sax.saxutils import escape

from constructs_lib.draw.boxes import text_width
from constructs_lib.draw.svg import CSS, _numbers, _rectangle, _text
from constructs_lib.plan.report.words import clean
from constructs_lib.rehearse.findings import Subject
from constructs_lib.rehearse.judgement import Outcome
from constructs_lib.rehearse.order import Progress
from constructs_lib.rehearse.report.words import Tone, state, verdict

_MARGIN, _LINE, _BAR, _TIME = 24, 24, 14, 640
#: Distances of marks on the axis of time, in seconds; the first that leaves few enough of them is taken.
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_MARKS = 10
#: The most closed calls that are shown of a phase.
_CALLS = 12
#: The colours of bars, as looks of ``picture.css``, with what they mean.
_LOOKS: Mapping[Tone, tuple[str, str]] = {
    "good": ("service", "until it is complete"),
    "removed": ("outside", "until it is removed"),
    "held": ("messaging", "broken on purpose"),
    "bad": ("entry", "the promise is not kept"),
}


def svg(outcomes: Sequence[Outcome], title: str = "Rehearsal") -> str:
    """Return the phases of a rehearsal as an SVG file, one below the other; those who cannot see it hear its title."""
    names = [row.component for outcome in outcomes for row in outcome.progress]
    names += [call for outcome in outcomes for call, _, _ in _calls(outcome)]
    left = _MARGIN + 70 + max((text_width(name) for name in names), default=0) + 12
    width, y = left + _TIME + 250, float(_MARGIN)
    lines: list[str] = []
    for outcome in outcomes:
        found, y = _phase(outcome, left, y)
        lines += found
    lines += _legend(lines, y)
    y += _LINE + _MARGIN
    size = _numbers(width, y)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{_numbers(width)}" '
            f'height="{_numbers(y)}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{_clean(title)}</title>',
            f'<desc id="desc">{_clean("; ".join(map(verdict, outcomes)))}</desc>',
            "<style>",
            *CSS.read_text().partition("*/\n")[2].splitlines(),
            "</style>",
            _rectangle(0.5, 0.5, width - 1, y - 1, "panel", 12),
            *lines,
            "</svg>",
            "",
        ]
    )


def _phase(outcome: Outcome, left: float, top: float) -> tuple[list[str], float]:
    """Return the lines of a phase, and where the next one begins."""
    lines = [_text(_MARGIN, top + 14, clean(verdict(outcome)), "title ink")]
    start = y = top + 2 * _LINE
    scale = _TIME / max(outcome.seconds, 1.0)
    bars: list[str] = []
    for wave, rows in groupby(outcome.progress, lambda row: row.wave):
        bars.append(_text(_MARGIN, y + 16, f"wave {wave}", "quiet"))
        for row in rows:
            bars += _row(outcome, row, left, y, scale)
            y += _LINE
        bars.append(f'<path class="edge needs" opacity="0.3" d="M{_numbers(_MARGIN, y)}H{_numbers(left + _TIME)}"/>')
    for name, begin, end in _calls(outcome):
        bars.append(_text(_MARGIN + 70, y + 16, clean(name), "quiet"))
        closed = f"closed from {begin:.1f} to {end:.1f} s"
        bars.append(_bar(left + begin * scale, (end - begin) * scale, y, "bad", closed))
        y += _LINE
    step = next((step for step in _STEPS if outcome.seconds / step <= _MARKS), _STEPS[-1])
    for second in range(0, int(outcome.seconds) + 1, step):
        x = left + second * scale
        lines.append(f'<path class="edge needs" opacity="0.3" d="M{_numbers(x, start - 4)}V{_numbers(y)}"/>')
        lines.append(_text(x, start - 9, f"{second} s", "quiet middle"))
    return lines + bars, y + _LINE


def _row(outcome: Outcome, row: Progress, left: float, y: float, scale: float) -> Iterator[str]:
    words, tone = state(outcome, row)
    yield _text(_MARGIN + 70, y + 16, clean(row.component), "ink")
    if row.began is not None:
        end = outcome.seconds if row.complete is None else row.complete
        yield _bar(left + row.began * scale, (end - row.began) * scale, y, tone, f"{row.component}: {words}")
        if row.complete is not None:
            words = f"{row.began:.1f} – {row.complete:.1f} s" + ("" if tone == "good" else f", {words}")
    if row.healthy is not None:
        yield f"<g>{_diamond(left + row.healthy * scale, y + 4)}<title>healthy to Argo CD</title></g>"
    yield _text(left + _TIME + 16, y + 16, words, "quiet")


def _diamond(x: float, y: float) -> str:
    return f'<path class="head needs" d="M{_numbers(x, y)}l4 8l-4 8l-4 -8Z"/>'


def _bar(x: float, width: float, y: float, tone: Tone, meaning: str) -> str:
    bar = _rectangle(x, y + (_LINE - _BAR) / 2, max(width, 2), _BAR, _LOOKS[tone][0], 3)
    return f"<g>{bar}<title>{_clean(meaning)}</title></g>"


def _calls(outcome: Outcome) -> list[tuple[str, float, float]]:
    """Return the calls that were closed, each with its beginning and its end."""
    found = [finding for finding in outcome.findings if finding.subject == Subject.CLOSED]
    return [(each.of, each.start or 0.0, outcome.seconds if each.end is None else each.end) for each in found[:_CALLS]]


def _legend(lines: Sequence[str], y: float) -> Iterator[str]:
    """Yield the explanation of the colours that there are."""
    yield _diamond(_MARGIN + 4, y - 1)
    yield _text(_MARGIN + 16, y + 11, "healthy to Argo CD", "quiet")
    x = _MARGIN + 16 + text_width("healthy to Argo CD") + 16
    for look, meaning in _LOOKS.values():
        if any(f'class="{look}"' in line for line in lines):
            yield _rectangle(x, y, 28, _BAR, look, 3)
            yield _text(x + 36, y + 11, meaning, "quiet")
            x += 36 + text_width(meaning) + 16


def _clean(text: str) -> str:
    return escape(clean(text))

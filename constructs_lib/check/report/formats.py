"""The formats in which a report is written, by the name that ``--format`` gives them."""

import io
from collections.abc import Callable, Mapping

from rich.console import Console

from constructs_lib.check.report import github, json_report, sarif, terminal
from constructs_lib.check.report.report import Report


def _as_text(report: Report) -> str:
    stream = io.StringIO()
    terminal.show(report, Console(file=stream, highlight=False, soft_wrap=True, markup=False, emoji=False))
    return stream.getvalue()


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "terminal": _as_text,
    "json": json_report.render,
    "sarif": sarif.render,
    "github": github.render,
}

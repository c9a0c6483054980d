"""The report as workflow commands of GitHub Actions, which show findings at the lines of a pull request."""

import posixpath
from collections.abc import Iterator

from constructs_lib.check.finding import Finding
from constructs_lib.check.report.checks_page import PAGE
from constructs_lib.check.report.lines import Lines
from constructs_lib.check.report.report import Report


def render(report: Report) -> str:
    """Return a report as workflow commands, with the summary as a last line of plain text.

    See https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
    """
    return "".join(f"{line}\n" for line in (*_commands(report), f"{report.summary}."))


def _commands(report: Report) -> Iterator[str]:
    for result in report.results:
        for finding, waiver, line in result.lines:
            if waiver is None:
                yield _command(finding, line, report.base)
            else:
                text = f"{finding.problem} Waived until {waiver.expires}: {waiver.reason}"
                yield f"::notice {_properties(finding, line, report.base)}::{_escaped(text)}"
    for finding in report.stale:
        yield _command(finding, Lines({}).of(finding), "")


def _command(finding: Finding, line: int, base: str) -> str:
    declared = f"\nDeclared in {finding.location}." if finding.location else ""
    text = f"{finding.problem}\n{finding.fix}{declared}\n{PAGE}#{finding.check.code}"
    return f"::{finding.check.severity.value} {_properties(finding, line, base)}::{_escaped(text)}"


def _properties(finding: Finding, line: int, base: str) -> str:
    field = f" {finding.field}" if finding.field else ""
    title = f"{finding.check.proof}: {finding.check.code}: {finding.subject}{field}"
    properties = {"title": title}
    if finding.file:
        properties = {"file": posixpath.join(base, finding.file), "line": str(line), **properties}
    return ",".join(f"{name}={_escaped_property(value)}" for name, value in properties.items())


def _escaped(text: str) -> str:
    """Escape a message: the runner reverses these three replacements (``ActionCommand.cs``)."""
    shown = text.encode(errors="backslashreplace").decode()
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")

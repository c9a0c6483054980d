"""The formats in which a report is written, by the name that --format gives them; the first is for people."""

import dataclasses
import hashlib
import io
import json
import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from constructs_lib.check.finding import WAIVERS, Check, Finding, Severity
from constructs_lib.check.proofs import PROOFS, all_checks
from constructs_lib.check.report.checks_page import PAGE, url
from constructs_lib.check.report.report import Report, Result, printable
from constructs_lib.check.waivers.waivers import Waiver
from constructs_lib.text import plural
from constructs_lib.version import VERSION

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}
#: Increased when an entry is removed or changes its meaning, not when one is added.
FORMAT_VERSION = 1
#: The schema of SARIF 2.1.0: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#: Stands for the root of the repository; the reader of the log replaces it.
_ROOT = "%SRCROOT%"


def show(report: Report, console: Console) -> None:
    """Print a report: a line for every proof that holds, all findings of the others, and the summary.

    The console must wrap softly: hard line breaks would end up in what people copy.
    """
    for result in report.results:
        _show_result(result, console)
    if report.stale:
        console.print(Text(WAIVERS, "bold"))
        _show_findings(report.stale, console)
    console.print(Text(f"{report.summary}."))
    if report.remarks:
        console.print(Text(f"What is not looked at is not proven: {plural(len(report.remarks), 'remark')} above."))
    if any(True for _ in report.findings):
        console.print(Text(f"{PAGE} has a section for each code."))


def _show_result(result: Result, console: Console) -> None:
    looked = result.looked
    cluster = looked.cluster
    known = [
        plural(looked.objects, "object"),
        *([f"Kubernetes {cluster.kubernetes}"] if cluster.kubernetes else []),
        *([plural(cluster.nodes, "node") + (f" of {cluster.size}" if cluster.size else "")] if cluster.nodes else []),
    ]
    name = Text(printable(looked.environment or "the tree"), "bold")
    console.print(name + Text(f": {', '.join(map(printable, known))}", "not bold"))
    waived = Counter(finding.check.proof for finding, _ in result.waived)
    width = max((len(proof.name) for proof in PROOFS), default=0)
    for proof in PROOFS:
        line = Text(f"  {proof.name:{width}}  ")
        findings = [finding for finding in result.findings if finding.check.proof == proof.name]
        if findings:
            counts = Counter(finding.check.severity for finding in findings)
            words = [plural(counts[severity], severity.value) for severity in Severity if severity in counts]
            line.append(", ".join(words), _STYLES[Severity.ERROR if Severity.ERROR in counts else Severity.WARNING])
        elif proof.name in looked.unproven:
            line.append("not proven", "yellow").append(f"  {looked.counts.get(proof.name, '')}")
        elif looked.objects:
            line.append("holds", "green").append(f"  {looked.counts.get(proof.name, '')}")
        else:
            line.append("nothing to prove")
        if proof.name in waived:
            line.append(f"  ({waived[proof.name]} waived)")
        console.print(line)
        _show_findings(findings, console)
    for finding, waiver in result.waived:
        where = f"{printable(finding.subject)}  {printable(finding.field)}".rstrip()
        console.print(Text(f"  waived {waiver.term}: {finding.check.code}  {where}"))
        console.print(Text(f"    {printable(finding.problem)}"))
        console.print(Text(f"    because {printable(waiver.reason)}"))
    for remark in looked.remarks:
        console.print(Text(f"  not looked at: {printable(remark)}"))
    for note in looked.notes:
        console.print(Text(f"  note: {printable(note)}"))


def _show_findings(findings: Sequence[Finding], console: Console) -> None:
    roots = Counter(finding.root for finding in findings if finding.root)
    for finding in findings:
        if finding.root and finding.root not in roots:
            # It stands below the first one.
            continue
        _show_finding(finding, console)
        if finding.root and roots.pop(finding.root) > 1:
            console.print(Text(f"      the {printable(finding.root)} is missing for others as well:"))
            for other in (each for each in findings if each.root == finding.root and each is not finding):
                where = f"{printable(other.subject)}  {printable(other.field)}".rstrip()
                console.print(Text(f"        {other.check.severity.value}  {other.check.code}  {where}"))


def _show_finding(finding: Finding, console: Console) -> None:
    severity = finding.check.severity
    head = Text("    ").append(severity.value, _STYLES[severity]).append(f"  {finding.check.code}  ")
    console.print(head + Text(f"{printable(finding.subject)}  {printable(finding.field)}".rstrip(), "bold"))
    where = [printable(finding.file)] if finding.file else []
    if finding.location:
        where.append(f"declared in {finding.location}")
    if where:
        console.print(Text(f"      {', '.join(where)}", "dim"))
    console.print(Text(f"      {printable(finding.problem)}"))
    console.print(Text(f"      → {printable(finding.fix)}"))


def as_json(report: Report) -> str:
    """Return a report as JSON; the same report always gives the same text."""
    content = {
        "version": FORMAT_VERSION,
        "errors": report.errors,
        "warnings": report.warnings,
        "waived": report.waived,
        "environments": [_environment(result) for result in report.results],
        "waivers": [_finding(*each) for each in report.stale_lines],
    }
    return json.dumps(content, indent=2, ensure_ascii=True) + "\n"


def _environment(result: Result) -> dict[str, Any]:
    looked = result.looked
    cluster = {key: value for key, value in dataclasses.asdict(looked.cluster).items() if key != "is_laptop"}
    failing = {finding.check.proof for finding in result.findings} | looked.unproven
    return {
        "name": looked.environment,
        "cluster": cluster,
        "objects": looked.objects,
        "proofs": [{"name": proof.name, "holds": looked.objects > 0 and proof.name not in failing} for proof in PROOFS],
        "findings": [_finding(*each) for each in result.lines],
        "remarks": list(looked.remarks),
        "notes": list(looked.notes),
    }


def _finding(finding: Finding, waiver: Waiver | None, line: int) -> dict[str, Any]:
    group, kind, namespace, name = finding.identity or ("", "", "", "")
    return {
        "code": finding.check.code,
        "severity": finding.check.severity.value,
        "proof": finding.check.proof,
        "subject": finding.subject,
        "object": {"group": group, "kind": kind, "namespace": namespace, "name": name} if finding.identity else None,
        "field": finding.field,
        "file": finding.file,
        "line": line,
        "location": finding.location,
        "problem": finding.problem,
        "mend": finding.fix,
        "root": finding.root,
        "page": url(finding.check),
        "waiver": {"reason": waiver.reason, "expires": waiver.day} if waiver else None,
    }


def as_sarif(report: Report) -> str:
    """Return a report as SARIF, which code scanning services read; the same report always gives the same text."""
    rules = [_rule(check) for check in all_checks().values()]
    driver = {"name": "constructs_lib check", "semanticVersion": VERSION, "rules": rules}
    results = _Writer(report.base, {rule["id"]: number for number, rule in enumerate(rules)}).results(report)
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    if report.remarks:
        notes = [{"level": "note", "message": {"text": f"not looked at: {remark}"}} for remark in report.remarks]
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": notes}]
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=True) + "\n"


def _rule(check: Check) -> dict[str, Any]:
    help_text = f"{check.why}\n\n{check.fix}"
    return {
        "id": check.code,
        "shortDescription": {"text": f"{check.title}."},
        "fullDescription": {"text": check.why},
        "help": {"text": help_text, "markdown": help_text},
        "helpUri": url(check),
        "defaultConfiguration": {"level": check.severity.value},
        "properties": {"tags": [check.proof]},
    }


class _Writer:
    def __init__(self, base: str, numbers: dict[str, int]) -> None:
        self._base = base
        self._numbers = numbers
        self._fingerprints: Counter[str] = Counter()

    def results(self, report: Report) -> list[dict[str, Any]]:
        """Return all results, those that are waived with their suppression."""
        return [
            *(self._result(*each, result.looked.environment) for result in report.results for each in result.lines),
            *(self._result(*each, "") for each in report.stale_lines),
        ]

    def _result(self, finding: Finding, waiver: Waiver | None, line: int, environment: str) -> dict[str, Any]:
        result: dict[str, Any] = {
            "ruleId": finding.check.code,
            "ruleIndex": self._numbers[finding.check.code],
            "level": finding.check.severity.value,
            "message": {"text": f"{finding.problem} {finding.fix}"},
            "locations": [self._location(finding, line)],
            "partialFingerprints": {"finding/v1": self._fingerprint(finding, environment)},
            "properties": {
                "proof": finding.check.proof,
                "environment": environment,
                "subject": finding.subject,
                "field": finding.field,
                "problem": finding.problem,
                "mend": finding.fix,
                "root": finding.root,
                "declared": finding.location,
            },
        }
        if finding.location:
            file, _, number = finding.location.rpartition(":")
            message = {"text": "The line of the declaration that the object comes from."}
            place = _physical(file, int(number))
            result["relatedLocations"] = [{"id": 0, "message": message, "physicalLocation": place}]
        if waiver:
            reason = f"{waiver.reason} ({waiver.expires})" if waiver.expires else waiver.reason
            result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": reason}]
        return result

    def _location(self, finding: Finding, line: int) -> dict[str, Any]:
        name = f"{finding.subject} {finding.field}".rstrip()
        location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": name, "kind": "object"}]}
        if finding.file:
            location["physicalLocation"] = _physical(posixpath.join(self._base, finding.file), line)
        return location

    def _fingerprint(self, finding: Finding, environment: str) -> str:
        """Return a fingerprint of a finding that stays the same when lines move and messages change."""
        key = "\0".join((environment, finding.check.code, *(finding.identity or ("", "", "", "")), finding.field))
        self._fingerprints[key] += 1
        text = f"{key}\0{self._fingerprints[key]}"
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _physical(path: str, line: int) -> dict[str, Any]:
    uri = quote(path.encode(errors="surrogateescape"))
    return {"artifactLocation": {"uri": uri, "uriBaseId": _ROOT}, "region": {"startLine": line}}


def as_github(report: Report) -> str:
    """Return a report as workflow commands, with the summary as a last line of plain text.

    See https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
    """
    commands = [_command(*each, report.base) for result in report.results for each in result.lines]
    commands += [_command(*each, "") for each in report.stale_lines]
    commands += [f"::notice title=not looked at::{_escaped(remark)}" for remark in report.remarks]
    return "".join(f"{line}\n" for line in (*commands, f"{report.summary}."))


def _command(finding: Finding, waiver: Waiver | None, line: int, base: str) -> str:
    kind, declared = finding.check.severity.value, f"\nDeclared in {finding.location}." if finding.location else ""
    text = f"{finding.problem}\n{finding.fix}{declared}\n{PAGE}#{finding.check.code}"
    if waiver:
        kind, text = "notice", f"{finding.problem} Waived {waiver.term}: {waiver.reason}"
    return f"::{kind} {_properties(finding, line, base)}::{_escaped(text)}"


def _properties(finding: Finding, line: int, base: str) -> str:
    field = f" {finding.field}" if finding.field else ""
    properties = {"file": posixpath.join(base, finding.file), "line": str(line)} if finding.file else {}
    properties["title"] = f"{finding.check.proof}: {finding.check.code}: {finding.subject}{field}"
    escaped = {name: _escaped(value).replace(":", "%3A").replace(",", "%2C") for name, value in properties.items()}
    return ",".join(f"{name}={value}" for name, value in escaped.items())


def _escaped(text: str) -> str:
    """Escape a message: the runner reverses these three replacements (``ActionCommand.cs``)."""
    shown = text.encode(errors="backslashreplace").decode()
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _as_text(report: Report) -> str:
    stream = io.StringIO()
    show(report, Console(file=stream, highlight=False, soft_wrap=True, markup=False, emoji=False))
    return stream.getvalue()


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "terminal": _as_text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
}

"""The report as SARIF 2.1.0, which code scanning services read.

See https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
"""

import hashlib
import json
import posixpath
from collections import Counter
from typing import Any
from urllib.parse import quote

from constructs_lib.check.finding import Check, Finding
from constructs_lib.check.proofs import all_checks
from constructs_lib.check.report.checks_page import url
from constructs_lib.check.report.lines import Lines
from constructs_lib.check.report.report import Report
from constructs_lib.check.waivers.waivers import Waiver
from constructs_lib.version import VERSION

#: The schema of the log.
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#: Stands for the root of the repository; the reader of the log replaces it.
_ROOT = "%SRCROOT%"


def render(report: Report) -> str:
    """Return a report as SARIF; the same report always gives the same text."""
    return json.dumps(_log(report), indent=2, ensure_ascii=True) + "\n"


def _log(report: Report) -> dict[str, Any]:
    rules = list(all_checks().values())
    numbers = {check.code: number for number, check in enumerate(rules)}
    writer = _Writer(report.base, numbers)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "constructs_lib check",
                        "semanticVersion": VERSION,
                        "rules": [_rule(check) for check in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [*writer.results(report)],
            }
        ],
    }


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
        found: list[dict[str, Any]] = []
        for result in report.results:
            found += (self._result(*each, result.looked.environment) for each in result.lines)
        found += (self._result(finding, None, Lines({}).of(finding), "") for finding in report.stale)
        return found

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
                "declared": finding.location,
            },
        }
        if finding.location:
            file, _, number = finding.location.rpartition(":")
            result["relatedLocations"] = [
                {
                    "id": 0,
                    "message": {"text": "The line of the declaration that the object comes from."},
                    "physicalLocation": _physical(file, int(number)),
                }
            ]
        if waiver:
            result["suppressions"] = [
                {"kind": "external", "status": "accepted", "justification": f"{waiver.reason} ({waiver.expires})"}
            ]
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

"""The report as JSON, for programs."""

import json
from typing import Any

from constructs_lib.check.finding import Finding
from constructs_lib.check.proofs import PROOFS
from constructs_lib.check.report.checks_page import url
from constructs_lib.check.report.lines import Lines
from constructs_lib.check.report.report import Report, Result
from constructs_lib.check.waivers.waivers import Waiver

#: Increased when an entry is removed or changes its meaning, not when one is added.
FORMAT_VERSION = 1


def render(report: Report) -> str:
    """Return a report as JSON; the same report always gives the same text."""
    content = {
        "version": FORMAT_VERSION,
        "errors": report.errors,
        "warnings": report.warnings,
        "waived": report.waived,
        "environments": [_environment(result) for result in report.results],
        "waivers": [_finding(finding, None, Lines({}).of(finding)) for finding in report.stale],
    }
    return json.dumps(content, indent=2, ensure_ascii=True) + "\n"


def _environment(result: Result) -> dict[str, Any]:
    looked = result.looked
    failing = {finding.check.proof for finding in result.findings}
    return {
        "name": looked.environment,
        "cluster": {
            "kind": looked.cluster.kind,
            "kubernetes": looked.cluster.kubernetes,
            "nodes": looked.cluster.nodes,
            "size": looked.cluster.size,
        },
        "objects": looked.objects,
        "proofs": [{"name": proof.name, "holds": proof.name not in failing} for proof in PROOFS],
        "findings": [_finding(*each) for each in result.lines],
        "remarks": list(looked.remarks),
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
        "page": url(finding.check),
        "waiver": {"reason": waiver.reason, "expires": waiver.expires.isoformat()} if waiver else None,
    }

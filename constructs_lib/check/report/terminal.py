"""The report for people."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from constructs_lib.check.finding import WAIVERS, Finding, Severity
from constructs_lib.check.proofs import PROOFS
from constructs_lib.check.report.checks_page import PAGE
from constructs_lib.check.report.report import Report, Result, printable
from constructs_lib.text import plural

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}


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
        else:
            line.append("holds", "green").append(f"  {looked.counts.get(proof.name, '')}")
        if proof.name in waived:
            line.append(f"  ({waived[proof.name]} waived)")
        console.print(line)
        _show_findings(findings, console)
    for finding, waiver in result.waived:
        where = f"{printable(finding.subject)}  {printable(finding.field)}".rstrip()
        console.print(Text(f"  waived until {waiver.expires}: {finding.check.code}  {where}"))
        console.print(Text(f"    {printable(finding.problem)}"))
        console.print(Text(f"    because {printable(waiver.reason)}"))
    for remark in looked.remarks:
        console.print(Text(f"  not looked at: {printable(remark)}"))


def _show_findings(findings: Sequence[Finding], console: Console) -> None:
    for finding in findings:
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

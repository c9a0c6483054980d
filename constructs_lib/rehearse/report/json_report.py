"""A rehearsal as JSON.

The schema, version 1; what is added later is added to it, and what changes its meaning raises the version::

    version        1
    kept           whether the promise was kept in every phase
    phases         the attributes of each Outcome (constructs_lib.rehearse.judgement), in its order, with
    kept           whether the promise was kept in the phase
    findings       [{subject, of, text, start, end, breaks}]: what a person should know, the worst first

All times are in seconds since the phase began, but for ``began``, which is a time of day.
"""

from collections.abc import Sequence
from dataclasses import asdict

from constructs_lib.plan.report.json_report import dump
from constructs_lib.rehearse.judgement import Outcome

VERSION = 1


def render(outcomes: Sequence[Outcome]) -> str:
    """Return the phases of a rehearsal as JSON, its keys sorted, with a line break at the end."""
    kept, phases = all(outcome.kept for outcome in outcomes), []
    for outcome in outcomes:
        findings = [{**asdict(finding), "breaks": finding.breaks} for finding in outcome.findings]
        more = {"began": outcome.began.isoformat(), "kept": outcome.kept, "findings": findings}
        phases.append({**asdict(outcome), **more})
    return dump({"version": VERSION, "kept": kept, "phases": phases})

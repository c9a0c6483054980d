"""What the proofs say of some environments, before it is shown in one of the formats."""

import dataclasses
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from constructs_lib.check.bootstrap import Cluster
from constructs_lib.check.finding import Finding, Severity
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.proofs import PROOFS, prove
from constructs_lib.check.report.lines import Lines
from constructs_lib.check.waivers.waivers import Waiver, apply_waivers, stale_waivers
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.text import plural


@dataclass(frozen=True)
class Looked:
    """One environment after all proofs have looked at it.

    Attributes:
        environment: Its name; empty for a tree without environments.
        cluster: Its cluster, as far as it is known.
        objects: How many objects it has.
        counts: What each proof has looked at, in words, by the proof's name.
        findings: Everything that was found.
        remarks: What could not be looked at.
        files: The files of the tree.
    """

    environment: str
    cluster: Cluster
    objects: int
    counts: Mapping[str, str]
    findings: Sequence[Finding]
    remarks: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Result:
    """One environment after the waivers were applied."""

    looked: Looked
    findings: Sequence[Finding]
    waived: Sequence[tuple[Finding, Waiver]]

    @property
    def lines(self) -> Iterator[tuple[Finding, Waiver | None, int]]:
        """All findings with their waivers and lines; those that count come first."""
        lines = Lines(self.looked.files)
        for finding, waiver in (*((finding, None) for finding in self.findings), *self.waived):
            yield finding, waiver, lines.of(finding)


@dataclass(frozen=True)
class Report:
    """The findings in some environments, and what is wrong with the waivers themselves.

    ``base`` is the folder in which the files of the tree are, relative to the repository; empty if that is its root.
    """

    results: Sequence[Result]
    stale: Sequence[Finding] = ()
    base: str = ""

    @property
    def findings(self) -> Iterator[Finding]:
        """Everything that counts."""
        for result in self.results:
            yield from result.findings
        yield from self.stale

    @property
    def errors(self) -> int:
        """How many errors count."""
        return sum(finding.check.severity is Severity.ERROR for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many warnings count."""
        return sum(finding.check.severity is Severity.WARNING for finding in self.findings)

    @property
    def waived(self) -> int:
        """How many findings are waived."""
        return sum(len(result.waived) for result in self.results)

    @property
    def summary(self) -> str:
        """All of it in one line."""
        waived = f", {self.waived} waived" if self.waived else ""
        return f"{plural(self.errors, 'error')}, {plural(self.warnings, 'warning')}{waived}"


def look(model: ClusterModel, environment: str, on_proof: Callable[[str], object] = str) -> Looked:
    """Have all proofs look at an environment; ``on_proof`` is called with the name of every proof before it begins."""
    counts = {proof.name: proof.looks_at(model) for proof in PROOFS}
    files, remarks = model.snapshot.files, tuple(model.warnings.values())
    return Looked(environment, model.cluster, len(model.objects), counts, prove(model, on_proof), remarks, files)


def located(looked: Looked, locations: Mapping[Identity, str]) -> Looked:
    """Return an environment whose findings have the lines of the declaration that their objects come from."""
    findings = [
        dataclasses.replace(finding, location=locations.get(finding.identity, "") if finding.identity else "")
        for finding in looked.findings
    ]
    return dataclasses.replace(looked, findings=findings)


def report(
    looked: Sequence[Looked],
    waivers: Sequence[Waiver],
    today: datetime.date,
    file: str,
    *,
    complete: bool = True,
    base: str = "",
) -> Report:
    """Return the report on some environments; the arguments are those of :func:`stale_waivers` and :class:`Report`."""
    results = [Result(each, *apply_waivers(each.findings, waivers, today)) for each in looked]
    found = [finding for each in looked for finding in each.findings]
    return Report(results, stale_waivers(found, waivers, today, file, complete=complete), base)


def printable(text: str) -> str:
    """Return a text in one line and without control characters, which names in a tree may contain."""
    flat = " ".join(text.split()) if any(character in text for character in "\n\r\t") else text
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in flat
    )
    return shown.encode(errors="backslashreplace").decode()

"""What the proofs say of some environments, before it is shown in one of the formats, and the lines of findings."""

import dataclasses
import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import yaml

from constructs_lib.check.bootstrap import Cluster
from constructs_lib.check.finding import Finding, Severity
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.notes import notes, unseen
from constructs_lib.check.proofs import PROOFS, prove
from constructs_lib.check.waivers.waivers import Waiver, apply_waivers, stale_waivers
from constructs_lib.kubernetes.bounds import nodes
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.text import plural, safe, unheard

_STEP = re.compile(r"\[([^\]]{0,260})\]|([^.\[\]]+)")
_LINE = re.compile(r"line (\d+)")
#: The keys whose values name entries of lists in the fields of findings: of containers and ports, alerts, and recording
#: rules.
_NAMES = ("name", "alert", "record")


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
        notes: What is no fault, and worth knowing.
        files: The files of the tree.
        unproven: The proofs that cannot tell all, by their names; the remarks say why.
    """

    environment: str
    cluster: Cluster
    objects: int
    counts: Mapping[str, str]
    findings: Sequence[Finding]
    remarks: Sequence[str] = ()
    notes: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    unproven: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Result:
    """One environment after the waivers were applied."""

    looked: Looked
    findings: Sequence[Finding]
    waived: Sequence[tuple[Finding, Waiver]]

    @property
    def lines(self) -> Iterator[tuple[Finding, Waiver | None, int]]:
        """All findings with their waivers and lines; those that count come first."""
        pairs = [*((finding, None) for finding in self.findings), *self.waived]
        lines = lines_of([finding for finding, _ in pairs], self.looked.files)
        for (finding, waiver), line in zip(pairs, lines, strict=True):
            yield finding, waiver, line


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
    def remarks(self) -> list[str]:
        """What could not be looked at, each once, with its environment where there are several."""
        several = len(self.results) > 1
        found = (
            f"{result.looked.environment}: {remark}" if several else remark
            for result in self.results
            for remark in map(printable, result.looked.remarks)
        )
        return list(dict.fromkeys(found))

    @property
    def is_judged(self) -> bool:
        """Whether there was something to look at, or nothing that was left out."""
        return not self.remarks or any(result.looked.objects for result in self.results)

    @property
    def stale_lines(self) -> Iterator[tuple[Finding, None, int]]:
        """What is wrong with the waivers, like :attr:`Result.lines`."""
        return ((finding, None, line) for finding, line in zip(self.stale, lines_of(self.stale, {}), strict=True))

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
    unproven = {proof.name: why for proof in PROOFS if (why := proof.unproven(model))}
    files, remarks = model.snapshot.files, (*model.warnings.values(), *unseen(model), *unproven.values())
    found, told = prove(model, on_proof), [*notes(model)]
    objects = len(model.objects)
    return Looked(environment, model.cluster, objects, counts, found, remarks, told, files, frozenset(unproven))


def located(looked: Looked, lines: Mapping[Identity, Callable[[str], str]]) -> Looked:
    """Return an environment whose findings have the lines of the declaration that their fields come from."""
    findings = [finding.at_line_of(lines) for finding in looked.findings]
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
    """Return a text in one line, without control characters and commands, which names in a tree may contain."""
    flat = " ".join(text.split()) if any(character in text for character in "\n\r\t") else text
    return unheard(safe(flat))


def lines_of(findings: Sequence[Finding], files: Mapping[str, bytes]) -> list[int]:
    """Return the line of each finding's field in the files of a tree, or of what is nearest above it.

    It is 1 if nothing is known. Every file is read once, one document after the other.
    """
    found = [1] * len(findings)
    wanted: dict[str, dict[tuple[str, str], list[int]]] = {}
    for number, finding in enumerate(findings):
        if match := _LINE.fullmatch(finding.field):
            found[number] = int(match[1])
        elif finding.file in files:
            _, kind, _, name = finding.identity or ("", "", "", "")
            wanted.setdefault(finding.file, {}).setdefault((kind, name), []).append(number)
    for file, numbers in wanted.items():
        with suppress(yaml.YAMLError, ValueError, RecursionError):
            for item in (item for root in nodes(files[file]) for item in _items(root)):
                metadata = _value(item, "metadata")
                namespace = _text(_value(metadata, "namespace"))
                here = _text(_value(item, "kind")), _text(_value(metadata, "name"))
                others = []
                for number in (*numbers.pop(("", ""), ()), *numbers.pop(here, ())):
                    identity = findings[number].identity
                    if identity is None or namespace in ("", identity[2]):
                        found[number] = _line(item, findings[number].field)
                    else:
                        others.append(number)
                if others:
                    numbers[here] = others
                elif not numbers:
                    break
    return found


def _line(node: yaml.Node | None, field: str) -> int:
    """Return the line of a field of an object."""
    line: int = node.start_mark.line if node is not None else 0
    # A key of annotations or data may contain dots itself, so the longest key that fits is taken.
    steps = [in_brackets or plain for in_brackets, plain in _STEP.findall(field)]
    while steps and node is not None:
        node, marked, used = _below(node, steps)
        if node is not None:
            line = marked
            steps = steps[used:]
    return line + 1


def _items(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield the objects of a document: those of a list, or the one that it is."""
    items = _value(root, "items")
    if _text(_value(root, "kind")).endswith("List") and isinstance(items, yaml.SequenceNode):
        yield from items.value
    else:
        yield root


def _below(node: yaml.Node, steps: list[str]) -> tuple[yaml.Node | None, int, int]:
    """Return the node one step below another, its line, and how many parts of the field's name the step took."""
    if isinstance(node, yaml.MappingNode):
        for used in range(len(steps), 0, -1):
            wanted = ".".join(steps[:used])
            for key, value in node.value:
                if _text(key) == wanted:
                    return value, key.start_mark.line, used
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            if steps[0] in (str(number), *(_text(_value(item, key)) for key in _NAMES)):
                return item, item.start_mark.line, 1
    return None, 0, 0


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if _text(name) == key), None)
    return None


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""

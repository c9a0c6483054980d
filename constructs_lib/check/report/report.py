"""What the proofs say of some environments, before it is shown in one of the formats, and the lines of findings."""

import dataclasses
import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from constructs_lib.check.bootstrap import Cluster
from constructs_lib.check.finding import Finding, Severity
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.notes import notes, unseen
from constructs_lib.check.proofs import PROOFS, prove
from constructs_lib.check.waivers.waivers import Waiver, apply_waivers, stale_waivers
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.text import plural

_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
_LINE = re.compile(r"line (\d+)")
#: The keys whose values name entries of lists in the fields of findings: of containers and ports, alerts, and recording
#: rules.
_NAMES = ("name", "alert", "record")
#: Larger files are not read again, so that their findings have no lines.
_MOST_BYTES = 1_000_000


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
    """

    environment: str
    cluster: Cluster
    objects: int
    counts: Mapping[str, str]
    findings: Sequence[Finding]
    remarks: Sequence[str] = ()
    notes: Sequence[str] = ()
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
    files, remarks = model.snapshot.files, (*model.warnings.values(), *unseen(model))
    found = prove(model, on_proof)
    return Looked(environment, model.cluster, len(model.objects), counts, found, remarks, [*notes(model)], files)


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


class Lines:
    """Finds lines in the files of a tree; every file is read once."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Read nothing yet."""
        self._files = files
        self._read: dict[str, list[yaml.Node]] = {}

    def of(self, finding: Finding) -> int:
        """Return the line of a finding's field, or of what is nearest above it; 1 if nothing is known."""
        if match := _LINE.fullmatch(finding.field):
            return int(match[1])
        root = self._object(finding)
        if root is None:
            return 1
        # A key of annotations or data may contain dots itself, so the longest key that fits is taken.
        line: int = root.start_mark.line
        steps = [in_brackets or plain for in_brackets, plain in _STEP.findall(finding.field)]
        node: yaml.Node | None = root
        while steps and node is not None:
            node, marked, used = _below(node, steps)
            if node is not None:
                line = marked
                steps = steps[used:]
        return line + 1

    def _object(self, finding: Finding) -> yaml.Node | None:
        for root in self._nodes(finding.file):
            if finding.identity is None:
                return root
            _, kind, namespace, name = finding.identity
            metadata = _value(root, "metadata")
            named = _text(_value(metadata, "namespace"))
            is_named = _text(_value(root, "kind")) == kind and _text(_value(metadata, "name")) == name
            if is_named and named in ("", namespace):
                return root
        return None

    def _nodes(self, path: str) -> list[yaml.Node]:
        if path not in self._read:
            content = self._files.get(path, b"")
            try:
                found = [] if len(content) > _MOST_BYTES else [*yaml.compose_all(content, Loader=yaml.CSafeLoader)]
            except (yaml.YAMLError, ValueError, RecursionError):
                found = []
            self._read[path] = [item for root in found if root is not None for item in _items(root)]
        return self._read[path]


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

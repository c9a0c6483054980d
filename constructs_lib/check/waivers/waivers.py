"""Waivers: findings that somebody has decided to live with for a while."""

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.check.finding import Finding
from constructs_lib.check.proofs import PROOFS
from constructs_lib.kubernetes.bounds import BoundedLoader
from constructs_lib.text import closest
from constructs_lib.user_error import UserError

#: Where waivers stand in a repository.
WAIVERS_FILE = "waivers.yaml"
#: More is no list of decisions; numbers with very many colons take a time that grows with the square of their length.
_MOST_BYTES = 200_000
_SHAPE = "a waiver has the entries code, object, reason and expires (a day such as 2027-03-31)"


@dataclass(frozen=True)
class Waiver:
    """A decision to ignore a finding until a day, the last on which it holds; ``line`` is its line in the file.

    There is no day if it is about what something outside of the tree brings (:attr:`Check.lasting`).

    The object is called as findings name it; ``*`` stands for any part of a name.
    """

    code: str
    object: str
    reason: str
    expires: datetime.date | None
    line: int

    @property
    def day(self) -> str | None:
        """The last day on which it holds, as 2027-03-31; None for good."""
        return self.expires.isoformat() if self.expires else None

    @property
    def term(self) -> str:
        """Until when it holds, in words."""
        return f"until {self.expires}" if self.expires else "for good"

    def covers(self, finding: Finding) -> bool:
        """Tell whether it is about a finding."""
        return self.code == finding.check.code and fnmatchcase(finding.subject, self.object)


def read_waivers(given: Path | None, root: Path | None) -> tuple[list[Waiver], str]:
    """Return the waivers of a repository, and what messages call their file.

    Args:
        given: The file that somebody has named. Default: the one in ``root``, if it is there.
        root: The root of the repository; None for one of other people, whose waivers count only if they are named.

    Raises:
        UserError: The waivers have errors, or the named file is not there.
    """
    file, name = given or (root and root / WAIVERS_FILE), str(given or WAIVERS_FILE)
    if file is None or not file.is_file():
        if given:
            raise UserError(f"--waivers: {given} is no file.")
        return [], name
    return parse_waivers(file.read_bytes(), [check.code for proof in PROOFS for check in proof.checks], name), name


def parse_waivers(content: bytes, codes: Iterable[str], file: str = WAIVERS_FILE) -> list[Waiver]:
    """Return the waivers in a file, which is a list of mappings; ``codes`` are those of all checks that can be waived.

    Raises:
        UserError: The file is not such a list; the message has a line for each error.
    """
    known = set(codes)
    if len(content) > _MOST_BYTES:
        raise UserError(f"{file} is larger than {_MOST_BYTES // 1_000} kB.")
    try:
        loader = BoundedLoader(content)
        node = loader.get_single_node()
        entries = loader.construct_document(node) or [] if node is not None else []
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(entries, list):
        raise UserError(f"{file} must hold a list; {_SHAPE}.")
    lines = [child.start_mark.line + 1 for child in node.value] if node is not None else []
    problems: list[str] = []
    waivers: list[Waiver] = []
    for line, entry in zip(lines, entries, strict=True):
        found = [*_problems(entry, known)]
        problems += [f"{file}:{line}: {problem}" for problem in found]
        if not found:
            waivers.append(Waiver(entry["code"], entry["object"], entry["reason"], entry.get("expires"), line))
    if problems:
        raise UserError("\n".join(problems))
    return waivers


def _problems(entry: Any, known: set[str]) -> Iterator[str]:
    if not isinstance(entry, Mapping):
        yield f"{_SHAPE}."
        return
    wanted = {"code", "object", "reason", "expires"}
    code = entry.get("code")
    needed = wanted - {"expires"} if isinstance(code, str) and code in _lasting() else wanted
    for name in sorted(needed - entry.keys()):
        yield f"it has no {name}; {_SHAPE}."
    for name in sorted(map(str, entry.keys() - wanted)):
        hint = closest(name, wanted)
        yield f'"{name}" is unknown; {f"did you mean {hint}?" if hint else _SHAPE + "."}'
    for name in ("code", "object", "reason"):
        if name in entry and not (isinstance(entry[name], str) and re.search(r"\w|\*", entry[name])):
            yield f"{name}: a text is needed."
    if isinstance(code, str) and code not in known:
        hint = closest(code, known)
        yield f'there is no check "{code}"; {f"did you mean {hint}?" if hint else "docs/checks.md lists them."}'
    if "expires" in entry and type(entry["expires"]) is not datetime.date:
        yield "expires: a day such as 2027-03-31 is needed."


@cache
def _lasting() -> frozenset[str]:
    return frozenset(check.code for proof in PROOFS for check in proof.checks if check.lasting)


def apply_waivers(
    findings: Sequence[Finding], waivers: Sequence[Waiver], today: datetime.date
) -> tuple[list[Finding], list[tuple[Finding, Waiver]]]:
    """Return the findings that count, and those that are waived; a waiver that has expired waives nothing."""
    valid = [waiver for waiver in waivers if waiver.expires is None or waiver.expires >= today]
    pairs = [(finding, next((waiver for waiver in valid if waiver.covers(finding)), None)) for finding in findings]
    counting = [finding for finding, waiver in pairs if waiver is None]
    return counting, [(finding, waiver) for finding, waiver in pairs if waiver is not None]


def stale_waivers(
    findings: Sequence[Finding], waivers: Sequence[Waiver], today: datetime.date, file: str, *, complete: bool = True
) -> list[Finding]:
    """Return what is wrong with the waivers themselves, in the order of their lines.

    Args:
        findings: Everything that was found, in all environments.
        waivers: The waivers.
        today: The day.
        file: The file in which they stand.
        complete: Whether all environments were looked at; if not, a waiver may be for one of the others.
    """
    found: list[Finding] = []
    for waiver in waivers:
        name, line = f"the waiver of {waiver.code} for {waiver.object}", f"line {waiver.line}"
        if waiver.expires is not None and waiver.expires < today:
            found.append(Finding.of("waiver-expired", None, f"{name} expired on {waiver.expires}.", at=line, file=file))
        elif complete and not any(waiver.covers(finding) for finding in findings):
            found.append(Finding.of("waiver-unused", None, f"{name} waives nothing.", at=line, file=file))
    return found

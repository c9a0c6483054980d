"""What a proof is, what it looks for, and what it finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.argocd.objects import Object
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.text import hint, within

#: The folder with the checks of the waivers themselves, which belong to no proof.
WAIVERS = "waivers"
_FOLDER = Path(__file__).parent


class Severity(StrEnum):
    """How bad a finding is: an error will break something, a warning may."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Check:
    """One thing that a proof looks for.

    Attributes:
        code: Its name, such as ``service-without-pods``. It never changes: waivers and tools refer to it.
        proof: The name of its proof, which is the folder that its ``checks.yaml`` is in.
        severity: How bad it is.
        title: What is wrong, in a few words.
        why: What happens in the cluster if nobody acts.
        fix: What to do about it, in general.
        source: Where the rule is written down: a page of Kubernetes or Argo CD, an issue. Empty for our own rules.
        lasting: Whether it may be a fact that lasts, since something outside of the tree brings what is missing: its
            waiver needs no day on which it expires.
        askable: Whether it is about rights, for which a declaration may ask.
        of_charts: Whether it counts for what a chart renders as well: the chart's values, its PodAccess or its version
            can mend it. All else is a matter of those who make the chart.
    """

    code: str
    proof: str
    severity: Severity
    title: str
    why: str
    fix: str
    source: str = ""
    askable: bool = False
    lasting: bool = False

    @property
    def refuses(self) -> bool:
        """Whether the API server takes nothing of the object."""
        return self.why in ("The API server refuses the object.", "The API server refuses it.")

    of_charts: bool = False


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a tree.

    Attributes:
        check: What was looked for.
        identity: API group, kind, namespace and name of the object; None if it is about the whole tree.
        file: The file, relative to the tree.
        field: The field in the object, such as ``spec.ports[0].targetPort``; empty if it is about all of it.
        problem: What is wrong, in one sentence that names the object, field or value.
        fix: What would be right.
        location: The line of the declaration that the object comes from, or the patch that sets the field, as
            ``file:line``, where it is known.
        owner: Identity of the Application whose chart makes the object; None if it is in the tree itself.
        root: What is missing, such as ``Service shop/web``: findings with the same root go when it is there. Empty for
            a finding of its own.
    """

    check: Check
    identity: Identity | None
    file: str
    field: str
    problem: str
    fix: str
    location: str = dataclasses.field(default="", compare=False)
    owner: Identity | None = dataclasses.field(default=None, compare=False)
    root: str = dataclasses.field(default="", compare=False)

    @classmethod
    def of(
        cls, code: str, item: Object | None, problem: str, *, at: str = "", fix: str = "", file: str = ""
    ) -> Finding:
        """Return a finding about an object, or about the whole tree if there is none.

        The fix is by default what the check says in general, and the file that of the object.

        Raises:
            KeyError: No ``checks.yaml`` has the code.
        """
        check = check_of(code)
        identity, path = (item.identity, item.path) if item else (None, "")
        return cls(check, identity, file or path, at, problem, fix or check.fix)

    @classmethod
    def missing(
        cls,
        code: str,
        item: Object,
        at: str,
        kind: str,
        name: str,
        known: Iterable[str],
        where: str = "",
        hinted: str = "",
    ) -> Finding:
        """Return the finding that a field of an object has a name that no object of a kind has.

        Where the kind has namespaces, ``where`` is the one that was looked into. The fix tells which of the known names
        may have been meant, and calls them by their kind, or by ``hinted``, such as ``class``.
        """
        problem = f"There is no {kind} {name}{within(where)}."
        found = cls.of(code, item, problem, at=at, fix=hint(hinted or kind, name, known))
        return found.because_of(kind, where, name)

    def because_of(self, kind: str, namespace: str, name: str) -> Finding:
        """Return it as one that goes when an object is there."""
        return dataclasses.replace(self, root=f"{kind} {'/'.join(filter(None, (namespace, name)))}")

    def as_warning(self) -> Finding:
        """Return it as a warning: the declaration asks for what was found, or it may be meant so."""
        return dataclasses.replace(self, check=dataclasses.replace(self.check, severity=Severity.WARNING))

    def at_line_of(self, lines: Mapping[Identity, Callable[[str], str]]) -> Finding:
        """Return it with the line of the declaration that its field comes from, or the Application that brings it.

        The ``lines`` of each object are told by its fields.
        """
        places = ((self.identity, self.field), (self.owner, ""))
        known = [lines[each](field) for each, field in places if each and each in lines]
        return dataclasses.replace(self, location=known[0] if known else "")

    @property
    def subject(self) -> str:
        """The object as ``Kind/namespace/name``, or ``Kind/name`` if its kind has no namespace; ``tree`` for none."""
        return "/".join(part for part in self.identity[1:] if part) if self.identity else "tree"


@dataclass(frozen=True)
class Proof:
    """One proof: a folder with a ``proof.py``, which exports it as ``PROOF``, and a ``checks.yaml``.

    Attributes:
        name: Its name, that of its folder.
        title: What it proves, in a sentence.
        prove: Yields what is wrong.
        looks_at: Returns what there is to look at, such as ``33 containers``: a proof of nothing always holds.
        unproven: Returns what it cannot tell of a tree, and why; empty if it can tell all.
        relates: Whether it sets objects beside each other, so that it matters which of them are deployed together.
    """

    name: str
    title: str
    prove: Callable[[ClusterModel], Iterator[Finding]]
    looks_at: Callable[[ClusterModel], str]
    relates: bool = True
    unproven: Callable[[ClusterModel], str] = lambda model: ""

    @property
    def checks(self) -> tuple[Check, ...]:
        """What it looks for, in the order of ``docs/checks.md``."""
        return checks_of(self.name)


@cache
def checks_of(proof: str) -> tuple[Check, ...]:
    """Return the checks in the ``checks.yaml`` of a proof, in their order. The file is read once, when first asked for.

    Raises:
        ValueError: The file is not a mapping of codes to entries with the fields of a check.
    """
    path = _FOLDER / proof / "checks.yaml"
    entries = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    return tuple(_check(proof, code, fields) for code, fields in entries.items())


def _check(proof: str, code: str, fields: Mapping[str, Any]) -> Check:
    try:
        return Check(code, proof, **{**fields, "severity": Severity(fields["severity"])})
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"check/{proof}/checks.yaml: {code}: {error}") from error


@cache
def check_of(code: str) -> Check:
    """Return the check with a code.

    Raises:
        KeyError: No ``checks.yaml`` has it.
    """
    proofs = (file.parent.name for file in _FOLDER.glob("*/checks.yaml"))
    return {check.code: check for proof in proofs for check in checks_of(proof)}[code]

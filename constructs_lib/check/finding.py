"""What a proof looks for, and what it finds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from constructs_lib.argocd.objects import Identity, Object


class Severity(StrEnum):
    """How bad a finding is: an error will break something, a warning may."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Check:
    """One thing that a proof looks for.

    Attributes:
        code: Its name for ever, such as ``service-without-pods``; waivers and tools refer to it.
        severity: How bad it is.
        title: What is wrong, in a few words.
        why: What happens in the cluster if it is left.
        mend: What to do about it, in general.
        source: Where the rule stands: a page of Kubernetes or Argo CD, an issue.
    """

    code: str
    severity: Severity
    title: str
    why: str
    mend: str
    source: str

    def at(self, item: Object | None, problem: str, *, at: str = "", mend: str = "", file: str = "") -> Finding:
        """Return a finding.

        Args:
            item: The object that it is about; None if it is about the whole tree.
            problem: What is wrong, in one sentence that names what is meant.
            at: The field, such as ``spec.ports[0].targetPort``.
            mend: What would be right. Default: what the check says in general.
            file: Where it is, if that is not the object's file.
        """
        return Finding(
            self, item.identity if item else None, file or (item.path if item else ""), at, problem, mend or self.mend
        )


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a tree.

    Attributes:
        check: What was looked for.
        identity: API group, kind, namespace and name of the object; None if it is about the whole tree.
        file: The file, relative to the tree.
        field: The field in the object; empty if it is about all of it.
        problem: What is wrong.
        mend: What would be right.
        location: The line of the declaration that the object comes from, as ``file:line``, where it is known.
    """

    check: Check
    identity: Identity | None
    file: str
    field: str
    problem: str
    mend: str
    location: str = dataclasses.field(default="", compare=False)

    @property
    def subject(self) -> str:
        """The object as ``Kind/namespace/name``, or ``Kind/name`` if its kind has no namespace; ``tree`` for none."""
        return "/".join(part for part in self.identity[1:] if part) if self.identity else "tree"

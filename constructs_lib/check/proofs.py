"""All proofs, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from constructs_lib.check import waivers
from constructs_lib.check.capacity import proof as capacity
from constructs_lib.check.finding import Check, Finding
from constructs_lib.check.observability import proof as observability
from constructs_lib.check.order import proof as order
from constructs_lib.check.policy import proof as policy
from constructs_lib.check.proof import Proof
from constructs_lib.check.reachability import proof as reachability
from constructs_lib.check.references import proof as references
from constructs_lib.check.schemas import proof as schemas
from constructs_lib.check.tree import Subject

#: A proof's file exports ``PROOF``; it is added here.
PROOFS: tuple[Proof, ...] = (
    schemas.PROOF,
    references.PROOF,
    reachability.PROOF,
    order.PROOF,
    policy.PROOF,
    capacity.PROOF,
    observability.PROOF,
)


def all_checks() -> Mapping[str, Check]:
    """Return every check there is by its code."""
    return {check.code: check for checks in (*(proof.checks for proof in PROOFS), waivers.CHECKS) for check in checks}


def prove(subject: Subject, on_proof: Callable[[str], None] = lambda name: None) -> list[Finding]:
    """Return everything that is wrong, in the order of the proofs and, within one, of files and fields.

    Args:
        subject: What is looked at.
        on_proof: Called with the name of every proof before it begins.
    """
    findings: list[Finding] = []
    for proof in PROOFS:
        on_proof(proof.name)
        found = dict.fromkeys(proof.prove(subject))
        findings += sorted(
            found, key=lambda finding: (finding.file, finding.subject, finding.field, finding.check.code)
        )
    return findings

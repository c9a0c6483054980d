"""Proof that everything that one object says of another exists and fits.

Other tools look at objects one by one; these rules are about pairs of them. Their sources stand at the checks.
"""

from __future__ import annotations

from collections.abc import Iterator

from constructs_lib.check import addresses
from constructs_lib.check.finding import Finding
from constructs_lib.check.proof import Proof
from constructs_lib.check.references import configuration, ownership, permissions, secret_sources, selections
from constructs_lib.check.tree import Subject


def _prove(subject: Subject) -> Iterator[Finding]:
    yield from selections.prove_selections(subject)
    yield from configuration.prove_configuration(subject)
    yield from secret_sources.prove_secret_sources(subject)
    yield from permissions.prove_permissions(subject)
    yield from addresses.prove_addresses(subject)
    yield from ownership.prove_ownership(subject)


PROOF = Proof(
    "references",
    "Everything that one object says of another exists and fits.",
    (
        *selections.CHECKS,
        *configuration.CHECKS,
        *secret_sources.CHECKS,
        *permissions.CHECKS,
        *addresses.CHECKS,
        *ownership.CHECKS,
    ),
    _prove,
)

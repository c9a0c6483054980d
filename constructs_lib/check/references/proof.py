"""Proof that everything that one object says of another exists and fits.

Other tools look at objects one by one; these rules are about pairs of them. Their sources stand at the checks.
"""

from __future__ import annotations

from collections.abc import Iterator

from constructs_lib.check import addresses
from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.references import configuration, ownership, permissions, secret_sources, selections


def _prove(model: ClusterModel) -> Iterator[Finding]:
    yield from selections.prove_selections(model)
    yield from configuration.prove_configuration(model)
    yield from secret_sources.prove_secret_sources(model)
    yield from permissions.prove_permissions(model)
    yield from addresses.prove_addresses(model)
    yield from ownership.prove_ownership(model)


PROOF = Proof(
    "references",
    "Everything that one object says of another exists and fits.",
    _prove,
)

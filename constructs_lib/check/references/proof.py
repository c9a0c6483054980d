"""Proof that everything that one object says of another exists and fits.

Other tools look at objects one by one; these rules are about pairs of them. Their sources stand in ``checks.yaml``.
"""

from collections.abc import Iterator

from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.references.addresses import prove_addresses
from constructs_lib.check.references.charts import prove_charts
from constructs_lib.check.references.configuration import prove_configuration
from constructs_lib.check.references.gateways import prove_gateways
from constructs_lib.check.references.issuers import prove_issuers
from constructs_lib.check.references.operated import prove_operated
from constructs_lib.check.references.ownership import prove_ownership
from constructs_lib.check.references.routes import prove_routes
from constructs_lib.check.references.scaling import prove_scaling
from constructs_lib.check.references.secret_readers import prove_secret_readers
from constructs_lib.check.references.secret_sources import prove_secret_sources
from constructs_lib.check.references.selections import prove_selections
from constructs_lib.check.references.stores import prove_stores
from constructs_lib.text import plural


def _prove(model: ClusterModel) -> Iterator[Finding]:
    yield from prove_selections(model)
    yield from prove_scaling(model)
    yield from prove_routes(model)
    yield from prove_gateways(model)
    yield from prove_issuers(model)
    yield from prove_configuration(model)
    yield from prove_secret_sources(model)
    yield from prove_stores(model)
    yield from prove_secret_readers(model)
    yield from prove_addresses(model)
    yield from prove_operated(model)
    yield from prove_ownership(model)
    yield from prove_charts(model)


PROOF = Proof(
    "references",
    "Everything that one object says of another exists and fits.",
    _prove,
    lambda model: plural(len(model.objects), "object"),
)

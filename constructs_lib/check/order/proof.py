"""Whether Argo CD can carry out the order of deployment.

The order is that of its sync waves: https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/.
"""

from collections.abc import Iterator

from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.order.health import prove_health
from constructs_lib.check.order.needs import prove_needs, prove_waits
from constructs_lib.check.order.never import prove_never
from constructs_lib.check.order.openings import prove_openings
from constructs_lib.check.order.syncs import prove_applications, prove_syncs
from constructs_lib.text import plural


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield what comes too early, what never becomes healthy, and what a second sync would break.

    Nothing is said of a tree without Applications: it does not tell in which order its objects are applied.
    """
    if any(model.applications):
        yield from prove_waits(model)
        yield from prove_needs(model)
        yield from prove_openings(model)
        yield from prove_health(model)
        yield from prove_never(model)
        yield from prove_syncs(model)
        yield from prove_applications(model)


PROOF = Proof(
    "order",
    "Argo CD applies everything after what it needs, and nothing waits for what never comes.",
    prove,
    lambda model: plural(sum(1 for _ in model.applications), "Application"),
)

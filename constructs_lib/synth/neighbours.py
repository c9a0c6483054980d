"""Environments of one cluster, or of one Argo CD: neither may have what the other has."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from constructs_lib.argocd.globs import glob
from constructs_lib.declare.diagnostics import DeclarationError, Diagnostic, Location
from constructs_lib.declare.environment import Environment
from constructs_lib.synth.tree import Tree
from constructs_lib.text import listed

#: The most objects that a message names.
_NAMED = 3
#: What Argo CD knows by its name alone, whatever cluster it deploys to.
_OF_ARGOCD = "argoproj.io"


def refuse_neighbours(trees: Sequence[tuple[Environment, Tree]]) -> None:
    """Refuse environments that would take over what is another one's.

    Raises:
        DeclarationError: There are some; each line that declares such a thing is told once.
    """
    found: dict[tuple[str, str, Location, Location], list[str]] = defaultdict(list)
    for (environment, tree), (other, others) in combinations(trees, 2):
        for claim, location in others.claims.items():
            shares = environment.shares_argocd if claim[0] == _OF_ARGOCD else environment.shares_cluster
            if shares(other) and (first := _claimed(claim, tree)) is not None:
                found[other.name, environment.name, location, first].append(f"{claim[1]} {claim[2]}")
    if found:
        raise DeclarationError(
            Diagnostic(
                location,
                f"environment {name}",
                f"{other} has the same: {listed(objects, _NAMED)}, declared at {first}. Argo CD would have two "
                f"Applications fight for it. Declare it for one of the two, or give it another name in one of them.",
            )
            for (name, other, location, first), objects in found.items()
        )


def _claimed(claim: tuple[str, str, str], tree: Tree) -> Location | None:
    """Return the line of a tree that declares the same; a name may be a pattern."""
    if claim in tree.claims:
        return tree.claims[claim]
    group, kind, name = claim
    fits = (
        location
        for (other_group, other_kind, other), location in tree.claims.items()
        if (other_group, other_kind) == (group, kind) and (glob(other, name) or glob(name, other))
    )
    return next(fits, None)

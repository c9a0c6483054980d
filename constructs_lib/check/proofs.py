"""All proofs, in the order in which they are told."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from constructs_lib.check.asks import with_asks
from constructs_lib.check.capacity import proof as capacity
from constructs_lib.check.finding import WAIVERS, Check, Finding, Proof, checks_of
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.observability import proof as observability
from constructs_lib.check.order import proof as order
from constructs_lib.check.policy import proof as policy
from constructs_lib.check.reachability import proof as reachability
from constructs_lib.check.references import proof as references
from constructs_lib.check.schemas import proof as schemas

#: A proof's file exports ``PROOF``; it is added here.
PROOFS: tuple[Proof, ...] = tuple(
    each.PROOF for each in (schemas, references, reachability, order, policy, capacity, observability)
)
#: What is in Git whatever a tool makes of it.
_WRITTEN = frozenset({"credential-in-clear", "default-credentials", "duplicate-key", "secret-in-git", "unknown-field"})


def all_checks() -> Mapping[str, Check]:
    """Return every check there is by its code."""
    names = (*(proof.name for proof in PROOFS), WAIVERS)
    return {check.code: check for name in names for check in checks_of(name)}


def prove(model: ClusterModel, on_proof: Callable[[str], object] = str) -> list[Finding]:
    """Return everything that is wrong, in the order of the proofs and, within one, of files and fields.

    Args:
        model: What is looked at.
        on_proof: Called with the name of every proof before it begins.
    """
    findings: list[Finding] = []
    for proof in PROOFS:
        on_proof(proof.name)
        found = dict.fromkeys(_at_home(with_asks(_proven(proof, model), model), model))
        findings += sorted(
            found, key=lambda finding: (finding.file, finding.subject, finding.field, finding.check.code)
        )
    return findings


def _at_home(findings: Iterable[Finding], model: ClusterModel) -> Iterator[Finding]:
    """Yield findings, those on what charts render at the file of the Application, as far as they count there."""
    for finding in findings:
        if (home := model.homes.get(finding.file)) is None:
            yield finding
        elif finding.check.of_charts:
            yield replace(finding, file=home.path, owner=home.identity)


def _proven(proof: Proof, model: ClusterModel) -> Iterator[Finding]:
    """Yield what a proof finds, but for what tools change.

    What is deployed apart is judged apart: a finding counts if a part has it by itself, and if all together do not take
    it away, such as what one part names and another has. What Kustomize changes in an object is not judged, unless it
    is about what everybody reads who reads the repository.
    """
    judged = model.parts if proof.relates else ()
    apart = {_place(finding) for part in judged for finding in proof.prove(part)}
    for finding in proof.prove(model):
        _, kind, _, name = finding.identity or ("", "", "", "")
        if finding.check.code in _WRITTEN or not (
            model.is_patched(finding.file, kind, name, finding.field) or (judged and _place(finding) not in apart)
        ):
            yield finding


def _place(finding: Finding) -> tuple[object, ...]:
    return finding.check.code, finding.identity, finding.file, finding.field

"""Proof that a tree keeps to what a careful platform team demands of it."""

from collections.abc import Iterator

from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.policy.credentials import credential_findings
from constructs_lib.check.policy.data import data_findings
from constructs_lib.check.policy.edge import edge_findings
from constructs_lib.check.policy.logins import login_findings
from constructs_lib.check.policy.permissions import project_findings, role_findings, token_findings
from constructs_lib.check.policy.pod_security import (
    enforced_levels,
    level_findings,
    privilege_findings,
    violation_findings,
)
from constructs_lib.check.policy.pods import image_findings, resilience_findings, resource_findings
from constructs_lib.check.policy.roles import prove_roles
from constructs_lib.check.policy.rotation import rotation_findings
from constructs_lib.check.policy.saves import saves_findings
from constructs_lib.check.tools import patched
from constructs_lib.text import plural


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield what a careful platform team would send back."""
    unfinished, levels = patched(model), enforced_levels(model)
    yield from level_findings(model, levels)
    for item in model.objects:
        yield from credential_findings(item, model.pods_by_owner.get(item))
    for item in model.undeployed_secrets:
        yield from credential_findings(item, None)
    limited = {item.namespace for item in model.kind("LimitRange")}
    for pods in model.pods:
        if id(pods.owner.manifest) not in unfinished:
            yield from violation_findings(pods, levels.get(pods.namespace, ""))
            yield from image_findings(pods)
            if pods.namespace not in limited:
                yield from resource_findings(pods)
        if levels.get(pods.namespace) not in ("baseline", "restricted"):
            yield from privilege_findings(pods, levels.get(pods.namespace, ""))
    yield from role_findings(model)
    yield from prove_roles(model)
    yield from token_findings(model, unfinished)
    yield from project_findings(model)
    yield from resilience_findings(model, unfinished)
    yield from data_findings(model)
    yield from saves_findings(model)
    yield from edge_findings(model)
    yield from rotation_findings(model)
    yield from login_findings(model)


PROOF = Proof(
    "policy",
    "The tree keeps to what a careful platform team demands.",
    prove,
    lambda model: plural(sum(len(pods.containers) for pods in model.pods), "container"),
)

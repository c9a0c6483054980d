"""What a program may do in the Kubernetes API, as objects."""

from collections.abc import Iterator, Sequence

from constructs_lib.declare.rule import Rule
from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes.manifest import Manifest


def permissions(workload: Workload, rules: Sequence[Rule]) -> Iterator[Manifest]:
    """Yield the Role with some rules, and what binds it to the account of a workload; nothing without rules."""
    if not rules:
        return
    group = "rbac.authorization.k8s.io"
    entries = [
        {"apiGroups": [rule.api_group], "resources": list(rule.resources), "verbs": list(rule.verbs)} for rule in rules
    ]
    account = {"kind": "ServiceAccount", "name": workload.name, "namespace": workload.namespace_name}
    yield workload.manifest(f"{group}/v1", "Role", rules=entries)
    role = {"apiGroup": group, "kind": "Role", "name": workload.name}
    yield workload.manifest(f"{group}/v1", "RoleBinding", roleRef=role, subjects=[account])

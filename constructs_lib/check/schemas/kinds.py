"""What the API server checks in objects beyond their schema, kind by kind.

The rules are those of ``pkg/apis/<group>/validation/validation.go`` in https://github.com/kubernetes/kubernetes, and of
``LabelSelectorAsSelector`` in apimachinery.
"""

from collections.abc import Callable, Mapping

from constructs_lib.argocd.objects import Object
from constructs_lib.check.schemas.argocd import application_faults
from constructs_lib.check.schemas.faults import Fault, Faults, field_faults
from constructs_lib.check.schemas.metadata import data_faults
from constructs_lib.check.schemas.network import ingress_faults, policy_faults, service_faults
from constructs_lib.check.schemas.workloads import (
    autoscaler_faults,
    budget_faults,
    claim_faults,
    cron_job_faults,
    job_faults,
    workload_faults,
)
from constructs_lib.kubernetes.manifest import entries, inner, sequence
from constructs_lib.text import given

_RBAC = "rbac.authorization.k8s.io"


def kind_faults(item: Object) -> Faults:
    """Yield what is wrong with an object by the rules of its kind."""
    kind = f"{item.kind}.{item.group}".rstrip(".")
    yield from field_faults(kind, item.manifest)
    if rules := _RULES.get(kind):
        yield from rules(item)


def _role(item: Object) -> Faults:
    for at, rule in entries(item.manifest.get("rules"), "rules"):
        if not sequence(rule.get("verbs")):
            yield Fault("missing-field", f"{at}.verbs", "A rule allows no verb.")
        if rule.get("nonResourceURLs"):
            if item.kind == "Role":
                problem = "A Role is about a namespace, in which there are no URLs."
                yield Fault("contradictory-fields", f"{at}.nonResourceURLs", problem, "Use a ClusterRole.")
            continue
        for field, fix in (("apiGroups", 'The core group is "".'), ("resources", "")):
            if not sequence(rule.get(field)):
                yield Fault("missing-field", f"{at}.{field}", f"A rule names no {field}.", fix)


def _binding(item: Object) -> Faults:
    for at, subject in entries(item.manifest.get("subjects"), "subjects"):
        is_account = subject.get("kind") == "ServiceAccount"
        if is_account and not subject.get("namespace"):
            fix = "Give its namespace, even if it is the same."
            yield Fault("missing-field", f"{at}.namespace", "A ServiceAccount has a namespace.", fix)
        group, wanted = subject.get("apiGroup"), "" if is_account else _RBAC
        if group not in (None, wanted):
            problem = f"{given(group)} is not the group of its kind."
            yield Fault("bad-value", f"{at}.apiGroup", problem, f'"{wanted}" is needed.')


def _definition(item: Object) -> Faults:
    wanted = f"{inner(item.spec, 'names', 'plural')}.{item.spec.get('group')}"
    if item.metadata.get("name") != wanted:
        problem = "The name of a CustomResourceDefinition is that of its kind."
        yield Fault("bad-name", "metadata.name", problem, f"Call it {wanted}.")


_RULES: Mapping[str, Callable[[Object], Faults]] = {
    "Deployment.apps": workload_faults,
    "ReplicaSet.apps": workload_faults,
    "StatefulSet.apps": workload_faults,
    "DaemonSet.apps": workload_faults,
    "Job.batch": job_faults,
    "CronJob.batch": cron_job_faults,
    "Service": service_faults,
    "ConfigMap": data_faults,
    "Secret": data_faults,
    "PersistentVolumeClaim": claim_faults,
    "PodDisruptionBudget.policy": budget_faults,
    "HorizontalPodAutoscaler.autoscaling": autoscaler_faults,
    "NetworkPolicy.networking.k8s.io": policy_faults,
    "Ingress.networking.k8s.io": ingress_faults,
    f"Role.{_RBAC}": _role,
    f"ClusterRole.{_RBAC}": _role,
    f"RoleBinding.{_RBAC}": _binding,
    f"ClusterRoleBinding.{_RBAC}": _binding,
    "CustomResourceDefinition.apiextensions.k8s.io": _definition,
    "Application.argoproj.io": application_faults,
}

"""What the API server refuses to change, and what is lost with an object: tables, each line with its source.

The functions are those of kubernetes/kubernetes, below ``pkg/apis`` (``ValidateXUpdate``) and ``pkg/registry``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object, sequence
from constructs_lib.plan.change import Effect
from constructs_lib.plan.fields import FieldChange, field

_DOCS = "https://kubernetes.io/docs/concepts"
#: Whether a rule holds for these two states of an object.
Condition = Callable[[Object, Object], bool]


@dataclass(frozen=True)
class Immutable:
    """Fields that the API server does not let anybody change.

    Attributes:
        group: API group.
        kind: Kind.
        fields: The fields, everything below them included.
        source: Where the rule stands.
        but: Fields below these that may change all the same.
        when: Whether the rule holds; None if it always does.
        loss: What is lost if the object is deleted so that the change gets through; empty if nothing is.
        mend: How to get there without a loss, with ``{name}`` and ``{namespace}``; empty for the usual way.
    """

    group: str
    kind: str
    fields: Sequence[str]
    source: str
    but: Sequence[str] = ()
    when: Condition | None = None
    loss: str = ""
    mend: str = ""

    def hits(self, change: FieldChange) -> bool:
        """Tell whether a changed field is one of these."""
        return any(_below(change, name) for name in self.fields) and not any(_below(change, name) for name in self.but)


def _below(change: FieldChange, name: str) -> bool:
    """Tell whether a field is the named one or lies below it; ``*`` stands for any item of a list."""
    parts = name.split(".")
    return len(change.keys) >= len(parts) and all(
        part in ("*", key) for part, key in zip(parts, change.keys, strict=False)
    )


def _was(*keys: str, value: object = True) -> Condition:
    return lambda old, new: bool(field(old, *keys) == value)


def _set_before(*keys: str) -> Condition:
    return lambda old, new: bool(field(old, *keys))


def _not_elastic(old: Object, new: Object) -> bool:
    completions = field(new, "spec", "completions")
    indexed = field(new, "spec", "completionMode") == "Indexed"
    return not (indexed and completions is not None and completions == field(new, "spec", "parallelism"))


def _shares(old: Object, new: Object) -> bool:
    """Tell whether a Service has an address in the cluster before and afterwards."""
    return "ExternalName" not in (field(old, "spec", "type"), field(new, "spec", "type"))


def _address_changes(old: Object, new: Object) -> bool:
    """Tell whether the address of a Service is to change; one that is left out stays as it is."""
    before, after = (
        str(field(item, "spec", "clusterIP") or next(iter(sequence(field(item, "spec", "clusterIPs"))), ""))
        for item in (old, new)
    )
    return _shares(old, new) and before != after and (bool(after) or before == "None")


def _family_changes(old: Object, new: Object) -> bool:
    before, after = (sequence(field(item, "spec", "ipFamilies"))[:1] for item in (old, new))
    return _shares(old, new) and bool(before) and bool(after) and before != after


def _balances(old: Object, new: Object) -> bool:
    return all(field(item, "spec", "type") == "LoadBalancer" for item in (old, new))


_ORPHAN = "kubectl --namespace {namespace} delete statefulset {name} --cascade=orphan"
_CLAIMS_MEND = (
    "For a larger size, set it on the existing claims by hand (kubectl --namespace {namespace} edit pvc), then "
    f"{_ORPHAN}, and sync: the pods and their volumes stay. For anything else, dump the data and restore it."
)
_STATEFUL_SET_BUT = (
    "spec.replicas",
    "spec.template",
    "spec.updateStrategy",
    "spec.persistentVolumeClaimRetentionPolicy",
    "spec.minReadySeconds",
    "spec.ordinals",
    "spec.revisionHistoryLimit",
)

IMMUTABLE = (
    Immutable(
        "apps", "Deployment", ["spec.selector"], f"{_DOCS}/workloads/controllers/deployment/#label-selector-updates"
    ),
    Immutable("apps", "ReplicaSet", ["spec.selector"], "rsStrategy.ValidateUpdate"),
    Immutable("apps", "DaemonSet", ["spec.selector"], f"{_DOCS}/workloads/controllers/daemonset/#pod-selector"),
    Immutable(
        "apps",
        "StatefulSet",
        ["spec.volumeClaimTemplates"],
        "ValidateStatefulSetUpdate",
        loss="existing claims keep their size and class, and pods under new claims would start with empty volumes",
        mend=_CLAIMS_MEND,
    ),
    Immutable(
        "apps",
        "StatefulSet",
        ["spec"],
        "ValidateStatefulSetUpdate",
        but=[*_STATEFUL_SET_BUT, "spec.volumeClaimTemplates"],
        mend=f"{_ORPHAN}, and sync: the pods and their volumes stay.",
    ),
    Immutable("apps", "ControllerRevision", ["data"], "ValidateControllerRevisionUpdate"),
    Immutable(
        "batch",
        "Job",
        [
            "spec.backoffLimitPerIndex",
            "spec.completionMode",
            "spec.managedBy",
            "spec.podFailurePolicy",
            "spec.selector",
            "spec.successPolicy",
            "spec.template",
        ],
        "ValidateJobSpecUpdate",
    ),
    Immutable("batch", "Job", ["spec.completions"], "ValidateJobSpecUpdate", when=_not_elastic),
    Immutable("", "Service", ["spec.clusterIP", "spec.clusterIPs"], "ValidateServiceUpdate", when=_address_changes),
    Immutable("", "Service", ["spec.ipFamilies"], "ValidateServiceUpdate", when=_family_changes),
    Immutable("", "Service", ["spec.loadBalancerClass"], "ValidateServiceUpdate", when=_balances),
    Immutable(
        "",
        "Service",
        ["spec.healthCheckNodePort"],
        "ValidateServiceUpdate",
        when=lambda old, new: _balances(old, new) and _set_before("spec", "healthCheckNodePort")(old, new),
    ),
    Immutable(
        "",
        "PersistentVolumeClaim",
        ["spec"],
        "ValidatePersistentVolumeClaimUpdate",
        but=["spec.resources", "spec.volumeAttributesClassName"],
        loss="a new claim starts with an empty volume",
        mend="Create a claim under another name, copy the data, and let the pods use that one.",
    ),
    Immutable(
        "",
        "PersistentVolume",
        ["spec.nodeAffinity"],
        "ValidatePersistentVolumeUpdate",
        when=_set_before("spec", "nodeAffinity"),
    ),
    Immutable(
        "",
        "PersistentVolume",
        ["spec"],
        "ValidatePersistentVolumeUpdate",
        but=[
            "spec.accessModes",
            "spec.capacity",
            "spec.claimRef",
            "spec.mountOptions",
            "spec.nodeAffinity",
            "spec.persistentVolumeReclaimPolicy",
            "spec.storageClassName",
            "spec.volumeAttributesClassName",
        ],
    ),
    Immutable("", "Secret", ["type"], "ValidateSecretUpdate"),
    Immutable("", "Secret", ["data", "immutable"], "ValidateSecretUpdate", when=_was("immutable")),
    Immutable("", "ConfigMap", ["data", "binaryData", "immutable"], "ValidateConfigMapUpdate", when=_was("immutable")),
    Immutable("", "ResourceQuota", ["spec.scopes"], "ValidateResourceQuotaUpdate"),
    Immutable(
        "",
        "Pod",
        ["spec"],
        "ValidatePodUpdate",
        but=[
            "spec.activeDeadlineSeconds",
            "spec.containers.*.image",
            "spec.initContainers.*.image",
            "spec.schedulingGates",
            "spec.tolerations",
        ],
    ),
    Immutable(
        "storage.k8s.io",
        "StorageClass",
        ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"],
        "ValidateStorageClassUpdate",
    ),
    Immutable(
        "storage.k8s.io", "VolumeAttributesClass", ["driverName", "parameters"], "ValidateVolumeAttributesClassUpdate"
    ),
    Immutable(
        "storage.k8s.io", "CSIDriver", ["spec.attachRequired", "spec.volumeLifecycleModes"], "ValidateCSIDriverUpdate"
    ),
    Immutable("rbac.authorization.k8s.io", "RoleBinding", ["roleRef"], "ValidateRoleBindingUpdate"),
    Immutable("rbac.authorization.k8s.io", "ClusterRoleBinding", ["roleRef"], "ValidateClusterRoleBindingUpdate"),
    Immutable("scheduling.k8s.io", "PriorityClass", ["value", "preemptionPolicy"], "ValidatePriorityClassUpdate"),
    Immutable("node.k8s.io", "RuntimeClass", ["handler"], "ValidateRuntimeClassUpdate"),
    Immutable("networking.k8s.io", "IngressClass", ["spec.controller"], "ValidateIngressClassUpdate"),
    Immutable("discovery.k8s.io", "EndpointSlice", ["addressType"], "ValidateEndpointSliceUpdate"),
    Immutable(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        ["spec.group", "spec.names.kind", "spec.names.plural", "spec.scope"],
        "ValidateCustomResourceDefinitionUpdate",
        loss="deleting a CustomResourceDefinition deletes all its resources",
        mend="Define the new kind beside the old one and move the resources.",
    ),
)


@dataclass(frozen=True)
class Loss:
    """What goes with an object that is deleted.

    Attributes:
        group: API group.
        kind: Kind.
        text: What goes.
        source: Where that stands.
        when: Whether it does; None if it always does.
    """

    group: str
    kind: str
    text: str
    source: str
    when: Callable[[Object], bool] | None = None


def _reclaimed(item: Object) -> bool:
    return field(item, "spec", "persistentVolumeReclaimPolicy") not in (None, "Retain")


def deletes_claims(item: Object) -> bool:
    """Tell whether a StatefulSet takes the claims of its pods with it."""
    return field(item, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete" and bool(
        field(item, "spec", "volumeClaimTemplates")
    )


LOSSES = (
    Loss(
        "",
        "Namespace",
        "Everything in the Namespace is deleted with it.",
        f"{_DOCS}/overview/working-with-objects/namespaces/",
    ),
    Loss(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "All its resources are deleted with it, in all namespaces.",
        "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/",
    ),
    Loss(
        "",
        "PersistentVolumeClaim",
        "Its volume is deleted with it, unless the volume's reclaim policy is Retain.",
        f"{_DOCS}/storage/persistent-volumes/#reclaiming",
    ),
    Loss(
        "",
        "PersistentVolume",
        "The storage behind it is deleted, because its reclaim policy is not Retain.",
        f"{_DOCS}/storage/persistent-volumes/#reclaiming",
        when=_reclaimed,
    ),
    Loss(
        "apps",
        "StatefulSet",
        "The volumes of its pods are deleted with it (persistentVolumeClaimRetentionPolicy.whenDeleted is Delete).",
        f"{_DOCS}/workloads/controllers/statefulset/#persistentvolumeclaim-retention",
        when=deletes_claims,
    ),
)

#: Kinds whose removal stops something that others use; what is lost with other kinds is in LOSSES.
OUTAGES = {
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("argoproj.io", "Application"),
    ("argoproj.io", "Rollout"),
    ("", "Service"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("networking.k8s.io", "Ingress"),
}


def is_dangerous(item: Object, effect: Effect) -> bool:
    """Tell whether a person has to agree to an effect on an object."""
    return effect >= Effect.REPLACEMENT or (effect == Effect.DELETE and (item.group, item.kind) in OUTAGES)

"""Which storage classes a cluster has, and what they can do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence


@dataclass(frozen=True)
class StorageClass:
    """What is known of a storage class.

    Attributes:
        waits: Whether it creates a volume only for the first pod that mounts it (``WaitForFirstConsumer``).
        shared: Whether pods on several nodes can use one of its volumes; None if that is not known.
    """

    waits: bool
    shared: bool | None


_BLOCK = StorageClass(waits=False, shared=False)
#: The classes of new clusters, the default first: the manifests of csi-digitalocean (deploy/kubernetes/releases), where
#: ``volumeBindingMode`` is missing and so ``Immediate``, and ``local-storage.yaml`` of k3s.
_BUILT_IN: Mapping[str, Mapping[str, StorageClass]] = {
    "digitalocean": {f"do-block-storage{end}": _BLOCK for end in ("", "-retain", "-xfs", "-xfs-retain")},
    "k3d": {"local-path": StorageClass(waits=True, shared=False)},
}


def storage_classes(model: ClusterModel) -> Mapping[str, StorageClass] | None:
    """Return the storage classes of a cluster, or None if it may have others."""
    return known_classes(model) if model.cluster.kind in _BUILT_IN else None


def known_classes(model: ClusterModel) -> Mapping[str, StorageClass]:
    """Return the storage classes of a cluster that are known. There may be others."""
    declared = {
        item.name: StorageClass(item.manifest.get("volumeBindingMode") == "WaitForFirstConsumer", None)
        for item in model.kind("StorageClass")
    }
    return {**_BUILT_IN.get(model.cluster.kind, {}), **declared}


def class_of(model: ClusterModel, claim_spec: Mapping[str, Any]) -> str | None:
    """Return the class of a claim: the one that it names, or the default; None if that is not known."""
    named = claim_spec.get("storageClassName")
    if named is not None:
        return str(named)
    for item in model.kind("StorageClass"):
        if item.annotations.get("storageclass.kubernetes.io/is-default-class") == "true":
            return item.name
    return next(iter(_BUILT_IN.get(model.cluster.kind, ())), None)


def claims(item: Object) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield path, name and spec of the claim that an object is, or of those that a StatefulSet creates for each pod."""
    if item.kind == "PersistentVolumeClaim":
        yield "spec", item.name, item.spec
    elif item.kind == "StatefulSet":
        for number, template in enumerate(mappings(item.spec.get("volumeClaimTemplates"))):
            name = str(inner(template, "metadata", "name"))
            yield f"spec.volumeClaimTemplates[{number}].spec", name, mapping(template.get("spec"))


def is_shared(claim_spec: Mapping[str, Any]) -> bool:
    """Tell whether a claim asks for a volume that pods on several nodes can use."""
    return bool({"ReadWriteMany", "ReadOnlyMany"} & set(map(str, sequence(claim_spec.get("accessModes")))))

"""Which storage classes a cluster has, and what they can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.manifest import mapping, sequence


@dataclass(frozen=True)
class StorageClass:
    """What is known of a storage class.

    Attributes:
        waits: Whether it makes a volume only for a pod that is scheduled (``WaitForFirstConsumer``).
        shared: Whether pods on several nodes can use a volume of it; None if that is not known.
    """

    waits: bool
    shared: bool | None


_BLOCK = StorageClass(waits=False, shared=False)
#: Classes that clusters come with: the manifests of csi-digitalocean (deploy/kubernetes/releases), which name no
#: ``volumeBindingMode`` and so have ``Immediate``, and ``local-storage.yaml`` of k3s. The first is the default.
_BUILT_IN: Mapping[str, Mapping[str, StorageClass]] = {
    "digitalocean": {
        "do-block-storage": _BLOCK,
        "do-block-storage-retain": _BLOCK,
        "do-block-storage-xfs": _BLOCK,
        "do-block-storage-xfs-retain": _BLOCK,
    },
    "k3d": {"local-path": StorageClass(waits=True, shared=False)},
}


def storage_classes(model: ClusterModel) -> Mapping[str, StorageClass] | None:
    """Return the storage classes that a cluster has, or None if that is not known."""
    built_in = _BUILT_IN.get(model.cluster.kind)
    if built_in is None:
        return None
    return {**built_in, **_declared(model)}


def known_classes(model: ClusterModel) -> Mapping[str, StorageClass]:
    """Return the storage classes of which something is known, whether or not there may be others."""
    return {**_BUILT_IN.get(model.cluster.kind, {}), **_declared(model)}


def _declared(model: ClusterModel) -> dict[str, StorageClass]:
    return {
        item.name: StorageClass(item.manifest.get("volumeBindingMode") == "WaitForFirstConsumer", None)
        for item in model.kind("StorageClass")
    }


def class_of(model: ClusterModel, claim_spec: Mapping[str, Any]) -> str | None:
    """Return the class that a claim gets: the one that it names, or the default; None if that is not known."""
    named = claim_spec.get("storageClassName")
    if named is not None:
        return str(named)
    for item in model.kind("StorageClass"):
        if item.annotations.get("storageclass.kubernetes.io/is-default-class") == "true":
            return item.name
    return next(iter(_BUILT_IN.get(model.cluster.kind, ())), None)


def claims(item: Object) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield path, name and spec of every claim that an object is or makes."""
    if item.kind == "PersistentVolumeClaim":
        yield "spec", item.name, item.spec
    elif item.kind == "StatefulSet":
        for number, template in enumerate(map(mapping, sequence(item.spec.get("volumeClaimTemplates")))):
            name = str(mapping(template.get("metadata")).get("name"))
            yield f"spec.volumeClaimTemplates[{number}].spec", name, mapping(template.get("spec"))


def is_shared(claim_spec: Mapping[str, Any]) -> bool:
    """Tell whether a claim wants a volume that pods on several nodes can use."""
    return bool({"ReadWriteMany", "ReadOnlyMany"} & set(map(str, sequence(claim_spec.get("accessModes")))))

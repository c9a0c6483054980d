"""What pods ask for: processor, memory, disk and volumes; and how an update of them proceeds."""

import math
from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.capacity.packing import Amount, Item
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.storage import claims
from constructs_lib.kubernetes.manifest import inner, mapping
from constructs_lib.kubernetes.quantity import quantity, share
from constructs_lib.kubernetes.workloads import Container

GIB = 2**30
_RESOURCES = (("cpu", 1000), ("memory", 1), ("ephemeral-storage", 1))


def requests(pods: Pods) -> Amount:
    """Return what one of some pods requests, but for volumes.

    That is the sum of its containers, or the largest of the init containers that run before them, if that is more. Init
    containers with ``restartPolicy: Always`` run beside the others. A limit without a request is a request.
    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers and
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
    """
    cpu, memory, disk = (_request(pods, resource, scale) for resource, scale in _RESOURCES)
    return Amount(cpu, memory, disk, pods=1)


def _request(pods: Pods, resource: str, scale: int) -> int:
    def asked(holder: Mapping[str, Any]) -> int:
        return _asked(mapping(holder.get("resources")), resource, scale)

    beside = largest = 0
    for container in pods.containers:
        if container.runs:
            beside += asked(container.manifest)
        else:
            largest = max(largest, beside + asked(container.manifest))
    # Resources of the pod itself replace the sum of its containers.
    own = asked(pods.spec) or max(beside, largest)
    return own + amount_of(inner(pods.spec, "overhead", resource), scale)


def _asked(resources: Mapping[str, Any], resource: str, scale: int) -> int:
    asked, limit = (inner(resources, key, resource) for key in ("requests", "limits"))
    amount = amount_of(limit if asked is None else asked, scale)
    # The API server refuses a request above its limit, which the proof "schemas" reports; either may be the mistake.
    return 0 if limit is not None and amount > amount_of(limit, scale) else amount


def amount_of(value: object, scale: int = 1) -> int:
    """Return a quantity in parts of a whole, such as 1000 for thousandths of a core; 0 for what is no quantity.

    It is rounded up, as the scheduler does.
    """
    known = quantity(value)
    return math.ceil(known * scale) if known is not None else 0


def shown_bytes(number: int) -> str:
    """Return an amount of memory or disk as messages show it."""
    return f"{number / GIB:.3g} GiB" if number >= GIB else f"{number / 2**20:.3g} MiB"


def memory_limit(container: Container) -> int:
    """Return the memory limit of a container in bytes; 0 if it has none."""
    return amount_of(inner(container.get("resources"), "limits", "memory"))


def volumes(model: ClusterModel, pods: Pods) -> tuple[list[str], int]:
    """Return the claims that some pods share, and how many volumes each of them has for itself."""
    shared = [
        f"{pods.namespace}/{mounted.name}"
        for mounted in pods.claims
        if (claim := model.get("PersistentVolumeClaim", pods.namespace, mounted.name)) and _is_attached(claim.spec)
    ]
    templates = (inner(volume, "ephemeral", "volumeClaimTemplate") for _, volume in pods.volumes)
    own = [mapping(inner(template, "spec")) for template in templates if template]
    own += [spec for _, _, spec in claims(pods.owner)]
    return shared, sum(map(_is_attached, own))


def _is_attached(claim_spec: Mapping[str, Any]) -> bool:
    """Tell whether the volume of a claim is attached to a node: its class is that of DigitalOcean, or the default."""
    return str(claim_spec.get("storageClassName") or "do-block-storage").startswith("do-block-storage")


def chart_items(name: str, values: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the pods and volumes that the values of a chart mention: the least that the chart needs.

    Each ``resources`` counts as one pod, as many times as the ``replicas`` beside it say, and each
    ``volumeClaimTemplate`` as a volume. Values do not say what runs on every node, nor what the chart does by default.
    """
    if values.get("enabled") is False:
        return
    replicas = next((values[key] for key in ("replicas", "replicaCount") if isinstance(values.get(key), int)), 1)
    for key, value in values.items():
        part = mapping(value)
        if key == "resources":
            amount = Amount(_asked(part, "cpu", 1000), _asked(part, "memory", 1), pods=1)
            if amount.cpu or amount.memory:
                yield from repeat(Item(name, amount), replicas)
        elif key == "volumeClaimTemplate":
            if _is_attached(mapping(part.get("spec"))):
                yield from repeat(Item(name, Amount(volumes=1)), replicas)
        else:
            yield from chart_items(name, part)


def rolling_update(owner: Object, replicas: int) -> tuple[int, int]:
    """Return how many pods an update of a Deployment may add, and how many of the old ones it may remove at once.

    A percentage is rounded up for the first number and down for the second. If both are then 0, one pod may be removed
    (``ResolveFenceposts`` in ``pkg/controller/deployment/util`` of Kubernetes).
    """
    strategy = mapping(owner.spec.get("strategy"))
    if owner.kind != "Deployment" or strategy.get("type") == "Recreate" or not replicas:
        return 0, replicas
    bounds = mapping(strategy.get("rollingUpdate"))
    surge = share(bounds.get("maxSurge", "25%"), replicas, up=True) or 0
    unavailable = share(bounds.get("maxUnavailable", "25%"), replicas, up=False) or 0
    return surge, unavailable if surge or unavailable else 1

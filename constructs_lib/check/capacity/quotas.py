"""Whether ResourceQuotas and LimitRanges let in what a namespace has.

The admission of the API server refuses what does not fit, and the controller of a workload tries again for ever:
https://kubernetes.io/docs/concepts/policy/resource-quotas/ and https://kubernetes.io/docs/concepts/policy/limit-range/
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.capacity.requests import rolling_update
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.storage import claims
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.kubernetes.workloads import Container
from constructs_lib.text import listed

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
#: Names of quotas for how many objects of a kind there are, beside ``count/<resource>.<group>``.
_COUNTED = {
    "configmaps": "ConfigMap",
    "secrets": "Secret",
    "services": "Service",
    "count/configmaps": "ConfigMap",
    "count/cronjobs.batch": "CronJob",
    "count/deployments.apps": "Deployment",
    "count/ingresses.networking.k8s.io": "Ingress",
    "count/jobs.batch": "Job",
    "count/secrets": "Secret",
    "count/services": "Service",
    "count/statefulsets.apps": "StatefulSet",
}


def prove_quotas(model: ClusterModel) -> Iterator[Finding]:
    """Yield quotas that are too small for their namespace, and pods and claims that a quota or a range refuses."""
    ranges: dict[str, list[Object]] = {}
    for item in model.kind("LimitRange"):
        ranges.setdefault(item.namespace, []).append(item)
    for quota in model.kind("ResourceQuota"):
        # Quotas with scopes count some of the pods only.
        if not quota.spec.get("scopes") and not quota.spec.get("scopeSelector"):
            yield from _quota(model, quota, ranges.get(quota.namespace, ()))
    for namespace, items in ranges.items():
        for pods in model.pods_by_namespace.get(namespace, ()):
            for item in items:
                yield from _range(item, pods)
        for claim in model.kind("PersistentVolumeClaim"):
            for item in items if claim.namespace == namespace else ():
                yield from _claim_range(item, claim)


def _quota(model: ClusterModel, quota: Object, ranges: Sequence[Object]) -> Iterator[Finding]:
    everything = model.pods_by_namespace.get(quota.namespace, [])
    for name, limit in mapping(quota.spec.get("hard")).items():
        hard, at = quantity(limit), f"spec.hard[{name}]"
        if hard is None:
            continue
        is_apart = name.startswith(("requests.", "limits."))
        kind, _, resource = name.partition(".") if is_apart else ("requests", "", name)
        if name in ("pods", "count/pods"):
            yield from _too_small(model, quota, at, hard, "pods", [(pods, Decimal(1)) for pods in everything])
        elif resource in _COMPUTE:
            for pods in everything:
                yield from _compulsory(quota, pods, kind, resource, ranges)
            used = [(pods, _of_pod(pods, kind, resource, ranges)) for pods in everything]
            yield from _too_small(model, quota, at, hard, f"{kind} of {resource}", used)
        elif name == "requests.storage":
            yield from _too_small(model, quota, at, hard, "storage", [*_storage(model, quota.namespace)])
        elif name in ("services.loadbalancers", "services.nodeports"):
            types = ("LoadBalancer",) if name.endswith("loadbalancers") else ("LoadBalancer", "NodePort")
            found = [item for item in model.services.get(quota.namespace, ()) if item.spec.get("type") in types]
            yield from _too_many(quota, at, hard, found)
        elif name.removeprefix("count/") == "persistentvolumeclaims":
            alone = [
                (None, Decimal(1)) for item in model.kind("PersistentVolumeClaim") if item.namespace == quota.namespace
            ]
            made = [
                (pods, Decimal(1)) for pods in everything for _ in mappings(pods.owner.spec.get("volumeClaimTemplates"))
            ]
            yield from _too_small(model, quota, at, hard, "claims", [*alone, *made])
        elif name in _COUNTED:
            found = [item for item in model.kind(_COUNTED[name]) if item.namespace == quota.namespace]
            yield from _too_many(quota, at, hard, found)


def _too_many(quota: Object, at: str, hard: Decimal, found: Sequence[Object]) -> Iterator[Finding]:
    if len(found) > hard:
        names = listed(sorted(f"{item.kind} {item.name}" for item in found))
        problem = f"{hard} are permitted in the namespace {quota.namespace}, and the tree has {len(found)}: {names}."
        yield Finding.of("quota-too-small", quota, problem, at=at)


def _too_small(
    model: ClusterModel, quota: Object, at: str, hard: Decimal, what: str, used: Sequence[tuple[Pods | None, Decimal]]
) -> Iterator[Finding]:
    """Yield a finding if the pods together need more than is permitted; pods that end are counted once at a time."""
    least = most = surge = Decimal(0)
    for pods, amount in used:
        scale = model.scales.of(pods.owner) if pods else None
        smallest, largest = (scale.minimum, scale.maximum) if scale and not scale.per_node else (1, 1)
        least, most = least + smallest * amount, most + largest * amount
        added, removed = rolling_update(pods.owner, smallest) if pods else (0, 0)
        surge = max(surge, added * amount if not removed else Decimal(0))
    shown = f"{what} in the namespace {quota.namespace}"
    if least > hard:
        problem = f"{_plain(hard)} are permitted as {shown}, and {_plain(least)} are needed."
        yield Finding.of("quota-too-small", quota, problem, at=at)
    elif least + surge > hard:
        problem = f"{_plain(hard)} are permitted as {shown}; an update needs {_plain(least + surge)} for a time."
        yield Finding.of("quota-too-small", quota, problem, at=at)
    elif most > hard:
        problem = (
            f"{_plain(hard)} are permitted as {shown}; at the maximum of the autoscalers, {_plain(most)} are needed."
        )
        yield Finding.of("quota-below-maximum", quota, problem, at=at)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _storage(model: ClusterModel, namespace: str) -> Iterator[tuple[Pods | None, Decimal]]:
    for item in model.kind("PersistentVolumeClaim"):
        if item.namespace == namespace:
            yield None, quantity(inner(item.spec, "resources", "requests", "storage")) or Decimal(0)
    for pods in model.pods_by_namespace.get(namespace, ()):
        for _, _, spec in claims(pods.owner):
            yield pods, quantity(inner(spec, "resources", "requests", "storage")) or Decimal(0)


def _default(ranges: Sequence[Object], kind: str, resource: str) -> Decimal | None:
    """Return what a LimitRange gives a container that says nothing; a default limit is a request as well."""
    for item in ranges:
        for limit in mappings(item.spec.get("limits")):
            fields = ("default",) if kind == "limits" else ("defaultRequest", "default", "max")
            if limit.get("type") == "Container":
                for field in fields:
                    if (found := quantity(inner(limit, field, resource))) is not None:
                        return found
    return None


def _given(container: Container, kind: str, resource: str) -> Decimal | None:
    resources = mapping(container.get("resources"))
    found = quantity(inner(resources, kind, resource))
    return quantity(inner(resources, "limits", resource)) if found is None and kind == "requests" else found


def _of_pod(pods: Pods, kind: str, resource: str, ranges: Sequence[Object]) -> Decimal:
    """Return what one pod counts for: the sum of its containers, or the largest that runs before them."""
    default = _default(ranges, kind, resource) or Decimal(0)
    beside = largest = Decimal(0)
    for container in pods.containers:
        given = _given(container, kind, resource)
        amount = default if given is None else given
        if container.runs:
            beside += amount
        else:
            largest = max(largest, beside + amount)
    return max(beside, largest)


def _compulsory(quota: Object, pods: Pods, kind: str, resource: str, ranges: Sequence[Object]) -> Iterator[Finding]:
    """Yield containers that say nothing of a resource that a quota counts: their pods are refused."""
    if resource == "ephemeral-storage" or _default(ranges, kind, resource) is not None:
        return
    for container in pods.containers:
        if _given(container, kind, resource) is None and inner(pods.spec, "resources", kind, resource) is None:
            problem = (
                f"The ResourceQuota {quota.name} counts {kind} of {resource}, and the container says nothing of it."
            )
            yield Finding.of("quota-demands-resources", pods.owner, problem, at=f"{container.path}.resources")


def _range(item: Object, pods: Pods) -> Iterator[Finding]:
    for at, limit in entries(item.spec.get("limits"), "spec.limits"):
        if limit.get("type") == "Container":
            for container in pods.containers:
                given = {
                    resource: (_given(container, "requests", resource), _given(container, "limits", resource))
                    for resource in _bounded(limit)
                }
                yield from _outside(item, at, limit, given, pods.owner, f"{container.path}.resources")
                with_defaults = {
                    resource: (
                        _default([item], "requests", resource) if request is None else request,
                        _default([item], "limits", resource) if most is None else most,
                    )
                    for resource, (request, most) in given.items()
                }
                yield from _ratio(item, at, limit, with_defaults, pods.owner, f"{container.path}.resources")
        elif limit.get("type") == "Pod":
            sums = {
                resource: (_of_pod(pods, "requests", resource, [item]), _of_pod(pods, "limits", resource, [item]))
                for resource in _bounded(limit)
            }
            yield from _outside(item, at, limit, sums, pods.owner, f"{pods.path}.containers")
            yield from _ratio(item, at, limit, sums, pods.owner, f"{pods.path}.containers")
        elif limit.get("type") == "PersistentVolumeClaim":
            for field, _, spec in claims(pods.owner):
                asked = quantity(inner(spec, "resources", "requests", "storage"))
                yield from _outside(item, at, limit, {"storage": (asked, None)}, pods.owner, field)


def _claim_range(item: Object, claim: Object) -> Iterator[Finding]:
    asked = quantity(inner(claim.spec, "resources", "requests", "storage"))
    for at, limit in entries(item.spec.get("limits"), "spec.limits"):
        if limit.get("type") == "PersistentVolumeClaim":
            field = "spec.resources.requests.storage"
            yield from _outside(item, at, limit, {"storage": (asked, None)}, claim, field)


def _ratio(
    item: Object,
    at: str,
    limit: Mapping[str, Any],
    given: Mapping[str, tuple[Decimal | None, Decimal | None]],
    owner: Object,
    field: str,
) -> Iterator[Finding]:
    """Yield limits that are more than so many times what is requested."""
    for resource, (request, most) in sorted(given.items()):
        ratio = quantity(inner(limit, "maxLimitRequestRatio", resource))
        if ratio is not None and (not request or not most or most / request > ratio):
            is_of = f"{_plain(most / request)} times the request" if request and most else "not known"
            problem = f"The LimitRange {item.name} permits {_plain(ratio)} times the request as limit of {resource}"
            yield Finding.of("limit-range-violated", owner, f"{problem} ({at}), and it is {is_of}.", at=field)


def _bounded(limit: Mapping[str, Any]) -> set[str]:
    return {resource for field in ("min", "max", "maxLimitRequestRatio") for resource in mapping(limit.get(field))}


def _outside(
    item: Object,
    at: str,
    limit: Mapping[str, Any],
    given: Mapping[str, tuple[Decimal | None, Decimal | None]],
    owner: Object,
    field: str,
) -> Iterator[Finding]:
    for resource, (request, most) in sorted(given.items()):
        low, high = quantity(inner(limit, "min", resource)), quantity(inner(limit, "max", resource))
        below = request is not None and low is not None and request < low
        above = high is not None and max(request or Decimal(0), most or Decimal(0)) > high
        if below or above:
            bound, number = ("min", low) if below else ("max", high)
            problem = (
                f"The LimitRange {item.name} has {_plain(number or Decimal(0))} as {bound} of {resource} for a "
                f"{limit['type']} ({at}), which this is {'below' if below else 'above'}."
            )
            yield Finding.of("limit-range-violated", owner, problem, at=field)

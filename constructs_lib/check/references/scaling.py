"""Whether autoscalers can measure what they scale by: containers that are there, and requests to compare with."""

from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.tools import patched
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings
from constructs_lib.kubernetes.workloads import Container, scaled
from constructs_lib.text import hint


def prove_scaling(model: ClusterModel) -> Iterator[Finding]:
    """Yield the metrics of autoscalers that no container gives, or that nothing can be compared with."""
    unfinished = patched(model)
    defaulted = {item.namespace for item in model.kind("LimitRange")}
    by_target = {(pods.owner.kind, pods.namespace, pods.owner.name): pods for pods in model.pods}
    for autoscaler in model.kind("HorizontalPodAutoscaler"):
        pods = by_target.get(scaled(autoscaler))
        if pods is not None and not {id(pods.owner.manifest), id(autoscaler.manifest)} & unfinished:
            for at, metric in _metrics(autoscaler):
                yield from _metric(autoscaler, pods, at, metric, is_defaulted=autoscaler.namespace in defaulted)


def _metrics(autoscaler: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the metrics of an autoscaler with their fields, as version 2 has them."""
    percent, field = autoscaler.spec.get("targetCPUUtilizationPercentage"), "spec.metrics"
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        yield "spec.targetCPUUtilizationPercentage", {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    yield from entries(autoscaler.spec.get("metrics"), field)
    if percent is None and not mappings(autoscaler.spec.get("metrics")):
        # Without any, the API server fills in four fifths of the processor.
        yield field, {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}


def _metric(
    autoscaler: Object, pods: Pods, at: str, metric: Mapping[str, Any], *, is_defaulted: bool
) -> Iterator[Finding]:
    field = {"Resource": "resource", "ContainerResource": "containerResource"}.get(str(metric.get("type")), "")
    source = mapping(metric.get(field))
    resource, target = source.get("name"), mapping(source.get("target"))
    if not isinstance(resource, str):
        return
    measured = [container for container in pods.containers if container.runs]
    if field == "containerResource":
        name, known = str(source.get("container")), [container.name for container in measured]
        measured = [container for container in measured if container.name == name]
        if not measured:
            problem = f"The {pods.owner.kind} {pods.owner.name} has no container {name} that runs."
            fix, here = hint("container", name, known), f"{at}.{field}.container"
            yield Finding.of("autoscaler-container-missing", autoscaler, problem, at=here, fix=fix)
            return
    relative = target.get("type") == "Utilization" or "targetAverageUtilization" in source
    if not relative or is_defaulted or _asks(pods.spec, resource):
        return
    # Sidecars among the init containers count from some versions on only.
    without = [each.name for each in measured if not each.is_init and not _asks(each, resource)]
    if without:
        names = ", ".join(without)
        problem = f"It scales by a part of the {resource} that is requested, and {names} of {pods.owner.name} "
        problem += f"{'request' if len(without) > 1 else 'requests'} none."
        yield Finding.of("autoscaler-without-requests", autoscaler, problem, at=at)


def _asks(holder: Container | Mapping[str, Any], resource: str) -> bool:
    """Tell whether a container, or pods as a whole, request a resource, if only by a limit."""
    return any(resource in mapping(inner(holder.get("resources"), kind)) for kind in ("requests", "limits"))

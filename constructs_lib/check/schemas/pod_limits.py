"""What the API server checks in pods beyond their schema.

The rules are those of ``ValidatePodTemplateSpec`` and of the functions below it in
https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/validation.go, and that of the kubelet for
references of images.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import Pods
from constructs_lib.check.schemas.names import PORT_NAME_RULE, label_findings
from constructs_lib.check.schemas.openapi import number
from constructs_lib.check.schemas.tables import Enum, Range, enum_findings, range_findings
from constructs_lib.kubernetes.image import image
from constructs_lib.kubernetes.manifest import mapping, sequence
from constructs_lib.kubernetes.names import is_label, is_port_name, is_variable
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.text import given, joined, sentence

_SCALED = ("cpu", "memory", "ephemeral-storage")
_HANDLERS = ("exec", "grpc", "httpGet", "sleep", "tcpSocket")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")

_POD_ENUMS: tuple[Enum, ...] = (
    ("restartPolicy", ("Always", "OnFailure", "Never")),
    ("dnsPolicy", ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")),
    ("preemptionPolicy", ("Never", "PreemptLowerPriority")),
    ("os.name", ("linux", "windows")),
    ("securityContext.fsGroupChangePolicy", ("Always", "OnRootMismatch")),
    ("securityContext.supplementalGroupsPolicy", ("Merge", "Strict")),
    ("securityContext.seccompProfile.type", ("Localhost", "RuntimeDefault", "Unconfined")),
    ("securityContext.appArmorProfile.type", ("Localhost", "RuntimeDefault", "Unconfined")),
    ("tolerations.*.operator", ("Equal", "Exists", "Gt", "Lt")),
    ("tolerations.*.effect", ("", "NoExecute", "NoSchedule", "PreferNoSchedule")),
    ("topologySpreadConstraints.*.whenUnsatisfiable", ("DoNotSchedule", "ScheduleAnyway")),
    ("topologySpreadConstraints.*.nodeAffinityPolicy", ("Honor", "Ignore")),
    ("topologySpreadConstraints.*.nodeTaintsPolicy", ("Honor", "Ignore")),
    ("volumes.*.hostPath.type", (
        "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
    )),
)  # fmt: skip
_POD_RANGES: tuple[Range, ...] = (
    ("terminationGracePeriodSeconds", 0, None),
    ("activeDeadlineSeconds", 1, None),
    ("topologySpreadConstraints.*.maxSkew", 1, None),
    ("topologySpreadConstraints.*.minDomains", 1, None),
    ("securityContext.runAsUser", 0, 2**31 - 1),
    ("securityContext.runAsGroup", 0, 2**31 - 1),
    ("securityContext.fsGroup", 0, 2**31 - 1),
    # 0777 in octal numbers: 600 without a leading zero is 01130.
    ("volumes.*.configMap.defaultMode", 0, 0o777),
    ("volumes.*.secret.defaultMode", 0, 0o777),
    ("volumes.*.projected.defaultMode", 0, 0o777),
    ("volumes.*.downwardAPI.defaultMode", 0, 0o777),
    ("affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution.*.weight", 1, 100),
    ("affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.*.weight", 1, 100),
    ("affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution.*.weight", 1, 100),
)
_CONTAINER_ENUMS: tuple[Enum, ...] = (
    ("imagePullPolicy", ("Always", "IfNotPresent", "Never")),
    ("terminationMessagePolicy", ("FallbackToLogsOnError", "File")),
    ("ports.*.protocol", ("SCTP", "TCP", "UDP")),
    ("securityContext.procMount", ("Default", "Unmasked")),
    ("securityContext.seccompProfile.type", ("Localhost", "RuntimeDefault", "Unconfined")),
    ("securityContext.appArmorProfile.type", ("Localhost", "RuntimeDefault", "Unconfined")),
    ("volumeMounts.*.mountPropagation", ("Bidirectional", "HostToContainer", "None")),
    ("resizePolicy.*.restartPolicy", ("NotRequired", "RestartContainer")),
)
_CONTAINER_RANGES: tuple[Range, ...] = (
    ("securityContext.runAsUser", 0, 2**31 - 1),
    ("securityContext.runAsGroup", 0, 2**31 - 1),
)
_PROBE_RANGES: tuple[Range, ...] = (
    ("failureThreshold", 0, None),
    ("initialDelaySeconds", 0, None),
    ("periodSeconds", 0, None),
    ("successThreshold", 0, None),
    ("timeoutSeconds", 0, None),
    ("terminationGracePeriodSeconds", 1, None),
    ("grpc.port", 1, 65535),
)


def pod_findings(pods: Pods, version: str) -> Iterator[Finding]:
    """Yield what is wrong with the pods of a workload.

    Args:
        pods: The pods.
        version: The version of Kubernetes.
    """
    owner, spec, path = pods.owner, pods.spec, pods.path
    yield from enum_findings(owner, spec, _POD_ENUMS, path)
    yield from range_findings(owner, spec, _POD_RANGES, path)
    yield from _restart_findings(pods)
    # A spec that is missing is told by its own name.
    if spec and not sequence(spec.get("containers")):
        yield Finding.of("missing-field", owner, "Its pods have no container.", at=f"{path}.containers")
    yield from label_findings(owner, spec.get("nodeSelector"), f"{path}.nodeSelector")
    yield from _volume_findings(pods)
    names: dict[str, str] = {}
    for at, container in pods.containers:
        name = container.get("name")
        if isinstance(name, str):
            yield from _label_name(owner, name, f"{at}.name", "container")
            if name in names:
                yield Finding.of("duplicate-name", owner, f'Two containers are called "{name}".', at=f"{at}.name")
            names[name] = at
        yield from _container_findings(owner, container, at, version, runs=_runs(at, container))


def _runs(at: str, container: Mapping[str, Any]) -> bool:
    """Tell whether a container goes on running, as no init container but a sidecar does."""
    return ".initContainers[" not in at or container.get("restartPolicy") == "Always"


def _restart_findings(pods: Pods) -> Iterator[Finding]:
    policy, kind = pods.spec.get("restartPolicy"), pods.owner.kind
    if kind in ("Job", "CronJob"):
        allowed: tuple[str, ...] = ("Never", "OnFailure")
    elif kind == "Pod":
        return
    else:
        allowed = ("Always",)
    if policy not in allowed and (policy is not None or kind in ("Job", "CronJob")):
        wanted = joined(allowed, "or")
        problem = f"The pods of a {kind} restart {given(policy) if policy else 'Always, as they say nothing else'}."
        yield Finding.of("bad-value", pods.owner, problem, at=f"{pods.path}.restartPolicy", fix=f"{wanted} is needed.")


def _label_name(owner: Object, name: str, at: str, what: str) -> Iterator[Finding]:
    if not is_label(name):
        fix = f"A {what} has at most 63 lower-case letters, digits and hyphens."
        yield Finding.of("bad-name", owner, f'"{name}" is no name of a {what}.', at=at, fix=fix)


def _volume_findings(pods: Pods) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, volume in enumerate(sequence(pods.spec.get("volumes"))):
        if not isinstance(volume, dict):
            continue
        name = volume.get("name")
        at = f"{pods.path}.volumes[{name if isinstance(name, str) else index}]"
        if isinstance(name, str):
            yield from _label_name(pods.owner, name, f"{at}.name", "volume")
            if name in seen:
                yield Finding.of("duplicate-name", pods.owner, f'Two volumes are called "{name}".', at=f"{at}.name")
            seen.add(name)
        sources = sorted(key for key, value in volume.items() if key != "name" and value is not None)
        if len(sources) > 1:
            problem = f"The volume {name} is a {' and a '.join(sources)} at once."
            yield Finding.of("contradictory-fields", pods.owner, problem, at=at)
        limit = mapping(volume.get("emptyDir")).get("sizeLimit")
        if limit is not None:
            yield from quantity_findings(pods.owner, "storage", limit, f"{at}.emptyDir.sizeLimit")


def _container_findings(
    owner: Object, container: Mapping[str, Any], at: str, version: str, *, runs: bool
) -> Iterator[Finding]:
    yield from enum_findings(owner, container, _CONTAINER_ENUMS, at)
    yield from range_findings(owner, container, _CONTAINER_RANGES, at)
    yield from _image_findings(owner, container, at)
    yield from _port_findings(owner, sequence(container.get("ports")), f"{at}.ports")
    yield from _variable_findings(owner, sequence(container.get("env")), f"{at}.env", version)
    yield from _mount_findings(owner, sequence(container.get("volumeMounts")), f"{at}.volumeMounts")
    yield from resource_findings(owner, mapping(container.get("resources")), f"{at}.resources")
    for field in _PROBES:
        if isinstance(container.get(field), dict):
            yield from _probe_findings(owner, field, container[field], f"{at}.{field}", runs=runs)
    lifecycle = container.get("lifecycle")
    if isinstance(lifecycle, dict):
        if not runs:
            yield _not_for_init(owner, "lifecycle", f"{at}.lifecycle")
        for hook in ("postStart", "preStop"):
            if isinstance(lifecycle.get(hook), dict):
                yield from _handler_findings(owner, hook, lifecycle[hook], f"{at}.lifecycle.{hook}")
    context = mapping(container.get("securityContext"))
    if context.get("privileged") is True and context.get("allowPrivilegeEscalation") is False:
        problem = "A privileged container cannot be kept from gaining privileges."
        yield Finding.of("contradictory-fields", owner, problem, at=f"{at}.securityContext.allowPrivilegeEscalation")


def _image_findings(owner: Object, container: Mapping[str, Any], at: str) -> Iterator[Finding]:
    reference = container.get("image")
    if not reference:
        yield Finding.of(
            "missing-field", owner, f"The container {container.get('name')} has no image.", at=f"{at}.image"
        )
    elif isinstance(reference, str) and not image(reference):
        fix = ""
        if reference != reference.strip():
            fix = "Take the spaces away."
        elif image(reference.lower()):
            fix = f"Names of images have no capitals: {reference.lower()}."
        yield Finding.of(
            "bad-image", owner, f"{given(reference)} is no reference of an image.", at=f"{at}.image", fix=fix
        )


def _port_findings(owner: Object, ports: Sequence[Any], at: str) -> Iterator[Finding]:
    names: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for index, port in enumerate(ports):
        if not isinstance(port, dict):
            continue
        here = f"{at}[{index}]"
        for field in ("containerPort", "hostPort"):
            if isinstance(port.get(field), int) and not (field == "hostPort" and port[field] == 0):
                yield from port_findings(owner, port[field], f"{here}.{field}")
        name = port.get("name")
        if isinstance(name, str) and name:
            yield from port_findings(owner, name, f"{here}.name")
            if name in names:
                yield Finding.of("duplicate-name", owner, f'Two ports are called "{name}".', at=f"{here}.name")
            names.add(name)
        key = str(port.get("containerPort")), str(port.get("protocol") or "TCP")
        if key in seen:
            yield Finding.of("duplicate-entry", owner, f"The port {key[0]} of {key[1]} is there twice.", at=here)
        seen.add(key)


def port_findings(owner: Object, port: object, at: str) -> Iterator[Finding]:
    """Yield what is wrong with the number or name of a port.

    Args:
        owner: The object that names it.
        port: The number or name; anything else is the business of its schema.
        at: Where it stands.
    """
    if isinstance(port, bool):
        return
    if isinstance(port, int) and not 1 <= port <= 65535:
        yield Finding.of("bad-port", owner, f"{port} is no port.", at=at, fix="A port is a number from 1 to 65535.")
    elif isinstance(port, str) and not is_port_name(port):
        fix = f"Write the number {port} without quotes." if port.isdecimal() else f"It has {PORT_NAME_RULE}."
        yield Finding.of("bad-port", owner, f'"{port}" is no name of a port.', at=at, fix=fix)


def _variable_findings(owner: Object, variables: Sequence[Any], at: str, version: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        name = variable.get("name") if isinstance(variable, dict) else None
        if not isinstance(name, str):
            continue
        here = f"{at}[{name or index}]"
        if not is_variable(name, number(version)):
            fix = "A variable has letters, digits, underscores, hyphens and dots, and no digit first."
            yield Finding.of("bad-name", owner, f'"{name}" is no name of a variable.', at=f"{here}.name", fix=fix)
        if name in seen:
            yield Finding.of("duplicate-entry", owner, f"The variable {name} is there twice.", at=here)
        seen.add(name)
        source = variable.get("valueFrom")
        if isinstance(source, dict):
            if variable.get("value"):
                yield Finding.of(
                    "contradictory-fields", owner, f"The variable {name} has a value and a valueFrom.", at=here
                )
            if len([key for key, value in source.items() if value is not None]) != 1:
                problem = f"The variable {name} must come from one place."
                yield Finding.of(
                    "contradictory-fields", owner, problem, at=f"{here}.valueFrom", fix="Give one source in valueFrom."
                )


def _mount_findings(owner: Object, mounts: Sequence[Any], at: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        path = mount.get("mountPath") if isinstance(mount, dict) else None
        if not isinstance(path, str):
            continue
        here = f"{at}[{index}]"
        if path in seen:
            yield Finding.of("duplicate-name", owner, f"Two volumes are mounted at {path}.", at=f"{here}.mountPath")
        seen.add(path)
        if not path or ":" in path:
            yield Finding.of(
                "bad-value", owner, f'"{path}" cannot be mounted at.', at=f"{here}.mountPath", fix="Give a path."
            )
        inner = mount.get("subPath")
        if isinstance(inner, str) and (inner.startswith("/") or ".." in inner.split("/")):
            fix = "Give a path within the volume, without .. and no / at its beginning."
            yield Finding.of("bad-value", owner, f'"{inner}" leaves the volume.', at=f"{here}.subPath", fix=fix)


def quantity_findings(owner: Object, resource: str, value: object, at: str) -> Iterator[Finding]:
    """Yield what is wrong with a quantity.

    Args:
        owner: The object that names it.
        resource: The resource that is measured; storage and memory are counted in whole bytes.
        value: The quantity.
        at: Where it stands.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return
    amount = quantity(value)
    if amount is None:
        yield Finding.of(
            "bad-quantity", owner, f"{given(value)} is no quantity.", at=at, fix=_quantity_hint(str(value))
        )
    elif amount < 0:
        yield Finding.of("bad-quantity", owner, f"{value} is less than nothing.", at=at)
    elif amount != amount.to_integral_value() and resource in ("memory", "ephemeral-storage", "storage"):
        fix = f"An m is a thousandth: {str(value).rstrip('m')}Mi or {str(value).rstrip('m')}M is meant."
        yield Finding.of(
            "bad-quantity", owner, f"{value} is {amount} bytes, and there is no part of a byte.", at=at, fix=fix
        )


def _quantity_hint(text: str) -> str:
    match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]+)\s*", text)
    if match is None:
        return ""
    suffix = {"mb": "M", "gb": "G", "kb": "k", "mib": "Mi", "gib": "Gi", "kib": "Ki", "mi": "Mi", "gi": "Gi"}.get(
        match[2].lower()
    )
    return f"Write {match[1]}{suffix}." if suffix else ""


def resource_findings(owner: Object, resources: Mapping[str, Any], at: str) -> Iterator[Finding]:
    """Yield what is wrong with requests and limits (``ValidateResourceRequirements``).

    Args:
        owner: The object that they belong to.
        resources: The requests and limits.
        at: Where they stand.
    """
    requests, limits = mapping(resources.get("requests")), mapping(resources.get("limits"))
    for field, amounts in (("requests", requests), ("limits", limits)):
        for resource, value in amounts.items():
            yield from quantity_findings(owner, resource, value, f"{at}.{field}.{resource}")
    for resource in _SCALED:
        request, limit = quantity(requests.get(resource)), quantity(limits.get(resource))
        if request is not None and limit is not None and request > limit:
            problem = f"{requests[resource]} of {resource} are requested, and the limit is {limits[resource]}."
            yield Finding.of("request-above-limit", owner, problem, at=f"{at}.requests.{resource}")


def _not_for_init(owner: Object, field: str, at: str) -> Finding:
    problem = f"An init container ends by itself and has no {field}."
    fix = "Take it away, or make it a sidecar with restartPolicy: Always."
    return Finding.of("contradictory-fields", owner, problem, at=at, fix=fix)


def _probe_findings(owner: Object, field: str, probe: Mapping[str, Any], at: str, *, runs: bool) -> Iterator[Finding]:
    if not runs:
        yield _not_for_init(owner, field, at)
    yield from _handler_findings(owner, field, probe, at)
    yield from range_findings(owner, probe, _PROBE_RANGES, at)
    if field != "readinessProbe" and probe.get("successThreshold") not in (None, 0, 1):
        fix = "Take it away: only a readiness probe may ask for more than one success."
        yield Finding.of("bad-range", owner, f"A {field} succeeds at once.", at=f"{at}.successThreshold", fix=fix)
    if field == "readinessProbe" and probe.get("terminationGracePeriodSeconds") is not None:
        yield Finding.of(
            "contradictory-fields",
            owner,
            "A readinessProbe ends no container.",
            at=f"{at}.terminationGracePeriodSeconds",
            fix="Take it away.",
        )


def _handler_findings(owner: Object, field: str, handler: Mapping[str, Any], at: str) -> Iterator[Finding]:
    named = [name for name in _HANDLERS if handler.get(name) is not None]
    if len(named) != 1:
        what = f"has {' and '.join(named)}" if named else "does nothing"
        fix = "Give one of exec, httpGet, tcpSocket and grpc." if field in _PROBES else "Give one of exec and httpGet."
        yield Finding.of("contradictory-fields", owner, f"{sentence(field)} {what}.", at=at, fix=fix)
    for name in ("httpGet", "tcpSocket"):
        port = mapping(handler.get(name)).get("port")
        if port is not None:
            yield from port_findings(owner, port, f"{at}.{name}.port")
    scheme = mapping(handler.get("httpGet")).get("scheme")
    if isinstance(scheme, str) and scheme not in ("HTTP", "HTTPS"):
        yield Finding.of(
            "bad-value", owner, f"{given(scheme)} is no scheme.", at=f"{at}.httpGet.scheme", fix="HTTP or HTTPS."
        )

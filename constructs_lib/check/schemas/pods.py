"""What the API server checks in pods beyond their schema.

The rules are those of ``ValidatePodTemplateSpec`` and of the functions below it in
https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/validation.go.
"""

from collections.abc import Mapping
from typing import Any

from constructs_lib.check.bootstrap import version_number
from constructs_lib.check.model import Pods
from constructs_lib.check.schemas.faults import Fault, Faults, field_faults, repeated, resource_faults
from constructs_lib.check.schemas.metadata import label_faults, selector_faults
from constructs_lib.check.schemas.network import is_address, port_faults, twin_faults
from constructs_lib.check.schemas.sources import (
    all_variables_faults,
    name_faults,
    variable_source_faults,
    volume_faults,
)
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, sequence
from constructs_lib.kubernetes.names import image, is_label, is_variable
from constructs_lib.text import given, sentence

_HANDLERS = ("exec", "grpc", "httpGet", "sleep", "tcpSocket")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def pod_faults(pods: Pods, version: str) -> Faults:
    """Yield what is wrong with the pods of a workload."""
    spec, path = pods.spec, pods.path
    yield from field_faults("pod", spec, path)
    yield from _restart_faults(pods)
    if not sequence(spec.get("containers")):
        yield Fault("missing-field", f"{path}.containers", "Its pods have no container.")
    yield from label_faults(spec.get("nodeSelector"), f"{path}.nodeSelector")
    for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get("hostUsers") is False else ():
        if spec.get(field) is True:
            problem = f"It has hostUsers: false and {field}: true; a user namespace of its own shares no other one."
            yield Fault("contradictory-fields", f"{path}.{field}", problem, "Take one of them away.")
    yield from _names([(at, volume.get("name")) for at, volume in pods.volumes], "volume")
    for at, volume in pods.volumes:
        yield from volume_faults(volume, at)
    for at, alias in entries(spec.get("hostAliases"), f"{path}.hostAliases"):
        if not is_address(str(alias.get("ip"))):
            yield Fault("bad-value", f"{at}.ip", f"{given(alias.get('ip'))} is no address.", "Give an IP address.")
    for number, server in enumerate(sequence(inner(spec, "dnsConfig", "nameservers"))):
        if not is_address(str(server)):
            field = f"{path}.dnsConfig.nameservers[{number}]"
            yield Fault("bad-value", field, f"{given(server)} is no address.", "Give an IP address.")
    for field in ("serviceAccountName", "priorityClassName", "runtimeClassName"):
        yield from name_faults(spec.get(field), f"{path}.{field}")
    yield from _placement_faults(spec, path)
    yield from _names([(container.path, container.get("name")) for container in pods.containers], "container")
    for container in pods.containers:
        yield from _container_faults(container.manifest, container.path, version, runs=container.runs)


def _placement_faults(spec: Mapping[str, Any], path: str) -> Faults:
    """Yield what is wrong with how pods are spread over nodes, by constraints and by affinities."""
    spread = [*entries(spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints")]
    terms = list(spread)
    for field in ("podAffinity", "podAntiAffinity"):
        part, at = inner(spec, "affinity", field), f"{path}.affinity.{field}"
        name = "requiredDuringSchedulingIgnoredDuringExecution"
        terms += entries(inner(part, name), f"{at}.{name}")
        name = "preferredDuringSchedulingIgnoredDuringExecution"
        weighted = entries(inner(part, name), f"{at}.{name}")
        terms += ((f"{here}.podAffinityTerm", mapping(term.get("podAffinityTerm"))) for here, term in weighted)
    for at, term in terms:
        yield from selector_faults(term.get("labelSelector"), f"{at}.labelSelector")
        if not term.get("topologyKey"):
            fix = "Give the key of a label of nodes, such as kubernetes.io/hostname."
            yield Fault("missing-field", f"{at}.topologyKey", "It says nothing of what to spread over.", fix)
    for at, key in repeated(
        (at, (str(term.get("topologyKey")), str(term.get("whenUnsatisfiable")))) for at, term in spread
    ):
        yield Fault("duplicate-name", at, f"Two constraints spread over {key[0]} with {key[1]}.")


def _restart_faults(pods: Pods) -> Faults:
    policy, kind = pods.spec.get("restartPolicy"), pods.owner.kind
    is_job = kind in ("Job", "CronJob")
    allowed = ("Never", "OnFailure") if is_job else ("Always",)
    if kind != "Pod" and policy not in allowed and (policy or is_job):
        problem = f"The pods of a {kind} restart {given(policy) if policy else 'Always, as they say nothing else'}."
        yield Fault("bad-value", f"{pods.path}.restartPolicy", problem, f"{' or '.join(allowed)} is needed.")


def _names(named: list[tuple[str, Any]], what: str) -> Faults:
    """Yield names that are no names, or that two containers or volumes have."""
    texts = [(f"{at}.name", name) for at, name in named if isinstance(name, str)]
    for at, name in texts:
        if not is_label(name):
            fix = f"A {what} has at most 63 lower-case letters, digits and hyphens."
            yield Fault("bad-name", at, f'"{name}" is no name of a {what}.', fix)
    for at, name in repeated(texts):
        yield Fault("duplicate-name", at, f'Two {what}s are called "{name}".')


def _container_faults(container: Mapping[str, Any], at: str, version: str, *, runs: bool) -> Faults:
    yield from field_faults("container", container, at)
    yield from _image_faults(container, at)
    yield from _port_faults([*entries(container.get("ports"), f"{at}.ports")])
    yield from _variable_faults(container.get("env"), f"{at}.env", version)
    for here, source in entries(container.get("envFrom"), f"{at}.envFrom"):
        yield from all_variables_faults(source, here)
    yield from _mount_faults([*entries(container.get("volumeMounts"), f"{at}.volumeMounts")])
    yield from resource_faults(container.get("resources"), f"{at}.resources")
    for field in _PROBES:
        if isinstance(container.get(field), dict):
            yield from _probe_faults(field, container[field], f"{at}.{field}", runs=runs)
    lifecycle = container.get("lifecycle")
    if isinstance(lifecycle, dict) and not runs:
        yield _not_for_init("lifecycle", f"{at}.lifecycle")
    for hook in ("postStart", "preStop"):
        if isinstance(handler := inner(lifecycle, hook), dict):
            yield from _handler_faults(hook, handler, f"{at}.lifecycle.{hook}")
    context = mapping(container.get("securityContext"))
    if context.get("privileged") is True and context.get("allowPrivilegeEscalation") is False:
        problem = "A privileged container cannot be kept from gaining privileges."
        yield Fault("contradictory-fields", f"{at}.securityContext.allowPrivilegeEscalation", problem)


def _image_faults(container: Mapping[str, Any], at: str) -> Faults:
    text = container.get("image")
    if not text:
        yield Fault("missing-field", f"{at}.image", f"The container {container.get('name')} has no image.")
    elif isinstance(text, str) and image(text) is None:
        fix = ""
        if text != text.strip():
            fix = "Take the spaces away."
        elif image(text.lower()):
            fix = f"Names of images have no capitals: {text.lower()}."
        yield Fault("bad-image", f"{at}.image", f"{given(text)} is no reference of an image.", fix)


def _port_faults(ports: list[tuple[str, Mapping[str, Any]]]) -> Faults:
    for at, port in ports:
        for field in ("containerPort", "hostPort"):
            value = port.get(field)
            if isinstance(value, int) and not (field == "hostPort" and value == 0):
                yield from port_faults(value, f"{at}.{field}")
        if isinstance(port.get("name"), str) and port["name"]:
            yield from port_faults(port["name"], f"{at}.name")
    yield from twin_faults(ports, "containerPort", "duplicate-entry")


def _variable_faults(value: object, path: str, version: str) -> Faults:
    variables = [
        (f"{path}[{variable['name'] or index}]", variable)
        for index, variable in enumerate(mappings(value))
        if isinstance(variable.get("name"), str)
    ]
    for at, variable in variables:
        name = variable["name"]
        if not is_variable(name, version_number(version)):
            fix = "A variable has letters, digits, underscores, hyphens and dots, and no digit first."
            yield Fault("bad-name", f"{at}.name", f'"{name}" is no name of a variable.', fix)
        source = variable.get("valueFrom")
        if isinstance(source, dict) and variable.get("value"):
            yield Fault("contradictory-fields", at, f"The variable {name} has a value and a valueFrom.")
        if isinstance(source, dict) and len([given for given in source.values() if given is not None]) != 1:
            problem, fix = f"The variable {name} must come from one place.", "Give one source in valueFrom."
            yield Fault("contradictory-fields", f"{at}.valueFrom", problem, fix)
        yield from variable_source_faults(mapping(source), f"{at}.valueFrom")
    for at, name in repeated((at, variable["name"]) for at, variable in variables):
        yield Fault("duplicate-entry", at, f"The variable {name} is there twice.")


def _mount_faults(mounts: list[tuple[str, Mapping[str, Any]]]) -> Faults:
    for at, mount in mounts:
        if not mount.get("name"):
            yield Fault("missing-field", f"{at}.name", "A mount does not say which volume.")
    paths = [(f"{at}.mountPath", mount["mountPath"]) for at, mount in mounts if isinstance(mount.get("mountPath"), str)]
    for at, path in paths:
        if not path or ":" in path:
            yield Fault("bad-value", at, f'"{path}" cannot be mounted at.', "Give a path.")
    for at, path in repeated(paths):
        yield Fault("duplicate-name", at, f"Two volumes are mounted at {path}.")
    for at, mount in mounts:
        part = mount.get("subPath")
        if isinstance(part, str) and (part.startswith("/") or ".." in part.split("/")):
            fix = "Give a path within the volume, without .. and no / at its beginning."
            yield Fault("bad-value", f"{at}.subPath", f'"{part}" leaves the volume.', fix)


def _not_for_init(field: str, at: str) -> Fault:
    problem = f"An init container ends by itself and has no {field}."
    return Fault("contradictory-fields", at, problem, "Take it away, or make it a sidecar with restartPolicy: Always.")


def _probe_faults(field: str, probe: Mapping[str, Any], at: str, *, runs: bool) -> Faults:
    if not runs:
        yield _not_for_init(field, at)
    yield from _handler_faults(field, probe, at)
    yield from field_faults("probe", probe, at)
    if field != "readinessProbe" and probe.get("successThreshold") not in (None, 0, 1):
        fix = "Take it away: only a readiness probe may ask for more than one success."
        yield Fault("bad-range", f"{at}.successThreshold", f"A {field} succeeds at once.", fix)
    if field == "readinessProbe" and probe.get("terminationGracePeriodSeconds") is not None:
        problem = "A readinessProbe ends no container."
        yield Fault("contradictory-fields", f"{at}.terminationGracePeriodSeconds", problem, "Take it away.")


def _handler_faults(field: str, handler: Mapping[str, Any], at: str) -> Faults:
    named = [name for name in _HANDLERS if handler.get(name) is not None]
    if len(named) != 1:
        what = f"has {' and '.join(named)}" if named else "does nothing"
        fix = "Give one of exec, httpGet, tcpSocket and grpc." if field in _PROBES else "Give one of exec and httpGet."
        yield Fault("contradictory-fields", at, f"{sentence(field)} {what}.", fix)
    if handler.get("exec") is not None and not sequence(inner(handler, "exec", "command")):
        yield Fault("missing-field", f"{at}.exec.command", f"{sentence(field)} runs no command.")
    for name in ("httpGet", "tcpSocket"):
        port = inner(handler, name, "port")
        if port is not None:
            yield from port_faults(port, f"{at}.{name}.port")
    scheme = inner(handler, "httpGet", "scheme")
    if isinstance(scheme, str) and scheme not in ("", "HTTP", "HTTPS"):
        yield Fault("bad-value", f"{at}.httpGet.scheme", f"{given(scheme)} is no scheme.", "HTTP or HTTPS.")

"""The pods of workloads: what they are made of, what they read, and how many there are; and their Services' ports."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings, sequence, texts
from constructs_lib.kubernetes.names import is_variable
from constructs_lib.kubernetes.objects import Object

Owner = TypeVar("Owner", bound=Object)

#: Returns the data of a ConfigMap by its name; nothing if there is none.
ConfigMaps = Callable[[str], Mapping[str, str]]

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]{0,255})\))")


@dataclass(frozen=True)
class Port:
    """A port that a container declares; its name may be empty."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True)
class ServicePort(Port):
    """A port of a Service, and the one of the pods behind it: a number, or the name of a port of their containers."""

    target: int | str


@dataclass(frozen=True)
class Variable:
    """A variable of a container whose value is known, and the field and the ConfigMap, if any, that it comes from."""

    name: str
    value: str
    at: str
    config_map: str = ""


@dataclass(frozen=True, eq=False)
class Container:
    """A container of pods.

    Attributes:
        path: Where it stands in its workload, such as ``spec.template.spec.containers[web]``.
        is_init: Whether it is one of the init containers.
    """

    manifest: Manifest
    path: str
    is_init: bool

    def get(self, field: str) -> Any:
        """Return one of its fields; None if it does not have it."""
        return self.manifest.get(field)

    @cached_property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest.get("name"))

    @property
    def runs(self) -> bool:
        """Whether it goes on running, as no init container but a sidecar does.

        https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
        """
        return not self.is_init or self.manifest.get("restartPolicy") == "Always"

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The ports that it declares."""
        return tuple(
            Port(str(entry.get("name") or ""), str(entry.get("protocol") or "TCP"), entry["containerPort"])
            for entry in mappings(self.manifest.get("ports"))
            if isinstance(entry.get("containerPort"), int)
        )

    @cached_property
    def words(self) -> tuple[tuple[str, str], ...]:
        """The words of its command and its arguments, each with its field."""
        return tuple(
            (f"{self.path}.{field}[{number}]", word)
            for field in ("command", "args")
            for number, word in enumerate(sequence(self.manifest.get(field)))
            if isinstance(word, str)
        )

    @property
    def handlers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Its probes and hooks, each with its field; those that it does not have are empty."""
        for field in ("startupProbe", "readinessProbe", "livenessProbe"):
            yield field, mapping(self.get(field))
        for hook in ("postStart", "preStop"):
            yield f"lifecycle.{hook}", mapping(inner(self.manifest, "lifecycle", hook))

    @property
    def words_at(self) -> str:
        """The field to name for its words together."""
        return f"{self.path}.args" if self.manifest.get("args") else f"{self.path}.command"

    def variables(self, config_maps: ConfigMaps) -> dict[str, Variable]:
        """Return its variables by name, but for those from Secrets and from fields of the pod.

        A value may refer to variables before it:
        https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
        """
        found: dict[str, Variable] = {}
        for number, source in enumerate(mappings(self.manifest.get("envFrom"))):
            prefix, config_map = str(source.get("prefix") or ""), str(mapping(source.get("configMapRef")).get("name"))
            for key, value in config_maps(config_map).items():
                found[prefix + key] = Variable(prefix + key, value, f"{self.path}.envFrom[{number}]", config_map)
        for entry in mappings(self.manifest.get("env")):
            name = str(entry.get("name"))
            at = f"{self.path}.env[{name}]"
            found.pop(name, None)
            if isinstance(entry.get("value"), str):
                found[name] = Variable(name, expanded(entry["value"], found), at)
            elif reference := mapping(mapping(entry.get("valueFrom")).get("configMapKeyRef")):
                config_map = str(reference.get("name"))
                read = config_maps(config_map).get(str(reference.get("key")))
                if read is not None:
                    found[name] = Variable(name, read, at, config_map)
        return found


def expanded(text: str, known: Mapping[str, Variable]) -> str:
    """Return a text as a container gets it: with the values of variables, and a dollar for two of them.

    ``Expand`` in ``third_party/forked/golang/expansion/expand.go`` of Kubernetes: what is not known stays as it is.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        variable = known.get(match[1])
        return variable.value if variable else match[0]

    return _REFERENCE.sub(value, text) if "$" in text else text


def references(text: str) -> Iterator[str]:
    """Yield the names of the variables to which a text refers; a shell has other uses for ``$(…)``."""
    return (match[1] for match in _REFERENCE.finditer(text) if match[1] is not None and is_variable(match[1]))


def service_ports(service: Object) -> list[ServicePort]:
    """Return the ports of a Service."""
    found = []
    for entry in mappings(service.spec.get("ports")):
        number, target = entry.get("port"), entry.get("targetPort")
        if isinstance(number, int):
            name, protocol = str(entry.get("name") or ""), str(entry.get("protocol") or "TCP")
            found.append(ServicePort(name, protocol, number, target if isinstance(target, int | str) else number))
    return found


def is_headless(service: Object) -> bool:
    """Tell whether the name of a Service is that of its pods, so that any port of theirs can be called by it.

    https://kubernetes.io/docs/concepts/services-networking/service/#headless-services
    """
    return service.spec.get("clusterIP") == "None"


def start_seconds(container: Mapping[str, Any]) -> int:
    """Return how long a container may take to start: until its startup probe gives up."""
    probe = mapping(container.get("startupProbe"))
    if not probe:
        return number(inner(container, "readinessProbe", "initialDelaySeconds"), 0)
    tries = number(probe.get("failureThreshold"), 3) * number(probe.get("periodSeconds"), 10)
    return number(probe.get("initialDelaySeconds"), 0) + tries


def number(value: object, default: int) -> int:
    """Return a value that should be a whole number, or the default in its place."""
    return value if isinstance(value, int) else default


#: What sets the number of pods of a workload, and KEDA's objects, which make such an object
#: (https://keda.sh/docs/latest/reference/scaledobject-spec/).
SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
#: What :class:`Scales` has to know.
SCALING = (*SCALERS, "Rollout")
#: The fields of a scaler for the smallest and the largest number, and what counts where they are missing.
BOUNDS: Mapping[str, tuple[tuple[str, int], tuple[str, int]]] = {
    "HorizontalPodAutoscaler": (("minReplicas", 1), ("maxReplicas", 1)),
    "ScaledObject": (("minReplicaCount", 0), ("maxReplicaCount", 100)),
}
#: Kinds with a template of pods; a Rollout is Argo's Deployment.
TEMPLATED = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Rollout", "Job", "CronJob"}
)


@dataclass(frozen=True)
class Reference:
    """Something in their namespace that pods cannot start without.

    Attributes:
        kind: ``ConfigMap``, ``Secret`` or ``PersistentVolumeClaim``.
        at: The field that names it.
        key: The key that is read; None for all of it.
        optional: Whether the pods can do without it.
        at_start: Whether it is read only when a container starts, so that running pods do not notice a change.
    """

    kind: str
    name: str
    at: str
    key: str | None = None
    optional: bool = False
    at_start: bool = False


@dataclass(frozen=True, eq=False)
class Pods(Generic[Owner]):
    """The pods of one workload.

    Attributes:
        owner: What makes them, such as a Deployment, a StatefulSet or a Job; or a Pod itself.
        path: Where the spec stands in the owner, such as ``spec.template.spec``.
    """

    owner: Owner
    labels: Mapping[str, str]
    spec: Manifest
    path: str

    @property
    def namespace(self) -> str:
        """Their namespace."""
        return self.owner.namespace

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """All their containers, the init containers first."""
        return tuple(
            Container(container, f"{self.path}.{key}[{container.get('name', number)}]", key == "initContainers")
            for key in ("initContainers", "containers")
            for number, container in enumerate(sequence(self.spec.get(key)))
            if isinstance(container, dict)
        )

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The ports of the containers that go on running."""
        return tuple(port for container in self.containers if container.runs for port in container.ports)

    @cached_property
    def volumes(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """Their volumes, each with its field."""
        volumes = enumerate(mappings(self.spec.get("volumes")))
        return tuple((f"{self.path}.volumes[{volume.get('name', number)}]", volume) for number, volume in volumes)

    @property
    def account(self) -> str:
        """The name of the ServiceAccount that they run as."""
        return str(self.spec.get("serviceAccountName") or self.spec.get("serviceAccount") or "default")

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """The ConfigMaps, Secrets and claims that they read or mount."""
        return tuple(self._references())

    @property
    def claims(self) -> list[Reference]:
        """The claims that they mount."""
        return [reference for reference in self.references if reference.kind == "PersistentVolumeClaim"]

    def _references(self) -> Iterator[Reference]:
        for container in self.containers:
            for variable in mappings(container.get("env")):
                source, at = variable.get("valueFrom"), f"{container.path}.env[{variable.get('name')}].valueFrom"
                yield from _read(mapping(source), at, {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"})
            for number, source in enumerate(mappings(container.get("envFrom"))):
                at = f"{container.path}.envFrom[{number}]"
                yield from _read(source, at, {"configMapRef": "ConfigMap", "secretRef": "Secret"})
        mounts = [mount for container in self.containers for mount in mappings(container.get("volumeMounts"))]
        single = [mount.get("name") for mount in mounts if mount.get("subPath")]
        for at, volume in self.volumes:
            at_start = volume.get("name") in single
            yield from _mounted(volume, at, at_start=at_start)
            for number, source in enumerate(mappings(mapping(volume.get("projected")).get("sources"))):
                yield from _mounted(source, f"{at}.projected.sources[{number}]", at_start=at_start)
        for number, entry in enumerate(mappings(self.spec.get("imagePullSecrets"))):
            yield Reference("Secret", str(entry.get("name")), f"{self.path}.imagePullSecrets[{number}]")


def _read(source: Mapping[str, Any], at: str, kinds: Mapping[str, str]) -> Iterator[Reference]:
    for field, kind in kinds.items():
        if isinstance(read := source.get(field), dict):
            key = str(read.get("key")) if field.endswith("KeyRef") else None
            optional = read.get("optional") is True
            yield Reference(kind, str(read.get("name")), f"{at}.{field}", key, optional, at_start=True)


def _mounted(volume: Mapping[str, Any], at: str, *, at_start: bool) -> Iterator[Reference]:
    for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
        if not isinstance(source := volume.get(field), dict):
            continue
        # A projected Secret is called name, one of its own secretName.
        name, optional = str(source.get("secretName", source.get("name"))), source.get("optional") is True
        items = mappings(source.get("items"))
        for number, item in enumerate(items):
            place = f"{at}.{field}.items[{number}].key"
            yield Reference(kind, name, place, str(item.get("key")), optional, at_start)
        if not items:
            yield Reference(kind, name, f"{at}.{field}", None, optional, at_start)
    claim = mapping(volume.get("persistentVolumeClaim")).get("claimName")
    if isinstance(claim, str):
        yield Reference("PersistentVolumeClaim", claim, f"{at}.persistentVolumeClaim.claimName")


def pods_of(item: Owner) -> Pods[Owner] | None:
    """Return the pods that an object makes, or None if it makes none."""
    if item.kind == "Pod" and not item.group:
        return Pods(item, item.labels, dict(item.spec), "spec")
    # A Rollout may take its pods from a Deployment.
    if item.kind not in TEMPLATED or (item.kind == "Rollout" and "workloadRef" in item.spec):
        return None
    spec, path = item.spec, "spec"
    if item.kind == "CronJob":
        spec, path = mapping(mapping(spec.get("jobTemplate")).get("spec")), "spec.jobTemplate.spec"
    template = mapping(spec.get("template"))
    labels = texts(mapping(template.get("metadata")).get("labels"))
    return Pods(item, labels, dict(mapping(template.get("spec"))), f"{path}.template.spec")


@dataclass(frozen=True)
class Scale(Generic[Owner]):
    """The number of pods of a workload.

    Attributes:
        autoscaler: What moves it between them; None for nothing.
        per_node: Whether there is one on every node, whatever the numbers say.
    """

    minimum: int
    maximum: int
    autoscaler: Owner | None = None
    per_node: bool = False

    @property
    def is_none(self) -> bool:
        """Whether there are no pods, whatever the load."""
        return self.maximum == 0 and not self.per_node


class Scales(Generic[Owner]):
    """The numbers of pods of workloads: their own, or what their scalers make of them.

    A Rollout with a ``workloadRef`` runs the pods of a Deployment in its place
    (https://argo-rollouts.readthedocs.io/en/stable/migrating/#reference-deployment-from-rollout).
    """

    def __init__(self, items: Iterable[Owner]) -> None:
        """Take in what is of one of :data:`SCALING`; other objects are passed over."""
        self._scalers: dict[tuple[str, str, str], Owner] = {}
        self._rollouts: dict[tuple[str, str, str], Owner] = {}
        for item in items:
            if item.kind in SCALERS:
                self._scalers[scaled(item)] = item
            elif item.kind == "Rollout" and (reference := mapping(item.spec.get("workloadRef"))):
                self._rollouts[str(reference.get("kind")), item.namespace, str(reference.get("name"))] = item

    def scaler(self, workload: Object) -> Owner | None:
        """Return what scales a workload; None for nothing."""
        return self._scalers.get((workload.kind, workload.namespace, workload.name))

    def of(self, workload: Object) -> Scale[Owner]:
        """Return the number of pods of a workload; of a Job, those that run at once; of a CronJob and a Pod, one."""
        if workload.kind == "DaemonSet":
            return Scale(0, 0, per_node=True)
        rollout = self._rollouts.get((workload.kind, workload.namespace, workload.name))
        if rollout is not None:
            there = self.of(rollout)
            kept = mapping(rollout.spec.get("workloadRef")).get("scaleDown", "never") == "never"
            own = _count(workload, "replicas", 1) if kept else 0
            return Scale(own + there.minimum, own + there.maximum, there.autoscaler)
        scaler = self.scaler(workload)
        if scaler is None:
            field = "parallelism" if workload.kind == "Job" else "replicas"
            own = 1 if workload.kind == "Pod" else _count(workload, field, 1)
            return Scale(own, own)
        (least, smallest), (most, largest) = BOUNDS[scaler.kind]
        minimum = _count(scaler, least, smallest)
        return Scale(minimum, max(minimum, _count(scaler, most, largest)), scaler)


def scaled(scaler: Object) -> tuple[str, str, str]:
    """Return kind, namespace and name of the workload that a scaler scales."""
    target = mapping(scaler.spec.get("scaleTargetRef"))
    return str(target.get("kind") or "Deployment"), scaler.namespace, str(target.get("name"))


def _count(item: Object, field: str, default: int) -> int:
    # A number that is written as a text means itself: that it must not be one is another matter.
    text = str(item.spec.get(field))
    return int(text) if text.isdecimal() else default

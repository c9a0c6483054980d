"""Containers of pods: their ports, variables and commands; and the ports of Services before them."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings, sequence
from constructs_lib.kubernetes.names import is_variable
from constructs_lib.kubernetes.objects import Object

#: Returns the data of a ConfigMap by its name; nothing if there is none.
ConfigMaps = Callable[[str], Mapping[str, str]]

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


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

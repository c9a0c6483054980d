"""What a workload is told has to arrive at its pods: where its kind drops something, the declaration is wrong."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property

from constructs_lib.declare.diagnostics import Location
from constructs_lib.declare.secret import Plain, SecretReference
from constructs_lib.declare.workload import PROMISES, Workload
from constructs_lib.kubernetes.manifest import Manifest, mapping, mappings, texts_in
from constructs_lib.kubernetes.objects import Object
from constructs_lib.kubernetes.workloads import Pods, pods_of, service_ports
from constructs_lib.text import nearest, shown

#: Kinds that run once, or now and then: they begin when what is needed is there.
_TASKS = frozenset({"CronJob", "Job"})
#: Fields in which a value is none that a program reads.
_NO_VALUES = frozenset({"apiVersion", "image", "kind", "metadata", "name"})


def check_promises(workload: Workload, manifests: Sequence[Manifest]) -> None:
    """Report what a workload is told and its objects do not show, at the line that tells it."""
    for word in workload.sees_to:
        if word not in PROMISES:
            problem = f"sees_to of {type(workload).__name__}: there is no {shown(word)}; {nearest(str(word), PROMISES)}"
            workload.report(problem, workload.location)
    if workload.passes_all_on and type(workload).__module__.startswith("constructs_lib."):
        return
    arrived = _Arrived(workload, manifests)
    for word, location, problem in arrived.missing():
        if word not in workload.sees_to:
            workload.report(problem, location)


class _Arrived:
    """What the objects of a workload show of what it is told."""

    def __init__(self, workload: Workload, manifests: Sequence[Manifest]) -> None:
        self._workload = workload
        self._kind = type(workload).__name__
        self._objects = [Object(each, "", str(each["metadata"].get("namespace", ""))) for each in manifests]

    def missing(self) -> Iterator[tuple[str, Location, str]]:
        """Yield what is missing: of which promise, the line that makes it, and what to do."""
        variables = [*self._variables()]
        yield from variables
        labels = self._labels()
        # A kind without pods has dropped its variables already.
        if labels and (self._every or not variables):
            yield "labels", self._workload.location, labels
        if not labels:
            yield from self._waits()
            yield from self._ports()
        yield from self._secrets()

    def _to_do(self, what: str) -> str:
        """Return what to do: of the library's own kinds, not all take everything."""
        if type(self._workload).manifests.__module__.startswith("constructs_lib."):
            return f"a {self._kind} does not take that; leave it out."
        return f"manifests() of {self._kind} has to {what}."

    @cached_property
    def _every(self) -> list[Pods[Object]]:
        return [pods for item in self._objects if (pods := pods_of(item))]

    @cached_property
    def _pods(self) -> list[Pods[Object]]:
        """The pods that the workload's selector selects."""
        return [pods for pods in self._every if self._workload.selector.items() <= pods.labels.items()]

    def _labels(self) -> str:
        workload = self._workload
        is_told = (workload.edges, workload.internet, workload.exposed_ports, workload.uses_kubernetes_api)
        if not self._pods and (self._every or any(is_told) or workload.is_measured):
            labels = ", ".join(f"{name}: {value}" for name, value in workload.selector.items())
            to_do = self._to_do("give them to the pods' template, as self.labels does")
            return f"no pods of it have the labels {labels}, by which its policies and Services know them: {to_do}"
        for name in workload.helpers:
            if not any(pods.labels.get("app.kubernetes.io/name") == name for pods in self._every):
                return f"no pods have the label app.kubernetes.io/name: {name}, which helpers of {self._kind} names."
        return ""

    def _variables(self) -> Iterator[tuple[str, Location, str]]:
        workload = self._workload
        names = {name for pods in self._every for name in _variable_names(pods)}
        read = [*self._read()]
        keys = {key for item in read for key in (*mapping(item.manifest.get("data")), *_items(item))}
        told = "\n".join(_told(read)) if workload.environment.keys() - names - keys else ""
        for name, value in workload.environment.items():
            if name in names or name in keys or _is_told(told, name):
                continue
            text = value.text if isinstance(value, Plain) else value
            if isinstance(text, str) and _is_told(told, text):
                continue
            if isinstance(value, SecretReference) and self._reads(workload.component.secret_key(value)):
                continue
            to_do = self._to_do("pass on what container_variables(self) returns")
            problem = f"it is told {name}, and no container gets it: {to_do}"
            yield "variables", workload.told_at.get(name, workload.location), problem

    def _read(self) -> Iterator[Object]:
        """Yield the objects but those ConfigMaps that no pods mount or have for variables."""
        references = {each.name for pods in self._every for each in pods.references if each.kind == "ConfigMap"}
        asks = self._workload.uses_kubernetes_api or not self._every
        return (item for item in self._objects if asks or item.kind != "ConfigMap" or item.name in references)

    def _waits(self) -> Iterator[tuple[str, Location, str]]:
        running = [pods for pods in self._pods if pods.owner.kind not in _TASKS] or self._pods
        words = [[*texts_in(each.manifest)] for pods in running for each in pods.containers if each.is_init]
        waiting = "\n".join(text for texts in words for text in texts)
        for edge in self._workload.waits:
            if not _is_told(waiting, edge.endpoint.server.host):
                target = f"{edge.endpoint.server.subject} {edge.endpoint.name}"
                to_do = self._to_do("give them what wait_containers(self, image) returns")
                problem = f"it needs {target} before it starts, and no init container of its pods waits for that: "
                yield "wait", edge.location, f"{problem}{to_do}"

    def _reads(self, key: str) -> bool:
        """Tell whether some pods read a key of the component's Secret, or all of it, or one of its own type with it."""
        component = self._workload.component
        typed = {
            name
            for name, each in component.typed_secrets.items()
            if key in map(component.secret_key, each.values.values())
        }
        references = (each for pods in self._every for each in pods.references if each.kind == "Secret")
        return any(
            reference.name in typed or (reference.name == component.id and reference.key in (key, None))
            for reference in references
        )

    def _secrets(self) -> Iterator[tuple[str, Location, str]]:
        workload = self._workload
        told = [value for value in workload.environment.values() if isinstance(value, SecretReference)]
        for reference, location in workload.told_at.items():
            if not isinstance(reference, SecretReference) or reference in told:
                continue
            key = workload.component.secret_key(reference)
            if not self._reads(key) and not self._names(key):
                to_do = self._to_do("give it to a container, with secret_variable(…) or in a volume")
                yield "secrets", location, f'nothing that it makes reads its secret "{key}": {to_do}'

    def _names(self, key: str) -> bool:
        """Tell whether an object that is no pods, such as one for an operator, names a key of the Secret."""
        return any(text == key for item in self._objects if not pods_of(item) for text in texts_in(item.spec))

    def _ports(self) -> Iterator[tuple[str, Location, str]]:
        workload = self._workload
        services = [service_ports(item) for item in self._objects if item.full_kind == "Service"]
        served = {port for ports in services for each in ports for port in (each.number, each.target)}
        names = {endpoint.port: endpoint.name for endpoint in workload.endpoints.values()}
        for port in workload.exposed_ports:
            if not served & {port, names.get(port, port)}:
                to_do = self._to_do("yield one, with what service_ports(self) returns")
                yield "exposed", workload.location, f"its port {port} is exposed, and no Service of it has it: {to_do}"
        ports = {(port.name, port.number) for pods in self._pods for port in pods.ports}
        for endpoint in workload.endpoints.values():
            if endpoint.metrics and (endpoint.name, endpoint.port) not in ports:
                to_do = self._to_do("give it what container_ports(self) returns")
                problem = f"it serves metrics at {endpoint.name}, and no container of its pods has the port "
                told = f"{endpoint.port} by that name, by which Prometheus finds it: {to_do}"
                yield "metrics", workload.location, f"{problem}{told}"


def _variable_names(pods: Pods[Object]) -> Iterator[str]:
    for container in pods.containers:
        for entry in mappings(container.get("env")):
            yield str(entry.get("name"))


def _items(item: Object) -> Collection[str]:
    return mapping(item.manifest.get("stringData")).keys()


def _told(objects: Iterable[Object]) -> Iterator[str]:
    """Yield all texts in objects but those of their metadata, and those of init containers, which may only wait."""
    for item in objects:
        pods = pods_of(item)
        for each in (
            (container.manifest for container in pods.containers if container.runs) if pods else (item.manifest,)
        ):
            yield from texts_in({name: value for name, value in each.items() if name not in _NO_VALUES})


def _is_told(told: str, word: str) -> bool:
    """Tell whether a text holds a word as a whole: port 80 is not in 8080."""
    return bool(word) and re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", told) is not None

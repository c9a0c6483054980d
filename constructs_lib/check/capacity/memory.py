"""Whether containers stay below their memory limits: the heaps of Java, and volumes in memory."""

import re
from collections.abc import Iterator, Mapping

from constructs_lib.check.capacity.requests import amount_of, memory_limit, shown_bytes
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.variables import command
from constructs_lib.kubernetes.containers import Container, Variable
from constructs_lib.kubernetes.manifest import mapping, mappings

_HEAP = re.compile(r"(?:-Xmx|-XX:MaxHeapSize=)(\d+)([kKmMgGtT]?)(?!\w)")
_HEAP_SIZE = re.compile(r"(\d+)([kKmMgGtT])")


def prove_heaps(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield the heaps that are as large as the memory limit of their container, or larger."""
    for container in pods.containers:
        limit = memory_limit(container)
        for field, option, heap in _heaps(container, model.variables(pods, container)) if limit else ():
            if heap >= limit:
                size = f"{option}, {shown_bytes(heap)}"
                problem = f"the heap of {container.name} may be {size}, and its memory limit is {shown_bytes(limit)}."
                yield Finding.of("heap-above-limit", pods.owner, problem, at=field)


def _heaps(container: Container, known: Mapping[str, Variable]) -> Iterator[tuple[str, str, int]]:
    """Yield the sizes of heaps in the variables and arguments of a container: the field, the option and the bytes."""
    for variable in known.values():
        if variable.name == "MAX_HEAP_SIZE" and (whole := _HEAP_SIZE.fullmatch(variable.value)):
            yield variable.at, f"{variable.name}={variable.value}", _bytes(whole)
        yield from ((variable.at, match[0], _bytes(match)) for match in _HEAP.finditer(variable.value))
    for text in command(container, known):
        yield from ((container.words_at, match[0], _bytes(match)) for match in _HEAP.finditer(text))


def _bytes(size: re.Match[str]) -> int:
    """Return a size with a number and a unit in bytes; Java's units are powers of 1024."""
    return int(size[1]) << 10 * " kmgt".index(size[2].lower() or " ")


def prove_memory_volumes(_: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield the volumes in memory that may grow beyond the memory limit of every container that mounts them."""
    for volume in mappings(pods.spec.get("volumes")):
        directory = mapping(volume.get("emptyDir"))
        size = amount_of(directory.get("sizeLimit"))
        if directory.get("medium") != "Memory" or not size:
            continue
        limits = [
            memory_limit(container)
            for container in pods.containers
            if any(mount.get("name") == volume.get("name") for mount in mappings(container.get("volumeMounts")))
        ]
        if limits and all(limits) and size > max(limits):
            name, most = volume.get("name"), shown_bytes(max(limits))
            problem = (
                f"the volume {name} may hold {shown_bytes(size)} in memory, and no container that uses it may have "
                f"more than {most}."
            )
            field = f"{pods.path}.volumes[{name}]"
            yield Finding.of("memory-volume-above-limit", pods.owner, problem, at=field)

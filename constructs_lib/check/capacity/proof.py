"""Whether the nodes have room for all pods, and whether programs have the right size of their cluster configured.

The requests of pods are read from the tree: from workloads and their autoscalers, and for the pods of charts from
``resources`` and ``replicas`` in the values of Applications. The defaults of charts are in no tree, so the sums here
are lower bounds. What a node has is known for DigitalOcean by its size, and elsewhere where somebody told it. Where
nobody did, only the number of nodes counts.
"""

import re
from collections.abc import Iterator, Mapping

from constructs_lib.argocd.objects import Object
from constructs_lib.check.calls import command, expanded_by_shell, mounted
from constructs_lib.check.capacity.nodes import prove_nodes
from constructs_lib.check.capacity.quotas import prove_quotas
from constructs_lib.check.capacity.requests import amount_of, memory_limit, shown_bytes
from constructs_lib.check.capacity.room import prove_placement, prove_room, prove_shared_volumes, room_of_a_node
from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel, Pods, grouped
from constructs_lib.check.traffic import Traffic, workload
from constructs_lib.kubernetes.manifest import mapping, mappings
from constructs_lib.kubernetes.workloads import BOUNDS, Container, Variable
from constructs_lib.text import plural

_CQL = ("TCP", 9042)
_STRATEGY = re.compile(r"['\"](?:[\w.]*\.)?(?:NetworkTopologyStrategy|SimpleStrategy)['\"]([^}]*)")
_COPIES = re.compile(r"['\"][^'\"]+['\"]\s*:\s*['\"]?(\d+)")
_FORMATION = re.compile(r"^[ \t]*cluster_formation\.", re.MULTILINE)
_SIZE_HINT = re.compile(r"^[ \t]*cluster_formation\.target_cluster_size_hint\s*=\s*(\d+)", re.MULTILINE)
_HEAP = re.compile(r"(?:-Xmx|-XX:MaxHeapSize=)(\d+)([kKmMgGtT]?)(?!\w)")
_HEAP_SIZE = re.compile(r"(\d+)([kKmMgGtT])")


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield the pods for which there is no room, and the programs with a wrong size in their configuration."""
    yield from prove_room(model)
    yield from prove_placement(model)
    yield from prove_shared_volumes(model)
    yield from prove_quotas(model)
    yield from prove_nodes(model)
    for pods in model.pods:
        for prove_pods in (_contact_points, _rabbitmq, _replication, _heap_limits, _memory_volumes):
            yield from prove_pods(model, pods)


def _contact_points(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield the containers with Akka that wait for more contact points than there may be pods."""
    if pods.owner.kind not in ("Deployment", "StatefulSet"):
        return
    scale = model.scales.of(pods.owner)
    count, by = plural(scale.minimum, "pod"), ""
    if scale.autoscaler:
        (field, _), _ = BOUNDS[scale.autoscaler.kind]
        by = f" by {field} of its {scale.autoscaler.kind}"
    for container in pods.containers:
        variable = model.variables(pods, container).get("REQUIRED_CONTACT_POINT_NR")
        if variable and variable.value.isdecimal() and int(variable.value) > scale.minimum:
            problem = f"REQUIRED_CONTACT_POINT_NR is {variable.value}, and there may be {count}{by}."
            yield Finding.of("too-few-contact-points", pods.owner, problem, at=variable.at)


def _rabbitmq(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield what is wrong with the number of nodes of a RabbitMQ cluster."""
    if pods.owner.kind != "StatefulSet":
        return
    size = model.scales.of(pods.owner).minimum
    for at, text in mounted(model, pods):
        if not _FORMATION.search(text):
            continue
        hint = _SIZE_HINT.search(text)
        if hint and int(hint[1]) != size:
            problem = f"target_cluster_size_hint is {hint[1]}, and the cluster has {plural(size, 'node')}."
            yield Finding.of("cluster-size-differs", pods.owner, problem, at=at)
        if size and size % 2 == 0:
            yield Finding.of("even-cluster", pods.owner, f"the cluster has {plural(size, 'node')}.", at="spec.replicas")


def _replication(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield the keyspaces with more copies than their ring has nodes, as scripts and files of CQL create them."""
    for at, text in _texts(model, pods):
        for strategy in _STRATEGY.finditer(text):
            copies = max(map(int, _COPIES.findall(strategy[1])), default=0)
            for ring in model.once(_rings).get(pods, ()):
                nodes = model.scales.of(ring).minimum
                if copies > nodes:
                    problem = f"a keyspace has {copies} copies, and the ring {ring.name} has {plural(nodes, 'node')}."
                    yield Finding.of("replication-above-nodes", pods.owner, problem, at=at)


def _texts(model: ClusterModel, pods: Pods) -> Iterator[tuple[str, str]]:
    for container in pods.containers:
        known = model.variables(pods, container)
        for text in command(container, known):
            yield f"{container.path}.command", expanded_by_shell(text, known)
    yield from mounted(model, pods)


def _rings(model: ClusterModel) -> Mapping[Pods, list[Object]]:
    """Return the StatefulSets that pods call at the port of CQL."""
    return grouped(
        (workload(call.source), target.owner)
        for call in model.once(Traffic).calls
        if (target := call.target.workload) and target.owner.kind == "StatefulSet" and _CQL in call.ports
    )


def _heap_limits(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
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


def _memory_volumes(_: ClusterModel, pods: Pods) -> Iterator[Finding]:
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


def _unproven(model: ClusterModel) -> str:
    """Return that nobody knows what the nodes have."""
    if not model.pods or (room_of_a_node(model) is not None and model.cluster.nodes):
        return ""
    return "whether the nodes have room for all pods: what a node has is not told, as by Cluster(node=Node(…))"


PROOF = Proof(
    "capacity",
    "The nodes have room for all pods, and clusters of programs the size that they are told.",
    prove,
    lambda model: plural(len(model.pods), "workload"),
    unproven=_unproven,
)

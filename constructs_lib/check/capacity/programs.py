"""Whether programs that form a cluster are told its size: Akka, RabbitMQ and Cassandra."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.traffic import Traffic
from constructs_lib.check.variables import command, expanded_by_shell, mounted
from constructs_lib.kubernetes.containers import Container, Variable
from constructs_lib.kubernetes.workloads import Scales
from constructs_lib.text import plural

#: Containers with the variables that they know.
Containers = Sequence[tuple[Container, Mapping[str, Variable]]]

_CQL = ("TCP", 9042)
_STRATEGY = re.compile(r"['\"](?:[\w.]*\.)?(?:NetworkTopologyStrategy|SimpleStrategy)['\"]([^}]*)")
_COPIES = re.compile(r"['\"][^'\"]+['\"]\s*:\s*['\"]?(\d+)")
_FORMATION = re.compile(r"^\s*cluster_formation\.", re.MULTILINE)
_SIZE_HINT = re.compile(r"^\s*cluster_formation\.target_cluster_size_hint\s*=\s*(\d+)", re.MULTILINE)


def containers_of(model: ClusterModel, pods: Pods) -> Containers:
    """Return the containers of some pods."""
    return [(container, model.variables(pods, container)) for container in pods.containers]


def prove_contact_points(scales: Scales[Object], pods: Pods, containers: Containers) -> Iterator[Finding]:
    """Yield the containers with Akka that wait for more contact points than there may be pods."""
    if pods.owner.kind not in ("Deployment", "StatefulSet"):
        return
    scale = scales.of(pods.owner)
    count = plural(scale.minimum, "pod")
    by = f" by minReplicas of its {scale.autoscaler.kind}" if scale.autoscaler else ""
    for _, known in containers:
        variable = known.get("REQUIRED_CONTACT_POINT_NR")
        if variable and variable.value.isdecimal() and int(variable.value) > scale.minimum:
            problem = f"REQUIRED_CONTACT_POINT_NR is {variable.value}, and there may be {count}{by}."
            yield Finding.of("too-few-contact-points", pods.owner, problem, at=variable.at)


def prove_rabbitmq(model: ClusterModel, scales: Scales[Object], pods: Pods) -> Iterator[Finding]:
    """Yield what is wrong with the number of nodes of a RabbitMQ cluster."""
    if pods.owner.kind != "StatefulSet":
        return
    size = scales.of(pods.owner).minimum
    for at, text in mounted(model, pods):
        if not _FORMATION.search(text):
            continue
        hint = _SIZE_HINT.search(text)
        if hint and int(hint[1]) != size:
            problem = f"target_cluster_size_hint is {hint[1]}, and the cluster has {plural(size, 'node')}."
            yield Finding.of("cluster-size-differs", pods.owner, problem, at=at)
        if size and size % 2 == 0:
            yield Finding.of("even-cluster", pods.owner, f"the cluster has {plural(size, 'node')}.", at="spec.replicas")


def prove_replication(
    model: ClusterModel, scales: Scales[Object], found: Mapping[int, Containers]
) -> Iterator[Finding]:
    """Yield the keyspaces with more copies than their ring has nodes, as scripts and files of CQL create them.

    Args:
        model: The tree.
        scales: The numbers of pods of its workloads.
        found: The containers of all pods, by the ids of the pods.
    """
    rings: Mapping[int, list[Pods]] | None = None
    for pods in model.pods:
        for at, text in _texts(model, pods, found[id(pods)]):
            for strategy in _STRATEGY.finditer(text):
                copies = max(map(int, _COPIES.findall(strategy[1])), default=0)
                rings = _rings(model) if rings is None else rings
                for ring in rings.get(id(pods), ()):
                    nodes = scales.of(ring.owner).minimum
                    if copies > nodes:
                        ring_has = f"the ring {ring.owner.name} has {plural(nodes, 'node')}"
                        problem = f"a keyspace has {copies} copies, and {ring_has}."
                        yield Finding.of("replication-above-nodes", pods.owner, problem, at=at)


def _texts(model: ClusterModel, pods: Pods, containers: Containers) -> Iterator[tuple[str, str]]:
    for container, known in containers:
        for text in command(container, known):
            yield f"{container.path}.command", expanded_by_shell(text, known)
    yield from mounted(model, pods)


def _rings(model: ClusterModel) -> Mapping[int, list[Pods]]:
    """Return the StatefulSets that pods call at the port of CQL, by the ids of the pods."""
    found: dict[int, list[Pods]] = defaultdict(list)
    for call in model.once(Traffic).calls:
        source, target = call.source.workload, call.target.workload
        if source and target and target.owner.kind == "StatefulSet" and _CQL in call.ports:
            found[id(source)].append(target)
    return found

"""Whether programs that form a cluster have its size in their configuration: Akka, RabbitMQ and Cassandra."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.traffic import Traffic, workload
from constructs_lib.check.variables import command, expanded_by_shell, mounted
from constructs_lib.kubernetes.workloads import BOUNDS
from constructs_lib.text import plural

_CQL = ("TCP", 9042)
_STRATEGY = re.compile(r"['\"](?:[\w.]*\.)?(?:NetworkTopologyStrategy|SimpleStrategy)['\"]([^}]*)")
_COPIES = re.compile(r"['\"][^'\"]+['\"]\s*:\s*['\"]?(\d+)")
_FORMATION = re.compile(r"^\s*cluster_formation\.", re.MULTILINE)
_SIZE_HINT = re.compile(r"^\s*cluster_formation\.target_cluster_size_hint\s*=\s*(\d+)", re.MULTILINE)


def prove_contact_points(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
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


def prove_rabbitmq(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
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


def prove_replication(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
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
    found: dict[Pods, list[Object]] = defaultdict(list)
    for call in model.once(Traffic).calls:
        target = call.target.workload
        if target and target.owner.kind == "StatefulSet" and _CQL in call.ports:
            found[workload(call.source)].append(target.owner)
    return found

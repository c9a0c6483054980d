"""Whether the nodes that the bootstrap makes have room for all pods, and whether clusters of programs have their size.

What pods ask for is read from the tree: from workloads and their autoscalers, and, for the pods of charts, from plain
``resources`` and ``replicas`` in the values of Applications. What charts ask for by default is in no tree, so all that
is computed here is the least that is needed. What nodes have is known for DigitalOcean; for k3d, whose nodes share one
machine, and for unknown clusters only what follows from the number of nodes is looked at.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, repeat
from typing import Any

from constructs_lib.argocd.objects import Cache, Object, mapping, sequence
from constructs_lib.check.capacity.packing import Amount, Item, Spread, pack
from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.network import Selector
from constructs_lib.check.scale import Scale, Scales
from constructs_lib.check.surroundings import environments
from constructs_lib.check.traffic import Traffic
from constructs_lib.check.variables import Variable, command, expanded_by_shell, mounted, variables
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.text import plural

_SCHEDULING = "https://kubernetes.io/docs/concepts/scheduling-eviction/"
_RESOURCES = "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/"


_GIB = 2**30
#: Memory of a node that is free for pods, in GiB by the size of the node, after the system and what DigitalOcean runs
#: on every node: https://docs.digitalocean.com/products/kubernetes/details/limits/#allocatable-memory
_DIGITALOCEAN_MEMORY = {
    2: 1.0,
    3: 1.66,
    4: 2.5,
    8: 6.0,
    16: 13.0,
    32: 28.0,
    48: 43.0,
    64: 58.0,
    96: 88.5,
    128: 119.5,
    160: 151.0,
    192: 182.0,
}
#: What the kubelet keeps of the processor, and what cilium, cpc-bridge-proxy and do-node-agent ask for, in thousandths
#: of a core: the reservation in the kubelet's configuration, and ``kubectl describe node`` of nodes of 1 and 4 cores.
_DIGITALOCEAN_CPU = 100 + 310 + 100 + 102
#: The same way, its two pods of CoreDNS and the operator of Cilium: a tenth of a core and 150 MB each.
_DIGITALOCEAN_PODS = (
    Item("kube-system/coredns", Amount(100, 150_000_000, pods=1)),
    Item("kube-system/coredns", Amount(100, 150_000_000, pods=1)),
    Item("kube-system/cilium-operator", Amount(100, 150_000_000, pods=1)),
)
#: ``maxVolumesPerNode`` in ``driver/node.go`` of digitalocean/csi-digitalocean.
_DIGITALOCEAN_VOLUMES = 7
#: https://docs.digitalocean.com/products/kubernetes/details/limits/#resource-limits, without the six of every node.
_DIGITALOCEAN_NODE_PODS = 110 - 6
#: What the kubelet leaves of the disk: it evicts pods when less than a tenth is free.
_DISK_SHARE = 0.9
_SIZE = re.compile(r"(?:[a-z0-9.]+-)?(\d+)vcpu-(\d+)gb(?:-(\d+)gb)?(?:-[a-z0-9]+)*")
#: CPU-optimized sizes have twice as many GiB as cores, and say only the latter.
_SHORT_SIZE = re.compile(r"c-(\d+)(?:-[a-z0-9]+)*")

#: What Argo CD asks for as ``bootstrap/argocd/main.tf`` installs it: name, thousandths of a core, MiB, and the number
#: of its pods, alone and highly available.
ARGOCD = (
    ("controller", 250, 512, 1, 1),
    ("repoServer", 100, 256, 1, 2),
    ("server", 50, 128, 1, 2),
    ("redis", 50, 64, 1, 3),
)

_HOSTNAME = "kubernetes.io/hostname"
_CQL = 9042
_STRATEGY = re.compile(r"['\"](?:[\w.]*\.)?(?:NetworkTopologyStrategy|SimpleStrategy)['\"]([^}]*)")
_COPIES = re.compile(r"['\"][^'\"]+['\"]\s*:\s*['\"]?(\d+)")
_SIZE_HINT = re.compile(r"^\s*cluster_formation\.target_cluster_size_hint\s*=\s*(\d+)", re.MULTILINE)
_FORMATION = re.compile(r"^\s*cluster_formation\.", re.MULTILINE)
_HEAP = re.compile(r"(?:-Xmx|-XX:MaxHeapSize=)(\d+)([kKmMgGtT]?)(?!\w)")
_HEAP_SIZE = re.compile(r"(\d+)([kKmMgGtT])")
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield what the nodes have no room for, and what does not have the size that it is told."""
    scales = Scales(model)
    yield from _Room(model, scales).findings()
    yield from _spread_over_nodes(model, scales)
    yield from _shared_volumes(model, scales)
    for pods in model.pods:
        yield from _contact_points(model, scales, pods)
        yield from _rabbitmq(model, scales, pods)
        yield from _heaps(model, pods)
        yield from _memory_volumes(pods)
    yield from _replication(model, scales)


def node_of(size: str) -> Amount | None:
    """Return what a node of DigitalOcean has for pods, by the name of its size; None if the name tells nothing."""
    if match := _SIZE.fullmatch(size):
        cores, memory, disk = int(match[1]), int(match[2]), int(match[3] or 0)
    elif match := _SHORT_SIZE.fullmatch(size):
        cores, memory, disk = int(match[1]), 2 * int(match[1]), 0
    else:
        return None
    return Amount(
        1000 * cores - _DIGITALOCEAN_CPU,
        int(_memory_of(memory) * _GIB),
        # A size that does not tell its disk does not limit it.
        int(disk * _GIB * _DISK_SHARE) if disk else 2**63,
        _DIGITALOCEAN_VOLUMES,
        _DIGITALOCEAN_NODE_PODS,
    )


def _memory_of(size: int) -> float:
    """Return what is left of a size, of one that the table does not have the share of the next smaller one."""
    below = max((known for known in _DIGITALOCEAN_MEMORY if known <= size), default=None)
    if below is None:
        return 0
    return _DIGITALOCEAN_MEMORY[below] / below * size


def requests(pods: Pods) -> Amount:
    """Return what a pod asks for.

    The containers together, or the largest of those that run before them, if that is more; those with
    ``restartPolicy: Always`` run along. A limit without a request is a request.
    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers and
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
    """
    amounts: list[int] = []
    own = mapping(pods.spec.get("resources"))
    for resource, scale in (("cpu", 1000), ("memory", 1), ("ephemeral-storage", 1)):
        along = largest = 0
        for container in map(mapping, sequence(pods.spec.get("initContainers"))):
            asked = _asked(mapping(container.get("resources")), resource, scale)
            if container.get("restartPolicy") == "Always":
                along += asked
            else:
                largest = max(largest, along + asked)
        running = sum(
            _asked(mapping(container.get("resources")), resource, scale)
            for container in map(mapping, sequence(pods.spec.get("containers")))
        )
        total = max(along + running, largest)
        # Resources of the pod as a whole count instead of those of its containers.
        total = _asked(own, resource, scale) or total
        overhead = _amount(mapping(pods.spec.get("overhead")).get(resource), scale)
        amounts.append(total + overhead)
    cpu, memory, disk = amounts
    return Amount(cpu, memory, disk, pods=1)


def _asked(resources: Mapping[str, Any], resource: str, scale: int) -> int:
    asked, limit = (mapping(resources.get(key)).get(resource) for key in ("requests", "limits"))
    amount = _amount(limit if asked is None else asked, scale)
    # A request above its limit is refused, which is told elsewhere: nobody knows how much is meant.
    return 0 if limit is not None and amount > _amount(limit, scale) else amount


def _amount(value: object, scale: int = 1) -> int:
    """Return a quantity in whole parts, rounded up as the scheduler does; 0 if it is none."""
    known = quantity(value)
    return math.ceil(known * scale) if known is not None else 0


class _Room:
    """What the nodes have, and all that has to find room on them."""

    def __init__(self, model: ClusterModel, scales: Scales) -> None:
        self._model = model
        self._scales = scales
        cluster = model.cluster
        self._node = node_of(cluster.size) if cluster.kind == "digitalocean" else None

    def findings(self) -> Iterator[Finding]:
        """Yield what finds no room: always, at the maximum, while something is updated, without one of the nodes."""
        nodes = self._model.cluster.nodes
        if self._node is None or not nodes:
            return
        too_large = [pods for pods in self._model.pods if not requests(pods).fits(self._node)]
        for pods in too_large:
            asked = requests(pods)
            yield Finding.of(
                "pod-larger-than-node",
                pods.owner,
                f"a pod asks for {_shown(asked, disk=asked.disk > 0)}; a node of {self._model.cluster.size} has "
                f"{_shown(self._node, disk=asked.disk > 0)} for pods.",
                at=f"{pods.path}.containers",
            )
        if too_large:
            # Nothing fits as long as these do not.
            return
        smallest = self._items(lambda scale: scale.minimum)
        volumes = len({claim for item in smallest for claim in item.claims}) + sum(
            item.amount.volumes for item in smallest
        )
        if volumes > nodes * _DIGITALOCEAN_VOLUMES:
            yield Finding.of(
                "too-many-volumes",
                None,
                f"the pods have {volumes} volumes; {nodes} nodes take {nodes * _DIGITALOCEAN_VOLUMES}, "
                f"{_DIGITALOCEAN_VOLUMES} each.",
            )
            return
        missing = self._missing(smallest, nodes)
        if missing:
            yield Finding.of("no-room", None, f"with every autoscaler at its minimum, {missing}")
            return
        largest, most_nodes = self._items(lambda scale: scale.maximum), max(nodes, self._most_nodes)
        if missing := self._missing(largest, most_nodes):
            yield Finding.of("no-room-at-maximum", None, f"with every autoscaler at its maximum, {missing}")
        if nodes > 1 and (missing := self._missing(smallest, nodes - 1)):
            yield Finding.of("no-room-without-node", None, f"without one of the {nodes} nodes, {missing}")
        yield from self._update(smallest, nodes)

    def _update(self, items: Sequence[Item], nodes: int) -> Iterator[Finding]:
        """Yield a finding if the workload whose update takes the most room cannot be updated."""
        updates = [
            (pods, surge)
            for pods in self._model.pods
            for surge, unavailable in [rolling_update(pods.owner, self._scales.of(pods).minimum)]
            if surge and not unavailable
        ]
        if not updates or self._node is None:
            return
        whole = self._node
        pods, surge = max(updates, key=lambda update: _share_of(requests(update[0]).times(update[1]), whole))
        if missing := self._missing([*items, *self._pods_of(pods, surge)], nodes):
            count = plural(surge, "new pod")
            yield Finding.of(
                "no-room-for-update",
                pods.owner,
                f"its update begins with {count} beside the old ones, and {missing}",
                at="spec.strategy",
            )

    def _missing(self, items: Sequence[Item], nodes: int) -> str:
        """Return what finds no room, with the numbers; empty if everything does."""
        assert self._node is not None
        every_node = self._every_node
        room = [self._node.minus(every_node)] * nodes
        left = pack([*items, *self._platform], room)
        if not left:
            return ""
        asked = every_node.times(nodes)
        shares: dict[str, Amount] = defaultdict(Amount)
        for item in (*items, *self._platform):
            asked = asked.plus(item.amount)
            shares[item.name] = shares[item.name].plus(item.amount)
        whole = self._node.times(nodes)
        if asked.cpu <= whole.cpu and asked.memory <= whole.memory:
            # Together they would fit: it is what they are, and not how much.
            told, names = "these are of", [item.name for item in left]
        else:
            told, names = "most is asked for by", sorted(shares, key=lambda name: -_share_of(shares[name], whole))
        named = ", ".join(f"{name} ({_shown(shares[name])})" for name in list(dict.fromkeys(names))[:3])
        count = plural(len(left), "pod finds", "pods find")
        return (
            f"the pods ask for {_shown(asked)}, {nodes} nodes of {self._model.cluster.size} have {_shown(whole)}, "
            f"and {count} no room; {told} {named}."
        )

    def _items(self, number: Callable[[Scale], int]) -> list[Item]:
        """Return all pods of the tree and those of charts, as many of each workload as a function of its scale says."""
        own = [item for pods in self._model.pods for item in self._pods_of(pods, number(self._scales.of(pods)))]
        return [*own, *self._charts]

    def _pods_of(self, pods: Pods, number: int) -> list[Item]:
        if pods.owner.kind == "CronJob" and pods.owner.spec.get("suspend") is True:
            return []
        if limit := _most_on(pods, self._model.cluster.nodes or 0):
            # Those above it are told of already.
            number = min(number, limit[1])
        claims, volumes = self._claims(pods)
        item = Item(
            f"{pods.namespace}/{pods.owner.name}",
            requests(pods).plus(Amount(volumes=volumes)),
            pods.namespace,
            pods.labels,
            tuple(_spreads(pods)),
            tuple(_repelled(pods)),
            tuple(claims),
        )
        return [item] * min(number, self._most_pods)

    def _claims(self, pods: Pods) -> tuple[list[str], int]:
        """Return the claims that pods share, and the number of those that each has for itself."""
        shared = []
        own = 0
        for volume in map(mapping, sequence(pods.spec.get("volumes"))):
            if (name := mapping(volume.get("persistentVolumeClaim")).get("claimName")) is not None:
                claim = self._model.get("PersistentVolumeClaim", pods.namespace, str(name))
                if claim is not None and _is_attached(claim.spec):
                    shared.append(f"{pods.namespace}/{name}")
            template = mapping(mapping(volume.get("ephemeral")).get("volumeClaimTemplate"))
            own += bool(template) and _is_attached(mapping(template.get("spec")))
        if pods.owner.kind == "StatefulSet":
            templates = sequence(pods.owner.spec.get("volumeClaimTemplates"))
            own += sum(_is_attached(mapping(mapping(template).get("spec"))) for template in templates)
        return shared, own

    @cached_property
    def _every_node(self) -> Amount:
        """What the DaemonSets that run on every node ask for."""
        total = Amount()
        for pods in self._model.pods:
            chosen = pods.spec.get("nodeSelector") or mapping(pods.spec.get("affinity")).get("nodeAffinity")
            if pods.owner.kind == "DaemonSet" and not chosen:
                total = total.plus(requests(pods))
        return total

    @cached_property
    def _charts(self) -> list[Item]:
        return [
            item
            for application in self._model.all_applications
            for chart in application.charts
            for item in islice(chart_items(application.name, _values(chart.helm)), self._most_pods)
        ]

    @cached_property
    def _platform(self) -> list[Item]:
        """The pods that the cloud and the bootstrap bring along."""
        found = list(_DIGITALOCEAN_PODS)
        for environment in environments(self._model):
            inputs = _json(self._model.snapshot.files.get(f"bootstrap/argocd/{environment}.tfvars.json"))
            if inputs:
                for name, cpu, memory, alone, available in ARGOCD:
                    item = Item(f"argocd/{name}", Amount(cpu, memory * 2**20, pods=1))
                    found += [item] * (available if inputs.get("ha") is True else alone)
        return found

    @cached_property
    def _most_pods(self) -> int:
        """How many pods of one workload are enough to know that they find no room."""
        return max(self._model.cluster.nodes or 0, self._most_nodes) * _DIGITALOCEAN_NODE_PODS + 1

    @cached_property
    def _most_nodes(self) -> int:
        """To how many nodes the pool may grow; 0 if it does not."""
        for environment in environments(self._model):
            inputs = _json(self._model.snapshot.files.get(f"bootstrap/cluster/{environment}.tfvars.json"))
            most = mapping(inputs.get("node_pool")).get("nodes_max")
            if isinstance(most, int):
                return most
        return 0


def _share_of(amount: Amount, whole: Amount) -> float:
    return max(amount.cpu / whole.cpu, amount.memory / whole.memory)


def _json(content: bytes | None) -> Mapping[str, Any]:
    try:
        return mapping(json.loads(content or b"{}"))
    except ValueError:
        return {}


def _values(helm: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(helm.get("values"), str):
        return mapping(Cache().document(helm["values"].encode()))
    return mapping(helm.get("valuesObject"))


def chart_items(name: str, values: Mapping[str, Any]) -> Iterator[Item]:
    """Yield what the values of a chart ask for in plain words: the least that its pods need.

    Each ``resources`` is taken for one pod, as many times as the ``replicas`` beside it say, and each
    ``volumeClaimTemplate`` for a volume. What is for every node, and what the chart does by default, is not told by
    values.
    """
    if values.get("enabled") is False:
        return
    replicas = next((values[key] for key in ("replicas", "replicaCount") if isinstance(values.get(key), int)), 1)
    for key, value in values.items():
        part = mapping(value)
        if key == "resources":
            amount = Amount(_asked(part, "cpu", 1000), _asked(part, "memory", 1), pods=1)
            if any(amount[:2]):
                yield from repeat(Item(name, amount), replicas)
        elif key == "volumeClaimTemplate":
            if _is_attached(mapping(part.get("spec"))):
                yield from repeat(Item(name, Amount(volumes=1)), replicas)
        else:
            yield from chart_items(name, part)


def _is_attached(claim: Mapping[str, Any]) -> bool:
    """Tell whether the volume of a claim takes a place of a node: it is of DigitalOcean, or of the default class."""
    return str(claim.get("storageClassName") or "do-block-storage").startswith("do-block-storage")


def _spreads(pods: Pods) -> Iterator[Spread]:
    for entry in map(mapping, sequence(pods.spec.get("topologySpreadConstraints"))):
        if entry.get("topologyKey") == _HOSTNAME and entry.get("whenUnsatisfiable") == "DoNotSchedule":
            skew, least = entry.get("maxSkew"), entry.get("minDomains")
            yield Spread(
                Selector(entry.get("labelSelector")),
                skew if isinstance(skew, int) else 1,
                least if isinstance(least, int) else 0,
            )


def _repelled(pods: Pods) -> Iterator[Selector]:
    rules = mapping(mapping(pods.spec.get("affinity")).get("podAntiAffinity"))
    for term in map(mapping, sequence(rules.get("requiredDuringSchedulingIgnoredDuringExecution"))):
        if term.get("topologyKey") == _HOSTNAME and not term.get("namespaces") and not term.get("namespaceSelector"):
            yield Selector(term.get("labelSelector"))


def rolling_update(owner: Object, replicas: int) -> tuple[int, int]:
    """Return how many pods an update of a Deployment adds and may take away at once.

    A share of the replicas is rounded up for what is added and down for what is taken away; if both are then none, one
    may be taken away (``ResolveFenceposts`` in ``pkg/controller/deployment/util`` of Kubernetes).
    """
    strategy = mapping(owner.spec.get("strategy"))
    if owner.kind != "Deployment" or strategy.get("type") == "Recreate" or not replicas:
        return 0, replicas
    bounds = mapping(strategy.get("rollingUpdate"))
    surge = _share(bounds.get("maxSurge", "25%"), replicas, math.ceil)
    unavailable = _share(bounds.get("maxUnavailable", "25%"), replicas, math.floor)
    return surge, unavailable if surge or unavailable else 1


def _share(value: object, replicas: int, rounded: Callable[[float], int]) -> int:
    if isinstance(value, int):
        return value
    percent = re.fullmatch(r"(\d+)%", str(value))
    return rounded(int(percent[1]) * replicas / 100) if percent else 0


def _spread_over_nodes(model: ClusterModel, scales: Scales) -> Iterator[Finding]:
    """Yield the workloads whose pods need more nodes than there are, whatever the nodes' size."""
    nodes = model.cluster.nodes
    if not nodes:
        return
    for pods in model.pods:
        most = _most_on(pods, nodes)
        if most is None:
            continue
        at, limit = most
        scale = scales.of(pods)
        if scale.minimum > limit:
            yield Finding.of(
                "more-replicas-than-nodes",
                pods.owner,
                f"there are {scale.minimum} pods, of which {limit} fit on {plural(nodes, 'node')}.",
                at=f"{pods.path}.{at}",
            )
        elif scale.maximum > limit and scale.autoscaler:
            yield Finding.of(
                "autoscaler-above-nodes",
                scale.autoscaler,
                f"it may ask for {scale.maximum} pods of {pods.owner.name}, of which {limit} fit on "
                f"{plural(nodes, 'node')}.",
                at="spec.maxReplicas",
            )


def _most_on(pods: Pods, nodes: int) -> tuple[str, int] | None:
    """Return the field that limits how many pods of a workload can be on some nodes, and the number.

    A spread constraint limits it only while fewer nodes than ``minDomains`` are there: without that, more and more pods
    are allowed, as long as they are even.
    """
    if any(selector.matches(pods.labels) for selector in _repelled(pods)):
        return "affinity.podAntiAffinity", nodes
    for spread in _spreads(pods):
        if spread.least_nodes > nodes and spread.selector.matches(pods.labels):
            return "topologySpreadConstraints", nodes * spread.most_skew
    return None


def _shared_volumes(model: ClusterModel, scales: Scales) -> Iterator[Finding]:
    """Yield the claims for one node that pods on several nodes would need."""
    if model.cluster.kind == "k3d":
        # A volume of local-path holds all its pods on its node.
        return
    users: dict[tuple[str, str], list[tuple[Pods, str]]] = defaultdict(list)
    for pods in model.pods:
        if pods.owner.kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"):
            for volume in map(mapping, sequence(pods.spec.get("volumes"))):
                claim = mapping(volume.get("persistentVolumeClaim")).get("claimName")
                if claim is not None:
                    at = f"{pods.path}.volumes[{volume.get('name')}]"
                    users[pods.namespace, str(claim)].append((pods, at))
    for (namespace, name), found in users.items():
        claim = model.get("PersistentVolumeClaim", namespace, name)
        modes = {str(mode) for mode in sequence(claim.spec.get("accessModes"))} if claim else set()
        if not modes or modes - {"ReadWriteOnce", "ReadWriteOncePod"}:
            continue
        pods, at = found[0]
        count = sum(2 if user.owner.kind == "DaemonSet" else scales.of(user).maximum for user, _ in found)
        surge, unavailable = rolling_update(pods.owner, 1)
        if count > 1:
            names = ", ".join(user.owner.name for user, _ in found)
            problem = f"several pods of {names} use the claim {name}, which is {' and '.join(sorted(modes))}."
            yield Finding.of("read-write-once-shared", pods.owner, problem, at=at)
        elif count and pods.owner.kind == "Deployment" and surge and not unavailable:
            problem = (
                f"an update starts a new pod before it ends the old one, and both use the claim {name}, which is "
                f"{' and '.join(sorted(modes))}."
            )
            yield Finding.of("read-write-once-shared", pods.owner, problem, at=at, fix="Let the strategy be Recreate.")


def _containers(model: ClusterModel, pods: Pods) -> Iterator[tuple[str, Manifest, Mapping[str, Variable]]]:
    for path, container in pods.containers:
        yield path, container, variables(model, pods, path, container)


def _contact_points(model: ClusterModel, scales: Scales, pods: Pods) -> Iterator[Finding]:
    if pods.owner.kind not in ("Deployment", "StatefulSet"):
        return
    for _, _, known in _containers(model, pods):
        variable = known.get("REQUIRED_CONTACT_POINT_NR")
        scale = scales.of(pods)
        if variable and variable.value.isdecimal() and int(variable.value) > scale.minimum:
            yield Finding.of(
                "too-few-contact-points",
                pods.owner,
                f"REQUIRED_CONTACT_POINT_NR is {variable.value}, and there may be "
                f"{plural(scale.minimum, 'pod')}{_by(scale)}.",
                at=variable.at,
            )


def _by(scale: Scale) -> str:
    return f" by minReplicas of its {scale.autoscaler.kind}" if scale.autoscaler else ""


def _rabbitmq(model: ClusterModel, scales: Scales, pods: Pods) -> Iterator[Finding]:
    if pods.owner.kind != "StatefulSet":
        return
    for at, text in mounted(model, pods):
        if not _FORMATION.search(text):
            continue
        size = scales.of(pods).minimum
        hint = _SIZE_HINT.search(text)
        if hint and int(hint[1]) != size:
            problem = f"target_cluster_size_hint is {hint[1]}, and the cluster has {plural(size, 'node')}."
            yield Finding.of("cluster-size-differs", pods.owner, problem, at=at)
        if size and size % 2 == 0:
            yield Finding.of("even-cluster", pods.owner, f"the cluster has {size} nodes.", at="spec.replicas")


def _replication(model: ClusterModel, scales: Scales) -> Iterator[Finding]:
    """Yield the keyspaces with more copies than nodes, in whatever is run against a ring: scripts and files of CQL."""
    keyspaces = [
        (pods, at, copies)
        for pods in model.pods
        for at, text in _texts(model, pods)
        for strategy in _STRATEGY.finditer(text)
        for copies in [max(map(int, _COPIES.findall(strategy[1])), default=0)]
    ]
    if not keyspaces:
        return
    rings = _rings(model)
    for pods, at, copies in keyspaces:
        for ring in rings.get(id(pods), ()):
            nodes = scales.of(ring).minimum
            if copies > nodes:
                yield Finding.of(
                    "replication-above-nodes",
                    pods.owner,
                    f"a keyspace has {copies} copies, and the ring {ring.owner.name} has {plural(nodes, 'node')}.",
                    at=at,
                )


def _rings(model: ClusterModel) -> Mapping[int, list[Pods]]:
    """Return the StatefulSets whose port of CQL pods call, by the pods."""
    found: dict[int, list[Pods]] = defaultdict(list)
    for call in model.once(Traffic).calls:
        source, target = call.source.workload, call.target.workload
        if source and target and target.owner.kind == "StatefulSet" and ("TCP", _CQL) in call.ports:
            found[id(source)].append(target)
    return found


def _texts(model: ClusterModel, pods: Pods) -> Iterator[tuple[str, str]]:
    for path, container, known in _containers(model, pods):
        for text in command(container, known):
            yield f"{path}.command", expanded_by_shell(text, known)
    yield from mounted(model, pods)


def _heaps(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    for path, container, known in _containers(model, pods):
        limit = _amount(mapping(mapping(container.get("resources")).get("limits")).get("memory"))
        if not limit:
            continue
        for at, written, heap in _heaps_of(path, container, known):
            if heap >= limit:
                yield Finding.of(
                    "heap-above-limit",
                    pods.owner,
                    f"the heap of {container.get('name')} may be {written}, {_bytes(heap)}, and its memory limit is "
                    f"{_bytes(limit)}.",
                    at=at,
                )


def _heaps_of(path: str, container: Manifest, known: Mapping[str, Variable]) -> Iterator[tuple[str, str, int]]:
    """Yield the heaps that a container is told: the field, the words and the bytes of each."""
    for variable in known.values():
        if variable.name == "MAX_HEAP_SIZE" and (whole := _HEAP_SIZE.fullmatch(variable.value)):
            yield variable.at, f"{variable.name}={variable.value}", int(whole[1]) * _UNITS[whole[2].lower()]
        for match in _HEAP.finditer(variable.value):
            yield variable.at, match[0], int(match[1]) * _UNITS[match[2].lower()]
    for text in command(container, known):
        for match in _HEAP.finditer(text):
            yield (
                f"{path}.{'args' if container.get('args') else 'command'}",
                match[0],
                (int(match[1]) * _UNITS[match[2].lower()]),
            )


def _memory_volumes(pods: Pods) -> Iterator[Finding]:
    for volume in map(mapping, sequence(pods.spec.get("volumes"))):
        directory = mapping(volume.get("emptyDir"))
        size = _amount(directory.get("sizeLimit"))
        if directory.get("medium") != "Memory" or not size:
            continue
        limits = [
            _amount(mapping(mapping(container.get("resources")).get("limits")).get("memory"))
            for _, container in pods.containers
            if any(
                mapping(mount).get("name") == volume.get("name") for mount in sequence(container.get("volumeMounts"))
            )
        ]
        if limits and all(limits) and size > max(limits):
            yield Finding.of(
                "memory-volume-above-limit",
                pods.owner,
                f"the volume {volume.get('name')} may hold {_bytes(size)} in memory, and no container that uses it may "
                f"have more than {_bytes(max(limits))}.",
                at=f"{pods.path}.volumes[{volume.get('name')}]",
            )


def _shown(amount: Amount, *, disk: bool = False) -> str:
    text = f"{amount.cpu / 1000:.3g} {'core' if amount.cpu == 1000 else 'cores'} and {_bytes(amount.memory)} of memory"
    return f"{text} and {_bytes(amount.disk)} of disk" if disk else text


def _bytes(number: int) -> str:
    return f"{number / _GIB:.3g} GiB" if number >= _GIB else f"{number / 2**20:.3g} MiB"


PROOF = Proof(
    "capacity",
    "The nodes have room for all pods, and clusters of programs the size that they are told.",
    prove,
)

"""Whether the nodes have room for all pods: at the minimum, at the maximum, during an update, and without one node.

And whether there are enough nodes for pods that must be on different ones, and for pods that share a volume.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice

from constructs_lib.argocd.objects import Object
from constructs_lib.check.capacity.packing import Amount, Item, Spread, pack, sum_of
from constructs_lib.check.capacity.requests import (
    GIB,
    amount_of,
    chart_items,
    requests,
    rolling_update,
    shown_bytes,
    volumes,
)
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods, grouped
from constructs_lib.kubernetes.manifest import inner, mappings, sequence
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import BOUNDS, Scale
from constructs_lib.text import plural

#: GiB of a node by its size, and how many of them are free for pods, after the system and what DigitalOcean runs on
#: every node: https://docs.digitalocean.com/products/kubernetes/details/limits/#allocatable-memory
_SIZES = (2, 3, 4, 8, 16, 32, 48, 64, 96, 128, 160, 192)
_FREE = (1.0, 1.66, 2.5, 6.0, 13.0, 28.0, 43.0, 58.0, 88.5, 119.5, 151.0, 182.0)
#: Thousandths of a core that the kubelet reserves, and that cilium, cpc-bridge-proxy and do-node-agent request: read in
#: the configuration of the kubelet, and in ``kubectl describe node`` for nodes with 1 and 4 cores.
_RESERVED_CPU = 100 + 310 + 100 + 102
#: ``maxVolumesPerNode`` in ``driver/node.go`` of digitalocean/csi-digitalocean.
VOLUMES_OF_A_NODE = 7
#: https://docs.digitalocean.com/products/kubernetes/details/limits/#resource-limits, without the six of every node.
PODS_OF_A_NODE = 110 - 6
#: The kubelet evicts pods when less than a tenth of the disk is free.
_USABLE_DISK = 0.9
#: The short name of a CPU-optimized size, such as ``c-4``, gives only the cores; it has twice as many GiB.
_NAME = re.compile(r"(?:(?:[a-z0-9.]+-)?(\d+)vcpu-(\d+)gb(?:-(\d+)gb)?|c-(\d+))(?:-[a-z0-9]+)*")

_SMALL = Amount(100, 150_000_000, pods=1)
#: What DigitalOcean runs once in a cluster, read in ``kubectl describe node`` as well.
CLUSTER_PODS = tuple(Item(f"kube-system/{name}", _SMALL) for name in ("coredns", "coredns", "cilium-operator"))

#: The requests of Argo CD as ``bootstrap/argocd/main.tf`` installs it: name, thousandths of a core, MiB, and the number
#: of its pods without and with high availability.
ARGOCD = (
    ("controller", 250, 512, 1, 1),
    ("repoServer", 100, 256, 1, 2),
    ("server", 50, 128, 1, 2),
    ("redis", 50, 64, 1, 3),
)
_HOSTNAME = "kubernetes.io/hostname"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def prove_room(model: ClusterModel) -> Iterator[Finding]:
    """Yield what the nodes have no room for; nothing if their number or size is not known."""
    node, count = room_of_a_node(model), model.cluster.nodes
    if node is not None and count:
        yield from _Room(model, node, count).findings()


def room_of_a_node(model: ClusterModel) -> Amount | None:
    """Return what each node has for pods, by its size or as the tree tells; None if nobody knows."""
    told = model.cluster.node
    if told is not None:
        # How many volumes a node takes, and how large its disk is, is not told.
        return Amount(amount_of(told.cpu, 1000), amount_of(told.memory), 2**63, 2**31, told.pods)
    return node_of(model.cluster.size) if model.cluster.kind == "digitalocean" else None


class _Room:
    """What the nodes have, and which pods they must have room for."""

    def __init__(self, model: ClusterModel, node: Amount, nodes: int) -> None:
        self._model = model
        self._node = node
        self._nodes = nodes
        self._size = model.cluster.size

    def findings(self) -> Iterator[Finding]:
        nodes = self._nodes
        too_large = [pods for pods in self._model.pods if not requests(pods).fits(self._node)]
        for pods in too_large:
            asked = requests(pods)
            disk = asked.disk > 0
            problem = (
                f"a pod asks for {_shown(asked, disk=disk)}; a node of {self._size} has "
                f"{_shown(self._node, disk=disk)} for pods."
            )
            yield Finding.of("pod-larger-than-node", pods.owner, problem, at=f"{pods.path}.containers")
        if too_large:
            # These alone explain why there is no room.
            return
        smallest = self._items(lambda scale: scale.minimum)
        shared = {claim for item in smallest for claim in item.claims}
        count, places = len(shared) + sum(item.amount.volumes for item in smallest), nodes * self._node.volumes
        if count > places:
            problem = f"the pods have {count} volumes; {nodes} nodes take {places}, {self._node.volumes} each."
            yield Finding.of("too-many-volumes", None, problem)
            return
        if missing := self._missing(smallest, nodes):
            yield Finding.of("no-room", None, f"with every autoscaler at its minimum, {missing}")
            return
        if missing := self._missing(self._items(lambda scale: scale.maximum), self._most_nodes):
            yield Finding.of("no-room-at-maximum", None, f"with every autoscaler at its maximum, {missing}")
        if nodes > 1 and (missing := self._missing(smallest, nodes - 1)):
            yield Finding.of("no-room-without-node", None, f"without one of the {nodes} nodes, {missing}")
        yield from self._update(smallest)

    def _update(self, items: Sequence[Item]) -> Iterator[Finding]:
        """Yield a finding if there is no room to update the workload whose update adds the most."""
        updates = [
            (pods, surge)
            for pods in self._model.pods
            for surge, unavailable in [rolling_update(pods.owner, self._model.scales.of(pods.owner).minimum)]
            if surge and not unavailable
        ]
        if not updates:
            return
        pods, surge = max(updates, key=lambda update: self._share(requests(update[0]).times(update[1])))
        if missing := self._missing([*items, *self._pods_of(pods, surge)], self._nodes):
            problem = f"its update begins with {plural(surge, 'new pod')} beside the old ones, and {missing}"
            yield Finding.of("no-room-for-update", pods.owner, problem, at="spec.strategy")

    def _missing(self, items: Sequence[Item], nodes: int) -> str:
        """Return in words which pods find no room; empty if all do."""
        all_items = [*items, *self._platform]
        left = pack(all_items, [self._node.minus(self._every_node)] * nodes)
        if not left:
            return ""
        by_name: dict[str, Amount] = defaultdict(Amount)
        for item in all_items:
            by_name[item.name] = by_name[item.name].plus(item.amount)
        asked = sum_of([self._every_node.times(nodes), *by_name.values()])
        whole = self._node.times(nodes)
        if asked.cpu <= whole.cpu and asked.memory <= whole.memory:
            # The sum fits, but no assignment of pods to nodes does.
            why, names = "these are of", [item.name for item in left]
        else:
            why, names = "most is asked for by", sorted(by_name, key=lambda name: -self._share(by_name[name]))
        named = ", ".join(f"{name} ({_shown(by_name[name])})" for name in list(dict.fromkeys(names))[:3])
        count = plural(len(left), "pod finds", "pods find")
        return (
            f"the pods ask for {_shown(asked)}, {nodes} nodes of {self._size} have {_shown(whole)}, and {count} no "
            f"room; {why} {named}."
        )

    def _share(self, amount: Amount) -> float:
        """Return which part of a node an amount takes: of its processor or its memory, whichever is more."""
        return max(amount.cpu / self._node.cpu, amount.memory / self._node.memory)

    def _items(self, number: Callable[[Scale[Object]], int]) -> list[Item]:
        """Return the pods of charts, and those of the tree as often as a function of their workload's scale says."""
        scales = self._model.scales
        own = (self._pods_of(pods, number(scales.of(pods.owner))) for pods in self._model.pods)
        return [*chain.from_iterable(own), *self._charts]

    def _pods_of(self, pods: Pods, number: int) -> list[Item]:
        if pods.owner.kind == "CronJob" and pods.owner.spec.get("suspend") is True:
            return []
        if limit := _most_on(pods, self._nodes):
            # There is another finding about the pods above the limit.
            number = min(number, limit[1])
        shared, own = volumes(self._model, pods)
        name, amount = f"{pods.namespace}/{pods.owner.name}", requests(pods).plus(Amount(volumes=own))
        needs = tuple(_spreads(pods)), tuple(_repelled(pods)), tuple(shared)
        item = Item(name, amount, pods.namespace, pods.labels, *needs)
        return [item] * min(number, self._most_pods)

    @cached_property
    def _every_node(self) -> Amount:
        """What the DaemonSets that run on every node request."""
        return sum_of(
            requests(pods)
            for pods in self._model.pods
            if pods.owner.kind == "DaemonSet"
            and not (pods.spec.get("nodeSelector") or inner(pods.spec, "affinity", "nodeAffinity"))
        )

    @cached_property
    def _charts(self) -> list[Item]:
        return [
            item
            for application in self._model.all_applications
            for chart in application.unseen
            for item in islice(chart_items(application.name, chart.values), self._most_pods)
        ]

    @cached_property
    def _platform(self) -> list[Item]:
        """The pods of the cloud, and those of Argo CD for every bootstrap in the tree."""
        settings = (inputs for inputs in self._model.bootstrap.inputs("argocd").values() if inputs)
        of_the_cloud = CLUSTER_PODS if self._model.cluster.kind == "digitalocean" else ()
        return [*of_the_cloud, *(item for inputs in settings for item in _argocd_pods(inputs.get("ha") is True))]

    @property
    def _most_pods(self) -> int:
        """The number of pods that cannot all find room, which is as good as any larger number."""
        return self._most_nodes * self._node.pods + 1

    @cached_property
    def _most_nodes(self) -> int:
        """The number of nodes that the node pool may grow to."""
        clusters = self._model.bootstrap.inputs("cluster").values()
        limits = (inner(inputs, "node_pool", "nodes_max") for inputs in clusters)
        return max(self._nodes, next((most for most in limits if isinstance(most, int)), 0))


def _shown(amount: Amount, *, disk: bool = False) -> str:
    cores = f"{amount.cpu / 1000:.3g} {'core' if amount.cpu == 1000 else 'cores'}"
    text = f"{cores} and {shown_bytes(amount.memory)} of memory"
    return f"{text} and {shown_bytes(amount.disk)} of disk" if disk else text


def node_of(size: str) -> Amount | None:
    """Return what a node of a size of DigitalOcean, such as ``s-4vcpu-8gb``, has for pods; None if nobody knows."""
    match = _NAME.fullmatch(size)
    if match is None:
        return None
    cores, disk = int(match[1] or match[4]), int(match[3] or 0)
    memory = int(match[2] or 2 * cores)
    # A size that is not in the table has as much in proportion as the next smaller one.
    below, free = max((pair for pair in zip(_SIZES, _FREE, strict=True) if pair[0] <= memory), default=(1, 0.0))
    # Without a disk in the name, its size is not known, so there is no limit.
    usable = int(disk * GIB * _USABLE_DISK) if disk else 2**63
    return Amount(
        1000 * cores - _RESERVED_CPU, int(free / below * memory * GIB), usable, VOLUMES_OF_A_NODE, PODS_OF_A_NODE
    )


def _argocd_pods(is_available: bool) -> list[Item]:
    """Return the pods of Argo CD, with or without high availability."""
    return [
        Item(f"argocd/{name}", Amount(cpu, mebibytes * 2**20, pods=1))
        for name, cpu, mebibytes, alone, several in ARGOCD
        for _ in range(several if is_available else alone)
    ]


def _spreads(pods: Pods) -> Iterator[Spread]:
    """Yield the topology spread constraints over nodes that must hold."""
    for entry in mappings(pods.spec.get("topologySpreadConstraints")):
        if entry.get("topologyKey") == _HOSTNAME and entry.get("whenUnsatisfiable") == "DoNotSchedule":
            skew, least = entry.get("maxSkew"), entry.get("minDomains")
            yield Spread(
                Selector(entry.get("labelSelector")),
                skew if isinstance(skew, int) else 1,
                least if isinstance(least, int) else 0,
            )


def _repelled(pods: Pods) -> Iterator[Selector]:
    """Yield the pods of the same namespace that must be on other nodes."""
    for term in mappings(inner(pods.spec, "affinity", "podAntiAffinity", _REQUIRED)):
        if term.get("topologyKey") == _HOSTNAME and not term.get("namespaces") and not term.get("namespaceSelector"):
            yield Selector(term.get("labelSelector"))


def _most_on(pods: Pods, nodes: int) -> tuple[str, int] | None:
    """Return how many pods of a workload can be on some nodes, after the field that limits it; None for no limit.

    A spread constraint limits the number only where there are fewer nodes than ``minDomains``. Otherwise any number of
    pods is even enough.
    """
    if any(selector.matches(pods.labels) for selector in _repelled(pods)):
        return "affinity.podAntiAffinity", nodes
    for spread in _spreads(pods):
        if spread.least_nodes > nodes and spread.selector.matches(pods.labels):
            return "topologySpreadConstraints", nodes * spread.most_skew
    return None


def prove_placement(model: ClusterModel) -> Iterator[Finding]:
    """Yield the workloads whose pods need more nodes than there are, whatever the size of the nodes."""
    nodes = model.cluster.nodes
    if not nodes:
        return
    for pods in model.pods:
        if (most := _most_on(pods, nodes)) is None:
            continue
        field, limit = most
        scale = model.scales.of(pods.owner)
        fit = f"of which {limit} fit on {plural(nodes, 'node')}"
        if scale.minimum > limit:
            problem = f"there are {scale.minimum} pods, {fit}."
            yield Finding.of("more-replicas-than-nodes", pods.owner, problem, at=f"{pods.path}.{field}")
        elif scale.maximum > limit and scale.autoscaler:
            problem = f"it may ask for {scale.maximum} pods of {pods.owner.name}, {fit}."
            _, (most_field, _) = BOUNDS[scale.autoscaler.kind]
            yield Finding.of("autoscaler-above-nodes", scale.autoscaler, problem, at=f"spec.{most_field}")


def prove_shared_volumes(model: ClusterModel) -> Iterator[Finding]:
    """Yield the claims of which only one node can use the volume, and that pods on several nodes mount."""
    if model.cluster.kind == "k3d":
        # A volume of local-path is a folder of one node, so all its pods run there.
        return
    users = grouped(
        ((pods.namespace, mounted.name), (pods, mounted.at.removesuffix(".persistentVolumeClaim.claimName")))
        for pods in model.pods
        if pods.owner.kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
        for mounted in pods.claims
    )
    for (namespace, name), found in users.items():
        claim = model.get("PersistentVolumeClaim", namespace, name)
        modes = {str(mode) for mode in sequence(claim.spec.get("accessModes"))} if claim else set()
        if not modes or modes - {"ReadWriteOnce", "ReadWriteOncePod"}:
            continue
        pods, field = found[0]
        used = f"the claim {name}, which is {' and '.join(sorted(modes))}."
        count = sum(2 if user.owner.kind == "DaemonSet" else model.scales.of(user.owner).maximum for user, _ in found)
        surge, unavailable = rolling_update(pods.owner, 1)
        if count > 1:
            problem = f"several pods of {', '.join(user.owner.name for user, _ in found)} use {used}"
            yield Finding.of("read-write-once-shared", pods.owner, problem, at=field)
        elif count and pods.owner.kind == "Deployment" and surge and not unavailable:
            problem = f"an update starts a new pod before it ends the old one, and both use {used}"
            fix = "Let the strategy be Recreate."
            yield Finding.of("read-write-once-shared", pods.owner, problem, at=field, fix=fix)

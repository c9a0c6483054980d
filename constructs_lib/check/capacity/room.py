"""Whether the nodes have room for all pods: at the minimum, at the maximum, during an update, and without one node."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.capacity.nodes import (
    CLUSTER_PODS,
    PODS_OF_A_NODE,
    VOLUMES_OF_A_NODE,
    argocd_pods,
    node_of,
)
from constructs_lib.check.capacity.packing import Amount, Item, pack, sum_of
from constructs_lib.check.capacity.placement import most_on, repelled, spreads
from constructs_lib.check.capacity.requests import chart_items, requests, rolling_update, shown_bytes, volumes
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import inner, mapping
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.workloads import Scale
from constructs_lib.text import plural


def prove_room(model: ClusterModel) -> Iterator[Finding]:
    """Yield what the nodes have no room for; nothing if their number or size is not known."""
    node = node_of(model.cluster.size) if model.cluster.kind == "digitalocean" else None
    if node is not None and model.cluster.nodes:
        yield from _Room(model, node, model.cluster.nodes).findings()


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
        count, places = len(shared) + sum(item.amount.volumes for item in smallest), nodes * VOLUMES_OF_A_NODE
        if count > places:
            problem = f"the pods have {count} volumes; {nodes} nodes take {places}, {VOLUMES_OF_A_NODE} each."
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
        own = [
            item for pods in self._model.pods for item in self._pods_of(pods, number(self._model.scales.of(pods.owner)))
        ]
        return [*own, *self._charts]

    def _pods_of(self, pods: Pods, number: int) -> list[Item]:
        if pods.owner.kind == "CronJob" and pods.owner.spec.get("suspend") is True:
            return []
        if limit := most_on(pods, self._nodes):
            # There is another finding about the pods above the limit.
            number = min(number, limit[1])
        shared, own = volumes(self._model, pods)
        item = Item(
            f"{pods.namespace}/{pods.owner.name}",
            requests(pods).plus(Amount(volumes=own)),
            pods.namespace,
            pods.labels,
            tuple(spreads(pods)),
            tuple(repelled(pods)),
            tuple(shared),
        )
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
            for chart in application.charts
            for item in islice(chart_items(application.name, _values(chart.helm)), self._most_pods)
        ]

    @cached_property
    def _platform(self) -> list[Item]:
        """The pods of the cloud, and those of Argo CD for every bootstrap in the tree."""
        found = [inputs for inputs in self._inputs("argocd") if inputs]
        return [
            *CLUSTER_PODS,
            *(item for inputs in found for item in argocd_pods(highly_available=inputs.get("ha") is True)),
        ]

    @property
    def _most_pods(self) -> int:
        """The number of pods that cannot all find room, which is as good as any larger number."""
        return self._most_nodes * PODS_OF_A_NODE + 1

    @cached_property
    def _most_nodes(self) -> int:
        """The number of nodes that the node pool may grow to."""
        limits = (inner(inputs, "node_pool", "nodes_max") for inputs in self._inputs("cluster"))
        return max(self._nodes, next((most for most in limits if isinstance(most, int)), 0))

    def _inputs(self, module: str) -> Iterator[Mapping[str, Any]]:
        """Yield the inputs of a Terraform module of the bootstrap, by environment."""
        for environment in self._model.bootstrap.environments:
            content = self._model.snapshot.files.get(f"bootstrap/{module}/{environment}.tfvars.json")
            try:
                yield mapping(json.loads(content or b"{}"))
            except ValueError:
                continue


def _values(helm: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(helm.get("values"), str):
        return mapping(Cache().document(helm["values"].encode()))
    return mapping(helm.get("valuesObject"))


def _shown(amount: Amount, *, disk: bool = False) -> str:
    cores = f"{amount.cpu / 1000:.3g} {'core' if amount.cpu == 1000 else 'cores'}"
    text = f"{cores} and {shown_bytes(amount.memory)} of memory"
    return f"{text} and {shown_bytes(amount.disk)} of disk" if disk else text

"""Whether the cluster has nodes such as pods ask for: labels, devices and runtimes.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.check.capacity.requests import amount_of
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, sequence, texts
from constructs_lib.text import hint, listed, plural

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
#: What nodes have by themselves, whatever cluster it is: https://kubernetes.io/docs/reference/node/node-labels/
_OF_EVERY_NODE = {"kubernetes.io/os": {"linux"}, "kubernetes.io/hostname": set[str]()}
#: What the nodes of a cloud have, with values that only it knows.
_OF_CLOUDS = {
    **{"kubernetes.io/arch": set[str](), "node.kubernetes.io/instance-type": set[str]()},
    **{"topology.kubernetes.io/region": set[str](), "topology.kubernetes.io/zone": set[str]()},
}
_ARCHITECTURES = {"amd64", "arm64"}
#: What Kubernetes is built for: https://kubernetes.io/releases/download/#binaries
_WELL_KNOWN = {
    "kubernetes.io/arch": {*_ARCHITECTURES, "386", "arm", "ppc64le", "riscv64", "s390x"},
    "kubernetes.io/os": {"linux", "windows"},
}
#: Resources that the kubelet offers by itself.
_OWN = re.compile(r"cpu|memory|ephemeral-storage|hugepages-\w+|storage|pods")


def prove_nodes(model: ClusterModel) -> Iterator[Finding]:
    """Yield pods for which no node can be right, in a cluster of which the nodes are known."""
    labels = _labels(model)
    for pods in model.pods:
        yield from _contradictions(pods)
        yield from _scheduler(model, pods)
        if labels is None:
            yield from _selection(pods, _WELL_KNOWN, only_known=True)
        else:
            yield from _selection(pods, labels)
            yield from _spreads(pods, labels)
        if labels is not None or model.cluster.node:
            yield from _devices(model, pods)
        yield from _runtime(model, pods)
    yield from _device_room(model)


def _labels(model: ClusterModel) -> Mapping[str, set[str]] | None:
    """Return the labels of nodes with their values, none of which stand for any; None if the nodes are not known."""
    cluster = model.cluster
    if cluster.kind == "digitalocean":
        inputs = next(iter(model.bootstrap.inputs("cluster").values()), {})
        pool = mapping(inputs.get("node_pool"))
        region = {str(inputs["region"])} if inputs.get("region") else set()
        return {
            **_OF_EVERY_NODE,
            # Nodes with processors of another architecture are not offered.
            "kubernetes.io/arch": {"amd64"},
            "node.kubernetes.io/instance-type": {cluster.size} if cluster.size else set(),
            "topology.kubernetes.io/region": region,
            "doks.digitalocean.com/node-pool": {str(pool["name"])} if pool.get("name") else set(),
            "doks.digitalocean.com/node-id": set(),
            "doks.digitalocean.com/node-pool-id": set(),
            "doks.digitalocean.com/version": set(),
            "region": region,
            **{key: {value} for key, value in texts(pool.get("labels")).items()},
        }
    told = {key: {value} for key, value in (cluster.node.labels or {}).items()} if cluster.node else {}
    if cluster.kind == "k3d":
        return {
            **_OF_EVERY_NODE,
            "kubernetes.io/arch": _ARCHITECTURES,
            "node.kubernetes.io/instance-type": {"k3s"},
            "node-role.kubernetes.io/control-plane": {"true"},
            **told,
        }
    if cluster.node is None or cluster.node.labels is None:
        return None
    return {**_OF_EVERY_NODE, **_OF_CLOUDS, **told}


def _terms(pods: Pods) -> Iterator[tuple[str, Sequence[tuple[str, str, list[str], str]]]]:
    """Yield the terms of which one must hold, each with its requirements: label, operator, values and field."""
    selector = [
        (key, "In", [value], f"{pods.path}.nodeSelector[{key}]")
        for key, value in texts(pods.spec.get("nodeSelector")).items()
    ]
    path = f"{pods.path}.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
    terms = inner(pods.spec, "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms")
    found = [(at, [*_requirements(term, at)]) for at, term in entries(terms, path)]
    for at, term in found or [(f"{pods.path}.nodeSelector", [])]:
        yield at, [*selector, *term]


def _requirements(term: Mapping[str, Any], at: str) -> Iterator[tuple[str, str, list[str], str]]:
    for each in mappings(term.get("matchExpressions")):
        yield str(each.get("key")), str(each.get("operator")), [*map(str, sequence(each.get("values")))], at


def _contradictions(pods: Pods) -> Iterator[Finding]:
    found: list[tuple[str, str]] = []
    for _, requirements in _terms(pods):
        by_label: dict[str, set[str]] = {}
        before = len(found)
        for key, operator, values, at in sorted(requirements, key=lambda each: each[1] != "In"):
            if operator == "In":
                by_label[key] = by_label.get(key, set(values)) & set(values)
            elif operator == "NotIn" and key in by_label:
                by_label[key] -= set(values)
            if by_label.get(key, {""}) == set() or (operator == "DoesNotExist" and key in by_label):
                found.append((key, at))
        if len(found) == before:
            return
    if found:
        key, at = found[0]
        problem = f"It wants nodes of which the label {key} has values that exclude each other."
        yield Finding.of("node-selection-contradicts", pods.owner, problem, at=at)


def _selection(pods: Pods, labels: Mapping[str, set[str]], *, only_known: bool = False) -> Iterator[Finding]:
    """Yield pods of which no node has the labels; with ``only_known``, nodes may have others that are not known."""
    unmet = []
    for _, requirements in _terms(pods):
        judged = [each for each in requirements if not only_known or (each[1] == "In" and each[0] in labels)]
        missing = next((each for each in judged if not _is_met(each[0], each[1], each[2], labels)), None)
        if missing is None:
            return
        unmet.append(missing)
    key, operator, values, at = unmet[0]
    known = labels.get(key)
    if known is None:
        problem, fix = f"No node has the label {key}.", hint("label", key, labels)
    else:
        problem = f"No node has the label {key} {'with' if operator == 'In' else operator} {listed(values)}."
        fix = hint("value", values[0] if values else "", known)
    yield Finding.of("no-node-matches", pods.owner, problem, at=at, fix=fix)


def _is_met(key: str, operator: str, values: Sequence[str], labels: Mapping[str, set[str]]) -> bool:
    known = labels.get(key)
    if operator == "In":
        return known is not None and (not known or not known.isdisjoint(values))
    if operator in ("Exists", "Gt", "Lt"):
        return known is not None
    if operator == "NotIn":
        return not known or not known <= set(values)
    # Labels that only some nodes have are not on the others.
    return operator != "DoesNotExist" or known is None or key.startswith("node-role.")


def _spreads(pods: Pods, labels: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Yield constraints over a label that no node has: the pods that they hold for find no node."""
    for at, constraint in entries(pods.spec.get("topologySpreadConstraints"), f"{pods.path}.topologySpreadConstraints"):
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule":
            yield from _topology(pods, str(constraint.get("topologyKey")), at, labels)
    at = f"{pods.path}.affinity.podAffinity.{_REQUIRED}"
    for here, term in entries(inner(pods.spec, "affinity", "podAffinity", _REQUIRED), at):
        yield from _topology(pods, str(term.get("topologyKey")), here, labels)


def _topology(pods: Pods, key: str, at: str, labels: Mapping[str, set[str]]) -> Iterator[Finding]:
    if key not in labels:
        problem = f"No node has the label {key}, over which its pods are to be spread."
        yield Finding.of("no-node-matches", pods.owner, problem, at=f"{at}.topologyKey", fix=hint("label", key, labels))


def _devices(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    for container in pods.containers:
        resources = mapping(container.get("resources"))
        names = {*mapping(resources.get("limits")), *mapping(resources.get("requests"))}
        for name in sorted(names):
            if "/" in name and not _OWN.fullmatch(name) and not _is_offered(model, name):
                problem = f"Nothing in the tree offers {name}, and the nodes of {model.cluster.size or 'k3d'} do not."
                yield Finding.of("extended-resource-missing", pods.owner, problem, at=f"{container.path}.resources")


def _is_offered(model: ClusterModel, name: str) -> bool:
    """Tell whether a device plugin is there, or may come with a chart or with the nodes."""
    told = model.cluster.node.extended if model.cluster.node else {}
    if name in told or name.partition("/")[0].endswith("kubernetes.io") or model.cluster.size.startswith("gpu-"):
        return True
    vendor = name.partition("/")[0].partition(".")[0]
    known = [*(chart.name for each in model.all_applications for chart in each.charts)]
    known += [pods.owner.name for pods in model.pods if pods.owner.kind == "DaemonSet"]
    return any(vendor in each or "device-plugin" in each or "gpu-operator" in each for each in known)


def _device_room(model: ClusterModel) -> Iterator[Finding]:
    """Yield what asks for more devices than one node has, or all of them together."""
    node, nodes = model.cluster.node, model.cluster.nodes or 0
    for name, offered in node.extended.items() if node else ():
        asked = {pods: sum(_asked(container.manifest, name) for container in pods.containers) for pods in model.pods}
        for pods, number in asked.items():
            if number > offered:
                problem = f"a pod asks for {number} of {name}; a node has {offered}."
                yield Finding.of("pod-larger-than-node", pods.owner, problem, at=f"{pods.path}.containers")
        total = sum(number * model.scales.of(pods.owner).minimum for pods, number in asked.items() if number <= offered)
        if total > nodes * offered:
            problem = f"the pods ask for {total} of {name}, and {plural(nodes, 'node')} with {offered} each have fewer."
            yield Finding.of("no-room", None, problem)


def _asked(container: Mapping[str, Any], name: str) -> int:
    resources = mapping(container.get("resources"))
    return amount_of(inner(resources, "limits", name) or inner(resources, "requests", name))


def _scheduler(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield pods for a scheduler of which the tree tells nothing."""
    name = pods.spec.get("schedulerName")
    if not isinstance(name, str) or name in ("", "default-scheduler") or model.is_named_by_chart(name):
        return
    said = (
        text for each in model.pods for text in (each.owner.name, *map(str, (c.get("image") for c in each.containers)))
    )
    maps = (text for item in model.kind("ConfigMap") for text in model.texts_of(item).values())
    if not any(name in text for text in (*said, *maps)) and not model.has_generated_applications:
        problem = f"Nothing in the tree is a scheduler {name}."
        yield Finding.of("scheduler-missing", pods.owner, problem, at=f"{pods.path}.schedulerName")


def _runtime(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    name, known = pods.spec.get("runtimeClassName"), model.names("RuntimeClass")
    # k3s brings RuntimeClasses for what it finds on the machine.
    is_known = name in known or model.cluster.kind in ("", "k3d") or model.is_named_by_chart(str(name))
    if isinstance(name, str) and name and not is_known:
        at = f"{pods.path}.runtimeClassName"
        yield Finding.missing("runtime-class-missing", pods.owner, at, "RuntimeClass", name, known, hinted="class")

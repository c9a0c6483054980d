"""Which pods must be on different nodes, whether there are enough nodes for that, and which pods share a volume."""

from collections.abc import Iterator

from constructs_lib.check.capacity.packing import Spread
from constructs_lib.check.capacity.requests import rolling_update
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods, grouped
from constructs_lib.kubernetes.manifest import inner, mappings, sequence
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import BOUNDS
from constructs_lib.text import plural

_HOSTNAME = "kubernetes.io/hostname"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def spreads(pods: Pods) -> Iterator[Spread]:
    """Yield the topology spread constraints over nodes that must hold."""
    for entry in mappings(pods.spec.get("topologySpreadConstraints")):
        if entry.get("topologyKey") == _HOSTNAME and entry.get("whenUnsatisfiable") == "DoNotSchedule":
            skew, least = entry.get("maxSkew"), entry.get("minDomains")
            yield Spread(
                Selector(entry.get("labelSelector")),
                skew if isinstance(skew, int) else 1,
                least if isinstance(least, int) else 0,
            )


def repelled(pods: Pods) -> Iterator[Selector]:
    """Yield the pods of the same namespace that must be on other nodes."""
    for term in mappings(inner(pods.spec, "affinity", "podAntiAffinity", _REQUIRED)):
        if term.get("topologyKey") == _HOSTNAME and not term.get("namespaces") and not term.get("namespaceSelector"):
            yield Selector(term.get("labelSelector"))


def most_on(pods: Pods, nodes: int) -> tuple[str, int] | None:
    """Return how many pods of a workload can be on some nodes, after the field that limits it; None for no limit.

    A spread constraint limits the number only where there are fewer nodes than ``minDomains``. Otherwise any number of
    pods is even enough.
    """
    if any(selector.matches(pods.labels) for selector in repelled(pods)):
        return "affinity.podAntiAffinity", nodes
    for spread in spreads(pods):
        if spread.least_nodes > nodes and spread.selector.matches(pods.labels):
            return "topologySpreadConstraints", nodes * spread.most_skew
    return None


def prove_placement(model: ClusterModel) -> Iterator[Finding]:
    """Yield the workloads whose pods need more nodes than there are, whatever the size of the nodes."""
    nodes = model.cluster.nodes
    if not nodes:
        return
    for pods in model.pods:
        if (most := most_on(pods, nodes)) is None:
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

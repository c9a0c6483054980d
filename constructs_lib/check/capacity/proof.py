"""Whether the nodes have room for all pods, and whether programs have the right size of their cluster configured.

The requests of pods are read from the tree: from workloads and their autoscalers, and for the pods of charts from
``resources`` and ``replicas`` in the values of Applications. The defaults of charts are in no tree, so the sums here
are lower bounds. What a node has is known for DigitalOcean. For k3d, whose nodes share one machine, and for unknown
clusters, only the number of nodes counts.
"""

from collections.abc import Iterator

from constructs_lib.check.capacity.memory import prove_heaps, prove_memory_volumes
from constructs_lib.check.capacity.placement import prove_placement, prove_shared_volumes
from constructs_lib.check.capacity.programs import prove_contact_points, prove_rabbitmq, prove_replication
from constructs_lib.check.capacity.room import prove_room
from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel
from constructs_lib.text import plural

_OF_PODS = (prove_contact_points, prove_rabbitmq, prove_replication, prove_heaps, prove_memory_volumes)


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield the pods for which there is no room, and the programs with a wrong size in their configuration."""
    yield from prove_room(model)
    yield from prove_placement(model)
    yield from prove_shared_volumes(model)
    for pods in model.pods:
        for prove_pods in _OF_PODS:
            yield from prove_pods(model, pods)


PROOF = Proof(
    "capacity",
    "The nodes have room for all pods, and clusters of programs the size that they are told.",
    prove,
    lambda model: plural(len(model.pods), "workload"),
)

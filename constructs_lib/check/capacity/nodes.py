"""What a node of DigitalOcean has for pods, and which pods the platform itself runs on the nodes."""

import re

from constructs_lib.check.capacity.packing import Amount, Item
from constructs_lib.check.capacity.requests import GIB

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
_NAME = re.compile(r"(?:[a-z0-9.]+-)?(\d+)vcpu-(\d+)gb(?:-(\d+)gb)?(?:-[a-z0-9]+)*")
#: The name of a CPU-optimized size gives only the cores; it has twice as many GiB.
_SHORT_NAME = re.compile(r"c-(\d+)(?:-[a-z0-9]+)*")

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


def node_of(size: str) -> Amount | None:
    """Return what a node of DigitalOcean has for pods.

    Args:
        size: The name of its size, such as ``s-4vcpu-8gb``.

    Returns:
        None if the name does not say how large it is.
    """
    if match := _NAME.fullmatch(size):
        cores, memory, disk = int(match[1]), int(match[2]), int(match[3] or 0)
    elif match := _SHORT_NAME.fullmatch(size):
        cores, memory, disk = int(match[1]), 2 * int(match[1]), 0
    else:
        return None
    return Amount(
        1000 * cores - _RESERVED_CPU,
        int(_free_memory(memory) * GIB),
        # Without a disk in the name, its size is not known, so there is no limit.
        int(disk * GIB * _USABLE_DISK) if disk else 2**63,
        VOLUMES_OF_A_NODE,
        PODS_OF_A_NODE,
    )


def _free_memory(size: int) -> float:
    """Return the free GiB of a node; for a size that is not in the table, in the ratio of the next smaller one."""
    known = [pair for pair in zip(_SIZES, _FREE, strict=True) if pair[0] <= size]
    below, free = known[-1] if known else (1, 0.0)
    return free / below * size


def argocd_pods(*, highly_available: bool) -> list[Item]:
    """Return the pods of Argo CD."""
    return [
        Item(f"argocd/{name}", Amount(cpu, mebibytes * 2**20, pods=1))
        for name, cpu, mebibytes, alone, several in ARGOCD
        for _ in range(several if highly_available else alone)
    ]

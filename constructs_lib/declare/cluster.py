"""Clusters: what a system can count on, and what the bootstrap makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from constructs_lib.declare import validation
from constructs_lib.declare.mistake import Location, here, nearest, shown


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Kubernetes cluster of any kind. :class:`DigitalOcean` and :class:`K3d` know their own facts.

    Attributes:
        kubernetes: Minor version, for instance ``"1.34"``; the manifests are validated against its schemas.
        nodes: Number of worker nodes.
        storage_class: StorageClass of the volumes; None takes the cluster's default.
        provides: What the cluster brings along, of :attr:`CAPABILITIES`, so that the system need not install it.
        domain: DNS domain of the cluster.
        load_balancer_annotations: Annotations of every Service of type LoadBalancer.
        cluster_networks: CIDR blocks in which pods, Services and nodes live: "the internet" is all but these.
    """

    kubernetes: str
    nodes: int
    storage_class: str | None = None
    provides: tuple[str, ...] = ()
    domain: str = "cluster.local"
    load_balancer_annotations: Mapping[str, str] = field(default_factory=dict)
    #: RFC 1918, RFC 6598 (shared address space) and link-local, where the metadata services of clouds answer.
    cluster_networks: tuple[str, ...] = (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
    )
    location: Location = field(default_factory=here, init=False, compare=False, repr=False)

    #: ``metrics-api``: ``metrics.k8s.io`` answers, so autoscaling works without metrics-server. ``external-secrets``:
    #: External Secrets Operator with a ClusterSecretStore named like the environment's.
    CAPABILITIES = ("external-secrets", "metrics-api")
    #: Versions whose strict schemas the tests have.
    SUPPORTED_VERSIONS = tuple(f"1.{minor}" for minor in range(30, 38))

    def mistakes(self) -> Iterator[str]:
        """Yield what is wrong with the cluster."""
        if self.kubernetes not in self.SUPPORTED_VERSIONS:
            first, last = self.SUPPORTED_VERSIONS[0], self.SUPPORTED_VERSIONS[-1]
            yield f'kubernetes: {shown(self.kubernetes)} is not known; give a version from "{first}" to "{last}".'
        if self.nodes < 1:
            yield f"nodes: {self.nodes} is no number of nodes; at least 1 is needed."
        for capability in self.provides:
            if capability not in self.CAPABILITIES:
                yield f"provides: {shown(capability)} is not known; {nearest(capability, self.CAPABILITIES)}"
        if problem := validation.domain(self.domain):
            yield f"domain: {problem}"
        for network in self.cluster_networks:
            if problem := validation.network(network):
                yield f"cluster_networks: {problem}"
        if self.storage_class is not None and (problem := validation.dns_label(self.storage_class)):
            yield f"storage_class: {problem}"


@dataclass(frozen=True, kw_only=True)
class DigitalOcean(Cluster):
    """DigitalOcean Kubernetes.

    It comes without a metrics API, and ``do-block-storage`` keeps no volume once its claim is deleted; the
    ``-retain`` class does, so it is the default here (https://docs.digitalocean.com/products/kubernetes/how-to/add-volumes/).

    Attributes:
        name: Name of the cluster.
        region: Region, for instance ``fra1``.
        pool: Name of the node pool.
        size: Droplet size of its nodes.
        tags: Tags of the cluster.
    """

    name: str
    region: str
    pool: str
    size: str
    tags: tuple[str, ...] = ()
    storage_class: str | None = "do-block-storage-retain"

    def mistakes(self) -> Iterator[str]:
        """Yield what is wrong with the cluster."""
        yield from super().mistakes()
        for attribute in ("name", "region", "pool", "size"):
            if problem := validation.dns_label(getattr(self, attribute)):
                yield f"{attribute}: {problem}"


@dataclass(frozen=True, kw_only=True)
class K3d(Cluster):
    """A cluster of k3s nodes in Docker containers, on a laptop. K3s brings metrics-server and a load balancer."""

    storage_class: str | None = "local-path"
    provides: tuple[str, ...] = ("metrics-api",)

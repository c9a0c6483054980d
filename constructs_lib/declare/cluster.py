"""Clusters: what a system can count on, and what the bootstrap makes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from constructs_lib.argocd.destination import HERE
from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.declare.diagnostics import Location, here
from constructs_lib.kubernetes.names import image
from constructs_lib.kubernetes.node import Node
from constructs_lib.text import nearest, shown

_SERVER = re.compile(r"https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[^\s/*!]+)*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,252}")


@explained
@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Kubernetes cluster of any kind. :class:`DigitalOcean` and :class:`K3d` know their own facts.

    Attributes:
        kubernetes: Minor version, for instance ``"1.34"``; the manifests are validated against its schemas.
        nodes: Number of worker nodes.
        node: What each of them has for pods, so that ``check`` can prove that there is room. Default: not known.
        storage_class: StorageClass of the volumes; None takes the cluster's default.
        provides: What the cluster brings along, of :attr:`CAPABILITIES`.
        domain: DNS domain of the cluster.
        load_balancer_annotations: Annotations of every Service of type LoadBalancer.
        cluster_networks: CIDR blocks in which pods, Services and nodes live: "the internet" is all but these.
        api_networks: CIDR blocks of the API server as policies see it, which with most network plug-ins is the address
            behind its Service. Default: not known, so that pods that call it may call any address at its ports.
        node_networks: CIDR blocks of the nodes. Default: not known, so that what calls the kubelets and node-exporter
            may call any address at their ports.
        destination_server: Address of its API server by which an Argo CD in another cluster knows it
            (``destination.server``), for instance ``https://10.0.0.1:6443``. Default: Argo CD runs in this cluster.
        destination_name: Name by which an Argo CD in another cluster knows it (``destination.name``), in the place of
            the address.
        external_secrets_account: Namespace and name of the ServiceAccount of External Secrets, such as
            ``external-secrets/external-secrets``, where another environment or system brings it to the cluster: it then
            may ask for tokens of the accounts that read secrets, and of no others. Default: it may anyway.
    """

    kubernetes: str
    nodes: int
    node: Node | None = None
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
    api_networks: tuple[str, ...] = ()
    node_networks: tuple[str, ...] = ()
    destination_server: str = ""
    destination_name: str = ""
    external_secrets_account: str = ""
    location: Location = field(default_factory=here, init=False, compare=False, repr=False)

    #: ``metrics-api``: ``metrics.k8s.io`` answers, so autoscaling works without metrics-server. ``external-secrets``:
    #: External Secrets Operator, which may ask for tokens of ServiceAccounts. ``cilium``: Cilium enforces
    #: policies, with its proxy for DNS (``enable-l7-proxy``), so that hosts outside, the API server and the nodes are
    #: opened by their names. ``reloader``: Reloader restarts programs whose secrets changed, with the strategy
    #: ``annotations``, in all namespaces. ``user-namespaces``: the nodes run pods in user namespaces of their own.
    CAPABILITIES = ("cilium", "external-secrets", "metrics-api", "reloader", "user-namespaces")
    #: Versions whose strict schemas the tests have.
    SUPPORTED_VERSIONS = tuple(f"1.{minor}" for minor in range(30, 38))

    @property
    def destination(self) -> dict[str, str]:
        """The cluster as Applications and AppProjects name it.

        https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#clusters
        """
        if self.destination_name:
            return {"name": self.destination_name}
        return {"server": self.destination_server or HERE["server"]}

    @property
    def identity(self) -> tuple[str, ...]:
        """What no other cluster has, where it is known; else empty: the rest tells what it is like, not which it is."""
        return ()

    @property
    def is_remote(self) -> bool:
        """Whether Argo CD runs in another cluster."""
        return bool(self.destination_name or self.destination_server)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the cluster."""
        yield from self._destination_problems()
        if account := self.external_secrets_account:
            namespace, _, name = account.partition("/")
            if validation.dns_label(namespace) or validation.dns_label(name):
                what = 'is no account; write "namespace/name", such as "external-secrets/external-secrets".'
                yield f"external_secrets_account: {shown(account)} {what}"
            elif "external-secrets" not in self.provides:
                yield 'external_secrets_account: the cluster has none by itself; write provides=("external-secrets",).'
        if self.kubernetes not in self.SUPPORTED_VERSIONS:
            first, last = self.SUPPORTED_VERSIONS[0], self.SUPPORTED_VERSIONS[-1]
            yield f'kubernetes: {shown(self.kubernetes)} is not known; give a version from "{first}" to "{last}".'
        if self.nodes < 1:
            yield f"nodes: {self.nodes} is no number of nodes; at least 1 is needed."
        yield from (f"node, {problem}" for problem in self.node.problems()) if self.node else ()
        for capability in self.provides:
            if capability not in self.CAPABILITIES:
                yield f"provides: {shown(capability)} is not known; {nearest(capability, self.CAPABILITIES)}"
        if problem := validation.domain(self.domain):
            yield f"domain: {problem}"
        for argument in ("cluster_networks", "api_networks", "node_networks"):
            for network in getattr(self, argument):
                if problem := validation.network(network):
                    yield f"{argument}: {problem}"
        if "user-namespaces" in self.provides and self.kubernetes in ("1.30", "1.31", "1.32"):
            yield f"provides: user-namespaces: Kubernetes {self.kubernetes} has them turned off; 1.33 has them on."
        if self.storage_class is not None and (problem := validation.dns_label(self.storage_class)):
            yield f"storage_class: {problem}"

    def _destination_problems(self) -> Iterator[str]:
        here = "it is the cluster in which Argo CD runs, which is meant without it; leave it out."
        if self.destination_server and self.destination_name:
            yield "destination_name: destination_server names the cluster already; give one of the two."
        if self.destination_server.rstrip("/") == HERE["server"]:
            yield f"destination_server: {here}"
        elif self.destination_server and not _SERVER.fullmatch(self.destination_server):
            what = 'is no address of an API server; write it like "https://10.0.0.1:6443", without a slash at its end.'
            yield f"destination_server: {shown(self.destination_server)} {what}"
        if self.destination_name == HERE["name"]:
            yield f"destination_name: {here}"
        elif self.destination_name and not _NAME.fullmatch(self.destination_name):
            what = "is no name of a cluster: letters, digits and any of -_.:/@, at most 253."
            yield f"destination_name: {shown(self.destination_name)} {what}"


@explained
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
        ha: Whether the control plane is highly available. It costs extra and cannot be turned off again. It is always
            written out, because DigitalOcean's own default depends on the version of Kubernetes.
        nodes_max: Number of nodes up to which the pool grows by itself; None leaves it at ``nodes``.
        maintenance_day: Day on which DigitalOcean may maintain the cluster: ``monday`` to ``sunday``, or ``any``.
        maintenance_start: Start of the four hours in which it may, in UTC, for instance ``"02:00"``.
        surge_upgrade: Whether an upgrade adds nodes before it drains the old ones.
    """

    name: str
    region: str
    pool: str
    size: str
    tags: tuple[str, ...] = ()
    ha: bool = False
    nodes_max: int | None = None
    maintenance_day: str = "sunday"
    maintenance_start: str = "02:00"
    surge_upgrade: bool = True
    storage_class: str | None = "do-block-storage-retain"

    @property
    def identity(self) -> tuple[str, ...]:
        """Its name and region."""
        return self.name, self.region

    #: https://docs.digitalocean.com/platform/regional-availability/
    REGIONS = (
        "ams3", "atl1", "blr1", "fra1", "lon1", "nyc1", "nyc2", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1",
    )  # fmt: skip
    DAYS = ("any", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    #: The families of droplets and what follows them; prices and sizes change too often for a list.
    _SIZE = re.compile(r"(s|c|c2|g|gd|m|m3|m6|so|so1_5|gpu)-[a-z0-9]+(-[a-z0-9]+)*")
    _TAG = re.compile(r"[A-Za-z0-9_:-]{1,255}")

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the cluster."""
        yield from super().problems()
        if self.node is not None:
            yield "node: it follows from the size here; leave it out."
        for attribute in ("name", "pool"):
            if problem := validation.dns_label(getattr(self, attribute)):
                yield f"{attribute}: {problem}"
        if self.region not in self.REGIONS:
            yield f'region: "{self.region}" is not known; {nearest(str(self.region), self.REGIONS)}'
        if not isinstance(self.size, str) or not self._SIZE.fullmatch(self.size):
            yield f'size: "{self.size}" is no size of a droplet; write it like "s-4vcpu-8gb".'
        for tag in self.tags:
            if not self._TAG.fullmatch(tag):
                yield f'tags: "{tag}" is no tag; letters, digits, ":", "-" and "_", at most 255.'
        if self.nodes_max is not None and self.nodes_max <= self.nodes:
            yield f"nodes_max: {self.nodes_max} is not more than the {self.nodes} nodes that there always are."
        if self.maintenance_day not in self.DAYS:
            yield f'maintenance_day: "{self.maintenance_day}" is not known; {nearest(self.maintenance_day, self.DAYS)}'
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", self.maintenance_start):
            yield f'maintenance_start: "{self.maintenance_start}" is no time of day; write it like "02:00".'


@explained
@dataclass(frozen=True, kw_only=True)
class K3d(Cluster):
    """A cluster of k3s nodes in Docker containers, on a laptop. K3s brings metrics-server and a load balancer.

    Everything is bound to 127.0.0.1. Each node takes the whole machine for its own, so that ``node`` is to be its part.

    Attributes:
        image: Image of k3s with its digest; None leaves making the cluster to you, and no k3d configuration is written.
        servers: How many of the nodes are servers, which run the control plane besides their work.
        api_port: Port of this machine for the Kubernetes API.
        argocd_port: Port of this machine for Argo CD.
        ports: Ports of this machine for ports of Services of type LoadBalancer, for instance ``{3000: 3000}``.
    """

    image: str | None = None
    servers: int = 1
    api_port: int = 6550
    argocd_port: int = 8443
    ports: Mapping[int, int] = field(default_factory=dict)
    storage_class: str | None = "local-path"
    provides: tuple[str, ...] = ("metrics-api",)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the cluster."""
        yield from super().problems()
        if self.image is not None:
            if problem := validation.image(self.image):
                yield f"image: {problem}"
            elif not ((k3s := image(self.image)) and k3s.digest and k3s.tag.startswith(f"v{self.kubernetes}.")):
                yield f'image: "{self.image}" must be k3s {self.kubernetes} with its digest, ":v{self.kubernetes}.…@…".'
        if self.nodes >= 1 and (not 1 <= self.servers <= self.nodes or self.servers % 2 == 0):
            yield f"servers: an odd number up to the {self.nodes} nodes is needed, not {self.servers}."
        taken = [self.api_port, self.argocd_port, *self.ports]
        for port in [*taken, *self.ports.values()]:
            if problem := validation.port_number(port):
                yield problem
        for port in sorted({port for port in taken if taken.count(port) > 1}):
            yield f"the port {port} of this machine is given away twice."

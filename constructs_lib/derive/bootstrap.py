"""What the bootstrap reads: the inputs of its two Terraform modules and the configuration of k3d."""

from collections.abc import Mapping
from typing import Any

from constructs_lib.declare.cluster import DigitalOcean, K3d
from constructs_lib.declare.environment import declared_environments
from constructs_lib.declare.route import Route
from constructs_lib.declare.system import System

#: Port of every k3d node behind which Argo CD's server answers; the load balancer of k3d leads to it.
ARGOCD_NODE_PORT = 30443
_LOOPBACK = "127.0.0.1"


def cluster_inputs(cluster: DigitalOcean) -> dict[str, Any]:
    """Return the variables of ``bootstrap/cluster``, without the environment."""
    return {
        "name": cluster.name,
        "region": cluster.region,
        "kubernetes": cluster.kubernetes,
        "ha": cluster.ha,
        "tags": list(cluster.tags),
        "node_pool": {
            "name": cluster.pool,
            "size": cluster.size,
            "nodes": cluster.nodes,
            "nodes_max": cluster.nodes_max,
        },
        "maintenance": {"day": cluster.maintenance_day, "start": cluster.maintenance_start},
        "surge_upgrade": cluster.surge_upgrade,
    }


def sync_timeout(system: System, waves: Mapping[str, int]) -> int:
    """Return after how many seconds Argo CD may end a sync that still runs: later than the slowest that is healthy.

    While it runs, its Application takes up no other commit. But a sync that is ended is not begun anew before the next
    commit (``alreadyAttemptedSync`` of Argo CD's controller), so that a healthy one must never be. The slowest are the
    first one of the root, which goes through all ``waves``, and that of a component of which all pods are replaced.

    Args:
        system: The system.
        waves: The wave of each component, by its id.
    """
    first: dict[int, int] = {}
    for component in system.components:
        wave = waves[component.id]
        first[wave] = max(first.get(wave, 0), component.rollout_seconds(first=True))
    updates = (component.rollout_seconds(first=False) for component in system.components)
    # A tenth more, for Argo CD itself; in whole minutes.
    return -(-max([sum(first.values()), *updates]) * 11 // 600) * 60


def argocd_inputs(system: System, waves: Mapping[str, int]) -> dict[str, Any]:
    """Return the variables of ``bootstrap/argocd``, without the environment.

    The root Application and its AppProject are not among them: the module reads them from ``argocd/<environment>/``.
    """
    environment = system.environment
    return {
        "chart": environment.argocd_chart,
        "ha": environment.argocd_ha,
        "node_port": ARGOCD_NODE_PORT if isinstance(environment.cluster, K3d) else None,
        **_argocd(system),
        "repository": {
            "url": environment.repository.url,
            "branch": environment.repository.branch,
            **({"publication_branch": environment.publication_branch} if environment.publication_branch else {}),
        },
        "sync_timeout_seconds": sync_timeout(system, waves),
        "secret_store": environment.secret_store_namespace,
        "secrets": _secret_values(system),
        "secret_readers": _secret_readers(system),
        **({"signed_by": list(environment.signed_by)} if environment.signed_by else {}),
        **({"hosts": _hosts(system)} if system.routes else {}),
    }


def _hosts(system: System) -> list[dict[str, str]]:
    """Return every host of the routes, with the object that tells the address to which its name has to lead."""
    told = {host: route.told_by for route in system.routes if isinstance(route, Route) for host in route.hosts}
    return [
        {"host": host, "kind": kind, "namespace": namespace, "name": name}
        for host, (kind, namespace, name) in sorted(told.items())
    ]


def _argocd(system: System) -> dict[str, Any]:
    """Return what is not as in a cluster with an Argo CD of its own: where it is, who installs it, whom it deploys."""
    environment = system.environment
    argocd, cluster = environment.argocd, environment.cluster
    sharing = [each for each in declared_environments.get() if each.shares_argocd(environment)]
    others = [f"{each.prefix}{system.name}" for each in sharing if each is not environment]
    # The first that is in the cluster of Argo CD installs it.
    installs = (
        argocd.install
        and not cluster.is_remote
        and all(
            each is environment or each.cluster.is_remote
            for each in sharing[: sharing.index(environment) if environment in sharing else 0]
        )
    )
    told = {
        **({"namespace": argocd.namespace} if argocd.namespace != "argocd" else {}),
        **({"applications": argocd.applications} if argocd.applications != "argocd" else {}),
        **({} if installs else {"install": False}),
        **({"remote": True, "destination": cluster.destination} if cluster.is_remote else {}),
        **({"others": sorted({*argocd.others, *others})} if argocd.others or others else {}),
    }
    return {"argocd": told} if told else {}


def _secret_values(system: System) -> list[dict[str, Any]]:
    """Return every secret value of a system: which component and key of the store, who gives it, what it is for."""
    # What belongs to no component: those who are told it have copies of the value.
    outside = {server.name for server in system.outside} | ({system.name} if system.pull_secret else set())
    own = {
        reference
        for component in system.components
        for reference in component.secrets.values()
        if reference.component in (component.id, *outside)
    }
    return [
        {
            "component": reference.component,
            "key": reference.key,
            "owner": reference.secret.owner,
            "purpose": reference.secret.purpose,
        }
        for reference in sorted(own, key=lambda reference: (reference.component, reference.key))
    ]


def _secret_readers(system: System) -> dict[str, Any]:
    """Return every component that reads secrets: from which namespace, and the values of others that it has copies of.

    A copy is for a client of what the other component offers; it follows from their edge.
    """
    return {
        component.id: {
            "namespace": component.namespace_name,
            "copies": {
                key: f"{reference.component}/{reference.key}"
                for key, reference in sorted(component.secrets.items())
                if reference.component != component.id
            },
        }
        for component in sorted(system.components, key=lambda component: component.id)
        if component.secrets
    }


def k3d_config(system: System, cluster: K3d) -> dict[str, Any]:
    """Return the configuration from which k3d makes the cluster.

    https://k3d.io/stable/usage/configfile/

    The load balancer of k3s stays, because a Service of type LoadBalancer that has no address would keep its
    Application from being healthy. The user's own kubeconfig is left alone.
    """
    ports = {cluster.argocd_port: ARGOCD_NODE_PORT, **cluster.ports}
    return {
        "apiVersion": "k3d.io/v1alpha5",
        "kind": "Simple",
        # k3d takes at most 32 characters.
        "metadata": {"name": f"{system.name}-{system.environment.name}"[:32].rstrip("-")},
        "servers": cluster.servers,
        "agents": cluster.nodes - cluster.servers,
        "image": cluster.image,
        "kubeAPI": {"hostIP": _LOOPBACK, "hostPort": str(cluster.api_port)},
        "ports": [
            {"port": f"{_LOOPBACK}:{port}:{target}", "nodeFilters": ["loadbalancer"]}
            for port, target in sorted(ports.items())
        ],
        "options": {
            "k3d": {"wait": True, "timeout": "300s"},
            # Nothing here is an Ingress.
            "k3s": {"extraArgs": [{"arg": "--disable=traefik", "nodeFilters": ["server:*"]}]},
            "kubeconfig": {"updateDefaultKubeconfig": False, "switchCurrentContext": False},
        },
    }

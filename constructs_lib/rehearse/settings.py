"""How an environment's cluster and its Argo CD are set up, as far as a rehearsal follows it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from constructs_lib.check.capacity.room import node_of
from constructs_lib.declare.argocd import ArgoCD
from constructs_lib.declare.cluster import DigitalOcean
from constructs_lib.declare.environment import Environment
from constructs_lib.rehearse.control_plane import Nodes
from constructs_lib.rehearse.processes import RehearsalError

#: The health checks that the bootstrap gives to Argo CD, as ``bootstrap/argocd/main.tf`` names them.
HEALTH = {
    "application-health.lua": "argoproj.io_Application",
    "autoscaler-health.lua": "autoscaling_HorizontalPodAutoscaler",
}


@dataclass(frozen=True)
class Settings:
    """What is rehearsed, and how the cluster is.

    Attributes:
        environment: Name of the environment.
        repository: URL of the repository that Argo CD reads.
        branch: The branch of the declaration.
        publication: The branch that only publications move; empty if the other one is deployed.
        source: Root of the user's repository.
        nodes: The nodes.
        health: Health checks in Lua by group and kind, as the ConfigMap ``argocd-cm`` has them.
        argocd: Where Argo CD runs, and where its Applications are.
        sync_timeout: Seconds after which Argo CD ends a sync.
        charts: Folder with archives of charts, named ``<name>-<version>.tgz``.
        patience: Seconds after which a phase that does not settle is ended.
    """

    environment: str
    repository: str
    branch: str
    source: Path
    nodes: Nodes
    health: Mapping[str, str]
    argocd: ArgoCD
    sync_timeout: int
    charts: Path | None = None
    patience: float = 600
    publication: str = ""


def settings_of(environment: Environment, root: Path, charts: Path | None, patience: float) -> Settings:
    """Return the settings of an environment, its Argo CD as the repository's bootstrap configures it.

    Args:
        environment: The environment.
        root: Root of the repository.
        charts: Folder with archives of charts.
        patience: Seconds after which a phase that does not settle is ended.

    Raises:
        RehearsalError: Argo CD reads the repository in a way in which no rehearsal can stand in for it.
    """
    url = environment.repository.url
    if not url.startswith("https://"):
        raise RehearsalError(
            f"Argo CD reads {url} by SSH, and a rehearsal stands in for addresses with https:// alone, so that no "
            f"request leaves the machine: declare the repository with such an address to rehearse."
        )
    if environment.cluster.is_remote:
        raise RehearsalError(
            f"{environment.name} is deployed by an Argo CD in another cluster, and a rehearsal has one cluster: "
            f"declare it without destination_server and destination_name to rehearse."
        )
    bootstrap = root / "bootstrap/argocd"
    values = bootstrap / f"{environment.name}.tfvars.json"
    inputs = json.loads(values.read_text()) if values.exists() else {}
    return Settings(
        environment.name,
        url,
        environment.repository.branch,
        root,
        _nodes(environment),
        {kind: (bootstrap / file).read_text() for file, kind in HEALTH.items() if (bootstrap / file).exists()},
        environment.argocd,
        inputs.get("sync_timeout_seconds", 1800),
        charts,
        patience,
        environment.publication_branch,
    )


def _nodes(environment: Environment) -> Nodes:
    """Return the nodes of a cluster; those on a laptop are as large as it takes."""
    cluster = environment.cluster
    free = node_of(cluster.size) if isinstance(cluster, DigitalOcean) else None
    count = (cluster.nodes_max or cluster.nodes) if isinstance(cluster, DigitalOcean) else cluster.nodes
    return Nodes(count, f"{free.cpu}m", str(free.memory)) if free else Nodes(count, "8", "16Gi")

"""What the bootstrap of this library says, as far as it is in the tree: the cluster, and the secrets that it fills."""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from constructs_lib.kubernetes.bounds import parse_json
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, texts
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.node import NODES, Node
from constructs_lib.repository.applications import Application
from constructs_lib.repository.snapshot import Files


@dataclass(frozen=True)
class Cluster:
    """What is known of the cluster that the objects are meant for.

    Attributes:
        kind: ``digitalocean``, ``k3d``, or empty if it is not known.
        kubernetes: Its minor version, such as ``1.36``; None if it is not known.
        nodes: Its smallest number of nodes; None if it is not known.
        size: The size of its nodes in the cloud's words, such as ``s-4vcpu-8gb``, or in those of whoever told what they
            have; empty if it is not known.
        node: What each node has, where the tree tells of it.
        is_laptop: Whether it is on somebody's own machine.
    """

    kind: str = ""
    kubernetes: str | None = None
    nodes: int | None = None
    size: str = ""
    node: Node | None = None
    is_laptop: bool = False


@dataclass(frozen=True)
class Store:
    """The values that External Secrets reads in the cluster itself.

    Attributes:
        file: The file that lists them.
        namespace: Where the Secrets with them are.
        values: Every value by the name of its Secret and its key: where it comes from, as ``component/key``. A copy
            comes from another Secret.
        readers: The namespace that may read each Secret, by the Secret's name; empty if the tree does not tell.
    """

    file: str
    namespace: str
    values: Mapping[tuple[str, str], str]
    readers: Mapping[str, str]


class Bootstrap:
    """The files in ``bootstrap/`` of some environments."""

    def __init__(self, files: Files, applications: Iterable[Application]) -> None:
        """Read nothing yet. An environment is called after the folder that its Applications are in."""
        self._files = files
        self.environments = sorted(
            {_environment(posixpath.dirname(known.item.path)) for known in applications if known.item}
        )

    def inputs(self, module: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the inputs of a Terraform module by the files that hold them, one for an environment."""
        files = (f"{above}bootstrap/{module}/{name}.tfvars.json" for above, name in self.environments)
        return {file: inputs for file in files if (inputs := _read(self._files, file)) is not None}

    @cached_property
    def store(self) -> Store | None:
        """The values that it fills, or None if the tree has no list of them."""
        for file, inputs in self.inputs("argocd").items():
            secrets = mappings(inputs.get("secrets"))
            places = [(str(secret.get("component")), str(secret.get("key"))) for secret in secrets]
            readers = {name: mapping(reader) for name, reader in mapping(inputs.get("secret_readers")).items()}
            copied = {str(origin) for reader in readers.values() for origin in mapping(reader.get("copies")).values()}
            # What is outside of the system has values, and no Secret: its clients have copies.
            own = [place for place in places if place[0] in readers or "/".join(place) not in copied]
            values = {place: "/".join(place) for place in own}
            for name, reader in readers.items():
                values |= {(name, key): str(origin) for key, origin in mapping(reader.get("copies")).items()}
            namespaces = {name: str(reader.get("namespace")) for name, reader in readers.items()}
            return Store(file, str(inputs.get("secret_store") or ""), values, namespaces)
        return None

    @cached_property
    def k3s_disabled(self) -> frozenset[str]:
        """What a k3d cluster leaves out of what k3s brings along, such as ``traefik``."""
        return frozenset(
            name
            for above, name in self.environments
            for entry in mappings(inner(_k3d(self._files, above, name), "options", "k3s", "extraArgs"))
            for flag, _, names in [str(entry.get("arg")).partition("=")]
            if flag == "--disable"
            for name in names.split(",")
        )


def cluster_of(
    files: Files, folders: Iterable[str], version: str | None, applications: Iterable[Application] = ()
) -> Cluster:
    """Return what the bootstrap says of the cluster of some folders of Applications, such as ``argocd/local``.

    Where it names no version of Kubernetes, that is the given one. Of its nodes, an Application may tell.
    """
    cluster = _bootstrapped(files, folders, version)
    written = (application.item.annotations.get(NODES) for application in applications if application.item)
    told = next((found for text in written if text and (found := _told_nodes(text))), None)
    if told is None or cluster.kind == "digitalocean":
        return cluster
    count, node = told
    return replace(cluster, nodes=cluster.nodes or count, size=f"{node.cpu} CPU and {node.memory}", node=node)


def _told_nodes(text: str) -> tuple[int, Node] | None:
    """Return the number of nodes, and what each has; None for what is written wrongly."""
    try:
        told = mapping(parse_json(text.encode()))
    except ValueError:
        return None
    count, pods = told.get("count"), told.get("pods", 110)
    extended = {str(name): number for name, number in mapping(told.get("extended")).items() if isinstance(number, int)}
    labels = texts(told["labels"]) if isinstance(told.get("labels"), dict) else None
    if not isinstance(count, int) or not isinstance(pods, int):
        return None
    node = Node(cpu=str(told.get("cpu")), memory=str(told.get("memory")), pods=pods, labels=labels, extended=extended)
    return None if count < 1 or any(node.problems()) else (count, node)


def _bootstrapped(files: Files, folders: Iterable[str], version: str | None) -> Cluster:
    for above, environment in map(_environment, sorted({*folders})):
        if (inputs := _read(files, f"{above}bootstrap/cluster/{environment}.tfvars.json")) is not None:
            pool = mapping(inputs.get("node_pool"))
            return Cluster("digitalocean", inputs.get("kubernetes"), pool.get("nodes"), str(pool.get("size", "")))
        if config := _k3d(files, above, environment):
            nodes = int(config.get("servers", 1)) + int(config.get("agents", 0))
            return Cluster("k3d", version, nodes, is_laptop=True)
        # Argo CD answers at a port of the nodes on a laptop alone, also where somebody else made its cluster.
        if (_read(files, f"{above}bootstrap/argocd/{environment}.tfvars.json") or {}).get("node_port") is not None:
            return Cluster(kubernetes=version, is_laptop=True)
    return Cluster(kubernetes=version)


def version_number(version: str) -> tuple[int, ...]:
    """Return a version as numbers that can be compared; what is no number counts as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))


def _read(files: Files, file: str) -> Mapping[str, Any] | None:
    """Return the inputs in a file; None if there is no such file, or nobody can read it."""
    try:
        return mapping(parse_json(files[file]))
    except (KeyError, ValueError):
        return None


def _environment(folder: str) -> tuple[str, str]:
    """Return the name of the environment whose Applications are in a folder, and in which folder its bootstrap is."""
    above, _, name = folder.rstrip("/").rpartition("/")
    return above.removesuffix("argocd") if f"/{above}".endswith("/argocd") else "", name


def _k3d(files: Files, above: str, environment: str) -> Mapping[str, Any]:
    """Return the configuration of the k3d cluster of an environment; an empty one if there is none."""
    return mapping(Cache().document(files.get(f"{above}bootstrap/k3d/{environment}.yaml", b"")))

"""What the proofs look at: all objects of one environment, found by what others know them by, and its cluster."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from constructs_lib.argocd.objects import Cache, Identity, Object, mapping, sequence, unreadable
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.repository.applications import Application, find_applications
from constructs_lib.repository.snapshot import Snapshot

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cluster:
    """What is known of the cluster that the objects are meant for.

    Attributes:
        kind: ``digitalocean``, ``k3d``, or empty if it is not known.
        kubernetes: Its minor version, such as ``1.36``; None if it is not known.
        nodes: Its smallest number of nodes; None if it is not known.
        size: The size of its nodes in the cloud's words, such as ``s-4vcpu-8gb``; empty if it is not known.
    """

    kind: str = ""
    kubernetes: str | None = None
    nodes: int | None = None
    size: str = ""


@dataclass(frozen=True)
class Pods:
    """The pods of one workload.

    Attributes:
        owner: What makes them: a Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob, or a Pod itself.
        labels: Their labels.
        spec: Their spec.
        path: Where the spec stands in the owner, such as ``spec.template.spec``.
    """

    owner: Object
    labels: Mapping[str, str]
    spec: Manifest
    path: str

    @property
    def namespace(self) -> str:
        """Their namespace."""
        return self.owner.namespace

    @property
    def containers(self) -> list[tuple[str, Manifest]]:
        """All containers with the paths of their fields, those that run first included."""
        return [
            (f"{self.path}.{key}[{container.get('name', number)}]", container)
            for key in ("initContainers", "containers")
            for number, container in enumerate(sequence(self.spec.get(key)))
            if isinstance(container, dict)
        ]


class ClusterModel:
    """All objects of an environment, indexed. Nothing in it may be changed."""

    def __init__(
        self,
        snapshot: Snapshot,
        folders: Sequence[str] = (),
        cluster: Cluster | None = None,
        cache: Cache | None = None,
    ) -> None:
        """Read a tree.

        Args:
            snapshot: The tree.
            folders: Only Applications in these folders, and what they deploy. Default: all of them.
            cluster: The cluster. Default: what the tree's bootstrap and namespaces say of it.
            cache: Remembers what was read, for several trees that share files.
        """
        self.snapshot = snapshot
        self._answers: dict[Callable[[ClusterModel], Any], Any] = {}
        self._cache = cache = cache or Cache()
        found = find_applications(snapshot, folders, cache)
        self.all_applications: Sequence[Application] = found.all
        self.warnings: Mapping[str, str] = found.warnings
        self.unreadable = [
            problem
            for application in found.all
            for path, content in application.files.items()
            if (problem := unreadable(path, content, cache))
        ]
        #: Every object with the Application or group that deploys it; an object in two of them is there twice.
        self.deployed: list[tuple[Application, Object]] = [
            (application, item)
            for application in found.all
            for path in sorted(application.files)
            for item in application.read(path, application.files[path])
        ]
        self.objects: list[Object] = [item for _, item in self.deployed]
        self.cluster = cluster or self._cluster(folders)

    def once(self, ask: Callable[[ClusterModel], Result]) -> Result:
        """Return what a function says of the tree, and ask it only once: several proofs want to know the same."""
        if ask not in self._answers:
            self._answers[ask] = ask(self)
        answer: Result = self._answers[ask]
        return answer

    def is_written(self, content: bytes) -> bool:
        """Tell whether a file was written from objects here, so that it holds them and nothing else."""
        return self._cache.is_written(content)

    @cached_property
    def by_identity(self) -> Mapping[Identity, Object]:
        """Objects by API group, kind, namespace and name; of several alike the first."""
        found: dict[Identity, Object] = {}
        for item in self.objects:
            found.setdefault(item.identity, item)
        return found

    @cached_property
    def by_kind(self) -> Mapping[str, list[Object]]:
        """Objects by kind, whatever their group."""
        found: dict[str, list[Object]] = defaultdict(list)
        for item in self.objects:
            found[item.kind].append(item)
        return found

    def kind(self, *kinds: str) -> Iterator[Object]:
        """Yield the objects of some kinds."""
        for kind in kinds:
            yield from self.by_kind.get(kind, ())

    def get(self, kind: str, namespace: str, name: str, group: str = "") -> Object | None:
        """Return an object, or None if the tree does not have it."""
        return self.by_identity.get((group, kind, namespace, name))

    @cached_property
    def pods(self) -> list[Pods]:
        """The pods of all workloads."""
        return [pods for item in self.objects if (pods := pods_of(item)) is not None]

    @cached_property
    def pods_by_namespace(self) -> Mapping[str, list[Pods]]:
        """The pods by their namespace."""
        found: dict[str, list[Pods]] = defaultdict(list)
        for pods in self.pods:
            found[pods.namespace].append(pods)
        return found

    @cached_property
    def open_namespaces(self) -> frozenset[str]:
        """Namespaces that may hold more than the tree: charts and other tools put objects there that are not in it.

        What is missing in one of these may well be there, so nobody may say that it is not.
        """
        return frozenset(
            application.namespace
            for application in self.all_applications
            if application.charts or application.rendered or any(source.tool for source in application.sources)
        )

    @cached_property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of every namespace of the tree, with the one that Kubernetes adds."""
        named: dict[str, dict[str, str]] = {item.namespace: {} for item in self.objects if item.namespace}
        labelled = {item.name: texts(item.metadata.get("labels")) for item in self.kind("Namespace")}
        found = sorted({**named, **labelled}.items())
        return {name: {**labels, "kubernetes.io/metadata.name": name} for name, labels in found}

    @property
    def applications(self) -> Iterator[Application]:
        """The Applications, without the groups of objects that none deploys."""
        return (application for application in self.all_applications if application.item)

    def _cluster(self, folders: Sequence[str]) -> Cluster:
        """Return what the bootstrap of this library and the namespaces say of the cluster."""
        for environment in {folder.rstrip("/").rpartition("/")[2] for folder in folders}:
            files = self.snapshot.files
            inputs = files.get(f"bootstrap/cluster/{environment}.tfvars.json")
            if inputs is not None:
                variables = mapping(json.loads(inputs))
                pool = mapping(variables.get("node_pool"))
                return Cluster(
                    "digitalocean", variables.get("kubernetes"), pool.get("nodes"), str(pool.get("size", ""))
                )
            config = files.get(f"bootstrap/k3d/{environment}.yaml")
            if config is not None:
                content = mapping(Cache().document(config))
                nodes = int(content.get("servers", 1)) + int(content.get("agents", 0))
                return Cluster("k3d", self._enforced_version(), nodes)
        return Cluster(kubernetes=self._enforced_version())

    def _enforced_version(self) -> str | None:
        versions = {
            str(version).removeprefix("v")
            for item in self.kind("Namespace")
            if (version := texts(item.metadata.get("labels")).get("pod-security.kubernetes.io/enforce-version"))
        } - {"latest"}
        return max(versions, key=_version, default=None)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in text.split("."))


def texts(value: object) -> dict[str, str]:
    """Return a mapping of texts, such as labels, whatever was written in its place."""
    return {str(key): str(text) for key, text in mapping(value).items()}


def pods_of(item: Object) -> Pods | None:
    """Return the pods that an object makes, or None if it makes none."""
    if item.kind == "Pod" and not item.group:
        return Pods(item, texts(item.metadata.get("labels")), dict(item.spec), "spec")
    if item.kind not in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"):
        return None
    spec: Mapping[str, Any] = item.spec
    path = "spec"
    if item.kind == "CronJob":
        spec = mapping(mapping(spec.get("jobTemplate")).get("spec"))
        path = "spec.jobTemplate.spec"
    template = mapping(spec.get("template"))
    labels = texts(mapping(template.get("metadata")).get("labels"))
    return Pods(item, labels, dict(mapping(template.get("spec"))), f"{path}.template.spec")

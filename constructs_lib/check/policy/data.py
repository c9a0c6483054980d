"""Whether data stay: on volumes that nothing deletes, with one server or with one cluster of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from constructs_lib.argocd.objects import Object
from constructs_lib.check.calls import command, mounted
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import mapping, mappings
from constructs_lib.kubernetes.names import image
from constructs_lib.kubernetes.workloads import Container
from constructs_lib.text import listed

_KEPT = ("Deployment", "StatefulSet", "ReplicaSet")
#: Volumes that last no longer than their pod, or hold nothing that it writes.
_FLEETING = frozenset({"emptyDir", "configMap", "secret", "projected", "downwardAPI", "image"})
#: What tells a server that may be a cache to keep its data, and what tells it not to.
_KEEPING = re.compile(r"appendonly\s+[\"']?yes")
#: What tells a server to keep its data elsewhere.
_ELSEWHERE = re.compile(
    r"data[-_]?dir|dbpath|--dir\b|^dir |\bPGDATA=|path\.data|mnesia|\s-D\s", re.IGNORECASE | re.MULTILINE
)
_FORGETTING = re.compile(r"appendonly\s+[\"']?no|save\s+[\"']{2}|maxmemory")
#: Where files lie that tell a server what to do.
_TELLING = re.compile(r"conf|init|etc|scripts", re.IGNORECASE)


@dataclass(frozen=True)
class _Server:
    """A server of data: what makes several of them one cluster, whether it may be a cache, and where its data are."""

    replicated: Sequence[str]
    cache: bool = False
    path: str = ""
    variable: str = ""


@cache
def _servers() -> Mapping[str, _Server]:
    table = yaml.load(Path(__file__).with_name("data.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    return {name: _Server(**entry) for name, entry in table.items()}


def data_findings(model: ClusterModel) -> Iterator[Finding]:
    """Yield the stores whose data go with a pod or with their StatefulSet, or lie in servers that share nothing."""
    for pods in model.pods:
        if pods.owner.kind not in _KEPT:
            continue
        for container in pods.containers:
            found = image(str(container.get("image"))) if container.runs else None
            if found is not None and (server := _servers().get(found.name)) is not None:
                yield from _on_no_volume(model, pods, container, server)
                yield from _not_replicated(model, pods, container, server)
    for item in model.kind("StatefulSet"):
        yield from _deleted_with(item)


def kept_servers(model: ClusterModel) -> Iterator[tuple[Pods, Container]]:
    """Yield the containers that keep data on volumes, with their pods; caches keep them if they are told to."""
    for pods in model.pods:
        if pods.owner.kind not in _KEPT or model.scales.of(pods.owner).maximum < 1:
            continue
        volumes = {str(volume.get("name")): volume for _, volume in pods.volumes}
        for container in pods.containers:
            found = image(str(container.get("image"))) if container.runs else None
            server = _servers().get(found.name) if found else None
            names = [str(mount.get("name")) for mount in mappings(container.get("volumeMounts"))]
            # What is not among the volumes is a claim of the StatefulSet.
            is_kept = any(name not in volumes or _FLEETING.isdisjoint(volumes[name]) for name in names)
            if server is None or not is_kept:
                continue
            said = "\n".join([*_said(model, pods, container), *(text for _, text in mounted(model, pods))])
            if not server.cache or _KEEPING.search(said):
                yield pods, container


def _on_no_volume(model: ClusterModel, pods: Pods, container: Container, server: _Server) -> Iterator[Finding]:
    volumes = {str(volume.get("name")): (at, volume) for at, volume in pods.volumes}
    mounts = [
        (str(mount.get("mountPath")), str(mount.get("name"))) for mount in mappings(container.get("volumeMounts"))
    ]
    # What is not among the volumes is a claim of the StatefulSet.
    kept = [path for path, name in mounts if name not in volumes or _FLEETING.isdisjoint(volumes[name][1])]
    if kept:
        yield from _beside(model, pods, container, server, kept)
        return
    said = "\n".join([*_said(model, pods, container), *(text for _, text in mounted(model, pods))])
    if server.cache and not _KEEPING.search(said) and (pods.owner.kind != "StatefulSet" or _FORGETTING.search(said)):
        return
    lost = next(((path, *volumes[name]) for path, name in mounts if "emptyDir" in volumes[name][1]), None)
    if lost:
        problem = f"{container.name} keeps nothing beyond its pod: {lost[0]} is the emptyDir {lost[2].get('name')}."
        yield Finding.of("data-on-no-volume", pods.owner, problem, at=lost[1])
    else:
        problem = f"{container.name} keeps nothing beyond its pod: it mounts no volume for data."
        yield Finding.of("data-on-no-volume", pods.owner, problem, at=f"{container.path}.volumeMounts")


def _beside(
    model: ClusterModel, pods: Pods, container: Container, server: _Server, kept: Sequence[str]
) -> Iterator[Finding]:
    """Yield a server of which all volumes are elsewhere than its data."""
    found, known = image(str(container.get("image"))), model.variables(pods, container)
    named = known.get(server.variable)
    told = {str(entry.get("name")) for entry in mappings(container.get("env"))} - known.keys()
    # Images of others have places of their own, and a newer PostgreSQL a folder of its version.
    is_usual = found is not None and found.path.removeprefix("library/") == found.name and not found.registry
    is_newer = found is not None and found.name == "postgres" and not re.match(r"v?(?:9|1[0-7])(?!\d)", found.tag)
    said = " ".join([*command(container, known), *(text for _, text in mounted(model, pods))])
    if server.variable in told or _ELSEWHERE.search(said) or not (named or (is_usual and server.path and not is_newer)):
        return
    path = (named.value if named else server.path).rstrip("/")
    if not any(f"{path}/".startswith(f"{mount.rstrip('/')}/") or mount.startswith(f"{path}/") for mount in kept):
        problem = f"{container.name} keeps its data in {path}, and its volumes are mounted at {listed(sorted(kept))}."
        yield Finding.of("data-on-no-volume", pods.owner, problem, at=f"{container.path}.volumeMounts")


def _not_replicated(model: ClusterModel, pods: Pods, container: Container, server: _Server) -> Iterator[Finding]:
    scale = model.scales.of(pods.owner)
    if scale.maximum < 2 or len([each for each in pods.containers if each.runs and _is_store(each)]) > 1:
        return
    said = "\n".join([*_said(model, pods, container), *(text for _, text in mounted(model, pods))]).lower()
    told = [str(entry.get("name")) for each in pods.containers for entry in mappings(each.get("env"))]
    # A Secret may hold the file that makes them a cluster.
    secrets = {str(volume.get("name")) for _, volume in pods.volumes if "secret" in volume}
    mounts = mappings(container.get("volumeMounts"))
    hidden = any(str(mount.get("name")) in secrets and _TELLING.search(str(mount.get("mountPath"))) for mount in mounts)
    if hidden or any(word.lower() in f"{said}\n{' '.join(told).lower()}" for word in server.replicated):
        return
    problem = f"There are {scale.maximum} pods of {container.name}, and nothing tells them to replicate."
    field = "spec.replicas" if scale.autoscaler is None else f"{container.path}.image"
    yield Finding.of("servers-not-replicated", pods.owner, problem, at=field)


def _is_store(container: Container) -> bool:
    found = image(str(container.get("image")))
    return found is not None and found.name in _servers()


def _said(model: ClusterModel, pods: Pods, container: Container) -> Iterator[str]:
    """Yield what the containers of pods are told: words, and variables with their names."""
    for each in (container, *(other for other in pods.containers if other is not container)):
        known = model.variables(pods, each)
        yield " ".join(command(each, known)) + " "
        yield from (f"{variable.name} {variable.value}" for variable in known.values())


def _deleted_with(item: Object) -> Iterator[Finding]:
    policy, at = mapping(item.spec.get("persistentVolumeClaimRetentionPolicy")), "persistentVolumeClaimRetentionPolicy"
    if item.group != "apps" or not mappings(item.spec.get("volumeClaimTemplates")):
        return
    for field, when in (("whenDeleted", "the StatefulSet is deleted"), ("whenScaled", "there are fewer replicas")):
        if policy.get(field) == "Delete" and not item.is_hook:
            problem = f"Its volumes are deleted when {when}."
            yield Finding.of("claims-deleted", item, problem, at=f"spec.{at}.{field}")

"""Proof that pods mount volumes that they have, and that the claims and storage classes behind these exist."""

from collections.abc import Iterator

from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.storage import claims, class_of, is_shared, known_classes, storage_classes
from constructs_lib.kubernetes.manifest import entries, inner
from constructs_lib.text import hint


def prove_volumes(model: ClusterModel) -> Iterator[Finding]:
    """Yield mounts without a volume, volumes that nothing mounts, and claims that cannot be met."""
    for pods in model.pods:
        templates = {name for _, name, _ in claims(pods.owner)}
        yield from _mounts(pods, templates)
        yield from _claims(model, pods, templates)
    yield from _classes(model)


def _mounts(pods: Pods, templates: set[str]) -> Iterator[Finding]:
    volumes = {str(volume.get("name")) for _, volume in pods.volumes} | templates
    mounted: set[str] = set()
    for container in pods.containers:
        for field in ("volumeMounts", "volumeDevices"):
            for at, mount in entries(container.get(field), f"{container.path}.{field}"):
                name = str(mount.get("name"))
                mounted.add(name)
                if name not in volumes:
                    problem, fix = f'The pods have no volume "{name}".', hint("volume", name, volumes)
                    yield Finding.of("mount-without-volume", pods.owner, problem, at=f"{at}.name", fix=fix)
    for name in sorted(volumes - mounted):
        problem = f'No container mounts the volume "{name}".'
        yield Finding.of("volume-not-mounted", pods.owner, problem, at=f"{pods.path}.volumes[{name}]")


def _claims(model: ClusterModel, pods: Pods, templates: set[str]) -> Iterator[Finding]:
    known = model.names("PersistentVolumeClaim", pods.namespace)
    for path, volume in pods.volumes:
        name = inner(volume, "persistentVolumeClaim", "claimName")
        # The controller of a StatefulSet replaces a volume that has the name of a template by the pod's own claim.
        if not isinstance(name, str) or name in known or str(volume.get("name")) in templates:
            continue
        if pods.namespace in model.closed_namespaces and not _is_of_template(model, name, pods.namespace):
            kind, at = "PersistentVolumeClaim", f"{path}.persistentVolumeClaim.claimName"
            yield Finding.missing("claim-missing", pods.owner, at, kind, name, known, pods.namespace, "claim")


def _is_of_template(model: ClusterModel, name: str, namespace: str) -> bool:
    """Tell whether a claim is one that a StatefulSet creates: its name is template, StatefulSet and a number."""
    base, _, number = name.rpartition("-")
    return number.isdecimal() and any(
        f"{template}-{item.name}" == base
        for item in model.kind("StatefulSet")
        if item.namespace == namespace
        for _, template, _ in claims(item)
    )


def _classes(model: ClusterModel) -> Iterator[Finding]:
    classes, known = storage_classes(model), known_classes(model)
    for item in model.kind("PersistentVolumeClaim", "StatefulSet"):
        for at, _, spec in claims(item):
            name = class_of(model, spec)
            # storageClassName: "" disables dynamic provisioning: the claim takes a PersistentVolume made by hand.
            if classes is not None and name and name not in classes:
                problem = f"A cluster of the kind {model.cluster.kind} has no storage class {name}."
                fix = hint("class", name, classes)
                yield Finding.of("storage-class-missing", item, problem, at=f"{at}.storageClassName", fix=fix)
            elif name is not None and name in known and known[name].shared is False and is_shared(spec):
                problem = f"The storage class {name} has no volumes that pods on several nodes can use."
                yield Finding.of("access-mode-unsupported", item, problem, at=f"{at}.accessModes")

"""Images whose tags may move, where the environment lets them: ``check`` is told, and the kubelet pulls them anew."""

from dataclasses import replace
from typing import Any

from constructs_lib.declare.environment import Environment
from constructs_lib.declare.workload import Workload
from constructs_lib.derive.patches import Derived
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.names import IMAGE_TAGS, image
from constructs_lib.kubernetes.objects import Object
from constructs_lib.kubernetes.patching import merged
from constructs_lib.kubernetes.workloads import Pods, pods_of


def loosened(derived: Derived, environment: Environment) -> Derived:
    """Return an object that says that its images may have any tag, if the environment does and one has such a tag.

    What a workload makes pulls such an image whenever a container starts: a node may have the tag of yesterday.
    """
    pods = pods_of(Object(derived.manifest, "", "")) if environment.image_tags == "any" else None
    if pods is None or not (moving := _moving(pods)):
        return derived
    said: dict[str, Any] = {"metadata": {"annotations": {IMAGE_TAGS: "any"}}}
    manifest = merged(derived.manifest, said)
    if isinstance(derived.source, Workload):
        pulled: Any = {
            key: [{"name": name, "imagePullPolicy": "Always"} for name in names] for key, names in moving.items()
        }
        for field in reversed(pods.path.split(".")):
            pulled = {field: pulled}
        manifest = merged(manifest, pulled)
    metadata: Manifest = manifest["metadata"]
    metadata["annotations"] = dict(sorted(metadata["annotations"].items()))
    return replace(derived, manifest=manifest)


def _moving(pods: Pods[Object]) -> dict[str, list[str]]:
    """Return the containers with such tags, by the list that they are in."""
    found: dict[str, list[str]] = {}
    for container in pods.containers:
        reference = image(str(container.get("image")))
        if reference is not None and not reference.is_exact:
            found.setdefault("initContainers" if container.is_init else "containers", []).append(container.name)
    return found

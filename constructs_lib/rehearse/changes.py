"""Trees as a rehearsal alters them: pods that restart, and images that nobody can pull."""

import copy
from collections.abc import Callable, Iterable

import yaml

from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.names import image
from constructs_lib.synth.ownership import generated
from constructs_lib.synth.tree import Tree

#: Tag of an image that no simulated node can pull; ``kubelet.yaml`` knows it.
BROKEN = "rehearsal-broken"
_TEMPLATES = {"Deployment", "StatefulSet"}


def restarted(tree: Tree, mark: str, components: Iterable[str]) -> Tree:
    """Return a tree in which the pods of some components' Deployments and StatefulSets have another annotation.

    Args:
        tree: The tree.
        mark: The annotation's value.
        components: Their names.
    """

    def alter(template: Manifest) -> None:
        template.setdefault("metadata", {}).setdefault("annotations", {})["constructs-lib/rehearsal"] = mark

    return _altered(tree, components, alter)


def broken(tree: Tree, component: str) -> Tree:
    """Return a tree in which no node can pull the images of a component."""

    def alter(template: Manifest) -> None:
        for container in template["spec"]["containers"]:
            if found := image(container["image"]):
                container["image"] = f"{'/'.join(filter(None, (found.registry, found.path)))}:{BROKEN}"

    return _altered(tree, [component], alter)


def _altered(tree: Tree, components: Iterable[str], alter: Callable[[Manifest], None]) -> Tree:
    folders = tuple(f"dist/{tree.environment}/{component}/" for component in components)
    files: dict[str, bytes] = {}
    for path, content in tree.files.items():
        files[path] = content
        if path.startswith(folders) and b"template:" in content:
            manifest = yaml.safe_load(content)
            if manifest.get("kind") in _TEMPLATES:
                alter(manifest["spec"]["template"])
                files[path] = generated(path, manifest)
    other = copy.copy(tree)
    vars(other).pop("contents", None)
    other.files, other.manifests = files, None
    other.applications = copy.deepcopy(tree.applications)
    return other

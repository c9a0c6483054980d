"""What a kustomization consists of: the files of its resources, those of its bases, and what they change."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from constructs_lib.kubernetes.manifest import mapping, texts_in
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.repository.patches import Patch, patches_of
from constructs_lib.repository.snapshot import Snapshot, normal

_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")


@dataclass(frozen=True)
class Kustomization:
    """The file of one folder.

    Attributes:
        said: What it says.
        resources: The files of its resources, by path.
        others: Itself, and all other files that it names, by path.
        folders: What it names that is no file: folders, and what lies elsewhere.
    """

    said: Mapping[str, Any]
    resources: dict[str, bytes] = field(default_factory=dict)
    others: dict[str, bytes] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Built:
    """What a folder and its bases consist of.

    Attributes:
        folders: The kustomizations by folder, that of the folder itself among them.
        resources: Files of resources, by path.
        others: All other files, by path.
        patches: What is changed.
    """

    folders: Mapping[str, Kustomization]
    resources: Mapping[str, bytes]
    others: Mapping[str, bytes]
    patches: list[Patch]


class Kustomizations:
    """Reads the kustomizations of a tree, each of them once."""

    def __init__(self, snapshot: Snapshot, cache: Cache) -> None:
        """Read nothing yet."""
        self._snapshot = snapshot
        self._cache = cache
        self._read: dict[str, Kustomization | None] = {}
        self._reached: dict[str, Mapping[str, Kustomization]] = {}

    def build(self, folder: str) -> Built:
        """Return what a folder and its bases consist of; nothing if it has no kustomization."""
        reached = self._from(folder)
        resources = {path: text for each in reached.values() for path, text in each.resources.items()}
        others = {path: text for each in reached.values() for path, text in each.others.items()}
        patches = []
        for here, each in reached.items():
            # A component changes what those have that name it.
            reaches = folder if each.said.get("kind") == "Component" else here
            patches += self.changes(here, each.said, reaches)
        return Built(reached, resources, others, patches)

    def changes(self, folder: str, said: Mapping[str, Any], reaches: str) -> list[Patch]:
        """Return what is changed of all that a folder reaches by words in the kustomization of another."""
        files = frozenset(path for each in self._from(reaches).values() for path in each.resources)
        return [*patches_of(self._snapshot, folder, said, self._cache, files)]

    def _from(self, folder: str) -> Mapping[str, Kustomization]:
        if folder not in self._reached:
            found: dict[str, Kustomization] = {}
            queue = [folder]
            while queue:
                here = self._snapshot.links.resolve(queue.pop())
                each = None if here is None or here in found else self._kustomization(here)
                if here is not None and each is not None:
                    found[here] = each
                    queue += each.folders
            self._reached[folder] = found
        return self._reached[folder]

    def _kustomization(self, folder: str) -> Kustomization | None:
        if folder not in self._read:
            path = file_of(self._snapshot, folder)
            self._read[folder] = None if path is None else self._parsed(folder, path)
        return self._read[folder]

    def _parsed(self, folder: str, path: str) -> Kustomization:
        text = self._snapshot.find(path) or b""
        found = Kustomization(mapping(self._cache.document(text)))
        found.others[path] = text
        for key, entries in found.said.items():
            for name in texts_in(entries):
                target = normal(posixpath.join(folder, name))
                if (content := self._snapshot.find(target)) is not None:
                    (found.resources if key == "resources" else found.others)[target] = content
                else:
                    found.folders.append(target)
        return found


def is_built(snapshot: Snapshot, path: str) -> bool:
    """Tell whether Kustomize may read a file, since there is a kustomization in its folder or above it."""
    while path:
        path = path.rpartition("/")[0]
        if file_of(snapshot, path):
            return True
    return False


def file_of(snapshot: Snapshot, folder: str) -> str | None:
    """Return the path of the kustomization of a folder; None if it has none."""
    paths = (posixpath.join(folder, name) for name in _NAMES)
    return next((path for path in paths if snapshot.find(path) is not None), None)

"""Finds ConfigMaps, Secrets and claims of the source, and remembers which of them the declaration has taken up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from constructs_lib.kubernetes.manifest import Manifest, mapping, mappings, texts

Key = tuple[str, str, str]


def key_of(manifest: Manifest) -> Key:
    """Return kind, namespace and name of an object."""
    metadata = mapping(manifest.get("metadata"))
    return str(manifest["kind"]), str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def main_container(pod: Mapping[str, Any], name: str) -> Any:
    """Return the container of a pod that is the program with a name: by what it is called, else the first."""
    containers = mappings(pod.get("containers"))
    names = (name, "main", "app", "server")
    return next((each for name in names for each in containers if each.get("name") == name), containers[0])


@dataclass
class Lookups:
    """Objects of the source.

    Attributes:
        objects: All of them, by kind, namespace and name.
        used: Those whose content is in the declaration.
        kept: Those that something refers to that stays as it is.
    """

    objects: dict[Key, Manifest] = field(default_factory=dict)
    used: set[Key] = field(default_factory=set)
    kept: set[Key] = field(default_factory=set)

    @classmethod
    def of(cls, manifests: Iterable[Manifest]) -> Lookups:
        """Return those of some objects."""
        return cls({key_of(each): each for each in manifests})

    def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        """Return the texts of a ConfigMap; None if there is none."""
        found = self.objects.get(("ConfigMap", namespace, name))
        if found is None or found.get("binaryData"):
            return None
        self.used.add(("ConfigMap", namespace, name))
        return texts(found.get("data"))

    def secret_keys(self, namespace: str, name: str) -> list[str] | None:
        """Return the keys of a Secret, and never its values; None if there is none."""
        found = self.objects.get(("Secret", namespace, name))
        if found is None:
            return None
        self.used.add(("Secret", namespace, name))
        return sorted({*mapping(found.get("data")), *mapping(found.get("stringData"))})

    def claim(self, namespace: str, name: str) -> Manifest | None:
        """Return a PersistentVolumeClaim; None if there is none, or another program has it already."""
        key = ("PersistentVolumeClaim", namespace, name)
        if key not in self.objects or key in self.used or key in self.kept:
            return None
        self.used.add(key)
        return self.objects[key]

    def keep(self, kind: str, namespace: str, name: str) -> None:
        """Have an object stay as it is."""
        self.kept.add((kind, namespace, name))

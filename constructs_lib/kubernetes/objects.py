"""One Kubernetes object in a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from constructs_lib.kubernetes.manifest import Manifest, mapping, texts

#: What the API server knows an object by: API group, kind, namespace and name.
Identity = tuple[str, str, str, str]

#: Kinds without a namespace: Kubernetes' own, and those of operators that many clusters run.
CLUSTER_SCOPED = frozenset(json.loads(Path(__file__).with_name("cluster_scoped.json").read_bytes()))


@dataclass(frozen=True, eq=False)
class Object:
    """One Kubernetes object in a file.

    Attributes:
        manifest: Its content, which nobody may change: other objects share it.
        path: Path of its file.
        namespace: Namespace in which it is deployed; empty for a cluster-scoped kind, and where none is known.
    """

    manifest: Manifest
    path: str
    namespace: str

    @cached_property
    def kind(self) -> str:
        """Its kind."""
        return str(self.manifest["kind"])

    @cached_property
    def group(self) -> str:
        """Its API group; empty for the core group."""
        return str(self.manifest["apiVersion"]).rpartition("/")[0]

    @cached_property
    def full_kind(self) -> str:
        """Its kind with its group, such as ``apps/Deployment``; a kind of the core group stands alone."""
        return f"{self.group}/{self.kind}" if self.group else self.kind

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """Its metadata; empty if they are no mapping."""
        return mapping(self.manifest.get("metadata"))

    @cached_property
    def spec(self) -> Mapping[str, Any]:
        """Its spec; empty if it is no mapping."""
        return mapping(self.manifest.get("spec"))

    @cached_property
    def name(self) -> str:
        """Its name, or the beginning of a generated one."""
        name = self.metadata.get("name")
        return str(name) if name is not None else f"{self.metadata.get('generateName', '')}*"

    @cached_property
    def identity(self) -> Identity:
        """What the API server knows it by."""
        return self.group, self.kind, self.namespace, self.name

    @cached_property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations."""
        return texts(self.metadata.get("annotations"))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return texts(self.metadata.get("labels"))

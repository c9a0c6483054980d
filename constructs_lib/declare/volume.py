"""Volumes of a program, by what becomes of what is written there."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from constructs_lib.declare.calls import explained
from constructs_lib.kubernetes.names import is_subdomain
from constructs_lib.kubernetes.quantity import quantity_problem
from constructs_lib.text import shown


@explained
@dataclass(frozen=True)
class Empty:
    """A folder on the disk of the node, which goes with the pod.

    Attributes:
        size: The most that it may hold, such as ``1Gi``; a pod that writes more is evicted. Default: no limit.
    """

    size: str | None = None

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        if self.size is not None and (problem := quantity_problem(self.size, "1Gi")):
            yield f"size: {problem}"


@explained
@dataclass(frozen=True)
class Memory:
    """A folder in memory, which goes with the pod: what it holds counts as memory of the containers that write it.

    Attributes:
        size: The most that it may hold, such as ``64Mi``.
    """

    size: str

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        if problem := quantity_problem(self.size, "64Mi"):
            yield f"size: {problem}"


@explained
@dataclass(frozen=True)
class Claim:
    """A volume that outlives the pods, and the removal of the program.

    Attributes:
        size: Its size, such as ``10Gi``.
        storage_class: Its class. Default: the cluster's.
        access: ``ReadWriteOnce`` (the pods of one node), ``ReadWriteOncePod`` (one pod), ``ReadWriteMany`` or
            ``ReadOnlyMany`` (any pods, of a class that can do so, such as one of NFS). Default ``ReadWriteOnce``.
        name: Name of the claim that is there already; of a StatefulSet, that of the template it makes them from.
            Default: one from the name of the program and the path.
    """

    size: str
    storage_class: str | None = None
    access: Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"] = "ReadWriteOnce"
    name: str | None = field(default=None, kw_only=True)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        if problem := quantity_problem(self.size, "10Gi"):
            yield f"size: {problem}"
        if self.storage_class is not None and not is_subdomain(self.storage_class):
            yield f'storage_class: {shown(self.storage_class)} is no name; write it like "local-path".'
        if self.name is not None and not is_subdomain(self.name):
            yield f'name: {shown(self.name)} is no name of a claim; write it like "data".'

    @property
    def is_for_one(self) -> bool:
        """Whether pods on two nodes cannot have it at once."""
        return self.access in ("ReadWriteOnce", "ReadWriteOncePod")


@explained
@dataclass(frozen=True)
class HostPath:
    """A file or folder of the node: for agents, in a namespace whose Pod Security level is ``privileged``.

    https://kubernetes.io/docs/concepts/storage/volumes/#hostpath

    Attributes:
        path: Absolute path on the node.
        read_only: Whether the program may only read it. Default True.
    """

    path: str
    read_only: bool = True

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        if not self.path.startswith("/") or ".." in self.path.split("/"):
            yield f'{shown(self.path)} is no absolute path of the node; write it like "/var/log".'


Volume = Empty | Memory | Claim | HostPath

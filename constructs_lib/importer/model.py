"""What is to be declared, before it is Python."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from constructs_lib.declare.component import PodSecurity
from constructs_lib.kubernetes.manifest import Manifest

#: What a note is about, in the order in which they are told.
GUESSED, SUPPLIED, TAKEN_UP = "guessed", "secrets to supply", "taken up by others"
INCLUDED, PATCHED, LEFT_OUT = "kept as YAML", "said by patches", "left out"
SUBJECTS = (GUESSED, SUPPLIED, TAKEN_UP, PATCHED, INCLUDED, LEFT_OUT)


@dataclass
class Need:
    """One program calls an endpoint of another.

    Attributes:
        server: Id of the other, in its group.
        endpoint: Name of its port; empty if it only comes after it.
        variables: What variables tell, by attribute.
        order: Whether it comes after the other.
    """

    server: tuple[str, str]
    endpoint: str
    variables: dict[str, str] = field(default_factory=dict)
    order: bool = True


@dataclass
class Program:
    """A workload.

    Attributes:
        kind: Its class.
        group: Id of its component.
        id: Its name.
        arguments: Its arguments but for the scope and the id: literals, :class:`Name` and :class:`Call`.
        needs: Its edges.
        patches: What no argument says, by kind and name of the object.
        ports: Its ports: the number at the Service, by their names.
        rest: What is left of its objects in the source, by kind and name, for patches.
        hosts: Names of Services that lead to it, with the endpoints by the number of the port.
    """

    kind: str
    group: str
    id: str
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: list[Need] = field(default_factory=list)
    patches: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    rest: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    hosts: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.group, self.id


@dataclass
class Group:
    """A component: a namespace with its programs.

    Attributes:
        id: Its name.
        namespace: Its namespace.
        pod_security: The level that its pods need.
        included: Objects that stay as YAML.
    """

    id: str
    namespace: str
    pod_security: PodSecurity = "restricted"
    included: list[Manifest] = field(default_factory=list)


@dataclass
class Imported:
    """A system.

    Attributes:
        name: Its name.
        environment: Name of its environment.
        source: What it was read from, as people call it.
        groups: Its components, by id.
        programs: Its workloads, in the order of the source.
        files: Texts that are written beside the declaration, by path.
        notes: What a person should know, by subject.
        original: The objects of the source; None if they were none of Kubernetes.
        owners: Programs by the named volumes of a Compose file that they have.
        moved: Objects of the source whose content is in others now: kind and name, by namespace.
    """

    name: str
    environment: str
    source: str
    groups: dict[str, Group] = field(default_factory=dict)
    programs: list[Program] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=lambda: {subject: [] for subject in SUBJECTS})
    original: list[Manifest] | None = None
    owners: dict[str, str] = field(default_factory=dict)
    moved: set[tuple[str, str, str]] = field(default_factory=set)

    def note(self, subject: str, text: str) -> None:
        """Tell a person something, once."""
        if text not in self.notes[subject]:
            self.notes[subject].append(text)

    def group(self, namespace: str) -> Group:
        """Return the component of a namespace."""
        for each in self.groups.values():
            if each.namespace == namespace:
                return each
        # An Application is called like its component, and that of the root like the system.
        id = "services" if namespace in (self.name, "root", "external-secrets") else namespace
        id = f"{namespace}-services" if id in self.groups else id
        self.groups[id] = Group(id, namespace)
        return self.groups[id]

    def program(self, key: tuple[str, str]) -> Program:
        """Return a program by its group and id."""
        return next(each for each in self.programs if each.key == key)


def variable_name(id: str) -> str:
    """Return the name of the variable for something called ``id``."""
    name = re.sub(r"\W+", "_", id).strip("_").lower() or "it"
    name = f"_{name}" if name[0].isdigit() else name
    taken = {"system", "environment", "main", "partial", "path", "program", "existing"}
    return f"{name}_" if keyword.iskeyword(name) or name in taken else name


def label(text: str) -> str:
    """Return what is left of a text as the name of a component or a workload."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "imported"


def merged_level(one: PodSecurity, other: PodSecurity) -> PodSecurity:
    """Return the Pod Security level that permits more."""
    levels: tuple[PodSecurity, ...] = ("restricted", "baseline", "privileged")
    return max(one, other, key=levels.index)


def without(value: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return a mapping without some of its keys."""
    return {key: each for key, each in value.items() if key not in keys}

"""Faults that are planted into the tree of PositionPal one at a time, and changes that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import yaml

from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.proofs import prove
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.repository.rendering import Charts, NotRenderedError, Release, looking_with
from constructs_lib.repository.snapshot import Snapshot

Manifest = dict[str, Any]


@cache
def read(content: bytes) -> Manifest:
    """Return what a file holds, which nobody may change."""
    found: Manifest = yaml.load(content, Loader=yaml.CSafeLoader)
    return found


@dataclass
class Tree:
    """The files of an environment, to be changed.

    Attributes:
        environment: Its name.
        files: Content by path.
        rendered: What the charts of Applications render, by the Application; those of others are not looked into.
    """

    environment: str
    files: dict[str, bytes]
    rendered: dict[str, bytes] = field(default_factory=dict)

    def path(self, name: str) -> str:
        """Return the file of an object that is called ``Kind/name`` or ``Kind/namespace/name``.

        The name may be a pattern: the end of a Job's is made of what the Job does.
        """
        kind, _, rest = name.partition("/")
        namespace, _, short = rest.rpartition("/")
        found = [
            path
            for path, content in self.files.items()
            if path.rpartition("/")[2].startswith((f"{kind}-", "root.yaml"))
            for manifest in [read(content)]
            if manifest["kind"] == kind
            and fnmatchcase(manifest["metadata"]["name"], short)
            and namespace in ("", manifest["metadata"].get("namespace"))
        ]
        assert len(found) == 1, f"{len(found)} objects are called {name}"
        return found[0]

    def edit(self, name: str, change: Callable[[Manifest], object]) -> None:
        """Change an object in place; a change that changes nothing is a mistake of the corpus."""
        path = self.path(name)
        manifest = yaml.load(self.files[path], Loader=yaml.CSafeLoader)
        change(manifest)
        content = dump(manifest)
        assert content != self.files[path], f"{name} is the same as before"
        self.files[path] = content

    def remove(self, name: str) -> None:
        """Take an object away."""
        del self.files[self.path(name)]

    def add(self, component: str, manifest: Manifest) -> None:
        """Add an object to a component."""
        name = f"{manifest['kind']}-{manifest['metadata']['name']}.yaml"
        self.files[f"dist/{self.environment}/{component}/{name}"] = dump(manifest)

    def replace(self, old: str, new: str) -> None:
        """Replace a text wherever it stands."""
        assert any(old.encode() in content for content in self.files.values()), f"{old} is nowhere"
        self.files = {path: content.replace(old.encode(), new.encode()) for path, content in self.files.items()}


@dataclass(frozen=True)
class Fault:
    """One realistic mistake.

    Attributes:
        name: What is wrong, as an id of a test.
        code: The check that must find it.
        subject: The object that the finding must be about, as findings name it; ``?`` stands for any character.
        plant: Makes the mistake.
        also: Checks that may find its consequences as well; no others may find anything.
        environment: Where it is planted.
    """

    name: str
    code: str
    subject: str
    plant: Callable[[Tree], object] = field(repr=False)
    also: Sequence[str] = ()
    environment: str = "production"

    def is_found(self, found: Iterable[Finding]) -> bool:
        """Tell whether its check found it where it is."""
        subject = self.subject.replace("*", "[*]")
        return any(finding.check.code == self.code and fnmatchcase(finding.subject, subject) for finding in found)


@dataclass(frozen=True)
class Harmless:
    """A change that no check may complain about."""

    name: str
    plant: Callable[[Tree], object] = field(repr=False)
    environment: str = "production"


_CACHE = Cache()


def findings(tree: Tree) -> list[Finding]:
    """Return what all proofs find in a tree."""
    snapshot = Snapshot.of_files(tree.environment, tree.files)
    # The inputs of Terraform are no manifests, and say what the cluster is.
    snapshot = Snapshot(snapshot.name, tree.files, None)
    with looking_with(_Rendered(tree.rendered) if tree.rendered else None):
        return prove(ClusterModel(snapshot, [f"argocd/{tree.environment}"], cache=_CACHE))


class _Rendered(Charts):
    """Charts of which a table says what they render; ``test_looking_into_charts.py`` has Helm do it."""

    def __init__(self, rendered: Mapping[str, bytes]) -> None:
        super().__init__(None)
        self._given = rendered

    def render(self, source: Mapping[str, Any], release: Release, *, twice: bool = False) -> dict[str, bytes]:
        """Return what the table says."""
        if release.name not in self._given:
            raise NotRenderedError("no table says what it renders")
        return {"all.yaml": self._given[release.name]}


def container(manifest: Manifest, number: int = 0) -> Manifest:
    """Return a container of the pods that an object makes."""
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: Manifest = spec["template"]["spec"]["containers"][number]
    return found


def described(found: list[Finding]) -> Iterator[str]:
    """Yield findings as a failed test shows them."""
    for finding in found:
        yield f"{finding.check.code}: {finding.subject}: {finding.field}: {finding.problem}"

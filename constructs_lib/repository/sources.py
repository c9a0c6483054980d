"""What an Application deploys: folders of the repository, the files in them, and charts from elsewhere."""

import bisect
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from constructs_lib.argocd.globs import glob
from constructs_lib.kubernetes.manifest import mapping, mappings, sequence, texts_in
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.repository.snapshot import Files, Snapshot, is_commit

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: Tools whose objects are not known at all.
OPAQUE = ("Helm", "a plugin")


@dataclass(frozen=True)
class Chart:
    """A Helm chart that is no part of the repository, with the options and values with which it is rendered."""

    name: str
    helm: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Source:
    """A folder of the repository that an Application deploys.

    Attributes:
        path: The folder.
        revision: The revision from which it is read.
        tool: What renders it: ``Kustomize``, ``Helm``, ``a plugin``, or nothing.
    """

    path: str
    revision: str
    tool: str = ""


@dataclass
class Content:
    """What an Application deploys.

    Attributes:
        files: Files whose objects it deploys, by path.
        rendered: Files from which a tool renders objects that are not known here, by path.
        sources: Folders of the repository that it deploys.
        charts: Charts from elsewhere that it deploys.
        missing: Commits that it reads and that are not in this copy of the repository.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    rendered: dict[str, bytes] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class Folders:
    """Files by their folder."""

    def __init__(self, files: Files) -> None:
        """Sort the files."""
        self.files = files
        self._sorted = sorted(files)

    def below(self, folder: str, *, deep: bool = True) -> list[str]:
        """Return the files in a folder, and in its folders unless ``deep`` is false."""
        # "0" comes right after "/".
        begin = bisect.bisect_left(self._sorted, f"{folder}/") if folder else 0
        end = bisect.bisect_left(self._sorted, f"{folder}0", begin) if folder else len(self._sorted)
        found = self._sorted[begin:end]
        return found if deep else [path for path in found if posixpath.dirname(path) == folder]


class Sources:
    """Reads what Applications of a repository deploy."""

    def __init__(self, snapshot: Snapshot, cache: Cache) -> None:
        """Read nothing yet."""
        self.folders = Folders(snapshot.files)
        self._snapshot = snapshot
        self._cache = cache
        self._pinned: dict[tuple[str, str], Folders | None] = {}

    def content(self, spec: Mapping[str, Any]) -> Content:
        """Return what an Application with this spec deploys."""
        content = Content()
        for source in sources_of(spec):
            helm = mapping(source.get("helm"))
            content.rendered |= self._value_files(helm, "")
            if source.get("chart"):
                content.charts.append(Chart(str(source["chart"]), helm))
            elif isinstance(source.get("path"), str):
                self._add_folder(content, source, normal(source["path"]), helm)
        return content

    def _add_folder(self, content: Content, source: Mapping[str, Any], path: str, helm: Mapping[str, Any]) -> None:
        revision = str(source.get("targetRevision") or "HEAD")
        folders = self._at(revision, path)
        if folders is None:
            folders = self.folders
            if folders.below(path):
                # If there is no such folder here, the commit is most likely one of another repository.
                content.missing.append(revision)
        found = folders.below(path)
        if not found:
            return
        tool = _tool(source, path, folders)
        content.sources.append(Source(path, revision, tool))
        if tool == "Kustomize":
            resources, others = self._kustomize(folders, path)
            content.files |= resources
            content.rendered |= others
        elif tool:
            content.rendered |= {file: folders.files[file] for file in found}
            content.rendered |= self._value_files(helm, path)
        else:
            chosen = _chosen(folders, path, mapping(source.get("directory")))
            content.files |= {file: folders.files[file] for file in chosen}

    def _at(self, revision: str, path: str) -> Folders | None:
        """Return the files at a revision; None if it is a commit that is not here."""
        if not is_commit(revision) or self._snapshot.pinned is None:
            return self.folders
        key = revision, path
        if key not in self._pinned:
            try:
                self._pinned[key] = Folders(self._snapshot.pinned(*key))
            except LookupError:
                self._pinned[key] = None
        return self._pinned[key]

    def _value_files(self, helm: Mapping[str, Any], folder: str) -> dict[str, bytes]:
        """Return the files of values that lie in the tree; ``$name/`` stands for the root of another source."""
        texts = map(str, sequence(helm.get("valueFiles")))
        paths = (text.partition("/")[2] if text.startswith("$") else posixpath.join(folder, text) for text in texts)
        files = self.folders.files
        return {path: files[path] for path in map(normal, paths) if path in files}

    def _kustomize(self, folders: Folders, folder: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Return the files of the resources of a kustomization and its bases, and all other files that it names."""
        resources: dict[str, bytes] = {}
        others: dict[str, bytes] = {}
        seen: set[str] = set()
        queue = [folder]
        while queue:
            here = queue.pop()
            path = _kustomization(folders, here)
            if path is None or here in seen:
                continue
            seen.add(here)
            others[path] = folders.files[path]
            for key, entries in mapping(self._cache.document(folders.files[path])).items():
                for text in texts_in(entries):
                    target = normal(posixpath.join(here, text))
                    if target in folders.files:
                        (resources if key == "resources" else others)[target] = folders.files[target]
                    else:
                        queue.append(target)
        return resources, others


def sources_of(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the sources that the spec of an Application declares, of which there may be one or several."""
    return mappings(spec.get("sources")) or [mapping(spec.get("source"))]


def _tool(source: Mapping[str, Any], path: str, folders: Folders) -> str:
    """Return what renders a folder, as Argo CD detects it."""
    for key, tool in (("kustomize", "Kustomize"), ("helm", "Helm"), ("directory", ""), ("plugin", "a plugin")):
        if source.get(key) is not None:
            return tool
    if posixpath.join(path, "Chart.yaml") in folders.files:
        return "Helm"
    return "Kustomize" if _kustomization(folders, path) else ""


def _kustomization(folders: Folders, folder: str) -> str | None:
    paths = (posixpath.join(folder, name) for name in _KUSTOMIZATIONS)
    return next((path for path in paths if path in folders.files), None)


def _chosen(folders: Folders, path: str, directory: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files of a folder of plain manifests that an Application deploys."""
    included, excluded = str(directory.get("include") or ""), str(directory.get("exclude") or "")
    for file in folders.below(path, deep=directory.get("recurse") is True):
        relative = file[len(path) + 1 :] if path else file
        if not (excluded and glob(excluded, relative)) and (not included or glob(included, relative)):
            yield file


def normal(path: str) -> str:
    """Return a path relative to the root of the repository; empty for the root itself."""
    normal = posixpath.normpath(path.strip("/") or ".")
    return "" if normal == "." else normal

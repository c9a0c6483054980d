"""What an Application deploys: folders of the repository, the files in them, and charts from elsewhere.

As ``GenerateManifests`` and ``findManifests`` in ``reposerver/repository/repository.go`` of
https://github.com/argoproj/argo-cd find it out.
"""

import bisect
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from constructs_lib.argocd.charts import OCI
from constructs_lib.argocd.globs import glob
from constructs_lib.argocd.objects import is_skipped
from constructs_lib.argocd.projects import repository_name
from constructs_lib.kubernetes.manifest import mapping, mappings, sequence
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.repository.kustomizations import Kustomizations, file_of
from constructs_lib.repository.patches import Patch
from constructs_lib.repository.snapshot import Files, Snapshot, inside, is_commit, normal

#: Where the bootstrap is told the address of the repository.
_INPUTS = re.compile(r"(?:.+/)?bootstrap/argocd/[^/]+\.tfvars\.json")
#: Tools whose objects are not known at all.
OPAQUE = ("Helm", "Jsonnet", "a plugin", "a Git submodule", "the source hydrator")
#: What a source may declare, and the tool that is meant.
_DECLARED = {"kustomize": "Kustomize", "helm": "Helm", "directory": "", "plugin": "a plugin"}
#: The types of the options of a folder of plain manifests.
_DIRECTORY = {"recurse": bool, "disableExtensionFilter": bool, "include": str, "exclude": str, "jsonnet": dict}


@dataclass(frozen=True)
class Chart:
    """What Argo CD renders from elsewhere: a chart of a chart repository or registry, or a folder of another Git one.

    Attributes:
        name: Name of the chart; of a whole artifact or a folder, the last part of its address or path.
        helm: The options and values with which it is rendered.
        source: Where it is, as the spec of the Application says.
    """

    name: str
    helm: Mapping[str, Any] = field(hash=False)
    source: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def title(self) -> str:
        """How messages name it."""
        is_folder = not self.source.get("chart") and not str(self.source.get("repoURL")).startswith(OCI)
        return f"the folder {self.name} of {self.source.get('repoURL')}" if is_folder else f"the chart {self.name}"

    @property
    def values(self) -> Mapping[str, Any]:
        """Its values, as far as the Application itself has them."""
        if isinstance(text := self.helm.get("values"), str) and not self.helm.get("valuesObject"):
            return mapping(Cache().document(text.encode()))
        return mapping(self.helm.get("valuesObject"))


@dataclass(frozen=True)
class Source:
    """A folder of the repository that an Application deploys.

    Attributes:
        path: The folder.
        revision: The revision from which it is read.
        tool: What renders it or some of it: ``Kustomize``, one of :data:`OPAQUE`, or nothing.
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
        overrides: Files in its folders that change its sources (``.argocd-source.yaml``), by path.
        skipped: Files that are not rendered because they say so in their text.
        left_out: Those, and files that are not rendered because of an override.
        problems: Why Argo CD renders nothing of it at all.
        renames: What Kustomize puts into the names of its objects; the same for the same names.
        patches: What Kustomize changes in its objects.
        base: The folder of the repository from which all paths are told (:attr:`Snapshot.base`).
    """

    files: dict[str, bytes] = field(default_factory=dict)
    rendered: dict[str, bytes] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    overrides: dict[str, bytes] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    renames: str = ""
    patches: list[Patch] = field(default_factory=list)
    base: str = ""

    def folder_of(self, source: Mapping[str, Any]) -> str:
        """Return the folder that a source of the Application names; one outside of :attr:`base` begins with ``..``."""
        return inside(self.base, str(source.get("path") or ""))


class Folders:
    """Files by their folder."""

    def __init__(self, files: Files) -> None:
        """Sort the paths."""
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
        self._pinned: dict[tuple[str, str], tuple[Snapshot, Folders] | None] = {}

    def content(self, spec: Mapping[str, Any], *names: str) -> Content:
        """Return what an Application with this spec deploys; ``names`` are those that Argo CD may call it by."""
        content = Content(base=self._snapshot.base)
        if hydrator := mapping(spec.get("sourceHydrator")):
            # It counts before all other sources. What it makes of the folder is on a branch of its own.
            dry = mapping(hydrator.get("drySource"))
            path = self._snapshot.inside(str(dry.get("path") or ""))
            content.rendered |= everything(self._snapshot, path)
            content.sources.append(Source(path, str(dry.get("targetRevision") or "HEAD"), "the source hydrator"))
            return content
        for source in map(_plain, sources_of(spec)):
            helm = mapping(source.get("helm"))
            content.rendered |= self._value_files(helm, "")
            if found := self._from_elsewhere(source, helm):
                content.charts.append(found)
            elif isinstance(source.get("path"), str):
                self._add_folder(content, source, self._snapshot.inside(source["path"]), names)
        return content

    def _from_elsewhere(self, source: Mapping[str, Any], helm: Mapping[str, Any]) -> Chart | None:
        """Return what a source names that is in no folder of this repository; None if it names none."""
        address, path = str(source.get("repoURL") or ""), str(source.get("path") or "")
        # With this scheme, Argo CD asks a registry for a whole artifact, whatever else the source says.
        if address.startswith(OCI):
            return Chart(address.rstrip("/").rpartition("/")[2], helm, source)
        if source.get("chart"):
            return Chart(str(source["chart"]), helm, source)
        # Mostly the tree does not tell what its repository is called, so that any may be meant.
        is_here = not self._own or _place(address) in self._own
        if not path or (is_here and not self._snapshot.inside(path).startswith("..")):
            return None
        return Chart(normal(path).rpartition("/")[2] or _place(address).rpartition("/")[2], helm, source)

    @cached_property
    def _own(self) -> frozenset[str]:
        """The addresses of this repository, as the bootstrap of this library knows them."""
        found = (
            mapping(mapping(self._cache.document(content)).get("repository")).get("url")
            for path, content in self._snapshot.files.items()
            if _INPUTS.fullmatch(path)
        )
        return frozenset(_place(str(url)) for url in found if url)

    def _add_folder(self, content: Content, source: Mapping[str, Any], path: str, names: Sequence[str]) -> None:
        revision = str(source.get("targetRevision") or "HEAD")
        at = self._at(revision, path)
        if at is None:
            at = self._snapshot, self.folders
            if self._snapshot.has_folder(path):
                # If there is no such folder here, the commit is most likely one of another repository.
                content.missing.append(revision)
        snapshot, folders = at
        # Argo CD does not go into a folder that is a link itself.
        above, _, last = path.rpartition("/")
        parent = snapshot.links.resolve(above)
        path = posixpath.join(parent or "", last)
        if parent is None or not snapshot.has_folder(snapshot.links.resolve(path) or path):
            return
        if snapshot.links.outside:
            link, *more = snapshot.links.outside
            others = f", nor do {len(more)} others" if more else ""
            content.problems.append(f"the symbolic link {link} does not stay inside of the repository{others}")
        declared = mapping(source.get("directory"))
        source = self._overridden(content, source, path, snapshot, names)
        found = folders.below(path)
        if content.overrides:
            content.left_out |= {*_chosen(found, path, declared)}
        self._render(content, snapshot, Source(path, revision), source, found)
        content.left_out = {*content.left_out, *content.skipped} - content.files.keys()

    def _render(
        self, content: Content, snapshot: Snapshot, folder: Source, source: Mapping[str, Any], found: Sequence[str]
    ) -> None:
        """Add what the source says of the files in its folder."""
        path = folder.path
        declared = [key for key in _DECLARED if source.get(key) is not None]
        if declared[1:]:
            content.problems.append(f"its source declares {' and '.join(declared)} at once")
        tool = _DECLARED[declared[0]] if declared else _detected(snapshot, path, found)
        directory = mapping(source.get("directory"))
        if not tool and any(_is_around(module, path, directory) for module in snapshot.submodules):
            tool = "a Git submodule"
        if tool == "Kustomize":
            self._add_kustomization(content, snapshot, path, mapping(source.get("kustomize")))
        elif tool in OPAQUE and tool != "a Git submodule":
            content.rendered |= everything(snapshot, path)
            content.rendered |= self._value_files(mapping(source.get("helm")), path)
        else:
            self._add_manifests(content, snapshot, path, directory, found)
            if any(file.endswith(".jsonnet") for file in content.rendered):
                tool = "Jsonnet"
        content.sources.append(replace(folder, tool=tool))

    def _add_manifests(
        self, content: Content, snapshot: Snapshot, path: str, directory: Mapping[str, Any], found: Sequence[str]
    ) -> None:
        """Add the files of a folder of plain manifests."""
        for key, kind in _DIRECTORY.items():
            if not isinstance(directory.get(key), kind | None):
                content.problems.append(f"directory.{key} of its source is no {kind.__name__}")
        if path in snapshot.links.targets:
            return
        if directory.get("disableExtensionFilter") is True:
            found = [*found, *(file for file in snapshot.others if file.startswith(f"{path}/" if path else ""))]
        for file in _chosen(found, path, directory):
            text = snapshot.find(file) or b""
            if is_skipped(text):
                content.skipped.append(file)
            elif file.endswith(".jsonnet"):
                # It may import any other.
                libraries = (each for each in (*snapshot.files, *snapshot.others) if each.endswith("sonnet"))
                content.rendered |= {each: snapshot.find(each) or b"" for each in (file, *libraries)}
            else:
                content.files[file] = text
        loops = [link for link in snapshot.links.targets if snapshot.links.resolve(link) is None]
        content.problems += [f"the symbolic link {link} leads to itself" for link in _chosen(loops, path, directory)]

    def _overridden(
        self, content: Content, source: Mapping[str, Any], path: str, snapshot: Snapshot, names: Sequence[str]
    ) -> Mapping[str, Any]:
        """Return a source as files in its folder change it: ``mergeSourceParameters`` in Argo CD."""
        fixed = {key: source[key] for key in ("chart", "path", "repoURL", "targetRevision") if key in source}
        for suffix in ("", *(f"-{name}" for name in dict.fromkeys(names))):
            file = posixpath.join(path, f".argocd-source{suffix}.yaml")
            text = snapshot.files.get(file)
            if text is None:
                continue
            content.overrides[file] = text
            patch = self._cache.document(text)
            if isinstance(patch, Mapping):
                source = {**_merged(source, patch), **fixed}
            else:
                content.problems.append(f"{file} cannot be read")
        return source

    def _at(self, revision: str, path: str) -> tuple[Snapshot, Folders] | None:
        """Return the files at a revision; None if it is a commit that is not here."""
        if not is_commit(revision) or self._snapshot.pinned is None:
            return self._snapshot, self.folders
        key = revision, path
        if key not in self._pinned:
            try:
                pinned = self._snapshot.pinned(*key)
                self._pinned[key] = pinned, Folders(pinned.files)
            except LookupError:
                self._pinned[key] = None
        return self._pinned[key]

    def _value_files(self, helm: Mapping[str, Any], folder: str) -> dict[str, bytes]:
        """Return the files of values that lie in the tree; ``$name/`` stands for the root of another source."""
        texts = map(str, sequence(helm.get("valueFiles")))
        paths = (
            self._snapshot.inside(text.partition("/")[2]) if text.startswith("$") else posixpath.join(folder, text)
            for text in texts
        )
        found = {path: self._snapshot.find(path) for path in map(normal, paths)}
        return {path: text for path, text in found.items() if text is not None}

    def _add_kustomization(self, content: Content, snapshot: Snapshot, folder: str, options: Mapping[str, Any]) -> None:
        kustomizations = Kustomizations(snapshot, self._cache)
        built = kustomizations.build(folder)
        content.files |= built.resources
        content.rendered |= built.others
        content.renames += "".join(map(_renaming, (options, *(each.said for each in built.folders.values()))))
        content.patches += [*built.patches, *kustomizations.changes(folder, options, folder)]


def everything(snapshot: Snapshot, folder: str) -> dict[str, bytes]:
    """Return all files in a folder and its folders."""
    below = f"{folder}/" if folder else ""
    return {path: snapshot.find(path) or b"" for path in (*snapshot.files, *snapshot.others) if path.startswith(below)}


def _renaming(said: Mapping[str, Any]) -> str:
    parts = [str(said.get(key) or "") for key in ("namePrefix", "nameSuffix", "namespace")]
    return "/".join(parts) + ";" if any(parts) else ""


def _place(address: str) -> str:
    """Return host and path of a Git repository, whatever the protocol."""
    name = repository_name(address.rstrip("/"))
    return name.partition("://")[2] or name.rpartition("@")[2]


def sources_of(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the sources that the spec of an Application declares, of which there may be one or several."""
    return mappings(spec.get("sources")) or [mapping(spec.get("source"))]


def _plain(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source without options that say nothing, which choose no tool: ``NormalizeSource`` in Argo CD."""
    options = ("directory", "helm", "kustomize")
    return {key: value for key, value in source.items() if key not in options or any(mapping(value).values())}


def _merged(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source with a patch in it; what is null stays as it was, because Go reads the result over the source."""
    found = dict(value)
    for key, entry in patch.items():
        if isinstance(entry, Mapping):
            found[key] = _merged(mapping(found.get(key)), entry)
        elif entry is not None:
            found[key] = entry
    return found


def _detected(snapshot: Snapshot, path: str, found: Sequence[str]) -> str:
    """Return what renders a folder whose source declares nothing: ``Discover`` in Argo CD."""
    if any(file.endswith("Chart.yaml") and posixpath.dirname(file) == path for file in found):
        return "Helm"
    return "Kustomize" if file_of(snapshot, path) else ""


def _is_around(module: str, path: str, directory: Mapping[str, Any]) -> bool:
    """Tell whether manifests of a folder may come from a submodule."""
    inside = f"{module}/".startswith(f"{path}/" if path else "")
    return f"{path}/".startswith(f"{module}/") or (inside and directory.get("recurse") is True)


def _chosen(found: Sequence[str], path: str, directory: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files of a folder of plain manifests that an Application deploys."""
    included, excluded = str(directory.get("include") or ""), str(directory.get("exclude") or "")
    deep = directory.get("recurse") is True
    for file in found:
        if not file.startswith(f"{path}/" if path else "") or not (deep or posixpath.dirname(file) == path):
            continue
        relative = file[len(path) + 1 :] if path else file
        if not (excluded and glob(excluded, relative)) and (not included or glob(included, relative)):
            yield file

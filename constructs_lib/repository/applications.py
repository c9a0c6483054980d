"""What Argo CD deploys from a repository: its Applications, and the files and charts behind each of them."""

from __future__ import annotations

import bisect
import posixpath
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from constructs_lib.argocd.globs import glob
from constructs_lib.argocd.objects import Object, options, own_namespace, parse
from constructs_lib.kubernetes.manifest import Manifest, mapping, sequence, texts_in
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.scopes import CLUSTER_SCOPED
from constructs_lib.repository.snapshot import Files, Snapshot, is_commit
from constructs_lib.text import listed, plural

#: The name of the group of Applications and AppProjects that no Application deploys.
BY_HAND = "applied by hand"
#: The name of the group of all objects in a repository without Applications.
ALL_OBJECTS = "all objects"

_ARGOCD_GROUP = "argoproj.io"
_FINALIZER = re.compile(r"resources-finalizer\.argocd\.argoproj\.io(?:/background|/foreground)?\Z")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: Tools of which nothing is seen at all.
OPAQUE = ("Helm", "a plugin")
#: What is not seen of what a tool renders.
_UNSEEN = {
    "Helm": "nothing is seen of what a chart in the tree makes",
    "Kustomize": "its resources are read as they are, without what is patched, renamed and generated",
    "a plugin": "nothing is seen of what it makes",
}


@dataclass(frozen=True)
class Chart:
    """A Helm chart that is no part of the repository.

    Attributes:
        repository: Where it is.
        name: Its name.
        version: Its version.
        helm: Everything that it is rendered with.
    """

    repository: str
    name: str
    version: str
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


class ClusterKinds:
    """Custom kinds that have no namespace, from the CustomResourceDefinitions of a repository."""

    def __init__(self, files: Files, cache: Cache) -> None:
        """Read nothing until a kind is asked for."""
        self._files = files
        self._cache = cache

    @cached_property
    def _kinds(self) -> frozenset[tuple[str, str]]:
        found = set()
        for path, content in self._files.items():
            if b"CustomResourceDefinition" in content and b"Cluster" in content:
                for definition in parse(path, content, self._cache):
                    if definition.kind == "CustomResourceDefinition" and definition.spec.get("scope") == "Cluster":
                        kind = mapping(definition.spec.get("names")).get("kind")
                        found.add((str(definition.spec.get("group")), str(kind)))
        return frozenset(found)

    def __contains__(self, manifest: Manifest) -> bool:
        if manifest["kind"] in CLUSTER_SCOPED:
            return True
        group = str(manifest["apiVersion"]).rpartition("/")[0]
        return "." in group and not group.endswith(".k8s.io") and (group, manifest["kind"]) in self._kinds


@dataclass(eq=False)
class Application:
    """Objects that are deployed together: by an Application, or as a group that no Application deploys.

    There are two groups, :data:`BY_HAND` and :data:`ALL_OBJECTS`, which are applications here as well, so that nobody
    has to tell them apart who does not want to.

    Attributes:
        name: Name of the Application, or of the group.
        item: The object of the kind Application; None for a group.
        parent: What deploys the Application itself.
        files: Files whose objects it deploys, by path.
        rendered: Files from which a tool renders objects that only the tool knows, by path.
        sources: Folders of the repository that it deploys.
        charts: Charts from elsewhere that it deploys.
    """

    name: str
    item: Object | None
    parent: Application | None
    files: Files
    rendered: Files
    sources: Sequence[Source]
    charts: Sequence[Chart]
    _cache: Cache = field(repr=False)
    _cluster_kinds: ClusterKinds = field(repr=False)

    @property
    def wave(self) -> int:
        """The wave of the Application among its siblings."""
        return self.item.wave if self.item else 0

    @property
    def _sync_policy(self) -> Mapping[str, Any]:
        return mapping(self.item.spec.get("syncPolicy")) if self.item else {}

    @property
    def automated(self) -> bool:
        """Whether Argo CD syncs it by itself."""
        automated = self._sync_policy.get("automated")
        return isinstance(automated, dict) and automated.get("enabled") is not False

    @property
    def prunes(self) -> bool:
        """Whether an automated sync deletes what is no longer in the repository."""
        return self.automated and mapping(self._sync_policy.get("automated")).get("prune") is True

    @property
    def cascades(self) -> bool:
        """Whether deleting the Application deletes what it owns."""
        finalizers = sequence(self.item.metadata.get("finalizers")) if self.item else []
        return any(_FINALIZER.match(str(finalizer)) for finalizer in finalizers)

    @cached_property
    def sync_options(self) -> Mapping[str, str]:
        """The sync options of all its objects."""
        return options(self._sync_policy.get("syncOptions"))

    @property
    def creates_namespace(self) -> bool:
        """Whether Argo CD creates its namespace."""
        return self.sync_options.get("CreateNamespace") == "true"

    @property
    def namespace(self) -> str:
        """The namespace of objects that name none."""
        destination = mapping(self.item.spec.get("destination")) if self.item else {}
        return str(destination.get("namespace") or "")

    @property
    def ignored_differences(self) -> list[Mapping[str, Any]]:
        """Which differences do not count, in the words of the Application."""
        return [mapping(entry) for entry in sequence(self.item.spec.get("ignoreDifferences"))] if self.item else []

    def differences_ignored_of(self, item: Object) -> list[Mapping[str, Any]]:
        """Return what says that differences of an object do not count.

        ``Normalize`` in ``util/argo/normalizers/diff_normalizer.go`` of Argo CD: group and kind are patterns, name and
        namespace are not.
        """
        return [
            entry
            for entry in self.ignored_differences
            if glob(str(entry.get("group") or ""), item.group)
            and glob(str(entry.get("kind") or ""), item.kind)
            and entry.get("name") in (None, "", item.name)
            and entry.get("namespace") in (None, "", item.namespace)
        ]

    def read(self, path: str, content: bytes) -> list[Object]:
        """Return the objects of one of the files, in the namespaces to which they go."""
        return [
            Object(item.manifest, path, self._namespace_of(item.manifest))
            for item in parse(path, content, self._cache)
            if not item.group.startswith("kustomize.config.k8s.io")
        ]

    def _namespace_of(self, manifest: Manifest) -> str:
        if named := own_namespace(manifest):
            return named
        return "" if manifest in self._cluster_kinds else self.namespace


@dataclass(frozen=True)
class Applications:
    """All that is deployed from a repository.

    Attributes:
        all: Every Application and group: parents before what they deploy.
        warnings: What could not be understood, by what it is about.
    """

    all: Sequence[Application]
    warnings: Mapping[str, str]


def find_applications(snapshot: Snapshot, folders: Sequence[str] = (), cache: Cache | None = None) -> Applications:
    """Return what Argo CD deploys from a repository.

    Args:
        snapshot: The repository.
        folders: Only Applications in these folders, and what they deploy. Default: all of them.
        cache: Remembers what was read.
    """
    return _Search(snapshot, folders, cache or Cache()).run()


class _Listing:
    """Files that can be asked for by their folder."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._sorted = sorted(files)
        self._direct: dict[str, list[str]] = {}
        for path in self._sorted:
            self._direct.setdefault(posixpath.dirname(path), []).append(path)

    def below(self, folder: str) -> list[str]:
        """Return the files in a folder and its folders."""
        if not folder:
            return self._sorted
        prefix = f"{folder}/"
        begin = bisect.bisect_left(self._sorted, prefix)
        end = bisect.bisect_left(self._sorted, f"{folder}0", begin)
        return self._sorted[begin:end]

    def within(self, folder: str) -> list[str]:
        """Return the files in a folder itself."""
        return self._direct.get(folder, [])


class _Search:
    """Finds Applications, and what each of them deploys, from the outermost to the innermost."""

    def __init__(self, snapshot: Snapshot, folders: Sequence[str], cache: Cache) -> None:
        self._snapshot = snapshot
        self._cache = cache
        self._listing = _Listing(snapshot.files)
        self._kinds = ClusterKinds(snapshot.files, cache)
        self._warnings: dict[str, str] = {}
        self._rendered: dict[str, list[str]] = {}
        self._missing: list[tuple[str, str]] = []
        self._pinned: dict[tuple[str, str], _Listing | None] = {}
        chosen = [_normal(folder) for folder in folders] or [""]
        self._paths = [path for folder in dict.fromkeys(chosen) for path in self._listing.below(folder)]

    def run(self) -> Applications:
        everything = self._argocd_objects(self._paths, self._snapshot.files)
        applications = [found for found in everything if found.kind == "Application"]
        if sets := sorted({found.name for found in everything if found.kind == "ApplicationSet"}):
            generates, deploy = ("it generates", "they") if len(sets) == 1 else ("they generate", "those")
            self._warnings["ApplicationSet"] = (
                f"{plural(len(sets), 'ApplicationSet')} ({listed(sets, 5)}): the Applications that {generates} are not "
                f"in the tree, so that nothing is seen of what {deploy} deploy."
            )
        found = (
            self._from_outermost(applications, everything) if applications else [self._group(ALL_OBJECTS, self._paths)]
        )
        if not applications and self._paths:
            self._warnings["no Application"] = (
                "There is no Application in the tree: all its objects are taken for one of its own."
            )
        for tool, names in sorted(self._rendered.items()):
            self._warnings[tool] = f"{listed(sorted(names), 5)}: rendered by {tool}; {_UNSEEN[tool]}."
        for name, revision in self._missing:
            self._warnings[f"commit of {name}"] = (
                f"{name}: the commit {revision} is not in this repository; its files are taken from "
                f"{self._snapshot.name} instead (git fetch may bring it)."
            )
        return Applications(found, self._warnings)

    def _argocd_objects(self, paths: Iterable[str], files: Files) -> list[Object]:
        """Return Argo CD's own objects, without the effort to read other files."""
        return [
            item
            for path in paths
            if b"argoproj.io/v1" in files[path]
            for item in parse(path, files[path], self._cache)
            if item.group == _ARGOCD_GROUP and item.kind in ("Application", "AppProject", "ApplicationSet")
        ]

    def _group(self, name: str, paths: Iterable[str]) -> Application:
        files = {path: self._snapshot.files[path] for path in paths}
        return Application(name, None, None, files, {}, (), (), self._cache, self._kinds)

    def _from_outermost(self, applications: Sequence[Object], everything: Sequence[Object]) -> list[Application]:
        drafts = {id(item): self._application(item, None) for item in applications}
        covered = {
            path
            for item in applications
            for path in drafts[id(item)].files
            # What an Application says of itself does not deploy it for the first time.
            if path != item.path
        }
        by_hand = [item for item in everything if item.path not in covered and item.kind != "ApplicationSet"]
        kept = dict.fromkeys(item.path for item in by_hand)
        group = self._group(BY_HAND, kept)
        found = [group] if by_hand else []
        seen: set[tuple[str, str]] = set()
        queue: deque[tuple[Object, Application | None]] = deque()
        queue.extend((item, group) for item in by_hand if item.kind == "Application")
        rest = iter(applications)
        while True:
            if not queue:
                # Applications that deploy each other have no beginning; any will do.
                following = next((item for item in rest if (item.namespace, item.name) not in seen), None)
                if following is None:
                    return found
                queue.append((following, None))
            item, parent = queue.popleft()
            if (item.namespace, item.name) in seen:
                continue
            seen.add((item.namespace, item.name))
            application = self._application(item, parent, announce=True)
            found.append(application)
            for child in self._argocd_objects(sorted(application.files), application.files):
                if child.kind == "Application":
                    queue.append((child, application))

    def _application(self, item: Object, parent: Application | None, *, announce: bool = False) -> Application:
        spec = item.spec
        files: dict[str, bytes] = {}
        rendered: dict[str, bytes] = {}
        sources: list[Source] = []
        charts: list[Chart] = []
        for source in map(mapping, sequence(spec.get("sources")) or [spec.get("source")]):
            helm = mapping(source.get("helm"))
            rendered |= self._value_files(helm, "")
            if source.get("chart"):
                charts.append(
                    Chart(
                        str(source.get("repoURL", "")),
                        str(source["chart"]),
                        str(source.get("targetRevision", "")),
                        helm,
                    )
                )
            elif isinstance(source.get("path"), str):
                path, revision = _normal(source["path"]), str(source.get("targetRevision") or "HEAD")
                listing = self._listing_of(item.name, revision, path, announce=announce)
                if not listing.below(path):
                    continue
                tool = _tool(source, path, listing)
                sources.append(Source(path, revision, tool))
                if tool and announce:
                    self._rendered.setdefault(tool, []).append(item.name)
                if tool == "Kustomize":
                    resources, others = _kustomize(listing, path, self._cache)
                    files |= resources
                    rendered |= others
                elif tool:
                    rendered |= {file: listing.files[file] for file in listing.below(path)}
                    rendered |= self._value_files(helm, path)
                else:
                    chosen = _chosen(listing, path, mapping(source.get("directory")))
                    files |= {file: listing.files[file] for file in chosen}
        namespace = item.namespace or (parent.namespace if parent else "")
        placed = Object(item.manifest, item.path, namespace)
        return Application(item.name, placed, parent, files, rendered, sources, charts, self._cache, self._kinds)

    def _listing_of(self, name: str, revision: str, path: str, *, announce: bool) -> _Listing:
        if not is_commit(revision) or self._snapshot.pinned is None:
            return self._listing
        key = revision, path
        if key not in self._pinned:
            try:
                self._pinned[key] = _Listing(self._snapshot.pinned(*key))
            except LookupError:
                self._pinned[key] = None
        listing = self._pinned[key]
        if listing is None and announce and self._listing.below(path):
            # Without files here it is most likely a commit of another repository.
            self._missing.append((name, revision))
        return listing or self._listing

    def _value_files(self, helm: Mapping[str, Any], folder: str) -> dict[str, bytes]:
        """Return the files of values that lie in the tree; ``$name/`` stands for the root of another source."""
        found = {}
        for named in sequence(helm.get("valueFiles")):
            text = str(named)
            path = text.partition("/")[2] if text.startswith("$") else posixpath.join(folder, text)
            path = _normal(path)
            if path in self._snapshot.files:
                found[path] = self._snapshot.files[path]
        return found


def _tool(source: Mapping[str, Any], path: str, listing: _Listing) -> str:
    """Return what renders a folder, by the rules by which Argo CD finds it out."""
    for key, tool in (("kustomize", "Kustomize"), ("helm", "Helm"), ("directory", ""), ("plugin", "a plugin")):
        if source.get(key) is not None:
            return tool
    if posixpath.join(path, "Chart.yaml") in listing.files:
        return "Helm"
    return "Kustomize" if _kustomization(listing, path) else ""


def _kustomization(listing: _Listing, folder: str) -> str | None:
    paths = (posixpath.join(folder, name) for name in _KUSTOMIZATIONS)
    return next((path for path in paths if path in listing.files), None)


def _kustomize(listing: _Listing, folder: str, cache: Cache) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the files of the resources of a kustomization and of its bases, and all other files that it names."""
    resources: dict[str, bytes] = {}
    others: dict[str, bytes] = {}
    seen: set[str] = set()
    queue = [folder]
    while queue:
        here = queue.pop()
        path = _kustomization(listing, here)
        if path is None or here in seen:
            continue
        seen.add(here)
        others[path] = listing.files[path]
        named = cache.document(listing.files[path])
        for key, entries in mapping(named).items():
            for text in texts_in(entries):
                target = _normal(posixpath.join(here, text))
                if target in listing.files:
                    (resources if key == "resources" else others)[target] = listing.files[target]
                else:
                    queue.append(target)
    return resources, others


def _chosen(listing: _Listing, path: str, directory: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files of a folder of plain manifests that an Application deploys."""
    included, excluded = str(directory.get("include") or ""), str(directory.get("exclude") or "")
    for file in listing.below(path) if directory.get("recurse") is True else listing.within(path):
        relative = file[len(path) + 1 :] if path else file
        if excluded and glob(excluded, relative):
            continue
        if not included or glob(included, relative):
            yield file


def _normal(path: str) -> str:
    """Return a path relative to the root of the repository; empty for the root itself."""
    normal = posixpath.normpath(path.strip("/") or ".")
    return "" if normal == "." else normal

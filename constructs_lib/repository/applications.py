"""What Argo CD deploys from a repository: its Applications, each with its files and charts."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any

from constructs_lib.argocd.globs import glob
from constructs_lib.argocd.objects import SKIP_MARKER, Object, options, parse
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import mapping, mappings, sequence
from constructs_lib.kubernetes.manifest_reader import Cache, may_hold
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED
from constructs_lib.repository.loose import Loose
from constructs_lib.repository.rendering import Charts, NotRenderedError, Release, apis_of
from constructs_lib.repository.snapshot import Files, Snapshot, normal
from constructs_lib.repository.sources import Chart, Content, Sources, sources_of
from constructs_lib.text import listed, plural

#: The name of the group of Applications and AppProjects that no Application deploys.
BY_HAND = "applied by hand"
#: The name of the group of all objects in a repository without Applications.
ALL_OBJECTS = "all objects"

#: What the paths of files begin with that are in no tree, because a chart from elsewhere renders them.
CHART = "chart:"
#: All forms that Argo CD knows (``isPropagationPolicyFinalizer``).
_FINALIZER = re.compile(r"resources-finalizer\.argocd\.argoproj\.io(?:/background|/foreground)?\Z")
#: The label by which Namespaces tell the version of Kubernetes, and what a minor one is.
_VERSION, _MINOR = f"{platform.ENFORCE}-version", re.compile(r"[0-9]+\.[0-9]+")
#: What is not known of the objects that a tool renders.
_UNSEEN = {
    "Helm": "nothing is seen of what a chart in the tree makes",
    "Kustomize": "its resources are read as they are, without what is patched, renamed and generated",
    "Jsonnet": "nothing is seen of what its files with the ending .jsonnet make",
    "a plugin": "nothing is seen of what it makes",
    "a Git submodule": "nothing is seen of what is in it",
    "the source hydrator": "nothing is seen of what it writes to its branch",
}
#: What files with objects hold at the beginning of a line.
_FRAME = [re.compile(rb"^apiVersion:", re.MULTILINE), re.compile(rb"^kind:", re.MULTILINE)]


class Reader:
    """Reads objects, and knows which custom kinds of a repository have no namespace."""

    def __init__(self, files: Files, cache: Cache) -> None:
        """Read nothing until something is asked for."""
        self._files = dict(files)
        self._cache = cache

    def add(self, files: Files) -> None:
        """Take up further files: they may define kinds without a namespace."""
        self._files |= files
        self.__dict__.pop("_cluster_kinds", None)

    def forget(self, paths: Iterable[str]) -> None:
        """Let go of files that nobody deploys."""
        for path in paths:
            self._files.pop(path, None)

    def read(self, path: str, content: bytes, namespace: str) -> list[Object]:
        """Return the objects of a file; one that names no namespace is in the given one, if its kind has namespaces."""
        return [
            Object(item.manifest, path, item.namespace or ("" if self._is_cluster_scoped(item) else namespace))
            for item in parse(path, content, self._cache)
        ]

    def argocd_objects(self, paths: Iterable[str], files: Files) -> list[Object]:
        """Return Argo CD's own objects; files that hold none of them are not parsed."""
        return [
            item
            for path in paths
            if may_hold(files[path], b"argoproj.io/v1")
            for item in parse(path, files[path], self._cache)
            if item.group == "argoproj.io" and item.kind in ("Application", "AppProject", "ApplicationSet")
        ]

    def _is_cluster_scoped(self, item: Object) -> bool:
        custom = "." in item.group and not item.group.endswith(".k8s.io")
        return item.kind in CLUSTER_SCOPED or (custom and (item.group, item.kind) in self._cluster_kinds)

    @cached_property
    def _cluster_kinds(self) -> frozenset[tuple[str, str]]:
        return frozenset(
            (str(definition.spec.get("group")), str(mapping(definition.spec.get("names")).get("kind")))
            for path, content in self._files.items()
            if may_hold(content, b"CustomResourceDefinition") and may_hold(content, b"Cluster")
            for definition in parse(path, content, self._cache)
            if definition.kind == "CustomResourceDefinition" and definition.spec.get("scope") == "Cluster"
        )


def cascades(application: Object) -> bool:
    """Tell whether deleting an Application deletes what it owns."""
    return any(_FINALIZER.match(str(finalizer)) for finalizer in sequence(application.metadata.get("finalizers")))


@dataclass(eq=False, kw_only=True)
class Application(Content):
    """Objects that are deployed together: by an Application, or as a group that no Application deploys.

    There are two groups, :data:`BY_HAND` and :data:`ALL_OBJECTS`, which most code need not tell from Applications.

    Attributes:
        name: Name of the Application, or of the group.
        item: The object of the kind Application; None for a group.
        parent: What deploys the Application itself.
        looked_into: The files that come from charts from elsewhere, by the chart's title; see :meth:`look_into`.
        parts: Of :data:`ALL_OBJECTS`, if tools read some of its files: what is deployed together as far as that is
            known, which is what each kustomization and each chart gives, and what no tool reads. None has all of it.
        unnamed: Of the same, the files beside a kustomization that does not name them.
    """

    name: str
    item: Object | None
    parent: Application | None
    reader: Reader = field(repr=False)
    parts: list[Application] = field(default_factory=list)
    unnamed: Sequence[str] = ()
    looked_into: dict[str, list[str]] = field(default_factory=dict)

    @property
    def unseen(self) -> list[Chart]:
        """The charts from elsewhere into which nobody looked."""
        return [chart for chart in self.charts if chart.title not in self.looked_into]

    def look_into(self, chart: Chart, rendered: Mapping[str, bytes]) -> None:
        """Take up what a chart renders, as files beside those of the tree."""
        files = {f"{CHART}{self.name}/{chart.name}/{path}": content for path, content in rendered.items()}
        self.files |= files
        self.reader.add(files)
        self.looked_into[chart.title] = [*files]

    def look_away(self, title: str) -> None:
        """Forget what a chart renders."""
        for path in self.looked_into.pop(title, ()):
            self.files.pop(path, None)

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
    def syncs_itself(self) -> bool:
        """Whether Argo CD applies what changes in the repository without a person."""
        annotations = self.item.annotations if self.item else {}
        return self.item is None or (self.automated and annotations.get("argocd.argoproj.io/skip-reconcile") != "true")

    @property
    def prunes(self) -> bool:
        """Whether an automated sync deletes what is no longer in the repository."""
        return self.automated and mapping(self._sync_policy.get("automated")).get("prune") is True

    @cached_property
    def is_emptied(self) -> bool:
        """Whether nothing is rendered of it, so that an automated sync deletes nothing: it never deletes everything.

        Unless ``allowEmpty`` is set: ``autoSync`` in ``controller/appcontroller.go`` of Argo CD.
        """
        automated = mapping(self._sync_policy.get("automated"))
        unseen = self.charts or self.rendered or any(source.tool for source in self.sources)
        if self.item is None or unseen or automated.get("allowEmpty") is True:
            return False
        return not any(self.read(path, content) for path, content in self.files.items())

    def lost_folders(self, before: Application) -> bool:
        """Tell whether it still names a folder that it had before and that is not there any more."""
        named = {self.folder_of(source) for source in sources_of(self.item.spec)} if self.item else set()
        return bool({source.path for source in before.sources} & named - {source.path for source in self.sources})

    @property
    def cascades(self) -> bool:
        """Whether deleting the Application deletes what it owns."""
        return self.item is not None and cascades(self.item)

    @cached_property
    def sync_options(self) -> Mapping[str, str]:
        """The sync options of all its objects."""
        return options(self._sync_policy.get("syncOptions"))

    @property
    def shares_nothing(self) -> bool:
        """Whether its sync fails as long as another Application has one of its objects."""
        return self.sync_options.get("FailOnSharedResource") == "true"

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
        """The entries of its ``ignoreDifferences``."""
        return mappings(self.item.spec.get("ignoreDifferences")) if self.item else []

    def differences_ignored_of(self, item: Object) -> list[Mapping[str, Any]]:
        """Return the entries of ``ignoreDifferences`` that apply to an object.

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
        items = self.reader.read(path, content, self.namespace)
        if self.item and not any(source.tool == "Kustomize" for source in self.sources):
            return items
        return [item for item in items if not item.group.startswith("kustomize.config.k8s.io")]


@dataclass(frozen=True)
class Applications:
    """All that is deployed from a repository.

    Attributes:
        all: Every Application and group: parents before what they deploy.
        warnings: What is not known, by its subject.
        idle: Files with objects that none of the Applications deploys, if those of the whole repository were asked for.
    """

    all: Sequence[Application]
    warnings: Mapping[str, str]
    idle: Sequence[str] = ()


def find_applications(
    snapshot: Snapshot, folders: Sequence[str] = (), cache: Cache | None = None, charts: Charts | None = None
) -> Applications:
    """Return what Argo CD deploys from a repository by all Applications, or by those in some folders and below.

    Args:
        snapshot: The repository.
        folders: The folders. Default: all.
        cache: Remembers what was read.
        charts: Looks into charts from elsewhere. Default: what these render is not known.
    """
    found = _Search(snapshot, folders, cache or Cache()).run()
    return replace(found, warnings={**found.warnings, **_look_into(found.all, charts)}) if charts else found


def _look_into(applications: Sequence[Application], charts: Charts) -> dict[str, str]:
    """Look into the charts of Applications, and return why nobody can look into some, by their subject."""
    pairs = [(each, chart) for each in applications if each.item for chart in each.charts]
    warnings: dict[str, str] = {}
    if not pairs:
        return warnings
    items = [item for each in applications for path, content in each.files.items() for item in each.read(path, content)]
    versions = {item.labels.get(_VERSION, "").removeprefix("v") for item in items if item.kind == "Namespace"}
    kubernetes = max((each for each in versions if _MINOR.fullmatch(each)), key=_number, default="")
    # Where one chart defines the kinds that another looks for, it is there once Argo CD has synced both.
    apis: list[str] | None = None
    while apis != (known := apis_of(item.manifest for item in items)):
        apis = known
        for application, chart in pairs:
            release = Release(application.name, application.namespace, kubernetes, apis)
            try:
                rendered = charts.render(chart.source, release)
            except NotRenderedError as reason:
                text = f"{application.name}: nobody could look into {chart.title}: {reason}."
                warnings[unseen_chart(application)] = text
                continue
            application.look_away(chart.title)
            application.look_into(chart, rendered)
            items += [
                item
                for path in application.looked_into[chart.title]
                for item in application.read(path, application.files[path])
            ]
    return warnings


def unseen_chart(application: Application) -> str:
    """Return the subject of the warning that nobody could look into the chart of an Application."""
    return f"chart of {application.name}"


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


class _Search:
    """Finds Applications and what they deploy, beginning with those that no other one deploys."""

    def __init__(self, snapshot: Snapshot, folders: Sequence[str], cache: Cache) -> None:
        self._snapshot = snapshot
        self._cache = cache
        self._sources = Sources(snapshot, cache)
        self._reader = Reader(snapshot.files, cache)
        #: What is behind each Application, by its manifest.
        self._contents: dict[int, Content] = {}
        self._is_all = not folders
        chosen = dict.fromkeys(map(normal, folders)) or [""]
        self._paths = [path for folder in chosen for path in self._sources.folders.below(folder)]

    def run(self) -> Applications:
        everything = self._reader.argocd_objects(self._paths, self._snapshot.files)
        applications = [item for item in everything if item.kind == "Application"]
        found = self._from_outermost(applications, everything) if applications else []
        found = found or [self._all_objects()]
        sets = sorted({item.name for item in everything if item.kind == "ApplicationSet"})
        idle = self._idle(found) if self._is_all and found[0].name != ALL_OBJECTS else ()
        return Applications(found, dict(self._warnings(found, sets)), idle)

    def _warnings(self, found: Sequence[Application], sets: Sequence[str]) -> Iterator[tuple[str, str]]:
        if sets:
            generates, deploy = ("it generates", "they") if len(sets) == 1 else ("they generate", "those")
            text = (
                f"{plural(len(sets), 'ApplicationSet')} ({listed(sets, 5)}): the Applications that {generates} are not "
                f"in the tree, so that nothing is seen of what {deploy} deploy."
            )
            yield "ApplicationSet", text
        if found[0].name == ALL_OBJECTS and self._paths:
            yield "no Application", "There is no Application in the tree: all its objects are taken for one of its own."
            yield from self._loose.not_looked_at(_UNSEEN)
        tools = sorted({(source.tool, each.name) for each in found for source in each.sources if source.tool})
        for tool, group in groupby(tools, lambda pair: pair[0]):
            yield tool, f"{listed([name for _, name in group], 5)}: rendered by {tool}; {_UNSEEN[tool]}."
        for each in found:
            if each.overrides:
                files = listed(sorted(each.overrides), 5)
                yield f"overrides of {each.name}", f"{each.name}: {files} changes what its Application says."
            if each.skipped:
                text = (
                    f"{each.name}: {plural(len(each.skipped), 'file')} left out, because {SKIP_MARKER} is in the text."
                )
                yield f"skipped of {each.name}", text
            for revision in each.missing:
                text = (
                    f"{each.name}: the commit {revision} is not in this repository; its files are taken from "
                    f"{self._snapshot.name} instead (git fetch may bring it)."
                )
                yield f"commit of {each.name}", text

    def _idle(self, found: Sequence[Application]) -> list[str]:
        """Return the files with objects that nothing in the tree deploys."""
        used = {path for each in found for path in (*each.files, *each.rendered, *each.overrides, *each.left_out)}
        idle = [path for path in self._paths if path not in used]
        return [path for path in idle if all(each.search(self._snapshot.files[path]) for each in _FRAME)]

    def _group(self, name: str, paths: Iterable[str]) -> Application:
        files = {path: self._snapshot.files[path] for path in paths}
        return Application(name=name, item=None, parent=None, reader=self._reader, files=files)

    @cached_property
    def _loose(self) -> Loose:
        return Loose(self._snapshot, self._paths, self._cache)

    def _all_objects(self) -> Application:
        """Return the group of a tree without Applications: what a tool reads is not deployed as it is."""
        loose = self._loose
        self._reader.forget(loose.unnamed)
        group = self._group(ALL_OBJECTS, loose.files)
        group.rendered, group.skipped, group.unnamed = loose.rendered, loose.skipped, loose.unnamed
        for each in loose.parts:
            part = self._group(ALL_OBJECTS, each.files)
            part.sources += [each.source] if each.source else []
            part.patches += each.patches
            group.parts.append(part)
        return group

    def _from_outermost(self, applications: Sequence[Object], everything: Sequence[Object]) -> list[Application]:
        # An Application whose folder holds its own manifest still has to be applied once by hand.
        covered = {path for item in applications for path in self._content(item).files if path != item.path}
        # Nor did anybody apply by hand what an Application leaves out because of a marker or an override.
        left_out = {path for item in applications for path in self._content(item).left_out} - covered
        applications, everything = (
            [item for item in items if item.path not in left_out] for items in (applications, everything)
        )
        by_hand = [item for item in everything if item.path not in covered and item.kind != "ApplicationSet"]
        group = self._group(BY_HAND, dict.fromkeys(item.path for item in by_hand))
        found = {("", BY_HAND): group} if by_hand else {}
        # Applications that deploy each other have no first one; any of them will do.
        for start, above in ((by_hand, group), *(([item], None) for item in applications)):
            queue = deque((item, above) for item in start if item.kind == "Application")
            while queue:
                item, parent = queue.popleft()
                if (item.namespace, item.name) in found:
                    continue
                application = found[item.namespace, item.name] = self._application(item, parent)
                children = self._reader.argocd_objects(sorted(application.files), application.files)
                queue.extend((child, application) for child in children if child.kind == "Application")
        return [*found.values()]

    def _content(self, item: Object) -> Content:
        if id(item.manifest) not in self._contents:
            # In another namespace than its own, Argo CD puts the namespace in front (``InstanceName``).
            names = item.name, f"{item.namespace}_{item.name}"
            self._contents[id(item.manifest)] = self._sources.content(item.spec, *names)
        return self._contents[id(item.manifest)]

    def _application(self, item: Object, parent: Application | None) -> Application:
        placed = Object(item.manifest, item.path, item.namespace or (parent.namespace if parent else ""))
        content = vars(self._content(item))
        return Application(name=item.name, item=placed, parent=parent, reader=self._reader, **content)

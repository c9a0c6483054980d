"""The files of one environment, and the commits that its Applications read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from constructs_lib.argocd.objects import parse
from constructs_lib.declare.diagnostics import Location
from constructs_lib.derive.applications import leaving_alone, permitting
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.openings import KEPT, closing, declared, keeping, kept_in, opens
from constructs_lib.repository.pins import Pins, folder_id
from constructs_lib.synth.ownership import generated
from constructs_lib.synth.paths import application_file, project_file

if TYPE_CHECKING:
    from constructs_lib.kubernetes.manifest_reader import Cache
    from constructs_lib.repository.applications import Application
    from constructs_lib.repository.snapshot import Snapshot


@dataclass
class Tree:
    """The files of one environment.

    Attributes:
        revision: The branch that is deployed, as a full reference.
        files: Content by path, relative to the folder of app.py.
        manifests: The objects in the files, by path; None if they are not kept.
        applications: The Application of every component.
        projects: The AppProject of every component, without the namespaces that it has left.
        objects: Number of Kubernetes objects in them.
        waves: Number of waves in which Argo CD rolls the components out.
        pins: Pins of the components; None if the environment was never published.
        base: The folder of the repository in which the files are; empty for the repository itself.
        claims: What a cluster or an Argo CD has once, with the line that declares it: group, kind and name. The name
            may be a pattern, as a chart makes it.
    """

    environment: str
    revision: str
    files: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] | None = None
    applications: dict[str, Manifest] = field(default_factory=dict)
    projects: dict[str, Manifest] = field(default_factory=dict)
    objects: int = 0
    waves: int = 0
    pins: Pins | None = None
    base: str = ""
    claims: dict[tuple[str, str, str], Location] = field(default_factory=dict)
    #: The files of objects that keep something open, as they are declared.
    _declared: dict[str, Manifest] = field(default_factory=dict)

    @classmethod
    def of_files(cls, environment: str, revision: str, files: Mapping[str, bytes], base: str = "") -> Tree:
        """Return the tree that was written as these files, before anything was published of it."""
        tree = cls(environment, revision, dict(files), base=base)
        begin, end = f"argocd/{environment}/Application-", ".yaml"
        for path in files:
            if path.startswith(begin) and path.endswith(end):
                manifest = tree.manifest(path)
                component = path.removeprefix(begin).removesuffix(end)
                project = {"metadata": {"name": manifest["spec"]["project"]}}
                tree.applications[component] = manifest
                tree.projects[component] = tree.manifest(project_file(environment, project))
        return tree

    def take(self, component: str, other: Tree) -> None:
        """Take a component as another tree of the same environment has it: not at all, if that one lacks it."""
        old, new = self._files_of(component), other._files_of(component)
        self.files = {path: content for path, content in self.files.items() if path not in old}
        self.files |= {path: other.files[path] for path in new}
        self.manifests = None
        for mine, its in ((self.applications, other.applications), (self.projects, other.projects)):
            mine.pop(component, None)
            mine.update({component: its[component]} if component in its else {})
        self.__dict__.pop("contents", None)

    def leave(self, component: str, files: Mapping[str, bytes]) -> None:
        """Leave the manifests of a component as they are, because it is deployed from another commit."""
        own = self.manifests_of(component)
        self.files = {path: content for path, content in self.files.items() if path not in own} | {**files}
        self.manifests = None
        self.__dict__.pop("contents", None)

    def manifests_of(self, component: str) -> dict[str, bytes]:
        """Return the files in the folder of a component."""
        folder = f"dist/{self.environment}/{component}/"
        return {path: content for path, content in self.files.items() if path.startswith(folder)}

    def _files_of(self, component: str) -> set[str]:
        """Return the paths of a component's manifests, its Application and its AppProject."""
        own = {application_file(self.environment, component), *self.manifests_of(component)}
        own |= {project_file(self.environment, self.projects[component])} if component in self.projects else set()
        return self.files.keys() & own

    def add(self, path: str, manifest: Manifest) -> None:
        """Add an object as a file.

        Raises:
            ValueError: Another object has the same path: the library or a cdk8s construct made it twice.
        """
        if path in self.files:
            raise ValueError(f"two objects would be written to {path}")
        self._put(path, manifest)
        self.objects += 1

    def claim(self, manifest: Manifest, location: Location) -> None:
        """Note an object that there is once, if it is one: it has no namespace, or is Argo CD's own."""
        metadata, group = manifest["metadata"], manifest["apiVersion"].rpartition("/")[0]
        if "namespace" not in metadata or group == "argoproj.io":
            self.claims[group, manifest["kind"], metadata["name"]] = location

    def _put(self, path: str, manifest: Manifest) -> None:
        self.files[path] = generated(path, manifest)
        if self.manifests is not None:
            self.manifests[path] = manifest

    def pin(self, pins: Pins | None) -> None:
        """Make the Applications read these commits, and the manifests keep open what the pins say.

        An Application without a pin follows the branch.
        """
        self.pins = pins
        self._keep(pins.kept if pins else {})
        owners = {namespace: component for component, namespace in self.namespaces.items()}
        for component, manifest in self.applications.items():
            left = pins.namespaces(component) if pins else ()
            further = {namespace for namespace in left if owners.get(namespace, component) == component}
            project = permitting(self.projects[component], further)
            self._put(project_file(self.environment, project), project)
            pin = pins.components.get(component) if pins else None
            spec = manifest["spec"]
            # Before it stands what is of others, with a revision of its own.
            *_, manifests = spec.get("sources") or [spec["source"]]
            manifests["targetRevision"] = pin.revision if pin else self.revision
            path, content = application_file(self.environment, component), self.contents.get(component)
            scaled = pin.autoscaled if pin and pin.content != content else ()
            self._put(path, leaving_alone(manifest, scaled))

    def snapshot(self, name: str, files: Mapping[str, bytes] | None = None) -> Snapshot:
        """Return the tree as people see a repository, under a name. ``files`` may take the place of its own."""
        # Who only synthesizes does without Git.
        from constructs_lib.repository.snapshot import Snapshot

        return Snapshot.of_files(name, self.files if files is None else files, self.base)

    def keep_open(self, published: Snapshot, *, rolling: bool | None = None, cache: Cache | None = None) -> None:
        """Keep open what was published and is declared no more, until the publication after this one.

        It would close in the waves of the objects, while pods of later waves still run as they were. What the last
        publication only kept closes, unless that one is still ``rolling``, so that its old pods may run. Where this is
        not known, it is taken to be if this one changes again what that one changed: that may be to mend it. Where
        nothing is pinned, there are no waves. The ``cache`` remembers what was read.
        """
        # Who only synthesizes does without Git.
        from constructs_lib.repository.applications import find_applications
        from constructs_lib.repository.snapshot import is_commit

        if self.pins is None:
            return
        self.pin(replace(self.pins, kept={}))
        kept: dict[str, Mapping[str, Any]] = {}
        found = find_applications(published, [f"argocd/{self.environment}"], cache).all
        pinned = [each for each in found if any(is_commit(source.revision) for source in each.sources)]
        last = {source.revision for each in pinned if _keeps(each) for source in each.sources}
        if rolling is None:
            changed = [each for each in pinned if any(source.revision in last for source in each.sources)]
            rolling = any(self._changes(each) for each in changed)
        for application in pinned:
            for path, content in application.files.items():
                if opens(path) and self.files.get(path, content) != content:
                    for old in parse(path, content, cache):
                        before = old.manifest if rolling else declared(old.manifest)
                        if entries := closing(before, self.manifest(path)):
                            kept[path] = entries
        self.pin(replace(self.pins, kept=kept))

    def _changes(self, application: Application) -> bool:
        """Tell whether a published component differs from the declared one in more than what it keeps open."""
        return as_declared(application.files) != self.manifests_of(application.name)

    def _keep(self, kept: Mapping[str, Mapping[str, Any]]) -> None:
        for path, manifest in self._declared.items():
            self._put(path, manifest)
        self._declared = {path: self.manifest(path) for path in kept if path in self.files}
        for path, manifest in self._declared.items():
            self._put(path, keeping(manifest, kept[path]))
        self.__dict__.pop("contents", None)

    def manifest(self, path: str) -> Manifest:
        """Return the object in a file."""
        return self.manifests[path] if self.manifests is not None else parse(path, self.files[path])[0].manifest

    @cached_property
    def contents(self) -> dict[str, str]:
        """The id of every component's folder, as pins hold it, by component."""
        folders: dict[str, dict[str, bytes]] = {}
        for path, content in self.files.items():
            top, _, rest = path.partition(f"/{self.environment}/")
            if top == "dist":
                component, _, name = rest.partition("/")
                folders.setdefault(component, {})[name] = content
        return {component: folder_id(files) for component, files in folders.items()}

    @property
    def namespaces(self) -> dict[str, str]:
        """The namespace of every component."""
        return {name: manifest["spec"]["destination"]["namespace"] for name, manifest in self.applications.items()}

    @property
    def unpublished(self) -> dict[str, str]:
        """Components with unpublished changes: ``changed``, ``new`` or ``removed``, by component."""
        if self.pins is None:
            return {}
        old = {component: pin.content for component, pin in self.pins.components.items()}
        return {
            component: "removed" if component not in self.contents else "changed" if component in old else "new"
            for component in sorted(old.keys() | self.contents.keys())
            if old.get(component) != self.contents.get(component)
        }


def as_declared(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return manifests without what they only keep open."""
    return {
        path: generated(path, declared(each.manifest)) if opens(path) and kept_in(each.manifest) else content
        for path, content in files.items()
        for each in parse(path, content)
    }


def _keeps(application: Application) -> bool:
    """Tell whether what a component has published keeps something open."""
    files = application.files.items()
    return any(opens(path) and KEPT.encode() in content for path, content in files)

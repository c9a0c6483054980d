"""The files of one environment, and the commits that its Applications read."""

from dataclasses import dataclass, field
from functools import cached_property

from constructs_lib.derive.applications import permitting
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.repository.pins import Pins, folder_id
from constructs_lib.synth.paths import application_file, project_file


@dataclass
class Tree:
    """The files of one environment.

    Attributes:
        revision: The branch that is deployed, as a full reference.
        files: Content by path, relative to the repository.
        manifests: The objects in the files, by path; None if they are not kept.
        applications: The Application of every component.
        project: The AppProject of the components, without retired namespaces.
        objects: Number of Kubernetes objects in them.
        waves: Number of waves in which Argo CD rolls the components out.
        pins: Pins of the components; None if the environment was never published.
    """

    environment: str
    revision: str
    files: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] | None = None
    applications: dict[str, Manifest] = field(default_factory=dict)
    project: Manifest = field(default_factory=dict)
    objects: int = 0
    waves: int = 0
    pins: Pins | None = None

    def add(self, path: str, manifest: Manifest) -> None:
        """Add an object as a file.

        Raises:
            ValueError: Another object has the same path: the library or a cdk8s construct made it twice.
        """
        if path in self.files:
            raise ValueError(f"two objects would be written to {path}")
        self._put(path, manifest)
        self.objects += 1

    def _put(self, path: str, manifest: Manifest) -> None:
        self.files[path] = dump(manifest)
        if self.manifests is not None:
            self.manifests[path] = manifest

    def pin(self, pins: Pins | None) -> None:
        """Make the Applications read these commits; an Application without a pin follows the branch."""
        self.pins = pins
        project = permitting(self.project, pins.namespaces if pins else ())
        self._put(project_file(self.environment, project), project)
        for component, manifest in self.applications.items():
            pin = pins.components.get(component) if pins else None
            spec = manifest["spec"]
            for source in spec.get("sources") or [spec["source"]]:
                if "path" in source:
                    source["targetRevision"] = pin.revision if pin else self.revision
            self._put(application_file(self.environment, component), manifest)

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

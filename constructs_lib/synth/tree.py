"""From a system to the files of its repository. A pure function: no clock, no randomness, no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property

from constructs_lib.declare.cluster import DigitalOcean, K3d
from constructs_lib.declare.system import System
from constructs_lib.derive.applications import (
    ROOT_FILE,
    app_project,
    application,
    folder,
    permitting,
    root_application,
    root_project,
)
from constructs_lib.derive.bootstrap import argocd_inputs, cluster_inputs, k3d_config
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.manifests import component_manifests
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.repository.pins import Pins, folder_id

#: Not ``.auto.tfvars.json``: Terraform would load those of all environments at once.
_INPUTS = "bootstrap/{module}/{environment}.tfvars.json"
_K3D = "bootstrap/k3d/{environment}.yaml"


@dataclass
class Tree:
    """The files of one environment.

    Attributes:
        environment: Its name.
        revision: The branch that is deployed, as a full reference.
        files: Content by path, relative to the repository.
        manifests: The objects in the files, by their path; None if nobody wants to look at them.
        applications: The Application of every component.
        project: The AppProject of the components, as far as it is declared.
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
            ValueError: Another object has the same path; the library or a cdk8s construct made it twice.
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
        """Have the Applications read from these commits; one without a pin follows the branch."""
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
        """The id of every component's folder, by component: what a pin to these manifests says of its content."""
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
        return {
            component: manifest["spec"]["destination"]["namespace"] for component, manifest in self.applications.items()
        }

    @property
    def unpublished(self) -> dict[str, str]:
        """What publishing would tell Argo CD: changed, new or removed, by component."""
        if self.pins is None:
            return {}
        pins = self.pins.components
        found = {
            component: "new" if component not in pins else "changed"
            for component, content in self.contents.items()
            if component not in pins or pins[component].content != content
        }
        return dict(sorted((found | dict.fromkeys(pins.keys() - self.contents.keys(), "removed")).items()))


def synthesize(
    system: System,
    on_component: Callable[[str], None] = lambda name: None,
    pins: Pins | None = None,
    *,
    keep_manifests: bool = False,
) -> Tree:
    """Return the files of a system.

    Args:
        system: The system.
        pins: Commits from which Argo CD reads the components. Default: it follows the branch.
        on_component: Called with the name of every environment and component before it is synthesized.
        keep_manifests: Whether the tree keeps the objects, which takes memory.

    Raises:
        DeclarationError: The declaration has errors; all of them are in it.
    """
    graph = Graph(system)
    environment = system.environment.name
    tree = Tree(environment, system.environment.repository.revision, waves=len(set(graph.waves.values())))
    if keep_manifests:
        tree.manifests = {}
    kinds: dict[tuple[str, str, str, str | None], Manifest] = {}
    for component in system.components:
        on_component(f"{environment}: {component.id}")
        for manifest in component_manifests(component, graph):
            tree.add(f"{folder(component)}/{file_name(manifest, component.namespace_name)}", manifest)
            kinds.setdefault(_permission(manifest), manifest)
        tree.applications[component.id] = application(component, graph)
        tree.add(application_file(environment, component.id), tree.applications[component.id])
    system.diagnostics.raise_if_any()
    tree.project = app_project(system, kinds.values())
    for project in (tree.project, root_project(system)):
        tree.add(project_file(environment, project), project)
    tree.add(f"argocd/{environment}/{ROOT_FILE}", root_application(system))
    tree.files |= _bootstrap_files(system)
    if pins is not None:
        tree.pin(pins)
    return tree


def project_file(environment: str, project: Manifest) -> str:
    """Return the path of an AppProject."""
    return f"argocd/{environment}/AppProject-{project['metadata']['name']}.yaml"


def application_file(environment: str, component: str) -> str:
    """Return the path of a component's Application."""
    return f"argocd/{environment}/Application-{component}.yaml"


def _permission(manifest: Manifest) -> tuple[str, str, str, str | None]:
    """Return what an AppProject sees of an object, so that the project is made from one object of each sort."""
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace")
    return manifest["apiVersion"], manifest["kind"], "" if namespace else metadata["name"], namespace


def file_name(manifest: Manifest, namespace: str) -> str:
    """Return the name of an object's file; one outside of the component's namespace carries its own."""
    metadata = manifest["metadata"]
    other = metadata.get("namespace", namespace)
    suffix = "" if other == namespace else f".{other}"
    return f"{manifest['kind']}-{metadata['name'].replace(':', '-')}{suffix}.yaml"


def _bootstrap_files(system: System) -> dict[str, bytes]:
    """Return what the bootstrap reads of an environment, by path."""
    environment, cluster = system.environment.name, system.environment.cluster
    inputs = {"argocd": argocd_inputs(system)}
    if isinstance(cluster, DigitalOcean):
        inputs["cluster"] = cluster_inputs(cluster)
    files = {
        _INPUTS.format(module=module, environment=environment): _json({"environment": environment, **variables})
        for module, variables in inputs.items()
    }
    if isinstance(cluster, K3d) and cluster.image:
        files[_K3D.format(environment=environment)] = dump(k3d_config(system, cluster))
    return files


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def is_owned(path: str, owned: Iterable[str]) -> bool:
    """Tell whether a path is among what :func:`owned_paths` returned."""
    return any(path.startswith(part) if part.endswith("/") else fnmatchcase(path, part) for part in owned)


def owned_paths(environments: Iterable[str] | None = None) -> list[str]:
    """Return what the generator owns in the repository: folders (with a slash at the end) and patterns of files.

    Args:
        environments: Only what belongs to these. Default: everything, so that an environment that is no longer
            declared is removed.
    """
    folders = ["dist/", "argocd/"]
    if environments is not None:
        environments = list(environments)
        folders = [f"{folder}{environment}/" for environment in environments for folder in folders]
    return [
        *folders,
        *(
            path
            for environment in (["*"] if environments is None else environments)
            for path in (
                _INPUTS.format(module="argocd", environment=environment),
                _INPUTS.format(module="cluster", environment=environment),
                _K3D.format(environment=environment),
            )
        ),
    ]

"""What the synthesized files say, read back from their bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import yaml

Manifest = dict[str, Any]

WAVE = "argocd.argoproj.io/sync-wave"
#: Containers of the servers that a StatefulSet runs; others stand beside them and measure them.
SERVERS = ("cassandra", "postgres", "rabbitmq")


def wave(manifest: Manifest) -> int:
    """Return the sync wave of an object."""
    return int(manifest["metadata"].get("annotations", {}).get(WAVE, "0"))


def identity(manifest: Manifest) -> tuple[str, str, str, str]:
    """Return what the API server knows an object by: API group, kind, namespace and name."""
    metadata = manifest["metadata"]
    group = manifest["apiVersion"].rpartition("/")[0]
    return group, manifest["kind"], metadata.get("namespace", ""), metadata["name"]


@dataclass(frozen=True)
class PodTemplate:
    """The pods of one workload.

    Attributes:
        owner: The Deployment, StatefulSet, Job or CronJob that makes them.
        labels: Their labels.
        annotations: Their annotations.
        spec: Their spec.
    """

    owner: Manifest
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Manifest

    @property
    def kind(self) -> str:
        """Kind of the owner."""
        return str(self.owner["kind"])

    @property
    def name(self) -> str:
        """Name of the owner."""
        return str(self.owner["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Their namespace."""
        return str(self.owner["metadata"]["namespace"])

    @property
    def containers(self) -> list[Manifest]:
        """All containers, those that run first included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def program(self) -> Manifest:
        """The one container that does the pod's work: of a StatefulSet the server, of all others the only one."""
        containers = self.spec["containers"]
        if self.kind == "StatefulSet":
            containers = [container for container in containers if container["name"] in SERVERS]
        (container,) = containers
        return dict(container)

    def container(self, name: str) -> Manifest:
        """Return a container by its name, one that runs first or one of the others."""
        (found,) = (container for container in self.containers if container["name"] == name)
        return dict(found)

    def secret_names(self) -> set[str]:
        """Return the names of the Secrets without which a pod cannot start."""
        return _named(self.spec, "secretKeyRef", "name") | _named(self.spec, "secret", "secretName")

    def config_map_names(self) -> set[str]:
        """Return the names of the ConfigMaps without which a pod cannot start."""
        return _named(self.spec, "configMapRef", "name") | _named(self.spec, "configMap", "name")


def _named(part: object, key: str, name: str) -> set[str]:
    """Return what ``{key: {name: …}}`` names anywhere below ``part``."""
    found: set[str] = set()
    if isinstance(part, dict):
        for entry, value in part.items():
            if entry == key and isinstance(value, dict) and name in value:
                found.add(value[name])
            found |= _named(value, key, name)
    elif isinstance(part, list):
        for value in part:
            found |= _named(value, key, name)
    return found


@dataclass(frozen=True)
class Synthesized:
    """The files of one environment.

    Attributes:
        environment: Its name.
        files: Their bytes by path.
    """

    environment: str
    files: Mapping[str, bytes] = field(repr=False)

    @cached_property
    def parsed(self) -> dict[str, Manifest]:
        """The Kubernetes object in every YAML file that has one, by the file's path."""
        return {
            path: yaml.load(content, Loader=yaml.CSafeLoader)
            for path, content in self.files.items()
            if path.endswith(".yaml") and not path.startswith("bootstrap/")
        }

    @cached_property
    def components(self) -> dict[str, list[Manifest]]:
        """The objects below ``dist/``, by the name of their component."""
        found: dict[str, list[Manifest]] = {}
        for path, manifest in self.parsed.items():
            top, _, rest = path.partition("/")
            if top == "dist":
                found.setdefault(rest.split("/")[1], []).append(manifest)
        return found

    @property
    def root(self) -> Manifest:
        """The root Application."""
        return self.parsed[f"argocd/{self.environment}/root.yaml"]

    @cached_property
    def delivered(self) -> list[Manifest]:
        """What the root Application deploys: all objects beside it and its AppProject."""
        folder = f"argocd/{self.environment}/"
        own = self.root, self.root_project
        return [
            manifest
            for path, manifest in self.parsed.items()
            if path.startswith(folder) and not any(manifest is each for each in own)
        ]

    @property
    def applications(self) -> dict[str, Manifest]:
        """The Applications that the root deploys, by name."""
        return {
            manifest["metadata"]["name"]: manifest for manifest in self.delivered if manifest["kind"] == "Application"
        }

    @property
    def charts(self) -> list[str]:
        """The components that come by a chart."""
        return [
            name
            for name, application in self.applications.items()
            if any("chart" in source for source in application["spec"].get("sources", []))
        ]

    @property
    def projects(self) -> dict[str, Manifest]:
        """The AppProject of each component, by the component's name."""
        by_name = {each["metadata"]["name"]: each for each in self.delivered if each["kind"] == "AppProject"}
        return {name: by_name[application["spec"]["project"]] for name, application in self.applications.items()}

    @property
    def root_project(self) -> Manifest:
        """The AppProject of the root."""
        return self.parsed[f"argocd/{self.environment}/AppProject-{self.root['spec']['project']}.yaml"]

    @property
    def secrets(self) -> dict[str, Any]:
        """What the bootstrap fills: the namespace of the store, its values, and who reads them."""
        content = json.loads(self.files[f"bootstrap/argocd/{self.environment}.tfvars.json"])
        return {"store": content["secret_store"], "values": content["secrets"], "readers": content["secret_readers"]}

    def objects(self, kind: str | None = None, namespace: str | None = None) -> list[Manifest]:
        """Return the objects of all components, of one kind or in one namespace if wanted."""
        return [
            manifest
            for manifests in self.components.values()
            for manifest in manifests
            if kind in (None, manifest["kind"]) and namespace in (None, manifest["metadata"].get("namespace"))
        ]

    def the(self, kind: str, namespace: str, name: str | None = None) -> Manifest:
        """Return the one object of a kind in a namespace, by its name where there are several."""
        found = [manifest for manifest in self.objects(kind, namespace) if name in (None, manifest["metadata"]["name"])]
        assert len(found) == 1, f"{len(found)} objects {kind} {name or ''} in the namespace {namespace}, not one"
        return found[0]

    def pods(self, namespace: str | None = None, kinds: Sequence[str] | None = None) -> list[PodTemplate]:
        """Return the pods of all workloads, in one namespace or of some kinds of owners if wanted."""
        return [
            template
            for manifest in self.objects(namespace=namespace)
            if kinds is None or manifest["kind"] in kinds
            for template in _templates(manifest)
        ]


def _templates(manifest: Manifest) -> Iterator[PodTemplate]:
    spec = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec.get("template", {}) if isinstance(spec, dict) else {}
    if "spec" in template:
        metadata = template["metadata"]
        yield PodTemplate(manifest, metadata["labels"], metadata.get("annotations", {}), template["spec"])

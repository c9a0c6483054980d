"""What exists around the objects of a tree: what the bootstrap makes, and what charts and operators may."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from constructs_lib.argocd.objects import Cache, Object, mapping, sequence
from constructs_lib.check.model import ClusterModel
from constructs_lib.repository.applications import ALL_OBJECTS, Application

#: Namespaces of every cluster, and that of Argo CD itself.
PLATFORM_NAMESPACES = frozenset({"argocd", "default", "kube-node-lease", "kube-public", "kube-system"})
#: Groups whose objects make neither pods nor Services, ConfigMaps or Secrets that others could mean by accident.
_QUIET_GROUPS = frozenset({"argoproj.io", "cert-manager.io", "external-secrets.io", "monitoring.coreos.com"})
#: Kinds that make pods all the same, and one of Kubernetes' own whose pods nobody looks at.
_POD_MAKERS = frozenset(
    {"Alertmanager", "Prometheus", "PrometheusAgent", "ReplicationController", "Rollout", "ThanosRuler", "Workflow"}
)


def closed_namespaces(model: ClusterModel) -> frozenset[str]:
    """Return the namespaces in which there is nothing but what the tree says.

    In all others a chart, a tool, an operator or a person may have put what the tree does not have.
    """
    if model.once(generates_applications):
        return frozenset()
    made = {item.name for item in model.kind("Namespace")}
    if is_without_applications(model):
        # What names no namespace goes to one that is called nothing here, all of it together.
        made = {"", *(made or {item.namespace for item in model.objects})}
    made |= {
        application.namespace
        for application in model.applications
        if application.sync_options.get("CreateNamespace") == "true"
    }
    operated = {
        item.namespace for application, item in model.deployed if _makes_others(item) or is_rendered(application)
    }
    return frozenset(made - operated - model.open_namespaces - PLATFORM_NAMESPACES)


def is_without_applications(model: ClusterModel) -> bool:
    """Tell whether nobody says what of a tree is deployed where: there is no Application in it."""
    return any(application.name == ALL_OBJECTS for application in model.all_applications)


def generates_applications(model: ClusterModel) -> bool:
    """Tell whether there are Applications that only an ApplicationSet knows, with objects and namespaces of theirs."""
    return any(b"kind: ApplicationSet" in content for content in model.snapshot.files.values())


def is_rendered(application: Application) -> bool:
    """Tell whether an Application has more objects than the tree, or has them under other names."""
    return bool(application.charts or application.rendered) or any(source.tool for source in application.sources)


def _makes_others(item: Object) -> bool:
    own = "." not in item.group or item.group.endswith(".k8s.io")
    return item.kind in _POD_MAKERS or not (own or item.group in _QUIET_GROUPS)


@dataclass(frozen=True)
class Store:
    """The values that External Secrets reads in the cluster itself.

    Attributes:
        file: The file that lists them.
        namespace: Where the Secrets with the values are.
        values: Name of the Secret and key of every value.
    """

    file: str
    namespace: str
    values: frozenset[tuple[str, str]]


def environments(model: ClusterModel) -> list[str]:
    """Return the names of the environments whose Applications are looked at: those of their folders."""
    return sorted(
        {
            posixpath.basename(posixpath.dirname(application.item.path))
            for application in model.all_applications
            if application.item
        }
    )


def store(model: ClusterModel) -> Store | None:
    """Return the values that the bootstrap fills, or None if the tree has no list of them."""
    for environment in environments(model):
        file = f"bootstrap/argocd/{environment}.tfvars.json"
        content = model.snapshot.files.get(file)
        if content is None:
            continue
        try:
            variables = mapping(json.loads(content))
        except ValueError:
            continue
        values = map(mapping, sequence(variables.get("secrets")))
        listed = frozenset((str(value.get("component")), str(value.get("key"))) for value in values)
        return Store(file, str(variables.get("secret_store") or ""), listed)
    return None


def k3s_disabled(model: ClusterModel) -> frozenset[str]:
    """Return what a k3d cluster leaves out of what k3s brings along, such as ``traefik``."""
    return frozenset(
        name
        for environment in environments(model)
        for argument in _k3s_arguments(model.snapshot.files.get(f"bootstrap/k3d/{environment}.yaml", b""))
        if argument.startswith("--disable=")
        for name in argument.removeprefix("--disable=").split(",")
    )


def _k3s_arguments(content: bytes) -> Iterator[str]:
    options = mapping(mapping(Cache().document(content)).get("options"))
    for entry in map(mapping, sequence(mapping(options.get("k3s")).get("extraArgs"))):
        yield str(entry.get("arg") or "")


def made_here(model: ClusterModel) -> bool:
    """Tell whether Argo CD comes from the bootstrap of this library, whose settings are known."""
    files = model.snapshot.files
    return any(f"bootstrap/argocd/{environment}.tfvars.json" in files for environment in environments(model))


def brought_by_chart(model: ClusterModel, name: str) -> bool:
    """Tell whether a chart is about something that has no namespace: it bears its name, or its values do."""
    return any(
        name in f"{chart.name} {chart.helm}" for application in model.all_applications for chart in application.charts
    )

"""Proof that Argo CD may deploy what it is told to: folders, projects, namespaces, and one owner for every object."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import GROUP, Project, repository_name
from constructs_lib.check.finding import Finding, check_of
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import entries, mapping
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.repository.applications import ALL_OBJECTS, BY_HAND, Application
from constructs_lib.text import hint, nearest


def prove_ownership(model: ClusterModel) -> Iterator[Finding]:
    """Yield what Argo CD refuses to deploy, and objects that two Applications deploy."""
    projects = {item.name: Project(item) for item in model.kind("AppProject") if item.group == GROUP}
    objects: dict[int, list[Object]] = {}
    for application, item in model.deployed:
        objects.setdefault(id(application), []).append(item)
    repositories = _own_repositories(model)
    for application in model.applications:
        yield from _folders(model, application, repositories)
        yield from _project(application, projects, objects.get(id(application), []))
    yield from _owners(model)
    yield from _namespaces(model)


def sources(item: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the sources of an Application with their paths."""
    if isinstance(item.spec.get("source"), dict):
        yield "spec.source", item.spec["source"]
    yield from entries(item.spec.get("sources"), "spec.sources")


def _folders(model: ClusterModel, application: Application, repositories: frozenset[str]) -> Iterator[Finding]:
    item = application.item
    if item is None:
        return
    deployed = {source.path for source in application.sources}
    for at, source in sources(item):
        path = source.get("path")
        if source.get("chart") or not isinstance(path, str) or _repository(source) not in repositories:
            continue
        folder = _normal(path)
        empty = not application.files and not application.rendered and len(application.sources) == 1
        if folder not in deployed or empty:
            problem = f"There is no manifest in the folder {folder}."
            fix = hint("folder", folder, _folders_beside(model, folder))
            yield Finding.of("application-folder-empty", item, problem, at=f"{at}.path", fix=fix)


def _folders_beside(model: ClusterModel, folder: str) -> set[str]:
    top = folder.partition("/")[0]
    return {
        path.rpartition("/")[0] for path in model.snapshot.files if path.startswith(f"{top}/") and path.endswith("yaml")
    }


def _own_repositories(model: ClusterModel) -> frozenset[str]:
    """Return the addresses of the repository of the tree: those from which Applications deploy folders of the tree."""
    return frozenset(
        _repository(source)
        for application in model.applications
        if application.item
        for _, source in sources(application.item)
        if any(known.path == _normal(str(source.get("path"))) for known in application.sources)
    )


def _normal(path: str) -> str:
    """Return a path relative to the root of the repository; empty for the root itself."""
    normal = posixpath.normpath(path.strip("/") or ".")
    return "" if normal == "." else normal


def _repository(source: Mapping[str, Any]) -> str:
    return repository_name(str(source.get("repoURL") or ""))


def _project(application: Application, projects: Mapping[str, Project], items: list[Object]) -> Iterator[Finding]:
    item = application.item
    if item is None:
        return
    name = str(item.spec.get("project") or "default")
    project = projects.get(name)
    if project is None:
        if name != "default" and projects:
            yield Finding.missing(
                "project-missing", item, "spec.project", "AppProject", name, projects, hinted="project"
            )
        return
    for at, source in sources(item):
        repository = str(source.get("repoURL") or "")
        if repository and not project.permits_repository(repository):
            problem = f"The AppProject {name} does not permit the repository {repository}."
            yield Finding.of("project-refuses-repository", item, problem, at=f"{at}.repoURL")
    yield from _destinations(application, item, project, items)
    for item in items:
        if not project.permits_kind(item):
            scope, named = ("namespace", "") if item.namespace else ("cluster", f" with the name {item.name}")
            group = f" of {item.group}" if item.group else ""
            problem = f"The AppProject {name} does not permit the kind {item.kind}{group}{named}."
            fix = f"Add it to {scope}ResourceWhitelist of the AppProject {name}."
            yield Finding.of("project-refuses-kind", item, problem, at="kind", fix=fix)


def _destinations(application: Application, own: Object, project: Project, items: list[Object]) -> Iterator[Finding]:
    destination = mapping(own.spec.get("destination"))
    first: dict[str, tuple[Object, str]] = {application.namespace: (own, "spec.destination.namespace")}
    for item in items:
        first.setdefault(item.namespace, (item, "metadata.namespace"))
    for namespace, (item, at) in first.items():
        if namespace and not project.permits_namespace(namespace, destination):
            problem = f"The AppProject {project.name} does not permit the namespace {namespace}."
            near = nearest(namespace, project.namespaces(destination))
            fix = f"Add it to destinations of the AppProject; or, as the namespace, {near}"
            yield Finding.of("project-refuses-destination", item, problem, at=at, fix=fix)


def _owners(model: ClusterModel) -> Iterator[Finding]:
    owners: dict[Identity, tuple[Application, Object]] = {}
    for application, item in model.deployed:
        # Applications have a check of their own, and the bootstrap applies by hand what a root deploys later.
        generated = "name" not in item.metadata
        if application.name == BY_HAND or generated or (item.group == GROUP and item.kind == "Application"):
            continue
        first, known = owners.setdefault(item.identity, (application, item))
        # Without Applications, two folders may be alternatives of which only one is deployed.
        apart = application.name == ALL_OBJECTS and posixpath.dirname(known.path) != posixpath.dirname(item.path)
        if known is item or apart:
            continue
        if first is application and known.path == item.path:
            where = f"in {item.path} twice"
        elif first is application:
            where = f"in {known.path} as well"
        else:
            where = f"deployed by the Application {first.name} ({known.path}) as well"
        yield Finding.of("object-owned-twice", item, f"It is {where}.", at="metadata.name")


def _namespaces(model: ClusterModel) -> Iterator[Finding]:
    if not model.has_applications or model.has_generated_applications:
        # It is not known who else creates namespaces.
        return
    made = model.names("Namespace") | model.created_namespaces | platform.NAMESPACES
    if model.bootstrap.store is not None:
        made |= {model.bootstrap.store.namespace}
    homes = {application.item.namespace for application in model.all_applications if application.item}
    first: dict[str, Object] = {}
    for item in model.objects:
        first.setdefault(item.namespace, item)
    for namespace, item in first.items():
        if namespace and namespace not in made | homes:
            problem = f"Nobody makes the namespace {namespace}."
            fix = f"{check_of('namespace-missing').fix} As the namespace, {nearest(namespace, made)}"
            yield Finding.of("namespace-missing", item, problem, at="metadata.namespace", fix=fix)

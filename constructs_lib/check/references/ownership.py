"""Proof that Argo CD may deploy what it is told to: folders, projects, namespaces, and one owner for every object."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import GROUP, Project, repository_name
from constructs_lib.check.finding import Finding, check_of
from constructs_lib.check.model import PLATFORM_NAMESPACES, ClusterModel
from constructs_lib.kubernetes.manifest import mapping, sequence
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.repository.applications import ALL_OBJECTS, BY_HAND, Application
from constructs_lib.text import hint, nearest

_PROJECTS = "https://argo-cd.readthedocs.io/en/stable/user-guide/projects/"


def prove_ownership(model: ClusterModel) -> Iterator[Finding]:
    """Yield what Argo CD refuses to deploy, and what two of its Applications fight over."""
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
    for number, source in enumerate(map(mapping, sequence(item.spec.get("sources")))):
        yield f"spec.sources[{number}]", source


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
            yield Finding.of(
                "application-folder-empty",
                item,
                f"There is no manifest in the folder {folder}.",
                at=f"{at}.path",
                fix=hint("folder", folder, _folders_beside(model, folder)),
            )


def _folders_beside(model: ClusterModel, folder: str) -> set[str]:
    top = folder.partition("/")[0]
    return {
        path.rpartition("/")[0] for path in model.snapshot.files if path.startswith(f"{top}/") and path.endswith("yaml")
    }


def _own_repositories(model: ClusterModel) -> frozenset[str]:
    """Return the addresses under which Applications know the repository of the tree: folders of it are there."""
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
            yield Finding.of(
                "project-missing",
                item,
                f"There is no AppProject {name}.",
                at="spec.project",
                fix=hint("project", name, projects),
            )
        return
    for at, source in sources(item):
        repository = str(source.get("repoURL") or "")
        if repository and not project.permits_repository(repository):
            yield Finding.of(
                "project-refuses-repository",
                item,
                f"The AppProject {name} does not permit the repository {repository}.",
                at=f"{at}.repoURL",
            )
    yield from _destinations(application, item, project, items)
    for item in items:
        if not project.permits_kind(item):
            yield _refused(project, item)


def _destinations(application: Application, own: Object, project: Project, items: list[Object]) -> Iterator[Finding]:
    destination = mapping(own.spec.get("destination"))
    seen: set[str] = set()
    wanted = [(own, application.namespace, "spec.destination.namespace")]
    wanted += [(item, item.namespace, "metadata.namespace") for item in items]
    for item, namespace, at in wanted:
        if not namespace or namespace in seen:
            continue
        seen.add(namespace)
        if project.permits_namespace(namespace, destination):
            continue
        near = nearest(namespace, project.namespaces(destination))
        yield Finding.of(
            "project-refuses-destination",
            item,
            f"The AppProject {project.name} does not permit the namespace {namespace}.",
            at=at,
            fix=f"Add it to destinations of the AppProject; or, as the namespace, {near}",
        )


def _refused(project: Project, item: Object) -> Finding:
    scope = "namespace" if item.namespace else "cluster"
    group = f" of {item.group}" if item.group else ""
    return Finding.of(
        "project-refuses-kind",
        item,
        f"The AppProject {project.name} does not permit the kind {item.kind}{group}"
        f"{f' with the name {item.name}' if scope == 'cluster' else ''}.",
        at="kind",
        fix=f"Add it to {scope}ResourceWhitelist of the AppProject {project.name}.",
    )


def _owners(model: ClusterModel) -> Iterator[Finding]:
    owners: dict[Identity, tuple[Application, Object]] = {}
    for application, item in model.deployed:
        # Applications have a check of their own, and the bootstrap applies what a root deploys afterwards.
        generated = "name" not in item.metadata
        if application.name == BY_HAND or generated or (item.group == GROUP and item.kind == "Application"):
            continue
        first, known = owners.setdefault(item.identity, (application, item))
        # Without Applications, nobody deploys two folders together: one may be an example, or stand for another.
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
        # Nobody can tell what is made by others.
        return
    made = model.names("Namespace") | model.created_namespaces | PLATFORM_NAMESPACES
    if (filled := model.bootstrap.store()) is not None:
        made |= {filled.namespace}
    homes = {application.item.namespace for application in model.all_applications if application.item}
    missing: set[str] = set()
    for _, item in model.deployed:
        namespace = item.namespace
        if namespace and namespace not in made and namespace not in homes and namespace not in missing:
            missing.add(namespace)
            yield Finding.of(
                "namespace-missing",
                item,
                f"Nobody makes the namespace {namespace}.",
                at="metadata.namespace",
                fix=f"{check_of('namespace-missing').fix} As the namespace, {nearest(namespace, made)}",
            )

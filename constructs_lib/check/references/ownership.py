"""Proof that Argo CD may deploy what it is told to, that each object has one owner, and that roles bind what exists."""

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import GROUP, Project, cluster_name, repository_name
from constructs_lib.check.finding import Finding, check_of
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import entries, mapping, sequence
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.repository.applications import ALL_OBJECTS, BY_HAND, CHART, Application
from constructs_lib.text import hint, nearest, plural

_RBAC = "rbac.authorization.k8s.io"
#: Roles for people that the API server creates itself; its others have a colon in their names.
_BUILT_IN = frozenset({"admin", "cluster-admin", "edit", "view"})
#: Resources whose objects the model has, by their kind.
_RESOURCES = {"configmaps": "ConfigMap", "secrets": "Secret", "services": "Service"}
#: Verbs for objects that exist already.
_EXISTING = frozenset({"get", "watch"})


def prove_ownership(model: ClusterModel) -> Iterator[Finding]:
    """Yield what Argo CD refuses to deploy, what two Applications deploy, and roles of or for what does not exist."""
    projects = {item.name: project for item, project in model.projects.items()}
    objects: dict[int, list[Object]] = {}
    for application, item in model.deployed:
        objects.setdefault(id(application), []).append(item)
    repositories = _own_repositories(model)
    for application in model.applications:
        if application.item is not None:
            for problem in application.problems:
                yield Finding.of("application-refused", application.item, f"The reason: {problem}.", at="spec")
            yield from _folders(model, application, application.item, repositories)
            yield from _project(application, application.item, projects, objects.get(id(application), []))
    yield from _owners(model)
    yield from _namespaces(model)
    for binding in model.kind("RoleBinding", "ClusterRoleBinding"):
        yield from _role(model, binding)
        yield from _accounts(model, binding)
    for role in model.kind("Role"):
        yield from _objects(model, role)


def sources(item: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the sources of an Application with their paths."""
    if isinstance(item.spec.get("source"), dict):
        yield "spec.source", item.spec["source"]
    yield from entries(item.spec.get("sources"), "spec.sources")


def _folders(
    model: ClusterModel, application: Application, item: Object, repositories: frozenset[str]
) -> Iterator[Finding]:
    deployed = {source.path for source in application.sources}
    for at, source in sources(item):
        path = source.get("path")
        if source.get("chart") or not isinstance(path, str) or _repository(source) not in repositories:
            continue
        folder = application.folder_of(source)
        empty = not application.files and not application.rendered and len(application.sources) == 1
        if folder not in deployed or empty:
            problem = f"There is no manifest in the folder {folder}."
            fix = hint("folder", folder, _folders_beside(model, folder))
            yield Finding.of("application-folder-empty", item, problem, at=f"{at}.path", fix=fix)


def _folders_beside(model: ClusterModel, folder: str) -> set[str]:
    top = folder.partition("/")[0]
    files = (path for path in model.snapshot.files if path.startswith(f"{top}/") and path.endswith("yaml"))
    return {path.rpartition("/")[0] for path in files}


def _own_repositories(model: ClusterModel) -> frozenset[str]:
    """Return the addresses of the repository of the tree: those from which Applications deploy folders of the tree."""
    return frozenset(
        _repository(source)
        for application in model.applications
        if application.item
        for _, source in sources(application.item)
        if any(known.path == application.folder_of(source) for known in application.sources)
    )


def _repository(source: Mapping[str, Any]) -> str:
    return repository_name(str(source.get("repoURL") or ""))


def _project(
    application: Application, item: Object, projects: Mapping[str, Project], items: list[Object]
) -> Iterator[Finding]:
    name, at = str(item.spec.get("project") or "default"), "spec.project"
    project = projects.get(name)
    if project is None:
        if name != "default" and projects:
            yield Finding.missing("project-missing", item, at, "AppProject", name, projects, hinted="project")
        return
    for at, source in sources(item):
        repository = str(source.get("repoURL") or "")
        if repository and not project.permits_repository(repository):
            problem = f"The AppProject {name} does not permit the repository {repository}."
            yield Finding.of("project-refuses-repository", item, problem, at=f"{at}.repoURL")
    if not project.permits_applications_of(item.namespace):
        problem = f"The AppProject {name} does not permit Applications of the namespace {item.namespace}."
        yield Finding.of("project-refuses-application", item, problem, at="metadata.namespace")
    yield from _destinations(application, item, project, items)
    for item in items:
        # What a chart makes has a check of its own.
        if not (item.path.startswith(CHART) or project.permits_kind(item)):
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
    owners: dict[tuple[str, str, Identity], tuple[Application, Object]] = {}
    variants: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for application, item in model.deployed:
        # Applications have a check of their own, and the bootstrap applies by hand what a root deploys later.
        generated = "name" not in item.metadata
        if application.name == BY_HAND or generated or (item.group == GROUP and item.kind == "Application"):
            continue
        cluster = cluster_name(application.item.spec.get("destination") if application.item else None)
        first, known = owners.setdefault((cluster, application.renames, item.identity), (application, item))
        # Without Applications, two folders may be alternatives of which only one is deployed.
        apart = application.name == ALL_OBJECTS and posixpath.dirname(known.path) != posixpath.dirname(item.path)
        if known is item or apart:
            continue
        if application.name == ALL_OBJECTS and known.path != item.path:
            variants[known.path, item.path].append(item)
            continue
        if first is application and known.path == item.path:
            where = f"in {item.path} twice"
        elif first is application:
            where = f"in {known.path} as well"
        else:
            where = f"deployed by the Application {first.name} ({known.path}) as well"
        yield Finding.of("object-owned-twice", item, f"It is {where}.", at="metadata.name")
    for (path, _), items in variants.items():
        what = f"It and {plural(len(items) - 1, 'other')} are" if items[1:] else "It is"
        problem = f"{what} in {path} as well, and no Application tells which of the files is deployed."
        yield Finding.of("object-owned-twice", items[0], problem, at="metadata.name").as_warning()


def _namespaces(model: ClusterModel) -> Iterator[Finding]:
    if not model.has_applications or model.has_generated_applications:
        # It is not known who else creates namespaces.
        return
    made = model.names("Namespace") | model.created_namespaces | platform.NAMESPACES
    if model.bootstrap.store is not None:
        made |= {model.bootstrap.store.namespace}
    # Argo CD, which is there already, has its own objects in these.
    homes = {application.item.namespace for application in model.all_applications if application.item}
    homes |= {item.namespace for item in model.kind("AppProject") if item.group == GROUP}
    first: dict[str, Object] = {}
    for item in model.objects:
        first.setdefault(item.namespace, item)
    for namespace, item in first.items():
        if namespace and namespace not in made | homes:
            problem = f"Nobody makes the namespace {namespace}."
            fix = f"{check_of('namespace-missing').fix} As the namespace, {nearest(namespace, made)}"
            yield Finding.of("namespace-missing", item, problem, at="metadata.namespace", fix=fix)


def _role(model: ClusterModel, binding: Object) -> Iterator[Finding]:
    reference = mapping(binding.manifest.get("roleRef"))
    kind, name = reference.get("kind"), str(reference.get("name"))
    if kind not in ("Role", "ClusterRole"):
        return
    namespace = binding.namespace if kind == "Role" else ""
    if model.get(kind, namespace, name, _RBAC) is None and not _may_exist(model, kind, namespace, name):
        known = model.names(kind, namespace)
        yield Finding.missing("role-missing", binding, "roleRef.name", kind, name, known, hinted="role")


def _may_exist(model: ClusterModel, kind: str, namespace: str, name: str) -> bool:
    """Tell whether a role that the tree does not have may come from elsewhere."""
    if any(source.tool for application in model.all_applications for source in application.sources):
        # A tool may have given the role another name.
        return True
    if kind == "Role":
        # Only the tree creates the roles that its own bindings name.
        return namespace in model.open_namespaces | platform.NAMESPACES
    # Charts bring roles that are called after the chart.
    charts = (chart for application in model.all_applications for chart in application.charts)
    is_of_chart = model.is_named_by_chart(name) or any(chart.name in name for chart in charts)
    return is_of_chart or name in _BUILT_IN or ":" in name


def _accounts(model: ClusterModel, binding: Object) -> Iterator[Finding]:
    for at, entry in entries(binding.manifest.get("subjects"), "subjects"):
        name, namespace = str(entry.get("name")), str(entry.get("namespace") or binding.namespace)
        is_nowhere = binding.kind == "ClusterRoleBinding" and not namespace
        is_account = entry.get("kind") == "ServiceAccount" and name != "default" and not is_nowhere
        if not is_account or not model.lacks("ServiceAccount", namespace, name):
            continue
        if model.get("ServiceAccount", namespace, name) is None:
            known = model.names("ServiceAccount", namespace)
            yield Finding.missing("role-subject-missing", binding, at, "ServiceAccount", name, known, namespace)


def _objects(model: ClusterModel, role: Object) -> Iterator[Finding]:
    for at, rule in entries(role.manifest.get("rules"), "rules"):
        kinds = [_RESOURCES[name] for name in map(str, sequence(rule.get("resources"))) if name in _RESOURCES]
        if len(kinds) != 1 or not _EXISTING.intersection(map(str, sequence(rule.get("verbs")))):
            continue
        for name in map(str, sequence(rule.get("resourceNames"))):
            known = _known(model, kinds[0], role.namespace, name)
            if known is not None and name not in known:
                field, where = f"{at}.resourceNames", role.namespace
                yield Finding.missing("role-object-missing", role, field, kinds[0], name, known, where, "name")


def _known(model: ClusterModel, kind: str, namespace: str, name: str) -> set[str] | None:
    """Return the names of all objects of a kind in a namespace, or None if others may have made one of a name."""
    store = model.bootstrap.store
    in_store = store is not None and kind == "Secret" and namespace == store.namespace
    if not in_store and not model.lacks(kind, namespace, name):
        return None
    names = model.names(kind, namespace)
    if kind == "Secret":
        names = names | model.once(SecretSources).names(namespace)
    return names | {component for component, _ in store.values} if store and in_store else names

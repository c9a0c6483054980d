"""What Argo CD needs: an AppProject, an Application for every component, and the root Application."""

from collections.abc import Iterable, Mapping
from typing import Any

from constructs_lib.argocd.objects import WAVE
from constructs_lib.declare.component import Component
from constructs_lib.declare.system import System
from constructs_lib.derive.graph import Graph
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED

ARGOCD_NAMESPACE = "argocd"
ROOT_FILE = "root.yaml"
_API = "argoproj.io/v1alpha1"
_SERVER = "https://kubernetes.default.svc"
_PATHS = "argocd.argoproj.io/manifest-generate-paths"
#: Deleting the Application deletes what it deployed, but for protected objects. The same as without a policy behind the
#: slash (``finalizeApplicationDeletion`` of Argo CD), of which the API server warns.
_FINALIZER = "resources-finalizer.argocd.argoproj.io/foreground"
#: A sync that fails is tried again with the newest commit (argo-cd issues 11494, 16489). But that of a component is so
#: with the commit that it was pinned to when the sync began, and takes up no other meanwhile: not for ever, but for
#: eleven minutes.
_TRIES = 7
_RETRY = {"refresh": True, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "3m"}}
#: Kinds that the library writes into namespaces. A project permits all of them, used or not: if a kind left the project
#: together with its last object, Argo CD would refuse to prune that object.
_KINDS = {
    "": ("ConfigMap", "PersistentVolumeClaim", "Service", "ServiceAccount"),
    "apps": ("Deployment", "StatefulSet"),
    "autoscaling": ("HorizontalPodAutoscaler",),
    "batch": ("CronJob", "Job"),
    "cilium.io": ("CiliumNetworkPolicy",),
    "external-secrets.io": ("ExternalSecret",),
    "networking.k8s.io": ("NetworkPolicy",),
    "policy": ("PodDisruptionBudget",),
    "rbac.authorization.k8s.io": ("Role", "RoleBinding"),
}
#: What goes is deleted once all else is healthy (PruneLast), so that nobody still uses it: objects of a component, and
#: components themselves.
_ROOT_OPTIONS = ["FailOnSharedResource=true", "PruneLast=true", "ServerSideApply=true"]
_SYNC_OPTIONS = sorted([*_ROOT_OPTIONS, "RespectIgnoreDifferences=true"])


def folder(component: Component) -> str:
    """Return the folder of a component's manifests, relative to the repository."""
    return f"dist/{component.system.environment.name}/{component.id}"


def _object(system: System, kind: str, name: str, annotations: Mapping[str, str], spec: Mapping[str, Any]) -> Manifest:
    labels = {"app.kubernetes.io/part-of": system.name}
    return manifest(_API, kind, name, ARGOCD_NAMESPACE, labels, annotations=annotations, spec=spec)


def application(component: Component, graph: Graph) -> Manifest:
    """Return the Application that deploys a component, in the wave that its dependencies give it.

    https://argo-cd.readthedocs.io/en/stable/user-guide/application-specification/
    """
    system = component.system
    repository = system.environment.repository
    manifests = {"repoURL": repository.url, "targetRevision": repository.revision, "path": folder(component)}
    if found := component.chart_source:
        chart = {
            "repoURL": found.repository,
            "chart": found.name,
            "targetRevision": found.version,
            "helm": {"releaseName": component.id, "valuesObject": found.values},
        }
        source: dict[str, Any] = {"sources": [chart, manifests]}
    else:
        source = {"source": manifests}
    scaled = [
        {"group": "apps", "kind": "StatefulSet", "name": workload.name, "jsonPointers": ["/spec/replicas"]}
        for workload in component.workloads
        if workload.autoscaled and workload.holds_data
    ]
    annotations = {_PATHS: ".", WAVE: str(graph.waves[component.id])}
    namespace, more = component.namespace_name, {"ignoreDifferences": scaled} if scaled else {}
    spec = _application_spec(system.name, source, namespace, _TRIES, _SYNC_OPTIONS, **more)
    made = _object(system, "Application", component.id, annotations, spec)
    made["metadata"]["finalizers"] = [_FINALIZER]
    return made


def _application_spec(
    project: str, source: Mapping[str, Any], namespace: str, tries: int, options: list[str], **more: object
) -> Mapping[str, Any]:
    retry = {"limit": tries, **_RETRY}
    return {
        "project": project,
        **source,
        "destination": {"server": _SERVER, "namespace": namespace},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "retry": retry, "syncOptions": options},
        **more,
        "revisionHistoryLimit": 5,
    }


def app_project(system: System, manifests: Iterable[Manifest]) -> Manifest:
    """Return the AppProject of the components: this repository and its charts, these namespaces, these kinds.

    Applications are not among them, so that no chart and no component can add one of its own. ``manifests`` are objects
    of the components, at least one of every kind in every namespace.
    """
    charts = [component.chart_source for component in system.components]
    namespaces = {component.namespace_name for component in system.components}
    cluster: set[tuple[str, str, str]] = set()
    namespaced = {(group, kind) for group, kinds in _KINDS.items() for kind in kinds}
    for made in manifests:
        group, kind = made["apiVersion"].rpartition("/")[0], made["kind"]
        if kind in CLUSTER_SCOPED:
            cluster.add((group, kind, made["metadata"]["name"]))
        else:
            namespaced.add((group, kind))
            namespaces.add(made["metadata"]["namespace"])
    for component in system.components:
        namespaces.update(component.other_namespaces)
        namespaced.update((kind.group, kind.kind) for kind in component.kinds)
    chart_kinds = {(kind.group, kind.kind) for component in system.components for kind in component.cluster_kinds}
    named = [entry for entry in sorted(cluster) if entry[:2] not in chart_kinds]
    return _project(
        system,
        system.name,
        f"The components of {system.name} on {system.environment.name}",
        {system.environment.repository.url, *(chart.repository for chart in charts if chart)},
        namespaces,
        namespaced,
        [
            *({"group": group, "kind": kind, "name": name} for group, kind, name in named),
            *({"group": group, "kind": kind} for group, kind in sorted(chart_kinds)),
        ],
    )


def permitting(project: Manifest, namespaces: Iterable[str]) -> Manifest:
    """Return an AppProject that permits further namespaces, with the Namespace objects themselves.

    Argo CD deletes nothing that the project does not permit, and the root updates the project before it removes an
    Application. So the namespace of a component that is taken away stays permitted; else all of it would live on,
    managed by nobody (``getPermittedAppLiveObjects`` of Argo CD's controller).
    """
    spec = project["spec"]
    known = {entry["namespace"] for entry in spec["destinations"]}
    further = sorted({*namespaces} - known)
    destinations = [*spec["destinations"], *({"server": _SERVER, "namespace": namespace} for namespace in further)]
    cluster = [
        *(entry for entry in spec["clusterResourceWhitelist"] if "name" in entry),
        *({"group": "", "kind": "Namespace", "name": namespace} for namespace in further),
    ]
    return {
        **project,
        "spec": {
            **spec,
            "destinations": sorted(destinations, key=lambda entry: entry["namespace"]),
            "clusterResourceWhitelist": [
                *sorted(cluster, key=lambda entry: (entry["group"], entry["kind"], entry["name"])),
                *(entry for entry in spec["clusterResourceWhitelist"] if "name" not in entry),
            ],
        },
    }


def root_project(system: System) -> Manifest:
    """Return the AppProject of the root: Applications and AppProjects from this repository, and nothing else."""
    return _project(
        system,
        f"{system.name}-root",
        f"The Applications of {system.name} on {system.environment.name}",
        {system.environment.repository.url},
        {ARGOCD_NAMESPACE},
        {("argoproj.io", "Application"), ("argoproj.io", "AppProject")},
        [],
    )


def _project(
    system: System,
    name: str,
    description: str,
    repositories: Iterable[str],
    namespaces: Iterable[str],
    kinds: Iterable[tuple[str, str]],
    cluster_kinds: list[dict[str, str]],
) -> Manifest:
    spec = {
        "description": description,
        "sourceRepos": sorted(repositories),
        "destinations": [{"server": _SERVER, "namespace": namespace} for namespace in sorted(namespaces)],
        "clusterResourceWhitelist": cluster_kinds,
        "namespaceResourceWhitelist": [{"group": group, "kind": kind} for group, kind in sorted(kinds)],
    }
    return _object(system, "AppProject", name, {WAVE: "-1"}, spec)


def root_application(system: System) -> Manifest:
    """Return the root: the bootstrap applies it, after its AppProject; it deploys the projects and the Applications.

    It is not part of what it deploys, because its own health would then wait for itself. It has no finalizer: deleting
    it leaves everything running.
    """
    environment = system.environment
    source = {
        "repoURL": environment.repository.url,
        "targetRevision": environment.repository.revision,
        "path": f"argocd/{environment.name}",
        "directory": {"exclude": ROOT_FILE},
    }
    spec = _application_spec(f"{system.name}-root", {"source": source}, ARGOCD_NAMESPACE, -1, _ROOT_OPTIONS)
    # Without paths of its own: with them Argo CD would never sync a commit that it saw first while another sync ran, if
    # that one then failed (``alreadyAttemptedSync``, and the revisions without changes in those paths).
    return _object(system, "Application", system.name, {}, spec)

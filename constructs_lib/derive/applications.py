"""What Argo CD needs: an AppProject and an Application for every component, and the root with a project of its own."""

import posixpath
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from constructs_lib.argocd.destination import HERE
from constructs_lib.argocd.objects import WAVE
from constructs_lib.argocd.projects import GIVEN_KINDS
from constructs_lib.declare.component import Component
from constructs_lib.declare.server import Server
from constructs_lib.declare.system import System
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.patches import patched
from constructs_lib.derive.places import check_kinds
from constructs_lib.kubernetes.elsewhere import OUTSIDE, Elsewhere, written
from constructs_lib.kubernetes.manifest import Manifest, manifest, mapping, mappings, protected
from constructs_lib.kubernetes.node import NODES
from constructs_lib.kubernetes.node import written as written_nodes
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED

ROOT_FILE = "root.yaml"
#: The cluster of Argo CD itself, in which the Applications are, wherever they deploy to.
HERE_BY_SERVER = {"server": HERE["server"]}
#: In the name of its AppProject, in the place of a component's id.
ROOT = "root"
_API = "argoproj.io/v1alpha1"
_PATHS = "argocd.argoproj.io/manifest-generate-paths"
#: Deleting the Application deletes what it deployed, but for protected objects. The same as without a policy behind the
#: slash (``finalizeApplicationDeletion`` of Argo CD), of which the API server warns.
_FINALIZER = "resources-finalizer.argocd.argoproj.io/foreground"
#: A sync that fails is tried again with the newest commit (argo-cd issues 11494, 16489). But that of a component is so
#: with the commit that it was pinned to when the sync began, and takes up no other meanwhile: not for ever, but for
#: eleven minutes.
_TRIES = 7
_RETRY = {"refresh": True, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "3m"}}
#: An AppProject with it is gone only once no Application names it: what is removed together with its Application is
#: needed until that has deleted what it deployed.
#: https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#projects
_PROJECT_FINALIZER = "resources-finalizer.argocd.argoproj.io"
#: Kinds of routes: projects permit them where the system has what serves them, so that they can be pruned.
_EDGE_KINDS = {
    "cert-manager.io": ("Certificate",),
    "gateway.networking.k8s.io": ("HTTPRoute",),
    "networking.k8s.io": ("Ingress",),
}
#: What goes is deleted once all else is healthy (PruneLast), so that nobody still uses it: objects of a component, and
#: components themselves.
_ROOT_OPTIONS = ["FailOnSharedResource=true", "PruneLast=true", "ServerSideApply=true"]
_SYNC_OPTIONS = sorted([*_ROOT_OPTIONS, "RespectIgnoreDifferences=true"])


def folder(component: Component) -> str:
    """Return the folder of a component's manifests, relative to that of app.py."""
    return f"dist/{component.system.environment.name}/{component.application_name}"


def _object(system: System, kind: str, name: str, annotations: Mapping[str, str], spec: Mapping[str, Any]) -> Manifest:
    labels, argocd = {"app.kubernetes.io/part-of": system.name}, system.environment.argocd
    # Those who may write where Applications are must not write what these may deploy.
    namespace = argocd.namespace if kind == "AppProject" else argocd.applications
    return manifest(_API, kind, name, namespace, labels, annotations=annotations, spec=spec)


def application(component: Component, graph: Graph) -> Manifest:
    """Return the Application that deploys a component, in the wave that its dependencies give it.

    https://argo-cd.readthedocs.io/en/stable/user-guide/application-specification/
    """
    system = component.system
    repository = system.environment.repository
    path = posixpath.join(repository.path, folder(component))
    manifests = {"repoURL": repository.url, "targetRevision": system.environment.revision, "path": path}
    if (found := component.chart_source) and not found.is_committed:
        # Helm names the release by the Application unless it is told, and objects of charts are named by the release.
        named = bool(system.environment.prefix)
        source: dict[str, Any] = {"sources": [found.source(component.id, named=named), manifests]}
    else:
        source = {"source": manifests}
    # The manifest says how many pods there are at first. Without it, a workload that is handed to an autoscaler would
    # fall to one pod.
    kinds = {True: "StatefulSet", False: "Deployment"}
    scaled = [_left_alone(kinds[each.holds_data], each.name) for each in component.workloads if each.autoscaled]
    annotations = {_PATHS: ".", WAVE: str(graph.waves[component.id])}
    if outside := _called_outside(component):
        annotations[OUTSIDE] = written(outside)
    more = {"ignoreDifferences": scaled} if scaled else {}
    destination = {**system.environment.cluster.destination, "namespace": component.namespace_name}
    spec = _application_spec(project_name(system, component.id), source, destination, _TRIES, _SYNC_OPTIONS, **more)
    made = _object(system, "Application", component.application_name, annotations, spec)
    made["metadata"]["finalizers"] = [_FINALIZER]
    return patched(made, component)


def _left_alone(kind: str, name: str) -> dict[str, Any]:
    """Return what has Argo CD leave the number of a workload's pods to an autoscaler."""
    return {"group": "apps", "kind": kind, "name": name, "jsonPointers": ["/spec/replicas"]}


def autoscaled_in(made: Manifest) -> tuple[str, ...]:
    """Return the workloads whose number of pods an Application leaves to an autoscaler, as ``Kind/name``."""
    entries = mappings(mapping(made.get("spec")).get("ignoreDifferences"))
    names = [(str(entry.get("kind")), str(entry.get("name"))) for entry in entries]
    return tuple(f"{kind}/{name}" for kind, name in names if _left_alone(kind, name) in entries)


def leaving_alone(made: Manifest, workloads: Iterable[str]) -> Manifest:
    """Return an Application that leaves the number of pods of further workloads, as ``Kind/name``, to an autoscaler.

    What is pinned has one as long as it is deployed, though it is declared to have none any more. Without this, Argo CD
    and the autoscaler would set the number in turns until the pin moves, and again after the revert of that.
    """
    known = autoscaled_in(made)
    if not (further := [each for each in workloads if each not in known]):
        return made
    spec, entries = mapping(made.get("spec")), [_left_alone(*each.split("/", 1)) for each in further]
    return {**made, "spec": {**spec, "ignoreDifferences": [*mappings(spec.get("ignoreDifferences")), *entries]}}


def left_alone_no_more(made: Manifest, workloads: Iterable[str]) -> Manifest:
    """Return an Application that sets the number of pods of some workloads, as ``Kind/name``."""
    gone = [_left_alone(*each.split("/", 1)) for each in workloads]
    spec = {**mapping(made.get("spec"))}
    entries = [entry for entry in mappings(spec.pop("ignoreDifferences", None)) if entry not in gone]
    return {**made, "spec": {**spec, **({"ignoreDifferences": entries} if entries else {})}}


def _called_outside(component: Component) -> list[Elsewhere]:
    """Return what exists without the system and is called by a component."""
    edges = [edge for each in component.workloads for edge in (*each.edges, *chain(*each.helpers.values()))]
    called = [edge.endpoint for edge in edges] + [each for access in component.access for each in access.to_endpoints]
    found: dict[Server, set[tuple[str, int, int]]] = {}
    for endpoint in (each for each in called if each.server in component.system.outside):
        ports = found.setdefault(endpoint.server, set())
        ports.add((endpoint.protocol, endpoint.service_port, endpoint.port))
    told = []
    for server, ports in sorted(found.items(), key=lambda item: item[0].name):
        namespace, pods = server.pods(next(iter(server.endpoints.values()))) or ("", {})
        told.append(
            Elsewhere(server.host, tuple(sorted(ports)), server.networks, namespace, tuple(sorted(pods.items())))
        )
    # A controller is no Service that is called: its pods call, or are called at whatever port they listen to.
    passing = {
        passage.controller.namespace: passage.controller for each in component.workloads for passage in each.passages
    }
    owned = [each for each in passing.values() if component.system.owner_of(each.namespace) is None]
    for controller in owned:
        name = next(iter(controller.pods.values()), "controller")
        host = f"{name}.{controller.namespace}.svc.{component.system.environment.cluster.domain}"
        told.append(Elsewhere(host, (), (), controller.namespace, tuple(sorted(controller.pods.items()))))
    cluster = component.system.environment.cluster
    if component.secrets and cluster.external_secrets_account:
        namespace, _, name = cluster.external_secrets_account.partition("/")
        told.append(Elsewhere(f"{name}.{namespace}.svc.{cluster.domain}", (), (), namespace))
    return told


def _application_spec(
    project: str, source: Mapping[str, Any], to: Mapping[str, str], tries: int, options: list[str], **more: object
) -> Mapping[str, Any]:
    retry = {"limit": tries, **_RETRY}
    return {
        "project": project,
        **source,
        "destination": to,
        "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "retry": retry, "syncOptions": options},
        **more,
        "revisionHistoryLimit": 5,
    }


def project_name(system: System, component: str) -> str:
    """Return the name of the AppProject of a component, by the component's id; with the system's, because one is taken.

    Argo CD makes an AppProject ``default`` itself.
    """
    return f"{system.application_name}-{component}"


def app_project(component: Component, manifests: Iterable[Manifest]) -> Manifest:
    """Return the AppProject of a component: this repository and its chart, its namespaces, its kinds.

    What has no namespace is permitted by its name, but for what a chart brings and names no names of. Applications and
    AppProjects are not among the kinds, so that no chart and no component can add one of its own.

    Args:
        component: The component.
        manifests: Its objects.
    """
    system, chart = component.system, component.chart_source
    namespaces = {component.namespace_name, *component.other_namespaces}
    cluster: set[tuple[str, str, str]] = set()
    kinds = {(kind.group, kind.kind) for kind in component.kinds}
    check_kinds(component, kinds)
    for made in manifests:
        group, kind, metadata = made["apiVersion"].rpartition("/")[0], made["kind"], made["metadata"]
        if kind in CLUSTER_SCOPED or "namespace" not in metadata:
            cluster.add((group, kind, metadata["name"]))
        else:
            kinds.add((group, kind))
            namespaces.add(metadata["namespace"])
    # A project permits its kinds in all of its namespaces: in those of others, policies at most.
    groups = GIVEN_KINDS if len(namespaces) == 1 else ("cilium.io", "networking.k8s.io")
    kinds.update((group, kind) for group in groups for kind in GIVEN_KINDS[group])
    if len(namespaces) == 1 and system.has_edge and (not component.chart_source or component.servers):
        kinds.update((group, kind) for group, names in _EDGE_KINDS.items() for kind in names)
    of_any_name = {(kind.group, kind.kind) for kind in component.cluster_kinds if not kind.names}
    cluster = {entry for entry in cluster if entry[:2] not in of_any_name}
    cluster.update((kind.group, kind.kind, name) for kind in component.cluster_kinds for name in kind.names)
    made = _project(
        system,
        project_name(system, component.id),
        f"The component {component.id} of {system.name} on {system.environment.name}",
        {system.environment.repository.url, *([chart.address] if chart and not chart.is_committed else [])},
        [{**system.environment.cluster.destination, "namespace": namespace} for namespace in sorted(namespaces)],
        kinds,
        [
            *({"group": group, "kind": kind, "name": name} for group, kind, name in sorted(cluster)),
            *({"group": group, "kind": kind} for group, kind in sorted(of_any_name)),
        ],
    )
    made["metadata"] |= {"annotations": {WAVE: "-1"}, "finalizers": [_PROJECT_FINALIZER]}
    return patched(made, component)


def permitting(project: Manifest, namespaces: Iterable[str]) -> Manifest:
    """Return an AppProject that permits further namespaces, with the Namespace objects themselves.

    Argo CD deletes nothing that the project does not permit, and the root updates the project before the Application.
    So the namespace that a component has left stays permitted; else all of it would live on, managed by nobody
    (``getPermittedAppLiveObjects`` of Argo CD's controller).
    """
    # A patch may have taken or replaced any of them.
    spec = mapping(project.get("spec"))
    known = mappings(spec.get("destinations"))
    clusters = [{key: entry[key] for key in ("server", "name") if key in entry} for entry in known] or [HERE_BY_SERVER]
    further = sorted({*namespaces} - {entry.get("namespace") for entry in known})
    if not further:
        return project
    destinations = [*known, *({**clusters[0], "namespace": namespace} for namespace in further)]
    permitted = mappings(spec.get("clusterResourceWhitelist"))
    cluster = [
        *(entry for entry in permitted if "name" in entry),
        *({"group": "", "kind": "Namespace", "name": namespace} for namespace in further),
    ]
    return {
        **project,
        "spec": {
            **spec,
            "destinations": sorted(destinations, key=lambda entry: str(entry.get("namespace"))),
            "clusterResourceWhitelist": [
                *sorted(cluster, key=lambda entry: [str(entry.get(key)) for key in ("group", "kind", "name")]),
                *(entry for entry in permitted if "name" not in entry),
            ],
        },
    }


def root_project(system: System) -> Manifest:
    """Return the AppProject of the root: Applications and AppProjects from this repository, and nothing else.

    It is the bootstrap's, like the root, so that nobody who can push to the branch changes it by its file. A root of an
    earlier library deploys that file, and must neither prune it once the bootstrap excludes it, nor miss it.
    """
    made = _project(
        system,
        project_name(system, ROOT),
        f"The Applications of {system.name} on {system.environment.name}",
        {system.environment.repository.url},
        [{**HERE_BY_SERVER, "namespace": namespace} for namespace in sorted(system.environment.argocd.namespaces)],
        {("argoproj.io", "Application"), ("argoproj.io", "AppProject")},
        [],
    )
    made["metadata"]["annotations"] = protected()
    return made


def _project(
    system: System,
    name: str,
    description: str,
    repositories: Iterable[str],
    destinations: list[dict[str, str]],
    kinds: Iterable[tuple[str, str]],
    cluster_kinds: list[dict[str, str]],
) -> Manifest:
    argocd = system.environment.argocd
    # Applications elsewhere than Argo CD itself may name a project only if it says so.
    elsewhere = {"sourceNamespaces": [argocd.applications]} if argocd.applications != argocd.namespace else {}
    spec = {
        "description": description,
        **elsewhere,
        "sourceRepos": sorted(repositories),
        "destinations": destinations,
        "clusterResourceWhitelist": cluster_kinds,
        "namespaceResourceWhitelist": [{"group": group, "kind": kind} for group, kind in sorted(kinds)],
        **_integrity(system),
    }
    return _object(system, "AppProject", name, {}, spec)


def _integrity(system: System) -> Manifest:
    """Return what has Argo CD verify signatures; since Argo CD 3.5.

    https://argo-cd.readthedocs.io/en/latest/user-guide/source-integrity-git-gpg/
    """
    environment = system.environment
    if not environment.signed_by:
        return {}
    # Of the commit that is deployed: what is below it was there before somebody signed, or is other people's.
    policy = {
        "repos": [{"url": environment.repository.url}],
        "gpg": {"mode": "head", "keys": list(environment.signed_by)},
    }
    return {"sourceIntegrity": {"git": {"policies": [policy]}}}


def root_application(system: System) -> Manifest:
    """Return the root: the bootstrap applies it, after its AppProject; it deploys the other projects and Applications.

    It is not part of what it deploys, because its own health would then wait for itself. It has no finalizer: deleting
    it leaves everything running.
    """
    environment, project = system.environment, project_name(system, ROOT)
    source = {
        "repoURL": environment.repository.url,
        "targetRevision": environment.revision,
        "path": posixpath.join(environment.repository.path, f"argocd/{environment.name}"),
        "directory": {"exclude": f"{{{ROOT_FILE},AppProject-{project}.yaml}}"},
    }
    destination = {**HERE_BY_SERVER, "namespace": environment.argocd.applications}
    spec = _application_spec(project, {"source": source}, destination, -1, _ROOT_OPTIONS)
    # Without paths of its own: with them Argo CD would never sync a commit that it saw first while another sync ran, if
    # that one then failed (``alreadyAttemptedSync``, and the revisions without changes in those paths).
    cluster = environment.cluster
    annotations = {NODES: written_nodes(cluster.nodes, cluster.node)} if cluster.node else {}
    return patched(_object(system, "Application", system.application_name, annotations, spec), system)

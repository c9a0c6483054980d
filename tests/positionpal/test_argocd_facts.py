"""What Argo CD does with a repository, and what this one therefore has to look like.

Numbers are issues of argoproj/argo-cd.
"""

from __future__ import annotations

import re
from collections import Counter

from synthesized import WAVE, Manifest, Synthesized, identity, wave

REPOSITORY = "https://github.com/position-pal/gitops.git"
SERVER = "https://kubernetes.default.svc"

#: Kinds without a namespace; the objects of all others have one.
CLUSTER_SCOPED = {"ClusterIssuer", "Namespace"}

#: What the charts bring at the versions that are pinned: where from, which kinds, and where beside their own namespace.
CHART_REPOSITORIES = {
    "cert-manager": "https://charts.jetstack.io",
    "external-secrets": "https://charts.external-secrets.io",
    "metrics-server": "https://kubernetes-sigs.github.io/metrics-server",
    "monitoring": "https://prometheus-community.github.io/helm-charts",
    "reloader": "https://stakater.github.io/stakater-charts",
    "traefik": "https://traefik.github.io/charts",
}
RBAC = "rbac.authorization.k8s.io"
CHART_KINDS: dict[str, set[tuple[str, str]]] = {
    "cert-manager": {
        *(("", kind) for kind in ("ConfigMap", "Service", "ServiceAccount")),
        ("apps", "Deployment"),
        *((RBAC, kind) for kind in ("Role", "RoleBinding")),
    },
    "external-secrets": {("", "ServiceAccount"), ("apps", "Deployment"), (RBAC, "Role"), (RBAC, "RoleBinding")},
    "metrics-server": {("", "Service"), ("", "ServiceAccount"), ("apps", "Deployment"), (RBAC, "RoleBinding")},
    "monitoring": {
        *(("", kind) for kind in ("ConfigMap", "Service", "ServiceAccount")),
        *(("apps", kind) for kind in ("DaemonSet", "Deployment")),
        *(
            ("monitoring.coreos.com", kind)
            for kind in ("Alertmanager", "Prometheus", "PrometheusRule", "ServiceMonitor")
        ),
        *((RBAC, kind) for kind in ("Role", "RoleBinding")),
    },
    "reloader": {("", "ServiceAccount"), ("apps", "Deployment")},
    "traefik": {
        *(("", kind) for kind in ("Service", "ServiceAccount")),
        ("apps", "Deployment"),
        ("policy", "PodDisruptionBudget"),
    },
}
#: Kinds that may run and be reached in a namespace, and give nobody more than it.
LIBRARY_KINDS = {
    *(("", kind) for kind in ("ConfigMap", "PersistentVolumeClaim", "Service", "ServiceAccount")),
    *(("apps", kind) for kind in ("DaemonSet", "Deployment", "StatefulSet")),
    *(("batch", kind) for kind in ("CronJob", "Job")),
    *((RBAC, kind) for kind in ("Role", "RoleBinding")),
    ("autoscaling", "HorizontalPodAutoscaler"),
    *(("external-secrets.io", kind) for kind in ("ExternalSecret", "SecretStore")),
    ("networking.k8s.io", "NetworkPolicy"),
    ("cilium.io", "CiliumNetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
}
#: What is permitted beside these where something serves routes.
ROUTE_KINDS = {
    ("cert-manager.io", "Certificate"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("networking.k8s.io", "Ingress"),
}
CHART_CLUSTER_KINDS: dict[str, set[tuple[str, str]]] = {
    "cert-manager": {
        *(("admissionregistration.k8s.io", f"{kind}WebhookConfiguration") for kind in ("Mutating", "Validating")),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        *((RBAC, kind) for kind in ("ClusterRole", "ClusterRoleBinding")),
    },
    "external-secrets": {
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        (RBAC, "ClusterRole"),
        (RBAC, "ClusterRoleBinding"),
    },
    "metrics-server": {
        ("apiregistration.k8s.io", "APIService"),
        (RBAC, "ClusterRole"),
        (RBAC, "ClusterRoleBinding"),
    },
    "monitoring": {
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        (RBAC, "ClusterRole"),
        (RBAC, "ClusterRoleBinding"),
    },
    "traefik": {
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("gateway.networking.k8s.io", "GatewayClass"),
        ("networking.k8s.io", "IngressClass"),
        *((RBAC, kind) for kind in ("ClusterRole", "ClusterRoleBinding")),
    },
}
CHART_NAMESPACES = {
    "external-secrets": set(),
    "metrics-server": {"kube-system"},
    "monitoring": {"kube-system"},
}


def manifests_of(application: Manifest) -> Manifest:
    """Return the source of an Application that is this repository."""
    sources = application["spec"].get("sources") or [application["spec"]["source"]]
    (source,) = (source for source in sources if "chart" not in source)
    return dict(source)


def sync_options(manifest: Manifest) -> set[str]:
    """Return the sync options of one object."""
    options = manifest["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-options", "")
    return set(options.split(",")) - {""}


def every_application(tree: Synthesized) -> list[Manifest]:
    """Return the root and the Applications that it deploys."""
    return [tree.root, *tree.applications.values()]


# Applications


def test_every_component_has_its_own_application(tree: Synthesized) -> None:
    """Each folder is deployed, by the Application of its name, and no Application lacks its folder."""
    paths = {name: manifests_of(application)["path"] for name, application in tree.applications.items()}
    assert paths == {component: f"dist/{tree.environment}/{component}" for component in tree.components}


def test_waves_between_applications(tree: Synthesized) -> None:
    """The root rolls the Applications out in waves, after the projects that permit them (3517)."""
    waves = [wave(application) for application in tree.applications.values()]
    assert min(waves) > max(map(wave, tree.projects.values()))
    assert all(WAVE in manifest["metadata"]["annotations"] for manifest in tree.delivered)


def test_sync_is_automated_and_mends_itself(tree: Synthesized) -> None:
    """What is removed from Git is pruned, and what somebody changes by hand is put back."""
    for application in every_application(tree):
        assert application["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}


def test_a_failing_sync_takes_up_the_mending_commit(tree: Synthesized) -> None:
    """A retry with the old commit would block the new one for ever (11494, 16489).

    That of a component is one with the commit that it was pinned to, whatever ``refresh`` says.
    """
    for application in every_application(tree):
        retry = application["spec"]["syncPolicy"]["retry"]
        assert retry["refresh"] is True
        assert (retry["limit"] < 0) == (application is tree.root)
        assert retry["limit"] < 0 or 5 < retry["limit"] < 10
        assert retry["backoff"].keys() == {"duration", "factor", "maxDuration"}
        assert retry["backoff"]["factor"] > 1


def test_sync_options_of_applications(tree: Synthesized) -> None:
    """Big objects need server-side apply (8128), no object has two Applications (16995, 22607), what goes goes last."""
    for application in every_application(tree):
        assert {"ServerSideApply=true", "FailOnSharedResource=true", "PruneLast=true"} <= set(
            application["spec"]["syncPolicy"]["syncOptions"]
        )


def test_what_is_autoscaled_keeps_its_pods(tree: Synthesized) -> None:
    """A sync leaves alone what an autoscaler has set: a difference is ignored only with both of these (4912, 28590)."""
    for name, application in tree.applications.items():
        scaled = {
            (manifest["spec"]["scaleTargetRef"]["name"], manifest["spec"]["scaleTargetRef"]["kind"])
            for manifest in tree.components[name]
            if manifest["kind"] == "HorizontalPodAutoscaler"
        }
        ignored = application["spec"].get("ignoreDifferences", [])
        assert ignored == [
            {"group": "apps", "kind": kind, "name": target, "jsonPointers": ["/spec/replicas"]}
            for target, kind in sorted(scaled)
        ]
        assert not ignored or "RespectIgnoreDifferences=true" in application["spec"]["syncPolicy"]["syncOptions"]


def test_what_is_autoscaled_starts_with_the_minimum(tree: Synthesized) -> None:
    """Without a number in Git, it would start with one pod, and fall to one when it is handed to an autoscaler."""
    for autoscaler in tree.objects("HorizontalPodAutoscaler"):
        target = autoscaler["spec"]["scaleTargetRef"]
        manifest = tree.the(target["kind"], autoscaler["metadata"]["namespace"], target["name"])
        assert manifest["spec"]["replicas"] == autoscaler["spec"]["minReplicas"]


def test_nothing_runs_without_pods(tree: Synthesized) -> None:
    """With no replicas, some kinds stay Progressing (14607)."""
    for template in tree.pods(kinds=["Deployment", "StatefulSet"]):
        assert template.owner["spec"].get("replicas", 1) > 0


def test_sources_are_pinned_and_cheap(tree: Synthesized) -> None:
    """A full reference and the paths that matter spare Argo CD the work for every other commit."""
    for application in every_application(tree):
        source = manifests_of(application)
        assert source["repoURL"] == REPOSITORY
        assert re.fullmatch(r"refs/heads/[\w./-]+", source["targetRevision"])
        # Relative to each source's own path. With one, the root would not sync a commit that it saw while another sync
        # ran, if that one failed.
        paths = application["metadata"].get("annotations", {}).get("argocd.argoproj.io/manifest-generate-paths")
        assert paths == (None if application is tree.root else ".")
    for name in tree.charts:
        chart = tree.applications[name]["spec"]["sources"][0]
        assert chart["repoURL"] == CHART_REPOSITORIES[name]
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", chart["targetRevision"])


def test_removed_components_take_their_objects_with_them(tree: Synthesized) -> None:
    """Without the finalizer, whatever a removed Application owned would live on; without a path, the server warns."""
    for application in tree.applications.values():
        assert application["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io/foreground"]


def test_root_deploys_all_but_itself(tree: Synthesized) -> None:
    """Its own health would wait for itself, and its project is the bootstrap's; without it everything runs on."""
    source = manifests_of(tree.root)
    assert source["path"] == f"argocd/{tree.environment}"
    own = f"AppProject-{tree.root_project['metadata']['name']}.yaml"
    assert source["directory"] == {"exclude": f"{{root.yaml,{own}}}"}
    assert f"argocd/{tree.environment}/{own}" in tree.files
    assert tree.root_project["metadata"]["name"] not in {each["metadata"]["name"] for each in tree.delivered}
    assert tree.root["metadata"]["name"] not in tree.applications
    assert "finalizers" not in tree.root["metadata"]
    assert {manifest["kind"] for manifest in tree.delivered} == {"Application", "AppProject"}


def test_names_are_unique(tree: Synthesized) -> None:
    """All Applications are in one namespace, and a component of the root's name would take its place."""
    names = Counter(application["metadata"]["name"] for application in every_application(tree))
    assert set(names.values()) == {1}
    assert {application["metadata"]["namespace"] for application in every_application(tree)} == {"argocd"}


# The projects


def test_each_component_has_a_project_of_its_own(tree: Synthesized) -> None:
    """The project ``default`` permits everything, and one for several components what any of them needs."""
    made = [manifest["metadata"]["name"] for manifest in tree.delivered if manifest["kind"] == "AppProject"]
    named = [application["spec"]["project"] for application in every_application(tree)]
    assert "default" not in named
    assert Counter(named) == Counter([*made, tree.root_project["metadata"]["name"]])


def test_only_the_root_may_make_applications(tree: Synthesized) -> None:
    """A chart, or a component, that could add an Application could have anything deployed."""
    spec = tree.root_project["spec"]
    assert [entry["namespace"] for entry in spec["destinations"]] == ["argocd"]
    assert spec["sourceRepos"] == [REPOSITORY]
    assert spec["clusterResourceWhitelist"] == []
    assert [entry["kind"] for entry in spec["namespaceResourceWhitelist"]] == ["AppProject", "Application"]
    for project in tree.projects.values():
        assert "argocd" not in {entry["namespace"] for entry in project["spec"]["destinations"]}


def test_projects_have_no_wildcards(tree: Synthesized) -> None:
    """Only names of cluster-scoped objects of charts are patterns, and none of them is any name."""
    for project in [tree.root_project, *tree.projects.values()]:
        spec = {key: value for key, value in project["spec"].items() if key != "description"}
        names = [entry.get("name", "") for entry in spec["clusterResourceWhitelist"]]
        spec["clusterResourceWhitelist"] = [{**entry, "name": ""} for entry in spec["clusterResourceWhitelist"]]
        assert not re.search(r"[*?!]", repr(spec))
        assert all(re.search(r"[a-z]{2}", name) for name in names)
        assert set(spec) == {
            "sourceRepos",
            "destinations",
            "clusterResourceWhitelist",
            "namespaceResourceWhitelist",
        }


def test_a_project_goes_after_its_application(tree: Synthesized) -> None:
    """Both are pruned in the same wave, and without its project an Application cannot delete what it deployed."""
    for project in tree.projects.values():
        assert project["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]


def test_projects_permit_exactly_the_sources(tree: Synthesized) -> None:
    """This repository and that of the chart."""
    for name, project in tree.projects.items():
        wanted = [REPOSITORY, *([CHART_REPOSITORIES[name]] if name in tree.charts else [])]
        assert Counter(project["spec"]["sourceRepos"]) == Counter(wanted)


def test_projects_permit_exactly_the_namespaces(tree: Synthesized) -> None:
    """Where an object is, and where a chart puts one."""
    owners: Counter[str] = Counter()
    for name, project in tree.projects.items():
        own = tree.components[name]
        wanted = {manifest["metadata"]["namespace"] for manifest in own if "namespace" in manifest["metadata"]}
        wanted |= {tree.applications[name]["spec"]["destination"]["namespace"], *CHART_NAMESPACES.get(name, ())}
        destinations = project["spec"]["destinations"]
        assert Counter(entry["namespace"] for entry in destinations) == Counter(wanted)
        assert {entry["server"] for entry in destinations} == {SERVER}
        owners.update(wanted)
    assert {namespace for namespace, count in owners.items() if count > 1} <= {"kube-system"}
    assert {application["spec"]["destination"]["server"] for application in every_application(tree)} == {SERVER}


def test_projects_permit_exactly_the_kinds(tree: Synthesized) -> None:
    """The kinds of the component's objects and of its chart, and objects without a namespace by name.

    In a namespace that is the component's alone, also those that another component has: the last object of a kind can
    be pruned only if the kind stays permitted.
    """
    library = LIBRARY_KINDS | (ROUTE_KINDS if "traefik" in tree.applications else set())
    for name, project in tree.projects.items():
        spec = project["spec"]
        objects = [identity(manifest) for manifest in tree.components[name]]
        namespaced = {(group, kind) for group, kind, namespace, _ in objects if namespace} | CHART_KINDS.get(
            name, set()
        )
        permitted = [(entry["group"], entry["kind"]) for entry in spec["namespaceResourceWhitelist"]]
        if len(spec["destinations"]) == 1:
            assert namespaced <= {*permitted} <= library
        else:
            assert Counter(permitted) == Counter(namespaced | {("cilium.io", "CiliumNetworkPolicy")})
        own = {(group, kind, named) for group, kind, namespace, named in objects if not namespace}
        assert {kind for _, kind, _ in own} <= CLUSTER_SCOPED
        entries = [(entry["group"], entry["kind"], entry["name"]) for entry in spec["clusterResourceWhitelist"]]
        assert len(entries) == len({*entries})
        of_chart = {entry for entry in entries if entry not in own}
        assert {(group, kind) for group, kind, _ in of_chart} == CHART_CLUSTER_KINDS.get(name, set())


# Nothing lost


def holds_data(tree: Synthesized, manifest: Manifest) -> bool:
    """Tell whether data is gone once an object is: volumes, what claims them, and the namespace around them."""
    if manifest["kind"] == "Namespace":
        name = manifest["metadata"]["name"]
        keeps = [*tree.objects("StatefulSet", name), *tree.objects("PersistentVolumeClaim", name)]
        # Prometheus' volume comes by its chart.
        return bool(keeps) or name == "monitoring"
    return manifest["kind"] in ("PersistentVolumeClaim", "StatefulSet")


def test_what_holds_data_outlives_every_mistake(tree: Synthesized) -> None:
    """Prune and cascading deletion have emptied clusters (9227, 20848); a Prune=confirm would stop every rollout."""
    protected = [manifest for manifest in tree.objects() if holds_data(tree, manifest)]
    assert {manifest["kind"] for manifest in protected} == {"Namespace", "PersistentVolumeClaim", "StatefulSet"}
    for manifest in protected:
        assert sync_options(manifest) == {"Prune=false", "Delete=false"}, identity(manifest)
    for manifest in [*tree.objects(), *tree.delivered]:
        assert not sync_options(manifest) & {"Prune=confirm", "Delete=confirm", "Replace=true", "Force=true"}


def test_what_holds_no_data_goes_with_its_component(tree: Synthesized) -> None:
    """Protection is for data, and for what a data store needs to live on: its passwords, its account, its walls."""
    stores = {manifest["metadata"]["name"] for manifest in tree.objects("StatefulSet")}
    walls = {"default-deny", "dns"}
    for manifest in tree.objects():
        name = manifest["metadata"]["name"]
        of_a_store = any(name == store or name.startswith(f"{store}-") for store in stores)
        if sync_options(manifest) and not holds_data(tree, manifest):
            assert manifest["kind"] == "ExternalSecret" or of_a_store or name in walls
        if of_a_store and manifest["kind"] in ("ConfigMap", "Service", "ServiceAccount", "StatefulSet"):
            assert sync_options(manifest) == {"Prune=false", "Delete=false"}
    for manifest in tree.objects("ExternalSecret"):
        namespace = manifest["metadata"]["namespace"]
        (owner,) = (entry for entry in tree.objects("Namespace") if entry["metadata"]["name"] == namespace)
        assert bool(sync_options(manifest)) == holds_data(tree, owner)


def test_volumes_outlive_their_stateful_sets(tree: Synthesized) -> None:
    """Neither deletion nor fewer replicas takes a volume away."""
    for manifest in tree.objects("StatefulSet"):
        policy = manifest["spec"]["persistentVolumeClaimRetentionPolicy"]
        assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_stateful_sets_are_compared_by_the_server(tree: Synthesized) -> None:
    """The API server fills in fields of the claims, which would be shown as differences for ever."""
    for manifest in tree.objects("StatefulSet"):
        assert manifest["metadata"]["annotations"]["argocd.argoproj.io/compare-options"].split(",") == [
            "IgnoreExtraneous",
            "ServerSideDiff=true",
        ]


def test_what_is_kept_is_no_difference(tree: Synthesized) -> None:
    """An object that outlives its manifest would otherwise leave its Application OutOfSync for ever."""
    for manifest in tree.objects():
        if sync_options(manifest):
            assert "IgnoreExtraneous" in manifest["metadata"]["annotations"]["argocd.argoproj.io/compare-options"]


def test_no_secret_is_in_git(tree: Synthesized) -> None:
    """Values come from the store; Git knows their names."""
    assert not [manifest for manifest in tree.objects() if manifest["kind"] == "Secret"]
    assert not [path for path, content in tree.files.items() if b"BEGIN PRIVATE KEY" in content]
    for value in tree.secrets["values"]:
        assert value.keys() == {"component", "key", "owner", "purpose"}
        assert value["owner"] in ("generated", "supplied")


def test_each_namespace_has_one_owner(tree: Synthesized) -> None:
    """A shared Namespace goes with the first Application that drops it (16995, 22607)."""
    owners = Counter(
        manifest["metadata"]["name"]
        for objects in tree.components.values()
        for manifest in objects
        if is_namespace(manifest)
    )
    assert set(owners.values()) == {1}
    for component, objects in tree.components.items():
        own = tree.applications[component]["spec"]["destination"]["namespace"]
        found = {manifest["metadata"]["name"] for manifest in objects if is_namespace(manifest)}
        assert found == {own, *(["monitoring-nodes"] if component == "monitoring" else [])}
    for application in tree.applications.values():
        assert "CreateNamespace=true" not in application["spec"]["syncPolicy"]["syncOptions"]


def is_namespace(manifest: Manifest) -> bool:
    """Tell whether an object is a Namespace."""
    return bool(manifest["kind"] == "Namespace")


def test_each_object_is_in_one_folder(tree: Synthesized) -> None:
    """Two Applications with the same object would fight over it."""
    found = Counter(identity(manifest) for manifest in [*tree.objects(), *tree.delivered, tree.root])
    assert [entry for entry, count in found.items() if count > 1] == []


def test_objects_say_where_they_are(tree: Synthesized) -> None:
    """A namespaced object without its namespace would land in the Application's, or be taken for another's."""
    for manifest in tree.objects():
        assert ("namespace" in manifest["metadata"]) == (manifest["kind"] not in CLUSTER_SCOPED)

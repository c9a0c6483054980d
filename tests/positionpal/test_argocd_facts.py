"""What Argo CD does with a repository, and what this one therefore has to look like.

Numbers are issues of argoproj/argo-cd.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from synthesized import WAVE, Manifest, PodTemplate, Synthesized, identity, wave
from systems import empty

from constructs_lib import (
    Autoscale,
    Cassandra,
    Microservice,
    Postgres,
    RabbitMQ,
    synthesize,
)

REPOSITORY = "https://github.com/position-pal/gitops.git"
SERVER = "https://kubernetes.default.svc"

#: Kinds without a namespace; the objects of all others have one.
CLUSTER_SCOPED = {"Namespace", "ClusterSecretStore"}

#: What the charts bring at the versions that are pinned: where from, which kinds, and where beside their own namespace.
CHART_REPOSITORIES = {
    "external-secrets": "https://charts.external-secrets.io",
    "metrics-server": "https://kubernetes-sigs.github.io/metrics-server",
    "monitoring": "https://prometheus-community.github.io/helm-charts",
}
RBAC = "rbac.authorization.k8s.io"
CHART_KINDS: dict[str, set[tuple[str, str]]] = {
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
}
CHART_CLUSTER_KINDS: dict[str, set[tuple[str, str]]] = {
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
}
CHART_NAMESPACES = {
    # Where the store is read; it is made with the values in it, before Argo CD.
    "external-secrets": {"secret-store"},
    "metrics-server": {"kube-system"},
    "monitoring": {"kube-system"},
}


def charts(tree: Synthesized) -> list[str]:
    """Return the components that come by a chart."""
    return [name for name in CHART_REPOSITORIES if name in tree.applications]


def of_charts(tree: Synthesized, by_chart: Mapping[str, set[Any]]) -> set[Any]:
    """Return what the charts of a tree have together."""
    return set().union(*(by_chart[name] for name in charts(tree)))


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
    """The root rolls the Applications out in waves, after the project that permits them (3517)."""
    waves = [wave(application) for application in tree.applications.values()]
    assert min(waves) > max(wave(tree.project), wave(tree.root_project))
    assert all(WAVE in manifest["metadata"]["annotations"] for manifest in tree.delivered)


def test_sync_is_automated_and_mends_itself(tree: Synthesized) -> None:
    """What is removed from Git is pruned, and what somebody changes by hand is put back."""
    for application in every_application(tree):
        assert application["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}


def test_a_failing_sync_takes_up_the_mending_commit(tree: Synthesized) -> None:
    """A retry with the old commit would block the new one for ever (11494, 16489)."""
    for application in every_application(tree):
        retry = application["spec"]["syncPolicy"]["retry"]
        assert retry["refresh"] is True
        assert retry["limit"] < 0 or retry["limit"] > 5
        assert retry["backoff"].keys() == {"duration", "factor", "maxDuration"}
        assert retry["backoff"]["factor"] > 1


def test_sync_options_of_applications(tree: Synthesized) -> None:
    """Big objects need server-side apply (8128), and no object has two Applications (16995, 22607)."""
    for application in every_application(tree):
        assert {"ServerSideApply=true", "FailOnSharedResource=true"} <= set(
            application["spec"]["syncPolicy"]["syncOptions"]
        )


def test_autoscaled_stores_keep_their_nodes(tree: Synthesized) -> None:
    """A sync leaves alone what an autoscaler has set: a difference is ignored only with both of these (4912, 28590)."""
    for name, application in tree.applications.items():
        scaled = {
            manifest["spec"]["scaleTargetRef"]["name"]
            for manifest in tree.components[name]
            if manifest["kind"] == "HorizontalPodAutoscaler"
            and manifest["spec"]["scaleTargetRef"]["kind"] == "StatefulSet"
        }
        ignored = application["spec"].get("ignoreDifferences", [])
        assert ignored == [
            {"group": "apps", "kind": "StatefulSet", "name": target, "jsonPointers": ["/spec/replicas"]}
            for target in sorted(scaled)
        ]
        assert not ignored or "RespectIgnoreDifferences=true" in application["spec"]["syncPolicy"]["syncOptions"]


def test_autoscaled_programs_name_no_replicas(tree: Synthesized) -> None:
    """A number in Git would be put back at each sync, below or above what the autoscaler has set (5105)."""
    for autoscaler in tree.objects("HorizontalPodAutoscaler"):
        target = autoscaler["spec"]["scaleTargetRef"]
        manifest = tree.the(target["kind"], autoscaler["metadata"]["namespace"], target["name"])
        assert ("replicas" in manifest["spec"]) == (target["kind"] == "StatefulSet")


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
        # Relative to each source's own path.
        assert application["metadata"]["annotations"]["argocd.argoproj.io/manifest-generate-paths"] == "."
    for name in charts(tree):
        chart = tree.applications[name]["spec"]["sources"][0]
        assert chart["repoURL"] == CHART_REPOSITORIES[name]
        assert re.fullmatch(r"\d+\.\d+\.\d+", chart["targetRevision"])


def test_removed_components_take_their_objects_with_them(tree: Synthesized) -> None:
    """Without the finalizer, whatever a removed Application owned would live on, unowned."""
    for application in tree.applications.values():
        assert application["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]


def test_root_deploys_all_but_itself(tree: Synthesized) -> None:
    """Its own health would wait for itself; deleting it leaves everything running."""
    source = manifests_of(tree.root)
    assert source["path"] == f"argocd/{tree.environment}"
    assert source["directory"] == {"exclude": "root.yaml"}
    assert tree.root["metadata"]["name"] not in tree.applications
    assert "finalizers" not in tree.root["metadata"]
    assert {manifest["kind"] for manifest in tree.delivered} == {"Application", "AppProject"}


def test_names_are_unique(tree: Synthesized) -> None:
    """All Applications are in one namespace, and a component of the root's name would take its place."""
    names = Counter(application["metadata"]["name"] for application in every_application(tree))
    assert set(names.values()) == {1}
    assert {application["metadata"]["namespace"] for application in every_application(tree)} == {"argocd"}


# The project


def test_nobody_is_in_the_default_project(tree: Synthesized) -> None:
    """The project ``default`` permits everything."""
    projects = {manifest["metadata"]["name"] for manifest in tree.delivered if manifest["kind"] == "AppProject"}
    assert "default" not in projects
    assert {application["spec"]["project"] for application in every_application(tree)} == projects


def test_only_the_root_may_make_applications(tree: Synthesized) -> None:
    """A chart, or a component, that could add an Application could have anything deployed."""
    spec = tree.root_project["spec"]
    assert [entry["namespace"] for entry in spec["destinations"]] == ["argocd"]
    assert spec["sourceRepos"] == [REPOSITORY]
    assert spec["clusterResourceWhitelist"] == []
    assert [entry["kind"] for entry in spec["namespaceResourceWhitelist"]] == ["AppProject", "Application"]
    assert {application["spec"]["project"] for application in tree.applications.values()} == {
        tree.project["metadata"]["name"]
    }


def test_project_has_no_wildcards(tree: Synthesized) -> None:
    """Neither a ``*`` nor a ``?`` nor an exclusion stands for what nobody named."""
    spec = tree.project["spec"]
    text = repr({key: value for key, value in spec.items() if key != "description"})
    assert not re.search(r"[*?!]", text)
    assert set(spec) == {
        "description",
        "sourceRepos",
        "destinations",
        "clusterResourceWhitelist",
        "namespaceResourceWhitelist",
    }


def test_project_permits_exactly_the_sources(tree: Synthesized) -> None:
    """This repository and those of the charts."""
    wanted = {REPOSITORY, *(CHART_REPOSITORIES[name] for name in charts(tree))}
    assert Counter(tree.project["spec"]["sourceRepos"]) == Counter(wanted)


def test_project_permits_exactly_the_namespaces(tree: Synthesized) -> None:
    """Where an object is, and where a chart puts one."""
    wanted = {manifest["metadata"]["namespace"] for manifest in tree.objects() if "namespace" in manifest["metadata"]}
    wanted |= {application["spec"]["destination"]["namespace"] for application in tree.applications.values()}
    wanted |= of_charts(tree, CHART_NAMESPACES)
    destinations = tree.project["spec"]["destinations"]
    assert Counter(entry["namespace"] for entry in destinations) == Counter(wanted)
    assert {entry["server"] for entry in destinations} == {SERVER}
    assert {application["spec"]["destination"]["server"] for application in every_application(tree)} == {SERVER}


def test_project_permits_exactly_the_kinds(tree: Synthesized) -> None:
    """The kinds of all objects and of the charts; objects without a namespace by name where we make them."""
    spec = tree.project["spec"]
    objects = [identity(manifest) for manifest in tree.objects()]
    namespaced = {(group, kind) for group, kind, namespace, _ in objects if namespace}
    permitted = [(entry["group"], entry["kind"]) for entry in spec["namespaceResourceWhitelist"]]
    assert Counter(permitted) == Counter(namespaced | of_charts(tree, CHART_KINDS))
    own = {(group, kind, name) for group, kind, namespace, name in objects if not namespace}
    assert {kind for _, kind, _ in own} == CLUSTER_SCOPED
    of_any_name = {(group, kind, None) for group, kind in of_charts(tree, CHART_CLUSTER_KINDS)}
    entries = [(entry["group"], entry["kind"], entry.get("name")) for entry in spec["clusterResourceWhitelist"]]
    assert Counter(entries) == Counter(own | of_any_name)


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
    assert len(protected) > 10
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
        (own,) = (manifest["metadata"]["name"] for manifest in objects if is_namespace(manifest))
        assert own == tree.applications[component]["spec"]["destination"]["namespace"]
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


# Order within a component


def test_waves_are_whole_numbers(tree: Synthesized) -> None:
    """Argo CD takes whatever else stands there for wave 0."""
    for manifest in tree.objects():
        text = manifest["metadata"]["annotations"][WAVE]
        assert isinstance(text, str)
        assert re.fullmatch(r"-?\d+", text)


def test_waves_of_a_component_follow_each_other(tree: Synthesized) -> None:
    """No wave is skipped; each costs two seconds."""
    for name, objects in tree.components.items():
        waves = {wave(manifest) for manifest in objects}
        # The objects of a chart are in wave 0.
        waves |= {0} if name in charts(tree) else set()
        assert waves == set(range(min(waves), max(waves) + 1))


def test_set_up_comes_before_every_pod(tree: Synthesized) -> None:
    """Namespace, permissions, network and configuration, then whatever runs; what a chart runs is in wave 0."""
    set_up = ("ConfigMap", "ExternalSecret", "Namespace", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount")
    for name, objects in tree.components.items():
        if name in charts(tree):
            # What the chart's own custom kinds need comes after the chart, and so do dashboards, which Grafana's
            # sidecar takes up at any time.
            before = [
                manifest
                for manifest in objects
                if manifest["kind"] in ("Namespace", "NetworkPolicy", "ExternalSecret", "ConfigMap")
                and "grafana_dashboard" not in manifest["metadata"]["labels"]
            ]
            assert {wave(manifest) for manifest in before} == {-1}
            assert all(wave(manifest) > 0 for manifest in objects if manifest not in before)
        else:
            last = max(wave(manifest) for manifest in objects if manifest["kind"] in set_up)
            assert last < min(wave(manifest) for manifest in objects if manifest["kind"] not in set_up)


def test_secrets_come_before_their_users(tree: Synthesized) -> None:
    """A pod whose Secret is missing cannot start."""
    for template in tree.pods():
        sources = {
            source["spec"]["target"]["name"]: wave(source)
            for source in tree.objects("ExternalSecret", template.namespace)
        }
        for name in template.secret_names():
            assert sources[name] < wave(template.owner), identity(template.owner)
    (grafana,) = tree.objects("ExternalSecret", "monitoring")
    admin = tree.applications["monitoring"]["spec"]["sources"][0]["helm"]["valuesObject"]["grafana"]["admin"]
    assert grafana["spec"]["target"]["name"] == admin["existingSecret"]
    assert wave(grafana) < 0


def test_config_maps_come_before_their_users(tree: Synthesized) -> None:
    """A pod whose ConfigMap is missing cannot start either."""
    for template in tree.pods():
        # Kubernetes puts the certificate of its API into every namespace by itself.
        for name in template.config_map_names() - {"kube-root-ca.crt"}:
            assert wave(tree.the("ConfigMap", template.namespace, name)) < wave(template.owner)


def test_no_volume_waits_for_a_later_pod(tree: Synthesized) -> None:
    """A volume that binds with its first consumer would stay Pending, and its wave with it (12840, 29201)."""
    for claim in tree.objects("PersistentVolumeClaim"):
        users = [
            wave(template.owner)
            for template in tree.pods(claim["metadata"]["namespace"], ["Deployment", "StatefulSet", "Job"])
            for volume in template.spec["volumes"]
            if volume.get("persistentVolumeClaim", {}).get("claimName") == claim["metadata"]["name"]
        ]
        assert users, "a CronJob alone would let the volume wait for its first run"
        assert min(users) <= wave(claim)


def test_no_load_balancer_gates_anything(tree: Synthesized) -> None:
    """One without an address stays Progressing for ever: neither an object nor an Application may wait for it."""
    waves = {name: wave(application) for name, application in tree.applications.items()}
    for name, objects in tree.components.items():
        for manifest in objects:
            if manifest["kind"] == "Service" and manifest["spec"].get("type") == "LoadBalancer":
                assert wave(manifest) == max(wave(other) for other in objects)
                assert waves[name] == max(waves.values())
                assert [other for other, number in waves.items() if number == waves[name]] == [name]


def test_autoscalers_come_with_what_they_scale(tree: Synthesized) -> None:
    """Services' last of all, so that nothing waits for them; those of rings before the Job that needs all nodes."""
    for objects in tree.components.values():
        for manifest in objects:
            if manifest["kind"] == "HorizontalPodAutoscaler":
                scaled = manifest["spec"]["scaleTargetRef"]
                (target,) = (
                    other
                    for other in objects
                    if (other["kind"], other["metadata"]["name"]) == (scaled["kind"], scaled["name"])
                )
                assert wave(manifest) == wave(target)
                if scaled["kind"] == "Deployment":
                    assert wave(manifest) == max(wave(other) for other in objects)
                else:
                    assert all(wave(manifest) < wave(other) for other in objects if other["kind"] == "Job")
                assert manifest["metadata"]["annotations"]["argocd.argoproj.io/ignore-healthcheck"] == "true"


def test_deployments_tell_when_they_fail(tree: Synthesized) -> None:
    """Only a Degraded Deployment lets go of the root's operation, and so lets in the commit that mends it."""
    for manifest in tree.objects("Deployment"):
        deadline = manifest["spec"]["progressDeadlineSeconds"]
        probe = manifest["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        assert deadline > probe["failureThreshold"] * probe["periodSeconds"]


def test_jobs_are_never_changed(tree: Synthesized) -> None:
    """A Job is immutable (7430, 27407): it carries a hash, and no time to live after which it would run again."""
    for manifest in tree.objects("Job"):
        assert re.fullmatch(r".+-[0-9a-f]{8}", manifest["metadata"]["name"])
        assert "ttlSecondsAfterFinished" not in manifest["spec"]
        assert not [key for key in manifest["metadata"]["annotations"] if "hook" in key]


def test_pods_restart_with_their_configuration(tree: Synthesized) -> None:
    """Programs read a ConfigMap when they start, so its checksum is part of every pod that has one for long."""
    for template in tree.pods(kinds=["Deployment", "StatefulSet"]):
        assert bool(template.config_map_names()) == ("checksum/config" in template.annotations)


# What changes with what


def variant(folder: Path, **changes: Any) -> Synthesized:
    """Return a small system; ``changes`` say in what it differs from the usual one."""
    chosen = {
        "variable": "one",
        "image": "registry.example.org/web:1.0.0",
        "store_image": "registry.example.org/store:1.0.0",
        "sql": "CREATE TABLE IF NOT EXISTS t (id VARCHAR PRIMARY KEY);",
        "cql": "CREATE TABLE IF NOT EXISTS t (id text PRIMARY KEY);",
        "nodes": 2,
        "features": (),
        **changes,
    }
    folder.mkdir(exist_ok=True)
    for suffix in ("sql", "cql"):
        (folder / f"schema.{suffix}").write_text(chosen[suffix])
    system = empty("laptop", "external-secrets", nodes=1)
    web = Microservice(
        system,
        "web",
        image=chosen["image"],
        ports={"http": 80},
        env={"VARIABLE": chosen["variable"]},
        replicas=Autoscale(1, 2),
    )
    image, storage = chosen["store_image"], "1Gi"
    Postgres(web, "sql", image=image, database="shop", user="shop", storage=storage, schema=folder / "schema.sql")
    Cassandra(
        web,
        "cql",
        image=image,
        keyspace="shop",
        user="shop",
        storage=storage,
        nodes=chosen["nodes"],
        schema=[folder / "schema.cql"],
    )
    RabbitMQ(system, "broker", image=image, user="shop", storage=storage, permit_deprecated=chosen["features"])
    return Synthesized("laptop", synthesize(system).files)


def checksum(kind: str, namespace: str, name: str) -> Callable[[Synthesized], str]:
    """Return how to read the checksum that a workload's pods carry."""

    def read(tree: Synthesized) -> str:
        manifest = tree.the(kind, namespace, name)
        return str(manifest["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    return read


def job(store: str) -> Callable[[Synthesized], str]:
    """Return how to read the name of a store's schema Job."""

    def read(tree: Synthesized) -> str:
        names = [manifest["metadata"]["name"] for manifest in tree.objects("Job", "web")]
        (name,) = (name for name in names if name.startswith(f"web-{store}-schema-"))
        return str(name)

    return read


#: Everything that has to change with something, by what it is.
READERS: dict[str, Callable[[Synthesized], str]] = {
    "pods of web": checksum("Deployment", "web", "web"),
    "pods of cassandra": checksum("StatefulSet", "web", "web-cql"),
    "pods of rabbitmq": checksum("StatefulSet", "broker", "broker"),
    "job of postgres": job("sql"),
    "job of cassandra": job("cql"),
}


@pytest.mark.parametrize(
    ("change", "affected"),
    [
        ({}, set()),
        ({"variable": "two"}, {"pods of web"}),
        ({"image": "registry.example.org/web:2.0.0"}, set()),
        ({"store_image": "registry.example.org/store:2.0.0"}, {"job of postgres", "job of cassandra"}),
        ({"sql": "CREATE TABLE IF NOT EXISTS u (id VARCHAR PRIMARY KEY);"}, {"job of postgres"}),
        ({"cql": "CREATE TABLE IF NOT EXISTS u (id text PRIMARY KEY);"}, {"job of cassandra"}),
        ({"nodes": 3}, {"pods of cassandra", "job of cassandra"}),
        ({"features": ("global_qos",)}, {"pods of rabbitmq"}),
    ],
    ids=lambda value: "-".join(sorted(value)) or "nothing",
)
def test_what_a_change_affects(change: dict[str, Any], affected: set[str], tmp_path: Path) -> None:
    """Pods restart and Jobs run again if what they read has changed, and only then."""
    before, after = variant(tmp_path), variant(tmp_path, **change)
    assert {name for name, read in READERS.items() if read(before) != read(after)} == affected
    moved = {
        identity(manifest) for manifest in after.objects("ConfigMap") if manifest not in before.objects("ConfigMap")
    }
    stale = [
        template.name
        for template in after.pods(kinds=["Deployment", "StatefulSet"])
        if moved & {("", "ConfigMap", template.namespace, name) for name in template.config_map_names()}
        and same_annotations(before, template)
    ]
    assert stale == []


def same_annotations(before: Synthesized, template: PodTemplate) -> bool:
    """Tell whether a workload's pods carried the same annotations before."""
    (old,) = (other for other in before.pods(template.namespace, [template.kind]) if other.name == template.name)
    return dict(old.annotations) == dict(template.annotations)

"""Faults in the order in which Argo CD applies objects, and in what it waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from corpus import Fault, Harmless, Manifest, Tree
from faults_references import POD, WAIT, append, at, both, change, copied, drop, entry, ingress, new, permit

import versions
from constructs_lib.kubernetes.manifest_yaml import dump

WAVE = "argocd.argoproj.io/sync-wave"
HOOK = "argocd.argoproj.io/hook"
OPTIONS = "argocd.argoproj.io/sync-options"
COMPARE = "argocd.argoproj.io/compare-options"
POLICY = "argocd.argoproj.io/hook-delete-policy"
SCHEMA = "Job/user-service-database-schema-????????"
CLAIM = "PersistentVolumeClaim/user-service-database-backups"
GROUP_OF_TEN = "0123456789" * 8000


def note(name: str, **annotations: str | None) -> Callable[[Tree], None]:
    """Return what sets annotations of an object, or takes them away; the keywords are names of this module."""

    def edit(manifest: Manifest) -> None:
        found = manifest["metadata"].setdefault("annotations", {})
        for key, value in annotations.items():
            found[globals()[key]] = value
            if value is None:
                del found[globals()[key]]

    return lambda tree: tree.edit(name, edit)


def wave(name: str, number: int) -> Callable[[Tree], None]:
    """Return what puts an object into another wave."""
    return note(name, WAVE=str(number))


def waits_for(name: str, address: str) -> Callable[[Tree], None]:
    """Return what lets a workload wait for an address before it starts."""

    def edit(manifest: Manifest) -> None:
        assert at(manifest, WAIT)["name"] == "wait"
        at(manifest, f"{WAIT}.command").append(address)

    return lambda tree: tree.edit(name, edit)


def moved(name: str, component: str) -> Callable[[Tree], None]:
    """Return what lets another Application deploy an object."""

    def plant(tree: Tree) -> None:
        path = tree.path(name)
        tree.files[f"dist/{tree.environment}/{component}/{path.rpartition('/')[2]}"] = tree.files.pop(path)

    return plant


def options(name: str, *chosen: str) -> Callable[[Tree], None]:
    """Return what sets the sync options of an Application."""
    return change(f"Application/{name}", "spec.syncPolicy.syncOptions", list(chosen))


def definition(component: str, number: int) -> Callable[[Tree], None]:
    """Return what adds a definition of queues to a component, and a queue to RabbitMQ."""

    def plant(tree: Tree) -> None:
        names = {"kind": "QueuePolicy", "plural": "queuepolicies", "singular": "queuepolicy"}
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        found: dict[str, Any] = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "queuepolicies.monitoring.example.org", "annotations": {WAVE: str(number)}},
            "spec": {
                "group": "monitoring.example.org",
                "names": names,
                "scope": "Namespaced",
                "versions": [version],
            },
        }
        tree.add(component, found)
        permit("monitoring.example.org", "QueuePolicy")(tree)

    return plant


def queue(component: str, namespace: str) -> Callable[[Tree], None]:
    """Return what adds a custom resource to a component."""
    return lambda tree: tree.add(
        component, new("monitoring.example.org/v1", "QueuePolicy", namespace, "quorum", spec={"replicas": 3})
    )


def argocd_settings(**data: str) -> Callable[[Tree], None]:
    """Return what adds the settings of Argo CD to what the root deploys."""

    def plant(tree: Tree) -> None:
        manifest = new("v1", "ConfigMap", "argocd", "argocd-cm", data=data)
        tree.files[f"argocd/{tree.environment}/ConfigMap-argocd-cm.yaml"] = dump(manifest)
        append("AppProject/positionpal-root", "spec.namespaceResourceWhitelist", {"group": "", "kind": "ConfigMap"})(
            tree
        )

    return plant


def renamed(name: str, rename: str) -> Callable[[Tree], None]:
    """Return what gives an object another name."""
    return change(name, "metadata.name", rename)


def without_name(name: str) -> Callable[[Tree], None]:
    """Return what lets the API server make up the name of an object."""

    def edit(manifest: Manifest) -> None:
        manifest["metadata"]["generateName"] = manifest["metadata"].pop("name") + "-"

    return lambda tree: tree.edit(name, edit)


def without_traefik(tree: Tree) -> None:
    """Add an Ingress to a cluster without an ingress controller."""
    tree.add("gateway", ingress())
    permit("networking.k8s.io", "Ingress")(tree)


def without_load_balancer(tree: Tree) -> None:
    """Take the load balancer of k3s away."""
    path = "bootstrap/k3d/local.yaml"
    content = yaml.safe_load(tree.files[path])
    content["options"]["k3s"]["extraArgs"].append({"arg": "--disable=servicelb", "nodeFilters": ["server:*"]})
    tree.files[path] = dump(content)


def without_metrics_server(tree: Tree) -> None:
    """Take metrics-server away."""
    for path in list(tree.files):
        if "/metrics-server/" in path or path.endswith("Application-metrics-server.yaml"):
            del tree.files[path]


def second_application(tree: Tree) -> None:
    """Define an Application in a second file, with another folder."""
    manifest = yaml.safe_load(tree.files[tree.path("Application/gateway")])
    manifest["metadata"]["annotations"][WAVE] = "5"
    tree.files["argocd/production/gateway-new.yaml"] = dump(manifest)


FAULTS = [
    Fault(
        "a service in the wave after its client",
        "dependency-in-later-wave",
        "Deployment/pp-us/user-service",
        wave("Application/notification-service", 4),
        also=("dependency-not-ordered",),
    ),
    Fault(
        "a broker in the wave after its clients",
        "dependency-in-later-wave",
        "Deployment/pp-cs/chat-service",
        wave("Application/rabbitmq", 3),
        also=("dependency-not-ordered",),
    ),
    Fault(
        "a data store in the wave after its schema",
        "dependency-in-later-wave",
        "Job/pp-us/user-service-database-schema-????????",
        wave("StatefulSet/user-service-database", 3),
        also=("dependency-not-ordered",),
    ),
    Fault(
        "a Service in the wave after those who wait for it",
        "dependency-in-later-wave",
        "Job/pp-us/user-service-database-schema-????????",
        wave("Service/user-service-database", 4),
    ),
    Fault(
        "a schema that is applied before everything",
        "dependency-in-later-wave",
        "Job/pp-us/user-service-database-schema-????????",
        note(SCHEMA, HOOK="PreSync"),
        also=("hook-needs-later-object",),
    ),
    Fault(
        "a client in the wave of its server",
        "dependency-not-ordered",
        "Deployment/pp-gws/gateway",
        wave("Application/gateway", 3),
    ),
    Fault(
        "a schema in the wave of its data store",
        "dependency-not-ordered",
        "Job/pp-us/user-service-database-schema-????????",
        both(wave(SCHEMA, 1), wave(CLAIM, 1)),
    ),
    Fault(
        "a new wait that no wave follows",
        "dependency-not-ordered",
        "Deployment/pp-ls/location-service",
        waits_for("Deployment/location-service", "user-service.pp-us.svc.cluster.local:5052"),
        also=("call-blocked",),
    ),
    Fault(
        "a server that was scaled down by hand",
        "dependency-without-replicas",
        "Deployment/pp-us/user-service",
        both(
            change("Deployment/notification-service", "spec.replicas", 0),
            lambda tree: tree.remove("HorizontalPodAutoscaler/notification-service"),
        ),
    ),
    Fault(
        "two services that wait for each other",
        "waits-in-circle",
        "Deployment/pp-us/user-service",
        waits_for("Deployment/notification-service", "user-service.pp-us.svc.cluster.local:5052"),
        also=("dependency-in-later-wave", "call-blocked"),
    ),
    Fault(
        "a workload that waits for itself",
        "waits-in-circle",
        "Deployment/pp-us/user-service",
        waits_for("Deployment/user-service", "user-service.pp-us.svc.cluster.local:5052"),
        also=("call-blocked",),
    ),
    Fault(
        "a program in the wave of its schema",
        "schema-not-before-workload",
        "Deployment/pp-us/user-service",
        wave("Deployment/user-service", 2),
    ),
    Fault(
        "a schema in the wave after its program",
        "schema-not-before-workload",
        "Deployment/pp-cs/chat-service",
        wave("Job/chat-service-database-schema-957233c1", 4),
    ),
    Fault(
        "a ConfigMap after its pods",
        "needed-object-later",
        "Deployment/pp-gws/gateway",
        wave("ConfigMap/gateway", 2),
    ),
    Fault(
        "a Secret after its pods",
        "needed-object-later",
        "StatefulSet/rabbitmq/rabbitmq",
        wave("ExternalSecret/rabbitmq", 2),
    ),
    Fault(
        "a ServiceAccount after its pods",
        "needed-object-later",
        "StatefulSet/pp-us/user-service-database",
        wave("ServiceAccount/user-service-database", 5),
    ),
    Fault(
        "a permission after its pods",
        "needed-object-later",
        "Deployment/pp-ls/location-service",
        wave("RoleBinding/location-service", 4),
    ),
    Fault(
        "a store of secrets after those who read from it",
        "needed-object-later",
        "ExternalSecret/rabbitmq/rabbitmq",
        both(
            moved("ClusterSecretStore/secret-store", "gateway"),
            wave("ClusterSecretStore/secret-store", 0),
        ),
    ),
    Fault(
        "a migration before the sync with the configuration of the sync",
        "hook-needs-later-object",
        "Job/pp-us/user-service-migration-1a2b3c",
        copied(
            SCHEMA,
            "user-service",
            "user-service-migration-1a2b3c",
            lambda it: it["metadata"]["annotations"].update({HOOK: "PreSync"}),
        ),
        also=("dependency-in-later-wave",),
    ),
    Fault(
        "the operator of secrets in the wave of those who need them",
        "custom-resource-too-early",
        "ExternalSecret/monitoring/monitoring",
        wave("Application/external-secrets", 1),
    ),
    Fault(
        "a monitor before its operator",
        "custom-resource-too-early",
        "PodMonitor/rabbitmq/rabbitmq",
        both(
            copied(
                "PodMonitor/rabbitmq", "rabbitmq", "rabbitmq", lambda it: it["metadata"].update(namespace="rabbitmq")
            ),
        ),
    ),
    Fault(
        "a custom resource before its definition in the tree",
        "custom-resource-too-early",
        "QueuePolicy/rabbitmq/quorum",
        both(definition("gateway", 0), queue("rabbitmq", "rabbitmq")),
    ),
    Fault(
        "a Namespace with another Application",
        "namespace-too-late",
        "ConfigMap/rabbitmq/rabbitmq",
        moved("Namespace/rabbitmq", "chat-service"),
    ),
    Fault(
        "a volume before the pod that it waits for",
        "claim-waits-for-pod",
        "PersistentVolumeClaim/pp-us/user-service-database-backups",
        wave(CLAIM, 0),
        environment="local",
    ),
    Fault(
        "a volume that a CronJob alone mounts",
        "claim-waits-for-pod",
        "PersistentVolumeClaim/pp-ns/notification-service-database-backups",
        change(
            "Job/notification-service-database-schema-????????",
            f"{POD}.volumes.1",
            {"name": "backups", "emptyDir": {}},
        ),
        environment="local",
    ),
    Fault(
        "an Ingress without a controller",
        "address-never-given",
        "Ingress/pp-gws/gateway",
        without_traefik,
        environment="local",
    ),
    Fault(
        "an Ingress on a cluster that brings no controller",
        "address-never-given",
        "Ingress/pp-gws/gateway",
        without_traefik,
    ),
    Fault(
        "a load balancer without anything to balance it",
        "address-never-given",
        "Service/pp-gws/gateway",
        without_load_balancer,
        environment="local",
    ),
    Fault(
        "a Deployment that somebody paused",
        "deployment-paused",
        "Deployment/pp-gws/gateway",
        change("Deployment/gateway", "spec.paused", True),
    ),
    Fault(
        "no metrics-server",
        "autoscaler-without-metrics",
        "HorizontalPodAutoscaler/pp-gws/gateway",
        without_metrics_server,
    ),
    Fault(
        "metrics-server after the autoscalers",
        "autoscaler-without-metrics",
        "HorizontalPodAutoscaler/pp-us/user-service",
        wave("Application/metrics-server", 9),
    ),
    Fault(
        "a Job that tidies itself up",
        "job-with-ttl",
        "Job/pp-us/user-service-database-schema-????????",
        change(SCHEMA, "spec.ttlSecondsAfterFinished", 600),
    ),
    Fault(
        "a Job with the same name for ever",
        "job-cannot-change",
        "Job/pp-us/user-service-database-schema",
        renamed(SCHEMA, "user-service-database-schema"),
    ),
    Fault(
        "a program that may take longer than its rollout",
        "start-exceeds-deadline",
        "Deployment/pp-us/user-service",
        change("Deployment/user-service", f"{POD}.containers.0.startupProbe.failureThreshold", 120),
    ),
    Fault(
        "a deadline behind that of the sync",
        "deadline-exceeds-sync",
        "Deployment/pp-us/user-service",
        change("Deployment/user-service", "spec.progressDeadlineSeconds", 3600),
    ),
    Fault(
        "a hook that leaves its failures behind",
        "hook-runs-once",
        "Job/pp-us/user-service-database-schema-????????",
        note(SCHEMA, HOOK="Sync", POLICY="HookSucceeded"),
    ),
    Fault(
        "a Job whose name is made up by the API server",
        "generated-name-without-hook",
        "Job/pp-us/user-service-database-schema-????????-*",
        without_name(SCHEMA),
    ),
    Fault(
        "settings of Argo CD without the health of Applications",
        "waves-gate-nothing",
        "Application/argocd/positionpal",
        argocd_settings(**{"application.resourceTrackingMethod": "annotation"}),
    ),
    Fault(
        "an Application that waits for a click",
        "application-not-automated",
        "Application/argocd/rabbitmq",
        drop("Application/rabbitmq", "spec.syncPolicy.automated"),
    ),
    Fault(
        "an Application whose automated sync is turned off",
        "application-not-automated",
        "Application/argocd/monitoring",
        change("Application/monitoring", "spec.syncPolicy.automated.enabled", False),
    ),
    Fault(
        "an Application without a retry",
        "application-without-retry",
        "Application/argocd/gateway",
        drop("Application/gateway", "spec.syncPolicy.retry"),
    ),
    Fault(
        "a retry of the commit that failed",
        "retry-without-refresh",
        "Application/argocd/positionpal",
        drop("Application/positionpal", "spec.syncPolicy.retry.refresh"),
    ),
    Fault(
        "a large ConfigMap that is applied by the client",
        "object-too-large",
        "ConfigMap/pp-us/user-service-database-schema",
        both(
            options("user-service", "FailOnSharedResource=true", "RespectIgnoreDifferences=true"),
            entry("ConfigMap/user-service-database-schema", "words.sql", GROUP_OF_TEN * 4),
        ),
    ),
    Fault(
        "differences that are ignored and set back",
        "ignored-differences-applied",
        "Application/argocd/chat-service",
        options("chat-service", "FailOnSharedResource=true", "ServerSideApply=true"),
    ),
    Fault(
        "replicas of a Deployment that an autoscaler scales",
        "replicas-of-autoscaler",
        "Deployment/pp-us/user-service",
        change("Deployment/user-service", "spec.replicas", 2),
    ),
    Fault(
        "replicas of a ring whose difference counts again",
        "replicas-of-autoscaler",
        "StatefulSet/pp-ls/location-service-database",
        drop("Application/location-service", "spec.ignoreDifferences"),
    ),
    Fault(
        "claims without what the API server adds",
        "claims-compared-locally",
        "StatefulSet/rabbitmq/rabbitmq",
        note("StatefulSet/rabbitmq", COMPARE="IgnoreExtraneous"),
    ),
    Fault(
        "a data store without protection",
        "data-not-protected",
        "StatefulSet/rabbitmq/rabbitmq",
        note("StatefulSet/rabbitmq", OPTIONS=None),
    ),
    Fault(
        "a volume that goes with its Application",
        "data-not-protected",
        "PersistentVolumeClaim/pp-us/user-service-database-backups",
        note(CLAIM, OPTIONS="Prune=false"),
    ),
    Fault(
        "a Namespace that goes with its data",
        "data-not-protected",
        "Namespace/pp-us",
        note("Namespace/pp-us", OPTIONS="Delete=false"),
    ),
    Fault(
        "a Namespace that goes with the data of a chart",
        "data-not-protected",
        "Namespace/monitoring",
        note("Namespace/monitoring", OPTIONS=None),
    ),
    Fault(
        "an Application in two files",
        "application-defined-twice",
        "Application/argocd/gateway",
        second_application,
    ),
    Fault(
        "a root that deploys itself",
        "application-deploys-itself",
        "Application/argocd/positionpal",
        both(drop("Application/positionpal", "spec.source.directory")),
    ),
]

ROOMY = (
    ("rabbitmq", 10),
    ("monitoring", 10),
    ("notification-service", 20),
    ("chat-service", 20),
    ("user-service", 30),
    ("location-service", 30),
    ("gateway", 40),
)
HOOK_JOB: Manifest = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "generateName": "gateway-check-",
        "namespace": "pp-gws",
        "annotations": {HOOK: "PreSync", POLICY: "HookSucceeded"},
    },
    "spec": {
        "backoffLimit": 1,
        "activeDeadlineSeconds": 300,
        "template": {
            "metadata": {"labels": {"app.kubernetes.io/name": "gateway-check"}},
            "spec": {
                "serviceAccountName": "gateway-check",
                "automountServiceAccountToken": False,
                "restartPolicy": "Never",
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "check",
                        "image": versions.GATEWAY,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["node", "--check", "index.js"],
                        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        },
    },
}

HARMLESS = [
    Harmless(
        "waves with room between them",
        lambda tree: [wave(f"Application/{name}", number)(tree) for name, number in ROOMY],
    ),
    Harmless(
        "a server without a wait that comes later",
        both(
            drop("Deployment/gateway", f"{WAIT}.command.9"),
            drop("Deployment/gateway", f"{WAIT}.command.8"),
            wave("Application/chat-service", 5),
        ),
    ),
    Harmless(
        "a hook with everything that it needs in its phase",
        both(
            copied(
                "ServiceAccount/gateway",
                "gateway",
                "gateway-check",
                lambda it: it["metadata"]["annotations"].update({HOOK: "PreSync", WAVE: "-1"}),
            ),
            lambda tree: tree.files.update({"dist/production/gateway/Job-gateway-check.yaml": dump(HOOK_JOB)}),
        ),
    ),
    Harmless(
        "a custom resource with its definition in one sync",
        both(
            definition("rabbitmq", 5),
            queue("rabbitmq", "rabbitmq"),
        ),
    ),
    Harmless(
        "a custom resource that may come before its definition",
        both(
            definition("chat-service", 0),
            queue("notification-service", "pp-ns"),
            options(
                "notification-service",
                "FailOnSharedResource=true",
                "RespectIgnoreDifferences=true",
                "ServerSideApply=true",
                "SkipDryRunOnMissingResource=true",
            ),
        ),
    ),
    Harmless(
        "settings of Argo CD with the health of Applications",
        argocd_settings(**{"resource.customizations.health.argoproj.io_Application": "return {status = 'Healthy'}"}),
    ),
    Harmless(
        "a large ConfigMap that is applied by the server",
        entry("ConfigMap/user-service-database-schema", "words.sql", GROUP_OF_TEN * 4),
    ),
    Harmless(
        "an Application in the last wave that is synced by hand",
        both(
            drop("Application/gateway", "spec.syncPolicy.automated"),
        ),
    ),
    Harmless("a volume at once where volumes wait for nobody", wave(CLAIM, 0)),
    Harmless(
        "data that is removed when somebody confirms it",
        note("StatefulSet/rabbitmq", OPTIONS="Prune=confirm,Delete=confirm"),
    ),
    Harmless("a Job with the version in its name", renamed(SCHEMA, "user-service-database-schema-v2")),
    Harmless(
        "a Job that is replaced",
        both(
            renamed(SCHEMA, "user-service-database-schema"),
            note("Job/user-service-database-schema", OPTIONS="Force=true,Replace=true"),
        ),
    ),
    Harmless(
        "a Namespace with another Application in an earlier wave",
        moved("Namespace/pp-gws", "rabbitmq"),
    ),
]

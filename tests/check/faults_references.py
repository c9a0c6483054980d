"""Faults between two objects, of which one names or selects the other."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import yaml
from corpus import Fault, Harmless, Manifest, Tree, container

from constructs_lib.kubernetes.manifest_yaml import dump

USER = "Deployment/user-service"
GATEWAY = "Deployment/gateway"
PROJECT = "AppProject/positionpal"


def at(manifest: Any, path: str) -> Any:
    """Return the part of an object at a path such as ``spec.ports.0.port``."""
    for step in filter(None, path.split(".")):
        manifest = manifest[int(step) if step.isdecimal() else step]
    return manifest


def change(name: str, path: str, value: Any) -> Callable[[Tree], None]:
    """Return what sets a field of an object."""

    def plant(tree: Tree) -> None:
        parent, _, key = path.rpartition(".")

        def set_value(manifest: Manifest) -> None:
            at(manifest, parent)[int(key) if key.isdecimal() else key] = value

        tree.edit(name, set_value)

    return plant


def drop(name: str, path: str) -> Callable[[Tree], None]:
    """Return what takes a field of an object away."""

    def plant(tree: Tree) -> None:
        parent, _, key = path.rpartition(".")
        tree.edit(name, lambda manifest: at(manifest, parent).pop(int(key) if key.isdecimal() else key))

    return plant


def append(name: str, path: str, value: Any) -> Callable[[Tree], None]:
    """Return what adds an entry to a list of an object."""
    return lambda tree: tree.edit(name, lambda manifest: at(manifest, path).append(value))


def both(*plants: Callable[[Tree], object]) -> Callable[[Tree], None]:
    """Return what does several things."""

    def plant(tree: Tree) -> None:
        for step in plants:
            step(tree)

    return plant


def in_container(name: str, edit: Callable[[Manifest], object]) -> Callable[[Tree], None]:
    """Return what changes the first container of a workload."""
    return lambda tree: tree.edit(name, lambda manifest: edit(container(manifest)))


def variable(name: str, key: str, value: str) -> Callable[[Tree], None]:
    """Return what gives a workload an environment variable."""
    return in_container(name, lambda found: found.setdefault("env", []).append({"name": key, "value": value}))


def entry(name: str, key: str, value: str) -> Callable[[Tree], None]:
    """Return what sets a value of a ConfigMap."""

    def edit(manifest: Manifest) -> None:
        manifest["data"][key] = value

    return lambda tree: tree.edit(name, edit)


def new(api_version: str, kind: str, namespace: str, name: str, **content: Any) -> Manifest:
    """Return an object for a component, in the wave of its configuration."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "positionpal"}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def copied(name: str, component: str, rename: str, edit: Callable[[Manifest], object] = lambda manifest: None) -> Any:
    """Return what adds a copy of an object under another name."""

    def plant(tree: Tree) -> None:
        manifest = copy.deepcopy(yaml.load(tree.files[tree.path(name)], Loader=yaml.CSafeLoader))
        manifest["metadata"]["name"] = rename
        edit(manifest)
        tree.add(component, manifest)

    return plant


def ingress(**spec: Any) -> Manifest:
    """Return an Ingress of the gateway."""
    backend = {"service": {"name": "gateway", "port": {"name": "http"}}}
    found = new("networking.k8s.io/v1", "Ingress", "pp-gws", "gateway", spec={"defaultBackend": backend, **spec})
    return found


def with_class(manifest: Manifest) -> Callable[[Tree], None]:
    """Return what adds an Ingress and what serves it, which the AppProject permits."""

    def plant(tree: Tree) -> None:
        controller = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}}
        tree.add("gateway", {**controller, "spec": {"controller": "k8s.io/ingress-nginx"}})
        tree.add("gateway", manifest)
        tree.edit(PROJECT, lambda project: _permit(project, "networking.k8s.io", "IngressClass", "Ingress"))
        chart = {"repoURL": "https://charts.external-secrets.io", "chart": "ingress-nginx", "targetRevision": "4.13.2"}
        tree.edit("Application/external-secrets", lambda application: application["spec"]["sources"].append(chart))

    return plant


def _permit(project: Manifest, group: str, cluster_kind: str, kind: str) -> None:
    project["spec"]["clusterResourceWhitelist"].append({"group": group, "kind": cluster_kind})
    project["spec"]["namespaceResourceWhitelist"].append({"group": group, "kind": kind})


def permit(group: str, kind: str) -> Callable[[Tree], None]:
    """Return what permits a kind in the AppProject."""
    return append(PROJECT, "spec.namespaceResourceWhitelist", {"group": group, "kind": kind})


def values(edit: Callable[[list[dict[str, str]]], object]) -> Callable[[Tree], None]:
    """Return what changes the list of secret values of the bootstrap."""

    def plant(tree: Tree) -> None:
        path = f"bootstrap/argocd/{tree.environment}.tfvars.json"
        content = json.loads(tree.files[path])
        edit(content["secrets"])
        tree.files[path] = json.dumps(content).encode()

    return plant


def application(name: str, path: str, namespace: str) -> Callable[[Tree], None]:
    """Return what adds an Application in the last wave."""

    def plant(tree: Tree) -> None:
        manifest = yaml.load(tree.files[tree.path("Application/gateway")], Loader=yaml.CSafeLoader)
        manifest["metadata"]["name"] = name
        manifest["spec"]["source"]["path"] = path
        manifest["spec"]["destination"]["namespace"] = namespace
        tree.files[f"argocd/{tree.environment}/Application-{name}.yaml"] = dump(manifest)

    return plant


SELECTOR = "app.kubernetes.io/name"
POD = "spec.template.spec"
#: The container of a service that waits for what the service needs; the one before it brings the agent.
WAIT = f"{POD}.initContainers.1"

FAULTS = [
    Fault(
        "a typo in the selector of a Service",
        "service-without-pods",
        "Service/pp-us/user-service",
        change("Service/user-service", "spec.selector", {SELECTOR: "user-servce"}),
        also=("traffic-without-reason",),
    ),
    Fault(
        "a Service that selects a label no pod has",
        "service-without-pods",
        "Service/pp-gws/gateway",
        change("Service/gateway", "spec.selector", {"app": "gateway"}),
        also=("open-to-everybody",),
    ),
    Fault(
        "a Service in the namespace of somebody else",
        "service-without-pods",
        "Service/pp-gws/user-service",
        copied("Service/user-service", "gateway", "user-service", lambda it: it["metadata"].update(namespace="pp-gws")),
    ),
    Fault(
        "a typo in a targetPort",
        "target-port-unknown",
        "Service/pp-gws/gateway",
        change("Service/gateway", "spec.ports.0.targetPort", "htpp"),
        also=("open-to-everybody",),
    ),
    Fault(
        "a container port that was renamed",
        "target-port-unknown",
        "Service/pp-us/user-service",
        both(
            change(USER, f"{POD}.containers.0.ports.0.name", "rpc"),
            *(
                change(USER, f"{POD}.containers.0.{probe}.tcpSocket.port", "rpc")
                for probe in ("startupProbe", "readinessProbe", "livenessProbe")
            ),
        ),
        also=("traffic-without-reason",),
    ),
    Fault(
        "a Service of another protocol than its pods",
        "target-port-unknown",
        "Service/pp-us/user-service",
        change("Service/user-service", "spec.ports.0.protocol", "UDP"),
        also=("traffic-without-reason",),
    ),
    Fault(
        "a targetPort number that nobody listens on",
        "target-port-undeclared",
        "Service/pp-gws/gateway",
        change("Service/gateway", "spec.ports.0.targetPort", 8080),
        also=("open-to-everybody", "public-port-closed"),
    ),
    Fault(
        "an autoscaler of a workload that was renamed",
        "autoscaler-without-target",
        "HorizontalPodAutoscaler/pp-us/user-service",
        change("HorizontalPodAutoscaler/user-service", "spec.scaleTargetRef.name", "users-service"),
    ),
    Fault(
        "an autoscaler of a Deployment that is a StatefulSet",
        "autoscaler-without-target",
        "HorizontalPodAutoscaler/pp-cs/chat-service-database",
        change("HorizontalPodAutoscaler/chat-service-database", "spec.scaleTargetRef.kind", "Deployment"),
    ),
    Fault(
        "two autoscalers of one Deployment",
        "autoscalers-share-target",
        "HorizontalPodAutoscaler/pp-us/users-memory",
        copied("HorizontalPodAutoscaler/user-service", "user-service", "users-memory"),
    ),
    Fault(
        "a PodDisruptionBudget with a label of old",
        "disruption-budget-without-pods",
        "PodDisruptionBudget/rabbitmq/rabbitmq",
        change("PodDisruptionBudget/rabbitmq", "spec.selector.matchLabels", {"app": "rabbitmq"}),
        also=("replicas-without-budget",),
    ),
    Fault(
        "a PodMonitor of a namespace that is called otherwise",
        "monitor-without-target",
        "PodMonitor/monitoring/rabbitmq",
        change("PodMonitor/rabbitmq", "spec.namespaceSelector.matchNames", ["rabbit-mq"]),
        also=("metric-unknown",),
    ),
    Fault(
        "a PodMonitor without a namespaceSelector",
        "monitor-without-target",
        "PodMonitor/rabbitmq/rabbitmq-queues",
        copied(
            "PodMonitor/rabbitmq",
            "rabbitmq",
            "rabbitmq-queues",
            lambda it: (
                it["metadata"].update(namespace="rabbitmq"),
                it["spec"].pop("namespaceSelector"),
                it["spec"].update(selector={"matchLabels": {"app": "rabbitmq"}}),
            ),
        ),
        also=("custom-resource-too-early",),
    ),
    Fault(
        "a PodMonitor of a port that the pods do not have",
        "monitor-port-unknown",
        "PodMonitor/monitoring/rabbitmq",
        change("PodMonitor/rabbitmq", "spec.podMetricsEndpoints.0.port", "prometheus"),
    ),
    Fault(
        "a StatefulSet with the Service of old",
        "governing-service-missing",
        "StatefulSet/pp-ns/notification-service-database",
        change(
            "StatefulSet/notification-service-database", "spec.serviceName", "notification-service-database-headless"
        ),
    ),
    Fault(
        "a StatefulSet whose Service is not headless",
        "governing-service-unfit",
        "StatefulSet/pp-ns/notification-service-database",
        change("StatefulSet/notification-service-database", "spec.serviceName", "notification-service-database"),
    ),
    Fault(
        "a StatefulSet whose headless Service is of other pods",
        "governing-service-unfit",
        "StatefulSet/pp-us/user-service-database",
        change("Service/user-service-database-nodes", "spec.selector", {SELECTOR: "user-service"}),
        also=("target-port-unknown",),
    ),
    Fault(
        "a probe of a port of another name",
        "probe-port-unknown",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{POD}.containers.0.readinessProbe.httpGet.port", "https"),
    ),
    Fault(
        "a preStop hook of a port that there is not",
        "probe-port-unknown",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{POD}.containers.0.lifecycle.preStop", {"httpGet": {"path": "/drain", "port": "admin"}}),
    ),
    Fault(
        "a NetworkPolicy with a typo in its podSelector",
        "policy-without-pods",
        "NetworkPolicy/pp-gws/gateway",
        change("NetworkPolicy/gateway", "spec.podSelector.matchLabels", {SELECTOR: "gatway"}),
        also=("call-blocked", "public-port-closed", "metrics-blocked"),
    ),
    Fault(
        "a NetworkPolicy of a namespace that was renamed",
        "policy-namespace-unknown",
        "NetworkPolicy/pp-us/user-service",
        change(
            "NetworkPolicy/user-service",
            "spec.ingress.0.from.0.namespaceSelector.matchLabels",
            {"kubernetes.io/metadata.name": "pp-gateway"},
        ),
        also=("call-blocked",),
    ),
    Fault(
        "a NetworkPolicy of a port that was renamed",
        "policy-port-unknown",
        "NetworkPolicy/pp-gws/gateway",
        change("NetworkPolicy/gateway", "spec.ingress.0.ports.0.port", "web"),
        also=("public-port-closed",),
    ),
    Fault(
        "an Ingress to a Service that there is not",
        "ingress-backend-missing",
        "Ingress/pp-gws/gateway",
        with_class(
            ingress(
                ingressClassName="nginx",
                defaultBackend={"service": {"name": "gateway-http", "port": {"number": 3000}}},
            )
        ),
    ),
    Fault(
        "an Ingress to the container's port instead of the Service's",
        "ingress-backend-missing",
        "Ingress/pp-gws/gateway",
        both(
            change("Service/gateway", "spec.ports.0.port", 80),
            with_class(
                ingress(
                    ingressClassName="nginx",
                    defaultBackend={"service": {"name": "gateway", "port": {"number": 3000}}},
                )
            ),
        ),
    ),
    Fault(
        "an Ingress with a class that there is not",
        "ingress-class-missing",
        "Ingress/pp-gws/gateway",
        with_class(ingress(ingressClassName="public")),
    ),
    Fault(
        "an Ingress whose certificate nobody makes",
        "secret-missing",
        "Ingress/pp-gws/gateway",
        with_class(ingress(ingressClassName="nginx", tls=[{"hosts": ["example.org"], "secretName": "gateway-tls"}])),
    ),
    Fault(
        "pods that are spread by the labels of others",
        "spread-without-pods",
        "Deployment/pp-us/user-service",
        change(
            USER,
            f"{POD}.topologySpreadConstraints.0.labelSelector.matchLabels",
            {SELECTOR: "notification-service"},
        ),
    ),
    Fault(
        "pods that keep away from none",
        "spread-without-pods",
        "Deployment/pp-us/user-service",
        change(
            USER,
            f"{POD}.affinity",
            {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"labelSelector": {"matchLabels": {"app": "users"}}, "topologyKey": "kubernetes.io/hostname"}
                    ]
                }
            },
        ),
    ),
    Fault(
        "variables from a ConfigMap that there is not",
        "config-map-missing",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{POD}.containers.0.envFrom.0.configMapRef.name", "gateway-config"),
        also=("config-map-unused",),
    ),
    Fault(
        "a ConfigMap that was removed with its schema",
        "config-map-missing",
        "Job/pp-us/user-service-database-schema-????????",
        lambda tree: tree.remove("ConfigMap/user-service-database-schema"),
    ),
    Fault(
        "a file of a ConfigMap under another name",
        "config-map-key-missing",
        "StatefulSet/rabbitmq/rabbitmq",
        lambda tree: tree.edit(
            "ConfigMap/rabbitmq", lambda it: it["data"].update({"rabbitmq.conf": it["data"].pop("10-rabbitmq.conf")})
        ),
    ),
    Fault(
        "a key that the ConfigMap lost",
        "config-map-key-missing",
        "Deployment/pp-gws/gateway",
        in_container(
            GATEWAY,
            lambda it: it.update(
                env=[{"name": "TIME", "valueFrom": {"configMapKeyRef": {"name": "gateway", "key": "TIMEOUT"}}}]
            ),
        ),
    ),
    Fault(
        "a Secret of another service",
        "secret-missing",
        "Deployment/pp-us/user-service",
        change(USER, f"{POD}.containers.0.env.1.valueFrom.secretKeyRef.name", "user-service-database"),
    ),
    Fault(
        "a registry login that nobody makes",
        "secret-missing",
        "Deployment/pp-us/user-service",
        change(USER, f"{POD}.imagePullSecrets", [{"name": "registry"}]),
    ),
    Fault(
        "a key of a Secret that the ExternalSecret does not bring",
        "secret-key-missing",
        "Deployment/pp-us/user-service",
        change(USER, f"{POD}.containers.0.env.1.valueFrom.secretKeyRef.key", "JWT_SIGNING_KEY"),
    ),
    Fault(
        "an ExternalSecret that lost an entry",
        "secret-key-missing",
        "Deployment/pp-us/user-service",
        drop("ExternalSecret/user-service", "spec.data.3"),
    ),
    Fault(
        "an ExternalSecret whose template drops a key",
        "secret-key-missing",
        "StatefulSet/pp-us/user-service-database",
        change(
            "ExternalSecret/user-service",
            "spec.target.template",
            {"data": {"JWT_SECRET": "{{ .JWT_SECRET }}", "rabbitmq.password": '{{ index . "rabbitmq.password" }}'}},
        ),
    ),
    Fault(
        "a ConfigMap that nobody mounts any more",
        "config-map-unused",
        "ConfigMap/pp-gws/gateway-limits",
        lambda tree: tree.add("gateway", new("v1", "ConfigMap", "pp-gws", "gateway-limits", data={"RATE": "100"})),
    ),
    Fault(
        "an ExternalSecret for nobody",
        "secret-unused",
        "ExternalSecret/pp-us/user-service-smtp",
        copied(
            "ExternalSecret/user-service",
            "user-service",
            "user-service-smtp",
            lambda it: it["spec"]["target"].update(name="user-service-smtp"),
        ),
    ),
    Fault(
        "a ServiceAccount that was renamed",
        "service-account-missing",
        "Deployment/pp-us/user-service",
        change(USER, f"{POD}.serviceAccountName", "users"),
    ),
    Fault(
        "a mount of a volume that was taken away",
        "mount-without-volume",
        "Deployment/pp-us/user-service",
        drop(USER, f"{POD}.volumes.0"),
    ),
    Fault(
        "a volume that no container mounts",
        "volume-not-mounted",
        "Deployment/pp-us/user-service",
        append(USER, f"{POD}.volumes", {"name": "cache", "emptyDir": {}}),
    ),
    Fault(
        "a volumeClaimTemplate that no container mounts",
        "volume-not-mounted",
        "StatefulSet/rabbitmq/rabbitmq",
        drop("StatefulSet/rabbitmq", f"{POD}.containers.0.volumeMounts.1"),
    ),
    Fault(
        "a claim that was removed",
        "claim-missing",
        "CronJob/pp-us/user-service-database-backup",
        lambda tree: tree.remove("PersistentVolumeClaim/user-service-database-backups"),
    ),
    Fault(
        "a storage class of another cloud",
        "storage-class-missing",
        "PersistentVolumeClaim/pp-us/user-service-database-backups",
        change("PersistentVolumeClaim/user-service-database-backups", "spec.storageClassName", "gp3"),
    ),
    Fault(
        "a storage class of production on a laptop",
        "storage-class-missing",
        "StatefulSet/rabbitmq/rabbitmq",
        change(
            "StatefulSet/rabbitmq",
            "spec.volumeClaimTemplates.0.spec.storageClassName",
            "do-block-storage-retain",
        ),
        environment="local",
    ),
    Fault(
        "a block volume for several nodes",
        "access-mode-unsupported",
        "PersistentVolumeClaim/pp-ns/notification-service-database-backups",
        change("PersistentVolumeClaim/notification-service-database-backups", "spec.accessModes", ["ReadWriteMany"]),
    ),
    Fault(
        "a priority class that nobody makes",
        "priority-class-missing",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{POD}.priorityClassName", "business-critical"),
    ),
    Fault(
        "a variable that refers to a later one",
        "variable-undefined",
        "Deployment/pp-us/user-service",
        in_container(
            USER,
            lambda it: it["env"].insert(0, {"name": "BROKER", "value": "amqp://user:$(RABBITMQ_PASSWORD)@broker"}),
        ),
    ),
    Fault(
        "an argument with a typo in its variable",
        "variable-undefined",
        "Deployment/pp-us/user-service",
        in_container(USER, lambda it: it.update(args=["--port=$(USER_SERVICE_PROT)"])),
    ),
    Fault(
        "two ExternalSecrets with one target",
        "secret-made-twice",
        "ExternalSecret/pp-us/users",
        copied("ExternalSecret/user-service", "user-service", "users"),
    ),
    Fault(
        "an ExternalSecret of a store under another name",
        "secret-store-missing",
        "ExternalSecret/pp-us/user-service",
        change("ExternalSecret/user-service", "spec.secretStoreRef.name", "secrets-store"),
        also=("secret-value-unread",),
    ),
    Fault(
        "an ExternalSecret of a SecretStore that is a ClusterSecretStore",
        "secret-store-missing",
        "ExternalSecret/pp-us/user-service",
        change("ExternalSecret/user-service", "spec.secretStoreRef.kind", "SecretStore"),
    ),
    Fault(
        "a store that does not serve a new namespace",
        "secret-store-refuses-namespace",
        "ExternalSecret/pp-us/user-service",
        drop("ClusterSecretStore/secret-store", "spec.conditions.0.namespaces.4"),
    ),
    Fault(
        "a secret value that nobody gives",
        "secret-value-missing",
        "ExternalSecret/pp-us/user-service",
        change("ExternalSecret/user-service", "spec.data.0.remoteRef.property", "JWT-SECRET"),
        also=("secret-value-unread",),
    ),
    Fault(
        "a secret value that was taken off the list",
        "secret-value-missing",
        "ExternalSecret/rabbitmq/rabbitmq",
        values(lambda listed: listed.remove(next(it for it in listed if it["key"] == "erlang-cookie"))),
    ),
    Fault(
        "a secret value that nobody reads any more",
        "secret-value-unread",
        "tree",
        values(lambda listed: listed.append({"component": "gateway", "key": "API_KEY", "owner": "supplied"})),
    ),
    Fault(
        "a binding of a role that was renamed",
        "role-missing",
        "RoleBinding/pp-cs/chat-service",
        change("RoleBinding/chat-service", "roleRef.name", "pod-reader"),
        also=("traffic-without-reason",),
    ),
    Fault(
        "a binding of a ClusterRole that is a Role",
        "role-missing",
        "RoleBinding/pp-cs/chat-service",
        change("RoleBinding/chat-service", "roleRef.kind", "ClusterRole"),
        also=("traffic-without-reason",),
    ),
    Fault(
        "a binding for a ServiceAccount of another namespace",
        "role-subject-missing",
        "RoleBinding/pp-cs/chat-service",
        change("RoleBinding/chat-service", "subjects.0.namespace", "pp-ls"),
        also=("open-to-everybody", "traffic-without-reason"),
    ),
    Fault(
        "a role for a Secret that was renamed",
        "role-object-missing",
        "Role/secret-store/secret-store-reader",
        change("Role/secret-store-reader", "rules.0.resourceNames.5", "users-service"),
    ),
    Fault(
        "a URL with a typo in the Service",
        "address-without-service",
        "ConfigMap/pp-gws/gateway",
        entry("ConfigMap/gateway", "USER_SERVICE_URL", "user-servce.pp-us.svc.cluster.local:5052"),
    ),
    Fault(
        "a URL with the name of the component for its namespace",
        "address-without-service",
        "ConfigMap/pp-gws/gateway",
        entry("ConfigMap/gateway", "USER_SERVICE_URL", "user-service.pp-uss.svc.cluster.local:5052"),
    ),
    Fault(
        "an address without a namespace",
        "address-without-service",
        "ConfigMap/pp-us/user-service",
        entry("ConfigMap/user-service", "RABBITMQ_HOST", "rabbitmq.svc.cluster.local"),
    ),
    Fault(
        "a typo in the domain of the cluster",
        "address-without-service",
        "ConfigMap/pp-us/user-service",
        entry("ConfigMap/user-service", "RABBITMQ_HOST", "rabbitmq.rabbitmq.svc.cluster.locl"),
    ),
    Fault(
        "a wait for a Service that is gone",
        "address-without-service",
        "Deployment/pp-us/user-service",
        change(
            USER,
            f"{WAIT}.command.6",
            "notifications.pp-ns.svc.cluster.local:5052",
        ),
        also=("traffic-without-reason",),
    ),
    Fault(
        "a URL with the port of another protocol",
        "address-port-unknown",
        "ConfigMap/pp-gws/gateway",
        entry("ConfigMap/gateway", "CHAT_SERVICE_URL", "http://chat-service.pp-cs.svc.cluster.local:8081/api"),
    ),
    Fault(
        "a port in a variable of its own",
        "address-port-unknown",
        "ConfigMap/pp-us/user-service",
        entry("ConfigMap/user-service", "RABBITMQ_PORT", "5671"),
    ),
    Fault(
        "a port in a variable that overrides the ConfigMap's",
        "address-port-unknown",
        "Deployment/pp-us/user-service",
        variable(USER, "POSTGRES_PORT", "5433"),
    ),
    Fault(
        "the wrong port of a Job",
        "address-port-unknown",
        "Job/pp-us/user-service-database-schema-????????",
        change("Job/user-service-database-schema-????????", f"{POD}.containers.0.env.1.value", "3306"),
        also=("traffic-without-reason",),
    ),
    Fault(
        "a short name with the wrong port",
        "address-port-unknown",
        "Deployment/pp-us/user-service",
        variable(USER, "DATABASE_URL", "postgres://user@user-service-database:6432/users_and_groups"),
    ),
    Fault(
        "a seed that is no pod",
        "address-without-pod",
        "StatefulSet/pp-cs/chat-service-database",
        change(
            "StatefulSet/chat-service-database",
            f"{POD}.containers.0.env.1.value",
            "chat-service-database-9.chat-service-database-nodes.pp-cs.svc.cluster.local",
        ),
    ),
    Fault(
        "a pod behind a Service that gives no names",
        "address-without-pod",
        "StatefulSet/pp-cs/chat-service-database",
        change(
            "StatefulSet/chat-service-database",
            f"{POD}.containers.0.env.1.value",
            "chat-service-database-0.chat-service-database.pp-cs.svc.cluster.local",
        ),
    ),
    Fault(
        "an Application of a folder that was renamed",
        "application-folder-empty",
        "Application/argocd/late",
        application("late", "dist/production/gate-way", "pp-gws"),
    ),
    Fault(
        "an Application of a project that there is not",
        "project-missing",
        "Application/argocd/gateway",
        change("Application/gateway", "spec.project", "position-pal"),
    ),
    Fault(
        "a chart from a repository that is not permitted",
        "project-refuses-repository",
        "Application/argocd/metrics-server",
        drop(PROJECT, "spec.sourceRepos.2"),
    ),
    Fault(
        "a namespace that the project does not permit",
        "project-refuses-destination",
        "Application/argocd/gateway",
        drop(PROJECT, "spec.destinations.5"),
    ),
    Fault(
        "a kind that the project does not permit",
        "project-refuses-kind",
        "ResourceQuota/pp-gws/pods",
        lambda tree: tree.add("gateway", new("v1", "ResourceQuota", "pp-gws", "pods", spec={"hard": {"pods": 20}})),
    ),
    Fault(
        "a Namespace that the project does not name",
        "project-refuses-kind",
        "Namespace/pp-gws",
        change(PROJECT, "spec.clusterResourceWhitelist.4.name", "pp-gateway"),
    ),
    Fault(
        "an object in the folders of two Applications",
        "object-owned-twice",
        "ConfigMap/pp-gws/gateway",
        copied("ConfigMap/gateway", "user-service", "gateway"),
        also=("namespace-too-late",),
    ),
    Fault(
        "an object in two files",
        "object-owned-twice",
        "Service/pp-gws/gateway",
        lambda tree: tree.files.update(
            {"dist/production/gateway/service.yaml": tree.files[tree.path("Service/gateway")]}
        ),
    ),
    Fault(
        "a namespace that nobody makes",
        "namespace-missing",
        "ConfigMap/pp-gws/gateway-telemetry",
        lambda tree: tree.remove("Namespace/pp-gws"),
    ),
]

HARMLESS = [
    Harmless(
        "a ConfigMap that may be missing",
        in_container(
            GATEWAY, lambda it: it["envFrom"].append({"configMapRef": {"name": "overrides", "optional": True}})
        ),
    ),
    Harmless(
        "a targetPort by its number",
        change("Service/gateway", "spec.ports.0.targetPort", 3000),
    ),
    Harmless(
        "a Service for a host outside",
        both(
            lambda tree: tree.add(
                "gateway",
                new(
                    "v1", "Service", "pp-gws", "maps", spec={"type": "ExternalName", "externalName": "maps.example.org"}
                ),
            ),
            entry("ConfigMap/gateway", "MAPS_URL", "https://maps.pp-gws.svc.cluster.local:443/v1"),
        ),
    ),
    Harmless(
        "a ConfigMap that a controller finds by its label",
        lambda tree: tree.add(
            "gateway",
            {
                **new("v1", "ConfigMap", "pp-gws", "gateway-flags", data={"flags.yaml": "beta: true"}),
                "metadata": {"name": "gateway-flags", "namespace": "pp-gws", "labels": {"flags.example.org/set": "1"}},
            },
        ),
    ),
    Harmless(
        "an ExternalSecret that brings all keys of an entry",
        change("ExternalSecret/user-service", "spec.dataFrom", [{"extract": {"key": "user-service"}}]),
    ),
    Harmless(
        "names of hosts that only look like those of Services",
        both(
            entry("ConfigMap/notification-service", "REPORTS", "https://reports.svc.example.org"),
            entry("ConfigMap/notification-service", "ARCHIVE", "https://archive.eu.svc.example.org"),
            entry("ConfigMap/gateway", "TOPIC", "user-service"),
            entry("ConfigMap/gateway", "IMAGE", "user-service:2.9.0"),
        ),
    ),
    Harmless(
        "short names of Services, with and without their namespace",
        both(
            variable(USER, "DATABASE_URL", "postgres://user@user-service-database:5432/users_and_groups"),
            variable(USER, "BROKER", "rabbitmq.rabbitmq:5672"),
            variable(USER, "NOTIFICATIONS", "http://notification-service.pp-ns:5052"),
        ),
    ),
    Harmless(
        "a pod's own port behind a headless Service",
        entry("ConfigMap/user-service", "RABBITMQ_PEER", "rabbitmq-2.rabbitmq-nodes.rabbitmq.svc:5672"),
    ),
    Harmless(
        "a text that only looks like a variable",
        variable(USER, "FORMAT", "$$(NAME) costs $(( 2 + 2 ))"),
    ),
    Harmless(
        "variables in their order",
        both(variable(USER, "REGION", "eu"), variable(USER, "BUCKET", "backups-$(REGION)-$(POSTGRES_DB)")),
    ),
    Harmless(
        "a storage class of the tree",
        both(
            lambda tree: tree.add(
                "user-service",
                {
                    "apiVersion": "storage.k8s.io/v1",
                    "kind": "StorageClass",
                    "metadata": {"name": "encrypted"},
                    "provisioner": "dobs.csi.digitalocean.com",
                    "reclaimPolicy": "Retain",
                },
            ),
            append(PROJECT, "spec.clusterResourceWhitelist", {"group": "storage.k8s.io", "kind": "StorageClass"}),
            change("PersistentVolumeClaim/user-service-database-backups", "spec.storageClassName", "encrypted"),
        ),
    ),
    Harmless(
        "a Secret of the platform in a projected volume that may be missing",
        both(
            append(
                USER,
                f"{POD}.volumes",
                {"name": "trust", "projected": {"sources": [{"secret": {"name": "corporate-ca", "optional": True}}]}},
            ),
            append(
                USER, f"{POD}.containers.0.volumeMounts", {"name": "trust", "mountPath": "/etc/trust", "readOnly": True}
            ),
        ),
    ),
    Harmless(
        "a namespace that the Application makes",
        both(
            lambda tree: tree.remove("Namespace/pp-gws"),
            append("Application/gateway", "spec.syncPolicy.syncOptions", "CreateNamespace=true"),
            change(
                "Application/gateway",
                "spec.syncPolicy.managedNamespaceMetadata",
                {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            ),
        ),
    ),
    Harmless(
        "a project with patterns",
        both(
            change(
                PROJECT,
                "spec.sourceRepos",
                ["https://charts.*", "https://github.com/position-pal/*", "https://*.github.io/**"],
            ),
            change(
                PROJECT,
                "spec.destinations",
                [
                    {"server": "https://kubernetes.default.svc", "namespace": namespace}
                    for namespace in ("pp-*", "m*", "rabbitmq", "*secret*", "!kube-*")
                ],
            ),
        ),
    ),
]

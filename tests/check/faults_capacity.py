"""Faults of size: pods that find no room, and clusters of programs that wait for more than there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from corpus import Fault, Harmless, Manifest, Tree, container

CLAIM = "user-service-database-backups"


def pool(**changes: Any) -> Callable[[Tree], None]:
    """Return a change of the node pool that Terraform makes."""

    def change(tree: Tree) -> None:
        path = f"bootstrap/cluster/{tree.environment}.tfvars.json"
        inputs = json.loads(tree.files[path])
        inputs["node_pool"].update(changes)
        tree.files[path] = json.dumps(inputs, indent=2).encode()

    return change


def asks(memory: str = "", *, limit: str = "", cpu: str = "", disk: str = "") -> Callable[[Manifest], None]:
    """Return a change of what the first container asks for."""

    def change(manifest: Manifest) -> None:
        resources = container(manifest)["resources"]
        asked = {"memory": memory, "cpu": cpu, "ephemeral-storage": disk}
        resources["requests"].update({key: value for key, value in asked.items() if value})
        if limit or memory:
            resources["limits"]["memory"] = limit or memory

    return change


def scale(minimum: int, maximum: int) -> Callable[[Manifest], None]:
    """Return a change of an autoscaler."""
    return lambda manifest: manifest["spec"].update(minReplicas=minimum, maxReplicas=maximum)


def pod_spec(manifest: Manifest) -> Manifest:
    """Return the spec of the pods of a workload."""
    spec: Manifest = manifest["spec"]["template"]["spec"]
    return spec


def apart(manifest: Manifest) -> None:
    """Require a node of its own for every pod."""
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": dict(manifest["spec"]["selector"]["matchLabels"])},
    }
    pod_spec(manifest)["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def preferably_apart(manifest: Manifest) -> None:
    """Prefer a node of its own for every pod."""
    apart(manifest)
    rules = pod_spec(manifest)["affinity"]["podAntiAffinity"]
    (term,) = rules.pop("requiredDuringSchedulingIgnoredDuringExecution")
    rules["preferredDuringSchedulingIgnoredDuringExecution"] = [{"weight": 100, "podAffinityTerm": term}]


def variable(name: str, value: str) -> Callable[[Manifest], None]:
    """Return a change of a variable of the first container, or a new one."""

    def change(manifest: Manifest) -> None:
        env = container(manifest).setdefault("env", [])
        env[:] = [entry for entry in env if entry["name"] != name]
        env.append({"name": name, "value": value})

    return change


def mounts_dumps(manifest: Manifest) -> None:
    """Let a program write where the dumps are."""
    pod_spec(manifest)["volumes"].append({"name": "dumps", "persistentVolumeClaim": {"claimName": CLAIM}})
    container(manifest)["volumeMounts"].append({"name": "dumps", "mountPath": "/dumps"})


def alone(tree: Tree) -> None:
    """Take the autoscaler of the user service away, so that it is one pod."""
    tree.remove("HorizontalPodAutoscaler/pp-us/user-service")
    tree.edit("Deployment/pp-us/user-service", lambda manifest: manifest["spec"].update(replicas=1))


def both(*changes: Callable[[Tree], object]) -> Callable[[Tree], object]:
    """Return several changes as one."""

    def plant(tree: Tree) -> None:
        for change in changes:
            change(tree)

    return plant


def edit(name: str, *changes: Callable[[Manifest], object]) -> Callable[[Tree], object]:
    """Return a change of an object."""

    def change(manifest: Manifest) -> None:
        for one in changes:
            one(manifest)

    return lambda tree: tree.edit(name, change)


def size_of_broker(nodes: int, hint: int | None = None) -> Callable[[Tree], object]:
    """Return a change of the number of RabbitMQ's nodes, and of what they are told of it."""

    def told(manifest: Manifest) -> None:
        text = manifest["data"]["10-rabbitmq.conf"]
        manifest["data"]["10-rabbitmq.conf"] = text.replace("size_hint = 3", f"size_hint = {hint}")

    changes = [edit("StatefulSet/rabbitmq/rabbitmq", lambda manifest: manifest["spec"].update(replicas=nodes))]
    return both(*changes, *([edit("ConfigMap/rabbitmq/rabbitmq", told)] if hint else []))


def prometheus(memory: str) -> Callable[[Manifest], None]:
    """Return a change of what the values of a chart ask for."""

    def change(manifest: Manifest) -> None:
        (source,) = (source for source in manifest["spec"]["sources"] if "chart" in source)
        spec = source["helm"]["valuesObject"]["prometheus"]["prometheusSpec"]
        spec["resources"] = {"requests": {"cpu": "250m", "memory": memory}, "limits": {"memory": memory}}

    return change


def keyspace(copies: int) -> Callable[[Manifest], None]:
    """Return a change that makes a second keyspace."""

    def change(manifest: Manifest) -> None:
        manifest["data"]["akka_persistence.cql"] = (
            "CREATE KEYSPACE IF NOT EXISTS akka_snapshot\n"
            f"    WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {copies}}};\n"
            + manifest["data"]["akka_persistence.cql"]
        )

    return change


def spread_over(nodes: int) -> Callable[[Manifest], None]:
    """Return a change that spreads pods over at least some nodes."""
    return lambda manifest: pod_spec(manifest)["topologySpreadConstraints"][0].update(minDomains=nodes)


FAULTS = [
    Fault("half of the nodes", "no-room", "tree", pool(nodes=2)),
    Fault("smaller nodes", "no-room", "tree", pool(size="s-2vcpu-4gb")),
    Fault(
        "a ring that asks for nearly all of its nodes",
        "no-room",
        "tree",
        both(
            edit("StatefulSet/pp-cs/chat-service-database", asks("5Gi")),
            edit("StatefulSet/pp-ls/location-service-database", asks("5Gi")),
        ),
    ),
    Fault(
        "an autoscaler with a minimum for the busiest day",
        "no-room",
        "tree",
        edit("HorizontalPodAutoscaler/pp-cs/chat-service", scale(12, 12)),
    ),
    Fault(
        "the values of a chart ask for more than a node",
        "no-room",
        "tree",
        edit("Application/monitoring", prometheus("12Gi")),
    ),
    Fault(
        "a pod on every node that asks for much",
        "no-room",
        "tree",
        lambda tree: tree.add(
            "gateway",
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {
                    "name": "cache",
                    "namespace": "pp-gws",
                    "annotations": {"argocd.argoproj.io/sync-wave": "1"},
                },
                "spec": {
                    "selector": {"matchLabels": {"app": "cache"}},
                    "template": {
                        "metadata": {"labels": {"app": "cache"}},
                        "spec": {
                            "automountServiceAccountToken": False,
                            "securityContext": {
                                "runAsNonRoot": True,
                                "runAsUser": 11211,
                                "seccompProfile": {"type": "RuntimeDefault"},
                            },
                            "containers": [
                                {
                                    "name": "cache",
                                    "image": f"memcached:1.6.38@sha256:{'0' * 64}",
                                    "resources": {
                                        "requests": {"cpu": "1", "memory": "3Gi"},
                                        "limits": {"memory": "3Gi"},
                                    },
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
            },
        ),
    ),
    Fault(
        "an autoscaler that may add more than there is room for",
        "no-room-at-maximum",
        "tree",
        edit("HorizontalPodAutoscaler/pp-gws/gateway", scale(2, 20)),
    ),
    Fault(
        "more reserved memory for every pod of the broker",
        "no-room-without-node",
        "tree",
        edit("StatefulSet/rabbitmq/rabbitmq", asks("2Gi")),
        also=("no-room-at-maximum",),
    ),
    Fault(
        "a service that asks for most of a node",
        "no-room-for-update",
        "Deployment/pp-ls/location-service",
        edit("Deployment/pp-ls/location-service", asks("4Gi")),
        also=("no-room-at-maximum", "no-room-without-node"),
    ),
    Fault(
        "a pod with more memory than a node",
        "pod-larger-than-node",
        "StatefulSet/pp-cs/chat-service-database",
        edit("StatefulSet/pp-cs/chat-service-database", asks("7Gi")),
    ),
    Fault(
        "a Job with all cores of a node",
        "pod-larger-than-node",
        "Job/pp-ls/location-service-database-schema-dbe87038",
        edit("Job/pp-ls/location-service-database-schema-dbe87038", asks(cpu="4")),
    ),
    Fault(
        "a container that runs first and asks for more than a node",
        "pod-larger-than-node",
        "Deployment/pp-gws/gateway",
        edit(
            "Deployment/pp-gws/gateway",
            lambda manifest: pod_spec(manifest)["initContainers"][0].update(
                resources={"requests": {"cpu": "50m", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}
            ),
        ),
    ),
    Fault(
        "more disk than a node has",
        "pod-larger-than-node",
        "Deployment/pp-ns/notification-service",
        edit("Deployment/pp-ns/notification-service", asks(disk="300Gi")),
    ),
    Fault(
        "rings of many nodes with a volume each",
        "too-many-volumes",
        "tree",
        both(
            edit("HorizontalPodAutoscaler/pp-cs/chat-service-database", scale(12, 12)),
            edit("HorizontalPodAutoscaler/pp-ls/location-service-database", scale(12, 12)),
        ),
    ),
    Fault(
        "five nodes of the broker that must be apart on four",
        "more-replicas-than-nodes",
        "StatefulSet/rabbitmq/rabbitmq",
        both(size_of_broker(5, 5), edit("StatefulSet/rabbitmq/rabbitmq", apart)),
        also=("no-room-without-node",),
    ),
    Fault(
        "pods that are spread over more nodes than there are",
        "more-replicas-than-nodes",
        "StatefulSet/rabbitmq/rabbitmq",
        both(size_of_broker(5, 5), edit("StatefulSet/rabbitmq/rabbitmq", spread_over(5))),
        also=("no-room-without-node",),
    ),
    Fault(
        "an autoscaler that may ask for more pods than nodes",
        "autoscaler-above-nodes",
        "HorizontalPodAutoscaler/pp-gws/gateway",
        edit("Deployment/pp-gws/gateway", apart),
    ),
    Fault(
        "an autoscaler that may ask for more pods than nodes of a laptop",
        "autoscaler-above-nodes",
        "HorizontalPodAutoscaler/pp-cs/chat-service",
        both(
            edit("Deployment/pp-cs/chat-service", apart),
            edit("HorizontalPodAutoscaler/pp-cs/chat-service", scale(2, 4)),
        ),
        environment="local",
    ),
    Fault(
        "replicas that share a volume of one node",
        "read-write-once-shared",
        "Deployment/pp-us/user-service",
        edit("Deployment/pp-us/user-service", mounts_dumps),
        # They only fit on one node, together with who writes the dumps, as long as the others are elsewhere.
        also=("no-room-at-maximum",),
    ),
    Fault(
        "an update that needs the volume twice",
        "read-write-once-shared",
        "Deployment/pp-us/user-service",
        both(alone, edit("Deployment/pp-us/user-service", mounts_dumps)),
    ),
    Fault(
        "an Akka cluster that may shrink below its contact points",
        "too-few-contact-points",
        "Deployment/pp-cs/chat-service",
        edit("HorizontalPodAutoscaler/pp-cs/chat-service", scale(1, 4)),
    ),
    Fault(
        "more contact points than pods",
        "too-few-contact-points",
        "Deployment/pp-ls/location-service",
        edit(
            "ConfigMap/pp-ls/location-service", lambda manifest: manifest["data"].update(REQUIRED_CONTACT_POINT_NR="3")
        ),
    ),
    Fault(
        "a broker that is made smaller and not told",
        "cluster-size-differs",
        "StatefulSet/rabbitmq/rabbitmq",
        size_of_broker(1),
    ),
    Fault("a broker of two nodes", "even-cluster", "StatefulSet/rabbitmq/rabbitmq", size_of_broker(2, 2)),
    Fault(
        "a keyspace with more copies than the ring has nodes",
        "replication-above-nodes",
        "Job/pp-cs/chat-service-database-schema-957233c1",
        edit("Job/pp-cs/chat-service-database-schema-957233c1", variable("NODES", "3")),
    ),
    Fault(
        "a schema that was written for a larger ring",
        "replication-above-nodes",
        "Job/pp-ls/location-service-database-schema-dbe87038",
        edit("ConfigMap/pp-ls/location-service-database-schema", keyspace(3)),
    ),
    Fault(
        "a heap as large as the container",
        "heap-above-limit",
        "StatefulSet/pp-cs/chat-service-database",
        edit("StatefulSet/pp-cs/chat-service-database", variable("MAX_HEAP_SIZE", "1664M")),
    ),
    Fault(
        "options of Java from another machine",
        "heap-above-limit",
        "Deployment/pp-ls/location-service",
        edit("Deployment/pp-ls/location-service", variable("JAVA_TOOL_OPTIONS", "-XX:+UseZGC -Xmx2g")),
    ),
    Fault(
        "a heap among the arguments",
        "heap-above-limit",
        "Deployment/pp-cs/chat-service",
        edit(
            "Deployment/pp-cs/chat-service",
            lambda manifest: container(manifest).update(command=["java", "-Xmx3072m", "-jar", "/app/chat.jar"]),
        ),
    ),
    Fault(
        "files in memory that are larger than the memory",
        "memory-volume-above-limit",
        "StatefulSet/rabbitmq/rabbitmq",
        edit(
            "StatefulSet/rabbitmq/rabbitmq",
            lambda manifest: next(
                volume for volume in pod_spec(manifest)["volumes"] if volume["name"] == "definitions"
            )["emptyDir"].update(sizeLimit="2Gi"),
        ),
    ),
]

HARMLESS = [
    Harmless("one node more", pool(nodes=5)),
    Harmless("larger nodes", pool(size="s-8vcpu-16gb")),
    Harmless(
        "an autoscaler of pods whose nodes are scaled too",
        both(pool(nodes_max=8), edit("HorizontalPodAutoscaler/pp-gws/gateway", scale(2, 20))),
    ),
    Harmless("a size that nobody knows", pool(size="gpu-h100x8-640gb")),
    Harmless("three nodes of the broker that must be apart", edit("StatefulSet/rabbitmq/rabbitmq", apart)),
    Harmless("pods that are preferably apart", edit("Deployment/pp-gws/gateway", preferably_apart)),
    Harmless(
        "five nodes of the broker, evenly on four",
        both(
            size_of_broker(5, 5),
            edit("StatefulSet/rabbitmq/rabbitmq", asks("256Mi", limit="1Gi")),
        ),
    ),
    Harmless(
        "one pod with a volume of one node that ends before the next begins",
        both(
            alone,
            edit(
                "Deployment/pp-us/user-service",
                mounts_dumps,
                lambda manifest: manifest["spec"].update(strategy={"type": "Recreate"}),
            ),
        ),
    ),
    Harmless(
        "an update that takes pods away before it adds new ones",
        edit(
            "Deployment/pp-ls/location-service",
            lambda manifest: manifest["spec"]["strategy"].update(
                rollingUpdate={"maxSurge": "25%", "maxUnavailable": "50%"}
            ),
        ),
    ),
    Harmless(
        "a heap of two thirds of the container",
        edit("StatefulSet/pp-cs/chat-service-database", variable("MAX_HEAP_SIZE", "1024M")),
    ),
    Harmless(
        "as many copies as nodes",
        edit("ConfigMap/pp-ls/location-service-database-schema", keyspace(2)),
    ),
    Harmless(
        "a small volume in memory",
        edit(
            "StatefulSet/rabbitmq/rabbitmq",
            lambda manifest: next(
                volume for volume in pod_spec(manifest)["volumes"] if volume["name"] == "definitions"
            )["emptyDir"].update(sizeLimit="16Mi"),
        ),
    ),
]

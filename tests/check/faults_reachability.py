"""Faults of the network: what is called and blocked, and what is open that nobody calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from corpus import Fault, Harmless, Manifest, Tree, container

TCP = "TCP"


def rules_of(manifest: Manifest, direction: str) -> list[dict[str, Any]]:
    """Return the rules of a policy in one direction."""
    return manifest["spec"].setdefault(direction, [])  # type: ignore[no-any-return]


def opens(rule: Manifest, port: int | str) -> bool:
    """Tell whether a rule opens a port."""
    return any(entry.get("port") == port for entry in rule.get("ports", []))


def named(namespace: str, name: str) -> dict[str, Any]:
    """Return the peer that generated policies name pods by."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": name}},
    }


def rule(key: str, peer: dict[str, Any] | None, *ports: int | str, protocol: str = TCP) -> dict[str, Any]:
    """Return a rule of a policy."""
    return {
        **({key: [peer]} if peer is not None else {}),
        **({"ports": [{"port": port, "protocol": protocol} for port in ports]} if ports else {}),
    }


def without(direction: str, port: int) -> Callable[[Manifest], None]:
    """Return a change that closes a port: rules that open nothing else go, others lose the port."""

    def change(manifest: Manifest) -> None:
        kept = []
        for entry in rules_of(manifest, direction):
            ports = [one for one in entry.get("ports", []) if one.get("port") != port]
            if ports == entry.get("ports", []):
                kept.append(entry)
            elif ports:
                kept.append({**entry, "ports": ports})
        manifest["spec"][direction] = kept

    return change


def adding(direction: str, new: dict[str, Any]) -> Callable[[Manifest], None]:
    """Return a change that adds a rule."""
    return lambda manifest: rules_of(manifest, direction).append(new)


def renumbered(direction: str, old: int, new: int) -> Callable[[Manifest], None]:
    """Return a change that writes another number for a port."""

    def change(manifest: Manifest) -> None:
        for entry in rules_of(manifest, direction):
            for port in entry.get("ports", []):
                if port.get("port") == old:
                    port["port"] = new

    return change


def both(*changes: Callable[[Tree], object]) -> Callable[[Tree], object]:
    """Return several changes as one."""

    def plant(tree: Tree) -> None:
        for change in changes:
            change(tree)

    return plant


def policy(name: str, change: Callable[[Manifest], object]) -> Callable[[Tree], object]:
    """Return a change of a policy."""
    return lambda tree: tree.edit(f"NetworkPolicy/{name}", change)


def misspelled_peer(manifest: Manifest) -> None:
    """Write the label of the gateway's pods as somebody would who knows other conventions."""
    for entry in rules_of(manifest, "ingress"):
        for peer in entry["from"]:
            if peer["podSelector"]["matchLabels"].get("app.kubernetes.io/name") == "gateway":
                peer["podSelector"]["matchLabels"] = {"app": "gateway"}


def other_env(name: str, value: str) -> Callable[[Manifest], None]:
    """Return a change that gives a container one more variable."""
    return lambda manifest: container(manifest).setdefault("env", []).append({"name": name, "value": value})


def only_dns_over(protocol: str) -> Callable[[Manifest], None]:
    """Return a change that leaves DNS one protocol."""

    def change(manifest: Manifest) -> None:
        for entry in rules_of(manifest, "egress"):
            entry["ports"] = [port for port in entry["ports"] if port["protocol"] == protocol]

    return change


def open_block(manifest: Manifest) -> None:
    """Forget what is not the internet."""
    for entry in rules_of(manifest, "egress"):
        for peer in entry.get("to", []):
            peer.get("ipBlock", {}).pop("except", None)


def nothing_but_default(tree: Tree) -> None:
    """Install a component in a namespace that nobody thought of policies for."""
    for path in list(tree.files):
        if path.startswith(f"dist/{tree.environment}/gateway/NetworkPolicy-"):
            del tree.files[path]


def metrics_of_chat(tree: Tree) -> None:
    """Monitor a port that the policies do not know of."""
    tree.add(
        "monitoring",
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {"name": "chat-service-management", "namespace": "monitoring"},
            "spec": {
                "namespaceSelector": {"matchNames": ["pp-cs"]},
                "selector": {"matchLabels": {"app.kubernetes.io/name": "chat-service"}},
                "podMetricsEndpoints": [{"port": "management"}],
            },
        },
    )


def ingress_for_api(manifest: Manifest) -> None:
    """Let everybody call the gRPC port."""
    rules_of(manifest, "ingress").append(rule("from", None, 5052))


def by_one_label(manifest: Manifest) -> None:
    """Select what all pods of the system have in common."""
    for entry in rules_of(manifest, "ingress"):
        if opens(entry, 5052):
            entry["from"] = [
                {
                    "namespaceSelector": {},
                    "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "positionpal"}},
                }
            ]


def shell_in_debug_pod(tree: Tree) -> None:
    """Deploy a pod that no policy is about, into a namespace without a default deny."""
    tree.remove("NetworkPolicy/pp-us/default-deny")
    tree.remove("NetworkPolicy/pp-us/dns")
    tree.add(
        "user-service",
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "debug", "namespace": "pp-us", "annotations": {"argocd.argoproj.io/sync-wave": "3"}},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "debug"}},
                "template": {
                    "metadata": {"labels": {"app": "debug"}},
                    "spec": {
                        "automountServiceAccountToken": False,
                        "securityContext": {
                            "runAsNonRoot": True,
                            "runAsUser": 1000,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [
                            {
                                "name": "shell",
                                "image": f"busybox:1.37.0@sha256:{'0' * 64}",
                                "command": ["sleep", "1d"],
                                "resources": {
                                    "requests": {"cpu": "10m", "memory": "16Mi"},
                                    "limits": {"memory": "64Mi"},
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
    )


FAULTS = [
    Fault(
        "the client lost its egress to the broker",
        "call-blocked",
        "Deployment/pp-us/user-service",
        policy("pp-us/user-service", without("egress", 5672)),
    ),
    Fault(
        "the broker lost the ingress of one client",
        "call-blocked",
        "Deployment/pp-cs/chat-service",
        policy(
            "rabbitmq/rabbitmq",
            lambda manifest: rules_of(manifest, "ingress").remove(rule("from", named("pp-cs", "chat-service"), 5672)),
        ),
    ),
    Fault(
        "the label of the caller is misspelled in the policy of who is called",
        "call-blocked",
        "Deployment/pp-gws/gateway",
        policy("pp-ns/notification-service", misspelled_peer),
    ),
    Fault(
        "a call that only a wait declares is blocked",
        "call-blocked",
        "Deployment/pp-ls/location-service",
        policy("pp-ls/location-service", without("egress", 5052)),
    ),
    Fault(
        "the schema Job may not call the database",
        "call-blocked",
        "Job/pp-cs/chat-service-database-schema-957233c1",
        lambda tree: tree.remove("NetworkPolicy/pp-cs/chat-service-database-schema"),
    ),
    Fault(
        "the dumps may not call the database",
        "call-blocked",
        "CronJob/pp-ns/notification-service-database-backup",
        policy(
            "pp-ns/notification-service-database",
            lambda manifest: manifest["spec"]["ingress"].pop(2),
        ),
    ),
    Fault(
        "the policy opens the port of the Service and not that of the pods",
        "call-blocked",
        "Deployment/pp-gws/gateway",
        both(
            lambda tree: tree.edit(
                "Service/pp-us/user-service", lambda manifest: manifest["spec"]["ports"][0].update(port=80)
            ),
            lambda tree: tree.replace(
                "user-service.pp-us.svc.cluster.local:5052", "user-service.pp-us.svc.cluster.local:80"
            ),
            policy("pp-us/user-service", renumbered("ingress", 5052, 80)),
        ),
        also=("policy-port-undeclared",),
    ),
    Fault(
        "the container listens on another port than before",
        "call-blocked",
        "Deployment/pp-gws/gateway",
        lambda tree: tree.edit(
            "Deployment/pp-us/user-service",
            lambda manifest: container(manifest)["ports"][0].update(containerPort=6052),
        ),
        also=("policy-port-undeclared",),
    ),
    Fault(
        "the policy is for UDP",
        "call-blocked",
        "Deployment/pp-us/user-service",
        policy(
            "pp-us/user-service-database",
            lambda manifest: manifest["spec"]["ingress"][1]["ports"][0].update(protocol="UDP"),
        ),
        also=("policy-port-undeclared",),
    ),
    Fault(
        "a client got a new address that no policy knows",
        "call-blocked",
        "Deployment/pp-gws/gateway",
        lambda tree: tree.edit(
            "ConfigMap/gateway", lambda manifest: manifest["data"].update(RABBITMQ_URL="amqp://rabbitmq.rabbitmq.svc")
        ),
    ),
    Fault(
        "the policy of the caller names a namespace by a label that it does not have",
        "call-blocked",
        "Deployment/pp-gws/gateway",
        policy(
            "pp-gws/gateway",
            lambda manifest: manifest["spec"]["egress"][0]["to"][0].update(
                namespaceSelector={"matchLabels": {"name": "pp-cs"}}
            ),
        ),
    ),
    Fault(
        "the gateway lost its policy",
        "public-port-closed",
        "Service/pp-gws/gateway",
        lambda tree: tree.remove("NetworkPolicy/pp-gws/gateway"),
        also=("call-blocked", "metrics-blocked"),
    ),
    Fault(
        "another port is exposed than the policy opens",
        "public-port-closed",
        "Service/pp-ls/location-service",
        lambda tree: tree.edit(
            "Service/pp-ls/location-service", lambda manifest: manifest["spec"].update(type="NodePort")
        ),
    ),
    Fault(
        "the nodes of the broker may not call each other",
        "peers-blocked",
        "StatefulSet/rabbitmq/rabbitmq",
        policy(
            "rabbitmq/rabbitmq",
            lambda manifest: (
                manifest["spec"].pop("egress"),
                without("ingress", 4369)(manifest),
                without("ingress", 25672)(manifest),
            ),
        ),
    ),
    Fault(
        "the replicas of the Akka cluster may not call each other",
        "peers-blocked",
        "Deployment/pp-cs/chat-service",
        policy("pp-cs/chat-service", lambda manifest: manifest["spec"]["egress"].pop(0)),
        also=("one-sided-rule",),
    ),
    Fault(
        "the ring has no way between its nodes",
        "peers-blocked",
        "StatefulSet/pp-ls/location-service-database",
        policy("pp-ls/location-service-database", without("ingress", 7000)),
    ),
    Fault(
        "no pod of the namespace can ask DNS",
        "dns-blocked",
        "Deployment/pp-gws/gateway",
        lambda tree: tree.remove("NetworkPolicy/pp-gws/dns"),
    ),
    Fault(
        "the policy of DNS has the wrong label",
        "dns-blocked",
        "Deployment/pp-us/user-service",
        policy(
            "pp-us/dns",
            lambda manifest: manifest["spec"]["egress"][0]["to"][0]["podSelector"].update(
                matchLabels={"k8s-app": "coredns"}
            ),
        ),
    ),
    Fault(
        "DNS is open over UDP only",
        "dns-over-tcp-blocked",
        "Deployment/pp-ls/location-service",
        policy("pp-ls/dns", only_dns_over("UDP")),
    ),
    Fault(
        "Prometheus may not call what is monitored",
        "metrics-blocked",
        "PodMonitor/monitoring/rabbitmq",
        policy("monitoring/prometheus", without("egress", 15692)),
    ),
    Fault(
        "the broker does not let Prometheus in",
        "metrics-blocked",
        "PodMonitor/monitoring/rabbitmq",
        policy("rabbitmq/rabbitmq", without("ingress", 15692)),
    ),
    Fault(
        "a new monitor has no way",
        "metrics-blocked",
        "PodMonitor/monitoring/chat-service-management",
        metrics_of_chat,
    ),
    Fault(
        "Akka cannot ask the Kubernetes API for its peers",
        "api-blocked",
        "Deployment/pp-cs/chat-service",
        policy("pp-cs/chat-service", lambda manifest: manifest["spec"]["egress"].pop()),
    ),
    Fault(
        "the way to the internet is no way to the Kubernetes API",
        "api-blocked",
        "Deployment/pp-ls/location-service",
        policy(
            "pp-ls/location-service",
            lambda manifest: manifest["spec"]["egress"].remove(rule("to", None, 443, 6443)),
        ),
    ),
    Fault(
        "a host of the internet is given and not opened",
        "internet-blocked",
        "Deployment/pp-us/user-service",
        lambda tree: tree.edit(
            "Deployment/pp-us/user-service", other_env("AVATAR_SERVICE", "https://api.gravatar.com/v3")
        ),
    ),
    Fault(
        "a rule of a client that calls no more was left",
        "traffic-without-reason",
        "NetworkPolicy/pp-ns/notification-service-database",
        both(
            policy(
                "pp-ns/notification-service-database",
                adding("ingress", rule("from", named("pp-us", "user-service"), 5432)),
            ),
            policy(
                "pp-us/user-service",
                adding("egress", rule("to", named("pp-ns", "notification-service-database"), 5432)),
            ),
        ),
    ),
    Fault(
        "the management port is opened to a client of the broker",
        "traffic-without-reason",
        "NetworkPolicy/rabbitmq/rabbitmq",
        both(
            policy("rabbitmq/rabbitmq", adding("ingress", rule("from", named("pp-us", "user-service"), 15672))),
            policy("pp-us/user-service", adding("egress", rule("to", named("rabbitmq", "rabbitmq"), 15672))),
        ),
    ),
    Fault(
        "a rule opens all ports of the database",
        "traffic-without-reason",
        "NetworkPolicy/pp-ls/location-service-database",
        both(
            policy("pp-ls/location-service-database", lambda manifest: manifest["spec"]["ingress"][1].pop("ports")),
            policy("pp-ls/location-service", lambda manifest: manifest["spec"]["egress"][1].pop("ports")),
        ),
    ),
    Fault(
        "everything of the system may call a service, and one has a way that it does not need",
        "traffic-without-reason",
        "NetworkPolicy/pp-us/user-service",
        both(
            policy("pp-us/user-service", by_one_label),
            policy("pp-ls/location-service", adding("egress", rule("to", named("pp-us", "user-service"), 5052))),
        ),
    ),
    Fault(
        "the way to the public port is opened to who does not call it",
        "traffic-without-reason",
        "NetworkPolicy/pp-cs/chat-service",
        policy("pp-cs/chat-service", adding("egress", rule("to", named("pp-gws", "gateway"), 3000))),
    ),
    Fault(
        "a range of ports is opened for a call that is none of them",
        "traffic-without-reason",
        "NetworkPolicy/pp-cs/chat-service",
        both(
            policy(
                "pp-cs/chat-service",
                adding(
                    "ingress",
                    {
                        "from": [named("pp-gws", "gateway")],
                        "ports": [{"port": 8500, "endPort": 26000, "protocol": "TCP"}],
                    },
                ),
            ),
            policy("pp-gws/gateway", adding("egress", rule("to", named("pp-cs", "chat-service"), 8558, 25520))),
        ),
    ),
    Fault(
        "only the caller's side of a new call was opened",
        "one-sided-rule",
        "NetworkPolicy/pp-gws/gateway",
        policy("pp-gws/gateway", adding("egress", rule("to", named("rabbitmq", "rabbitmq"), 5672))),
    ),
    Fault(
        "only the side of who is called was opened",
        "one-sided-rule",
        "NetworkPolicy/pp-cs/chat-service",
        policy("pp-cs/chat-service", adding("ingress", rule("from", named("pp-us", "user-service"), 8080))),
    ),
    Fault(
        "one of the ports of the Akka cluster is open on one side only",
        "one-sided-rule",
        "NetworkPolicy/pp-ls/location-service",
        both(
            policy("pp-ls/location-service", without("ingress", 25520)),
            policy("pp-ls/location-service", without("egress", 25520)),
            policy("pp-ls/location-service", adding("egress", rule("to", named("pp-ls", "location-service"), 25520))),
        ),
    ),
    Fault(
        "every pod of every namespace may call the database",
        "empty-peer-selector",
        "NetworkPolicy/pp-us/user-service-database",
        policy("pp-us/user-service-database", adding("ingress", rule("from", {"namespaceSelector": {}}, 5432))),
    ),
    Fault(
        "every pod of the namespace may call the database",
        "empty-peer-selector",
        "NetworkPolicy/pp-ns/notification-service-database",
        policy("pp-ns/notification-service-database", adding("ingress", rule("from", {"podSelector": {}}, 5432))),
    ),
    Fault(
        "a rule without from opens a port that is not public",
        "open-to-everybody",
        "NetworkPolicy/pp-us/user-service",
        policy("pp-us/user-service", ingress_for_api),
    ),
    Fault(
        "an egress rule without to lets a pod call everything",
        "open-to-everybody",
        "NetworkPolicy/pp-gws/gateway",
        policy("pp-gws/gateway", adding("egress", {})),
    ),
    Fault(
        "a way to the Kubernetes API is open to pods that do not call it",
        "open-to-everybody",
        "NetworkPolicy/pp-us/user-service",
        policy("pp-us/user-service", adding("egress", rule("to", None, 443, 6443))),
    ),
    Fault(
        "the way to the internet is a way to the cluster too",
        "ip-block-covers-cluster",
        "NetworkPolicy/pp-ns/notification-service",
        policy("pp-ns/notification-service", open_block),
    ),
    Fault(
        "the private network may call the database",
        "ip-block-covers-cluster",
        "NetworkPolicy/pp-us/user-service-database",
        policy(
            "pp-us/user-service-database", adding("ingress", rule("from", {"ipBlock": {"cidr": "10.0.0.0/8"}}, 5432))
        ),
    ),
    Fault(
        "a pod that no policy is about",
        "pods-not-isolated",
        "Deployment/pp-us/debug",
        shell_in_debug_pod,
        also=("dns-blocked",),
    ),
    Fault(
        "a namespace without policies",
        "namespace-without-policies",
        "Namespace/pp-gws",
        nothing_but_default,
    ),
    Fault(
        "a policy opens a port that the container does not have",
        "policy-port-undeclared",
        "NetworkPolicy/pp-us/user-service",
        policy("pp-us/user-service", adding("ingress", rule("from", named("pp-gws", "gateway"), 50052))),
    ),
]

HARMLESS = [
    Harmless(
        "ports by their names in policies",
        both(
            policy("pp-us/user-service", renumbered("ingress", 5052, "grpc")),  # type: ignore[arg-type]
            policy("pp-us/user-service-database", renumbered("ingress", 5432, "sql")),  # type: ignore[arg-type]
        ),
    ),
    Harmless(
        "one policy in two parts",
        both(
            lambda tree: tree.add(
                "user-service",
                {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "NetworkPolicy",
                    "metadata": {"name": "user-service-broker", "namespace": "pp-us"},
                    "spec": {
                        "podSelector": {
                            "matchExpressions": [
                                {"key": "app.kubernetes.io/name", "operator": "In", "values": ["user-service"]}
                            ]
                        },
                        "policyTypes": ["Egress"],
                        "egress": [rule("to", named("rabbitmq", "rabbitmq"), 5672)],
                    },
                },
            ),
            policy("pp-us/user-service", without("egress", 5672)),
        ),
    ),
    Harmless(
        "DNS of every namespace, for whatever answers it",
        lambda tree: tree.edit(
            "NetworkPolicy/pp-gws/dns", lambda manifest: manifest["spec"]["egress"][0]["to"][0].pop("podSelector")
        ),
    ),
    Harmless(
        "DNS wherever it is",
        policy("pp-gws/dns", lambda manifest: manifest["spec"]["egress"][0].pop("to")),
    ),
    Harmless(
        "the world as a block of addresses",
        policy(
            "pp-gws/gateway",
            lambda manifest: manifest["spec"]["ingress"][0].update({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}),
        ),
    ),
    Harmless(
        "a network of one's own outside of the cluster",
        policy(
            "pp-ns/notification-service",
            adding("egress", rule("to", {"ipBlock": {"cidr": "10.20.0.0/16"}}, 5671)),
        ),
    ),
    Harmless(
        "policies without the list of their types",
        policy("pp-cs/chat-service", lambda manifest: manifest["spec"].pop("policyTypes")),
    ),
    Harmless(
        "a new call with both sides of its policies",
        both(
            lambda tree: tree.edit(
                "Deployment/pp-us/user-service",
                other_env("CHAT_URL", "http://chat-service.pp-cs.svc.cluster.local:8080"),
            ),
            policy("pp-us/user-service", adding("egress", rule("to", named("pp-cs", "chat-service"), 8080))),
            policy("pp-cs/chat-service", adding("ingress", rule("from", named("pp-us", "user-service"), 8080))),
        ),
    ),
    Harmless(
        "a host of the internet that is open",
        lambda tree: tree.edit(
            "Deployment/pp-ls/location-service", other_env("GEOCODER", "https://api.mapbox.com/search/v1")
        ),
    ),
    Harmless(
        "no policies of who is not of this tree",
        lambda tree: tree.remove("NetworkPolicy/external-secrets/external-secrets"),
    ),
    Harmless(
        "any namespace for callers that have a label",
        policy(
            "pp-gws/gateway",
            lambda manifest: manifest["spec"]["egress"][0]["to"][0].update(namespaceSelector={}),
        ),
    ),
]

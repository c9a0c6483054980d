"""Faults that no API server refuses, and no careful team lets pass.

Nothing here looks like a secret: what does is put together when the tests run.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from corpus import Fault, Harmless, Manifest, Tree, container
from faults_references import append, both, change, drop, in_container

GATEWAY = "Deployment/gateway"
USER = "Deployment/user-service"
RABBITMQ = "StatefulSet/rabbitmq"
PROJECT = "AppProject/positionpal"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"
IN_USERS = "Deployment/pp-us/user-service"
IN_GATEWAY = "Deployment/pp-gws/gateway"

#: Letters and digits that no person would think of.
RANDOM = base64.b64encode(bytes(range(160, 190))).decode().replace("/", "x").rstrip("=")
PRIVATE_KEY = "\n".join(
    ["-" * 5 + "BEGIN " + "PRIVATE KEY" + "-" * 5, RANDOM, "-" * 5 + "END " + "PRIVATE KEY" + "-" * 5]
)


def variable(name: str, value: str) -> Callable[[Tree], None]:
    """Return what gives the user service an environment variable."""
    return in_container(USER, lambda found: found.setdefault("env", []).append({"name": name, "value": value}))


def secret(**content: Any) -> Callable[[Tree], None]:
    """Return what adds a Secret to the gateway that a variable reads."""
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login", "namespace": "pp-gws"},
        **content,
    }
    reference = {"name": "LOGIN", "valueFrom": {"secretKeyRef": {"name": "login", "key": "login"}}}
    return both(
        append(PROJECT, "spec.namespaceResourceWhitelist", {"group": "", "kind": "Secret"}),
        lambda tree: tree.add("gateway", manifest),
        in_container(GATEWAY, lambda found: found.setdefault("env", []).append(reference)),
    )


def in_pod(name: str, edit: Callable[[Manifest], object]) -> Callable[[Tree], None]:
    """Return what changes the pods of a workload."""
    return lambda tree: tree.edit(name, lambda manifest: edit(manifest["spec"]["template"]["spec"]))


def level(namespace: str, value: str | None) -> Callable[[Tree], None]:
    """Return what sets the Pod Security level of a namespace, or takes all that it says of levels away."""

    def edit(manifest: Manifest) -> None:
        labels = manifest["metadata"]["labels"]
        if value is None:
            for key in [key for key in labels if key.startswith("pod-security.")]:
                del labels[key]
        else:
            labels["pod-security.kubernetes.io/enforce"] = value

    return lambda tree: tree.edit(f"Namespace/{namespace}", edit)


def role(name: str, **rule: list[str]) -> Callable[[Tree], None]:
    """Return what gives a role another rule."""
    return append(name, "rules", rule)


def binding(role_name: str, account: str) -> Manifest:
    """Return a ClusterRoleBinding."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "gateway"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role_name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "pp-gws"}],
    }


def budget(name: str, **spec: Any) -> Callable[[Tree], None]:
    """Return what gives a PodDisruptionBudget other bounds."""

    def edit(manifest: Manifest) -> None:
        manifest["spec"] = {"selector": manifest["spec"]["selector"], **spec}

    return lambda tree: tree.edit(f"PodDisruptionBudget/{name}", edit)


def second_budget(tree: Tree) -> None:
    """Add a budget over all pods of the namespace of the user service."""
    tree.add(
        "user-service",
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {
                "name": "everything",
                "namespace": "pp-us",
                "annotations": {"argocd.argoproj.io/sync-wave": "1"},
            },
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/part-of": "positionpal"}}},
        },
    )


def chart_values(edit: Callable[[Manifest], object]) -> Callable[[Tree], None]:
    """Return what changes the values of the monitoring's chart."""
    return lambda tree: tree.edit(
        "Application/monitoring", lambda manifest: edit(manifest["spec"]["sources"][0]["helm"]["valuesObject"])
    )


def same_probe(manifest: Manifest) -> None:
    """Let the liveness probe of a container be its readiness probe."""
    found = container(manifest)
    found["livenessProbe"] = dict(found["readinessProbe"])


def mount_token(tree: Tree) -> None:
    """Let the gateway have a token, as everybody has who says nothing."""
    tree.edit(GATEWAY, lambda manifest: manifest["spec"]["template"]["spec"].pop("automountServiceAccountToken"))
    tree.edit("ServiceAccount/gateway", lambda manifest: manifest.pop("automountServiceAccountToken"))


def host_path(spec: Manifest) -> None:
    """Mount a path of the node."""
    spec["volumes"].append({"name": "node", "hostPath": {"path": "/var/log"}})
    spec["containers"][0]["volumeMounts"].append({"name": "node", "mountPath": "/node"})


def created_by_argocd(tree: Tree) -> None:
    """Let Argo CD create the namespace of the gateway, as many do."""
    tree.remove("Namespace/pp-gws")
    append("Application/gateway", "spec.syncPolicy.syncOptions", "CreateNamespace=true")(tree)


FAULTS = [
    Fault(
        "no security context at all",
        "pod-security-violated",
        IN_USERS,
        in_container(USER, lambda found: found.pop("securityContext")),
    ),
    Fault(
        "an init container that may gain privileges",
        "pod-security-violated",
        IN_GATEWAY,
        drop(GATEWAY, f"{POD}.initContainers.0.securityContext.allowPrivilegeEscalation"),
    ),
    Fault(
        "pods that may run as root",
        "pod-security-violated",
        IN_USERS,
        drop(USER, f"{POD}.securityContext.runAsNonRoot"),
    ),
    Fault(
        "pods without a seccomp profile",
        "pod-security-violated",
        IN_USERS,
        drop(USER, f"{POD}.securityContext.seccompProfile"),
    ),
    Fault(
        "a container that keeps the right to take any port",
        "pod-security-violated",
        IN_GATEWAY,
        change(GATEWAY, f"{CONTAINER}.securityContext.capabilities", {"add": ["NET_BIND_SERVICE"]}),
    ),
    Fault(
        "a container that adds the right to administer the network",
        "pod-security-violated",
        IN_GATEWAY,
        change(GATEWAY, f"{CONTAINER}.securityContext.capabilities.add", ["NET_ADMIN"]),
    ),
    Fault("a path of the node", "pod-security-violated", IN_USERS, in_pod(USER, host_path)),
    Fault(
        "the network of the node",
        "pod-security-violated",
        IN_GATEWAY,
        change(GATEWAY, f"{POD}.hostNetwork", True),
        also=("call-blocked",),
    ),
    Fault(
        "a port of the node",
        "pod-security-violated",
        IN_GATEWAY,
        change(GATEWAY, f"{CONTAINER}.ports.0.hostPort", 80),
    ),
    Fault(
        "a volume of a kind that only administrators may name",
        "pod-security-violated",
        IN_USERS,
        both(
            append(USER, f"{POD}.volumes", {"name": "share", "nfs": {"server": "10.0.0.5", "path": "/share"}}),
            append(USER, f"{CONTAINER}.volumeMounts", {"name": "share", "mountPath": "/share"}),
        ),
    ),
    Fault(
        "a user that is root",
        "pod-security-violated",
        IN_GATEWAY,
        change(GATEWAY, f"{CONTAINER}.securityContext.runAsUser", 0),
    ),
    Fault(
        "a level that there is not",
        "pod-security-level-unknown",
        "Namespace/pp-us",
        level("pp-us", "restrictd"),
    ),
    Fault("a namespace that enforces nothing", "pod-security-level-missing", "Namespace/pp-us", level("pp-us", None)),
    Fault(
        "a namespace that Argo CD makes without labels",
        "pod-security-level-missing",
        "Application/argocd/gateway",
        created_by_argocd,
    ),
    Fault(
        "a privileged container where it may be",
        "privileged-pods",
        IN_USERS,
        both(
            level("pp-us", "privileged"),
            change(USER, f"{CONTAINER}.securityContext", {"privileged": True}),
        ),
    ),
    Fault(
        "root where it may be",
        "privileged-pods",
        IN_USERS,
        both(level("pp-us", "privileged"), change(USER, f"{CONTAINER}.securityContext.runAsUser", 0)),
    ),
    Fault(
        "a container that requests nothing",
        "requests-missing",
        IN_USERS,
        drop(USER, f"{CONTAINER}.resources.requests.cpu"),
    ),
    Fault(
        "an init container without resources",
        "requests-missing",
        IN_GATEWAY,
        drop(GATEWAY, f"{POD}.initContainers.0.resources"),
        also=("memory-limit-missing",),
    ),
    Fault(
        "a container with all memory of its node",
        "memory-limit-missing",
        "StatefulSet/rabbitmq/rabbitmq",
        drop(RABBITMQ, f"{CONTAINER}.resources.limits"),
    ),
    Fault(
        "the latest version of an image",
        "image-not-pinned",
        IN_GATEWAY,
        change(GATEWAY, f"{CONTAINER}.image", "positionpal/gateway:latest"),
    ),
    Fault(
        "an image without a version",
        "image-not-pinned",
        IN_GATEWAY,
        change(GATEWAY, f"{CONTAINER}.image", "registry.example.org:5000/positionpal/gateway"),
    ),
    Fault(
        "a major version of an image",
        "image-not-pinned",
        "StatefulSet/rabbitmq/rabbitmq",
        change(RABBITMQ, f"{CONTAINER}.image", "rabbitmq:4-management"),
    ),
    Fault(
        "a role for everything in its namespace",
        "wildcard-permission",
        "Role/pp-cs/chat-service",
        role("Role/chat-service", apiGroups=["*"], resources=["*"], verbs=["*"]),
    ),
    Fault(
        "all verbs for Secrets",
        "wildcard-permission",
        "Role/secret-store/secret-store-reader",
        role("Role/secret-store-reader", apiGroups=[""], resources=["secrets"], verbs=["*"]),
    ),
    Fault(
        "a gateway that is the administrator",
        "cluster-admin-bound",
        "ClusterRoleBinding/gateway",
        lambda tree: tree.add("gateway", binding("cluster-admin", "gateway")),
    ),
    Fault("a token for nothing", "token-without-role", "ServiceAccount/pp-gws/gateway", mount_token),
    Fault(
        "a token that only the pods ask for",
        "token-without-role",
        IN_USERS,
        change(USER, f"{POD}.automountServiceAccountToken", True),
    ),
    Fault(
        "a project for every repository",
        "project-wildcard",
        "AppProject/argocd/positionpal",
        change(PROJECT, "spec.sourceRepos", ["*"]),
    ),
    Fault(
        "a project for every namespace",
        "project-wildcard",
        "AppProject/argocd/positionpal",
        append(PROJECT, "spec.destinations", {"server": "https://kubernetes.default.svc", "namespace": "*"}),
    ),
    Fault(
        "a project for every kind of the cluster",
        "project-wildcard",
        "AppProject/argocd/positionpal",
        change(PROJECT, "spec.clusterResourceWhitelist", [{"group": "*", "kind": "*"}]),
    ),
    Fault(
        "an Application in the project of everybody",
        "default-project",
        "Application/argocd/gateway",
        change("Application/gateway", "spec.project", "default"),
    ),
    Fault(
        "a Secret with its values",
        "secret-in-git",
        "Secret/pp-gws/login",
        secret(stringData={"login": "the-password"}),
    ),
    Fault(
        "a Secret with its values, in Base64",
        "secret-in-git",
        "Secret/pp-gws/login",
        secret(data={"login": base64.b64encode(b"the-password").decode()}),
    ),
    Fault(
        "a private key in a ConfigMap",
        "credential-in-clear",
        "ConfigMap/pp-us/user-service",
        change("ConfigMap/user-service", "data.SIGNING", PRIVATE_KEY),
    ),
    Fault(
        "a token of a well-known service in a variable",
        "credential-in-clear",
        IN_USERS,
        variable("GIT_AUTH", "gh" + "p_" + "a1B2" * 9),
    ),
    Fault("a password in a variable", "credential-in-clear", IN_USERS, variable("SMTP_PASSWORD", "correct-horse")),
    Fault("a random key in a variable", "credential-in-clear", IN_USERS, variable("REPORTS_SECRET", RANDOM)),
    Fault(
        "a password in an address",
        "credential-in-clear",
        IN_USERS,
        variable("AUDIT_LOG", "syslog://audit:" + "corr3ct-horse" + "@203.0.113.9:6514/log"),
    ),
    Fault(
        "a token in the arguments of a program",
        "credential-in-clear",
        IN_USERS,
        in_container(USER, lambda found: found.update(args=["--api-password=" + RANDOM])),
    ),
    Fault(
        "a password in the values of a chart",
        "credential-in-clear",
        "Application/argocd/monitoring",
        chart_values(lambda values: values["grafana"].update(adminPassword="correct-horse")),
    ),
    Fault(
        "the password of a guest",
        "default-credentials",
        "StatefulSet/rabbitmq/rabbitmq",
        append(RABBITMQ, f"{CONTAINER}.env", {"name": "RABBITMQ_DEFAULT_PASS", "value": "guest"}),
    ),
    Fault(
        "a password in a configuration of RabbitMQ",
        "default-credentials",
        "ConfigMap/rabbitmq/rabbitmq",
        lambda tree: tree.edit(
            "ConfigMap/rabbitmq",
            lambda manifest: manifest["data"].update(
                {
                    "10-rabbitmq.conf": manifest["data"]["10-rabbitmq.conf"]
                    + "default_user = guest\ndefault_pass = guest\n"
                }
            ),
        ),
    ),
    Fault(
        "a password that is the name of its user",
        "default-credentials",
        IN_USERS,
        both(variable("REPORTS_USERNAME", "reports"), variable("REPORTS_PASSWORD", "reports")),
    ),
    Fault(
        "the password with which Grafana comes",
        "default-credentials",
        "Application/argocd/monitoring",
        chart_values(lambda values: values["grafana"].update(adminPassword="prom-operator")),
    ),
    Fault(
        "a Service before a container without a readiness probe",
        "readiness-probe-missing",
        IN_GATEWAY,
        drop(GATEWAY, f"{CONTAINER}.readinessProbe"),
    ),
    Fault(
        "a liveness probe that is the readiness probe",
        "liveness-like-readiness",
        IN_GATEWAY,
        lambda tree: tree.edit(GATEWAY, same_probe),
    ),
    Fault(
        "a hook that waits longer than the pod may",
        "hook-outlasts-grace-period",
        IN_GATEWAY,
        change(GATEWAY, f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 70),
    ),
    Fault(
        "a shell that sleeps longer than pods may by default",
        "hook-outlasts-grace-period",
        IN_USERS,
        both(
            drop(USER, f"{POD}.terminationGracePeriodSeconds"),
            in_container(
                USER,
                lambda found: found.update(lifecycle={"preStop": {"exec": {"command": ["/bin/sh", "-c", "sleep 45"]}}}),
            ),
        ),
    ),
    Fault(
        "a budget that wants all replicas of the smallest number",
        "budget-blocks-drain",
        "PodDisruptionBudget/pp-gws/gateway",
        budget("gateway", minAvailable=2),
    ),
    Fault(
        "a budget that allows nothing",
        "budget-blocks-drain",
        "PodDisruptionBudget/rabbitmq/rabbitmq",
        budget("rabbitmq", maxUnavailable=0),
    ),
    Fault(
        "a budget of a share that is rounded up to all",
        "budget-blocks-drain",
        "PodDisruptionBudget/pp-gws/gateway",
        budget("gateway", minAvailable="60%"),
    ),
    Fault(
        "a second budget over everything",
        "pods-with-two-budgets",
        "PodDisruptionBudget/pp-us/user-service",
        second_budget,
    ),
    Fault(
        "replicas without a budget",
        "replicas-without-budget",
        IN_GATEWAY,
        lambda tree: tree.remove("PodDisruptionBudget/gateway"),
    ),
    Fault(
        "replicas that may share a node",
        "replicas-not-spread",
        IN_GATEWAY,
        drop(GATEWAY, f"{POD}.topologySpreadConstraints"),
    ),
]

HARMLESS = [
    Harmless("an exact version without a digest", change(GATEWAY, f"{CONTAINER}.image", "positionpal/gateway:3.2.0")),
    Harmless(
        "a commit as the version of an image", change(GATEWAY, f"{CONTAINER}.image", "positionpal/gateway:sha-4f2c9b1")
    ),
    Harmless(
        "a looser level that the pods keep to as well",
        both(
            level("pp-us", "baseline"),
            in_container(USER, lambda found: found["securityContext"].pop("allowPrivilegeEscalation")),
        ),
    ),
    Harmless(
        "a port below 1024 under restricted",
        change(GATEWAY, f"{CONTAINER}.securityContext.capabilities.add", ["NET_BIND_SERVICE"]),
    ),
    Harmless("a budget in shares", budget("gateway", minAvailable="50%")),
    Harmless(
        "replicas that shun each other",
        both(
            drop(GATEWAY, f"{POD}.topologySpreadConstraints"),
            change(
                GATEWAY,
                f"{POD}.affinity",
                {
                    "podAntiAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 100,
                                "podAffinityTerm": {
                                    "topologyKey": "kubernetes.io/hostname",
                                    "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}},
                                },
                            }
                        ]
                    }
                },
            ),
        ),
    ),
    Harmless("a path of a password's file", variable("SMTP_PASSWORD_FILE", "/run/secrets/smtp/password")),
    Harmless(
        "a password that comes from elsewhere", both(variable("FIRST", "x"), variable("SMTP_PASSWORD", "$(FIRST)"))
    ),
    Harmless("the life of a token", variable("TOKEN_TTL", "15m")),
    Harmless(
        "the name of a Secret in the values of a chart",
        chart_values(lambda values: values["grafana"].update(envFromSecret="monitoring")),
    ),
    Harmless(
        "requests for all containers of a pod together",
        both(
            drop(USER, f"{CONTAINER}.resources"),
            change(
                USER,
                f"{POD}.resources",
                {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
            ),
        ),
    ),
    Harmless(
        "a longer wait before the end that leaves time enough",
        change(GATEWAY, f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 30),
    ),
]

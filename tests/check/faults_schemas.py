"""Faults in one object: what the API server refuses, or takes otherwise than it was meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from corpus import Fault, Harmless, Manifest, Tree
from faults_references import append, both, change, drop, in_container

from constructs_lib.kubernetes.manifest_yaml import dump

GATEWAY = "Deployment/gateway"
USER = "Deployment/user-service"
BACKUP = "CronJob/user-service-database-backup"
DATABASE = "StatefulSet/user-service-database"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


def text(name: str, old: str, new: str) -> Callable[[Tree], None]:
    """Return what changes the text of an object's file, as no dumper of YAML would write it."""

    def plant(tree: Tree) -> None:
        path = tree.path(name)
        content = tree.files[path]
        assert content.count(old.encode()) >= 1, f"{old} is not in {path}"
        tree.files[path] = content.replace(old.encode(), new.encode(), 1)

    return plant


def version(name: str, api_version: str) -> Callable[[Tree], None]:
    """Return what gives an object another API version."""
    return change(name, "apiVersion", api_version)


def custom(kind: str, **spec: Any) -> Callable[[Tree], None]:
    """Return what adds an object of a kind that has no schema of its own."""
    manifest: Manifest = {
        "apiVersion": "example.org/v1",
        "kind": kind,
        "metadata": {"name": "sample", "namespace": "pp-gws"},
        "spec": spec,
    }
    return lambda tree: tree.add("gateway", manifest)


def widget(**spec: Any) -> Callable[[Tree], None]:
    """Return what adds a CustomResourceDefinition and a resource of its kind."""
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                    "color": {"type": "string", "enum": ["red", "green"]},
                    "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        },
    }
    definition: Manifest = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org", "annotations": {"argocd.argoproj.io/sync-wave": "-1"}},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    }

    def plant(tree: Tree) -> None:
        tree.add("gateway", definition)
        custom("Widget", **spec)(tree)
        permit(tree, "example.org", "Widget")

    return plant


def permit(tree: Tree, group: str, kind: str) -> None:
    """Let the project of the components deploy a kind."""
    append("AppProject/positionpal", "spec.namespaceResourceWhitelist", {"group": group, "kind": kind})(tree)


def permitted(group: str, kind: str, plant: Callable[[Tree], object]) -> Callable[[Tree], None]:
    """Return what makes a mistake in an object of a kind that the project has to permit first."""
    return both(lambda tree: permit(tree, group, kind), plant)


def add(component: str, manifest: Manifest) -> Callable[[Tree], None]:
    """Return what adds an object."""
    return lambda tree: tree.add(component, manifest)


def file(path: str, content: bytes) -> Callable[[Tree], None]:
    """Return what adds a file."""
    return lambda tree: tree.files.update({f"dist/production/{path}": content})


def rename(name: str, new: str) -> Callable[[Tree], None]:
    """Return what gives an object another name, and nothing that names it."""
    return change(name, "metadata.name", new)


def config_map(name: str, **fields: Any) -> Manifest:
    """Return a ConfigMap that nobody needs."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "pp-gws"}, **fields}


def ingress(**rule: Any) -> Manifest:
    """Return an Ingress in front of the gateway."""
    backend = {"service": {"name": "gateway", "port": {"name": "http"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend, **rule}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "gateway", "namespace": "pp-gws", "annotations": {"argocd.argoproj.io/sync-wave": "1"}},
        "spec": {"rules": [{"host": "positionpal.example.org", "http": {"paths": [path]}}]},
    }


def with_ingress(**rule: Any) -> Callable[[Tree], None]:
    """Return what adds an Ingress with a mistake in its path."""
    return permitted("networking.k8s.io", "Ingress", add("gateway", ingress(**rule)))


def _large(tree: Tree) -> None:
    tree.add("gateway", config_map("large", data={"model.bin": "x" * (1024 * 1024 + 1)}))


def _second_port_with_the_same_name(manifest: Manifest) -> None:
    manifest["spec"]["ports"].append({**manifest["spec"]["ports"][0], "port": 3001})


FAULTS = [
    Fault(
        "an unfinished flow of YAML",
        "unreadable-file",
        "tree",
        file("gateway/broken.yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken\ndata: {}\n"),
    ),
    Fault(
        "a tab that indents",
        "unreadable-file",
        "tree",
        file("gateway/tab.yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: tab\n"),
    ),
    Fault(
        "two values of one variable in a ConfigMap",
        "duplicate-key",
        "ConfigMap/pp-gws/gateway",
        text("ConfigMap/gateway", "  PORT:", "  USER_SERVICE_URL: localhost:5052\n  PORT:"),
    ),
    Fault(
        "two lists of ports, of which a merge kept both",
        "duplicate-key",
        "Service/pp-gws/gateway",
        text("Service/gateway", "  ports:\n", "  ports: []\n  ports:\n"),
    ),
    Fault(
        "two equal keys in one line",
        "duplicate-key",
        "Service/pp-us/user-service",
        text(
            "Service/user-service",
            "  selector:\n    app.kubernetes.io/name: user-service\n",
            "  selector: {app.kubernetes.io/name: users, app.kubernetes.io/name: user-service}\n",
        ),
    ),
    Fault(
        "a Deployment of the core group",
        "unknown-kind",
        "Deployment/pp-gws/gateway",
        version(GATEWAY, "v1"),
        also=("autoscaler-without-target", "project-refuses-kind"),
    ),
    Fault(
        "a misspelled kind",
        "unknown-kind",
        "ServiceAcount/pp-gws/gateway-2",
        permitted(
            "",
            "ServiceAcount",
            add(
                "gateway",
                {"apiVersion": "v1", "kind": "ServiceAcount", "metadata": {"name": "gateway-2", "namespace": "pp-gws"}},
            ),
        ),
    ),
    Fault(
        "an autoscaler of a beta that is gone",
        "removed-api-version",
        "HorizontalPodAutoscaler/pp-gws/gateway",
        version("HorizontalPodAutoscaler/gateway", "autoscaling/v2beta2"),
    ),
    Fault(
        "a disruption budget of a beta that is long gone",
        "removed-api-version",
        "PodDisruptionBudget/pp-gws/gateway",
        version("PodDisruptionBudget/gateway", "policy/v1beta1"),
    ),
    Fault(
        "a Deployment as it was written in 2016",
        "removed-api-version",
        "Deployment/pp-gws/gateway",
        version(GATEWAY, "extensions/v1beta1"),
        also=("autoscaler-without-target", "project-refuses-kind"),
    ),
    Fault(
        "a ServiceCIDR that is still a beta",
        "deprecated-api-version",
        "ServiceCIDR/more",
        both(
            append(
                "AppProject/positionpal",
                "spec.clusterResourceWhitelist",
                {"group": "networking.k8s.io", "kind": "ServiceCIDR"},
            ),
            add(
                "gateway",
                {
                    "apiVersion": "networking.k8s.io/v1beta1",
                    "kind": "ServiceCIDR",
                    "metadata": {"name": "more"},
                    "spec": {"cidrs": ["10.96.0.0/16"]},
                },
            ),
        ),
    ),
    Fault(
        "a custom resource whose definition is elsewhere",
        "kind-without-schema",
        "Gadget/pp-gws/sample",
        permitted("example.org", "Gadget", custom("Gadget", size=1)),
    ),
    Fault(
        "a misspelled number of replicas",
        "unknown-field",
        "StatefulSet/rabbitmq/rabbitmq",
        change("StatefulSet/rabbitmq", "spec.replica", 3),
    ),
    Fault(
        "a probe in another case",
        "unknown-field",
        "Deployment/pp-us/user-service",
        in_container(USER, lambda found: found.update(readinessprobe=found.pop("readinessProbe"))),
        also=("readiness-probe-missing",),
    ),
    Fault(
        "a security context one level too high",
        "unknown-field",
        "Deployment/pp-us/user-service",
        change(USER, "spec.template.securityContext", {"runAsNonRoot": True}),
    ),
    Fault(
        "a misspelled option of an Application",
        "unknown-field",
        "Application/argocd/gateway",
        change("Application/gateway", "spec.syncPolicy.automated.selfheal", True),
    ),
    Fault(
        "a misspelled field of an ExternalSecret",
        "unknown-field",
        "ExternalSecret/pp-us/user-service",
        change("ExternalSecret/user-service", "spec.refreshinterval", "1h"),
    ),
    Fault(
        "a misspelled field of a resource whose definition is in the tree",
        "unknown-field",
        "Widget/pp-gws/sample",
        widget(size=1, colour="red"),
    ),
    Fault(
        "a number of replicas as a text",
        "wrong-type",
        "StatefulSet/rabbitmq/rabbitmq",
        change("StatefulSet/rabbitmq", "spec.replicas", "3"),
    ),
    Fault(
        "a number as the value of a variable",
        "wrong-type",
        "Deployment/pp-us/user-service",
        in_container(USER, lambda found: found.setdefault("env", []).append({"name": "POOL", "value": 8})),
    ),
    Fault(
        "a truth in an annotation",
        "wrong-type",
        "HorizontalPodAutoscaler/pp-gws/gateway",
        text("HorizontalPodAutoscaler/gateway", 'ignore-healthcheck: "true"', "ignore-healthcheck: true"),
    ),
    Fault(
        "a size as a text where the definition in the tree wants a number",
        "wrong-type",
        "Widget/pp-gws/sample",
        widget(size="large"),
    ),
    Fault(
        "an autoscaler without an upper bound",
        "missing-field",
        "HorizontalPodAutoscaler/pp-gws/gateway",
        drop("HorizontalPodAutoscaler/gateway", "spec.maxReplicas"),
    ),
    Fault(
        "a Deployment without a selector",
        "missing-field",
        "Deployment/pp-gws/gateway",
        drop(GATEWAY, "spec.selector"),
    ),
    Fault(
        "a container without an image",
        "missing-field",
        "Deployment/pp-gws/gateway",
        drop(GATEWAY, f"{CONTAINER}.image"),
    ),
    Fault(
        "a second port, and neither has a name",
        "missing-field",
        "Service/pp-us/user-service",
        lambda tree: tree.edit(
            "Service/user-service",
            lambda manifest: manifest["spec"]["ports"].append({"port": 9090, "targetPort": "grpc", "protocol": "TCP"}),
        ),
    ),
    Fault(
        "a chart without a version",
        "missing-field",
        "Application/argocd/metrics-server",
        drop("Application/metrics-server", "spec.sources.0.targetRevision"),
    ),
    Fault(
        "a peer that is nobody",
        "missing-field",
        "NetworkPolicy/pp-us/user-service",
        append("NetworkPolicy/user-service", "spec.ingress.0.from", {}),
    ),
    Fault(
        "a pull policy that is none",
        "bad-value",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{CONTAINER}.imagePullPolicy", "IfNotPresnt"),
    ),
    Fault(
        "a Job that is to restart for ever",
        "bad-value",
        "CronJob/pp-us/user-service-database-backup",
        change(BACKUP, f"spec.jobTemplate.{POD}.restartPolicy", "Always"),
    ),
    Fault(
        "a Job that says nothing of restarts",
        "bad-value",
        "CronJob/pp-us/user-service-database-backup",
        drop(BACKUP, f"spec.jobTemplate.{POD}.restartPolicy"),
    ),
    Fault(
        "a bad deletion policy of an ExternalSecret",
        "bad-value",
        "ExternalSecret/pp-us/user-service",
        change("ExternalSecret/user-service", "spec.target.deletionPolicy", "Keep"),
    ),
    Fault(
        "a color that the definition in the tree does not know",
        "bad-value",
        "Widget/pp-gws/sample",
        widget(size=1, color="grene"),
    ),
    Fault(
        "an exception outside of the block that it is taken from",
        "bad-value",
        "NetworkPolicy/pp-us/user-service",
        append(
            "NetworkPolicy/user-service",
            "spec.ingress.0.from",
            {"ipBlock": {"cidr": "203.0.113.0/24", "except": ["198.51.100.0/25"]}},
        ),
    ),
    Fault(
        "a path of an Ingress without a slash",
        "bad-value",
        "Ingress/pp-gws/gateway",
        with_ingress(path="api"),
        also=("address-never-given",),
    ),
    Fault(
        "a variable of a ConfigMap that was left empty",
        "null-value",
        "ConfigMap/pp-gws/gateway",
        text("ConfigMap/gateway", "  PORT:", "  LOG_LEVEL:\n  PORT:"),
    ),
    Fault(
        "a budget that wants two things",
        "contradictory-fields",
        "PodDisruptionBudget/pp-gws/gateway",
        change("PodDisruptionBudget/gateway", "spec.minAvailable", 1),
    ),
    Fault(
        "a variable with a value and a source",
        "contradictory-fields",
        "Deployment/pp-us/user-service",
        in_container(
            USER,
            lambda found: found.setdefault("env", []).append(
                {"name": "NODE", "value": "here", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
            ),
        ),
    ),
    Fault(
        "a probe that does two things",
        "contradictory-fields",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{CONTAINER}.readinessProbe.tcpSocket", {"port": "http"}),
    ),
    Fault(
        "a probe of an init container",
        "contradictory-fields",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{POD}.initContainers.0.readinessProbe", {"exec": {"command": ["true"]}}),
    ),
    Fault(
        "a strategy that recreates and rolls",
        "contradictory-fields",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, "spec.strategy.type", "Recreate"),
    ),
    Fault(
        "an Application with source and sources",
        "contradictory-fields",
        "Application/argocd/metrics-server",
        change(
            "Application/metrics-server",
            "spec.source",
            {"repoURL": "https://github.com/position-pal/gitops.git", "path": "dist/production/metrics-server"},
        ),
    ),
    Fault(
        "a capital in a name",
        "bad-name",
        "ConfigMap/pp-gws/Gateway-Extra",
        lambda tree: tree.add("gateway", config_map("Gateway-Extra", data={})),
        also=("config-map-unused",),
    ),
    Fault(
        "an underscore in the name of a container",
        "bad-name",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{CONTAINER}.name", "the_gateway"),
    ),
    Fault(
        "a slash in a key of a ConfigMap",
        "bad-name",
        "ConfigMap/pp-gws/paths",
        lambda tree: tree.add("gateway", config_map("paths", data={"conf.d/app.conf": "a = 1"})),
        also=("config-map-unused",),
    ),
    Fault(
        "a variable with an equals sign in its name",
        "bad-name",
        "Deployment/pp-gws/gateway",
        in_container(GATEWAY, lambda found: found.setdefault("env", []).append({"name": "A=B", "value": "c"})),
    ),
    Fault(
        "a host with a scheme",
        "bad-name",
        "Ingress/pp-gws/gateway",
        lambda tree: (
            with_ingress()(tree),
            change("Ingress/gateway", "spec.rules.0.host", "https://positionpal.example.org")(tree),
        ),
        also=("address-never-given",),
    ),
    Fault(
        "a StatefulSet whose pods could not be labelled",
        "name-too-long",
        f"StatefulSet/pp-us/user-service-database-{'x' * 32}",
        rename(DATABASE, f"user-service-database-{'x' * 32}"),
    ),
    Fault(
        "a CronJob whose Jobs could not be named",
        "name-too-long",
        f"CronJob/pp-us/user-service-database-backup-{'x' * 26}",
        rename(BACKUP, f"user-service-database-backup-{'x' * 26}"),
    ),
    Fault(
        "a space in a label",
        "bad-label",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, "spec.template.metadata.labels.team", "Location and Chat"),
    ),
    Fault(
        "two slashes in the key of an annotation",
        "bad-label",
        "Service/pp-gws/gateway",
        lambda tree: tree.edit(
            "Service/gateway", lambda manifest: manifest["metadata"]["annotations"].update({"do.com/lb/name": "pp"})
        ),
    ),
    Fault(
        "a model in a ConfigMap",
        "size-limit-exceeded",
        "ConfigMap/pp-gws/large",
        _large,
        also=("config-map-unused",),
    ),
    Fault(
        "an annotation of the size of a book",
        "size-limit-exceeded",
        "ConfigMap/pp-gws/gateway",
        change("ConfigMap/gateway", "metadata.annotations.note", "x" * 300_000),
    ),
    Fault(
        "a port beyond the last",
        "bad-port",
        "Service/pp-gws/gateway",
        change("Service/gateway", "spec.ports.0.port", 300_000),
    ),
    Fault(
        "a name of a port with more than 15 characters",
        "bad-port",
        "Deployment/pp-us/user-service",
        append(USER, f"{CONTAINER}.ports", {"name": "prometheus-metrics", "containerPort": 9465}),
        also=("metrics-unscraped",),
    ),
    Fault(
        "a number of a port as a text",
        "bad-port",
        "Service/pp-gws/gateway",
        change("Service/gateway", "spec.ports.0.targetPort", "3000"),
        also=("open-to-everybody",),
    ),
    Fault(
        "two containers with one name",
        "duplicate-name",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{POD}.initContainers.0.name", "gateway"),
    ),
    Fault(
        "two volumes at one path",
        "duplicate-name",
        "Deployment/pp-gws/gateway",
        both(
            append(GATEWAY, f"{POD}.volumes", {"name": "cache", "emptyDir": {}}),
            append(GATEWAY, f"{CONTAINER}.volumeMounts", {"name": "cache", "mountPath": "/tmp"}),
        ),
    ),
    Fault(
        "two ports with one name",
        "duplicate-name",
        "Service/pp-gws/gateway",
        lambda tree: tree.edit("Service/gateway", _second_port_with_the_same_name),
    ),
    Fault(
        "a variable twice in one container",
        "duplicate-entry",
        "StatefulSet/rabbitmq/rabbitmq",
        append("StatefulSet/rabbitmq", f"{CONTAINER}.env", {"name": "RABBITMQ_USE_LONGNAME", "value": "false"}),
    ),
    Fault(
        "memory in a unit that there is not",
        "bad-quantity",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{CONTAINER}.resources.limits.memory", "512MB"),
    ),
    Fault(
        "memory in thousandths of a byte",
        "bad-quantity",
        "Deployment/pp-gws/gateway",
        both(
            change(GATEWAY, f"{CONTAINER}.resources.limits.memory", "512m"),
            change(GATEWAY, f"{CONTAINER}.resources.requests.memory", "256m"),
        ),
    ),
    Fault(
        "a request above its limit",
        "request-above-limit",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{CONTAINER}.resources.requests.memory", "2Gi"),
    ),
    Fault(
        "a capital in the name of an image",
        "bad-image",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{CONTAINER}.image", "positionpal/Gateway:3.2.0"),
    ),
    Fault(
        "a template of an image that nobody filled in",
        "bad-image",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{CONTAINER}.image", "positionpal/gateway:{{ .Values.tag }}"),
    ),
    Fault(
        "a schedule with seconds",
        "bad-schedule",
        "CronJob/pp-us/user-service-database-backup",
        change(BACKUP, "spec.schedule", "0 17 3 * * *"),
    ),
    Fault(
        "Sunday as the seventh day",
        "bad-schedule",
        "CronJob/pp-us/user-service-database-backup",
        change(BACKUP, "spec.schedule", "17 3 * * 7"),
    ),
    Fault(
        "the thirty-first of April",
        "bad-schedule",
        "CronJob/pp-us/user-service-database-backup",
        change(BACKUP, "spec.schedule", "17 3 31 4 *"),
    ),
    Fault(
        "a time zone that there is not",
        "bad-schedule",
        "CronJob/pp-us/user-service-database-backup",
        change(BACKUP, "spec.timeZone", "Europe/Bologna"),
    ),
    Fault(
        "a Deployment that selects other pods than it makes",
        "selector-misses-template",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, "spec.selector.matchLabels", {"app.kubernetes.io/name": "gateways"}),
    ),
    Fault(
        "an operator without the values that it compares with",
        "bad-selector",
        "PodDisruptionBudget/pp-gws/gateway",
        change(
            "PodDisruptionBudget/gateway",
            "spec.selector.matchExpressions",
            [{"key": "app.kubernetes.io/name", "operator": "NotIn"}],
        ),
    ),
    Fault(
        "an autoscaler whose bounds are swapped",
        "bad-range",
        "HorizontalPodAutoscaler/pp-gws/gateway",
        both(
            change("HorizontalPodAutoscaler/gateway", "spec.minReplicas", 6),
            change("HorizontalPodAutoscaler/gateway", "spec.maxReplicas", 2),
        ),
    ),
    Fault(
        "a mode in decimal numbers",
        "bad-range",
        "StatefulSet/rabbitmq/rabbitmq",
        lambda tree: tree.edit(
            "StatefulSet/rabbitmq",
            lambda manifest: next(
                volume for volume in manifest["spec"]["template"]["spec"]["volumes"] if volume["name"] == "secrets"
            )["secret"].update(defaultMode=600),
        ),
    ),
    Fault(
        "a liveness probe that must succeed twice",
        "bad-range",
        "Deployment/pp-gws/gateway",
        change(GATEWAY, f"{CONTAINER}.livenessProbe.successThreshold", 2),
    ),
    Fault(
        "a misspelled sync option",
        "unknown-sync-option",
        "Application/argocd/gateway",
        append("Application/gateway", "spec.syncPolicy.syncOptions", "ServersideApply=true"),
    ),
    Fault(
        "a sync option of an object with another word for no",
        "unknown-sync-option",
        "StatefulSet/pp-us/user-service-database",
        text(DATABASE, "Prune=false,Delete=false", "Prune=false,Delete=no"),
        also=("data-not-protected",),
    ),
]


def _in_one_document(tree: Tree) -> None:
    """Write a component's ConfigMap and Service into one file, as people do."""
    first, second = tree.path("ConfigMap/gateway"), tree.path("Service/gateway")
    tree.files[first] = tree.files[first] + b"---\n" + tree.files.pop(second)


def _merged_with_an_anchor(tree: Tree) -> None:
    path = tree.path("ConfigMap/gateway")
    tree.files[path] = tree.files[path].replace(b"\ndata:\n", b"\ndata: &data\n") + b"  SAME: &same x\n  OTHER: *same\n"


def _created_by_kubectl(manifest: Manifest) -> None:
    manifest["metadata"]["creationTimestamp"] = None


HARMLESS = [
    Harmless("several objects in one file", _in_one_document),
    Harmless("anchors in YAML", _merged_with_an_anchor),
    Harmless("what kubectl create leaves behind", lambda tree: tree.edit("ConfigMap/gateway", _created_by_kubectl)),
    Harmless("a resource as the definition in the tree has it", widget(size=1, port="http", extra={"any": {"a": 1}})),
    Harmless(
        "an autoscaler in the older stable version",
        lambda tree: tree.edit(
            "HorizontalPodAutoscaler/gateway",
            lambda manifest: manifest.update(
                apiVersion="autoscaling/v1",
                spec={
                    "scaleTargetRef": manifest["spec"]["scaleTargetRef"],
                    "minReplicas": 2,
                    "maxReplicas": 6,
                    "targetCPUUtilizationPercentage": 75,
                },
            ),
        ),
    ),
    Harmless(
        "a schedule with names and steps",
        change(BACKUP, "spec.schedule", "*/15 0-6/2 * JAN-JUN,dec mon-fri"),
    ),
    Harmless(
        "an Application with all that Argo CD has for Kustomize",
        change(
            "Application/gateway",
            "spec.source.directory",
            {
                "recurse": False,
                "include": "*.yaml",
                "jsonnet": {"extVars": [{"name": "a", "value": "b", "code": False}]},
            },
        ),
    ),
    Harmless(
        "YAML within YAML that has the keys of its surroundings",
        change("ConfigMap/gateway", "data.NOTES", "PORT: 1\ndata:\n  PORT: 2\n"),
    ),
    Harmless("an ephemeral quantity in another notation", change(GATEWAY, f"{CONTAINER}.resources.requests.cpu", 0.1)),
    Harmless("a Service whose name begins with a digit, from 1.36", lambda tree: tree.add("gateway", _digit_service())),
    Harmless(
        "a file that is no manifest",
        lambda tree: tree.files.update({"dist/production/gateway/notes.yaml": dump({"a": [1, None]})}),
    ),
]


def _digit_service() -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "3000-gateway",
            "namespace": "pp-gws",
            "annotations": {"argocd.argoproj.io/sync-wave": "1"},
        },
        "spec": {
            "selector": {"app.kubernetes.io/name": "gateway"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }

"""The contract's facts, and where the synthesized objects show them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthesized import Manifest, PodTemplate, Synthesized

from constructs_lib import Jvm, Nodejs, Telemetry
from constructs_lib.kinds.parts import images

CONTRACT: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "contract.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = CONTRACT["services"]
INFRASTRUCTURE: dict[str, dict[str, Any]] = CONTRACT["infrastructure"]
NAMESPACES: dict[str, str] = CONTRACT["namespaces"]
DATABASES = {service: facts["database"] for service, facts in SERVICES.items() if "database" in facts}


def image_name(reference: str) -> str:
    """Return an image's name, with its registry if there is one, and assert that it has a tag and a digest."""
    match = re.fullmatch(r"([^@]+):([\w][\w.-]*)@sha256:[0-9a-f]{64}", reference)
    assert match, f"{reference} has no tag, or no digest"
    return match[1]


#: The names of the images alone: their versions are those of the day on which the contract was written, and Renovate
#: goes on from there.
IMAGES = {name: image_name(reference) for name, reference in CONTRACT["images"].items()}

#: The port that clients of a data store or broker use, and those between its own nodes.
CLIENT_PORT = {"rabbitmq": "amqp", "postgres": "sql", "cassandra": "cql"}
PEER_PORTS: dict[str, tuple[str, ...]] = {
    "rabbitmq": ("epmd", "clustering"),
    "postgres": (),
    "cassandra": ("internode",),
}

#: How the contract's last fact is done, by the runtime of a service: an agent that its pods start with. The contract
#: names the means (an init container, JAVA_TOOL_OPTIONS or NODE_OPTIONS, a port of the pod) and leaves images open.
AGENTS: dict[str, Telemetry] = {"jvm": Jvm(), "nodejs": Nodejs()}
#: The variables that an agent takes, as written out here: nothing else may join those of the contract.
AGENT_VARIABLES: dict[str, set[str]] = {
    runtime: {
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        "OTEL_LOGS_EXPORTER",
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "OTEL_METRICS_EXPORTER",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_SERVICE_NAME",
        "OTEL_TRACES_EXPORTER",
        *own,
    }
    for runtime, own in {
        "jvm": ("JAVA_TOOL_OPTIONS", "OTEL_RESOURCE_DISABLED_KEYS"),
        "nodejs": ("NODE_OPTIONS", "OTEL_NODE_RESOURCE_DETECTORS", "OTEL_SEMCONV_STABILITY_OPT_IN"),
    }.items()
}
#: The ports with metrics of what the contract knows to have none of its own.
AGENT_PORT = {"otel-metrics": 9464}
EXPORTER_PORT = {"metrics": 9187}
#: The images that measure a service, by its runtime, and a data store, by its kind.
AGENT_IMAGES = {"jvm": images.OPENTELEMETRY_JAVA, "nodejs": images.OPENTELEMETRY_NODEJS}
STORE_AGENTS = {"postgres": {images.POSTGRES_EXPORTER}, "cassandra": {images.OPENTELEMETRY_JAVA}}
#: Role and file of the password as which and with which PostgreSQL's exporter logs in.
METRICS_ROLE, METRICS_PASSWORD_FILE = "metrics_exporter", "/run/secrets/metrics/password"

#: Components that bring what the others stand on.
PLATFORM = {"cert-manager", "external-secrets", "metrics-server", "traefik"}


def of_the_contract(tree: Synthesized) -> Synthesized:
    """Return a tree without the components that the contract does not know: it says nothing of them."""
    known = {*NAMESPACES.values(), *PLATFORM}
    others = {
        name
        for name, objects in tree.components.items()
        if not {manifest["metadata"]["name"] for manifest in objects if manifest["kind"] == "Namespace"} & known
    }
    left_out = tuple(
        path
        for name in others
        for path in (f"dist/{tree.environment}/{name}/", f"argocd/{tree.environment}/Application-{name}.yaml")
    )
    return Synthesized(
        tree.environment,
        {path: content for path, content in tree.files.items() if not (left_out and path.startswith(left_out))},
    )


@pytest.fixture(name="tree", scope="session", params=["local", "production"])
def contract_tree(request: pytest.FixtureRequest, trees: dict[str, Synthesized]) -> Synthesized:
    """What the contract speaks of, in each of the environments in turn; takes the place of the whole tree."""
    return of_the_contract(trees[request.param])


# What belongs to whom


def service_pods(tree: Synthesized, service: str) -> PodTemplate:
    """Return the pods of a service's own program."""
    (template,) = tree.pods(NAMESPACES[service], ["Deployment"])
    return template


def store_pods(tree: Synthesized, service: str) -> PodTemplate:
    """Return the pods of the data store that a service has to itself; for ``rabbitmq``, the broker's."""
    (template,) = tree.pods(NAMESPACES[service], ["StatefulSet"])
    return template


def schema_pods(tree: Synthesized, service: str) -> PodTemplate:
    """Return the pods of the Job that brings a service's data store up to its schema."""
    (template,) = tree.pods(NAMESPACES[service], ["Job"])
    return template


def target_pods(tree: Synthesized, service: str, target: str) -> PodTemplate:
    """Return the pods that a service knows as ``target``."""
    if target == "database":
        return store_pods(tree, service)
    return store_pods(tree, target) if target in INFRASTRUCTURE else service_pods(tree, target)


def container_ports(template: PodTemplate) -> dict[str, int]:
    """Return the ports of a pod's program by name."""
    return ports_of(template.program)


def ports_of(container: Manifest) -> dict[str, int]:
    """Return the ports of a container by name."""
    return {port["name"]: port["containerPort"] for port in container.get("ports", [])}


def pod_ports(template: PodTemplate) -> dict[str, int]:
    """Return the ports of all containers of a pod by name; no two have the same one."""
    ports = [entry for container in template.containers for entry in ports_of(container).items()]
    assert len({name for name, _ in ports}) == len({number for _, number in ports}) == len(ports)
    return dict(ports)


def metrics_ports(tree: Synthesized) -> list[tuple[PodTemplate, str, int]]:
    """Return every port that Prometheus scrapes, by its pods and its name: the agents' and exporters', the broker's."""
    found = [(service_pods(tree, service), *port) for service in SERVICES for port in AGENT_PORT.items()]
    for service, facts in DATABASES.items():
        ports = EXPORTER_PORT if facts["kind"] == "postgres" else AGENT_PORT
        found += [(store_pods(tree, service), *port) for port in ports.items()]
    found.append((store_pods(tree, "rabbitmq"), "metrics", INFRASTRUCTURE["rabbitmq"]["ports"]["metrics"]))
    return found


def own_ports(service: str) -> set[str]:
    """Return the names of the ports that only a service's own pods use."""
    own = [re.fullmatch(r"itself on (\w+) and (\w+)", target) for target in SERVICES[service]["talks_to"]]
    return {name for match in own if match for name in match.groups()}


def needed(service: str) -> list[str]:
    """Return which services and brokers a service talks to, beside itself."""
    return [target for target in SERVICES[service]["talks_to"] if not target.startswith("itself ")]


def selected(tree: Synthesized, service: Manifest) -> list[PodTemplate]:
    """Return the pods to which a Kubernetes Service leads."""
    labels = service["spec"]["selector"]
    return [
        template
        for template in tree.pods(service["metadata"]["namespace"])
        if labels.items() <= dict(template.labels).items()
    ]


def resolve(tree: Synthesized, host: str) -> Manifest:
    """Return the Kubernetes Service behind a host name."""
    match = re.fullmatch(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc\.cluster\.local", host)
    assert match, f"{host!r} is no full name of a Service"
    return tree.the("Service", match[2], match[1])


def assert_leads_to(tree: Synthesized, host: str, port: int, target: PodTemplate) -> None:
    """Assert that a port of a host is one of exactly these pods."""
    service = resolve(tree, host)
    (entry,) = (entry for entry in service["spec"]["ports"] if entry["port"] == port)
    (behind,) = selected(tree, service)
    assert behind.owner is target.owner
    number = entry["targetPort"]
    assert port == (number if isinstance(number, int) else container_ports(target)[number])


def needed_ports(tree: Synthesized, service: str) -> list[tuple[PodTemplate, int]]:
    """Return which ports of which other pods a service calls: those its variables name, else all that are offered."""
    found = []
    for target in [*needed(service), *(["database"] if service in DATABASES else [])]:
        template = target_pods(tree, service, target)
        if target in SERVICES:
            facts = [fact for fact in SERVICES[service]["env"].values() if isinstance(fact, dict)]
            named = [fact["port"] for fact in facts if fact.get("of") == target]
            offered = [name for name in SERVICES[target]["ports"] if name not in own_ports(target)]
            ports = [SERVICES[target]["ports"][name] for name in named or offered]
            found += [(template, port) for port in ports]
        else:
            kind = DATABASES[service]["kind"] if target == "database" else target
            found.append((template, INFRASTRUCTURE[kind]["ports"][CLIENT_PORT[kind]]))
    return found


def autoscaler_of(tree: Synthesized, template: PodTemplate) -> Manifest | None:
    """Return the autoscaler of a workload."""
    found = [
        manifest
        for manifest in tree.objects("HorizontalPodAutoscaler", template.namespace)
        if (manifest["spec"]["scaleTargetRef"]["kind"], manifest["spec"]["scaleTargetRef"]["name"])
        == (template.kind, template.name)
    ]
    assert len(found) <= 1
    return found[0] if found else None


def least_replicas(tree: Synthesized, template: PodTemplate) -> int:
    """Return how many pods of a workload run at least."""
    autoscaler = autoscaler_of(tree, template)
    return int(autoscaler["spec"]["minReplicas"] if autoscaler else template.owner["spec"]["replicas"])


def namespaced(objects: Iterable[Manifest]) -> set[str]:
    """Return the namespaces in which objects are."""
    return {namespace for manifest in objects if (namespace := manifest["metadata"].get("namespace"))}


# What a container gets to see


def environment_of(tree: Synthesized, template: PodTemplate, container: Manifest) -> dict[str, Any]:
    """Return every variable of a container: its text, or where it comes from."""
    variables: dict[str, Any] = {}
    for source in container.get("envFrom", []):
        assert set(source) == {"configMapRef"}, "a whole Secret would bring variables that nobody named"
        variables |= tree.the("ConfigMap", template.namespace, source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        variables[variable["name"]] = variable.get("value", variable.get("valueFrom"))
    return variables


def store_value(tree: Synthesized, namespace: str, secret: str, key: str) -> dict[str, str]:
    """Return which value of the environment's secret store is under a key of a Secret."""
    (source,) = (
        manifest
        for manifest in tree.objects("ExternalSecret", namespace)
        if manifest["spec"]["target"]["name"] == secret
    )
    (entry,) = (entry for entry in source["spec"]["data"] if entry["secretKey"] == key)
    reference = entry["remoteRef"]
    place = f"{reference['key']}/{reference['property']}"
    original = tree.secrets["readers"][reference["key"]]["copies"].get(reference["property"], place)
    (value,) = (value for value in tree.secrets["values"] if f"{value['component']}/{value['key']}" == original)
    return dict(value)


def secret_variable(tree: Synthesized, template: PodTemplate, name: str) -> dict[str, str]:
    """Return which value of the secret store a variable of a program holds."""
    variable = environment_of(tree, template, template.program)[name]
    assert set(variable) == {"secretKeyRef"}, f"{name} does not come from a Secret"
    reference = variable["secretKeyRef"]
    assert not reference.get("optional")
    return store_value(tree, template.namespace, reference["name"], reference["key"])


def secret_files(tree: Synthesized, template: PodTemplate, container: Manifest) -> dict[str, dict[str, str]]:
    """Return which value of the secret store each file holds that a container gets from a Secret, by its path."""
    volumes = {volume["name"]: volume.get("secret") for volume in template.spec["volumes"]}
    return {
        f"{mount['mountPath']}/{path}": store_value(tree, template.namespace, secret["secretName"], key)
        for mount in container["volumeMounts"]
        if (secret := volumes.get(mount["name"]))
        for path, key in _files(tree, template.namespace, secret).items()
    }


def _files(tree: Synthesized, namespace: str, secret: Manifest) -> dict[str, str]:
    """Return the key in each file of a volume: of those that it names, or of all that the Secret has."""
    if "items" in secret:
        return {item["path"]: item["key"] for item in secret["items"]}
    (source,) = (
        each
        for each in tree.objects("ExternalSecret", namespace)
        if each["spec"]["target"]["name"] == secret["secretName"]
    )
    return {entry["secretKey"]: entry["secretKey"] for entry in source["spec"]["data"]}


def broker_users(tree: Synthesized) -> dict[str, str]:
    """Return the users of the broker, each with the key of its password: one for all clients, or one for each."""
    template = store_pods(tree, "rabbitmq")
    prepare = environment_of(tree, template, template.containers[0])
    lines = tree.the("ConfigMap", template.namespace, "rabbitmq-users")["data"]["users"].splitlines()
    return {prepare["USERNAME"]: prepare["PASSWORD_KEY"], **dict(line.split() for line in lines)}


def password_of_store(tree: Synthesized, service: str, user: str = "") -> dict[str, str]:
    """Return which value of the secret store is the password of a data store, or of a user of the broker."""
    template = store_pods(tree, service)
    if "database" in SERVICES.get(service, {}):
        # The Job gives the role that clients log in as its password; the server itself knows only its superuser's.
        template = schema_pods(tree, service)
        variables = environment_of(tree, template, template.program)
        return secret_files(tree, template, template.program)[variables["PASSWORD_FILE"]]
    folder = environment_of(tree, template, template.containers[0])["SECRETS"]
    return secret_files(tree, template, template.containers[0])[f"{folder}/{broker_users(tree)[user]}"]


# Scripts that run in the cluster


def run(container: Manifest, folder: Path, *image_folders: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a container's command on this machine, with every mounted path and ``image_folders`` below ``folder``."""
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    for path in (*mounts, *image_folders):
        (folder / path.strip("/")).mkdir(parents=True, exist_ok=True)
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(path)}(?![\w-])" for path in (*mounts, *image_folders)))

    def moved(text: str) -> str:
        return pattern.sub(lambda match: f"{folder}{match[0]}", text)

    environment = {variable["name"]: moved(variable["value"]) for variable in container.get("env", [])}
    return subprocess.run(
        [moved(part) for part in container["command"]],
        env={"PATH": f"{folder}/bin:{os.environ['PATH']}", **environment, **variables},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

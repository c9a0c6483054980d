"""PositionPal as it is synthesized, against every fact of ``contract.yaml`` that shows in the manifests.

The facts come from the contract and the observations from the synthesized bytes; what is written out here is only
what a fact means in Kubernetes. Facts about the cluster itself (region, pool, size, tags) do not show in manifests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise

import pytest
from contract import (
    AGENT_IMAGES,
    AGENT_PORT,
    AGENT_VARIABLES,
    CONTRACT,
    DATABASES,
    IMAGES,
    INFRASTRUCTURE,
    METRICS_PASSWORD_FILE,
    METRICS_ROLE,
    NAMESPACES,
    SERVICES,
    STORE_AGENTS,
    assert_leads_to,
    autoscaler_of,
    container_ports,
    contract_tree,  # noqa: F401 - the fixture tree
    environment_of,
    image_name,
    least_replicas,
    namespaced,
    needed,
    needed_ports,
    own_ports,
    password_of_store,
    ports_of,
    resolve,
    schema_pods,
    secret_files,
    secret_variable,
    selected,
    service_pods,
    store_pods,
    target_pods,
)
from synthesized import PodTemplate, Synthesized, wave

from constructs_lib.kinds.parts import images as added

VARIABLES = [(service, name) for service, facts in SERVICES.items() for name in facts["env"]]
AKKA = [service for service, facts in SERVICES.items() if "akka_service_name" in facts]

#: What the tests below know how to check; a fact of another kind would go unchecked.
KNOWN_FACTS = {
    "": "system images namespaces services infrastructure order autoscaled databases cloud local dashboards",
    "services": "runtime exposed ports http_probe websockets env note talks_to database publishes files internet "
    "consumes akka_service_name replicas rbac resources",
    "infrastructure": "ports user persistence metrics one_per runs_as_uid replicas authentication "
    "cluster_name_and_dc prometheus grafana",
}


def test_every_kind_of_fact_is_known() -> None:
    """A contract with a new kind of fact needs a new test here."""
    assert set(CONTRACT) == set(KNOWN_FACTS[""].split())
    for part in ("services", "infrastructure"):
        assert {fact for facts in CONTRACT[part].values() for fact in facts} == set(KNOWN_FACTS[part].split())


# The system, its images and namespaces


def test_system(tree: Synthesized) -> None:
    """The system is delivered under its own name."""
    name = CONTRACT["system"]
    assert {tree.root["metadata"]["name"], tree.project["metadata"]["name"]} == {name}
    assert {
        manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] for manifest in [*tree.objects(), *tree.delivered]
    } == {name}


@pytest.mark.parametrize("name", IMAGES)
def test_images(tree: Synthesized, name: str) -> None:
    """Each program and data store runs its image, and so does whatever prepares or serves it: one, with its digest.

    The contract's versions are those of one day, and a test that held them would refuse every update. What it says for
    good is whose image runs where; which version, ``versions.py`` says, and that it is pinned, is asked of each here.
    Beside it there is what measures it, and not what measures another kind.
    """
    measured_by = {AGENT_IMAGES[SERVICES[name]["runtime"]]} if name in SERVICES else STORE_AGENTS.get(name, set())
    owners = [name]
    if name in INFRASTRUCTURE and name not in NAMESPACES:
        owners = INFRASTRUCTURE[name]["one_per"]
    for owner in owners:
        kinds = ["Deployment"] if name in SERVICES else ["StatefulSet", "Job", "CronJob"]
        templates = tree.pods(NAMESPACES[owner], kinds)
        images = {container["image"] for template in templates for container in template.containers}
        assert measured_by <= images
        assert [image_name(image) for image in images - measured_by] == [IMAGES[name]]


def test_no_other_images(tree: Synthesized) -> None:
    """Nothing runs but these images, those that the library measures with, and what charts bring along.

    By their names: their versions move on from those of the contract (:func:`test_images`).
    """
    images = {container["image"] for template in tree.pods() for container in template.containers}
    measuring = {image for name, image in vars(added).items() if name.isupper()}
    assert measuring <= images
    assert {image_name(image) for image in images - measuring} == set(IMAGES.values())


def test_no_other_containers(tree: Synthesized) -> None:
    """By their names: one program in each pod, what comes before it, and what measures it."""
    before = {"Deployment": ["telemetry", "wait"], "Job": [], "CronJob": []}
    stores = {
        "rabbitmq": (["prepare"], []),
        "cassandra": (["prepare", "telemetry"], []),
        "postgres": ([], ["exporter"]),
    }
    for template in tree.pods():
        server = template.program["name"]
        wanted = stores[server] if template.kind == "StatefulSet" else (before[template.kind], [])
        found = [
            [container["name"] for container in template.spec.get(kind, [])]
            for kind in ("initContainers", "containers")
        ]
        assert found == [wanted[0], [server, *wanted[1]]], template.name


@pytest.mark.parametrize(
    "reference",
    [
        "postgres",
        "postgres:18.6",
        f"postgres@sha256:{'0' * 64}",
        f"postgres:18.6@sha256:{'0' * 63}",
        f"registry.example:5000/postgres@sha256:{'0' * 64}",
    ],
)
def test_an_image_without_tag_or_digest_is_found(reference: str) -> None:
    """What the tests of images ask is more than a name."""
    with pytest.raises(AssertionError, match="has no tag, or no digest"):
        image_name(reference)


def test_the_name_of_an_image_has_its_registry() -> None:
    """The same name in another registry is another image."""
    assert image_name(f"registry.example:5000/shop/web:1.0@sha256:{'0' * 64}") == "registry.example:5000/shop/web"


@pytest.mark.parametrize("name", NAMESPACES)
def test_namespace_holds_the_service_and_its_stores_alone(tree: Synthesized, name: str) -> None:
    """One program or broker, its own data store, and the Jobs that serve that store."""
    kinds = sorted(template.kind for template in tree.pods(NAMESPACES[name]))
    if name in DATABASES:
        backup = ["CronJob"] if DATABASES[name]["kind"] == "postgres" else []
        assert kinds == [*backup, "Deployment", "Job", "StatefulSet"]
    elif name in SERVICES:
        assert kinds == ["Deployment"]
    else:
        # The monitoring stack comes by its chart.
        assert kinds == (["StatefulSet"] if name in CONTRACT["images"] else [])
    in_namespace = {
        application["metadata"]["name"]
        for application in tree.applications.values()
        if application["spec"]["destination"]["namespace"] == NAMESPACES[name]
    }
    folders = {component for component, objects in tree.components.items() if namespaced(objects) & {NAMESPACES[name]}}
    assert in_namespace == folders == {name}


def test_no_other_namespaces(tree: Synthesized) -> None:
    """Beside the system's own there is what its secrets and, in the cloud, its autoscaling need."""
    platform = {"external-secrets", *(["metrics-server"] if tree.environment == "production" else [])}
    names = {manifest["metadata"]["name"] for manifest in tree.objects("Namespace")}
    assert names == set(NAMESPACES.values()) | platform


# Each service


@pytest.mark.parametrize("service", SERVICES)
def test_runtime(tree: Synthesized, service: str) -> None:
    """No program runs as root: a numeric user is set where the image names none, or one by its name."""
    assert SERVICES[service]["runtime"] in ("nodejs", "jvm")
    template = service_pods(tree, service)
    security = template.spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert type(security["runAsUser"]) is int
    assert security["runAsUser"] > 0
    for container in template.containers:
        assert not {"runAsUser", "runAsNonRoot"} & set(container["securityContext"])


@pytest.mark.parametrize("service", SERVICES)
def test_exposed(tree: Synthesized, service: str) -> None:
    """The world reaches the gateway by a load balancer, and nothing else by any way."""
    kinds = {manifest["spec"].get("type", "ClusterIP") for manifest in tree.objects("Service", NAMESPACES[service])}
    assert kinds == ({"LoadBalancer"} if SERVICES[service].get("exposed") else {"ClusterIP"})


def test_no_other_way_in(tree: Synthesized) -> None:
    """Nothing but one Service opens the cluster."""
    open_services = [
        manifest
        for manifest in tree.objects("Service")
        if manifest["spec"].get("type", "ClusterIP") != "ClusterIP" or manifest["spec"].get("externalIPs")
    ]
    assert len(open_services) == sum(facts.get("exposed", False) for facts in SERVICES.values())
    assert not [kind for kind in ("Ingress", "IngressRoute", "Gateway", "HTTPRoute") if tree.objects(kind)]
    for template in tree.pods():
        assert not template.spec.get("hostNetwork")
        assert not [
            port for container in template.containers for port in container.get("ports", []) if "hostPort" in port
        ]


@pytest.mark.parametrize("service", SERVICES)
def test_ports(tree: Synthesized, service: str) -> None:
    """The container has every port; the Service has all but those between the service's own pods, and no metrics."""
    ports: dict[str, int] = SERVICES[service]["ports"]
    template = service_pods(tree, service)
    assert not ports.keys() & AGENT_PORT.keys()
    assert container_ports(template) == ports | AGENT_PORT
    (manifest,) = (
        manifest
        for manifest in tree.objects("Service", template.namespace)
        if [behind.kind for behind in selected(tree, manifest)] == ["Deployment"]
    )
    offered = {port["name"]: port["port"] for port in manifest["spec"]["ports"]}
    assert offered == {name: number for name, number in ports.items() if name not in own_ports(service)}
    for number in offered.values():
        name = manifest["metadata"]["name"]
        assert_leads_to(tree, f"{name}.{template.namespace}.svc.cluster.local", number, template)


@pytest.mark.parametrize("service", SERVICES)
def test_probes(tree: Synthesized, service: str) -> None:
    """HTTP where a page answers without a login, else a connection to the first port."""
    facts = SERVICES[service]
    program = service_pods(tree, service).program
    probes = facts.get("http_probe")
    if probes is None:
        (port,) = facts["ports"]
        wanted = {purpose: {"tcpSocket": {"port": port}} for purpose in ("readiness", "liveness")}
    elif isinstance(probes, str):
        (port,) = facts["ports"]
        page = {"path": probes.removeprefix("GET "), "port": port}
        wanted = {purpose: {"httpGet": page} for purpose in ("readiness", "liveness")}
    else:
        wanted = {}
        for purpose, text in probes.items():
            match = re.fullmatch(r"GET (\S+) on (\w+)", text)
            assert match
            wanted[purpose] = {"httpGet": {"path": match[1], "port": match[2]}}
    for purpose, action in wanted.items():
        assert action.items() <= program[f"{purpose}Probe"].items()
    assert wanted["liveness"].items() <= program["startupProbe"].items()


@pytest.mark.parametrize("service", [service for service, facts in SERVICES.items() if facts.get("websockets")])
def test_long_connections_are_drained(tree: Synthesized, service: str) -> None:
    """A pod leaves the Service before its program is told to stop, and gets longer than Kubernetes' 30 s to end."""
    template = service_pods(tree, service)
    pause = template.program["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause > 0
    assert template.spec["terminationGracePeriodSeconds"] - pause > 30
    assert template.owner["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize(("service", "name"), VARIABLES)
def test_variables(tree: Synthesized, service: str, name: str) -> None:
    """Each variable is what the program needs, and what it names is really there."""
    wanted = SERVICES[service]["env"][name]
    template = service_pods(tree, service)
    value = environment_of(tree, template, template.program)[name]
    if isinstance(wanted, str):
        assert value == wanted
    elif "field" in wanted:
        assert value == {"fieldRef": {"fieldPath": wanted["field"]}}
    elif "secret" in wanted:
        source = secret_variable(tree, template, name)
        assert source["owner"] == wanted["owner"]
        assert wanted.get("what") in (None, source["purpose"])
    else:
        target = target_pods(tree, service, wanted["of"])
        if "port" in wanted:
            host, _, port = value.partition(":")
            assert int(port) == SERVICES[wanted["of"]]["ports"][wanted["port"]]
        elif "host_port" in wanted:
            host, _, port = value.partition(":")
            assert port == wanted["host_port"]
        else:
            assert wanted["host"] is True
            host = value
            port = SERVICES[service]["env"][name.removesuffix("_HOST") + "_PORT"]
        assert_leads_to(tree, host, int(port), target)


@pytest.mark.parametrize("service", SERVICES)
def test_no_other_variables(tree: Synthesized, service: str) -> None:
    """Nothing else is set: neither what a program never reads, nor the variables of Kubernetes' service links.

    Nothing, that is, but what its agent reads.
    """
    template = service_pods(tree, service)
    told = set(SERVICES[service]["env"])
    of_the_agent = AGENT_VARIABLES[SERVICES[service]["runtime"]]
    assert not told & of_the_agent
    assert set(environment_of(tree, template, template.program)) == told | of_the_agent
    assert template.spec["enableServiceLinks"] is False


# What measures it


@pytest.mark.parametrize("service", SERVICES)
def test_agent(tree: Synthesized, service: str) -> None:
    """As the contract's last fact has it: copied by an init container, started by a variable, read on a port."""
    runtime = SERVICES[service]["runtime"]
    template = service_pods(tree, service)
    copying = template.container("telemetry")
    assert copying["image"] == AGENT_IMAGES[runtime]
    (mount,) = copying["volumeMounts"]
    assert mount == {"name": mount["name"], "mountPath": "/telemetry"}
    volumes = {volume["name"]: volume for volume in template.spec["volumes"]}
    assert volumes[mount["name"]] == {"name": mount["name"], "emptyDir": {}}
    assert {**mount, "readOnly": True} in template.program["volumeMounts"]
    variables = environment_of(tree, template, template.program)
    if runtime == "jvm":
        assert copying["command"] == ["cp", "/javaagent.jar", "/telemetry/javaagent.jar"]
        assert variables["JAVA_TOOL_OPTIONS"] == "-javaagent:/telemetry/javaagent.jar"
        # Whoever reads the metrics must not read the command line.
        assert "process.command_line" in variables["OTEL_RESOURCE_DISABLED_KEYS"]
    else:
        assert copying["command"] == ["cp", "-r", "/autoinstrumentation/.", "/telemetry/"]
        *files, script = re.findall(r"--require (\S+)", variables["NODE_OPTIONS"])
        assert files == ["/telemetry/node_modules/@opentelemetry/auto-instrumentations-node/build/src/register.js"]
        (folder,) = (entry for entry in template.program["volumeMounts"] if script.startswith(entry["mountPath"] + "/"))
        assert folder["readOnly"] is True
        scripts = tree.the("ConfigMap", template.namespace, volumes[folder["name"]]["configMap"]["name"])["data"]
        assert list(scripts) == [script.removeprefix(folder["mountPath"] + "/")]
    attributes = dict(entry.split("=") for entry in variables["OTEL_RESOURCE_ATTRIBUTES"].split(","))
    assert attributes == {
        "deployment.environment.name": tree.environment,
        "service.namespace": CONTRACT["system"],
        "service.version": template.program["image"].partition("@")[0].rpartition(":")[2],
    }
    assert variables["OTEL_SERVICE_NAME"] == service
    assert variables["OTEL_METRICS_EXPORTER"] == "prometheus"
    assert variables["OTEL_TRACES_EXPORTER"] == variables["OTEL_LOGS_EXPORTER"] == "none"
    assert variables["OTEL_EXPORTER_PROMETHEUS_HOST"] == "0.0.0.0"
    assert {"otel-metrics": int(variables["OTEL_EXPORTER_PROMETHEUS_PORT"])} == AGENT_PORT


@pytest.mark.parametrize("service", [service for service, facts in DATABASES.items() if facts["kind"] == "postgres"])
def test_exporter(tree: Synthesized, service: str) -> None:
    """It reads its own server over the loopback, as a role and with a password that only it and the Job have."""
    server, job = store_pods(tree, service), schema_pods(tree, service)
    exporter = server.container("exporter")
    assert ports_of(exporter) == {"metrics": 9187}
    database = DATABASES[service]["name"]
    assert environment_of(tree, server, exporter) == {
        "DATA_SOURCE_URI": f"127.0.0.1:5432/{database}?sslmode=disable",
        "DATA_SOURCE_USER": METRICS_ROLE,
        "DATA_SOURCE_PASS_FILE": METRICS_PASSWORD_FILE,
    }
    ((path, value),) = secret_files(tree, server, exporter).items()
    assert path == METRICS_PASSWORD_FILE
    assert (value["component"], value["owner"]) == (service, "generated")
    assert value != password_of_store(tree, service)
    told = environment_of(tree, job, job.program)
    assert (told["METRICS_ROLE"], told["METRICS_PASSWORD_FILE"]) == (METRICS_ROLE, METRICS_PASSWORD_FILE)
    assert secret_files(tree, job, job.program)[METRICS_PASSWORD_FILE] == value
    # Neither the server nor its dumps need it, and the service itself is not told.
    (backup,) = tree.pods(NAMESPACES[service], ["CronJob"])
    program = service_pods(tree, service)
    for template in (server, backup, program):
        assert value not in secret_files(tree, template, template.program).values()


@pytest.mark.parametrize("service", [service for service, facts in DATABASES.items() if facts["kind"] == "cassandra"])
def test_agent_of_cassandra(tree: Synthesized, service: str) -> None:
    """The server alone starts it: from JAVA_TOOL_OPTIONS, nodetool and cqlsh would start it again."""
    template = store_pods(tree, service)
    variables = environment_of(tree, template, template.program)
    assert {name for name in variables if name.startswith(("JAVA", "JVM", "OTEL"))} == (
        AGENT_VARIABLES["jvm"] - {"JAVA_TOOL_OPTIONS"}
        | {
            "JVM_EXTRA_OPTS",
            "OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED",
            "OTEL_INSTRUMENTATION_RUNTIME_TELEMETRY_ENABLED",
            "OTEL_JMX_CONFIG",
        }
    )
    assert variables["JVM_EXTRA_OPTS"] == "-javaagent:/telemetry/javaagent.jar"
    assert variables["OTEL_SERVICE_NAME"] == template.name
    folder, _, name = variables["OTEL_JMX_CONFIG"].rpartition("/")
    (mount,) = (entry for entry in template.program["volumeMounts"] if entry["mountPath"] == folder)
    (volume,) = (entry for entry in template.spec["volumes"] if entry["name"] == mount["name"])
    rules = tree.the("ConfigMap", template.namespace, volume["configMap"]["name"])["data"][name]
    assert mount["readOnly"] is True
    assert "org.apache.cassandra.metrics:type=ClientRequest" in rules
    limits = template.program["resources"]
    assert (limits["requests"]["memory"], limits["limits"]["memory"]) == ("1152Mi", "1664Mi")


def test_dashboards(tree: Synthesized) -> None:
    """One of the cluster, one of each service and one of RabbitMQ, where Grafana's sidecar looks for them."""
    found = {}
    for manifest in tree.objects("ConfigMap", NAMESPACES["monitoring"]):
        if manifest["metadata"]["labels"].get("grafana_dashboard") == "1":
            ((file, text),) = manifest["data"].items()
            found[file.removesuffix(".json")] = json.loads(text)
    system = CONTRACT["system"]
    of_services = {f"{system}-{service}": service for service in SERVICES}
    wanted = {*of_services, f"{system}-cluster", f"{system}-all-rabbitmq"}
    assert set(CONTRACT["dashboards"]) == {"cluster overview", "each microservice", "rabbitmq", "fact"}
    assert wanted <= set(found)
    assert all(dashboard["uid"] == uid for uid, dashboard in found.items())
    for uid, service in of_services.items():
        text = json.dumps(found[uid])
        # Latency and throughput, errors, CPU and memory: of this service and not of all.
        for series in ("duration", "service:request", "container_cpu_usage_seconds", "container_memory_working_set"):
            assert series in text, (uid, series)
        assert service in text


@pytest.mark.parametrize(
    ("service", "name"), [(service, name) for service, name in VARIABLES if name.endswith("_PASSWORD")]
)
def test_passwords_are_those_of_the_server(tree: Synthesized, service: str, name: str) -> None:
    """A client's password is the very value that its server takes: the broker's for all, each database its own."""
    server = "rabbitmq" if name.startswith("RABBITMQ_") else service
    value = secret_variable(tree, service_pods(tree, service), name)
    assert value == password_of_store(tree, server)
    assert value["component"] == server


def test_secret_values(tree: Synthesized, trees: dict[str, Synthesized]) -> None:
    """The bootstrap fills the very namespace that the store reads, and gives each namespace only its own."""
    (store,) = tree.objects("ClusterSecretStore")
    assert store["spec"]["provider"]["kubernetes"]["remoteNamespace"] == tree.secrets["store"]
    (condition,) = store["spec"]["conditions"]
    sources = tree.objects("ExternalSecret")
    users = trees[tree.environment].objects("ExternalSecret")
    assert sorted(condition["namespaces"]) == sorted(user["metadata"]["namespace"] for user in users)
    read = set()
    for source in sources:
        assert source["spec"]["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": store["metadata"]["name"]}
        references = [entry["remoteRef"] for entry in source["spec"]["data"]]
        read |= {(reference["key"], reference["property"]) for reference in references}
        foreign = {reference["key"] for reference in references} - {source["metadata"]["name"]}
        component = source["metadata"]["name"]
        assert foreign == ({"rabbitmq"} if "rabbitmq" in SERVICES.get(component, {}).get("talks_to", []) else set())
    values = [
        (value["component"], value["key"]) for value in tree.secrets["values"] if value["component"] in tree.components
    ]
    assert len(values) == len(set(values))
    assert set(values) == read


def test_secret_owners(tree: Synthesized) -> None:
    """A person is asked for what the contract calls supplied, and for nothing else."""
    supplied = {
        (service, fact["what"])
        for service, facts in SERVICES.items()
        for fact in (*facts["env"].values(), *facts.get("files", {}).values())
        if isinstance(fact, dict) and fact.get("owner") == "supplied"
    }
    values = [value for value in tree.secrets["values"] if value["component"] in tree.components]
    asked = [value for value in values if value["owner"] != "generated"]
    assert {(value["component"], value["purpose"]) for value in asked} == supplied
    assert {value["owner"] for value in asked} == {"supplied"}


@pytest.mark.parametrize(
    ("service", "path"), [(service, path) for service, facts in SERVICES.items() for path in facts.get("files", {})]
)
def test_files(tree: Synthesized, service: str, path: str) -> None:
    """A secret file is at its path, from the person who has it."""
    wanted = SERVICES[service]["files"][path]
    template = service_pods(tree, service)
    files = secret_files(tree, template, template.program)
    assert set(files) == set(SERVICES[service]["files"])
    assert (files[path]["owner"], files[path]["purpose"]) == (wanted["owner"], wanted["what"])
    (volume,) = (volume for volume in template.spec["volumes"] if "secret" in volume)
    # The program is in the group of its volumes and not their user.
    assert volume["secret"]["defaultMode"] & 0o040
    assert template.spec["securityContext"]["fsGroup"] == template.spec["securityContext"]["runAsGroup"]


# Akka


@pytest.mark.parametrize("service", AKKA)
def test_akka_discovers_its_own_pods(tree: Synthesized, service: str) -> None:
    """The discovery selects by the label ``app``, which the service's pods carry and no others beside them."""
    label = SERVICES[service]["akka_service_name"]
    found = [template.kind for template in tree.pods(NAMESPACES[service]) if template.labels.get("app") == label]
    assert found == ["Deployment"]
    assert not [template for template in tree.pods() if "app" in template.labels and template.kind != "Deployment"]


@pytest.mark.parametrize("service", AKKA)
def test_akka_contact_points_are_always_there(tree: Synthesized, service: str) -> None:
    """A cluster forms with the fewest replicas that ever run."""
    template = service_pods(tree, service)
    points = int(environment_of(tree, template, template.program)["REQUIRED_CONTACT_POINT_NR"])
    assert points <= least_replicas(tree, template)


def tokens(template: PodTemplate) -> list[str]:
    """Return the containers that get a token for the Kubernetes API."""
    volumes = {
        volume["name"]
        for volume in template.spec["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        if "serviceAccountToken" in source
    }
    containers = [*template.spec.get("initContainers", ()), *template.spec["containers"]]
    return [
        container["name"]
        for container in containers
        if any(mount["name"] in volumes for mount in container.get("volumeMounts", ()))
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_permissions(tree: Synthesized, service: str) -> None:
    """Exactly what the contract grants, in the own namespace, to the service's own pods; no token for others."""
    namespace = NAMESPACES[service]
    roles = tree.objects("Role", namespace)
    bindings = tree.objects("RoleBinding", namespace)
    allowed = SERVICES[service].get("rbac")
    assert not [template for template in tree.pods(namespace) if template.spec["automountServiceAccountToken"]]
    with_token = [template for template in tree.pods(namespace) if tokens(template)]
    for account in tree.objects("ServiceAccount", namespace):
        assert account["automountServiceAccountToken"] is False
    if allowed is None:
        assert (roles, bindings, with_token) == ([], [], [])
        return
    match = re.fullmatch(r"(\w+), (\w+) and (\w+) (\w+) in its own namespace", allowed)
    assert match
    (rule,) = roles[0]["rules"]
    assert rule.keys() == {"apiGroups", "resources", "verbs"}
    assert (rule["apiGroups"], rule["resources"]) == ([""], [match[4]])
    assert sorted(rule["verbs"]) == sorted(match.groups()[:3])
    (template,) = with_token
    assert template.kind == "Deployment"
    assert tokens(template) == [template.program["name"]]
    (binding,) = bindings
    (subject,) = binding["subjects"]
    assert binding["roleRef"]["name"] == roles[0]["metadata"]["name"]
    assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", namespace)
    users = [other for other in tree.pods(namespace) if other.spec["serviceAccountName"] == subject["name"]]
    assert [user.owner for user in users] == [template.owner]


def test_no_further_permissions(tree: Synthesized) -> None:
    """Beside these, only External Secrets' reader has rights, and only to read the store's own namespace."""
    assert not tree.objects("ClusterRole")
    assert not tree.objects("ClusterRoleBinding")
    granted = {NAMESPACES[service] for service, facts in SERVICES.items() if "rbac" in facts}
    store = tree.secrets["store"]
    assert namespaced(tree.objects("Role")) == namespaced(tree.objects("RoleBinding")) == granted | {store}
    (rule,) = tree.the("Role", store)["rules"]
    owners = sorted({value["component"] for value in tree.secrets["values"]})
    assert rule == {"apiGroups": [""], "resources": ["secrets"], "resourceNames": owners, "verbs": ["get"]}


@pytest.mark.parametrize("service", SERVICES)
def test_replicas(tree: Synthesized, service: str) -> None:
    """As many as the contract asks for run at least."""
    wanted = SERVICES[service].get("replicas")
    running = least_replicas(tree, service_pods(tree, service))
    assert running == wanted if wanted is not None else running >= 1


@pytest.mark.parametrize("service", [service for service, facts in SERVICES.items() if "resources" in facts])
def test_resources(tree: Synthesized, service: str) -> None:
    """The program asks for and may use what the contract says, and exactly what its agent takes beside it."""
    wanted = SERVICES[service]["resources"]
    agent = {"jvm": 128, "nodejs": 64}[SERVICES[service]["runtime"]]

    def with_agent(memory: str) -> str:
        return f"{int(memory.removesuffix('Mi').replace('Gi', '')) * (1024 if memory.endswith('Gi') else 1) + agent}Mi"

    assert service_pods(tree, service).program["resources"] == {
        "requests": {**wanted["requests"], "memory": with_agent(wanted["requests"]["memory"])},
        "limits": {"memory": with_agent(wanted["limits"]["memory"])},
    }


@pytest.mark.parametrize("service", [service for service, name in VARIABLES if name == "USER_SERVICE_EVENT_QUEUE"])
def test_queues(tree: Synthesized, service: str) -> None:
    """Where a queue's name is told to the program, it is the one that the contract says it consumes."""
    template = service_pods(tree, service)
    variables = environment_of(tree, template, template.program)
    assert variables["USER_SERVICE_EVENT_QUEUE"] == SERVICES[service]["consumes"]["queue"]


# Autoscaling


AUTOSCALED = [
    (entry.removeprefix("cassandra of "), "StatefulSet" if entry.startswith("cassandra of ") else "Deployment")
    for entry in CONTRACT["autoscaled"]
]


@pytest.mark.parametrize(("service", "kind"), AUTOSCALED)
def test_autoscaled(tree: Synthesized, service: str, kind: str) -> None:
    """An autoscaler has the say on the replicas; nodes that hold data are only ever added."""
    (template,) = tree.pods(NAMESPACES[service], [kind])
    autoscaler = autoscaler_of(tree, template)
    assert autoscaler is not None
    spec = autoscaler["spec"]
    assert 1 <= spec["minReplicas"] <= spec["maxReplicas"]
    assert spec["minReplicas"] < spec["maxReplicas"] or tree.environment == "local"
    # A share of the request can only be told where there is one, in every container.
    assert spec["metrics"][0]["resource"]["target"]["type"] == "Utilization"
    assert all("cpu" in container["resources"]["requests"] for container in template.spec["containers"])
    if kind == "Deployment":
        assert "replicas" not in template.owner["spec"]
        assert spec["behavior"]["scaleDown"].get("selectPolicy") != "Disabled"
    else:
        assert spec["behavior"]["scaleDown"]["selectPolicy"] == "Disabled"


def test_nothing_else_is_autoscaled(tree: Synthesized) -> None:
    """PostgreSQL and RabbitMQ keep their size."""
    targets = [
        (manifest["metadata"]["namespace"], manifest["spec"]["scaleTargetRef"]["kind"])
        for manifest in tree.objects("HorizontalPodAutoscaler")
    ]
    assert sorted(targets) == sorted((NAMESPACES[service], kind) for service, kind in AUTOSCALED)


# Order


def platform(tree: Synthesized) -> set[str]:
    """Return what the contract counts to the cluster: components without a namespace in it."""
    return set(tree.applications) - set(NAMESPACES)


def tiers(tree: Synthesized) -> list[set[str]]:
    """Return the Applications in the tiers of the contract's order; a service's own store is within its own."""
    words: dict[str, set[str]] = {
        "cluster": platform(tree),
        "prometheus and grafana": {"monitoring"},
        "each service's own data store": set(),
    }
    return [set().union(*(words.get(entry, {entry}) for entry in tier)) for tier in CONTRACT["order"]]


def test_order_between_applications(tree: Synthesized) -> None:
    """Whoever comes first in the contract's order is in an earlier wave."""
    waves = {name: wave(application) for name, application in tree.applications.items()}
    ordered = [tier for tier in tiers(tree) if tier]
    assert set().union(*ordered) == set(waves)
    for earlier, later in pairwise(ordered):
        assert max(waves[name] for name in earlier) < min(waves[name] for name in later)


def test_waves_are_as_few_as_the_graph_allows(tree: Synthesized) -> None:
    """Each Application is in the wave that the longest chain below it asks for: none is skipped, none is wasted."""
    before: dict[str, set[str]] = {name: set() for name in tree.applications}
    done: set[str] = set()
    for tier in tiers(tree):
        for name in tier:
            before[name] = done | set(needed(name) if name in SERVICES else [])
        done = done | tier
    waves: dict[str, int] = {}
    while len(waves) < len(before):
        ready = [name for name in before if name not in waves and before[name] <= waves.keys()]
        assert ready, "the contract's order has a cycle"
        waves |= {name: 1 + max((waves[other] for other in before[name]), default=-1) for name in ready}
    assert {name: wave(application) for name, application in tree.applications.items()} == waves
    assert set(waves.values()) == set(range(len(set(waves.values()))))


@pytest.mark.parametrize("service", DATABASES)
def test_order_within_a_service(tree: Synthesized, service: str) -> None:
    """The data store, then its schema, then the program."""
    stages = [wave(find(tree, service).owner) for find in (store_pods, schema_pods, service_pods)]
    assert stages == sorted(set(stages))


@pytest.mark.parametrize("service", SERVICES)
def test_programs_wait_for_what_they_need(tree: Synthesized, service: str) -> None:
    """The second line: should a wave open early, each program waits for every port that it needs."""
    *_, wait = service_pods(tree, service).spec["initContainers"]
    assert wait["name"] == "wait"
    waited = set()
    for target in wait["command"][4:]:
        host, _, port = target.partition(":")
        behind = resolve(tree, host)["metadata"]
        waited.add((behind["namespace"], behind["name"], int(port)))
    assert waited == {(target.namespace, target.name, port) for target, port in needed_ports(tree, service)}


# The cluster


def test_kubernetes_is_chosen_by_minor_version(tree: Synthesized) -> None:
    """Cloud providers drop patch releases; every namespace holds its pods to the rules of the one minor version."""
    versions = {
        manifest["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}-version"]
        for manifest in tree.objects("Namespace")
        for mode in ("enforce", "warn")
    }
    (version,) = versions
    assert re.fullmatch(r"v1\.\d+", version)


@pytest.mark.parametrize("service", [*SERVICES, "rabbitmq"])
def test_pods_are_spread_over_the_nodes(tree: Synthesized, service: str) -> None:
    """There are several nodes, and the loss of one must not take all pods of a workload that has several."""
    for template in tree.pods(NAMESPACES[service], ["Deployment", "StatefulSet"]):
        autoscaler = autoscaler_of(tree, template)
        if autoscaler or template.owner["spec"]["replicas"] > 1:
            (constraint,) = template.spec["topologySpreadConstraints"]
            assert constraint["topologyKey"] == "kubernetes.io/hostname"
            labels: Mapping[str, str] = constraint["labelSelector"]["matchLabels"]
            assert labels.items() <= dict(template.labels).items()

"""PositionPal's services, against every fact of ``contract.yaml`` about them that shows in the manifests."""

from __future__ import annotations

import re

import pytest
from contract import (
    AGENT_PORT,
    AGENT_VARIABLES,
    CONTRACT,
    NAMESPACES,
    SERVICES,
    assert_leads_to,
    autoscaler_of,
    container_ports,
    contract_tree,  # noqa: F401 - the fixture tree
    environment_of,
    least_replicas,
    namespaced,
    own_ports,
    password_of_store,
    secret_files,
    secret_variable,
    selected,
    service_pods,
    target_pods,
)
from synthesized import PodTemplate, Synthesized

VARIABLES = [(service, name) for service, facts in SERVICES.items() for name in facts["env"]]
AKKA = [service for service, facts in SERVICES.items() if "akka_service_name" in facts]


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
    """The world reaches the gateway by a load balancer, and nothing else by any way.

    In the cloud it is that of Traefik, which ends TLS for it: there, the gateway has an Ingress with a certificate for
    all paths of its host.
    """
    kinds = {manifest["spec"].get("type", "ClusterIP") for manifest in tree.objects("Service", NAMESPACES[service])}
    ingresses = tree.objects("Ingress", NAMESPACES[service])
    is_exposed, is_behind = SERVICES[service].get("exposed", False), "traefik" in tree.applications
    assert kinds == ({"LoadBalancer"} if is_exposed and not is_behind else {"ClusterIP"})
    assert len(ingresses) == (is_exposed and is_behind)
    for ingress in ingresses:
        (rule,), (tls,) = ingress["spec"]["rules"], ingress["spec"]["tls"]
        assert tls["hosts"] == [rule["host"]]
        certificate = tree.the("Certificate", NAMESPACES[service], tls["secretName"])
        assert (certificate["spec"]["secretName"], certificate["spec"]["dnsNames"]) == (tls["secretName"], tls["hosts"])
        (path,) = rule["http"]["paths"]
        assert (path["path"], path["pathType"]) == ("/", "Prefix")
        behind = path["backend"]["service"]
        host = f"{behind['name']}.{NAMESPACES[service]}.svc.cluster.local"
        assert_leads_to(tree, host, behind["port"]["number"], service_pods(tree, service))


def test_no_other_way_in(tree: Synthesized) -> None:
    """Nothing but one Service opens the cluster: the gateway's, or in the cloud that of Traefik's chart."""
    open_services = [
        manifest
        for manifest in tree.objects("Service")
        if manifest["spec"].get("type", "ClusterIP") != "ClusterIP" or manifest["spec"].get("externalIPs")
    ]
    behind = [name for name in ("traefik",) if name in tree.applications]
    assert len(open_services) + len(behind) == sum(facts.get("exposed", False) for facts in SERVICES.values())
    assert not [kind for kind in ("IngressRoute", "Gateway", "HTTPRoute") if tree.objects(kind)]
    assert {ingress["metadata"]["namespace"] for ingress in tree.objects("Ingress")} <= {
        NAMESPACES[service] for service, facts in SERVICES.items() if facts.get("exposed")
    }


def test_no_pod_opens_its_node(tree: Synthesized) -> None:
    """Whoever reaches a node reaches nothing of the system by that."""
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
    if name == "RABBITMQ_USERNAME" and tree.environment == "production":
        # The one fact that production has otherwise: each program logs in as itself.
        assert value == service
    elif isinstance(wanted, str):
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


@pytest.mark.parametrize(
    ("service", "name"), [(service, name) for service, name in VARIABLES if name.endswith("_PASSWORD")]
)
def test_passwords_are_those_of_the_server(tree: Synthesized, service: str, name: str) -> None:
    """A client's password is the very value that its server takes for the user that the client is told."""
    server = "rabbitmq" if name.startswith("RABBITMQ_") else service
    template = service_pods(tree, service)
    value = secret_variable(tree, template, name)
    user = environment_of(tree, template, template.program)["RABBITMQ_USERNAME"] if server == "rabbitmq" else ""
    assert value == password_of_store(tree, server, user)
    assert value["component"] == server


def test_secret_values(tree: Synthesized) -> None:
    """Each component reads its own entry as itself: its own values, and copies of those of what it talks to."""
    name, readers = tree.secrets["store"], tree.secrets["readers"]
    sources = {source["metadata"]["name"]: source for source in tree.objects("ExternalSecret")}
    assert {component: reader["namespace"] for component, reader in readers.items()} == {
        component: source["metadata"]["namespace"] for component, source in sources.items()
    }
    values = [(value["component"], value["key"]) for value in tree.secrets["values"]]
    assert len(values) == len(set(values))
    for component, source in sources.items():
        namespace = source["metadata"]["namespace"]
        store = tree.the("SecretStore", namespace)["spec"]["provider"]["kubernetes"]
        assert source["spec"]["secretStoreRef"] == {"kind": "SecretStore", "name": name}
        assert store["remoteNamespace"] == name
        assert store["auth"]["serviceAccount"] == {
            "name": tree.the("ServiceAccount", namespace, name)["metadata"]["name"]
        }
        references = [entry["remoteRef"] for entry in source["spec"]["data"]]
        assert {reference["key"] for reference in references} == {component}
        copies = readers[component]["copies"]
        own = {key for owner, key in values if owner == component}
        assert {reference["property"] for reference in references} == own | copies.keys()
        foreign = {original.partition("/")[0] for original in copies.values()}
        # What holds data in production is saved to a bucket.
        foreign -= {"saves"} if tree.environment == "production" else set()
        assert foreign == ({"rabbitmq"} if "rabbitmq" in SERVICES.get(component, {}).get("talks_to", []) else set())
    assert tree.objects("ClusterSecretStore") == []
    assert [each for each in tree.objects() if each["metadata"].get("namespace") == name] == []


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
    # External Secrets reads the store, and Reloader restarts what reads a Secret: by accounts of their own.
    others = (tree.secrets["store"], "reloader")
    roles = [role for role in tree.objects("Role", namespace) if role["metadata"]["name"] not in others]
    bindings = [each for each in tree.objects("RoleBinding", namespace) if each["metadata"]["name"] not in others]
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
    """Beside these, External Secrets may ask for the token of each component's reader, and of no other account."""
    assert not tree.objects("ClusterRole")
    assert not tree.objects("ClusterRoleBinding")
    granted = {NAMESPACES[service] for service, facts in SERVICES.items() if "rbac" in facts}
    store, values = (
        tree.secrets["store"],
        tree.applications["external-secrets"]["spec"]["sources"][0]["helm"]["valuesObject"],
    )
    readers = namespaced(tree.objects("ExternalSecret"))
    assert namespaced(tree.objects("Role")) == namespaced(tree.objects("RoleBinding")) == granted | readers
    for namespace in readers:
        token = {
            "apiGroups": [""],
            "resources": ["serviceaccounts/token"],
            "resourceNames": [store],
            "verbs": ["create"],
        }
        assert tree.the("Role", namespace, store)["rules"] == [token]
        binding = tree.the("RoleBinding", namespace, store)
        assert binding["roleRef"]["name"] == store
        name, where = values["serviceAccount"]["name"], "external-secrets"
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": where}]
        users = [template for template in tree.pods(namespace) if template.spec["serviceAccountName"] == store]
        assert users == []


def test_operator_of_secrets_has_no_further_rights(tree: Synthesized) -> None:
    """Nobody gets rights for its kinds from it, and it may not ask for the token of every account."""
    values = tree.applications["external-secrets"]["spec"]["sources"][0]["helm"]["valuesObject"]
    rights = values["rbac"]
    assert not any(rights[f"aggregateTo{role}"] for role in ("View", "Edit", "Admin"))
    assert rights["serviceAccountTokenCreate"] is False
    assert values["processClusterStore"] is values["crds"]["createClusterSecretStore"] is False


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
    agent = {"jvm": 160, "nodejs": 64}[SERVICES[service]["runtime"]]

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
    assert template.owner["spec"]["replicas"] == spec["minReplicas"]
    if kind == "Deployment":
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

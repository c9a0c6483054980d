"""PositionPal's data stores and what watches them, against the contract's facts about them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from contract import (
    AGENT_PORT,
    DATABASES,
    EXPORTER_PORT,
    IMAGES,
    INFRASTRUCTURE,
    NAMESPACES,
    SERVICES,
    assert_leads_to,
    broker_users,
    container_ports,
    contract_tree,  # noqa: F401 - the fixture tree
    environment_of,
    image_name,
    least_replicas,
    metrics_ports,
    password_of_store,
    pod_ports,
    run,
    schema_pods,
    secret_files,
    selected,
    service_pods,
    store_pods,
    store_value,
)
from synthesized import Synthesized


@pytest.mark.parametrize("service", DATABASES)
def test_database(tree: Synthesized, service: str) -> None:
    """The server and the Job agree with the contract on names, user and password."""
    facts = DATABASES[service]
    job = schema_pods(tree, service)
    variables = environment_of(tree, job, job.program)
    server = store_pods(tree, service)
    assert image_name(server.program["image"]) == IMAGES[facts["kind"]]
    password = password_of_store(tree, service)
    assert (password["component"], password["owner"]) == (service, "generated")
    assert secret_files(tree, job, job.program)[variables["PASSWORD_FILE"]] == password
    if facts["kind"] == "postgres":
        own = environment_of(tree, server, server.program)
        assert (own["POSTGRES_DB"], own["POSTGRES_USER"]) == (facts["name"], variables["SUPERUSER"])
        assert secret_files(tree, server, server.program)[own["POSTGRES_PASSWORD_FILE"]] != password
        assert (variables["PGDATABASE"], variables["PGUSER"]) == (facts["name"], facts["user"])
        assert_leads_to(tree, variables["PGHOST"], int(variables["PGPORT"]), server)
    else:
        assert (variables["KEYSPACE"], variables["ROLE"]) == (facts["keyspace"], facts["user"])
        assert variables["DATACENTER"] == facts["local_datacenter"]
        assert_leads_to(tree, variables["HOST"], int(variables["PORT"]), server)


@pytest.mark.parametrize("kind", ["postgres", "cassandra"])
def test_one_store_per_service(tree: Synthesized, kind: str) -> None:
    """Each service of the list has a store of this kind to itself, and nobody else has one."""
    sets = tree.pods(kinds=["StatefulSet"])
    stores = [template for template in sets if image_name(template.program["image"]) == IMAGES[kind]]
    assert sorted(template.namespace for template in stores) == sorted(
        NAMESPACES[service] for service in INFRASTRUCTURE[kind]["one_per"]
    )
    assert {service for service, facts in DATABASES.items() if facts["kind"] == kind} == set(
        INFRASTRUCTURE[kind]["one_per"]
    )


@pytest.mark.parametrize("name", [name for name, facts in INFRASTRUCTURE.items() if "ports" in facts])
def test_infrastructure_ports_and_persistence(tree: Synthesized, name: str) -> None:
    """Every port is on the server, the headless Service names each pod, and data is on a volume of its own.

    The only other port is the one with the metrics: Cassandra's server has it itself, PostgreSQL's does not.
    """
    facts = INFRASTRUCTURE[name]
    in_the_server = AGENT_PORT if name == "cassandra" else {}
    beside_it = EXPORTER_PORT if name == "postgres" else {}
    for owner in facts.get("one_per", [name]):
        template = store_pods(tree, owner)
        assert container_ports(template) == facts["ports"] | in_the_server
        assert pod_ports(template) == facts["ports"] | in_the_server | beside_it
        peers = tree.the("Service", template.namespace, template.owner["spec"]["serviceName"])
        assert peers["spec"]["clusterIP"] == "None"
        assert [behind.owner for behind in selected(tree, peers)] == [template.owner]
        assert facts["persistence"] is True
        (claim,) = template.owner["spec"]["volumeClaimTemplates"]
        paths = {
            mount["mountPath"]
            for mount in template.program["volumeMounts"]
            if mount["name"] == claim["metadata"]["name"]
        }
        # Where each image keeps its data: PostgreSQL 18 below a folder with its version.
        homes = {
            "rabbitmq": "/var/lib/rabbitmq/mnesia",
            "postgres": "/var/lib/postgresql",
            "cassandra": "/var/lib/cassandra",
        }
        assert paths == {homes[name]}


def test_postgres_runs_as_its_own_user(tree: Synthesized) -> None:
    """The server and the Jobs that serve it share the files of one user."""
    for service in INFRASTRUCTURE["postgres"]["one_per"]:
        for template in tree.pods(NAMESPACES[service], ["StatefulSet", "Job", "CronJob"]):
            security = template.spec["securityContext"]
            assert security["runAsUser"] == security["fsGroup"] == INFRASTRUCTURE["postgres"]["runs_as_uid"]


@pytest.mark.parametrize("service", INFRASTRUCTURE["cassandra"]["one_per"])
def test_cassandra_ring(tree: Synthesized, service: str) -> None:
    """The ring has its size and name, and knows itself as the one datacenter."""
    template = store_pods(tree, service)
    replicas = INFRASTRUCTURE["cassandra"]["replicas"]
    assert template.owner["spec"]["replicas"] == least_replicas(tree, template) == replicas
    variables = environment_of(tree, template, template.program)
    name = INFRASTRUCTURE["cassandra"]["cluster_name_and_dc"]
    assert variables["CASSANDRA_CLUSTER_NAME"] == name
    # SimpleSnitch, the image's default, knows this datacenter alone; another snitch would need its name.
    assert not {"CASSANDRA_DC", "CASSANDRA_ENDPOINT_SNITCH"} & set(variables)
    seeds = variables["CASSANDRA_SEEDS"].split(",")
    peers = f"{template.owner['spec']['serviceName']}.{template.namespace}.svc.cluster.local"
    assert set(seeds) <= {f"{template.name}-{number}.{peers}" for number in range(replicas)}


@pytest.mark.parametrize("service", INFRASTRUCTURE["cassandra"]["one_per"])
def test_cassandra_asks_for_a_password(tree: Synthesized, service: str, tmp_path: Path) -> None:
    """The configuration that the server gets has authentication, whatever the image's own file says."""
    assert INFRASTRUCTURE["cassandra"]["authentication"] is True
    template = store_pods(tree, service)
    prepare = template.spec["initContainers"][0]
    image_file = tmp_path / "etc/cassandra/cassandra.yaml"
    image_file.parent.mkdir(parents=True)
    image_file.write_text("cluster_name: image\nauthenticator:\n  class_name: AllowAllAuthenticator\n")
    overrides = tmp_path / "overrides/overrides.yaml"
    overrides.parent.mkdir()
    volumes = {volume["name"]: volume.get("configMap") for volume in template.spec["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in prepare["volumeMounts"]}
    data = tree.the("ConfigMap", template.namespace, mounts["/overrides"]["name"])["data"]
    overrides.write_text(data["overrides.yaml"])
    run(prepare, tmp_path, "/etc/cassandra")
    # Of two equal keys, Cassandra as well as this reader takes the last.
    configuration = yaml.safe_load((tmp_path / "conf/cassandra.yaml").read_text())
    assert configuration["cluster_name"] == "image"
    assert configuration["authenticator"] == "PasswordAuthenticator"
    assert configuration["authorizer"] == "CassandraAuthorizer"
    conf = {mount["name"]: mount["mountPath"] for mount in template.program["volumeMounts"]}
    prepared = {mount["mountPath"]: mount["name"] for mount in prepare["volumeMounts"]}
    assert conf[prepared["/conf"]] == "/etc/cassandra"


#: A ring that knows only the built-in login until another role is made. It writes down who says what in which keyspace.
CQLSH = r"""#!/bin/bash
while [ $# -gt 0 ]; do
  case "$1" in
    --credentials) user="$(sed -n 's/^username = //p' "$2")" ;;
    --keyspace) keyspace="$2" ;;
    --execute) statements="$2" ;;
    --file) case "$2" in */schema/*) statements="SOURCE ${2##*/}" ;; *) statements="$(cat "$2")" ;; esac ;;
  esac
  shift
done
case "$user" in
  cassandra) [ ! -e "$LOG.shut" ] || exit 1 ;;
  *) [ -e "$LOG.role" ] || exit 1 ;;
esac
printf '%s %s %s\n' "$user" "${keyspace:--}" "$(echo "$statements" | tr '\n' ' ')" >> "$LOG"
case "$statements" in
  *"CREATE ROLE"*) touch "$LOG.role" ;;
  *"ALTER ROLE cassandra"*) touch "$LOG.shut" ;;
  *system.peers_v2*) printf ' peer\n----------\n 10.0.0.2\n 10.0.0.3\n\n(2 rows)\n' ;;
esac
"""


@pytest.mark.parametrize("service", INFRASTRUCTURE["cassandra"]["one_per"])
def test_cassandra_schema_job(tree: Synthesized, service: str, tmp_path: Path) -> None:
    """The Job makes the role, shuts the built-in login, and replicates to every node; a second run is harmless."""
    facts = DATABASES[service]
    job = schema_pods(tree, service)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cqlsh").write_text(CQLSH)
    (tmp_path / "bin/cqlsh").chmod(0o755)
    password_file = environment_of(tree, job, job.program)["PASSWORD_FILE"]
    (tmp_path / password_file.strip("/")).parent.mkdir(parents=True)
    (tmp_path / password_file.strip("/")).write_text("it's")
    (tmp_path / password_file.strip("/")).with_name("superuser-password").write_text("the superuser's")
    log = tmp_path / "statements"
    runs = []
    for _ in range(2):
        run(job.program, tmp_path, LOG=str(log))
        runs.append(log.read_text())
        log.unlink()
    user, keyspace = facts["user"], facts["keyspace"]
    nodes = INFRASTRUCTURE["cassandra"]["replicas"]
    replication = f"{{'class': 'NetworkTopologyStrategy', '{facts['local_datacenter']}': {nodes}}}"
    superuser = "schema_owner"
    made = f'CREATE ROLE IF NOT EXISTS "{superuser}" WITH SUPERUSER = true AND LOGIN = true'
    assert re.search(rf"^cassandra - .*{re.escape(made)} AND PASSWORD = 'the superuser''s'", runs[0], re.MULTILINE)
    assert "cassandra - " not in runs[1]
    schema = tree.the("ConfigMap", job.namespace, f"{store_pods(tree, service).name}-schema")["data"]
    for statements in runs:
        # Nobody knows the new password of the role that cannot log in any more.
        shut = "ALTER ROLE cassandra WITH SUPERUSER = false AND LOGIN = false AND PASSWORD = '[0-9a-f]{48}'"
        assert re.search(rf"^{superuser} - .*{shut}", statements, re.MULTILINE)
        role = f"CREATE ROLE IF NOT EXISTS \"{user}\" WITH SUPERUSER = false AND LOGIN = true AND PASSWORD = 'it''s'"
        assert re.search(rf"^{superuser} - .*{re.escape(role)}", statements, re.MULTILINE)
        assert f"ALTER KEYSPACE system_auth WITH replication = {replication}" in statements
        assert f"{superuser} - CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}" in statements
        assert f"ALTER KEYSPACE {keyspace} WITH replication = {replication}" in statements
        assert re.findall(rf"^{superuser} {keyspace} SOURCE (\S+)", statements, re.MULTILINE) == list(schema)


def test_rabbitmq_users(tree: Synthesized, tmp_path: Path) -> None:
    """The broker makes its users with the passwords that clients have, and they may do what the contract says."""
    template = store_pods(tree, "rabbitmq")
    prepare = template.spec["initContainers"][0]
    files = secret_files(tree, template, prepare)
    texts = {path: f'"{value["component"]}\\{value["key"]}"' for path, value in files.items()}
    folder = environment_of(tree, template, prepare)["USERS"]
    users = tree.the("ConfigMap", template.namespace, "rabbitmq-users")["data"]
    for path, text in {**texts, **{f"{folder}/{name}": text for name, text in users.items()}}.items():
        (tmp_path / path.strip("/")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path.strip("/")).write_text(text)
    run(prepare, tmp_path)
    definitions = json.loads((tmp_path / "definitions/definitions.json").read_text())
    passwords = {user["name"]: user["password"] for user in definitions["users"]}
    assert passwords == {name: f'"rabbitmq\\{key}"' for name, key in broker_users(tree).items()}
    permissions = {each["user"]: each for each in definitions["permissions"]}
    assert permissions.keys() == passwords.keys()
    if tree.environment == "local":
        assert [*passwords] == [INFRASTRUCTURE["rabbitmq"]["user"]]
    for service, facts in SERVICES.items():
        if "RABBITMQ_USERNAME" not in facts["env"]:
            continue
        variables = environment_of(tree, service_pods(tree, service), service_pods(tree, service).program)
        permission = permissions[variables["RABBITMQ_USERNAME"]]
        assert permission["vhost"] == variables.get("RABBITMQ_VIRTUAL_HOST", "/")
        assert permission["vhost"] in [host["name"] for host in definitions["vhosts"]]
        published, consumed = facts.get("publishes", {}), facts.get("consumes", {})
        needed = {
            ("configure", published.get("exchange")),
            ("write", published.get("exchange")),
            ("read", consumed.get("exchange")),
            *((right, consumed.get("queue")) for right in ("configure", "write", "read")),
        }
        assert all(re.search(permission[right], name) for right, name in needed if name)


def test_rabbitmq_has_no_guest(tree: Synthesized) -> None:
    """RabbitMQ makes ``guest`` unless it loads definitions at its start; nobody comes in without a login."""
    template = store_pods(tree, "rabbitmq")
    configuration = tree.the("ConfigMap", template.namespace, "rabbitmq")["data"]["10-rabbitmq.conf"].splitlines()
    settings = dict(line.split(" = ", 1) for line in configuration)
    assert settings["load_definitions"] == "/definitions/definitions.json"
    assert settings["loopback_users.guest"] == "true"
    assert settings["anonymous_login_user"] == "none"
    mounts = {mount["mountPath"]: mount["name"] for mount in template.program["volumeMounts"]}
    prepared = {mount["mountPath"]: mount["name"] for mount in template.spec["initContainers"][0]["volumeMounts"]}
    assert mounts["/definitions"] == prepared["/definitions"]
    volumes = {volume["name"]: volume for volume in template.spec["volumes"]}
    (item,) = volumes[mounts["/etc/rabbitmq/conf.d"]]["configMap"]["items"]
    assert item == {"key": "10-rabbitmq.conf", "path": "10-rabbitmq.conf"}
    names = {variable["name"] for variable in template.program["env"]}
    assert not names & {"RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"}


def test_rabbitmq_metrics(tree: Synthesized) -> None:
    """The plugin is on, and Prometheus reads its metrics per object."""
    template = store_pods(tree, "rabbitmq")
    plugins = tree.the("ConfigMap", template.namespace, "rabbitmq")["data"]["enabled_plugins"]
    match = re.fullmatch(
        r"the (\w+) plugin on (\d+), with per-object metrics at (\S+)", INFRASTRUCTURE["rabbitmq"]["metrics"]
    )
    assert match
    assert match[1] in re.findall(r"\w+", plugins)
    variables = environment_of(tree, template, template.program)
    mounts = {mount["mountPath"] for mount in template.program["volumeMounts"]}
    assert str(Path(variables["RABBITMQ_ENABLED_PLUGINS_FILE"]).parent) in mounts
    monitor = tree.the("PodMonitor", NAMESPACES["monitoring"], "rabbitmq")
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [template.namespace]}
    assert monitor["spec"]["selector"]["matchLabels"].items() <= dict(template.labels).items()
    ports = {endpoint["path"]: endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
    assert container_ports(template)[ports[match[3]]] == int(match[2])


def test_monitors(tree: Synthesized) -> None:
    """Prometheus scrapes each port with metrics, those of Argo CD and cert-manager beside them, and nothing else."""
    wanted = {(template.namespace, template.name, name) for template, name, _ in metrics_ports(tree)}
    scraped = set()
    monitors = tree.objects("PodMonitor")
    for monitor in monitors:
        assert monitor["metadata"]["namespace"] == NAMESPACES["monitoring"]
        spec = monitor["spec"]
        (namespace,) = spec["namespaceSelector"]["matchNames"]
        if namespace == "argocd":
            assert spec["selector"] == {"matchLabels": {"app.kubernetes.io/name": "argocd-application-controller"}}
            assert [(entry["port"], entry["path"]) for entry in spec["podMetricsEndpoints"]] == [
                ("metrics", "/metrics")
            ]
            continue
        if namespace == "cert-manager":
            labels = {"app.kubernetes.io/name": "cert-manager", "app.kubernetes.io/component": "controller"}
            assert spec["selector"] == {"matchLabels": labels}
            continue
        (template,) = (
            template
            for template in tree.pods(namespace)
            if spec["selector"]["matchLabels"].items() <= dict(template.labels).items()
        )
        for entry in spec["podMetricsEndpoints"]:
            scraped.add((namespace, template.name, entry["port"]))
            # Rules and dashboards tell services apart by it.
            assert entry["relabelings"] == [{"targetLabel": "service", "replacement": template.name}]
    assert scraped == wanted
    assert len(monitors) == len(wanted) + 1 + ("cert-manager" in tree.applications)


def test_monitoring(tree: Synthesized) -> None:
    """Prometheus and Grafana come by their chart, and Prometheus takes up every monitor, whoever declared it."""
    assert INFRASTRUCTURE["monitoring"] == {"prometheus": True, "grafana": True}
    chart = tree.applications["monitoring"]["spec"]["sources"][0]
    assert chart["chart"] == "kube-prometheus-stack"
    values = chart["helm"]["valuesObject"]
    for part in INFRASTRUCTURE["monitoring"]:
        assert values.get(part, {}).get("enabled", True) is True
    assert values["prometheus"]["prometheusSpec"]["podMonitorSelectorNilUsesHelmValues"] is False
    admin = values["grafana"]["admin"]
    namespace = NAMESPACES["monitoring"]
    for key in (admin["userKey"], admin["passwordKey"]):
        assert store_value(tree, namespace, admin["existingSecret"], key)["component"] == "monitoring"

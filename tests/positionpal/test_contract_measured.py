"""What measures PositionPal's services and stores, against what ``contract.yaml`` says of it."""

from __future__ import annotations

import json
import re

import pytest
from contract import (
    AGENT_IMAGES,
    AGENT_PORT,
    AGENT_VARIABLES,
    CONTRACT,
    DATABASES,
    METRICS_PASSWORD_FILE,
    METRICS_ROLE,
    NAMESPACES,
    SERVICES,
    contract_tree,  # noqa: F401 - the fixture tree
    environment_of,
    password_of_store,
    ports_of,
    schema_pods,
    secret_files,
    service_pods,
    store_pods,
)
from synthesized import Synthesized


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
    backups = tree.pods(NAMESPACES[service], ["CronJob"])
    program = service_pods(tree, service)
    for template in (server, *backups, program):
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
    assert (limits["requests"]["memory"], limits["limits"]["memory"]) == ("1184Mi", "1696Mi")


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

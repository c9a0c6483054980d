"""What measures a program from outside: what it adds to pods, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from measured_shop import IMAGE, Python, named, shop, the_pods, tree_of, web
from synthesized import Synthesized

from constructs_lib import (
    AkkaCluster,
    Jvm,
    Nodejs,
    Resources,
    Telemetry,
    generated,
    plain,
)
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.proofs import prove
from constructs_lib.kinds.parts.pods import script
from constructs_lib.kinds.parts.telemetry import version
from constructs_lib.prometheus.rules import one_of
from constructs_lib.repository.snapshot import Snapshot

#: What every agent is told, but for what is different in each: port, name and attributes.
EXPORTER = {
    "OTEL_EXPORTER_PROMETHEUS_HOST": "0.0.0.0",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "9464",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
    "OTEL_METRICS_EXPORTER": "prometheus",
    "OTEL_TRACES_EXPORTER": "none",
}
JAVA_AGENT = "-javaagent:/telemetry/javaagent.jar"
NODE_AGENT = (
    "--require /telemetry/node_modules/@opentelemetry/auto-instrumentations-node/build/src/register.js "
    "--require /telemetry-metrics/nodejs-metrics.js"
)


def config(tree: Synthesized) -> dict[str, str]:
    """Return the variables of the program, from its ConfigMap and from its container."""
    maps = [manifest for manifest in tree.parsed.values() if manifest["kind"] == "ConfigMap"]
    told = [manifest["data"] for manifest in maps if manifest["metadata"]["name"] == "web"]
    container = next(template for template in tree.pods(kinds=["Deployment"]) if template.name == "web").program
    plain = {entry["name"]: entry["value"] for entry in container.get("env", ()) if "value" in entry}
    return {**(told[0] if told else {}), **plain}


# What it adds


@pytest.mark.parametrize(
    ("telemetry", "told", "command", "memory"),
    [
        (
            Jvm(),
            {
                "JAVA_TOOL_OPTIONS": JAVA_AGENT,
                "OTEL_RESOURCE_DISABLED_KEYS": "process.command_args,process.command_line",
            },
            ["cp", "/javaagent.jar", "/telemetry/javaagent.jar"],
            ("416Mi", "672Mi"),
        ),
        (
            Nodejs(),
            {
                "NODE_OPTIONS": NODE_AGENT,
                "OTEL_NODE_RESOURCE_DETECTORS": "env",
                "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
            },
            ["cp", "-r", "/autoinstrumentation/.", "/telemetry/"],
            ("352Mi", "608Mi"),
        ),
        (
            Python(image=IMAGE),
            {"PYTHONPATH": Python.option},
            ["cp", "-r", "/autoinstrumentation/.", "/telemetry/"],
            ("320Mi", "576Mi"),
        ),
    ],
    ids=["jvm", "nodejs", "python"],
)
def test_what_an_agent_adds(
    telemetry: Telemetry, told: dict[str, str], command: list[str], memory: tuple[str, str]
) -> None:
    system = shop()
    web(system, telemetry=telemetry)
    tree = tree_of(system)
    assert config(tree) == {
        **EXPORTER,
        "OTEL_RESOURCE_ATTRIBUTES": ("deployment.environment.name=local,service.namespace=shop,service.version=1.2.3"),
        "OTEL_SERVICE_NAME": "web",
        **told,
    }
    template = the_pods(tree)
    (copying,) = template.spec["initContainers"]
    assert (copying["name"], copying["image"], copying["command"]) == ("telemetry", telemetry.image, command)
    resources = template.program["resources"]
    assert resources == {"requests": {"cpu": "100m", "memory": memory[0]}, "limits": {"memory": memory[1]}}
    assert named(template.program["ports"])["otel-metrics"]["containerPort"] == 9464


def test_without_an_agent_nothing_is_added() -> None:
    system = shop()
    web(system)
    tree = tree_of(system)
    template = the_pods(tree)
    assert "initContainers" not in template.spec
    assert list(named(template.program["ports"])) == ["http"]
    assert "envFrom" not in template.program
    assert [monitor["metadata"]["name"] for monitor in tree.objects("PodMonitor")] == ["argocd"]


def test_fields_of_an_agent_are_what_is_deployed() -> None:
    system = shop()
    telemetry = Jvm(image=IMAGE, port=9999, memory="1Gi")
    web(system, telemetry=telemetry, resources=Resources("1", "1Gi"))
    tree = tree_of(system)
    template = the_pods(tree)
    assert template.container("telemetry")["image"] == IMAGE
    assert config(tree)["OTEL_EXPORTER_PROMETHEUS_PORT"] == "9999"
    assert named(template.program["ports"])["otel-metrics"]["containerPort"] == 9999
    assert template.program["resources"] == {
        "requests": {"cpu": "1", "memory": "2048Mi"},
        "limits": {"memory": "2048Mi"},
    }
    policy = tree.the("NetworkPolicy", "web", "web")
    assert [entry["ports"] for entry in policy["spec"]["ingress"]] == [[{"port": 9999, "protocol": "TCP"}]]


def test_scripts_are_in_a_config_map_whose_change_restarts_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    def checksum() -> str:
        system = shop()
        web(system, telemetry=Nodejs())
        tree = tree_of(system)
        assert list(tree.the("ConfigMap", "web", "web-telemetry")["data"]) == ["nodejs-metrics.js"]
        return str(the_pods(tree).annotations["checksum/config"])

    before = checksum()
    assert before == checksum()
    monkeypatch.setattr(
        "constructs_lib.kinds.parts.telemetry.script", lambda kind, name: f"{script(kind, name)}\n// changed\n"
    )
    assert checksum() != before


def test_volumes_are_where_the_agent_writes_and_the_program_only_reads() -> None:
    system = shop()
    web(system, telemetry=Nodejs())
    template = the_pods(tree_of(system))
    volumes = named(template.spec["volumes"])
    assert volumes["telemetry"] == {"name": "telemetry", "emptyDir": {}}
    assert volumes["telemetry-metrics"] == {"name": "telemetry-metrics", "configMap": {"name": "web-telemetry"}}
    assert template.container("telemetry")["volumeMounts"] == [{"name": "telemetry", "mountPath": "/telemetry"}]
    mounts = named(template.program["volumeMounts"])
    assert mounts["telemetry"] == {"name": "telemetry", "mountPath": "/telemetry", "readOnly": True}
    assert mounts["telemetry-metrics"]["readOnly"] is True


def test_the_agent_is_there_before_anything_waits() -> None:
    """The wait may take minutes, in which the copy would not be late, but its failure would be."""
    system = shop()
    stock = web(system, "stock")
    web(system, telemetry=Jvm()).needs(stock.endpoint("http"), {"STOCK": "address"})
    template = next(template for template in tree_of(system).pods() if template.name == "web")
    assert [container["name"] for container in template.containers] == ["telemetry", "wait", "web"]
    assert config(tree_of(system))["STOCK"] == "stock.stock.svc.cluster.local:8080"


# What is declared is kept


@pytest.mark.parametrize(
    ("telemetry", "variable", "agent"),
    [(Jvm(), "JAVA_TOOL_OPTIONS", JAVA_AGENT), (Nodejs(), "NODE_OPTIONS", NODE_AGENT)],
    ids=["jvm", "nodejs"],
)
@pytest.mark.parametrize("kind", [str, plain])
def test_options_are_kept_and_added_to(telemetry: Telemetry, variable: str, agent: str, kind: Any) -> None:
    system = shop()
    web(system, telemetry=telemetry, env={variable: kind("-Dfirst=1 -Dsecond=2")})
    assert config(tree_of(system))[variable] == f"-Dfirst=1 -Dsecond=2 {agent}"


@pytest.mark.parametrize("variable", ["JAVA_TOOL_OPTIONS", "NODE_OPTIONS"])
def test_options_of_another_runtime_are_left_alone(variable: str) -> None:
    system = shop()
    web(system, telemetry=Python(image=IMAGE), env={variable: "-Dfirst=1"})
    assert config(tree_of(system))[variable] == "-Dfirst=1"


def test_without_an_agent_options_are_left_alone() -> None:
    system = shop()
    web(system, env={"JAVA_TOOL_OPTIONS": "-Dfirst=1", "OTEL_SERVICE_NAME": "mine"})
    assert config(tree_of(system)) == {"JAVA_TOOL_OPTIONS": "-Dfirst=1", "OTEL_SERVICE_NAME": "mine"}


#: Values with which there are metrics as before.
HARMLESS = {
    "OTEL_EXPORTER_PROMETHEUS_HOST": "::",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "9464",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_LOG_LEVEL": "debug",
    "OTEL_METRICS_EXEMPLAR_FILTER": "trace_based",
    "OTEL_METRICS_EXPORTER": "prometheus, otlp",
    "OTEL_RESOURCE_ATTRIBUTES": "mine=1",
    "OTEL_SERVICE_NAME": "mine",
    "OTEL_TRACES_EXPORTER": "otlp",
}


@pytest.mark.parametrize("variable", HARMLESS)
def test_a_variable_of_ones_own_wins(variable: str) -> None:
    system = shop()
    web(system, telemetry=Jvm(), env={variable: HARMLESS[variable]})
    found = config(tree_of(system))
    assert found[variable] == HARMLESS[variable]
    assert {name: value for name, value in found.items() if name in EXPORTER and name != variable} == {
        name: value for name, value in EXPORTER.items() if name != variable
    }


@pytest.mark.parametrize(
    ("telemetry", "variable", "wrong", "right"),
    [
        (Jvm(), "OTEL_METRICS_EXPORTER", "otlp", "prometheus,otlp"),
        (Nodejs(), "OTEL_METRICS_EXPORTER", "", "prometheus"),
        (Nodejs(), "OTEL_EXPORTER_PROMETHEUS_HOST", "localhost", "0.0.0.0"),
        (Jvm(port=9999), "OTEL_EXPORTER_PROMETHEUS_PORT", "9464", "9999"),
        (Nodejs(), "OTEL_SDK_DISABLED", "True", "false"),
        (Jvm(), "OTEL_JAVAAGENT_ENABLED", "false", "true"),
        (Jvm(), "OTEL_SEMCONV_STABILITY_OPT_IN", "database,rpc", "database,rpc/dup"),
        (Jvm(), "JAVA_TOOL_OPTIONS", "-Xmx1g -Dotel.metrics.exporter=none", "-Dotel.traces.exporter=otlp"),
        (Jvm(), "JDK_JAVA_OPTIONS", "-Dotel.javaagent.enabled=false", "-Dmy.otel.sdk.disabled=true"),
        (Nodejs(), "OTEL_SEMCONV_STABILITY_OPT_IN", "rpc", "rpc,http/dup"),
        (Nodejs(), "OTEL_NODE_ENABLED_INSTRUMENTATIONS", "grpc,pg", "grpc,http"),
        (Nodejs(), "OTEL_NODE_DISABLED_INSTRUMENTATIONS", "fs,http", "fs,dns"),
        (Nodejs(), "JDK_JAVA_OPTIONS", None, "-Dotel.metrics.exporter=none"),
    ],
)
def test_a_variable_that_takes_the_metrics_away_is_a_mistake(
    telemetry: Telemetry, variable: str, wrong: str | None, right: str
) -> None:
    for value, is_mistake in ((wrong, True), (right, False)):
        if value is not None:
            system = shop()
            web(system, telemetry=telemetry, env={variable: value})
            problems = [each.problem for each in system.diagnostics.found]
            assert len(problems) == is_mistake, problems
            assert all(
                problem.startswith(variable) and "Prometheus finds no metrics" in problem for problem in problems
            )


def test_whether_a_secret_variable_leaves_metrics_nobody_can_tell() -> None:
    system = shop()
    web(system, telemetry=Jvm(), env={"OTEL_METRICS_EXPORTER": generated("exporter")})
    [mistake] = system.diagnostics.found
    assert "it must be a plain text" in mistake.problem


def test_a_secret_variable_of_ones_own_wins_too() -> None:
    """Such as a header with a login for a collector."""
    system = shop()
    web(system, telemetry=Jvm(), env={"OTEL_RESOURCE_ATTRIBUTES": generated("attributes")})
    tree = tree_of(system)
    assert "OTEL_RESOURCE_ATTRIBUTES" not in config(tree)
    variable = named(the_pods(tree).program["env"])["OTEL_RESOURCE_ATTRIBUTES"]
    assert set(variable["valueFrom"]) == {"secretKeyRef"}


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (IMAGE, "1.2.3"),
        (f"example/web@sha256:{'0123456789abcdef' * 4}", "0123456789ab"),
        (f"registry.example:5000/shop/web@sha256:{'0123456789abcdef' * 4}", "0123456789ab"),
        ("registry.example:5000/shop/web:2.0-rc_1", "2.0-rc_1"),
    ],
)
def test_version_of_an_image(image: str, found: str) -> None:
    assert version(image) == found


# Who reaches it


@pytest.mark.parametrize("exposed", [None, "http"])
def test_the_port_is_in_no_service(exposed: str | None) -> None:
    system = shop()
    web(system, telemetry=Jvm(), exposed=exposed)
    tree = tree_of(system)
    (service,) = tree.objects("Service", "web")
    assert service["spec"]["type"] == ("LoadBalancer" if exposed else "ClusterIP")
    assert [port["name"] for port in service["spec"]["ports"]] == ["http"]


@pytest.mark.parametrize("exposed", [None, "http"])
def test_prometheus_alone_may_open_the_port(exposed: str | None) -> None:
    system = shop()
    stock = web(system, "stock")
    service = web(system, telemetry=Jvm(), exposed=exposed)
    stock.needs(service.endpoint("http"), {"WEB": "address"})
    tree = tree_of(system)
    opening = [
        rule
        for policy in tree.objects("NetworkPolicy", "web")
        for rule in policy["spec"].get("ingress", [])
        if not rule.get("ports") or 9464 in [port["port"] for port in rule["ports"]]
    ]
    (rule,) = opening
    assert rule == {
        "from": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
            }
        ],
        "ports": [{"port": 9464, "protocol": "TCP"}],
    }


def test_nobody_may_open_it_where_nobody_watches() -> None:
    """The agent of a service stays: what it costs shows in the declaration, and it may export elsewhere."""
    system = shop(monitored=False)
    web(system, telemetry=Jvm())
    tree = tree_of(system)
    assert the_pods(tree).container("telemetry")
    rules = [rule for policy in tree.objects("NetworkPolicy") for rule in policy["spec"].get("ingress", [])]
    assert rules == []
    assert tree.objects("PodMonitor") == tree.objects("PrometheusRule") == []


def test_metrics_of_its_own_beside_those_of_the_agent() -> None:
    system = shop()
    web(system, telemetry=Jvm(), ports={"http": 8080, "own": 9100}, metrics="own")
    tree = tree_of(system)
    monitor = tree.the("PodMonitor", "monitoring", "web")
    assert monitor["spec"]["podMetricsEndpoints"] == [
        {
            "port": port,
            "path": "/metrics",
            "interval": "30s",
            "relabelings": [{"targetLabel": "service", "replacement": "web"}],
        }
        for port in ("own", "otel-metrics")
    ]
    (service,) = tree.objects("Service", "web")
    assert [port["name"] for port in service["spec"]["ports"]] == ["http", "own"]


def test_an_akka_cluster_finds_its_ports_beside_the_agents() -> None:
    system = shop()
    web(system, telemetry=Jvm(grpc=False)).add(AkkaCluster("web", 1))
    template = the_pods(tree_of(system))
    assert [port["containerPort"] for port in template.program["ports"]] == [8080, 9464, 8558, 25520]
    assert template.program["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "management"}


def test_probes_do_not_ask_the_agent() -> None:
    system = shop()
    web(system, telemetry=Jvm())
    program = the_pods(tree_of(system)).program
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert program[probe]["tcpSocket"] == {"port": "http"}


# Another runtime


def test_another_runtime_is_observed_like_the_others() -> None:
    """Rules and dashboards take it in, and no check has anything against it."""
    system = shop()
    web(system, telemetry=Python(image=IMAGE))
    web(system, "stock", telemetry=Jvm())
    tree = tree_of(system)
    assert tree.the("PodMonitor", "monitoring", "web")
    assert tree.the("ConfigMap", "monitoring", "dashboard-shop-web")
    rules = tree.the("PrometheusRule", "monitoring", "requests")["spec"]["groups"][0]["rules"]
    assert any(one_of(["stock", "web"]) in rule["expr"] for rule in rules)
    snapshot = Snapshot("local", dict(tree.files), None)
    faults = [finding for finding in prove(ClusterModel(snapshot, ["argocd/local"])) if finding.subject.count("web")]
    assert faults == []


def test_another_runtime_may_take_further_variables() -> None:
    class Ruby(Telemetry):
        option_variable, option = "RUBYOPT", "-r /telemetry/agent"
        copy = ("/agent.rb", "/telemetry/agent.rb")

        def variables(self, service: str, system: str, environment: str, image: str) -> dict[str, str]:
            return {**super().variables(service, system, environment, image), "RUBY_AGENT": "on"}

    system = shop()
    web(system, telemetry=Ruby(image=IMAGE), env={"RUBYOPT": "-w"})
    found = config(tree_of(system))
    assert (found["RUBYOPT"], found["RUBY_AGENT"]) == ("-w -r /telemetry/agent", "on")

"""What a program can be told, and what its pods are then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sound import one, sound_tree
from synthesized import Synthesized
from systems import empty

from constructs_lib import (
    AkkaCluster,
    Claim,
    Component,
    Container,
    Empty,
    Exec,
    Grpc,
    HostPath,
    Http,
    Jvm,
    LoadBalancer,
    Memory,
    Microservice,
    Placement,
    Port,
    Postgres,
    Resources,
    System,
    Tcp,
    Toleration,
    generated,
    supplied,
    synthesize,
)
from constructs_lib.declare.secret import Secret
from constructs_lib.kinds.parts import images
from constructs_lib.kubernetes.manifest import Manifest

IMAGE = "example/service:1.2.3"


@pytest.fixture
def system() -> System:
    """Return a system whose cluster brings what the others need."""
    return empty("local", "external-secrets", "metrics-api")


def pods(system: System, name: str = "web") -> Manifest:
    """Return the spec of the pods of a Deployment."""
    deployment = one(sound_tree(system), "Deployment", name)
    return dict(deployment["spec"]["template"]["spec"])


def test_worker(system: System) -> None:
    Microservice(system, "web", image=IMAGE, command=["/bin/worker"], args=["--queue", "mail"])
    tree = sound_tree(system)
    assert [*tree.objects("Service", "web")] == []
    program = pods(system)["containers"][0]
    assert program["command"] == ["/bin/worker"]
    assert program["args"] == ["--queue", "mail"]
    assert program.keys() & {"ports", "readinessProbe", "livenessProbe", "startupProbe", "lifecycle"} == set()
    assert pods(system)["terminationGracePeriodSeconds"] == 30


def test_numbers_of_the_service_and_of_the_pods(system: System) -> None:
    web = Microservice(
        system, "web", image=IMAGE, ports={"http": Port(8080, service=80), "dns": Port(53, protocol="UDP")}
    )
    caller = Microservice(system, "caller", image=IMAGE)
    caller.needs(web.endpoint("http"), {"WEB": "address", "PORT": "port"})
    caller.needs(web.endpoint("dns"), {"DNS": "address"})
    tree = sound_tree(system)
    service = one(tree, "Service", "web")
    assert [(each["port"], each["targetPort"], each["protocol"]) for each in service["spec"]["ports"]] == [
        (80, "http", "TCP"),
        (53, "dns", "UDP"),
    ]
    config = one(tree, "ConfigMap", "caller")
    assert config["data"] == {
        "DNS": "web.web.svc.cluster.local:53",
        "PORT": "80",
        "WEB": "web.web.svc.cluster.local:80",
    }
    policy = one(tree, "NetworkPolicy", "web")
    assert policy["spec"]["ingress"][0]["ports"] == [
        {"port": 53, "protocol": "UDP"},
        {"port": 8080, "protocol": "TCP"},
    ]
    assert pods(system, "caller")["initContainers"][0]["image"] == images.WAIT
    # No connection tells whether somebody listens at a port of UDP.
    assert pods(system, "caller")["initContainers"][0]["command"][4:] == ["web.web.svc.cluster.local:80"]


@pytest.mark.parametrize(
    ("probe", "action"),
    [
        (Http("/ready", "http"), {"httpGet": {"path": "/ready", "port": "http"}}),
        (
            Http("/", "http", headers={"Cookie": "x=1"}, scheme="HTTPS"),
            {
                "httpGet": {
                    "path": "/",
                    "port": "http",
                    "scheme": "HTTPS",
                    "httpHeaders": [{"name": "Cookie", "value": "x=1"}],
                }
            },
        ),
        (Tcp("http"), {"tcpSocket": {"port": "http"}}),
        (Grpc("http", "shop.Orders"), {"grpc": {"port": 8080, "service": "shop.Orders"}}),
        (Grpc("http"), {"grpc": {"port": 8080}}),
        (Exec(["/bin/ready"]), {"exec": {"command": ["/bin/ready"]}}),
    ],
)
def test_probes(system: System, probe: Http | Tcp | Grpc | Exec, action: Manifest) -> None:
    Microservice(system, "web", image=IMAGE, ports={"http": 8080}, readiness=probe, start_seconds=60)
    program = pods(system)["containers"][0]
    assert program["readinessProbe"] == {**action, "periodSeconds": 5, "timeoutSeconds": 3}
    assert program["livenessProbe"] == {**action, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6}
    assert program["startupProbe"] == {**action, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 12}


def test_timings_of_probes(system: System) -> None:
    Microservice(
        system,
        "web",
        image=IMAGE,
        ports={"http": 8080},
        readiness=Http("/ready", "http", delay_seconds=3, period_seconds=7, timeout_seconds=2, failures=1),
        startup=Tcp("http", period_seconds=10),
        start_seconds=95,
    )
    program = pods(system)["containers"][0]
    assert program["readinessProbe"]["initialDelaySeconds"] == 3
    assert (program["readinessProbe"]["periodSeconds"], program["readinessProbe"]["failureThreshold"]) == (7, 1)
    # A single failure takes a pod out of the Service; it does not kill it.
    assert program["livenessProbe"]["failureThreshold"] == 6
    assert "initialDelaySeconds" not in program["livenessProbe"]
    assert program["startupProbe"]["tcpSocket"] == {"port": "http"}
    assert (program["startupProbe"]["periodSeconds"], program["startupProbe"]["failureThreshold"]) == (10, 10)


def test_files_of_all_kinds(system: System, tmp_path: Path) -> None:
    (tmp_path / "app.conf").write_text("level = info\n")
    files: dict[str, str | Path | Secret] = {
        "/etc/web/app.conf": tmp_path / "app.conf",
        "/etc/web/key.json": supplied("a key"),
        "/etc/more/app.conf": "other = 1\n",
        "/etc/secret/key.json": supplied("another key"),
    }
    Microservice(system, "web", image=IMAGE, files=files)
    tree = sound_tree(system)
    config = one(tree, "ConfigMap", "web-files")
    assert config["data"] == {"etc.more.app.conf": "other = 1\n", "etc.web.app.conf": "level = info\n"}
    volumes = {each["name"]: each for each in pods(system)["volumes"]}
    assert volumes["files-0"]["configMap"]["items"] == [{"key": "etc.more.app.conf", "path": "app.conf"}]
    assert volumes["files-1"]["secret"]["items"] == [{"key": "etc.secret.key.json", "path": "key.json"}]
    assert volumes["files-2"]["projected"]["sources"] == [
        {"configMap": {"name": "web-files", "items": [{"key": "etc.web.app.conf", "path": "app.conf"}]}},
        {"secret": {"name": "web", "items": [{"key": "key.json", "path": "key.json"}]}},
    ]


def test_change_of_a_file_replaces_the_pods() -> None:
    checksums = set()
    for text in ("a", "b"):
        system = empty("local", "external-secrets")
        Microservice(system, "web", image=IMAGE, files={"/etc/web/app.conf": text})
        deployment = one(sound_tree(system), "Deployment", "web")
        checksums.add(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"])
    assert len(checksums) == 2


def test_volumes(system: System) -> None:
    agent = Component(system, "agent", pod_security="privileged")
    Microservice(
        agent,
        "agent",
        image=IMAGE,
        volumes={
            "/cache": Empty("1Gi"),
            "/scratch": Memory("64Mi"),
            "/data": Claim("5Gi", access="ReadWriteOncePod"),
            "/host/log": HostPath("/var/log"),
        },
    )
    found = pods(system, "agent")
    assert {each["name"]: each for each in found["volumes"]} == {
        "tmp": {"name": "tmp", "emptyDir": {}},
        "cache": {"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}},
        "scratch": {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        "data": {"name": "data", "persistentVolumeClaim": {"claimName": "agent-data"}},
        "host-log": {"name": "host-log", "hostPath": {"path": "/var/log"}},
    }
    assert {"name": "host-log", "mountPath": "/host/log", "readOnly": True} in found["containers"][0]["volumeMounts"]
    tree = sound_tree(system)
    claim = one(tree, "PersistentVolumeClaim", "agent-data")
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert claim["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
    namespace = one(tree, "Namespace", "agent")
    assert namespace["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
    deployment = one(tree, "Deployment", "agent")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_further_containers(system: System) -> None:
    web = Microservice(
        system,
        "web",
        image=IMAGE,
        ports={"http": 8080, "proxy": Port(9000, sidecar="proxy")},
        env={"MODE": "fast", "TOKEN": generated("signs")},
        volumes={"/data": Empty()},
        init_containers=[Container(name="fill", image=IMAGE, command=["fill"], mounts=["/data"], with_variables=True)],
        sidecars=[
            Container(
                name="proxy",
                image="example/proxy:2.0.0",
                args=["--listen", ":9000"],
                env={"DB_PASSWORD": supplied("password of the proxy")},
                startup=Tcp("proxy"),
            )
        ],
    )
    database = Postgres(web, "database", image="postgres:18.6", database="web", user="web", storage="1Gi")
    web.needs(database.endpoint("sql"), {"DB": "address"})
    found = pods(system)
    assert [each["name"] for each in found["initContainers"]] == ["wait", "proxy", "fill"]
    _, proxy, fill = found["initContainers"]
    assert proxy["restartPolicy"] == "Always"
    assert proxy["ports"] == [{"name": "proxy", "containerPort": 9000, "protocol": "TCP"}]
    assert proxy["startupProbe"] == {"tcpSocket": {"port": "proxy"}, "periodSeconds": 5, "failureThreshold": 36}
    assert proxy["env"] == [
        {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "web", "key": "proxy-DB_PASSWORD"}}}
    ]
    assert "restartPolicy" not in fill
    assert fill["envFrom"] == [{"configMapRef": {"name": "web"}}]
    assert [each["name"] for each in fill["env"]] == ["TOKEN"]
    assert {"name": "data", "mountPath": "/data"} in fill["volumeMounts"]
    assert [each["name"] for each in found["containers"][0]["ports"]] == ["http"]


def test_ports_of_sidecars_are_asked_by_number(system: System) -> None:
    """A container knows the names of its own ports alone; and that a sidecar listens does not say the program does."""
    proxy = Container(name="proxy", image=IMAGE, startup=Http("/up", "proxy"))
    ports: dict[str, int | Port] = {"proxy": Port(9000, sidecar="proxy"), "http": 8080}
    Microservice(system, "web", image=IMAGE, ports=ports, liveness=Http("/live", "proxy"), sidecars=[proxy])
    found = pods(system)
    (program,) = found["containers"]
    assert program["readinessProbe"]["tcpSocket"] == {"port": "http"}
    assert program["livenessProbe"]["httpGet"] == program["startupProbe"]["httpGet"] == {"path": "/live", "port": 9000}
    assert found["initContainers"][0]["startupProbe"]["httpGet"] == {"path": "/up", "port": "proxy"}


def test_probes_of_sidecars(system: System) -> None:
    """What a Service sends to a sidecar, it sends once that is ready."""
    ports = {name: Port(9000 + number, sidecar=name) for number, name in enumerate(("plain", "asked", "started"))}
    sidecars = [
        Container(name="plain", image=IMAGE),
        Container(name="asked", image=IMAGE, readiness=Grpc("asked", failures=1), liveness=Tcp("asked")),
        Container(name="started", image=IMAGE, startup=Http("/up", "started", period_seconds=1)),
        Container(name="silent", image=IMAGE),
    ]
    Microservice(system, "web", image=IMAGE, ports=ports, sidecars=sidecars)
    found = {each["name"]: each for each in pods(system)["initContainers"]}
    often = {"periodSeconds": 5, "timeoutSeconds": 3}
    assert found["plain"]["readinessProbe"] == {"tcpSocket": {"port": "plain"}, **often}
    assert found["asked"]["readinessProbe"] == {"grpc": {"port": 9001}, **often, "failureThreshold": 1}
    assert found["asked"]["livenessProbe"]["failureThreshold"] == 6
    assert found["started"]["readinessProbe"] == {"httpGet": {"path": "/up", "port": "started"}, **often}
    assert "readinessProbe" not in found["silent"]
    assert "livenessProbe" not in found["started"]
    # Nothing of its own listens: it is ready once it runs.
    assert "readinessProbe" not in pods(system)["containers"][0]


def test_variables_of_further_containers(system: System) -> None:
    """Some of the program's, and their own instead; what the agent is told would stop one that has no agent."""
    web = Microservice(
        system,
        "web",
        image=IMAGE,
        env={"MODE": "fast", "LEVEL": "info", "TOKEN": generated("signs")},
        telemetry=Jvm(),
        init_containers=[
            Container(name="some", image=IMAGE, with_variables=["MAIL", "LEVEL", "TOKEN"], env={"LEVEL": "debug"}),
            Container(name="all", image=IMAGE, with_variables=True),
        ],
    )
    web.needs(Microservice(system, "mail", image=IMAGE, ports={"smtp": 25}).endpoint("smtp"), {"MAIL": "address"})
    containers = {each["name"]: each for each in pods(system)["initContainers"]}
    token = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "web", "key": "TOKEN"}}}
    assert "envFrom" not in containers["some"]
    assert containers["some"]["env"] == [
        {"name": "MAIL", "value": "mail.mail.svc.cluster.local:25"},
        token,
        {"name": "LEVEL", "value": "debug"},
    ]
    assert containers["all"]["envFrom"] == [{"configMapRef": {"name": "web"}}]
    assert containers["all"]["env"] == [token]


def test_placement_and_resources(system: System) -> None:
    Microservice(
        system,
        "web",
        image=IMAGE,
        replicas=2,
        resources=Resources("500m", "1Gi", "2Gi", cpu_limit="2", extended={"nvidia.com/gpu": 1}),
        placement=Placement(
            nodes={"pool": "gpu"},
            tolerations=(Toleration("gpu", "yes", "NoSchedule"), Toleration("spot")),
            spread="zones",
            strictly=True,
            priority="high",
        ),
        annotations={"example.com/owner": "team a"},
        labels={"team": "a"},
    )
    deployment = one(Synthesized("local", synthesize(system).files), "Deployment", "web")
    template = deployment["spec"]["template"]
    assert template["metadata"]["annotations"] == {"example.com/owner": "team a"}
    assert template["metadata"]["labels"]["team"] == "a"
    found = template["spec"]
    assert found["nodeSelector"] == {"pool": "gpu"}
    assert found["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
    ]
    assert found["priorityClassName"] == "high"
    (spread,) = found["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "DoNotSchedule")
    assert found["containers"][0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": 1},
        "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": 1},
    }


def test_login_of_a_registry_is_on_the_list_of_the_bootstrap(system: System) -> None:
    Microservice(system, "web", image=IMAGE, pull_secret=supplied("login for registry.example.com"))
    assert pods(system)["imagePullSecrets"] == [{"name": "web-pull"}]
    tree = sound_tree(system)
    (secret,) = tree.objects("ExternalSecret")
    assert secret["metadata"]["name"] == "web-pull"
    assert secret["spec"]["target"]["template"]["type"] == "kubernetes.io/dockerconfigjson"
    assert [(each["secretKey"], each["remoteRef"]["property"]) for each in secret["spec"]["data"]] == [
        (".dockerconfigjson", "pull-secret")
    ]
    assert (
        '"purpose": "login for registry.example.com"'
        in synthesize(system).files["bootstrap/argocd/local.tfvars.json"].decode()
    )


def test_login_of_the_system_is_supplied_once(system: System) -> None:
    system = System(system.environment, "shop", pull_secret=supplied("login for registry.example.com"))
    web = Microservice(system, "web", image=IMAGE)
    Microservice(web, "worker", image=IMAGE)
    Microservice(system, "other", image=IMAGE)
    Microservice(system, "own", image=IMAGE, pull_secret=supplied("another login"))
    names = {name: [each["name"] for each in pods(system, name)["imagePullSecrets"]] for name in ("web", "web-worker")}
    assert names == {"web": ["web-registry"], "web-worker": ["web-registry"]}
    assert pods(system, "own")["imagePullSecrets"] == [{"name": "own-pull"}]
    values = json.loads(synthesize(system).files["bootstrap/argocd/local.tfvars.json"])
    assert [(each["component"], each["key"]) for each in values["secrets"]] == [
        ("own", "pull-secret"),
        ("shop", "registry-login"),
    ]
    copies = {name: reader["copies"] for name, reader in values["secret_readers"].items()}
    assert copies == {
        "other": {"shop.registry-login": "shop/registry-login"},
        "own": {},
        "web": {"shop.registry-login": "shop/registry-login"},
    }


def test_several_exposed_ports(system: System) -> None:
    Microservice(
        system, "web", image=IMAGE, ports={"http": 8080, "mqtt": 1883, "admin": 9000}, exposed=["http", "mqtt"]
    )
    tree = sound_tree(system)
    # A load balancer opens all ports of its Service: that of the cluster has one more.
    assert one(tree, "Service", "web")["spec"]["type"] == "ClusterIP"
    outside = one(tree, "Service", "web-external")["spec"]
    assert (outside["type"], [each["name"] for each in outside["ports"]]) == ("LoadBalancer", ["http", "mqtt"])
    policy = one(tree, "NetworkPolicy", "web")
    assert sorted(port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]) == [1883, 8080]


def test_load_balancer_beside_the_service(system: System) -> None:
    Microservice(
        system,
        "web",
        image=IMAGE,
        ports={"http": Port(8080, service=80)},
        exposed=LoadBalancer(
            {"http": 443}, ("203.0.113.0/24",), annotations={"example.com/idle": "60"}, keeps_client_address=True
        ),
    )
    inside, outside = sorted(sound_tree(system).objects("Service"), key=lambda each: each["metadata"]["name"])
    assert (inside["metadata"]["name"], inside["spec"]["type"]) == ("web", "ClusterIP")
    assert outside["metadata"]["name"] == "web-external"
    assert outside["metadata"]["annotations"]["example.com/idle"] == "60"
    assert outside["spec"] == {
        "type": "LoadBalancer",
        "selector": inside["spec"]["selector"],
        "ports": [{"name": "http", "port": 443, "targetPort": "http", "protocol": "TCP"}],
        "externalTrafficPolicy": "Local",
        "loadBalancerSourceRanges": ["203.0.113.0/24"],
    }


def test_no_pods(system: System) -> None:
    Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=0)
    deployment = one(sound_tree(system), "Deployment", "web")
    assert deployment["spec"]["replicas"] == 0


def test_akka_is_added(system: System) -> None:
    web = Microservice(system, "web", image=IMAGE, ports={"http": 8080}, liveness=Tcp("http"), replicas=2)
    web.add(AkkaCluster("web", 2, management=8559))
    program = pods(system)["containers"][0]
    assert program["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "management"}
    assert program["livenessProbe"]["tcpSocket"] == {"port": "http"}
    assert [each["containerPort"] for each in program["ports"]] == [8080, 8559, 25520]
    service = one(sound_tree(system), "Service", "web")
    assert [each["name"] for each in service["spec"]["ports"]] == ["http"]

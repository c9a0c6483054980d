"""What is declared with all that programs can be told is accepted by a real API server, and so are the pods of it."""

from __future__ import annotations

import runpy
import time
from collections.abc import Iterator

import pytest
from crds import definitions
from stage import ROOT, tools
from synthesized import Synthesized
from systems import empty

from constructs_lib import (
    Autoscale,
    Claim,
    Component,
    Container,
    CronJob,
    DaemonSet,
    Empty,
    Exec,
    Grpc,
    HostPath,
    Http,
    Job,
    Jvm,
    LoadBalancer,
    Memory,
    Microservice,
    Placement,
    Port,
    Resources,
    Rule,
    StatefulSet,
    System,
    Tcp,
    Toleration,
    Valkey,
    field,
    generated,
    supplied,
    synthesize,
)
from constructs_lib.kubernetes.manifest import condition
from constructs_lib.rehearse.api_client import ApiClient
from constructs_lib.rehearse.control_plane import Authority, start_api_server
from constructs_lib.rehearse.processes import Workspace

IMAGE = "example/service:1.2.3"
PRIORITY = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 100}


@pytest.fixture(scope="module")
def client() -> Iterator[ApiClient]:
    """Return a client of an API server that knows the kinds of External Secrets."""
    with Workspace() as workspace:
        client = start_api_server(workspace, tools(), Authority(workspace.folder)).client
        client.apply(PRIORITY)
        for definition in definitions():
            client.apply(definition)
            end = time.monotonic() + 30
            while condition(client.get(definition) or {}, "Established").get("status") != "True":
                assert time.monotonic() < end, definition["metadata"]["name"]
                time.sleep(0.1)
        yield client


def everything() -> System:
    """Return a system with a program for each kind of argument."""
    system = empty("local", "external-secrets")
    web = Microservice(
        system,
        "web",
        image=IMAGE,
        command=["/bin/web"],
        args=["--verbose"],
        ports={
            "http": Port(8080, service=80),
            "dns": Port(5353, service=53, protocol="UDP"),
            "sctp": Port(9999, protocol="SCTP"),
            "proxy": Port(9000, sidecar="proxy"),
            "own": Port(7946, internal=True),
        },
        exposed=LoadBalancer({"http": 443}, ("203.0.113.0/24",), keeps_client_address=True),
        metrics="http",
        env={"NODE": field("spec.nodeName"), "TOKEN": generated("signs"), "MODE": "fast"},
        files={
            "/etc/web/web.conf": "a = 1\n",
            "/etc/web/key.json": supplied("a key"),
            "/etc/key/key.json": generated("k"),
        },
        volumes={"/cache": Empty("1Gi"), "/scratch": Memory("64Mi")},
        readiness=Http("/ready?deep=1", "proxy", {"X-Probe": "1"}, scheme="HTTPS", failures=2),
        liveness=Tcp("http", delay_seconds=5),
        startup=Exec(["/bin/true"], period_seconds=2),
        init_containers=[Container(name="fill", image=IMAGE, mounts=["/cache", "/etc/web"], with_variables=True)],
        sidecars=[Container(name="proxy", image=IMAGE, startup=Grpc("proxy"), with_variables=["MODE"])],
        resources=Resources("500m", "1Gi", "2Gi", cpu_limit="2", extended={"nvidia.com/gpu": 1}),
        placement=Placement(
            nodes={"pool": "gpu"},
            tolerations=(Toleration("spot", effect="NoExecute", seconds=60), Toleration("gpu", "yes"), Toleration("")),
            spread="zones",
            strictly=True,
            priority="high",
        ),
        labels={"team": "a"},
        annotations={"example.com/owner": "team a"},
        pull_secret=supplied("login"),
        rbac=[Rule(["pods"], ["get"])],
        replicas=Autoscale(2, 4),
        telemetry=Jvm(),
    )
    worker = Microservice(system, "worker", image=IMAGE, volumes={"/data": Claim("5Gi", access="ReadWriteOncePod")})
    worker.needs(web.endpoint("http"), {"WEB": "address"})
    worker.needs(web.endpoint("dns"), {"DNS": "address"})
    Microservice(system, "asleep", image=IMAGE, replicas=0, exposed=["a", "b"], ports={"a": 1, "b": 2, "c": 3})
    agents = Component(system, "agents", pod_security="privileged")
    DaemonSet(agents, "agents", image=IMAGE, volumes={"/host/log": HostPath("/var/log")})
    claims = {"/data": Claim("5Gi"), "/wal": Claim("1Gi", storage_class="local-path")}
    ring = StatefulSet(system, "ring", image=IMAGE, ports={"sql": 5432}, volumes=claims, replicas=3, parallel=True)
    helper = Container(name="helper", image=IMAGE, startup=Exec(["/bin/up"]), liveness=Exec(["/bin/up"]))
    migration = Job(ring, "migration", image=IMAGE, sidecars=[helper], files={"/etc/sql/1.sql": "SELECT 1;\n"})
    migration.needs(ring.endpoint("sql"), {"RING": "address"})
    CronJob(system, "report", image=IMAGE, schedule="17 3 * * *", zone="Europe/Berlin", volumes={"/data": Empty()})
    Valkey(system, "cache", image="valkey/valkey:9.0.1", storage="1Gi")
    return system


def boutique(environment: str) -> System:
    """Return Online Boutique."""
    declared = runpy.run_path(str(ROOT / "tests" / "boutique" / "boutique.py"))
    system: System = declared["boutique"](declared[environment])
    return system


@pytest.mark.parametrize(
    "system", [everything(), boutique("LOCAL"), boutique("PRODUCTION")], ids=["everything", "local", "production"]
)
def test_all_objects_are_accepted(client: ApiClient, system: System) -> None:
    tree = Synthesized(system.environment.name, synthesize(system).files)
    client.warnings.clear()
    objects = sorted(tree.objects(), key=lambda each: each["kind"] != "Namespace")
    for each in objects:
        client.apply(each)
    for pods in tree.pods():
        # A Deployment is accepted whatever Pod Security says of its pods.
        # The controller of a StatefulSet adds the volumes.
        claims = [each["metadata"]["name"] for each in pods.owner["spec"].get("volumeClaimTemplates", ())]
        added = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
        spec = {**pods.spec, "volumes": [*pods.spec["volumes"], *added]}
        metadata = {
            "name": pods.name,
            "namespace": pods.namespace,
            "labels": pods.labels,
            "annotations": pods.annotations,
        }
        client.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, dry_run=True)
    assert [*client.warnings] == []

"""Programs that run on a schedule, once at each change, with volumes of their own, and on every node."""

from __future__ import annotations

import pytest
from sound import one, sound_tree
from systems import empty, monitored

from constructs_lib import (
    Claim,
    Component,
    Container,
    CronJob,
    DaemonSet,
    DeclarationError,
    Exec,
    HostPath,
    Job,
    Microservice,
    Placement,
    Postgres,
    StatefulSet,
    System,
    Toleration,
)
from constructs_lib.derive.graph import Graph
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.observe.catalogue import dashboards, groups

IMAGE = "example/service:1.2.3"


@pytest.fixture
def system() -> System:
    """Return a system whose cluster brings what the others need."""
    return empty("local", "external-secrets", "metrics-api")


def wave(manifest: Manifest) -> int:
    """Return the wave of an object in its component."""
    return int(manifest["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])


def test_cron_job(system: System) -> None:
    orders = Microservice(system, "orders", image=IMAGE, ports={"http": 8080})
    report = CronJob(
        orders, "report", image=IMAGE, schedule="30 6 * * 1-5", zone="Europe/Rome", args=["report"], timeout_seconds=600
    )
    report.needs(orders.endpoint("http"), {"ORDERS": "address"})
    tree = sound_tree(system)
    spec = one(tree, "CronJob", "orders-report")["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("30 6 * * 1-5", "Europe/Rome", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (3, 600)
    pods = job["template"]["spec"]
    assert pods["restartPolicy"] == "OnFailure"
    assert [each["name"] for each in pods["initContainers"]] == ["wait"]
    assert pods["containers"][0]["envFrom"] == [{"configMapRef": {"name": "orders-report"}}]
    # Nobody waits for a run: the Application is as healthy without it.
    assert one(tree, "CronJob", "orders-report")["metadata"]["annotations"]["argocd.argoproj.io/ignore-healthcheck"]
    # Both sides open the network for it.
    (rule,) = one(tree, "NetworkPolicy", "orders-report")["spec"]["egress"]
    assert rule["to"][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "orders"}


def test_alert_of_a_cron_job_follows_its_schedule() -> None:
    system = monitored("local", "external-secrets")
    CronJob(system, "nightly", image=IMAGE, schedule="0 3 * * *", timeout_seconds=7200)
    CronJob(system, "hourly", image=IMAGE, schedule="@hourly", timeout_seconds=1800)
    CronJob(system, "later", image=IMAGE, schedule="@hourly", suspended=True)
    (alert,) = (rule for group in groups(system) for rule in group.alerts if rule.name == "CronJobOverdue")
    assert "> 26 * 3600" in alert.expression
    assert "> 1.5 * 3600" in alert.expression
    assert "later" not in alert.expression
    assert "CronJobs" in [each.title for each in dashboards(system, Graph(system).waves)]


def test_migration_runs_before_its_service_at_each_change(system: System) -> None:
    names = set()
    for version in ("1.2.3", "1.2.4"):
        system = empty("local", "external-secrets", "metrics-api")
        orders = Microservice(system, "orders", image=f"example/orders:{version}", ports={"http": 8080})
        database = Postgres(orders, "database", image="postgres:18.6", database="orders", user="orders", storage="1Gi")
        migration = Job(orders, "migration", image=f"example/orders:{version}", args=["migrate"], retries=1)
        for each in (orders, migration):
            each.needs(database.endpoint("sql"), {"DB": "address", "PASSWORD": "password"})
        orders.after(migration, reason="its tables have to be there")
        tree = sound_tree(system)
        job = one(tree, "Job", "orders-migration-")
        names.add(job["metadata"]["name"])
        assert wave(one(tree, "StatefulSet", "orders-database")) < wave(job)
        deployments = [each for each in tree.objects("Deployment") if each["metadata"]["name"] == "orders"]
        assert wave(job) < wave(deployments[0])
        assert job["spec"]["backoffLimit"] == 1
    # A Job cannot be changed: a new version is a new one.
    assert len(names) == 2


def test_job_of_a_component_of_its_own_comes_before_others(system: System) -> None:
    seed = Job(system, "seed", image=IMAGE)
    web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
    web.after(seed)
    assert Graph(system).waves == {"seed": 0, "web": 1}


def test_circle_of_what_comes_after_each_other(system: System) -> None:
    orders = Microservice(system, "orders", image=IMAGE, ports={"http": 8080})
    migration = Job(orders, "migration", image=IMAGE)
    migration.needs(orders.endpoint("http"))
    orders.after(migration)
    orders.after(orders)
    with pytest.raises(DeclarationError) as told:
        Graph(system)
    assert "orders → orders-migration → orders" in str(told.value) or "orders-migration → orders" in str(told.value)
    assert "a workload cannot come after itself" in str(told.value)


def test_stateful_set(system: System) -> None:
    index = StatefulSet(
        system,
        "index",
        image=IMAGE,
        replicas=3,
        parallel=True,
        ports={"http": 9200},
        volumes={"/data": Claim("20Gi"), "/var/log/index": Claim("1Gi", access="ReadWriteOncePod")},
    )
    web = Microservice(system, "web", image=IMAGE)
    web.needs(index.endpoint("http"), {"INDEX": "address"})
    tree = sound_tree(system)
    found = one(tree, "StatefulSet", "index")
    spec = found["spec"]
    assert (spec["replicas"], spec["serviceName"], spec["podManagementPolicy"]) == (3, "index-nodes", "Parallel")
    claims = {each["metadata"]["name"]: each["spec"] for each in spec["volumeClaimTemplates"]}
    assert claims.keys() == {"data", "var-log-index"}
    assert claims["data"]["resources"]["requests"]["storage"] == "20Gi"
    assert [each["name"] for each in spec["template"]["spec"]["volumes"]] == ["tmp"]
    assert {"name": "data", "mountPath": "/data"} in spec["template"]["spec"]["containers"][0]["volumeMounts"]
    assert one(tree, "Service", "index-nodes")["spec"]["clusterIP"] == "None"
    assert [*tree.objects("PersistentVolumeClaim")] == []
    # Its volumes outlive it, and what they are of no use without.
    for kind in ("StatefulSet", "Namespace"):
        annotations = one(tree, kind, "index")["metadata"]["annotations"]
        assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"


def test_stateful_set_without_volumes_goes_like_any_other(system: System) -> None:
    StatefulSet(system, "queue", image=IMAGE, ports={"http": 8080})
    found = one(sound_tree(system), "StatefulSet", "queue")
    assert "volumeClaimTemplates" not in found["spec"]
    assert "argocd.argoproj.io/sync-options" not in found["metadata"]["annotations"]


def test_agent_on_every_node(system: System) -> None:
    agents = Component(system, "agents", pod_security="privileged")
    DaemonSet(
        agents,
        "logs",
        image=IMAGE,
        ports={"metrics": 2020},
        metrics="metrics",
        volumes={"/host/log": HostPath("/var/log")},
        placement=Placement(tolerations=(Toleration(""),)),
    )
    spec = one(sound_tree(system), "DaemonSet", "agents-logs")["spec"]
    pods = spec["template"]["spec"]
    assert pods["tolerations"] == [{"operator": "Exists"}]
    assert "topologySpreadConstraints" not in pods
    assert spec["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1}
    assert {"name": "host-log", "hostPath": {"path": "/var/log"}} in pods["volumes"]


def test_sidecar_of_a_job_is_asked(system: System) -> None:
    """What comes after it, the program among it, waits until it has started."""
    proxy = Container(name="proxy", image=IMAGE, startup=Exec(["/bin/up"], failures=9))
    Job(system, "migration", image=IMAGE, sidecars=[proxy])
    job = one(sound_tree(system), "Job", "migration-")
    (sidecar,) = job["spec"]["template"]["spec"]["initContainers"]
    assert sidecar["startupProbe"] == {"exec": {"command": ["/bin/up"]}, "periodSeconds": 5, "failureThreshold": 9}

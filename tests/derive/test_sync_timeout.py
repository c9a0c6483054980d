"""After how long Argo CD may end a sync: what is declared to start slowly makes it later, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from synthesized import Synthesized
from systems import empty

from constructs_lib import Autoscale, Cassandra, HelmChart, Microservice, Postgres, RabbitMQ, System
from constructs_lib.declare.workload import PLACING_SECONDS, Workload
from constructs_lib.derive.bootstrap import sync_timeout

STORAGE: dict[str, Any] = {"storage": "10Gi", "user": "shop"}


def service(system: System, name: str = "web", **more: Any) -> Workload:
    return Microservice(system, name, image="example/web:1.0.0", ports={"http": 8080}, **more)


def postgres(system: System, **more: Any) -> Workload:
    return Postgres(system, "database", image="postgres:18.1", database="shop", **{**STORAGE, **more})


def ring(system: System, **more: Any) -> Workload:
    return Cassandra(system, "ring", image="cassandra:5.0.6", keyspace="shop", **STORAGE, **more)


def broker(system: System, **more: Any) -> Workload:
    return RabbitMQ(system, "broker", image="rabbitmq:4.2.1-management", **STORAGE, **more)


def minutes(seconds: float) -> int:
    """Return a tenth more, in whole minutes, as seconds."""
    return -(-int(seconds) * 11 // 600) * 60


def pod(start: int, *more: int) -> int:
    return PLACING_SECONDS + start + sum(more)


@pytest.mark.parametrize(
    ("declare", "arguments", "longest"),
    [
        # The pods of a Deployment are replaced one by one.
        (service, {}, pod(180, 5)),
        (service, {"start_seconds": 600}, pod(600, 5)),
        (service, {"replicas": 4}, 4 * pod(180, 5)),
        (service, {"replicas": Autoscale(2, 6)}, 6 * pod(180, 5)),
        (service, {"drain_seconds": 600}, pod(180, 5)),
        # Nodes of a store end before they start again, and a Job waits for all of them.
        (postgres, {}, pod(300, 120) + 900),
        (postgres, {"storage": "90Gi"}, pod(300, 120) + 900),
        (ring, {"nodes": 3}, 3 * pod(300, 180) + 600),
        (ring, {"nodes": Autoscale(2, 4)}, 4 * pod(300, 180) + 600),
        (broker, {"nodes": 1}, pod(300, 180)),
        (broker, {"nodes": 3}, 3 * pod(300, 180)),
    ],
)
def test_an_update_of_the_slowest_component(declare: Any, arguments: dict[str, Any], longest: int) -> None:
    system = empty(nodes=6)
    declare(system, **arguments)
    assert sync_timeout(system, {component.id: 0 for component in system.components}) == minutes(longest)


def test_a_first_sync_goes_through_all_waves() -> None:
    system = empty()
    for number in range(4):
        service(system, f"web-{number}")
    once = sync_timeout(system, dict.fromkeys(("web-0", "web-1", "web-2", "web-3"), 0))
    assert once == minutes(pod(180, 5))
    one_by_one = sync_timeout(system, {f"web-{number}": number for number in range(4)})
    assert one_by_one == minutes(4 * pod(180, 5))


def test_at_first_only_a_ring_starts_node_by_node() -> None:
    waves = {"ring": 0, "broker": 1, "web": 2, "slow": 3}
    system = empty(nodes=3)
    ring(system, nodes=Autoscale(2, 3))
    broker(system, nodes=3)
    service(system, replicas=3)
    service(system, "slow", start_seconds=900, replicas=Autoscale(2, 3))
    assert sync_timeout(system, waves) == minutes(2 * pod(300) + 600 + pod(300) + pod(180, 5) + pod(900, 5))


def test_the_slowest_of_a_wave_counts() -> None:
    system = empty()
    service(system, "quick", start_seconds=10)
    service(system, "slow", start_seconds=900)
    assert sync_timeout(system, {"quick": 0, "slow": 0}) == minutes(pod(900, 5))


def test_workloads_of_a_component_add_up() -> None:
    system = empty()
    web = service(system)
    Postgres(web, "database", image="postgres:18.1", database="shop", **STORAGE)
    assert sync_timeout(system, {"web": 0}) == minutes(pod(180, 5) + pod(300, 120) + 900)


def test_a_chart_does_not_tell() -> None:
    system = empty()
    HelmChart(system, "proxy", repository="https://example.org/charts", chart="proxy", version="1.0.0")
    assert sync_timeout(system, {"proxy": 0}) == minutes(300)


def test_a_kind_of_ones_own_tells_by_its_class() -> None:
    class Slow(Workload):
        start_seconds = 1200

    system = empty()
    Slow(system, "slow")
    assert sync_timeout(system, {"slow": 0}) == minutes(pod(1200))


def test_what_is_synthesized_waits_no_longer(tree: Synthesized) -> None:
    """A Deployment or a Job that fails is known to before its sync is ended, with as much time as was counted."""
    file = f"bootstrap/argocd/{tree.environment}.tfvars.json"
    limit = json.loads(tree.files[file])["sync_timeout_seconds"]
    for manifest in tree.objects("Deployment"):
        probe = manifest["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        start = probe["failureThreshold"] * probe["periodSeconds"] + manifest["spec"]["minReadySeconds"]
        assert manifest["spec"]["progressDeadlineSeconds"] == PLACING_SECONDS + start < limit
    for manifest in tree.objects("Job"):
        assert 0 < manifest["spec"]["activeDeadlineSeconds"] < limit

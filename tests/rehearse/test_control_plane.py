"""What a control plane with simulated nodes does, without Argo CD."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from stage import tools

from constructs_lib import DigitalOcean, Environment, GitRepository
from constructs_lib.kubernetes.manifest import condition
from constructs_lib.rehearse.complaints import unscheduled
from constructs_lib.rehearse.control_plane import Authority, ControlPlane, Nodes, start_control_plane, start_nodes
from constructs_lib.rehearse.findings import Subject
from constructs_lib.rehearse.processes import Workspace
from constructs_lib.rehearse.recording import Moment, Recording
from constructs_lib.rehearse.settings import settings_of
from constructs_lib.rehearse.watching import Watcher

SERVER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: server, namespace: default}
spec:
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec:
      containers:
      - {name: server, image: "example/server:1.0.0", resources: {requests: {cpu: 100m, memory: 64Mi}}}
"""
#: Of pods that fill a node, and of some that no node has room for.
SIZES = {"fits": "1388m", "large": "1389m"}
AUTOSCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: server, namespace: default}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: server}
  minReplicas: 2
  maxReplicas: 4
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}
"""
METRICS_SERVER = """
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: default}
spec: {selector: {app: server}, ports: [{name: https, port: 443}]}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  service: {name: metrics-server, namespace: default}
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
"""
NODES = settings_of(
    Environment(
        name="production",
        repository=GitRepository("https://github.com/example/shop.git"),
        cluster=DigitalOcean(name="shop", region="fra1", pool="shop", kubernetes="1.36", size="s-2vcpu-4gb", nodes=2),
    ),
    Path(),
    None,
    patience=60,
).nodes


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with Workspace() as workspace:
        found = tools()
        made = start_control_plane(workspace, found, Authority(workspace.folder))
        start_nodes(workspace, found, made, NODES)
        assert made.metrics
        yield made
        made.metrics.close()


def until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    """Return what a condition gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)
    return found


def test_what_asks_for_more_than_any_node_has_is_told(plane: ControlPlane) -> None:
    """What fills a node of the declared size finds one; a thousandth of a core more, and nothing does."""
    assert Nodes(2, "1388m", "2684354560") == NODES
    began, watcher = time.monotonic(), Watcher(plane.client, ())
    servers = [yaml.safe_load(SERVER.replace("server", name).replace("100m", cpu)) for name, cpu in SIZES.items()]
    for server in servers:
        plane.client.apply(server)

    def pods(status: str) -> list[str]:
        found = [item for item in watcher.snapshot() if condition(item, "PodScheduled").get("status") == status]
        return [item["metadata"]["labels"]["app"] for item in found]

    reason = "0/2 nodes are available: 2 Insufficient cpu"
    until(lambda: (pods("True"), pods("False")) == (["fits"], ["large"]) and reason in str(watcher.snapshot()))
    moments = tuple(Moment(at - began, verb, item) for at, verb, item in watcher.seen_since(began))
    watcher.close()
    for server in servers:
        plane.client.delete(server)
    # Until the nodes are ready, no pod finds one.
    [finding] = [found for found in unscheduled(Recording((), moments, datetime.now(UTC))) if found.end is None]
    assert finding.subject is Subject.NODE
    assert finding.of.startswith("default/large-")
    assert f"until the end: {reason}" in finding.text


def test_autoscalers_have_live_metrics(plane: ControlPlane) -> None:
    server, autoscaler = yaml.safe_load(SERVER), yaml.safe_load(AUTOSCALER)
    for manifest in (server, autoscaler):
        plane.client.apply(manifest)
    assert plane.metrics
    plane.metrics.register()

    def scales() -> dict[str, Any] | None:
        live = plane.client.get(autoscaler)
        assert live
        active = condition(live, "ScalingActive").get("status") == "True"
        return live["status"] if active and live["status"]["currentReplicas"] == 2 else None

    status = until(scales)
    assert status["currentMetrics"][0]["resource"]["current"]["averageUtilization"] == 50
    [node, _] = plane.client.request("GET", "/apis/metrics.k8s.io/v1beta1/nodes")["items"]
    assert node["usage"] == {"cpu": "0.694", "memory": "1342177280"}


def test_metrics_server_of_a_chart_gets_answers_too(plane: ControlPlane) -> None:
    """Its pods are simulated, and its API is available all the same: otherwise it would never get healthy."""
    plane.client.apply(yaml.safe_load(SERVER))
    service, api = yaml.safe_load_all(METRICS_SERVER)
    plane.client.apply(service)
    plane.client.delete(api)
    plane.client.apply(api)
    until(lambda: condition(plane.client.get(api) or {}, "Available").get("status") == "True")

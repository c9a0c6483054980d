"""What a control plane with simulated nodes does, without Argo CD."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from stage import tools

from constructs_lib.rehearse.control_plane import Authority, ControlPlane, Nodes, start_control_plane, start_nodes
from constructs_lib.rehearse.processes import Workspace
from constructs_lib.rehearse.recording import condition

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


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with Workspace() as workspace:
        found = tools()
        made = start_control_plane(workspace, found, Authority(workspace.folder))
        start_nodes(workspace, found, made, Nodes(2, "2", "4Gi"))
        yield made
        made.metrics.close()


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Return what a condition gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)
    return found


def test_autoscalers_have_live_metrics(plane: ControlPlane) -> None:
    server, autoscaler = yaml.safe_load(SERVER), yaml.safe_load(AUTOSCALER)
    for manifest in (server, autoscaler):
        plane.client.apply(manifest)
    plane.metrics.register()

    def scales() -> dict[str, Any] | None:
        live = plane.client.get(autoscaler)
        assert live
        active = condition(live, "ScalingActive").get("status") == "True"
        return live["status"] if active and live["status"]["currentReplicas"] == 2 else None

    status = until(scales)
    assert status["currentMetrics"][0]["resource"]["current"]["averageUtilization"] == 50
    assert plane.client.request("GET", "/apis/metrics.k8s.io/v1beta1/nodes")["items"][0]["usage"]["cpu"] == "1"


def test_metrics_server_of_a_chart_gets_answers_too(plane: ControlPlane) -> None:
    """Its pods are simulated, and its API is available all the same: otherwise it would never get healthy."""
    plane.client.apply(yaml.safe_load(SERVER))
    service, api = yaml.safe_load_all(METRICS_SERVER)
    plane.client.apply(service)
    plane.client.delete(api)
    plane.client.apply(api)
    until(lambda: condition(plane.client.get(api) or {}, "Available").get("status") == "True")

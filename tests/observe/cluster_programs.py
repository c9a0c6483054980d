"""What tells of a cluster in the place of its nodes and beside its API server: kube-state-metrics, and a kubelet."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import running
from running import free_ports
from synthesized import Manifest

from constructs_lib.rehearse.tools import FOR_TESTS

#: As the chart has them: what they say of others is theirs, such as their namespace.
#: https://github.com/prometheus-community/helm-charts/blob/main/charts/kube-prometheus-stack/values.yaml
_AS_THE_CHART = {"honor_labels": True}


def _program(name: str) -> Path:
    [program] = (each for each in FOR_TESTS if each.name == name)
    if not program.built.exists():
        pytest.skip(f"{name} is not built: make .venv/measuring/ready builds it with Go")
    return program.built


@contextmanager
def kube_state_metrics(kubeconfig: Path) -> Iterator[list[Manifest]]:
    """Run kube-state-metrics, and yield how Prometheus scrapes it."""
    port, own = free_ports(2)
    host = "127.0.0.1"
    options = (f"--host={host}", f"--port={port}", f"--telemetry-host={host}", f"--telemetry-port={own}")
    command: list[str | Path] = [_program("kube-state-metrics"), f"--kubeconfig={kubeconfig}", *options]
    with (
        tempfile.TemporaryDirectory(prefix="kube-state-metrics-") as folder,
        running(command, {"PATH": os.environ["PATH"]}, Path(folder) / "log", port),
    ):
        labels = {"namespace": "monitoring", "pod": "kube-state-metrics-0", "container": "kube-state-metrics"}
        static = [{"targets": [f"{host}:{port}"], "labels": labels}]
        yield [{"job_name": "kube-state-metrics", **_AS_THE_CHART, "static_configs": static}]


@contextmanager
def kubelet(kubeconfig: Path) -> Iterator[list[Manifest]]:
    """Run what serves a kubelet's metrics of all pods that run, and yield how Prometheus scrapes it.

    Names and labels are those of a node, for its code is the kubelet's; the numbers are made up: ``kubelet/main.go``.
    """
    [port] = free_ports(1)
    command: list[str | Path] = [_program("kubelet"), f"--kubeconfig={kubeconfig}", f"--port={port}"]
    with (
        tempfile.TemporaryDirectory(prefix="kubelet-") as folder,
        running(command, {"PATH": os.environ["PATH"]}, Path(folder) / "log", port),
    ):
        targets = [f"127.0.0.1:{port}"]
        yield [
            {
                "job_name": path,
                "metrics_path": path,
                **_AS_THE_CHART,
                "static_configs": [{"targets": targets, "labels": {"job": "kubelet", "metrics_path": path}}],
            }
            for path in ("/metrics", "/metrics/cadvisor")
        ]

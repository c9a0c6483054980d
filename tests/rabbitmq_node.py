"""Real RabbitMQ nodes with the generated configuration, and with what the init container writes for them."""

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
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running import PATIENCE, free_port, free_ports, listens, rehomed, run, start_with_log, variables, wait_for
from synthesized import Synthesized

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
    here = {"/var/lib/rabbitmq": folders["home"], "/definitions": folders["definitions"]}
    mounted = {"SECRETS": folders["secrets"], "USERS": folders["users"]}
    result = run([shell, option, rehomed(text, here)], variables(container, **mounted))
    assert result.returncode == 0, result.stdout


def password_of(client: str) -> str:
    """Return the password of a client with a user of its own."""
    return f"""{client}'s "own" \\ ü"""


class Node:
    """A node on the loopback interface, with its own home and ports."""

    def __init__(
        self, programs: Path, version: tuple[int, int], folder: Path, production: Synthesized, epmd: int
    ) -> None:
        """Lay out its files; nodes of a cluster have the same epmd, which is told their ports."""
        self.programs = programs
        self.version = version
        self.log = folder / "log"
        names = ("home", "definitions", "configuration", "secrets", "users", "logs", "plugins", "tmp")
        self.folders = {name: folder / name for name in names}
        for path in self.folders.values():
            path.mkdir()
        self.amqp, self.management, self.metrics, clustering = free_ports(4)
        self.name = f"test-{self.amqp}@localhost"
        (pod,) = production.pods("rabbitmq", ["StatefulSet"])
        self.container = pod.program
        (self.init_container,) = pod.spec["initContainers"]
        told = variables(self.init_container)
        self.user, self._password_key = told["USERNAME"], told["PASSWORD_KEY"]
        self.job = next((job.program for job in production.pods("rabbitmq", ["Job"])), None)
        #: The clients with users of their own, each with the key of its password.
        self.clients: dict[str, str] = {}
        self.set_users(production.the("ConfigMap", "rabbitmq", "rabbitmq-users")["data"])
        config_map = production.the("ConfigMap", "rabbitmq", "rabbitmq")["data"]
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
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_CONFIG_FILES": str(self.folders["configuration"]),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            "RABBITMQ_DIST_PORT": str(clustering),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folders["plugins"] / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self.folders["logs"]),
            "RABBITMQ_MNESIA_BASE": str(self.folders["home"] / "mnesia"),
            "RABBITMQ_NODENAME": self.name,
            # Its threads sleep instead of spinning, because processors are few where tests run.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.set_password(PASSWORD)
        (self.folders["secrets"] / told["COOKIE_KEY"]).write_text("cookie-of-this-node")

    def set_password(self, password: str) -> None:
        """Put another password into the Secret."""
        self.password = password
        (self.folders["secrets"] / self._password_key).write_text(password)

    def set_users(self, files: Mapping[str, str]) -> None:
        """Put other clients into the ConfigMap, and their passwords into the Secret."""
        for name, text in files.items():
            (self.folders["users"] / name).write_text(text)
        self.clients = dict(line.split() for line in files["users"].splitlines())
        for client, key in self.clients.items():
            (self.folders["secrets"] / key).write_text(password_of(client))

    def make_users(self) -> subprocess.CompletedProcess[str]:
        """Run the Job that makes the users of clients."""
        assert self.job is not None
        shell, option, text = self.job["command"]
        here: dict[str, str | Path] = {
            "HOST": "127.0.0.1",
            "PORT": str(self.management),
            "SECRETS": self.folders["secrets"],
            "USERS": self.folders["users"],
        }
        return run([shell, option, rehomed(text, {"/tmp": self.folders["tmp"]})], variables(self.job, **here))

    def find(self, nodes: Sequence[Node]) -> None:
        """Let it find other nodes by a list of their names, in the place of the numbers in the names of pods."""
        names = "".join(f"cluster_formation.classic_config.nodes.{node.amqp} = {node.name}\n" for node in nodes)
        found = f"cluster_formation.peer_discovery_backend = classic_config\n{names}"
        (self.folders["configuration"] / "95-peers.conf").write_text(found)

    def start(self, wait: bool = True) -> None:
        """Start the pod anew: the init container, then the node; return once it takes requests, or at once."""
        prepare(self.folders, self.init_container)
        self.process = start_with_log([self.programs / "rabbitmq-server"], self.environment, self.log)
        if wait:
            wait_for(self.ready, "RabbitMQ")

    def ready(self) -> bool:
        """Tell whether it has started."""
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

    def request(
        self,
        path: str,
        method: str = "GET",
        body: object = None,
        login: tuple[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> Any:
        """Call the management API; the JSON of its answer, or None."""
        user, password = login or (self.user, self.password)
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=patience) as response:
            content = response.read()
        return json.loads(content) if content else None


@contextmanager
def rabbitmq_nodes(production: Synthesized, number: int) -> Iterator[list[Node]]:
    """Run a cluster, whose nodes start at the same time as pods do; skip the test where RabbitMQ is not installed."""
    found = installed()
    if found is None:
        pytest.skip("RabbitMQ is not installed: there is no /usr/lib/rabbitmq/lib/rabbitmq_server-*, or no epmd")
    port = free_port()
    epmd = subprocess.Popen(["epmd", "-port", str(port), "-address", "127.0.0.1"])
    nodes: list[Node] = []
    with tempfile.TemporaryDirectory(prefix="rabbitmq-") as name:
        try:
            for each in range(number):
                folder = Path(name, str(each))
                folder.mkdir()
                nodes.append(Node(*found, folder, production, port))
            wait_for(lambda: listens(port), "epmd")
            for node in nodes:
                if number > 1:
                    node.find(nodes)
                node.start(wait=False)
            for node in nodes:
                wait_for(node.ready, "RabbitMQ")
            yield nodes
        finally:
            for node in nodes:
                node.kill()
            epmd.kill()
            epmd.wait(PATIENCE)


@contextmanager
def rabbitmq_node(production: Synthesized) -> Iterator[Node]:
    """Run one node."""
    with rabbitmq_nodes(production, 1) as [node]:
        yield node


class RefusedError(Exception):
    """The broker closes the connection, or a channel, instead of doing what it is asked."""


class Amqp:
    """As much of an AMQP 0-9-1 client as a login, a consumer and a publisher take."""

    def __init__(self, port: int) -> None:
        """Connect, and take the broker's greeting."""
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.channels = 0
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
        # No heartbeats, which nobody here would send.
        self._send((10, 31), tuning[:6] + b"\x00\x00")
        self._send((10, 40), _short("/") + b"\x00\x00")
        self._method((10, 41))

    def consume(self, queue: str, acknowledge: bool = True) -> None:
        """Become the consumer of a queue, on a channel of its own, until the connection is closed.

        Args:
            queue: Name of the queue.
            acknowledge: Whether each message counts as taken at once; otherwise it stays unacknowledged.
        """
        self.open_channel()
        options = bytes([0b0010 if acknowledge else 0])
        self._send((60, 20), b"\x00\x00" + _short(queue) + b"\x00" + options + _long(b""), self.channels)
        self._method((60, 21))

    def open_channel(self) -> int:
        """Open another channel, and return its number."""
        self.channels += 1
        self._send((20, 10), b"\x00", self.channels)
        self._method((20, 11))
        return self.channels

    def ask(self, method: tuple[int, int], arguments: bytes, answer: tuple[int, int]) -> None:
        """Call a method on a channel of its own.

        Raises:
            RefusedError: The broker refuses it; what it says.
        """
        self.open_channel()
        self._send(method, b"\x00\x00" + arguments, self.channels)
        self._method(answer)

    def declare_exchange(self, name: str, kind: str = "headers") -> None:
        """Declare a durable exchange."""
        self.ask((40, 10), _short(name) + _short(kind) + b"\x02" + _long(b""), (40, 11))

    def declare_queue(self, name: str) -> str:
        """Declare a durable queue, or, without a name, an exclusive one that the broker names; return its name."""
        self.open_channel()
        options = b"\x02" if name else b"\x04"
        self._send((50, 10), b"\x00\x00" + _short(name) + options + _long(b""), self.channels)
        answer = self._method((50, 11))
        return answer[1 : 1 + answer[0]].decode()

    def bind(self, queue: str, exchange: str) -> None:
        """Bind a queue to an exchange, by no key and no headers."""
        self.ask((50, 20), _short(queue) + _short(exchange) + _short("") + b"\x00" + _long(b""), (50, 21))

    def purge(self, queue: str) -> None:
        """Take away what a queue holds."""
        self.ask((50, 30), _short(queue) + b"\x00", (50, 31))

    def delete_exchange(self, name: str) -> None:
        """Delete an exchange."""
        self.ask((40, 20), _short(name) + b"\x00", (40, 21))

    def get(self, queue: str) -> str:
        """Take a message from a queue."""
        channel = self.open_channel()
        self._send((60, 70), b"\x00\x00" + _short(queue) + b"\x01", channel)
        self._method((60, 71))
        _, _, size = struct.unpack(">BHI", self._read(7))
        (length,) = struct.unpack_from(">Q", self._read(size + 1), 4)
        _, _, size = struct.unpack(">BHI", self._read(7))
        content = self._read(size + 1)[:-1]
        assert len(content) == length
        return content.decode()

    def confirm(self, exchange: str, payload: str = "") -> None:
        """Publish a message on a channel of its own, and wait until the broker has taken it.

        Raises:
            RefusedError: It does not take it; what it says.
        """
        channel = self.open_channel()
        self._send((85, 10), b"\x00", channel)
        self._method((85, 11))
        self.publish(channel, exchange, {}, payload)
        self._method((60, 80))

    def publish(self, channel: int, exchange: str, headers: Mapping[str, str], payload: str) -> None:
        """Publish a message.

        Args:
            channel: Number of an open channel: the broker counts what is published by it.
            exchange: Name of the exchange.
            headers: Headers that bindings are compared with.
            payload: The message.
        """
        self._send((60, 40), b"\x00\x00" + _short(exchange) + _short("") + b"\x00", channel)
        table = b"".join(_short(name) + b"S" + _long(value.encode()) for name, value in headers.items())
        content = payload.encode()
        # Of the properties, bit 13 says that there are headers.
        self._frame(2, channel, struct.pack(">HHQH", 60, 0, len(content), 1 << 13) + _long(table))
        self._frame(3, channel, content)

    def _send(self, method: tuple[int, int], arguments: bytes, channel: int = 0) -> None:
        self._frame(1, channel, struct.pack(">HH", *method) + arguments)

    def _frame(self, kind: int, channel: int, payload: bytes) -> None:
        self.socket.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def _method(self, expected: tuple[int, int]) -> bytes:
        _, _, size = struct.unpack(">BHI", self._read(7))
        payload = self._read(size + 1)
        method = struct.unpack_from(">HH", payload)
        if method in ((10, 50), (20, 40)):
            (code, length) = struct.unpack_from(">HB", payload, 4)
            raise RefusedError(code, payload[7 : 7 + length].decode())
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

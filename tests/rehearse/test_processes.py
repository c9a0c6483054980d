"""What is left of a rehearsal that ends, is interrupted or killed, and of two at once; etcd stands for all programs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from running import PATIENCE
from stage import ROOT, tools

from constructs_lib.rehearse.processes import RehearsalError, Workspace, end_processes, remove_kept
from constructs_lib.rehearse.tools import Tool

#: Starts etcd in a workspace, says where it is, and goes on until it is told to stop.
COMMAND = """
import select, signal, sys, time
from constructs_lib.rehearse.processes import Workspace, free_port

client, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
with Workspace() as workspace:
    workspace.start(
        "etcd",
        [
            sys.argv[1],
            f"--data-dir={workspace.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peers}",
        ],
    )
    print(workspace.folder, client.rpartition(":")[2], flush=True)
    # A signal that comes just before a read would not end it.
    while not select.select([sys.stdin], [], [], 0.5)[0]:
        pass
    workspace.keep = sys.argv[2] == "keep"
"""


class Rehearsal:
    """A process with a workspace in which etcd runs.

    Attributes:
        process: The process.
        folder: Its folder.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        self.process = process
        folder, port = process.stdout.readline().split()
        self.folder, self._port = Path(folder), int(port)
        wait_until(lambda: self.answers)

    @property
    def answers(self) -> bool:
        """Whether etcd listens."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=5):
            return True
        return False

    def end(self) -> None:
        """Tell it to stop, and wait."""
        self.process.communicate(timeout=PATIENCE)


def wait_until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def etcd() -> Tool:
    return tools().etcd


@pytest.fixture
def cache(etcd: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own, in which nothing runs afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path
    remove_kept()


@contextmanager
def rehearsal(etcd: Tool, what: str = "") -> Iterator[Rehearsal]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, etcd, what],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # What a shell starts in the background ignores it, and so does all that is started from there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield Rehearsal(process)
    finally:
        process.kill()
        process.communicate()


def test_two_at_once_do_not_meet(etcd: Tool, cache: Path) -> None:
    with rehearsal(etcd) as one, rehearsal(etcd) as other:
        assert one.folder != other.folder
        assert one.answers and other.answers
        other.end()
        assert not other.answers and not other.folder.exists()
        assert one.answers and one.folder.exists()


def test_many_that_begin_at_once_leave_each_other_alone(cache: Path) -> None:
    begin = (
        "from constructs_lib.rehearse.processes import Workspace\nfor _ in range(40):\n with Workspace() as own:\n  "
    )
    command = [sys.executable, "-c", f"{begin}(own.folder / 'there').touch()"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[1] for process in processes] == ["", "", ""]


def test_nothing_is_left_when_it_is_interrupted(etcd: Tool, cache: Path) -> None:
    with rehearsal(etcd) as interrupted:
        interrupted.process.send_signal(signal.SIGINT)
        interrupted.process.wait(PATIENCE)
        assert not interrupted.answers and not interrupted.folder.exists()


def test_the_next_clears_up_after_one_that_was_killed(etcd: Tool, cache: Path) -> None:
    with rehearsal(etcd) as killed:
        killed.process.kill()
        killed.process.wait()
        assert killed.answers
        with Workspace():
            wait_until(lambda: not killed.answers)
            assert not killed.folder.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux can do without ps")
def test_the_next_clears_up_without_ps(etcd: Tool, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(cache))
    test_the_next_clears_up_after_one_that_was_killed(etcd, cache)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux can do without ps")
def test_programs_end_with_the_ps_of_busybox(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "ps").write_text("#!/bin/sh\necho \"ps: invalid option -- 'p'\" >&2\nexit 1\n")
    (cache / "ps").chmod(0o755)
    monkeypatch.setenv("PATH", f"{cache}:{os.environ['PATH']}")
    with Workspace() as workspace:
        workspace.start("sleep", ["sleep", "60"])
        end_processes(workspace.folder)
        with pytest.raises(RehearsalError, match="sleep ended with exit code -9"):
            workspace.wait_for("sleep", lambda: False, seconds=5)


def test_clearing_leaves_one_alone_that_begins(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tempfile.mkdtemp
    clearing: list[subprocess.Popen[str]] = []

    def make(dir: Path) -> str:
        folder = made(dir=dir)
        command = [sys.executable, "-c", "from constructs_lib.rehearse.processes import *\nprint(remove_kept())"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        clearing.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        with suppress(subprocess.TimeoutExpired):
            clearing[0].wait(3)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    with Workspace() as workspace:
        assert clearing[0].communicate(timeout=PATIENCE)[0] == "0\n"
        assert workspace.folder.exists()


def test_what_is_no_rehearsal_is_left_alone(cache: Path) -> None:
    stray = cache / "constructs-lib/rehearse/rehearsals/.DS_Store"
    stray.parent.mkdir(parents=True)
    stray.touch()
    with Workspace():
        assert remove_kept() == 0
    assert stray.exists()


def test_another_program_with_the_number_of_one_that_ended_is_left_alone(etcd: Tool, cache: Path) -> None:
    with rehearsal(etcd) as killed, subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        (killed.folder / "processes").open("a").write(f"{other.pid} of another time\n")
        killed.process.kill()
        killed.process.wait()
        with Workspace():
            wait_until(lambda: not killed.answers)
            assert other.poll() is None
        other.kill()


def test_what_is_kept_stays_until_it_is_cleared(etcd: Tool, cache: Path) -> None:
    with rehearsal(etcd, "keep") as kept:
        kept.end()
        with Workspace():
            assert kept.answers
        assert remove_kept() == 1
        wait_until(lambda: not kept.answers)
        assert not kept.folder.exists()
        assert remove_kept() == 0


def test_a_program_that_ends_is_told_with_its_last_words(etcd: Tool, cache: Path) -> None:
    with Workspace() as workspace:
        workspace.start("etcd", [etcd, "--data-dir=/dev/null"])
        with pytest.raises(RehearsalError, match=r"(?s)^etcd ended with exit code 1:\n.*/dev/null: not a directory"):
            workspace.wait_for("etcd", lambda: False)


def test_a_cache_that_cannot_be_written_is_told(cache: Path) -> None:
    (cache / "constructs-lib").touch()
    with pytest.raises(RehearsalError, match="/rehearsals cannot be written: "):
        Workspace()

"""The programs of one rehearsal, its folder and its ports.

All of it lies in one folder below the user's cache. Who holds the lock of a folder is at work in it. A folder without
a holder was left behind by a command that was killed: the next one ends what still runs there, and removes it.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from constructs_lib.rehearse.tools import cache_folder
from constructs_lib.user_error import UserError

#: Seconds in which a program may end by itself before it is killed.
_GRACE = 5.0


class RehearsalError(UserError):
    """A rehearsal cannot be carried out."""


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Workspace:
    """The folder of one rehearsal with the programs that run in it; both are gone when the context ends.

    Attributes:
        folder: The folder.
        keep: Whether both stay when the context ends.
    """

    def __init__(self) -> None:
        """Make the folder, after what killed commands left behind was cleared up."""
        with _turn() as parent:
            for folder in parent.iterdir():
                _clear_up(folder)
            self.folder = Path(tempfile.mkdtemp(dir=parent))
            self._lock = _lock(self.folder)
        self.keep = False
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Return the workspace."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all programs and remove the folder, unless they are kept."""
        if self.keep:
            (self.folder / "kept").touch()
            return
        for name in reversed([*self._processes]):
            # The API server would wait for those who watch it, and has nothing to lose.
            self.stop(name, kill=name == "kube-apiserver")
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock:
            self._lock.close()

    def start(
        self, name: str, command: Sequence[str | os.PathLike[str]], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a program whose output goes into ``<name>.log`` in the folder.

        Args:
            name: Its name in the rehearsal.
            command: The program and its arguments.
            environment: Variables beside those of this process. No proxy is taken over.
        """
        own = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [os.fspath(part) for part in command],
                cwd=self.folder,
                env={**own, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[name] = process
        with (self.folder / "processes").open("a") as file:
            file.write(f"{process.pid} {_start_of(process.pid)}\n")

    def stop(self, name: str, *, kill: bool = False) -> None:
        """End a program and what it started.

        Args:
            name: Its name in the rehearsal.
            kill: Whether it gets no time to end by itself.
        """
        process = self._processes.pop(name)
        _signal(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            _signal(process.pid, signal.SIGKILL)
            process.wait()

    def wait_for(self, what: str, is_there: Callable[[], bool], seconds: float = 600) -> None:
        """Wait until something is there.

        Raises:
            RehearsalError: A program ended, or the time is over; with the last lines of its output.
        """
        end = time.monotonic() + seconds
        while not is_there():
            self.ensure_all_run()
            if time.monotonic() > end:
                raise RehearsalError(f"{what} did not start within {seconds:.0f} s.\n{self._last_lines(what)}")
            time.sleep(0.05)

    def ensure_all_run(self) -> None:
        """Check that no program has ended.

        Raises:
            RehearsalError: One has; with the last lines of its output.
        """
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise RehearsalError(f"{name} ended with exit code {process.returncode}:\n{self._last_lines(name)}")

    def _last_lines(self, name: str) -> str:
        log = self.folder / f"{name}.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""


@contextmanager
def _turn() -> Iterator[Path]:
    """Yield the folder of all rehearsals, to one at a time.

    A folder that is new and not locked yet looks like one that was left behind.

    Raises:
        RehearsalError: It cannot be written.
    """
    folders = cache_folder() / "rehearsals"
    try:
        folders.mkdir(parents=True, exist_ok=True)
        turn = (folders.parent / ".rehearsals.lock").open("w")
    except OSError as error:
        raise RehearsalError(f"{folders} cannot be written: {error.strerror}.") from None
    with turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield folders


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _lock(folder: Path) -> IO[str] | None:
    """Return the lock of a folder, or None if somebody holds it, or it is gone, or no folder of this user's."""
    try:
        file = (folder / "lock").open("a")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _clear_up(folder: Path, *, kept: bool = False) -> bool:
    """End what runs in a folder at which nobody is at work, and remove it; return whether that was so.

    Args:
        folder: The folder.
        kept: Whether a folder that was kept is removed as well.
    """
    if not (lock := _lock(folder)):
        return False
    with lock:
        if (folder / "kept").exists() and not kept:
            return False
        end_processes(folder)
        shutil.rmtree(folder, ignore_errors=True)
    return True


def end_processes(folder: Path) -> None:
    """End the programs that were started in a folder; a number that another program has by now is left alone."""
    processes = folder / "processes"
    for line in processes.read_text().splitlines() if processes.exists() else ():
        number, _, start = line.partition(" ")
        if start and _start_of(int(number)) == start:
            _signal(int(number), signal.SIGKILL)


def _start_of(process: int) -> str:
    """Return when a process began; empty if there is none."""
    command = ["ps", "-o", "lstart=", "-p", str(process)]
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    with suppress(FileNotFoundError):
        asked = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if start := asked.stdout.strip():
            return start
    # Small images of Linux have no ps, or that of BusyBox, which does not know these options.
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def remove_kept() -> int:
    """End and remove the rehearsals that were kept, or left behind; return how many there were."""
    if not (cache_folder() / "rehearsals").exists():
        return 0
    with _turn() as folders:
        return sum(_clear_up(folder, kept=True) for folder in folders.iterdir())

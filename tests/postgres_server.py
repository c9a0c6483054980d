"""A real PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from running import PATIENCE, free_port, listens, run, wait_for

PASSWORD = """it's a "pass word" with \\ $HOME `id` %s ü"""
PROGRAMS = ("initdb", "postgres", "psql", "pg_dump", "pg_restore", "pg_isready")


def binaries() -> Path | None:
    """Return the folder with PostgreSQL's programs, those of its newest version; Debian has them off the PATH."""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True
    )
    return next((folder for folder in folders if all((folder / program).exists() for program in PROGRAMS)), None)


class Server:
    """A PostgreSQL server on the loopback interface, set up like the library's: scram for everybody."""

    def __init__(self, programs: Path, folder: Path, password: str) -> None:
        """Initialize its data."""
        self.programs = programs
        self.password = password
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        self.user = "nobody" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        password_file = folder / "password"
        password_file.write_text(password + "\n")
        options = [
            "--auth=scram-sha-256",
            "--username=user",
            f"--pwfile={password_file}",
            "--encoding=UTF8",
            "--no-sync",
        ]
        initdb: list[str | Path] = [programs / "initdb", *options, "--no-locale", "--pgdata", self.data]
        subprocess.run(initdb, user=self.user, cwd="/", check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        # Nothing here has to outlive a crash of the machine.
        fast = {"autovacuum": "off", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "", **fast}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        command: list[str | Path] = [self.programs / "postgres", "-D", self.data, *options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, user=self.user, cwd="/", stdout=log, stderr=log)
        wait_for(self._ready, "PostgreSQL")

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        # It listens before it lets anybody in.
        ready: list[str | Path] = [self.programs / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        return listens(self.port) and subprocess.run(ready, check=False, timeout=PATIENCE).returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it, whatever its clients are at."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
            self.process = None

    def client(self, *command: str | Path) -> str:
        """Run a client of PostgreSQL, and return what it writes."""
        program, *rest = command
        login = ["--host=127.0.0.1", f"--port={self.port}", "--username=user"]
        result = run(
            [self.programs / program, *login, *rest], {"PATH": os.environ["PATH"], "PGPASSWORD": self.password}
        )
        assert result.returncode == 0, result.stdout
        return result.stdout

    def sql(self, statement: str, database: str = "postgres") -> list[str]:
        """Run a statement, and return its rows."""
        quiet = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
        return self.client("psql", f"--dbname={database}", *quiet, f"--command={statement}").splitlines()


@contextmanager
def postgres_server(password: str = PASSWORD) -> Iterator[Server]:
    """Run a server of one's own; a test that needs one is skipped where PostgreSQL is not installed.

    Args:
        password: Password of its user, who is called ``user``.
    """
    programs = binaries()
    if programs is None:
        pytest.skip(f"PostgreSQL is not installed: no folder has all of {', '.join(PROGRAMS)}")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = Server(programs, folder, password)
    try:
        server.start()
        yield server
    finally:
        # At once: its data is of no more use.
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)

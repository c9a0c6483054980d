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

    def __init__(self, programs: Path, folder: Path, password: str, superuser: str = "postgres") -> None:
        """Initialize its data, unless the folder has some."""
        self.programs = programs
        self.password = password
        self.superuser = superuser
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        self.user = "nobody" if os.getuid() == 0 else None
        if not self.data.exists():
            self._initialize()

    def _initialize(self) -> None:
        if self.user:
            shutil.chown(self.folder, self.user)
        password_file = self.folder / "password"
        password_file.write_text(self.password + "\n")
        options = [
            "--auth=scram-sha-256",
            f"--username={self.superuser}",
            f"--pwfile={password_file}",
            "--encoding=UTF8",
            "--no-sync",
        ]
        initdb: list[str | Path] = [self.programs / "initdb", *options, "--no-locale", "--pgdata", self.data]
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
        login = ["--host=127.0.0.1", f"--port={self.port}", f"--username={self.superuser}"]
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
def postgres_server(
    password: str = PASSWORD, superuser: str = "postgres", like: Server | None = None
) -> Iterator[Server]:
    """Run a server of one's own; a test that needs one is skipped where PostgreSQL is not installed.

    Args:
        password: Password of its superuser.
        superuser: Name of its superuser.
        like: A server that is stopped, with whose data it begins. Default: with none.
    """
    programs = binaries()
    if programs is None:
        pytest.skip(f"PostgreSQL is not installed: no folder has all of {', '.join(PROGRAMS)}")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if like is not None:
        folder.rmdir()
        # Its files belong to whoever runs the server.
        subprocess.run(["cp", "-a", like.folder, folder], check=True, timeout=PATIENCE)
    server = Server(programs, folder, password, superuser)
    try:
        server.start()
        yield server
    finally:
        # At once: its data is of no more use.
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)

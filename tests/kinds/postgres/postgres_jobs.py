"""A database on a real PostgreSQL server, and the Jobs of a service that work on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from postgres_server import PASSWORD, Server
from running import run, tools, variables
from synthesized import Manifest, Synthesized

#: Passwords of the service's role and of the exporter's, which no shell and no SQL may take for something else.
ROLE_PASSWORD = """the $role's \\ "own": 'x'; `id` %s :role ü"""
METRICS_PASSWORD = """it's \\ another "one": 'x'; `id` :role $HOME ü"""
SCHEMA = Path(__file__).parents[3] / "schemas" / "users_and_groups.sql"


class Database:
    """An empty database, and the Jobs of the user service that work on it."""

    def __init__(self, server: Server, folder: Path, production: Synthesized, name: str | None = None) -> None:
        """Create the database, unless it is there under a name."""
        self.server = server
        self.name = name or "database_" + re.sub(r"\W", "_", folder.name.lower())
        self.backups = folder / "backups"
        self.backups.mkdir()
        self.password_file = folder / "password"
        self.password_file.write_text(ROLE_PASSWORD)
        self.superuser_password_file = folder / "superuser-password"
        self.superuser_password_file.write_text(PASSWORD)
        self.metrics_password_file = folder / "metrics-password"
        self.metrics_password_file.write_text(METRICS_PASSWORD)
        self.path = f"{tools(folder / 'bin')}:{server.programs}:{os.environ['PATH']}"
        (self.schema_job,) = (pod.program for pod in production.pods("pp-us", ["Job"]))
        (self.backup_job,) = (
            pod.container("write") for pod in production.pods("pp-us", ["CronJob"]) if pod.name.endswith("-backup")
        )
        (statefulset,) = production.pods("pp-us", ["StatefulSet"])
        self.exporter = {entry["name"]: entry["value"] for entry in statefulset.container("exporter")["env"]}
        self.role = variables(self.schema_job)["PGUSER"]
        if name is None:
            self.sql(f"create database {self.name}", database="postgres")

    def environment(self, container: Manifest, **others: str | Path) -> dict[str, str]:
        """Return the variables of a Job, with what lies elsewhere here."""
        here: dict[str, str | Path] = {
            "PATH": self.path,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.server.port),
            "PGDATABASE": self.name,
            "PASSWORD_FILE": self.password_file,
            "BACKUPS": self.backups,
        }
        if container is self.schema_job:
            here["METRICS_PASSWORD_FILE"] = self.metrics_password_file
            here["SUPERUSER_PASSWORD_FILE"] = self.superuser_password_file
        return variables(container, **{**here, **others})

    def apply(self, schema: Path = SCHEMA, **others: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the schema Job."""
        return run(self.schema_job["command"], self.environment(self.schema_job, SCHEMA=schema, **others))

    def back_up(self, **others: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the scheduled Job."""
        return run(self.backup_job["command"], self.environment(self.backup_job, **others))

    def sql(self, statement: str, database: str | None = None) -> list[str]:
        """Run a statement, and return its rows."""
        return self.server.sql(statement, database or self.name)

    def ask(
        self, statement: str, role: str | None = None, password: str = ROLE_PASSWORD, database: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a statement as somebody else than the superuser: by default as the service."""
        command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", f"--command={statement}"]
        login = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.server.port),
            "PGDATABASE": database or self.name,
            "PGUSER": role or self.role,
            "PGPASSWORD": password,
        }
        return run([self.server.programs / command[0], *command[1:]], {"PATH": os.environ["PATH"], **login})

    def asked(self, statement: str) -> list[str]:
        """Return what the service reads."""
        result = self.ask(statement)
        assert result.returncode == 0, result.stdout
        return result.stdout.splitlines()

    def measure(self, statement: str, password: str = METRICS_PASSWORD) -> subprocess.CompletedProcess[str]:
        """Run a statement as the exporter would."""
        return self.ask(statement, self.exporter["DATA_SOURCE_USER"], password)

    def measured(self, statement: str, password: str = METRICS_PASSWORD) -> list[str]:
        """Return what the exporter reads."""
        result = self.measure(statement, password)
        assert result.returncode == 0, result.stdout
        return result.stdout.splitlines()

    def tables(self, database: str | None = None) -> set[str]:
        """Return the names of all tables."""
        return set(self.sql("select tablename from pg_tables where schemaname = 'public'", database))

    def add_rows(self) -> None:
        """Put a user into a group."""
        self.sql("insert into users values ('1', 'Ada', 'Lovelace', 'ada@example.com', 'x')")
        self.sql("insert into groups values ('a', 'Analysts', '1')")
        self.sql("insert into membership values ('1', 'a')")

    def rows(self, database: str | None = None) -> list[str]:
        """Return who is in which group."""
        select = (
            "select u.name, g.name from membership m join users u on u.id = user_id join groups g on g.id = group_id"
        )
        return self.sql(select, database)

    def restored(self, dump: Path) -> str:
        """Restore a dump into an empty database, and return its name."""
        name = f"{self.name}_restored"
        self.sql(f"create database {name}", database="postgres")
        self.server.client("pg_restore", f"--dbname={name}", "--exit-on-error", dump)
        return name

    def contents(self, *options: str) -> list[str]:
        """Return definitions and rows as SQL, without the random key that a dump of newer versions begins with."""
        dump = self.server.client("pg_dump", f"--dbname={self.name}", *options).splitlines()
        return [line for line in dump if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]

    def dumps(self) -> list[str]:
        """Return the names of the dumps on the backup volume."""
        return sorted(path.name for path in self.backups.glob("*.dump"))

    def record(self, log: Path) -> None:
        """Have the command lines of the Jobs' programs written down."""
        for program, found in {"psql": self.server.programs / "psql", "cat": Path(shutil.which("cat") or "")}.items():
            recorder = Path(self.path.partition(":")[0], program)
            recorder.write_text(f"""#!/bin/sh\nprintf '%s\\n' "$0 $*" >> {log}\nexec {found} "$@"\n""")
            recorder.chmod(0o755)

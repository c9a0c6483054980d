"""A database is saved to a real S3 server, destroyed, and restored, by the scripts of the manifests as they stand.

All as a plain role that owns what is in the database and nothing else; the superuser lets it make schemas. What goes
wrong on the way is found, and costs no save.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from postgres_server import PASSWORD as SUPERUSER
from postgres_server import Server, postgres_server
from running import PATIENCE, run, sleeps, start, variables, wait_for
from s3_server import PASSWORD, Saves, s3_server
from s3_server import Server as S3Server
from synthesized import Manifest, Synthesized

SCHEMA = Path(__file__).parents[3] / "schemas" / "users_and_groups.sql"
OWNER, OWNERS_PASSWORD = "owner", "it's the owner's"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server() as server:
        quoted = OWNERS_PASSWORD.replace("'", "''")
        server.sql(f"create role {OWNER} login password '{quoted}'")
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


class Database:
    """A database with some rows, and the pods of the user service that save and restore it."""

    def __init__(self, server: Server, s3: S3Server, folder: Path, production: Synthesized) -> None:
        """Make the database and a bucket, each with a name of its own."""
        self.server, self.s3, self.folder = server, s3, folder
        self.name = re.sub(r"\W", "_", folder.name.lower())[:40]
        self.backups, self.fetched = folder / "backups", folder / "fetched"
        self.backups.mkdir()
        self.password_file = folder / "password"
        self.password_file.write_text(OWNERS_PASSWORD)
        self.superuser_file = folder / "superuser-password"
        self.superuser_file.write_text(SUPERUSER)
        self.saves = Saves(s3, folder / "saves")
        self.pods = {pod.name.rpartition("-")[2]: pod for pod in production.pods("pp-us", ["CronJob"])}
        self.write, self.save = (self.pods["backup"].container(name) for name in ("write", "save"))
        self.fetch, self.restore_script = (self.pods["restore"].container(name) for name in ("fetch", "restore"))
        self.bucket = f"saves-{self.name.replace('_', '-')}"
        (s3.buckets / self.bucket).mkdir()
        self.create()

    def create(self) -> None:
        """Make the database, as it is on a new volume."""
        server = self.server
        server.sql(f"drop database if exists {self.name}")
        server.sql(f"create database {self.name}")
        # As the Job of the schema leaves it.
        server.sql(f"alter schema public owner to {OWNER}", database=self.name)

    def fill(self) -> None:
        """Give it tables and rows, and what else a schema may have."""
        self.server.sql(f"grant create on database {self.name} to {OWNER}")
        self.sql(SCHEMA.read_text())
        self.sql(
            "insert into users select n::text, 'Ada', 'L.', n || '@example.com', 'x' from generate_series(1, 50) n"
        )
        self.sql("insert into groups values ('a', 'Analysts, \"the\" first; ü', '1')")
        self.sql("insert into membership values ('1', 'a')")
        self.sql(
            """create schema audit; create table audit.events (id serial primary key, at timestamptz, what jsonb);
            insert into audit.events (at, what) values ('2026-11-29 06:00+00', '{"who": "Ada"}');
            create type mood as enum ('good', 'bad'); create domain short as varchar(3);
            create table moods (of mood, called short); insert into moods values ('good', 'yes');
            create view happy as select * from moods where of = 'good';
            create materialized view counted as select count(*) from users;
            create function one() returns int language sql as 'select 1'; comment on table moods is 'how they are';"""
        )
        self.server.sql(f"revoke create on database {self.name} from {OWNER}")

    def sql(self, statement: str) -> list[str]:
        """Run a statement as the owner, and return its rows."""
        quiet = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        result = run(
            [self.server.programs / "psql", *quiet, f"--command={statement}"],
            {**self.login, "PATH": os.environ["PATH"]},
        )
        assert result.returncode == 0, result.stdout
        return result.stdout.splitlines()

    @property
    def login(self) -> dict[str, str]:
        """Whom psql logs in as."""
        address = {"PGHOST": "127.0.0.1", "PGPORT": str(self.server.port), "PGDATABASE": self.name}
        return {**address, "PGUSER": OWNER, "PGPASSWORD": OWNERS_PASSWORD}

    def contents(self) -> list[str]:
        """Return definitions, owners and rows as SQL, without the random key that a dump of newer versions has."""
        result = run([self.server.programs / "pg_dump"], {**self.login, "PATH": os.environ["PATH"]})
        assert result.returncode == 0, result.stdout
        return [line for line in result.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]

    def script(self, container: Manifest, **others: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a script in PostgreSQL's own image."""
        here = {name: value for name, value in self.login.items() if name != "PGPASSWORD"}
        path = f"{self.saves.programs}:{self.server.programs}:{os.environ['PATH']}"
        files = {"PASSWORD_FILE": self.password_file, "BACKUPS": self.backups, **others}
        if container is self.restore_script:
            files |= {"SUPERUSER": self.server.superuser, "SUPERUSER_PASSWORD_FILE": self.superuser_file}
        return run(container["command"], variables(container, PATH=path, **here, **files))

    def repository(self, **others: str | Path) -> dict[str, str | Path]:
        """Return what a container that calls the bucket has of its own here."""
        environment = self.saves.environment(self.save)["RESTIC_REPOSITORY"]
        return {"RESTIC_REPOSITORY": environment.replace("/position-pal-backups/", f"/{self.bucket}/"), **others}

    def send(self, **others: str | Path) -> subprocess.CompletedProcess[str]:
        """Send the newest dump."""
        saved = self.save_pattern
        return self.saves.run(self.save, **{"SAVED": saved, **self.repository(), **others})

    @property
    def save_pattern(self) -> str:
        """Which dumps, of this database on this volume."""
        pattern = variables(self.save)["SAVED"]
        assert pattern == "/backups/users_and_groups-[0-9]*.dump"
        return pattern.replace("/backups/users_and_groups", f"{self.backups}/{self.name}")

    def back_up(self, **others: str | Path) -> str:
        """Run the scheduled pod: dump, then send."""
        written = self.script(self.write)
        assert written.returncode == 0, written.stdout
        sent = self.send(**others)
        assert sent.returncode == 0, sent.stdout
        return sent.stdout

    def fetch_save(self, **others: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the first container of the pod that restores, on a volume of its own."""
        shutil.rmtree(self.fetched, ignore_errors=True)
        self.fetched.mkdir()
        self.saves.wipe()
        return self.saves.run(self.fetch, **{**self.repository(FETCHED=self.fetched), **others})

    def restore(self, save: str = "latest") -> str:
        """Run the pod that restores."""
        fetched = self.fetch_save(SAVE=save)
        assert fetched.returncode == 0, fetched.stdout
        restored = self.script(self.restore_script, FETCHED=self.fetched)
        assert restored.returncode == 0, restored.stdout
        return fetched.stdout + restored.stdout

    def ids(self) -> list[str]:
        """Return the ids of all saves, the oldest first."""
        return [str(each["short_id"]) for each in self.snapshots()]

    def snapshots(self) -> list[Manifest]:
        """Return what restic knows of all saves, the oldest first."""
        return self.saves.snapshots(self.save, **self.repository())


@pytest.fixture
def database(server: Server, s3: S3Server, tmp_path: Path, trees: dict[str, Synthesized]) -> Database:
    """A database with some rows."""
    database = Database(server, s3, tmp_path, trees["production"])
    database.fill()
    return database


def test_saved_destroyed_and_restored(database: Database) -> None:
    """The database, its volume and that of the dumps are lost; what comes back is what was there, to the last row."""
    before = database.contents()
    output = database.back_up()
    assert "created restic repository" in output
    database.create()
    shutil.rmtree(database.backups)
    database.backups.mkdir()
    assert database.contents() != before
    # The Job of the schema has run before on the new volume.
    database.sql(SCHEMA.read_text())
    output = database.restore()
    assert database.contents() == before
    assert f"restored {database.name} from {database.name}-" in output


def test_nobody_reads_in_the_bucket(database: Database) -> None:
    """Neither a row nor a name of a table, nor the password or the key."""
    database.back_up()
    [dump] = database.backups.glob("*.dump")
    assert b"audit" in dump.read_bytes()
    held = database.s3.contents()
    for text in (
        "audit",
        "Analysts",
        "example.com",
        database.name + "-",
        "users",
        PASSWORD,
        OWNERS_PASSWORD,
        SUPERUSER,
    ):
        assert text.encode() not in held.replace(database.bucket.encode(), b""), text


def test_restores_over_what_is_there(database: Database) -> None:
    """Also over tables that came later and lean on those of the save; what is replaced is dumped before."""
    before = database.contents()
    database.back_up()
    database.sql(
        "create table later (u varchar references users (id)); drop table audit.events; delete from membership"
    )
    replaced = database.contents()
    output = database.restore()
    assert database.contents() == before
    [kept] = database.backups.glob("before-restore-*.dump")
    assert f"wrote {kept.name}" in output
    database.create()
    database.server.client("pg_restore", f"--dbname={database.name}", kept)
    assert database.contents() == replaced


def test_restores_a_save_by_its_id(database: Database) -> None:
    """The log of each save lists all of them."""
    before = database.contents()
    output = database.back_up()
    [first] = database.ids()
    assert first in output
    database.sql("delete from membership")
    output = database.back_up()
    assert len(database.ids()) == 2
    assert set(database.ids()) <= set(re.findall(r"\b[0-9a-f]{8}\b", output))
    database.restore(first)
    assert database.contents() == before


def test_what_cannot_be_restored_changes_nothing(database: Database) -> None:
    """A dump that is cut off leaves the database as it is, and so does one of which a statement fails."""
    database.back_up()
    before = database.contents()
    assert database.fetch_save().returncode == 0
    [dump] = database.fetched.rglob("*.dump")
    whole = dump.read_bytes()
    dump.write_bytes(whole[: len(whole) // 2])
    assert database.script(database.restore_script, FETCHED=database.fetched).returncode != 0
    assert database.contents() == before
    dump.write_bytes(whole)
    # The last of it is what the owner may not take away.
    database.server.sql("create schema theirs", database=database.name)
    before = database.contents()
    result = database.script(database.restore_script, FETCHED=database.fetched)
    assert result.returncode != 0
    assert "must be owner of schema theirs" in result.stdout
    assert database.contents() == before


def test_wrong_password(database: Database) -> None:
    """Nothing is saved beside what is there, and nothing fetched; the log says which it is."""
    database.back_up()
    ids = database.ids()
    (database.saves.files / "password").write_text("another")
    for result in (database.send(), database.fetch_save()):
        assert result.returncode == 1
        assert "the password is not the one with which" in result.stdout
    (database.saves.files / "password").write_text(PASSWORD)
    assert database.ids() == ids
    database.restore()


def test_wrong_key(database: Database) -> None:
    """A refusal is no repository that is missing: nothing is made anew."""
    (database.saves.files / "secret-access-key").write_text("another")
    for result in (database.send(), database.fetch_save()):
        assert result.returncode == 1
        assert "Access Denied" in result.stdout
        assert "or refuses the key" in result.stdout
    assert list((database.s3.buckets / database.bucket).iterdir()) == []


def test_unreachable_server(database: Database) -> None:
    """It is no repository that is missing either; the dump on the volume stays, and the next save takes it along."""
    database.back_up()
    ids = database.ids()
    database.s3.stop()
    try:
        for result in (database.send(PATIENCE="8"), database.fetch_save(PATIENCE="8")):
            assert result.returncode == 1
            assert "connection refused" in result.stdout
            assert "does not answer within 8 seconds" in result.stdout
            assert "created" not in result.stdout
    finally:
        database.s3.start()
    assert database.ids() == ids
    database.back_up()
    assert len(database.ids()) == 2


def test_server_that_nobody_vouches_for(database: Database) -> None:
    """Whoever answers in the place of the service gets neither the key nor a save."""
    other = database.folder / "none.pem"
    other.touch()
    environment = database.saves.environment(database.save, **database.repository(PATIENCE="8"))
    result = run(database.save["command"], {**environment, "SSL_CERT_FILE": str(other), "SSL_CERT_DIR": "/nowhere"})
    assert result.returncode == 1
    assert "certificate signed by unknown authority" in result.stdout


def test_nothing_was_ever_saved(database: Database) -> None:
    result = database.fetch_save()
    assert result.returncode == 1
    assert "so nothing was ever saved" in result.stdout


def test_missing_bucket_is_made_by_a_key_that_may(database: Database) -> None:
    """A key to one bucket may not, and is refused as the service does it."""
    (database.s3.buckets / database.bucket).rmdir()
    before = database.contents()
    database.back_up()
    database.create()
    database.restore()
    assert database.contents() == before


def test_nothing_to_save(database: Database) -> None:
    """A pattern without a dump, or an empty one, is no save."""
    result = database.send()
    assert result.returncode == 1
    assert "there is nothing to save" in result.stdout
    (database.backups / f"{database.name}-20260101T000000Z.dump").touch()
    assert database.send().returncode == 1
    assert database.ids() == []


class Slow:
    """A restic that can be met at its work: it sends a thousand bytes in a second, and is real in all else."""

    def __init__(self, database: Database, moment: str) -> None:
        """Take the place of restic for one of its commands."""
        self.database = database
        self.program = database.saves.programs / "restic"
        self.real = self.program.resolve()
        self.begun = database.folder / "begun"
        self.program.unlink()
        options = "-o s3.bucket-lookup=path --limit-upload 1"
        at_work = f': > {self.begun}; shift 2; exec {self.real} {options} "$@"'
        self.program.write_text(f'#!/bin/sh\ncase " $* " in *" {moment} "*) {at_work} ;; esac\nexec {self.real} "$@"\n')
        self.program.chmod(0o755)
        path = urlsplit(variables(database.save)["RESTIC_REPOSITORY"].removeprefix("s3:")).path.split("/", 2)[2]
        self.locks = database.s3.buckets / database.bucket / path / "locks"

    def start(self) -> subprocess.Popen[str]:
        """Start the container that saves, and return once restic has its lock."""
        database = self.database
        environment = database.saves.environment(database.save, **database.repository(SAVED=database.save_pattern))
        process = start(database.save["command"], environment)
        wait_for(lambda: self.begun.exists() and self.locked(), "its lock")
        return process

    def locked(self) -> bool:
        """Tell whether there is a lock."""
        return any(self.locks.glob("*"))

    def end(self) -> None:
        """Leave its place."""
        self.program.unlink()
        self.program.symlink_to(self.real)


@pytest.mark.parametrize("moment", ["backup", "forget"])
def test_killed_in_the_middle(database: Database, moment: str) -> None:
    """Its lock is left behind; the next save takes it away, and is whole."""
    before = database.contents()
    database.back_up()
    slow = Slow(database, moment)
    with slow.start() as process:
        os.killpg(process.pid, signal.SIGKILL)
    assert slow.locked()
    slow.end()
    database.back_up()
    assert not slow.locked()
    assert sleeps(database.saves.programs) >= 1
    database.create()
    database.restore()
    assert database.contents() == before


def test_ends_on_a_signal_and_leaves_no_lock(database: Database) -> None:
    """As a pod does whose node is drained; the next save has not to wait."""
    database.back_up()
    slow = Slow(database, "backup")
    with slow.start() as process:
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    assert not slow.locked()
    slow.end()
    database.back_up()
    assert sleeps(database.saves.programs) == 0


def test_keeps_what_is_declared(database: Database) -> None:
    """Of saves of many days the last of each day, and the newest two days whole; the oldest go."""
    assert variables(database.save)["KEEP_SAVES"] == "--keep-within=2d --keep-daily=14 --keep-weekly=8 --keep-monthly=6"
    database.back_up()
    [dump] = database.backups.glob("*.dump")
    now = datetime.now(tz=UTC).replace(hour=12, minute=0)
    host = variables(database.save)["STORE"]
    for days in (400, 100, 40, 39, 5, 4, 3, 1):
        for hours in (0, 1):
            # Each has a path of its own, as the names of dumps have it.
            other = dump.rename(dump.with_name(f"{database.name}-{days}-{hours}.dump"))
            at = f"{now - timedelta(days=days, hours=hours):%Y-%m-%d %H:%M:%S}"
            command: list[str | Path] = ["backup", "--quiet", "--host", host, "--time", at, other]
            database.saves.restic(database.save, *command, **database.repository())
            dump = other
    dump.rename(database.backups / f"{database.name}-20260101T000000Z.dump")
    sent = database.send(KEEP_SAVES="--keep-within=2d --keep-daily=4")
    assert sent.returncode == 0, sent.stdout
    ages = [(now.date() - date.fromisoformat(str(each["time"])[:10])).days for each in database.snapshots()]
    assert sorted(ages) == [0, 0, 1, 1, 3, 4]

"""The scripts of the PostgreSQL Jobs against a real server: what they promise about data, they keep."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_jobs import METRICS_PASSWORD, ROLE_PASSWORD, SCHEMA, Database
from postgres_server import Server, postgres_server
from running import PATIENCE, free_port, read_until, run, start
from synthesized import Synthesized

#: The role of the exporter.
METRICS_ROLE = "metrics_exporter"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of one's own."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(server: Server, tmp_path: Path, trees: dict[str, Synthesized]) -> Database:
    """An empty database."""
    return Database(server, tmp_path, trees["production"])


def test_server_asks_for_a_password(database: Database) -> None:
    """Or else the other tests would not show that the scripts give it."""
    database.password_file.write_text("wrong")
    result = database.back_up()
    assert result.returncode != 0
    assert "password authentication failed" in result.stdout
    assert database.dumps() == []


def test_first_run_creates_the_tables(database: Database) -> None:
    """There is nothing to dump yet."""
    result = database.apply()
    assert result.returncode == 0, result.stdout
    assert database.tables() == {"users", "groups", "membership"}
    assert database.dumps() == []


def test_second_run_dumps_and_changes_nothing(database: Database) -> None:
    """A schema that is applied again finds everything in place, and rows survive it."""
    database.apply()
    database.add_rows()
    before = database.contents()
    result = database.apply(SCHEMA_DIGEST="0123abcd")
    assert result.returncode == 0, result.stdout
    assert "3 tables" in result.stdout
    assert database.contents() == before
    assert database.dumps() == ["before-schema-0123abcd.dump"]
    assert database.rows(database.restored(database.backups / "before-schema-0123abcd.dump")) == ["Ada|Analysts"]


def test_dumps_tables_of_every_schema_before(database: Database) -> None:
    """Tables outside of ``public`` are data too."""
    database.sql("create schema audit")
    database.sql("create table audit.events (id int)")
    database.sql("insert into audit.events values (42)")
    assert database.apply(SCHEMA_DIGEST="0123abcd").returncode == 0
    restored = database.restored(database.backups / "before-schema-0123abcd.dump")
    assert database.sql("select id from audit.events", restored) == ["42"]


@pytest.mark.parametrize(
    "end",
    ["insert into nowhere values (1);", "drop table users cascade; selec 1;"],
)
def test_broken_schema_leaves_the_database_as_it_was(database: Database, tmp_path: Path, end: str) -> None:
    """Its statements hold together or not at all, and the Job fails."""
    database.apply()
    database.add_rows()
    schema = tmp_path / "schema.sql"
    schema.write_text(f"create table another (id int);\ndelete from membership;\n{end}\n")
    before = database.contents()
    result = database.apply(schema)
    assert result.returncode != 0
    assert "ERROR" in result.stdout
    assert "in place" not in result.stdout
    assert database.contents() == before


def test_without_a_dump_no_schema(database: Database, tmp_path: Path) -> None:
    """A backup volume that cannot be written to stops the schema, not only the dump."""
    database.apply()
    database.backups.rmdir()
    schema = tmp_path / "schema.sql"
    schema.write_text("create table another (id int);\n")
    result = database.apply(schema)
    assert result.returncode != 0
    assert "in place" not in result.stdout
    assert "another" not in database.tables()


def test_keeps_three_dumps_of_before(database: Database) -> None:
    """Every schema leaves one behind, and the volume has an end."""
    database.apply()
    for digest in ("d", "c", "b", "a"):
        assert database.apply(SCHEMA_DIGEST=digest).returncode == 0
        for age, name in enumerate(["d", "c", "b", "a"]):
            if (dump := database.backups / f"before-schema-{name}.dump").exists():
                os.utime(dump, (1_000_000 + age, 1_000_000 + age))
    assert database.dumps() == ["before-schema-a.dump", "before-schema-b.dump", "before-schema-c.dump"]


def test_both_jobs_may_dump_at_once(database: Database) -> None:
    """What the one is writing is not what the other writes."""
    database.apply()
    database.password_file.write_text("wrong")
    database.back_up()
    database.password_file.write_text(ROLE_PASSWORD)
    (unfinished,) = database.backups.iterdir()
    unfinished.write_text("being written")
    assert database.apply().returncode == 0
    assert unfinished.read_text() == "being written"
    assert len(database.dumps()) == 1


def test_database_without_a_schema(database: Database) -> None:
    """The Job of a server without a schema file has nothing to apply, and ends well."""
    environment = database.environment(database.schema_job)
    del environment["SCHEMA"]
    result = run(database.schema_job["command"], environment)
    assert result.returncode == 0, result.stdout
    assert database.tables() == set()


def test_waits_for_a_server_that_comes_up_late(database: Database) -> None:
    """It says for whom it waits."""
    database.server.stop()
    environment = database.environment(database.schema_job, SCHEMA=SCHEMA)
    with start(database.schema_job["command"], environment) as process:
        read_until(process, f"waiting for 127.0.0.1:{database.server.port}")
        database.server.start()
        read_until(process, "in place")
        assert process.wait(PATIENCE) == 0
    assert database.tables() == {"users", "groups", "membership"}


def test_ends_on_a_signal_while_it_waits(database: Database) -> None:
    """A shell that is a container's first process ends only if it catches the signal: by itself, with 143."""
    environment = database.environment(database.schema_job, PGPORT=str(free_port()))
    with start(database.schema_job["command"], environment) as process:
        read_until(process, "waiting for")
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_dump_restores_into_an_empty_database(database: Database) -> None:
    """With its rows and its tables."""
    database.apply()
    database.add_rows()
    result = database.back_up()
    assert result.returncode == 0, result.stdout
    (name,) = database.dumps()
    assert re.fullmatch(rf"{database.name}-\d{{8}}T\d{{6}}Z\.dump", name)
    assert name in result.stdout
    restored = database.restored(database.backups / name)
    assert database.tables(restored) == {"users", "groups", "membership"}
    assert database.rows(restored) == ["Ada|Analysts"]


def test_dump_restores_over_what_is_there(database: Database) -> None:
    """As the script says: with --clean --if-exists."""
    database.apply()
    database.add_rows()
    database.back_up()
    database.sql("delete from membership")
    (name,) = database.dumps()
    database.server.client("pg_restore", f"--dbname={database.name}", "--clean", "--if-exists", database.backups / name)
    assert database.rows() == ["Ada|Analysts"]


def test_keeps_the_newest_dumps(database: Database) -> None:
    """Others' files, and what was dumped before a schema, are not its own to remove."""
    database.apply()
    old = [f"{database.name}-{day}T031700Z.dump" for day in (20240101, 20231231, 20240103, 20240102)]
    others = ["before-schema-0123abcd.dump", f"{database.name}-before-migration.dump", "other-20200101T000000Z.dump"]
    for name in [*old, *others]:
        (database.backups / name).write_text("old")
    result = database.back_up(KEEP="3")
    assert result.returncode == 0, result.stdout
    kept = set(database.dumps()) - set(others)
    assert kept > {old[2], old[3]}
    assert len(kept) == 3
    assert set(others) < set(database.dumps())
    assert [f"removed {name}" for name in (old[0], old[1])] == re.findall("removed .*", result.stdout)


def test_failed_dump_removes_nothing(database: Database) -> None:
    """As long as there is no newer dump, the oldest may be the last good one."""
    old = [f"{database.name}-2024010{day}T031700Z.dump" for day in range(1, 5)]
    for name in old:
        (database.backups / name).write_text("old")
    result = database.back_up(KEEP="1", PGPORT=str(free_port()))
    assert result.returncode != 0
    assert database.dumps() == old


# The role of the exporter


def test_the_exporter_is_the_role_that_the_job_makes(database: Database) -> None:
    """One name for both, and the same file: the tests below are about what is deployed."""
    told = {entry["name"]: entry["value"] for entry in database.schema_job["env"]}
    assert told["METRICS_ROLE"] == database.exporter["DATA_SOURCE_USER"] == METRICS_ROLE
    assert told["METRICS_PASSWORD_FILE"] == database.exporter["DATA_SOURCE_PASS_FILE"]


@pytest.mark.parametrize("end", ["", "\n"])
def test_exporter_sees_statistics(database: Database, end: str) -> None:
    """Of the database, its tables, its sizes and what others do; with a password that any editor has saved."""
    database.metrics_password_file.write_text(METRICS_PASSWORD + end)
    result = database.apply()
    assert result.returncode == 0, result.stdout
    database.add_rows()
    database.sql("select pg_stat_force_next_flush()")
    assert database.measured("select current_user") == [METRICS_ROLE]
    assert database.measured(f"select xact_commit > 0 from pg_stat_database where datname = '{database.name}'") == ["t"]
    assert set(database.measured("select relname from pg_stat_user_tables")) == {"users", "groups", "membership"}
    assert database.measured("select pg_database_size(current_database()) > 0") == ["t"]
    assert database.measured("select count(*) > 0 from pg_ls_waldir()") == ["t"]
    assert database.measured("select count(*) > 100 from pg_settings") == ["t"]
    hidden = "select count(*) from pg_stat_activity where query = '<insufficient privilege>'"
    assert database.measured(hidden) == ["0"]


@pytest.mark.parametrize(
    "statement",
    [
        "select * from users",
        "select email from users",
        "select * from groups",
        "select * from membership",
        "insert into groups values ('b', 'Others', '1')",
        "delete from membership",
        "truncate users cascade",
        "alter table users add column x int",
        "create role another",
        "alter role \"user\" password 'x'",
        'set role "user"',
        "select rolpassword from pg_authid",
        "select pg_read_file('pg_hba.conf')",
        "copy users to stdout",
        "copy (select 1) to program 'cat'",
    ],
)
def test_exporter_may_do_nothing_else(database: Database, statement: str) -> None:
    """Neither read a table nor change anything, and least of all become somebody else."""
    database.apply()
    database.add_rows()
    before = database.contents()
    result = database.measure(statement)
    assert result.returncode != 0
    assert re.search("permission denied|must be (owner|superuser)", result.stdout)
    assert database.contents() == before


def test_exporter_has_no_further_rights(database: Database) -> None:
    """None beside pg_monitor, in whatever way a role is given them."""
    database.apply()
    rights = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin"
    assert database.sql(f"select {rights} from pg_roles where rolname = '{METRICS_ROLE}'") == ["f|f|f|f|f|t"]
    member = f"select roleid::regrole from pg_auth_members where member = '{METRICS_ROLE}'::regrole"
    assert database.sql(member) == ["pg_monitor"]


def test_role_of_the_exporter_is_made_once(database: Database) -> None:
    """A second run finds it, and it logs in as before."""
    database.apply()
    before = database.sql(f"select oid from pg_roles where rolname = '{METRICS_ROLE}'")
    result = database.apply(SCHEMA_DIGEST="0123abcd")
    assert result.returncode == 0, result.stdout
    assert database.sql(f"select oid from pg_roles where rolname = '{METRICS_ROLE}'") == before
    assert database.measured("select 1") == ["1"]


def test_changed_password_of_the_exporter_takes_the_place_of_the_old_one(database: Database) -> None:
    """As a new value in the store has it: the next run of the Job puts it in place."""
    database.apply()
    database.metrics_password_file.write_text("another")
    result = database.apply()
    assert result.returncode == 0, result.stdout
    assert database.measured("select 1", "another") == ["1"]
    refused = database.measure("select 1")
    assert refused.returncode != 0
    assert "password authentication failed" in refused.stdout


def test_password_of_the_exporter_is_in_no_command_line(database: Database, tmp_path: Path) -> None:
    """Any process of the node could read it there; and the Job's log has it neither."""
    log = tmp_path / "command-lines"
    database.record(log)
    secret = "s3cret-of-the-exporter"
    database.metrics_password_file.write_text(secret)
    result = database.apply()
    assert result.returncode == 0, result.stdout
    assert database.measured("select 1", secret) == ["1"]
    recorded = log.read_text()
    assert f"cat {database.metrics_password_file}" in recorded
    assert METRICS_ROLE in recorded
    assert secret not in recorded
    assert secret not in result.stdout


@pytest.mark.parametrize("content", ["", "\n", None])
def test_no_password_of_the_exporter_fails_the_job(database: Database, content: str | None) -> None:
    """Or else the role would lose the one that it has, and the Job would say that all is well."""
    database.apply()
    if content is None:
        database.metrics_password_file.unlink()
    else:
        database.metrics_password_file.write_text(content)
    result = database.apply()
    assert result.returncode != 0
    assert "in place" not in result.stdout
    assert database.measured("select 1") == ["1"]


def test_nobody_measures_without_a_role(database: Database) -> None:
    """The Job of a server that is not measured makes none."""
    database.apply()
    database.sql(f"alter role {METRICS_ROLE} rename to another_one", database="postgres")
    environment = database.environment(database.schema_job, SCHEMA=SCHEMA)
    del environment["METRICS_ROLE"], environment["METRICS_PASSWORD_FILE"]
    result = run(database.schema_job["command"], environment)
    assert result.returncode == 0, result.stdout
    assert database.sql(f"select count(*) from pg_roles where rolname = '{METRICS_ROLE}'") == ["0"]
    database.sql(f"alter role another_one rename to {METRICS_ROLE}", database="postgres")

"""What a service may do in its database, on a real server: what is declared, and nothing else."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_jobs import ROLE_PASSWORD, SCHEMA, Database
from postgres_server import PASSWORD, Server, postgres_server
from running import PATIENCE, start, wait_for
from synthesized import Synthesized
from systems import empty

from constructs_lib import Postgres, synthesize

#: As much as a database may hold that its owner made over the years, and what shows that it still works.
HOLDINGS = """
create schema audit;
create table audit.events (id serial primary key, at timestamptz not null default '2026-11-28', what text);
insert into audit.events (what) values ('began'), ('ended');
create table audit.numbered (id int generated always as identity, what text);
insert into audit.numbered (what) values ('one');
create sequence audit.free_sequence;
create table measures (day date, value int) partition by range (day);
create table measures_of_2026 partition of measures for values from ('2026-01-01') to ('2027-01-01');
insert into measures values ('2026-11-28', 7);
create index measures_by_day on measures (day);
create statistics measured on day, value from measures_of_2026;
create view latest as select max(day) as day from measures;
create materialized view kept as select count(*) as number from measures;
create type mood as enum ('good', 'bad');
create type place as (latitude float8, longitude float8);
create type span as range (subtype = float8);
create domain positive as int check (value > 0);
create table "With ""Quotes"" and Ünï" (mood mood, place place, span span, number positive);
insert into "With ""Quotes"" and Ünï" values ('good', (1, 2), '[1,2)', 3);
create function twice(number int) returns int language sql security definer as 'select number * 2';
create procedure forget() language sql as 'delete from audit.events';
create aggregate product(int) (sfunc = int4mul, stype = int, initcond = 1);
create operator === (leftarg = int, rightarg = int, function = int4eq);
create operator family by_number using btree;
create operator class by_number_class for type int using btree family by_number as operator 1 <;
create collation of_words from "C";
create conversion of_signs for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create text search configuration of_texts (copy = simple);
create text search dictionary of_synonyms (template = simple);
select lo_from_bytea(4711, 'large'::bytea);
create extension citext;
create table with_extension (name citext);
create table counted (id int);
create function count_it() returns trigger language plpgsql as 'begin return null; end';
create trigger counting after insert on counted execute function count_it();
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, trees: dict[str, Synthesized]) -> Iterator[Database]:
    """A database with its schema and some rows, and another schema that is none of the service's."""
    with postgres_server() as server:
        found = Database(server, tmp_path_factory.mktemp("rights"), trees["production"])
        assert found.apply().returncode == 0
        found.add_rows()
        found.sql("create schema others; create table others.secrets (id int)")
        yield found


@pytest.mark.parametrize(
    ("statement", "answer"),
    [
        ("select name from users", ["Ada"]),
        ("insert into groups values ('b', 'Builders', '1') returning id", ["b"]),
        ("with gone as (delete from groups where id = 'b' returning id) select count(*) from gone", ["1"]),
        ("create temporary table t (id int); insert into t values (1) returning id", ["1"]),
        ("alter table groups add column if not exists note text; select note from groups", [""]),
        ("create table public.more (id int); drop table public.more; select 'done'", ["done"]),
    ],
)
def test_service_works_with_what_is_its_own(database: Database, statement: str, answer: list[str]) -> None:
    """Rows, and all of the schema public."""
    assert database.asked(statement) == answer


@pytest.mark.parametrize(
    "statement",
    [
        "copy (select 1) to program 'id'",
        "copy groups from program 'id'",
        "copy groups from '/etc/passwd'",
        "copy groups to '/tmp/groups'",
        "select pg_read_file('/etc/passwd')",
        "select lo_import('/etc/passwd')",
        "create role another",
        "create role another superuser",
        'alter role "user" superuser',
        'alter role "user" createrole',
        "alter role postgres password 'x'",
        "alter role metrics_exporter password 'x'",
        "drop role metrics_exporter",
        "set role postgres",
        "set session authorization postgres",
        "grant pg_read_server_files to current_user",
        "select rolpassword from pg_authid",
        "create database another",
        "do $$ begin execute format('alter database %I set work_mem = 64', current_database()); end $$",
        "alter database postgres rename to mine",
        "create schema another",
        "create extension citext",
        "create extension file_fdw",
        "create language another handler plpgsql_call_handler",
        "alter system set ssl = on",
        "load '/tmp/library'",
        "select * from others.secrets",
        "create table others.mine (id int)",
        "drop schema others cascade",
        "grant all on schema others to current_user",
        "select pg_reload_conf()",
        "select pg_create_physical_replication_slot('x')",
    ],
)
def test_service_may_do_nothing_else(database: Database, statement: str) -> None:
    """Neither reach the machine, nor another role, database or schema."""
    result = database.ask(statement)
    assert result.returncode != 0
    assert "ERROR" in result.stdout
    assert re.search("permission denied|must (be|have)|not allowed", result.stdout), result.stdout


@pytest.mark.parametrize("other", ["postgres", "template1"])
def test_service_enters_no_other_database(database: Database, other: str) -> None:
    result = database.ask("select 1", database=other)
    assert "permission denied for database" in result.stdout


def test_other_roles_do_not_enter(database: Database) -> None:
    """PostgreSQL itself lets everybody into each database."""
    database.sql("create role stranger login password 'known'")
    result = database.ask("select 1", "stranger", "known")
    assert "permission denied for database" in result.stdout
    assert database.measured("select 1") == ["1"]


def test_role_has_no_further_rights(database: Database) -> None:
    """In whatever way a role is given them."""
    rights = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin"
    assert database.sql(f"select {rights} from pg_roles where rolname = 'user'") == ["f|f|f|f|f|t"]
    assert database.sql("select count(*) from pg_auth_members where member = '\"user\"'::regrole") == ["0"]
    assert database.sql("select nspname from pg_namespace where nspowner = '\"user\"'::regrole") == ["public"]
    owned = (
        "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relowner <> '\"user\"'::regrole"
    )
    assert database.sql(owned) == ["0"]


def test_rights_that_somebody_gave_are_gone_after_the_next_run(database: Database) -> None:
    """A role is as the Job makes it, not as a bad night left it."""
    database.sql('alter role "user" superuser createdb createrole replication bypassrls')
    database.sql(f'grant all on database {database.name} to "user" with grant option')
    assert database.apply().returncode == 0
    test_role_has_no_further_rights(database)
    acl = f"select unnest(datacl) from pg_database where datname = '{database.name}'"
    assert sorted(database.sql(acl)) == ["metrics_exporter=c/postgres", "postgres=CTc/postgres", "user=Tc/postgres"]


def test_schema_file_may_make_schemas_and_trusted_extensions(database: Database, tmp_path: Path) -> None:
    """They belong to the role; the program, which is no schema file, may make none."""
    schema = tmp_path / "schema.sql"
    schema.write_text("create schema if not exists reports; create extension if not exists pg_trgm")
    result = database.apply(schema)
    assert result.returncode == 0, result.stdout
    owners = "select nspowner::regrole from pg_namespace where nspname = 'reports'"
    assert database.sql(owners) == ['"user"']
    assert database.asked("create table reports.daily (id int); drop table reports.daily; select 1") == ["1"]
    assert "permission denied" in database.ask("create schema another").stdout
    database.sql("drop schema reports; drop extension pg_trgm")


def test_schema_file_may_do_no_more_than_the_role(database: Database, tmp_path: Path) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("create table if not exists another (id int);\ncreate extension if not exists file_fdw;\n")
    result = database.apply(schema)
    assert result.returncode != 0
    assert f"{schema}:2: ERROR:  permission denied to create extension" in result.stdout
    assert "another" not in database.tables()


def test_changed_password_of_the_role_takes_the_place_of_the_old_one(database: Database) -> None:
    """As a new value in the store has it: the next run of the Job puts it in place."""
    database.password_file.write_text("another")
    assert database.apply().returncode == 0
    assert "password authentication failed" in database.ask("select 1").stdout
    assert database.ask("select 1", password="another").returncode == 0
    database.password_file.write_text(ROLE_PASSWORD)
    assert database.apply().returncode == 0
    assert database.asked("select 1") == ["1"]


def test_no_password_is_in_a_command_line(database: Database, tmp_path: Path) -> None:
    """Any process of the node could read it there; and the Job's log has it neither."""
    log = tmp_path / "command-lines"
    database.record(log)
    result = database.apply()
    assert result.returncode == 0, result.stdout
    recorded = log.read_text()
    assert "--set role=user" in recorded
    for password in (PASSWORD, ROLE_PASSWORD):
        assert password not in recorded
        assert password not in result.stdout


@pytest.mark.parametrize("file", ["password_file", "superuser_password_file"])
@pytest.mark.parametrize("content", ["", "\n"])
def test_no_password_fails_the_job(database: Database, file: str, content: str) -> None:
    """Or else nobody could log in any more."""
    path: Path = getattr(database, file)
    before = path.read_text()
    path.write_text(content)
    result = database.apply()
    path.write_text(before)
    assert result.returncode != 0
    assert f"there is no password in {path}" in result.stdout
    assert database.asked("select 1") == ["1"]


def test_other_password_of_the_superuser_fails_the_job(database: Database) -> None:
    """It says whose password is not the one in the Secret, and changes nothing."""
    database.superuser_password_file.write_text("another")
    result = database.apply()
    database.superuser_password_file.write_text(PASSWORD)
    assert result.returncode != 0
    assert "the password of postgres is not the one in its Secret" in result.stdout
    assert database.asked("select 1") == ["1"]
    assert database.sql("select count(*) from pg_roles where rolname = 'role_conversion'") == ["0"]


# A database of before, whose clients log in as its first superuser


@pytest.fixture(scope="module")
def old() -> Iterator[Server]:
    """A server as older versions of the library made it, with all that a database may hold; it is stopped."""
    with postgres_server(ROLE_PASSWORD, "user") as server:
        server.sql("create database users_and_groups")
        server.client("psql", "--dbname=users_and_groups", "--quiet", f"--file={SCHEMA}")
        server.client("psql", "--dbname=users_and_groups", "--quiet", "--set=ON_ERROR_STOP=1", f"--command={HOLDINGS}")
        server.sql("create role metrics_exporter login; grant pg_monitor to metrics_exporter")
        server.stop()
        yield server


@pytest.fixture
def converted(old: Server, tmp_path: Path, trees: dict[str, Synthesized]) -> Iterator[Database]:
    """A database of before, which no Job of now has seen."""
    with postgres_server(ROLE_PASSWORD, "user", like=old) as server:
        yield Database(server, tmp_path, trees["production"], "users_and_groups")


def is_as_new(database: Database) -> None:
    """Log in as the new superuser, and see that a database of before differs in nothing that matters."""
    database.server.superuser, database.server.password = "postgres", PASSWORD
    assert database.sql("select oid, rolsuper from pg_roles where rolname = 'postgres'") == ["10|t"]
    assert database.sql("select rolname from pg_roles where oid >= 16384 order by 1") == ["metrics_exporter", "user"]
    rights = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin"
    assert database.sql(f"select {rights} from pg_roles where rolname = 'user'") == ["f|f|f|f|f|t"]
    assert "pg_execute_server_program" in database.ask("copy (select 1) to program 'id'").stdout


def test_database_of_before_keeps_all_that_it_holds(converted: Database) -> None:
    """Its objects belong to the role of the same name, which works with them; the extension's stay where they were."""
    bare = ["--no-owner", "--no-acl"]
    before = converted.contents(*bare)
    assert converted.ask("copy (select 1) to program 'cat >/dev/null'").returncode == 0
    result = converted.apply()
    assert result.returncode == 0, result.stdout
    is_as_new(converted)
    assert converted.contents(*bare) == before
    lines = [line for line in converted.contents() if " OWNER TO " in line]
    assert lines
    assert [line for line in lines if not line.endswith(' OWNER TO "user";')] == []
    extension = "select distinct proowner::regrole from pg_proc where proname like 'citext%'"
    assert converted.sql(extension) == ["postgres"]
    assert converted.asked("select what from audit.events order by id") == ["began", "ended"]
    assert converted.asked("insert into audit.events (what) values ('again') returning id") == ["3"]
    assert converted.asked("select twice(21), lo_get(4711)::text, (select day from latest)") == [
        "42|\\x6c61726765|2026-11-28"
    ]
    assert converted.asked("refresh materialized view kept; select number from kept") == ["1"]
    assert converted.asked("alter table measures add column unit text; drop aggregate product(int); select 1") == ["1"]
    result = converted.back_up()
    assert result.returncode == 0, result.stdout


def test_second_run_on_a_database_of_before_changes_nothing(converted: Database) -> None:
    assert converted.apply().returncode == 0
    is_as_new(converted)
    before = converted.contents()
    result = converted.apply()
    assert result.returncode == 0, result.stdout
    assert "becomes" not in result.stdout
    assert converted.contents() == before


def test_sessions_of_before_end(converted: Database) -> None:
    """A program that is connected would be a superuser for as long as it is."""
    login = ["--host=127.0.0.1", f"--port={converted.server.port}", "--username=user", "--dbname=users_and_groups"]
    waits = ["psql", *login, "--command=create temporary table t (id serial)", "--command=select pg_sleep(1000)"]
    environment = {"PATH": converted.path, "PGPASSWORD": ROLE_PASSWORD}
    with start(waits, environment) as session:
        sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'"
        wait_for(lambda: converted.sql(sleeping) == ["1"], "the session")
        result = converted.apply()
        assert result.returncode == 0, result.stdout
        output, _ = session.communicate(timeout=PATIENCE)
    assert "terminating connection due to administrator command" in output
    is_as_new(converted)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 7))
def test_conversion_that_is_killed_is_finished_by_the_next_run(converted: Database, call: int, moment: str) -> None:
    """Wherever it was killed, the service can log in, and nothing is lost."""
    bare = ["--no-owner", "--no-acl"]
    before = converted.contents(*bare)
    killer = Path(converted.path.partition(":")[0], "psql")
    count = killer.parent / "count"
    psql = converted.server.programs / "psql"
    here = f'[ "$(wc -c < {count})" -ne {call} ] || kill -KILL 0\n'
    killer.write_text(
        f"#!/bin/sh\nprintf x >> {count}\n"
        + (
            f'{here}exec {psql} "$@"\n'
            if moment == "before"
            else f'code=0\n{psql} "$@" || code=$?\n{here}exit "$code"\n'
        )
    )
    killer.chmod(0o755)
    assert converted.apply().returncode == -signal.SIGKILL
    assert converted.asked("select what from audit.events order by id") == ["began", "ended"]
    result = converted.apply()
    assert result.returncode == 0, result.stdout
    is_as_new(converted)
    assert converted.contents(*bare) == before


def test_password_of_before_is_asked_for(converted: Database) -> None:
    """With neither password the Job says whose it misses, and the server is as it was."""
    converted.password_file.write_text("another")
    result = converted.apply()
    assert result.returncode != 0
    assert "the password of postgres is not the one in its Secret" in result.stdout
    assert converted.sql("select rolname from pg_roles where oid >= 16384") == ["metrics_exporter"]


# What is deployed


def test_service_may_be_called_as_the_image_calls_its_superuser() -> None:
    """Then that one has another name, since the service is no superuser under any."""
    system = empty("local", "external-secrets")
    Postgres(system, "data", image="postgres:17.5", database="shop", user="postgres", storage="1Gi")
    tree = Synthesized("local", synthesize(system).files)
    (server,), (job,) = tree.pods("data", ["StatefulSet"]), tree.pods("data", ["Job"])
    assert {"name": "POSTGRES_USER", "value": "administrator"} in server.container("postgres")["env"]
    assert {"name": "SUPERUSER", "value": "administrator"} in job.program["env"]
    assert {"name": "PGUSER", "value": "postgres"} in job.program["env"]


@pytest.mark.parametrize("namespace", ["pp-us", "pp-ns"])
def test_only_the_server_and_what_sets_it_up_know_the_superuser(tree: Synthesized, namespace: str) -> None:
    """Neither a service nor the dumps, nor the exporter beside the server."""
    key = "database-superuser-password"
    knowing = {pod.name.partition("-database")[2] for pod in tree.pods(namespace) if key in str(pod.spec["volumes"])}
    names = {re.sub("-[0-9a-f]{8}$", "", name) for name in knowing}
    # What restores a save lets the role make its objects anew; it never runs by itself.
    assert names == {"", "-schema", *(["-restore"] if tree.environment == "production" else [])}
    assert not [pod for pod in tree.pods(namespace) if key in str(pod.containers)]
    (server,) = tree.pods(namespace, ["StatefulSet"])
    assert "password" not in {each["name"] for each in server.container("exporter")["volumeMounts"]}

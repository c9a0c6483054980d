"""The tables that the contract asks for, in the schemas that the Jobs apply."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from contract import CONTRACT, DATABASES, schema_pods
from synthesized import Synthesized

POSTGRES = [service for service, facts in DATABASES.items() if facts["kind"] == "postgres"]
CASSANDRA = [service for service, facts in DATABASES.items() if facts["kind"] == "cassandra"]


@dataclass
class Column:
    """A column: its type, and for SQL what else holds of it."""

    type: str
    required: bool = False
    unique: bool = False
    references: str | None = None


@dataclass
class Table:
    """A table; names are compared as databases do, without regard to upper and lower case.

    Attributes:
        columns: Columns by name.
        partition: Primary key; in Cassandra the part of it that chooses the node.
        clustering: The rest of the primary key in Cassandra, each with its direction.
        options: Options of a Cassandra table.
    """

    columns: dict[str, Column]
    partition: tuple[str, ...]
    clustering: tuple[tuple[str, str], ...] = ()
    options: dict[str, str] = field(default_factory=dict)


def schema_files(tree: Synthesized, service: str) -> dict[str, str]:
    """Return the texts that a service's schema Job applies, in its order."""
    job = schema_pods(tree, service)
    mounts = {mount["mountPath"]: mount["name"] for mount in job.program["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in job.spec["volumes"]}
    name = volumes[mounts["/schema"]]["configMap"]["name"]
    texts: dict[str, str] = tree.the("ConfigMap", job.namespace, name)["data"]
    named = [*job.program["command"], *(variable["value"] for variable in job.program["env"])]
    applied = [part.removeprefix("/schema/") for part in named if part.startswith("/schema/")]
    assert sorted(applied) == sorted(texts), "the Job applies other files than there are"
    return {file: texts[file] for file in applied}


# A small reader of CREATE TABLE statements


def statements(text: str) -> list[str]:
    """Return the statements of an SQL or CQL text, without comments, in lower case and single spaces."""
    assert "--" not in text, "a comment could hide a semicolon from this reader"
    assert "/*" not in text, "a comment could hide a semicolon from this reader"
    return [" ".join(part.split()).lower() for part in text.split(";") if part.strip()]


def split(text: str) -> list[str]:
    """Split at the commas that are outside of brackets of any kind."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "(<{") - (character in ")>}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def tables(text: str) -> dict[str, Table]:
    """Return the tables that a text makes, if that is all it does, and does so only where they are missing."""
    found = {}
    for statement in statements(text):
        match = re.match(r"create table if not exists (\w+) \(", statement)
        assert match, f"this is no CREATE TABLE IF NOT EXISTS: {statement}"
        body, options = _body(statement)
        assert match[1] not in found, f"the table {match[1]} is made twice"
        found[match[1]] = _table(body, options)
    return found


def _body(statement: str) -> tuple[str, str]:
    """Return what stands in the outermost brackets of a statement, and the options behind them."""
    start = statement.index("(")
    depth = 0
    for position in range(start, len(statement)):
        depth += (statement[position] == "(") - (statement[position] == ")")
        if depth == 0:
            break
    rest = statement[position + 1 :].strip()
    assert not rest or rest.startswith("with "), f"{rest!r} is unknown"
    return statement[start + 1 : position].strip(), rest.removeprefix("with ")


def _table(body: str, options: str) -> Table:
    """Return a table from the columns and keys in its brackets, and its options."""
    table = Table({}, ())
    key: list[str] = []
    for entry in split(body):
        if match := re.fullmatch(r"primary key ?\((.*)\)", entry):
            key = split(match[1])
            continue
        column = re.fullmatch(r"(\w+) (\w+(?: ?[(<].*?[)>])?)(.*)", entry)
        assert column, f"this is no column: {entry}"
        name, type_, rest = column.groups()
        rest, references = _taken(rest, r"references (\w+) ?\((\w+)\) on delete cascade")
        rest, primary = _taken(rest, "primary key")
        rest, unique = _taken(rest, "unique")
        rest, required = _taken(rest, "not null")
        assert not rest, f"{rest!r} is unknown"
        target = f"{references[1]}({references[2]})" if references else None
        table.columns[name] = Column(type_.replace(" ", ""), bool(required or primary), bool(unique), target)
        if primary:
            key = [name]
    assert key, "there is no primary key"
    composite = re.fullmatch(r"\((.*)\)", key[0])
    table.partition = tuple(split(composite[1])) if composite else (key[0],)
    directions = dict.fromkeys(key[1:], "asc")
    for option in re.split(r" and (?=[a-z_ ]+[=(])", options) if options else []:
        if order := re.fullmatch(r"clustering order by \((.*)\)", option):
            directions = {name: direction for name, _, direction in (entry.partition(" ") for entry in split(order[1]))}
            assert [*directions] == key[1:], "the order must name the clustering columns, in their order"
        else:
            name, _, value = option.partition("=")
            table.options[name.strip()] = value.strip()
    table.clustering = tuple(directions.items())
    for name in (*table.partition, *directions):
        table.columns[name].required = True
    return table


def _taken(text: str, pattern: str) -> tuple[str, re.Match[str] | None]:
    """Return a text without what a pattern matches in it, and the match."""
    match = re.search(pattern, text)
    return (text.replace(match[0], "", 1).strip() if match else text.strip()), match


# The contract's own words


def wanted_sql(facts: Mapping[str, Any]) -> Table:
    """Return a PostgreSQL table as the contract describes it; the whole primary key stands in ``partition``."""
    columns, key = {}, tuple(facts.get("primary_key", ()))
    for name, text in facts.items():
        if name == "primary_key":
            continue
        rest, references = _taken(text, r"-> (\w+)\((\w+)\) on delete cascade")
        rest, primary = _taken(rest, "primary key")
        rest, unique = _taken(rest, "unique")
        rest, required = _taken(rest, "not null")
        target = f"{references[1]}({references[2]})" if references else None
        columns[name] = Column(rest, bool(required or primary), bool(unique), target)
        key = (name,) if primary else key
    return Table(columns, key)


def wanted_cql(facts: Mapping[str, Any]) -> Table:
    """Return a Cassandra table as the contract describes it."""
    # "{primary_key: (a, b)}" is two entries to a reader of YAML: "(a", and "b)" without a value.
    text = ", ".join([facts["primary_key"], *(name for name, value in facts.items() if value is None)]).lower()
    key = split(text[1:-1])
    partition = tuple(split(key[0].strip("()")))
    directions = dict.fromkeys(key[1:], "asc")
    for part in facts["clustering"].lower().split(" and ") if "clustering" in facts else []:
        name, direction = part.split()
        directions[name] = {"ascending": "asc", "descending": "desc"}[direction]
    columns = {name.lower(): Column(type_, name.lower() in key) for name, type_ in facts["columns"].items()}
    for name in (*partition, *directions):
        columns[name].required = True
    options: dict[str, str] = {}
    for option in facts["table_options"].split(", ") if "table_options" in facts else []:
        if option == "size-tiered compaction":
            options["compaction"] = "{'class': 'sizetieredcompactionstrategy'}"
        else:
            name, value = option.split()
            options[name] = value
    return Table(columns, partition, tuple(directions.items()), options)


@pytest.mark.parametrize("service", POSTGRES)
def test_sql_tables(tree: Synthesized, service: str) -> None:
    """The database has the contract's tables with every column, type, key and reference, and no others."""
    found = {name: table for text in schema_files(tree, service).values() for name, table in tables(text).items()}
    for table in found.values():
        # SQL knows one key, without an order.
        table.partition += tuple(name for name, _ in table.clustering)
        table.clustering = ()
    wanted = CONTRACT["databases"][DATABASES[service]["name"]]
    assert found == {name: wanted_sql(facts) for name, facts in wanted.items()}


@pytest.mark.parametrize("service", CASSANDRA)
def test_cql_tables(tree: Synthesized, service: str) -> None:
    """The keyspace has Akka's tables and its own, with every column, type, key, order and option, and no others."""
    found: dict[str, Table] = {}
    for text in schema_files(tree, service).values():
        made = tables(text)
        assert not made.keys() & found.keys(), "a table is made twice"
        found |= made
    own = CONTRACT["databases"].get(DATABASES[service]["keyspace"], {})
    wanted = {**CONTRACT["databases"]["akka_persistence"], **own}
    assert found == {name.lower(): wanted_cql(facts) for name, facts in wanted.items()}


def test_every_database_of_the_contract_is_somebodys() -> None:
    """No list of tables goes unchecked."""
    names = {facts.get("name", facts.get("keyspace")) for facts in DATABASES.values()}
    assert set(CONTRACT["databases"]) - names == {"akka_persistence"}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("IF NOT EXISTS ", ""),
        ("a text", "a blob"),
        ("a text, ", ""),
        ("((a, b), c)", "(a, b, c)"),
        ("c DESC", "c ASC"),
        ("= 1", "= 2"),
        ("set<int>", "set<text>"),
        ("CREATE", "DROP TABLE a; CREATE"),
    ],
)
def test_the_reader_sees_every_difference(right: str, wrong: str) -> None:
    """What this file's own reader overlooks, no test here would find."""
    text = (
        "CREATE TABLE IF NOT EXISTS t (a text, b int, c int, d set<int>, PRIMARY KEY ((a, b), c)) "
        "WITH CLUSTERING ORDER BY (c DESC) AND gc_grace_seconds = 1 AND compaction = {'class': 'A', 'b': 'and c = d'};"
    )
    original = tables(text)
    assert original["t"].clustering == (("c", "desc"),)
    assert original["t"].options == {"gc_grace_seconds": "1", "compaction": "{'class': 'a', 'b': 'and c = d'}"}
    assert right in text
    try:
        changed = tables(text.replace(right, wrong, 1))
    except (AssertionError, KeyError):
        return
    assert changed != original


# The same facts, as PostgreSQL itself sees them


def _programs() -> Path | None:
    """Return the folder of PostgreSQL's programs."""
    folders = [Path(found).resolve().parent for name in ("initdb", "postgres") if (found := shutil.which(name))]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    names = ("initdb", "postgres", "psql")
    return next((folder for folder in folders if all((folder / name).exists() for name in names)), None)


class Server:
    """A PostgreSQL server behind a socket of the file system."""

    def __init__(self, programs: Path, folder: Path) -> None:
        """Take the folder of the programs, and one for the data and the socket."""
        self.programs = programs
        self.folder = folder
        # PostgreSQL refuses to run as root.
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self.user:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def command(self, name: str, *arguments: str) -> dict[str, Any]:
        """Return the arguments of ``subprocess`` that run one of the programs."""
        identity = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": ()} if self.user else {}
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PGHOST": str(self.folder), "PGUSER": "user"}
        return {
            "args": [str(self.programs / name), *arguments],
            "cwd": self.folder,
            "env": environment,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            **identity,
        }

    def query(self, database: str, text: str) -> str:
        """Return what ``psql`` answers; a statement that fails fails the test."""
        command = self.command("psql", "--no-psqlrc", "-qAt", "--set", "ON_ERROR_STOP=1", "-d", database, "-f", "-")
        result = subprocess.run(**command, input=text, check=False, timeout=30)
        assert result.returncode == 0, result.stdout
        return str(result.stdout)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """Return a real PostgreSQL server, where this machine has one."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL (initdb, postgres, psql) is not installed here")
    with tempfile.TemporaryDirectory(prefix="schema-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = Server(programs, folder)
        made = subprocess.run(
            **server.command("initdb", "-D", "data", "-U", "user", "-A", "trust", "--no-sync", "-E", "UTF8"),
            check=False,
        )
        assert made.returncode == 0, made.stdout
        options = ("-c", "listen_addresses=", "-c", "fsync=off", "-c", f"unix_socket_directories={folder}")
        command = {**server.command("postgres", "-D", "data", *options), "stdout": subprocess.DEVNULL}
        with subprocess.Popen(**command) as process:
            try:
                for _ in range(200):
                    probe = server.command("psql", "-d", "postgres", "-c", "select 1")
                    if subprocess.run(**probe, check=False).returncode == 0:
                        break
                    assert process.poll() is None, "PostgreSQL does not start"
                    subprocess.run(["sleep", "0.05"], check=True)
                yield server
            finally:
                process.terminate()


#: Every column, and every key with its columns in order, as the catalogue of PostgreSQL has them.
CATALOGUE = """
select json_build_object(
  'columns', (select json_agg(json_build_array(table_name, column_name,
      case udt_name when 'varchar' then 'varchar' || coalesce('(' || character_maximum_length || ')', '')
      else udt_name end, is_nullable = 'NO') order by table_name, ordinal_position)
    from information_schema.columns where table_schema = 'public'),
  'keys', (select json_agg(json_build_array(conrelid::regclass::text, contype,
      (select json_agg(attname order by place) from unnest(conkey) with ordinality as key(number, place)
        join pg_attribute on attrelid = conrelid and attnum = key.number),
      confrelid::regclass::text || '(' || (select string_agg(attname, ', ') from pg_attribute
        where attrelid = confrelid and attnum = any(confkey)) || ')', confdeltype))
    from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f', 'c', 'x')))
"""


@pytest.mark.parametrize("service", POSTGRES)
def test_postgres_takes_the_schema_twice(trees: dict[str, Synthesized], postgres: Server, service: str) -> None:
    """Applied once or twice, with data in it or not, the database is what the contract says."""
    (schema,) = {text for tree in trees.values() for text in schema_files(tree, service).values()}
    database = DATABASES[service]["name"]
    postgres.query("postgres", f"create database {database}")
    postgres.query(database, schema)
    once = postgres.query(database, CATALOGUE)
    postgres.query(database, schema)
    assert postgres.query(database, CATALOGUE) == once
    catalogue = json.loads(once)
    found: dict[str, Table] = {}
    for table, name, type_, required in catalogue["columns"]:
        found.setdefault(table, Table({}, ())).columns[name] = Column(type_, required)
    for table, kind, columns, target, on_delete in catalogue["keys"]:
        if kind == "p":
            found[table].partition = tuple(columns)
        elif kind == "u":
            (column,) = columns
            found[table].columns[column].unique = True
        else:
            assert (kind, on_delete) == ("f", "c")
            (column,) = columns
            found[table].columns[column].references = target
    wanted = CONTRACT["databases"][database]
    assert found == {name: wanted_sql(facts) for name, facts in wanted.items()}

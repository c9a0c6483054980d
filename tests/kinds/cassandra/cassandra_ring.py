"""Takes the place of a Cassandra ring and of the ``cqlsh`` in front of it.

A real ring of two is in ``tests/observe/test_cassandra_live.py``, and takes a minute to start. This one is of any size,
with addresses of any kind, and whoever asks it can be killed at any moment. It follows what matters to the script of
the schema Job, by the sources of cqlsh 6.2 and Cassandra 5.0:

* Credentials come from a file with a section ``[PlainTextAuthProvider]``, which is not used if others may read it.
* A statement that fails is reported on the standard error, the next one is run all the same, and the exit code is 2;
  without a login it is 1.
* Rows are written between a header and a number of rows, to the right of their column, after a warning about versions.
* Roles are written to a quorum of the replicas of ``system_auth``, and read from any one of them. What is read from
  all replicas is written to those that lacked it.
* Only a superuser makes, changes and unmakes superusers, and none of them itself; nobody else reads roles.
* Whoever makes a keyspace, a table or a role gets all rights to it.
"""

from __future__ import annotations

import configparser
import getopt
import os
import re
import signal
import socketserver
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_NAME = r'"?(\w+)"?'
_REPLICATION = r"(\{[^}]*\})"
_DATACENTER = "datacenter1"


class StatementError(Exception):
    """A statement fails; the text is how Cassandra says it."""


class KilledError(Exception):
    """The caller of cqlsh is killed before it gets its answer."""


@dataclass
class Role:
    """A role.

    Attributes:
        password: Its password.
        superuser: Whether it may do everything.
        login: Whether it may log in.
        replicas: How many nodes hold it.
        rights: Its permissions by resource.
    """

    password: str = ""
    superuser: bool = False
    login: bool = False
    replicas: int = 0
    rights: dict[str, set[str]] = field(default_factory=dict)


@dataclass
class Call:
    """A call of cqlsh.

    Attributes:
        arguments: Its command line.
        role: As whom it logged in, if it did.
        statements: What it was given to run, each with the number of nodes that there were.
    """

    arguments: Sequence[str]
    role: str | None = None
    statements: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Ring:
    """A ring; a fresh one knows the built-in role alone.

    Attributes:
        nodes: Addresses of the nodes that have joined; the first one is asked.
        joining: The others, of which one joins each time that the peers are asked for.
        closed: How many connections are still refused before the port is open.
        killed_at: Before the first statement that this regular expression matches, the caller is killed.
        roles: By name.
        keyspaces: Replication by name.
        tables: Names by keyspace.
        calls: All calls of cqlsh so far.
    """

    nodes: list[str]
    joining: list[str] = field(default_factory=list)
    closed: int = 0
    killed_at: str | None = None
    roles: dict[str, Role] = field(default_factory=lambda: {"cassandra": Role("cassandra", True, True, 1)})
    keyspaces: dict[str, str] = field(
        default_factory=lambda: {"system_auth": "{'class': 'SimpleStrategy', 'replication_factor': '1'}"}
    )
    tables: dict[str, set[str]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def replicas(self, keyspace: str) -> int:
        """Return on how many nodes each row of a keyspace is."""
        return sum(map(int, re.findall(r": '?(\d+)", self.keyspaces[keyspace])))

    def statements(self) -> list[tuple[str, int]]:
        """Return all statements that do more than ask, each with the number of nodes that there were."""
        return [
            (text, nodes)
            for call in self.calls
            for text, nodes in call.statements
            if not text.startswith(("SELECT", "CONSISTENCY"))
        ]


class Session:
    """A login at a ring."""

    def __init__(self, ring: Ring, credentials: tuple[str, str] | None, keyspace: str | None) -> None:
        """Log in.

        Raises:
            StatementError: Cassandra does not accept it, or there is no such keyspace.
        """
        self.ring = ring
        self.name, password = credentials or ("anonymous", "")
        role = ring.roles.get(self.name)
        # The built-in role is read from a quorum of the replicas, any other from whichever node is asked.
        found = role and (self.name == "cassandra" or role.replicas >= ring.replicas("system_auth"))
        if role is None or not found or role.password != password:
            raise StatementError(
                f'[Bad credentials] message="Provided username {self.name} and/or password are incorrect"'
            )
        if not role.login:
            raise StatementError(f'[Bad credentials] message="{self.name} is not permitted to log in"')
        if keyspace is not None and keyspace not in ring.keyspaces:
            raise StatementError(f"Keyspace '{keyspace}' does not exist")
        self.role = role
        self.keyspace = keyspace
        self.consistency = "ONE"

    def run(self, statement: str) -> str:
        """Run a statement, and return what cqlsh writes.

        Raises:
            StatementError: It fails.
        """
        statements: dict[str, Callable[..., str | None]] = {
            r"SELECT release_version FROM system\.local": lambda: _table("release_version", ["5.0.8"]),
            r"SELECT peer FROM system\.peers_v2": self._peers,
            r"SELECT (?:\*|salted_hash) FROM system_auth\.roles(?: WHERE role = '\w+')?": self._roles,
            r"SELECT \* FROM system_auth\.role_permissions": lambda: _table("role", []),
            r"SELECT resource, permissions FROM system_auth\.role_permissions WHERE role = '(\w+)'": self._rights,
            rf"GRANT (\w+) ON KEYSPACE {_NAME} TO {_NAME}": self._grant,
            rf'REVOKE (\w+) ON (KEYSPACE|TABLE|ROLE) ([\w".]+) FROM {_NAME}': self._revoke,
            r"CONSISTENCY (\w+)": self._set_consistency,
            rf"ALTER KEYSPACE {_NAME} WITH replication = {_REPLICATION}": self._alter_keyspace,
            rf"CREATE KEYSPACE IF NOT EXISTS {_NAME} WITH replication = {_REPLICATION}": self._create_keyspace,
            rf"CREATE ROLE IF NOT EXISTS {_NAME} WITH (.+)": self._create_role,
            rf"ALTER ROLE {_NAME} WITH (.+)": self._alter_role,
            rf"CREATE TABLE IF NOT EXISTS {_NAME} \(.+\)(?: WITH .+)?": self._create_table,
        }
        for pattern, action in statements.items():
            if match := re.fullmatch(pattern, statement, re.DOTALL):
                return action(*match.groups()) or ""
        raise StatementError(f'SyntaxException: <Error from server: [Syntax error in CQL query] message="{statement}">')

    def _peers(self) -> str:
        peers = self.ring.nodes[1:]
        if self.ring.joining:
            self.ring.nodes.append(self.ring.joining.pop(0))
        return _table("peer", peers)

    def _rights(self, name: str) -> str:
        rights = sorted(self.ring.roles[name].rights.items()) if name in self.ring.roles else []
        rows = [f"{resource} | {{{', '.join(map(repr, sorted(each)))}}}" for resource, each in rights if each]
        return _table("resource | permissions", rows)

    def _grant(self, permission: str, keyspace: str, name: str) -> None:
        self._only_superusers()
        self.ring.roles[name].rights.setdefault(f"data/{keyspace}", set()).add(permission)

    def _revoke(self, permission: str, kind: str, resource: str, name: str) -> None:
        self._only_superusers()
        path = resource.replace('"', "").replace(".", "/")
        self.ring.roles[name].rights[f"{'roles' if kind == 'ROLE' else 'data'}/{path}"].remove(permission)

    def _makes(self, resource: str) -> None:
        self.role.rights[resource] = {"ALTER", "AUTHORIZE", "DROP", "MODIFY", "SELECT"}

    def _roles(self) -> str:
        self._only_superusers()
        if self.consistency == "ALL":
            wanted, there = self.ring.replicas("system_auth"), len(self.ring.nodes)
            if there < wanted:
                raise StatementError(f"Unavailable: Cannot achieve consistency level ALL of {wanted} on {there} nodes")
            for role in self.ring.roles.values():
                role.replicas = wanted
        return _table("role | salted_hash", [f"{name} | {role.password}" for name, role in self.ring.roles.items()])

    def _set_consistency(self, level: str) -> str:
        self.consistency = level
        return f"Consistency level set to {level}.\n"

    def _create_keyspace(self, name: str, replication: str) -> None:
        self._check_replication(replication)
        if name not in self.ring.keyspaces:
            self.ring.keyspaces[name] = replication
            self._makes(f"data/{name}")

    def _alter_keyspace(self, name: str, replication: str) -> None:
        if name not in self.ring.keyspaces:
            raise StatementError(f"Keyspace '{name}' doesn't exist")
        self._check_replication(replication)
        self.ring.keyspaces[name] = replication

    def _check_replication(self, replication: str) -> None:
        if not self.role.superuser:
            raise StatementError(f"Unauthorized: User {self.name} has no permission")
        options = dict(re.findall(r"'(\w+)': '?(\w+)'?", replication))
        strategy = options.pop("class", None)
        if strategy != "NetworkTopologyStrategy" or list(options) != [_DATACENTER]:
            raise StatementError(f"ConfigurationException: Unrecognized strategy option in {replication}")

    def _create_role(self, name: str, options: str) -> None:
        self._only_superusers()
        if name not in self.ring.roles:
            self.ring.roles[name] = replace(Role(), **_role_options(options), replicas=self._replicas_to_write())
            self._makes(f"roles/{name}")

    def _alter_role(self, name: str, options: str) -> None:
        self._only_superusers()
        if name not in self.ring.roles:
            raise StatementError(f"{name} doesn't exist")
        changes = _role_options(options)
        if name == self.name and "superuser" in changes:
            raise StatementError("Unauthorized: You aren't allowed to alter your own superuser status")
        self.ring.roles[name] = replace(self.ring.roles[name], **changes, replicas=self._replicas_to_write())

    def _only_superusers(self) -> None:
        if not self.role.superuser:
            raise StatementError("Unauthorized: Only superusers can create or alter a role with superuser status")

    def _replicas_to_write(self) -> int:
        wanted, there = self.ring.replicas("system_auth"), len(self.ring.nodes)
        if there < wanted // 2 + 1:
            raise StatementError(f"Unavailable: Cannot achieve consistency level QUORUM of {wanted} on {there} nodes")
        return wanted

    def _create_table(self, name: str) -> None:
        if self.keyspace is None:
            raise StatementError("InvalidRequest: No keyspace has been specified")
        tables = self.ring.tables.setdefault(self.keyspace, set())
        if name not in tables:
            self._makes(f"data/{self.keyspace}/{name}")
        tables.add(name)


def _role_options(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    rest = text
    while rest:
        match = re.match(r"(SUPERUSER|LOGIN|PASSWORD) = (true|false|'(?:[^']|'')*')(?: AND |$)", rest)
        if not match:
            raise StatementError(f"SyntaxException: mismatched input in {text}")
        value = match[2]
        options[match[1].lower()] = value[1:-1].replace("''", "'") if value.startswith("'") else value == "true"
        rest = rest[match.end() :]
    return options


def _split(text: str) -> list[str]:
    """Return the statements of a text; a semicolon in quotes ends none."""
    parts = re.findall(r"(?:'(?:[^']|'')*'|\"[^\"]*\"|[^;'\"])+(?:;|$)", text)
    return [part.rstrip(";").strip() for part in parts if part.strip(" ;\n")]


def _table(column: str, rows: list[str]) -> str:
    width = max(map(len, [column, *rows]))
    lines = ["", f" {column.ljust(width).rstrip()}", "-" * (width + 2)]
    return "\n".join([*lines, *(f" {row.rjust(width)}" for row in rows), "", f"({len(rows)} rows)", ""])


def _credentials(path: Path) -> tuple[str, str] | None:
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return None
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    section = parser["PlainTextAuthProvider"] if parser.has_section("PlainTextAuthProvider") else {}
    return (section["username"], section["password"]) if {"username", "password"} <= set(section) else None


def cqlsh(ring: Ring, arguments: Sequence[str]) -> tuple[int, str, str]:
    """Do what cqlsh does, and return its exit code and what it writes: its output, and its complaints.

    Raises:
        KilledError: The time has come for it.
    """
    pairs, (host, port) = getopt.gnu_getopt(
        list(arguments), "", ["credentials=", "no-color", "keyspace=", "execute=", "file="]
    )
    options = dict(pairs)
    call = Call(arguments)
    ring.calls.append(call)
    refused = f"Connection error: ('Unable to connect to any servers', {{'{host}:{int(port)}': %s}})\n"
    if ring.closed:
        ring.closed -= 1
        return 1, "", refused % "ConnectionRefusedError(111)"
    try:
        session = Session(ring, _credentials(Path(options["--credentials"])), options.get("--keyspace"))
    except StatementError as problem:
        return 1, "", refused % problem
    call.role = session.name
    output = "WARNING: cqlsh was built against 5.0.0, but this server is 5.0.8.  All features may not work!\n"
    complaints = ""
    text = Path(options["--file"]).read_text(encoding="utf-8") if "--file" in options else options["--execute"]
    for statement in _split(text):
        if ring.killed_at and re.search(ring.killed_at, statement):
            ring.killed_at = None
            raise KilledError
        call.statements.append((statement, len(ring.nodes)))
        try:
            output += session.run(statement)
        except StatementError as problem:
            complaints += f"{problem}\n"
    return 2 if complaints else 0, output, complaints


#: A program that gives its arguments to the ring, and behaves as it is told. It starts faster than a Python would.
_PROGRAM = """#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/{port}
printf '%s\\0' "$$" "$#" "$@" >&3
IFS= read -r -d '' code <&3
IFS= read -r -d '' output <&3
IFS= read -r -d '' complaints <&3
printf '%s' "$output"
printf '%s' "$complaints" >&2
exit "$code"
"""


@contextmanager
def serving(ring: Ring, program: Path) -> Iterator[None]:
    """Make a program that is cqlsh in front of a ring, as long as the context lasts."""

    class Handler(socketserver.StreamRequestHandler):
        def _argument(self) -> str:
            content = b""
            while not content.endswith(b"\0"):
                content += self.rfile.read(1)
            return content[:-1].decode()

        def handle(self) -> None:
            caller, number = int(self._argument()), int(self._argument())
            try:
                answer = cqlsh(ring, [self._argument() for _ in range(number)])
            except KilledError:
                os.killpg(os.getpgid(caller), signal.SIGKILL)
            else:
                self.wfile.write("".join(f"{part}\0" for part in answer).encode())

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        program.write_text(_PROGRAM.format(port=server.server_address[1]))
        program.chmod(0o755)
        thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()

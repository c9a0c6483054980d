"""Answers like ``cqlsh`` in front of a Cassandra ring whose state is a JSON file.

Cassandra takes a Java machine and a gigabyte for each node, and has no Debian package, so a real ring cannot be part of
the tests. This follows what matters to the script of the schema Job, by the sources of cqlsh 6.2 and Cassandra 5.0:

* Credentials come from a file with a section ``[PlainTextAuthProvider]``, which is not used if others may read it.
* A statement that fails is reported on the standard error, the next one is run all the same, and the exit code is 2;
  without a login it is 1.
* Rows are written between a header and a number of rows, to the right of their column, after a warning about versions.
* Roles are written to a quorum of the replicas of ``system_auth``, and read from any one of them. What is read from
  all replicas is written to those that lacked it.
* Only a superuser makes, changes and unmakes superusers, and none of them itself.

The file's keys:

* ``roles``: by name, ``password``, ``superuser``, ``login`` and how many nodes hold it as ``replicas``.
* ``keyspaces``: replication by name. ``tables``: lists of names by keyspace.
* ``nodes``: addresses of the nodes that have joined; the first one is asked. ``joining``: the others, of which one
  joins each time that the peers are asked for.
* ``closed``: how many connections are still refused before the port is open.
* ``killed_at``: a regular expression; before the first statement that it matches, the caller is killed.
* ``calls``: filled in. For each call, its ``arguments``, ``role`` and ``statements``, each of these with the number of
  ``nodes`` that there were.
"""

from __future__ import annotations

import configparser
import getopt
import json
import os
import re
import signal
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # It starts ten times in every test, so it imports no more than it needs.
    from collections.abc import Callable
    from typing import Any

_NAME = r'"?(\w+)"?'
_REPLICATION = r"(\{[^}]*\})"
_DATACENTER = "datacenter1"


def say(text: str) -> None:
    """Write a line to the standard output."""
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    """Write a line to the standard error."""
    sys.stderr.write(text + "\n")


class StatementError(Exception):
    """A statement fails; the text is how Cassandra says it."""


class Ring:
    """The ring, and one connection to it."""

    def __init__(self, state: dict[str, Any]) -> None:
        """Take the state of the ring, which is changed in place."""
        self.state = state
        self.role: dict[str, Any] = {}
        self.name = ""
        self.keyspace: str | None = None
        self.consistency = "ONE"

    def log_in(self, name: str, password: str) -> None:
        """Log in.

        Raises:
            StatementError: Cassandra does not accept it.
        """
        role = self.state["roles"].get(name)
        # The built-in role is read from a quorum of the replicas, any other from whichever node is asked.
        found = role and (name == "cassandra" or role["replicas"] >= self.replicas("system_auth"))
        if not found or role["password"] != password:
            raise StatementError(f'[Bad credentials] message="Provided username {name} and/or password are incorrect"')
        if not role["login"]:
            raise StatementError(f'[Bad credentials] message="{name} is not permitted to log in"')
        self.name, self.role = name, role

    def enter(self, keyspace: str | None) -> None:
        """Use a keyspace.

        Raises:
            StatementError: There is none of this name.
        """
        if keyspace is not None and keyspace not in self.state["keyspaces"]:
            raise StatementError(f"Keyspace '{keyspace}' does not exist")
        self.keyspace = keyspace

    def replicas(self, keyspace: str) -> int:
        """Return on how many nodes each row of a keyspace is."""
        return sum(map(int, re.findall(r": '?(\d+)", self.state["keyspaces"][keyspace])))

    def run(self, statement: str) -> list[str] | None:
        """Run a statement, and return the rows of its one column, or None.

        Raises:
            StatementError: It fails.
        """
        statements: dict[str, Callable[..., list[str] | None]] = {
            r"SELECT (release_version) FROM system\.local": self._version,
            r"SELECT (peer) FROM system\.peers_v2": self._peers,
            r"SELECT (\*) FROM system_auth\.roles": self._roles,
            r"CONSISTENCY (\w+)": self._set_consistency,
            rf"ALTER KEYSPACE {_NAME} WITH replication = {_REPLICATION}": self._alter_keyspace,
            rf"CREATE KEYSPACE IF NOT EXISTS {_NAME} WITH replication = {_REPLICATION}": self._create_keyspace,
            rf"CREATE ROLE IF NOT EXISTS {_NAME} WITH (.+)": self._create_role,
            rf"ALTER ROLE {_NAME} WITH (.+)": self._alter_role,
            rf"CREATE TABLE IF NOT EXISTS {_NAME} \(.+\)( WITH .+)?": self._create_table,
        }
        for pattern, action in statements.items():
            if match := re.fullmatch(pattern, statement, re.DOTALL):
                return action(*match.groups())
        raise StatementError(f'SyntaxException: <Error from server: [Syntax error in CQL query] message="{statement}">')

    def _version(self, _: str) -> list[str]:
        return ["5.0.8"]

    def _peers(self, _: str) -> list[str]:
        peers: list[str] = self.state["nodes"][1:]
        if self.state["joining"]:
            self.state["nodes"].append(self.state["joining"].pop(0))
        return peers

    def _roles(self, _: str) -> list[str]:
        roles: dict[str, dict[str, Any]] = self.state["roles"]
        if self.consistency == "ALL":
            wanted, there = self.replicas("system_auth"), len(self.state["nodes"])
            if there < wanted:
                raise StatementError(f"Unavailable: Cannot achieve consistency level ALL of {wanted} on {there} nodes")
            for role in roles.values():
                role["replicas"] = wanted
        return [f"{name} | {role['password']}" for name, role in roles.items()]

    def _set_consistency(self, level: str) -> None:
        self.consistency = level
        say(f"Consistency level set to {level}.")

    def _create_keyspace(self, name: str, replication: str) -> None:
        self._check_replication(replication)
        self.state["keyspaces"].setdefault(name, replication)

    def _alter_keyspace(self, name: str, replication: str) -> None:
        if name not in self.state["keyspaces"]:
            raise StatementError(f"Keyspace '{name}' doesn't exist")
        self._check_replication(replication)
        self.state["keyspaces"][name] = replication

    def _check_replication(self, replication: str) -> None:
        if not self.role["superuser"]:
            raise StatementError(f"Unauthorized: User {self.name} has no permission")
        options = dict(re.findall(r"'(\w+)': '?(\w+)'?", replication))
        strategy = options.pop("class", None)
        if strategy != "NetworkTopologyStrategy" or list(options) != [_DATACENTER]:
            raise StatementError(f"ConfigurationException: Unrecognized strategy option in {replication}")

    def _create_role(self, name: str, options: str) -> None:
        self._only_superusers()
        if name not in self.state["roles"]:
            self.state["roles"][name] = {"superuser": False, "login": False, "replicas": 0, **self._options(options)}
            self._write_role(name)

    def _alter_role(self, name: str, options: str) -> None:
        self._only_superusers()
        if name not in self.state["roles"]:
            raise StatementError(f"{name} doesn't exist")
        changes = self._options(options)
        if name == self.name and "superuser" in changes:
            raise StatementError("Unauthorized: You aren't allowed to alter your own superuser status")
        self._write_role(name)
        self.state["roles"][name].update(changes)

    def _only_superusers(self) -> None:
        if not self.role["superuser"]:
            raise StatementError("Unauthorized: Only superusers can create or alter a role with superuser status")

    def _write_role(self, name: str) -> None:
        wanted, there = self.replicas("system_auth"), len(self.state["nodes"])
        if there < wanted // 2 + 1:
            raise StatementError(f"Unavailable: Cannot achieve consistency level QUORUM of {wanted} on {there} nodes")
        self.state["roles"][name]["replicas"] = wanted

    def _options(self, text: str) -> dict[str, Any]:
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

    def _create_table(self, name: str, _: str | None) -> None:
        if self.keyspace is None:
            raise StatementError("InvalidRequest: No keyspace has been specified")
        tables = self.state["tables"].setdefault(self.keyspace, [])
        if name not in tables:
            tables.append(name)


def split(text: str) -> list[str]:
    """Return the statements of a text; a semicolon in quotes ends none."""
    parts = re.findall(r"(?:'(?:[^']|'')*'|\"[^\"]*\"|[^;'\"])+(?:;|$)", text)
    return [part.rstrip(";").strip() for part in parts if part.strip(" ;\n")]


def show(column: str, rows: list[str]) -> None:
    """Write rows as cqlsh does."""
    width = max(map(len, [column, *rows]))
    say(f"\n {column.ljust(width).rstrip()}\n{'-' * (width + 2)}")
    for row in rows:
        say(f" {row.rjust(width)}")
    say(f"\n({len(rows)} rows)")


def credentials(path: str) -> tuple[str, str] | None:
    """Read the login from a file; one that others may read is not used."""
    if os.stat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH):  # noqa: PTH116
        complain(f"\nWarning: Credentials file '{path}' exists but is not used")
        return None
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    section = parser["PlainTextAuthProvider"] if parser.has_section("PlainTextAuthProvider") else {}
    return (section["username"], section["password"]) if {"username", "password"} <= set(section) else None


def main(state: dict[str, Any]) -> int:
    """Do what cqlsh does, on the state, and return its exit code."""
    pairs, (host, port) = getopt.gnu_getopt(
        sys.argv[1:], "", ["credentials=", "no-color", "keyspace=", "execute=", "file="]
    )
    options = dict(pairs)
    call: dict[str, Any] = {"arguments": sys.argv[1:], "role": None, "statements": []}
    state["calls"].append(call)
    address = f"{host}:{int(port)}"
    if state["closed"]:
        state["closed"] -= 1
        complain(f"Connection error: ('Unable to connect', {{'{address}': ConnectionRefusedError()}})")
        return 1
    ring = Ring(state)
    try:
        ring.log_in(*(credentials(options["--credentials"]) or ("anonymous", "")))
        ring.enter(options.get("--keyspace"))
    except StatementError as problem:
        complain(f"Connection error: ('Unable to connect', {{'{address}': {problem}}})")
        return 1
    call["role"] = ring.name
    say("WARNING: cqlsh was built against 5.0.0, but this server is 5.0.8.  All features may not work!")
    failed = False
    for statement in split(read(options["--file"]) if "--file" in options else options["--execute"]):
        if state["killed_at"] and re.search(state["killed_at"], statement):
            state["killed_at"] = None
            raise KeyboardInterrupt
        call["statements"].append({"text": statement, "nodes": len(state["nodes"])})
        try:
            rows = ring.run(statement)
        except StatementError as problem:
            complain(str(problem))
            failed = True
        else:
            if rows is not None:
                show(statement.split()[1], rows)
    return 2 if failed else 0


def read(path: str) -> str:
    """Return the text of a file."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        return file.read()


def end_with_main() -> None:
    """Be the program: read the state, change it, and end with the exit code, or kill the caller."""
    state = json.loads(read(os.environ["RING"]))
    try:
        code = main(state)
    except KeyboardInterrupt:
        code = -1
    with open(os.environ["RING"], "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(state, file)
    if code < 0:
        os.killpg(0, signal.SIGKILL)
    sys.exit(code)

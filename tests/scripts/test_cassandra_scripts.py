"""The scripts of a Cassandra ring: its configuration, and the Job that makes its roles, keyspace and tables.

The Job runs in front of ``cqlsh_stand_in.py``, which says why and how it takes the place of a ring.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import PATIENCE, read_until, rehomed, run, sleeps, start, tools, variables, wait_for
from synthesized import Synthesized

from constructs_lib.objects.scripts import script

PASSWORD = 'it\'s a "pass" word; -- with \\ $HOME `id` % ü'
SCHEMAS = Path(__file__).parents[2] / "schemas"
IPV4 = ["10.244.0.17", "10.244.1.5", "10.244.12.130"]
IPV6 = ["fd00:10:244::11", "fd00:10:244:1::5", "2001:db8::ffff:10.0.0.1"]


class Job:
    """The schema Job of the chat service, in front of a ring."""

    def __init__(self, folder: Path, production: Synthesized, nodes: int = 2) -> None:
        """Make a fresh ring, and the Job's surroundings."""
        self.nodes = nodes
        (pod,) = production.pods("pp-cs", ["Job"])
        self.container = pod.program
        self.schema = production.the("ConfigMap", "pp-cs", "chat-service-database-schema")["data"]
        self.user = variables(self.container)["ROLE"]
        self.keyspace = variables(self.container)["KEYSPACE"]
        self.folders = {"/tmp": folder / "tmp", "/schema": folder / "schema"}
        for path in self.folders.values():
            path.mkdir()
        for name, text in self.schema.items():
            (self.folders["/schema"] / name).write_text(text)
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD)
        self.ring_file = folder / "ring.json"
        self.path = tools(folder / "bin")
        cqlsh = self.path / "cqlsh"
        program = (
            f"import sys; sys.path.append('{Path(__file__).parent}'); import cqlsh_stand_in as c; c.end_with_main()"
        )
        cqlsh.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S -c "{program}" "$@"\n')
        cqlsh.chmod(0o755)
        self.ring = {
            "roles": {"cassandra": {"password": "cassandra", "superuser": True, "login": True, "replicas": 1}},
            "keyspaces": {"system_auth": "{'class': 'SimpleStrategy', 'replication_factor': '1'}"},
            "tables": {},
            "nodes": IPV4[:nodes],
            "joining": [],
            "closed": 0,
            "killed_at": None,
            "calls": [],
        }

    @property
    def ring(self) -> dict[str, Any]:
        """The state of the ring."""
        state: dict[str, Any] = json.loads(self.ring_file.read_text())
        return state

    @ring.setter
    def ring(self, state: dict[str, Any]) -> None:
        self.ring_file.write_text(json.dumps(state))

    def change(self, **parts: Any) -> None:
        """Change parts of the ring's state."""
        self.ring = {**self.ring, **parts}

    @property
    def command(self) -> list[str]:
        """The container's command, its folders put elsewhere."""
        shell, option, text, *arguments = self.container["command"]
        files = [argument.replace("/schema/", f"{self.folders['/schema']}/") for argument in arguments]
        return [shell, option, rehomed(text, {"/tmp": self.folders["/tmp"]}), *files]

    @property
    def environment(self) -> dict[str, str]:
        """The container's variables."""
        here = variables(
            self.container,
            PATH=f"{self.path}:{os.environ['PATH']}",
            PASSWORD_FILE=self.password_file,
            NODES=str(self.nodes),
        )
        return {**here, "RING": str(self.ring_file)}

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return run(self.command, self.environment)

    def statements(self, role: str | None = None) -> list[str]:
        """Return the statements that the ring was given, by one role if wanted, and that do more than ask."""
        return [
            statement["text"]
            for call in self.ring["calls"]
            if role in (None, call["role"])
            for statement in call["statements"]
            if not statement["text"].startswith("SELECT")
        ]

    def check_result(self) -> None:
        """Check that the ring is as the Job leaves it."""
        ring = self.ring
        replication = f"{{'class': 'NetworkTopologyStrategy', 'datacenter1': {self.nodes}}}"
        assert ring["keyspaces"] == {"system_auth": replication, self.keyspace: replication}
        tables = {
            name for text in self.schema.values() for name in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", text)
        }
        assert len(tables) > 5
        assert set(ring["tables"][self.keyspace]) == tables
        assert set(ring["roles"]) == {"cassandra", self.user}
        own, built_in = ring["roles"][self.user], ring["roles"]["cassandra"]
        assert own == {"password": PASSWORD, "superuser": True, "login": True, "replicas": self.nodes}
        assert (built_in["login"], built_in["superuser"]) == (False, False)
        assert re.fullmatch("[0-9a-f]{48}", built_in["password"])


@pytest.fixture
def job(tmp_path: Path, trees: dict[str, Synthesized]) -> Job:
    """The Job before a fresh ring of two nodes."""
    return Job(tmp_path, trees["production"])


def test_the_job_runs_the_script(job: Job) -> None:
    """In the image's bash, with every file of the schema, in the order of the declaration."""
    shell, option, text, name, *files = job.container["command"]
    assert (shell, option, text, name) == ("/bin/bash", "-c", script("cassandra-schema.sh"), "schema")
    assert files == [f"/schema/{file}" for file in job.schema]


@pytest.mark.parametrize("addresses", [IPV4, IPV6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_first_run(tmp_path: Path, trees: dict[str, Synthesized], nodes: int, addresses: list[str]) -> None:
    """A fresh ring of any size ends up with its role, its keyspace and its tables, and without the built-in login."""
    job = Job(tmp_path, trees["production"], nodes)
    job.change(nodes=addresses[:nodes])
    result = job.run()
    assert result.returncode == 0, result.stdout
    job.check_result()
    assert sleeps(job.path) == 0
    assert f"the schema of {job.keyspace} is in place" in result.stdout


def test_second_run_changes_nothing(job: Job) -> None:
    """Only the password that nobody knows is another one."""
    job.run()
    first = job.ring
    job.change(calls=[])
    result = job.run()
    assert result.returncode == 0, result.stdout
    assert PASSWORD not in result.stdout
    job.check_result()
    second = job.ring
    for ring in (first, second):
        del ring["calls"], ring["roles"]["cassandra"]["password"]
    assert second == first
    assert not [text for text in job.statements() if text.startswith(("CREATE ROLE", "DROP"))]


@pytest.mark.parametrize(
    "moment",
    [
        "ALTER KEYSPACE system_auth",
        "CREATE ROLE",
        "ALTER ROLE cassandra",
        "CREATE KEYSPACE",
        "ALTER KEYSPACE chatservice",
        "CREATE TABLE IF NOT EXISTS snapshots",
    ],
)
def test_run_again_after_it_was_killed(job: Job, moment: str) -> None:
    """Before whichever statement it was: the next run finishes the work."""
    job.change(killed_at=moment)
    assert job.run().returncode == -signal.SIGKILL
    assert not [text for text in job.statements() if text.startswith(moment)]
    result = job.run()
    assert result.returncode == 0, result.stdout
    job.check_result()


def test_waits_for_the_port_and_for_the_ring(tmp_path: Path, trees: dict[str, Synthesized]) -> None:
    """Nothing is written before all nodes have joined: with too few of them, the role would be lost to the others."""
    job = Job(tmp_path, trees["production"], nodes=3)
    job.change(closed=3, nodes=IPV4[:1], joining=IPV4[1:])
    result = job.run()
    assert result.returncode == 0, result.stdout
    job.check_result()
    written = [
        statement
        for call in job.ring["calls"]
        for statement in call["statements"]
        if not statement["text"].startswith("SELECT")
    ]
    assert {statement["nodes"] for statement in written} == {3}
    assert "ConnectionRefusedError" in result.stdout
    assert result.stdout.count("waiting for a ring of 3 nodes") == 2


def test_nodes_beyond_the_declared_ones_hold_no_more_copies(job: Job) -> None:
    """An autoscaler adds nodes; what is replicated stays as declared."""
    job.change(nodes=IPV4)
    result = job.run()
    assert result.returncode == 0, result.stdout
    job.check_result()


def test_larger_ring(tmp_path: Path, trees: dict[str, Synthesized]) -> None:
    """A ring that was declared larger knows its roles on the new nodes too."""
    job = Job(tmp_path, trees["production"], nodes=1)
    job.run()
    job.nodes = 3
    job.change(nodes=IPV4)
    result = job.run()
    assert result.returncode == 0, result.stdout
    job.check_result()


def test_password_is_on_no_command_line(job: Job) -> None:
    """Whoever sees the processes of the pod sees no password, and its files are for its user alone."""
    job.run()
    arguments = [argument for call in job.ring["calls"] for argument in call["arguments"]]
    assert job.statements("cassandra")
    assert not [argument for argument in arguments if "pass" in argument.replace(str(job.password_file.parent), "")]
    modes = {path.name: path.stat().st_mode & 0o777 for path in job.folders["/tmp"].iterdir()}
    assert modes == {"own": 0o600, "built-in": 0o600, "statements.cql": 0o600}


def test_says_why_it_waits_for_a_login(job: Job) -> None:
    """A password that is no longer the ring's stops the Job where a person sees the reason, and a signal ends it."""
    job.run()
    job.password_file.write_text("another")
    with start(job.command, job.environment) as process:
        output = read_until(process, "no built-in login")
        assert "no own login yet: Connection error" in output
        assert "Provided username admin and/or password are incorrect" in output
        wait_for(lambda: sleeps(job.path) >= 1, "the first attempt")
        process.terminate()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 128 + signal.SIGTERM
    assert job.ring["roles"][job.user]["password"] == PASSWORD


def test_role_is_not_written_before_it_would_be_everywhere(job: Job) -> None:
    """If the roles cannot be replicated, the Job fails, and its next run begins where this one did."""
    environment = {**job.environment, "DATACENTER": "elsewhere"}
    assert run(job.command, environment).returncode == 2
    assert set(job.ring["roles"]) == {"cassandra"}
    assert job.run().returncode == 0
    job.check_result()


def test_broken_schema_fails_the_job(job: Job) -> None:
    """Its other statements are applied; the exit code says that it is not in place."""
    (file,) = job.folders["/schema"].iterdir()
    file.write_text("CREATE TABEL nonsense;\n" + file.read_text())
    result = job.run()
    assert result.returncode == 2
    assert "CREATE TABEL nonsense" in result.stdout
    assert "in place" not in result.stdout


@pytest.mark.parametrize(
    "end",
    [
        "authenticator: AllowAllAuthenticator\nauthorizer: AllowAllAuthorizer\n",
        "authenticator:\n  class_name: AllowAllAuthenticator\nauthorizer:\n  class_name: AllowAllAuthorizer\n",
        "authorizer: AllowAllAuthorizer\nauthenticator: AllowAllAuthenticator\nnum_tokens: 16",
    ],
    ids=["4.1", "5.0", "no-line-break-at-the-end"],
)
def test_configuration_turns_authentication_on(tmp_path: Path, trees: dict[str, Synthesized], end: str) -> None:
    """Whatever form the image's file has, and however often the init container runs on the same volume."""
    (pod,) = trees["production"].pods("pp-cs", ["StatefulSet"])
    (container,) = pod.spec["initContainers"]
    shell, option, text = container["command"]
    folders = {"/etc/cassandra": tmp_path / "image", "/conf": tmp_path / "conf"}
    (folders["/etc/cassandra"] / "triggers").mkdir(parents=True)
    folders["/conf"].mkdir()
    image = folders["/etc/cassandra"] / "cassandra.yaml"
    image.write_text("cluster_name: 'Test Cluster'\nauth_read_consistency_level: LOCAL_QUORUM\n" + end)
    (folders["/etc/cassandra"] / "triggers" / "README.txt").write_text("read me")
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text(
        trees["production"].the("ConfigMap", "pp-cs", "chat-service-database")["data"]["overrides.yaml"]
    )
    before = image.read_text()
    written = []
    for _ in range(2):
        result = run([shell, option, rehomed(text, folders)], variables(container, OVERRIDES=overrides))
        assert result.returncode == 0, result.stdout
        written.append((folders["/conf"] / "cassandra.yaml").read_text())
    assert written[0] == written[1]
    assert image.read_text() == before
    assert (folders["/conf"] / "triggers" / "README.txt").read_text() == "read me"
    # As in Cassandra's own parser, the last of two equal keys counts.
    assert yaml.safe_load(written[0]) == {
        **yaml.safe_load(before),
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "auth_read_consistency_level": "LOCAL_ONE",
    }

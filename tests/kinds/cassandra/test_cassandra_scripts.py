"""The scripts of a Cassandra ring: its configuration, and the Job that makes its roles, keyspace and tables.

The Job runs in front of ``cassandra_ring.py``, which says why and how it takes the place of a ring.
"""

from __future__ import annotations

import copy
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cassandra_ring import Ring, Role, serving
from running import PATIENCE, read_until, rehomed, run, sleeps, start, tools, variables, wait_for
from synthesized import Synthesized

from constructs_lib.kinds.parts.pods import script

PASSWORD = 'it\'s a "pass" word; -- with \\ $HOME `id` % ü'
SUPERUSER_PASSWORD = "the superuser's own; \\ `id`"
IPV4 = ["10.244.0.17", "10.244.1.5", "10.244.12.130"]
IPV6 = ["fd00:10:244::11", "fd00:10:244:1::5", "2001:db8::ffff:10.0.0.1"]


class Job:
    """The schema Job of the chat service, in front of a ring."""

    def __init__(self, folder: Path, production: Synthesized) -> None:
        """Make the Job's surroundings, and a fresh ring of two nodes."""
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
        self.superuser = variables(self.container)["SUPERUSER"]
        self.superuser_password_file = folder / "superuser-password"
        self.superuser_password_file.write_text(SUPERUSER_PASSWORD)
        self.path = tools(folder / "bin")
        self.nodes = 2
        self.ring = Ring(IPV4[:2])

    @property
    def command(self) -> list[str]:
        """The container's command, its folders put elsewhere."""
        shell, option, text, *arguments = self.container["command"]
        files = [argument.replace("/schema/", f"{self.folders['/schema']}/") for argument in arguments]
        return [shell, option, rehomed(text, {"/tmp": self.folders["/tmp"]}), *files]

    @property
    def environment(self) -> dict[str, str]:
        """The container's variables."""
        path = f"{self.path}:{os.environ['PATH']}"
        files = {"PASSWORD_FILE": self.password_file, "SUPERUSER_PASSWORD_FILE": self.superuser_password_file}
        return variables(self.container, PATH=path, **files, NODES=str(self.nodes))

    def run(self, **others: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, with some variables set otherwise."""
        with serving(self.ring, self.path / "cqlsh"):
            return run(self.command, {**self.environment, **others})

    def check(self, result: subprocess.CompletedProcess[str]) -> None:
        """Check that it ended well, and that the ring is as the Job leaves it."""
        assert result.returncode == 0, result.stdout
        assert f"the schema of {self.keyspace} is in place" in result.stdout
        replication = f"{{'class': 'NetworkTopologyStrategy', 'datacenter1': {self.nodes}}}"
        assert self.ring.keyspaces == {"system_auth": replication, self.keyspace: replication}
        tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", "".join(self.schema.values())))
        assert tables
        assert self.ring.tables == {self.keyspace: tables}
        assert set(self.ring.roles) == {"cassandra", self.superuser, self.user}
        own = self.ring.roles[self.superuser]
        assert (own.password, own.superuser, own.login) == (SUPERUSER_PASSWORD, True, True)
        service = self.ring.roles[self.user]
        assert {resource: each for resource, each in service.rights.items() if each} == {
            f"data/{self.keyspace}": {"SELECT", "MODIFY"}
        }
        assert replace(service, rights={}) == Role(PASSWORD, superuser=False, login=True, replicas=self.nodes)
        built_in = self.ring.roles["cassandra"]
        assert (built_in.login, built_in.superuser) == (False, False)
        assert re.fullmatch("[0-9a-f]{48}", built_in.password)


@pytest.fixture
def job(tmp_path: Path, trees: dict[str, Synthesized]) -> Job:
    """The Job before a fresh ring of two nodes."""
    return Job(tmp_path, trees["production"])


def test_the_job_runs_the_script(job: Job) -> None:
    """In the image's bash, with every file of the schema, in the order of the declaration."""
    shell, option, text, name, *files = job.container["command"]
    assert (shell, option, text, name) == ("/bin/bash", "-c", script("cassandra", "schema.sh"), "schema")
    assert files == [f"/schema/{file}" for file in job.schema]


@pytest.mark.parametrize("addresses", [IPV4, IPV6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_first_run(job: Job, nodes: int, addresses: list[str]) -> None:
    """A fresh ring of any size ends up with its role, its keyspace and its tables, and without the built-in login."""
    job.nodes = nodes
    job.ring = Ring(addresses[:nodes])
    job.check(job.run())
    assert sleeps(job.path) == 0


def test_second_run_changes_nothing(job: Job) -> None:
    """Only the password that nobody knows is another one."""
    job.run()
    first = copy.deepcopy(job.ring)
    job.ring.calls.clear()
    result = job.run()
    job.check(result)
    assert PASSWORD not in result.stdout
    assert job.ring.tables == first.tables
    assert job.ring.keyspaces == first.keyspaces
    assert job.ring.roles[job.user] == first.roles[job.user]
    assert not [text for text, _ in job.ring.statements() if text.startswith(("DROP", "REVOKE"))]


@pytest.mark.parametrize(
    "moment",
    [
        "ALTER KEYSPACE system_auth",
        "SELECT . FROM system_auth",
        "CREATE ROLE",
        "ALTER ROLE cassandra",
        "CREATE KEYSPACE",
        "ALTER KEYSPACE chatservice",
        "CREATE TABLE IF NOT EXISTS snapshots",
        "CREATE ROLE IF NOT EXISTS .admin",
        "GRANT SELECT",
        "GRANT MODIFY",
        "ALTER ROLE .admin",
    ],
)
def test_run_again_after_it_was_killed(job: Job, moment: str) -> None:
    """Before whichever statement it was: the next run finishes the work."""
    job.ring.killed_at = moment
    assert job.run().returncode == -signal.SIGKILL
    assert job.ring.killed_at is None
    assert not [text for call in job.ring.calls for text, _ in call.statements if re.search(moment, text)]
    job.check(job.run())


def test_waits_for_the_port_and_for_the_ring(job: Job) -> None:
    """Nothing is written before all nodes have joined: with too few of them, the role would be lost to the others."""
    job.nodes = 3
    job.ring = Ring(IPV4[:1], joining=IPV4[1:], closed=3)
    result = job.run()
    job.check(result)
    assert {nodes for _, nodes in job.ring.statements()} == {3}
    assert "ConnectionRefusedError" in result.stdout
    assert result.stdout.count("waiting for a ring of 3 nodes") == 2


def test_nodes_beyond_the_declared_ones_hold_no_more_copies(job: Job) -> None:
    """An autoscaler adds nodes; what is replicated stays as declared."""
    job.ring = Ring(IPV4)
    job.check(job.run())


def test_larger_ring(job: Job) -> None:
    """A ring that was declared larger knows its roles on the new nodes too."""
    job.nodes = 1
    job.ring = Ring(IPV4[:1])
    job.check(job.run())
    job.nodes = 3
    job.ring.nodes = IPV4
    job.check(job.run())


def test_password_is_on_no_command_line(job: Job) -> None:
    """Whoever sees the processes of the pod sees no password, and its files are for its user alone."""
    job.run()
    arguments = " ".join(argument for call in job.ring.calls for argument in call.arguments)
    assert "--credentials" in arguments
    assert PASSWORD not in arguments
    assert "PASSWORD" not in arguments
    assert [
        text for text, _ in job.ring.statements() if f"PASSWORD = '{PASSWORD.replace(chr(39), chr(39) * 2)}'" in text
    ]
    modes = {path.name: path.stat().st_mode & 0o777 for path in job.folders["/tmp"].iterdir()}
    names = ("own", "service", "built-in", "statements.cql", "rights")
    assert modes == dict.fromkeys(names, 0o600)


@pytest.fixture
def job_that_waits(job: Job) -> Iterator[subprocess.Popen[str]]:
    """The Job with a password of the superuser that is no longer the ring's."""
    job.run()
    job.superuser_password_file.write_text("another")
    with serving(job.ring, job.path / "cqlsh"), start(job.command, job.environment) as process:
        try:
            yield process
        finally:
            process.kill()


def test_says_why_it_waits_for_a_login(job: Job, job_that_waits: subprocess.Popen[str]) -> None:
    """A password that is no longer the ring's stops the Job where a person sees the reason, and a signal ends it."""
    output = read_until(job_that_waits, "no service login")
    assert "no own login yet: Connection error" in output
    assert f"Provided username {job.superuser} and/or password are incorrect" in output
    wait_for(lambda: sleeps(job.path) >= 1, "the first attempt")
    job_that_waits.terminate()
    job_that_waits.communicate(timeout=PATIENCE)
    assert job_that_waits.returncode == 128 + signal.SIGTERM
    assert job.ring.roles[job.superuser].password == SUPERUSER_PASSWORD


def old_ring(job: Job) -> Ring:
    """Return a ring as older versions of the Job left it: the clients' role is the superuser that made everything."""
    ring = Ring(IPV4[:2])
    replication = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 2}"
    ring.keyspaces = {"system_auth": replication, job.keyspace: replication}
    ring.tables = {job.keyspace: {"messages", "snapshots"}}
    made = (job.keyspace, f"{job.keyspace}/messages", f"{job.keyspace}/snapshots")
    rights = {f"data/{each}": {"ALTER", "DROP", "SELECT"} for each in made}
    ring.roles = {
        "cassandra": Role("0123", replicas=2),
        job.user: Role(PASSWORD, superuser=True, login=True, replicas=2, rights=rights),
    }
    return ring


@pytest.mark.parametrize(
    "moment",
    [
        None,
        "CREATE ROLE IF NOT EXISTS .schema_owner",
        "ALTER ROLE cassandra",
        "CREATE TABLE IF NOT EXISTS tag_views",
        "CREATE ROLE IF NOT EXISTS .admin",
        "GRANT SELECT",
        "ALTER ROLE .admin",
        "SELECT resource, permissions",
        "REVOKE DROP ON KEYSPACE",
        "REVOKE SELECT ON TABLE",
        "REVOKE .* ON ROLE",
    ],
)
def test_ring_of_before_is_converted(job: Job, moment: str | None) -> None:
    """At once, or by the run after the one that was killed, at any moment of which the service can go on."""
    job.ring = old_ring(job)
    if moment:
        job.ring.killed_at = moment
        assert job.run().returncode == -signal.SIGKILL
        assert job.ring.killed_at is None
        service = job.ring.roles[job.user]
        assert service.login
        assert service.password == PASSWORD
        assert service.superuser or service.rights[f"data/{job.keyspace}"] >= {"SELECT", "MODIFY"}
    job.check(job.run())


def test_changed_password_takes_the_place_of_the_old_one(job: Job) -> None:
    """The next run of the Job puts a new value of the store in place."""
    job.run()
    job.password_file.write_text("another")
    assert job.run().returncode == 0
    assert job.ring.roles[job.user].password == "another"


def test_role_is_not_written_before_it_would_be_everywhere(job: Job) -> None:
    """If the roles cannot be replicated, the Job fails, and its next run begins where this one did."""
    assert job.run(DATACENTER="elsewhere").returncode == 2
    assert set(job.ring.roles) == {"cassandra"}
    job.check(job.run())


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
    container = pod.container("prepare")
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

"""A real Cassandra ring with the generated configuration and agent, and the generated Job that makes its schema.

Its own configuration is a short form of the image's, which the init container changes. It takes what makes it start in
seconds, for gossip between processes of one machine is quick.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from running import PATIENCE, free_ports, rehomed, run, start_with_log, variables, wait_for
from synthesized import Manifest

ROOT = Path(__file__).resolve().parent.parent
#: What ``make .venv/cassandra/ready .venv/jvm-program/ready .venv-cqlsh/ready`` brings.
PROGRAMS = ROOT / ".venv" / "cassandra"
AGENT = ROOT / ".venv" / "jvm-program" / "agent"
CQLSH = ROOT / ".venv-cqlsh" / "bin"
PASSWORD = 'it\'s a "pass" word; -- with \\ $HOME `id` % ü'
SUPERUSER, SUPERUSER_PASSWORD = "schema_owner", 'the superuser\'s own; \\ "one"'
#: Of jvm-server.options and jvm17-server.options of Cassandra 5.0, what it does not start without.
_OPENED = """
java.base/java.io java.base/java.lang java.base/java.lang.module java.base/java.lang.reflect java.base/java.nio
java.base/java.util java.base/jdk.internal.loader java.base/jdk.internal.math java.base/jdk.internal.module
java.base/jdk.internal.ref java.base/jdk.internal.reflect java.base/jdk.internal.util.jar java.base/sun.nio.ch
jdk.compiler/com.sun.tools.javac jdk.management/com.sun.management.internal
"""
_EXPORTED = """
java.base/java.lang.ref java.base/jdk.internal.misc java.management.rmi/com.sun.jmx.remote.internal.rmi
java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.sql/java.sql jdk.attach/sun.tools.attach
jdk.compiler/com.sun.tools.javac.file jdk.unsupported/sun.misc
"""
_OPTIONS = (
    "-Xms256m",
    "-Xmx256m",
    "-Xss256k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
    "-Djdk.attach.allowAttachSelf=true",
    "-Dcom.sun.management.jmxremote.authenticate=false",
    "-Dcassandra-foreground=yes",
    "-Dcassandra.ring_delay_ms=2000",
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.superuser_setup_delay_ms=0",
    *(f"--add-opens={module}=ALL-UNNAMED" for module in _OPENED.split()),
    *(f"--add-exports={module}=ALL-UNNAMED" for module in _EXPORTED.split()),
)
#: What the image's cassandra.yaml and its entrypoint set that has no default.
_CONFIGURATION = """\
cluster_name: {cluster}
num_tokens: 4
authenticator:
  class_name: AllowAllAuthenticator
authorizer:
  class_name: AllowAllAuthorizer
role_manager:
  class_name: CassandraRoleManager
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
commitlog_sync: periodic
commitlog_sync_period: 10000ms
seed_provider:
- class_name: org.apache.cassandra.locator.SimpleSeedProvider
  parameters:
  - seeds: "127.0.0.1:{storage}"
listen_address: {address}
rpc_address: {address}
storage_port: {storage}
native_transport_port: {cql}
start_native_transport: true
data_file_directories: [{data}/data]
commitlog_directory: {data}/commitlog
saved_caches_directory: {data}/saved_caches
hints_directory: {data}/hints
cdc_raw_directory: {data}/cdc_raw"""


class Node:
    """A node.

    Attributes:
        address: Its address, of the loopback interface.
        cql: Its port for clients.
        storage: Its port for the other nodes.
        data: Where its tables are.
        metrics: Where its agent tells its metrics, if it is measured.
        log: What it wrote.
    """

    def __init__(
        self, folder: Path, manifests: Sequence[Manifest], address: str, storage: int, cql: int, *, measured: bool
    ) -> None:
        """Lay out its files, by the objects of a system's Cassandra; all nodes of a ring have the same ports."""
        self._folder = folder
        self.cql, self._measured = cql, measured
        by_kind = {kind: [each for each in manifests if each["kind"] == kind] for kind in ("StatefulSet", "Job")}
        [stateful_set], [job] = by_kind["StatefulSet"], by_kind["Job"]
        self._files = {each["metadata"]["name"]: each["data"] for each in manifests if each["kind"] == "ConfigMap"}
        self._job: Manifest = job["spec"]["template"]["spec"]["containers"][0]
        pod = stateful_set["spec"]["template"]["spec"]
        [self._container] = (each for each in pod["containers"] if each["name"] == "cassandra")
        self._own = self._files[stateful_set["metadata"]["name"]]
        self._schema = self._files.get(f"{stateful_set['metadata']['name']}-schema", {})
        metrics, self._jmx = free_ports(2)
        self.metrics = f"127.0.0.1:{metrics}"
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("image", "conf", "overrides", "data", "tmp", "schema"):
            (folder / name).mkdir()
        for name, text in self._own.items():
            (folder / "overrides" / name).write_text(text)
        for name, text in self._schema.items():
            (folder / "schema" / name).write_text(text)
        [self._init_container] = (each for each in pod["initContainers"] if each["name"] == "prepare")
        self.storage = storage
        self.data = folder / "data" / "data"
        self.prepare(address)

    def prepare(self, address: str) -> None:
        """Run the init container's script, as it stands in the StatefulSet, for a pod with this address."""
        self.address = address
        (self._folder / "image" / "cassandra.yaml").write_text(
            _CONFIGURATION.format(
                cluster=variables(self._container)["CASSANDRA_CLUSTER_NAME"],
                address=address,
                storage=self.storage,
                cql=self.cql,
                data=self._folder / "data",
            )
        )
        container = self._init_container
        shell, option, text = container["command"]
        here = {"/etc/cassandra": self._folder / "image", "/conf": self._folder / "conf"}
        overrides = self._folder / "overrides" / Path(variables(container)["OVERRIDES"]).name
        result = run([shell, option, rehomed(text, here)], variables(container, OVERRIDES=str(overrides)))
        assert result.returncode == 0, result.stdout

    def start(self) -> None:
        """Start it, and wait until it takes clients."""
        given = variables(self._container)
        rules = Path(given["OTEL_JMX_CONFIG"]).name
        environment = {name: value for name, value in given.items() if name.startswith("OTEL_")}
        environment |= {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder / "tmp"),
            "MALLOC_ARENA_MAX": "2",
            "OTEL_JMX_CONFIG": str(self._folder / "overrides" / rules),
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
            "OTEL_EXPORTER_PROMETHEUS_PORT": self.metrics.rpartition(":")[2],
        }
        agent = given["JVM_EXTRA_OPTS"].replace("/telemetry/", f"{AGENT}/")
        [jamm] = (PROGRAMS / "lib").glob("jamm-*.jar")
        command = [
            "java",
            *_OPTIONS,
            f"-javaagent:{jamm}",
            f"-Dcassandra.jmx.local.port={self._jmx}",
            f"-Dcassandra.storagedir={self._folder / 'data'}",
            f"-Dcassandra.logdir={self._folder}",
            f"-Djava.io.tmpdir={self._folder / 'tmp'}",
            *(shlex.split(agent) if self._measured else ()),
            "-cp",
            f"{self._folder / 'conf'}:{PROGRAMS / 'lib'}/*",
            "org.apache.cassandra.service.CassandraDaemon",
        ]
        process = start_with_log(command, environment, self.log, folder=self._folder, append=True)
        self._process = process

        def ready() -> bool:
            assert process.poll() is None, self.log.read_text(errors="replace")[-4000:]
            with socket.socket() as client:
                return client.connect_ex((self.address, self.cql)) == 0

        wait_for(ready, "Cassandra")

    @cached_property
    def tools(self) -> Path:
        """A folder with Cassandra's own tools, as its image has them, for this node; and with its cqlsh."""
        folder = self._folder / "bin"
        folder.mkdir()
        java = ["java", *(option for option in _OPTIONS if not option.startswith("-Dcassandra")), "-cp"]
        java += [f"{self._folder / 'conf'}:{PROGRAMS / 'lib'}/*"]
        for name, program in {
            "nodetool": f"NodeTool --port {self._jmx}",
            "sstableloader": f"BulkLoader --conf-path {self._folder / 'conf' / 'cassandra.yaml'}",
        }.items():
            command = f"{shlex.join(java)} org.apache.cassandra.tools.{program}"
            (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (folder / name).chmod(0o755)
        (folder / "cqlsh").symlink_to(CQLSH / "cqlsh")
        return folder

    def kill(self) -> None:
        """End it as a machine that fails does; nothing if it does not run."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)

    def change_schema(self, text: str) -> None:
        """Let the Job's file say more."""
        [file] = (self._folder / "schema").iterdir()
        file.write_text(f"{file.read_text()}\n{text}\n")

    def apply_schema(self, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        """Run the Job."""
        shell, option, text, *arguments = self._job["command"]
        tmp, schema = self._folder / "tmp", self._folder / "schema"
        (self._folder / "password").write_text(password)
        (self._folder / "superuser-password").write_text(SUPERUSER_PASSWORD)
        here = {
            "HOST": self.address,
            "PORT": str(self.cql),
            "PASSWORD_FILE": str(self._folder / "password"),
            "SUPERUSER_PASSWORD_FILE": str(self._folder / "superuser-password"),
            "HOME": str(tmp),
            "PATH": f"{CQLSH}:{os.environ['PATH']}",
        }
        files = [each.replace("/schema/", f"{schema}/") for each in arguments]
        return run([shell, option, rehomed(text, {"/tmp": tmp}), *files], variables(self._job, **here))

    def query(self, text: str, user: str = SUPERUSER, password: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run statements as a role; default: as the superuser."""
        password = password or (SUPERUSER_PASSWORD if user == SUPERUSER else PASSWORD)
        credentials = self._folder / "credentials"
        credentials.touch(mode=0o600)
        credentials.write_text(f"[PlainTextAuthProvider]\nusername = {user}\npassword = {password}\n")
        command: list[str | Path] = [CQLSH / "cqlsh", "--credentials", credentials, "--no-color", "--execute", text]
        environment = {"HOME": str(self._folder / "tmp"), "PATH": os.environ["PATH"]}
        return run([*command, self.address, str(self.cql)], environment)


@contextmanager
def cassandra_ring(manifests: Sequence[dict[str, Any]], size: int) -> Iterator[list[Node]]:
    """Run so many nodes by the objects of a system's Cassandra, each started once the one before takes clients.

    The first is measured, and tells of the others; an agent takes seconds of a processor to start.
    """
    there = [(PROGRAMS / "ready").exists(), (AGENT / "javaagent.jar").exists(), (CQLSH / "cqlsh").exists()]
    if not all(there) or shutil.which("java") is None:
        pytest.skip("Cassandra is not there: make .venv/cassandra/ready .venv/jvm-program/ready .venv-cqlsh/ready")
    storage, cql = free_ports(2)
    nodes: list[Node] = []
    with tempfile.TemporaryDirectory(prefix="cassandra-") as name:
        try:
            for number in range(1, size + 1):
                folder = Path(name, str(number))
                folder.mkdir()
                nodes.append(Node(folder, manifests, f"127.0.0.{number}", storage, cql, measured=number == 1))
                nodes[-1].start()
            yield nodes
        finally:
            for node in nodes:
                node.kill()

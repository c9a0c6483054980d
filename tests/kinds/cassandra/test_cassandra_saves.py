"""Each node of a ring is saved to a real S3 server; all are destroyed, and a ring of another size gets what they held.

By the scripts of the manifests as they stand, with Cassandra's own tools. The tests follow each other.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_cassandra import ROOT, SUPERUSER_PASSWORD, Node, cassandra_ring
from running import PATIENCE, read_until, rehomed, run, start, variables
from s3_server import Saves, s3_server
from s3_server import Server as S3Server
from synthesized import Manifest, PodTemplate, Synthesized
from systems import monitored

from constructs_lib import Cassandra, S3Bucket, synthesize

SCHEMA = ROOT / "schemas" / "locationservice.cql"
#: A table that no schema file makes, with what tells bytes from texts.
MADE = (
    "CREATE TYPE history.place (latitude double, name text);",
    "CREATE TABLE history.visits (who text, at timestamp, raw blob, place frozen<place>, tags set<text>,"
    " last text static, PRIMARY KEY (who, at));",
    "CREATE TABLE history.counted (who text PRIMARY KEY, times counter);"
    "CREATE TABLE history.empty (who text PRIMARY KEY);",
)


def tree(nodes: int) -> Synthesized:
    """Return a system with a ring that is saved."""
    bucket = S3Bucket(endpoint="https://s3.example.com", bucket="saves", region="fra1")
    system = monitored("test", backups=bucket)
    Cassandra(
        system,
        "history",
        image="cassandra:5.0.8",
        keyspace="history",
        user="owner",
        nodes=nodes,
        storage="1Gi",
        schema=[SCHEMA],
    )
    return Synthesized("test", synthesize(system).files)


def rows(node: Node) -> list[str]:
    """Return all that the tables hold, with the times at which it was written."""
    asked = (
        "CONSISTENCY ALL; SELECT JSON * FROM history.visits; SELECT JSON * FROM history.counted;"
        "SELECT who, at, WRITETIME(raw) FROM history.visits;"
    )
    result = node.query(asked)
    assert result.returncode == 0, result.stdout
    return sorted(line.strip() for line in result.stdout.splitlines() if "|" in line or "{" in line)


class Pods:
    """The containers that save a ring and restore it, with Cassandra's own tools."""

    def __init__(self, s3: S3Server, folder: Path, nodes: int) -> None:
        """Read them from the manifests of a ring of so many nodes."""
        (s3.buckets / "saves").mkdir(exist_ok=True)
        self.tree = tree(nodes)
        self.folder = folder
        self.saves = Saves(s3, folder / "saves")
        (self.ring,) = self.tree.pods("history", ["StatefulSet"])
        jobs = {pod.name: pod for pod in self.tree.pods("history", ["CronJob"])}
        self.looks_after = jobs["history-backup"].program
        self.restores: PodTemplate = jobs["history-restore"]

    def command(self, container: Manifest) -> list[str]:
        """Return a container's command, with its ``/tmp`` elsewhere."""
        shell, option, text = container["command"]
        tmp = self.folder / "tmp"
        tmp.mkdir(exist_ok=True)
        return [shell, option, rehomed(text, {"/tmp": tmp}) if "/tmp/" in text else text]

    def sidecar(self, node: Node, name: str) -> subprocess.Popen[str]:
        """Start what saves a node, for which it is time at once."""
        container = {**self.ring.container("save")}
        [named, *others] = container["env"]
        assert named == {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
        container["env"] = [{"name": "NODE", "value": name}, *others]
        told: dict[str, str | Path] = {
            "DATA": node.data,
            "TOOLS": node.tools,
            "HOME": self.folder,
            "EVERY": "1",
            "BEGIN": "0",
        }
        certificate: dict[str, str | Path] = {"SSL_CERT_FILE": self.saves.server.certificate}
        return start(self.command(container), self.saves.environment(container, **told, **certificate))

    def save(self, node: Node, name: str) -> None:
        """Run it until the node has been saved once."""
        with self.sidecar(node, name) as process:
            read_until(process, f"saved history of {name}")
            process.terminate()
            process.wait(PATIENCE)

    def look_after(self, **others: str) -> subprocess.CompletedProcess[str]:
        """Run what looks after the saves."""
        return run(self.command(self.looks_after), self.saves.environment(self.looks_after, **others))

    def restore(self, node: Node, storage: int) -> str:
        """Restore into the ring of a node."""
        fetched = self.folder / "fetched"
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir()
        fetch, restore = (self.restores.container(name) for name in ("fetch", "restore"))
        result = run(self.command(fetch), self.saves.environment(fetch, FETCHED=fetched))
        assert result.returncode == 0, result.stdout
        password = self.folder / "password"
        password.write_text(SUPERUSER_PASSWORD)
        told: dict[str, str | Path] = {
            "HOST": node.address,
            "PORT": str(node.cql),
            "STORAGE_HOST": node.address,
            "STORAGE_PORT": str(storage),
            "PASSWORD_FILE": password,
            "FETCHED": fetched,
            "PATH": f"{node.tools}:{variables(fetch)['PATH']}",
        }
        loaded = run(self.command(restore), variables(restore, **told))
        assert loaded.returncode == 0, loaded.stdout
        return result.stdout + loaded.stdout


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    with s3_server() as server:
        yield server


def test_saved_destroyed_and_restored(s3: S3Server, tmp_path: Path) -> None:
    """Two nodes are saved, a part of their rows on the disk and a part in memory; one node gets all of it."""
    pods = Pods(s3, tmp_path, 2)
    manifests = list(pods.tree.components["history"])
    with cassandra_ring(manifests, size=2) as ring:
        first, second = ring
        applied = first.apply_schema()
        assert applied.returncode == 0, applied.stdout
        written = "".join(
            "INSERT INTO history.visits (who, at, raw, place, tags, last) VALUES"
            f" ('user {n % 7}', {n}, 0x00ff{n:04x},"
            f" {{latitude: {n / 3}, name: 'ü''{n}'}}, {{'a', 'b{n}'}}, 'of {n}');"
            f"UPDATE history.counted SET times = times + {n} WHERE who = 'user {n % 5}';"
            for n in range(60)
        )
        deleted = "DELETE FROM history.visits WHERE who = 'user 3' AND at = 3;"
        for statements in (*MADE, written, deleted):
            result = first.query(statements)
            assert result.returncode == 0, result.stdout
        before = rows(first)
        pods.save(first, "history-0")
        alone = pods.look_after()
        assert alone.returncode == 1
        assert "1 of 2 nodes are saved: history-0" in alone.stdout
        pods.save(second, "history-1")
        both = pods.look_after()
        assert both.returncode == 0, both.stdout
        assert "2 of 2 nodes are saved: history-0 history-1" in both.stdout
        assert pods.look_after(MAXIMUM_AGE="0").returncode == 1
        held = s3.contents()
        for text in ("visits", "user 3", "Data.db", "schema.cql"):
            assert text.encode() not in held, text
        # What Cassandra leaves behind goes with the nodes.
        assert not [*first.data.glob("history/*/snapshots/saved"), *second.data.glob("history/*/snapshots/saved")]

    (tmp_path / "later").mkdir()
    pods = Pods(s3, tmp_path / "later", 1)
    with cassandra_ring(list(pods.tree.components["history"]), size=1) as [node]:
        applied = node.apply_schema()
        assert applied.returncode == 0, applied.stdout
        output = pods.restore(node, node.storage)
        assert rows(node) == before
        assert re.search("restored .*visits", output)
        # It is a whole ring again, and a second restore gives the same.
        later = "UPDATE history.counted SET times = times + 1 WHERE who = 'x'"
        changed = node.query(f"DELETE FROM history.visits WHERE who = 'user 1'; {later}")
        assert changed.returncode == 0, changed.stdout
        assert rows(node) != before
        pods.restore(node, node.storage)
        assert rows(node) == before

"""The definitions of a broker are saved to a real S3 server, and a new one gets them, by the scripts as they stand."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rabbitmq_node import PASSWORD, Amqp, Node, prepare, rabbitmq_node
from running import run, variables
from s3_server import Saves, s3_server
from s3_server import Server as S3Server
from synthesized import Manifest, Synthesized
from systems import empty

from constructs_lib import RabbitMQ, S3Bucket, synthesize

#: What somebody makes at a broker, as the management API has it.
MADE = {
    "exchanges/%2F/orders": {"type": "topic", "durable": True},
    "queues/%2F/mail": {"durable": True, "arguments": {"x-queue-type": "quorum"}},
}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def tree() -> Synthesized:
    """A system with a broker of one node, whose definitions are saved."""
    bucket = S3Bucket(endpoint="https://s3.example.com", bucket="saves", region="fra1")
    system = empty("test", "external-secrets", backups=bucket)
    RabbitMQ(system, "rabbitmq", image="rabbitmq:4.1.0-management", user="user", storage="1Gi")
    return Synthesized("test", synthesize(system).files)


@pytest.fixture(scope="module")
def node(tree: Synthesized) -> Iterator[Node]:
    """A node of it."""
    with rabbitmq_node(tree) as node:
        yield node


class Pods:
    """The pods that save the definitions of a node and restore them."""

    def __init__(self, node: Node, s3: S3Server, folder: Path, tree: Synthesized) -> None:
        """Make a bucket, and what the pods mount."""
        self.node = node
        self.folder = folder
        self.saves = Saves(s3, folder / "saves")
        self.bucket = f"saves-{len(list(s3.buckets.iterdir()))}"
        (s3.buckets / self.bucket).mkdir()
        pods = {pod.name: pod for pod in tree.pods("rabbitmq", ["CronJob"])}
        self.saving, self.restoring = pods["rabbitmq-backup"], pods["rabbitmq-restore"]
        self.definitions = folder / "saved" / "definitions.json"
        self.definitions.parent.mkdir()

    def script(self, container: Manifest, **others: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a script of RabbitMQ's image at the node."""
        names = {"NODES": self.node.name, **others}
        # The node here has a short name.
        shell, option, text = container["command"]
        command = [shell, option, text.replace("--longnames ", "")]
        return run(command, {**self.node.environment, **variables(container, **names), **self._path})

    @property
    def _path(self) -> dict[str, str]:
        return {"PATH": f"{self.saves.programs}:{self.node.environment['PATH']}"}

    def repository(self, **others: str | Path) -> dict[str, str | Path]:
        """Return what a container that calls the bucket has of its own here."""
        save = self.saving.container("save")
        repository = self.saves.environment(save)["RESTIC_REPOSITORY"]
        return {"RESTIC_REPOSITORY": repository.replace("/saves/", f"/{self.bucket}/"), **others}

    def save(self) -> None:
        """Run the pod that saves."""
        prepare(self.node.folders, self.saving.container("prepare"))
        written = self.script(self.saving.container("write"), DEFINITIONS=self.definitions)
        assert written.returncode == 0, written.stdout
        assert f"wrote the definitions of {self.node.name}" in written.stdout
        assert variables(self.saving.container("save"))["SAVED"] == "/saved/definitions.json"
        sent = self.saves.run(self.saving.container("save"), SAVED=self.definitions, **self.repository())
        assert sent.returncode == 0, sent.stdout

    def restore(self) -> None:
        """Run the pod that restores."""
        fetched = self.folder / "fetched"
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir()
        prepare(self.node.folders, self.restoring.container("prepare"))
        result = self.saves.run(self.restoring.container("fetch"), **self.repository(FETCHED=fetched))
        assert result.returncode == 0, result.stdout
        declared = self.node.folders["definitions"] / "definitions.json"
        result = self.script(self.restoring.container("restore"), FETCHED=fetched, DECLARED=declared)
        assert result.returncode == 0, result.stdout


def definitions(node: Node) -> dict[str, Any]:
    """Return all definitions, in an order of their own."""
    found = json.loads(node.command_line("rabbitmqctl", "--quiet", "export_definitions", "-"))
    # The salt is new whenever the users are declared.
    for user in found["users"]:
        del user["password_hash"]
    return {key: sorted(value, key=json.dumps) if isinstance(value, list) else value for key, value in found.items()}


def make(node: Node) -> None:
    """Make some definitions, and a user whom nobody declares."""
    for path, body in MADE.items():
        node.request(path, "PUT", body)
    node.request("bindings/%2F/e/orders/q/mail", "POST", {"routing_key": "orders.*"})
    policy = ("short", "^mail$", '{"max-length": 10}', "--apply-to", "queues")
    node.command_line("rabbitmqctl", "--quiet", "set_policy", *policy)
    node.command_line("rabbitmqctl", "--quiet", "add_user", "guest-of-a-day", "secret of a day")
    node.command_line("rabbitmqctl", "--quiet", "set_permissions", "guest-of-a-day", "", "", "^mail$")


@pytest.fixture
def pods(node: Node, s3: S3Server, tmp_path: Path, tree: Synthesized) -> Pods:
    return Pods(node, s3, tmp_path, tree)


def test_saved_destroyed_and_restored(node: Node, pods: Pods, s3: S3Server) -> None:
    """All volumes are lost, and a new node comes up; since the save, the password of the declared user has changed."""
    make(node)
    before = definitions(node)
    pods.save()
    held = s3.contents()
    for text in ("definitions", "orders", "guest-of-a-day", "password_hash", PASSWORD):
        assert text.encode() not in held, text

    node.kill()
    shutil.rmtree(node.folders["home"] / "mnesia")
    node.set_password("another since then")
    node.start()
    assert definitions(node)["queues"] == []
    node.request("queues/%2F/later", "PUT", {"durable": True})
    pods.restore()
    after = definitions(node)
    assert {queue["name"] for queue in after["queues"]} == {"later", "mail"}
    after["queues"] = [queue for queue in after["queues"] if queue["name"] != "later"]
    assert after == before
    # What was published before is gone; what is published now arrives as before.
    message = {"properties": {}, "routing_key": "orders.new", "payload": "Dear Ada", "payload_encoding": "string"}
    assert node.request("exchanges/%2F/orders/publish", "POST", message) == {"routed": True}
    for user, password in ((node.user, node.password), ("guest-of-a-day", "secret of a day")):
        with Amqp(node.amqp) as client:
            client.log_in(user, password)
    pods.restore()
    assert definitions(node)["bindings"] == before["bindings"]


def test_no_node_runs(pods: Pods) -> None:
    """It is no save, and no half of one is left."""
    nobody = "nobody@localhost"
    result = pods.script(pods.saving.container("write"), DEFINITIONS=pods.definitions, NODES=nobody)
    assert result.returncode == 1
    assert f"none of {nobody} told its definitions" in result.stdout
    assert not pods.definitions.exists()
    result = pods.script(pods.restoring.container("restore"), NODES=nobody, FETCHED=pods.folder)
    assert result.returncode == 1
    assert f"none of {nobody} runs" in result.stdout


def test_one_of_the_nodes_is_enough_to_save_and_all_are_needed_to_restore(node: Node, pods: Pods) -> None:
    """RabbitMQ would import everything but the queues, and say nothing."""
    nodes = f"nobody@localhost {node.name}"
    result = pods.script(pods.saving.container("write"), DEFINITIONS=pods.definitions, NODES=nodes)
    assert result.returncode == 0, result.stdout
    before = definitions(node)
    changed = json.loads(pods.definitions.read_text()) | {"users": [], "permissions": []}
    changed["exchanges"] = [{"name": "new", "vhost": "/", "type": "topic", "durable": True, "auto_delete": False}]
    pods.definitions.write_text(json.dumps(changed))
    result = pods.script(
        pods.restoring.container("restore"), NODES=nodes, FETCHED=pods.definitions.parent, PATIENCE="1"
    )
    assert result.returncode == 1
    assert f"not all of {nodes} run: nothing was restored" in result.stdout
    assert definitions(node) == before

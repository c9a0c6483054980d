"""What the generated configuration and the init container promise of a real RabbitMQ node."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from rabbitmq_node import LEFT_OUT, PASSWORD, Amqp, Node, RefusedError, prepare, rabbitmq_node
from running import PATIENCE, listens
from synthesized import Synthesized

from constructs_lib.kinds.parts.pods import script


@pytest.fixture(scope="module")
def node(trees: dict[str, Synthesized]) -> Iterator[Node]:
    """A running node, at which all clients log in as one user."""
    with rabbitmq_node(trees["local"]) as node:
        yield node


def test_what_is_left_out_is_in_the_configuration(node: Node) -> None:
    """The list of exceptions holds nothing that the generator no longer writes."""
    assert set(LEFT_OUT) <= {line.partition(" = ")[0] for line in node.generated.splitlines()}


def test_starts_with_the_generated_files(node: Node) -> None:
    """With its plugins, its limit of memory, its log on the console and in no file, and the mechanisms it offers."""
    output = node.log.read_text()
    plugins = set(re.findall(r"[a-z_]{3,}[a-z0-9_]*", node.plugins))
    assert len(plugins) == 3
    assert plugins <= set(re.findall(r"\* (\w+)", output))
    (limit,) = re.findall(r"vm_memory_high_watermark\.absolute = (\d+)", node.generated)
    assert f"({limit} bytes)" in output
    assert [path for path in node.folders["logs"].iterdir() if path.stat().st_size] == []
    with Amqp(node.amqp) as client:
        assert client.mechanisms == {"PLAIN", "AMQPLAIN"}


def test_user_logs_in(node: Node) -> None:
    """Over AMQP and at the management API, with a password of quotes, backslashes and worse."""
    with Amqp(node.amqp) as client:
        client.log_in(node.user, node.password)
    assert node.request("whoami")["name"] == node.user


@pytest.mark.parametrize(("user", "password"), [("user", "wrong"), ("guest", "guest"), ("", "")])
def test_nobody_else_logs_in(node: Node, user: str, password: str) -> None:
    """Not even from the same machine, where ``guest`` would be let in if there were one."""
    with Amqp(node.amqp) as client, pytest.raises(RefusedError, match="403"):
        client.log_in(user, password)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        node.request("whoami", login=(user, password))


def test_there_is_one_user(node: Node) -> None:
    """No ``guest``, no administrator; the one user may do everything in the one virtual host."""
    definitions = json.loads(node.command_line("rabbitmqctl", "--quiet", "export_definitions", "-"))
    assert [(user["name"], user["tags"]) for user in definitions["users"]] == [(node.user, ["management"])]
    assert [vhost["name"] for vhost in definitions["vhosts"]] == ["/"]
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    assert definitions["permissions"] == [{"user": node.user, "vhost": "/", **everything}]


def test_user_may_configure_write_and_read(node: Node) -> None:
    """What the services do: declare queues, publish and consume."""
    node.request("queues/%2F/letters", "PUT", {"durable": True})
    message = {"properties": {}, "routing_key": "letters", "payload": "Dear Ada", "payload_encoding": "string"}
    assert node.request("exchanges/%2F/amq.default/publish", "POST", message) == {"routed": True}
    take = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
    (letter,) = node.request("queues/%2F/letters/get", "POST", take)
    assert letter["payload"] == "Dear Ada"


@pytest.mark.parametrize("path", ["/metrics", "/metrics/per-object"])
def test_metrics(node: Node, path: str) -> None:
    """Prometheus needs no login, for the sums and for what belongs to each queue."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.metrics}{path}", timeout=PATIENCE) as response:
        assert "rabbitmq_connections" in response.read().decode()


def test_files_are_the_nodes_own(node: Node) -> None:
    """Nobody else may read the cookie and the password; Erlang refuses a cookie that others may read."""
    cookie = node.folders["home"] / ".erlang.cookie"
    assert cookie.read_text() == "cookie-of-this-node"
    assert cookie.stat().st_mode & 0o777 == 0o600
    assert (node.folders["definitions"] / "definitions.json").stat().st_mode & 0o077 == 0


def test_liveness_probe(node: Node) -> None:
    """Its command ends well while the node runs."""
    node.command_line(*node.container["livenessProbe"]["exec"]["command"])


def test_drains_before_it_stops(node: Node) -> None:
    """Its last command ends soon where nobody has to be waited for, and leaves no client connected."""
    try:
        node.command_line(*node.container["lifecycle"]["preStop"]["exec"]["command"])
        assert not listens(node.amqp)
    finally:
        node.command_line("rabbitmq-upgrade", "--quiet", "revive")
    assert listens(node.amqp)


def test_changed_password_holds_after_a_restart(node: Node) -> None:
    """Even after one that nobody prepared for; the old password is no longer good, and the queues are still there."""
    old = node.password
    node.request("queues/%2F/kept", "PUT", {"durable": True})
    # The log of the last two seconds is only in memory.
    node.command_line("rabbitmqctl", "eval", "mnesia:sync_log().")
    node.kill()
    node.set_password('another "\\"\\\\" one')
    node.start()
    with Amqp(node.amqp) as client:
        client.log_in(node.user, node.password)
    with Amqp(node.amqp) as client, pytest.raises(RefusedError, match="403"):
        client.log_in(node.user, old)
    assert node.request("queues/%2F/kept")["durable"] is True
    with Amqp(node.amqp) as client, pytest.raises(RefusedError, match="403"):
        client.log_in("guest", "guest")


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (PASSWORD, PASSWORD),
        ("ends with a line break\n", "ends with a line break"),
        ('\\"', '\\"'),
        ("\\\\u0041\\n\\", "\\\\u0041\\n\\"),
        ("$(id) ${HOME} `id` $PATH", "$(id) ${HOME} `id` $PATH"),
        ("&/|#; {}[]", "&/|#; {}[]"),
    ],
)
def test_definitions_hold_any_password(
    tmp_path: Path, trees: dict[str, Synthesized], content: str, password: str
) -> None:
    """The file is JSON whatever the password is made of, and is written anew when the pod starts again."""
    folders = {name: tmp_path / name for name in ("home", "definitions", "secrets", "users")}
    for folder in folders.values():
        folder.mkdir()
    (folders["secrets"] / "erlang-cookie").write_text("cookie")
    (pod,) = trees["local"].pods("rabbitmq", ["StatefulSet"])
    (container,) = pod.spec["initContainers"]
    assert container["command"][2] == script("rabbitmq", "definitions.sh") + script("rabbitmq", "prepare.sh")
    for name, text in trees["local"].the("ConfigMap", "rabbitmq", "rabbitmq-users")["data"].items():
        (folders["users"] / name).write_text(text)
    for text in ("before", content):
        (folders["secrets"] / "password").write_text(text)
        prepare(folders, container)
    definitions = json.loads((folders["definitions"] / "definitions.json").read_text())
    assert definitions["users"] == [{"name": "user", "password": password, "tags": "management"}]
    assert (folders["home"] / ".erlang.cookie").stat().st_mode & 0o777 == 0o600

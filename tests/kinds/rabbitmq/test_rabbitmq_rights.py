"""What each client of PositionPal's production may do at a real broker: what it declares, and nothing else.

The programs' own calls are here: which exchanges and queues they declare, bind, publish to and consume from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
from rabbitmq_node import Amqp, Node, RefusedError, password_of, rabbitmq_node
from running import PATIENCE, free_port, start, variables, wait_for
from synthesized import Synthesized

from constructs_lib import Queue
from constructs_lib.kinds.rabbitmq.permissions import permissions

UPDATES, PUSH = "group_updates_exchange", "push-notifications"
CLIENTS = ["chat-service", "location-service", "notification-service", "user-service"]
CHAT, LOCATION = "group_updates_chat_service", "group_updates_location_service"
NOTIFICATION = f"{UPDATES}_notification_service"


@pytest.fixture(scope="module")
def node(trees: dict[str, Synthesized]) -> Iterator[Node]:
    """A running node with the users that the Job has made."""
    with rabbitmq_node(trees["production"]) as node:
        node.set_users({**files(node), "users": "", "permissions.json": "[]"})
        node.set_users(trees["production"].the("ConfigMap", "rabbitmq", "rabbitmq-users")["data"])
        result = node.make_users()
        assert result.returncode == 0, result.stdout
        yield node


def files(node: Node) -> dict[str, str]:
    """Return what the node is told about users."""
    return {path.name: path.read_text() for path in node.folders["users"].iterdir()}


@pytest.fixture
def logged_in(node: Node) -> Iterator[Callable[[str], Amqp]]:
    """What logs a client in, for the length of a test."""
    clients: list[Amqp] = []

    def log_in(name: str) -> Amqp:
        client = Amqp(node.amqp)
        clients.append(client)
        client.log_in(name, password_of(name))
        return client

    yield log_in
    for client in clients:
        client.socket.close()


def users(node: Node) -> dict[str, str]:
    """Return the users, each with its tags."""
    definitions = json.loads(node.command_line("rabbitmqctl", "--quiet", "export_definitions", "-"))
    return {user["name"]: ",".join(user["tags"]) for user in definitions["users"]}


def test_each_client_has_a_user(node: Node) -> None:
    """By its name, without a tag: none may use the management API."""
    assert users(node) == {**dict.fromkeys(CLIENTS, ""), "administrator": "administrator"}


def test_programs_do_what_they_do(node: Node, logged_in: Callable[[str], Amqp]) -> None:
    """Whoever comes first declares the exchange; each binds its own queue, and gets what is published."""
    chat, location, notification, user = map(logged_in, CLIENTS)
    chat.declare_queue(CHAT)
    chat.declare_exchange(UPDATES)
    chat.bind(CHAT, UPDATES)
    location.declare_exchange(UPDATES)
    location.declare_queue(LOCATION)
    location.bind(LOCATION, UPDATES)
    location.declare_exchange(PUSH)
    for exchange in (UPDATES, PUSH):
        notification.declare_exchange(exchange)
        notification.declare_queue(f"{exchange}_notification_service")
        notification.bind(f"{exchange}_notification_service", exchange)
    user.declare_exchange(UPDATES)
    user.confirm(UPDATES, "Ada has joined")
    location.confirm(PUSH, "Ada is here")
    assert chat.get(CHAT) == location.get(LOCATION) == notification.get(NOTIFICATION) == "Ada has joined"
    assert notification.get(f"{PUSH}_notification_service") == "Ada is here"
    for client, queue in ((chat, CHAT), (location, LOCATION), (notification, NOTIFICATION)):
        client.consume(queue)


@pytest.mark.parametrize(
    ("client", "call"),
    [
        ("user-service", lambda user: user.declare_queue("more")),
        ("user-service", lambda user: user.declare_queue("")),
        ("user-service", lambda user: user.declare_exchange("more")),
        ("user-service", lambda user: user.declare_exchange(f"{UPDATES}_more")),
        ("user-service", lambda user: user.declare_exchange(f"more_{UPDATES}")),
        ("user-service", lambda user: user.get(CHAT)),
        ("user-service", lambda user: user.consume(CHAT)),
        ("user-service", lambda user: user.purge(CHAT)),
        ("user-service", lambda user: user.bind(CHAT, UPDATES)),
        ("user-service", lambda user: user.confirm(PUSH)),
        ("user-service", lambda user: user.confirm("")),
        ("user-service", lambda user: user.confirm("amq.fanout")),
        ("chat-service", lambda chat: chat.confirm(UPDATES)),
        ("chat-service", lambda chat: chat.confirm("")),
        ("chat-service", lambda chat: chat.consume(LOCATION)),
        ("chat-service", lambda chat: chat.bind(CHAT, PUSH)),
        ("chat-service", lambda chat: chat.bind(LOCATION, UPDATES)),
        ("chat-service", lambda chat: chat.delete_exchange(PUSH)),
        ("location-service", lambda location: location.bind(LOCATION, PUSH)),
        ("location-service", lambda location: location.declare_queue("pushXnotifications")),
        ("notification-service", lambda notification: notification.confirm(PUSH)),
        ("notification-service", lambda notification: notification.declare_exchange("pushXnotifications")),
    ],
)
def test_nothing_else_is_permitted(
    logged_in: Callable[[str], Amqp], client: str, call: Callable[[Amqp], object]
) -> None:
    """Neither at the exchanges and queues of others, nor at new ones, nor past an exchange straight to a queue."""
    with pytest.raises(RefusedError, match=r"403.*ACCESS_REFUSED"):
        call(logged_in(client))


def test_queue_that_the_broker_names(node: Node, logged_in: Callable[[str], Amqp]) -> None:
    """Its client may do with it what it may do with one that has a name."""
    before = files(node)
    rights = {"user": "chat-service", "vhost": "/", **permissions([], [Queue(exchange=UPDATES)])}
    others = [each for each in json.loads(before["permissions.json"]) if each["user"] != "chat-service"]
    node.set_users({**before, "permissions.json": json.dumps([*others, rights])})
    assert node.make_users().returncode == 0
    chat = logged_in("chat-service")
    queue = chat.declare_queue("")
    assert queue.startswith("amq.gen-")
    chat.bind(queue, UPDATES)
    logged_in("user-service").confirm(UPDATES, "hello")
    assert chat.get(queue) == "hello"
    with pytest.raises(RefusedError, match="403"):
        chat.declare_queue(CHAT)
    node.set_users(before)
    assert node.make_users().returncode == 0


def test_changed_password_takes_the_place_of_the_old_one(node: Node) -> None:
    """The next run of the Job puts a new value of the store in place, and no broker restarts."""
    file = node.folders["secrets"] / node.clients["user-service"]
    before = file.read_text()
    file.write_text('another "\\\\" one')
    result = node.make_users()
    assert result.returncode == 0, result.stdout
    assert before not in result.stdout
    with Amqp(node.amqp) as client:
        client.log_in("user-service", file.read_text())
    with Amqp(node.amqp) as client, pytest.raises(RefusedError, match="403"):
        client.log_in("user-service", before)
    file.write_text(before)
    assert node.make_users().returncode == 0


def test_whoever_is_no_client_any_more_has_no_user(node: Node, logged_in: Callable[[str], Amqp]) -> None:
    """One that is not connected is removed at once. Another one goes on, logs in no more, and is removed later."""
    for name in ("gone", "old one/%2F"):
        node.command_line("rabbitmqctl", "--quiet", "add_user", name, password_of(name))
        node.command_line("rabbitmqctl", "--quiet", "set_permissions", name, ".*", ".*", ".*")
    old = logged_in("old one/%2F")
    old.declare_queue("kept")

    def is_connected() -> bool:
        return any(each["user"] == "old one/%2F" for each in node.request("connections"))

    wait_for(is_connected, "the connection in the management API")
    result = node.make_users()
    assert result.returncode == 0, result.stdout
    assert "gone is no client any more: it is removed" in result.stdout
    assert "old one/%2F is no client any more, and still connected" in result.stdout
    old.purge("kept")
    with Amqp(node.amqp) as client, pytest.raises(RefusedError, match="403"):
        client.log_in("old one/%2F", password_of("old one/%2F"))
    assert {*users(node)} == {*CLIENTS, "administrator", "old one/%2F"}
    old.socket.close()
    wait_for(lambda: not is_connected(), "the end of the connection")
    assert node.make_users().returncode == 0
    assert {*users(node)} == {*CLIENTS, "administrator"}


def test_second_run_changes_nothing(node: Node) -> None:
    def exported() -> list[str]:
        definitions = json.loads(node.command_line("rabbitmqctl", "--quiet", "export_definitions", "-"))
        kinds = ("permissions", "exchanges", "queues", "bindings")
        return sorted(json.dumps(each, sort_keys=True) for kind in kinds for each in definitions[kind])

    before = exported()
    result = node.make_users()
    assert result.returncode == 0, result.stdout
    assert exported() == before
    assert "removed" not in result.stdout


def test_no_password_fails_the_job(node: Node) -> None:
    """Or else a user could log in with none."""
    file = node.folders["secrets"] / node.clients["user-service"]
    before = file.read_text()
    file.write_text("")
    result = node.make_users()
    assert result.returncode != 0
    assert f"there is no password in {file}" in result.stdout
    file.write_text(before)
    with Amqp(node.amqp) as client:
        client.log_in("user-service", before)


def test_users_are_there_after_a_volume_is_lost(node: Node) -> None:
    """A broker that starts anew makes them itself: the Job runs only when clients change."""
    definitions = json.loads((node.folders["definitions"] / "definitions.json").read_text())
    assert [each["name"] for each in definitions["users"]] == ["administrator", *CLIENTS]
    assert {each["user"] for each in definitions["permissions"]} == {"administrator", *CLIENTS}


def test_waits_for_a_broker_that_comes_up_late(node: Node, trees: dict[str, Synthesized]) -> None:
    """It says for whom it waits, and ends on a signal."""
    job = node.job
    assert job is not None
    shell, option, text = job["command"]
    port = str(free_port())
    folders = {"SECRETS": node.folders["secrets"], "USERS": node.folders["users"]}
    environment = variables(job, HOST="127.0.0.1", PORT=port, **folders)
    with start([shell, option, text.replace("/tmp/", f"{node.folders['tmp']}/")], environment) as process:
        assert process.stdout is not None
        seen = ""
        while f"waiting for 127.0.0.1:{port}" not in seen:
            seen += process.stdout.readline()
        process.terminate()
        assert process.wait(PATIENCE) == 143


def test_patterns_are_of_whole_names() -> None:
    """Whatever a name is made of."""
    found = permissions(["a.b", "c|d"], [Queue("q*", exchange="(e)"), Queue("plain"), Queue()])
    for right, names, others in (
        ("configure", ["a.b", "c|d", "q*", "(e)", "plain", "amq.gen-x"], ["aXb", "c", "d", "q", "e", "amq.generous"]),
        ("write", ["a.b", "c|d", "q*"], ["(e)", "plain", "amq.gen-x", ""]),
        ("read", ["q*", "(e)", "plain", "amq.gen-x"], ["a.b", "c|d", ""]),
    ):
        assert all(re.search(found[right], name) for name in names)
        assert not any(re.search(found[right], name) for name in others)
    assert permissions([], []) == {"configure": "^$", "write": "^$", "read": "^$"}

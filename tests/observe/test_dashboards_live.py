"""What dashboards and rules ask for is there: real programs under traffic, and the real Prometheus that is asked.

A program on Node.js runs with the very variables that the library writes into its container; RabbitMQ and PostgreSQL
run with their exporters, and node-exporter measures this machine. They are scraped by the library's PodMonitors, and
the library's rules are evaluated. What gave data is the evidence that ``docs/observability.md`` tells of:

    WRITE_EVIDENCE=1 pytest tests/observe/test_dashboards_live.py

writes ``constructs_lib/observe/evidence/programs.yaml`` anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import traffic
from asking import Asked
from processes import (
    NodeProgram,
    fetch,
    installed,
    node_program,
    postgres_exporter,
    postgres_server,
    prometheus,
    rabbitmq_node,
    running,
    variables_of,
)
from rabbitmq_node import Amqp
from running import free_port
from scraping import Pod, scrape_configs
from synthesized import Synthesized
from systems import monitored

from constructs_lib import (
    Http,
    Jvm,
    Microservice,
    Nodejs,
    Postgres,
    RabbitMQ,
    System,
)
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.manifests import component_manifests
from constructs_lib.observe import catalogue

#: Debian's postgres_exporter is older than the one that the library pins, and cannot count rows by itself. The names
#: and labels are those of version 0.19.1.
TABLES = """\
pg_stat_user_tables:
  query: >-
    select current_database() as datname, schemaname, relname, n_live_tup, n_dead_tup, n_tup_ins, n_tup_upd, n_tup_del
    from pg_stat_user_tables
  metrics:
    - datname: {usage: LABEL, description: database}
    - schemaname: {usage: LABEL, description: schema}
    - relname: {usage: LABEL, description: table}
    - n_live_tup: {usage: GAUGE, description: rows}
    - n_dead_tup: {usage: GAUGE, description: rows that are gone}
    - n_tup_ins: {usage: COUNTER, description: rows inserted}
    - n_tup_upd: {usage: COUNTER, description: rows updated}
    - n_tup_del: {usage: COUNTER, description: rows deleted}
"""
#: Panels that show failures: nothing or zero while all is well, more than that when it is not.
ERRORS = (
    "microservice/http-errors",
    "microservice/grpc-errors",
    "microservice/called-http-errors",
    "microservice/called-grpc-errors",
    "microservice/caller-errors",
    "microservice/burning",
    "system/microservice",
)
#: Alerts that would fire if this went on.
TRUE = (
    "AvailabilityBurningFast",
    "PostgresDeadlocks",
    "RabbitMQConsumersMissing",
    "RabbitMQMessagesUnconsumed",
    "RabbitMQMessagesUnroutable",
    "RabbitMQQueueGrowing",
)
#: Messages in each round for the queue that nobody consumes: in all more than the thousand of `RabbitMQQueueGrowing`.
MANY = 400


def shop() -> System:
    """Declare a system with one of each kind that can run here."""
    system = monitored("test", nodes=1)
    broker = RabbitMQ(system, "rabbitmq", image="rabbitmq:4.1.0-management", user="user", storage="1Gi")
    stock = Microservice(
        system,
        "stock",
        image="example/stock:1.0.0",
        ports={"http": 8080, "grpc": 5052},
        telemetry=Nodejs(),
    )
    orders = Microservice(
        system,
        "orders",
        image="example/orders:1.0.0",
        ports={"http": 3000, "grpc": 5052},
        exposed="http",
        env={"PORT": "3000", "GRPC_PORT": "5052"},
        telemetry=Nodejs(),
        readiness=Http("/ok", "http"),
        publishes=["events"],
        consumes=sorted(traffic.QUEUES.values()),
    )
    chat = Microservice(
        system,
        "chat",
        image="example/chat:1.0.0",
        ports={"http": 8080, "grpc": 5052},
        telemetry=Jvm(sees_requests=False),
    )
    database = Postgres(orders, "database", image="postgres:18.6", database="shop", user="user", storage="1Gi")
    orders.needs(database.endpoint("sql"))
    orders.needs(broker.endpoint("amqp"))
    orders.needs(stock.endpoint("http"))
    orders.needs(stock.endpoint("grpc"))
    # By this name the program calls itself: what a caller's agent tells of a service is the same, whoever answers.
    orders.needs(chat.endpoint("http"), {"CALLED": "host"})
    orders.needs(chat.endpoint("grpc"))
    return system


@dataclass(frozen=True, kw_only=True)
class Live(Asked):
    """Everything that runs.

    Attributes:
        program: The program on Node.js.
        calm: When nothing had failed yet.
    """

    program: NodeProgram
    calm: float


@contextmanager
def node_exporter() -> Iterator[str]:
    """Run node-exporter, and yield where its metrics are."""
    address = f"127.0.0.1:{free_port()}"
    program = installed("prometheus-node-exporter")
    port = int(address.rpartition(":")[2])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(_folder()))
        stack.enter_context(
            running([program, f"--web.listen-address={address}"], {"PATH": os.environ["PATH"]}, folder / "log", port)
        )
        yield address


@contextmanager
def _folder() -> Iterator[str]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="live-") as name:
        yield name


@pytest.fixture(scope="module")
def live(trees: Mapping[str, Synthesized]) -> Iterator[Live]:
    """Run all of it, first without a failure and then with some."""
    system = shop()
    graph = Graph(system)
    manifests = {component.id: component_manifests(component, graph) for component in system.components}
    monitoring = manifests["monitoring"]
    with ExitStack() as stack:
        told = variables_of(manifests["orders"], "orders")
        program = stack.enter_context(node_program(told))
        node = stack.enter_context(rabbitmq_node(trees["local"]))
        database = stack.enter_context(postgres_server("password"))
        traffic.postgres(database)
        queries = Path(stack.enter_context(_folder())) / "queries.yaml"
        queries.write_text(TABLES)
        exporter = stack.enter_context(
            postgres_exporter(database, "shop", arguments=[f"--extend.query-path={queries}"])
        )
        machine = stack.enter_context(node_exporter())
        pods = [
            _pod("orders", "orders", {"otel-metrics": program.metrics_address}),
            _pod("orders", "orders-database", {"metrics": exporter.metrics_address}, container="exporter"),
            _pod("rabbitmq", "rabbitmq", {"metrics": f"127.0.0.1:{node.metrics}"}),
        ]
        monitors = [manifest for manifest in monitoring if manifest["kind"] == "PodMonitor"]
        configs = [config for monitor in monitors for config in scrape_configs(monitor, pods)]
        own = {"namespace": "monitoring", "pod": "node-exporter-1", "container": "node-exporter"}
        configs.append({"job_name": "node-exporter", "static_configs": [{"targets": [machine], "labels": own}]})
        rules = [manifest["spec"] for manifest in monitoring if manifest["kind"] == "PrometheusRule"]
        server = stack.enter_context(prometheus(configs, rules))
        # It looks for targets every 5 seconds, and a rate needs a scrape before the traffic.
        server.wait_for(f"count(up == 1) == {len(pods) + 1}")
        stack.enter_context(traffic.rabbitmq(node))
        # Nobody says that it is consumed.
        node.request("queues/%2F/forgotten", "PUT", {"durable": True})
        node.request("bindings/%2F/e/events/q/forgotten", "POST", {"arguments": {"x-match": "all", "kind": "created"}})
        client = stack.enter_context(Amqp(node.amqp))
        client.log_in(node.user, node.password)
        channel = client.open_channel()
        sockets = stack.enter_context(traffic.websockets(program, count=2))
        well = [path for path, answer in traffic.ANSWERS.items() if answer.status == 200]
        for _ in range(3):
            traffic.http(program, well)
            time.sleep(1.1)
        for socket in sockets:
            socket.echo("still there")
        server.wait_for('service:requests:rate5m{service="orders"} > 0')
        time.sleep(1.1)
        calm = time.time()
        for _ in range(3):
            traffic.http(program, [*well, "/fail", "/request?path=fail", *traffic.FAILURES])
            # A tenth of the rows is updated, and tables with few dead rows are not shown.
            traffic.postgres(database, rows=20_000)
            for number in range(5):
                for kind in (*traffic.QUEUES, "unknown"):
                    client.publish(channel, "events", {"kind": kind}, str(number))
            for number in range(MANY):
                client.publish(channel, "events", {"kind": "cancelled"}, str(number))
            time.sleep(6)  # RabbitMQ measures every 5 seconds.
        server.wait_for('service:request_errors:ratio_rate5m{service="orders"} > 0')
        server.wait_for('sum(rate(rabbitmq_channel_messages_published_total{exchange="events"}[1m])) > 0')
        server.wait_for("sum(rate(pg_stat_database_deadlocks[1m])) > 0")
        yield Live(server, graph, absent={"stock"}, called={"chat"}, program=program, calm=calm)


def _pod(namespace: str, name: str, ports: Mapping[str, str], container: str | None = None) -> Pod:
    labels = {"app.kubernetes.io/name": name}
    return Pod(namespace, f"{name}-0", ports, labels, container=container or name)


def test_targets_are_up(live: Live) -> None:
    assert len(live.server.targets()) == 4
    for target in live.server.targets():
        assert target["health"] == "up", target["lastError"]


def test_rules_are_evaluated(live: Live) -> None:
    rules = live.server.rules()
    groups = catalogue.groups(live.graph.system)
    assert len(rules) == sum(len(group.records) + len(group.alerts) for group in groups)
    for rule in rules:
        assert rule["health"] == "ok", (rule["name"], rule.get("lastError"))


def test_every_expression_that_concerns_them_gives_data(live: Live) -> None:
    assert live.silent() == []


def test_failures_move_the_panels_of_failures(live: Live) -> None:
    moved = set()
    for dashboard, panel, expression in live.panels():
        key = f"{dashboard.template}/{panel.id}"
        if key in ERRORS and dashboard.title != "stock" and '"stock"' not in expression:
            before = sum(sample.value for sample in live.ask(dashboard, expression, live.calm))
            after = sum(sample.value for sample in live.ask(dashboard, expression))
            if "request_errors" in expression or "errors" in panel.id:
                assert before == 0 < after, (key, expression, before, after)
                moved.add(key)
    assert moved == set(ERRORS)


def test_what_is_shown_is_what_happened(live: Live) -> None:
    """The numbers behind the panels are those of the traffic, and not just any."""
    server = live.server
    assert server.value('sum(nodejs_websocket_connections{namespace="orders", url_path="/ws/chat"})') == 2
    sent = 3 * sum(answer.status == 200 for answer in traffic.ANSWERS.values())
    # Of another service its callers tell: who did not answer, whose answer came too late, and what share failed.
    called = 'server_address="chat.chat.svc.cluster.local"'
    assert server.value(f'sum(http_client_request_duration_count{{{called}, error_type="Error"}})') >= 3
    late = f'{called}, rpc_response_status_code="DEADLINE_EXCEEDED"'
    assert server.value(f"sum(rpc_client_call_duration_count{{{late}}})") >= 3
    [chat] = server.query('service:requests:rate5m{service="chat"}')
    assert chat.labels["namespace"] == "chat" and chat.value > 0
    # With these an alert fires, once there were some more of them.
    for window in ("1h", "5m"):
        assert server.value(f'service:request_errors:ratio_rate{window}{{service="chat"}}') > 0.072
    # Nothing of a budget was used up, then more than all of it was.
    left = {
        (dashboard.title, panel.id): (live.ask(dashboard, expression, live.calm), live.ask(dashboard, expression))
        for dashboard, panel, expression in live.panels()
        if panel.id == "availability-budget"
    }
    before, after = left["orders", "availability-budget"]
    assert before[0].value == 1 and after[0].value < 0
    counted = 'http_server_request_duration_count{service="orders", http_response_status_code="200"}'
    assert server.value(f"sum({counted})") >= 2 * sent
    assert server.value(f"sum({counted.replace('200', '500')})") >= 3
    assert server.value('max(pg_stat_user_tables_n_live_tup{relname="orders"})') > 0
    assert server.value(f'max(rabbitmq_queue_messages_ready{{queue="{traffic.UNCONSUMED}"}})') > 0
    assert server.value(f'max(rabbitmq_queue_consumers{{queue="{traffic.UNCONSUMED}"}})') == 0
    # Scrapes are no requests, so that what nobody named is not there.
    assert server.query('http_server_request_duration_count{service="orders", http_route=""}') == []
    labels = server.query("target_info")[0].labels
    assert labels["service_name"] == "orders" and labels["service_namespace"] == "shop"
    assert labels["service_version"] == "1.0.0" and labels["deployment_environment_name"] == "test"


def test_program_of_the_pod_is_reached_by_its_port(live: Live) -> None:
    assert fetch(f"http://{live.program.metrics_address}/metrics").status == 200


def test_evidence_is_true(live: Live) -> None:
    for name in TRUE:
        assert live.server.query(live.alerts[name]), name
    live.hold_to("programs", [live.alerts[name] for name in TRUE])

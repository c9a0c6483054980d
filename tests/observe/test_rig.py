"""The rig itself: real programs, scraped as the Prometheus operator would have them scraped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import traffic
from exposition import Sample, by_label, parsed, total
from processes import Prometheus, node_program, postgres_exporter, postgres_server, prometheus, promtool, rabbitmq_node
from scraping import Pod, scrape_configs
from synthesized import Manifest, Synthesized
from test_nodejs_metrics import VARIABLES


def monitor(name: str, endpoint: Manifest, **spec: Any) -> Manifest:
    """Return a PodMonitor for the pods of a component in the namespace of the same name."""
    return {
        "kind": "PodMonitor",
        "metadata": {"namespace": "monitoring", "name": name},
        "spec": {
            "namespaceSelector": {"matchNames": [name]},
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "podMetricsEndpoints": [endpoint],
            **spec,
        },
    }


def pod(name: str, address: str) -> Pod:
    """Return the pod of a component, with its metrics."""
    return Pod(name, f"{name}-0", {"metrics": address}, {"app.kubernetes.io/name": name}, container=name)


RULES = {
    "groups": [
        {
            "name": "shop",
            "rules": [
                {"record": "namespace:up:sum", "expr": "sum by (namespace) (up)"},
                {
                    "alert": "NobodyConsumes",
                    "expr": "rabbitmq_queue_messages_ready > 0 and rabbitmq_queue_consumers == 0",
                    "labels": {"severity": "warning"},
                },
            ],
        }
    ]
}


@pytest.fixture(scope="module")
def server(trees: dict[str, Synthesized]) -> Iterator[Prometheus]:
    """Prometheus, with a program, a RabbitMQ node and a PostgreSQL server that have something to do."""
    with ExitStack() as stack:
        program = stack.enter_context(node_program(VARIABLES))
        node = stack.enter_context(rabbitmq_node(trees["production"]))
        database = stack.enter_context(postgres_server("password"))
        exporter = stack.enter_context(postgres_exporter(database, arguments=["--auto-discover-databases"]))
        monitors = [
            trees["production"].the("PodMonitor", "monitoring", "rabbitmq"),
            monitor(
                "shop",
                {
                    "port": "metrics",
                    "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}],
                    "metricRelabelings": [
                        {"sourceLabels": ["__name__"], "regex": "v8js_.*", "action": "Drop"},
                        {"regex": "otel_scope_.*", "action": "labeldrop"},
                    ],
                },
                podTargetLabels=["app.kubernetes.io/name"],
            ),
            monitor("database", {"port": "metrics", "interval": "30s"}),
        ]
        pods = [
            pod("rabbitmq", f"127.0.0.1:{node.metrics}"),
            pod("shop", program.metrics_address),
            pod("database", exporter.metrics_address),
        ]
        traffic.http(program)
        traffic.postgres(database)
        stack.enter_context(traffic.rabbitmq(node))
        stack.enter_context(traffic.websockets(program, count=2))
        configs = [config for each in monitors for config in scrape_configs(each, pods)]
        yield stack.enter_context(prometheus(configs, [RULES]))


def test_targets_have_the_labels_of_the_operator(server: Prometheus) -> None:
    server.wait_for("sum(up) == 3")
    (shop,) = server.query('up{namespace="shop"}')
    assert re.fullmatch(r"127\.0\.0\.1:\d+", shop.labels["instance"])
    assert {name: value for name, value in shop.labels.items() if name != "instance"} == {
        "namespace": "shop",
        "pod": "shop-0",
        "container": "shop",
        "endpoint": "metrics",
        "job": "monitoring/shop",
        "node": "node-1",
        "app_kubernetes_io_name": "shop",
    }
    (queue,) = server.wait_for('rabbitmq_queue_messages_ready{queue="orders.cancelled"}')
    assert (queue.labels["job"], queue.labels["pod"]) == ("monitoring/rabbitmq", "rabbitmq-0")
    assert {target["health"] for target in server.targets()} == {"up"}


def test_traffic_is_seen(server: Prometheus) -> None:
    for expression in (
        'http_server_request_duration_count{http_route="/orders/:id"} == 1',
        'nodejs_websocket_connections{url_path="/ws/chat"} == 2',
        'rabbitmq_queue_consumers{queue="orders.created"} == 1',
        'rabbitmq_queue_messages_ready{queue="orders.cancelled"} == 10',
        'pg_stat_database_deadlocks{datname="shop"} == 1',
        'pg_stat_database_xact_rollback{datname="shop"} > 0',
        'pg_database_size_bytes{datname="shop"} > 0',
    ):
        assert server.wait_for(expression), expression


def test_metrics_are_relabelled(server: Prometheus) -> None:
    server.wait_for("nodejs_eventloop_utilization")
    assert server.query('{__name__=~"v8js_.*"}') == server.query('{namespace="shop", otel_scope_name!=""}') == []


def test_rules_are_evaluated(server: Prometheus) -> None:
    server.wait_for('ALERTS{alertname="NobodyConsumes", queue="orders.cancelled", alertstate="firing"}')
    assert server.wait_for("namespace:up:sum == 1")
    assert [(rule["name"], rule["health"]) for rule in server.rules()] == [
        ("namespace:up:sum", "ok"),
        ("NobodyConsumes", "ok"),
    ]
    assert {alert["labels"]["queue"] for alert in server.alerts()} == {"orders.cancelled"}
    assert server.value("1 + 1") == 2
    with pytest.raises(AssertionError, match="parse error"):
        server.query("up{")


def test_promtool(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: a, rules: [{record: b, expr: 'sum('}]}]")
    result = promtool("check", "rules", rules)
    assert result.returncode != 0
    assert "unclosed left parenthesis" in result.stdout


def test_monitor_selects_pods() -> None:
    """By namespaces and by labels; each of its endpoints finds those that have its port."""
    pods = [
        Pod("shop", "a", {"metrics": "127.0.0.1:1", "more": "127.0.0.1:2"}, {"app.kubernetes.io/name": "shop"}),
        Pod("shop", "b", {"metrics": "127.0.0.1:3"}, {"app.kubernetes.io/name": "shop", "role": "replica"}),
        Pod("other", "c", {"metrics": "127.0.0.1:4"}, {"app.kubernetes.io/name": "shop"}),
        Pod("shop", "d", {"metrics": "127.0.0.1:5"}, {"app.kubernetes.io/name": "else"}),
    ]

    def targets(manifest: Manifest) -> list[list[str]]:
        configs = scrape_configs(manifest, pods)
        return [[name for group in config["static_configs"] for name in group["targets"]] for config in configs]

    both = [{"port": "metrics", "path": "/a"}, {"port": "more", "interval": "5s"}]
    selector = {"matchLabels": {"app.kubernetes.io/name": "shop"}}
    assert targets(monitor("shop", {}, podMetricsEndpoints=both)) == [["127.0.0.1:1", "127.0.0.1:3"], ["127.0.0.1:2"]]
    assert targets(monitor("shop", both[0], namespaceSelector={"any": True}, selector={})) == [
        [f"127.0.0.1:{number}" for number in (1, 3, 4, 5)]
    ]
    for operator, expected in {"Exists": ["127.0.0.1:3"], "DoesNotExist": ["127.0.0.1:1"]}.items():
        expressions = [{"key": "role", "operator": operator}]
        manifest = monitor("shop", both[0], selector={**selector, "matchExpressions": expressions})
        assert targets(manifest) == [expected]
    with pytest.raises(AssertionError, match="bearerTokenSecret"):
        targets(monitor("shop", {"port": "metrics", "bearerTokenSecret": {}}))


def test_text_is_read() -> None:
    samples = parsed('# TYPE a counter\na_total{b="c,\\"d\\"\\\\",e="{}"} 2\na_total 1e3\nf{} +Inf 1700000000\n')
    assert samples == [
        Sample("a_total", {"b": 'c,"d"\\', "e": "{}"}, 2),
        Sample("a_total", {}, 1000),
        Sample("f", {}, float("inf")),
    ]
    assert total(samples, "a_total") == 1002
    assert by_label(samples, "a_total", "e") == {("{}",): 2, ("",): 1000}

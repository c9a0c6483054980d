"""Rules are about what is declared: each service, each broker and each promise for itself."""

from __future__ import annotations

from collections.abc import Mapping

from systems import monitored

from constructs_lib import (
    Http,
    Jvm,
    Microservice,
    Nodejs,
    Objective,
    RabbitMQ,
    System,
)
from constructs_lib.derive.graph import Graph
from constructs_lib.observe import catalogue
from constructs_lib.observe.page import pages


def shop() -> System:
    """Declare two brokers and three services that are each measured and probed in another way."""
    system = monitored("laptop")
    orders, events = (
        RabbitMQ(system, name, image="rabbitmq:4.1.0-management", user="user", storage="1Gi", nodes=nodes)
        for name, nodes in (("orders-broker", 1), ("events", 3))
    )
    ports = {"http": 8080}
    image = "example/service:1.0.0"
    web = Microservice(
        system,
        "web",
        image=image,
        ports=ports,
        telemetry=Nodejs(),
        readiness=Http("/health?deep=1", "http"),
        objective=Objective(99, 95, 0.25),
        consumes=["orders.web"],
    )
    audit = Microservice(
        system, "audit", image=image, ports=ports, telemetry=Jvm(), readiness=Http("/", "http"), consumes=["events.all"]
    )
    Microservice(system, "mail", image=image, ports=ports, telemetry=Jvm(), readiness=Http("/ready", "http"))
    web.needs(orders.endpoint("amqp"))
    audit.needs(events.endpoint("amqp"))
    return system


def expressions(system: System) -> Mapping[str, list[str]]:
    """Return the expressions of all rules by their names."""
    Graph(system)
    found: dict[str, list[str]] = {}
    for group in catalogue.groups(system):
        for record in group.records:
            found.setdefault(record.name, []).append(record.expression)
        for alert in group.alerts:
            found.setdefault(alert.name, []).append(alert.expression)
    return found


def test_queue_is_looked_for_where_its_consumer_is_connected() -> None:
    [expression] = expressions(shop())["RabbitMQConsumersMissing"]
    events, orders = expression.split(") or (")
    assert 'namespace="orders-broker"' in orders and 'queue="orders.web"' in orders and ">= 1" in orders
    assert "events" not in orders
    assert 'namespace="events"' in events and 'queue="events.all"' in events and ">= 3" in events
    assert "orders" not in events


def test_probes_of_one_service_are_requests_of_another() -> None:
    [expression] = expressions(shop())["service:requests:rate5m"]
    parts = expression.split(" or ")
    of_web = [part for part in parts if '"web", http' in part]
    assert len(of_web) == 1 and 'http_route!~"(/health)/?"' in of_web[0]
    of_mail = [part for part in parts if '"mail", http' in part]
    assert len(of_mail) == 1 and 'http_route!~"(/ready)/?"' in of_mail[0]
    # A probe of / cannot be told from a person, and a query is no part of a route.
    of_audit = [part for part in parts if "audit" in part]
    assert of_audit and not any("http_route" in part for part in of_audit)
    assert "deep" not in expression


def test_dashboard_counts_what_the_rules_count() -> None:
    system = shop()
    for dashboard in catalogue.dashboards(system, Graph(system).waves):
        if dashboard.title in ("web", "mail"):
            route = {"web": "/health", "mail": "/ready"}[dashboard.title]
            asked = [
                query.expression
                for panel in dashboard.panels()
                for query in panel.queries
                if "http_server" in query.expression
            ]
            assert asked
            assert all(f'http_route!~"({route})/?"' in expression for expression in asked)


def test_each_promise_is_told_apart() -> None:
    system = shop()
    Graph(system)
    alerts = [alert for group in catalogue.groups(system) for alert in group.alerts]
    named = [alert.name for alert in alerts]
    assert len(set(named)) == len(named)
    [fast] = [text for path, text in pages(Graph(system)).items() if path == "runbooks/AvailabilityBurningFast.md"]
    assert "0.144" in fast and "0.072" in fast

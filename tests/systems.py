"""Systems to test with: what many begin with, and shops of any size with what real ones have."""

from __future__ import annotations

import functools
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from constructs_lib import (
    Autoscale,
    Cassandra,
    Environment,
    ExternalSecrets,
    GitRepository,
    InternetHost,
    K3d,
    MetricsServer,
    Microservice,
    Monitoring,
    Postgres,
    RabbitMQ,
    S3Bucket,
    System,
)
from constructs_lib.derive.graph import Graph

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

#: What the services of a large shop are called.
_NAMES = (
    "web-storefront", "customer-identity", "checkout", "basket", "catalogue", "search", "pricing", "promotions",
    "recommendation-engine", "inventory", "orders", "payments", "payment-reconciliation-worker", "invoicing", "tax",
    "shipping", "shipment-tracking-notifications", "returns", "warehouse", "suppliers", "reviews", "wishlist",
    "gift-cards", "loyalty", "fraud-detection", "audit-log", "mail", "push-notifications", "sms", "templates",
)  # fmt: skip


@functools.cache
def positionpal() -> Graph:
    """Return PositionPal in production."""
    app = runpy.run_path(str(ROOT / "app.py"))
    return Graph(app["positionpal"](app["PRODUCTION"]))


def environment(name: str = "staging", *provides: str, nodes: int = 3, backups: S3Bucket | None = None) -> Environment:
    """Return an environment, whose cluster provides some things beside the metrics API, as k3s does."""
    repository = GitRepository("https://github.com/example/shop.git")
    cluster = K3d(kubernetes="1.36", nodes=nodes, provides=("metrics-api", *provides))
    return Environment(name=name, repository=repository, cluster=cluster, backups=backups)


def empty(name: str = "staging", *provides: str, nodes: int = 3, backups: S3Bucket | None = None) -> System:
    """Return a system without anything, in such an environment."""
    return System(environment(name, *provides, nodes=nodes, backups=backups), "shop")


def monitored(name: str = "staging", *provides: str, nodes: int = 3, backups: S3Bucket | None = None) -> System:
    """Return a system with nothing but what monitors it."""
    system = empty(name, *provides, nodes=nodes, backups=backups)
    ExternalSecrets(system, version="2.9.0")
    Monitoring(system, version="88.5.3", storage="2Gi", retention_days=2)
    return system


def shop(components: int) -> System:
    """Return a shop of so many components, with all that a picture can have once there are a dozen."""
    system = empty()
    platform: list[object] = []
    if components >= 5:
        platform.append(ExternalSecrets(system, version="2.9.0"))
    if components >= 12:
        platform.append(MetricsServer(system, version="3.13.1"))
        platform.append(Monitoring(system, version="88.5.3", storage="20Gi", retention_days=7))
        broker = RabbitMQ(system, "events", image="rabbitmq:4.1.0-management", user="shop", storage="5Gi", nodes=3)
        platform.append(broker)
    services: list[Microservice] = []
    count = components - len(platform)
    for number in range(count):
        name = _NAMES[number % len(_NAMES)] + ("" if number < len(_NAMES) else f"-{number // len(_NAMES) + 1}")
        service = Microservice(
            system,
            name,
            namespace=f"shop-{name}" if number % 3 else None,
            image=f"registry.example.com/{name}:1.4.2",
            ports={"http": 8080, "grpc": 9090} if number % 2 == 0 else {"grpc": 9090},
            metrics="grpc" if components >= 12 and number % 4 == 0 else None,
            replicas=Autoscale(2, 6) if components >= 12 and number % 3 == 0 else 1 + number % 3,
            exposed="http" if number == 0 else None,
            internet=[InternetHost("api.payments.example.com")] if name.startswith("payment") else [],
        )
        services.append(service)
        if components >= 5 and number % 5 == 1:
            database = Postgres(
                service, "database", image="postgres:18.6", database="shop", user="shop", storage="10Gi"
            )
            service.needs(database.endpoint("sql"), {"DB_HOST": "host"})
        if components >= 5 and number % 9 == 4:
            ring = Cassandra(
                service, "history", image="cassandra:5.0.4", keyspace="shop", user="shop", nodes=3, storage="50Gi"
            )
            service.needs(ring.endpoint("cql"), {"CASSANDRA": "address"})
        if components >= 12 and number % 4 == 3:
            service.needs(broker.endpoint("amqp"), {"BROKER": "address"})
    for number, service in enumerate(services):
        for target in dict.fromkeys((2 * number + 1, 2 * number + 2, 3 * number + 4)):
            if target < count and target % 7 != 6:
                service.needs(services[target].endpoint("grpc"), {f"SERVICE_{target}": "address"})
        if number % 11 == 7:
            services[number].needs(services[number // 3].endpoint("grpc"), order=False)
    return system


def linked(components: int, edges: Sequence[tuple[int, int, bool]], metrics: Sequence[int] = ()) -> System:
    """Return a system with given edges.

    Args:
        components: How many services there are.
        edges: Numbers of a service and of another one that it needs, and whether that must be healthy first.
        metrics: Numbers of the services that offer metrics.
    """
    system = empty()
    services = [
        Microservice(
            system,
            f"service-{number}",
            image="example/service:1.0.0",
            ports={"http": 8080, "grpc": 9090},
            metrics="http" if number in metrics else None,
        )
        for number in range(components)
    ]
    if metrics:
        ExternalSecrets(system, version="2.9.0")
        Monitoring(system, version="88.5.3", storage="20Gi", retention_days=7)
    for source, target, order in edges:
        services[source].needs(services[target].endpoint("grpc"), order=order)
    return system

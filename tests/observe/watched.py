"""A small system with one of everything that is watched."""

from __future__ import annotations

from systems import monitored

from constructs_lib import (
    Cassandra,
    CertManager,
    CronJob,
    Http,
    Jvm,
    Microservice,
    Nodejs,
    Objective,
    Postgres,
    RabbitMQ,
    S3Bucket,
    System,
    Valkey,
)


def watched() -> System:
    """Declare the system."""
    bucket = S3Bucket(endpoint="https://s3.example.com", bucket="saves", region="fra1")
    system = monitored("test", backups=bucket)
    CertManager(system, version="v1.21.1")
    broker = RabbitMQ(system, "broker", image="rabbitmq:4.1.0-management", user="shop", storage="1Gi", nodes=3)
    database = Postgres(
        system, "database", image="postgres:17.5", database="shop", user="shop", storage="1Gi", namespace="data"
    )
    history = Cassandra(
        system, "history", image="cassandra:5.0.4", keyspace="history", user="shop", storage="1Gi", nodes=2
    )
    orders = Microservice(
        system,
        "orders",
        image="example/orders:1.0.0",
        ports={"http": 8080, "grpc": 5052},
        telemetry=Jvm(),
        publishes=["orders"],
    )
    web = Microservice(
        system,
        "web",
        image="example/web:1.0.0",
        ports={"http": 3000},
        readiness=Http("/health", "http"),
        exposed="http",
        telemetry=Nodejs(),
        objective=Objective(availability=99),
        consumes=["orders.web"],
    )
    chat = Microservice(
        system,
        "chat",
        image="example/chat:1.0.0",
        ports={"http": 8080, "grpc": 5052},
        telemetry=Jvm(sees_requests=False),
    )
    CronJob(system, "report", image="example/report:1.0.0", schedule="@hourly", timeout_seconds=1800)
    Valkey(system, "cache", image="valkey/valkey:9.0.1", storage="1Gi")
    web.needs(orders.endpoint("grpc"))
    for name in ("http", "grpc"):
        web.needs(chat.endpoint(name))
        orders.needs(chat.endpoint(name))
    for service in (orders, web):
        service.needs(broker.endpoint("amqp"))
        service.needs(database.endpoint("sql"))
        service.needs(history.endpoint("cql"))
    for component in system.components:
        for workload in component.workloads:
            workload.complete()
    return system

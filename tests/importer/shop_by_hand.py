"""The shop of compose/shop, as a person would declare it."""

from pathlib import Path
from typing import Any

from constructs_lib import (
    Component,
    Environment,
    ExternalSecrets,
    GitRepository,
    Http,
    Job,
    K3d,
    LoadBalancer,
    Microservice,
    Postgres,
    RabbitMQ,
    Resources,
    System,
    main,
    supplied,
)

HERE = Path(__file__).parent / "compose/shop"
API = "example/shop-api:1.4.0"
TOLD: dict[str, Any] = {
    "DATABASE_URL": "postgres://shop:$(DB_PASSWORD)@db:5432/shop",
    "LOG_LEVEL": "info",
    "STRIPE_API_KEY": supplied("STRIPE_API_KEY of shop"),
}
AMQP = {"AMQP_HOST": "host", "AMQP_PORT": "port", "AMQP_USER": "username", "AMQP_PASSWORD": "password"}
LOCAL = Environment(
    name="local",
    repository=GitRepository("https://github.com/example/shop.git"),
    cluster=K3d(kubernetes="1.36", nodes=1),
)


def shop(environment: Environment) -> System:
    """Declare the shop for one environment."""
    system = System(environment, "shop")
    ExternalSecrets(system, version="2.9.0")
    shop = Component(system, "services", namespace="shop", prefix=False)
    schema = HERE / "db/schema.sql"
    image = "postgres:16.4-alpine"
    db = Postgres(shop, "db", image=image, database="shop", user="shop", storage="10Gi", schema=schema)
    broker = RabbitMQ(shop, "broker", image="rabbitmq:4.1.2-management-alpine", user="shop", storage="10Gi")
    options = ["redis-server", "--save", "", "--maxmemory", "100mb"]
    cache = Microservice(shop, "cache", image="redis:7.4.1-alpine", args=options, ports={"redis": 6379})
    migrate = Job(shop, "migrate", image=API, args=["migrate", "up"], env=TOLD)
    api = Microservice(
        shop,
        "api",
        image=API,
        args=["serve", "--port", "8000"],
        ports={"http": 8000},
        env=TOLD,
        replicas=2,
        readiness=Http("/healthz", "http", period_seconds=10, timeout_seconds=3, failures=5),
        drain_seconds=20,
        resources=Resources("100m", "128Mi", "256Mi", cpu_limit="500m"),
    )
    api.after(migrate)
    worker = Microservice(
        shop,
        "worker",
        image=API,
        args=["work", "--queue", "orders"],
        env={**TOLD, "API_URL": "http://api:8000/internal"},
        resources=Resources("100m", "512Mi", cpu_limit="1"),
    )
    worker.needs(api.endpoint("http"))
    for each in (migrate, api, worker):
        each.needs(db.endpoint("sql"), {"DB_PASSWORD": "password"})
        each.needs(broker.endpoint("amqp"), AMQP)
        each.needs(cache.endpoint("redis"), {"REDIS_ADDR": "address"})
    web = Microservice(
        shop,
        "web",
        image="nginxinc/nginx-unprivileged:1.27.3-alpine",
        ports={"http": 8080},
        files={"/etc/nginx/conf.d/shop.conf": HERE / "nginx/shop.conf"},
        exposed=LoadBalancer({"http": 80}),
    )
    web.needs(api.endpoint("http"))
    return system


if __name__ == "__main__":
    main(shop, [LOCAL])

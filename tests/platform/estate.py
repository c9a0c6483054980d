"""A platform as others run it, declared: an edge with TLS, a chart, jobs, a managed database, a shared Kafka."""

from pathlib import Path

from constructs_lib import (
    Acme,
    Autoscale,
    CertManager,
    ChartEndpoint,
    ClusterIssuer,
    CronJob,
    Environment,
    Existing,
    External,
    ExternalSecrets,
    GitRepository,
    HelmChart,
    Http,
    Http01,
    Ingress,
    Job,
    K3d,
    Microservice,
    Placement,
    PodAccess,
    Port,
    System,
    Traefik,
    generated,
    main,
    supplied,
)

TEAM = Environment(
    name="team",
    repository=GitRepository("https://github.com/example/platform.git"),
    cluster=K3d(kubernetes="1.36", nodes=3),
)
#: What the service was when it was built last; its migration is in the same image.
ORDERS = "registry.example.com/orders:2.4.1"
VALKEY = {"app.kubernetes.io/name": "valkey"}


def platform(environment: Environment) -> System:
    """Declare the platform for one environment."""
    system = System(environment, "platform", pull_secret=supplied("login for registry.example.com"))
    ExternalSecrets(system, version="2.9.0")
    edge = Traefik(system, version="41.3.0")
    certificates = CertManager(system, version="v1.21.1")
    issuer = ClusterIssuer(certificates, "letsencrypt", Acme("ops@example.com", Http01(edge)))

    database = External(
        system,
        "orders-db",
        host="10.20.0.5",
        ports={"sql": 5432},
        attributes={
            "username": "orders",
            "database": "orders",
            "password": supplied("password of the managed database"),
        },
    )
    kafka = Existing(system, "kafka", namespace="kafka", service="broker", pods={"app": "kafka"}, ports={"kafka": 9092})
    cache = HelmChart(
        system,
        "cache",
        repository="oci://registry.example.com/charts",
        chart="valkey",
        version="1.2.3",
        values={"auth": {"existingSecret": "cache", "existingSecretPasswordKey": "password"}},
        secrets={"password": generated("what clients of the cache log in with")},
        endpoints={"resp": ChartEndpoint("cache-valkey", 6379, VALKEY)},
        access=[PodAccess("valkey", VALKEY)],
    )

    orders = Microservice(
        system,
        "orders",
        image=ORDERS,
        args=["serve", "--config", "/etc/orders/orders.toml"],
        ports={"http": Port(8080, service=80)},
        files={"/etc/orders/orders.toml": Path(__file__).parent / "orders.toml"},
        readiness=Http("/ready", "http", period_seconds=5),
        replicas=Autoscale(2, 4),
        placement=Placement(spread="zones"),
    )
    migration = Job(orders, "migration", image=ORDERS, args=["migrate"])
    orders.after(migration)
    worker = Microservice(system, "mailer", image="example/mailer:1.7.0", args=["--topic", "orders"])
    report = CronJob(system, "report", image="example/report:1.0.3", schedule="30 6 * * 1-5", zone="Europe/Rome")

    login = {"DB_HOST": "host", "DB_USER": "username", "DB_NAME": "database", "DB_PASSWORD": "password"}
    for client in (orders, migration, report):
        client.needs(database.endpoint("sql"), login)
    for client in (orders, worker):
        client.needs(kafka.endpoint("kafka"), {"KAFKA": "address"})
    orders.needs(cache.endpoint("resp"), {"CACHE": "address", "CACHE_PASSWORD": "password"})
    worker.needs(orders.endpoint("http"), {"ORDERS": "address"})
    Ingress(system, "shop", host="shop.example.com", routes={"/": orders.endpoint("http")}, controller=edge, tls=issuer)
    return system


if __name__ == "__main__":
    main(platform, [TEAM])

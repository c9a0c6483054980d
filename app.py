"""PositionPal, declared once: five services, their data stores and what watches them, in two environments."""

from pathlib import Path

import versions
from constructs_lib import (
    Acme,
    AkkaCluster,
    Autoscale,
    Cassandra,
    CertManager,
    ClusterIssuer,
    DigitalOcean,
    Environment,
    ExternalSecrets,
    GitRepository,
    Http,
    Http01,
    Ingress,
    InternetHost,
    Jvm,
    K3d,
    MetricsServer,
    Microservice,
    Monitoring,
    Nodejs,
    Postgres,
    Queue,
    RabbitMQ,
    Reloader,
    Resources,
    S3Bucket,
    System,
    Traefik,
    generated,
    main,
    supplied,
)

SCHEMAS = Path(__file__).parent / "schemas"
#: Put your own here: the name under which users reach production, and whom its certificate authority writes to.
HOST = "api.position-pal.example"
OPERATORS = "operators@position-pal.example"
REPOSITORY = GitRepository("https://github.com/position-pal/gitops.git")

LOCAL = Environment(
    name="local",
    repository=REPOSITORY,
    argocd_chart=versions.ARGO_CD_CHART,
    cluster=K3d(kubernetes="1.36", nodes=3, image=versions.K3S, ports={3000: 3000}),
)
PRODUCTION = Environment(
    name="production",
    repository=REPOSITORY,
    publication_branch="deploy/production",
    argocd_chart=versions.ARGO_CD_CHART,
    argocd_ha=True,
    cluster=DigitalOcean(
        name="position-pal-cluster",
        region="fra1",
        kubernetes="1.36",
        pool="position-pal-cluster-pool",
        size="s-4vcpu-8gb-240gb-intel",
        nodes=4,
        # With every autoscaler at its maximum, four are too few.
        nodes_max=5,
        tags=("k8s",),
        ha=True,
    ),
    backups=S3Bucket(endpoint="https://fra1.digitaloceanspaces.com", bucket="position-pal-backups", region="fra1"),
)


def positionpal(environment: Environment) -> System:
    """Declare PositionPal for one environment."""
    system = System(environment, "positionpal")
    pick = environment.pick
    volume = pick(local="1Gi", production="10Gi")

    ExternalSecrets(system, version=versions.EXTERNAL_SECRETS_CHART)
    if "metrics-api" not in environment.cluster.provides:
        MetricsServer(system, version=versions.METRICS_SERVER_CHART)
    if not isinstance(environment.cluster, K3d):
        Reloader(system, version=versions.RELOADER_CHART)
    monitoring = Monitoring(
        system,
        version=versions.KUBE_PROMETHEUS_STACK_CHART,
        storage=pick(local="2Gi", production="20Gi"),
        retention_days=pick(local=2, production=15),
    )
    rabbitmq = RabbitMQ(
        system,
        "rabbitmq",
        image=versions.RABBITMQ,
        # On a laptop all programs are the user that the contract names; in production each is one of its own.
        user=pick(local="user", production=None),
        nodes=pick(local=1, production=3),
        storage=volume,
        # The chat service's queue outlives no restart and belongs to no connection, which 4.3 denies by default.
        permit_deprecated=["transient_nonexcl_queues"],
    )

    notification = Microservice(
        system,
        "notification-service",
        namespace="pp-ns",
        image=versions.NOTIFICATION_SERVICE,
        telemetry=Jvm(),
        consumes=[
            Queue(f"{exchange}_notification_service", exchange=exchange)
            for exchange in ("group_updates_exchange", "push-notifications")
        ],
        ports={"grpc": 5052},
        env={"GRPC_PORT": "5052", "FIREBASE_SERVICE_ACCOUNT_FILE_PATH": "/etc/firebase/service-account.json"},
        files={"/etc/firebase/service-account.json": supplied("Firebase service account")},
        replicas=Autoscale(pick(local=1, production=2), pick(local=2, production=4)),
        internet=[InternetHost("fcm.googleapis.com"), InternetHost("oauth2.googleapis.com")],
    )
    user = Microservice(
        system,
        "user-service",
        namespace="pp-us",
        image=versions.USER_SERVICE,
        telemetry=Jvm(),
        publishes=["group_updates_exchange"],
        ports={"grpc": 5052},
        env={"USER_SERVICE_PORT": "5052", "JWT_SECRET": generated("signs the users' JWTs")},
        replicas=Autoscale(pick(local=1, production=2), pick(local=2, production=4)),
    )
    location = Microservice(
        system,
        "location-service",
        namespace="pp-ls",
        image=versions.LOCATION_SERVICE,
        telemetry=Jvm(),
        publishes=["push-notifications"],
        consumes=[Queue("group_updates_location_service", exchange="group_updates_exchange")],
        ports={"http": 8080, "grpc": 5052},
        env={
            "HTTP_PORT": "8080",
            "GRPC_PORT": "5052",
            "MAPBOX_API_KEY": supplied("Mapbox API key"),
            "AKKA_LICENSE_KEY": supplied("Akka licence key"),
        },
        replicas=Autoscale(2, pick(local=2, production=4)),
        resources=Resources("500m", "256Mi", "512Mi"),
        drain_seconds=60,
        internet=[InternetHost("api.mapbox.com")],
    )
    location.add(AkkaCluster("locservice", contact_points=2))
    chat = Microservice(
        system,
        "chat-service",
        namespace="pp-cs",
        image=versions.CHAT_SERVICE,
        # With HTTP/2, which Akka gRPC needs, the agent sees no requests; the gateway's counts those that it sends.
        telemetry=Jvm(sees_requests=False),
        consumes=[Queue("group_updates_chat_service", exchange="group_updates_exchange")],
        ports={"http": 8080, "grpc": 5052},
        env={
            "LOG_LEVEL": "INFO",
            "HTTP_PORT": "8080",
            "GRPC_PORT": "5052",
            "USER_SERVICE_EVENT_QUEUE": "group_updates_chat_service",
            "AKKA_LICENSE_KEY": supplied("Akka licence key"),
        },
        replicas=Autoscale(2, pick(local=2, production=4)),
        resources=Resources("500m", "1Gi", "2Gi"),
        drain_seconds=60,
    )
    chat.add(AkkaCluster("chatservice", contact_points=2))
    gateway = Microservice(
        system,
        "gateway",
        namespace="pp-gws",
        image=versions.GATEWAY,
        telemetry=Nodejs(),
        ports={"http": 3000},
        env={"PORT": "3000", "LOCATION_SERVICE_API_VERSION": "v1", "CHAT_SERVICE_API_VERSION": "v1"},
        readiness=Http("/api-docs/", "http"),
        replicas=Autoscale(pick(local=1, production=2), pick(local=2, production=6)),
        exposed=pick(local="http", production=None),
        drain_seconds=60,
    )

    for service, database, variables in (
        (user, "users_and_groups", {"POSTGRES_USER": "username", "POSTGRES_DB": "database"}),
        # This one knows the name of its database by itself.
        (notification, "notifications_service", {"POSTGRES_USERNAME": "username"}),
    ):
        postgres = Postgres(
            service,
            "database",
            image=versions.POSTGRES,
            database=database,
            user="user",
            storage=volume,
            schema=SCHEMAS / f"{database}.sql",
        )
        variables |= {"POSTGRES_HOST": "host", "POSTGRES_PORT": "port", "POSTGRES_PASSWORD": "password"}
        service.needs(postgres.endpoint("sql"), variables)
    for service, keyspace, tables in (
        (location, "locationservice", ["akka_persistence.cql", "locationservice.cql"]),
        (chat, "chatservice", ["akka_persistence.cql"]),
    ):
        cassandra = Cassandra(
            service,
            "database",
            image=versions.CASSANDRA,
            keyspace=keyspace,
            user="admin",
            nodes=Autoscale(2, pick(local=2, production=4)),
            storage=volume,
            schema=[SCHEMAS / file for file in tables],
        )
        service.needs(
            cassandra.endpoint("cql"),
            {"CASSANDRA_CONTACT_POINT": "address", "CASSANDRA_USERNAME": "username", "CASSANDRA_PASSWORD": "password"},
        )

    for service in (user, notification, location, chat):
        told = ["host", "port", "username", "password", *([] if service is user else ["virtual_host"])]
        service.needs(rabbitmq.endpoint("amqp"), {f"RABBITMQ_{name.upper()}": name for name in told})
        service.after(monitoring, reason="it is watched from its first request on")
    user.needs(notification.endpoint("grpc"))
    location.needs(notification.endpoint("grpc"))

    gateway.needs(user.endpoint("grpc"), {"USER_SERVICE_URL": "address"})
    gateway.needs(notification.endpoint("grpc"), {"NOTIFICATION_SERVICE_GRPC_URL": "address"})
    gateway.needs(location.endpoint("grpc"), {"LOCATION_SERVICE_GRPC_URL": "address"})
    gateway.needs(location.endpoint("http"), {"LOCATION_SERVICE_HTTP_URL": "address"})
    gateway.needs(chat.endpoint("grpc"), {"CHAT_SERVICE_URL": "address"})
    gateway.needs(chat.endpoint("http"), {"CHAT_SERVICE_HTTP_URL": "address"})
    if not isinstance(environment.cluster, K3d):
        # WebSockets are quiet for minutes; the load balancer ends none of these before ten.
        traefik = Traefik(
            system, version=versions.TRAEFIK_CHART, replicas=2, idle_seconds=600, keeps_client_address=True
        )
        cert_manager = CertManager(system, version=versions.CERT_MANAGER_CHART)
        issuer = ClusterIssuer(cert_manager, "letsencrypt", Acme(OPERATORS, Http01(traefik)))
        routes = {"/": gateway.endpoint("http")}
        Ingress(gateway, "gateway", host=HOST, routes=routes, controller=traefik, tls=issuer)
    return system


if __name__ == "__main__":
    main(positionpal, [LOCAL, PRODUCTION])

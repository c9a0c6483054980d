"""Google's Online Boutique, declared: https://github.com/GoogleCloudPlatform/microservices-demo."""

from functools import partial

from constructs_lib import (
    Container,
    DigitalOcean,
    Empty,
    Environment,
    GitRepository,
    Grpc,
    Http,
    K3d,
    LoadBalancer,
    Microservice,
    Port,
    Resources,
    System,
    Tcp,
    main,
)

REPOSITORY = GitRepository("https://github.com/example/boutique.git")
CLOUD = DigitalOcean(name="shop", region="fra1", kubernetes="1.36", pool="shop", size="s-2vcpu-4gb", nodes=3)
LOCAL = Environment(name="local", repository=REPOSITORY, cluster=K3d(kubernetes="1.36", nodes=1))
PRODUCTION = Environment(name="production", repository=REPOSITORY, cluster=CLOUD)

IMAGE = "us-central1-docker.pkg.dev/online-boutique-ci/microservices-demo/{}:v0.10.6"
BUSYBOX = "busybox:1.38.0@sha256:fd8d9aa63ba2f0982b5304e1ee8d3b90a210bc1ffb5314d980eb6962f1a9715d"

SMALL = Resources("100m", "64Mi", "128Mi", cpu_limit="200m")
ROOMY = Resources("100m", "220Mi", "450Mi", cpu_limit="200m")
ASKED, OFTEN = Grpc("grpc"), Grpc("grpc", period_seconds=5)
SLOW, LATE = Grpc("grpc", delay_seconds=15), Grpc("grpc", delay_seconds=20, period_seconds=15)
ISTIO = {"sidecar.istio.io/rewriteAppHTTPProbers": "true"}
OPEN = 'for try in $(seq 12); do wget -qO /dev/null "http://$FRONTEND_ADDR" && exit; sleep 10; done; exit 1'


def boutique(environment: Environment) -> System:
    """Declare the shop for one environment."""
    system = System(environment, "boutique")
    program = partial(Microservice, system, user=1000, resources=SMALL)

    def service(
        name: str,
        port: int | Port,
        ready: Grpc = ASKED,
        alive: Grpc = ASKED,
        size: Resources = SMALL,
        drain_seconds: int = 5,
        **env: str,
    ) -> Microservice:
        return program(
            name,
            image=IMAGE.format(name),
            ports={"grpc": port},
            env=env,
            readiness=ready,
            liveness=alive,
            resources=size,
            drain_seconds=drain_seconds,
        )

    def call(client: Microservice, **servers: Microservice) -> None:
        for name, server in servers.items():
            client.needs(server.endpoint("grpc"), {f"{name.upper()}_SERVICE_ADDR": "address"})

    ads = service("adservice", 9555, LATE, LATE, Resources("200m", "180Mi", "300Mi", cpu_limit="300m"), PORT="9555")
    currencies = service("currencyservice", 7000, PORT="7000", DISABLE_PROFILER="1")
    catalog = service("productcatalogservice", 3550, PORT="3550", DISABLE_PROFILER="1")
    payments = service("paymentservice", 50051, PORT="50051", DISABLE_PROFILER="1")
    shipping = service("shippingservice", 50051, OFTEN, drain_seconds=30, PORT="50051", DISABLE_PROFILER="1")
    emails = service("emailservice", Port(8080, service=5000), OFTEN, OFTEN, PORT="8080", DISABLE_PROFILER="1")
    tips = service("recommendationservice", 8080, OFTEN, OFTEN, ROOMY, PORT="8080", DISABLE_PROFILER="1")
    carts = service("cartservice", 7070, SLOW, SLOW, Resources("200m", "64Mi", "128Mi", cpu_limit="300m"))
    checkout = service("checkoutservice", 5050, drain_seconds=30, PORT="5050")
    redis = program(
        "redis-cart",
        image="redis:8.2.1-alpine",
        ports={"tcp-redis": 6379},
        volumes={"/data": Empty()},
        readiness=Tcp("tcp-redis", period_seconds=5),
        liveness=Tcp("tcp-redis", period_seconds=5),
        resources=Resources("70m", "200Mi", "256Mi", cpu_limit="125m"),
    )
    carts.needs(redis.endpoint("tcp-redis"), {"REDIS_ADDR": "address"})
    frontend = program(
        "frontend",
        image=IMAGE.format("frontend"),
        ports={"http": Port(8080, service=80)},
        exposed=LoadBalancer({"http": 80}),
        # The program does not start without the last one; neither the original nor this deploys such a service.
        env={"PORT": "8080", "ENABLE_PROFILER": "0", "SHOPPING_ASSISTANT_SERVICE_ADDR": "nowhere.invalid:80"},
        readiness=Http("/_healthz", "http", {"Cookie": "shop_session-id=x-readiness-probe"}, delay_seconds=10),
        liveness=Http("/_healthz", "http", {"Cookie": "shop_session-id=x-liveness-probe"}, delay_seconds=10),
        annotations=ISTIO,
    )
    call(tips, product_catalog=catalog)
    for each in (checkout, frontend):
        call(each, product_catalog=catalog, shipping=shipping, currency=currencies, cart=carts)
    call(checkout, payment=payments, email=emails)
    call(frontend, ad=ads, recommendation=tips, checkout=checkout)
    is_open = Container(
        name="frontend-check", image=BUSYBOX, command=["/bin/sh", "-exc", OPEN], with_variables=["FRONTEND_ADDR"]
    )
    load = program(
        "loadgenerator",
        image=IMAGE.format("loadgenerator"),
        env={"USERS": "10", "RATE": "1"},
        init_containers=[is_open],
        resources=Resources("300m", "256Mi", "512Mi", cpu_limit="500m"),
        annotations=ISTIO,
        drain_seconds=5,
    )
    load.needs(frontend.endpoint("http"), {"FRONTEND_ADDR": "address"})
    return system


if __name__ == "__main__":
    main(boutique, [LOCAL, PRODUCTION])

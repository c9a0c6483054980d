"""The pipeline of compose/pipeline, as a person would declare it."""

from functools import partial
from pathlib import Path

from constructs_lib import (
    Claim,
    Component,
    DaemonSet,
    Environment,
    ExternalSecrets,
    GitRepository,
    K3d,
    LoadBalancer,
    Microservice,
    Port,
    Resources,
    System,
    Valkey,
    main,
    supplied,
)

CONFIG = Path(__file__).parent / "compose/pipeline/conf/step"
CACHE = {"CACHE_URL": "redis://:$(CACHE_PASSWORD)@cache:6379/1"}
GEO = {"GEO_URL": "http://geo-ip:8080/v1?key=$none"}
LOCAL = Environment(
    name="local",
    repository=GitRepository("https://github.com/example/pipeline.git"),
    cluster=K3d(kubernetes="1.36", nodes=1),
    image_tags="any",
)


def pipeline(environment: Environment) -> System:
    """Declare the pipeline for one environment."""
    system = System(environment, "pipeline")
    ExternalSecrets(system, version="2.9.0")
    services = Component(system, "services", namespace="pipeline", pod_security="privileged", prefix=False)
    cache = Valkey(services, "cache", image="valkey/valkey:8.1.1-alpine", storage="10Gi")
    kafka = Microservice(
        services,
        "kafka",
        image="apache/kafka:3.9.0",
        ports={"kafka": 9092},
        env={"KAFKA_NODE_ID": "1"},
        volumes={"/var/lib/kafka/data": Claim("10Gi")},
    )
    rights = {"capabilities": {"add": ["SYS_NICE"]}}
    pod = {"containers": [{"name": "kafka", "securityContext": rights}]}
    kafka.patch("Deployment", {"spec": {"template": {"spec": pod}}})
    geo_ip = DaemonSet(services, "geo-ip", image="example/geo-ip:latest", ports={"http": 8080})
    step = partial(
        Microservice,
        services,
        image="registry.example.com/pipeline/step:2.0.1",
        resources=Resources("100m", "1536Mi"),
        files={f"/etc/step/{name}": CONFIG / name for name in ("step.toml", "words.txt")},
    )
    ingest = step(
        "ingest",
        args=["ingest"],
        ports={"udp": Port(514, protocol="UDP")},
        env={**CACHE, "STEP_NAME": "ingest", "DASHBOARD": "dashboard"},
        exposed=LoadBalancer({"udp": 9514}),
    )
    enrich = step("enrich", args=["enrich"], env={**CACHE, **GEO, "STEP_NAME": "enrich"}, replicas=3)
    store = step(
        "store-results",
        args=["store"],
        env={**CACHE, **GEO, "STEP_NAME": "store", "STATE_DIR": "/var/lib/step"},
        volumes={"/var/lib/step": Claim("10Gi")},
    )
    for each in (enrich, store):
        each.needs(geo_ip.endpoint("http"))
    for each in (ingest, enrich, store):
        each.needs(cache.endpoint("resp"), {"CACHE_PASSWORD": "password"})
        each.needs(kafka.endpoint("kafka"), {"KAFKA_BROKERS": "address"})
    dashboard = Microservice(
        services,
        "dashboard",
        image="registry.example.com/pipeline/dashboard:2.0",
        ports={"http": 3000},
        env={"STORE_HOST": "store-results", "SESSION_SECRET": supplied("what signs sessions")},
        exposed=LoadBalancer({"http": 3000}),
    )
    dashboard.after(enrich, store)
    return system


if __name__ == "__main__":
    main(pipeline, [LOCAL])

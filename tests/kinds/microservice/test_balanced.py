"""Ports whose clients are told all pods, and choose among these themselves."""

from __future__ import annotations

from typing import Any

import yaml
from systems import empty, monitored

from constructs_lib import Autoscale, Jvm, Microservice, Port, System, api, synthesize

NAME = "stock-pods.stock.svc.cluster.local"


def shop(*, balanced: bool = True, service: int | None = None, system: System | None = None) -> System:
    """Declare a client and a server that it calls by gRPC."""
    system = system or empty("local")
    ports: dict[str, int | Port] = {"grpc": Port(5052, service, balanced=balanced), "http": 8080}
    stock = Microservice(system, "stock", image="example/stock:1.0.0", ports=ports, replicas=Autoscale(2, 4))
    web = Microservice(system, "web", image="example/web:1.0.0", ports={"http": 3000})
    web.needs(stock.endpoint("grpc"), {"STOCK": "address", "STOCK_HOST": "host", "STOCK_PORT": "port"})
    web.needs(stock.endpoint("http"), {"STOCK_HTTP": "address"})
    return system


def objects(system: System) -> dict[str, Any]:
    """Return the objects of a system, by kind and name."""
    found = [yaml.safe_load(content) for path, content in synthesize(system).files.items() if path.startswith("dist/")]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


def test_clients_are_told_the_pods_at_their_own_port() -> None:
    found = objects(shop(service=80))
    assert found["ConfigMap/web"]["data"] == {
        "STOCK": f"{NAME}:5052",
        "STOCK_HOST": NAME,
        "STOCK_PORT": "5052",
        "STOCK_HTTP": "stock.stock.svc.cluster.local:8080",
    }
    pods, service = found["Service/stock-pods"]["spec"], found["Service/stock"]["spec"]
    assert pods == {
        "clusterIP": "None",
        "selector": service["selector"],
        "ports": [{"name": "grpc", "port": 5052, "targetPort": "grpc", "protocol": "TCP"}],
    }
    # The other one stays as it is, for whoever does not balance by itself.
    assert [(each["name"], each["port"]) for each in service["ports"]] == [("grpc", 80), ("http", 8080)]
    waited = found["Deployment/web"]["spec"]["template"]["spec"]["initContainers"][0]["command"]
    assert f"{NAME}:5052" in waited


def test_check_finds_nothing() -> None:
    assert api.check(shop()) == []
    assert api.check(shop(service=80)) == []


def test_it_is_turned_on_in_place() -> None:
    """Nothing is replaced: a Service is added, and clients restart one by one with the new name."""
    plan = api.plan(shop(balanced=False), shop())
    told = {f"{change.identity[1]}/{change.identity[3]}": change.effect.name for change in plan.changes}
    assert told["Service/stock-pods"] == "CREATE"
    assert told["Deployment/web"] == "RESTART"
    assert "Service/stock" not in told and "Deployment/stock" not in told
    assert not any(change.needs_consent for change in plan.changes)


def test_callers_that_balance_are_counted_for_the_service() -> None:
    """A server whose agent sees nothing is measured by its callers, by the name that they call."""
    system = monitored()
    agent = Jvm(sees_requests=False)
    ports = {"grpc": Port(5052, balanced=True)}
    stock = Microservice(system, "stock", image="example/stock:1.0.0", ports=ports, telemetry=agent)
    web = Microservice(system, "web", image="example/web:1.0.0", ports={"http": 3000}, telemetry=Jvm())
    web.needs(stock.endpoint("grpc"))
    rules = str(objects(system)["PrometheusRule/requests"])
    assert f'server_address="{NAME}"' in rules
    assert '"server_address", "([^.]+?)(?:-pods)?[.]([^.]+)[.]svc[.].+"' in rules

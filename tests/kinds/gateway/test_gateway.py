"""Gateways, the routes that they take, and their certificates."""

from __future__ import annotations

import dataclasses
import json

import pytest
from edge_shop import NGINX, EdgeShop, edge_shop, files_of, found_without

from constructs_lib import (
    Acme,
    ClusterIssuer,
    Gateway,
    Http01,
    HttpRoute,
    Listener,
    api,
)
from constructs_lib.derive.graph import Graph


@pytest.fixture(scope="module")
def shop() -> EdgeShop:
    """A Gateway with a certificate, and a host whose paths lead to two components."""
    shop = edge_shop(gateways=True)
    listeners = {"http": Listener(redirect=True), "https": Listener("shop.example.com", shop.issuer)}
    gateway = Gateway(shop.system, controller=shop.traefik, listeners=listeners)
    routes = {"/": shop.web.endpoint("http"), "/api": shop.orders.endpoint("http")}
    HttpRoute(shop.system, "shop", gateway=gateway, host="shop.example.com", routes=routes)
    return shop


def test_the_address_of_its_hosts_is_that_of_the_gateway(shop: EdgeShop) -> None:
    """So the bootstrap says where to look for what a DNS record has to hold."""
    inputs = json.loads(api.synthesize(shop.system).files["bootstrap/argocd/staging.tfvars.json"])
    assert inputs["hosts"] == [
        {"host": "shop.example.com", "kind": "gateway", "namespace": "gateway", "name": "gateway"}
    ]


def test_the_gateway(shop: EdgeShop) -> None:
    files = files_of(shop.system)
    http, https = files["gateway/Gateway-gateway"]["spec"]["listeners"]
    # Traefik listens at the ports of its pods.
    assert (http["protocol"], http["port"], https["protocol"], https["port"]) == ("HTTP", 8000, "HTTPS", 8443)
    assert https["tls"]["certificateRefs"] == [{"group": "", "kind": "Secret", "name": "gateway-https-tls"}]
    [expression] = https["allowedRoutes"]["namespaces"]["selector"]["matchExpressions"]
    assert expression["values"] == ["gateway", "orders", "web"]
    assert files["gateway/Certificate-gateway-https-tls"]["spec"]["secretName"] == "gateway-https-tls"
    redirect = files["gateway/HTTPRoute-gateway-redirect"]["spec"]
    assert [each["sectionName"] for each in redirect["parentRefs"]] == ["http"]


def test_each_component_has_a_route_to_its_service(shop: EdgeShop) -> None:
    files = files_of(shop.system)
    route = files["orders/HTTPRoute-shop"]["spec"]
    assert [(each["namespace"], each["sectionName"]) for each in route["parentRefs"]] == [("gateway", "https")]
    [rule] = route["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/api"}}]
    assert [(each["name"], each["port"]) for each in rule["backendRefs"]] == [("orders", 8080)]
    assert "web/HTTPRoute-shop" in files


def test_the_order(shop: EdgeShop) -> None:
    waves = Graph(shop.system).waves
    assert waves["traefik"] < waves["gateway"] < waves["orders"] < waves["web"]
    assert waves["cert-manager"] < waves["gateway"]


def test_check_finds_nothing(shop: EdgeShop) -> None:
    assert api.check(shop.system) == []


def test_omissions_are_found(shop: EdgeShop) -> None:
    def closed(policy: dict[str, object]) -> None:
        policy["spec"].pop("ingress")  # type: ignore[attr-defined]

    def narrow(gateway: dict[str, object]) -> None:
        gateway["spec"]["listeners"][1].pop("allowedRoutes")  # type: ignore[index]

    def renamed(certificate: dict[str, object]) -> None:
        certificate["spec"]["secretName"] = "other-tls"  # type: ignore[index]

    assert found_without(shop.system, "web/NetworkPolicy-web", closed) == ["route-blocked"]
    assert found_without(shop.system, "gateway/Gateway-gateway", narrow) == ["route-without-listener"]
    found = found_without(shop.system, "gateway/Certificate-gateway-https-tls", renamed)
    assert found == ["secret-missing", "secret-unused"]


def test_challenges_through_a_gateway() -> None:
    shop = edge_shop()
    controller = dataclasses.replace(NGINX, ingress_class="")
    issuer = ClusterIssuer(shop.manager, "by-gateway", Acme("ops@example.com", Http01(controller)))
    listeners = {"web": Listener(redirect=True), "https": Listener("shop.example.com", issuer)}
    gateway = Gateway(shop.system, "edge", controller=controller, listeners=listeners)
    HttpRoute(shop.web, "web", gateway=gateway, host="shop.example.com", routes={"/": shop.web.endpoint("http")})
    files = files_of(shop.system)
    [solver] = files["cert-manager/ClusterIssuer-by-gateway"]["spec"]["acme"]["solvers"]
    [reference] = solver["http01"]["gatewayHTTPRoute"]["parentRefs"]
    assert (reference["namespace"], reference["name"], reference["sectionName"]) == ("edge", "edge", "web")
    # cert-manager makes its routes only if it is told of Gateways.
    assert (shop.manager.chart_source.values or {})["config"]["enableGatewayAPI"] is True
    assert api.check(shop.system) == []


@pytest.mark.parametrize(
    ("listener", "host", "takes"),
    [
        ("", "shop.example.com", True),
        ("shop.example.com", "shop.example.com", True),
        ("*.example.com", "shop.example.com", True),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "shop.example.org", False),
        ("shop.example.com", "*.example.com", False),
    ],
)
def test_hosts_of_listeners(listener: str, host: str, takes: bool) -> None:
    assert Listener(listener).takes(host) is takes

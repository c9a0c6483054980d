"""Issuers, and what cert-manager may exchange to show that a host is ours."""

from __future__ import annotations

from edge_shop import NGINX, edge_shop, files_of

from constructs_lib import (
    LETS_ENCRYPT_STAGING,
    Acme,
    ClusterIssuer,
    Dns01,
    ExistingIssuer,
    Http01,
    Ingress,
    Issuer,
    SelfSigned,
    api,
    supplied,
)


def test_http_01_opens_what_it_takes() -> None:
    shop = edge_shop()
    routes = {"/": shop.web.endpoint("http")}
    Ingress(shop.web, "web", host="shop.example.com", routes=routes, controller=shop.traefik, tls=shop.issuer)
    files = files_of(shop.system)
    spec = files["cert-manager/ClusterIssuer-letsencrypt"]["spec"]["acme"]
    assert spec["solvers"] == [{"http01": {"ingress": {"ingressClassName": "traefik"}}}]
    solver = files["web/NetworkPolicy-web-acme-solver"]["spec"]
    assert solver["podSelector"]["matchLabels"] == {"acme.cert-manager.io/http01-solver": "true"}
    assert [port["port"] for rule in solver["ingress"] for port in rule["ports"]] == [8089]
    manager = str(files["cert-manager/NetworkPolicy-cert-manager"]["spec"]["egress"])
    # It sees by itself whether the host answers; a load balancer's address leads straight to the controller's pods.
    assert "'port': 80," in manager and "'traefik'" in manager


def test_http_01_through_a_controller_that_exists() -> None:
    shop = edge_shop()
    issuer = ClusterIssuer(shop.manager, "own", Acme("ops@example.com", Http01(NGINX), LETS_ENCRYPT_STAGING))
    Ingress(
        shop.web, "web", host="a.example.com", routes={"/": shop.web.endpoint("http")}, controller=NGINX, tls=issuer
    )
    files = files_of(shop.system)
    assert "ingress-nginx" in str(files["web/NetworkPolicy-web-acme-solver"]["spec"]["ingress"])
    assert "ingress-nginx" in str(files["cert-manager/NetworkPolicy-cert-manager"]["spec"]["egress"])
    assert api.check(shop.system) == []


def test_dns_01_reads_its_token_from_the_bootstrap() -> None:
    shop = edge_shop()
    solver = Dns01("digitalocean", "api.digitalocean.com", {"tokenSecretRef": supplied("token of the zone")})
    issuer = ClusterIssuer(shop.manager, "wild", Acme("ops@example.com", solver))
    routes = {"/": shop.web.endpoint("http")}
    Ingress(shop.web, "web", host="*.example.com", routes=routes, controller=shop.traefik, tls=issuer)
    files = files_of(shop.system)
    [found] = files["cert-manager/ClusterIssuer-wild"]["spec"]["acme"]["solvers"]
    assert found["dns01"]["digitalocean"] == {"tokenSecretRef": {"name": "cert-manager", "key": "wild-tokenSecretRef"}}
    assert "web/NetworkPolicy-web-acme-solver" not in files
    assert api.check(shop.system) == []


def test_an_issuer_of_one_namespace_and_one_that_exists() -> None:
    shop = edge_shop()
    issuer = Issuer(shop.web, "own", SelfSigned())
    routes = {"/": shop.web.endpoint("http")}
    Ingress(shop.web, "web", host="a.example.com", routes=routes, controller=shop.traefik, tls=issuer)
    Ingress(
        shop.orders,
        "orders",
        host="b.example.com",
        routes={"/": shop.orders.endpoint("http")},
        controller=shop.traefik,
        tls=ExistingIssuer("corporate"),
    )
    files = files_of(shop.system)
    assert files["web/Issuer-own"]["spec"] == {"selfSigned": {}}
    assert files["web/Certificate-web-tls"]["spec"]["issuerRef"]["kind"] == "Issuer"
    assert files["orders/Certificate-orders-tls"]["spec"]["issuerRef"]["name"] == "corporate"


def test_its_metrics_and_alerts_are_those_of_the_system() -> None:
    shop = edge_shop(is_monitored=True)
    files = files_of(shop.system)
    endpoints = files["monitoring/PodMonitor-cert-manager"]["spec"]["podMetricsEndpoints"]
    assert [each["port"] for each in endpoints] == ["http-metrics"]
    assert "CertificateExpiring" in str(files["monitoring/PrometheusRule-cert-manager"])
    assert api.check(shop.system) == []

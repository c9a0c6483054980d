"""What follows from a route: its objects, both policies, the order, the picture, and what check says of omissions."""

from __future__ import annotations

import pytest
from edge_shop import NGINX, EdgeShop, edge_shop, files_of, found_without

from constructs_lib import ChartEndpoint, HelmChart, Ingress, IngressController, PodAccess, api, supplied
from constructs_lib.derive.explanation import explain_order, origins
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture


@pytest.fixture(scope="module")
def shop() -> EdgeShop:
    """A host whose paths lead to two components, with a certificate."""
    shop = edge_shop()
    routes = {"/": shop.web.endpoint("http"), "/api": shop.orders.endpoint("http")}
    Ingress(shop.system, "shop", host="shop.example.com", routes=routes, controller=shop.traefik, tls=shop.issuer)
    return shop


def peers(policy: dict[str, object], direction: str) -> dict[str, list[int]]:
    """Return the ports that a policy opens, by the namespace of the other side."""
    side = {"ingress": "from", "egress": "to"}[direction]
    found: dict[str, list[int]] = {}
    for rule in policy["spec"][direction]:  # type: ignore[index]
        for peer in rule.get(side, ()):
            name = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            found.setdefault(name, []).extend(port["port"] for port in rule.get("ports", ()))
    return found


def test_each_component_has_an_object_beside_its_service(shop: EdgeShop) -> None:
    files = files_of(shop.system)
    for component, path, port in (("web", "/", 3000), ("orders", "/api", 8080)):
        ingress = files[f"{component}/Ingress-shop"]
        assert ingress["metadata"]["namespace"] == component
        backend = {"service": {"name": component, "port": {"number": port}}}
        assert ingress["spec"] == {
            "ingressClassName": "traefik",
            "tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}],
            "rules": [
                {
                    "host": "shop.example.com",
                    "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]},
                }
            ],
        }
        assert files[f"{component}/Certificate-shop-tls"]["spec"]["dnsNames"] == ["shop.example.com"]


def test_both_sides_are_open_at_the_port_of_the_pods(shop: EdgeShop) -> None:
    files = files_of(shop.system)
    assert peers(files["web/NetworkPolicy-web"], "ingress") == {"traefik": [3000]}
    assert peers(files["orders/NetworkPolicy-orders"], "ingress") == {"traefik": [8080], "web": [8080]}
    assert peers(files["traefik/NetworkPolicy-traefik"], "egress").keys() == {"web", "orders"}
    world = [rule for rule in files["traefik/NetworkPolicy-traefik"]["spec"]["ingress"] if "from" not in rule]
    assert [port["port"] for rule in world for port in rule["ports"]] == [8000, 8443]


def test_it_comes_after_who_serves_it_and_what_it_leads_to(shop: EdgeShop) -> None:
    graph = Graph(shop.system)
    assert graph.waves["traefik"] < graph.waves["orders"] < graph.waves["web"]
    assert graph.waves["cert-manager"] < graph.waves["orders"]
    wave = "argocd.argoproj.io/sync-wave"
    files = files_of(shop.system)
    service, ingress = (
        files[f"web/{name}"]["metadata"]["annotations"][wave] for name in ("Service-web", "Ingress-shop")
    )
    assert int(service) < int(ingress)
    reasons = {each.reason for each in explain_order(shop.web.component, graph)[1]}
    reasons |= {each.reason for each in explain_order(shop.orders.component, graph)[0]}
    assert "the Ingress shop leads to it through traefik" in reasons
    assert "its certificate shop-tls is made by cert-manager" in reasons


def test_why_and_the_picture_tell_of_it(shop: EdgeShop) -> None:
    graph = Graph(shop.system)
    found = {(each.manifest["kind"], each.manifest["metadata"]["name"]): each for each in origins(shop.system, graph)}
    assert found["Ingress", "shop"].subject == "Ingress shop"
    opened = dict(found["NetworkPolicy", "web"].edges)
    assert opened["from traefik to http"] == found["Ingress", "shop"].location
    meanings = {edge.meaning for edge in architecture(graph).edges}
    assert {"Users reach traefik websecure 8443", "traefik calls web http 3000"} <= meanings


def test_people_reach_what_a_route_leads_to(shop: EdgeShop) -> None:
    """As by a load balancer: what they ask of it is shown first, and pictures call it an entry point."""
    assert shop.web.ports_of_users == {3000}
    assert shop.orders.ports_of_users == {8080}
    assert shop.traefik.controller.ports_of_users == {8000, 8443}


def test_check_finds_nothing(shop: EdgeShop) -> None:
    assert api.check(shop.system) == []


@pytest.mark.parametrize(
    ("path", "direction", "code"),
    [
        ("web/NetworkPolicy-web", "ingress", "route-blocked"),
        ("orders/NetworkPolicy-orders", "ingress", "route-blocked"),
        ("traefik/NetworkPolicy-traefik", "egress", "route-blocked"),
    ],
)
def test_a_policy_that_is_missing_is_found(shop: EdgeShop, path: str, direction: str, code: str) -> None:
    def drop(policy: dict[str, object]) -> None:
        rules = policy["spec"][direction]  # type: ignore[index]
        rules[:] = [rule for rule in rules if "traefik" not in str(rule) and "orders" not in str(rule)]

    assert code in found_without(shop.system, path, drop)


def test_what_a_route_leads_to_has_to_be_there(shop: EdgeShop) -> None:
    drop = lambda service: service["metadata"].update(name="shop")  # noqa: E731
    assert "ingress-backend-missing" in found_without(shop.system, "web/Service-web", drop)


def test_a_way_in_is_dangerous(shop: EdgeShop) -> None:
    closed = edge_shop().system
    found = {change.identity[1:]: change for change in api.plan(closed, shop.system).changes}
    assert found["Ingress", "web", "shop"].needs_consent
    assert not api.plan(shop.system, shop.system).changes


def test_projects_permit_routes_where_something_serves_them(shop: EdgeShop) -> None:
    bare = edge_shop()
    for system in (shop.system, bare.system):
        project = api.synthesize(system).files["argocd/staging/AppProject-shop-web.yaml"].decode()
        assert "kind: Ingress" in project


def test_a_controller_that_exists_already() -> None:
    shop = edge_shop()
    Ingress(shop.web, "web", host="shop.example.com", routes={"/": shop.web.endpoint("http")}, controller=NGINX)
    files = files_of(shop.system)
    assert peers(files["web/NetworkPolicy-web"], "ingress") == {"ingress-nginx": [3000]}
    assert files["web/Ingress-web"]["spec"]["ingressClassName"] == "nginx"
    assert "Users reach web http 3000" in {edge.meaning for edge in architecture(Graph(shop.system)).edges}
    # It waits for orders alone.
    assert Graph(shop.system).waves["web"] == 1
    assert {path.partition("/")[0] for path in files} == {
        *("cert-manager", "external-secrets", "orders", "traefik", "web"),
    }


def test_a_controller_of_any_chart() -> None:
    shop = edge_shop()
    chart = HelmChart(
        shop.system, "haproxy", repository="https://charts.example.com", chart="haproxy-ingress", version="1.0.0"
    )
    IngressController(chart, pods={"app": "haproxy"}, ports={"http": 8080}, ingress_class="haproxy")
    Ingress(shop.web, "web", host="shop.example.com", routes={"/": shop.web.endpoint("http")}, controller=chart)
    files = files_of(shop.system)
    assert files["haproxy/NetworkPolicy-haproxy-controller"]["spec"]["podSelector"]["matchLabels"] == {"app": "haproxy"}
    assert api.check(shop.system) == []


def test_pods_of_a_chart_with_what_else_they_may_exchange() -> None:
    shop = edge_shop()
    access = PodAccess("proxy", {"app": "haproxy"}, kubernetes_api=True, from_world=(8080,))
    grafana = ChartEndpoint("haproxy-stats", 80, {"app": "stats"}, target_port=1024)
    chart = HelmChart(
        shop.system,
        "haproxy",
        repository="https://charts.example.com",
        chart="haproxy-ingress",
        version="1.0.0",
        access=[access],
        endpoints={"stats": grafana},
    )
    routes = {"/": shop.web.endpoint("http"), "/stats": chart.endpoint("stats")}
    proxy = chart.pods("proxy")
    Ingress(shop.web, "web", host="a.example.com", routes=routes, controller=proxy, ingress_class="haproxy")
    files = files_of(shop.system)
    assert peers(files["web/NetworkPolicy-web"], "ingress") == {"haproxy": [3000]}
    assert peers(files["haproxy/NetworkPolicy-haproxy-proxy-routes"], "egress").keys() == {"haproxy", "web"}
    assert peers(files["haproxy/NetworkPolicy-stats"], "ingress") == {"haproxy": [1024]}
    [rule] = files["haproxy/Ingress-web"]["spec"]["rules"]
    service = {"name": "haproxy-stats", "port": {"number": 80}}
    assert rule["http"]["paths"][0]["backend"]["service"] == service
    assert api.check(shop.system) == []


def test_a_certificate_that_the_bootstrap_is_given() -> None:
    shop = edge_shop()
    routes = {"/": shop.web.endpoint("http"), "/api": shop.orders.endpoint("http")}
    tls = supplied("certificate of shop.example.com")
    Ingress(shop.system, "shop", host="shop.example.com", routes=routes, controller=shop.traefik, tls=tls)
    files = files_of(shop.system)
    secret = files["web/ExternalSecret-shop-tls"]["spec"]
    assert secret["target"]["template"]["type"] == "kubernetes.io/tls"
    assert [each["secretKey"] for each in secret["data"]] == ["tls.crt", "tls.key"]
    assert api.check(shop.system) == []


def test_two_hosts_and_several_routes_of_one_component() -> None:
    shop = edge_shop()
    http = shop.web.endpoint("http")
    Ingress(shop.web, "web", host=["a.example.com", "*.example.com"], routes={"/": http}, controller=shop.traefik)
    Ingress(shop.web, "admin", host="admin.example.com", routes={"/": http}, controller=shop.traefik)
    files = files_of(shop.system)
    assert [rule["host"] for rule in files["web/Ingress-web"]["spec"]["rules"]] == ["a.example.com", "*.example.com"]
    assert "web/Ingress-web-admin" in files
    assert len([edge for edge in shop.traefik.controller.edges if edge.endpoint is http]) == 1

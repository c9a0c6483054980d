"""The architecture shows what is declared: everything, and nothing else."""

from __future__ import annotations

import pytest
from geometry import read
from systems import environment, linked, positionpal, shop

from constructs_lib import HelmChart, InternetHost, Microservice, System
from constructs_lib.declare.role import Role
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.draw.diagram import Diagram, Node, Section, Style
from constructs_lib.draw.svg import svg


def node(diagram: Diagram, title: str) -> Node:
    [found] = [node for node in diagram.nodes if node.title == title]
    return found


def section(diagram: Diagram, title: str) -> Section:
    [found] = [section for node in diagram.nodes for section in node.sections if section.title == title]
    return found


def edges(diagram: Diagram) -> set[tuple[str, str, str]]:
    """Return the edges by the titles at their ends, each with its style."""
    titles: dict[str, str] = {}
    for node in diagram.nodes:
        titles[node.id] = node.title
        for part in node.sections:
            titles[part.id] = part.title
            titles |= {row.id: f"{part.title} {row.name} {row.value}" for row in part.rows}
    return {(titles[edge.source], titles[edge.target], edge.style.value) for edge in diagram.edges}


@pytest.mark.parametrize("components", [1, 5, 12, 60])
def test_everything_declared_is_there_and_nothing_else(components: int) -> None:
    system = shop(components)
    diagram = architecture(Graph(system))
    workloads = [workload for component in system.components for workload in component.workloads]
    assert [node.title for node in diagram.nodes if node.role is not Role.OUTSIDE] == [
        component.id for component in system.components
    ]
    for component in system.components:
        assert node(diagram, component.id).facts == (f"namespace {component.namespace_name}",)
    rows = {
        (part.title, row.name, row.value) for shown in diagram.nodes for part in shown.sections for row in part.rows
    }
    assert rows == {
        (workload.name, endpoint.name, str(endpoint.port))
        for workload in workloads
        for endpoint in workload.endpoints.values()
    }
    declared = {
        (
            edge.source.name,
            f"{edge.endpoint.server.name} {edge.endpoint.name} {edge.endpoint.port}",
            "needs" if edge.order else "later",
        )
        for workload in workloads
        for edge in workload.edges
        if edge.endpoint.server is not workload
    }
    declared |= {(workload.name, host.host, "reaches") for workload in workloads for host in workload.internet}
    for workload in workloads:
        for endpoint in workload.endpoints.values():
            place = f"{workload.name} {endpoint.name} {endpoint.port}"
            if endpoint.port in workload.exposed_ports:
                declared.add(("Users", place, "reaches"))
            if endpoint.metrics and components >= 12:
                declared.add(("prometheus", place, "scrapes"))
    assert edges(diagram) == declared
    assert len(diagram.edges) == len(declared)


def test_all_of_it_is_in_the_svg() -> None:
    diagram = architecture(Graph(shop(30)))
    drawing = read(svg(diagram))
    expected = [diagram.boundary, *(text for _, text in diagram.legend)]
    for shown in diagram.nodes:
        expected += [shown.title, *shown.facts]
        for part in shown.sections:
            expected += [part.title, part.kind, *part.facts]
            expected += [text for row in part.rows for text in (row.name, row.value, row.note) if text]
    assert sorted(drawing.words) == sorted(expected)
    assert sorted((line.meaning, line.style) for line in drawing.lines) == sorted(
        (edge.meaning, edge.style.value) for edge in diagram.edges
    )


def test_positionpal_carries_what_the_drawing_by_hand_did() -> None:
    diagram = architecture(positionpal())
    assert diagram.boundary == "positionpal · production · Kubernetes cluster"
    found = edges(diagram)
    assert ("Users", "traefik websecure 8443", "reaches") in found
    assert ("traefik", "gateway http 3000", "needs") in {(one, other, "needs") for one, other, _ in found}
    namespaces = {"gateway": "pp-gws", "user-service": "pp-us", "notification-service": "pp-ns"}
    namespaces |= {"location-service": "pp-ls", "chat-service": "pp-cs"}
    for name, namespace in namespaces.items():
        assert node(diagram, name).facts == (f"namespace {namespace}",)
        chain, service = section(diagram, name).facts
        assert chain == f"HPA 2–{6 if name == 'gateway' else 4} → Deployment → ReplicaSet → pods"
        assert service == "Service ClusterIP"
    for name, kind, port in (
        ("user-service", "Postgres", "sql 5432"),
        ("notification-service", "Postgres", "sql 5432"),
        ("location-service", "Cassandra", "cql 9042"),
        ("chat-service", "Cassandra", "cql 9042"),
    ):
        database = section(diagram, f"{name}-database")
        assert database in node(diagram, name).sections
        assert database.kind == kind
        assert database.facts[0] == ("StatefulSet → 1 pod" if kind == "Postgres" else "HPA 2–4 → StatefulSet → pods")
        assert "volume 10Gi a pod" in database.facts
        assert (name, f"{name}-database {port}", "needs") in found
    for name in ("user-service", "location-service", "chat-service", "notification-service"):
        assert ("gateway", f"{name} grpc 5052", "needs") in found
    for name in ("user-service", "location-service"):
        assert (name, "notification-service grpc 5052", "needs") in found
    assert section(diagram, "kube-prometheus-stack").kind == "Helm chart"
    assert "pods grafana" in section(diagram, "kube-prometheus-stack").facts
    assert ("prometheus", "rabbitmq metrics 15692", "scrapes") in found


@pytest.mark.parametrize(
    ("title", "role"),
    [
        ("gateway", Role.ENTRY),
        ("user-service", Role.SERVICE),
        ("rabbitmq", Role.MESSAGING),
        ("monitoring", Role.PLATFORM),
        ("Users", Role.OUTSIDE),
    ],
)
def test_roles(title: str, role: Role) -> None:
    assert node(architecture(positionpal()), title).role is role


def test_ports_for_its_own_pods_say_so() -> None:
    notes = {row.name: row.note for row in section(architecture(positionpal()), "chat-service-database").rows}
    # Prometheus calls the last one.
    assert notes == {"cql": "", "internode": "among its pods", "jmx": "inside of its pod", "otel-metrics": ""}


def test_the_legend_explains_what_is_there() -> None:
    def legend(system: System) -> list[object]:
        return [meaning for meaning, _ in architecture(Graph(system)).legend]

    assert legend(linked(2, [])) == [Role.SERVICE]
    assert legend(linked(2, [(0, 1, True)])) == [Role.SERVICE, Style.NEEDS]
    assert legend(linked(2, [(0, 1, False)])) == [Role.SERVICE, Style.LATER]


def test_one_host_that_two_call_is_drawn_once() -> None:
    system = System(environment(), "shop")
    for name in ("mail", "sms"):
        internet = [InternetHost("api.example.com"), InternetHost("api.example.com", 8443)]
        Microservice(system, name, image="example/x:1.0.0", ports={"http": 8080}, internet=internet)
    diagram = architecture(Graph(system))
    hosts = [(node.title, node.facts) for node in diagram.nodes if node.role is Role.OUTSIDE]
    assert hosts == [("api.example.com", ("port 443",)), ("api.example.com", ("port 8443",))]
    assert len(diagram.edges) == 4


def test_any_chart_shows_its_name_and_version() -> None:
    system = System(environment(), "shop")
    HelmChart(system, "ingress", repository="https://charts.example.com", chart="ingress-nginx", version="4.13.0")
    [only] = architecture(Graph(system)).nodes
    assert [(part.title, part.facts) for part in only.sections] == [("ingress-nginx", ("version 4.13.0",))]

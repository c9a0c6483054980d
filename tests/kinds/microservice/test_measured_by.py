"""Who measures a service: its own agent, its callers' agents, or nobody, and then nothing pretends to."""

from __future__ import annotations

from systems import monitored

from constructs_lib import Jvm, Microservice, Nodejs, System
from constructs_lib.derive.graph import Graph
from constructs_lib.observe import catalogue
from constructs_lib.observe.page import pages

IMAGE = "example/service:1.0.0"
HOST = 'server_address="chat.chat.svc.cluster.local"'


def shop(*callers: str, telemetry: bool = True) -> System:
    """Declare a service whose agent sees none of its requests, and programs that call it by some protocol."""
    system = monitored()
    chat = Microservice(
        system, "chat", image=IMAGE, ports={"http": 8080, "grpc": 5052}, telemetry=Jvm(sees_requests=False)
    )
    for number, protocol in enumerate(callers):
        agent = (Nodejs(), Jvm())[number % 2] if telemetry else None
        caller = Microservice(system, f"caller-{number}", image=IMAGE, ports={"http": 8080}, telemetry=agent)
        caller.needs(chat.endpoint(protocol))
    return system


def shown(system: System, title: str = "chat") -> dict[str, dict[str, str]]:
    """Return the expressions of a dashboard by row and panel, several of a panel joined."""
    [found] = [each for each in catalogue.dashboards(system, Graph(system).waves) if each.title == title]
    return {
        row.title: {panel.id: " ".join(query.expression for query in panel.queries) for panel in row.panels}
        for row in found.rows
    }


def recorded(system: System) -> str:
    Graph(system)
    records = [record for group in catalogue.groups(system) for record in group.records]
    return "\n".join(record.expression for record in records if record.name == "service:requests:rate5m")


def test_its_callers_agents_measure_it() -> None:
    system = shop("http", "grpc", "http")
    rows = shown(system)
    assert {"HTTP", "gRPC"}.isdisjoint(rows)
    callers = rows["As its callers see it"]
    assert callers.keys() == {"caller-requests", "caller-errors", "caller-latency"}
    for expression in (*callers.values(), recorded(system)):
        # Two call by HTTP on Node.js, and one by gRPC on the JVM.
        for histogram in ("http_client_request_duration_", "rpc_client_duration_milliseconds_"):
            assert f"{histogram}count{{{HOST}" in expression or f"{histogram}bucket{{{HOST}" in expression
        assert "rpc_client_call" not in expression and "http_client_request_duration_seconds" not in expression
    assert "/ 1000" in callers["caller-latency"]
    promised = {"availability", "availability-budget", "fast", "fast-budget", "burning", "version"}
    assert rows["Promise"].keys() == promised
    assert 'service="chat"' not in recorded(system)
    page = pages(Graph(system))["observability.md"]
    assert "| chat | the agents of those who call it: caller-0, caller-1, caller-2 |" in page
    assert "| caller-0 | its own agent, `Nodejs` |" in page


def test_where_nobody_measures_it_nothing_is_promised() -> None:
    """Whoever calls it without telemetry counts nothing."""
    for system in (shop(), shop("http", "grpc", telemetry=False)):
        rows = shown(system)
        assert {"HTTP", "gRPC", "As its callers see it"}.isdisjoint(rows)
        assert "JVM" in rows
        everything = " ".join(expression for row in rows.values() for expression in row.values())
        assert "service:" not in everything and "_server_" not in everything
        assert "chat" not in recorded(system)
        assert [panel.title for panel in next(iter(system.workloads)).signals()] == ["Memory"]
        page = pages(Graph(system))["observability.md"]
        assert "| chat | nobody: its own agent, `Jvm`, does not see them, and no program with telemetry" in page
        assert system.diagnostics.found == []


def test_what_is_seen_and_called_is_counted_once() -> None:
    """By its own agent; its callers only tell whether that counts at all."""
    system = shop("http")
    seen = Microservice(system, "seen", image=IMAGE, ports={"http": 8080}, telemetry=Jvm())
    Microservice(system, "front", image=IMAGE, ports={"http": 80}, telemetry=Nodejs()).needs(seen.endpoint("http"))
    assert "seen.seen" not in recorded(system)
    assert "As its callers see it" not in shown(system, "seen")
    [alert] = [a for group in catalogue.groups(system) for a in group.alerts if a.name == "RequestsNotMeasured"]
    assert 'target_info{service="seen"}' in alert.expression


def test_workers_are_not_on_the_page() -> None:
    system = shop()
    Microservice(system, "worker", image=IMAGE, telemetry=Jvm())
    assert "| worker |" not in pages(Graph(system))["observability.md"]

"""PositionPal's gateway, location-service and chat-service under their agents, and what is told of them when one fails.

The gateway is a program on Node.js, the others are one program on the JVM: with Akka HTTP and grpc-java as the
location service, and with Akka HTTP over HTTP/2 as the chat service, which Akka gRPC needs. They run with the very
variables that the library writes into their containers, and the gateway calls both. Prometheus scrapes them by the
library's PodMonitors, and has all of PositionPal's rules.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import history
import pytest
from asking import Asked
from history import History, Phase
from jvm_program import JvmProgram, jvm_program
from processes import NodeProgram, Prometheus, node_program, prometheus, variables_of
from scraping import Pod, scrape_configs
from synthesized import Manifest
from systems import ROOT, positionpal

from constructs_lib import Jvm
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.manifests import component_manifests
from constructs_lib.kinds.microservice import series

#: The chat service, as its callers know it.
HOST = 'server_address="chat-service.pp-cs.svc.cluster.local"'
HOSTS = ("location-service.pp-ls.svc.cluster.local", "notification-service.pp-ns.svc.cluster.local")
#: How often each is called in a phase. Slow alerts want a request a minute over a day, of which there are hours here.
ROUNDS = 5
#: What the gateway answers when it calls the chat service, by how that is.
ANSWERS = {"well": {200}, "failing": {500, 502}, "slow": {200}, "stopped": {502}}
#: Which alerts fire about the chat service, by how that is and for how many minutes by then. The fast ones look at an
#: hour. When all fails, 14.4 times the budget is soon reached; of what is slow there may be ten times as much.
FIRING = {
    "failing": {10: ["AvailabilityBurningFast"], 40: ["AvailabilityBurningFast", "AvailabilityBurningSlow"]},
    "slow": {50: ["LatencyBurningFast", "LatencyBurningSlow"]},
    "stopped": {10: ["AvailabilityBurningFast"]},
}
#: How many minutes all is well before. With less, what is bad would weigh more in windows of six hours than it does.
WELL = 3 * 60


@dataclass(frozen=True, kw_only=True)
class Live(Asked):
    """Everything that ran.

    Attributes:
        rules: The PrometheusRules.
        phases: What happened to the chat service, by what it was then, of no length.
        calm: When nothing was wrong.
    """

    rules: list[Manifest]
    phases: Mapping[str, Phase]
    calm: float


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """Run all of it: well, then the chat service fails, is slow, and is gone."""
    graph = positionpal()
    names = ("gateway", "location-service", "chat-service", "monitoring")
    manifests = {
        component.id: component_manifests(component, graph)
        for component in graph.system.components
        if component.id in names
    }
    rules = [manifest["spec"] for manifest in manifests["monitoring"] if manifest["kind"] == "PrometheusRule"]
    with ExitStack() as stack:
        told = {name: variables_of(manifests[name], name) for name in names[:3]}
        location = stack.enter_context(jvm_program(told["location-service"], HOSTS))
        chat = stack.enter_context(jvm_program(told["chat-service"], HOSTS, http2=True))
        for service, program in (("LOCATION_SERVICE", location), ("CHAT_SERVICE", chat)):
            for variable, value in told["gateway"].items():
                if variable.startswith(service) and value.endswith((":8080", ":5052")):
                    host, _, port = value.partition(":")
                    told["gateway"][variable] = f"{host}:{program.port if port == '8080' else program.grpc_port}"
        gateway = stack.enter_context(node_program(told["gateway"]))
        programs: dict[str, NodeProgram | JvmProgram] = {
            "gateway": gateway,
            "location-service": location,
            "chat-service": chat,
        }
        pods = [
            Pod(
                graph.system.component(name).namespace_name,
                f"{name}-0",
                {"otel-metrics": program.metrics_address},
                {"app.kubernetes.io/name": name},
                container=name,
            )
            for name, program in programs.items()
        ]
        monitors = [manifest for manifest in manifests["monitoring"] if manifest["kind"] == "PodMonitor"]
        configs = [config for monitor in monitors for config in scrape_configs(monitor, pods)]
        server = stack.enter_context(prometheus(configs, rules, interval="5s"))
        server.wait_for(f"count(up == 1) == {len(pods)}")
        asked = Asked(server, graph)
        everyone(gateway, location)
        read = {metric for each in (*asked.alerts.values(), *asked.recorded.values()) for metric in asked.read(each)}
        phases = {}
        for how in ("well", "failing", "slow"):
            chat.get(f"/become/{how}")
            phases[how] = observed(server, read, gateway, how)
            if how == "well":
                calm = server.value("time()")
        phases["hanging"] = hanging(server, read, gateway, chat)
        for how in ("failing", "well"):
            chat.get(f"/become/{how}")
            everyone(gateway, location)
            history.scraped_again(server)
        server.wait_for('service:slow_requests:ratio_rate3d{service="chat-service"}')
        at = server.value("time()")
        chat.kill()
        phases["stopped"] = observed(server, read, gateway, "stopped")
        yield Live(
            server,
            graph,
            absent={workload.name for workload in graph.system.workloads} - programs.keys(),
            at=at,
            rules=rules,
            phases=phases,
            calm=calm,
        )


def observed(server: Prometheus, metrics: Collection[str], gateway: NodeProgram, how: str) -> Phase:
    """Return what happens while the gateway calls the two others; all is well only if the machine has time for it."""

    def phase() -> Phase:
        before = history.look(server, metrics)
        found = {answer for _ in range(ROUNDS) for answer in ask(gateway)}
        assert found == ANSWERS[how], (how, found)
        return Phase(before, history.look(server, metrics), 0)

    found = phase()
    while how == "well" and not found.is_fast:
        found = phase()
    return found


def hanging(server: Prometheus, metrics: Collection[str], gateway: NodeProgram, chat: JvmProgram) -> Phase:
    """Return what happens while the chat service answers nothing, and the gateway waits for it without a deadline."""
    before = history.look(server, metrics)
    chat.process.send_signal(signal.SIGSTOP)
    try:
        for path in ("http?address=CHAT_SERVICE_HTTP_URL&path=orders/1", "grpc?address=CHAT_SERVICE_URL&method=Get"):
            with pytest.raises(TimeoutError):
                gateway.get(f"/others/{path}", timeout=1)
        return Phase(before, history.look(server, metrics), 0)
    finally:
        chat.process.send_signal(signal.SIGCONT)


def ask(gateway: NodeProgram) -> Iterator[int]:
    """Have the gateway call the two others, by HTTP and by gRPC, and yield what it answers about the chat service."""
    for service, grpc in (("LOCATION_SERVICE", "LOCATION_SERVICE_GRPC_URL"), ("CHAT_SERVICE", "CHAT_SERVICE_URL")):
        for path in (f"http?address={service}_HTTP_URL&path=orders/1", f"grpc?address={grpc}&method=Get"):
            answer = gateway.get(f"/others/{path}")
            if service == "CHAT_SERVICE":
                yield answer.status


def everyone(gateway: NodeProgram, location: JvmProgram) -> None:
    """Have all of them called in all ways, and the location service call others, which is itself by another name."""
    assert {*ask(gateway)} <= {200, 500, 502}
    for path in ("ok", "fail", "ready", "alive"):
        gateway.get(f"/others/http?address=LOCATION_SERVICE_HTTP_URL&path={path}")
    for method in ("Fail", "Throw"):
        gateway.get(f"/others/grpc?address=LOCATION_SERVICE_GRPC_URL&method={method}")
    for path in ("/ok", "/fail", "/grpc/get", "/refused"):
        gateway.get(path)
    called = f"notification-service.pp-ns.svc.cluster.local:{location.grpc_port}"
    statuses = {method: location.get(f"/call/{called}/{method}").body for method in ("Get", "Fail", "Never", "Throw")}
    assert statuses == {"Get": "OK", "Fail": "INTERNAL", "Never": "DEADLINE_EXCEEDED", "Throw": "UNKNOWN"}
    assert location.get(f"/fetch?url=http://{HOSTS[0]}:{location.port}/fail").body == "500"


def test_every_expression_that_concerns_them_gives_data(live: Live) -> None:
    assert live.silent() == []


def test_agent_sees_nothing_of_what_akka_serves_with_http2(live: Live) -> None:
    """Not even its HTTP/1.1, so that only its callers tell of it; the same program without HTTP/2 is seen."""
    assert live.server.query('target_info{service="chat-service"}', live.at)
    served = '{__name__=~"(http|rpc)_server_.+", service="%s"}'
    assert live.server.query(served % "chat-service", live.at) == []
    assert live.server.query(served % "location-service", live.at)
    [asked] = live.server.query('service:requests:rate5m{service="chat-service"}', live.at)
    assert asked.labels["namespace"] == "pp-cs" and asked.value > 0


def test_service_whose_requests_its_agent_does_not_see_is_told_of(live: Live) -> None:
    """As it would be if it were declared like any other; as it is declared, nothing is told."""
    text = (ROOT / "app.py").read_text(encoding="utf-8")
    assert text.count("Jvm(sees_requests=False)") == 1
    for declared, told in (("Jvm(sees_requests=False)", []), ("Jvm()", ["chat-service"])):
        names: dict[str, Any] = {"__name__": "app", "__file__": str(ROOT / "app.py")}
        exec(compile(text.replace("Jvm(sees_requests=False)", declared), "app.py", "exec"), names)
        system = names["positionpal"](names["PRODUCTION"])
        asked = Asked(live.server, Graph(system))
        # Prometheus has recorded what the true declaration says.
        expression = asked.alerts["RequestsNotMeasured"].replace(
            "service:requests:rate1h", f"({asked.recorded['service:requests:rate1h']})"
        )
        assert [sample.labels["service"] for sample in live.server.query(expression, live.calm)] == told


def test_what_the_agent_counts(live: Live) -> None:
    """How often each call was made, and how often the agent counts it: see the limits in docs/observability.md."""
    server = live.server
    served = "rpc_server_duration_milliseconds_count"
    called = "rpc_client_duration_milliseconds_count"

    def count(name: str, method: str, status: int) -> float:
        matchers = f'service="location-service", rpc_method="{method}", rpc_grpc_status_code="{status}"'
        return sum(sample.value for sample in server.query(f"{name}{{{matchers}}}", live.at))

    # Three times by the gateway and three times by itself; its own client counts only its own.
    assert (count(called, "Fail", 13), count(served, "Fail", 13)) == (3, 6)
    # An exception is counted twice.
    assert (count(called, "Throw", 2), count(served, "Throw", 2)) == (3, 12)
    # What the client did not wait for is cancelled for the server.
    assert (count(called, "Never", 4), count(served, "Never", 4), count(served, "Never", 1)) == (3, 0, 3)
    http = series.called_http(Jvm()).histogram
    [fetched] = server.query(f'{http}_count{{service="location-service", http_response_status_code="500"}}', live.at)
    assert (fetched.value, fetched.labels["server_address"]) == (3, HOSTS[0])


def test_calls_that_hang_are_counted_by_nobody(live: Live) -> None:
    """A limit, of which docs/observability.md tells: only what has ended is counted."""
    before, after = (
        {name: value for name, value in look.items() if HOST in name and "_count{" in name}
        for look in (live.phases["hanging"].before, live.phases["hanging"].after)
    )
    assert before == after != {}


def firing_alerts(live: Live) -> str:
    """Return what the overview asks about alerts that fire."""
    [expression] = [expression for _, panel, expression in live.panels() if panel.id == "alerts"]
    return expression


def as_shown(name: str) -> str:
    """Return the labels of an alert about the chat service on the overview."""
    severity = "critical" if name.endswith("Fast") else "warning"
    return f'{{alertname="{name}", namespace="pp-cs", service="chat-service", severity="{severity}"}}'


def test_alerts_about_the_chat_service(live: Live, tmp_path: Path) -> None:
    """One fires soon after it stopped, fails or is slow, and none about any of the three while all is well."""
    any_of_them = 'group by (alertname, service) (ALERTS{service=~"chat-service|gateway|location-service"})'
    about_it = f'{firing_alerts(live)} and on (service) service:requests:rate5m{{service="chat-service"}}'
    histories = {
        how: History(
            [replace(live.phases["well"], minutes=WELL), replace(live.phases[how], minutes=max(firing))],
            {
                **{minute: {any_of_them: []} for minute in (60, 120, WELL - 1)},
                **{WELL + minutes - 1: {about_it: [*map(as_shown, names)]} for minutes, names in firing.items()},
            },
        )
        for how, firing in FIRING.items()
    }
    assert history.differences(histories, history.counters(live.server), live.rules, tmp_path) == ""


def test_evidence_is_true(live: Live) -> None:
    assert live.server.query(live.alerts["MetricsMissing"])
    fired = {name for firing in FIRING.values() for names in firing.values() for name in names}
    also = [firing_alerts(live)] + [
        live.alerts[name] for name in sorted(fired | {"MetricsMissing", "RequestsNotMeasured"})
    ]
    # What is asked of a service that serves nothing but gRPC: here of another one's gRPC.
    of_grpc = [each for _, panel, each in live.panels() if panel.id == "microservice" and '"user-service"' in each]
    for each in filter(lambda each: live.read(each) <= live.scraped, of_grpc):
        asked = each.replace("user-service", "location-service").replace("pp-us", "pp-ls")
        assert live.server.query(asked, live.at), asked
        also.append(asked)
    live.hold_to("jvm", also)

"""The dashboard of a microservice: one template for all, with what its runtime and its declaration add."""

from __future__ import annotations

from collections.abc import Iterator

from constructs_lib.grafana import style
from constructs_lib.grafana.model import CHOSEN, RANGE, Dashboard, Panel, Query, Row
from constructs_lib.kinds.microservice.construct import Microservice
from constructs_lib.kinds.microservice.requests import without_probes
from constructs_lib.kinds.parts.telemetry import Jvm, Nodejs, Telemetry
from constructs_lib.kinds.postgres import dashboard as postgres
from constructs_lib.kinds.postgres.construct import Postgres
from constructs_lib.kinds.rabbitmq import dashboard as rabbitmq
from constructs_lib.kinds.rabbitmq.construct import RabbitMQ
from constructs_lib.observe import pods as workload
from constructs_lib.observe import runtimes
from constructs_lib.observe.pods import signal


def dashboard(service: Microservice, *, uid: str, links: tuple[tuple[str, str], ...]) -> Dashboard:
    """Return the dashboard of a service.

    Args:
        service: The service.
        uid: Identifier of the dashboard.
        links: ``(title, uid)`` of dashboards that belong to it.
    """
    rows = [*_requests(service), *_business(service), *_calls(service), *_runtime(service)]
    pods = workload.resources(service.name)
    return Dashboard(
        uid,
        "microservice",
        service.name,
        f"What {service.name} serves, what it is busy with, and what it runs on.",
        (*rows, pods),
        workload.variables((service.component.namespace_name,), service.name),
        links,
    )


def serves_grpc(service: Microservice) -> bool:
    """Tell whether a service serves gRPC over its own HTTP/2, by the names of its ports."""
    knows = service.telemetry is not None and service.telemetry.grpc
    return knows and any(name.startswith("grpc") for name in service.endpoints)


def serves_http(service: Microservice) -> bool:
    """Tell whether a service serves anything but gRPC."""
    return any(
        not (name.startswith("grpc") and serves_grpc(service))
        for name, endpoint in service.endpoints.items()
        if not endpoint.internal
    )


def golden(service: Microservice) -> tuple[Panel, Panel, Panel, Panel] | None:
    """Return traffic, errors, latency and saturation of a service; None if it is not measured."""
    runtime = service.telemetry
    if runtime is None:
        return None
    name = f'namespace="{service.component.namespace_name}", service="{service.name}"'
    objective = service.objective
    quantile = "histogram_quantile(0.95, sum by (le) (rate({}_bucket{{{}}}[5m])))"
    latencies = []
    if serves_http(service):
        own = ", ".join(filter(None, (name, without_probes(service))))
        latencies.append(quantile.format(runtime.http_histogram, own))
    if serves_grpc(service) and runtime.grpc_histogram:
        divided = f" / {runtime.grpc_scale}" if runtime.grpc_scale != 1 else ""
        latencies.append(quantile.format(runtime.grpc_histogram, name) + divided)
    # Without labels of their own, the second would be taken for the first.
    slowest = [f'label_replace({latency}, "protocol", "{number}", "", "")' for number, latency in enumerate(latencies)]
    latency = f"max({' or '.join(slowest)})" if len(latencies) > 1 else latencies[0]
    return (
        signal(
            "traffic", "Traffic", "Requests that it serves a second.", "reqps", f"service:requests:rate5m{{{name}}}"
        ),
        signal(
            "errors",
            "Errors",
            "Share of its requests that fail.",
            "percentunit",
            f"service:request_errors:ratio_rate5m{{{name}}}",
            round(1 - objective.availability / 100, 6),
            round(5 * (1 - objective.availability / 100), 6),
        ),
        signal(
            "latency",
            "Latency",
            "95 % of its requests are faster.",
            "s",
            latency,
            objective.seconds,
            2 * objective.seconds,
        ),
        saturation(service.component.namespace_name, service.name),
    )


def saturation(namespace: str, container: str) -> Panel:
    """Return how near the fullest pod is to its memory limit."""
    own = f'namespace="{namespace}", container="{container}"'
    return signal(
        "saturation",
        "Memory",
        "Memory of the fullest pod, of its limit.",
        "percentunit",
        f"max(max by (pod) (container_memory_working_set_bytes{{{own}}}) / on (pod) "
        f'max by (pod) (kube_pod_container_resource_limits{{{own}, resource="memory"}}))',
        0.8,
        0.9,
    )


def _requests(service: Microservice) -> Iterator[Row]:
    runtime = service.telemetry
    if runtime is None:
        return
    name = f'namespace="$namespace", service="{service.name}"'
    objective = service.objective
    yield Row(
        "Promise",
        (
            Panel(
                "availability",
                "Succeeded",
                f"Share of the requests of the last day that did not fail; {objective.availability:g} % are promised. "
                "Requests to the paths of the kubelet's probes are left out, unless that is /.",
                "percentunit",
                (Query(f"1 - service:request_errors:ratio_rate1d{{{name}}}", "succeeded"),),
                kind="stat",
                warning=round(1 - 0.5 * (1 - objective.availability / 100), 6),
                critical=round(objective.availability / 100, 6),
                falling=True,
                width=6,
                height=4,
            ),
            Panel(
                "fast",
                "Fast enough",
                f"Share of the requests of the last day that were answered within {objective.seconds:g} s; "
                f"{objective.fast:g} % are promised.",
                "percentunit",
                (Query(f"1 - service:slow_requests:ratio_rate1d{{{name}}}", "fast"),),
                kind="stat",
                warning=round(1 - 0.5 * (1 - objective.fast / 100), 6),
                critical=round(objective.fast / 100, 6),
                falling=True,
                width=6,
                height=4,
            ),
            Panel(
                "burning",
                "Budget burning",
                "How fast the budgets are used up: at 1 they last exactly for 30 days. From 14.4 on for an hour, or 6 "
                "for six hours, the alert is critical.",
                "none",
                (
                    Query(
                        f"service:request_errors:ratio_rate1h{{{name}}} / {1 - objective.availability / 100:.6g}",
                        "failures",
                        style.ERRORS,
                    ),
                    Query(
                        f"service:slow_requests:ratio_rate1h{{{name}}} / {1 - objective.fast / 100:.6g}",
                        "slowness",
                        style.P95,
                    ),
                ),
                warning=1,
                critical=14.4,
                width=6,
                height=4,
            ),
            Panel(
                "version",
                "Versions",
                "Pods by the version that they run; more than one while a new version rolls out.",
                "none",
                (Query(f"count by (service_version) (target_info{{{CHOSEN}}})", "{{service_version}}"),),
                kind="bargauge",
                width=6,
                height=4,
            ),
        ),
    )
    if serves_http(service):
        yield _http(runtime, objective.seconds, without_probes(service))
    if serves_grpc(service) and runtime.grpc_histogram:
        yield _grpc(runtime, objective.seconds)


def _quantiles(histogram: str, own: str, scale: int = 1) -> tuple[Query, ...]:
    divided = f" / {scale}" if scale != 1 else ""
    return tuple(
        Query(
            f"histogram_quantile({quantile}, sum by (le) (rate({histogram}_bucket{{{own}}}[{RANGE}]))){divided}",
            f"{100 * quantile:g} %",
            colour,
        )
        for quantile, colour in ((0.5, style.P50), (0.95, style.P95), (0.99, style.P99))
    )


def _http(runtime: Telemetry, seconds: float, probes: str) -> Row:
    histogram = runtime.http_histogram
    own = ", ".join(filter(None, (CHOSEN, probes)))
    return Row(
        "HTTP",
        (
            Panel(
                "http-requests",
                "Requests",
                "Requests a second by route. A route that nobody named is shown with no name.",
                "reqps",
                (Query(f"sum by (http_route) (rate({histogram}_count{{{own}}}[{RANGE}]))", "{{http_route}}"),),
                stacked=True,
            ),
            Panel(
                "http-errors",
                "Failures",
                "Requests a second that were answered with a status from 500 on, by route and status.",
                "reqps",
                (
                    Query(
                        "sum by (http_route, http_response_status_code) "
                        f'(rate({histogram}_count{{{own}, http_response_status_code=~"5.."}}[{RANGE}]))',
                        "{{http_response_status_code}} {{http_route}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "http-latency",
                "Latency",
                "Within how many seconds half, 95 % and 99 % of the requests are answered.",
                "s",
                _quantiles(histogram, own),
                critical=seconds,
                width=8,
            ),
            Panel(
                "http-route-latency",
                "Latency by route",
                "Within how many seconds 95 % of the requests to a route are answered: the slowest ten.",
                "s",
                (
                    Query(
                        "topk(10, histogram_quantile(0.95, "
                        f"sum by (le, http_route) (rate({histogram}_bucket{{{own}}}[{RANGE}]))))",
                        "{{http_route}}",
                    ),
                ),
                critical=seconds,
                width=8,
            ),
            Panel(
                "http-statuses",
                "Statuses",
                "Requests a second by status. Those from 400 on are refused: what asks is at fault, or an attack.",
                "reqps",
                (
                    Query(
                        f"sum by (http_response_status_code) (rate({histogram}_count{{{own}}}[{RANGE}]))",
                        "{{http_response_status_code}}",
                    ),
                ),
                stacked=True,
                width=8,
            ),
        ),
    )


def _grpc(runtime: Telemetry, seconds: float) -> Row:
    histogram, status = runtime.grpc_histogram, runtime.grpc_status
    return Row(
        "gRPC",
        (
            Panel(
                "grpc-requests",
                "Calls",
                "Calls a second by method.",
                "reqps",
                (Query(f"sum by (rpc_method) (rate({histogram}_count{{{CHOSEN}}}[{RANGE}]))", "{{rpc_method}}"),),
                stacked=True,
                width=8,
            ),
            Panel(
                "grpc-errors",
                "Failures",
                "Calls a second that ended with a status that the service is to blame for, by method.",
                "reqps",
                (
                    Query(
                        f"sum by (rpc_method, {status}) "
                        f'(rate({histogram}_count{{{CHOSEN}, {status}=~"{runtime.grpc_failures}"}}[{RANGE}]))',
                        f"{{{{{status}}}}} {{{{rpc_method}}}}",
                    ),
                ),
                stacked=True,
                width=8,
            ),
            Panel(
                "grpc-latency",
                "Latency",
                "Within how many seconds half, 95 % and 99 % of the calls are answered.",
                "s",
                _quantiles(histogram, CHOSEN, runtime.grpc_scale),
                critical=seconds,
                width=8,
            ),
        ),
    )


def _business(service: Microservice) -> Iterator[Row]:
    panels: list[Panel] = []
    if isinstance(service.telemetry, Nodejs):
        panels.append(
            Panel(
                "websockets",
                "Open WebSockets",
                "WebSockets that are open, by path; none for a program that has no WebSockets.",
                "none",
                (
                    Query(
                        f"sum by (url_path) (nodejs_websocket_connections{{{CHOSEN}}})",
                        "{{url_path}}",
                    ),
                ),
                stacked=True,
            )
        )
    for needed in dict.fromkeys(edge.endpoint.workload for edge in service.edges):
        namespace = needed.component.namespace_name
        if isinstance(needed, RabbitMQ):
            if service.publishes:
                panels += rabbitmq.exchange_panels(namespace, service.publishes)
            if service.consumes:
                panels += rabbitmq.queue_panels(namespace, service.consumes)
        elif isinstance(needed, Postgres):
            panels += postgres.table_panels(namespace)
    if panels:
        yield Row("Messages and data", tuple(panels))


def _calls(service: Microservice) -> Iterator[Row]:
    """Yield the row with the calls to other services, as the service itself sees them."""
    runtime = service.telemetry
    called = [edge.endpoint for edge in service.edges if isinstance(edge.endpoint.workload, Microservice)]
    called = [endpoint for endpoint in called if endpoint.workload is not service]
    if runtime is None or not called:
        return
    grpc = any(endpoint.name.startswith("grpc") for endpoint in called)
    http = any(not endpoint.name.startswith("grpc") for endpoint in called)
    kinds = [("http", "HTTP", runtime.http_client_histogram, 1)] if http else []
    kinds += [("grpc", "gRPC", runtime.grpc_client_histogram, runtime.grpc_scale)] if grpc else []
    panels: list[Panel] = []
    for id, name, histogram, scale in kinds:
        if not histogram:
            continue
        divided = f" / {scale}" if scale != 1 else ""
        panels += [
            Panel(
                f"called-{id}",
                f"Calls by {name}",
                f"Calls by {name} a second to each other service, as this one sees them.",
                "reqps",
                (
                    Query(
                        f"sum by (server_address) (rate({histogram}_count{{{CHOSEN}}}[{RANGE}]))",
                        "{{server_address}}",
                    ),
                ),
            ),
            Panel(
                f"called-{id}-latency",
                f"Latency of calls by {name}",
                "Within how many seconds 95 % of the calls to each other service are answered, the network included.",
                "s",
                (
                    Query(
                        "histogram_quantile(0.95, "
                        f"sum by (le, server_address) (rate({histogram}_bucket{{{CHOSEN}}}[{RANGE}]))){divided}",
                        "{{server_address}}",
                    ),
                ),
            ),
        ]
    if panels:
        yield Row("Calls to others", tuple(panels))


def _runtime(service: Microservice) -> Iterator[Row]:
    if isinstance(service.telemetry, Jvm):
        yield runtimes.jvm()
    elif isinstance(service.telemetry, Nodejs):
        yield runtimes.nodejs()

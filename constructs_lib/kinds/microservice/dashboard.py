"""The dashboard of a microservice: one template for all, with what its runtime and its declaration add."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from constructs_lib.declare.observed import Observed
from constructs_lib.declare.server import Endpoint
from constructs_lib.grafana import panels
from constructs_lib.grafana.model import CHOSEN, Dashboard, Panel, Row
from constructs_lib.kinds.microservice import series
from constructs_lib.kinds.microservice.program import MeasuredProgram
from constructs_lib.kinds.microservice.series import Call, Series
from constructs_lib.kinds.parts.telemetry import Telemetry

_FILE = Path(__file__).parent / "dashboard.yaml"
_DATA = "Messages and data"


def dashboard(service: MeasuredProgram, called: Sequence[Endpoint]) -> Dashboard:
    """Return the dashboard of a service, which has ``called`` endpoints of others."""
    runtime = service.telemetry
    rows = panels.rows(_FILE, _placeholders(service, runtime, called)) if runtime else {}
    own = rows.pop(_DATA).panels if _DATA in rows else ()
    servers = dict.fromkeys(edge.endpoint.server for edge in service.edges)
    needed = [server for server in servers if isinstance(server, Observed)]
    data = Row(_DATA, (*own, *(panel for each in needed for panel in each.panels_for(service))))
    calls = rows.pop("Calls to others", None)
    return Dashboard(
        "microservice",
        service.name,
        f"What {service.name} serves, what it is busy with, and what it runs on.",
        (
            *rows.values(),
            *([data] if data.panels else []),
            *([calls] if calls else []),
            *(runtime.rows() if runtime else ()),
        ),
    )


def signals(service: MeasuredProgram) -> Sequence[Panel]:
    """Return traffic, errors, latency and saturation of a service; nothing if it is not measured."""
    return panels.signals(_FILE, _placeholders(service, service.telemetry, ())) if service.telemetry else ()


def business(service: MeasuredProgram) -> Sequence[Panel]:
    """Return what people ask of a service, by route or method; nothing if they do not reach it or nobody counts it."""
    runtime = service.telemetry
    if not runtime or not service.ports_of_users:
        return ()
    values = _placeholders(service, runtime, ())
    own = str(values["own"])
    chosen = {"chosen": own, "requests": ", ".join(filter(None, (own, series.without_probes(service))))}
    found = panels.panels(_FILE, {**values, **chosen}, "http-requests", "grpc-requests")
    return [replace(each, title=f"{service.name}: {each.title}", width=8) for each in found]


def _serves_grpc(service: MeasuredProgram, runtime: Telemetry) -> bool:
    """Tell whether a service serves gRPC over its own HTTP/2, by the names of its ports."""
    return runtime.grpc and any(name.startswith("grpc") for name in service.endpoints)


def _serves_http(service: MeasuredProgram, runtime: Telemetry) -> bool:
    """Tell whether a service serves anything but gRPC."""
    grpc = _serves_grpc(service, runtime)
    return any(
        not (grpc and name.startswith("grpc")) for name, endpoint in service.endpoints.items() if not endpoint.internal
    )


def _placeholders(
    service: MeasuredProgram, runtime: Telemetry, called: Sequence[Endpoint]
) -> dict[str, str | float | None]:
    is_seen = runtime.sees_requests
    http = runtime.http_histogram if is_seen and _serves_http(service, runtime) else None
    grpc = (runtime.grpc_histogram or None) if is_seen and _serves_grpc(service, runtime) else None
    calls = [] if is_seen else series.callers(service)
    by_grpc = {endpoint.name.startswith("grpc") for endpoint in called}
    objective = service.objective
    failures, slowness = 1 - objective.availability / 100, 1 - objective.fast / 100
    namespace = f'namespace="{service.namespace_name}"'
    own = f'{namespace}, service="{service.name}"'
    is_measured = is_seen or calls
    return {
        "own": own,
        "asked": own if is_measured else None,
        "promise": f'namespace="$namespace", service="{service.name}"' if is_measured else None,
        "container": f'{namespace}, container="{service.name}"',
        "requests": ", ".join(filter(None, (CHOSEN, series.without_probes(service)))),
        "http": http,
        "http_client": (runtime.http_client_histogram or None) if False in by_grpc else None,
        "grpc": grpc,
        "grpc_client": (runtime.grpc_client_histogram or None) if True in by_grpc else None,
        "grpc_status": runtime.grpc_status,
        "grpc_failures": runtime.grpc_failures,
        "grpc_cancelled": runtime.grpc_cancelled,
        "as_seconds": _as_seconds(runtime.grpc_scale),
        "websockets": runtime.websockets or None,
        "latency": _latency(service, runtime, http, grpc, calls),
        **_as_callers_see_it(calls),
        "seconds": objective.seconds,
        "seconds_critical": 2 * objective.seconds,
        "availability": objective.availability,
        "availability_critical": round(objective.availability / 100, 6),
        "availability_warning": round(1 - 0.5 * failures, 6),
        "errors_warning": round(failures, 6),
        "errors_critical": round(5 * failures, 6),
        "failures_budget": f"{failures:.6g}",
        "fast": objective.fast,
        "fast_critical": round(objective.fast / 100, 6),
        "fast_warning": round(1 - 0.5 * slowness, 6),
        "slowness_budget": f"{slowness:.6g}",
    }


def _as_callers_see_it(calls: Sequence[Call]) -> dict[str, str | None]:
    """Return what is shown of a service whose requests its callers' agents count, over Grafana's interval."""
    if not calls:
        names = ("requests", "failures", "latency", "statuses", "legend")
        return {f"caller_{name}": None for name in names}
    found = series.by_histogram(calls, series.to_services([call.host for call in calls]))
    window = "$__rate_interval"
    statuses = dict.fromkeys(
        status
        for call in calls
        for status in ((call.runtime.grpc_status,) if call.is_grpc else (series.HTTP_STATUS, "error_type"))
    )
    return {
        "caller_requests": " or ".join(rate for each in found for rate in each.rates("_count", window)),
        "caller_failures": " or ".join(rate for each in found for rate in each.rates("_count", window, *each.failed)),
        "caller_latency": _slowest(found, window, "le, service", "by (service) "),
        "caller_statuses": ", ".join(statuses),
        "caller_legend": " ".join(f"{{{{{status}}}}}" for status in statuses),
    }


def _as_seconds(scale: int) -> str:
    return f" / {scale}" if scale != 1 else ""


def _latency(
    service: MeasuredProgram, runtime: Telemetry, http: str | None, grpc: str | None, calls: Sequence[Call]
) -> str | None:
    """Return within how many seconds 95 % of all requests are answered, the slower protocol if there are two."""
    name = f'namespace="{service.namespace_name}", service="{service.name}"'
    found = []
    if http:
        found.append(series.served_http(runtime, name, series.without_probes(service)))
    if grpc:
        found.append(series.served_grpc(runtime, name))
    if calls:
        found += series.by_histogram(calls, series.to_services([call.host for call in calls]))
    return _slowest(found, "5m", "le") if found else None


def _slowest(found: Sequence[Series], window: str, by: str, result: str = "") -> str:
    """Return within how many seconds 95 % of the requests in each of some series are answered: the slowest of them."""
    latencies = [
        f"histogram_quantile(0.95, sum by ({by}) ({rate})){_as_seconds(each.scale)}"
        for each in found
        for rate in each.rates("_bucket", window)
    ]
    if len(latencies) == 1:
        return latencies[0]
    # They need different labels: "or" drops a series whose labels are there already.
    told_apart = (f'label_replace({latency}, "protocol", "{n}", "", "")' for n, latency in enumerate(latencies))
    return f"max {result}({' or '.join(told_apart)})" if result else f"max({' or '.join(told_apart)})"

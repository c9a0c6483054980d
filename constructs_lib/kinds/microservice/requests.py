"""Requests that services serve: rate, failures and duration, whatever their runtime, and budgets for promises."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from constructs_lib.declare.probe import Http
from constructs_lib.kinds.microservice.program import MeasuredProgram, Objective
from constructs_lib.kinds.parts.telemetry import Telemetry
from constructs_lib.prometheus.rules import Group, Record, one_of, rules

#: Windows over which failures are counted: in each alert a long one, which is significant, and a short one, which ends
#: the alert soon after its cause (https://sre.google/workbook/alerting-on-slos/, multiwindow, multi-burn-rate alerts).
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
#: By the speed in the name of an alert: how many times too fast a budget is used up, over which two windows.
_SPEEDS = {"fast": ((14.4, "1h", "5m"), (6, "6h", "30m")), "slow": ((3, "1d", "2h"), (1, "3d", "6h"))}
#: Requests a second below which a ratio means nothing: one a minute.
_FEW = "0.0167"
_ALERTS = Path(__file__).parent / "alerts.yaml"


def group(services: Sequence[MeasuredProgram]) -> Group | None:
    """Return the rules of all services that are measured; None if none is."""
    measured = [service for service in services if service.telemetry]
    if not measured:
        return None
    records: list[Record] = []
    for window in WINDOWS:
        requests = _summed(measured, "_count", window)
        failed = _summed(measured, "_count", window, ['http_response_status_code=~"5.."'], _blamed)
        records.append(Record(f"service:requests:rate{window}", requests))
        # Without any failure there is no series; the ratio is then zero.
        records.append(
            Record(
                f"service:request_errors:ratio_rate{window}",
                f"({failed} or 0 * service:requests:rate{window}) / (service:requests:rate{window} > 0)",
            )
        )
        for objective, names in _by_objective(measured).items():
            promised = [service for service in measured if service.objective == objective]
            fast = _summed(
                promised, "_bucket", window, [_boundary(objective.seconds)], partial(_fast_call, objective.seconds)
            )
            total = f"(service:requests:rate{window}{{service{one_of(names)}}} > 0)"
            records.append(
                Record(f"service:slow_requests:ratio_rate{window}", f"1 - ({fast} or 0 * {total}) / {total}")
            )
    return replace(rules(_ALERTS, _burning_services(_by_objective(measured))), records=records)


def without_probes(service: MeasuredProgram) -> str:
    """Return a matcher that leaves out the kubelet's probes of a service, which are no requests of anybody.

    One of the path ``/`` cannot be told from a request of a person. Nothing if there is nothing to leave out.
    """
    paths = {
        path
        for probe in (service.readiness, service.liveness)
        if isinstance(probe, Http) and (path := probe.path.partition("?")[0].rstrip("/"))
    }
    if not paths:
        return ""
    escaped = "|".join(re.sub(r"[^\w/-]", lambda match: f"[{match[0]}]", path) for path in sorted(paths))
    return f'http_route!~"({escaped})/?"'


def _by_objective(services: Iterable[MeasuredProgram]) -> dict[Objective, list[str]]:
    found: dict[Objective, list[str]] = {}
    for service in sorted(services, key=lambda service: service.name):
        found.setdefault(service.objective, []).append(service.name)
    return found


def _summed(
    services: Sequence[MeasuredProgram],
    suffix: str,
    window: str,
    http: Sequence[str] = (),
    grpc: Callable[[Telemetry], str] | None = None,
) -> str:
    """Return the rate of some services' requests over a window, by the series with a suffix of the agents' histograms.

    The matchers ``http`` choose HTTP requests, and the one that ``grpc`` returns for an agent chooses gRPC calls.
    """
    by_probes: dict[tuple[str, str], list[str]] = {}
    by_agent: dict[type[Telemetry], list[str]] = {}
    agents: dict[type[Telemetry], Telemetry] = {}
    for service in sorted(services, key=lambda service: service.name):
        if runtime := service.telemetry:
            by_probes.setdefault((runtime.http_histogram, without_probes(service)), []).append(service.name)
            by_agent.setdefault(type(runtime), []).append(service.name)
            agents[type(runtime)] = runtime
    parts = [
        _rate(f"{histogram}{suffix}", [f"service{one_of(names)}", *http, probes], window)
        for (histogram, probes), names in sorted(by_probes.items())
    ]
    parts += [
        _rate(
            f"{runtime.grpc_histogram}{suffix}",
            [f"service{one_of(by_agent[kind])}", grpc(runtime) if grpc else ""],
            window,
        )
        for kind, runtime in sorted(agents.items(), key=lambda item: item[0].__name__)
        if runtime.grpc_histogram
    ]
    return f"sum by (namespace, service) ({' or '.join(parts)})"


def _rate(metric: str, matchers: Sequence[str], window: str) -> str:
    return f"rate({metric}{{{', '.join(filter(None, matchers))}}}[{window}])"


def _fast_call(seconds: float, runtime: Telemetry) -> str:
    return _boundary(seconds * runtime.grpc_scale)


def _blamed(runtime: Telemetry) -> str:
    return f'{runtime.grpc_status}=~"{runtime.grpc_failures}"'


def _boundary(value: float) -> str:
    """Return the matcher of a bucket; Prometheus 3 writes whole numbers with a fraction, agents may not."""
    text = f"{value:g}"
    return f'le="{text}"' if "." in text else f'le=~"{text}([.]0)?"'


def _burning_services(by_objective: Mapping[Objective, Sequence[str]]) -> dict[str, str]:
    """Return what is true of the services that an alert is about, whatever each of them promises."""
    available: dict[tuple[float, str], list[str]] = {}
    fast: dict[tuple[float, str], list[str]] = {}
    for objective, names in by_objective.items():
        available.setdefault((objective.availability, f"{objective.availability:g} %"), []).extend(names)
        fast.setdefault((objective.fast, f"{objective.fast:g} % within {objective.seconds:g} s"), []).extend(names)
    return {
        f"{what}_{speed}": " or ".join(
            _promised(metric, names, percent, text, windows) for (percent, text), names in services.items()
        )
        for what, metric, services in (
            ("availability", "request_errors", available),
            ("latency", "slow_requests", fast),
        )
        for speed, windows in _SPEEDS.items()
    }


def _promised(
    metric: str, names: Sequence[str], percent: float, text: str, windows: Iterable[tuple[float, str, str]]
) -> str:
    """Return what is true of services that use up the budget of a promise, labelled by the promise."""
    services = f"service{one_of(sorted(names))}"
    burning = " or ".join(
        _burning(metric, services, round(rate * (1 - percent / 100), 6), long, short) for rate, long, short in windows
    )
    return f'label_replace({burning}, "promised", "{text}", "", "")'


def _burning(metric: str, services: str, threshold: float, long: str, short: str) -> str:
    return (
        f"(service:{metric}:ratio_rate{long}{{{services}}} > {threshold:g} "
        f"and service:{metric}:ratio_rate{short}{{{services}}} > {threshold:g} "
        f"and service:requests:rate{long} > {_FEW})"
    )

"""Requests that services serve: rate, failures and duration, whatever their runtime, and budgets for promises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from constructs_lib.declare.microservice import Microservice
from constructs_lib.declare.objective import Objective
from constructs_lib.declare.probe import Http
from constructs_lib.declare.telemetry import Telemetry
from constructs_lib.observe.model import Alert, Group, Record, Severity, one_of

#: Windows over which budgets are looked at: a long one that is significant, and a short one that ends the alert soon
#: after its cause (https://sre.google/workbook/alerting-on-slos/, 6: multiwindow, multi-burn-rate alerts).
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
#: How fast a budget may be used up: a name, a severity, a wait, rates with their windows, and what it comes to.
_SPEEDS: tuple[tuple[str, Severity, str, tuple[tuple[float, str, str], ...], str], ...] = (
    ("Fast", "critical", "2m", ((14.4, "1h", "5m"), (6, "6h", "30m")), "will be used up within days"),
    ("Slow", "warning", "15m", ((3, "1d", "2h"), (1, "3d", "6h")), "will not last for the month"),
)
#: Requests a second below which a ratio says nothing: one a minute.
_FEW = "0.0167"


def group(services: Sequence[Microservice]) -> Group | None:
    """Return the rules of all services that are measured; None if none is."""
    measured = [service for service in services if service.telemetry]
    if not measured:
        return None
    kinds = {type(service.telemetry): service.telemetry for service in measured if service.telemetry}
    runtimes = sorted(kinds.values(), key=lambda telemetry: type(telemetry).__name__)
    probes = _probes(measured)
    records: list[Record] = []
    for window in WINDOWS:
        requests = _summed([_requests(runtime, window, probes) for runtime in runtimes])
        failed = _summed([_failed(runtime, window, probes) for runtime in runtimes])
        records.append(Record(f"service:requests:rate{window}", requests))
        # No failure has no series: then nothing failed.
        records.append(
            Record(
                f"service:request_errors:ratio_rate{window}",
                f"({failed} or 0 * service:requests:rate{window}) / (service:requests:rate{window} > 0)",
            )
        )
        for objective, names in _by_objective(measured).items():
            fast = _summed([_fast(runtime, window, probes, objective, names) for runtime in runtimes])
            total = f"(service:requests:rate{window}{{service{one_of(names)}}} > 0)"
            records.append(
                Record(f"service:slow_requests:ratio_rate{window}", f"1 - ({fast} or 0 * {total}) / {total}")
            )
    return Group("requests", records, _alerts(_by_objective(measured)))


def _probes(services: Iterable[Microservice]) -> str:
    """Return a matcher that leaves out the probes of the kubelet, which are no requests of anybody."""
    paths = {
        probe.path.rstrip("/")
        for service in services
        for probe in (service.readiness, service.liveness)
        if isinstance(probe, Http) and probe.path.rstrip("/")
    }
    if not paths:
        return ""
    escaped = "|".join(re.sub(r"[^\w/-]", lambda match: f"[{match[0]}]", path) for path in sorted(paths))
    return f'http_route!~"({escaped})/?"'


def _by_objective(services: Iterable[Microservice]) -> dict[Objective, list[str]]:
    found: dict[Objective, list[str]] = {}
    for service in sorted(services, key=lambda service: service.name):
        found.setdefault(service.objective, []).append(service.name)
    return found


def _summed(parts: Iterable[str]) -> str:
    return f"sum by (namespace, service) ({' or '.join(parts)})"


def _both(runtime: Telemetry, suffix: str, window: str, http: Sequence[str], grpc: Sequence[str]) -> str:
    parts = [f"rate({runtime.http_histogram}{suffix}{_matchers(http)}[{window}])"]
    if runtime.grpc_histogram:
        parts.append(f"rate({runtime.grpc_histogram}{suffix}{_matchers(grpc)}[{window}])")
    return " or ".join(parts)


def _matchers(matchers: Sequence[str]) -> str:
    used = [matcher for matcher in matchers if matcher]
    return f"{{{', '.join(used)}}}" if used else ""


def _requests(runtime: Telemetry, window: str, probes: str) -> str:
    return _both(runtime, "_count", window, [probes], [])


def _failed(runtime: Telemetry, window: str, probes: str) -> str:
    grpc = f'{runtime.grpc_status}=~"{runtime.grpc_failures}"'
    return _both(runtime, "_count", window, ['http_response_status_code=~"5.."', probes], [grpc])


def _fast(runtime: Telemetry, window: str, probes: str, objective: Objective, names: Sequence[str]) -> str:
    service = f"service{one_of(names)}"
    return _both(
        runtime,
        "_bucket",
        window,
        [service, _boundary(objective.seconds), probes],
        [service, _boundary(objective.seconds * runtime.grpc_scale)],
    )


def _boundary(value: float) -> str:
    """Return the matcher of a bucket; Prometheus 3 writes whole numbers with a fraction, agents may not."""
    text = f"{value:g}"
    return f'le="{text}"' if "." in text else f'le=~"{text}([.]0)?"'


def _alerts(by_objective: Mapping[Objective, Sequence[str]]) -> list[Alert]:
    """Return the alerts of all services: each name is written once, whatever each of them promises."""
    kinds: tuple[tuple[str, str, str, str, str, dict[tuple[float, str], list[str]]], ...] = (
        ("Availability", "request_errors", "fails too many requests", "fail", "are to succeed", {}),
        ("Latency", "slow_requests", "is too slow", "are too slow", "are to be answered in time", {}),
    )
    for objective, names in by_objective.items():
        available = (objective.availability, f"{objective.availability:g} %")
        fast = (objective.fast, f"{objective.fast:g} % within {objective.seconds:g} s")
        for (*_, services), promise in zip(kinds, (available, fast), strict=True):
            services.setdefault(promise, []).extend(names)
    alerts: list[Alert] = []
    for what, metric, wrong, do, should, services in kinds:
        for speed, severity, wait, windows, ends in _SPEEDS:
            alerts.append(
                Alert(
                    f"{what}Burning{speed}",
                    severity,
                    " or ".join(
                        _promised(metric, names, percent, text, windows) for (percent, text), names in services.items()
                    ),
                    wait,
                    f"{{{{ $labels.service }}}} {wrong}.",
                    f"{{{{ $value | humanizePercentage }}}} of its requests {do}; {{{{ $labels.promised }}}} {should}, "
                    f"and this budget {ends}.",
                )
            )
    return alerts


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

"""Requests that services serve: rate, failures and duration, whatever their runtime, and budgets for promises."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from constructs_lib.declare.probe import Http
from constructs_lib.kinds.microservice import series
from constructs_lib.kinds.microservice.program import MeasuredProgram, Objective
from constructs_lib.kinds.microservice.series import Series
from constructs_lib.prometheus.rules import Group, Record, one_of, rules

#: Windows over which failures are counted: in each alert a long one, which is significant, and a short one, which ends
#: the alert soon after its cause (https://sre.google/workbook/alerting-on-slos/, multiwindow, multi-burn-rate alerts).
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
#: By the speed in the name of an alert: how many times too fast a budget is used up, over which two windows.
_SPEEDS = {"fast": ((14.4, "1h", "5m"), (6, "6h", "30m")), "slow": ((3, "1d", "2h"), (1, "3d", "6h"))}
#: Requests a second below which a ratio means nothing: one a minute.
_FEW = "0.0167"
_ALERTS = Path(__file__).parent / "alerts.yaml"


class Services:
    """Services with an agent, and which series tell of their requests.

    Attributes:
        seen: Those whose own agents see their requests.
        called: Who calls the others; one that nobody calls who is measured is not among them.
    """

    def __init__(self, services: Sequence[MeasuredProgram]) -> None:
        """Tell them apart."""
        self._calls = series.calls(services[0].system) if services else {}
        self.seen = [each for each in services if each.telemetry and each.telemetry.sees_requests]
        unseen = [each for each in services if each.telemetry and not each.telemetry.sees_requests]
        self.called = {each: self._calls[each] for each in unseen if each in self._calls}

    @property
    def measured(self) -> list[MeasuredProgram]:
        """All of them whose requests are measured."""
        return [*self.seen, *self.called]

    def summed(
        self,
        suffix: str,
        window: str,
        choose: Callable[[Series], Sequence[str]],
        among: Iterable[MeasuredProgram] | None = None,
    ) -> str:
        """Return the rate of requests over a window by service, by the series with a suffix of the agents' histograms.

        Args:
            suffix: Of the series.
            window: Over how long.
            choose: Which requests are meant, any of several choices.
            among: Some of the services. Default: all that are measured.
        """
        chosen = [*(self.measured if among is None else among)]
        own = series.own(each for each in chosen if each not in self.called)
        rates = [rate for each in own for rate in each.rates(suffix, window, *choose(each))]
        if calls := [call for each in chosen for call in self.called.get(each, ())]:
            found = series.by_histogram(calls, series.to_services([call.host for call in calls]))
            of_callers = [rate for each in found for rate in each.rates(suffix, window, *choose(each))]
            rates.append(series.as_of_the_called(" or ".join(of_callers), calls))
        return f"sum by (namespace, service) ({' or '.join(rates)})"

    def not_measured(self) -> str | None:
        """Return what is true of services that run and answer, while their agents see nothing of it.

        Their callers got answers within the last hour, or the kubelet's probes by HTTP are not counted, which never
        end. One that is idle is neither. None if nothing could tell.
        """
        found = []
        asked = [(each, self._calls[each]) for each in self.seen if each in self._calls]
        if asked:
            every = [call for _, calls in asked for call in calls]
            of_callers = series.by_histogram(every, series.to_services())
            answered = " or ".join(rate for each in of_callers for rate in each.rates("_count", "1h", *each.succeeded))
            found.append(
                f"(sum by (namespace, service) ({series.as_of_the_called(answered, every)}) > 0 "
                f"and on (namespace, service) {_running([each for each, _ in asked])}) "
                "unless on (namespace, service) (service:requests:rate1h > 0)"
            )
        probed: dict[str, list[MeasuredProgram]] = {}
        for each in self.seen:
            if each.telemetry and _is_probed(each):
                probed.setdefault(each.telemetry.http_histogram, []).append(each)
        found += [
            f"group by (namespace, service) ({_running(services)}) "
            f"unless on (namespace, service) {histogram}_count{{{_named(services)}}}"
            for histogram, services in sorted(probed.items())
        ]
        return " or ".join(f"({each})" for each in found) or None


def group(workloads: Sequence[MeasuredProgram]) -> Group | None:
    """Return the rules of all services that are measured; None if none is."""
    services = Services(workloads)
    if not services.measured:
        return None
    records: list[Record] = []
    for window in WINDOWS:
        records.append(Record(f"service:requests:rate{window}", services.summed("_count", window, _all)))
        answered = f"service:answered_requests:rate{window}"
        records.append(Record(answered, services.summed("_count", window, lambda each: each.answered)))
        failed = services.summed("_count", window, lambda each: each.failed)
        # Without any failure there is no series; the ratio is then zero.
        records.append(
            Record(f"service:request_errors:ratio_rate{window}", f"({failed} or 0 * {answered}) / ({answered} > 0)")
        )
        for objective, promising in _by_objective(services.measured).items():
            fast = services.summed("_bucket", window, _fast(objective.seconds), promising)
            total = f"(service:requests:rate{window}{{{_named(promising)}}} > 0)"
            records.append(
                Record(f"service:slow_requests:ratio_rate{window}", f"1 - ({fast} or 0 * {total}) / {total}")
            )
    # For budgets over weeks, in which a busy hour counts for more than a quiet one.
    for name, ratio, total in (
        ("failed_requests", "request_errors", "answered_requests"),
        ("slow_requests", "slow_requests", "requests"),
    ):
        rate = f"service:{ratio}:ratio_rate5m * service:{total}:rate5m"
        records.append(Record(f"service:{name}:rate5m", rate))
    by_objective = {
        objective: [each.name for each in promising]
        for objective, promising in _by_objective(services.measured).items()
    }
    values = {**_burning_services(by_objective), "not_measured": services.not_measured()}
    return replace(rules(_ALERTS, values), records=records)


def _by_objective(services: Iterable[MeasuredProgram]) -> dict[Objective, list[MeasuredProgram]]:
    found: dict[Objective, list[MeasuredProgram]] = {}
    for service in sorted(services, key=lambda service: service.name):
        found.setdefault(service.objective, []).append(service)
    return found


def _all(_: Series) -> Sequence[str]:
    return ()


def _fast(seconds: float) -> Callable[[Series], Sequence[str]]:
    return lambda each: each.fast(seconds)


def _named(services: Iterable[MeasuredProgram]) -> str:
    return f"service{one_of(sorted(each.name for each in services))}"


def _running(services: Iterable[MeasuredProgram]) -> str:
    return f"target_info{{{_named(services)}}}"


def _is_probed(service: MeasuredProgram) -> bool:
    """Tell whether the kubelet asks a service by HTTP, at a port of its own and not of what it is built with."""
    asked = (each.port for each in (service.readiness, service.liveness) if isinstance(each, Http))
    return any(name in service.endpoints and not service.endpoints[name].internal for name in asked)


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

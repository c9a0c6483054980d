"""Which series tell of a service's requests: those of its own agent, or those of its callers' agents."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.declare.probe import Http
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import PODS
from constructs_lib.kinds.microservice.program import MeasuredProgram
from constructs_lib.kinds.parts.telemetry import Telemetry, of_histograms
from constructs_lib.prometheus.rules import one_of

#: The name of a Service as clients are told it, by which their agents tell servers apart.
_SERVICE = "([^.]+)[.]([^.]+)[.]svc[.].+"
#: Label with the status of an HTTP request.
HTTP_STATUS = "http_response_status_code"


@dataclass(frozen=True)
class Series:
    """The series of one histogram that tell of requests, and matchers that choose some of them, any of several.

    Attributes:
        histogram: Name of the histogram.
        matchers: What chooses them, without the empty ones.
        scale: How many units of the histogram make a second.
        failed: Requests that failed.
        answered: Requests for whose answer the client waited.
        in_time: Requests that may count as fast, as they have an answer.
        succeeded: Requests that the service answered, and well.
    """

    histogram: str
    matchers: tuple[str, ...]
    scale: int
    failed: tuple[str, ...]
    answered: tuple[str, ...]
    in_time: tuple[str, ...]
    succeeded: tuple[str, ...]

    def rates(self, suffix: str, window: str, *choices: str) -> Iterator[str]:
        """Yield the rates of the series with a suffix, one for each of the choices. Default: of all of them."""
        for choice in choices or ("",):
            matchers = ", ".join(filter(None, (*self.matchers, choice)))
            yield f"rate({self.histogram}{suffix}{{{matchers}}}[{window}])"

    def fast(self, seconds: float) -> tuple[str, ...]:
        """Return the matchers of the buckets with what is answered within some seconds."""
        boundary = _boundary(seconds * self.scale)
        return tuple(", ".join(filter(None, (boundary, each))) for each in self.in_time or ("",))


def served_http(runtime: Telemetry, *matchers: str) -> Series:
    """Return the HTTP requests that programs serve."""
    failed, succeeded = (f'{HTTP_STATUS}=~"5.."',), (f'{HTTP_STATUS}=~"[23].."',)
    return Series(runtime.http_histogram, _some(matchers), 1, failed, (), (), succeeded)


def called_http(runtime: Telemetry, *matchers: str) -> Series:
    """Return the HTTP requests that programs send; one that gets no answer has an error and no status.

    One that becomes a WebSocket has neither on Node.js.
    """
    failed = (f'{HTTP_STATUS}=~"5.."', f'{HTTP_STATUS}="", error_type!=""')
    in_time = (f'{HTTP_STATUS}!=""', f'{HTTP_STATUS}="", error_type=""')
    succeeded = (f'{HTTP_STATUS}=~"[23].."',)
    return Series(runtime.http_client_histogram, _some(matchers), 1, failed, (), in_time, succeeded)


def served_grpc(runtime: Telemetry, *matchers: str) -> Series:
    """Return the gRPC calls that programs serve."""
    return _grpc(runtime, runtime.grpc_histogram, matchers)


def called_grpc(runtime: Telemetry, *matchers: str) -> Series:
    """Return the gRPC calls that programs make."""
    return _grpc(runtime, runtime.grpc_client_histogram, matchers)


def _grpc(runtime: Telemetry, histogram: str, matchers: Sequence[str]) -> Series:
    """Return gRPC calls, of which one that runs into its client's deadline is cancelled, as its server sees it.

    So it is neither fast nor a success. Nor is it a failure, as clients may cancel calls on purpose.
    """
    status, cancelled = runtime.grpc_status, runtime.grpc_cancelled
    return Series(
        histogram,
        _some(matchers),
        runtime.grpc_scale,
        (f'{status}=~"{runtime.grpc_failures}"',),
        (f'{status}!="{cancelled}"',),
        (f'{status}!~"{cancelled}|{runtime.grpc_late}"',),
        (f'{status}="{runtime.grpc_ok}"',),
    )


def _some(matchers: Iterable[str]) -> tuple[str, ...]:
    return tuple(filter(None, matchers))


def own(services: Iterable[MeasuredProgram]) -> list[Series]:
    """Return the series of some services whose agents see their requests."""
    by_probes: dict[tuple[str, str], list[str]] = {}
    by_agent: dict[type[Telemetry], list[str]] = {}
    agents: dict[type[Telemetry], Telemetry] = {}
    for service in sorted(services, key=lambda service: service.name):
        if runtime := service.telemetry:
            by_probes.setdefault((runtime.http_histogram, without_probes(service)), []).append(service.name)
            by_agent.setdefault(type(runtime), []).append(service.name)
            agents[type(runtime)] = runtime
    of_histograms = {runtime.http_histogram: runtime for runtime in agents.values()}
    found = [
        served_http(of_histograms[histogram], f"service{one_of(names)}", probes)
        for (histogram, probes), names in sorted(by_probes.items())
    ]
    found += [
        served_grpc(runtime, f"service{one_of(by_agent[kind])}")
        for kind, runtime in sorted(agents.items(), key=lambda item: item[0].__name__)
        if runtime.grpc_histogram
    ]
    return found


@dataclass(frozen=True)
class Call:
    """One program with an agent calls a service, by gRPC or by HTTP.

    Attributes:
        caller: The program.
        runtime: Its agent.
        is_grpc: Whether it calls by gRPC, by the name of the port.
        host: The service's name as it is told.
    """

    caller: MeasuredProgram
    runtime: Telemetry
    is_grpc: bool
    host: str

    def series(self, *matchers: str) -> Series:
        """Return the calls of its agent that have some labels."""
        return (called_grpc if self.is_grpc else called_http)(self.runtime, *matchers)


def calls(system: System) -> Mapping[MeasuredProgram, Sequence[Call]]:
    """Return who calls each service, as far as an agent measures it."""
    found: dict[MeasuredProgram, dict[Call, None]] = {}
    for caller in system.workloads:
        if not isinstance(caller, MeasuredProgram) or caller.telemetry is None:
            continue
        for edge in caller.edges:
            called, host = edge.endpoint.server, edge.endpoint.attributes.get("host")
            if isinstance(called, MeasuredProgram) and called is not caller and isinstance(host, str):
                call = Call(caller, caller.telemetry, edge.endpoint.name.startswith("grpc"), host)
                if call.series().histogram:
                    found.setdefault(called, {})[call] = None
    return {called: tuple(found[called]) for called in found}


def callers(service: MeasuredProgram) -> Sequence[Call]:
    """Return who calls a service, as far as an agent measures it."""
    return calls(service.system).get(service, ())


def metrics(service: MeasuredProgram) -> frozenset[str]:
    """Return the names of the series that tell of a service's requests."""
    if service.telemetry is None:
        return frozenset()
    if service.telemetry.sees_requests:
        return service.telemetry.metrics
    return of_histograms(call.series().histogram for call in callers(service))


def measured_by(service: MeasuredProgram) -> str:
    """Return in words whose agents count the requests of a service; nothing if it serves none."""
    if all(endpoint.internal for endpoint in service.endpoints.values()):
        return ""
    if service.telemetry is None:
        return "nobody: it has no telemetry"
    agent = f"its own agent, `{type(service.telemetry).__name__}`"
    if service.telemetry.sees_requests:
        return agent
    if found := sorted({call.caller.name for call in callers(service)}):
        return f"the agents of those who call it: {', '.join(found)}"
    return f"nobody: {agent}, does not see them, and no program with telemetry calls it; nothing is promised"


def by_histogram(calls: Iterable[Call], *matchers: str) -> list[Series]:
    """Return the series of some calls, each histogram once."""
    return [*dict.fromkeys(call.series(*matchers) for call in sorted(calls, key=_kind))]


def _kind(call: Call) -> tuple[str, bool]:
    return type(call.runtime).__name__, call.is_grpc


def to_services(hosts: Sequence[str] = ()) -> str:
    """Return the matcher of calls to some Services by their names. Default: to any."""
    return f"server_address{one_of(sorted({*hosts}))}" if hosts else f'server_address=~"{_SERVICE}"'


def as_of_the_called(expression: str, calls: Iterable[Call]) -> str:
    """Return an expression about some calls to Services with the name and the namespace of who is called.

    Who balances calls itself knows a Service by the name that leads to all its pods.
    """
    is_balanced = any(call.host.partition(".")[0].endswith(PODS) for call in calls)
    name = _SERVICE.replace("([^.]+)", f"([^.]+?)(?:{PODS})?", 1) if is_balanced else _SERVICE
    for label, group in (("service", 1), ("namespace", 2)):
        expression = f'label_replace({expression}, "{label}", "${group}", "server_address", "{name}")'
    return expression


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


def _boundary(value: float) -> str:
    """Return the matcher of a bucket; Prometheus 3 writes whole numbers with a fraction, agents may not."""
    text = f"{value:g}"
    return f'le="{text}"' if "." in text else f'le=~"{text}([.]0)?"'

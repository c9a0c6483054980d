"""Metrics of a program that stays as it is: an agent that is mounted into its pods and started with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.grafana.model import Row
from constructs_lib.grafana.panels import rows
from constructs_lib.kinds.parts import images, overrides
from constructs_lib.kinds.parts.overrides import Setting, listing, not_listing
from constructs_lib.kinds.parts.pods import container, script
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.names import image
from constructs_lib.kubernetes.quantity import quantity_problem

#: Where the agent is mounted, and scripts of the library that are loaded with it.
FOLDER = "/telemetry"
SCRIPTS_FOLDER = "/telemetry-metrics"
#: Name of the port with the metrics. It is not in the Service, and only Prometheus may connect to it.
PORT_NAME = "otel-metrics"
_RUNTIMES = Path(__file__).parent / "runtimes.yaml"
_NOT_OFF = Setting("|false", "leave it out.")


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """An OpenTelemetry agent: the base of :class:`Jvm` and :class:`Nodejs`.

    An init container copies it from its published image into a volume, an environment variable of the runtime starts
    it, and it serves Prometheus' format on a port of the pod
    (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). Nothing is written outside of
    volumes, so that the root file system stays read-only. For another runtime inherit, and say :attr:`option_variable`,
    :attr:`option` and :attr:`copy`, and override :meth:`rows`.

    Attributes:
        image: Image of the agent with a digest or an exact version.
        port: Port of the metrics. Default 9464.
        memory: Memory that the agent takes beside the program: what the container asks for and may use grows by it.
        grpc: Whether the agent knows the program's gRPC as such. Say False for a library that serves it as plain HTTP,
            such as Pekko gRPC: then it is counted among the HTTP requests, and its statuses are not seen.
        sees_requests: Whether the agent sees the requests that the program serves. Say False for Akka gRPC: it needs
            ``akka.http.server.enable-http2 = on``, and the Java agent 2.32.0 does not instrument what Akka HTTP then
            serves with, HTTP/1.1 and WebSockets included. Its requests are measured by the agents of its callers.
    """

    image: str
    port: int = 9464
    memory: str = "64Mi"
    grpc: bool = True
    sees_requests: bool = True

    #: Environment variable from which the runtime takes options.
    option_variable: ClassVar[str] = ""
    #: The options that start the agent.
    option: ClassVar[str] = ""
    #: Arguments of ``cp`` in the image.
    copy: ClassVar[tuple[str, ...]] = ()
    #: Further environment variables of the agent.
    settings: ClassVar[Mapping[str, str]] = {}
    #: What a variable of the program may say without taking its metrics from Prometheus: those of this class, and more.
    needed: ClassVar[Mapping[str, Setting]] = {}
    #: Variables in which the runtime takes settings of the agent as system properties.
    with_properties: ClassVar[tuple[str, ...]] = ()
    #: Title of the library's row of panels about the runtime; empty if it has none.
    row: ClassVar[str] = ""
    #: Scripts of the library that the option loads, by name.
    scripts: ClassVar[tuple[str, ...]] = ()
    #: Histogram of the HTTP requests that it serves, in seconds, as Prometheus names it.
    http_histogram: ClassVar[str] = "http_server_request_duration_seconds"
    #: The same of gRPC calls; empty if it has none.
    grpc_histogram: ClassVar[str] = ""
    #: Histogram of the HTTP requests that it sends, in seconds, and of its gRPC calls; empty if it has none.
    http_client_histogram: ClassVar[str] = "http_client_request_duration_seconds"
    grpc_client_histogram: ClassVar[str] = ""
    #: How many units of the gRPC histograms make a second.
    grpc_scale: ClassVar[int] = 1
    #: Label with the status of a gRPC call, and the statuses that are the service's fault.
    grpc_status: ClassVar[str] = "rpc_response_status_code"
    grpc_failures: ClassVar[str] = "UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"
    #: The status of a call that succeeded, of one that its client gave up, and of one that its client did not wait for.
    #: A server sees the last one as given up, or as either.
    grpc_ok: ClassVar[str] = "OK"
    grpc_cancelled: ClassVar[str] = "CANCELLED"
    grpc_late: ClassVar[str] = "DEADLINE_EXCEEDED"
    #: Gauge of the open WebSockets; empty if it has none.
    websockets: ClassVar[str] = ""

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the agent."""
        if not (self.option_variable and self.option and self.copy):
            yield (
                f"telemetry: {type(self).__name__} does not say how its runtime starts an agent; write Jvm() or "
                f"Nodejs(), or a class of your own with option_variable, option and copy."
            )
        if problem := validation.image(self.image):
            yield f"telemetry: {problem}"
        if problem := validation.port_number(self.port):
            yield f"telemetry: {problem}"
        if problem := quantity_problem(self.memory, "64Mi"):
            yield f"telemetry, memory: {problem}"

    def override_problems(self, environment: Mapping[str, object]) -> Iterator[str]:
        """Yield which of a program's own variables take its metrics from Prometheus."""
        port = f"say telemetry={type(self).__name__}(port=…)."
        needed = {
            "OTEL_EXPORTER_PROMETHEUS_HOST": Setting(r"0\.0\.0\.0|::|\[::\]", 'leave it out, or write "0.0.0.0".'),
            "OTEL_EXPORTER_PROMETHEUS_PORT": Setting(str(self.port), port),
            "OTEL_METRICS_EXPORTER": listing(
                "prometheus", right='leave it out, or write "prometheus,otlp" to send them elsewhere as well.'
            ),
            "OTEL_SDK_DISABLED": _NOT_OFF,
            **self.needed,
        }
        yield from overrides.problems(environment, needed, self.with_properties)

    def variables(self, service: str, system: str, environment: str, image: str) -> dict[str, str]:
        """Return the variables of the agent in a workload, system and environment with these names.

        The tag of the program's image is its version (OpenTelemetry's semantic conventions, for ``target_info``).
        """
        return {
            # The Java agent listens on localhost by default.
            "OTEL_EXPORTER_PROMETHEUS_HOST": "0.0.0.0",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(self.port),
            "OTEL_LOGS_EXPORTER": "none",
            # They lead to traces, and there are none.
            "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
            "OTEL_METRICS_EXPORTER": "prometheus",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_SERVICE_NAME": service,
            "OTEL_RESOURCE_ATTRIBUTES": f"deployment.environment.name={environment},service.namespace={system},"
            f"service.version={version(image)}",
            **self.settings,
        }

    def rows(self) -> tuple[Row, ...]:
        """Return what dashboards show of the runtime: the row that is named, if one is."""
        return (rows(_RUNTIMES, {})[self.row],) if self.row else ()

    @property
    def metrics(self) -> frozenset[str]:
        """Names of the series that tell of the requests that are served."""
        return of_histograms(filter(None, (self.http_histogram, self.grpc_histogram)))

    def init_container(self) -> dict[str, Any]:
        """Return the container that copies the agent."""
        return container("telemetry", self.image, command=["cp", *self.copy], mounts=[pod.mount("telemetry", FOLDER)])


@explained
@dataclass(frozen=True, kw_only=True)
class Jvm(Telemetry):
    """Programs on the JVM, by the OpenTelemetry Java agent (Java 8 to 25).

    It measures HTTP servers and clients, gRPC, connection pools and the JVM itself. With the agent's own conventions
    for gRPC: the newer ones come without fitting buckets (RpcMetricsAdvice of agent 2.31). It took 134 MiB beside a
    program of 119 MiB.
    """

    image: str = images.OPENTELEMETRY_JAVA
    memory: str = "160Mi"

    option_variable = "JAVA_TOOL_OPTIONS"
    option = f"-javaagent:{FOLDER}/javaagent.jar"
    copy = ("/javaagent.jar", f"{FOLDER}/javaagent.jar")
    grpc_histogram = "rpc_server_duration_milliseconds"
    grpc_client_histogram = "rpc_client_duration_milliseconds"
    grpc_scale = 1000
    grpc_status = "rpc_grpc_status_code"
    #: The numbers of the same statuses (https://grpc.io/docs/guides/status-codes/).
    grpc_failures = "2|4|12|13|14|15"
    grpc_ok, grpc_cancelled, grpc_late = "0", "1", "4"
    row = "JVM"
    needed: ClassVar = {
        "OTEL_JAVAAGENT_ENABLED": Setting("|true", "leave it out, or take telemetry away."),
        "OTEL_SEMCONV_STABILITY_OPT_IN": not_listing("rpc", 'write "rpc/dup", which keeps the names that are read.'),
    }
    with_properties = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
    #: They would show the program's command line to everybody who reads its metrics.
    settings: ClassVar = {"OTEL_RESOURCE_DISABLED_KEYS": "process.command_args,process.command_line"}


@explained
@dataclass(frozen=True, kw_only=True)
class Nodejs(Telemetry):
    """Programs on Node.js, by OpenTelemetry's auto-instrumentation (Node.js 18.19 or later, CommonJS).

    It measures HTTP servers and clients and the runtime itself. Its instrumentation of gRPC has no metrics, and nothing
    counts WebSockets: a script of the library does both.
    """

    image: str = images.OPENTELEMETRY_NODEJS
    memory: str = "96Mi"

    option_variable = "NODE_OPTIONS"
    option = (
        f"--require {FOLDER}/node_modules/@opentelemetry/auto-instrumentations-node/build/src/register.js "
        f"--require {SCRIPTS_FOLDER}/nodejs-metrics.js"
    )
    copy = ("-r", "/autoinstrumentation/.", f"{FOLDER}/")
    scripts = ("nodejs-metrics.js",)
    #: The exporter for Node.js appends no units to names.
    http_histogram = "http_server_request_duration"
    http_client_histogram = "http_client_request_duration"
    grpc_histogram = "rpc_server_call_duration"
    grpc_client_histogram = "rpc_client_call_duration"
    websockets = "nodejs_websocket_connections"
    row = "Node.js"
    needed: ClassVar = {
        "OTEL_NODE_DISABLED_INSTRUMENTATIONS": not_listing("http", "leave http out of it."),
        "OTEL_NODE_ENABLED_INSTRUMENTATIONS": listing("http", right="add http to it."),
        "OTEL_SEMCONV_STABILITY_OPT_IN": listing("http", "http/dup", right="add http to it."),
    }
    #: Detectors of clouds would connect to addresses that no policy opens, and wait for a timeout. The stable names of
    #: metrics are those that the Java agent uses as well.
    settings: ClassVar = {"OTEL_NODE_RESOURCE_DETECTORS": "env", "OTEL_SEMCONV_STABILITY_OPT_IN": "http"}


def version(reference: str) -> str:
    """Return the tag of an image, or the beginning of its digest."""
    found = image(reference)
    if found is None:
        return ""
    return found.tag or found.digest.partition(":")[2][:12]


def script_files(telemetry: Telemetry) -> Mapping[str, str]:
    """Return the scripts that an agent loads, by their names."""
    return {name: script("parts", name) for name in telemetry.scripts}


def of_histograms(names: Iterable[str]) -> frozenset[str]:
    """Return the names of the series of some histograms, as Prometheus has them."""
    return frozenset(f"{name}{suffix}" for name in names for suffix in ("_bucket", "_count", "_sum"))

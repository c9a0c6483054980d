"""What pods and nodes use, as the Metrics API tells it: half of what pods request, and half of what nodes have.

https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/

The API server asks whatever an APIService names through this proxy, whether that is our own Service or the one of a
chart whose pods are simulated: https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/
"""

import functools
import http.client
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from constructs_lib.kubernetes.manifest import Manifest, inner
from constructs_lib.kubernetes.quantity import parse_quantity
from constructs_lib.rehearse.api_client import ApiClient, ApiError
from constructs_lib.rehearse.processes import RehearsalError

API = "metrics.k8s.io/v1beta1"
#: Name of the object by which the API server learns who answers.
APISERVICE = "v1beta1.metrics.k8s.io"
_APISERVICE = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}
_ROOT = f"/apis/{API}"
#: What a container uses that requests nothing.
_LITTLE = {"cpu": "10m", "memory": "16Mi"}


class Metrics:
    """A server of the Metrics API, behind a proxy for all that the API server asks of Services."""

    def __init__(self, client: ApiClient, folder: Path, certificate: Path, key: Path) -> None:
        """Begin to listen.

        Args:
            client: A client with all rights; it is used once somebody asks.
            folder: Where its socket lies.
            certificate: The file with the server's certificate.
            key: The file with its key.

        Raises:
            RehearsalError: The path of the socket is too long.
        """
        self._client = client
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        # An API server reaches a proxy by TCP only with certificates on both sides.
        self._socket = folder / "egress"
        try:
            self._server = ThreadingUnixStreamServer(str(self._socket), functools.partial(_Handler, self))
        except OSError as error:
            raise RehearsalError(
                f"{self._socket} cannot be made ({error}): set XDG_CACHE_HOME to a folder with a shorter path."
            ) from None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def egress(self) -> Manifest:
        """The configuration by which an API server reaches Services through it."""
        transport = {"uds": {"udsName": str(self._socket)}}
        connection = {"proxyProtocol": "HTTPConnect", "transport": transport}
        return {
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [{"name": "cluster", "connection": connection}],
        }

    def register(self) -> None:
        """Tell the API server that there are metrics; a metrics-server in the trees does that itself."""
        place = {"name": "rehearsal-metrics", "namespace": "kube-system"}
        group, _, version = API.partition("/")
        address = {"type": "ExternalName", "externalName": "metrics.rehearsal"}
        self._client.apply({"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": address})
        self._client.apply(
            {
                **_APISERVICE,
                "metadata": {"name": APISERVICE},
                "spec": {
                    "service": place,
                    "group": group,
                    "version": version,
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "insecureSkipTLSVerify": True,
                },
            }
        )

    def close(self) -> None:
        """Listen no more, and have the API server forget it: an API that does not answer holds up what is deleted."""
        # The API server may have ended.
        with suppress(ApiError, OSError, http.client.HTTPException):
            self._client.delete({**_APISERVICE, "metadata": {"name": APISERVICE}})
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, query: str) -> tuple[int, Manifest]:
        """Return the status and the body of the answer to a request."""
        rest = path.removeprefix(_ROOT)
        if rest == path:
            return 404, {}
        if not rest:
            return 200, _RESOURCES
        try:
            # The paths and the selectors are those of the objects themselves.
            found = self._client.request("GET", f"/api/v1{rest}", query=dict(parse_qsl(query)))
        except ApiError as error:
            return error.code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(error)}
        if found["kind"] in ("Pod", "Node"):
            return next(((200, item) for item in _metrics([found], found["kind"])), (404, {}))
        kind = found["kind"].removesuffix("List")
        items = [*_metrics(found["items"], kind)]
        return 200, {"apiVersion": API, "kind": f"{kind}MetricsList", "metadata": {}, "items": items}


_RESOURCES: Manifest = {
    "apiVersion": "v1",
    "kind": "APIResourceList",
    "groupVersion": API,
    "resources": [
        {"name": plural, "singularName": "", "namespaced": kind == "Pod", "kind": f"{kind}Metrics", "verbs": verbs}
        for plural, kind, verbs in (("nodes", "Node", ["get", "list"]), ("pods", "Pod", ["get", "list"]))
    ],
}


def _metrics(items: list[Manifest], kind: str) -> Iterator[Manifest]:
    """Yield what each node and each running pod uses."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for item in items:
        metadata = {key: item["metadata"][key] for key in ("name", "namespace", "labels") if key in item["metadata"]}
        # An autoscaler takes no sample whose window began before the pod was ready.
        found = {"apiVersion": API, "kind": f"{kind}Metrics", "metadata": metadata, "timestamp": now, "window": "1s"}
        if kind == "Node":
            yield {**found, "usage": _half(item["status"]["allocatable"])}
        elif item["status"].get("phase") == "Running":
            containers = item["spec"]["containers"]
            usages = [(each["name"], _half({**_LITTLE, **_requests(each)})) for each in containers]
            yield {**found, "containers": [{"name": name, "usage": usage} for name, usage in usages]}


def _requests(container: Manifest) -> Mapping[str, Any]:
    return inner(container, "resources", "requests") or {}


def _half(amounts: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{parse_quantity(str(amounts[name])) / 2:f}" for name in ("cpu", "memory")}


class _Handler(BaseHTTPRequestHandler):
    """One connection: first to the proxy, then, within it, to whatever Service was asked for."""

    protocol_version = "HTTP/1.1"

    def __init__(self, metrics: Metrics, *arguments: Any) -> None:
        self._metrics = metrics
        super().__init__(*arguments)

    def handle(self) -> None:
        """Answer until the API server hangs up, which it may do at any time."""
        with suppress(OSError):
            super().handle()

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.connection = self._metrics.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        status, answer = self._metrics.answer(parts.path, parts.query)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

"""Answers for the addresses from which Argo CD reads, so that not a byte of the repository has to change.

An HTTPS proxy on a loopback address: it has a certificate for every name from the rehearsal's own authority, gives the
scratch repository for the address of the real one, charts for the addresses of their repositories, and refuses
everything else. No request leaves the machine.
"""

import functools
import hashlib
import io
import json
import os
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.rehearse.control_plane import Authority


@dataclass(frozen=True)
class Chart:
    """A Helm chart that an Application names.

    Attributes:
        repository: URL of its repository.
        name: Its name.
        version: Its version.
    """

    repository: str
    name: str
    version: str

    @property
    def file(self) -> str:
        """Name of its archive."""
        return f"{self.name}-{self.version}.tgz"


def charts_of(application: Manifest) -> list[Chart]:
    """Return the charts of an Application."""
    spec = application["spec"]
    sources = spec.get("sources") or [spec.get("source") or {}]
    return [
        Chart(source["repoURL"], source["chart"], source["targetRevision"]) for source in sources if source.get("chart")
    ]


def stand_in(chart: Chart, definitions: Iterable[Manifest]) -> bytes:
    """Return an archive in place of a chart that is not at hand: it brings kinds, and nothing else.

    https://helm.sh/docs/topics/charts/#the-chart-file-structure
    """
    files = {
        "Chart.yaml": {"apiVersion": "v2", "name": chart.name, "version": chart.version},
        **{f"crds/{definition['metadata']['name']}.yaml": definition for definition in definitions},
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            data = yaml.safe_dump(content).encode()
            entry = tarfile.TarInfo(f"{chart.name}/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


class Remotes:
    """The proxy.

    Attributes:
        refused: Addresses that were asked for and that it does not have.
    """

    def __init__(self, authority: Authority, repositories: Mapping[str, Path], charts: Mapping[Chart, bytes]) -> None:
        """Begin to listen.

        Args:
            authority: Who signs its certificates.
            repositories: Bare Git repositories, by the URL for which they stand.
            charts: Archives of charts.
        """
        self.refused: dict[str, None] = {}
        self._authority = authority
        self._repositories = {_address(url): path for url, path in repositories.items()}
        self._charts: dict[str, dict[Chart, bytes]] = {}
        for chart, archive in charts.items():
            self._charts.setdefault(_address(chart.repository), {})[chart] = archive
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its URL, for ``HTTPS_PROXY``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    @functools.cache  # noqa: B019 - there is one for each rehearsal
    def _context(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._authority.issue(f"host-{host}", host))
        return context

    def context(self, host: str) -> ssl.SSLContext:
        """Return how to speak for a host."""
        with self._lock:
            return self._context(host)

    def answer(self, method: str, address: str, query: str, headers: Mapping[str, str], body: bytes) -> "Answer":
        """Return the answer to a request.

        Args:
            method: GET or POST.
            address: Host and path.
            query: What comes after the path.
            headers: The headers of the request.
            body: The body of the request.
        """
        for repository, folder in self._repositories.items():
            path = address.removeprefix(repository)
            if path != address and path.startswith(("/", ".git/")):
                return _git(folder, path.removeprefix(".git"), method, query, headers, body)
        for repository, charts in self._charts.items():
            if address == f"{repository}/index.yaml":
                return Answer(200, {"Content-Type": "application/yaml"}, _index(charts))
            for chart, archive in charts.items():
                if address == f"{repository}/{chart.file}":
                    return Answer(200, {"Content-Type": "application/gzip"}, archive)
                if found := _from_registry(chart, archive, address.removeprefix(f"{address.split('/')[0]}/v2/")):
                    return found
        if address.endswith("/v2/") or address.endswith("/v2"):
            return Answer(200, {"Content-Type": "application/json"}, b"{}")
        self.refused[f"https://{address}"] = None
        return Answer(404, {}, b"A rehearsal asks nobody else.\n")


@dataclass(frozen=True)
class Answer:
    """An answer to an HTTP request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def _address(url: str) -> str:
    """Return the host and the path of a URL."""
    parts = urlsplit(url if "://" in url else f"oci://{url}")
    return f"{parts.hostname}{parts.path}".removesuffix("/").removesuffix(".git")


def _index(charts: Mapping[Chart, bytes]) -> bytes:
    entries: dict[str, list[dict[str, Any]]] = {}
    for chart, archive in charts.items():
        entry = {"apiVersion": "v2", "name": chart.name, "version": chart.version, "urls": [chart.file]}
        entries.setdefault(chart.name, []).append({**entry, "digest": hashlib.sha256(archive).hexdigest()})
    return yaml.safe_dump({"apiVersion": "v1", "entries": entries}).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _from_registry(chart: Chart, archive: bytes, path: str) -> Answer | None:
    """Return what an OCI registry answers for a chart, or None if something else is asked for.

    https://helm.sh/docs/topics/registries/#oci-feature-deprecation-and-behavior-changes-with-v380
    """
    name = "/".join(filter(None, [_address(chart.repository).partition("/")[2], chart.name]))
    if not path.startswith(f"{name}/"):
        return None
    config = json.dumps({"apiVersion": "v2", "name": chart.name, "version": chart.version}).encode()
    layer = {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip"}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": (kind := "application/vnd.oci.image.manifest.v1+json"),
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", **_described(config)},
            "layers": [{**layer, **_described(archive)}],
        }
    ).encode()
    rest = path.removeprefix(f"{name}/")
    if rest == "tags/list":
        return Answer(200, {}, json.dumps({"name": name, "tags": [chart.version]}).encode())
    if rest in (f"manifests/{chart.version}", f"manifests/{_digest(manifest)}"):
        return Answer(200, {"Content-Type": kind, "Docker-Content-Digest": _digest(manifest)}, manifest)
    blobs = {f"blobs/{_digest(content)}": content for content in (config, archive)}
    return Answer(200, {"Content-Type": "application/octet-stream"}, blobs[rest]) if rest in blobs else None


def _described(content: bytes) -> dict[str, Any]:
    return {"digest": _digest(content), "size": len(content)}


def _git(folder: Path, path: str, method: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Have git answer for a repository.

    https://git-scm.com/docs/git-http-backend
    """
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "GIT_PROJECT_ROOT": str(folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
        "REMOTE_USER": "rehearsal",
    }
    run = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
    head, _, content = run.stdout.partition(b"\r\n\r\n")
    found = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    return Answer(int(found.pop("Status", "200").split()[0]), found, content)


class _Handler(BaseHTTPRequestHandler):
    """One connection: first to the proxy, then, within it, to the host that was asked for."""

    protocol_version = "HTTP/1.1"

    def __init__(self, remotes: Remotes, *arguments: Any) -> None:
        self._remotes = remotes
        self._host = ""
        super().__init__(*arguments)

    def do_CONNECT(self) -> None:
        self._host = self.path.rpartition(":")[0]
        self.send_response(200)
        self.end_headers()
        self.connection = self._remotes.context(self._host).wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def _respond(self) -> None:
        parts = urlsplit(self.path)
        host = self._host or parts.hostname or ""
        answer = self._remotes.answer(
            self.command, f"{host}{parts.path}", parts.query, dict(self.headers), self._body()
        )
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_POST = do_HEAD = _respond  # noqa: N815 - the names are given

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

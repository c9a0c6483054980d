"""Argo CD's own repository server, which tells what it renders from a folder of a Git repository."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from constructs_lib.declare.argocd import ArgoCD as Installed
from constructs_lib.rehearse.api_client import ApiClient
from constructs_lib.rehearse.argocd import ArgoCD
from constructs_lib.rehearse.control_plane import Authority, ControlPlane
from constructs_lib.rehearse.processes import Workspace
from constructs_lib.rehearse.remotes import Chart, Remotes
from constructs_lib.rehearse.tools import Tools

_CALL = "/repository.RepoServerService/GenerateManifest"
#: The numbers of the fields in Argo CD's ``generated.proto``, by their names.
_SOURCE = {
    "repoURL": 1,
    "path": 2,
    "targetRevision": 4,
    "helm": 7,
    "kustomize": 8,
    "directory": 10,
    "plugin": 11,
    "chart": 12,
}
_DIRECTORY = {"recurse": 1, "exclude": 3, "include": 4, "disableExtensionFilter": 5}
_KUSTOMIZE = {"namePrefix": 1}
_PLUGIN = {"name": 1}
_HELM = {"releaseName": 3, "valuesObject": 10}
_RAW = {"raw": 1}
_PARTS = {"directory": _DIRECTORY, "kustomize": _KUSTOMIZE, "plugin": _PLUGIN, "helm": _HELM, "valuesObject": _RAW}


class RepoServer:
    """A repository server that runs."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}{_CALL}"

    def render(self, repository: Path, commit: str, name: str, source: Mapping[str, Any]) -> list[dict[str, Any]] | str:
        """Return the objects that Argo CD renders for an Application with this source, or why it renders nothing."""
        url = f"file://{repository}"
        return self.render_source({"repoURL": url, "targetRevision": commit, **source}, name)

    def render_source(
        self, source: Mapping[str, Any], name: str, namespace: str = "default", *, plain_http: bool = False
    ) -> list[dict[str, Any]] | str:
        """Return the objects that Argo CD renders for a source, or why it renders nothing.

        Args:
            source: The source, as the spec of an Application has it.
            name: Name of the Application.
            namespace: Its destination.
            plain_http: Whether the Secret of the repository tells to ask an OCI registry without TLS.
        """
        if helm := source.get("helm"):
            values = {"raw": json.dumps(helm["valuesObject"])}
            source = {**source, "helm": {**helm, "valuesObject": values}}
        request = b"".join(
            (
                _field(1, _field(1, source["repoURL"].encode()) + (_number(26, 1) if plain_http else b"")),
                _field(2, source["targetRevision"].encode()),
                _number(3, 1),
                _field(5, name.encode()),
                _field(8, namespace.encode()),
                _field(10, _message(source, _SOURCE)),
                _field(14, b"1.36.0"),
                _field(25, b"default"),
            )
        )
        body = b"\0" + len(request).to_bytes(4, "big") + request
        command = [
            "curl",
            "--silent",
            "--show-error",
            "--http2-prior-knowledge",
            "--noproxy",
            "*",
            "--dump-header",
            "-",
        ]
        headers = ["--header", "content-type: application/grpc", "--header", "te: trailers"]
        result = subprocess.run(
            [*command, *headers, "--data-binary", "@-", self._url], input=body, capture_output=True, check=True
        )
        # The trailers come after the body, and where there is no body in one block with the headers.
        head, _, rest = result.stdout.partition(b"\r\n\r\n")
        if not rest.startswith(b"\0"):
            said = (head + rest).decode().partition("grpc-message: ")[2].splitlines()
            return said[0] if said else head.decode()
        length = int.from_bytes(rest[1:5], "big")
        manifests = [json.loads(value) for number, value in _fields(rest[5 : 5 + length]) if number == 1]
        return [manifest for manifest in manifests if manifest is not None]


@contextmanager
def repo_server(tools: Tools, charts: Mapping[Chart, bytes] | None = None) -> Iterator[RepoServer]:
    """Start a repository server, which finds some charts by https, and end it with the context."""
    with Workspace() as workspace:
        authority = Authority(workspace.folder)
        remotes = Remotes(authority, {}, charts or {})
        client = ApiClient("https://127.0.0.1:1", authority.file, "none")
        plane = ControlPlane(client, workspace.folder / "no-cluster")
        port = ArgoCD(workspace, tools, plane, authority, remotes, Installed()).start_repositories()
        workspace.wait_for("argocd-repo-server", lambda: _listens(port))
        try:
            yield RepoServer(port)
        finally:
            remotes.close()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _message(values: Mapping[str, Any], numbers: Mapping[str, int]) -> bytes:
    """Return a message in the wire format of protocol buffers: https://protobuf.dev/programming-guides/encoding/."""
    parts = []
    for name, value in values.items():
        if isinstance(value, bool):
            parts.append(_number(numbers[name], value))
        else:
            content = _message(value, _PARTS[name]) if isinstance(value, Mapping) else str(value).encode()
            parts.append(_field(numbers[name], content))
    return b"".join(parts)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of the fields that are texts or messages."""
    at = 0

    def read() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = read()
        length = read()
        if key & 7 == 2:
            yield key >> 3, message[at : at + length]
            at += length

"""The Kubernetes API, as far as a rehearsal needs it: any kind, by its path.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from constructs_lib.kubernetes.manifest import Manifest

Verb = Literal["ADDED", "MODIFIED", "DELETED"]
_JSON = "application/json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
#: Name under which a rehearsal applies objects.
MANAGER = "rehearsal"


class ApiError(Exception):
    """The API server refuses a request.

    Attributes:
        code: The HTTP status code.
        reason: The reason in the Status object: ``NotFound``, ``Conflict``, ….
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        """Keep what the server answered."""
        super().__init__(message)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Resource:
    """A kind as the API server serves it.

    Attributes:
        api_version: Group and version.
        kind: The kind.
        plural: Its name in paths.
        namespaced: Whether its objects are in namespaces.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None = None, name: str | None = None, part: str = "") -> str:
        """Return the path of an object, or of all objects if there is no name.

        Args:
            namespace: Its namespace. Default: all of them.
            name: Its name.
            part: A subresource: ``status``, ``scale``, ….
        """
        prefix = "api" if "/" not in self.api_version else "apis"
        where = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"/{prefix}/{self.api_version}{where}/{self.plural}" + "".join(f"/{end}" for end in (name, part) if end)


class ApiClient:
    """A client of one API server. Each thread has a connection of its own.

    Attributes:
        server: The server's URL.
        warnings: Each warning that the server gave, with the object that it is about.
    """

    def __init__(self, server: str, ca: Path, token: str | None, certificate: Path | None = None) -> None:
        """Reach a server.

        Args:
            server: Its URL.
            ca: The file with the certificate of its authority.
            token: The bearer token, if there is one.
            certificate: The file with the key and the certificate of the client, if there is one.
        """
        self.server = server
        self.warnings: dict[str, None] = {}
        self._token = token
        self._context = ssl.create_default_context(cafile=str(ca))
        if certificate:
            self._context.load_cert_chain(certificate)
        self._local = threading.local()
        self._resources: dict[tuple[str, str], Resource] = {}

    def request(
        self, method: str, path: str, body: Any = None, content: str = _JSON, query: Mapping[str, str] | None = None
    ) -> Any:
        """Return what the server answers.

        Raises:
            ApiError: It refuses the request.
            OSError: It cannot be reached.
        """
        url = f"{path}?{urlencode(query)}" if query else path
        for attempt in (1, 2):
            connection = getattr(self._local, "connection", None) or self._connect(120)
            self._local.connection = connection
            try:
                connection.request(method, url, None if body is None else json.dumps(body), self._headers(content))
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                self._local.connection = None
                if attempt == 2:
                    raise
        for warning in answer.headers.get_all("Warning") or ():
            self.warnings[f"{path.rpartition('/')[2]}: {warning.split(' ', 2)[-1].strip(chr(34))}"] = None
        if answer.status >= 400:
            raise _error(answer.status, text)
        return json.loads(text) if text.startswith(b"{") else text.decode()

    def is_ready(self) -> bool:
        """Return whether the server answers, with all that it waits for at its start."""
        try:
            return bool(self.request("GET", "/readyz") == "ok")
        except (ApiError, OSError, http.client.HTTPException):
            return False

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """Return a kind as the server serves it, or None if it does not."""
        if (api_version, kind) not in self._resources:
            prefix = "api" if "/" not in api_version else "apis"
            try:
                found = self.request("GET", f"/{prefix}/{api_version}")["resources"]
            except (ApiError, OSError, http.client.HTTPException):
                return None
            for entry in found:
                if "/" not in entry["name"]:
                    own = Resource(api_version, entry["kind"], entry["name"], entry["namespaced"])
                    self._resources[api_version, entry["kind"]] = own
        return self._resources.get((api_version, kind))

    def _path(self, manifest: Manifest, part: str = "") -> str:
        resource = self.resource(manifest["apiVersion"], manifest["kind"])
        if not resource:
            message = f"no matches for kind {manifest['kind']} in version {manifest['apiVersion']}"
            raise ApiError(404, "NotFound", message)
        metadata = manifest["metadata"]
        return resource.path(metadata.get("namespace"), metadata["name"], part)

    def list(self, resource: Resource, **query: str) -> list[dict[str, Any]]:
        """Return all objects of a kind, in all namespaces."""
        found = self.request("GET", resource.path(), query=query)
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in found["items"]]

    def get(self, manifest: Manifest) -> dict[str, Any] | None:
        """Return the live object of a manifest, or None if there is none."""
        try:
            found: dict[str, Any] = self.request("GET", self._path(manifest))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return found

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> dict[str, Any]:
        """Apply a manifest on the server's side, with strict validation of its fields.

        https://kubernetes.io/docs/reference/using-api/server-side-apply/

        Raises:
            ApiError: The server refuses it.
        """
        query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"}
        query |= {"dryRun": "All"} if dry_run else {}
        found: dict[str, Any] = self.request("PATCH", self._path(manifest), manifest, APPLY, query)
        return found

    def patch(self, manifest: Manifest, change: Manifest, part: str = "") -> None:
        """Merge a change into a live object, or into its status. An object that is gone is left alone."""
        try:
            self.request("PATCH", self._path(manifest, part), change, MERGE)
        except ApiError as error:
            if error.code != 404:
                raise

    def delete(self, manifest: Manifest) -> None:
        """Delete an object, if it is there."""
        try:
            self.request("DELETE", self._path(manifest))
        except ApiError as error:
            if error.code != 404:
                raise

    def watch(self, resource: Resource, tell: Callable[[Verb, dict[str, Any]], None], stop: threading.Event) -> None:
        """Tell of each object that is there and of each change, until told to stop; each is told once.

        A watch that breaks off begins anew where it was; if the server has forgotten that, from a new list.

        https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
        """
        known: dict[str, dict[str, Any]] = {}
        while not stop.is_set():
            try:
                found = self.request("GET", resource.path())
                now = {item["metadata"]["uid"]: item for item in found["items"]}
                for uid in [*known]:
                    if uid not in now:
                        tell("DELETED", known.pop(uid))
                for uid, item in now.items():
                    item = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
                    before = known.get(uid)
                    known[uid] = item
                    if not before:
                        tell("ADDED", item)
                    elif before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                        tell("MODIFIED", item)
                for verb, item in self._changes(resource, found["metadata"]["resourceVersion"], stop):
                    if verb == "DELETED":
                        known.pop(item["metadata"]["uid"], None)
                    else:
                        known[item["metadata"]["uid"]] = item
                    tell(verb, item)
            except (ApiError, OSError, http.client.HTTPException, ValueError):
                stop.wait(0.2)

    def _changes(
        self, resource: Resource, version: str, stop: threading.Event
    ) -> Iterator[tuple[Verb, dict[str, Any]]]:
        connection = self._connect(900)
        try:
            while not stop.is_set():
                query = {
                    "watch": "1",
                    "resourceVersion": version,
                    "allowWatchBookmarks": "true",
                    "timeoutSeconds": "600",
                }
                connection.request("GET", f"{resource.path()}?{urlencode(query)}", headers=self._headers(_JSON))
                answer = connection.getresponse()
                while not stop.is_set():
                    event = json.loads(answer.readline() or '{"type": "ERROR"}')
                    if event["type"] == "ERROR":
                        return
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event["type"], event["object"]
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        address = urlsplit(self.server)
        host = address.hostname or ""
        return http.client.HTTPSConnection(host, address.port, timeout=timeout, context=self._context)

    def _headers(self, content: str) -> dict[str, str]:
        login = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {**login, "Content-Type": content, "Accept": _JSON}


def _error(code: int, text: bytes) -> ApiError:
    try:
        status = json.loads(text)
        return ApiError(code, status.get("reason", ""), status.get("message", ""))
    except ValueError:
        return ApiError(code, "", text.decode(errors="replace"))

"""A scratch cluster that the user names, such as one of k3d or kind, in place of a control plane of our own.

It has to be empty. Its nodes take no new pod for the time: all pods run on simulated nodes. What was made is removed.
"""

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from constructs_lib.kubernetes.manifest import Manifest, mapping, mappings
from constructs_lib.publish.takeover import kubectl
from constructs_lib.rehearse.api_client import MANAGER, ApiClient, ApiError, Resource
from constructs_lib.rehearse.control_plane import SIMULATED, ControlPlane, write_kubeconfig
from constructs_lib.rehearse.processes import RehearsalError, Workspace
from constructs_lib.rehearse.tools import Tools
from constructs_lib.text import listed

_LOOPBACK = ("127.0.0.1", "::1", "localhost", "0.0.0.0")
#: Namespaces that k3d and kind make.
_GIVEN = ("default", "kube-node-lease", "kube-public", "kube-system", "local-path-storage")
#: Namespaces in which they run pods.
_SYSTEM = ("kube-system", "local-path-storage")
_WORKLOADS = (
    Resource("v1", "Pod", "pods", True),
    Resource("apps/v1", "Deployment", "deployments", True),
    Resource("apps/v1", "StatefulSet", "statefulsets", True),
    Resource("apps/v1", "DaemonSet", "daemonsets", True),
    Resource("batch/v1", "Job", "jobs", True),
    Resource("batch/v1", "CronJob", "cronjobs", True),
)
_NAMESPACES = Resource("v1", "Namespace", "namespaces", False)
_NODES = Resource("v1", "Node", "nodes", False)
_TAINT = {"key": "rehearsal", "effect": "NoSchedule"}
#: Kinds whose finalizers the API server itself works off.
_FINALIZED = ("CustomResourceDefinition", "Namespace")
#: Seconds until what was made has to be gone.
_LONGEST = 180


def borrow(workspace: Workspace, tools: Tools, context: str) -> ControlPlane:
    """Return the control plane of a context of the user's kubeconfig.

    Raises:
        RehearsalError: It is not on this machine, does not answer, cannot be logged in to, or holds something.
        KubectlError: There is no such context.
    """
    run = kubectl(context, program=os.fspath(tools.kubectl))
    read = json.loads(run("config", "view", "--raw", "--flatten", "--minify", "--output=json"))
    # A context need not name them, and kubectl prints null then.
    cluster, user = ((read[f"{what}s"] or [{}])[0].get(what) or {} for what in ("cluster", "user"))
    server, ca = cluster.get("server", "no server"), workspace.folder / "borrowed-ca.pem"
    if urlsplit(server).hostname not in _LOOPBACK:
        raise RehearsalError(f"The context {context} is of {server}: --context takes a cluster on this machine only.")
    if not user or user.keys() - {"client-certificate-data", "client-key-data", "token"}:
        how = f"by {listed(user)}" if user else "as nobody"
        raise RehearsalError(f"The context {context} logs in {how}: a client certificate or a token is needed.")
    if "certificate-authority-data" not in cluster:
        raise RehearsalError(f"The context {context} names no certificate authority.")
    ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    pair = None
    if "client-certificate-data" in user:
        pair = workspace.folder / "borrowed.pem"
        pair.touch(mode=0o600)
        both = (user["client-key-data"], user["client-certificate-data"])
        pair.write_bytes(b"\n".join(map(base64.b64decode, both)))
    client = ApiClient(server, ca, user.get("token"), pair)
    try:
        foreign = [*_foreign(client)]
    except (ApiError, OSError, HTTPException) as error:
        raise RehearsalError(f"The cluster of {context} at {server}: {error}") from None
    if foreign:
        raise RehearsalError(f"The cluster of {context} holds {listed(foreign)}: --context takes an empty one.")
    return ControlPlane(client, write_kubeconfig(workspace.folder, server, ca, user))


def _foreign(client: ApiClient) -> Iterator[str]:
    """Yield what a cluster holds beside what it had when it was made."""
    for item in client.list(_NAMESPACES):
        if item["metadata"]["name"] not in _GIVEN:
            yield f"the namespace {item['metadata']['name']}"
    for resource in _WORKLOADS:
        for item in client.list(resource):
            metadata = item["metadata"]
            if metadata["namespace"] in _GIVEN and metadata["namespace"] not in _SYSTEM:
                yield f"the {item['kind']} {metadata['namespace']}/{metadata['name']}"


def close_nodes(client: ApiClient, *, closed: bool) -> None:
    """Have real nodes take no new pods, or take them again."""
    for node in client.list(_NODES):
        taints = [taint for taint in mappings(node["spec"].get("taints")) if taint["key"] != _TAINT["key"]]
        if not SIMULATED.items() <= mapping(node["metadata"].get("labels")).items():
            client.patch(node, {"spec": {"taints": [*taints, _TAINT] if closed else taints or None}})


def give_back(client: ApiClient) -> None:
    """Remove what a rehearsal made, once nothing makes it anew; nodes take pods again.

    Raises:
        RehearsalError: Something does not go.
    """
    end = time.monotonic() + _LONGEST
    try:
        while left := [*_made(client)]:
            # Pods end as long as there are nodes: so these go last.
            for item in [each for each in left if each["kind"] != "Node"] or left:
                with suppress(ApiError):
                    if item["metadata"].get("finalizers") and item["kind"] not in _FINALIZED:
                        client.patch(item, {"metadata": {"finalizers": None}})
                    if "deletionTimestamp" not in item["metadata"]:
                        client.delete(item)
            if time.monotonic() > end:
                names = sorted(f"{item['kind']}/{item['metadata']['name']}" for item in left)
                raise RehearsalError(f"The cluster still holds {', '.join(names)}: delete it.")
            time.sleep(0.5)
    finally:
        close_nodes(client, closed=False)


def _made(client: ApiClient) -> Iterator[Manifest]:
    """Yield what a rehearsal applied or Argo CD deployed, and all that is in namespaces that nobody had before."""
    groups = client.request("GET", "/apis")["groups"]
    for api_version in ("v1", *(group["preferredVersion"]["groupVersion"] for group in groups)):
        prefix = "api" if api_version == "v1" else "apis"
        # An API, or a kind, may go in the meantime.
        with suppress(ApiError):
            for entry in client.request("GET", f"/{prefix}/{api_version}")["resources"]:
                if {"delete", "list"} <= {*entry["verbs"]} and "/" not in entry["name"]:
                    resource = Resource(api_version, entry["kind"], entry["name"], entry["namespaced"])
                    yield from (item for item in client.list(resource) if _is_made(item))


def _is_made(item: dict[str, Any]) -> bool:
    metadata = mapping(item["metadata"])
    namespace = metadata["name"] if item["kind"] == "Namespace" else metadata.get("namespace")
    if namespace is not None and namespace not in _GIVEN:
        return True
    # Argo CD marks no CustomResourceDefinition as one that it deploys.
    managers = [str(field.get("manager")) for field in mappings(metadata.get("managedFields"))]
    return item["kind"] != "Namespace" and any(name == MANAGER or name.startswith("argocd") for name in managers)

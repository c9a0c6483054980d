"""A cluster that the user names: here a second control plane, which stands for one of k3d or kind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from stage import stage, tools
from systems import environment

from constructs_lib import ExternalSecrets, Microservice, Postgres, System
from constructs_lib.rehearse import borrowed
from constructs_lib.rehearse.api_client import ApiClient, ApiError
from constructs_lib.rehearse.borrowed import borrow
from constructs_lib.rehearse.control_plane import Authority, ControlPlane, start_control_plane
from constructs_lib.rehearse.processes import Workspace
from constructs_lib.user_error import UserError

#: What every cluster has, or makes by itself.
ITS_OWN = ("Event", "Lease", "EndpointSlice", "Endpoints", "ConfigMap/kube-root-ca.crt", "ServiceAccount/default")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster whose user has a client certificate, as those of k3d and kind, with a node that nobody simulates."""
    folder = tmp_path_factory.mktemp("user")
    with Workspace() as workspace, pytest.MonkeyPatch.context() as patch:
        authority = Authority(workspace.folder)
        plane = start_control_plane(workspace, tools(), authority)
        grant = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        create(
            plane.client,
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            {"metadata": {"name": "user"}, "roleRef": grant, "subjects": [{"kind": "User", "name": "somebody"}]},
        )
        node = {"metadata": {"name": "real"}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}}
        create(plane.client, "/api/v1/nodes", node)
        certificate, key = authority.issue("somebody", "somebody")
        write(folder, plane, {"client-certificate": str(certificate), "client-key": str(key)})
        patch.setenv("KUBECONFIG", str(folder / "config"))
        assert plane.metrics
        yield plane
        plane.metrics.close()


def create(client: ApiClient, path: str, content: Any) -> None:
    client.request("POST", path, content)


def write(folder: Path, plane: ControlPlane, user: dict[str, Any], **cluster: str) -> None:
    """Write the user's kubeconfig."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    config["users"][0]["user"] = user
    config["clusters"][0]["cluster"] |= cluster
    config["contexts"][0]["name"] = config["current-context"] = "scratch"
    (folder / "config").write_text(json.dumps(config))


def everything(client: ApiClient) -> set[str]:
    """Return what a cluster holds, as far as it did not make it by itself."""
    found = set()
    for api_version in (
        "v1",
        *(each["preferredVersion"]["groupVersion"] for each in client.request("GET", "/apis")["groups"]),
    ):
        prefix = "api" if api_version == "v1" else "apis"
        for entry in client.request("GET", f"/{prefix}/{api_version}")["resources"]:
            if {"delete", "list"} <= {*entry["verbs"]}:
                items = client.request("GET", f"/{prefix}/{api_version}/{entry['name']}")["items"]
                names = {f"{entry['kind']}/{item['metadata']['name']}" for item in items}
                found |= {name for name in names if not name.startswith(ITS_OWN)}
    return found


def shop() -> System:
    system = System(environment("staging"), "shop")
    ExternalSecrets(system, version="2.9.0")
    stock = Microservice(system, "stock", image="example/stock:1.0.0", ports={"http": 8080}, replicas=2)
    database = Postgres(stock, "database", image="postgres:18.6", database="stock", user="stock", storage="1Gi")
    stock.needs(database.endpoint("sql"), {"DATABASE": "host"})
    return system


@pytest.mark.parametrize(
    ("user", "changes", "message"),
    [
        ({"exec": {"command": "login"}}, {}, r"The context scratch logs in by exec: a client certificate or a token"),
        ({"token": "t"}, {}, r"The cluster of scratch at https://127.0.0.1:\d+: Unauthorized"),
        ({"token": "t"}, {"server": "https://127.0.0.1:1"}, r"The cluster of scratch at .*: .*Connection refused"),
        ({"token": "t"}, {"server": "https://10.0.0.1:6443"}, r"is of https://10.0.0.1:6443: .* this machine only"),
    ],
)
def test_says_what_it_does_not_take(
    cluster: ControlPlane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: dict[str, Any],
    changes: dict[str, str],
    message: str,
) -> None:
    write(tmp_path, cluster, user, **changes)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with Workspace() as workspace, pytest.raises(UserError, match=message):
        borrow(workspace, tools(), "scratch")


@pytest.mark.parametrize(
    ("left_out", "message"),
    [("user", "logs in as nobody: a client certificate"), ("cluster", "is of no server: --context takes a cluster on")],
)
def test_context_that_names_no_user_or_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: str, message: str
) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
        "contexts": [{"name": "a", "context": {name: "a" for name in ("cluster", "user") if name != left_out}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with Workspace() as workspace, pytest.raises(UserError, match=message):
        borrow(workspace, tools(), "a")


def test_nodes_take_pods_again_where_something_does_not_go(monkeypatch: pytest.MonkeyPatch) -> None:
    stays = {"kind": "Pod", "metadata": {"name": "stays", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    opened: list[bool] = []
    monkeypatch.setattr(borrowed, "_LONGEST", -1)
    monkeypatch.setattr(borrowed, "_made", lambda client: [stays])
    monkeypatch.setattr(borrowed, "close_nodes", lambda client, closed: opened.append(not closed))
    with pytest.raises(UserError, match="still holds Pod/stays"):
        borrowed.give_back(cast("ApiClient", None))
    assert opened == [True]


def test_context_that_is_not_there(cluster: ControlPlane) -> None:
    with Workspace() as workspace, pytest.raises(UserError, match="other"):
        borrow(workspace, tools(), "other")


def test_cluster_that_holds_something(cluster: ControlPlane) -> None:
    pod = {"metadata": {"name": "pod"}, "spec": {"containers": [{"name": "a", "image": "example/a:1"}]}}
    path = "/api/v1/namespaces/default/pods"
    deadline = time.monotonic() + 30
    while True:
        try:
            create(cluster.client, path, pod)
            break
        except ApiError:  # until the namespace has its ServiceAccount
            assert time.monotonic() < deadline
            time.sleep(0.2)
    with Workspace() as workspace, pytest.raises(UserError, match=r"holds the Pod default/pod: .* an empty one"):
        borrow(workspace, tools(), "scratch")
    cluster.client.request("DELETE", f"{path}/pod", query={"gracePeriodSeconds": "0"})


def test_is_used_and_given_back(cluster: ControlPlane, tmp_path: Path) -> None:
    before = everything(cluster.client)
    with stage(tmp_path, [shop()], context="scratch") as found:
        outcome = found.install(found.trees[0])
        assert not [finding.text for finding in outcome.findings if finding.breaks]
        assert [row.component for row in outcome.progress] == ["external-secrets", "stock"]
        pods = cluster.client.request("GET", "/api/v1/pods")["items"]
        assert len(pods) >= 3
        assert all(pod["spec"]["nodeName"].startswith("node-") for pod in pods)
        with pytest.raises(UserError, match=r"holds the namespace argocd.*: --context takes an empty one"):
            borrow(found.rehearsal.workspace, tools(), "scratch")
    assert everything(cluster.client) == before
    [node] = cluster.client.request("GET", "/api/v1/nodes")["items"]
    assert "rehearsal" not in str(node["spec"])

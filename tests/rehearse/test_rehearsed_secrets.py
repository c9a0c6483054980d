"""No component reads the secrets of another: a real API server is asked, as the simulated External Secrets does."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from stage import tools
from systems import empty

from constructs_lib import ExternalSecrets, Microservice, RabbitMQ, System, generated, synthesize
from constructs_lib.check.bootstrap import Bootstrap
from constructs_lib.kubernetes.manifest import Manifest, condition
from constructs_lib.rehearse.api_client import ApiClient
from constructs_lib.rehearse.argocd import API, definitions
from constructs_lib.rehearse.control_plane import Authority, start_control_plane
from constructs_lib.rehearse.operators import Operators, definition
from constructs_lib.rehearse.processes import Workspace
from constructs_lib.rehearse.secrets import bootstrapped
from constructs_lib.repository.applications import find_applications
from constructs_lib.repository.snapshot import Snapshot

GROUP = "external-secrets.io/v1"
#: What reading takes; nothing runs.
KINDS = ("Namespace", "Role", "RoleBinding", "SecretStore", "ServiceAccount", "ExternalSecret")
OWN = {"kind": "SecretStore", "name": "secret-store"}
FORBIDDEN = '"stock" is forbidden: front/secret-store cannot get it in "secret-store"'


def shop() -> System:
    """Return two services with a secret each, of which one has the broker's password as well."""
    system = empty()
    ExternalSecrets(system, version="2.9.0")
    broker = RabbitMQ(system, "broker", image="rabbitmq:4.1.0-management", user="shop", storage="1Gi")
    options: dict[str, Any] = {"ports": {"http": 8080}, "replicas": 2}
    Microservice(system, "stock", image="example/stock:1.0.0", env={"TOKEN": generated("signs")}, **options)
    front = Microservice(system, "front", image="example/front:1.0.0", env={"KEY": generated("signs")}, **options)
    front.needs(broker.endpoint("amqp"), {"BROKER_PASSWORD": "password"})
    return system


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """A cluster with the shop's stores and accounts, in the order in which Argo CD applies them, and the operator."""
    files = synthesize(shop()).files
    tree = Snapshot.of_files("shop", files)
    store = Bootstrap(tree.files, find_applications(tree, ["argocd/staging"]).all).store
    assert store
    assert store.readers == {"broker": "broker", "front": "front", "stock": "stock"}
    custom = [(GROUP, "SecretStore"), (GROUP, "ExternalSecret"), (GROUP, "ClusterSecretStore")]
    with Workspace() as workspace:
        found = tools()
        client = start_control_plane(workspace, found, Authority(workspace.folder)).client
        for kind in definitions(found.definitions):
            client.apply(kind)
        for api_version, name in custom:
            client.apply(definition(api_version, name, namespaced=not name.startswith("Cluster")))
        until(lambda: all(client.resource(*kind) for kind in [*custom, (API, "Application")]))
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}})
        client.apply(yaml.safe_load(files["argocd/staging/Application-external-secrets.yaml"]))
        for manifest in bootstrapped([store]):
            client.apply(manifest)
        made = [yaml.safe_load(content) for path, content in sorted(files.items()) if path.startswith("dist/")]
        for manifest in sorted(made, key=lambda each: [*KINDS, each["kind"]].index(each["kind"])):
            if manifest["kind"] in KINDS:
                client.apply(manifest)
        operators = Operators(client, custom)
        yield client
        operators.close()


def until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    """Return what a condition gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
    return found


def values(client: ApiClient, namespace: str, name: str) -> dict[str, str]:
    """Return what is in a Secret once it is there."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
    data = until(lambda: client.get(secret))["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def said(client: ApiClient, item: Manifest) -> tuple[str, str]:
    """Return status and message of the condition Ready that an object gets for its newest spec."""

    def ready() -> Any:
        live = client.get(item) or {}
        found = condition(live, "Ready")
        return found if found.get("observedGeneration") == live["metadata"]["generation"] else None

    found = until(ready)
    return found["status"], found["message"]


def external(name: str, store: Manifest = OWN, **spec: Any) -> Manifest:
    """Return an ExternalSecret in the namespace of the component front."""
    metadata = {"name": name, "namespace": "front"}
    return {
        "apiVersion": GROUP,
        "kind": "ExternalSecret",
        "metadata": metadata,
        "spec": {"secretStoreRef": store, "target": {"name": name}, **spec},
    }


def other_store(client: ApiClient, store: str, **account: str) -> Manifest:
    """Add a store to the namespace of the component front that reads as an account, and return the reference to it."""
    live = client.get({"apiVersion": GROUP, "kind": "SecretStore", "metadata": {**OWN, "namespace": "front"}})
    assert live
    spec = live["spec"]
    spec["provider"]["kubernetes"]["auth"] = {"serviceAccount": account}
    metadata = {"name": store, "namespace": "front"}
    client.apply({"apiVersion": GROUP, "kind": "SecretStore", "metadata": metadata, "spec": spec})
    return {"kind": "SecretStore", "name": store}


def entry(component: str, key: str) -> Manifest:
    return {"secretKey": "taken", "remoteRef": {"key": component, "property": key}}


def test_each_gets_its_own_values_and_its_copies(client: ApiClient) -> None:
    assert values(client, "stock", "stock") == {"TOKEN": "stock/TOKEN"}
    assert values(client, "front", "front") == {"KEY": "front/KEY", "broker.password": "broker/password"}


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("one", {"data": [entry("stock", "TOKEN")]}, FORBIDDEN),
        ("beside-its-own", {"data": [entry("front", "KEY"), entry("stock", "TOKEN")]}, FORBIDDEN),
        ("all", {"dataFrom": [{"extract": {"key": "stock"}}]}, FORBIDDEN),
        ("any", {"dataFrom": [{"find": {"name": {"regexp": ".*"}}}]}, 'forbidden in the namespace "secret-store"'),
        ("of-the-broker", {"data": [entry("broker", "erlang-cookie")]}, '"broker" is forbidden'),
    ],
)
def test_what_is_for_another_is_refused(client: ApiClient, name: str, spec: Manifest, message: str) -> None:
    item = external(name, **spec)
    client.apply(item)
    status, text = said(client, item)
    assert status == "False"
    assert message in text
    assert client.get({"apiVersion": "v1", "kind": "Secret", "metadata": item["metadata"]}) is None


def test_no_store_reads_as_somebody_else(client: ApiClient) -> None:
    """A store names no account of another namespace, and the operator gets no token of another account of its own."""
    elsewhere = external("elsewhere", other_store(client, "elsewhere", name="secret-store", namespace="stock"))
    default = external("default", other_store(client, "default", name="default"))
    for item, message in ((elsewhere, FORBIDDEN), (default, "cannot create service account token")):
        item["spec"]["data"] = [entry("stock", "TOKEN")]
        account = {"name": "default", "namespace": "front"}
        client.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        client.apply(item)
        status, text = said(client, item)
        assert (status, message in text) == ("False", True), text


def test_its_own_entry_is_read_as_a_whole(client: ApiClient) -> None:
    item = external("whole", dataFrom=[{"extract": {"key": "front"}}])
    client.apply(item)
    assert said(client, item)[0] == "True"
    assert values(client, "front", "whole") == values(client, "front", "front")


def test_a_secret_in_use_stays_while_it_cannot_be_read(client: ApiClient) -> None:
    """Also while the operator leaves it alone, because its store is one that it is told not to process."""
    item = external("moving", data=[{**entry("front", "KEY"), "secretKey": "KEY"}])
    client.apply(item)
    assert said(client, item)[0] == "True"
    before = values(client, "front", "moving")
    for reference, status in (({"kind": "SecretStore", "name": "later"}, "False"), (OWN, "True")):
        item["spec"]["secretStoreRef"] = reference
        client.apply(item)
        assert said(client, item)[0] == status
        assert values(client, "front", "moving") == before
    item["spec"]["secretStoreRef"] = {"kind": "ClusterSecretStore", "name": "secret-store"}
    client.apply(item)
    live = client.get(item)
    time.sleep(2)
    again = client.get(item)
    assert live and again
    assert again["status"] == live["status"]
    assert values(client, "front", "moving") == before


def test_what_could_not_be_read_is_tried_again(client: ApiClient) -> None:
    item = external("late", data=[entry("front", "LATER")])
    client.apply(item)
    assert "property LATER does not exist" in said(client, item)[1]
    entries = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "front", "namespace": "secret-store"}}
    client.patch(entries, {"stringData": {"LATER": "given"}})
    until(lambda: said(client, item)[0] == "True")
    assert values(client, "front", "late") == {"taken": "given"}

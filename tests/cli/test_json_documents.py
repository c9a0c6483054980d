"""What commands write for programs follows the schemas that are published with the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from app_runs import ROOT, run_process
from json_schemas import FOLDER, valid

from constructs_lib.cli.commands import COMMANDS, name_of

APP = """
from constructs_lib import Environment, External, GitRepository, K3d, Microservice, Node, System, main


def shop(environment: Environment) -> System:
    system = System(environment, "shop")
    bank = External(system, "bank", host="bank.example.com", ports={"https": 443})
    stock = Microservice(system, "stock", image="example/stock:1.4.0", ports={"http": 8080})
    stock.patch("Deployment", {"metadata": {"labels": {"team": "one"}}})
    front = Microservice(system, "front", image="example/front:1.4.0", ports={"http": 8080})
    front.needs(stock.endpoint("http"), {"STOCK": "address"})
    front.needs(bank.endpoint("https"), {"BANK": "address"})
    return system


if __name__ == "__main__":
    repository = GitRepository("https://example.com/shop.git")
    cluster = K3d(kubernetes="1.36", nodes=1, node=Node(cpu="4", memory="8Gi"))
    main(shop, [Environment(name=name, repository=repository, cluster=cluster) for name in ("here", "there")])
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "app.py").write_text(APP)
    return folder


def read(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Return what a command writes, by its schema; the same command always writes the same."""
    found = run_process(folder, *arguments, "--format", "json")
    assert (found.code, found.err) == (code, "")
    return valid(arguments[0], found.out)


def test_each_command_has_a_schema() -> None:
    schemas = {file.stem: json.loads(file.read_text()) for file in FOLDER.iterdir()}
    assert schemas.keys() == {name_of(command) for command in COMMANDS}
    for schema in schemas.values():
        jsonschema_rs.meta.validate(schema)


def test_what_is_promoted_is_told_as_what_is_published() -> None:
    schemas = [json.loads((FOLDER / f"{name}.json").read_text()) for name in ("publish", "promote")]
    one, other = ({key: part for key, part in each.items() if key not in ("title", "description")} for each in schemas)
    assert one == other


def test_synth(shop: Path) -> None:
    first = read(shop, "synth", "--check", code=1)
    assert read(shop, "synth") == first
    assert "dist/here/stock/Deployment-stock.yaml" in first["created"]
    assert first["environments"][1] == {
        "name": "there",
        "objects": 23,
        "components": 2,
        "waves": 2,
        "unpublished": {},
        "kept_open": 0,
    }
    then = read(shop, "synth", "--check")
    assert (then["created"], then["unchanged"]) == ([], len(first["created"]))


def test_check(shop: Path) -> None:
    found = read(shop, "check", "here", "--no-charts")
    assert found["environments"][0]["cluster"]["node"]["memory"] == "8Gi"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "b"}}
    (shop / "faults").mkdir()
    for name, ports in (("a", 80), ("b", 70_000)):
        spec = {"selector": {"app": name}, "ports": [{"port": ports}]}
        (shop / f"faults/{name}.json").write_text(json.dumps({**service, "metadata": {"name": name}, "spec": spec}))
    (shop / "waivers.yaml").write_text(
        "- {code: service-without-pods, object: Service/*/a, reason: it comes, expires: 2999-01-01}\n"
        "- {code: service-without-pods, object: Service/*/z, reason: it went, expires: 2020-01-01}\n"
    )
    arguments = ("check", "--tree", "faults", "--waivers", "waivers.yaml")
    found = read(shop, *arguments, code=1)
    (shop / "waivers.yaml").unlink()
    assert found["errors"]
    assert found["waivers"]


def test_plan(shop: Path) -> None:
    (shop / "empty").mkdir()
    first = read(shop, "plan", "--from", "empty")
    assert [plan["environment"] for plan in first["plans"]] == ["here", "there"]
    assert first["plans"][0]["summary"] == {"create": 23}


def test_graph(shop: Path) -> None:
    assert {"stock", "front", ":outside/bank"} <= {node["id"] for node in read(shop, "graph")["nodes"]}
    order = read(shop, "graph", "here", "--view", "order")
    assert order["environment"] == "here"
    assert [edge["style"] for edge in order["edges"]] == ["precedes", "precedes"]


def test_observe() -> None:
    found = read(ROOT, "observe", "production")
    assert {"uid": "positionpal-gateway", "title": "gateway"} in found["dashboards"]
    assert {"name": "PostgresDown", "severity": "critical", "after": "2m"} in found["alerts"]


def test_why(shop: Path) -> None:
    (front,) = read(shop, "why", "front")["answers"]
    assert front["environments"] == ["here", "there"]
    assert front["component"]["chain"][0]["reason"] == "front needs stock http"
    assert front["component"]["first"]["component"] == "stock"
    (stock,) = read(shop, "why", "Component/stock", "there")["answers"]
    assert (stock["environments"], stock["component"]["first"]) == (["there"], None)
    (bank,) = read(shop, "why", "bank")["answers"]
    assert bank["outside"]["needed_by"][0]["port"] == 443
    (policy,) = read(shop, "why", "NetworkPolicy/stock")["answers"]
    assert [each["what"] for each in policy["objects"][0]["opens"]] == ["from front to http"]
    (deployment,) = read(shop, "why", "Deployment/stock/stock", "here")["answers"]
    assert deployment["objects"][0]["patched"] == ["app.py:9"]

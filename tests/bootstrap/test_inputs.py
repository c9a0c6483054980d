"""What the bootstrap reads follows from the declaration, and from nothing else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from synthesized import Synthesized

import app
from constructs_lib import DeclarationError, DigitalOcean, Environment, K3d, System, synthesize

ROOT = Path(__file__).resolve().parent.parent.parent

LOOPBACK = r"^127\.0\.0\.1:[0-9]+:[0-9]+$"


def closed(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has all of some properties and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


FILTERS = {"type": "array", "items": {"pattern": r"^(loadbalancer|(server|agent):(\*|[0-9]+))$"}}
#: The part of https://k3d.io/stable/usage/configfile/ that is used, and not more than should be.
K3D = closed(
    apiVersion={"const": "k3d.io/v1alpha5"},
    kind={"const": "Simple"},
    metadata=closed(name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$"}),
    servers={"type": "integer", "minimum": 1},
    agents={"type": "integer", "minimum": 0},
    image={"type": "string", "pattern": r"^rancher/k3s:v[0-9.]+-k3s[0-9]+@sha256:[0-9a-f]{64}$"},
    # k3d takes ports as texts.
    kubeAPI=closed(hostIP={"const": "127.0.0.1"}, hostPort={"type": "string", "pattern": "^[0-9]+$"}),
    ports={"type": "array", "items": closed(port={"type": "string", "pattern": LOOPBACK}, nodeFilters=FILTERS)},
    options=closed(
        k3d=closed(wait={"const": True}, timeout={"type": "string", "pattern": "^[0-9]+s$"}),
        k3s=closed(extraArgs={"type": "array", "items": closed(arg={"type": "string"}, nodeFilters=FILTERS)}),
        kubeconfig=closed(updateDefaultKubeconfig={"const": False}, switchCurrentContext={"const": False}),
    ),
)


def files(environment: Environment) -> dict[str, bytes]:
    return synthesize(app.positionpal(environment)).files


def difference(old: dict[str, bytes], new: dict[str, bytes]) -> set[str]:
    return {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def on(environment: Environment, **facts: Any) -> Environment:
    """Return an environment with other facts of its cluster."""
    return dataclasses.replace(environment, cluster=dataclasses.replace(environment.cluster, **facts))


def test_k3d_config(trees: dict[str, Synthesized]) -> None:
    config = yaml.safe_load(trees["local"].files["bootstrap/k3d/local.yaml"])
    jsonschema_rs.validator_for(K3D).validate(config)
    assert config["servers"] + config["agents"] == app.LOCAL.cluster.nodes > 1
    assert {port["port"] for port in config["ports"]} == {"127.0.0.1:3000:3000", "127.0.0.1:8443:30443"}


@pytest.mark.parametrize(
    "mistake",
    [
        {"kubeAPI": {"hostIP": "0.0.0.0", "hostPort": "6550"}},
        {"kubeAPI": {"hostIP": "127.0.0.1", "hostPort": 6550}},
        {"image": "rancher/k3s:latest"},
        {"ports": [{"port": "3000:3000", "nodeFilters": ["loadbalancer"]}]},
        {"node": 3},
    ],
)
def test_k3d_schema_is_closed(trees: dict[str, Synthesized], mistake: dict[str, Any]) -> None:
    config = yaml.safe_load(trees["local"].files["bootstrap/k3d/local.yaml"])
    assert not jsonschema_rs.validator_for(K3D).is_valid({**config, **mistake})


def test_only_digitalocean_has_a_cluster_to_make(trees: dict[str, Synthesized]) -> None:
    made = {path for tree in trees.values() for path in tree.files if path.startswith("bootstrap/")}
    assert made == {
        "bootstrap/argocd/local.tfvars.json",
        "bootstrap/argocd/production.tfvars.json",
        "bootstrap/cluster/production.tfvars.json",
        "bootstrap/k3d/local.yaml",
    }


@pytest.mark.parametrize(
    ("environment", "facts", "changed"),
    [
        (app.PRODUCTION, {"nodes": 3}, {"bootstrap/cluster/production.tfvars.json"}),
        (app.PRODUCTION, {"nodes_max": 8}, {"bootstrap/cluster/production.tfvars.json"}),
        (app.PRODUCTION, {"ha": False}, {"bootstrap/cluster/production.tfvars.json"}),
        (app.LOCAL, {"nodes": 4}, {"bootstrap/k3d/local.yaml"}),
        (app.LOCAL, {"image": None}, {"bootstrap/k3d/local.yaml"}),
    ],
)
def test_a_fact_of_the_cluster_changes_its_inputs_alone(
    environment: Environment, facts: dict[str, Any], changed: set[str]
) -> None:
    assert difference(files(environment), files(on(environment, **facts))) == changed


def test_hosts_are_told(trees: dict[str, Synthesized]) -> None:
    """Whoever makes their DNS records is told which object has the address."""
    told = {name: json.loads(tree.files[f"bootstrap/argocd/{name}.tfvars.json"]) for name, tree in trees.items()}
    assert "hosts" not in told["local"]
    assert told["production"]["hosts"] == [
        {"host": app.HOST, "kind": "ingress", "namespace": "pp-gws", "name": "gateway"}
    ]


def test_inputs_have_no_values(tree: Synthesized) -> None:
    inputs = json.loads(tree.files[f"bootstrap/argocd/{tree.environment}.tfvars.json"])
    assert {frozenset(secret) for secret in inputs["secrets"]} == {frozenset(("component", "key", "owner", "purpose"))}


def test_variables_are_the_modules_own(trees: dict[str, Synthesized]) -> None:
    """Terraform only warns of a value for a variable that is not there, so this is looked at here."""
    for tree in trees.values():
        for path, content in tree.files.items():
            if path.endswith(".tfvars.json"):
                variables = (ROOT / path).parent.joinpath("variables.tf").read_text()
                assert [name for name in json.loads(content) if f'variable "{name}" {{' not in variables] == []


Fact = tuple[Environment, dict[str, Any], str]
MISTAKES: list[Fact] = [
    (app.PRODUCTION, {"region": "fra2"}, 'region: "fra2" is not known; did you mean "fra1"'),
    (app.PRODUCTION, {"size": "large"}, 'size: "large" is no size of a droplet'),
    (app.PRODUCTION, {"kubernetes": "1.99"}, "1.99"),
    (app.PRODUCTION, {"nodes_max": 4}, "nodes_max: 4 is not more than the 4 nodes"),
    (app.PRODUCTION, {"maintenance_day": "sonday"}, 'maintenance_day: "sonday" is not known; did you mean'),
    (app.PRODUCTION, {"maintenance_start": "25:00"}, 'maintenance_start: "25:00" is no time of day'),
    (app.PRODUCTION, {"tags": ("a b",)}, 'tags: "a b" is no tag'),
    (app.PRODUCTION, {"nodes": 2}, "argocd_ha: its three Redis need 3 nodes, and there are 2."),
    (app.LOCAL, {"image": "rancher/k3s:v1.36.4-k3s1"}, "must be k3s 1.36 with its digest"),
    (app.LOCAL, {"kubernetes": "1.35"}, "must be k3s 1.35 with its digest"),
    (app.LOCAL, {"servers": 2}, "servers: an odd number up to the 3 nodes is needed, not 2."),
    (app.LOCAL, {"ports": {8443: 80}}, "the port 8443 of this machine is given away twice."),
    (app.LOCAL, {"api_port": 0}, "0 is no port"),
]


@pytest.mark.parametrize(("environment", "facts", "message"), MISTAKES)
def test_mistakes(environment: Environment, facts: dict[str, Any], message: str) -> None:
    system = System(on(environment, **facts), "shop")
    with pytest.raises(DeclarationError) as caught:
        synthesize(system)
    assert any(message in mistake.problem for mistake in caught.value.diagnostics), caught.value.diagnostics


@pytest.mark.parametrize("key", ["b5690eeebb952194", "B5690EEE", "B5690EEEBB952194 ", "publish@localhost"])
def test_ids_of_keys_are_whole(key: str) -> None:
    system = System(dataclasses.replace(app.LOCAL, signed_by=(key,)), "shop")
    with pytest.raises(DeclarationError, match=r"signed_by: .*is no id of a key"):
        synthesize(system)


def test_who_signs_is_asked_of_everything_that_is_deployed() -> None:
    """Each AppProject demands it of this repository, and the bootstrap gets the keys."""
    tree = synthesize(app.positionpal(dataclasses.replace(app.LOCAL, signed_by=("B5690EEEBB952194",))))
    policy = {"repos": [{"url": app.REPOSITORY.url}], "gpg": {"mode": "head", "keys": ["B5690EEEBB952194"]}}
    projects = [yaml.safe_load(content) for path, content in tree.files.items() if "/AppProject-" in path]
    assert len(projects) >= 2
    assert [each["spec"]["sourceIntegrity"] for each in projects] == [{"git": {"policies": [policy]}}] * len(projects)
    assert json.loads(tree.files["bootstrap/argocd/local.tfvars.json"])["signed_by"] == ["B5690EEEBB952194"]
    assert not any(b"sourceIntegrity" in each for each in synthesize(app.positionpal(app.LOCAL)).files.values())


def test_version_of_the_chart_is_exact() -> None:
    system = System(dataclasses.replace(app.LOCAL, argocd_chart="10.x"), "shop")
    with pytest.raises(DeclarationError, match=r"argocd_chart: .*10\.x"):
        synthesize(system)


@pytest.mark.parametrize("kind", [DigitalOcean, K3d])
def test_facts_are_documented(kind: Callable[..., object]) -> None:
    documented = kind.__doc__ or ""
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name in kind.__annotations__ and field.name not in ("storage_class", "provides"):
            assert f"{field.name}: " in documented

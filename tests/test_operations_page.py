"""The commands of docs/operations.md name what PositionPal's production really has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthesized import Manifest, Synthesized

#: What the page says in a command, and the kind of object that it is there.
KINDS = {
    "cronjob": "CronJob",
    "deployment": "Deployment",
    "externalsecret": "ExternalSecret",
    "pod": "Pod",
    "exec": "Pod",
    "pvc": "PersistentVolumeClaim",
    "statefulset": "StatefulSet",
}
#: Namespaces that the bootstrap and the charts make.
OTHERS = {"argocd", "secret-store"}


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def commands(page: str) -> list[str]:
    """All lines with a namespace of their own, those that go on in the next line as one; no outputs."""
    joined = page.replace("\\\n", " ")
    return [line for line in joined.splitlines() if re.search(r"kubectl --namespace [a-z]|^ *refresh [a-z]", line)]


def objects(production: Synthesized) -> Iterator[tuple[str, str, str]]:
    """Yield namespace, kind and name of what is there, with the pods and claims of StatefulSets."""
    for manifest in every(production):
        namespace, name = manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]
        yield namespace, manifest["kind"], name
        if manifest["kind"] == "StatefulSet":
            for number in range(manifest["spec"]["replicas"]):
                yield namespace, "Pod", f"{name}-{number}"
                for claim in manifest["spec"]["volumeClaimTemplates"]:
                    yield namespace, "PersistentVolumeClaim", f"{claim['metadata']['name']}-{name}-{number}"


def every(production: Synthesized) -> Iterator[Manifest]:
    for manifests in production.components.values():
        yield from manifests


def test_names_of_commands_are_there(commands: list[str], trees: dict[str, Synthesized]) -> None:
    there = set(objects(trees["production"]))
    found = 0
    for line in commands:
        for namespace, rest in re.findall(r"kubectl --namespace ([a-z-]+) ([^|`]*)", line):
            assert namespace in {space for space, _, _ in there} | OTHERS, line
            named = re.findall(rf"\b({'|'.join(KINDS)})[/ ](?:--stdin )?([a-z][a-z0-9-]*)", rest)
            for word, name in named if namespace not in OTHERS else ():
                assert (namespace, KINDS[word], name) in there, line
                found += 1
        for namespace, name in re.findall(r"refresh ([a-z-]+) ([a-z-]+)", line):
            assert (namespace, "ExternalSecret", name) in there, line
            found += 1
    assert found > 40


def test_selectors_and_containers_are_there(commands: list[str], trees: dict[str, Synthesized]) -> None:
    production = trees["production"]
    labels = {
        value
        for manifest in every(production)
        for key, value in manifest["metadata"].get("labels", {}).items()
        if key == "app.kubernetes.io/name"
    }
    pods = production.pods
    containers = {
        (space, each["name"])
        for space in ("pp-us", "pp-cs", "rabbitmq")
        for pod in pods(space, ["StatefulSet", "CronJob"])
        for each in [*pod.spec["containers"], *pod.spec.get("initContainers", [])]
    }
    for line in commands:
        selected = set(re.findall(r"app\.kubernetes\.io/name=([a-z-]+)", line)) - {"grafana"}
        assert selected <= labels, line
        for space, name in re.findall(r"--namespace ([a-z-]+) .*--container ([a-z]+)", line):
            assert (space, name) in containers, line


def test_secrets_are_those_of_the_bootstrap(page: str, root: Path) -> None:
    inputs = json.loads((root / "bootstrap" / "argocd" / "production.tfvars.json").read_text(encoding="utf-8"))
    known = {f"{each['component']}/{each['key']}" for each in inputs["secrets"]}
    replaced = set(re.findall(r'random_password\.generated\["([^"]+)"\]', page))
    stored = {"/".join(each) for each in re.findall(r"(?:^|\$\()stored ([a-z-]+) ([a-z-]+)", page, re.MULTILINE)}
    assert replaced | stored <= known
    assert len(replaced) > 3
    assert len(stored) > 2


def test_repositories_of_saves_are_those_of_the_manifests(page: str, trees: dict[str, Synthesized]) -> None:
    told = set(re.search(r"for store in ([^;]+);", page)[1].split())  # type: ignore[index]
    declared = {
        address.rpartition("/positionpal/production/")[2]
        for manifest in every(trees["production"])
        for address in re.findall(r"s3:https://[^\"']+", json.dumps(manifest))
    }
    assert told == declared

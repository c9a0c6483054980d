"""What is made inside of a component reaches Argo CD: lists are unfolded, and no text hides a file."""

from __future__ import annotations

from pathlib import Path

import cdk8s
import pytest
import yaml
from systems import environment

from constructs_lib import Microservice, System, synthesize
from constructs_lib.argocd.objects import WAVE
from constructs_lib.declare.diagnostics import DeclarationError


def included(text: str, folder: Path) -> System:
    file = folder / "included.yaml"
    file.write_text(text)
    system = System(environment(), "shop")
    service = Microservice(system, "a", image="example/a:1.0.0", ports={"http": 8080})
    cdk8s.Include(service.component, "included", url=str(file))
    return system


def test_lists_are_unfolded(tmp_path: Path) -> None:
    role = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: reader}, rules: []}"
    quota = "{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {pods: 20}}}"
    nested = f"{{apiVersion: v1, kind: List, items: [{quota}]}}"
    config = "{apiVersion: v1, kind: ConfigMapList, items: [{metadata: {name: c}, data: {a: b}}]}"
    text = f"apiVersion: v1\nkind: List\nitems: [{role}, {nested}, {config}]\n"
    files = synthesize(included(text, tmp_path)).files
    assert {"ClusterRole-reader.yaml", "ResourceQuota-q.yaml", "ConfigMap-c.yaml"} <= {
        path.rpartition("/")[2] for path in files
    }
    made = yaml.safe_load(files["dist/staging/a/ResourceQuota-q.yaml"])
    assert made["metadata"]["namespace"] == "a"
    assert "argocd.argoproj.io/sync-wave" in made["metadata"]["annotations"]
    project = files["argocd/staging/AppProject-shop-a.yaml"].decode()
    assert "ResourceQuota" in project and "reader" in project


@pytest.mark.parametrize("item", ["text", "{kind: ConfigMap, metadata: {name: a}}", "{apiVersion: v1, kind: Pod}"])
def test_what_is_no_object_in_a_list_is_a_mistake(item: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"items\[0\] of a List inside of it lacks"):
        synthesize(included(f"apiVersion: v1\nkind: List\nitems: [{item}]\n", tmp_path))


def test_a_text_that_hides_its_file_is_a_mistake() -> None:
    system = System(environment(), "shop")
    line = "a +argocd:skip-file-rendering b"
    Microservice(system, "a", image="example/a:1.0.0", ports={"http": 8080}, env={"NOTE": line})
    Microservice(system, "b", image="example/b:1.0.0", ports={"http": 8080}, env={"NOTE": line.replace("+", "-")})
    with pytest.raises(DeclarationError) as error:
        synthesize(system)
    (mistake,) = error.value.diagnostics
    assert 'the ConfigMap "a" would hold the text +argocd:skip-file-rendering' in mistake.problem
    assert mistake.location.line == test_a_text_that_hides_its_file_is_a_mistake.__code__.co_firstlineno + 3


def test_weights_of_hooks_are_their_waves(tmp_path: Path) -> None:
    hooks = {"early": "-5", "middle": None, "late": "5"}
    texts = (
        f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, annotations: {{helm.sh/hook: pre-upgrade"
        f"{f', helm.sh/hook-weight: {chr(34)}{weight}{chr(34)}' if weight else ''}}}}}}}"
        for name, weight in hooks.items()
    )
    files = synthesize(included("\n---\n".join(texts), tmp_path)).files
    found = {path: yaml.safe_load(content) for path, content in files.items() if "/ConfigMap-" in path}
    waves = {item["metadata"]["name"]: item["metadata"]["annotations"][WAVE] for item in found.values()}
    assert waves == {"early": "-5", "middle": "0", "late": "5"}

"""What is made inside of a component reaches Argo CD: lists are unfolded, and no text hides a file."""

from __future__ import annotations

from pathlib import Path

import cdk8s
import pytest
import yaml
from systems import environment

from constructs_lib import HelmChart, Kind, Microservice, System, synthesize
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


IN = "{{apiVersion: {version}, kind: {kind}, metadata: {{name: it, namespace: {namespace}}}}}"


@pytest.mark.parametrize(
    ("version", "kind", "namespace", "told"),
    [
        *(
            ("argoproj.io/v1alpha1", kind, namespace, f'it brings the {kind} "it", and the root alone makes those')
            for kind in ("Application", "ApplicationSet", "AppProject")
            for namespace in ("argocd", "a")
        ),
        ("v1", "ConfigMap", "argocd", 'the ConfigMap "it" would be in the namespace argocd, where the bootstrap alone'),
        ("v1", "ConfigMap", "secret-store", "in the namespace secret-store, where the bootstrap alone deploys."),
        ("v1", "ConfigMap", "other", "in the namespace other, which belongs to b: declare it inside of that one."),
        ("argoproj.io/v1alpha1", "Rollout", "a", ""),
        ("v1", "ConfigMap", "kube-system", ""),
        ("v1", "ConfigMap", "a", ""),
    ],
)
def test_what_no_component_may_bring(version: str, kind: str, namespace: str, told: str, tmp_path: Path) -> None:
    system = included(IN.format(version=version, kind=kind, namespace=namespace), tmp_path)
    Microservice(system, "b", namespace="other", image="example/b:1.0.0", ports={"http": 8080})
    if not told:
        assert synthesize(system).files
        return
    with pytest.raises(DeclarationError) as error:
        synthesize(system)
    (mistake,) = error.value.diagnostics
    assert told in mistake.problem
    assert (mistake.subject, mistake.location.file) == ("a", __file__)


def test_a_chart_may_not_bring_applications() -> None:
    system = System(environment(), "shop")
    kinds = [
        Kind("argoproj.io", "ApplicationSet"),
        Kind("argoproj.io", "Rollout"),
        Kind("apps.kubernetes.io", "Application"),
    ]
    HelmChart(system, "edge", repository="https://example.com", chart="edge", version="1.0.0", kinds=kinds)
    with pytest.raises(DeclarationError, match=r"edge: kinds: it would bring ApplicationSet, and the root alone makes"):
        synthesize(system)

"""What the API server would refuse is told in a plan, with the words of check."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from constructs_lib.api import plan
from constructs_lib.plan.change import Change, Effect

WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "example/web:1.0.0"}]},
        },
    },
}
APP: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": "web", "namespace": "argocd"},
    "spec": {
        "project": "default",
        "source": {"repoURL": "https://example.com/a.git", "path": "web"},
        "destination": {"namespace": "shop"},
        "syncPolicy": {"automated": {}},
    },
}


def with_field(item: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    found = copy.deepcopy(item)
    *above, last = path.split(".")
    part: Any = found
    for key in above:
        part = part[int(key) if key.isdecimal() else key]
    part[last] = value
    return found


def change(tmp_path: Path, before: Mapping[str, object], after: Mapping[str, object]) -> Change:
    for name, files in (("old", before), ("new", after)):
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(yaml.safe_dump(content))
    (found,) = plan(tmp_path / "old", tmp_path / "new").changes
    return found


@pytest.mark.parametrize(
    ("field", "value", "effect", "says"),
    [
        ("spec.replicas", "3", Effect.NONE, "refuses the object"),
        ("spec.template.spec.containers.0.name", "A_B", Effect.NONE, "refuses the object"),
        ("spec.template.metadata.labels", {"app": "other"}, Effect.NONE, "refuses it"),
        ("spec.replica", 3, Effect.UPDATE, "or drops it without a word"),
        ("spec.replicas", 3, Effect.UPDATE, ""),
        ("spec.template.spec.containers.0.image", "example/web:1.1.0", Effect.RESTART, ""),
    ],
)
def test_changed_objects(tmp_path: Path, field: str, value: object, effect: Effect, says: str) -> None:
    found = change(tmp_path, {"a.yaml": WEB}, {"a.yaml": with_field(WEB, field, value)})
    assert found.effect == effect
    assert found.dangerous is bool(says)
    assert any(says in reason.text for reason in found.reasons) is bool(says)


def test_applications_and_what_they_deploy(tmp_path: Path) -> None:
    before = {"app.yaml": APP, "web/a.yaml": WEB}
    found = change(tmp_path, before, {**before, "app.yaml": with_field(APP, "spec.project", 1)})
    assert found.kind == "Application"
    assert found.dangerous


def test_what_the_tree_defines_itself(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}}
    before = {"crd.yaml": definition, "a.yaml": widget}
    assert change(tmp_path, before, {**before, "a.yaml": with_field(widget, "spec.size", "1")}).effect == Effect.NONE
    assert not change(tmp_path, before, {**before, "a.yaml": with_field(widget, "spec.size", 2)}).dangerous


def test_what_kustomize_may_complete_is_not_told(tmp_path: Path) -> None:
    before = {"kustomization.yaml": {"resources": ["a.yaml"]}, "a.yaml": WEB}
    after = {**before, "a.yaml": with_field(WEB, "spec.replicas", "3")}
    assert change(tmp_path, before, after).effect == Effect.UPDATE

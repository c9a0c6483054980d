"""However an object is written, the plan sees it, and what follows from it."""

from __future__ import annotations

import base64
import json

import pytest
from trees import Manifest, application, between, config, tree, written

APP = application("evil", "parts/evil")


def escaped(text: str) -> str:
    """Return a text in double quotes, each of its characters escaped."""
    return '"' + "".join(f"\\x{ord(character):02x}" for character in text) + '"'


def as_json(manifest: Manifest) -> bytes:
    return json.dumps(manifest).replace("/", "\\/").replace("Application", "Applicatio\\u006e").encode()


def as_yaml(manifest: Manifest, word: str, disguise: str) -> bytes:
    text = written(manifest).decode()
    assert f": {word}\n" in text
    return text.replace(f": {word}\n", f": {disguise}\n").encode()


VERSION = "argoproj.io/v1alpha1"
DISGUISES = {
    "escapes": as_yaml(APP, VERSION, escaped(VERSION)),
    "a broken line": as_yaml(APP, VERSION, '"argoproj.\\\n  io/v1alpha1"'),
    "base64": as_yaml(APP, VERSION, f"!!binary {base64.b64encode(VERSION.encode()).decode()}"),
    "UTF-16": written(APP).decode().encode("utf-16"),
    "JSON": as_json(APP),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_an_application_is_found(name: str) -> None:
    before = tree({"app": [config("a")]})
    after = {**before, "apps/evil.yaml": DISGUISES[name], "parts/evil/x.yaml": written(config("x"))}
    names = [change.full_name for change in between(before, after).changes]
    assert names == ["Application/argocd/evil", "ConfigMap/ns/x"]


@pytest.mark.parametrize("kind", [escaped("ClusterRoleBinding"), '"ClusterRole\\\n  Binding"'])
def test_rights_are_found(kind: str) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "evil"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "ns"}],
    }
    before = tree({"app": [config("a")]})
    after = {**before, "parts/app/x.yaml": as_yaml(binding, "ClusterRoleBinding", kind)}
    (change,) = between(before, after).changes
    assert (change.full_name, change.needs_consent) == ("ClusterRoleBinding/evil", True)

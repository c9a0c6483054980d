"""What an AppProject permits."""

from __future__ import annotations

from typing import Any

import pytest

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import permits

HERE = {"server": "https://kubernetes.default.svc", "namespace": "shop"}
ANYWHERE = {"server": "*", "namespace": "*"}


def item(kind: str, namespace: str = "", group: str = "") -> Object:
    version = f"{group}/v1" if group else "v1"
    return Object({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}, "a.yaml", namespace)


def project(**spec: Any) -> Object:
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "p"}, "spec": spec}
    return Object(manifest, "p.yaml", "argocd")


@pytest.mark.parametrize(
    ("destinations", "permitted"),
    [
        ([ANYWHERE], True),
        ([HERE], True),
        ([{"name": "in-cluster", "namespace": "sh*"}], True),
        ([{"server": "https://other", "namespace": "shop"}], False),
        ([{**HERE, "namespace": "other"}], False),
        ([ANYWHERE, {**HERE, "namespace": "!shop"}], False),
        ([], False),
        ("odd", False),
    ],
)
def test_destinations(destinations: Any, permitted: bool) -> None:
    assert permits(project(destinations=destinations), item("ConfigMap", "shop"), HERE) is permitted


def test_cluster_with_another_name_is_taken_for_permitted() -> None:
    found = permits(project(destinations=[HERE]), item("ConfigMap", "shop"), {"name": "production"})
    assert found


@pytest.mark.parametrize(
    ("spec", "permitted"),
    [
        ({}, False),
        ({"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}, True),
        ({"clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "b*"}]}, False),
        ({"clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "a"}]}, True),
        (
            {
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
                "clusterResourceBlacklist": [{"group": "", "kind": "Namespace"}],
            },
            False,
        ),
    ],
)
def test_cluster_scoped(spec: dict[str, Any], permitted: bool) -> None:
    assert permits(project(**spec), item("Namespace"), HERE) is permitted


def test_namespaced_kinds() -> None:
    deployment = item("Deployment", "shop", "apps")
    assert permits(project(destinations=[HERE]), deployment, HERE)
    assert not permits(project(destinations=[HERE], namespaceResourceWhitelist=[]), deployment, HERE)
    denied = [{"group": "apps", "kind": "Deployment"}]
    assert not permits(project(destinations=[HERE], namespaceResourceBlacklist=denied), deployment, HERE)

"""In what a live object is not as its tree has it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from lab import snapshot, thing, tree

from constructs_lib.plan.plan import plan
from constructs_lib.rehearse.components import components
from constructs_lib.rehearse.recording import identity_of


@pytest.mark.parametrize(
    ("kind", "tree_has", "cluster_has", "drift"),
    [
        ("Service", "{spec: {type: ClusterIP}}", "{spec: {type: NodePort}}", ["spec.type"]),
        ("Service", "{spec: {type: ClusterIP}}", "{spec: {type: ClusterIP, clusterIP: 10.0.0.1}, status: {}}", []),
        ("Service", "{spec: {paused: false, args: []}}", "{spec: {}}", []),
        ("Service", "{spec: {paused: false}}", "{spec: {paused: true}}", ["spec.paused"]),
        ("Service", "{spec: {rules: [1, 2]}}", "{spec: {rules: [1, 2, 3]}}", ["spec.rules[2]"]),
        ("Service", "{spec: {rules: [{name: a}]}}", "{spec: {rules: [{name: b}, {name: a}]}}", ["spec.rules[b]"]),
        ("Service", "{spec: {rules: [{name: a}, {name: b}]}}", "{spec: {rules: [{name: b}, {name: a}]}}", []),
        ("Service", "{finalizers: [a]}", "{finalizers: [a, b]}", []),
        ("Service", "{finalizers: [a]}", "{finalizers: [b]}", ["metadata.finalizers[0]"]),
        ("Service", "{apiVersion: v2}", "{apiVersion: v1}", []),
        ("Deployment", "{apiVersion: apps/v1, spec: {}}", "{apiVersion: apps/v1, spec: {replicas: 2}}", []),
        (
            "Deployment",
            "{apiVersion: apps/v1, spec: {replicas: 1}}",
            "{apiVersion: apps/v1, spec: {replicas: 2}}",
            ["spec.replicas"],
        ),
        ("ConfigMap", "{data: {a: x}}", "{data: {a: x, b: y}}", ["data.b"]),
        ("Secret", "{data: {a: eA==}}", "{data: {a: eQ==}}", ["data.a"]),
        ("Secret", "{stringData: {a: x}}", "{data: {a: eA==}}", []),
    ],
)
def test_drift(kind: str, tree_has: str, cluster_has: str, drift: list[str]) -> None:
    def made(content: str) -> dict[str, Any]:
        read = yaml.safe_load(content)
        found = thing(
            kind, "it", **{key: value for key, value in read.items() if key not in ("finalizers", "apiVersion")}
        )
        found["metadata"]["finalizers"] = read.get("finalizers", [])
        return {**found, "apiVersion": read.get("apiVersion", "v1")}

    old = new = snapshot({**tree({"db": {}}), "db": [made(tree_has)]}, [])
    live = made(cluster_has)
    [component] = [each for each in components(old, new, plan(old, new), {identity_of(live)}) if each.name == "db"]
    [item] = [item for item in component.new.values() if item.kind == kind]
    assert [change.path for change in component.drift(item, live)] == drift

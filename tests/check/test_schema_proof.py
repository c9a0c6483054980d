"""What the API server takes, where single faults in PositionPal's tree do not reach."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from corpus import Manifest
from synthesized import Synthesized

from constructs_lib.check.bootstrap import Cluster
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.policy import proof as policy
from constructs_lib.check.proofs import PROOFS
from constructs_lib.check.schemas import proof as schemas
from constructs_lib.check.schemas.openapi import kubernetes, versions
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.repository.snapshot import Snapshot

SCHEMAS = Path(schemas.__file__).parent / "crds"


def tree(*manifests: Manifest, version: str | None = None, **files: str) -> ClusterModel:
    """Return a tree without Applications."""
    content = {f"{number}.yaml": dump(manifest) for number, manifest in enumerate(manifests)}
    content |= {path.replace("__", "/") + ".yaml": text.encode() for path, text in files.items()}
    return ClusterModel(Snapshot("test", content), cluster=Cluster(kubernetes=version))


def found(model: ClusterModel) -> list[tuple[str, str]]:
    """Return the codes and fields of what is found."""
    return [(finding.check.code, finding.field) for finding in schemas.prove(model)]


def new(api_version: str, kind: str, **content: Any) -> Manifest:
    """Return an object."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "sample", "namespace": "default"}, **content}


def definition(structural: Mapping[str, Any], **version: Any) -> Manifest:
    """Return a CustomResourceDefinition whose spec has a schema."""
    spec = {"openAPIV3Schema": {"type": "object", "properties": {"spec": structural}}}
    manifest = new(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        spec={
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": spec, **version}],
        },
    )
    manifest["metadata"] = {"name": "widgets.example.org"}
    return manifest


def test_the_nearest_version_stands_for_one_that_is_not_known() -> None:
    assert kubernetes().version == versions()[-1]
    assert kubernetes("1.1").version == versions()[0]
    assert kubernetes("1.999").version == versions()[-1]
    assert kubernetes("nonsense").version == versions()[0]
    assert [version for version in versions() if kubernetes(version).version != version] == []


def test_schemas_of_custom_resources_are_closed() -> None:
    """Wherever any field is taken, that is on purpose."""

    def open_parts(part: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        if isinstance(part, dict):
            if part.get("type") == "object" and part.get("additionalProperties", True) is True:
                yield path
            for key, value in part.items():
                yield from open_parts(value, (*path, key))
        elif isinstance(part, list):
            for value in part:
                yield from open_parts(value, path)

    free = {
        (file.stem, path[-1]) for file in SCHEMAS.glob("*.json") for path in open_parts(json.loads(file.read_text()))
    }
    providers = {name for stem, name in free if stem == "clustersecretstore"} - {"status"}
    assert {"aws", "azurekv", "gcpsm", "vault"} <= providers
    assert "kubernetes" not in providers
    generators = {name for stem, name in free if stem == "applicationset"} - {"status"}
    assert {"git", "list", "matrix"} <= generators
    rules = {name for stem, name in free if stem == "ciliumnetworkpolicy"} - {"status"}
    assert {"authentication", "listener"} <= rules
    assert rules.isdisjoint({"policy", "selector", "ingress", "egress", "ports", "host"})
    looser = ("applicationset", "ciliumnetworkpolicy", "clustersecretstore")
    others = {(stem, name) for stem, name in free if stem not in looser}
    known = {"status", "operation", "valuesObject", "integration", "config", "podTemplate"}
    assert {name for _, name in others} == known
    assert {stem for stem, name in others if name == "integration"} == {"alertmanagerconfig"}
    assert {stem for stem, name in others if name == "operation"} == {"application"}
    assert {stem for stem, name in others if name in ("config", "podTemplate")} == {"issuer"}


APPLICATION = {
    "project": "default",
    "destination": {"name": "in-cluster", "namespace": "default"},
    "sources": [
        {"repoURL": "https://example.org/a.git", "path": "k", "kustomize": {"images": ["a=b:1"], "namePrefix": "x-"}},
        {"repoURL": "https://example.org/b", "chart": "c", "targetRevision": "1.*", "helm": {"values": "a: 1"}},
        {"repoURL": "https://example.org/c.git", "ref": "values"},
    ],
    "syncPolicy": {
        "automated": {},
        "managedNamespaceMetadata": {"labels": {"a": "b"}},
        "syncOptions": ["Prune=confirm"],
    },
    "ignoreDifferences": [{"kind": "Secret", "jqPathExpressions": [".data"]}],
    "info": [{"name": "a", "value": "b"}],
}
PROJECT = {
    "sourceRepos": ["*"],
    "destinations": [{"namespace": "!kube-system", "server": "*"}],
    "roles": [{"name": "ci", "policies": ["p, proj:a:ci, applications, sync, a/*, allow"], "groups": ["ops"]}],
    "syncWindows": [{"kind": "allow", "schedule": "0 22 * * *", "duration": "1h", "applications": ["*"]}],
    "orphanedResources": {"warn": True, "ignore": [{"kind": "ConfigMap"}]},
    "destinationServiceAccounts": [{"server": "*", "defaultServiceAccount": "deployer"}],
}


@pytest.mark.parametrize(("kind", "spec"), [("Application", APPLICATION), ("AppProject", PROJECT)])
def test_what_other_people_write_for_argocd(kind: str, spec: Manifest) -> None:
    assert found(tree(new("argoproj.io/v1alpha1", kind, spec=spec))) == []


def test_a_definition_in_the_tree_holds_for_its_resources() -> None:
    structural = {
        "type": "object",
        "properties": {
            "when": {"type": "string", "nullable": True},
            "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "share": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            "any": {"x-kubernetes-preserve-unknown-fields": True},
            "template": {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "properties": {"spec": {"type": "object"}},
            },
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
        "oneOf": [{"required": ["port"]}, {"required": ["share"]}],
    }
    good = {"when": None, "port": "http", "any": [1], "template": {"apiVersion": "v1", "kind": "A"}, "map": {"x": 1}}
    bad: dict[str, Any] = {
        "spec.port": {"port": [1]},
        "spec.share": {"share": 0},
        "spec.list[0].b": {"port": 1, "list": [{"b": 1}]},
        "spec.map.x": {"port": 1, "map": {"x": "y"}},
        "spec.template.other": {"port": 1, "template": {"other": 1}},
        "spec": {"when": "now"},
    }
    widget = new("example.org/v1", "Widget", spec=good)
    assert [place for place in found(tree(definition(structural), widget)) if place[0] != "null-value"] == []
    for field, spec in bad.items():
        places = found(tree(definition(structural), new("example.org/v1", "Widget", spec=spec)))
        assert [place for _, place in places] == [field], field


def test_a_definition_that_does_not_serve_a_version() -> None:
    model = tree(definition({"type": "object"}), new("example.org/v2", "Widget", spec={}))
    (finding,) = schemas.prove(model)
    assert (finding.check.code, finding.fix) == ("unknown-kind", "It serves v1.")


def test_a_kind_without_a_schema_is_told_once() -> None:
    model = tree(*(new("example.org/v1", "Widget", spec={"number": number}) for number in range(5)))
    (finding,) = schemas.prove(model)
    assert finding.check.code == "kind-without-schema"
    assert "5 objects" in finding.problem


@pytest.mark.parametrize(
    ("version", "manifest", "code", "fix"),
    [
        ("1.21", new("batch/v1beta1", "CronJob"), "removed-api-version", "Move to batch/v1."),
        ("1.36", new("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema"), "removed-api-version", "v1."),
        ("1.36", new("extensions/v1beta1", "Ingress"), "removed-api-version", "networking.k8s.io/v1."),
        ("1.36", new("policy/v1beta1", "PodSecurityPolicy"), "removed-api-version", "Nothing replaced it."),
        ("1.30", new("resource.k8s.io/v1", "DeviceClass"), "unknown-kind", "Kubernetes 1.34 has."),
        ("1.36", new("apps/v1", "Deploymet"), "unknown-kind", "Did you mean Deployment of apps/v1?"),
        ("1.36", new("apps/v1", "Service"), "unknown-kind", "v1 has it."),
    ],
)
def test_kinds_that_a_version_does_not_have(version: str, manifest: Manifest, code: str, fix: str) -> None:
    (finding,) = schemas.prove(tree(manifest, version=version))
    assert (finding.check.code, finding.fix[-len(fix) :]) == (code, fix)


def test_what_a_later_version_of_kubernetes_takes() -> None:
    service = new("v1", "Service", spec={"ports": [{"port": 80}], "selector": {"a": "b"}})
    service["metadata"]["name"] = "1-service"
    assert found(tree(service, version="1.35")) == [("bad-name", "metadata.name")]
    assert found(tree(service, version="1.36")) == []
    container = {"name": "a", "image": "a:1", "env": [{"name": "a:b c", "value": "1"}]}
    pod = new("v1", "Pod", spec={"containers": [container]})
    assert [code for code, _ in found(tree(pod, version="1.31"))] == ["bad-name"]
    assert found(tree(pod, version="1.32")) == []


@pytest.mark.parametrize("field", ["hostNetwork", "hostPID", "hostIPC"])
def test_a_user_namespace_shares_no_other_one(field: str) -> None:
    pod = new("v1", "Pod", spec={"hostUsers": False, field: True, "containers": [{"name": "a", "image": "a:1"}]})
    assert found(tree(pod)) == [("contradictory-fields", f"spec.{field}")]
    assert found(tree({**pod, "spec": {**pod["spec"], "hostUsers": True}})) == []


def test_a_mistake_is_told_once() -> None:
    """The schema misses the selector, and so does the rule for workloads."""
    template = {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}
    assert found(tree(new("apps/v1", "Deployment", spec={"template": template}))) == [
        ("missing-field", "spec.selector")
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", 2),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", 4),
        ("a: {b: 1, b: 2}\n", 1),
        ('a: {"b":1,"b":2}\n', 1),
        ("- a: 1\n  a: 2\n", 2),
        ('"a": 1\na: 2\n', 2),
        ("a: |\n  a: 1\n  b:\nb: 1\nb: 2\n", 5),
        ("x: &x {a: 1}\ny:\n  <<: *x\n  b: 1\n  b: 2\n", 5),
        ("a: 'it''s: b'\nb: \"c:\\n\"\nb: 1\n", 3),
        ("a: b # c: d\na: b\n", 2),
        ("a:\na: 1\n", 2),
    ],
)
def test_keys_that_are_there_twice(text: str, line: int) -> None:
    rows = "".join(f"  {row}" for row in text.splitlines(True))
    content = f"apiVersion: example.org/v1\nkind: A\nmetadata: {{name: a}}\nspec:\n{rows}"
    assert [at for code, at in found(tree(a=content)) if code == "duplicate-key"] == [f"line {line + 4}"]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: 2\n",
        "x: &x {a: 1}\ny:\n  <<: *x\n  a: 2\n",
        "x: &x {a: 1}\ny: &y\n  <<: *x\n  a: 2\nz:\n  <<: [*x, *y]\n",
    ],
)
def test_a_merge_repeats_no_key(text: str) -> None:
    rows = "".join(f"  {row}" for row in text.splitlines(True))
    content = f"apiVersion: example.org/v1\nkind: A\nmetadata: {{name: a}}\nspec:\n{rows}"
    assert [code for code, _ in found(tree(a=content))] == ["kind-without-schema"]


def test_keys_that_are_there_once(trees: Mapping[str, Synthesized]) -> None:
    """The reader itself says so in PositionPal, so that no file is read a second time."""
    cache = Cache()
    objects = [path for path in trees["production"].files if path.startswith(("dist/", "argocd/"))]
    assert objects
    assert [path for path in objects if cache.may_repeat_keys(path, trees["production"].files[path])] == []


@pytest.mark.parametrize(
    ("wave", "codes"), [('"-1"', []), ('"+2"', []), ("one", ["bad-value"]), ('"1.5"', ["bad-value"])]
)
def test_a_wave_is_a_whole_number(wave: str, codes: list[str]) -> None:
    """Argo CD takes another one for 0, and says nothing."""
    metadata = f"  name: a\n  namespace: default\n  annotations:\n    argocd.argoproj.io/sync-wave: {wave}\n"
    assert [code for code, _ in found(tree(a=f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n{metadata}"))] == codes


def test_keys_in_json() -> None:
    content = '{"apiVersion": "example.org/v1", "kind": "A", "metadata": {"name": "a", "name": "b"}}'
    model = ClusterModel(Snapshot("test", {"a.json": content.encode()}))
    assert ("duplicate-key", "line 1") in found(model)


def test_what_other_tools_fill_in_is_nobodys_mistake() -> None:
    """Without an Application nobody says that Argo CD reads the tree as it is."""
    chart = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n"
    claim = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${APP}\n  namespace: default\n"
    assert found(tree(chart=chart, claim=claim)) == []
    named = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: _\n"
    assert [code for code, _ in found(tree(a__namespace=named))] == ["bad-name"]
    assert found(tree(a__namespace=named, a__kustomization="namespace: apps\nresources: [namespace.yaml]\n")) == []
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 2\n"
    assert {code for code, _ in found(tree(a__patch=patch))} == {"missing-field"}
    assert found(tree(a__patch=patch, a__kustomization="patches: [{path: patch.yaml}]\n")) == []


@pytest.mark.parametrize(
    "text",
    [
        "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: a}\nspec: {replicas: " + "9" * 60 + "}\n",
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\ndata: {a: .inf, b: .nan}\n",
        '{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "\\ud800"}, "data": {"a": "\\ud800"}}',
        "kind: Pod\napiVersion: a/b/c\nmetadata: 3\nspec: 3\n",
        "kind: CronJob\napiVersion: batch/v1\nmetadata: {name: a}\n"
        "spec: {schedule: ² * * * *, timeZone: /etc/passwd}\n",
        "kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nmetadata: {name: a}\nspec:\n"
        "  group: [1]\n  names: {kind: {}}\n  versions:\n  - served: true\n    schema:\n      openAPIV3Schema:\n"
        "        {type: object, properties: {spec: {type: nonsense, pattern: '(', enum: 3, items: [1]}}}\n",
    ],
)
def test_values_that_only_files_can_hold(text: str) -> None:
    """Each is told, and none stops the proof."""
    suffix = "json" if text.startswith("{") else "yaml"
    model = ClusterModel(Snapshot("odd", {f"odd.{suffix}": text.encode()}))
    findings: list[Finding] = [*policy.prove(model), *schemas.prove(model)]
    assert "schemas" in {proof.name for finding in findings for proof in PROOFS if finding.check in proof.checks}


ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**12, 1.5, "", "x" * 300, "ü{{", "a b", "60%"),
    *([], {}, [None], [[]], {"": None}, {"a": {"b": [1]}}, ["*"], [{"name": 3}], {"matchLabels": [1]}),
)


def spots(part: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all parts of a manifest but the manifest itself and what it is."""
    if path and path not in (("apiVersion",), ("kind",)):
        yield path
    entries = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in entries:
        yield from spots(value, (*path, key))


@pytest.mark.parametrize("seed", range(8))
def test_odd_input_raises_nothing(trees: Mapping[str, Synthesized], seed: int) -> None:
    """Neither proof of this kind stumbles over what other people write."""
    source = random.Random(seed)
    parsed = trees["production"].parsed
    files = {path: content for path, content in trees["production"].files.items() if path in parsed}
    for path in source.sample(sorted(parsed), 80):
        manifest = copy.deepcopy(parsed[path])
        for _ in range(3):
            *steps, last = source.choice([*spots(manifest)])
            part: Any = manifest
            for step in steps:
                part = part[step]
            part[last] = copy.deepcopy(source.choice(ODD))
        files[path] = yaml.dump(manifest, Dumper=yaml.CSafeDumper, allow_unicode=True).encode()
    for folders in ([], ["argocd/production"]):
        model = ClusterModel(Snapshot("odd", files), folders)
        findings: list[Finding] = [*schemas.prove(model), *policy.prove(model)]
        assert findings

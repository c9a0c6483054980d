"""Every object is what the API server and the controllers of its cluster take, down to the last field.

The library's proof knows what Kubernetes and the well-known controllers take. Of custom resources the generator may
write much less than they take: the schemas in ``schemas/`` hold no more than that, and are closed everywhere.
"""

from __future__ import annotations

import copy
import json
import runpy
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from synthesized import Manifest, Synthesized

from constructs_lib.check.schemas.faults import path_text
from constructs_lib.check.schemas.openapi import Schema, kubernetes

OWN = Path(__file__).parent / "schemas"
#: API groups of custom resources, by which one of ours is told from one of Kubernetes'.
CUSTOM = ("argoproj.io", "external-secrets.io", "monitoring.coreos.com")
#: Parts of objects in which any key is right.
FREE_FORM = ("annotations", "labels", "limits", "matchLabels", "requests")
#: Versions that a cluster can be declared with; beside the one of our own, another one may be next.
VERSIONS = tuple(f"1.{minor}" for minor in range(30, 38))

Steps = tuple[str | int, ...]


@cache
def own_registry() -> jsonschema_rs.Registry:
    """Return what the schemas of our own refer to."""
    return jsonschema_rs.Registry([("json-schema:///common.json", json.loads((OWN / "common.json").read_text()))])


@cache
def own_validator(kind: str) -> jsonschema_rs.Draft202012Validator:
    """Return what may be written of a custom resource.

    Raises:
        FileNotFoundError: There is no schema of our own for it.
    """
    schema = json.loads((OWN / f"{kind.lower()}.json").read_text())
    return jsonschema_rs.Draft202012Validator(schema, registry=own_registry())


def library_schema(manifest: Manifest, version: str) -> Schema:
    """Return the schema by which the library checks an object."""
    group, _, number = manifest["apiVersion"].rpartition("/")
    schema = kubernetes(version).schema((group, number, manifest["kind"]))
    assert schema is not None, f"{manifest['kind']} of {manifest['apiVersion']} has no schema"
    return schema


def validator(manifest: Manifest, version: str) -> Callable[[Manifest], bool]:
    """Return what tells whether all schemas of an object's kind take what becomes of it."""
    schema = library_schema(manifest, version)
    if manifest["apiVersion"].split("/")[0] not in CUSTOM:
        return schema.is_valid
    own = own_validator(manifest["kind"])
    return lambda changed: schema.is_valid(changed) and own.is_valid(changed)


def mistakes(manifest: Manifest, version: str) -> list[str]:
    """Return what is wrong with an object in a version of Kubernetes."""
    faults = library_schema(manifest, version).faults(manifest)
    found = [f"{fault.at}: {fault.problem}" for fault in faults]
    if manifest["apiVersion"].split("/")[0] in CUSTOM:
        errors = own_validator(manifest["kind"]).iter_errors(manifest)
        found += [f"{path_text(error.instance_path)}: {error.message}" for error in errors]
    # The schemas permit null almost everywhere; the API server then takes the field as not given.
    return found + [f"{path_text(path)}: null" for path, value in parts(manifest) if value is None]


def parts(value: Any, path: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Yield every part of an object with its path, but for the values of charts, which are the charts' business."""
    yield path, value
    if isinstance(value, dict) and path[-1:] != ("valuesObject",):
        for key, part in value.items():
            yield from parts(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from parts(part, (*path, index))


def at(manifest: Manifest, path: Steps) -> Any:
    """Return the part of an object at a path."""
    part: Any = manifest
    for step in path:
        part = part[step]
    return part


@cache
def kubernetes_version(environment: str) -> str:
    """Return the version of Kubernetes that an environment's cluster is declared with."""
    declaration = runpy.run_path(str(Path(__file__).parent.parent / "app.py"))
    declared: dict[str, str] = {
        known.name: known.cluster.kubernetes for known in (declaration["LOCAL"], declaration["PRODUCTION"])
    }
    return declared[environment]


@pytest.fixture(scope="session")
def largest(trees: Mapping[str, Synthesized]) -> dict[str, Manifest]:
    """The largest object of every kind."""
    found: dict[str, Manifest] = {}
    for manifest in trees["production"].parsed.values():
        found[manifest["kind"]] = max(found.get(manifest["kind"], {}), manifest, key=lambda known: len(str(known)))
    return found


@pytest.fixture
def samples(largest: Mapping[str, Manifest]) -> dict[str, Manifest]:
    """The same, to be changed."""
    return copy.deepcopy(dict(largest))


def test_every_object_of_the_environments_cluster(tree: Synthesized) -> None:
    """In the version of Kubernetes that the environment declares."""
    version = kubernetes_version(tree.environment)
    assert tree.parsed
    assert {path: found for path, manifest in tree.parsed.items() if (found := mistakes(manifest, version))} == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_that_can_be_declared(trees: Mapping[str, Synthesized], version: str) -> None:
    """The same objects are right in each of them, so that a cluster can be upgraded before or after its declaration."""
    from constructs_lib.declare.cluster import Cluster

    assert version in Cluster.SUPPORTED_VERSIONS
    assert len(VERSIONS) == len(Cluster.SUPPORTED_VERSIONS)
    parsed = {path: manifest for tree in trees.values() for path, manifest in tree.parsed.items()}
    assert {path: found for path, manifest in parsed.items() if (found := mistakes(manifest, version))} == {}


def test_schemas_of_our_own_are_closed_and_used(samples: Mapping[str, Manifest]) -> None:
    """None is left over, and none has an object in which an unknown field would pass."""
    kinds = {kind.lower() for kind, manifest in samples.items() if manifest["apiVersion"].split("/")[0] in CUSTOM}
    assert {path.stem for path in OWN.iterdir()} == kinds | {"common"}
    free = []
    for file in OWN.iterdir():
        for path, part in parts(json.loads(file.read_text())):
            if (
                isinstance(part, dict)
                and part.get("type") == "object"
                and part.get("additionalProperties") is not False
            ):
                free.append(path[-1])
    assert sorted(map(str, free)) == ["matchLabels", "valuesObject"]


def set_(*path: str | int, to: Any) -> Callable[[Manifest], None]:
    """Return what sets a field."""

    def change(manifest: Manifest) -> None:
        at(manifest, path[:-1])[path[-1]] = to

    return change


def drop(*path: str | int) -> Callable[[Manifest], None]:
    """Return what takes a field away, which must be there."""

    def change(manifest: Manifest) -> None:
        del at(manifest, path[:-1])[path[-1]]

    return change


POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)
#: Rules with recorded series come first, and alerts after them; the largest object has both.
RULE, ALERT = ("spec", "groups", 0, "rules", 0), ("spec", "groups", 0, "rules", -1)
REFUSED: dict[str, tuple[str, Callable[[Manifest], None]]] = {
    "unknown field": ("Deployment", set_("spec", "replica", to=2)),
    "unknown field at depth": ("Deployment", set_(*CONTAINER, "imagePullPolcy", to="Always")),
    "unknown field of a probe": ("StatefulSet", set_(*CONTAINER, "readinessProbe", "httpget", to={"port": 80})),
    "field of another kind": ("ConfigMap", set_("spec", to={})),
    "unknown kind of volume": ("StatefulSet", set_(*POD, "volumes", 0, "emptydir", to={})),
    "number as text": ("StatefulSet", set_("spec", "replicas", to="3")),
    "truth as text": ("Deployment", set_(*POD, "automountServiceAccountToken", to="false")),
    "number as a variable's value": ("Job", set_(*CONTAINER, "env", 0, "value", to=5432)),
    "number in a ConfigMap": ("ConfigMap", set_("data", "PORT", to=8080)),
    "truth in a label": ("Namespace", set_("metadata", "labels", "on", to=True)),
    "port of a Service as text": ("Service", set_("spec", "ports", 0, "port", to="80")),
    "port of a container as text": ("Deployment", set_(*CONTAINER, "ports", 0, "containerPort", to="8080")),
    "list instead of an object": ("NetworkPolicy", set_("spec", "podSelector", to=[])),
    "text instead of a list": ("Role", set_("rules", 0, "verbs", to="get")),
    "no selector": ("Deployment", drop("spec", "selector")),
    "no template": ("StatefulSet", drop("spec", "template")),
    "container without a name": ("Deployment", drop(*CONTAINER, "name")),
    "port without a number": ("Service", drop("spec", "ports", 0, "port")),
    "autoscaler without a maximum": ("HorizontalPodAutoscaler", drop("spec", "maxReplicas")),
    "no schedule": ("CronJob", drop("spec", "schedule")),
    "no role to bind": ("RoleBinding", drop("roleRef")),
    "nothing where something belongs": ("Deployment", set_("spec", to=None)),
    "Application with a misspelled option": (
        "Application",
        set_("spec", "syncPolicy", "syncOptions", 0, to="Prune=no"),
    ),
    "Application without a project": ("Application", drop("spec", "project")),
    "Application with an unknown field": ("Application", set_("spec", "syncPolicy", "automated", "pruned", to=True)),
    "Application with two sorts of sources": ("Application", set_("spec", "source", to={})),
    "Application with a range of versions": ("Application", set_("spec", "sources", 0, "targetRevision", to="1.x")),
    "Application in another namespace": ("Application", set_("metadata", "namespace", to="default")),
    "Application with a number of retries as text": (
        "Application",
        set_("spec", "syncPolicy", "retry", "limit", to="5"),
    ),
    "Application that leaves the repository": ("Application", set_("spec", "sources", 1, "path", to="../other")),
    "Application with a login in its address": (
        "Application",
        set_("spec", "sources", 1, "repoURL", to="https://user:password@example.com/repository.git"),
    ),
    "AppProject with an unknown list": ("AppProject", set_("spec", "namespaceResourceWhiteList", to=[])),
    "AppProject without destinations": ("AppProject", drop("spec", "destinations")),
    "AppProject for every namespace": ("AppProject", set_("spec", "destinations", 0, "namespace", to="*")),
    "AppProject for every kind": ("AppProject", set_("spec", "clusterResourceWhitelist", 0, "kind", to="*")),
    "ExternalSecret of an unknown kind of store": (
        "ExternalSecret",
        set_("spec", "secretStoreRef", "kind", to="SecretStor"),
    ),
    "ExternalSecret without a key": ("ExternalSecret", drop("spec", "data", 0, "remoteRef", "key")),
    "ExternalSecret with a bad policy": ("ExternalSecret", set_("spec", "target", "deletionPolicy", to="Keep")),
    "ExternalSecret with a number as its interval": ("ExternalSecret", set_("spec", "refreshInterval", to=3600)),
    "ExternalSecret of a store for all namespaces": (
        "ExternalSecret",
        set_("spec", "secretStoreRef", "kind", to="ClusterSecretStore"),
    ),
    "SecretStore that reads as somebody of another namespace": (
        "SecretStore",
        set_("spec", "provider", "kubernetes", "auth", "serviceAccount", "namespace", to="default"),
    ),
    "SecretStore with a bad source of its authority": (
        "SecretStore",
        set_("spec", "provider", "kubernetes", "server", "caProvider", "type", to="Configmap"),
    ),
    "SecretStore without a namespace": ("SecretStore", drop("metadata", "namespace")),
    "PodMonitor with a number as its port": ("PodMonitor", set_("spec", "podMetricsEndpoints", 0, "port", to=15692)),
    "PodMonitor without endpoints": ("PodMonitor", set_("spec", "podMetricsEndpoints", to=[])),
    "PodMonitor with a bad interval": ("PodMonitor", set_("spec", "podMetricsEndpoints", 0, "interval", to="30")),
    "PodMonitor that renames another label": (
        "PodMonitor",
        set_("spec", "podMetricsEndpoints", 0, "relabelings", 0, "targetLabel", to="namespace"),
    ),
    "PodMonitor that takes the label from somewhere": (
        "PodMonitor",
        set_("spec", "podMetricsEndpoints", 0, "relabelings", 0, "sourceLabels", to=["__meta_kubernetes_pod_name"]),
    ),
    "PodMonitor with a label that is set to nothing": (
        "PodMonitor",
        drop("spec", "podMetricsEndpoints", 0, "relabelings", 0, "replacement"),
    ),
    "PrometheusRule without groups": ("PrometheusRule", set_("spec", "groups", to=[])),
    "PrometheusRule with two groups of one name": (
        "PrometheusRule",
        lambda rule: rule["spec"]["groups"].append(rule["spec"]["groups"][0]),
    ),
    "PrometheusRule with a rule of no kind": ("PrometheusRule", drop(*RULE, "record")),
    "PrometheusRule with a rule of both kinds": ("PrometheusRule", set_(*RULE, "alert", to="TooSlow")),
    "PrometheusRule without an expression": ("PrometheusRule", drop(*RULE, "expr")),
    "PrometheusRule with an empty expression": ("PrometheusRule", set_(*RULE, "expr", to=" ")),
    "PrometheusRule with a recorded series like any other": ("PrometheusRule", set_(*RULE, "record", to="requests")),
    "PrometheusRule with a wait for a recorded series": ("PrometheusRule", set_(*RULE, "for", to="5m")),
    "PrometheusRule with an alert without a wait": ("PrometheusRule", drop(*ALERT, "for")),
    "PrometheusRule with a wait without a unit": ("PrometheusRule", set_(*ALERT, "for", to="5")),
    "PrometheusRule with an alert that nobody sorts": ("PrometheusRule", drop(*ALERT, "labels")),
    "PrometheusRule with an unknown severity": ("PrometheusRule", set_(*ALERT, "labels", "severity", to="page")),
    "PrometheusRule with an alert without a runbook": (
        "PrometheusRule",
        drop(*ALERT, "annotations", "runbook_url"),
    ),
    "PrometheusRule with a runbook that is nowhere": (
        "PrometheusRule",
        set_(*ALERT, "annotations", "runbook_url", to="docs/runbooks/TooSlow.md"),
    ),
    "PrometheusRule with an alert without a summary": ("PrometheusRule", set_(*ALERT, "annotations", "summary", to="")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(samples: Mapping[str, Manifest], case: str) -> None:
    """Mistakes that a person or a generator makes."""
    kind, change = REFUSED[case]
    version = kubernetes_version("production")
    manifest = samples[kind]
    assert mistakes(manifest, version) == []
    change(manifest)
    assert mistakes(manifest, version)


def free_form(manifest: Manifest, path: Steps) -> bool:
    """Tell whether any key is right in the part of an object at a path."""
    if manifest["apiVersion"].split("/")[0] in CUSTOM:
        return path[-1:] in [("matchLabels",), ("valuesObject",)]
    return path[-1:] != () and (
        path[-1] in FREE_FORM
        or (manifest["kind"], path) in [("ConfigMap", ("data",)), ("Service", ("spec", "selector"))]
    )


def test_refuses_any_misspelled_field(samples: Mapping[str, Manifest]) -> None:
    """Each field of each kind in turn, wherever the keys are not free."""
    version = kubernetes_version("production")
    passed, tried = [], set()
    for kind, manifest in samples.items():
        is_valid = validator(manifest, version)
        fields = [path for path, _ in parts(manifest) if path and isinstance(path[-1], str)]
        for path in [path for path in fields if not free_form(manifest, path[:-1])]:
            parent = at(manifest, path[:-1])
            parent[f"{path[-1]}x"] = parent.pop(path[-1])
            if is_valid(manifest):
                passed.append((kind, path))
            parent[path[-1]] = parent.pop(f"{path[-1]}x")
            tried.add(kind)
    assert passed == []
    assert tried == samples.keys()


def test_refuses_any_wrong_type(samples: Mapping[str, Manifest]) -> None:
    """Each value of each kind in turn: a list where there was none, and a text instead of one."""
    version = kubernetes_version("production")
    passed, tried = [], set()
    for kind, manifest in samples.items():
        is_valid = validator(manifest, version)
        for path, value in [(path, value) for path, value in parts(manifest) if path]:
            parent = at(manifest, path[:-1])
            parent[path[-1]] = "text" if isinstance(value, list) else [["list"]]
            if is_valid(manifest):
                passed.append((kind, path))
            parent[path[-1]] = value
            tried.add(kind)
    assert passed == []
    assert tried == samples.keys()

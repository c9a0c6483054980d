"""What the tables in ``faults/`` can do to a tree, one verb a function.

A table calls an object ``Kind/name`` or ``Kind/namespace/name``, and a field ``spec.ports.0.port``. A key with dots in
it stands in brackets, as in ``metadata.labels[app.kubernetes.io/name]``, and a path may begin with one of ``PLACES``.
The verbs of a fault are done in the order in which they stand.
"""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from corpus import Fault, Harmless, Manifest, Tree, container

from constructs_lib.kubernetes.manifest_yaml import dump

_Planted = TypeVar("_Planted", Fault, Harmless)

FOLDER = Path(__file__).parent / "faults"

#: Short names of where the fields of pods, of their first container and of a chart's values stand.
PLACES = {
    "pod": "spec.template.spec",
    "container": "spec.template.spec.containers.0",
    "annotations": "metadata.annotations",
    "values": "spec.sources.0.helm.valuesObject",
    "prometheus": "spec.sources.0.helm.valuesObject.prometheus.prometheusSpec",
}
WAVE = "annotations[argocd.argoproj.io/sync-wave]"
PROJECT = re.compile(r"argocd/\w+/AppProject-positionpal-(?!root)([\w-]+)\.yaml")
CLUSTER_KINDS = {
    *("ClusterRoleBinding", "ClusterSecretStore", "CustomResourceDefinition", "IngressClass", "Namespace"),
    *("ServiceCIDR", "StorageClass"),
}

#: Letters and digits that no person would think of. What looks like a secret is put together when the tests run.
RANDOM = base64.b64encode(bytes(range(160, 190))).decode().replace("/", "x").rstrip("=")
PRIVATE_KEY = "\n".join(
    ["-" * 5 + "BEGIN " + "PRIVATE KEY" + "-" * 5, RANDOM, "-" * 5 + "END " + "PRIVATE KEY" + "-" * 5]
)


def keys(manifest: Manifest, path: str) -> list[str]:
    """Return the keys of a path into an object."""
    first, *rest = (bracketed or plain for bracketed, plain in re.findall(r"\[([^\]]+)\]|([^.\[\]]+)", path))
    inside = ["spec", "jobTemplate"] if manifest.get("kind") == "CronJob" and first in ("pod", "container") else []
    return [*inside, *PLACES.get(first, first).split("."), *rest]


def change(manifest: Manifest, verb: str, what: Any) -> None:
    """Change fields of an object: ``set`` values, ``extend`` lists, both by path, or ``drop`` what is at paths."""
    for path in what:
        *way, last = keys(manifest, path)
        part: Any = manifest
        for step in way:
            part = part[int(step)] if isinstance(part, list) else part.setdefault(step, {})
        key: Any = int(last) if isinstance(part, list) else last
        if verb == "drop":
            del part[key]
            continue
        value = copy.deepcopy(what[path])
        if verb == "extend":
            value = [*(part.get(key, []) if isinstance(part, dict) else part[key]), *value]
        part[key] = value


def edit(verb: str, tree: Tree, objects: Mapping[str, Any]) -> None:
    """Change fields of objects."""
    for name, what in objects.items():
        tree.edit(name, partial(change, verb=verb, what=what))


def variable(tree: Tree, objects: Mapping[str, Mapping[str, str]]) -> None:
    """Give the first container of workloads environment variables, in place of others with the same names."""

    def given(manifest: Manifest, variables: Mapping[str, str]) -> None:
        found = container(manifest)
        kept = [entry for entry in found.get("env", []) if entry["name"] not in variables]
        found["env"] = [*kept, *({"name": key, "value": value} for key, value in variables.items())]

    for name, variables in objects.items():
        tree.edit(name, partial(given, variables=variables))


def wave(tree: Tree, objects: Mapping[str, int]) -> None:
    """Put objects into other waves."""
    edit("set", tree, {name: {WAVE: str(number)} for name, number in objects.items()})


def text(tree: Tree, objects: Mapping[str, Mapping[str, str]]) -> None:
    """Change the text of an object's file, as no dumper of YAML would write it."""
    for name, texts in objects.items():
        path = tree.path(name)
        for old, new in texts.items():
            assert old.encode() in tree.files[path], f"{old} is not in {path}"
            tree.files[path] = tree.files[path].replace(old.encode(), new.encode())


def everywhere(tree: Tree, texts: Mapping[str, str]) -> None:
    """Replace texts wherever they stand."""
    for old, new in texts.items():
        tree.replace(old, new)


def remove(tree: Tree, names: Iterable[str]) -> None:
    """Take objects away, or all files that a pattern such as ``*/PrometheusRule-*`` names."""
    for name in names:
        if name.startswith("*/"):
            kept = {path: content for path, content in tree.files.items() if not fnmatchcase(path, name)}
            assert len(kept) < len(tree.files), f"no file is called {name}"
            tree.files = kept
        else:
            tree.remove(name)


def add(tree: Tree, components: Mapping[str, Iterable[Manifest]]) -> None:
    """Add objects to components."""
    for component, manifests in components.items():
        for manifest in manifests:
            tree.add(component, manifest)


def files(tree: Tree, contents: Mapping[str, str | Manifest]) -> None:
    """Add files: texts as they are, and objects as YAML."""
    for path, content in contents.items():
        tree.files[path] = content.encode() if isinstance(content, str) else dump(content)


def copied(tree: Tree, objects: Mapping[str, Mapping[str, Any]]) -> None:
    """Add copies of objects, changed by the other verbs of each, ``to`` a component or as a ``file``."""
    for name, how in objects.items():
        manifest = yaml.load(tree.files[tree.path(name)], Loader=yaml.CSafeLoader)
        for verb in how.keys() - {"to", "file"}:
            change(manifest, verb, how[verb])
        if "file" in how:
            files(tree, {how["file"]: manifest})
        else:
            tree.add(how["to"], manifest)


def move(tree: Tree, objects: Mapping[str, str]) -> None:
    """Let other components have objects."""
    for name, component in objects.items():
        path = tree.path(name)
        tree.files[f"dist/{tree.environment}/{component}/{path.rpartition('/')[2]}"] = tree.files.pop(path)


def join(tree: Tree, objects: Mapping[str, str]) -> None:
    """Write an object into the file of another, as people do."""
    for first, second in objects.items():
        content = tree.files.pop(tree.path(second))
        tree.files[tree.path(first)] += b"---\n" + content


def inputs(tree: Tree, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Change what the bootstrap gets for ``k3d``, the ``cluster`` or ``argocd``."""
    for step, verbs in changes.items():
        (path,) = (path for path in tree.files if path.startswith(f"bootstrap/{step}/{tree.environment}."))
        content = yaml.load(tree.files[path], Loader=yaml.CSafeLoader)
        for verb, what in verbs.items():
            change(content, verb, what)
        tree.files[path] = json.dumps(content).encode()


def permit(tree: Tree, kinds: Iterable[str]) -> None:
    """Let the projects of all components deploy kinds, each written ``group/Kind``."""
    lists: dict[str, list[Manifest]] = {}
    for group, _, kind in (name.rpartition("/") for name in kinds):
        scope = "cluster" if kind in CLUSTER_KINDS else "namespace"
        lists.setdefault(f"spec.{scope}ResourceWhitelist", []).append({"group": group, "kind": kind})
    projects = [match[1] for path in tree.files if (match := PROJECT.fullmatch(path))]
    edit("extend", tree, {f"AppProject/positionpal-{name}": lists for name in projects})


def allow(tree: Tree, policies: Mapping[str, Mapping[str, Any]]) -> None:
    """Add a rule to policies: ``from`` or ``to`` a peer, and its TCP ``ports``.

    A peer is ``namespace/name``, a peer of Kubernetes, or null where the rule is for everybody.
    """
    for name, given in policies.items():
        (side,) = given.keys() - {"ports"}
        peer = peer_of(*given[side].split("/")) if isinstance(given[side], str) else given[side]
        numbers = given.get("ports", ())
        ports = [port if isinstance(port, dict) else {"port": port, "protocol": "TCP"} for port in numbers]
        rule = {**({} if peer is None else {side: [peer]}), **({"ports": ports} if ports else {})}
        edit("extend", tree, {f"NetworkPolicy/{name}": {f"spec.{'in' if side == 'from' else 'e'}gress": [rule]}})


def peer_of(namespace: str, name: str) -> Manifest:
    """Return the peer that generated policies name pods by."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": name}},
    }


def close(tree: Tree, policies: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
    """Close ports in directions of policies: rules that open nothing else go, others lose the port."""

    def without(manifest: Manifest, directions: Mapping[str, Sequence[int]]) -> None:
        for direction, closed in directions.items():
            opened = manifest["spec"][direction]
            for rule in [rule for rule in opened if "ports" in rule]:
                rule["ports"] = [port for port in rule["ports"] if port.get("port") not in closed]
            manifest["spec"][direction] = [rule for rule in opened if rule.get("ports") != []]

    for name, directions in policies.items():
        tree.edit(f"NetworkPolicy/{name}", partial(without, directions=directions))


def alert(**given: Any) -> Manifest:
    """Return an alert that says all that an alert should, unless it is given otherwise; null leaves it out."""
    described = {"summary": "{{ $labels.namespace }} is in trouble", "runbook_url": "https://example.com/runbooks"}
    usual = {"for": "5m", "labels": {"severity": "warning"}, "annotations": described}
    return {key: value for key, value in {**given, **usual, **given}.items() if value is not None}


def rules(tree: Tree, added: Iterable[Manifest]) -> None:
    """Add a PrometheusRule; its alerts say what an alert should."""
    completed = [alert(**rule) if "alert" in rule else rule for rule in added]
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "positionpal", "namespace": "monitoring"},
        "spec": {"groups": [{"name": "positionpal", "rules": completed}]},
    }
    tree.add("monitoring", manifest)


def panels(tree: Tree, added: Sequence[Manifest]) -> None:
    """Add a dashboard with panels, each with an ``expr`` and a ``legend``, or with one of memory."""
    memory = 'sum by (namespace) (container_memory_working_set_bytes{namespace=~"$namespace", container!=""})'
    namespaces = {"name": "namespace", "type": "query", "query": {"query": "label_values(kube_pod_info, namespace)"}}
    model = {
        "uid": "overview",
        "title": "overview",
        "templating": {"list": [namespaces]},
        "panels": [panel(given) for given in added or [{"title": "Memory", "expr": memory}]],
    }
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "overview", "namespace": "monitoring", "labels": {"grafana_dashboard": "1"}},
        "data": {"overview.json": json.dumps(model, indent=2) + "\n"},
    }
    tree.add("monitoring", manifest)


def panel(given: Manifest) -> Manifest:
    """Return a panel as Grafana has it; one that has no ``expr`` is one already, but for the panels in it."""
    if "expr" not in given:
        return {**given, "panels": [panel(inner) for inner in given["panels"]]} if "panels" in given else given
    target = {"refId": "A", "expr": given["expr"], "legendFormat": given.get("legend", "{{namespace}}")}
    datasource = {"type": "prometheus", "uid": "prometheus"}
    return {"title": given["title"], "type": "timeseries", "datasource": datasource, "targets": [target]}


def renders(tree: Tree, charts: Mapping[str, Iterable[Manifest]]) -> None:
    """Let the charts of Applications render objects."""
    for application, manifests in charts.items():
        tree.rendered[application] = b"---\n".join(map(dump, manifests))


VERBS: dict[str, Callable[[Tree, Any], None]] = {
    "set": partial(edit, "set"),
    "drop": partial(edit, "drop"),
    "extend": partial(edit, "extend"),
    "variable": variable,
    "wave": wave,
    "text": text,
    "everywhere": everywhere,
    "remove": remove,
    "add": add,
    "files": files,
    "copy": copied,
    "move": move,
    "join": join,
    "inputs": inputs,
    "permit": permit,
    "allow": allow,
    "close": close,
    "rules": rules,
    "panels": panels,
    "renders": renders,
}


class _Loader(yaml.CSafeLoader):
    """Reads tables, in which some texts are put together."""


def _join(loader: yaml.CSafeLoader, node: yaml.SequenceNode) -> str:
    return "".join(loader.construct_sequence(node))


def _times(loader: yaml.CSafeLoader, node: yaml.SequenceNode) -> str:
    text, count = loader.construct_sequence(node)
    return str(text * count)


def _random(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> str:
    return loader.construct_scalar(node) + RANDOM


_Loader.add_constructor("!join", _join)
_Loader.add_constructor("!times", _times)
_Loader.add_constructor("!random", _random)
_Loader.add_constructor("!private-key", lambda loader, node: PRIVATE_KEY)


def plant(tree: Tree, verbs: Mapping[str, Any]) -> None:
    """Do to a tree what an entry of a table says."""
    for verb, argument in verbs.items():
        VERBS[verb](tree, argument)


@cache
def tables() -> tuple[list[Fault], list[Harmless]]:
    """Return the faults of all tables, and what they change without harm."""
    found = [yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader) for file in sorted(FOLDER.glob("*.yaml"))]
    return (
        [read(Fault, entry) for table in found for entry in table["faults"]],
        [read(Harmless, entry) for table in found for entry in table["harmless"]],
    )


def read(kind: type[_Planted], entry: Mapping[str, Any]) -> _Planted:
    """Return an entry of a table: what a fault has, and what is left of it are verbs."""
    said = {field.name: entry[field.name] for field in fields(kind) if field.name in entry}
    verbs = {verb: argument for verb, argument in entry.items() if verb not in said}
    return kind(**said, plant=partial(plant, verbs=verbs))

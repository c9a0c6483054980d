"""Proof that the API server and the controllers take every object, down to the last field.

Kubernetes' own kinds are held to its OpenAPI schemas in their strict form, which knows no field that the version of the
cluster does not know; custom resources to the CustomResourceDefinitions in the tree, or to the closed schemas in
``crds/``. What schemas cannot express is in the modules beside this one.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import yaml

from constructs_lib.argocd.objects import Object
from constructs_lib.check.bootstrap import Cluster
from constructs_lib.check.finding import Finding, Proof, Severity
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.schemas.faults import Fault, Faults, Steps, path_text
from constructs_lib.check.schemas.kinds import kind_faults, sync_faults
from constructs_lib.check.schemas.metadata import metadata_faults
from constructs_lib.check.schemas.openapi import Schema
from constructs_lib.check.schemas.pods import pod_faults
from constructs_lib.check.schemas.served import Kinds
from constructs_lib.check.tools import is_placeholder, patched, templates
from constructs_lib.kubernetes.bounds import nodes, parse_json
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.repository.applications import ALL_OBJECTS, Application
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.text import plural

#: Parts in which null has a meaning: what controllers write, and the values of charts, where it removes a default.
_OPEN_PARTS = ("status", "values", "valuesObject")
#: Lists of mappings, of which an empty entry is told even if it is the only one.
_OF_MAPPINGS = {
    *("containers", "env", "envFrom", "initContainers", "items", "metrics", "paths", "ports", "rules"),
    *("policies", "sources", "subjects", "tolerations", "volumeClaimTemplates", "volumeMounts", "volumes"),
}


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield what the API server would refuse in objects, and what it would drop silently."""
    rendered, unfinished = templates(model), patched(model)
    for unreadable in model.unreadable:
        if unreadable.path in rendered:
            continue
        problem = f"It cannot be read: {unreadable.reason}."
        yield Finding.of("unreadable-file", None, problem, file=unreadable.path)
    kinds = Kinds(model)
    seen: set[tuple[int, str]] = set()
    read: set[tuple[str, bytes]] = set()
    for application, item in model.deployed:
        # The same file may be deployed by several Applications.
        if (id(item.manifest), item.path) in seen:
            continue
        seen.add((id(item.manifest), item.path))
        content = application.files[item.path]
        if (item.path, content) not in read and model.may_repeat_keys(item.path, content):
            read.add((item.path, content))
            # What Argo CD reads need not be YAML as a whole: its documents may be JSON, or have the same anchors.
            with suppress(yaml.YAMLError, ValueError):
                for line, key, before in _duplicate_keys(item.path, content):
                    where = f", as in line {before}" if before != line else ""
                    problem = f'The key "{key}" is there twice in one mapping{where}.'
                    yield Finding.of("duplicate-key", item, problem, at=f"line {line}")
        told: set[tuple[str, str]] = set()
        for fault in _faults(model, kinds, item, content):
            # Other tools have files that look like objects, such as kind: IstioOperator; nobody deploys these.
            is_none = not model.has_applications and "metadata" not in item.manifest and not kinds.knows(item)
            if (fault.code, fault.at) not in told and not (
                (fault.at == "metadata.name" and is_none) or _is_fixed_by_tool(fault, application, item, unfinished)
            ):
                told.add((fault.code, fault.at))
                yield Finding.of(fault.code, item, fault.problem, at=fault.at, fix=fault.fix)
    yield from kinds.unknown()


def refused(manifests: Sequence[Manifest], definitions: Sequence[Manifest], cluster: Cluster) -> Iterator[Finding]:
    """Yield what a cluster would not take of some objects, beside which the tree has definitions of kinds."""
    files = {f"{number}.json": json.dumps(item).encode() for number, item in enumerate([*manifests, *definitions])}
    # Each by itself: Argo CD's own among them tell of no others.
    wanted = {f"{number}.json" for number in range(len(manifests))}
    for argocd in (False, True):
        chosen = {
            path: text
            for (path, text), item in zip(files.items(), [*manifests, *definitions], strict=True)
            if path not in wanted or str(item.get("apiVersion")).startswith("argoproj.io/") is argocd
        }
        model = ClusterModel(Snapshot.of_files("", chosen), cluster=cluster)
        yield from (each for each in prove(model) if each.file in wanted and each.check.severity == Severity.ERROR)


PROOF = Proof(
    "schemas",
    "Every object is one that the API server takes.",
    prove,
    lambda model: plural(len(model.objects), "object"),
    relates=False,
)


def _is_fixed_by_tool(fault: Fault, application: Application, item: Object, unfinished: frozenset[int]) -> bool:
    """Tell whether a tool other than Argo CD changes the object before it is deployed, so that the fault goes away."""
    if fault.code in ("bad-name", "missing-field") and id(item.manifest) in unfinished:
        return True
    # SOPS adds a field of its own to the Secrets that it encrypts.
    return application.name == ALL_OBJECTS and (is_placeholder(fault.problem) or fault.at == "sops")


def _faults(model: ClusterModel, kinds: Kinds, item: Object, content: bytes) -> Sequence[Fault]:
    """Return the faults of an object, which follow from its file alone if a schema is known of its kind."""
    schema = kinds.schema(item)

    def find() -> Sequence[Fault]:
        return [*_object_faults(item, schema, model.pods_by_owner.get(item), kinds)]

    if isinstance(schema, Schema) and model.is_alone(item.path, content):
        return model.once_of(content, (kinds.key, item.identity), find)
    return find()


def _object_faults(item: Object, schema: Schema | Fault | None, pods: Pods | None, kinds: Kinds) -> Faults:
    manifest = item.manifest
    if _holds_null(manifest):
        manifest, dropped = _without_nulls(manifest)
        # Argo CD itself removes an empty creationTimestamp.
        dropped = [steps for steps in dropped if steps[-1] != "creationTimestamp"]
        if dropped:
            more = f", nor have {len(dropped) - 1} more" if dropped[1:] else ""
            yield Fault("null-value", path_text(dropped[0]), f'"{dropped[0][-1]}" has no value{more}.')
        for steps in _empty_entries(manifest):
            yield Fault("wrong-type", path_text(steps), "An entry of the list has no value.", "Take it away.")
    if isinstance(schema, Fault):
        yield schema
        return
    if schema is not None and not schema.is_valid(manifest):
        yield from schema.faults(manifest)
    if deprecated := kinds.deprecated(item):
        yield deprecated
    yield from metadata_faults(item, kinds.version)
    yield from sync_faults(item)
    yield from kind_faults(item)
    if pods is not None:
        yield from pod_faults(pods, kinds.version)


def _holds_null(part: object) -> bool:
    if isinstance(part, dict):
        return any(map(_holds_null, part.values()))
    return part is None or (isinstance(part, list) and any(map(_holds_null, part)))


def _empty_entries(part: object, at: Steps = ()) -> Iterator[Steps]:
    """Yield the entries without a value of lists of mappings; in lists of texts they count as empty texts."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key not in _OPEN_PARTS:
                yield from _empty_entries(value, (*at, key))
    elif isinstance(part, list):
        holds_mappings = at[-1] in _OF_MAPPINGS or any(isinstance(value, dict) for value in part)
        for index, value in enumerate(part):
            if value is None and holds_mappings:
                yield (*at, index)
            yield from _empty_entries(value, (*at, index))


def _without_nulls(manifest: Manifest) -> tuple[Manifest, list[Steps]]:
    """Return an object without the keys that have no value, which the API server drops, and the paths of these."""
    dropped: list[Steps] = []

    def pruned(part: Any, at: Steps) -> Any:
        if isinstance(part, dict):
            kept = {}
            for key, value in part.items():
                if value is None:
                    dropped.append((*at, key))
                else:
                    kept[key] = value if key in _OPEN_PARTS else pruned(value, (*at, key))
            return kept
        if isinstance(part, list):
            return [pruned(value, (*at, index)) for index, value in enumerate(part)]
        return part

    return pruned(manifest, ()), dropped


def _duplicate_keys(path: str, content: bytes) -> Iterator[tuple[int, str, int]]:
    """Yield keys that are there twice in one mapping: the line, the key, and the line of the first one.

    The readers of YAML and JSON keep the last one and say nothing.
    """
    if path.endswith(".json"):
        yield from _in_json(content)
    else:
        for document in nodes(content):
            yield from _in_yaml(document, set())


def _in_yaml(node: yaml.Node | None, seen: set[int]) -> Iterator[tuple[int, str, int]]:
    # An alias is the same node again.
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            # A mapping may merge several others into itself.
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in first:
                    yield line, key.value, first[key.value]
                first.setdefault(key.value, line)
            yield from _in_yaml(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _in_yaml(value, seen)


def _in_json(content: bytes) -> Iterator[tuple[int, str, int]]:
    found: list[str] = []

    def pairs(entries: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found.extend(name for name, count in Counter(name for name, _ in entries).items() if count > 1)
        return dict(entries)

    parse_json(content, pairs)
    yield from ((1, name, 1) for name in found)

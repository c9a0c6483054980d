"""Proof that the API server and the controllers take every object, down to the last field.

Kubernetes' own kinds are held to its OpenAPI schemas in their strict form, which knows no field that the version of the
cluster does not know; custom resources to the CustomResourceDefinitions in the tree, or to the closed schemas in
``schemas/``. What schemas cannot express is in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding, Proof
from constructs_lib.check.model import ClusterModel, pods_of
from constructs_lib.check.schemas.duplicates import compact, count_keys, duplicate_keys
from constructs_lib.check.schemas.limits import argocd_annotation_findings, kind_findings
from constructs_lib.check.schemas.names import metadata_findings
from constructs_lib.check.schemas.openapi import (
    Fault,
    Gvk,
    Kubernetes,
    Schema,
    Steps,
    kubernetes,
    number,
    path_text,
    versions,
)
from constructs_lib.check.schemas.pod_limits import pod_findings
from constructs_lib.check.tools import is_placeholder, patched, templates
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.repository.applications import ALL_OBJECTS, Application
from constructs_lib.text import closest, sentence

_CHECK_OF = {
    "unknown-field": "unknown-field",
    "wrong-type": "wrong-type",
    "missing-field": "missing-field",
    "bad-value": "bad-value",
}
#: Groups that Kubernetes had once; nobody else may have one of its names (KEP-1111 reserves k8s.io for it).
_FORMER_GROUPS = ("auditregistration.k8s.io", "extensions", "settings.k8s.io")
#: What controllers write, and values of charts, where null takes a default away.
_OPEN_PARTS = ("status", "values", "valuesObject")


def prove(model: ClusterModel) -> Iterator[Finding]:
    """Yield every object that would be refused, and what is dropped from one without a word.

    Args:
        model: The tree.
    """
    unfinished = templates(model)
    for unreadable in model.unreadable:
        # An anchor may be used again (YAML 1.2), and only the reader of YAML 1.1 minds; templates are no YAML yet.
        if unreadable.reason.startswith("second occurrence") or unreadable.path in unfinished:
            continue
        problem = f"It cannot be read: {unreadable.reason}."
        yield Finding.of("unreadable-file", None, problem, file=unreadable.path)
    kinds = _Kinds(model)
    keys: dict[str, int] = {}
    first: dict[str, Object] = {}
    seen: set[tuple[int, str]] = set()
    read: set[tuple[str, bytes]] = set()
    patched_by_tools = patched(model)
    for application, item in model.deployed:
        # The same file may be deployed by several Applications.
        if (id(item.manifest), item.path) in seen:
            continue
        seen.add((id(item.manifest), item.path))
        content = application.files[item.path]
        if model.is_written(content):
            nulls = b": null\n" in content or b"- null\n" in content
        else:
            text = compact(item.manifest)
            keys[item.path] = keys.get(item.path, 0) + count_keys(text)
            first.setdefault(item.path, item)
            nulls = "\0null" in text or "[null" in text or ",null" in text
        told: set[tuple[str, str]] = set()
        for finding in _object_findings(item, kinds, nulls=nulls):
            place = finding.check.code, finding.field
            if place not in told and not _is_made_right(finding, application, item, patched_by_tools):
                told.add(place)
                yield finding
    for application in model.all_applications:
        for path, content in application.files.items():
            if path in first and (path, content) not in read:
                read.add((path, content))
                for line, key, before in duplicate_keys(path, content, keys[path]):
                    where = f", as in line {before}" if before != line else ""
                    problem = f'The key "{key}" is there twice in one mapping{where}.'
                    yield Finding.of("duplicate-key", first[path], problem, at=f"line {line}")
    yield from kinds.unknown()


PROOF = Proof("schemas", "Every object is one that the API server takes.", prove)


def _is_made_right(finding: Finding, application: Application, item: Object, patched_by_tools: frozenset[int]) -> bool:
    """Tell whether a tool other than Argo CD will have mended something before the object is deployed."""
    if finding.check.code in ("bad-name", "missing-field") and id(item.manifest) in patched_by_tools:
        return True
    # Secrets that SOPS encrypted have its own data beside theirs.
    return application.name == ALL_OBJECTS and (is_placeholder(finding.problem) or finding.field == "sops")


def _object_findings(item: Object, kinds: _Kinds, *, nulls: bool) -> Iterator[Finding]:
    manifest = item.manifest
    if nulls:
        manifest, dropped = _without_nulls(manifest)
        # Argo CD itself drops the time of creation.
        dropped = [steps for steps in dropped if steps[-1] != "creationTimestamp"]
        if dropped:
            more = f", nor have {len(dropped) - 1} more" if dropped[1:] else ""
            problem = f'"{dropped[0][-1]}" has no value{more}.'
            yield Finding.of("null-value", item, problem, at=path_text(dropped[0]))
    schema = kinds.schema(item)
    if isinstance(schema, Finding):
        yield schema
        return
    if schema is not None and not schema.is_valid(manifest):
        for fault in schema.faults(manifest):
            yield _finding(item, fault)
    deprecated = kinds.deprecated(item)
    if deprecated:
        yield deprecated
    yield from metadata_findings(item, kinds.version)
    yield from argocd_annotation_findings(item)
    yield from kind_findings(item)
    pods = pods_of(item)
    if pods is not None:
        yield from pod_findings(pods, kinds.version)


def _finding(item: Object, fault: Fault) -> Finding:
    check = _CHECK_OF[fault.problem]
    return Finding.of(check, item, f"{sentence(fault.text)}.", at=path_text(fault.at), fix=fault.fix)


def _without_nulls(manifest: Manifest) -> tuple[Manifest, list[Steps]]:
    """Return an object as the API server takes it, without keys that have no value, and the paths of these."""
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


class _Kinds:
    """What is known of the kinds of a tree."""

    def __init__(self, model: ClusterModel) -> None:
        self._kubernetes = kubernetes(model.cluster.kubernetes)
        self.version = self._kubernetes.version
        self._defined: dict[Gvk, Schema] = {}
        self._served: dict[tuple[str, str], set[str]] = {}
        self._without_schema: dict[tuple[str, str], list[Object]] = {}
        for definition in model.kind("CustomResourceDefinition"):
            for gvk, schema in self._kubernetes.defined(definition):
                self._defined[gvk] = schema
                self._served.setdefault((gvk[0], gvk[2]), set()).add(gvk[1])

    def schema(self, item: Object) -> Schema | Finding | None:
        """Return the schema of an object; or what is wrong with its kind; or None if nothing is known of it."""
        gvk = _gvk(item)
        if schema := self._defined.get(gvk) or self._kubernetes.schema(gvk):
            return schema
        group, version, kind = gvk
        if group in self._kubernetes.groups or group in _FORMER_GROUPS:
            return self._missing(item, gvk)
        if served := self._served.get((group, kind)):
            problem = f"The CustomResourceDefinition in the tree does not serve {version} of {kind}."
            fix = f"It serves {', '.join(sorted(served))}."
            return Finding.of("unknown-kind", item, problem, at="apiVersion", fix=fix)
        self._without_schema.setdefault((group, kind), []).append(item)
        return None

    def _missing(self, item: Object, gvk: Gvk) -> Finding:
        kind = gvk[2]
        now = [_api_version(known) for known in _current(self._kubernetes, gvk)]
        name = item.manifest["apiVersion"]
        if (now or kind == "PodSecurityPolicy") and (last := _last_served(gvk, self.version)):
            problem = f"{kind} of {name} is not served since Kubernetes {last}."
            fix = f"Move to {now[0]}." if now else "Nothing replaced it."
            return Finding.of("removed-api-version", item, problem, at="apiVersion", fix=fix)
        if first := _first_served(gvk, self.version):
            problem = f"Kubernetes {self.version} has no {kind} of {name} yet."
            return Finding.of("unknown-kind", item, problem, at="apiVersion", fix=f"Kubernetes {first} has.")
        problem = f"There is no {kind} of {name}."
        if now:
            return Finding.of("unknown-kind", item, problem, at="apiVersion", fix=f"{now[0]} has it.")
        close = closest(kind, self._kubernetes.by_kind)
        fix = f"Did you mean {close} of {_api_version(self._kubernetes.by_kind[close][0])}?" if close else ""
        return Finding.of("unknown-kind", item, problem, at="kind", fix=fix)

    def deprecated(self, item: Object) -> Finding | None:
        """Return that the API version of an object will not be served for ever, if that is so."""
        group, version, kind = _gvk(item)
        if (group, version, kind) == ("", "v1", "Endpoints") and number(self.version) >= (1, 33):
            problem = "Endpoints are deprecated."
            return Finding.of("deprecated-api-version", item, problem, at="apiVersion", fix="Move to EndpointSlice.")
        if ("alpha" in version or "beta" in version) and self._kubernetes.has((group, version, kind)):
            stable = [known for known in self._kubernetes.by_kind[kind] if known[0] == group and known[1].isalnum()]
            stable = [known for known in stable if not ("alpha" in known[1] or "beta" in known[1])]
            if stable:
                problem = f"{version} of {kind} is deprecated."
                fix = f"Move to {_api_version(stable[0])}."
                return Finding.of("deprecated-api-version", item, problem, at="apiVersion", fix=fix)
        return None

    def unknown(self) -> Iterator[Finding]:
        """Yield the custom kinds of which nothing is known, each once."""
        for (group, kind), items in self._without_schema.items():
            count = f"{len(items)} objects" if len(items) > 1 else "one object"
            problem = f"No schema is known for {kind} of {group or 'no group'} ({count})."
            yield Finding.of("kind-without-schema", items[0], problem, at="kind")


def _gvk(item: Object) -> Gvk:
    return item.group, str(item.manifest["apiVersion"]).rpartition("/")[2], item.kind


def _api_version(gvk: Gvk) -> str:
    return f"{gvk[0]}/{gvk[1]}" if gvk[0] else gvk[1]


def _current(known: Kubernetes, gvk: Gvk) -> list[Gvk]:
    """Return where a kind is served now: in its group first, and in stable versions before others."""
    group, _, kind = gvk
    found: Mapping[str, list[Gvk]] = known.by_kind
    return sorted(
        found.get(kind, ()), key=lambda other: (other[0] != group, "alpha" in other[1] or "beta" in other[1], other)
    )


#: Versions that were removed before the oldest schemas that there are.
#: https://kubernetes.io/docs/reference/using-api/deprecation-guide/
_REMOVED_LONG_AGO = {
    "1.16": ("extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"),
    "1.22": (
        "admissionregistration.k8s.io/v1beta1",
        "apiextensions.k8s.io/v1beta1",
        "apiregistration.k8s.io/v1beta1",
        "networking.k8s.io/v1beta1",
        "rbac.authorization.k8s.io/v1beta1",
        "scheduling.k8s.io/v1beta1",
        "storage.k8s.io/v1beta1",
    ),
    "1.25": ("batch/v1beta1", "policy/v1beta1", "discovery.k8s.io/v1beta1", "events.k8s.io/v1beta1"),
}


@cache
def _last_served(gvk: Gvk, version: str) -> str | None:
    """Return the version of Kubernetes that removed a kind, if an earlier one than a cluster's had it."""
    earlier = [known for known in versions() if number(known) < number(version)]
    having = [known for known in earlier if kubernetes(known).has(gvk)]
    if having:
        return next(known for known in versions() if number(known) > number(having[-1]))
    name = _api_version(gvk)
    ingress = gvk == ("extensions", "v1beta1", "Ingress")
    return next((removed for removed, names in _REMOVED_LONG_AGO.items() if name in names and not ingress), None) or (
        "1.22" if ingress else None
    )


@cache
def _first_served(gvk: Gvk, version: str) -> str | None:
    """Return the first later version of Kubernetes that has a kind."""
    later = (known for known in versions() if number(known) > number(version))
    return next((known for known in later if kubernetes(known).has(gvk)), None)

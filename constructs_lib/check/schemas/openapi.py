"""Schemas of Kubernetes objects: those of Kubernetes itself, of well-known custom resources, and of CRDs in a tree."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema_rs

from constructs_lib.argocd.objects import Object
from constructs_lib.check.bootstrap import version_number
from constructs_lib.check.schemas.faults import Fault, Faults, Steps, path_text
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings
from constructs_lib.text import given, nearest, sentence

#: API group, version and kind.
Gvk = tuple[str, str, str]

_OWN = Path(__file__).parent / "crds"
_DEFINITIONS = "json-schema:///api/_definitions.json"
_COMMON = "json-schema:///common.json"
_OBJECT_META = f"{_DEFINITIONS}#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a mapping",
    "string": "a text",
}


class _Documents:
    """JSON documents by the address under which schemas refer to them, read by the validator once for all schemas."""

    def __init__(self, by_address: Mapping[str, Manifest]) -> None:
        self.by_address = by_address
        self.registry = jsonschema_rs.Registry(list(by_address.items()))


class Schema:
    """The schema of one kind of objects."""

    def __init__(self, schema: Manifest, documents: _Documents) -> None:
        """Compile a JSON Schema 2020-12 that refers to documents.

        Raises:
            ValueError: It is no schema.
        """
        self._schema = schema
        self._documents = documents.by_address
        self._validator = jsonschema_rs.Draft202012Validator(schema, registry=documents.registry)

    def is_valid(self, manifest: Manifest) -> bool:
        """Tell whether an object is valid."""
        return self._validator.is_valid(manifest)

    def faults(self, manifest: Manifest) -> Faults:
        """Yield what is wrong with an object, each at the deepest field."""
        for error in self._validator.iter_errors(manifest):
            yield from self._faults(error, tuple(error.instance_path))

    def _faults(self, error: jsonschema_rs.ValidationError, steps: Steps) -> Faults:
        details, at, value = error.kind.as_dict(), path_text(steps), given(error.instance)
        match error.kind.name:
            case "additionalProperties":
                known = self._at(error.evaluation_path[:-1]).get("properties", {})
                for name in details["unexpected"]:
                    hint = sentence(nearest(name, known))
                    yield Fault("unknown-field", path_text((*steps, name)), f'There is no field "{name}".', hint)
            case "required":
                name = str(details["property"])
                yield Fault("missing-field", path_text((*steps, name)), f'The field "{name}" is missing.')
            case "type":
                wanted = " or ".join(_TYPES[kind] for kind in sorted(details["types"]) if kind != "null")
                yield Fault("wrong-type", at, f"{sentence(value)} stands where {wanted} is needed.")
            case "enum" if isinstance(error.instance, str):
                options = [option for option in details["options"] if option is not None]
                hint = sentence(nearest(error.instance, map(str, options)))
                yield Fault("bad-value", at, f"{value} is not allowed.", hint)
            case "oneOf" | "anyOf" if (alternatives := _alternatives(details)) is not None:
                wanted = " or ".join(sorted(alternatives))
                yield Fault("wrong-type", at, f"{sentence(value)} stands where {wanted} is needed.")
            case "minProperties" | "maxProperties":
                entries = "At least" if error.kind.name == "minProperties" else "At most"
                yield Fault("bad-value", at, f"{entries} {details['limit']} of its fields must be given.")
            case "pattern":
                text = f"{sentence(value)} does not have the form of this field."
                yield Fault("bad-value", at, text, f"It must match {details['pattern']}.")
            case _:
                yield Fault("bad-value", at, f"{sentence(error.message)}.")

    def _at(self, path: Iterable[str | int]) -> Mapping[str, Any]:
        """Return the part of the schema at an evaluation path of the validator, through its references."""
        current: Any = self._schema
        document: Any = self._schema
        for step in path:
            if step == "$ref":
                address, _, pointer = current["$ref"].partition("#")
                document = self._documents[address] if address else document
                current = document
                for name in pointer.strip("/").split("/"):
                    current = current[name]
            else:
                current = current[step]
        return mapping(current)


def _alternatives(details: Mapping[str, Any]) -> set[str] | None:
    """Return the types that would be right if all alternatives failed because of the type, or None."""
    kinds: set[str] = set()
    for errors in details.get("context", ()):
        for error in errors:
            if error.kind.name != "type":
                return None
            kinds.update(_TYPES[kind] for kind in error.kind.as_dict()["types"] if kind != "null")
    return kinds or None


class Kubernetes:
    """The kinds of one version of Kubernetes, and the well-known custom resources."""

    def __init__(self, version: str) -> None:
        """Read the data of one of :func:`versions`."""
        folder = _data() / f"v{version}.0-local-strict"
        self.version = version
        definitions = json.loads((folder / "_definitions.json").read_text())
        common = json.loads((_OWN / "common.json").read_text())
        self._documents = _Documents({_DEFINITIONS: definitions, _COMMON: common})
        self._references: dict[Gvk, str] = {}
        self._schemas: dict[Gvk, Schema] = {}
        for name, schema in definitions["$defs"].items():
            kinds = _kinds(schema)
            # Types that all groups share, such as DeleteOptions, are not kinds of objects.
            if len(kinds) == 1:
                self._references[kinds[0]] = f"{_DEFINITIONS}#/$defs/{name}"

    @cached_property
    def groups(self) -> frozenset[str]:
        """The API groups of Kubernetes itself."""
        return frozenset(group for group, _, _ in self._references)

    @cached_property
    def by_kind(self) -> Mapping[str, list[Gvk]]:
        """Kubernetes' own kinds by the last part of their name."""
        found: dict[str, list[Gvk]] = {}
        for gvk in self._references:
            found.setdefault(gvk[2], []).append(gvk)
        return found

    def has(self, gvk: Gvk) -> bool:
        """Tell whether a kind is one of Kubernetes' own."""
        return gvk in self._references

    def schema(self, gvk: Gvk) -> Schema | None:
        """Return the schema of a kind, or None if there is none."""
        if gvk not in self._schemas:
            if reference := self._references.get(gvk):
                self._schemas[gvk] = Schema({"$ref": reference}, self._documents)
            elif own := _own_schemas().get(gvk):
                self._schemas[gvk] = Schema(own, self._documents)
        return self._schemas.get(gvk)

    def defined(self, definition: Object) -> Iterator[tuple[Gvk, Callable[[], Schema | None]]]:
        """Yield the kinds that a CustomResourceDefinition serves, with what makes their schemas.

        Many have no object in the tree, and their schemas are large. None is made where the definition is wrong: it has
        a finding of its own.

        The rules of structural schemas:
        https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
        """
        group, kind = str(definition.spec.get("group")), str(inner(definition.spec, "names", "kind"))
        for version in mappings(definition.spec.get("versions")):
            structural = mapping(inner(version, "schema", "openAPIV3Schema"))
            if version.get("served") is True and structural:
                yield (group, str(version.get("name")), kind), partial(self._structural, structural)

    def _structural(self, structural: Mapping[str, Any]) -> Schema | None:
        try:
            return Schema(_root(structural), self._documents)
        except (ValueError, RecursionError):
            return None


@cache
def _data() -> Path:
    spec = find_spec("kubernetes_validate")
    assert spec and spec.origin
    return Path(spec.origin).parent / "kubernetes-json-schema"


@cache
def versions() -> tuple[str, ...]:
    """Return the minor versions of Kubernetes whose schemas are known, such as ``1.36``, the oldest first."""
    names = (folder.name for folder in _data().glob("v*.0-local-strict"))
    return tuple(sorted((name[1:].removesuffix(".0-local-strict") for name in names), key=version_number))


@cache
def kubernetes(version: str | None = None) -> Kubernetes:
    """Return the kinds of a version of Kubernetes: the nearest for one that is not known, and the newest for None."""
    known = versions()
    if version is None:
        return kubernetes(known[-1])
    if version not in known:
        return kubernetes(next((near for near in known if version_number(near) > version_number(version)), known[-1]))
    return Kubernetes(version)


@cache
def _own_schemas() -> Mapping[Gvk, Manifest]:
    schemas = [json.loads(file.read_text()) for file in _OWN.glob("*.json") if file.name != "common.json"]
    return {gvk: schema for schema in schemas for gvk in _kinds(schema)}


def _kinds(schema: Mapping[str, Any]) -> list[Gvk]:
    named = schema.get("x-kubernetes-group-version-kind", ())
    return [(entry["group"], entry["version"], entry["kind"]) for entry in named]


def _root(structural: Mapping[str, Any]) -> Manifest:
    schema = _closed(structural)
    text = {"type": "string"}
    known = {"apiVersion": text, "kind": text, "metadata": {"$ref": _OBJECT_META}}
    schema["properties"] = {**mapping(schema.get("properties")), **known}
    return schema


_VALUES = (
    *("enum", "pattern", "minimum", "maximum", "multipleOf", "minLength", "maxLength"),
    *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "required"),
    # Structural schemas use these only to restrict values, never to add fields.
    *("allOf", "anyOf", "oneOf", "not"),
)


def _closed(structural: Mapping[str, Any]) -> Manifest:
    """Return a structural schema as JSON Schema in which a field that would be dropped is an error."""
    schema: Manifest = {key: structural[key] for key in _VALUES if key in structural}
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        # In OpenAPI 3.0 it is a flag beside the bound, in JSON Schema a bound itself.
        if structural.get(exclusive) is True and bound in schema:
            schema[exclusive] = schema.pop(bound)
    kind = structural.get("type")
    if structural.get("x-kubernetes-int-or-string") is True:
        schema["type"] = ["integer", "string"]
        for combined in ("allOf", "anyOf"):
            schema.pop(combined, None)
    elif isinstance(kind, str):
        schema["type"] = [kind, "null"] if structural.get("nullable") is True else kind
    if isinstance(structural.get("items"), dict):
        schema["items"] = _closed(structural["items"])
    if kind == "object":
        schema |= _closed_object(structural)
    return schema


def _closed_object(structural: Mapping[str, Any]) -> Manifest:
    properties = {str(name): _closed(mapping(part)) for name, part in mapping(structural.get("properties")).items()}
    if structural.get("x-kubernetes-embedded-resource") is True:
        properties = {"apiVersion": {}, "kind": {}, "metadata": {}, **properties}
    values = structural.get("additionalProperties")
    if isinstance(values, dict):
        return {"properties": properties, "additionalProperties": _closed(values)}
    keeps = structural.get("x-kubernetes-preserve-unknown-fields") is True or values is True
    return {"properties": properties, "additionalProperties": keeps}

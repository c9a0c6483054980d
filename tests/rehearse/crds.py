"""The custom resources that the library knows schemas of, as CustomResourceDefinitions for a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from constructs_lib.check.schemas import proof

_FOLDER = Path(proof.__file__).parent / "crds"
_COMMON = json.loads((_FOLDER / "common.json").read_text())
_CLUSTER_SCOPED = {"ClusterIssuer", "ClusterSecretStore", "GatewayClass"}
_PLURALS = {"CiliumNetworkPolicy": "ciliumnetworkpolicies", "GatewayClass": "gatewayclasses"}
#: What a structural schema has in common with JSON Schema.
_SHARED = (
    *("enum", "maximum", "maxLength", "maxProperties", "minimum", "minItems", "minLength", "minProperties"),
    *("pattern", "required"),
)
_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}
_OF_ALL = ("apiVersion", "kind", "metadata")


def definitions() -> Iterator[dict[str, Any]]:
    """Yield them, without those of Argo CD, whose own are at hand."""
    for file in sorted(_FOLDER.glob("*.json")):
        schema = json.loads(file.read_text())
        for gvk in schema.get("x-kubernetes-group-version-kind", ()):
            # Of several versions, all alike, one is enough.
            if gvk["group"] != "argoproj.io" and gvk["version"] != "v1beta1":
                yield _definition(gvk, _structural(schema, schema))


def _definition(gvk: dict[str, str], root: dict[str, Any]) -> dict[str, Any]:
    for name in _OF_ALL:
        del root["properties"][name]
    root["required"] = [name for name in root["required"] if name not in _OF_ALL]
    kind = gvk["kind"]
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    version = {"name": gvk["version"], "served": True, "storage": True, "schema": {"openAPIV3Schema": root}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Groups of Kubernetes' own domain need a word of approval.
        "metadata": {
            "name": f"{plural}.{gvk['group']}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": gvk["group"],
            "names": {"kind": kind, "plural": plural},
            "scope": "Cluster" if kind in _CLUSTER_SCOPED else "Namespaced",
            "versions": [version],
        },
    }


def _structural(schema: Any, document: Any, within: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a JSON Schema as a structural schema, in which a part that holds itself is open."""
    if "$ref" in schema:
        address, _, pointer = schema["$ref"].partition("#")
        if address.endswith("_definitions.json") or schema["$ref"] in within:
            return {"type": "object", **_ANYTHING}
        document = part = _COMMON if address else document
        for step in pointer.strip("/").split("/"):
            part = part[step]
        return _structural(part, document, (*within, schema["$ref"]))
    found = {key: schema[key] for key in _SHARED if key in schema}
    kinds = schema.get("type", "string" if "enum" in schema else None)
    if isinstance(kinds, list):
        return {**found, "x-kubernetes-int-or-string": True}
    if kinds is None:
        return {**found, **_ANYTHING}
    found["type"] = kinds
    if kinds == "array":
        found["items"] = _structural(schema.get("items", {}), document, within)
    if "properties" in schema:
        found["properties"] = {name: _structural(part, document, within) for name, part in schema["properties"].items()}
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and "properties" not in schema:
        found["additionalProperties"] = _structural(values, document, within)
    elif kinds == "object" and values is not False:
        found |= _ANYTHING
    return found

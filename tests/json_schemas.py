"""The published schemas of what commands write for programs."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
from app_runs import ROOT

FOLDER = ROOT / "constructs_lib/cli/schemas"


def valid(command: str, text: str) -> dict[str, Any]:
    """Return a document that a command wrote: it follows its schema, which describes everything that is in it."""
    schema = json.loads((FOLDER / f"{command}.json").read_text(encoding="utf-8"))
    document: dict[str, Any] = json.loads(text)
    jsonschema_rs.Draft202012Validator(_closed(schema), validate_formats=True).validate(document)
    return document


def _closed(schema: Any) -> Any:
    """Return a schema that permits nothing which it does not describe."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        closed.setdefault("additionalProperties", False)
    return closed

"""The frame of every Kubernetes object, and how to look into one that somebody else wrote."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

Manifest = dict[str, Any]


def manifest(
    api_version: str,
    kind: str,
    name: str,
    namespace: str | None,
    labels: Mapping[str, str],
    *,
    annotations: Mapping[str, str] | None = None,
    **body: Any,
) -> Manifest:
    """Return an object with its keys in the order in which a person reads them.

    A cluster-scoped kind has None for its namespace; ``body`` are ``spec``, ``data`` and the like.
    """
    metadata: dict[str, Any] = {"name": name, **({} if namespace is None else {"namespace": namespace})}
    metadata["labels"] = dict(labels)
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def digest(value: object, length: int = 10) -> str:
    """Return ``length`` hex digits that change when ``value`` (anything JSON can hold) does."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def protected() -> dict[str, str]:
    """Return annotations that keep an object alive when its manifest or its Application is removed.

    Measured: with these, removing the Application from Git leaves the object and its data in place
    (``Prune=confirm`` would instead stop every rollout of the root). An object that is kept is no difference, so that
    the Application counts as synced without it.
    https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/
    """
    return {
        "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    }


def mapping(value: object) -> Mapping[str, Any]:
    """Return a value that should be a mapping, or an empty one in its place."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return a value that should be a list, or an empty one in its place."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> list[Mapping[str, Any]]:
    """Return a value that should be a list of mappings, with an empty mapping in place of anything else in it."""
    return [mapping(entry) for entry in sequence(value)]


def texts(value: object) -> dict[str, str]:
    """Return a mapping of texts, such as labels, whatever was written in its place."""
    return {str(key): str(text) for key, text in mapping(value).items()}


def inner(value: object, *keys: str) -> Any:
    """Return what a mapping holds below some keys, one below the other; None if there is nothing."""
    for key in keys:
        value = mapping(value).get(key)
    return value


def condition(item: object, name: str) -> Mapping[str, Any]:
    """Return a condition in the status of an object; empty if it does not have it."""
    return next((each for each in mappings(inner(item, "status", "conditions")) if each.get("type") == name), {})


def entries(value: object, at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the mappings of a list, each with its path: the list's own, which is given, and a number in brackets."""
    for number, entry in enumerate(mappings(value)):
        yield f"{at}[{number}]", entry


def texts_in(part: object) -> Iterator[str]:
    """Yield every text in a part of a manifest; keys are none."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from texts_in(value)
    elif isinstance(part, list):
        for value in part:
            yield from texts_in(value)

"""What a kustomization changes in the objects that it reads: what they hold there says nothing of what is deployed.

https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.kubernetes.manifest import mapping, mappings, sequence, texts_in
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.repository.snapshot import Snapshot

_INDEX = re.compile(r"\.?\[[^][]*\]|\.(?:\d+|-)(?=\.|\Z)")
_FRAME = frozenset({"apiVersion", "kind", "metadata.name", "metadata.namespace"})
#: Fields whose values are patched whatever the object is called.
_BY_NAME = {"images": "image", "replicas": "spec.replicas"}


@dataclass(frozen=True)
class Patch:
    """A change of one field of some objects.

    Attributes:
        kind: A pattern for their kinds.
        name: A pattern for their names.
        field: The field, without the places in lists, such as ``spec.template.spec.containers.image``; empty for all.
        files: The files whose objects it reaches.
    """

    kind: str
    name: str
    field: str
    files: frozenset[str]

    def touches(self, path: str, kind: str, name: str, field: str) -> bool:
        """Tell whether it changes a field of an object in a file, something in it, or something around it."""
        if path not in self.files or not (_matches(self.kind, kind) and _matches(self.name, name)):
            return False
        plain = _INDEX.sub("", field)
        if not self.field or not plain:
            return not self.field
        if not self.field.partition(".")[2] and "." in plain:
            # A field that is everywhere, such as image.
            return plain.endswith(f".{self.field}") or plain == self.field
        return f"{plain}.".startswith(f"{self.field}.") or f"{self.field}.".startswith(f"{plain}.")


def patches_of(
    snapshot: Snapshot, folder: str, said: Mapping[str, Any], cache: Cache, files: frozenset[str]
) -> Iterator[Patch]:
    """Yield what the kustomization of a folder, which says this, changes in the objects of some files."""
    for kind, name, field in _changes(snapshot, folder, said, cache):
        yield Patch(kind, name, field, files)


#: A pattern for kinds, one for names, and a field.
_Change = tuple[str, str, str]


def _changes(snapshot: Snapshot, folder: str, said: Mapping[str, Any], cache: Cache) -> Iterator[_Change]:
    for entry in [*mappings(said.get("patches")), *mappings(said.get("patchesJson6902"))]:
        target = mapping(entry.get("target"))
        for body in _bodies(snapshot, folder, entry.get("patch") or entry.get("path"), cache):
            yield from _patches(target, body)
    for entry in sequence(said.get("patchesStrategicMerge")):
        for body in _bodies(snapshot, folder, entry, cache):
            yield from _patches({}, body)
    for key, field in _BY_NAME.items():
        for entry in mappings(said.get(key)):
            yield "", re.escape(str(entry.get("name"))) if key == "replicas" else "", field
    for entry in mappings(said.get("replacements")):
        for target in mappings(entry.get("targets")):
            chosen = mapping(target.get("select"))
            for path in texts_in(target.get("fieldPaths")):
                yield _text(chosen, "kind"), _text(chosen, "name"), _INDEX.sub("", path)
    if said.get("transformers"):
        yield "", "", ""


def _bodies(snapshot: Snapshot, folder: str, text: object, cache: Cache) -> Iterator[object]:
    """Yield the documents of a patch, which is written in the kustomization or in a file that it names."""
    if not isinstance(text, str):
        return
    path = posixpath.normpath(posixpath.join(folder, text.strip())) if "\n" not in text else ""
    content = snapshot.find(path) if path else None
    manifests = cache.manifests("", content or text.encode())
    if isinstance(manifests, list) and manifests:
        yield from manifests
    else:
        yield cache.document(content or text.encode())


def _patches(target: Mapping[str, Any], body: object) -> Iterator[_Change]:
    if isinstance(body, list):
        for operation in mappings(body):
            field = str(operation.get("path") or "").strip("/").replace("/", ".").replace("~1", "/").replace("~0", "~")
            yield _text(target, "kind"), _text(target, "name"), _INDEX.sub("", f".{field}").lstrip(".")
    elif isinstance(body, Mapping):
        kind, name = body.get("kind"), mapping(body.get("metadata")).get("name")
        own = (_text(target, "kind"), _text(target, "name")) if target else (re.escape(str(kind)), re.escape(str(name)))
        for field in sorted(set(_fields(body, "")) - _FRAME):
            yield *own, field


def _fields(part: object, at: str) -> Iterator[str]:
    if isinstance(part, Mapping) and part:
        for key, value in part.items():
            if key == "$patch":
                yield at
            yield from _fields(value, f"{at}.{key}" if at else str(key))
    elif isinstance(part, list) and part:
        for value in part:
            yield from _fields(value, at)
    else:
        yield at


def _text(chosen: Mapping[str, Any], key: str) -> str:
    return str(chosen.get(key) or "")


def _matches(pattern: str, text: str) -> bool:
    try:
        return not pattern or re.fullmatch(pattern, text) is not None
    except re.error:
        return True

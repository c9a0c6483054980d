"""Reads objects from YAML and JSON as kubectl does. Whatever a file holds, nothing is raised."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from constructs_lib.kubernetes.manifest import Manifest


class Cache:
    """Objects of files that were read already, by the content of the file.

    Two states of a repository have most files in common, and several Applications may deploy the same file.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._read: dict[tuple[bool, bytes], tuple[list[Manifest] | str, bool]] = {}

    def written(self, content: bytes, manifest: Mapping[str, object]) -> None:
        """Remember from which object some YAML was written, so that it need not be read; the object may change then."""
        self._read[False, content] = [*_expand(_plain(manifest))], False

    def manifests(self, path: str, content: bytes) -> list[Manifest] | str:
        """Return the objects of a file, or the reason why it cannot be read."""
        return self._parsed(path, content)[0]

    def may_repeat_keys(self, path: str, content: bytes) -> bool:
        """Tell whether a mapping in a file may hold a key twice; to the reader, a merge (``<<``) looks the same."""
        return self._parsed(path, content)[1]

    def _parsed(self, path: str, content: bytes) -> tuple[list[Manifest] | str, bool]:
        key = path.endswith(".json"), content
        if key not in self._read:
            self._read[key] = _manifests(*key)
        return self._read[key]

    def document(self, content: bytes) -> object:
        """Return the first document of a file, a manifest or not; None if it cannot be read."""
        try:
            return None if _is_too_deep(content) else _checked(next(yaml.load_all(content, Loader=_Loader), None))
        except (yaml.YAMLError, ValueError, RecursionError, TypeError):
            return None


class _Loader(yaml.CSafeLoader):
    """Reads YAML as sigs.k8s.io/yaml does: with the booleans of YAML 1.1, without timestamps and base-60 numbers."""

    repeats = False

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping, and note whether it has fewer keys than are written in it."""
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        self.repeats = self.repeats or len(found) < len(node.value)
        return found


# Without this line it would change the table that all loaders share.
_Loader.yaml_implicit_resolvers = {}


for _tag, _first, _pattern in (
    ("bool", "yYnNtTfFoO", "y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"),
    ("int", "-+0123456789", r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)"),
    ("float", "-+0123456789.", r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"),
    ("float", "-+.", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"),
    ("null", ["~", "n", "N", ""], "~|null|Null|NULL|"),
    ("merge", "<", "<<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _integer(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "").lower()
    # Only Python's own prefixes are told by the base 0.
    return int(text, 8 if re.match(r"[-+]?0\d", text) else 0)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:bool", lambda _, node: node.value.lower() in ("y", "yes", "true", "on"))

#: libyaml parses nested values recursively, and crashes the process where Python would raise RecursionError.
_MOST_LEVELS = 200
_MOST_VALUES = 2_000_000
_BRACKET = re.compile(rb"[][{}]")
_DEEP_SEQUENCE = re.compile(rb"(?:[-?][ \t]+){%d}" % _MOST_LEVELS)


def _manifests(is_json: bool, content: bytes) -> tuple[list[Manifest] | str, bool]:
    """Return the objects of a file or why it cannot be read, and whether a mapping may hold a key twice."""
    try:
        if _is_too_deep(content):
            raise ValueError("it is nested too deeply")
        documents, repeats = (_json if is_json else _yaml)(content)
        return [manifest for document in documents for manifest in _expand(_checked(document))], repeats
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"{error.problem or 'it is no YAML'}{where}", False
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        return str(error).partition("\n")[0] or type(error).__name__, False


def _yaml(content: bytes) -> tuple[list[object], bool]:
    loader = _Loader(content)
    documents = []
    while loader.check_data():  # type: ignore[no-untyped-call]
        documents.append(loader.get_data())
    return documents, loader.repeats


def _json(content: bytes) -> tuple[list[object], bool]:
    repeats = False

    def pairs(entries: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal repeats
        found = dict(entries)
        repeats = repeats or len(found) < len(entries)
        return found

    return [json.loads(content, object_pairs_hook=pairs)], repeats


def _is_too_deep(content: bytes) -> bool:
    if content.count(b"[") + content.count(b"{") > _MOST_LEVELS:
        depth = 0
        for bracket in _BRACKET.finditer(content):
            depth = depth + 1 if bracket[0] in b"[{" else max(depth - 1, 0)
            if depth > _MOST_LEVELS:
                return True
    return bool(_DEEP_SEQUENCE.search(content))


def _checked(document: object) -> object:
    """Return a document with texts as keys, after a check that JSON can hold it.

    Raises:
        ValueError: It contains itself, its anchors expand to too many values, or it has values of other types.
    """
    level: list[Any] = [document]
    values = 0
    for _ in range(_MOST_LEVELS):
        if not level:
            return document
        deeper: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                if any(not isinstance(key, str) for key in part):
                    entries = [(_key(key), value) for key, value in part.items()]
                    part.clear()
                    part.update(entries)
                deeper += part.values()
            elif isinstance(part, list):
                deeper += part
            elif part is not None and not isinstance(part, str | int | float):
                raise ValueError(f"a value of the type {type(part).__name__}, which no manifest can hold")
        values += len(deeper)
        if values > _MOST_VALUES:
            raise ValueError("its anchors multiply it beyond all measure")
        level = deeper
    raise ValueError("it is nested too deeply, or holds itself")


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _plain(value: object) -> object:
    """Return the copy of a value that reading its YAML would give."""
    if isinstance(value, Mapping):
        return {str.__str__(key): entry if type(entry) in _SCALARS else _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [entry if type(entry) in _SCALARS else _plain(entry) for entry in value]
    return str.__str__(value) if isinstance(value, str) else value


def _key(key: object) -> str:
    return "null" if key is None else str(key).lower() if isinstance(key, bool) else str(key)


def _expand(document: object) -> Iterator[Manifest]:
    if not isinstance(document, dict):
        return
    version, kind = document.get("apiVersion"), document.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str) or not version or not kind:
        return
    if kind.endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            # The items of a ConfigMapList need not say what they are.
            implied = {} if kind == "List" else {"apiVersion": version, "kind": kind.removesuffix("List")}
            yield from _expand({**implied, **item} if isinstance(item, dict) else item)
    else:
        yield document

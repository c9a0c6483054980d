"""Keys that are there twice in one mapping, which the readers of YAML and JSON take without a word."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import yaml

from constructs_lib.kubernetes.manifest import Manifest

#: Stands between keys and values where text cannot have it: in a text it is written as six characters.
_MARK = "\0"
#: What follows the colon of a key, as it stands in a file.
_ENDS = (" ", "\n", "\r", "\t", ",", "}")
#: An anchor makes more keys than are written in a file.
_ANCHOR = re.compile(rb"[\s,\[{]&\w")


class _Composer(yaml.CSafeLoader):
    """Reads YAML no further than to nodes, without the time that it takes to find the types of texts."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return "tag:yaml.org,2002:str"


def compact(manifest: Manifest) -> str:
    """Return an object as JSON in which the keys can be counted."""
    return json.dumps(manifest, separators=(",", _MARK), ensure_ascii=False, default=str)


# Most files are the same in several trees.
@lru_cache(maxsize=2048)
def count_keys(text: str) -> int:
    """Return the number of keys in what :func:`compact` returned, and of what looks like one in its texts."""
    return text.count(_MARK) + (_colons(text.replace("\\n", "\n")) if ":" in text else 0)


def _colons(text: str) -> int:
    """Return how many keys a text has at most: the colons that may end one."""
    found = sum(text.count(f":{end}") for end in _ENDS)
    for quote in ('"', "'"):
        if quoted := text.count(f"{quote}:"):
            found += quoted - sum(text.count(f"{quote}:{end}") for end in _ENDS)
    return found


def duplicate_keys(path: str, content: bytes, keys: int) -> Iterator[tuple[int, str, int]]:
    """Yield keys that are there twice in one mapping: the line, the key, and the line at which it stood first.

    Reading a file once more would double the time of a check. So its keys are counted first: where the objects have as
    many keys as the file can have at most, none is there twice.

    Args:
        path: Path of the file.
        content: Its content, which can be read.
        keys: The number of keys in its objects, as :func:`count_keys` counts them.
    """
    if _keys_in(content) == keys:
        return
    try:
        if path.endswith(".json"):
            yield from _in_json(content)
        else:
            for document in yaml.compose_all(content, Loader=_Composer):
                yield from _in_yaml(document, set())
    except (yaml.YAMLError, ValueError, RecursionError):
        return


@lru_cache(maxsize=2048)
def _keys_in(content: bytes) -> int | None:
    """Return how many keys a file has at most; None if its objects may have more keys than are written in it."""
    # The items of a list may inherit their apiVersion and kind.
    if b"List" in content or (b"&" in content and _ANCHOR.search(content)):
        return None
    return _colons(content.decode(errors="replace"))


def _in_yaml(node: yaml.Node | None, seen: set[int]) -> Iterator[tuple[int, str, int]]:
    # An alias is the same node again.
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            # Several merges into one mapping are not the same key twice.
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

    json.loads(content, object_pairs_hook=pairs)
    yield from ((1, name, 1) for name in found)

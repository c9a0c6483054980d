"""Keys that are there twice in one mapping. The readers of YAML and JSON keep the last one and say nothing."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import yaml


class _Composer(yaml.CSafeLoader):
    """Reads YAML as nodes only, and does not resolve the types of scalars, which takes most of the time."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return "tag:yaml.org,2002:str"


def duplicate_keys(path: str, content: bytes) -> Iterator[tuple[int, str, int]]:
    """Yield keys that are there twice in one mapping: the line, the key, and the line of the first one.

    Args:
        path: Path of the file.
        content: Its content, which can be read.
    """
    if path.endswith(".json"):
        yield from _in_json(content)
    else:
        for document in yaml.compose_all(content, Loader=_Composer):
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

    json.loads(content, object_pairs_hook=pairs)
    yield from ((1, name, 1) for name in found)

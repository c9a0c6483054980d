"""Reads YAML and JSON of people who are not trusted: what grows beyond all measure is refused before it does.

Nothing that is near these bounds is of use: etcd takes objects of 1.5 MB, and Argo CD reads 10 MB of manifests for an
Application (``--max-combined-directory-manifests-size`` of its repository server).
"""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, Self

import yaml

from constructs_lib.kubernetes.sizes import demand_size

#: How deep values may be nested. libyaml composes recursively, and crashes the process where Python would raise.
MOST_LEVELS = 200
#: The most values that may be written in a file, keys counted: each takes some hundred bytes while it is read.
MOST_VALUES = 400_000
#: The most tokens of such a file, and the most documents.
MOST_TOKENS, MOST_DOCUMENTS = 1_000_000, 20_000
#: The most values that anchors and merges (``<<``) may add to those that are written.
MOST_REPEATED = 100_000
#: The most characters of a key, as in libyaml where it stands in a line, and of what an object is called: they are in
#: each finding, and names of Kubernetes end at 253.
MOST_OF_A_NAME = 1_024
#: The most digits of an integer: beyond 308 of them, JSON's numbers end.
_MOST_DIGITS = 308
#: What is wrong with a file that is nested too deeply, and with one whose anchors are a bomb.
TOO_DEEP = "it is nested too deeply"
REPEATED = f"its anchors add more than {MOST_REPEATED} values"


class BoundedLoader(yaml.CSafeLoader):
    """Reads YAML within the bounds; what is beyond them raises :class:`ValueError`, which says what is too much.

    What aliases repeat is counted by whoever follows them, because composing does not: each is the same node again.
    """

    def __init__(self, content: bytes, before: Self | None = None) -> None:
        """Read nothing yet; what was read ``before`` of the same file counts.

        Raises:
            ValueError: There are too many bytes.
        """
        demand_size(content)
        super().__init__(content)
        self._level = 0
        self._values: int = before._values if before else 0
        self._merged: int = before._merged if before else 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Count a node; the C code calls this before it composes one, and :meth:`ascend_resolver` afterwards."""
        self._level += 1
        self._values += 1
        if self._level > MOST_LEVELS:
            raise ValueError(TOO_DEEP)
        if self._values > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES} values")

    def ascend_resolver(self) -> None:
        """See :meth:`descend_resolver`."""
        self._level -= 1

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Replace the merges of a mapping by what they bring, where they stand: of equal keys, the last one counts.

        So it is in Go (``mapping`` in ``goyaml.v2/decode.go`` of https://github.com/kubernetes-sigs/yaml). By the rules
        of YAML, a mapping's own keys would override whatever is merged.
        """
        if not any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            return
        found = []
        # While it is looked into, it is empty, so that one that merges itself comes to an end.
        pairs, node.value = node.value, []
        for key, value in pairs:
            if key.tag != "tag:yaml.org,2002:merge":
                found.append((key, value))
                continue
            # The first of several wins, as it comes last.
            for source in reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(source, yaml.MappingNode):
                    mark = source.start_mark
                    raise yaml.constructor.ConstructorError(None, None, "only mappings can be merged", mark)
                self.flatten_mapping(source)
                self._merged += len(source.value)
                if self._merged > MOST_REPEATED:
                    raise ValueError(REPEATED)
                found += source.value
        node.value = found


class _Composer(BoundedLoader):
    """Composes nodes only, and does not resolve the types of scalars, which takes most of the time."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return "tag:yaml.org,2002:str"


def nodes(content: bytes) -> Iterator[yaml.Node]:
    """Yield the documents of some YAML as nodes, which know their lines; all scalars count as texts.

    Raises:
        ValueError: It is beyond the bounds.
        yaml.YAMLError: It is no YAML.
    """
    reader = _Composer(content)
    while reader.check_node():
        if (node := reader.get_node()) is not None:
            yield node


def parse_json(content: bytes | str, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] = dict) -> Any:
    """Return the value of some JSON; ``pairs`` makes an object of its entries.

    Raises:
        ValueError: It is no JSON, or beyond the bounds.
    """
    data = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    demand_size(data)
    demand_commas(data)
    try:
        value = json_decoder(pairs).decode(content if isinstance(content, str) else content.decode())
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        containers = [part for part in level if isinstance(part, dict | list)]
        level = [entry for part in containers for entry in (part.values() if isinstance(part, dict) else part)]
        if not level:
            return value
    raise ValueError(TOO_DEEP)


def json_decoder(pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    """Return what reads JSON whose size is no fault; values that are nested too deeply raise RecursionError."""
    return json.JSONDecoder(object_pairs_hook=pairs, parse_int=integer, parse_constant=_no_number)


def demand_commas(content: bytes) -> None:
    """Refuse JSON that holds too many values.

    Raises:
        ValueError: It does.
    """
    if content.count(b",") > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES} values")


def integer(text: str, base: int = 10) -> int:
    """Return the integer that a text is, in a base as of :class:`int`.

    Raises:
        ValueError: It is none, or one that no number of JSON holds.
    """
    if len(text) > _MOST_DIGITS or abs(number := int(text, base)) > sys.float_info.max:
        raise ValueError(f"a number of {len(text)} digits, which is out of range")
    return number


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")

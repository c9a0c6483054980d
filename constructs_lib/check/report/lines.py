"""Lines of fields in manifests, so that a finding can be shown where it stands."""

import re
from collections.abc import Iterator, Mapping

import yaml

from constructs_lib.check.finding import Finding

_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
_LINE = re.compile(r"line (\d+)")
#: The keys whose values name entries of lists in the fields of findings: of containers and ports, alerts, and recording
#: rules.
_NAMES = ("name", "alert", "record")
#: Larger files are not read again, so that their findings have no lines.
_MOST_BYTES = 1_000_000


class Lines:
    """Finds lines in the files of a tree; every file is read once."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Read nothing yet."""
        self._files = files
        self._read: dict[str, list[yaml.Node]] = {}

    def of(self, finding: Finding) -> int:
        """Return the line of a finding's field, or of what is nearest above it; 1 if nothing is known."""
        if match := _LINE.fullmatch(finding.field):
            return int(match[1])
        root = self._object(finding)
        if root is None:
            return 1
        # A key of annotations or data may contain dots itself, so the longest key that fits is taken.
        line: int = root.start_mark.line
        steps = [in_brackets or plain for in_brackets, plain in _STEP.findall(finding.field)]
        node: yaml.Node | None = root
        while steps and node is not None:
            node, marked, used = _below(node, steps)
            if node is not None:
                line = marked
                steps = steps[used:]
        return line + 1

    def _object(self, finding: Finding) -> yaml.Node | None:
        for root in self._nodes(finding.file):
            if finding.identity is None:
                return root
            _, kind, namespace, name = finding.identity
            metadata = _value(root, "metadata")
            named = _text(_value(metadata, "namespace"))
            is_named = _text(_value(root, "kind")) == kind and _text(_value(metadata, "name")) == name
            if is_named and named in ("", namespace):
                return root
        return None

    def _nodes(self, path: str) -> list[yaml.Node]:
        if path not in self._read:
            content = self._files.get(path, b"")
            try:
                found = [] if len(content) > _MOST_BYTES else [*yaml.compose_all(content, Loader=yaml.CSafeLoader)]
            except (yaml.YAMLError, ValueError, RecursionError):
                found = []
            self._read[path] = [item for root in found if root is not None for item in _items(root)]
        return self._read[path]


def _items(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield the objects of a document: those of a list, or the one that it is."""
    items = _value(root, "items")
    if _text(_value(root, "kind")).endswith("List") and isinstance(items, yaml.SequenceNode):
        yield from items.value
    else:
        yield root


def _below(node: yaml.Node, steps: list[str]) -> tuple[yaml.Node | None, int, int]:
    """Return the node one step below another, its line, and how many parts of the field's name the step took."""
    if isinstance(node, yaml.MappingNode):
        for used in range(len(steps), 0, -1):
            wanted = ".".join(steps[:used])
            for key, value in node.value:
                if _text(key) == wanted:
                    return value, key.start_mark.line, used
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            if steps[0] in (str(number), *(_text(_value(item, key)) for key in _NAMES)):
                return item, item.start_mark.line, 1
    return None, 0, 0


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if _text(name) == key), None)
    return None


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""

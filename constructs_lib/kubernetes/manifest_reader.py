"""Reads objects from YAML and JSON as Argo CD does. Whatever a file holds, nothing is raised.

``findManifests`` and ``splitYAMLOrJSON`` in ``reposerver/repository/repository.go`` of
https://github.com/argoproj/argo-cd.
"""

import base64
import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite, isinf
from typing import Any, TypeVar

import yaml

from constructs_lib.kubernetes.bounds import (
    MOST_DOCUMENTS,
    MOST_LEVELS,
    MOST_OF_A_NAME,
    MOST_REPEATED,
    MOST_TOKENS,
    MOST_VALUES,
    REPEATED,
    TOO_DEEP,
    BoundedLoader,
    demand_commas,
    integer,
    json_decoder,
)
from constructs_lib.kubernetes.manifest import Manifest, mapping
from constructs_lib.kubernetes.sizes import demand_size

Result = TypeVar("Result")


class Cache:
    """Objects of files that were read already, by the content of the file.

    Two states of a repository have most files in common, and several Applications may deploy the same file.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._read: dict[tuple[bool, bytes], tuple[list[Manifest] | str, bool]] = {}
        self._found: dict[bytes, dict[object, Any]] = {}

    def written(self, content: bytes, manifest: Mapping[str, object]) -> None:
        """Remember from which object some YAML was written, so that it need not be read; the object may change then."""
        if (False, content) not in self._read:
            self._read[False, content] = [*_expand(_plain(manifest))], False

    def only(self, contents: Iterable[bytes]) -> None:
        """Forget all files but those with these contents."""
        wanted = {*contents}
        self._read = {key: found for key, found in self._read.items() if key[1] in wanted}
        self._found = {content: found for content, found in self._found.items() if content in wanted}

    def once(self, content: bytes, key: object, find: Callable[[], Result]) -> Result:
        """Return what follows from the content of a file and a key, which is found out only once."""
        known = self._found.setdefault(content, {})
        if key not in known:
            known[key] = find()
        result: Result = known[key]
        return result

    def manifests(self, path: str, content: bytes) -> list[Manifest] | str:
        """Return the objects of a file, or the reason why Argo CD cannot read it."""
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
            loader = _Loader(decoded(content))
            return _checked(loader.get_data()) if loader.check_data() else None  # type: ignore[no-untyped-call]
        except (yaml.YAMLError, ValueError, RecursionError, TypeError):
            return None


_TEXT = "tag:yaml.org,2002:str"


class _Loader(BoundedLoader):
    """Reads YAML as sigs.k8s.io/yaml does: with the booleans of YAML 1.1, without timestamps and base-60 numbers."""

    repeats = False

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping with texts as keys, and note whether it has fewer keys than are written in it."""
        self.flatten_mapping(node)
        for number, (key, value) in enumerate(node.value):
            # To Python, 1, 1.0 and True are the same key.
            if key.tag != _TEXT and isinstance(key, yaml.ScalarNode):
                text = _key(self.construct_object(key))
                node.value[number] = yaml.ScalarNode(_TEXT, text, key.start_mark, key.end_mark), value
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


def _integer(loader: Any, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "").lower()
    # Only Python's own prefixes are told by the base 0.
    return integer(text, 8 if re.match(r"[-+]?0\d", text) else 0)


def _float(loader: Any, node: yaml.ScalarNode) -> float | str:
    found: float = loader.construct_yaml_float(node)
    # What is too large for a number is a text.
    return node.value if isinf(found) and not node.value.lower().endswith(".inf") else found


_TRUE, _FALSE = ("y", "yes", "true", "on"), ("n", "no", "false", "off")


def _truth(loader: Any, node: yaml.ScalarNode) -> bool:
    text = loader.construct_scalar(node).lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError(f"{text} is neither true nor false")
    return text in _TRUE


def _binary(loader: Any, node: yaml.ScalarNode) -> str:
    return base64.b64decode(loader.construct_scalar(node), validate=True).decode(errors="replace")


def _untyped(loader: Any, node: yaml.Node) -> object:
    """Return a value whose tag means nothing to Argo CD."""
    if isinstance(node, yaml.ScalarNode):
        return node.value
    build = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return build(node, deep=True)


for _name, _construct in (
    (None, _untyped),
    *((f"tag:yaml.org,2002:{_kind}", _untyped) for _kind in ("merge", "omap", "pairs", "set", "timestamp")),
    ("tag:yaml.org,2002:binary", _binary),
    ("tag:yaml.org,2002:bool", _truth),
    ("tag:yaml.org,2002:float", _float),
    ("tag:yaml.org,2002:int", _integer),
):
    _Loader.add_constructor(_name, _construct)

_ESCAPE, _MARKS = re.compile(rb"\\[xuU/\r\n]"), (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: A line that begins a document, and what else is on it.
_SEPARATOR = re.compile(rb"^---(.*)(?:\n|\Z)", re.MULTILINE)
#: Bytes in which a brace must come for a file to be read as JSON.
_GUESS = 4096
#: What may be half a character, of those that JSON writes in two halves.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_BLANK = re.compile(r"\A[^\S\n]*\n?")
_FILLED = re.compile(r"[^ \t\r\n]")


def decoded(content: bytes) -> bytes:
    """Return a file's content in UTF-8, as Argo CD decodes it: by its byte order mark, with signs for what is no text.

    ``utfutil.OpenFile`` in https://github.com/TomOnTime/utfutil.
    """
    if content.startswith(_MARKS):
        return content.decode("utf-16", "replace").encode()
    content = content.removeprefix(codecs.BOM_UTF8)
    return content if content.isascii() else content.decode(errors="replace").encode()


def may_hold(content: bytes, *words: bytes) -> bool:
    """Tell whether the objects of a file may hold any of some words, which stand in it or are disguised.

    It takes a moment where reading takes long. Escapes, a broken line, base64 and other encodings disguise a word.
    """
    is_disguised = b"binary" in content or content.startswith(_MARKS) or (b"\\" in content and _ESCAPE.search(content))
    return bool(is_disguised) or any(word in content for word in words)


def documents(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the documents of a YAML file, each with the number of lines before it.

    Where one begins is told by the lines that begin with ``---``: ``YAMLReader`` in ``util/yaml/decoder.go`` of
    https://github.com/kubernetes/apimachinery.

    Raises:
        ValueError: There is more than a comment on such a line, or there are too many of them.
    """
    begin = lines = 0
    for number, separator in enumerate(_SEPARATOR.finditer(content)):
        if number > MOST_DOCUMENTS:
            raise ValueError(f"it holds more than {MOST_DOCUMENTS} documents")
        if separator[1].strip(b" \t\r") and not separator[1].lstrip(b" \t").startswith(b"#"):
            line = lines + content.count(b"\n", begin, separator.start()) + 1
            raise _IsNoneError(f"there is more than --- in line {line}, where a document begins")
        if separator.start() == begin:
            # It is the first line of the document.
            continue
        yield lines, content[begin : separator.start()]
        lines += content.count(b"\n", begin, separator.end())
        begin = separator.end()
    yield lines, content[begin:]


def _manifests(is_json: bool, content: bytes) -> tuple[list[Manifest] | str, bool]:
    """Return the objects of a file or why it cannot be read, and whether a mapping may hold a key twice."""
    found: list[Manifest] = []
    reading = _Reading()
    try:
        demand_size(content)
        content = decoded(content)
        for line, document in reading.json(content) if is_json else reading.stream(content):
            found += _expand(_checked(document), line)
        return found, reading.repeats
    except _RefusedError as error:
        return str(error), False
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        if isinstance(error, RecursionError):
            error = ValueError(TOO_DEEP)
        # Argo CD takes YAML that does not look like manifests for something else. It knows nothing of our own bounds.
        theirs = isinstance(error, _THEIRS)
        looks = all(word in content for word in (b"apiVersion:", b"kind:", b"metadata:"))
        if theirs and not is_json and not found and not looks:
            return [], False
        if isinstance(error, yaml.MarkedYAMLError):
            mark = error.problem_mark
            where = f" in line {reading.line + mark.line + 1}" if mark else ""
            return f"{error.problem or 'it is no YAML'}{where}", False
        return str(error).partition("\n")[0] or type(error).__name__, False


class _IsNoneError(ValueError):
    """A document is no object, or there is no document."""


#: What Argo CD refuses as well, when it reads a document.
_THEIRS = (
    _IsNoneError,
    yaml.composer.ComposerError,
    yaml.parser.ParserError,
    yaml.reader.ReaderError,
    yaml.scanner.ScannerError,
)


class _RefusedError(ValueError):
    """An object is read, and then its Application fails because of it."""


class _Reading:
    """Reads the documents of one file.

    Attributes:
        repeats: Whether a mapping may have held a key twice.
        line: The number of lines before the document that is read.
    """

    def __init__(self) -> None:
        self.repeats = False
        self.line = 0
        self._decoder = json_decoder(self._pairs)
        self._loader: _Loader | None = None

    def _pairs(self, entries: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(entries)
        self.repeats = self.repeats or len(found) < len(entries)
        return found

    def json(self, content: bytes) -> Iterator[tuple[int, object]]:
        """Yield the one value of a file of JSON."""
        demand_commas(content)
        value = self._decoder.decode(content.decode())
        yield 0, _whole(value) if _HALF.search(content) else value

    def stream(self, content: bytes) -> Iterator[tuple[int, object]]:
        """Yield the documents of a file of YAML, in which there may be JSON instead.

        ``YAMLOrJSONDecoder``, as above: what begins with a brace is read as JSON objects one after the other. If that
        fails before there are two of them, the rest is read as YAML.
        """
        if content[:_GUESS].lstrip().startswith(b"{"):
            demand_commas(content)
            text, halves = content.decode(), _HALF.search(content)
            values = end = line = 0
            while begin := _FILLED.search(text, end):
                line += text.count("\n", end, begin.start())
                begun = line
                try:
                    value, behind = self._decoder.raw_decode(text, begin.start())
                except ValueError:
                    if values > 1:
                        raise
                    # The whitespace before the rest is skipped, up to the end of the line.
                    content = _BLANK.sub("", text[end:], count=1).encode()
                    break
                values += 1
                line += text.count("\n", begin.start(), behind)
                end = behind
                yield begun, _whole(value) if halves else value
            else:
                return
            self.line = text.count("\n", 0, end)
        before = self.line
        for lines, document in documents(content):
            self.line = before + lines
            try:
                found = self._value(document)
            except yaml.composer.ComposerError as error:
                if not str(error.problem).startswith("second occurrence"):
                    raise
                found = self._value(_with_own_anchors(document.decode()).encode())
            yield self.line, found

    def _value(self, document: bytes) -> object:
        """Return the value of a document. What comes after its end (``...``) is never looked at."""
        self._loader = loader = _Loader(document, self._loader)
        found = loader.get_data() if loader.check_data() else None  # type: ignore[no-untyped-call]
        self.repeats = self.repeats or loader.repeats
        return found


def _whole(value: Any) -> Any:
    r"""Return a value of JSON with a sign for each half of a character (``\ud800``), as Go reads it."""
    if isinstance(value, dict):
        return {_whole(key): _whole(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_whole(entry) for entry in value]
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value


def _with_own_anchors(text: str) -> str:
    """Return a document in which each anchor has a name of its own: PyYAML refuses what YAML 1.2 and Go allow."""
    counts: Counter[str] = Counter()
    parts = []
    end = 0
    for number, token in enumerate(yaml.scan(text, Loader=yaml.CSafeLoader)):
        if number > MOST_TOKENS:
            raise ValueError(f"it holds more than {MOST_VALUES} values")
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            counts[token.value] += isinstance(token, yaml.AnchorToken)
            parts += [text[end : token.end_mark.index], f"-{counts[token.value]}"]
            end = token.end_mark.index
    return "".join(parts) + text[end:]


def _checked(document: object) -> object:
    """Return a document with texts as keys, after a check that JSON can hold it.

    Raises:
        ValueError: It contains itself, its anchors expand to too many values, or it has values of other types.
    """
    level: list[Any] = [document]
    values = 0
    for _ in range(MOST_LEVELS):
        if not level:
            return document
        deeper: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                if any(not isinstance(key, str) for key in part):
                    entries = [(_key(key), value) for key, value in part.items()]
                    part.clear()
                    part.update(entries)
                if (longest := max(map(len, part), default=0)) > MOST_OF_A_NAME:
                    raise ValueError(f"a key of {longest} characters")
                deeper += part.values()
            elif isinstance(part, list):
                deeper += part
            elif part is not None and not isinstance(part, str | int | float):
                raise ValueError(f"a value of the type {type(part).__name__}, which no manifest can hold")
            elif isinstance(part, float) and not isfinite(part):
                raise ValueError(f"the number {part}, which JSON does not have")
        values += len(deeper)
        if values > MOST_VALUES + MOST_REPEATED:
            raise ValueError(REPEATED)
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
    if key is None:
        raise _IsNoneError("a key is null, which JSON does not have")
    return str(key).lower() if isinstance(key, bool) else str(key)


def _expand(document: object, line: int = 0) -> Iterator[Manifest]:
    """Yield the objects in a document that begins after some lines: those in a list of them, or the one that it is.

    A list is what has ``items``, whatever its kind (``Unstructured.IsList`` in apimachinery). A list in a list is
    deployed as it is, and so is refused by the API server.

    Raises:
        ValueError: It is no object, or does not say what it is.
    """
    if document is None:
        return
    where = f"what begins in line {line + 1}"
    found = _with_kind(document, where)
    items = found.get("items", ())
    if isinstance(items, list):
        for number, item in enumerate(items):
            yield _with_kind(item, f"item {number} of {where}", _RefusedError)
    elif items is not None or "spec" in found or "status" in found:
        yield found


def _with_kind(document: object, where: str, error: type[ValueError] = _IsNoneError) -> Manifest:
    if not isinstance(document, dict):
        raise error(f"{where} is no object")
    for key, lacking in (("kind", error), ("apiVersion", _RefusedError)):
        if not isinstance(document.get(key), str) or not document[key]:
            raise lacking(f"{where} has no {key}")
    named = mapping(document.get("metadata"))
    for text in (document["kind"], document["apiVersion"], named.get("name"), named.get("namespace")):
        if isinstance(text, str) and len(text) > MOST_OF_A_NAME:
            raise ValueError(f"{where} has a name of {len(text)} characters")
    return document

"""Kubernetes objects as YAML that a person wants to review.

The same object always gives the same bytes: block style, two spaces of indentation, keys in the order given,
lists at the column of their key as kubectl prints them, texts of several lines as literal blocks, no folding
and no anchors. A text is quoted only where a reader could take it for something else, and then for readers of
YAML 1.1 (Argo CD, sigs.k8s.io/yaml, PyYAML) and of YAML 1.2 alike.

The emitter is our own because no library does all of this fast enough. ryaml quotes for YAML 1.2 only: ``on``
and ``2001-01-01`` come out bare and change their type in Argo CD. PyYAML's C emitter takes nine times as long
and puts a text of several lines on one as soon as a line ends in a space.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

_STEP = "  "

# How a plain text may begin, and what it may not hold: ": ", " #", other white space than " ", and a space at its end.
# Without possessive quantifiers: Python 3.11.2, which Debian has, takes groups with them for less than they match.
_BEGINS_PLAIN = re.compile(r"""(?!---|\.\.\.)(?:[^\s\-?:,\[\]{}#&*!|>'"%@`]|-(?=\S))""")
_NOT_PLAIN = re.compile(r":(?:\s|\Z)|\s#|[^\S ]| \Z")

# What some reader takes for a boolean, null, number, time or merge key. Deliberately a little wider than the
# readers' own rules, since go-yaml drops underscores anywhere before it parses a number.
_NOT_A_TEXT = re.compile(
    r"""y | yes | n | no | on | off | true | false | null | ~ | << | = | [-+]?\.inf | \.nan
      | [-+]? (?: [0-9_]+ (?:\.[0-9_]*)? | _*\.[0-9_]+ ) (?: e[-+0-9_]+ )?
      | [-+]? _* 0 _* [box] [-+0-9a-f_]*
      | [-+]? [0-9][0-9_]* (?: :[0-9_]+ )+ (?:\.[0-9_]*)?
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} (?: [t\s].* )? """,
    re.VERBOSE | re.IGNORECASE,
)

# Characters that only an escape brings through every reader, or that hide the order of what a reviewer sees.
_ESCAPED = re.compile(
    "[^\n\t\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

_EASIER_IN_SINGLE_QUOTES = re.compile(r"""[^'\n\t]*["\\][^'\n\t]*""")


def dump(manifest: Mapping[str, Any]) -> bytes:
    """Return one Kubernetes object as UTF-8 YAML that ends in a line break, without the ``---`` mark.

    It may hold mappings with text keys, lists or tuples, texts, booleans, finite numbers and None.

    Raises:
        TypeError: A value or key is of another type; the message names the path to it.
        ValueError: A number is infinite or not a number (the message names the path to it), or a text holds
            half a surrogate pair (the message shows the text).
    """
    out: list[str] = []
    _write_mapping(manifest, "\n", (), out.append)
    out.append("\n" if manifest else "{}\n")
    return "".join(out).encode()


# Most of the time of a synthesis is spent in the next two: they look at exact types, the most frequent first, and write
# an entry in one piece.


def _write_mapping(mapping: Mapping[str, Any], line: str, path: tuple[object, ...], out: Callable[[str], None]) -> None:
    """Write the entries; ``line`` is a line break and the keys' indentation, the first key is due here."""
    lead, deeper = "", line + _STEP
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise TypeError(f"{_shown(path)}: the key {key!r} is of type {type(key).__name__}, not a text")
        name = _inline(key)
        if len(name) >= 1000:
            # Readers look for the ":" of a simple key in its first 1,024 characters only.
            name = f"? {name}{line}"
        kind = type(value)
        if kind not in _EXACT:
            value, kind = _exact(value)
        if kind is str:
            text = _text(value, line) if "\n" in value else _inline(value)
            out(f"{lead}{name}: {text}")
        elif kind is dict and value:
            out(f"{lead}{name}:{deeper}")
            _write_mapping(value, deeper, (*path, key), out)
        elif kind is list and value:
            out(f"{lead}{name}:{line}")
            _write_sequence(value, line, (*path, key), out)
        else:
            out(f"{lead}{name}: {_other(value, path, key)}")
        lead = line


def _write_sequence(sequence: list[Any], line: str, path: tuple[object, ...], out: Callable[[str], None]) -> None:
    """Write the items; ``line`` is a line break and the dashes' indentation, the first dash is due here."""
    lead, deeper = "- ", line + _STEP
    for index, value in enumerate(sequence):
        kind = type(value)
        if kind not in _EXACT:
            value, kind = _exact(value)
        if kind is dict and value:
            out(lead)
            _write_mapping(value, deeper, (*path, index), out)
        elif kind is str:
            out(lead + _text(value, line))
        elif kind is list and value:
            out(lead)
            _write_sequence(value, deeper, (*path, index), out)
        else:
            out(lead + _other(value, path, index))
        lead = line + "- "


_EXACT = frozenset({str, dict, list, bool, int, float, type(None)})
#: How subclasses become exact, and what else Kubernetes can hold.
_CONVERSIONS: Any = ((str, str.__str__), ((list, tuple), list), (Mapping, dict), (int, int), (float, float))


def _exact(value: Any) -> tuple[Any, type]:
    """Return the same as one of the exact types, with that type; what is none of them stays what it is."""
    value = next((convert(value) for kinds, convert in _CONVERSIONS if isinstance(value, kinds)), value)
    return value, type(value)


def _other(value: object, path: tuple[object, ...], last: object) -> str:
    """Return what is neither a text nor a filled list or mapping."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{_shown((*path, last))}: {value!r} is no number that Kubernetes can hold")
        number = str(value)
        # YAML 1.1 takes "1e+16" for a text: a number with an exponent needs a point.
        return number if "." in number else number.replace("e", ".0e")
    if isinstance(value, list):
        return "[]"
    if isinstance(value, dict):
        return "{}"
    raise TypeError(f"{_shown((*path, last))}: Kubernetes objects hold no values of type {type(value).__name__}")


def _text(text: str, line: str) -> str:
    """Return a value: as a literal block where it has several lines, else on one line."""
    if "\n" not in text or text.isspace() or _ESCAPED.search(text):
        return _inline(text)
    body = text.rstrip("\n")
    breaks = len(text) - len(body)
    header = "|" + ("2" if text[0] in " \t\n" else "") + ("-", "", "+")[min(breaks, 2)]
    inner = line + _STEP
    lines = [inner + row if row else "\n" for row in body.split("\n")]
    return "".join((header, *lines, "\n" * (breaks - 1)))


@lru_cache(maxsize=16_384)
def _inline(text: str) -> str:
    """Return a text on one line, quoted if it must be."""
    if not _ESCAPED.search(text):
        if _BEGINS_PLAIN.match(text) and not _NOT_PLAIN.search(text) and not _NOT_A_TEXT.fullmatch(text):
            return text
        if _EASIER_IN_SINGLE_QUOTES.fullmatch(text):
            return "'" + text + "'"
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"half a surrogate pair, which no file can hold, in the text {text!r}") from None
    # JSON's escapes are YAML's too; what JSON lets through all lies within four hexadecimal digits.
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def _shown(path: tuple[object, ...]) -> str:
    """Return a path as people write it, such as ``spec.containers[0].image``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".") or "."

"""The two kinds of patterns in Argo CD's objects.

Most are read by https://github.com/gobwas/glob (``util/glob/glob.go`` in https://github.com/argoproj/argo-cd): folders,
destinations, repositories, differences. The kinds that an AppProject lists are read by ``filepath.Match`` of Go
(``isResourceInList`` in ``pkg/apis/application/v1alpha1/types.go``). A pattern that they cannot read matches nothing.
"""

import re
from functools import lru_cache

_NOTHING = re.compile(r"(?!)")
#: A range or a list of characters, such as [a-z] and [!abc]; a backslash before a character of a list is cut off.
_CLASS = re.compile(r"\[(!?)(?:(.)-(.)|(?!.-)((?:\\.|[^]\\])+))\]", re.DOTALL)


def glob(pattern: str, text: str, separator: str = "") -> bool:
    """Tell whether a pattern of gobwas/glob matches a text.

    ``*`` and ``?`` do not stand for the separator, ``**`` does, ``{a,b}`` is either.
    """
    return _glob(pattern, separator).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _glob(pattern: str, separator: str) -> re.Pattern[str]:
    one = f"[^{re.escape(separator)}]" if separator else "."
    out: list[str] = []
    depth = position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "[":
            match = _CLASS.match(pattern, position)
            if match is None or (match[2] and match[2] > match[3]):
                return _NOTHING
            chosen = re.sub(r"\\(.)", r"\1", match[4], flags=re.DOTALL) if match[4] else ""
            inside = "".join(map(re.escape, chosen)) or f"{re.escape(match[2])}-{re.escape(match[3])}"
            out.append(f"[{'^' if match[1] else ''}{inside}]")
            position = match.end()
            continue
        if character == "*":
            out.append(".*" if pattern.startswith("**", position) else f"{one}*")
            position += out[-1] == ".*" and pattern.startswith("**", position)
        elif character == "?":
            out.append(one)
        elif character == "{":
            depth += 1
            out.append("(?:")
        elif character == "}" and depth:
            depth -= 1
            out.append(")")
        elif character == "," and depth:
            out.append("|")
        elif character == "\\":
            position += 1
            out.append(re.escape(pattern[position : position + 1]))
        else:
            out.append(re.escape(character))
        position += 1
    # An alternative that does not end goes on to the end.
    return re.compile("".join(out) + ")" * depth, re.DOTALL)


def path_match(pattern: str, text: str) -> bool:
    """Tell whether a pattern of ``filepath.Match`` matches a text: ``*`` and ``?`` do not stand for a slash.

    There are neither ``{a,b}`` nor ``**``, and ``!`` is a character like any other.
    """
    return _path(pattern).fullmatch(text) is not None


#: A part of a pattern: a class such as [^a-z], a star, a question mark, a character.
_PART = re.compile(r"\[(\^?)((?:(?:\\.|[^]\\-])(?:-(?:\\.|[^]\\-]))?)+)\]|(\*)|(\?)|\\(.)|([^[\\])", re.DOTALL)
_RANGE = re.compile(r"(\\.|.)(?:-(\\.|.))?", re.DOTALL)


@lru_cache(maxsize=4096)
def _path(pattern: str) -> re.Pattern[str]:
    out: list[str] = []
    position = 0
    while position < len(pattern):
        match = _PART.match(pattern, position)
        if match is None:
            return _NOTHING
        negated, chosen, star, one, escaped, plain = match.groups()
        if chosen:
            ends = [(low[-1], (high or low)[-1]) for low, high in _RANGE.findall(chosen)]
            # A range from a greater to a smaller character holds none.
            inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ends if low <= high)
            out.append(f"[{'^' if negated else ''}{inside}]" if inside else "." if negated else "(?!)")
        else:
            out.append("[^/]*" if star else "[^/]" if one else re.escape(escaped or plain))
        position = match.end()
    return re.compile("".join(out), re.DOTALL)

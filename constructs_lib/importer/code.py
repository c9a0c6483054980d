"""Python text as ``ruff format`` leaves it: literals and calls, at most 120 columns wide.

The formatter is no part of the library, and what is printed here are calls, literals and statements of one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 120


@dataclass(frozen=True)
class Name:
    """An expression that is printed as it is: a name, or what stands on one line."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call: of what, and its arguments."""

    name: str
    arguments: Sequence[Any] = field(default=(), hash=False)
    named: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> str:
        """What two equal calls have in common."""
        return flat(self)


def call(name: str, /, *arguments: Any, **named: Any) -> Call:
    """Return a call; named arguments that are None are left out."""
    return Call(name, arguments, {key: value for key, value in named.items() if value is not None})


def quoted(text: str) -> str:
    """Return the literal of a text, in double quotes unless others save escapes."""
    mark = "'" if text.count('"') > text.count("'") else '"'
    escapes = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", mark: f"\\{mark}"}
    return mark + "".join(escapes.get(sign) or (sign if sign.isprintable() else _escaped(sign)) for sign in text) + mark


def _escaped(sign: str) -> str:
    return (
        f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}" if ord(sign) < 65536 else repr(sign)[1:-1]
    )


def flat(value: Any) -> str:
    """Return an expression on one line."""
    if isinstance(value, Name):
        return value.text
    if isinstance(value, Call):
        return f"{value.name}({', '.join(_arguments(value, flat))})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)}{flat(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flat, value))}]"
    return quoted(value) if isinstance(value, str) else repr(value)


def _arguments(value: Call, show: Any) -> list[str]:
    return [*map(show, value.arguments), *(f"{_before(name)}{show(each)}" for name, each in value.named.items())]


def _key(key: Any) -> str:
    """Return what stands before an entry of a mapping; ``**`` is the key of what is unpacked."""
    return "**" if key == "**" else f"{flat(key)}: "


def _before(name: str) -> str:
    """Return what stands before a named argument; ``**`` is the name of what is unpacked."""
    return name if name == "**" else f"{name}="


def printed(value: Any, before: str, indent: int = 0, after: str = "") -> list[str]:
    """Return the lines of an expression, which begin with what stands ``before`` it and end with what does ``after``.

    Args:
        value: The expression.
        before: What stands before it in its line, without the indentation.
        indent: Columns of indentation.
        after: What stands after it in its last line, such as a comma.
    """
    margin, inner = " " * indent, " " * (indent + 4)
    whole = f"{margin}{before}{flat(value)}{after}"
    if len(whole) <= WIDTH:
        return [whole]
    if isinstance(value, Call) and (value.arguments or value.named):
        opened = f"{margin}{before}{value.name}("
        inside = f"{inner}{', '.join(_arguments(value, flat))}"
        if len(inside) <= WIDTH:
            return [opened, inside, f"{margin}){after}"]
        lines = [line for each in value.arguments for line in printed(each, "", indent + 4, ",")]
        lines += [line for name, each in value.named.items() for line in printed(each, _before(name), indent + 4, ",")]
        return [opened, *lines, f"{margin}){after}"]
    if isinstance(value, Mapping) and value:
        lines = [line for key, each in value.items() for line in printed(each, _key(key), indent + 4, ",")]
        return [f"{margin}{before}{{", *lines, f"{margin}}}{after}"]
    if isinstance(value, list) and value:
        lines = [line for each in value for line in printed(each, "", indent + 4, ",")]
        return [f"{margin}{before}[", *lines, f"{margin}]{after}"]
    return [whole]

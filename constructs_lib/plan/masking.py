"""Keeps values out of plans that are secrets by their names: pull requests show plans to everybody who may read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from constructs_lib.credentials import LOGIN, WELL_KNOWN, holds_secret, is_well_known

_PLACEHOLDER = re.compile(r"\(secret \d+; not shown\)")
#: A value that stands for one from elsewhere: a variable, a template, what a tool has encrypted, where it is mounted.
_REFERENCE = re.compile(
    r"(?:\$\([A-Za-z_][\w.-]*\)|\$\{\w+\}|\{\{[^{}]*\}\}|(?:vault:|op://|ref\+|ENC\[)\S*"
    r"|/(?:etc|home|mnt|opt|run|secrets|tmp|usr|var|vault)/[\w./-]*|true|false|null|none)?",
    re.IGNORECASE,
)
#: The same in a script, where variables and commands are replaced as well.
_SHELL_REFERENCE = re.compile(r"[\"']?\$(?:\w+|[({].*)[\"']?")
_QUOTED = r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'"
#: In a text: a name with its value, as in options and variables, and as in YAML and JSON; an option and what comes
#: behind it; a variable of a container.
_ASSIGNED = re.compile(rf"(?<![\w.-])([\w.-]{{1,100}})([\"']?[ \t]*=>?[ \t]*)({_QUOTED}|\S+)")
_ENTRY = re.compile(rf"(?<![\w.-])([\w.-]{{1,100}})([\"']?[ \t]*:[ \t]+|[\"']:)({_QUOTED}|\S[^\n]*)")
_OPTION = re.compile(rf"(?<![\w.-])--?(\w[\w.-]{{0,100}})([ \t]+)({_QUOTED}|[^\s-]\S*)")
_VARIABLE = re.compile(
    rf"(?<![\w.-])name[\"']?:\s*[\"']?([\w.-]{{1,100}})([\"']?,?\s*[\"']?value[\"']?:\s*)({_QUOTED}|\S+)"
)
_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]{1,20} ){0,5}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]{1,60}-----|\Z)", re.DOTALL
)
_LONE_OPTION = re.compile(r"--?(\w[\w.-]*)")


def is_placeholder(value: object) -> bool:
    """Tell whether a value is nothing but what stands for a secret."""
    return isinstance(value, str) and _PLACEHOLDER.fullmatch(value) is not None


class Mask:
    """Puts placeholders in the place of secrets: the same for the same secret, so that a change of it is seen."""

    def __init__(self) -> None:
        """Know no secret yet."""
        self._known: dict[str, int] = {}

    def manifest(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object without what is secret by its name, or by its form."""
        return {key: self._below(value, key, key == "data") for key, value in manifest.items()}

    def _below(self, value: Any, name: str, variables: bool) -> Any:
        """Return what is below a name, which is one of variables in configurations, and one of fields elsewhere."""
        if isinstance(value, dict):
            variables = variables or name in ("values", "valuesObject")
            named = value.get("name")
            return {
                key: self._below(entry, named, True)
                if key == "value" and isinstance(named, str)
                else self._below(entry, str(key), variables)
                for key, entry in value.items()
            }
        if isinstance(value, list):
            options = [_LONE_OPTION.fullmatch(part) if isinstance(part, str) else None for part in ("", *value)]
            return [
                self._hidden(entry)
                if option and isinstance(entry, str) and entry[:1] != "-" and _is_secret(option[1], entry, True)
                else self._below(entry, name, variables)
                for option, entry in zip(options, value, strict=False)
            ]
        if (
            isinstance(value, str | int | float)
            and not isinstance(value, bool)
            and _is_secret(name, str(value), variables)
        ):
            return self._hidden(str(value))
        return self._text(value) if isinstance(value, str) else value

    def _hidden(self, secret: str) -> str:
        return f"(secret {self._known.setdefault(secret, len(self._known) + 1)}; not shown)"

    def _text(self, text: str) -> str:
        """Return a text without the secrets in it."""
        if "PRIVATE KEY" in text:
            text = _KEY.sub(lambda match: self._hidden(match[0]), text)
        if is_well_known(text):
            text = WELL_KNOWN.sub(lambda match: self._hidden(match[0]), text)
        if "://" in text:
            text = LOGIN.sub(self._login, text)
        for pattern in (_VARIABLE, _ASSIGNED, _ENTRY, _OPTION):
            text = pattern.sub(self._assigned, text)
        return text

    def _login(self, match: re.Match[str]) -> str:
        if _REFERENCE.fullmatch(match[2]) or _SHELL_REFERENCE.fullmatch(match[2]):
            return match[0]
        begin, end = (place - match.start() for place in match.span(2))
        return match[0][:begin] + self._hidden(match[2]) + match[0][end:]

    def _assigned(self, match: re.Match[str]) -> str:
        name, value = match[1], match[3]
        plain = value[1:-1] if value[:1] in "\"'" and value[-1:] == value[:1] else value
        # A placeholder begins like this one.
        if value.startswith("(secret") or _SHELL_REFERENCE.fullmatch(value):
            return match[0]
        if name.lower() in ("key", "keys", "secret", "secrets") or not _is_secret(name, plain, True):
            return match[0]
        begin = match.start(3) - match.start()
        return match[0][:begin] + self._hidden(plain)


def _is_secret(name: str, value: str, variables: bool) -> bool:
    return not is_placeholder(value) and not _REFERENCE.fullmatch(value) and holds_secret(name, variables=variables)

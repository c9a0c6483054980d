"""Conditions on labels, as PromQL writes them."""

import re
from collections.abc import Sequence


def one_of(names: Sequence[str]) -> str:
    """Return a matcher's operator and value for one name or several: ``="a"`` or ``=~"a|b"``."""
    if len(names) == 1:
        return f"={_quoted(names[0])}"
    return f"=~{_pattern(names)}"


def none_of(names: Sequence[str]) -> str:
    """Return a matcher's operator and value for anything but some names: ``!~"a|b"``."""
    return f"!~{_pattern(names)}"


def _pattern(names: Sequence[str]) -> str:
    return _quoted("|".join(re.escape(name).replace(r"\-", "-") for name in names))


def _quoted(text: str) -> str:
    """Return a string of PromQL, where a backslash that is meant has to be doubled."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

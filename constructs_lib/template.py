"""YAML files with ``$placeholders``: rules, panels, values of charts, but for what differs from system to system."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from constructs_lib.user_error import UserError

#: Values of placeholders: texts, or anything where the placeholder is the whole value. None leaves out what has the
#: placeholder.
Values = Mapping[str, Any]

#: ``$name`` or ``${name}``; ``$1`` is a group of label_replace().
_PLACEHOLDER = re.compile(r"\$(?:\{([a-z_]\w*)\}|([a-z_]\w*))")
#: Variables of Grafana and Prometheus, which look the same and stay as they are.
_FOREIGN = frozenset({"__rate_interval", "labels", "namespace", "pod", "value"})


class Template:
    """One file, with values for its placeholders.

    The mapping ``placeholders`` at its top defines further ones, each in terms of those above it.
    """

    def __init__(self, file: Path, values: Values) -> None:
        """Read the file.

        Raises:
            UserError: It is missing, no mapping in YAML, or has a placeholder that nothing defines.
        """
        self.file = file
        self.content = _read(file)
        self._values = {**values}
        for name, text in self.content.get("placeholders", {}).items():
            self._values[name] = self.filled(text)

    def whole(self) -> dict[str, Any]:
        """Return all that stands in the file, filled in."""
        return {name: self.filled(value) for name, value in self.content.items() if name != "placeholders"}

    def filled(self, value: Any) -> Any:
        """Return a value with everything filled in, also inside of mappings and lists; None for what is left out.

        Raises:
            UserError: Nothing defines a placeholder.
        """
        if isinstance(value, dict):
            return {self.filled(key): self.filled(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [full for entry in value if (full := self.filled(entry)) is not None]
        if not isinstance(value, str):
            return value
        names = [name for match in _PLACEHOLDER.finditer(value) if (name := match[1] or match[2]) not in _FOREIGN]
        if unknown := [name for name in names if name not in self._values]:
            raise UserError(f"{self.file}: nothing defines the placeholder ${unknown[0]}.")
        if any(self._values[name] is None for name in names):
            return None
        if names and value == f"${names[0]}":
            return self._values[names[0]]
        return _PLACEHOLDER.sub(self._text, value)

    def _text(self, match: re.Match[str]) -> str:
        value = self._values.get(match[1] or match[2], match[0])
        return f"{value:g}" if isinstance(value, float) else f"{value}"


@cache
def _read(file: Path) -> Mapping[str, Any]:
    # Imported here, because most declarations need no such file.
    import yaml

    try:
        content = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
    except (OSError, yaml.YAMLError) as problem:
        raise UserError(f"{file} cannot be read: {' '.join(str(problem).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file} has to be a mapping in YAML.")
    return content

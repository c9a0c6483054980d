"""What a program's own variables do to its agent: under some values there are no metrics where Prometheus looks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.declare.secret import Plain
from constructs_lib.text import shown

#: A setting of the Java agent as a system property, which wins over the variable of the same name.
_PROPERTY = re.compile(r"(?<!\S)-D(otel\.[\w.-]+)=(\S*)")


@dataclass(frozen=True)
class Setting:
    """A setting on which it depends that metrics are found, and under the names that rules and dashboards read.

    Attributes:
        allowed: Regular expression of its values under which they are; case does not matter.
        right: What to do instead of another value.
    """

    allowed: str
    right: str


def listing(*values: str, right: str) -> Setting:
    """Return a setting that is a list with commas, of which one of some values must be a part."""
    return Setting(rf"(?:.*,)?\s*(?:{'|'.join(map(re.escape, values))})\s*(?:,.*)?", right)


def not_listing(value: str, right: str) -> Setting:
    """Return a setting that is a list with commas, of which a value must be no part."""
    return Setting(rf"(?!(?:.*,)?\s*{re.escape(value)}\s*(?:,|$)).*", right)


def problems(
    environment: Mapping[str, object], needed: Mapping[str, Setting], with_properties: Sequence[str]
) -> Iterator[str]:
    """Yield which variables of a program take its metrics from Prometheus.

    Args:
        environment: The program's own variables.
        needed: The agent's settings, by the names of their variables.
        with_properties: Variables with options of the runtime, in which settings may stand as system properties.
    """
    for name, value in environment.items():
        text = value.text if isinstance(value, Plain) else value
        if name in needed:
            yield from _problem(name, text, needed[name])
        elif name in with_properties and isinstance(text, str):
            for found in _PROPERTY.finditer(text):
                if setting := needed.get(re.sub(r"\W", "_", found[1]).upper()):
                    yield from _problem(f"{name}, -D{found[1]}", found[2], setting)


def _problem(where: str, value: object, setting: Setting) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{where}: whether there are metrics depends on it, so that it must be a plain text."
    elif not re.fullmatch(setting.allowed, value, re.IGNORECASE):
        yield f"{where}: with {shown(value)} Prometheus finds no metrics that are known here; {setting.right}"

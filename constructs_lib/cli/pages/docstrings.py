"""Docstrings in the style of Google, as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Yields")
_ENTRY = re.compile(r"^ {4}([\w*.]+(?:, [\w*.]+)*):\s*(.*)$")


@dataclass(frozen=True)
class Docstring:
    """The parts of a docstring.

    Attributes:
        text: What stands before the sections, in paragraphs.
        entries: The entries of each section, by their names.
    """

    text: str = ""
    entries: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """Its first paragraph, in one line."""
        return " ".join(self.text.partition("\n\n")[0].split())


def parse(of: object) -> Docstring:
    """Return the docstring of something, in Markdown."""
    doc = inspect.getdoc(of) or ""
    heads = "|".join(_SECTIONS)
    text, *sections = re.split(rf"^({heads}):\n", doc, flags=re.MULTILINE)
    entries: dict[str, dict[str, str]] = {}
    for section, body in zip(sections[::2], sections[1::2], strict=True):
        entries[section] = {each: told for names, told in _entries(body) for each in names.split(", ")}
    return Docstring(markdown(text.strip()), entries)


def _entries(body: str) -> Iterator[tuple[str, str]]:
    name, words = "", [""]
    for line in body.splitlines():
        if begins := _ENTRY.match(line):
            if name:
                yield name, markdown(" ".join(words))
            name, words = begins[1].lstrip("*"), [begins[2]]
        elif line.strip():
            words.append(line.strip())
    if name:
        yield name, markdown(" ".join(words))


def markdown(text: str) -> str:
    """Return a text in which code is marked as in reStructuredText, marked as in Markdown."""
    text = re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", text)
    return re.sub(r"``(.+?)``", r"`\1`", text)

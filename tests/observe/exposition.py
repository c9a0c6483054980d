"""Reads the text in which programs give their metrics to Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_LINE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)(?: -?\d+)?$")
_LABEL = re.compile(r'(?P<name>[a-zA-Z_]\w*)="(?P<value>(?:[^"\\]|\\.)*)",?')
_ESCAPES = {r"\n": "\n", r"\"": '"', r"\\": "\\"}


@dataclass(frozen=True)
class Sample:
    """One value.

    Attributes:
        name: Name of the metric.
        labels: Its labels.
        value: The value.
    """

    name: str
    labels: Mapping[str, str]
    value: float


def parsed(text: str) -> list[Sample]:
    """Return the samples of a text.

    Raises:
        AssertionError: A line is no sample.
    """
    samples = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = _LINE.match(line)
            assert match, line
            labels = {label["name"]: _unescaped(label["value"]) for label in _LABEL.finditer(match["labels"] or "")}
            samples.append(Sample(match["name"], labels, float(match["value"])))
    return samples


def total(samples: Iterable[Sample], name: str, **labels: str) -> float:
    """Return the sum of the samples of a name that have some labels; 0 if there are none."""
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


def by_label(samples: Iterable[Sample], name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return sums of the samples of a name by the values of some labels; a label that one lacks is empty."""
    sums: dict[tuple[str, ...], float] = {}
    for sample in samples:
        if sample.name == name:
            key = tuple(sample.labels.get(label, "") for label in labels)
            sums[key] = sums.get(key, 0) + sample.value
    return sums


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda match: _ESCAPES.get(match[0], match[0]), text)

"""What is known to expose metrics, and which: the entries of ``metrics.yaml``."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import Any

import yaml

#: Says on a PodMonitor or ServiceMonitor which metrics its targets have, as patterns with commas between them.
ANNOTATION = "constructs-lib/metrics"
#: Suffixes of the series of a histogram or a summary. Documentation often gives the name without them.
_SUFFIX = re.compile(r"_(?:bucket|sum|count)\Z")


@dataclass(frozen=True)
class Source:
    """Something that is known to expose metrics: an entry of ``metrics.yaml``, which explains the fields.

    Images are without registry and tag. It may tell of the whole ``cluster``, whatever the namespace. The ``interval``
    is the time between two scrapes, such as ``30s``; empty for that of Prometheus.
    """

    name: str
    source: str
    version: str = ""
    images: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    value: str = ""
    cluster: bool = False
    interval: str = ""
    prefixes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()

    def owns(self, metric: str) -> bool:
        """Tell whether the prefix of a metric belongs to this source alone."""
        return metric.startswith(self.prefixes)

    def has(self, metric: str) -> bool:
        """Tell whether it exposes a metric."""
        if one_of(self.patterns).match(metric):
            return True
        return metric in self.names if self.names else self.owns(metric)


@cache
def sources() -> tuple[Source, ...]:
    """Return all known sources, those with the longest prefixes first."""
    content = yaml.load((Path(__file__).parent / "metrics.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    found = [_source(name, entry) for name, entry in content.items()]
    return tuple(sorted(found, key=lambda source: -max(map(len, source.prefixes), default=0)))


def _source(name: str, entry: Mapping[str, Any]) -> Source:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    fields["names"] = frozenset(entry.get("names", "").split())
    return Source(name, **fields)


@cache
def sources_of(metric: str) -> tuple[Source, ...]:
    """Return the sources that expose a metric, or else those that expose the histogram or summary that it is of."""
    names = (metric, _SUFFIX.sub("", metric))
    found = (tuple(source for source in sources() if source.has(name)) for name in names)
    return next(filter(None, found), ())


@cache
def owner_of(metric: str) -> Source | None:
    """Return the source to which the prefix of a metric belongs."""
    return next((source for source in sources() if source.owns(metric)), None)


def one_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return an expression that matches what one of some patterns with ``*``, ``?`` and ``[…]`` matches."""
    return _compiled(tuple(patterns))


@cache
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) or "(?!)")

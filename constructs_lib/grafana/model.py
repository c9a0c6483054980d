"""Dashboards, before they become JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

#: Units by Grafana's names (https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats).
Unit = Literal["short", "percentunit", "s", "bytes", "reqps", "ops", "Bps", "cores", "none", "dateTimeFromNow"]
#: Annotation of a ConfigMap with a dashboard: the folder of Grafana in which it belongs.
FOLDER_ANNOTATION = "grafana_folder"
#: Matchers of the namespace and the pods that are chosen at the top of a dashboard.
CHOSEN = 'namespace="$namespace", pod=~"$pod"'
#: Colours of what has thresholds.
GOOD, WARNING, CRITICAL = "green", "yellow", "red"


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What the colour of a value depends on.

    Attributes:
        warning: Value from which it turns yellow; None for never.
        critical: Value from which it turns red; None for never.
        falling: Whether low values are the bad ones.
    """

    warning: float | None = None
    critical: float | None = None
    falling: bool = False


@dataclass(frozen=True)
class Query(Thresholds):
    """An expression and what its series are called.

    Attributes:
        expression: PromQL; may use Grafana's ``$namespace``, ``$pod`` and ``$__rate_interval``.
        legend: Name of the series, with labels as ``{{pod}}``.
        colour: Fixed colour of Grafana's palette. Default: by the palette.
        unit: Unit, if it is not that of the panel; then its own thresholds hold as well.
    """

    expression: str
    legend: str
    colour: str = ""
    unit: Unit | None = None


@dataclass(frozen=True)
class Panel(Thresholds):
    """One panel.

    Attributes:
        id: Name that is unique within the dashboard's template, such as ``requests``; the evidence is kept by it.
        description: What is shown, what is normal, and what it means if it is not.
        unit: Unit of the values.
        stacked: Whether the series are stacked.
        width: In columns of the grid, of 24.
        height: In rows of the grid.
        link: Uid of the dashboard that has more.
        maximum: Upper end of the axis; None for what the data need.
    """

    id: str
    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat", "bargauge", "table"] = "timeseries"
    stacked: bool = False
    width: int = 12
    height: int = 8
    link: str = ""
    maximum: float | None = None

    def wide(self, width: int) -> Panel:
        """Return the panel in another width."""
        return replace(self, width=width)


@dataclass(frozen=True)
class Row:
    """A row with a title and panels below it, which flow from left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard.

    Attributes:
        values: What can be chosen, if it is known.
        query: ``label_values(…)`` that asks Prometheus, if it is not.
        several: Whether several or all may be chosen; all are at first.
    """

    name: str
    label: str
    values: tuple[str, ...] = ()
    query: str = ""
    several: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One dashboard.

    Attributes:
        template: Name of what it is made from; panels are known as ``<template>/<panel id>``.
        description: What it answers.
        uid: Identifier, part of its address; unique in Grafana, at most 40 characters.
        links: ``(title, uid)`` of others that one goes on to.
    """

    template: str
    title: str
    description: str
    rows: tuple[Row, ...]
    uid: str = ""
    variables: tuple[Variable, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    def panels(self) -> Iterator[Panel]:
        """Yield all panels."""
        for row in self.rows:
            yield from row.panels

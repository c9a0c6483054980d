"""Asks a Prometheus all that the dashboards and rules of a system ask, and compares it with the evidence of a run.

    asked = Asked(server, graph, absent={"stock"})
    assert asked.silent() == []
    asked.hold_to("programs")

Any system will do, PositionPal too. With ``WRITE_EVIDENCE=1``, ``constructs_lib/observe/evidence/programs.yaml`` is
written anew; ``app.py observe --docs docs`` tells of it then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml
from processes import Prometheus

from constructs_lib.derive.graph import Graph
from constructs_lib.grafana.model import Dashboard, Panel
from constructs_lib.observe import catalogue, evidence


@dataclass(frozen=True)
class Asked:
    """A Prometheus that scrapes some of a system's programs and has its rules.

    Attributes:
        server: Prometheus.
        graph: The system.
        absent: Names of workloads of which nothing runs here, and of which no caller tells.
        called: Names of workloads of which nothing runs here that is scraped, while their callers tell of them.
        at: When to ask, in seconds since 1970. Default: whenever it is asked.
    """

    server: Prometheus
    graph: Graph
    absent: Collection[str] = ()
    called: Collection[str] = ()
    at: float | None = None

    @cached_property
    def dashboards(self) -> list[Dashboard]:
        """All dashboards of the system."""
        return catalogue.dashboards(self.graph.system, self.graph.waves)

    @cached_property
    def recorded(self) -> dict[str, str]:
        """The expressions of the recorded series, by their names."""
        groups = catalogue.groups(self.graph.system)
        return {record.name: record.expression for group in groups for record in group.records}

    @cached_property
    def alerts(self) -> dict[str, str]:
        """The expressions of the alerts, by their names."""
        groups = catalogue.groups(self.graph.system)
        return {alert.name: alert.expression for group in groups for alert in group.alerts}

    @cached_property
    def scraped(self) -> set[str]:
        """The names of all series that come from a program."""
        names = set(self.server.api("label/__name__/values"))
        return names - self.recorded.keys() - {"ALERTS", "ALERTS_FOR_STATE"}

    def panels(self) -> Iterator[tuple[Dashboard, Panel, str]]:
        """Yield every expression of the dashboards with where it stands."""
        for dashboard in self.dashboards:
            for panel in dashboard.panels():
                for query in panel.queries:
                    yield dashboard, panel, query.expression

    def ask(self, dashboard: Dashboard, expression: str, at: float | None = None) -> list[Any]:
        """Return what an expression of a dashboard gives, with the first choice of its variables that gives anything.

        Args:
            dashboard: Where the expression stands.
            expression: As it stands there.
            at: When to ask. Default: as for all else.
        """
        expression = expression.replace("$__rate_interval", "5m").replace("$__range", "5m")
        asked = {expression}
        for variable in dashboard.variables:
            name = rf"\$\{{?{variable.name}\b\}}?"
            asked = {re.sub(name, value, each) for each in asked for value in variable.values or (".*",)}
        for each in sorted(asked):
            assert "$" not in each.replace('"$1"', "").replace('"$2"', ""), each
            if found := self.server.query(each, self.at if at is None else at):
                return found
        return []

    def concerns(self, dashboard: Dashboard, expression: str) -> bool:
        """Tell whether an expression is about what runs here: its metrics are there, and it is not about others."""
        if dashboard.title in self.absent or any(f'"{name}"' in expression for name in self.absent):
            return False
        if dashboard.title in self.called and "$pod" in expression:
            return False
        return self._is_there(expression)

    def silent(self) -> list[str]:
        """Return which expressions about what runs here give nothing, and which recorded series are not there."""
        panels = [
            f"{dashboard.template}/{panel.id}: {expression}"
            for dashboard, panel, expression in self.panels()
            if self.concerns(dashboard, expression) and not self.ask(dashboard, expression)
        ]
        records = [name for name, each in self.recorded.items() if self._is_there(each) and not self.server.query(name)]
        return panels + records

    def hold_to(self, run: str, also: Collection[str] = ()) -> None:
        """Compare what gives data with the evidence of a run, or write it anew.

        Args:
            run: Name of its file in ``constructs_lib/observe/evidence``.
            also: Expressions that gave data in another test of this run, such as those of alerts that fired.
        """
        asked = [
            evidence.shape(expression)
            for dashboard, _, expression in self.panels()
            if self.concerns(dashboard, expression) and self.ask(dashboard, expression)
        ]
        asked += [
            evidence.shape(expression)
            for name, expression in self.recorded.items()
            if self._is_there(expression) and self.server.query(name, self.at)
        ]
        asked += map(evidence.shape, also)
        used = [expression for _, _, expression in self.panels()] + [*self.alerts.values()]
        metrics = {metric for expression in used for metric in self.read(expression)}
        there = self.scraped.union(*map(self.read, also))
        found = {"expressions": sorted({*asked}), "metrics": sorted(metrics & there)}
        file = evidence.FOLDER / f"{run}.yaml"
        if os.environ.get("WRITE_EVIDENCE"):
            text = yaml.safe_dump(found, width=1000, allow_unicode=True)
            file.write_text(f"# Written by tests/observe/asking.py; see observe/evidence.py.\n{text}", encoding="utf-8")
        committed = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert found["metrics"] == committed["metrics"]
        assert found["expressions"] == committed["expressions"]

    def read(self, expression: str) -> frozenset[str]:
        """Return which metrics of programs an expression reads, directly or through recorded series."""
        return evidence.metrics(expression, self.recorded)

    def _is_there(self, expression: str) -> bool:
        return self.read(expression) <= self.scraped

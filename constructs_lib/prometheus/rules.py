"""Alerts and recording rules, before they become objects of Kubernetes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Record:
    """A recording rule.

    Attributes:
        name: ``level:metric:operations`` (https://prometheus.io/docs/practices/rules/).
        expression: PromQL.
    """

    name: str
    expression: str


@dataclass(frozen=True)
class Alert:
    """An alert.

    Attributes:
        name: Name, in CamelCase; its runbook is ``docs/runbooks/<name>.md``.
        severity: ``critical`` wakes somebody up, ``warning`` waits for the morning.
        expression: PromQL.
        wait: How long it must hold, such as ``10m``.
        summary: One line with what is wrong, as a template of Prometheus.
        description: What is known, with the value.
    """

    name: str
    severity: Severity
    expression: str
    wait: str
    summary: str
    description: str


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together.

    Attributes:
        name: Name of the PrometheusRule and its group.
        records: Recording rules, before the alerts that use them.
        alerts: Alerts.
    """

    name: str
    records: Sequence[Record] = field(default=())
    alerts: Sequence[Alert] = field(default=())

"""Alerts and recording rules, before they become objects of Kubernetes, and matchers of the labels in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from constructs_lib.template import Template, Values
from constructs_lib.user_error import UserError

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
        name: Name, in CamelCase.
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
class Inhibition:
    """An alert says nothing more once another one fires.

    https://prometheus.io/docs/alerting/latest/configuration/#inhibition-related-settings

    Attributes:
        source: Name of the alert that silences.
        target: Name of the alert that is silenced.
        equal: Labels by which the two are about the same.
    """

    source: str
    target: str
    equal: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together.

    Attributes:
        name: Name of the PrometheusRule and its group.
        records: Recording rules, before the alerts that use them.
        alerts: Alerts.
        runbooks: Folder with a page for each alert, ``<name>.md``, that says what to do.
        inhibitions: Which alerts silence which.
    """

    name: str
    records: Sequence[Record]
    alerts: Sequence[Alert]
    runbooks: Path
    inhibitions: Sequence[Inhibition] = ()


def rules(file: Path, values: Values) -> Group:
    """Return the rules in a file: one group of Prometheus' format, with placeholders.

    https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/

    A rule whose expression has a placeholder without a value is left out. Beside the ``groups`` there may be
    ``inhibit_rules`` between alerts, each with a ``source``, a ``target`` and the labels that are ``equal``.

    Args:
        file: The file. Runbooks of its alerts stand in the folder ``runbooks`` beside it.
        values: What its placeholders stand for.

    Raises:
        UserError: It cannot be read, or is written wrongly.
    """
    template = Template(file, values)
    records: list[Record] = []
    alerts: list[Alert] = []
    try:
        [group] = template.content["groups"]
        for rule in map(template.filled, group["rules"]):
            if rule["expr"] is None:
                continue
            if "record" in rule:
                records.append(Record(rule["record"], rule["expr"]))
            else:
                name, severity, texts = rule["alert"], rule["labels"]["severity"], rule["annotations"]
                wait, summary, description = str(rule["for"]), texts["summary"], texts["description"]
                alerts.append(Alert(name, severity, rule["expr"], wait, summary, description))
        inhibitions = [
            Inhibition(rule["source"], rule["target"], tuple(rule["equal"]))
            for rule in template.content.get("inhibit_rules", ())
        ]
        return Group(group["name"], records, alerts, file.parent / "runbooks", inhibitions)
    except (KeyError, TypeError, ValueError) as problem:
        raise UserError(f"{file}: it needs one group with rules as Prometheus reads them; {problem!r}.") from None


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

"""Which expressions gave data when the tests ran them against the real thing, and which metrics were there at all.

``evidence.yaml`` is written and compared by ``tests/observe/test_dashboards_live.py``: a program on Node.js under
OpenTelemetry, RabbitMQ, PostgreSQL with its exporter and Prometheus are started there, and nothing else.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from constructs_lib.prometheus.promql import Selector, parse, without_variables

#: Labels whose values belong to one system.
_OWN = (
    "container|cronjob|exchange|http_route|namespace|persistentvolumeclaim|pod|project|queue|server_address|service"
    "|statefulset"
)
_VALUE = re.compile(rf'\b({_OWN})(=~?|!~?=?)"(?:[^"\\]|\\.)*"')
FILE = Path(__file__).parent / "evidence.yaml"


@cache
def selectors(expression: str) -> tuple[Selector, ...]:
    """Return what an expression of a rule or a panel reads."""
    return parse(without_variables(expression)).selectors


def metrics(expression: str, recorded: Mapping[str, str]) -> frozenset[str]:
    """Return the metrics that an expression reads, directly or through series that are ``recorded``, by their names."""
    names = {selector.metric for selector in selectors(expression)}
    direct = frozenset(name for name in names if name not in recorded)
    return direct.union(*(metrics(recorded[name], recorded) for name in names if name in recorded))


def shape(expression: str) -> str:
    """Return an expression without what belongs to one system: names, ranges, and numbers that are compared with."""
    text = _VALUE.sub(r'\1\2"…"', expression)
    text = re.sub(r"\[(?:\d+[smhdw]|\$__rate_interval)\]", "[…]", text)
    return re.sub(r"rate\d+[smhd]\b", "rate…", text)


@cache
def seen() -> tuple[frozenset[str], frozenset[str]]:
    """Return the shapes of all expressions that gave data in a test, and all metrics that a real program had there."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return frozenset(content["expressions"]), frozenset(content["metrics"])

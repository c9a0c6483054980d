"""Which expressions gave data when the tests ran them against the real thing, and which metrics were there at all.

Each run of real programs under a real Prometheus in the tests has a file in ``evidence``, which
``tests/observe/asking.py`` writes and compares:

- ``programs.yaml``: a program on Node.js under OpenTelemetry, RabbitMQ, PostgreSQL with its exporter, and
  node-exporter, in ``tests/observe/test_dashboards_live.py``;
- ``jvm.yaml``: PositionPal's gateway, location-service and chat-service, as programs on Node.js and the JVM under
  OpenTelemetry's agents, in ``tests/observe/test_jvm_live.py``;
- ``cassandra.yaml``: two Cassandra nodes under OpenTelemetry's Java agent, in ``tests/observe/test_cassandra_live.py``;
- ``cluster.yaml``: a control plane with kube-state-metrics and Argo CD, and a kubelet's own code for simulated nodes,
  on a bad day, in ``tests/rehearse/test_positionpal_production.py``.
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
_VALUE = re.compile(rf'\b({_OWN})(!?)[=~]~?"(?:[^"\\]|\\.)*"')
#: Where the files of the runs are.
FOLDER = Path(__file__).parent / "evidence"


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
    text = _VALUE.sub(r'\1\2="…"', expression)
    text = re.sub(r"\[(?:\d+[smhdw]|\$__rate_interval)\]", "[…]", text)
    return re.sub(r"rate\d+[smhd]\b", "rate…", text)


@cache
def seen() -> tuple[frozenset[str], frozenset[str]]:
    """Return the shapes of all expressions that gave data in a test, and all metrics that a real program had there."""
    runs = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.yaml"))]
    expressions, names = (frozenset(each for run in runs for each in run[what]) for what in ("expressions", "metrics"))
    return expressions, names

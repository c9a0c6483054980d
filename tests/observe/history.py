"""Makes a history of many hours of what really happened within seconds, and asks promtool what Prometheus would say.

A phase is what some programs did between two looks at all of their series. In the history, each interval of a phase has
just what the whole phase really had: a counter grows by as much, with the labels and values that an agent gave it, and
anything else is what it was. So the rules are evaluated as they are, with their windows and waits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from processes import Prometheus, promtool
from synthesized import Manifest

#: Seconds between two scrapes and between two evaluations: longer than in a cluster, where all fires the sooner.
INTERVAL, EVALUATION = 60, 120
#: In seconds, or in milliseconds.
_HALF_A_SECOND = r'\ble="(0[.]5|500([.]0)?)",?'
_COUNTED = {"counter", "histogram", "summary"}

Look = Mapping[str, float]


@dataclass(frozen=True)
class Phase:
    """What all series were before and after something happened.

    Attributes:
        before: Their values before, by their names with labels.
        after: Their values after it.
        minutes: How long it lasts in the history.
    """

    before: Look
    after: Look
    minutes: int

    @property
    def is_fast(self) -> bool:
        """Whether all that histograms counted took half a second at most."""
        return all(
            self._grown(name) == self._grown(re.sub(_HALF_A_SECOND, "", name.replace("_bucket{", "_count{")))
            for name in self.after
            if re.search(_HALF_A_SECOND, name)
        )

    def _grown(self, name: str) -> float:
        return self.after[name] - self.before.get(name, 0.0)


def scraped_again(server: Prometheus) -> float:
    """Wait until every target was scraped after now, and return when that was."""
    now = server.value("time()")
    server.wait_for(f"min(timestamp(up)) > {now}")
    return server.value("time()")


def look(server: Prometheus, metrics: Collection[str]) -> Look:
    """Return the values of all series of some metrics, once every target was scraped again."""
    now = scraped_again(server)
    found = {}
    for metric in sorted(metrics):
        for sample in server.query(metric, now):
            labels = ",".join(f"{name}={_quoted(value)}" for name, value in sorted(sample.labels.items()))
            found[f"{metric}{{{labels}}}"] = sample.value
    return found


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def counters(server: Prometheus) -> set[str]:
    """Return the names of the series that only grow while a program runs."""
    found = set()
    for name, entries in server.api("metadata").items():
        if entries[0]["type"] in _COUNTED:
            found |= {name, *(f"{name.removesuffix('_total')}{suffix}" for suffix in _SUFFIXES)}
    return found


_SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def series(phases: Sequence[Phase], growing: Collection[str]) -> list[dict[str, str]]:
    """Return the series of phases one after another, as promtool reads them.

    Args:
        phases: The phases.
        growing: Names of counters.
    """
    found = []
    for name in sorted({name for phase in phases for name in (*phase.before, *phase.after)}):
        grows, value = name.partition("{")[0] in growing, 0.0
        parts: list[str] = []
        for phase in phases:
            steps = phase.minutes * 60 // INTERVAL
            if name not in phase.after:
                parts.append(f"stale _x{steps - 1}" if parts and parts[-1][0] not in "s_" else f"_x{steps}")
            elif grows:
                step = max(phase.after[name] - phase.before.get(name, 0.0), 0.0)
                parts.append(f"{value + step!r}+{step!r}x{steps - 1}")
                value += steps * step
            else:
                parts.append(f"{phase.after[name]!r}x{steps - 1}")
        found.append({"series": name, "values": " ".join(parts)})
    return found


@dataclass(frozen=True)
class History:
    """What happened, and what is expected of it.

    Attributes:
        phases: One after another.
        expected: By the minute, what expressions give, each value of which is 1: by each, its series, such as
            ``{alertname="A"}``.
    """

    phases: Sequence[Phase]
    expected: Mapping[int, Mapping[str, Sequence[str]]]


def differences(
    histories: Mapping[str, History], growing: Collection[str], rules: Sequence[Manifest], folder: Path
) -> str:
    """Have promtool evaluate rules over histories, and return what differs from what is expected, if anything does.

    Args:
        histories: By their names.
        growing: Names of counters.
        rules: The ``spec`` of PrometheusRules.
        folder: Where to write.
    """
    files = [folder / f"rules-{number}.yaml" for number, _ in enumerate(rules)]
    for file, spec in zip(files, rules, strict=True):
        file.write_text(yaml.safe_dump(spec))
    tests = [
        {
            "name": name,
            "interval": f"{INTERVAL}s",
            "input_series": series(each.phases, growing),
            "promql_expr_test": [
                {
                    "expr": expression,
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": labels, "value": 1} for labels in found],
                }
                for minute, expressions in each.expected.items()
                for expression, found in expressions.items()
            ],
        }
        for name, each in histories.items()
    ]
    content = {"rule_files": [*map(str, files)], "evaluation_interval": f"{EVALUATION}s", "tests": tests}
    (folder / "histories.yaml").write_text(yaml.safe_dump(content, width=10_000))
    result = promtool("test", "rules", folder / "histories.yaml")
    return "" if result.returncode == 0 else result.stdout

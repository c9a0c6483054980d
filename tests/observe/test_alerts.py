"""Every alert fires when it should and is silent when it should be, as Prometheus' own promtool evaluates them.

The cases of a kind are in ``tests/kinds/<kind>/alerts.yaml``, those of all else in ``alerts``, as promtool reads them
(https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/); ``rule_files`` is added here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from watched import watched

from constructs_lib.kinds.monitoring.construct import Monitoring
from constructs_lib.observe import catalogue
from constructs_lib.observe.objects import rule_group
from constructs_lib.observe.page import runbook
from constructs_lib.prometheus.rules import Group

HERE = Path(__file__).parent
#: The cases by the folder of the kind, or by the group, that they are about.
FILES = {
    **{path.parent.name: path for path in sorted(HERE.parent.glob("kinds/*/alerts.yaml"))},
    **{path.stem: path for path in sorted(HERE.glob("alerts/*.yaml"))},
}


@cache
def groups() -> dict[str, Group]:
    """All groups of the small system, by what their cases are called."""
    folder = Path(catalogue.__file__).parent / "runbooks"
    return {
        group.name if group.runbooks == folder else group.runbooks.parent.name: group
        for group in catalogue.groups(watched())
    }


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The groups as files of Prometheus."""
    runbooks = next(c.runbooks for c in watched().components if isinstance(c, Monitoring))
    folder = tmp_path_factory.mktemp("rules")
    files = {}
    for name, group in groups().items():
        files[name] = folder / f"{name}.yaml"
        files[name].write_text(yaml.safe_dump({"groups": [rule_group(group, runbooks)]}))
    return files


def cases(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(FILES[name].read_text(encoding="utf-8")))


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed; it comes with Debian's package prometheus")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_prometheus_reads_the_rules(rules: dict[str, Path]) -> None:
    result = promtool("check", "rules", *rules.values())
    assert result.returncode == 0, result.stdout + result.stderr
    # What it only warns about.
    assert "duplicate" not in result.stdout, result.stdout


def test_each_group_has_its_cases() -> None:
    assert FILES.keys() == groups().keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_cases(name: str, rules: dict[str, Path], tmp_path: Path) -> None:
    content = cases(name)
    # A case may have an interval of its own, which promtool knows only for a whole file.
    files: dict[str, list[dict[str, Any]]] = {}
    for case in content["tests"]:
        files.setdefault(case.pop("evaluation_interval", content["evaluation_interval"]), []).append(case)
    for interval, tests in files.items():
        file = {"rule_files": [str(rules[name])], "evaluation_interval": interval, "tests": tests}
        (tmp_path / f"{interval}.yaml").write_text(yaml.safe_dump(file, allow_unicode=True))
    result = promtool("test", "rules", *tmp_path.iterdir())
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", FILES)
def test_each_alert_has_a_case_that_fires_and_one_that_does_not(name: str) -> None:
    alerts = [alert.name for alert in groups()[name].alerts]
    firing: set[str] = set()
    silent: set[str] = set()
    for group in cases(name)["tests"]:
        assert group["input_series"], f"{group['name']}: without any series everything is silent"
        for case in group["alert_rule_test"]:
            (firing if case.get("exp_alerts") else silent).add(case["alertname"])
    assert firing == set(alerts)
    assert silent == set(alerts)


def test_each_name_is_written_once_and_has_a_runbook() -> None:
    alerts = [(group, alert) for group in groups().values() for alert in group.alerts]
    assert [name for name, times in Counter(alert.name for _, alert in alerts).items() if times > 1] == []
    for group, alert in alerts:
        text = runbook(group, alert)
        for section in ("Meaning", "Impact", "Diagnosis", "Mitigation"):
            assert f"\n## {section}\n" in text, f"{alert.name}: there is no section {section}"
    known = {alert.name for _, alert in alerts}
    pages = [path for group in groups().values() for path in group.runbooks.glob("*.md")]
    assert {path.stem for path in pages} == known
    for path in pages:
        linked = set(re.findall(r"\]\((\w+)\.md\)", path.read_text(encoding="utf-8")))
        assert linked <= known - {path.stem}, f"{path.name} links to {linked - known}"

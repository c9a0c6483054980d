"""How commands end: by the codes that docs/commands.md lists. Those of faults and of Ctrl-C are in test_mistakes.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_runs import ROOT, run_process

from constructs_lib.cli.commands import COMMANDS, name_of
from constructs_lib.cli.exit_codes import REFUSALS, ExitCode

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: colours, namespace: shop}\n"
SERVICE = (
    "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {selector: {a: b}, ports: [{port: 80}]}\n"
)
CHART = "apiVersion: v2\nname: loki\nversion: 1.0.0\n"


def test_each_command_says_what_it_refuses() -> None:
    assert REFUSALS.keys() == {name_of(command) for command in COMMANDS}
    assert all(code.meaning for code in ExitCode)


@pytest.mark.parametrize(
    ("arguments", "manifest", "code"),
    [
        ("check --tree .", CONFIG_MAP, ExitCode.DONE),
        ("check --tree .", SERVICE, ExitCode.REFUSED),
        ("check --tree nowhere", CONFIG_MAP, ExitCode.WRONG_USAGE),
        ("check --treee .", CONFIG_MAP, ExitCode.WRONG_USAGE),
        ("check --tree .", CHART, ExitCode.NOT_JUDGED),
        ("plan --from empty --to .", CONFIG_MAP, ExitCode.DONE),
        ("plan --strict --from . --to empty", CONFIG_MAP, ExitCode.DONE),
        ("plan --from empty --to nowhere", CONFIG_MAP, ExitCode.WRONG_USAGE),
        ("graph", CONFIG_MAP, ExitCode.WRONG_USAGE),
    ],
)
def test_codes(tmp_path: Path, arguments: str, manifest: str, code: ExitCode) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / ("Chart.yaml" if manifest == CHART else "a.yaml")).write_text(manifest)
    assert run_process(tmp_path, *arguments.split(), app=ROOT / "constructs_lib/__main__.py").code == code

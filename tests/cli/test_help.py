"""Every command says how it is used, with examples that work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from app_runs import ROOT
from repositories import change, newer, positionpal, run

import versions

#: What a rehearsal shows is in tests/rehearse; what is promoted was published, in tests/publish/test_promote.py.
ELSEWHERE = ["promote", "rehearse"]
COMMANDS = ["check", "graph", "observe", "plan", "publish", "synth", "why"]


def commands() -> list[str]:
    """Return the names of all commands, from the help of the command line."""
    listed = run(ROOT, "--help").out.partition("Commands")[2]
    return re.findall(r"^\W+([a-z]+)\s", listed, re.MULTILINE)


def examples(command: str) -> list[str]:
    """Return the examples in the help of a command."""
    return re.findall(r"Example: python app\.py ([^\n│]+?)\s*$", run(ROOT, command, "--help").out, re.MULTILINE)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PositionPal in a repository with a remote, changed since it was pushed."""
    work = positionpal(tmp_path_factory.mktemp("positionpal"))
    change(work, "versions.py", versions.CHAT_SERVICE, newer(versions.CHAT_SERVICE))
    return work


def test_every_command_is_listed() -> None:
    assert sorted(commands()) == sorted([*COMMANDS, *ELSEWHERE])


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_work(repository: Path, command: str) -> None:
    found = examples(command)
    assert found, f"the help of {command} has no example"
    for example in found:
        words = shlex.split(example)
        assert words[0] == command
        result = run(repository, *words)
        assert result.code == 0, f"python app.py {example}\n{result.out}{result.err}"
        if "--output" in words:
            output = repository / words[words.index("--output") + 1]
            assert output.stat().st_size > 0
            output.unlink()
        else:
            assert result.out
        assert "Traceback" not in result.err

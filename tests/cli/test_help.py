"""Every command says how it is used, with examples that work."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
COMMANDS = ["graph", "plan", "publish", "synth", "why"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run PositionPal's command line in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "app.py", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def commands() -> list[str]:
    """Return the names of all commands, from the help of the command line."""
    listed = run(ROOT, "--help").stdout.partition("Commands")[2]
    return re.findall(r"^\W+([a-z]+)\s", listed, re.MULTILINE)


def examples(command: str) -> list[str]:
    """Return the examples in the help of a command."""
    return re.findall(r"Example: python app\.py ([^\n│]+?)\s*$", run(ROOT, command, "--help").stdout, re.MULTILINE)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PositionPal in a repository with a remote, published once and changed since."""
    folder = tmp_path_factory.mktemp("positionpal")
    work = folder / "work"
    work.mkdir()
    for name in ("app.py", "versions.py"):
        shutil.copy(ROOT / name, work)
    shutil.copytree(ROOT / "schemas", work / "schemas")
    (work / ".gitignore").write_text("__pycache__/\n")
    identity = ("-c", "user.name=Some Body", "-c", "user.email=somebody@example.com")

    def git(*arguments: str) -> None:
        subprocess.run(["git", *identity, *arguments], cwd=work, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    git("init", "--quiet", "--bare", "--initial-branch=main", str(folder / "origin.git"))
    git("remote", "add", "origin", str(folder / "origin.git"))
    assert run(work).returncode == 0
    git("add", "--all")
    git("commit", "--quiet", "--message", "Declare PositionPal")
    git("push", "--quiet", "--set-upstream", "origin", "main")
    versions = work / "versions.py"
    versions.write_text(versions.read_text().replace("chat-service:3.9.0", "chat-service:3.9.1"))
    git("commit", "--quiet", "--all", "--message", "Update the chat service")
    return work


def test_every_command_is_listed() -> None:
    assert sorted(commands()) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_work(repository: Path, command: str) -> None:
    found = examples(command)
    assert found, f"the help of {command} has no example"
    for example in found:
        words = shlex.split(example)
        assert words[0] == command
        result = run(repository, *words)
        assert result.returncode == 0, f"python app.py {example}\n{result.stdout}{result.stderr}"
        if "--output" in words:
            output = repository / words[words.index("--output") + 1]
            assert output.stat().st_size > 0
            output.unlink()
        else:
            assert result.stdout
        assert "Traceback" not in result.stderr
